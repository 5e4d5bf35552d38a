//! One training step on burn: forward with batch statistics, cross-entropy, backward, Adam.
#![allow(clippy::clone_on_copy)] // the devices of other backends are not Copy

use crate::fused;
use crate::kernels::Conv;
use orthoscope::network::burn_ops::{BurnWeights, apply, preprocess};
use orthoscope::network::{Graph, Op};
use orthoscope::tensor::{AutoBackend, Device, Tensor, Var, constant, leaf, tensor_from_vec};
use std::collections::BTreeMap;

/// Decay of the running moments of batch norm, per step.
const KEEP: f64 = 0.97;
const BETAS: (f64, f64) = (0.9, 0.99);
const ADAM_EPSILON: f64 = 1e-8;
const SMOOTHING: f64 = 0.05;

/// A trained number array with Adam's two moments (Kingma & Ba 2015), all flat.
pub struct Parameter {
    pub value: Tensor<1>,
    pub first: Tensor<1>,
    pub second: Tensor<1>,
    /// Whether weight decay applies: to kernels, not to scales, shifts and biases.
    pub decays: bool,
}

pub struct Trainer {
    pub graph: Graph,
    pub parameters: BTreeMap<String, Parameter>,
    /// Running mean and variance of each batch norm, by weight name.
    pub running: BTreeMap<String, Tensor<1>>,
    weights: BurnWeights<AutoBackend>,
    device: Device,
}

/// What a step did.
pub struct Outcome {
    pub loss: f64,
    pub n_right: usize,
}

impl Trainer {
    pub fn new(graph: Graph, device: &Device) -> Self {
        let (mut parameters, mut running) = (BTreeMap::new(), BTreeMap::new());
        for (name, array) in graph.weights() {
            let value: Tensor<1> = tensor_from_vec(array.iter().copied().collect(), [array.len()], device);
            if name.ends_with(".mean") || name.ends_with(".var") {
                running.insert(name.clone(), value);
            } else {
                let zeros = || value.clone().zeros_like();
                let (first, second, decays) = (zeros(), zeros(), array.ndim() > 1);
                parameters.insert(name.clone(), Parameter { first, second, decays, value });
            }
        }
        let weights = BurnWeights::new(&graph, device, burn_tensor::DType::F32);
        Self { graph, parameters, running, weights, device: device.clone() }
    }

    /// Forward, backward and one Adam step with decoupled weight decay. `images` N x 3 x H x W in [0, 1].
    pub fn step(
        &mut self,
        images: Tensor<4>,
        labels: &[usize],
        rate: f64,
        decay: impl Fn(&str) -> f64,
        step: usize,
    ) -> Outcome {
        let leaves: BTreeMap<String, Var<1>> =
            self.parameters.iter().map(|(k, p)| (k.clone(), leaf(p.value.clone()))).collect();
        for (name, value) in &leaves {
            self.weights.set(name, value.clone());
        }
        let logits = self.forward(images);
        let outcome_right = right(&logits.clone().inner(), labels);
        let loss = self.cross_entropy(logits, labels);
        let value = orthoscope::tensor::scalar(&loss.clone().inner());
        let grads = loss.backward();
        for (name, variable) in leaves {
            let (Some(p), Some(g)) = (self.parameters.get_mut(&name), variable.grad(&grads)) else { continue };
            adam(p, g, rate, decay(&name), step);
        }
        Outcome { loss: value, n_right: outcome_right }
    }

