//! What a projector, an eye and a head do to an image, shared by all images of a set: small shifts,
//! blur, zoom, rescaling.

use super::kernel;
use crate::error::{Error, Result};
use crate::rng::Stream;
use crate::tensor::Var;
use ndarray::{Array2, Array4, Axis, Zip};
use serde::{Deserialize, Serialize};

/// A separable linear map of each plane, `X -> A_h X A_w^T`, with
///
/// ```text
/// A = rescale(fraction) . blur(sigma) . resample(shift, scale)
/// ```
///
/// first zoom and shift in one interpolation ([`kernel::resample`]), then Gaussian blur
/// ([`kernel::blur`]), then down and back up ([`kernel::there_and_back`]). Edge pixels are
/// repeated. The matrices are composed in 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transform {
    /// Pixels down and to the right.
    pub shift: (f64, f64),
    /// Standard deviation of the Gaussian blur, pixels.
    pub blur_sigma: f64,
    /// Magnification about the centre.
    pub scale: f64,
    /// Antialiased bilinear down to this fraction of the size, and bilinear back up.
    pub rescale: Option<f64>,
}

impl Default for Transform {
    fn default() -> Self {
        Self::IDENTITY
    }
}

/// Ranges that random transforms are drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JitterOptions {
    /// Shifts are uniform in [-jitter_px, jitter_px] down and to the right, independently.
    pub jitter_px: f64,
    /// The blur's standard deviation is uniform in [0, blur_px].
    pub blur_px: f64,
    /// The magnification is uniform in this range.
    pub scale: (f64, f64),
}

impl Default for JitterOptions {
    fn default() -> Self {
        Self { jitter_px: 2.0, blur_px: 1.3, scale: (0.94, 1.04) }
    }
}

impl JitterOptions {
    /// No transform at all.
    pub const OFF: Self = Self { jitter_px: 0.0, blur_px: 0.0, scale: (1.0, 1.0) };

    /// # Errors
    /// [`Error::Invalid`] for negative or non-finite ranges, or a scale outside [0.25, 4].
    pub fn check(&self) -> Result<()> {
        let amount = |at: &str, v: f64| {
            if v.is_finite() && v >= 0.0 {
                Ok(())
            } else {
                Err(Error::invalid(at, "a finite number of pixels, at least 0", format!("{v}"), "0 turns it off"))
            }
        };
        amount("jitter", self.jitter_px)?;
        amount("blur", self.blur_px)?;
        let (low, high) = self.scale;
        if !(0.25 <= low && low <= high && high <= 4.0) {
            return Err(Error::invalid(
                "scale",
                "LOW,HIGH with 0.25 <= LOW <= HIGH <= 4",
                format!("{low},{high}"),
                "1,1 turns it off",
            ));
        }
        Ok(())
    }
}

impl Transform {
    /// Leaves every image as it is, exactly.
    pub const IDENTITY: Self = Self { shift: (0.0, 0.0), blur_sigma: 0.0, scale: 1.0, rescale: None };

    /// A random transform; always takes the same number of draws, so that options do not change
    /// later ones.
    pub fn draw(draws: &mut Stream, options: &JitterOptions) -> Self {
        let jitter = options.jitter_px;
        let shift = (draws.uniform_in(-jitter, jitter), draws.uniform_in(-jitter, jitter));
        let blur_sigma = draws.uniform_in(0.0, options.blur_px);
        let scale = draws.uniform_in(options.scale.0, options.scale.1);
        Self { shift, blur_sigma, scale, rescale: None }
    }

    /// True when nothing would change.
    pub fn is_identity(&self) -> bool {
        *self == Self::IDENTITY
    }

    /// `(A_h, A_w)`, `height` x `height` and `width` x `width`; rows sum to one.
    pub fn matrices(&self, height: usize, width: usize) -> (Array2<f64>, Array2<f64>) {
        (self.matrix(height, self.shift.0), self.matrix(width, self.shift.1))
    }

