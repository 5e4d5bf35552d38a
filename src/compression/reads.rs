//! Where the channels of a group are read, and what "without a channel" means there.
//!
//! A channel that is removed counts as 0 for whoever *mixes* channels: a convolution (but a
//! depthwise one), a linear layer, a local response normalisation, and a tap. What only passes
//! channels on does not count: behind a batch norm, a bias or a sigmoid a channel of zeros is no
//! longer zero, so it is the tensor that the mixing operation reads, after batch norm and
//! activation, where the channel must be 0. Where it is 0 already, because an operation that leaves
//! zeros alone (ReLU, pools, LRN, ...) passed it on from a place where it was set to 0, nothing is
//! to be done a second time.

use super::groups::{Groups, Place};
use crate::network::{Graph, NodeId, Op};

/// A tensor that carries channels of a group to operations that mix channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// Whose output it is.
    pub node: NodeId,
    /// The nodes that read it and mix its channels.
    pub readers: Vec<NodeId>,
    /// Whether it is one of the taps that were asked for.
    pub tapped: bool,
    /// Its channels that belong to the group: number, and channel of the group.
    pub channels: Vec<(usize, usize)>,
}

/// Whether an operation makes zeros of a channel of zeros.
fn keeps_zeros(op: &Op) -> bool {
    match op {
        // Only depthwise ones are asked.
        Op::Conv2d { bias, .. } => bias.is_none(),
        Op::Input | Op::Linear { .. } | Op::BatchNorm { .. } | Op::ChannelAffine { .. } => false,
        Op::Sigmoid | Op::Softmax => false,
        Op::Relu | Op::LeakyRelu { .. } | Op::Tanh | Op::Identity | Op::Pad { .. } => true,
        Op::MaxPool { .. } | Op::AvgPool { .. } | Op::GlobalAvgPool => true,
        Op::Lrn { .. } | Op::Concat | Op::Add | Op::Flatten { .. } => true,
    }
}

/// Where the channels of a group are read by operations that mix channels, or by `taps`, in
/// execution order.
///
/// # Example
/// ```
/// use orthoscope::compression::{Groups, reads};
/// use orthoscope::network::zoo::{LoadOptions, load_model};
///
/// let graph = load_model("mini-inception", &LoadOptions::default())?.graph;
/// let groups = Groups::of(&graph, &[])?;
/// let found = reads(&graph, &groups, groups.named("inception_3a/1x1")?, &[]);
/// // Behind the concatenation, by the four convolutions of the next block (one of them behind a pool).
/// assert_eq!(graph.node(found[0].node).name, "inception_3a/output");
/// assert_eq!((found.len(), found[0].readers.len()), (2, 3));
/// # Ok::<(), orthoscope::Error>(())
/// ```
pub fn reads(graph: &Graph, groups: &Groups, group: usize, taps: &[NodeId]) -> Vec<Read> {
    let of_group = |p: &Option<Place>| p.filter(|p| p.group == group).map(|p| p.channel);
    let carries: Vec<bool> =
        (0..graph.nodes().len()).map(|id| groups.places(id).iter().any(|p| of_group(p).is_some())).collect();
    // Channels of the group are zeros at a node by what was done before it.
    let mut zeros = vec![false; carries.len()];
    for (id, node) in graph.nodes().iter().enumerate().filter(|(id, _)| carries[*id]) {
        let makes = groups.mixes(graph, id) && !matches!(node.op, Op::Lrn { .. });
        let mut from = node.inputs.iter().filter(|&&i| carries[i]);
        // A normalisation reads zeros in any case: it mixes.
        zeros[id] = !makes && keeps_zeros(&node.op) && from.all(|&i| zeros[i] || matches!(node.op, Op::Lrn { .. }));
    }
    let mut found: Vec<Read> = Vec::new();
    for id in (0..carries.len()).filter(|&id| carries[id] && !zeros[id]) {
        let reads = |r: &NodeId| graph.node(*r).inputs.contains(&id) && groups.mixes(graph, *r);
        let readers: Vec<NodeId> = (0..carries.len()).filter(reads).collect();
        let tapped = taps.contains(&id);
        if tapped || !readers.is_empty() {
            let places = groups.places(id).iter().enumerate();
            let channels = places.filter_map(|(at, p)| of_group(p).map(|channel| (at, channel))).collect();
            found.push(Read { node: id, readers, tapped, channels });
        }
    }
    found
}
