//! Weights as the kernels read them: rows of whole groups of channels.

use super::padded;

/// `rows` rows of `columns` numbers and zeros behind them; `at` says where each stands in
/// `weights`.
pub fn pack(weights: &[f32], rows: usize, columns: usize, at: impl Fn(usize, usize) -> usize) -> Vec<f32> {
    let width = padded(columns);
    let mut out = vec![0.0; rows * width];
    for (r, row) in out.chunks_exact_mut(width).enumerate() {
        for (c, v) in row[..columns].iter_mut().enumerate() {
            *v = weights[at(r, c)];
        }
    }
    out
}

/// What [`pack`] packed, back in its order.
pub fn unpack(packed: &[f32], columns: usize, at: impl Fn(usize, usize) -> usize) -> Vec<f32> {
    let width = padded(columns);
    let mut out = vec![0.0; packed.len() / width * columns];
    for (r, row) in packed.chunks_exact(width).enumerate() {
        for (c, &v) in row[..columns].iter().enumerate() {
            out[at(r, c)] = v;
        }
    }
    out
}

/// Adds the parts of groups of images, in order.
pub fn total(parts: impl IntoIterator<Item = Vec<f32>>) -> Vec<f32> {
    let mut parts = parts.into_iter();
    let mut sum = parts.next().unwrap_or_default();
    for part in parts {
        sum.iter_mut().zip(&part).for_each(|(a, b)| *a += b);
    }
    sum
}
