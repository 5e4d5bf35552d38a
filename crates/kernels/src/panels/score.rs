//! Predictions that are scored where they arise.

use super::tile::{BLOCK, STRIDE, Tile, tile, wide};
use super::{Predictions, ROWS, Sums, WIDTH};
use crate::simd::{Body, Simd};
use std::marker::PhantomData;

/// Sums over the rows of a group for every penalty and one vector of targets.
struct Group<'a, S: Simd> {
    /// Products of the group with each matrix of the basis.
    products: &'a [Tile],
    coefficients: &'a [f32],
    /// What is predicted: rows of a panel.
    y: &'a [f32],
    rows: usize,
    /// First number of the vector in a row of the products, and in one of y.
    at: (usize, usize),
    which: Sums,
    /// (penalties) x (sums) x (targets of all panels), from the vector's first target on.
    sums: &'a mut [f64],
    n_targets: usize,
    of: PhantomData<S>,
}

impl<S: Simd<T = f32>> Body for Group<'_, S> {
    type Out = ();
    #[inline(always)]
    fn call(self) {
        let n_basis = self.products.len();
        let per_sum = self.n_targets;
        let mut lanes = [0.0f32; WIDTH];
        for (alpha, coefficients) in self.coefficients.chunks_exact(n_basis).enumerate() {
            // SAFETY: `at` leaves a whole vector in a tile's and in a panel's row.
            let sums = unsafe {
                let mut sums = [S::splat(0.0); 3];
                for r in 0..self.rows {
                    let mut p = S::splat(0.0);
                    for (c, products) in coefficients.iter().zip(self.products) {
                        p = S::fma(S::splat(*c), S::load(products.as_ptr().add(r * STRIDE + self.at.0)), p);
                    }
                    let y = S::load(self.y.as_ptr().add(r * WIDTH + self.at.1));
                    match self.which {
                        Sums::Error => {
                            let error = S::fma(p, S::splat(-1.0), y);
                            sums[0] = S::fma(error, error, sums[0]);
                        }
                        Sums::Correlation => {
                            sums[0] = S::add(sums[0], p);
                            sums[1] = S::fma(p, p, sums[1]);
                            sums[2] = S::fma(p, y, sums[2]);
                        }
                    }
                }
                sums
            };
            for (s, sum) in sums.into_iter().take(self.which.count()).enumerate() {
                // SAFETY: LANES <= WIDTH.
                unsafe { S::store(lanes.as_mut_ptr(), sum) };
                let to = &mut self.sums[(alpha * self.which.count() + s) * per_sum..][..S::LANES];
                for (to, &lane) in to.iter_mut().zip(&lanes) {
                    *to += f64::from(lane);
                }
            }
        }
    }
}

pub(super) unsafe fn score<S: Simd<T = f32>>(
    sums: &mut [f64],
    predictions: &Predictions<'_>,
    targets: &[f32],
    y: &[f32],
    which: Sums,
) {
    let (n_rows, n_k) = (predictions.n_rows, predictions.n_k);
    let n_panels = targets.len() / (n_k * WIDTH);
    let mut products = vec![[0.0; ROWS * STRIDE]; predictions.n_basis()];
    for first in (0..n_rows).step_by(ROWS) {
        let rows = ROWS.min(n_rows - first);
        let mut p = 0;
        while p < n_panels {
            let panels = wide::<S>().min(n_panels - p);
            for start in (0..n_k).step_by(BLOCK) {
                let b = targets[(p * n_k + start) * WIDTH..].as_ptr();
                let len = BLOCK.min(n_k - start);
                for (matrix, products) in predictions.basis.chunks_exact(predictions.matrix()).zip(&mut products) {
                    let a = matrix[(first / ROWS * n_k + start) * ROWS..].as_ptr();
                    // SAFETY: `len` lines from `start` on are in the group and in each of the
                    // panels.
                    unsafe { tile::<S>(products, a, b, n_k * WIDTH, len, panels, start > 0) }
                }
            }
            for v in (0..panels * WIDTH).step_by(S::LANES) {
                let panel = p + v / WIDTH;
                S::vectorize(Group::<S> {
                    products: &products,
                    coefficients: predictions.coefficients,
                    y: &y[(panel * n_rows + first) * WIDTH..][..rows * WIDTH],
                    rows,
                    at: (v, v % WIDTH),
                    which,
                    sums: &mut sums[p * WIDTH + v..],
                    n_targets: n_panels * WIDTH,
                    of: PhantomData,
                });
            }
            p += panels;
        }
    }
}
