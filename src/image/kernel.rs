//! One-dimensional resampling and blurring as matrices, with edge samples repeated beyond the ends.
//!
//! Row `i` of a matrix holds the weights of the inputs in output `i`; every row sums to one.

use ndarray::Array2;

/// Linear interpolation of `n` samples at `n` positions:
/// `out[i] = in(c + (i - shift - c) / scale)`, `c = (n - 1) / 2`, both in pixels.
///
/// A positive `shift` moves the content to higher indices; `scale` > 1 magnifies about the centre.
/// When `scale` < 1 the triangle kernel is widened by `1 / scale` (antialiasing). Exact identity
/// for shift 0 and scale 1, an exact roll with repeated edges for whole shifts.
pub fn resample(n: usize, shift: f64, scale: f64) -> Array2<f64> {
    let centre = (n as f64 - 1.0) / 2.0;
    let mut out = Array2::zeros((n, n));
    for i in 0..n {
        let position = centre + (i as f64 - shift - centre) / scale;
        add_triangle(&mut out, i, position, (1.0 / scale).max(1.0));
    }
    out
}

/// Weights of a triangle of half-width `reach` around `position`, normalised, in row `i`; indices
/// beyond the ends count for the end samples.
fn add_triangle(out: &mut Array2<f64>, i: usize, position: f64, reach: f64) {
    let last = out.ncols() as i64 - 1;
    let weight = |k: i64| (1.0 - (k as f64 - position).abs() / reach).max(0.0);
    let (low, high) = ((position - reach).floor() as i64, (position + reach).ceil() as i64);
    let total: f64 = (low..=high).map(weight).sum();
    for k in low..=high {
        out[(i, k.clamp(0, last) as usize)] += weight(k) / total;
    }
}

/// Gaussian blur with standard deviation `sigma` pixels, truncated at 4 sigma:
/// `scipy.ndimage.gaussian_filter1d(mode="nearest")`.
pub fn blur(n: usize, sigma: f64) -> Array2<f64> {
    const TRUNCATE: f64 = 4.0;
    if sigma <= 0.0 {
        return Array2::eye(n);
    }
    let radius = (TRUNCATE * sigma + 0.5) as i64;
    let weights: Vec<f64> = (-radius..=radius).map(|k| (-0.5 * (k as f64 / sigma).powi(2)).exp()).collect();
    let total: f64 = weights.iter().sum();
    let mut out = Array2::zeros((n, n));
    for i in 0..n {
        for (k, weight) in (-radius..=radius).zip(&weights) {
            out[(i, (i as i64 + k).clamp(0, n as i64 - 1) as usize)] += weight / total;
        }
    }
    out
}

/// From `n` to `m` samples by bilinear interpolation, antialiased when shrinking: sample centres at
/// half integers, a triangle of half-width `max(n / m, 1)` cut at the ends and normalised.
///
/// # Source
/// Pillow's and PyTorch's `interpolate(mode="bilinear", antialias=True, align_corners=False)`.
pub fn resize(n: usize, m: usize) -> Array2<f64> {
    let ratio = n as f64 / m as f64;
    let reach = ratio.max(1.0);
    let mut out = Array2::zeros((m, n));
    for (i, mut row) in out.rows_mut().into_iter().enumerate() {
        let position = (i as f64 + 0.5) * ratio - 0.5;
        let mut total = 0.0;
        for (k, slot) in row.iter_mut().enumerate() {
            *slot = (1.0 - (k as f64 - position).abs() / reach).max(0.0);
            total += *slot;
        }
        row.mapv_inplace(|v| v / total);
    }
    out
}

/// Down to `round(fraction n)` samples and back to `n` (both [`resize`]).
pub fn there_and_back(n: usize, fraction: f64) -> Array2<f64> {
    let m = ((n as f64 * fraction).round() as usize).max(1);
    if m == n { Array2::eye(n) } else { resize(m, n).dot(&resize(n, m)) }
}

/// `left right`, for a `left` that is mostly zeros.
pub fn product(left: &Array2<f64>, right: &Array2<f64>) -> Array2<f64> {
    let mut out = Array2::zeros((left.nrows(), right.ncols()));
    for (mut slot, weights) in out.rows_mut().into_iter().zip(left.rows()) {
        for (&weight, row) in weights.iter().zip(right.rows()).filter(|(weight, _)| **weight != 0.0) {
            slot.scaled_add(weight, &row);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_sum_to_one(n in 2usize..40, shift in -6.0..6.0, scale in 0.3..3.0, sigma in 0.0..4.0, fraction in 0.2..1.5) {
            for matrix in [resample(n, shift, scale), blur(n, sigma), there_and_back(n, fraction)] {
                prop_assert_eq!(matrix.dim(), (n, n));
                for row in matrix.rows() {
                    prop_assert!((row.sum() - 1.0).abs() < 1e-12, "{}", row.sum());
                    prop_assert!(row.iter().all(|&v| v >= 0.0));
                }
            }
        }

        #[test]
        fn whole_shifts_roll_and_repeat_the_edge(n in 2usize..30, shift in -5i64..6) {
            let matrix = resample(n, shift as f64, 1.0);
            for ((i, k), v) in matrix.indexed_iter() {
                let from = (i as i64 - shift).clamp(0, n as i64 - 1) as usize;
                prop_assert_eq!(*v, f64::from(u8::from(k == from)));
            }
        }
    }

    #[test]
    fn a_product_of_sparse_matrices_is_their_product() {
        let (a, b) = (blur(13, 1.1), resample(13, 0.4, 0.9));
        let worst = (product(&a, &b) - a.dot(&b)).iter().fold(0.0f64, |m, d| m.max(d.abs()));
        assert!(worst < 1e-15, "{worst}");
    }

    #[test]
    fn nothing_to_do_is_the_exact_identity() {
        assert_eq!(resample(9, 0.0, 1.0), Array2::<f64>::eye(9));
        assert_eq!(blur(9, 0.0), Array2::<f64>::eye(9));
        assert_eq!(there_and_back(9, 1.0), Array2::<f64>::eye(9));
    }
}
