//! What images have in common that a brain would see: luminance, contrast, clipped pixels, spectral
//! slope.

use super::colour::{LUMINANCE, Light};
use super::spectrum::{fft2, signed_frequency};
use ndarray::{Array2, Array4, ArrayView3, Axis};
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;

/// Low-level statistics of one image.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ImageStatistics {
    /// Weighted mean of L = 0.2126 R + 0.7152 G + 0.0722 B, in [0, 1].
    pub mean_luminance: f64,
    /// Weighted standard deviation of L over pixels.
    pub rms_contrast: f64,
    /// Share of the channel values (where the weight is above 0) that an 8-bit file stores as 0
    /// or 255.
    pub clipped_fraction: f64,
    /// Slope of ln(amplitude) against ln(frequency) of the Hann-windowed L, between 2 cycles per
    /// image and 0.25 cycles per pixel, on ring averages one bin wide; natural images have about
    /// -1. NaN when fewer than two rings are there or have any power.
    #[serde(deserialize_with = "crate::io::json::or_nan")]
    pub spectrum_slope: f64,
}

/// Statistics of each image (n x 3 x h x w, values in [0, 1]), weighted by `weights` (h x w;
/// [`Constraint::weights`](super::constraint::Constraint::weights)).
pub fn achieved(images: &Array4<f32>, weights: &Array2<f64>, light: Light) -> Vec<ImageStatistics> {
    let one = |image: ArrayView3<'_, f32>| {
        let luminance = luminance(image, light);
        let total = weights.sum();
        let mean = (&luminance * weights).sum() / total;
        let variance = (luminance.mapv(|v| (v - mean).powi(2)) * weights).sum() / total;
        ImageStatistics {
            mean_luminance: mean,
            rms_contrast: variance.sqrt(),
            clipped_fraction: clipped(image, weights),
            spectrum_slope: slope(luminance.mapv(|v| v - mean)),
        }
    };
    images.axis_iter(Axis(0)).map(one).collect()
}

fn luminance(image: ArrayView3<'_, f32>, light: Light) -> Array2<f64> {
    let (_, h, w) = image.dim();
    let pixel = |y, x| (0..3).map(|c| LUMINANCE[c] * light.of(f64::from(image[(c, y, x)])).0).sum();
    Array2::from_shape_fn((h, w), |(y, x)| pixel(y, x))
}

fn clipped(image: ArrayView3<'_, f32>, weights: &Array2<f64>) -> f64 {
    const HALF_STEP: f32 = 0.5 / 255.0;
    let (mut at_end, mut all) = (0usize, 0usize);
    for plane in image.axis_iter(Axis(0)) {
        for (&v, _) in plane.iter().zip(weights).filter(|(_, w)| **w > 0.0) {
            all += 1;
            at_end += usize::from(!(HALF_STEP..=1.0 - HALF_STEP).contains(&v));
        }
    }
    at_end as f64 / all.max(1) as f64
}

fn slope(luminance: Array2<f64>) -> f64 {
    const HIGHEST: f64 = 0.25;
    let (h, w) = luminance.dim();
    let hann = |i: usize, n: usize| 0.5 * (1.0 - (TAU * (i as f64 + 0.5) / n as f64).cos());
    let windowed = Array2::from_shape_fn((h, w), |(y, x)| luminance[(y, x)] * hann(y, h) * hann(x, w));
    let side = h.min(w) as f64;
    let mut rings = vec![(0.0, 0usize); h.min(w)];
    for ((u, v), c) in fft2(&windowed).indexed_iter() {
        let f = (signed_frequency(u, h) as f64 / h as f64).hypot(signed_frequency(v, w) as f64 / w as f64);
        let ring = (f * side).round() as usize;
        if ring >= 2 && f <= HIGHEST {
            rings[ring].0 += c.norm();
            rings[ring].1 += 1;
        }
    }
    let points: Vec<(f64, f64)> = rings
        .iter()
        .enumerate()
        .filter(|(_, (sum, count))| *count > 0 && sum / *count as f64 > 1e-9)
        .map(|(ring, (sum, count))| ((ring as f64 / side).ln(), (sum / *count as f64).ln()))
        .collect();
    let n = points.len() as f64;
    let mean = points.iter().fold((0.0, 0.0), |m, p| (m.0 + p.0 / n, m.1 + p.1 / n));
    let along: f64 = points.iter().map(|p| (p.0 - mean.0).powi(2)).sum();
    points.iter().map(|p| (p.0 - mean.0) * (p.1 - mean.1)).sum::<f64>() / along
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_and_deviations_are_weighted() {
        // Left half white, right half black; the weights see three quarters of the white.
        let images = Array4::from_shape_fn((1, 3, 4, 8), |(_, _, _, x)| f32::from(u8::from(x < 4)));
        let weights = Array2::from_shape_fn((4, 8), |(_, x)| if x < 4 { 3.0 } else { 1.0 });
        let s = achieved(&images, &weights, Light::Encoded)[0];
        assert!((s.mean_luminance - 0.75).abs() < 1e-12);
        assert!((s.rms_contrast - (0.75f64 * 0.25).sqrt()).abs() < 1e-12);
        assert_eq!(s.clipped_fraction, 1.0);
    }

    #[test]
    fn slope_of_a_known_spectrum() {
        // A sum of cosines with random phases and amplitude 1 / f^1.5.
        let n = 64;
        let mut rng = crate::rng::stream(2, "slope-test", 0);
        let mut plane = Array2::<f64>::zeros((n, n));
        for u in -20i32..=20 {
            for v in 0i32..=20 {
                let f = f64::from(u).hypot(f64::from(v));
                if f == 0.0 {
                    continue;
                }
                let phase = TAU * rng.uniform();
                for ((y, x), p) in plane.indexed_iter_mut() {
                    let angle = TAU * (f64::from(u) * y as f64 + f64::from(v) * x as f64) / n as f64;
                    *p += f.powf(-1.5) * (angle + phase).cos();
                }
            }
        }
        assert!((slope(plane) + 1.5).abs() < 0.15);
    }

    #[test]
    fn an_even_image_has_no_slope() {
        let s = achieved(&Array4::from_elem((1, 3, 8, 8), 0.5), &Array2::ones((8, 8)), Light::Linear)[0];
        assert!(s.spectrum_slope.is_nan() && s.clipped_fraction == 0.0 && s.rms_contrast < 1e-9);
        assert!((s.mean_luminance - 0.214_041_140_482).abs() < 1e-6);
    }
}
