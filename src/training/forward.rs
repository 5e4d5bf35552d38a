//! A graph on tensors that record, its weights anything: what training differentiates.

use super::fused::{self, Moments};
use super::kernels::Conv;
use crate::network::burn_ops::{BurnWeights, apply, preprocess};
use crate::network::{Graph, NodeId, Op};
use crate::tensor::{AutoBackend, Tensor, Var, constant, vec_f32};
use serde::{Deserialize, Serialize};

/// What batch norms normalise with.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Normalisation {
    /// The batch's own moments; the stored ones follow, `stored = keep stored + (1 - keep) batch`
    /// (PyTorch's `momentum` is `1 - keep`; the variance is unbiased there too).
    Batch { keep: f64 },
    /// The stored moments, which stay: for fine-tuning on few images.
    Stored,
}

/// Fused operations are for the CPU.
pub(super) const FUSED: bool = !cfg!(any(feature = "cuda", feature = "wgpu"));

/// How one node is computed.
enum Way {
    /// Not needed, or part of the layer that a later node is.
    Skipped,
    Input,
    /// Convolution, batch norm and this ReLU.
    Layer(Layer),
    Lrn {
        size: usize,
        alpha: f32,
        k: f32,
    },
    Pool {
        stride: usize,
        pad: usize,
    },
    /// Batch norm with the batch's moments.
    Norm {
        scale: Option<String>,
        shift: Option<String>,
        moments: [String; 2],
        epsilon: f32,
    },
    Plain,
}

struct Layer {
    source: NodeId,
    conv: Conv,
    weight: String,
    scale: String,
    shift: String,
    moments: [String; 2],
    epsilon: f32,
}

/// Moments of a batch, under the names of the stored mean and variance.
pub(super) type BatchMoments = ([String; 2], Moments);

/// How each node of a graph is computed for some outputs.
pub(super) struct Plan {
    ways: Vec<Way>,
    /// Whether a gradient is wanted at a node: something below it is trained.
    tracked: Vec<bool>,
    outputs: Vec<NodeId>,
}

impl Plan {
    pub fn new(
        graph: &Graph,
        outputs: &[NodeId],
        normalisation: Normalisation,
        trained: &dyn Fn(&str) -> bool,
    ) -> Self {
        let needed = graph.needed(outputs);
        let mut readers = vec![0usize; graph.nodes().len()];
        let nodes = || graph.nodes().iter().enumerate().filter(|(id, _)| needed[*id]);
        nodes().flat_map(|(_, n)| &n.inputs).chain(outputs).for_each(|&i| readers[i] += 1);
        let batch = matches!(normalisation, Normalisation::Batch { .. });
        let mut ways: Vec<Way> = graph.nodes().iter().map(|_| Way::Skipped).collect();
        let mut tracked = vec![false; ways.len()];
        for (id, node) in nodes() {
            tracked[id] = node.op.weights().into_iter().any(trained) || node.inputs.iter().any(|&i| tracked[i]);
            ways[id] = match layer(graph, id, &readers).filter(|_| batch && FUSED) {
                Some(layer) => {
                    let norm = node.inputs[0];
                    ways[norm] = Way::Skipped;
                    ways[graph.node(norm).inputs[0]] = Way::Skipped;
                    Way::Layer(layer)
                }
                None => way(&node.op, batch),
            };
        }
        Self { ways, tracked, outputs: outputs.to_vec() }
    }

    /// The outputs for images N x 3 x H x W in [0, 1], and the batch's moments.
    pub fn run(
        &self,
        graph: &Graph,
        images: Tensor<4>,
        weights: &BurnWeights<AutoBackend>,
    ) -> (Vec<Var<4>>, Vec<BatchMoments>) {
        let mut moments = Vec::new();
        let mut values: Vec<Option<Var<4>>> = vec![None; self.ways.len()];
        for (id, way) in self.ways.iter().enumerate() {
            let node = graph.node(id);
            let input = |i: usize| values[node.inputs[i]].clone().expect("inputs come first");
            values[id] = match way {
                Way::Skipped => None,
                Way::Input => Some(preprocess(constant(images.clone()), &graph.input, weights)),
                Way::Layer(layer) => {
                    let x = values[layer.source].as_ref().expect("inputs come first");
                    let [w, gain, shift] = [&layer.weight, &layer.scale, &layer.shift].map(|name| weights.flat(name));
                    let wanted = self.tracked[layer.source];
                    let (y, batch) = fused::conv_norm_relu(x, layer.conv, &w, &gain, &shift, layer.epsilon, wanted);
                    moments.push((layer.moments.clone(), batch));
                    Some(y)
                }
                Way::Lrn { size, alpha, k } => Some(fused::lrn(&input(0), *size, *alpha, *k)),
                Way::Pool { stride, pad } => {
                    let out = [node.shape.height, node.shape.width];
                    Some(fused::pool(&input(0), out, *stride, *pad))
                }
                Way::Norm { scale, shift, moments: names, epsilon } => {
                    let at = |name: &Option<String>| name.as_ref().map(|name| weights.flat(name));
                    let (y, batch) = batch_norm(input(0), at(scale), at(shift), *epsilon);
                    moments.push((names.clone(), batch));
                    Some(y)
                }
                Way::Plain => Some(apply(&node.op, &(0..node.inputs.len()).map(input).collect::<Vec<_>>(), weights)),
            };
        }
        let output = |&id: &NodeId| values[id].clone().expect("outputs are computed");
        (self.outputs.iter().map(output).collect(), moments)
    }
}

