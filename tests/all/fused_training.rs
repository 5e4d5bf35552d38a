//! Fused operations of training against the same mathematics in burn's own operations and burn's
//! own gradients.

use crate::support::relative_error;
use burn_autodiff::grads::Gradients;
use burn_tensor::DType;
use ndarray::{ArrayD, IxDyn};
use orthoscope::network::burn_ops::{BurnWeights, apply};
use orthoscope::network::{GraphBuilder, InputSpec, Op, Weights};
use orthoscope::rng::stream;
use orthoscope::tensor::{AutoBackend, Device, Var, leaf, tensor_from_vec, vec_f32};
use orthoscope::training::fused;
use orthoscope::training::kernels::Conv;

/// Both run in 32 bits; sums of some hundred terms in another order differ by about 1e-6 of the
/// largest.
const TOLERANCE: f32 = 2e-5;

fn random<const D: usize>(purpose: &str, shape: [usize; D]) -> Var<D> {
    let mut rng = stream(11, purpose, 0);
    let values = (0..shape.iter().product()).map(|_| rng.normal() as f32).collect();
    leaf(tensor_from_vec(values, shape, &Device::default()))
}

/// Reads one parent's gradient.
type Reader<'a> = &'a dyn Fn(&Gradients) -> Vec<f32>;

/// Output and gradients at the parents, for a scalar in which every output has a weight of its own.
fn run<const N: usize>(output: Var<4>, parents: [Reader; N]) -> Vec<Vec<f32>> {
    let weights = random("probe", output.dims()).inner();
    let mut out = vec![vec_f32(&output.clone().inner())];
    let grads = (output * Var::from_inner(weights)).sum().backward();
    out.extend(parents.iter().map(|p| p(&grads)));
    out
}

fn grad<const D: usize>(v: &Var<D>) -> impl Fn(&Gradients) -> Vec<f32> + '_ {
    |grads| vec_f32(&v.grad(grads).expect("a gradient"))
}

fn same(name: &str, found: &[Vec<f32>], expected: &[Vec<f32>]) {
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        let error = relative_error(a, b);
        assert!(error < TOLERANCE, "{name}, part {i}: {error}");
    }
}

/// A burn operation with the given weights, as the library's reference executor runs it.
fn reference(op: &Op, x: &Var<4>, weights: &[(&str, &Var<1>, Vec<usize>)]) -> Var<4> {
    let arrays: Weights = weights.iter().map(|(n, _, shape)| ((*n).to_owned(), ArrayD::zeros(IxDyn(shape)))).collect();
    let mut builder = GraphBuilder::new("one op", InputSpec::preset("unit", 9, 9).unwrap(), arrays).unwrap();
    builder.push("identity", Op::Identity, &[0]).unwrap();
    let graph = builder.finish().unwrap();
    let mut tensors: BurnWeights<AutoBackend> = BurnWeights::new(&graph, &Device::default(), DType::F32);
    weights.iter().for_each(|(n, v, _)| tensors.set(n, (*v).clone()));
    apply(op, std::slice::from_ref(x), &tensors)
}

#[test]
fn fused_layer_is_burns_convolution_norm_and_relu() {
    for (kernel, stride, size, n) in [(3, 1, 9, 5), (7, 2, 12, 3), (1, 1, 6, 20), (5, 1, 3, 18), (3, 1, 30, 2)] {
        let (c_in, c_out, pad) = (3, 4, kernel / 2);
        let out = (size + 2 * pad - kernel) / stride + 1;
        let x = random("x", [n, c_in, size, size]);
        let w = random("w", [c_out * c_in * kernel * kernel]);
        let (gain, shift) = (random("gain", [c_out]), random("shift", [c_out]));
        let conv = Conv { channels: [c_in, c_out], size: [[size; 2], [out; 2]], kernel, stride, pad };
        let (y, moments) = fused::conv_norm_relu(&x, conv, &w, &gain, &shift, 1e-5, true);
        let found = run(y, [&grad(&x), &grad(&w), &grad(&gain), &grad(&shift)]);

        let op = Op::Conv2d {
            weight: "w".into(),
            bias: None,
            stride: [stride; 2],
            padding: [pad; 4],
            dilation: [1; 2],
            groups: 1,
        };
        let z = reference(&op, &x, &[("w", &w, vec![c_out, c_in, kernel, kernel])]);
        let mean = z.clone().mean_dim(3).mean_dim(2).mean_dim(0);
        let centred = z - mean.clone();
        let var = centred.clone().square().mean_dim(3).mean_dim(2).mean_dim(0);
        let spread = |v: &Var<1>| v.clone().reshape([1, c_out, 1, 1]);
        let y = burn_tensor::activation::relu(centred / (var.clone() + 1e-5).sqrt() * spread(&gain) + spread(&shift));
        let expected = run(y, [&grad(&x), &grad(&w), &grad(&gain), &grad(&shift)]);
        same(&format!("{kernel} x {kernel}, stride {stride}"), &found, &expected);

        let m = (n * out * out) as f32;
        let unbiased: Vec<f32> = vec_f32(&var.inner()).iter().map(|v| v * m / (m - 1.0)).collect();
        same("moments", &[moments.mean, moments.var], &[vec_f32(&mean.inner()), unbiased]);
    }
}

#[test]
fn fused_lrn_and_pool_are_burns() {
    let x = random("x", [2, 9, 7, 7]);
    let op = Op::Lrn { size: 5, alpha: 1.0, beta: 0.75, k: 1.0 };
    same("lrn", &run(fused::lrn(&x, 5, 1.0, 1.0), [&grad(&x)]), &run(reference(&op, &x, &[]), [&grad(&x)]));
    for (stride, pad, size) in [(2, 0, 12), (2, 0, 7), (1, 1, 7)] {
        let x = random("x", [2, 3, size, size]);
        let op = Op::MaxPool { kernel: [3; 2], stride: [stride; 2], padding: [pad; 4], ceil: stride == 2 };
        let y = reference(&op, &x, &[]);
        let [_, _, h, w] = y.dims();
        same("pool", &run(fused::pool(&x, [h, w], stride, pad), [&grad(&x)]), &run(y, [&grad(&x)]));
    }
}
