//! What a network loses with each channel.

use super::{Data, Importance, Network, Score, Scored};
use crate::compression::reads::{Read, reads};
use crate::compression::surgery::{Removed, remove};
use crate::error::{Error, Result};
use crate::network::{Change, Graph, NodeId, Tail};
use crate::progress::{Progress, Sink};
use crate::tensor::{Device, Tensor, into_vec_f32, tensor_from_vec};
use ndarray::{Array2, ArrayView2, Axis, Slice};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Drop of a score when a channel is set to 0, wherever it is read: `score(all) - score(without the
/// channel)`.
///
/// With classification accuracy ([`super::Accuracy`]) this is CAR, the drop of each class telling
/// which labels a filter serves; with the accuracy of an encoding model it is RAR.
///
/// What lies before the channels is run once for many of them: activations where the channels are
/// read are kept, one channel is masked, and the rest of the network is run ([`Tail`]). Channels
/// that a local response normalisation reads get other neighbours when one of them goes (see
/// [`crate::compression::surgery`]), which no mask shows: each of those is removed, and the smaller
/// network run as a whole.
///
/// # Source
/// Abbasi-Asl and Yu, "Structural compression of convolutional neural networks with applications in
/// interpretability", Frontiers in Big Data 2021, section 2.
///
/// # Example
/// ```
/// use ndarray::{Array2, Array4};
/// use orthoscope::compression::importance::{Ablation, Data, Network};
/// use orthoscope::compression::{Groups, originals};
/// use orthoscope::network::zoo::{LoadOptions, load_model};
///
/// let graph = load_model("mini-inception", &LoadOptions::default())?.graph;
/// let groups = Groups::of(&graph, &[])?;
/// let original = originals(&groups);
/// let images = Array4::from_shape_fn((2, 3, 96, 96), |(n, c, y, x)| ((n + c) * (x + y) % 7) as f32 / 6.0);
/// // Any function of the taps, larger is better: here the largest score, on average.
/// let score = |taps: &[Array2<f32>]| {
///     let largest = taps[0].rows().into_iter().map(|r| r.fold(f32::MIN, |m, v| m.max(*v)));
///     Ok(f64::from(largest.sum::<f32>()) / 2.0)
/// };
/// let ablation = Ablation::new(Data::new(&images), &[graph.scores()], &score);
/// let network = Network { graph: &graph, groups: &groups, original: &original };
/// let found = ablation.ablate(network, groups.named("inception_5b/pool_proj")?)?;
/// assert_eq!(found.without.len(), groups.group(groups.named("inception_5b/pool_proj")?).width());
/// assert!(found.drops().iter().any(|d| *d != 0.0));
/// # Ok::<(), orthoscope::Error>(())
/// ```
pub struct Ablation<'a> {
    pub data: Data<'a>,
    /// What the score is a function of.
    pub taps: Vec<NodeId>,
    pub score: &'a dyn Score,
    /// Bytes of taps, of many channels and all images, in memory at a time.
    pub memory: usize,
}

/// Scores of a network without single channels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ablated {
    /// With all channels.
    pub whole: Scored,
    /// Without each channel of the group.
    pub without: Vec<Scored>,
}

impl Ablated {
    /// What is lost with each channel.
    pub fn drops(&self) -> Vec<f64> {
        self.without.iter().map(|w| self.whole.score - w.score).collect()
    }

    /// What each part (each class) loses with a channel; `None` where it has no score.
    pub fn drops_of_parts(&self, channel: usize) -> Vec<Option<f64>> {
        let pairs = self.whole.parts.iter().zip(&self.without[channel].parts);
        pairs.map(|(whole, without)| Some((*whole)? - (*without)?)).collect()
    }
}

impl<'a> Ablation<'a> {
    /// Taps of 256 MiB at a time.
    pub fn new(data: Data<'a>, taps: &[NodeId], score: &'a dyn Score) -> Self {
        Self { data, taps: taps.to_vec(), score, memory: 256 << 20 }
    }

    /// The score of a network as it is.
    ///
    /// # Errors
    /// Whatever reading images, running the network and the score say.
    pub fn whole(&self, graph: &Graph) -> Result<Scored> {
        let mut taps = self.empty(graph);
        self.data.activations("score", graph, &self.taps, &mut |range, values| {
            fill(&mut taps, range.start, values);
            Ok(())
        })?;
        self.scored(&taps)
    }

