//! A circular window with a soft edge onto an even background.

use super::param::precision_of;
use crate::error::{Error, Result};
use crate::tensor::{Var, constant, tensor_f64};
use ndarray::Array2;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// A disc: `w(r) = 1` inside `R - edge`, `(1 + cos(pi (r - R + edge) / edge)) / 2` up to `R`, 0
/// beyond, with `R = diameter min(h, w) / 2`; images become `w image + (1 - w) background`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Aperture {
    /// Fraction of the shorter side, in (0, 1.5].
    pub diameter: f64,
    /// Width of the raised-cosine edge, pixels.
    pub edge_px: f64,
    /// Pixel value around the disc, in [0, 1].
    pub background: f64,
    /// Centre of the disc, pixels down and to the right of the image's centre.
    pub offset_px: (f64, f64),
}

impl Default for Aperture {
    fn default() -> Self {
        Self { diameter: 1.0, edge_px: 12.0, background: 0.5, offset_px: (0.0, 0.0) }
    }
}

impl Aperture {
    /// # Errors
    /// [`Error::Invalid`] for a diameter outside (0, 1.5], a negative edge or a background outside
    /// [0, 1].
    pub fn check(&self) -> Result<()> {
        let good = self.diameter > 0.0
            && self.diameter <= 1.5
            && self.edge_px.is_finite()
            && self.edge_px >= 0.0
            && (0.0..=1.0).contains(&self.background)
            && self.offset_px.0.is_finite()
            && self.offset_px.1.is_finite();
        if good {
            return Ok(());
        }
        Err(Error::invalid(
            "aperture",
            "a diameter in (0, 1.5] of the shorter side, an edge of at least 0 pixels and a background in [0, 1]",
            format!("diameter {}, edge {}, background {}", self.diameter, self.edge_px, self.background),
            "1.0 touches the shorter sides",
        ))
    }

    /// `w image + (1 - w) background`, differentiable; n x 3 x h x w.
    pub fn apply(&self, images: Var<4>) -> Var<4> {
        let [_, _, height, width] = images.dims();
        let weights = self.weights(height, width);
        let (precision, device) = (precision_of(&images), images.device());
        let table =
            |a: &Array2<f64>| constant(tensor_f64::<2, _>(a.view(), precision, &device).reshape([1, 1, height, width]));
        let around = weights.mapv(|w| (1.0 - w) * self.background);
        images * table(&weights) + table(&around)
    }

    /// `w`, height x width.
    pub fn weights(&self, height: usize, width: usize) -> Array2<f64> {
        let radius = 0.5 * self.diameter * height.min(width) as f64;
        let centre = ((height as f64 - 1.0) / 2.0 + self.offset_px.0, (width as f64 - 1.0) / 2.0 + self.offset_px.1);
        Array2::from_shape_fn((height, width), |(y, x)| {
            let r = (y as f64 - centre.0).hypot(x as f64 - centre.1);
            let inside = radius - r;
            if inside <= 0.0 {
                0.0
            } else if inside >= self.edge_px {
                1.0
            } else {
                0.5 * (1.0 - (PI * inside / self.edge_px).cos())
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edge_is_a_raised_cosine() {
        let aperture = Aperture { diameter: 1.0, edge_px: 4.0, ..Aperture::default() };
        let w = aperture.weights(21, 21);
        assert_eq!(w[(10, 10)], 1.0);
        assert_eq!(w[(0, 0)], 0.0);
        // Radius 10.5; 8.5 pixels from the centre is half way through the edge of 4.
        let wanted = 0.5 * (1.0 - (PI * 2.5 / 4.0).cos());
        assert!((w[(10, 18)] - wanted).abs() < 1e-12, "{}", w[(10, 18)]);
        assert_eq!(w[(10, 2)], w[(2, 10)]);
    }
}
