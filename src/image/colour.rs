//! Luminance, the sRGB curve, and the colour axes in which natural images are nearly uncorrelated.

use ndarray::{Array2, ArrayView3, Axis};
use serde::{Deserialize, Serialize};

/// Weights of R, G and B in luminance (ITU-R BT.709): `Y = 0.2126 R + 0.7152 G + 0.0722 B`.
pub const LUMINANCE: [f64; 3] = [0.2126, 0.7152, 0.0722];

/// Square root of the covariance of RGB in natural images: rows R, G, B; columns the uncorrelated
/// axes (achromatic, blue-yellow like, red-green like).
///
/// # Source
/// Olah, Mordvintsev and Schubert, "Feature Visualization", Distill 2017, as released in Lucid
/// (`color_correlation_svd_sqrt`).
pub const COLOUR_SQRT: [[f64; 3]; 3] = [[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]];

/// [`COLOUR_SQRT`] over its largest column norm: `rgb = M axes`, so that the achromatic axis has
/// length one.
pub fn decorrelation() -> [[f64; 3]; 3] {
    let norm = |c: usize| COLOUR_SQRT.iter().map(|row| row[c] * row[c]).sum::<f64>().sqrt();
    let largest = (0..3).map(norm).fold(0.0, f64::max);
    COLOUR_SQRT.map(|row| row.map(|v| v / largest))
}

/// Inverse of [`decorrelation`]: `axes = M^-1 rgb`.
pub fn correlation() -> [[f64; 3]; 3] {
    let m = decorrelation();
    // Cofactors: entry (i, j) of the inverse is the cofactor (j, i) over the determinant.
    let cofactor = |r: usize, c: usize| {
        let (r1, r2, c1, c2) = ((r + 1) % 3, (r + 2) % 3, (c + 1) % 3, (c + 2) % 3);
        m[r1][c1] * m[r2][c2] - m[r1][c2] * m[r2][c1]
    };
    let determinant: f64 = (0..3).map(|c| m[0][c] * cofactor(0, c)).sum();
    std::array::from_fn(|i| std::array::from_fn(|j| cofactor(j, i) / determinant))
}

/// How much of an achromatic value each of R, G, B gets in a grey image: the mean of the first
/// column of [`decorrelation`], so that grey and colour images of the same coefficients have about
/// the same contrast.
pub fn achromatic_gain() -> f64 {
    decorrelation().iter().map(|row| row[0]).sum::<f64>() / 3.0
}

/// `Y` of an image (3 x h x w), on the values as they are.
pub fn luminance_plane(image: ArrayView3<'_, f32>) -> Array2<f64> {
    let (_, h, w) = image.dim();
    let mut out = Array2::zeros((h, w));
    for (plane, weight) in image.axis_iter(Axis(0)).zip(LUMINANCE) {
        out.zip_mut_with(&plane, |y: &mut f64, &v| *y += weight * f64::from(v));
    }
    out
}

/// In which light luminance is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Light {
    /// On the gamma-encoded pixel values, as they are in the file: what most stimulus papers call
    /// luminance.
    #[default]
    Encoded,
    /// On linear light, through the sRGB curve: proportional to cd/m2 on a calibrated sRGB display.
    Linear,
}

impl Light {
    /// The light of a pixel value, and its derivative.
    pub fn of(self, v: f64) -> (f64, f64) {
        match self {
            Self::Encoded => (v, 1.0),
            Self::Linear => (srgb_to_linear(v), srgb_to_linear_slope(v)),
        }
    }
}

/// Linear light from a gamma-encoded sRGB value (IEC 61966-2-1).
pub fn srgb_to_linear(v: f64) -> f64 {
    if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
}

/// Derivative of [`srgb_to_linear`].
pub fn srgb_to_linear_slope(v: f64) -> f64 {
    if v <= 0.04045 { 1.0 / 12.92 } else { 2.4 / 1.055 * ((v + 0.055) / 1.055).powf(1.4) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_axes_invert() {
        let (m, inverse) = (decorrelation(), correlation());
        for (i, row) in m.iter().enumerate() {
            let product: [f64; 3] = std::array::from_fn(|j| (0..3).map(|k| row[k] * inverse[k][j]).sum());
            for (j, value) in product.into_iter().enumerate() {
                let wanted = f64::from(u8::from(i == j));
                assert!((value - wanted).abs() < 1e-12, "({i}, {j}): {value}");
            }
        }
    }

    #[test]
    fn linear_light_has_the_stated_slope_and_ends() {
        assert_eq!(srgb_to_linear(0.0), 0.0);
        assert!((srgb_to_linear(1.0) - 1.0).abs() < 1e-12);
        assert!((srgb_to_linear(0.5) - 0.214_041_140_482).abs() < 1e-9, "IEC 61966-2-1 at one half");
        for v in [0.01, 0.2, 0.9] {
            let numeric = (srgb_to_linear(v + 1e-6) - srgb_to_linear(v - 1e-6)) / 2e-6;
            assert!((numeric - srgb_to_linear_slope(v)).abs() < 1e-6);
        }
    }
}
