//! Which channels go together: coupled channels, and the parameters that they are.
//!
//! A channel cannot leave a network by itself. A batch norm has a gain for it, a depthwise kernel
//! reads it, a concatenation moves it, a flattening spreads it over many features, a sum adds it to
//! the same channel of another layer, and the weights of whoever reads it have a column for it. All
//! of that is worked out here once: every channel of every tensor is tied to those that must live
//! and die with it, and every axis of every weight knows which channel each of its entries is.
//!
//! | operation | its output channels |
//! |---|---|
//! | convolution, linear layer | new ones |
//! | convolution in groups | new ones; the j-th inputs of all groups are one, and so are the j-th outputs |
//! | depthwise convolution | those of the input channel, which goes with its whole group |
//! | batch norm, affine, activations, pools, LRN, padding | those of the input |
//! | concatenation | those of the inputs, one after the other |
//! | sum | those of the inputs, which become one, channel by channel |
//! | flattening | each channel's at all its positions, in either order |
//! | image; what nobody reads; what the caller keeps | never removed |
//!
//! Two nodes that read one weight tie its axes. A softmax mixes what it passes on: one whose
//! channels could be removed is an error.

use super::surgery::Removed;
use super::ties::{Ties, is_depthwise};
use crate::error::{Error, Result};
use crate::network::{Graph, NodeId, Op};
use std::collections::{BTreeMap, BTreeSet};

/// A removable channel: group, and channel of the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub group: usize,
    pub channel: usize,
}

/// Coupled layers: each of their channels can be removed from all of them at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Of the first layer that makes its channels.
    pub name: String,
    /// The convolutions and linear layers that make its channels, in execution order.
    pub layers: Vec<NodeId>,
    /// For each channel, the output channels that it is: layer and number. In the order of the
    /// first layer's channels; more than one layer where outputs are added up, more than one
    /// channel of a layer where it works in groups.
    pub channels: Vec<Vec<(NodeId, usize)>>,
    /// Local response normalisations that its channels pass through; see [`super::surgery`].
    pub normalisations: Vec<NodeId>,
}

impl Group {
    /// How many channels can be removed.
    pub fn width(&self) -> usize {
        self.channels.len()
    }
}

/// All groups of a graph, and where their channels are.
///
/// # Example
/// ```
/// use orthoscope::compression::Groups;
/// use orthoscope::network::zoo::{LoadOptions, load_model};
///
/// let graph = load_model("mini-inception", &LoadOptions::default())?.graph;
/// let groups = Groups::of(&graph, &[])?;
/// let reduce = groups.named("inception_3a/3x3_reduce")?;
/// assert_eq!(groups.group(reduce).layers, [graph.tap("inception_3a/3x3_reduce.pre_relu")?]);
/// // Who reads a channel has a column for it: axis 1 of the next layer's weight.
/// let columns = groups.axis("inception_3a/3x3.weight", 1).unwrap();
/// assert!(columns.iter().enumerate().all(|(i, p)| p.is_some_and(|p| p.group == reduce && p.channel == i)));
/// // The classes stay.
/// assert!(groups.named("loss3/classifier").is_err());
/// # Ok::<(), orthoscope::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Groups {
    groups: Vec<Group>,
    /// For each node, each channel's place.
    places: Vec<Vec<Option<Place>>>,
    /// Depthwise convolutions: they keep channels apart, however few are left.
    apart: Vec<bool>,
    /// For each axis of each weight that has channels, the place of each entry.
    axes: BTreeMap<(String, usize), Vec<Option<Place>>>,
}

