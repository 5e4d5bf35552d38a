//! What a network costs: parameters, filters, multiply-accumulates, bytes of its file.

use crate::error::Result;
use crate::io::weights::Storage;
use crate::network::{Graph, Op, card};
use serde::{Deserialize, Serialize};

/// Cost of one layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerCost {
    pub name: String,
    /// The operation: `conv2d` or `linear`.
    pub op: String,
    /// Output channels.
    pub filters: usize,
    /// Filters that see more than one pixel: output channels of a convolution with a kernel larger
    /// than 1 x 1. What Cowley et al. call the filters of a layer of separable convolutions.
    pub kernels: usize,
    /// Weights and biases.
    pub parameters: usize,
    /// Of one image.
    pub macs: u64,
}

/// Cost of a network, as it is.
///
/// Parameters are all numbers that the nodes read, each once (biases, batch norms with their
/// moments). Multiply-accumulates are those of convolutions and linear layers on one image of the
/// network's input size, without biases. Bytes are those of the weights' file in a model directory.
///
/// # Example
/// ```
/// use orthoscope::compression::{Cost, Groups, Removed, remove};
/// use orthoscope::io::weights::Storage;
/// use orthoscope::network::zoo::{LoadOptions, load_model};
///
/// let graph = load_model("mini-inception", &LoadOptions::default())?.graph;
/// let groups = Groups::of(&graph, &[])?;
/// let half = Removed::from([("conv2/3x3".into(), (0..groups.group(groups.named("conv2/3x3")?).width() / 2).collect())]);
/// let smaller = remove(&graph, &groups, &half, 1)?;
/// let (before, after) = (Cost::of(&graph, Storage::F16)?, Cost::of(&smaller, Storage::F16)?);
/// assert!(after.parameters < before.parameters && after.macs < before.macs && after.bytes < before.bytes);
/// let ratio = Ratio::of(&before, &after);
/// assert!(ratio.parameters > 1.0);
/// # use orthoscope::compression::Ratio;
/// # Ok::<(), orthoscope::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    pub parameters: usize,
    pub macs: u64,
    pub bytes: u64,
    /// Output channels of all convolutions and linear layers.
    pub filters: usize,
    /// Convolutions and linear layers in execution order.
    pub layers: Vec<LayerCost>,
}

impl Cost {
    /// Counts.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] for a weight that the storage cannot hold.
    pub fn of(graph: &Graph, storage: Storage) -> Result<Self> {
        let layers: Vec<LayerCost> = graph.nodes().iter().filter_map(|node| layer(graph, node)).collect();
        Ok(Self {
            parameters: graph.n_parameters(),
            macs: graph.n_macs(graph.output()),
            bytes: card::encoded(graph, storage)?.len() as u64,
            filters: layers.iter().map(|l| l.filters).sum(),
            layers,
        })
    }
}

fn layer(graph: &Graph, node: &crate::network::Node) -> Option<LayerCost> {
    let (Op::Conv2d { weight, .. } | Op::Linear { weight, .. }) = &node.op else { return None };
    let shape = graph.weight(weight).shape();
    let kernels = if shape[2..].iter().any(|&side| side > 1) { node.shape.channels } else { 0 };
    let parameters = node.op.weights().iter().map(|name| graph.weight(name).len()).sum();
    Some(LayerCost {
        name: node.name.clone(),
        op: node.op.kind().into(),
        filters: node.shape.channels,
        kernels,
        parameters,
        macs: graph.weight(weight).len() as u64 * (node.shape.height * node.shape.width) as u64,
    })
}

/// How many times smaller a network became.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    pub parameters: f64,
    pub macs: f64,
    pub bytes: f64,
    pub filters: f64,
}

impl Ratio {
    /// Before over after.
    pub fn of(before: &Cost, after: &Cost) -> Self {
        let ratio = |b: u64, a: u64| b as f64 / a as f64;
        Self {
            parameters: ratio(before.parameters as u64, after.parameters as u64),
            macs: ratio(before.macs, after.macs),
            bytes: ratio(before.bytes, after.bytes),
            filters: ratio(before.filters as u64, after.filters as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compression::testing::{inception, separable};

    /// By hand: `separable` has 12 x 12 pixels.
    #[test]
    fn a_small_network_is_counted_by_hand() {
        let cost = Cost::of(&separable(), Storage::F32).unwrap();
        let names: Vec<&str> = cost.layers.iter().map(|l| l.name.as_str()).collect();
        assert_eq!(names, ["first", "deep", "point", "deep2", "point2", "response"]);
        let macs = [6 * 3 * 25 * 144, 12 * 9 * 36, 5 * 12 * 36, 5 * 9 * 9, 4 * 5 * 9, 36];
        assert_eq!(cost.layers.iter().map(|l| l.macs).collect::<Vec<_>>(), macs);
        assert_eq!(cost.macs, macs.iter().sum::<u64>());
        let parameters = [6 * 75 + 6, 12 * 9 + 12, 5 * 12 + 5, 5 * 9, 4 * 5 + 4, 36 + 1];
        assert_eq!(cost.layers.iter().map(|l| l.parameters).collect::<Vec<_>>(), parameters);
        let norms = 4 * (6 + 12 + 4);
        assert_eq!(cost.parameters, parameters.iter().sum::<usize>() + norms);
        assert_eq!(cost.filters, 6 + 12 + 5 + 5 + 4 + 1);
        assert_eq!(cost.layers.iter().map(|l| l.kernels).collect::<Vec<_>>(), [6, 12, 0, 5, 0, 0]);
    }

    /// The bytes are those of the file that a model directory gets.
    #[test]
    fn bytes_are_those_of_the_file() {
        let (graph, dir) = (inception(), tempfile::tempdir().unwrap());
        for storage in [Storage::F32, Storage::F16] {
            card::write(&dir.path().join("m"), &graph, &card::About::default(), storage, true).unwrap();
            let file = std::fs::metadata(dir.path().join("m").join(card::WEIGHTS)).unwrap().len();
            assert_eq!(Cost::of(&graph, storage).unwrap().bytes, file);
        }
    }
}
