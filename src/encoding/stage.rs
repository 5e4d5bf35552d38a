//! Predictions of every fold at some penalties, as matrices that meet targets once.

use crate::encoding::spectrum::Spectrum;
use crate::error::Result;
use crate::math::linalg;
use ndarray::{Array2, ArrayView2};
use orthoscope_kernels::panels::{self, Kernels, Predictions, WIDTH, padded};
use std::borrow::Cow;

/// Directions in which predictions at different penalties differ by less than this share of the
/// largest are left out: the rounding of 32-bit predictions.
pub(super) const TOLERANCE: f64 = 2e-7;

/// The predictions of a fold's test rows at some penalties.
///
/// They are `left diag(1 / (values + alpha)) right y`: as functions of the eigenvalue, the
/// 1 / (values + alpha) of a grid of penalties are nearly combinations of fewer functions b_j, so
/// that fewer matrices `M_j = left diag(b_j) right` than penalties meet the targets.
pub(super) struct FoldStage {
    basis: Vec<f32>,
    coefficients: Vec<f32>,
    n_test: usize,
    n_inner: usize,
    /// `right`, packed, and its rows, where it is cheaper to go to the spectrum first.
    right: Option<Vec<f32>>,
}

/// b (j x k) and c (penalties x j) with 1 / (values + alpha) = c b, to [`TOLERANCE`] of each row's
/// length when directions are weighted by how much they move predictions.
fn functions(spectrum: &Spectrum, alphas: &[f64]) -> Result<(Array2<f64>, Array2<f64>)> {
    let length = |lane: ndarray::ArrayView1<'_, f64>| lane.dot(&lane).sqrt();
    let weights: Vec<f64> =
        spectrum.left.columns().into_iter().zip(spectrum.right.rows()).map(|(l, r)| length(l) * length(r)).collect();
    let mut f =
        Array2::from_shape_fn((alphas.len(), weights.len()), |(a, i)| weights[i] / (spectrum.values[i] + alphas[a]));
    let lengths: Vec<f64> = f.rows().into_iter().map(|row| length(row).max(f64::MIN_POSITIVE)).collect();
    for (mut row, length) in f.rows_mut().into_iter().zip(&lengths) {
        row /= *length;
    }
    let found = linalg::svd(f.view())?;
    let kept = found.s.iter().take_while(|&&s| s > TOLERANCE * found.s[0]).count().max(1);
    let b = Array2::from_shape_fn((kept, weights.len()), |(j, i)| {
        if weights[i] > 0.0 { found.vt[(j, i)] / weights[i] } else { 0.0 }
    });
    let c = Array2::from_shape_fn((alphas.len(), kept), |(a, j)| found.u[(a, j)] * found.s[j] * lengths[a]);
    Ok((b, c))
}

impl FoldStage {
    /// # Errors
    /// A spectrum that is not finite.
    pub fn new(spectrum: &Spectrum, alphas: &[f64], kernels: &Kernels) -> Result<Self> {
        let (b, c) = functions(spectrum, alphas)?;
        let (n_test, k, n_train) = (spectrum.left.nrows(), spectrum.values.len(), spectrum.right.ncols());
        let folded = b.nrows() * n_test * n_train;
        let factored = k * (n_train + b.nrows() * n_test);
        let direct = folded <= factored;
        let mut basis = Vec::new();
        let right = spectrum.right.mapv(|v| v as f32);
        let right_panels = if direct { packed(&right) } else { Vec::new() };
        for function in b.rows() {
            let scaled = (&spectrum.left * &function).mapv(|v| v as f32);
            let left = panels::pack_left(&values(scaled.view()), k);
            if direct {
                let mut out = vec![0.0; padded(n_train) * n_test];
                kernels.product(&mut out, &left, &right_panels, n_test, k);
                let mut matrix = vec![0.0; n_test * n_train];
                panels::unpack(&mut matrix, n_train, &out, n_test, n_train);
                basis.extend(panels::pack_left(&matrix, n_train));
            } else {
                basis.extend(left);
            }
        }
        Ok(Self {
            basis,
            coefficients: c.iter().map(|&v| v as f32).collect(),
            n_test,
            n_inner: if direct { n_train } else { k },
            right: (!direct).then(|| panels::pack_left(&values(right.view()), n_train)),
        })
    }