impl Groups {
    /// Works out the groups of a graph. Channels of the image, of tensors that nobody reads (the
    /// output) and of `keep` are never removed.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the node and its operator where channels could be removed but
    /// would change others: a softmax that is not of the output.
    pub fn of(graph: &Graph, keep: &[NodeId]) -> Result<Self> {
        let mut ties = Ties::of(graph);
        let mut read = vec![false; graph.nodes().len()];
        graph.nodes().iter().flat_map(|n| &n.inputs).for_each(|&i| read[i] = true);
        let unread = (0..read.len()).filter(|&id| !read[id]);
        for id in unread.chain(keep.iter().copied()).chain([0]) {
            ties.fix(id);
        }
        for (id, node) in graph.nodes().iter().enumerate() {
            if matches!(node.op, Op::Softmax) && !ties.is_fixed(id) {
                return Err(Error::invalid(
                    format!("node `{}` ({})", node.name, node.op.kind()),
                    "operations that leave each channel to itself, or mix only channels that stay",
                    "a softmax of channels that could be removed, read by other nodes",
                    "keep the tensor before it, or prune a part of the network without it",
                ));
            }
        }
        let groups = collect(graph, &mut ties);
        let mut of_root = BTreeMap::new();
        for (g, group) in groups.iter().enumerate() {
            for (channel, outputs) in group.channels.iter().enumerate() {
                let (node, at) = outputs[0];
                of_root.insert(ties.root_of(node, at), Place { group: g, channel });
            }
        }
        let places = (0..graph.nodes().len())
            .map(|id| ties.roots(id).into_iter().map(|root| of_root.get(&root).copied()).collect())
            .collect();
        let axes = ties.axes().map(|(axis, roots)| (axis, roots.iter().map(|r| of_root.get(r).copied()).collect()));
        let apart = graph.nodes().iter().map(|n| is_depthwise(graph, &n.op)).collect();
        Ok(Self { axes: axes.collect(), groups, places, apart })
    }

    /// The groups of what [`super::remove`] leaves: their channels renumbered, groups without any
    /// dropped.
    ///
    /// Asking the smaller graph would do, but for a depthwise convolution of which one channel is
    /// left: by itself it looks like one that mixes channels.
    ///
    /// # Errors
    /// [`Error::Invalid`] for groups or channels that do not exist.
    pub fn without(&self, removed: &Removed) -> Result<Self> {
        let gone = self.gone(removed)?;
        let kept = |p: &Option<Place>| p.is_none_or(|p| !gone[p.group].contains(&p.channel));
        let mut moved: BTreeMap<Place, Place> = BTreeMap::new();
        let mut groups: Vec<Group> = Vec::new();
        for (g, group) in self.groups.iter().enumerate() {
            let left: Vec<usize> = (0..group.width()).filter(|c| !gone[g].contains(c)).collect();
            if left.is_empty() {
                continue;
            }
            let (at, places) = (groups.len(), left.iter().map(|&channel| Place { group: g, channel }));
            moved.extend(places.enumerate().map(|(channel, place)| (place, Place { group: at, channel })));
            let number =
                |&(layer, at): &(NodeId, usize)| (layer, self.places[layer][..at].iter().filter(|p| kept(p)).count());
            let channels = left.iter().map(|&c| group.channels[c].iter().map(number).collect()).collect();
            groups.push(Group { channels, ..group.clone() });
        }
        let renumbered = |places: &Vec<Option<Place>>| -> Vec<Option<Place>> {
            places.iter().filter(|p| kept(p)).map(|p| p.map(|p| moved[&p])).collect()
        };
        Ok(Self {
            groups,
            places: self.places.iter().map(renumbered).collect(),
            apart: self.apart.clone(),
            axes: self.axes.iter().map(|(axis, places)| (axis.clone(), renumbered(places))).collect(),
        })
    }

    /// The removed channels of each group.
    pub(super) fn gone(&self, removed: &Removed) -> Result<Vec<BTreeSet<usize>>> {
        let mut gone = vec![BTreeSet::new(); self.groups.len()];
        for (name, channels) in removed {
            let group = self.named(name)?;
            let width = self.groups[group].width();
            if let Some(beyond) = channels.iter().find(|&&c| c >= width) {
                let expected = format!("channels 0 to {} of `{name}`", width - 1);
                return Err(Error::invalid("channels to remove", expected, beyond.to_string(), "they count from 0"));
            }
            gone[group].extend(channels);
        }
        Ok(gone)
    }

    /// Whether a node is a depthwise convolution: it makes each output channel of one input
    /// channel, which they go with.
    pub fn keeps_apart(&self, node: NodeId) -> bool {
        self.apart[node]
    }

    /// Whether a node makes each output channel of several input channels.
    pub(super) fn mixes(&self, graph: &Graph, node: NodeId) -> bool {
        match graph.node(node).op {
            Op::Conv2d { .. } => !self.apart[node],
            Op::Linear { .. } | Op::Lrn { .. } | Op::Softmax => true,
            _ => false,
        }
    }

    /// All groups, in execution order of their first layers.
    pub fn all(&self) -> &[Group] {
        &self.groups
    }

    /// One of them.
    pub fn group(&self, index: usize) -> &Group {
        &self.groups[index]
    }

