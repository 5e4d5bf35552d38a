//! Channels that live and die together, as sets that are joined (union-find).

use super::groups::makes_channels;
use crate::network::{FlattenOrder, Graph, NodeId, Op};
use std::collections::BTreeMap;

/// For each node the channels that it passes on; for each axis of each weight the channels that its
/// entries are.
pub(super) struct Ties {
    parent: Vec<usize>,
    fixed: Vec<bool>,
    channels: Vec<Vec<usize>>,
    axes: BTreeMap<(String, usize), Vec<usize>>,
}

/// Whether a convolution keeps channels apart: one input channel a group, and several groups.
pub(super) fn is_depthwise(graph: &Graph, op: &Op) -> bool {
    matches!(op, Op::Conv2d { weight, groups, .. } if *groups > 1 && graph.weight(weight).shape()[1] == 1)
}

impl Ties {
    pub fn of(graph: &Graph) -> Self {
        let mut ties = Self {
            parent: vec![],
            fixed: vec![],
            channels: Vec::with_capacity(graph.nodes().len()),
            axes: BTreeMap::new(),
        };
        for id in 0..graph.nodes().len() {
            let channels = ties.node(graph, id);
            ties.channels.push(channels);
            ties.weights(graph, id);
        }
        ties
    }

    fn fresh(&mut self, n: usize) -> Vec<usize> {
        let start = self.parent.len();
        self.parent.extend(start..start + n);
        self.fixed.resize(start + n, false);
        (start..start + n).collect()
    }

    fn root(&mut self, mut item: usize) -> usize {
        while self.parent[item] != item {
            self.parent[item] = self.parent[self.parent[item]];
            item = self.parent[item];
        }
        item
    }

    fn tie(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        let (low, high) = (a.min(b), a.max(b));
        self.parent[high] = low;
        self.fixed[low] |= self.fixed[high];
    }

    /// The j-th items of all blocks of `size` become one.
    fn tie_blocks(&mut self, items: &[usize], size: usize) {
        for (i, &item) in items.iter().enumerate().skip(size) {
            self.tie(items[i % size], item);
        }
    }

    /// A node's channels, from those of its inputs.
    fn node(&mut self, graph: &Graph, id: NodeId) -> Vec<usize> {
        let node = graph.node(id);
        let input = |ties: &Self, i: usize| ties.channels[node.inputs[i]].clone();
        match &node.op {
            Op::Input => self.fresh(node.shape.channels),
            op if is_depthwise(graph, op) => {
                let channels = input(self, 0);
                let each = node.shape.channels / channels.len();
                channels.into_iter().flat_map(|c| std::iter::repeat_n(c, each)).collect()
            }
            Op::Conv2d { groups, .. } if *groups > 1 => {
                let channels = input(self, 0);
                self.tie_blocks(&channels, channels.len() / groups);
                let out = self.fresh(node.shape.channels);
                self.tie_blocks(&out, out.len() / groups);
                out
            }
            op if makes_channels(op) => self.fresh(node.shape.channels),
            Op::Concat => node.inputs.iter().flat_map(|&i| self.channels[i].clone()).collect(),
            Op::Add => {
                let first = input(self, 0);
                for &other in &node.inputs[1..] {
                    let pairs: Vec<_> = first.iter().copied().zip(self.channels[other].clone()).collect();
                    pairs.into_iter().for_each(|(a, b)| self.tie(a, b));
                }
                first
            }
            Op::Flatten { order } => {
                let (channels, shape) = (input(self, 0), graph.node(node.inputs[0]).shape);
                let positions = shape.height * shape.width;
                match order {
                    FlattenOrder::Chw => channels.into_iter().flat_map(|c| std::iter::repeat_n(c, positions)).collect(),
                    FlattenOrder::Hwc => std::iter::repeat_n(channels, positions).flatten().collect(),
                }
            }
            _ => input(self, 0),
        }
    }

    /// Notes the channels along the axes of a node's weights; weights that are read twice tie them.
    fn weights(&mut self, graph: &Graph, id: NodeId) {
        let node = graph.node(id);
        let out = self.channels[id].clone();
        match &node.op {
            Op::Conv2d { weight, bias, groups, .. } => {
                if !is_depthwise(graph, &node.op) {
                    let inputs = &self.channels[node.inputs[0]];
                    let columns = inputs[..inputs.len() / groups].to_vec();
                    self.axis(weight, 1, columns);
                }
                self.axis(weight, 0, out.clone());
                bias.iter().for_each(|b| self.axis(b, 0, out.clone()));
            }
            Op::Linear { weight, bias } => {
                let columns = self.channels[node.inputs[0]].clone();
                self.axis(weight, 1, columns);
                self.axis(weight, 0, out.clone());
                bias.iter().for_each(|b| self.axis(b, 0, out.clone()));
            }
            op => op.weights().into_iter().for_each(|name| self.axis(name, 0, out.clone())),
        }
    }

    fn axis(&mut self, weight: &str, axis: usize, channels: Vec<usize>) {
        match self.axes.get(&(weight.to_owned(), axis)).cloned() {
            Some(known) => known.into_iter().zip(channels).for_each(|(a, b)| self.tie(a, b)),
            None => drop(self.axes.insert((weight.to_owned(), axis), channels)),
        }
    }

    /// A node's channels stay.
    pub fn fix(&mut self, node: NodeId) {
        for root in self.roots(node) {
            self.fixed[root] = true;
        }
    }

    /// Whether all channels of a node stay.
    pub fn is_fixed(&mut self, node: NodeId) -> bool {
        self.roots(node).into_iter().all(|root| self.fixed[root])
    }

    pub fn root_is_fixed(&self, root: usize) -> bool {
        self.fixed[root]
    }

    /// What each channel of a node is tied to.
    pub fn roots(&mut self, node: NodeId) -> Vec<usize> {
        (0..self.channels[node].len()).map(|at| self.root_of(node, at)).collect()
    }

    pub fn root_of(&mut self, node: NodeId, at: usize) -> usize {
        self.root(self.channels[node][at])
    }

    /// What each entry of each axis of the weights is tied to.
    pub fn axes(&mut self) -> impl Iterator<Item = ((String, usize), Vec<usize>)> {
        let axes = std::mem::take(&mut self.axes);
        let found: Vec<_> =
            axes.into_iter().map(|(axis, items)| (axis, items.into_iter().map(|i| self.root(i)).collect())).collect();
        found.into_iter()
    }
}