    fn matrix(&self, n: usize, shift: f64) -> Array2<f64> {
        let mut a = kernel::resample(n, shift, self.scale);
        if self.blur_sigma > 0.0 {
            a = kernel::product(&kernel::blur(n, self.blur_sigma), &a);
        }
        match self.rescale {
            Some(fraction) => kernel::product(&kernel::there_and_back(n, fraction), &a),
            None => a,
        }
    }

    /// The transformed images (n x channels x h x w), differentiable.
    pub fn apply(&self, images: Var<4>) -> Var<4> {
        if self.is_identity() {
            return images;
        }
        let [_, _, h, w] = images.dims();
        let (ah, aw) = self.matrices(h, w);
        mix(images, &ah, &aw)
    }

    /// The transformed images (n x channels x h x w), for scoring.
    pub fn apply_array(&self, images: &Array4<f32>) -> Array4<f32> {
        if self.is_identity() {
            return images.clone();
        }
        let (_, _, h, w) = images.dim();
        let (ah, aw) = self.matrices(h, w);
        apply_matrices(images, &ah, &aw)
    }

    /// In words.
    pub fn describe(&self) -> String {
        let mut parts = Vec::new();
        if self.scale != 1.0 {
            parts.push(format!("zoom {:.3}", self.scale));
        }
        if self.shift != (0.0, 0.0) {
            parts.push(format!("shift {:.2} px down, {:.2} px right", self.shift.0, self.shift.1));
        }
        if self.blur_sigma > 0.0 {
            parts.push(format!("Gaussian blur, sd {:.2} px", self.blur_sigma));
        }
        if let Some(fraction) = self.rescale {
            parts.push(format!("rescaled to {:.0} % and back", 100.0 * fraction));
        }
        if parts.is_empty() { "unchanged".into() } else { parts.join(", ") }
    }
}

/// `A_h X A_w^T` of each plane of n x channels x h x w images, differentiable; the matrices may
/// change the size.
pub fn mix(images: Var<4>, ah: &Array2<f64>, aw: &Array2<f64>) -> Var<4> {
    super::planes::separable(images, ah, aw)
}

/// `A_h X A_w^T` of each plane of n x channels x h x w images; the matrices may change the size. In
/// 32 bits.
pub fn apply_matrices(images: &Array4<f32>, ah: &Array2<f64>, aw: &Array2<f64>) -> Array4<f32> {
    let (n, channels, h, w) = images.dim();
    assert_eq!((ah.ncols(), aw.ncols()), (h, w), "the matrices fit the images' height and width");
    let (ah, across) = (ah.mapv(|v| v as f32), aw.t().mapv(|v| v as f32));
    let mut out = Array4::zeros((n, channels, ah.nrows(), aw.nrows()));
    Zip::from(out.axis_iter_mut(Axis(0))).and(images.axis_iter(Axis(0))).par_for_each(|mut out, image| {
        for (mut slot, plane) in out.axis_iter_mut(Axis(0)).zip(image.axis_iter(Axis(0))) {
            slot.assign(&ah.dot(&plane.dot(&across)));
        }
    });
    out
}

/// A transform with the name it has in reports.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Probe {
    pub name: &'static str,
    pub transform: Transform,
}

/// The disturbances that every written set is scored under: a shift by 1 px right, a Gaussian blur
/// of 1 px, and a rescale to 95 % and back.
pub const PROBES: [Probe; 3] = [
    Probe { name: "shift-1px", transform: Transform { shift: (0.0, 1.0), ..Transform::IDENTITY } },
    Probe { name: "blur-1px", transform: Transform { blur_sigma: 1.0, ..Transform::IDENTITY } },
    Probe { name: "rescale-95", transform: Transform { rescale: Some(0.95), ..Transform::IDENTITY } },
];

#[cfg(test)]
#[path = "transform_tests.rs"]
mod tests;
