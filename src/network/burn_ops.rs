//! Every operation of a graph as burn tensor operations, on any backend: frozen (plain tensors), or
//! differentiated.

use super::graph::{Graph, Weights};
use super::input::{ChannelOrder, InputSpec};
use super::op::{FlattenOrder, Op, Padding};
use super::shape::window_len;
use burn_tensor::backend::Backend;
use burn_tensor::ops::{ConvOptions, PaddedConvOptions};
use burn_tensor::{DType, Tensor, TensorData, activation, module};
use std::collections::BTreeMap;

/// A graph's weights as tensors of one backend and width.
#[derive(Debug, Clone)]
pub struct BurnWeights<B: Backend> {
    tensors: BTreeMap<String, (Tensor<B, 1>, Vec<usize>)>,
    device: B::Device,
    dtype: DType,
}

impl<B: Backend> BurnWeights<B> {
    /// Copies a graph's weights to a device.
    pub fn new(graph: &Graph, device: &B::Device, dtype: DType) -> Self {
        Self::of(graph.weights(), device, dtype)
    }

    /// Copies weights to a device.
    pub fn of(arrays: &Weights, device: &B::Device, dtype: DType) -> Self {
        let mut weights = Self { tensors: BTreeMap::new(), device: device.clone(), dtype };
        for (name, array) in arrays {
            let values: Vec<f32> = array.iter().copied().collect();
            let tensor = weights.vector(values);
            weights.tensors.insert(name.clone(), (tensor, array.shape().to_vec()));
        }
        weights
    }

    /// Puts a tensor in a weight's place, for training; it must have as many numbers.
    pub fn set(&mut self, name: &str, tensor: Tensor<B, 1>) {
        if let Some(slot) = self.tensors.get_mut(name) {
            slot.0 = tensor;
        }
    }

    /// A weight as a vector, in row-major order.
    pub fn flat(&self, name: &str) -> Tensor<B, 1> {
        self.tensors[name].0.clone()
    }

    fn get<const D: usize>(&self, name: &str) -> Tensor<B, D> {
        let (tensor, shape) = &self.tensors[name];
        let shape: [usize; D] = shape.as_slice().try_into().expect("the graph checked each weight's rank");
        tensor.clone().reshape(shape)
    }

    /// One value per channel, to be combined with N x C x H x W.
    fn per_channel(&self, name: &str) -> Tensor<B, 4> {
        let vector: Tensor<B, 1> = self.get(name);
        let n = vector.dims()[0];
        vector.reshape([1, n, 1, 1])
    }

    fn vector(&self, values: Vec<f32>) -> Tensor<B, 1> {
        let n = values.len();
        let data = TensorData::new(values, [n]).convert_dtype(self.dtype);
        Tensor::from_data(data, (&self.device, self.dtype))
    }
}

/// The network's input from displayed RGB in [0, 1]; see [`InputSpec`].
pub fn preprocess<B: Backend>(images: Tensor<B, 4>, spec: &InputSpec, weights: &BurnWeights<B>) -> Tensor<B, 4> {
    let planes = match spec.order {
        ChannelOrder::Rgb => images,
        ChannelOrder::Bgr => images.flip([1]),
        ChannelOrder::Grey => images.mean_dim(1),
    };
    let n = spec.n_channels();
    let gain = spec.std.iter().map(|s| spec.range / s).collect();
    let offset = spec.mean.iter().zip(&spec.std).map(|(m, s)| -m / s).collect();
    planes * weights.vector(gain).reshape([1, n, 1, 1]) + weights.vector(offset).reshape([1, n, 1, 1])
}

/// One operation's output. `inputs` are N x C x H x W; shapes were checked when the graph was
/// built.
pub fn apply<B: Backend>(op: &Op, inputs: &[Tensor<B, 4>], weights: &BurnWeights<B>) -> Tensor<B, 4> {
    let x = || inputs[0].clone();
    match op {
        Op::Input | Op::Identity => x(),
        Op::Conv2d { weight, bias, stride, padding, dilation, groups } => {
            let kernel: Tensor<B, 4> = weights.get(weight);
            let bias = bias.as_ref().map(|b| weights.get::<1>(b));
            let [t, l, b, r] = *padding;
            // An explicit border serves both: burn's CPU backend takes symmetric padding only on
            // its fast path.
            let (x, pad) = if (t, l) == (b, r) { (x(), [t, l]) } else { (pad_with(x(), *padding, 0.0), [0, 0]) };
            let options = ConvOptions::new(*stride, pad, *dilation, *groups);
            module::conv2d(x, kernel, bias, PaddedConvOptions::from(options))
        }
        Op::BatchNorm { scale, shift, mean, var, epsilon } => {
            let inverse = (weights.per_channel(var) + *epsilon).sqrt().recip();
            let gain = match scale {
                Some(s) => inverse * weights.per_channel(s),
                None => inverse,
            };
            let y = (x() - weights.per_channel(mean)) * gain;
            match shift {
                Some(s) => y + weights.per_channel(s),
                None => y,
            }
        }
        Op::ChannelAffine { scale, shift } => x() * weights.per_channel(scale) + weights.per_channel(shift),
        Op::Relu => activation::relu(x()),
        // burn's own takes the slope 1 at 0, PyTorch and the definition above take `slope` there.
        Op::LeakyRelu { slope } => x().mask_where(x().lower_equal_elem(0.0), x() * *slope),
        Op::Sigmoid => activation::sigmoid(x()),
        Op::Tanh => x().tanh(),
        Op::MaxPool { kernel, stride, padding, ceil } => max_pool(x(), *kernel, *stride, *padding, *ceil),
        Op::AvgPool { kernel, stride, padding, ceil, count_include_pad } => avg_pool(
            x(),
            Pooling { kernel: *kernel, stride: *stride, padding: *padding, ceil: *ceil },
            *count_include_pad,
            weights,
        ),
        Op::GlobalAvgPool => x().mean_dim(3).mean_dim(2),
        Op::Lrn { size, alpha, beta, k } => lrn(x(), *size, *alpha, *beta, *k),
        Op::Concat => Tensor::cat(inputs.to_vec(), 1),
        Op::Add => inputs[1..].iter().fold(x(), |sum, y| sum + y.clone()),
        Op::Flatten { order } => {
            let x = match order {
                FlattenOrder::Chw => x(),
                FlattenOrder::Hwc => x().permute([0, 2, 3, 1]),
            };
            let n = x.dims()[0];
            let n_features = x.dims()[1..].iter().product::<usize>();
            x.reshape([n, n_features, 1, 1])
        }
        Op::Linear { weight, bias } => {
            let [n, n_features, ..] = x().dims();
            let w: Tensor<B, 2> = weights.get(weight);
            let y = x().reshape([n, n_features]).matmul(w.transpose());
            let n_out = y.dims()[1];
            let y = y.reshape([n, n_out, 1, 1]);
            match bias {
                Some(b) => y + weights.per_channel(b),
                None => y,
            }
        }
        Op::Softmax => activation::softmax(x(), 1),
        Op::Pad { padding } => pad_with(x(), *padding, 0.0),
    }
}

