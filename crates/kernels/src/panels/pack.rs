//! Into panels.

use super::{ROWS, WIDTH, padded};
use crate::dense::fast;
use crate::simd::Body;

/// Packs a row-major matrix of `n_k` columns for the left side.
///
/// # Panics
/// When the matrix does not have whole rows.
pub fn pack_left(matrix: &[f32], n_k: usize) -> Vec<f32> {
    assert!(n_k > 0 && matrix.len().is_multiple_of(n_k));
    let n_rows = matrix.len() / n_k;
    let mut packed = vec![0.0; n_rows.div_ceil(ROWS) * ROWS * n_k];
    for (group, rows) in packed.chunks_exact_mut(ROWS * n_k).zip(matrix.chunks(ROWS * n_k)) {
        for (r, row) in rows.chunks_exact(n_k).enumerate() {
            for (k, &value) in row.iter().enumerate() {
                group[k * ROWS + r] = value;
            }
        }
    }
    packed
}

struct Means<'a> {
    y: &'a [f32],
    stride: usize,
    rows: &'a [usize],
    start: usize,
    means: &'a mut [f64],
}

impl Body for Means<'_> {
    type Out = ();
    #[inline(always)]
    fn call(self) {
        self.means.fill(0.0);
        for &row in self.rows {
            let line = &self.y[row * self.stride + self.start..][..self.means.len()];
            for (sum, &value) in self.means.iter_mut().zip(line) {
                *sum += f64::from(value);
            }
        }
        let n = self.rows.len() as f64;
        self.means.iter_mut().for_each(|sum| *sum /= n);
    }
}

/// Means over some rows of `n` columns from `start` on of a row-major matrix, in 64 bits.
///
/// # Panics
/// When a row or a column does not exist.
pub fn column_means(y: &[f32], stride: usize, rows: &[usize], start: usize, n: usize) -> Vec<f64> {
    assert!(start + n <= stride);
    let mut means = vec![0.0; n];
    fast(Means { y, stride, rows, start, means: &mut means });
    means
}

struct Pack<'a> {
    out: &'a mut [f32],
    y: &'a [f32],
    stride: usize,
    rows: &'a [usize],
    start: usize,
    means: &'a [f64],
}

impl Body for Pack<'_> {
    type Out = ();
    #[inline(always)]
    fn call(self) {
        let (n, n_k) = (self.means.len(), self.rows.len());
        for (p, panel) in self.out.chunks_exact_mut(n_k * WIDTH).enumerate() {
            let first = p * WIDTH;
            let width = WIDTH.min(n - first);
            let means = &self.means[first..first + width];
            for (&row, line) in self.rows.iter().zip(panel.chunks_exact_mut(WIDTH)) {
                let values = &self.y[row * self.stride + self.start + first..][..width];
                for t in 0..width {
                    line[t] = (f64::from(values[t]) - means[t]) as f32;
                }
                line[width..].fill(0.0);
            }
        }
    }
}

/// Some rows of the columns from `start` on of a row-major matrix as panels, `means` taken off.
///
/// # Panics
/// When a row or a column does not exist, or `out` has another size.
pub fn pack_targets(out: &mut [f32], y: &[f32], stride: usize, rows: &[usize], start: usize, means: &[f64]) {
    assert!(start + means.len() <= stride && out.len() == padded(means.len()) * rows.len());
    if !rows.is_empty() {
        fast(Pack { out, y, stride, rows, start, means });
    }
}

struct Unpack<'a> {
    out: &'a mut [f32],
    stride: usize,
    panels: &'a [f32],
    n_rows: usize,
    n: usize,
}

impl Body for Unpack<'_> {
    type Out = ();
    #[inline(always)]
    fn call(self) {
        for (p, panel) in self.panels.chunks_exact(self.n_rows * WIDTH).enumerate() {
            let first = p * WIDTH;
            let width = WIDTH.min(self.n - first);
            for (row, line) in panel.chunks_exact(WIDTH).enumerate() {
                self.out[row * self.stride + first..][..width].copy_from_slice(&line[..width]);
            }
        }
    }
}

/// Panels of `n` targets back to a row-major matrix whose rows are `stride` numbers apart.
///
/// # Panics
/// When the panels are not those of `n` targets, or `out` is too small.
pub fn unpack(out: &mut [f32], stride: usize, panels: &[f32], n_rows: usize, n: usize) {
    assert!(n <= stride && panels.len() == padded(n) * n_rows);
    if n_rows > 0 {
        fast(Unpack { out, stride, panels, n_rows, n });
    }
}