/// A node by itself.
fn way(op: &Op, batch: bool) -> Way {
    match op {
        Op::Input => Way::Input,
        // The fused operation has this exponent built in.
        &Op::Lrn { size, alpha, beta: 0.75, k } if FUSED => Way::Lrn { size, alpha, k },
        &Op::MaxPool { kernel: [3, 3], stride: [stride, across], padding: [pad @ 0..=1, l, b, r], .. }
            if FUSED && stride == across && [l, b, r] == [pad; 3] =>
        {
            Way::Pool { stride, pad }
        }
        Op::BatchNorm { scale, shift, mean, var, epsilon } if batch => Way::Norm {
            scale: scale.clone(),
            shift: shift.clone(),
            moments: [mean.clone(), var.clone()],
            epsilon: *epsilon,
        },
        _ => Way::Plain,
    }
}

/// The ReLU `id` with the batch norm and the convolution before it, where nobody else reads what
/// lies between and the convolution is of the fused kind.
fn layer(graph: &Graph, id: NodeId, readers: &[usize]) -> Option<Layer> {
    let alone = |id: NodeId| (readers[id] == 1).then(|| graph.node(id));
    if !matches!(graph.node(id).op, Op::Relu) {
        return None;
    }
    let norm = alone(graph.node(id).inputs[0])?;
    let Op::BatchNorm { scale: Some(scale), shift: Some(shift), mean, var, epsilon } = &norm.op else {
        return None;
    };
    let conv = alone(norm.inputs[0])?;
    let Op::Conv2d { weight, bias: None, stride, padding, dilation: [1, 1], groups: 1 } = &conv.op else {
        return None;
    };
    let kernel = &graph.weight(weight).shape()[2..];
    if kernel[0] != kernel[1] || stride[0] != stride[1] || *padding != [padding[0]; 4] {
        return None;
    }
    let (from, to) = (graph.node(conv.inputs[0]).shape, conv.shape);
    Some(Layer {
        source: conv.inputs[0],
        conv: Conv {
            channels: [from.channels, to.channels],
            size: [[from.height, from.width], [to.height, to.width]],
            kernel: kernel[0],
            stride: stride[0],
            pad: padding[0],
        },
        weight: weight.clone(),
        scale: scale.clone(),
        shift: shift.clone(),
        moments: [mean.clone(), var.clone()],
        epsilon: *epsilon,
    })
}

/// Batch norm with the batch's own moments, by burn's operations.
fn batch_norm(z: Var<4>, scale: Option<Var<1>>, shift: Option<Var<1>>, epsilon: f32) -> (Var<4>, Moments) {
    let [n, c, h, w] = z.dims();
    let mean = z.clone().mean_dim(3).mean_dim(2).mean_dim(0);
    let centred = z - mean.clone();
    let var = centred.clone().square().mean_dim(3).mean_dim(2).mean_dim(0);
    let m = (n * h * w) as f32;
    let unbiased = vec_f32(&var.clone().inner()).iter().map(|v| v * m / (m - 1.0).max(1.0)).collect();
    let moments = Moments { mean: vec_f32(&mean.inner()), var: unbiased };
    let per_channel = |v: Var<1>| v.reshape([1, c, 1, 1]);
    let y = centred / (var + epsilon).sqrt();
    let y = scale.map_or(y.clone(), |s| y * per_channel(s));
    (shift.map_or(y.clone(), |s| y + per_channel(s)), moments)
}
