//! Representational similarity matrices of many layers at once, differentiable, from raw moments.

use crate::tensor::{Precision, Tensor, Var, constant, tensor_f64};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

/// First-order similarity of two activation patterns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PatternSimilarity {
    /// Correlation over units.
    #[default]
    Pearson,
    /// Cosine of the raw patterns.
    Cosine,
    /// `exp(-d^2 / m)`: d the Euclidean distance, m the layer's mean squared distance over pairs.
    EuclideanKernel,
}

impl PatternSimilarity {
    /// Its name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pearson => "pearson",
            Self::Cosine => "cosine",
            Self::EuclideanKernel => "euclidean-kernel",
        }
    }
}

/// RSMs of L layers for N images.
#[derive(Debug, Clone)]
pub struct Rsms {
    /// L x N x N.
    pub matrices: Var<3>,
    /// 1 above the diagonal, else 0: 1 x N x N.
    pub upper: Tensor<3>,
    /// N (N - 1) / 2.
    pub n_pairs: usize,
}

/// Keeps a dead pattern's RSM finite; relative to the layer's mean variance, so that it has no
/// unit.
const DEAD: f64 = 1e-12;

/// RSMs from raw moments, all layers in one batch.
///
/// With `c[i,j] = gram[i,j] / D - (sums[i] / D) (sums[j] / D)`: Pearson
/// `c[i,j] / sqrt(c[i,i] c[j,j])`; cosine the same with `gram`; Euclidean kernel from
/// `d^2[i,j] = gram[i,i] + gram[j,j] - 2 gram[i,j]`.
///
/// # Shapes
/// `grams` L x N x N, `sums` L x N, `n_units` L.
pub fn first_order(grams: Var<3>, sums: Var<2>, n_units: &[usize], measure: PatternSimilarity) -> Rsms {
    let [n_layers, n, _] = grams.dims();
    let width = crate::tensor::precision(&grams.clone().inner());
    let device = grams.device();
    let per_unit = ndarray::Array3::from_shape_fn((n_layers, 1, 1), |(l, _, _)| 1.0 / n_units[l] as f64);
    let per_unit = constant(tensor_f64::<3, _>(per_unit.view(), width, &device));
    let second = grams * per_unit.clone();
    let mean = sums.reshape([n_layers, n, 1]) * per_unit;
    let matrices = match measure {
        PatternSimilarity::Pearson => {
            let covariance = second - mean.clone().matmul(mean.transpose());
            normalised(covariance, width)
        }
        PatternSimilarity::Cosine => normalised(second, width),
        PatternSimilarity::EuclideanKernel => kernel(second, width),
    };
    Rsms { matrices, upper: upper(n, width, &device), n_pairs: n * (n - 1) / 2 }
}

/// `m[i,j] / sqrt(m[i,i] m[j,j])` per layer.
fn normalised(m: Var<3>, width: Precision) -> Var<3> {
    let [_, n, _] = m.dims();
    let diagonal = diagonal(m.clone(), width); // L x N x 1
    let floor = diagonal.clone().mean_dim(1).mul_scalar(DEAD).add_scalar(f64::from(f32::MIN_POSITIVE));
    let scale = (diagonal + floor).sqrt().recip();
    debug_assert_eq!(scale.dims()[1], n);
    m * scale.clone() * scale.transpose()
}

fn kernel(second: Var<3>, width: Precision) -> Var<3> {
    let [_, n, _] = second.dims();
    let d = diagonal(second.clone(), width);
    let squared = d.clone() + d.transpose() - second.mul_scalar(2.0);
    let n_ordered = (n * (n - 1)) as f64;
    let mean = squared.clone().sum_dim(2).sum_dim(1).div_scalar(n_ordered);
    (squared / mean.add_scalar(f64::from(f32::MIN_POSITIVE))).neg().exp()
}

fn diagonal(m: Var<3>, width: Precision) -> Var<3> {
    let [_, n, _] = m.dims();
    let eye = Array2::<f64>::eye(n).into_shape_with_order((1, n, n)).expect("n x n is 1 x n x n");
    let eye = constant(tensor_f64::<3, _>(eye.view(), width, &m.device()));
    (m * eye).sum_dim(2)
}

fn upper(n: usize, width: Precision, device: &crate::tensor::Device) -> Tensor<3> {
    let mask = ndarray::Array3::from_shape_fn((1, n, n), |(_, i, j)| f64::from(u8::from(j > i)));
    tensor_f64(mask.view(), width, device)
}

/// Second-order Pearson correlations between the layers' condensed RSMs, and each RSM's standard
/// deviation.
///
/// # Shapes
/// Returns L x L (ones on the diagonal up to rounding) and L.
pub fn second_order(rsms: &Rsms) -> (Var<2>, Var<1>) {
    let [n_layers, n, _] = rsms.matrices.dims();
    let p = rsms.n_pairs as f64;
    let mask = constant(rsms.upper.clone());
    let masked = rsms.matrices.clone() * mask.clone();
    let mean = masked.clone().sum_dim(2).sum_dim(1).div_scalar(p);
    let centred = (masked - mean) * mask;
    let rows = centred.reshape([n_layers, n * n]);
    let squares = rows.clone().square().sum_dim(1);
    let sd = squares.clone().div_scalar(p).add_scalar(f64::from(f32::MIN_POSITIVE)).sqrt().reshape([n_layers]);
    let unit = rows / squares.add_scalar(f64::from(f32::MIN_POSITIVE)).sqrt();
    (unit.clone().matmul(unit.transpose()), sd)
}
