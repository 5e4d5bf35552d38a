//! Importance that needs no images.

use super::{Importance, Network};
use crate::error::Result;
use crate::rng::stream;
use ndarray::Axis;

/// Mean absolute weight of a channel's filter, `mean_{i,r,s} |w[o,i,r,s]|`; of filters that share a
/// channel, the mean over them. Biases and batch norms do not count.
///
/// # Source
/// Li, Kadav, Durdanovic, Samet and Graf, "Pruning filters for efficient ConvNets", ICLR 2017,
/// equation of section 3.1 (there the sum; within a layer the order is the same, across layers the
/// mean does not favour large kernels).
///
/// # Example
/// ```
/// use orthoscope::compression::importance::{Importance, L1, Network};
/// use orthoscope::compression::{Groups, originals};
/// use orthoscope::network::zoo::{LoadOptions, load_model};
///
/// let graph = load_model("mini-inception", &LoadOptions::default())?.graph;
/// let groups = Groups::of(&graph, &[])?;
/// let original = originals(&groups);
/// let network = Network { graph: &graph, groups: &groups, original: &original };
/// let stem = groups.named("conv1/7x7_s2")?;
/// let scores = L1.scores(network, &[stem])?.remove(0);
/// let filter = graph.weight("conv1/7x7_s2.weight").index_axis(ndarray::Axis(0), 3).mapv(f32::abs);
/// assert!((scores[3] - f64::from(filter.mean().unwrap())).abs() < 1e-6);
/// # Ok::<(), orthoscope::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct L1;

impl Importance for L1 {
    fn describe(&self) -> String {
        "mean absolute weight of the filters".into()
    }

    fn scores(&mut self, network: Network<'_>, groups: &[usize]) -> Result<Vec<Vec<f64>>> {
        let Network { graph, groups: all, .. } = network;
        let filter = |&(node, at): &(usize, usize)| {
            let weight = graph.node(node).op.weights()[0];
            let filter = graph.weight(weight).index_axis(Axis(0), at);
            filter.iter().map(|w| f64::from(w.abs())).sum::<f64>() / filter.len() as f64
        };
        let of = |filters: &Vec<(usize, usize)>| filters.iter().map(filter).sum::<f64>() / filters.len() as f64;
        Ok(groups.iter().map(|&g| all.group(g).channels.iter().map(of).collect()).collect())
    }
}

/// Uniform draws in 0..1 that belong to a channel: the same however many others are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Random {
    pub seed: u64,
}

impl Importance for Random {
    fn describe(&self) -> String {
        format!("drawn at random, seed {}", self.seed)
    }

    fn scores(&mut self, network: Network<'_>, groups: &[usize]) -> Result<Vec<Vec<f64>>> {
        let of = |&g: &usize| {
            let purpose = format!("importance of {}", network.groups.group(g).name);
            network.original[g].iter().map(|&c| stream(self.seed, &purpose, c as u64).uniform()).collect()
        };
        Ok(groups.iter().map(of).collect())
    }
}
