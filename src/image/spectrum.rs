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

/// Inverse DFT of a square complex spectrum without its factor `1 / n^2`: real and imaginary parts
/// in, the same out. `x[y, x] = sum_uv F[u, v] exp(2 pi i (u y + v x) / n)`.
pub fn inverse(re: &Array2<f32>, im: &Array2<f32>) -> (Array2<f32>, Array2<f32>) {
    let n = re.nrows();
    let scale = (n as f64).sqrt();
    let (cos, sin) = tables(n);
    let (cos, sin) = (cos.mapv(|v| (v * scale) as f32), sin.mapv(|v| (v * scale) as f32));
    let (wide_re, wide_im) = (re.dot(&cos) - im.dot(&sin), re.dot(&sin) + im.dot(&cos));
    (cos.dot(&wide_re) - sin.dot(&wide_im), sin.dot(&wide_re) + cos.dot(&wide_im))
}

/// Signed integer frequency of DFT bin `k` of `n` (numpy's `fftfreq(n) * n`): 0, 1, ..., -2, -1;
/// the Nyquist bin of an even `n` is `-n/2`.
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
    fn the_inverse_brings_a_plane_back() {
        let plane = Array2::from_shape_fn((6, 6), |(y, x)| ((y * 5 + x * 3) % 7) as f64);
        let spectrum = fft2(&plane);
        let (re, im) = inverse(&spectrum.mapv(|c| c.re as f32), &spectrum.mapv(|c| c.im as f32));
        // fft2 carries 1/n of the full factor 1/n^2
        for ((re, im), x) in re.iter().zip(&im).zip(&plane) {
            assert!((f64::from(*re) / 6.0 - x).abs() < 1e-5 && im.abs() < 1e-4);
        }
    }

    #[test]
    fn frequencies_are_numpys() {
        let all = |n| (0..n).map(|k| signed_frequency(k, n)).collect::<Vec<_>>();
        assert_eq!(all(5), [0, 1, 2, -2, -1]);
        assert_eq!(all(6), [0, 1, 2, -3, -2, -1]);
    }
}