    /// Predictions that are `sum_j coefficients_j lefts_j right`, targets meeting `right` first.
    ///
    /// # Shapes
    /// `lefts`: each test rows x k; `coefficients`: penalties x j; `right`: k x training rows.
    pub fn factored(lefts: impl Iterator<Item = Array2<f32>>, coefficients: &Array2<f64>, right: &Array2<f32>) -> Self {
        let (n_inner, n_train) = right.dim();
        let (mut basis, mut n_test) = (Vec::new(), 0);
        for left in lefts {
            n_test = left.nrows();
            basis.extend(panels::pack_left(&values(left.view()), n_inner));
        }
        Self {
            basis,
            coefficients: coefficients.iter().map(|&v| v as f32).collect(),
            n_test,
            n_inner,
            right: Some(panels::pack_left(&values(right.view()), n_train)),
        }
    }

    /// Adds to sums over the test rows, for panels of training and of test targets.
    pub fn score(&self, sums: &mut [f64], train: &[f32], test: &[f32], which: panels::Sums, kernels: &Kernels) {
        let predictions = Predictions {
            basis: &self.basis,
            coefficients: &self.coefficients,
            n_rows: self.n_test,
            n_k: self.n_inner,
        };
        let Some(right) = &self.right else {
            return kernels.score(sums, &predictions, train, test, which);
        };
        let n_panels = test.len() / (self.n_test * WIDTH);
        let n_train = train.len() / (n_panels * WIDTH);
        let mut inner = vec![0.0; n_panels * WIDTH * self.n_inner];
        kernels.product(&mut inner, right, train, self.n_inner, n_train);
        kernels.score(sums, &predictions, &inner, test, which);
    }

    /// Bytes of the matrices of a fold with so many test and training rows and directions, for at
    /// most so many penalties.
    pub fn bytes(n_test: usize, n_train: usize, k: usize, n_alphas: usize) -> usize {
        let folded = n_alphas * n_test * n_train;
        folded.min(k * (n_train + n_alphas * n_test)) * size_of::<f32>()
    }
}

/// A matrix' columns as panels.
pub(super) fn packed(matrix: &Array2<f32>) -> Vec<f32> {
    let (n_rows, n) = matrix.dim();
    let mut out = vec![0.0; padded(n) * n_rows];
    let rows: Vec<usize> = (0..n_rows).collect();
    panels::pack_targets(&mut out, &values(matrix.view()), n, &rows, 0, &vec![0.0; n]);
    out
}

/// Row by row, whatever the order in memory.
pub(super) fn values(matrix: ArrayView2<'_, f32>) -> Cow<'_, [f32]> {
    match matrix.to_slice() {
        Some(slice) => Cow::Borrowed(slice),
        None => Cow::Owned(matrix.iter().copied().collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::spectrum::{Source, kernel};
    use crate::rng;

    #[test]
    fn few_functions_make_all_penalties() {
        let mut stream = rng::stream(2, "features", 0);
        let x = Array2::from_shape_simple_fn((60, 200), || stream.normal() as f32);
        let (train, test): (Vec<usize>, Vec<usize>) = ((0..48).collect(), (48..60).collect());
        let fold = Source::Kernel(kernel(x.view())).fold(&train, &test, true).unwrap();
        let alphas: Vec<f64> = (0..20).map(|i| 10f64.powf(-2.0 + 0.4 * f64::from(i))).collect();
        let (b, c) = functions(&fold, &alphas).unwrap();
        assert!(b.nrows() < 14, "{} functions", b.nrows());
        let found = c.dot(&b);
        for (a, alpha) in alphas.iter().enumerate() {
            // What a direction moves predictions by, against the largest such move.
            let moved = |i: usize, f: f64| fold.left.column(i).dot(&fold.left.column(i)).sqrt() * f;
            let largest = (0..48).map(|i| moved(i, 1.0 / (fold.values[i] + alpha))).fold(0.0, f64::max);
            for i in 0..48 {
                let error = moved(i, (found[(a, i)] - 1.0 / (fold.values[i] + alpha)).abs());
                assert!(error < 2e-6 * largest, "{alpha} {i}: {error} of {largest}");
            }
        }
    }
}
