//! Scalar penalties on the off-diagonal of the second-order matrix.

use crate::math::linalg::Cholesky;
use crate::tensor::{self, Tensor, Var, array_f64, constant, tensor_f64};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

/// How L (L - 1) / 2 correlations become one number to be made small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Penalty {
    /// `2 / (L (L-1)) sum_{l<m} (R[l,m] - T[l,m])^2`.
    #[default]
    MeanSquare,
    /// `2 / (L (L-1)) sum_{l<m} |R[l,m] - T[l,m]|`.
    MeanAbs,
    /// Smooth maximum of `|R - T|`: `log(mean exp(s |R - T|)) / s`, s = 30.
    LogSumExp,
    /// `-log det(R + e I) / L`, e = 1e-3: zero only when the layers are orthogonal. Takes no
    /// target.
    LogDet,
}

impl Penalty {
    /// In words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::MeanSquare => "mean R^2",
            Self::MeanAbs => "mean |R|",
            Self::LogSumExp => "smooth maximum of |R|",
            Self::LogDet => "-log det R",
        }
    }
}

/// At 30, the smooth maximum of 66 correlations of which one is 0.3 and the rest 0 lies at 0.17.
pub const SHARPNESS: f64 = 30.0;
/// Keeps the determinant positive when two layers agree fully.
pub const RIDGE: f64 = 1e-3;
/// Rounds the corner of |R| at 0, where it has no derivative.
const CORNER: f64 = 1e-12;

/// The penalty of a second-order matrix `r` (L x L), against `target` (L x L, zero when `None`).
///
/// L must be at least 2; the diagonal is ignored.
pub fn second_order_value(r: Var<2>, penalty: Penalty, target: Option<&Array2<f64>>) -> Var<1> {
    let [n_layers, _] = r.dims();
    let width = tensor::precision(&r.clone().inner());
    let device = r.device();
    if penalty == Penalty::LogDet {
        return log_det_penalty(r);
    }
    let n_pairs = (n_layers * (n_layers - 1) / 2) as f64;
    let mask = Array2::from_shape_fn((n_layers, n_layers), |(l, m)| f64::from(u8::from(m > l)));
    let mask: Tensor<2> = tensor_f64(mask.view(), width, &device);
    let off = match target {
        Some(t) => r - constant(tensor_f64::<2, _>(t.view(), width, &device)),
        None => r,
    };
    let mask = constant(mask);
    let size = |off: Var<2>| off.square().add_scalar(CORNER).sqrt();
    match penalty {
        Penalty::MeanSquare => (off.square() * mask).sum().div_scalar(n_pairs),
        Penalty::MeanAbs => (size(off) * mask).sum().div_scalar(n_pairs),
        _ => {
            let grown = size(off).mul_scalar(SHARPNESS).exp() * mask;
            grown.sum().div_scalar(n_pairs).log().div_scalar(SHARPNESS)
        }
    }
}

/// `-log det(R + e I) / L`, with the gradient `-(R + e I)^-1 / L`.
///
/// Burn has no factorisation: the value and the inverse come from a Cholesky factor outside the
/// recorded expression, and enter as `<R, inverse> + constant`, which has the right value and
/// gradient at this R (and only there).
fn log_det_penalty(r: Var<2>) -> Var<1> {
    let width = tensor::precision(&r.clone().inner());
    let device = r.device();
    let [n_layers, _] = r.dims();
    let values = array_f64(&r.clone().inner()).into_dimensionality::<ndarray::Ix2>().expect("R has two axes");
    let ridged = values.clone() + Array2::<f64>::eye(n_layers) * RIDGE;
    let Some(factor) = Cholesky::new(ridged.view()) else {
        // Rounding made R indefinite: fall back to the convex part of the same goal, the mean
        // square.
        return second_order_value(r, Penalty::MeanSquare, None);
    };
    let (log_det, inverse) = (factor.log_det(), factor.inverse());
    let scale = -1.0 / n_layers as f64;
    let linear = (r * constant(tensor_f64::<2, _>(inverse.view(), width, &device))).sum().mul_scalar(scale);
    let at_r = (&values * &inverse).sum();
    linear.add_scalar(scale * (log_det - at_r))
}
