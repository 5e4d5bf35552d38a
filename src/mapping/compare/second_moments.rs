//! The space of the whitened comparisons: second-moment matrices.

use crate::math::condensed;

/// |G|_F of the second-moment matrix G = -H D H / 2 of an RDM D, H = 1 - 11'/n:
/// |G|^2 = (|D|^2 - 2/n |D 1|^2 + (1' D 1)^2 / n^2) / 4.
///
/// # Source
/// Diedrichsen, Berlot, Mur, Schuett, Shahbazi, Kriegeskorte, Comparing representational geometries
/// using whitened unbiased-distance-matrix similarity, Neurons Behav. Data Anal. Theory 5 (2021):
/// for a noise covariance that is the identity, whitening the RDM is comparing second moments
/// (linear CKA).
pub(super) fn norm(d: &[f32], n: usize, rows: &mut [f64]) -> f64 {
    rows.fill(0.0);
    let mut squares = 0.0;
    for ((i, j), &d) in condensed::pairs(n).zip(d) {
        let d = f64::from(d);
        rows[i] += d;
        rows[j] += d;
        squares += d * d;
    }
    let total: f64 = rows.iter().sum();
    let of_rows: f64 = rows.iter().map(|r| r * r).sum();
    let n = n as f64;
    ((2.0 * squares - 2.0 / n * of_rows + total * total / (n * n)) / 4.0).max(0.0).sqrt()
}

/// The vector w with <G(b), G(v)>_F = b.w for every RDM b: w_ij = (H V H)_ij / 2.
pub(super) fn dual(v: &[f64], n: usize) -> Vec<f64> {
    let mut rows = vec![0.0; n];
    for ((i, j), d) in condensed::pairs(n).zip(v) {
        rows[i] += d;
        rows[j] += d;
    }
    let total: f64 = rows.iter().sum();
    let n_f = n as f64;
    condensed::pairs(n).zip(v).map(|((i, j), d)| (d - (rows[i] + rows[j]) / n_f + total / (n_f * n_f)) / 2.0).collect()
}

/// <G(a), G(b)>_F of two RDMs' second-moment matrices.
pub(super) fn dot(a: &[f32], b: &[f32], n: usize) -> f64 {
    let wide: Vec<f64> = b.iter().map(|&v| f64::from(v)).collect();
    dual(&wide, n).iter().zip(a).map(|(w, &a)| w * f64::from(a)).sum()
}