    /// The group of a layer that makes its channels, or of the name after its activation where the
    /// layer itself is called `NAME.pre_relu`.
    ///
    /// # Errors
    /// [`Error::Invalid`] listing some groups.
    pub fn named(&self, name: &str) -> Result<usize> {
        let plain = |n: &str| n == name || n.strip_suffix(".pre_relu") == Some(name);
        self.groups.iter().position(|g| plain(&g.name)).ok_or_else(|| {
            let some: Vec<&str> = self.groups.iter().take(6).map(|g| g.name.as_str()).collect();
            let expected = format!("a layer whose channels can be removed ({}, ...)", some.join(", "));
            let hint = "layers that share their channels go by the name of the first; the output's are never removed";
            Error::invalid("groups of channels", expected, format!("`{name}`"), hint)
        })
    }

    /// The places of a node's channels; `None` for those that stay.
    pub fn places(&self, node: NodeId) -> &[Option<Place>] {
        &self.places[node]
    }

    /// The places of the entries along an axis of a weight, or `None` where the axis is not one of
    /// channels. For a convolution in groups, axis 1 are the inputs of its first group.
    pub fn axis(&self, weight: &str, axis: usize) -> Option<&[Option<Place>]> {
        self.axes.get(&(weight.to_owned(), axis)).map(Vec::as_slice)
    }

    /// The axes of weights that have entries of a group: weight, axis, and how many entries.
    pub fn parameters(&self, group: usize) -> Vec<(&str, usize, usize)> {
        let of_group = |places: &[Option<Place>]| places.iter().flatten().filter(|p| p.group == group).count();
        let axes = self.axes.iter().map(|((weight, axis), places)| (weight.as_str(), *axis, of_group(places)));
        axes.filter(|(_, _, n)| *n > 0).collect()
    }
}

/// The numbers of all groups' channels, before any are removed.
pub fn originals(groups: &Groups) -> Vec<Vec<usize>> {
    groups.all().iter().map(|g| (0..g.width()).collect()).collect()
}

/// Layers whose outputs are tied, with the channels that may go.
fn collect(graph: &Graph, ties: &mut Ties) -> Vec<Group> {
    let layers: Vec<NodeId> = (0..graph.nodes().len()).filter(|&id| makes_channels(&graph.node(id).op)).collect();
    let mut outputs: BTreeMap<usize, Vec<(NodeId, usize)>> = BTreeMap::new();
    for &layer in &layers {
        for (at, root) in ties.roots(layer).into_iter().enumerate() {
            outputs.entry(root).or_default().push((layer, at));
        }
    }
    let first = leaders(&layers, outputs.values());
    let mut groups: BTreeMap<NodeId, Group> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for &layer in &layers {
        let name = || graph.node(first[&layer]).name.clone();
        let empty = || Group { name: name(), layers: vec![], channels: vec![], normalisations: vec![] };
        let group = groups.entry(first[&layer]).or_insert_with(empty);
        group.layers.push(layer);
        for root in ties.roots(layer) {
            if !ties.root_is_fixed(root) && seen.insert(root) {
                group.channels.push(outputs[&root].clone());
            }
        }
    }
    let mut groups: Vec<Group> = groups.into_values().filter(|g| !g.channels.is_empty()).collect();
    for (id, _) in graph.nodes().iter().enumerate().filter(|(_, n)| matches!(n.op, Op::Lrn { .. })) {
        let through: BTreeSet<usize> = ties.roots(id).into_iter().collect();
        for group in &mut groups {
            if group.channels.iter().any(|c| through.contains(&ties.root_of(c[0].0, c[0].1))) {
                group.normalisations.push(id);
            }
        }
    }
    groups
}

/// For each layer the first of those that it shares channels with, directly or through others.
fn leaders<'a>(layers: &[NodeId], shared: impl Iterator<Item = &'a Vec<(NodeId, usize)>>) -> BTreeMap<NodeId, NodeId> {
    let mut before: BTreeMap<NodeId, NodeId> = layers.iter().map(|&l| (l, l)).collect();
    let lead = |before: &BTreeMap<NodeId, NodeId>, mut layer: NodeId| {
        while before[&layer] != layer {
            layer = before[&layer];
        }
        layer
    };
    for tied in shared {
        for &(layer, _) in tied {
            let (a, b) = (lead(&before, tied[0].0), lead(&before, layer));
            before.insert(a.max(b), a.min(b));
        }
    }
    layers.iter().map(|&l| (l, lead(&before, l))).collect()
}

/// Whether an operation's outputs are channels of its own.
pub(super) fn makes_channels(op: &Op) -> bool {
    matches!(op, Op::Conv2d { .. } | Op::Linear { .. })
}

#[cfg(test)]
#[path = "groups_tests.rs"]
mod tests;
