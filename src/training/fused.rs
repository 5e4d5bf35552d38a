//! Fused operations registered with burn's automatic differentiation: convolution + batch norm +
//! ReLU, LRN, 3 x 3 max pooling. For the CPU, 32 bits.
//!
//! Burn's own operations give the same numbers (a test holds them together) at about a quarter of
//! the speed on a CPU: its weight gradient is a convolution with kernels as large as the map, and
//! batch norm is a dozen passes over memory.
use super::kernels::{Conv, Lrn, NormRelu, max_pool, max_pool_backward};
use crate::tensor::{AutoBackend, Backend, Device, Var, tensor_from_vec, vec_f32};
use burn_autodiff::checkpoint::{base::Checkpointer, strategy::NoCheckpointing};
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_tensor::ops::FloatTensorOps;
use burn_tensor::{TensorData, TensorPrimitive};
use std::sync::Arc;

type Gradient<const N: usize> = dyn Fn(Vec<f32>) -> [Option<Vec<f32>>; N] + Send + Sync;

/// What the backward pass needs: a function from the output's gradient to the parents', and their
/// shapes.
#[derive(Clone)]
struct Saved<const N: usize> {
    gradient: Arc<Gradient<N>>,
    shapes: [Vec<usize>; N],
    device: Device,
}

impl<const N: usize> std::fmt::Debug for Saved<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Saved({:?})", self.shapes)
    }
}

#[derive(Debug)]
struct Fused;

impl<const N: usize> Backward<Backend, N> for Fused {
    type State = Saved<N>;

    fn backward(self, ops: Ops<Saved<N>, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let output = grads.consume::<Backend>(&ops.node);
        let output = burn_tensor::Tensor::<Backend, 4>::from_primitive(TensorPrimitive::Float(output));
        let parts = (ops.state.gradient)(vec_f32(&output));
        for ((parent, part), shape) in ops.parents.into_iter().zip(parts).zip(ops.state.shapes) {
            if let (Some(node), Some(values)) = (parent, part) {
                grads.register::<Backend>(
                    node.id,
                    Backend::float_from_data(TensorData::new(values, shape), &ops.state.device),
                );
            }
        }
    }
}

/// Records `output` as a function of up to N parents.
fn record<const N: usize>(
    parents: [TensorPrimitive<AutoBackend>; N],
    shapes: [Vec<usize>; N],
    output: Vec<f32>,
    shape: [usize; 4],
    device: &Device,
    gradient: Arc<Gradient<N>>,
) -> Var<4> {
    let nodes = parents.map(|p| p.tensor().node);
    let output = tensor_from_vec::<4>(output, shape, device).into_primitive().tensor();
    let result = match Fused.prepare::<NoCheckpointing>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(Saved { gradient, shapes, device: device.clone() }, output),
        OpsKind::UnTracked(prep) => prep.finish(output),
    };
    Var::from_primitive(TensorPrimitive::Float(result))
}

/// Mean and variance (unbiased: divided by the number of values less one) per channel of one batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    pub mean: Vec<f32>,
    pub var: Vec<f32>,
}

/// `y = max(gain (z - mean) / sqrt(var + epsilon) + shift, 0)`, z the convolution of x with
/// `weight`, mean and var (biased) of z over the batch's images and pixels, per channel.
///
/// `want_input`: whether x needs a gradient.
///
/// # Shapes
/// `x`: N x C x H x W as `conv` says; `weight`: C_out C k k numbers; `gain`, `shift`: C_out.
/// Result: N x C_out x H' x W'.
pub fn conv_norm_relu(
    x: &Var<4>,
    conv: Conv,
    weight: &Var<1>,
    gain: &Var<1>,
    shift: &Var<1>,
    epsilon: f32,
    want_input: bool,
) -> (Var<4>, Moments) {
    let device = x.device();
    let values = |v: &Var<1>| vec_f32(&v.clone().inner());
    let (input, w) = (vec_f32(&x.clone().inner()), values(weight));
    let z = conv.forward(&input, &w);
    let [oh, ow] = conv.size[1];
    let norm = NormRelu::new(&z, oh * ow, values(gain), values(shift), epsilon);
    let n = x.dims()[0];
    let m = (n * oh * ow) as f32;
    let moments =
        Moments { mean: norm.mean.clone(), var: norm.var.iter().map(|v| v * m / (m - 1.0).max(1.0)).collect() };
    let y = norm.forward(&z);
    let shapes = [x.dims().to_vec(), vec![w.len()], vec![conv.channels[1]], vec![conv.channels[1]]];
    let parents = [
        x.clone().into_primitive(),
        weight.clone().into_primitive(),
        gain.clone().into_primitive(),
        shift.clone().into_primitive(),
    ];
    let gradient = Arc::new(move |dy: Vec<f32>| {
        let (dz, dgain, dshift) = norm.backward(&z, dy);
        let (dx, dw) = conv.backward(&input, &w, &dz, want_input);
        [dx, Some(dw), Some(dgain), Some(dshift)]
    });
    (record(parents, shapes, y, [n, conv.channels[1], oh, ow], &device, gradient), moments)
}

/// Local response normalisation with beta = 3/4: `y[c] = x[c] / (k + alpha/size sum_{|c'-c| <=
/// size/2} x[c']^2)^(3/4)`.
pub fn lrn(x: &Var<4>, size: usize, alpha: f32, k: f32) -> Var<4> {
    let [n, channels, h, w] = x.dims();
    let op = Lrn { channels, pixels: h * w, size, alpha, k };
    let input = vec_f32(&x.clone().inner());
    let y = op.forward(&input);
    let gradient = Arc::new(move |dy: Vec<f32>| [Some(op.backward(&input, &dy))]);
    record([x.clone().into_primitive()], [x.dims().to_vec()], y, [n, channels, h, w], &x.device(), gradient)
}

/// Max pooling over 3 x 3 windows to `out` rows and columns; `pad` (0 or 1) never wins.
pub fn pool(x: &Var<4>, out: [usize; 2], stride: usize, pad: usize) -> Var<4> {
    let [n, c, h, w] = x.dims();
    let size = [[h, w], out];
    let (y, at) = max_pool(&vec_f32(&x.clone().inner()), size, stride, pad);
    let gradient = Arc::new(move |dy: Vec<f32>| [Some(max_pool_backward(&at, &dy, size))]);
    record([x.clone().into_primitive()], [x.dims().to_vec()], y, [n, c, out[0], out[1]], &x.device(), gradient)
}
