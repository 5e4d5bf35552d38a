//! How much each channel of a network matters.
//!
//! | importance of a channel | type | source |
//! |---|---|---|
//! | mean absolute weight of its filter | [`L1`] | Li et al. 2017 |
//! | variance of its activations over images and positions | [`ActivationVariance`] | |
//! | how much of the next layer's output varies with it | [`LayerwiseVariance`] | Cowley et al. 2023 |
//! | first-order change of a loss when it is set to 0 | [`Taylor`] | Molchanov et al. 2017 |
//! | change of a score when it is set to 0 | [`Ablation`] | Abbasi-Asl and Yu 2017, 2021: CAR, RAR |
//! | drawn at random: the control | [`Random`] | |
//!
//! Larger is more important. All are of channels of [groups](super::Groups): where several layers
//! share a channel, it is one channel.

mod ablation;
mod activations;
mod layerwise;
mod moments;
mod score;
mod taylor;
mod weights;

pub use ablation::{Ablated, Ablation};
pub use activations::ActivationVariance;
pub use layerwise::{Judged, LayerwiseVariance};
pub use score::{Accuracy, Correlation, Score, Scored};
pub use taylor::Taylor;
pub use weights::{L1, Random};

use super::groups::Groups;
use crate::cancel::Cancel;
use crate::data::StimulusSource;
use crate::data::image_source::batches;
use crate::error::{Error, Result};
use crate::network::executor::frozen;
use crate::network::{Graph, NodeId, TapRequest, TapValue};
use crate::progress::{Progress, Sink};
use crate::tensor::{Device, Tensor, tensor};
use std::ops::Range;

/// Images that channels are judged by, and how they are run.
#[derive(Clone)]
pub struct Data<'a> {
    pub images: &'a dyn StimulusSource,
    /// Images in memory at a time.
    pub batch: usize,
    pub device: Device,
    /// Asked between batches.
    pub cancel: Cancel,
    /// Told of every batch.
    pub progress: Sink,
}

impl<'a> Data<'a> {
    /// Batches of 16 images; nobody watches and nobody asks to stop.
    pub fn new(images: &'a dyn StimulusSource) -> Self {
        Self { images, batch: 16, device: Device::default(), cancel: Cancel::default(), progress: Sink::default() }
    }

    fn check(&self) -> Result<()> {
        if self.images.n_images() > 0 {
            return Ok(());
        }
        Err(Error::invalid("importance of channels", "images to judge them by", "none", "give some images"))
    }

    /// Hands the activations of some nodes to `visit`, batch by batch.
    fn activations(
        &self,
        task: &str,
        graph: &Graph,
        nodes: &[NodeId],
        visit: &mut dyn FnMut(Range<usize>, Vec<Tensor<4>>) -> Result<()>,
    ) -> Result<()> {
        self.check()?;
        let taps: Vec<TapRequest> = nodes.iter().map(|&n| TapRequest::Activations(n)).collect();
        let mut executor = frozen(graph, &taps, &self.device)?;
        let ranges: Vec<_> = batches(self.images.n_images(), self.batch).collect();
        let mut progress = Progress::new(&self.progress, task, ranges.len() as u64, 0);
        for range in ranges {
            self.cancel.check()?;
            let pixels = self.images.read(range.clone())?;
            let values = executor.infer(&tensor(pixels.view(), &self.device))?;
            visit(range, values.into_iter().map(plain).collect())?;
            progress.tick(String::new);
        }
        progress.finish();
        Ok(())
    }
}

fn plain(value: TapValue) -> Tensor<4> {
    match value {
        TapValue::Activations(a) => a,
        TapValue::Moments(_) => unreachable!("activations were asked for"),
    }
}

/// A network whose channels are judged.
#[derive(Clone, Copy)]
pub struct Network<'a> {
    pub graph: &'a Graph,
    pub groups: &'a Groups,
    /// For each group, the numbers that its channels had before any were removed.
    pub original: &'a [Vec<usize>],
}

/// Something that judges channels.
pub trait Importance {
    /// In words, for cards and reports.
    fn describe(&self) -> String;

    /// One number for each channel of each of some groups; larger is more important.
    ///
    /// # Errors
    /// Whatever reading images and running the network says; [`Error::Interrupted`] when stopped.
    fn scores(&mut self, network: Network<'_>, groups: &[usize]) -> Result<Vec<Vec<f64>>>;
}

#[cfg(test)]
mod tests;
