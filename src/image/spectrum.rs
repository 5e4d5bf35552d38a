//! Discrete Fourier transforms of planes of any size.

use ndarray::{Array2, Axis};
use rustfft::{FftPlanner, num_complex::Complex64};

/// Two-dimensional DFT of a real plane, orthonormal:
/// `F[u, v] = (hw)^(-1/2) sum_yx x[y, x] exp(-2 pi i (u y / h + v x / w))`.
pub fn fft2(plane: &Array2<f64>) -> Array2<Complex64> {
    let (h, w) = plane.dim();
    let mut planner = FftPlanner::new();
    let mut out = plane.mapv(|v| Complex64::new(v, 0.0));
    let along_rows = planner.plan_fft_forward(w);
    for mut row in out.axis_iter_mut(Axis(0)) {
        along_rows.process(row.as_slice_mut().expect("rows of an owned row-major array are contiguous"));
    }
    let along_columns = planner.plan_fft_forward(h);
    for mut column in out.axis_iter_mut(Axis(1)) {
        let mut values = column.to_vec();
        along_columns.process(&mut values);
        column.iter_mut().zip(values).for_each(|(slot, v)| *slot = v);
    }
    let norm = 1.0 / ((h * w) as f64).sqrt();
    out.mapv_inplace(|v| v * norm);
    out
}

/// Signed integer frequency of DFT bin `k` of `n` (numpy's `fftfreq(n) * n`): 0, 1, ..., -2, -1; the Nyquist bin of an even `n` is `-n/2`.
pub fn signed_frequency(k: usize, n: usize) -> i64 {
    if k < n.div_ceil(2) { k as i64 } else { k as i64 - n as i64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cosine_has_two_bins() {
        let (h, w) = (6, 7);
        let plane = Array2::from_shape_fn((h, w), |(y, x)| {
            (std::f64::consts::TAU * (2.0 * y as f64 / h as f64 - 3.0 * x as f64 / w as f64)).cos()
        });
        let spectrum = fft2(&plane);
        let height = ((h * w) as f64).sqrt() / 2.0;
        for ((u, v), c) in spectrum.indexed_iter() {
            let wanted = if (u, v) == (2, 4) || (u, v) == (4, 3) { height } else { 0.0 };
            assert!((c.re - wanted).abs() < 1e-9 && c.im.abs() < 1e-9, "({u}, {v}): {c}");
        }
    }

    #[test]
    fn frequencies_are_numpys() {
        let all = |n| (0..n).map(|k| signed_frequency(k, n)).collect::<Vec<_>>();
        assert_eq!(all(5), [0, 1, 2, -2, -1]);
        assert_eq!(all(6), [0, 1, 2, -3, -2, -1]);
    }
}
