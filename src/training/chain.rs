//! Graphs that are a chain of layers on the image, trained by `crates/kernels` in one piece.
//!
//! A chain is a convolution, separable convolutions (a kernel for each channel, then 1 x 1), each
//! with batch norm (of the batch's own moments) and ReLU behind it, and a readout: a linear layer
//! of the flattened activations, or a 1 x 1 convolution and a kernel as large as the map for each
//! of its channels. A bias before a batch's own norm changes nothing behind it: its gradient is
//! zero.

use super::forward::{BatchMoments, Normalisation};
use super::fused::Moments;
use crate::network::op::{FlattenOrder, Padding};
use crate::network::{ChannelOrder, Graph, InputSpec, Node, NodeId, Op};
use orthoscope_kernels::train::{self, Kernels, Kind, Layer, LayerWeights, Readout, ReadoutWeights, Weights, Window};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Names of a layer's weights.
struct LayerNames {
    kernel: String,
    point: Option<String>,
    /// Before the norm.
    bias: Option<String>,
    scale: String,
    shift: String,
    moments: [String; 2],
}

/// Names of a readout's weights.
struct ReadoutNames {
    weight: String,
    bias: Option<String>,
    pool: Option<String>,
    pool_bias: Option<String>,
}

/// A chain, and the names of its weights.
pub(super) struct Chain {
    chain: train::Chain,
    layers: Vec<LayerNames>,
    readout: ReadoutNames,
    input: InputSpec,
}

/// Nodes that read each other one by one.
struct Cursor<'a> {
    graph: &'a Graph,
    nodes: Vec<NodeId>,
    next: usize,
}

impl<'a> Cursor<'a> {
    /// The nodes that one output needs, when none of them reads or is read by two.
    fn of(graph: &'a Graph, outputs: &[NodeId]) -> Option<Self> {
        let [output] = outputs else { return None };
        let needed = graph.needed(&[*output]);
        let nodes: Vec<NodeId> = (0..=*output).filter(|&id| needed[id]).collect();
        let follows = |pair: &[NodeId]| graph.node(pair[1]).inputs == [pair[0]];
        (nodes.first() == Some(&0) && nodes.windows(2).all(follows)).then_some(Self { graph, nodes, next: 1 })
    }

    fn left(&self) -> usize {
        self.nodes.len() - self.next
    }

    /// The next node and what it reads, when `wanted` says something of it.
    fn take<T>(&mut self, wanted: impl FnOnce(&'a Node, &'a Node) -> Option<T>) -> Option<T> {
        let (&id, &before) = (self.nodes.get(self.next)?, self.nodes.get(self.next - 1)?);
        let found = wanted(self.graph.node(id), self.graph.node(before))?;
        self.next += 1;
        Some(found)
    }
}

/// A convolution without dilation: its weight, bias, window and groups.
fn conv<'a>(graph: &Graph, node: &'a Node) -> Option<(&'a String, Option<&'a String>, Window, usize)> {
    let Op::Conv2d { weight, bias, stride, padding, dilation: [1, 1], groups } = &node.op else { return None };
    let kernel = &graph.weight(weight).shape()[2..];
    let square = kernel[0] == kernel[1] && stride[0] == stride[1];
    let window = Window { kernel: kernel[0], stride: stride[0], padding: *padding };
    square.then_some((weight, bias.as_ref(), window, *groups))
}

const NO_PADDING: Padding = [0; 4];

/// A convolution of all channels with a window of one pixel.
fn pointwise<'a>(graph: &Graph, node: &'a Node) -> Option<(&'a String, Option<&'a String>)> {
    let (weight, bias, window, groups) = conv(graph, node)?;
    let plain = Window { kernel: 1, stride: 1, padding: NO_PADDING };
    (groups == 1 && window == plain).then_some((weight, bias))
}

/// Channels, and rows and columns, of two nodes.
fn sizes(from: &Node, to: &Node) -> ([usize; 2], [[usize; 2]; 2]) {
    let size = |n: &Node| [n.shape.height, n.shape.width];
    ([from.shape.channels, to.shape.channels], [size(from), size(to)])
}

fn layer(cursor: &mut Cursor<'_>) -> Option<(Layer, LayerNames)> {
    let graph = cursor.graph;
    let first = cursor.next == 1;
    let (kernel, mut bias, window, [n_in, mut n_out], size) = cursor.take(|node, before| {
        let (weight, bias, window, groups) = conv(graph, node)?;
        let (channels, size) = sizes(before, node);
        let right = if first { groups == 1 } else { groups == channels[0] && channels[0] == channels[1] };
        // The kernel of a channel has no bias of its own in a separable convolution.
        (right && (first || bias.is_none())).then(|| (weight.clone(), bias.cloned(), window, channels, size))
    })?;
    let mut point = None;
    if !first {
        let (weight, own, channels) = cursor.take(|node, _| {
            let (weight, bias) = pointwise(graph, node)?;
            Some((weight.clone(), bias.cloned(), node.shape.channels))
        })?;
        (point, bias, n_out) = (Some(weight), own, channels);
    }
    let (scale, shift, moments, epsilon) = cursor.take(|node, _| match &node.op {
        Op::BatchNorm { scale: Some(scale), shift: Some(shift), mean, var, epsilon } => {
            Some((scale.clone(), shift.clone(), [mean.clone(), var.clone()], *epsilon))
        }
        _ => None,
    })?;
    cursor.take(|node, _| (node.op == Op::Relu).then_some(()))?;
    let kind = if first { Kind::Dense } else { Kind::Separable };
    let layer = Layer { kind, channels: [n_in, n_out], size, window, epsilon };
    Some((layer, LayerNames { kernel, point, bias, scale, shift, moments }))
}