/// A constant border around each plane. (burn's own `pad` fills with 32-bit numbers whatever the
/// tensor's width.)
fn pad_with<B: Backend>(x: Tensor<B, 4>, [t, l, b, r]: Padding, value: f32) -> Tensor<B, 4> {
    if [t, l, b, r] == [0; 4] {
        return x;
    }
    let [n, c, h, w] = x.dims();
    let border = Tensor::full([n, c, t + h + b, l + w + r], value, (&x.device(), x.dtype()));
    border.slice_assign([0..n, 0..c, t..t + h, l..l + w], x)
}

/// Border that makes each window of a `ceil` pooling complete, beyond the padding asked for.
fn complete(x: [usize; 2], p: &Pooling) -> Padding {
    let [t, l, b, r] = p.padding;
    let mut out = [t, l, b, r];
    for (axis, (before, after)) in [(t, b), (l, r)].into_iter().enumerate() {
        let n = window_len(x[axis], p.kernel[axis], p.stride[axis], before, after, p.ceil)
            .expect("the graph checked that a window fits");
        let covered = (n - 1) * p.stride[axis] + p.kernel[axis];
        out[2 + axis] = covered.saturating_sub(x[axis] + before);
    }
    out
}

struct Pooling {
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: Padding,
    ceil: bool,
}

fn max_pool<B: Backend>(
    x: Tensor<B, 4>,
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: Padding,
    ceil: bool,
) -> Tensor<B, 4> {
    let [_, _, h, w] = x.dims();
    let border = complete([h, w], &Pooling { kernel, stride, padding, ceil });
    // The lowest finite number: padding never wins, and no infinity enters the gradient.
    let x = pad_with(x, border, f32::MIN);
    module::max_pool2d(x, kernel, stride, [0, 0], [1, 1], false)
}

fn avg_pool<B: Backend>(
    x: Tensor<B, 4>,
    p: Pooling,
    count_include_pad: bool,
    weights: &BurnWeights<B>,
) -> Tensor<B, 4> {
    let [_, _, h, w] = x.dims();
    let border = complete([h, w], &p);
    let x = pad_with(x, border, 0.0);
    let area = (p.kernel[0] * p.kernel[1]) as f32;
    let mean = module::avg_pool2d(x, p.kernel, p.stride, [0, 0], true, false);
    let [_, _, rows, columns] = mean.dims();
    let divisors = |axis: usize, n: usize, size: usize| -> Vec<usize> {
        (0..n)
            .map(|i| {
                counted(
                    i * p.stride[axis],
                    p.kernel[axis],
                    size,
                    [border[axis], p.padding[2 + axis]],
                    count_include_pad,
                )
            })
            .collect()
    };
    let (by_row, by_column) = (divisors(0, rows, h), divisors(1, columns, w));
    let correction: Vec<f32> =
        by_row.iter().flat_map(|r| by_column.iter().map(move |c| area / (r * c) as f32)).collect();
    if correction.iter().all(|&f| f == 1.0) {
        return mean;
    }
    mean * weights.vector(correction).reshape([1, 1, rows, columns])
}

/// How many positions of a window along one axis count in its mean.
pub(super) fn counted(
    start: usize,
    kernel: usize,
    size: usize,
    [before, after]: [usize; 2],
    with_padding: bool,
) -> usize {
    let (low, high) = if with_padding { (0, size + before + after) } else { (before, size + before) };
    ((start + kernel).min(high)).saturating_sub(start.max(low)).max(1)
}

fn lrn<B: Backend>(x: Tensor<B, 4>, size: usize, alpha: f32, beta: f32, k: f32) -> Tensor<B, 4> {
    let [n, c, h, w] = x.dims();
    let half = size / 2;
    let squares = x.clone().square();
    let zeros = Tensor::zeros([n, half, h, w], (&x.device(), x.dtype()));
    let padded = Tensor::cat(vec![zeros.clone(), squares, zeros], 1);
    let sum = (1..size).fold(padded.clone().narrow(1, 0, c), |sum, i| sum + padded.clone().narrow(1, i, c));
    // In 64 bits: alpha / size is rarely a 32-bit number.
    x / (sum.mul_scalar(f64::from(alpha) / size as f64) + k).powf_scalar(beta)
}
