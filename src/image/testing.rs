//! What the tests of this module share.

use crate::rng::stream;
use crate::tensor::{Precision, Var, array_f64, constant, leaf, scalar, tensor_f64};
use ndarray::{Array2, Array4};

/// Normal numbers of a reproducible stream.
pub fn normal(name: &str, shape: (usize, usize)) -> Array2<f64> {
    let mut draws = stream(11, name, 0);
    Array2::from_shape_fn(shape, |_| draws.normal())
}

/// Uniform images.
pub fn uniform_images(name: &str, shape: (usize, usize, usize, usize)) -> Array4<f32> {
    let mut draws = stream(12, name, 0);
    Array4::from_shape_fn(shape, |_| draws.uniform() as f32)
}

/// Compares the gradient of `sum(weights * f(x))` with central differences, 64 bits, at a spread of
/// elements of `x`.
pub fn check_gradient(x: &Array2<f64>, step: f64, tolerance: f64, f: impl Fn(Var<2>) -> Var<4>) {
    let device = Default::default();
    let var = |x: &Array2<f64>| leaf::<2>(tensor_f64(x.view(), Precision::F64, &device));
    let n_out = f(var(x)).dims().iter().product();
    let weights = normal("gradient-weights", (1, n_out));
    let objective = |x: Var<2>| -> Var<1> {
        let w = constant::<2>(tensor_f64(weights.view(), Precision::F64, &device));
        (f(x).reshape([1, n_out]) * w).sum()
    };
    let at = var(x);
    let gradients = objective(at.clone()).backward();
    let gradient = array_f64(&at.grad(&gradients).expect("the leaf is in the expression"));
    let scale = gradient.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    assert!(scale > 0.0, "some gradient flows");
    let stride = (x.len() / 23).max(1);
    for (flat, (index, _)) in x.indexed_iter().enumerate().filter(|(flat, _)| flat % stride == 0) {
        let moved = |by: f64| {
            let mut y = x.clone();
            y[index] += by;
            scalar(&objective(var(&y)).inner())
        };
        let numeric = (moved(step) - moved(-step)) / (2.0 * step);
        let analytic = gradient[[index.0, index.1]];
        let error = (numeric - analytic).abs() / scale;
        assert!(error < tolerance, "element {flat}: analytic {analytic}, numeric {numeric}, scale {scale}");
    }
}