    /// The scores of a network without each channel of a group.
    ///
    /// # Errors
    /// As [`whole`](Self::whole); [`Error::Interrupted`] when stopped.
    pub fn ablate(&self, network: Network<'_>, group: usize) -> Result<Ablated> {
        self.data.check()?;
        let (graph, width) = (network.graph, network.groups.group(group).width());
        let found = reads(graph, network.groups, group, &self.taps);
        let change = |r: &Read| Change { node: r.node, readers: r.readers.clone(), tapped: r.tapped };
        let changes: Vec<Change> = found.iter().map(change).collect();
        let neighbours = !network.groups.group(group).normalisations.is_empty();
        if neighbours && width > 1 && !found.iter().any(|r| r.tapped) {
            return self.remove_each(network, group);
        }
        if changes.is_empty() {
            let whole = self.whole(graph)?;
            return Ok(Ablated { without: vec![whole.clone(); width], whole });
        }
        let mut tail = Tail::new(graph, &changes, &self.taps, &self.data.device)?;
        let masks = |channel: usize| -> Vec<Tensor<4>> {
            found.iter().map(|r| mask(graph, r, channel, &self.data.device)).collect()
        };
        // The first is the network with all its channels, through the same operations.
        let each: Vec<Option<usize>> = std::iter::once(None).chain((0..width).map(Some)).collect();
        let mut scored = Vec::with_capacity(each.len());
        for some in each.chunks(self.at_once(graph)) {
            let mut taps: Vec<Vec<Array2<f32>>> = some.iter().map(|_| self.empty(graph)).collect();
            let task = format!("{} without channels", network.groups.group(group).name);
            let frontier = tail.frontier().to_vec();
            self.data.activations(&task, graph, &frontier, &mut |range, known| {
                for (channel, taps) in some.iter().zip(&mut taps) {
                    self.data.cancel.check()?;
                    let values = match channel.map(&masks) {
                        Some(masks) => tail.run(&known, &|at, value| value * masks[at].clone())?,
                        None => tail.run(&known, &|_, value| value)?,
                    };
                    fill(taps, range.start, values);
                }
                Ok(())
            })?;
            scored.extend(taps.par_iter().map(|t| self.scored(t)).collect::<Result<Vec<_>>>()?);
        }
        let without = scored.split_off(1);
        Ok(Ablated { whole: scored.remove(0), without })
    }

    /// The scores of the smaller networks, each run as a whole.
    fn remove_each(&self, network: Network<'_>, group: usize) -> Result<Ablated> {
        let own = network.groups.group(group);
        let quiet = Data { progress: Sink::default(), ..self.data.clone() };
        let each = Self { data: quiet, taps: self.taps.clone(), ..*self };
        let whole = each.whole(network.graph)?;
        let task = format!("{} without channels", own.name);
        let mut progress = Progress::new(&self.data.progress, task, own.width() as u64, 0);
        let mut without = Vec::with_capacity(own.width());
        for channel in 0..own.width() {
            let removed = Removed::from([(own.name.clone(), [channel].into())]);
            without.push(each.whole(&remove(network.graph, network.groups, &removed, 1)?)?);
            progress.tick(String::new);
        }
        progress.finish();
        Ok(Ablated { whole, without })
    }

    /// How many networks' taps are in memory at a time.
    fn at_once(&self, graph: &Graph) -> usize {
        let units: usize = self.taps.iter().map(|&t| graph.node(t).shape.len()).sum();
        (self.memory / (4 * units * self.data.images.n_images())).max(1)
    }

    fn empty(&self, graph: &Graph) -> Vec<Array2<f32>> {
        let n = self.data.images.n_images();
        self.taps.iter().map(|&t| Array2::zeros((n, graph.node(t).shape.len()))).collect()
    }

    fn scored(&self, taps: &[Array2<f32>]) -> Result<Scored> {
        let scored = self.score.score(taps)?;
        if scored.score.is_finite() {
            return Ok(scored);
        }
        let hint = "a network that was cut too far may give responses without variance";
        Err(Error::invalid("score of a network", "a finite number", scored.score.to_string(), hint))
    }
}

/// A batch's taps into the rows of its images.
fn fill(taps: &mut [Array2<f32>], start: usize, values: Vec<Tensor<4>>) {
    for (tap, value) in taps.iter_mut().zip(values) {
        let shape = (value.dims()[0], tap.ncols());
        let numbers = into_vec_f32(value);
        let rows = ArrayView2::from_shape(shape, &numbers).expect("as many units as the tap has");
        tap.slice_axis_mut(Axis(0), Slice::from(start..start + shape.0)).assign(&rows);
    }
}

/// 1 for every channel of a tensor but those that are one of the group.
fn mask(graph: &Graph, read: &Read, channel: usize, device: &Device) -> Tensor<4> {
    let n = graph.node(read.node).shape.channels;
    let mut values = vec![1.0; n];
    read.channels.iter().filter(|(_, c)| *c == channel).for_each(|(at, _)| values[*at] = 0.0);
    tensor_from_vec(values, [1, n, 1, 1], device)
}

impl Importance for Ablation<'_> {
    fn describe(&self) -> String {
        format!("drop of {} without the channel", self.score.describe())
    }

    fn scores(&mut self, network: Network<'_>, groups: &[usize]) -> Result<Vec<Vec<f64>>> {
        groups.iter().map(|&g| self.ablate(network, g).map(|a| a.drops())).collect()
    }
}
