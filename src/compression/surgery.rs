//! Channels removed from a network: a physically smaller one, and the same size with zeros.
//!
//! [`remove`] cuts the channels out of every weight that has an entry for them. What is left
//! computes what [`masked`] computes, the network of the old size in which every operation that
//! mixes channels reads 0 in their place (see [`mod@super::reads`]: behind batch norm and activation,
//! not before). The two differ only in how floating-point sums are ordered.
//!
//! **Local response normalisation** divides each channel by its neighbours in the order of
//! channels. When a channel leaves, those on either side of it become neighbours: what remains next
//! to it changes, and in another way than zeros in its place would have changed it. [`remove`] keeps
//! the operation as it is, over the channels that are left, which is what any smaller network of
//! this kind does, and [`masked`] says so: there a normalisation gathers the channels that stay,
//! normalises those, and puts them back between zeros. (With a third of the filters of GoogLeNet's
//! first layer gone, class scores with plain zeros were 0.27 of the largest score away from those
//! after removal, which itself moved them by 0.56; in its third layer 0.015 and 0.21.) [`Group::normalisations`](super::Group) names
//! the layers concerned.

use super::groups::{Groups, Place};
use crate::error::{Error, Result};
use crate::network::{Graph, GraphBuilder, NodeId, Op, Weights};
use ndarray::{ArrayD, Axis, IxDyn};
use std::collections::{BTreeMap, BTreeSet};

/// Channels to be removed: by the name of the group, channels of the group, counted in the network
/// that the groups are of.
pub type Removed = BTreeMap<String, BTreeSet<usize>>;

/// How many channels a layer keeps at least, unless more are asked for.
pub const MINIMUM: usize = 1;

/// What stays, worked out for a list of removals.
struct Cut<'a> {
    graph: &'a Graph,
    groups: &'a Groups,
    gone: Vec<BTreeSet<usize>>,
}

impl<'a> Cut<'a> {
    fn new(graph: &'a Graph, groups: &'a Groups, removed: &Removed) -> Result<Self> {
        let gone = groups.gone(removed)?;
        Ok(Self { graph, groups, gone })
    }

    fn stays(&self, place: &Option<Place>) -> bool {
        place.is_none_or(|p| !self.gone[p.group].contains(&p.channel))
    }

    /// The entries that stay of places.
    fn kept(&self, places: &[Option<Place>]) -> Vec<usize> {
        (0..places.len()).filter(|&i| self.stays(&places[i])).collect()
    }

    fn kept_of(&self, node: NodeId) -> Vec<usize> {
        self.kept(self.groups.places(node))
    }

    /// Refuses layers that would keep fewer than `minimum` of their channels.
    fn check(&self, minimum: usize) -> Result<()> {
        for group in self.groups.all() {
            for &layer in &group.layers {
                let (kept, had) = (self.kept_of(layer).len(), self.graph.node(layer).shape.channels);
                if kept < minimum.max(MINIMUM).min(had) {
                    return Err(Error::invalid(
                        format!("node `{}` ({})", self.graph.node(layer).name, self.graph.node(layer).op.kind()),
                        format!("at least {} of its {had} channels left", minimum.max(MINIMUM)),
                        format!("{kept}"),
                        "remove fewer channels of this layer, or lower the least number that a layer keeps",
                    ));
                }
            }
        }
        Ok(())
    }

    /// A weight without what goes, along every axis of channels.
    fn weight(&self, name: &str) -> ArrayD<f32> {
        let mut array = self.graph.weight(name).clone();
        for axis in 0..array.ndim() {
            if let Some(places) = self.groups.axis(name, axis) {
                let kept = self.kept(places);
                if kept.len() < places.len() {
                    array = array.select(Axis(axis), &kept);
                }
            }
        }
        array
    }

    fn weights(&self) -> Weights {
        let used: BTreeSet<&str> = self.graph.nodes().iter().flat_map(|n| n.op.weights()).collect();
        used.into_iter().map(|name| (name.to_owned(), self.weight(name))).collect()
    }
}

/// The graph without some channels: smaller weights, the same nodes under the same names.
///
/// `minimum` channels of each layer stay (at least [`MINIMUM`]).
///
/// # Errors
/// [`Error::Invalid`] for groups or channels that do not exist, and naming the layer that would be
/// left with fewer channels than `minimum`.
///
/// # Example
/// ```
/// use orthoscope::compression::{Groups, Removed, remove};
/// use orthoscope::network::zoo::{LoadOptions, load_model};
///
/// let graph = load_model("mini-inception", &LoadOptions::default())?.graph;
/// let groups = Groups::of(&graph, &[])?;
/// let removed = Removed::from([("inception_3a/3x3_reduce".into(), [0, 5].into())]);
/// let smaller = remove(&graph, &groups, &removed, 1)?;
///
/// let shape = |g: &orthoscope::network::Graph, w: &str| g.weight(w).shape().to_vec();
/// let (before, after) = ("inception_3a/3x3_reduce.weight", "inception_3a/3x3.weight");
/// assert_eq!(shape(&smaller, before)[0], shape(&graph, before)[0] - 2); // two filters fewer
/// assert_eq!(shape(&smaller, after)[1], shape(&graph, after)[1] - 2); // two inputs fewer
/// assert_eq!(smaller.nodes().len(), graph.nodes().len());
/// # Ok::<(), orthoscope::Error>(())
/// ```
pub fn remove(graph: &Graph, groups: &Groups, removed: &Removed, minimum: usize) -> Result<Graph> {
    let cut = Cut::new(graph, groups, removed)?;
    cut.check(minimum)?;
    let mut builder = GraphBuilder::new(&graph.name, graph.input.clone(), cut.weights())?;
    for (id, node) in graph.nodes().iter().enumerate().skip(1) {
        let mut op = node.op.clone();
        if cut.groups.keeps_apart(id)
            && let Op::Conv2d { groups, .. } = &mut op
        {
            *groups = cut.kept_of(node.inputs[0]).len();
        }
        builder.push(&node.name, op, &node.inputs)?;
    }
    named_as(builder, graph)
}

