//! Discrete Fourier transforms of planes of any size.

use ndarray::{Array2, Zip};
use std::f64::consts::TAU;

/// A complex number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Complex {
    pub re: f64,
    pub im: f64,
}

impl Complex {
    /// Its absolute value.
    pub fn norm(self) -> f64 {
        self.re.hypot(self.im)
    }
}

/// cos and sin of `2 pi k i / n`, scaled by `n^(-1/2)`.
fn tables(n: usize) -> (Array2<f64>, Array2<f64>) {
    let scale = (n as f64).sqrt().recip();
    // The product is reduced first: the angle stays small and exact.
    let angle = |k: usize, i: usize| TAU * ((k * i) % n) as f64 / n as f64;
    let table = |f: fn(f64) -> f64| Array2::from_shape_fn((n, n), |(k, i)| scale * f(angle(k, i)));
    (table(f64::cos), table(f64::sin))
}

/// Two-dimensional DFT of a real plane, orthonormal, by products with cosine and sine tables:
/// `F[u, v] = (hw)^(-1/2) sum_yx x[y, x] exp(-2 pi i (u y / h + v x / w))`.
pub fn fft2(plane: &Array2<f64>) -> Array2<Complex> {
    let (h, w) = plane.dim();
    let ((cos_w, sin_w), (cos_h, sin_h)) = (tables(w), tables(h));
    let (even, odd) = (plane.dot(&cos_w), plane.dot(&sin_w));
    let re = cos_h.dot(&even) - sin_h.dot(&odd);
    let im = -(sin_h.dot(&even) + cos_h.dot(&odd));
    Zip::from(&re).and(&im).map_collect(|&re, &im| Complex { re, im })
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
            assert!((c.re - wanted).abs() < 1e-9 && c.im.abs() < 1e-9, "({u}, {v}): {c:?}");
        }
    }

    #[test]
    fn frequencies_are_numpys() {
        let all = |n| (0..n).map(|k| signed_frequency(k, n)).collect::<Vec<_>>();
        assert_eq!(all(5), [0, 1, 2, -2, -1]);
        assert_eq!(all(6), [0, 1, 2, -3, -2, -1]);
    }
}
