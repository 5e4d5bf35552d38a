//! Products of a matrix with very many columns (targets: voxels or neurons), kept or scored at once.
//!
//! Both sides are packed. A matrix on the left lies in groups of [`ROWS`] rows: element `(i, k)` of
//! `n_k` columns is at `(i / ROWS * n_k + k) * ROWS + i % ROWS`. Targets lie in panels of [`WIDTH`]:
//! element `(k, t)` of `n_k` rows is at `(t / WIDTH * n_k + k) * WIDTH + t % WIDTH`, so that a panel
//! is read from front to back, one cache line a row. What is beyond the last row or target is zero.
//!
//! A sum over `k` has the same order wherever a target stands: results do not depend on how targets
//! are cut into blocks.

mod pack;
mod score;
#[cfg(test)]
mod tests;
mod tile;

pub use pack::{column_means, pack_left, pack_targets, unpack};

use crate::simd::Simd;

/// Targets of a panel: one line of the cache.
pub const WIDTH: usize = 16;

/// Rows of a group.
pub const ROWS: usize = 8;

/// Targets with the padding that panels need.
pub const fn padded(n: usize) -> usize {
    n.div_ceil(WIDTH) * WIDTH
}

/// What is summed over the rows of a prediction p and of the targets y.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sums {
    /// `(y - p)^2`.
    Error,
    /// `p`, `p^2` and `p y`.
    Correlation,
}

impl Sums {
    /// Sums a prediction has.
    pub const fn count(self) -> usize {
        match self {
            Self::Error => 1,
            Self::Correlation => 3,
        }
    }
}

/// Predictions `p_a = sum_j c_aj M_j y`, one matrix M_j for a basis of what the penalties a have in
/// common.
pub struct Predictions<'a> {
    /// The M_j (`n_rows` x `n_k` each), packed on the left one after the other.
    pub basis: &'a [f32],
    /// c, (penalties) x (matrices), row by row.
    pub coefficients: &'a [f32],
    /// Rows of every M_j.
    pub n_rows: usize,
    /// Columns of every M_j.
    pub n_k: usize,
}

impl Predictions<'_> {
    /// Numbers of one packed matrix.
    fn matrix(&self) -> usize {
        self.n_rows.div_ceil(ROWS) * ROWS * self.n_k
    }

    fn n_basis(&self) -> usize {
        self.basis.len() / self.matrix()
    }

    fn n_alphas(&self) -> usize {
        self.coefficients.len() / self.n_basis()
    }
}

type ProductFn = unsafe fn(&mut [f32], &[f32], &[f32], usize, usize);
type ScoreFn = unsafe fn(&mut [f64], &Predictions<'_>, &[f32], &[f32], Sums);

/// The functions of one instruction set; the choice is [`crate::isa::chosen`]'s.
#[derive(Clone, Copy)]
pub struct Kernels {
    /// `avx512`, `avx2`, `neon` or `portable`.
    pub name: &'static str,
    product: ProductFn,
    score: ScoreFn,
}

fn table<S: Simd<T = f32>>(name: &'static str) -> Kernels {
    Kernels { name, product: tile::product::<S>, score: score::score::<S> }
}

impl Kernels {
    crate::isa::choice!(table);

    /// `out = left targets`: `n_rows` x `n_k` times `n_k` x targets, in panels like the targets, so
    /// that it can be what the next product is made with.
    ///
    /// # Panics
    /// When `left` does not hold the groups of `n_rows` rows, `targets` no whole panels of `n_k`
    /// rows, or `out` not as many of `n_rows`.
    pub fn product(&self, out: &mut [f32], left: &[f32], targets: &[f32], n_rows: usize, n_k: usize) {
        let n_panels = panels(targets, n_k);
        assert_eq!(left.len(), n_rows.div_ceil(ROWS) * ROWS * n_k, "groups of rows");
        assert_eq!(out.len(), n_panels * n_rows * WIDTH, "panels of products");
        // SAFETY: the table holds only functions of sets that the machine has; the sizes fit.
        unsafe { (self.product)(out, left, targets, n_rows, n_k) }
    }

    /// Adds to `sums` what [`Sums`] says of every prediction and target; predictions are not kept.
    ///
    /// Rows are summed in 32 bits by groups of [`ROWS`], groups in 64.
    ///
    /// # Shapes
    /// `targets`: panels of `n_k` rows; `y`: as many panels of `n_rows` rows; `sums`: penalties x
    /// [`Sums::count`] x targets of all panels.
    ///
    /// # Panics
    /// When the sizes do not fit, or nothing is predicted.
    pub fn score(&self, sums: &mut [f64], predictions: &Predictions<'_>, targets: &[f32], y: &[f32], which: Sums) {
        let n_panels = panels(targets, predictions.n_k);
        let matrix = predictions.matrix();
        assert!(matrix > 0 && !predictions.basis.is_empty() && predictions.basis.len().is_multiple_of(matrix));
        assert!(predictions.coefficients.len().is_multiple_of(predictions.n_basis()));
        assert_eq!(y.len(), n_panels * predictions.n_rows * WIDTH, "panels of what is predicted");
        assert_eq!(sums.len(), predictions.n_alphas() * which.count() * n_panels * WIDTH, "sums");
        // SAFETY: as in `product`.
        unsafe { (self.score)(sums, predictions, targets, y, which) }
    }
}

fn panels(targets: &[f32], n_k: usize) -> usize {
    assert!(n_k > 0 && targets.len().is_multiple_of(n_k * WIDTH), "whole panels of {n_k} rows");
    targets.len() / (n_k * WIDTH)
}