fn readout(cursor: &mut Cursor<'_>) -> Option<(Readout, ReadoutNames)> {
    let graph = cursor.graph;
    let flat = cursor.take(|node, _| match &node.op {
        Op::Flatten { order } => Some(*order == FlattenOrder::Chw),
        _ => None,
    });
    if let Some(channels_first) = flat {
        return cursor.take(|node, _| {
            let Op::Linear { weight, bias } = &node.op else { return None };
            let readout = Readout::Linear { n_outputs: node.shape.channels, channels_first };
            let names = ReadoutNames { weight: weight.clone(), bias: bias.clone(), pool: None, pool_bias: None };
            Some((readout, names))
        });
    }
    let (weight, bias) = cursor.take(|node, _| pointwise(graph, node).map(|(w, b)| (w.clone(), b.cloned())))?;
    cursor.take(|node, before| {
        let (pool, pool_bias, window, groups) = conv(graph, node)?;
        let (channels, [from, to]) = sizes(before, node);
        let whole = from == [window.kernel; 2] && to == [1, 1] && window.padding == NO_PADDING;
        let names = ReadoutNames { weight, bias, pool: Some(pool.clone()), pool_bias: pool_bias.cloned() };
        let readout = Readout::Factorised { n_outputs: channels[1] };
        (whole && groups == channels[0] && channels[0] == channels[1]).then_some((readout, names))
    })
}

impl Chain {
    /// The graph as a chain, where it is one.
    pub fn of(graph: &Graph, outputs: &[NodeId], normalisation: Normalisation) -> Option<Self> {
        if !matches!(normalisation, Normalisation::Batch { .. }) {
            return None;
        }
        let mut cursor = Cursor::of(graph, outputs)?;
        let (mut layers, mut names) = (vec![], vec![]);
        let readout = loop {
            let before = cursor.next;
            if let Some((layer, own)) = layer(&mut cursor) {
                layers.push(layer);
                names.push(own);
                continue;
            }
            cursor.next = before;
            break readout(&mut cursor)?;
        };
        if layers.is_empty() || cursor.left() > 0 {
            return None;
        }
        let chain = train::Chain::new(layers, readout.0, Kernels::chosen().ok()?);
        Some(Self { chain, layers: names, readout: readout.1, input: graph.input.clone() })
    }

    /// Outputs (images x outputs) of displayed images (n x 3 x height x width in [0, 1], as
    /// numbers), and the batch's moments, for weights by their names.
    pub fn forward<'a>(&mut self, images: &[f32], weight: &dyn Fn(&str) -> &'a [f32]) -> (Vec<f32>, Vec<BatchMoments>) {
        let none: &[f32] = &[];
        let maybe = |name: &Option<String>| name.as_deref().map_or(none, weight);
        let layer = |names: &LayerNames| LayerWeights {
            kernel: weight(&names.kernel),
            point: maybe(&names.point),
            gain: weight(&names.scale),
            shift: weight(&names.shift),
        };
        let weights = Weights {
            layers: self.layers.iter().map(layer).collect(),
            readout: ReadoutWeights {
                weight: weight(&self.readout.weight),
                bias: maybe(&self.readout.bias),
                pool: maybe(&self.readout.pool),
                pool_bias: maybe(&self.readout.pool_bias),
            },
        };
        let outputs = self.chain.forward(&prepared(images, &self.input), &weights);
        let moments = self.layers.iter().enumerate().map(|(i, names)| {
            let [mut mean, var] = self.chain.moments(i);
            mean.iter_mut().zip(maybe(&names.bias)).for_each(|(mean, bias)| *mean += bias);
            (names.moments.clone(), Moments { mean, var })
        });
        let moments = moments.collect();
        (outputs, moments)
    }

    /// Gradients by the names of their weights, for gradients at the outputs.
    pub fn backward(&mut self, gradient: &[f32]) -> BTreeMap<String, Vec<f32>> {
        let found = self.chain.backward(gradient);
        let mut out = BTreeMap::new();
        let mut put = |name: Option<&String>, values: Vec<f32>| {
            if let Some(name) = name {
                out.insert(name.clone(), values);
            }
        };
        for (names, layer) in self.layers.iter().zip(found.layers) {
            put(Some(&names.kernel), layer.kernel);
            put(names.point.as_ref(), layer.point);
            put(Some(&names.scale), layer.gain);
            put(Some(&names.shift), layer.shift);
        }
        put(Some(&self.readout.weight), found.readout.weight);
        put(self.readout.bias.as_ref(), found.readout.bias);
        put(self.readout.pool.as_ref(), found.readout.pool);
        put(self.readout.pool_bias.as_ref(), found.readout.pool_bias);
        out
    }
}

/// Images as the first layer reads them: see [`InputSpec`].
fn prepared(images: &[f32], input: &InputSpec) -> Vec<f32> {
    let (pixels, n) = (input.height * input.width, input.n_channels());
    let mut out = vec![0.0; images.len() / 3 * n];
    out.par_chunks_mut(n * pixels).zip(images.par_chunks(3 * pixels)).for_each(|(out, image)| {
        for (c, plane) in out.chunks_exact_mut(pixels).enumerate() {
            let (gain, offset) = (input.range / input.std[c], -input.mean[c] / input.std[c]);
            for (i, v) in plane.iter_mut().enumerate() {
                let p = match input.order {
                    ChannelOrder::Rgb => image[c * pixels + i],
                    ChannelOrder::Bgr => image[(2 - c) * pixels + i],
                    ChannelOrder::Grey => (image[i] + image[pixels + i] + image[2 * pixels + i]) / 3.0,
                };
                *v = p * gain + offset;
            }
        }
    });
    out
}