/// The graph with zeros in the place of some channels, wherever an operation that mixes channels
/// reads them: of the old size, with nodes `NAME.masked` between. What [`remove`] computes, for
/// checks and for studies of single channels.
///
/// # Errors
/// [`Error::Invalid`] for groups or channels that do not exist, and where all channels that a
/// normalisation reads would go.
///
/// # Example
/// ```
/// use orthoscope::compression::{Groups, Removed, masked};
/// use orthoscope::network::zoo::{LoadOptions, load_model};
///
/// let graph = load_model("mini-inception", &LoadOptions::default())?.graph;
/// let groups = Groups::of(&graph, &[])?;
/// let removed = Removed::from([("inception_3a/3x3_reduce".into(), [0, 5].into())]);
/// let zeroed = masked(&graph, &groups, &removed)?;
/// assert_eq!(zeroed.weight("inception_3a/3x3_reduce.masked.scale").iter().filter(|v| **v == 0.0).count(), 2);
/// # Ok::<(), orthoscope::Error>(())
/// ```
pub fn masked(graph: &Graph, groups: &Groups, removed: &Removed) -> Result<Graph> {
    let cut = Cut::new(graph, groups, removed)?;
    let mut builder = GraphBuilder::new(&graph.name, graph.input.clone(), graph.weights().clone())?;
    let mut moved: Vec<NodeId> = vec![0];
    let mut masks: BTreeMap<NodeId, NodeId> = BTreeMap::new();
    for (id, node) in graph.nodes().iter().enumerate().skip(1) {
        let touched = |i: NodeId| cut.kept_of(i).len() < graph.node(i).shape.channels;
        let made = match node.op {
            Op::Lrn { .. } if touched(node.inputs[0]) => {
                let kept = cut.kept_of(node.inputs[0]);
                between(&mut builder, graph, node, moved[node.inputs[0]], &kept)?
            }
            _ => {
                let mut inputs: Vec<NodeId> = node.inputs.iter().map(|&i| moved[i]).collect();
                for (slot, &i) in inputs.iter_mut().zip(&node.inputs) {
                    if groups.mixes(graph, id) && touched(i) {
                        *slot = match masks.get(&i) {
                            Some(&mask) => mask,
                            None => mask(&mut builder, graph, i, *slot, &cut.kept_of(i))?,
                        };
                        masks.insert(i, *slot);
                    }
                }
                builder.push(&node.name, node.op.clone(), &inputs)?
            }
        };
        moved.push(made);
    }
    named_as(builder, graph)
}

/// Zeros in the channels of a node that are not kept.
fn mask(builder: &mut GraphBuilder, graph: &Graph, node: NodeId, at: NodeId, kept: &[usize]) -> Result<NodeId> {
    let (n, name) = (graph.node(node).shape.channels, format!("{}.masked", graph.node(node).name));
    let mut scale = ArrayD::zeros(IxDyn(&[n]));
    kept.iter().for_each(|&c| scale[c] = 1.0);
    let (scale_name, shift_name) = (format!("{name}.scale"), format!("{name}.shift"));
    builder.add_weight(&scale_name, scale);
    builder.add_weight(&shift_name, ArrayD::zeros(IxDyn(&[n])));
    builder.push(name, Op::ChannelAffine { scale: scale_name, shift: shift_name }, &[at])
}

/// A normalisation of the channels that are kept, and zeros between them.
fn between(
    builder: &mut GraphBuilder,
    graph: &Graph,
    node: &crate::network::Node,
    at: NodeId,
    kept: &[usize],
) -> Result<NodeId> {
    let n = graph.node(node.inputs[0]).shape.channels;
    let mut gather = ArrayD::zeros(IxDyn(&[kept.len(), n, 1, 1]));
    kept.iter().enumerate().for_each(|(i, &c)| gather[[i, c, 0, 0]] = 1.0);
    let scatter = gather.clone().permuted_axes(IxDyn(&[1, 0, 2, 3])).as_standard_layout().into_owned();
    let name = |part: &str| format!("{}.{part}", node.name);
    let pointwise = |builder: &mut GraphBuilder, own: String, weight: String, array, at| {
        builder.add_weight(&weight, array);
        let op = Op::Conv2d { weight, bias: None, stride: [1, 1], padding: [0; 4], dilation: [1, 1], groups: 1 };
        builder.push(own, op, &[at])
    };
    let gathered = pointwise(builder, name("gathered"), name("gathered.weight"), gather, at)?;
    let normalised = builder.push(name("normalised"), node.op.clone(), &[gathered])?;
    pointwise(builder, node.name.clone(), name("scattered.weight"), scatter, normalised)
}

/// The finished graph under the aliases and presets of another.
fn named_as(mut builder: GraphBuilder, graph: &Graph) -> Result<Graph> {
    graph.aliases.iter().for_each(|(alias, name)| builder.alias(alias, name));
    graph.presets.iter().for_each(|(preset, taps)| builder.preset(preset, taps.clone()));
    builder.finish()
}

#[cfg(test)]
#[path = "surgery_tests.rs"]
mod tests;