    /// Logits N x classes; batch norms use the batch's own moments and update the running ones.
    fn forward(&mut self, images: Tensor<4>) -> Var<2> {
        let n = images.dims()[0];
        let graph = &self.graph;
        let mut now: Vec<(String, Vec<f32>)> = Vec::new();
        let mut values: Vec<Option<Var<4>>> = vec![None; graph.nodes().len()];
        values[0] = Some(preprocess(constant(images), &graph.input, &self.weights));
        for (id, node) in graph.nodes().iter().enumerate().skip(1) {
            let input = |i: usize| values[node.inputs[i]].clone().expect("inputs come first");
            let size = [graph.node(node.inputs[0]).shape, node.shape].map(|s| [s.height, s.width]);
            values[id] = match &node.op {
                // Both are part of the ReLU that follows them.
                Op::Conv2d { .. } | Op::BatchNorm { .. } => None,
                Op::Relu => {
                    let (y, moments) = self.layer(id, &values);
                    now.extend(moments);
                    Some(y)
                }
                Op::Lrn { size, alpha, k, .. } => Some(fused::lrn(&input(0), *size, *alpha, *k)),
                Op::MaxPool { stride, padding, .. } => Some(fused::pool(&input(0), size[1], stride[0], padding[0])),
                op => Some(apply(op, &(0..node.inputs.len()).map(input).collect::<Vec<_>>(), &self.weights)),
            };
        }
        for (name, value) in now {
            let n = value.len();
            let slot = self.running.get_mut(&name).expect("every batch norm has running moments");
            *slot = slot.clone() * KEEP + tensor_from_vec(value, [n], &self.device) * (1.0 - KEEP);
        }
        let logits = values.pop().flatten().expect("the last node is the classifier");
        let n_classes = logits.dims()[1];
        logits.reshape([n, n_classes])
    }

    /// The ReLU `id` with the batch norm and the convolution before it, and the batch's moments by weight name.
    fn layer(&self, id: usize, values: &[Option<Var<4>>]) -> (Var<4>, [(String, Vec<f32>); 2]) {
        let graph = &self.graph;
        let norm = graph.node(graph.node(id).inputs[0]);
        let conv = graph.node(norm.inputs[0]);
        let source = conv.inputs[0];
        let (
            Op::Conv2d { weight, stride, padding, .. },
            Op::BatchNorm { scale: Some(scale), shift: Some(shift), mean, var, epsilon },
        ) = (&conv.op, &norm.op)
        else {
            unreachable!("the training graph has a convolution and a batch norm before each ReLU")
        };
        let (from, to) = (graph.node(source).shape, conv.shape);
        let shape = Conv {
            channels: [from.channels, to.channels],
            size: [[from.height, from.width], [to.height, to.width]],
            kernel: graph.weight(weight).shape()[2],
            stride: stride[0],
            pad: padding[0],
        };
        let x = values[source].as_ref().expect("inputs come first");
        let [w, gain, offset] = [weight, scale, shift].map(|name| self.weights.flat(name));
        let (y, moments) = fused::conv_norm_relu(x, shape, &w, &gain, &offset, *epsilon, source != 0);
        (y, [(mean.clone(), moments.mean), (var.clone(), moments.var)])
    }

    /// Mean cross-entropy with smoothed labels.
    fn cross_entropy(&self, logits: Var<2>, labels: &[usize]) -> Var<1> {
        let [n, n_classes] = logits.dims();
        let mut target = vec![(SMOOTHING / n_classes as f64) as f32; n * n_classes];
        for (i, &label) in labels.iter().enumerate() {
            target[i * n_classes + label] += (1.0 - SMOOTHING) as f32;
        }
        let target: Tensor<2> = tensor_from_vec(target, [n, n_classes], &self.device);
        let log_p = burn_tensor::activation::log_softmax(logits, 1);
        (log_p * constant(target)).sum().neg() / n as f64
    }
}

fn adam(p: &mut Parameter, g: Tensor<1>, rate: f64, decay: f64, step: usize) {
    let (b1, b2) = BETAS;
    p.first = p.first.clone() * b1 + g.clone() * (1.0 - b1);
    p.second = p.second.clone() * b2 + g.square() * (1.0 - b2);
    let t = step as i32 + 1;
    let first = p.first.clone() / (1.0 - b1.powi(t));
    let second = p.second.clone() / (1.0 - b2.powi(t));
    let shrink = if p.decays { 1.0 - rate * decay } else { 1.0 };
    p.value = p.value.clone() * shrink - first / (second.sqrt() + ADAM_EPSILON) * rate;
}

/// How many rows of `logits` have their largest number at the label.
pub fn right(logits: &Tensor<2>, labels: &[usize]) -> usize {
    let [_, n_classes] = logits.dims();
    let values = orthoscope::tensor::vec_f32(logits);
    let best = |row: &[f32]| (0..n_classes).max_by(|&a, &b| row[a].total_cmp(&row[b]));
    values.chunks(n_classes).zip(labels).filter(|(row, label)| best(row) == Some(**label)).count()
}
