//! Equal mean luminance and RMS contrast of all images of a set, inside the optimisation loop.

use super::aperture::Aperture;
use super::colour::Light;
use super::custom::with_gradient;
use super::equalize::{Solution, Target};
use super::param::precision_of;
use super::real::Real;
use crate::error::{Error, Result};
use crate::tensor::{Precision, Tensor, Var};
use ndarray::Array4;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Gives every image the same mean luminance and RMS contrast, by one gain and one offset for all
/// its channels:
///
/// ```text
/// z = w limit(gain x + offset) + (1 - w) background,        w: the aperture's weights, 1 without an aperture
/// mean_w(L(z)) = mean_luminance,   sd_w(L(z)) = rms_contrast,        L = 0.2126 R + 0.7152 G + 0.0722 B
/// ```
///
/// The limit to [0, 1] is smooth (`knee`), and gain and offset are solved for the image *after* it,
/// so the targets hold exactly (to 1e-6) and not only before clipping; with an aperture mean and
/// standard deviation are weighted by `w` and are those of the final image inside it. L is taken on
/// the gamma-encoded pixel values unless `light` says linear. The gradient includes how gain and
/// offset move with the image (implicit function theorem). An image whose pattern cannot reach the
/// contrast (even, or a few bright pixels) keeps the mean and gets what contrast it can.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Constraint {
    /// Target of the mean, in (0, 1).
    pub mean_luminance: f64,
    /// Target of the standard deviation over pixels, in (0, 0.5).
    pub rms_contrast: f64,
    /// Gamma-encoded values, or linear light.
    pub light: Light,
    /// Pixel values beyond [knee, 1 - knee] are compressed smoothly; 0 clips. In [0, 0.25].
    pub knee: f64,
    /// A circular window; none by default.
    pub aperture: Option<Aperture>,
}

impl Default for Constraint {
    fn default() -> Self {
        Self { mean_luminance: 0.5, rms_contrast: 0.2, light: Light::Encoded, knee: 0.05, aperture: None }
    }
}

/// Mean and contrast count as reached within this, 32 bits; far below half an 8-bit step.
const TOLERANCE: f64 = 1e-6;
/// In 64 bits, where gradients are compared with finite differences.
const TIGHT_TOLERANCE: f64 = 1e-13;

impl Constraint {
    /// # Errors
    /// [`Error::Invalid`] for targets that no image in [0, 1] can have, a knee outside [0, 0.25],
    /// or a bad aperture.
    pub fn check(&self) -> Result<()> {
        let (m, s) = (self.mean_luminance, self.rms_contrast);
        // A two-valued image of 0 and 1 with mean m has the largest standard deviation there is.
        if !(m > 0.0 && m < 1.0 && s > 0.0 && s * s < m * (1.0 - m)) {
            return Err(Error::invalid(
                "luminance, contrast",
                "a mean in (0, 1) and a standard deviation above 0 and below sqrt(mean (1 - mean))",
                format!("mean {m}, standard deviation {s}"),
                "0.5 and 0.2 leave room on both sides",
            ));
        }
        if !(0.0..=0.25).contains(&self.knee) {
            return Err(Error::invalid("constraint.knee", "a number in [0, 0.25]", format!("{}", self.knee), ""));
        }
        self.aperture.map_or(Ok(()), |a| a.check())
    }

    /// The constrained images (n x 3 x h x w), differentiable; see [`Constraint`].
    ///
    /// Runs on the CPU whatever the backend: one exchange of the images with the device each way.
    pub fn apply(&self, images: Var<4>) -> Var<4> {
        match precision_of(&images) {
            Precision::F32 => self.run::<f32>(images),
            Precision::F64 => self.run::<f64>(images),
        }
    }

    fn run<T: Real>(&self, images: Var<4>) -> Var<4> {
        let (shape, precision) = (images.dims(), precision_of(&images));
        with_gradient(images, |images| {
            let device = images.device();
            let target = self.target::<T>(shape[2], shape[3], precision);
            let x = T::take(images);
            let (z, solutions) = equalize(&target, &x);
            let pullback = move |gradient: Tensor<4>| {
                let (device, mut values) = (gradient.device(), T::take(gradient));
                let size = 3 * target.weights.len();
                let images = values.par_chunks_exact_mut(size).zip(x.par_chunks_exact(size)).zip(&solutions);
                images.for_each(|((gradient, x), solution)| solution.pullback(&target, x, gradient));
                T::tensor(values, shape, &device)
            };
            (T::tensor(z, shape, &device), pullback)
        })
    }

    /// The constrained images on plain arrays.
    pub fn apply_array(&self, images: &Array4<f32>) -> Array4<f32> {
        let (_, _, h, w) = images.dim();
        let target = self.target::<f32>(h, w, Precision::F32);
        let x: Vec<f32> = images.iter().copied().collect();
        let (z, _) = equalize(&target, &x);
        Array4::from_shape_vec(images.raw_dim(), z).expect("as many values as before")
    }

    /// The region's weights, height x width: the aperture's, or ones.
    pub fn weights(&self, height: usize, width: usize) -> ndarray::Array2<f64> {
        match &self.aperture {
            Some(aperture) => aperture.weights(height, width),
            None => ndarray::Array2::ones((height, width)),
        }
    }

    /// In words.
    pub fn describe(&self) -> String {
        let light = match self.light {
            Light::Encoded => "gamma-encoded values",
            Light::Linear => "linear light",
        };
        let window = match &self.aperture {
            Some(a) => format!("; inside a disc of {} of the shorter side with a {}-px edge", a.diameter, a.edge_px),
            None => String::new(),
        };
        format!("mean luminance {} and RMS contrast {} ({light}){window}", self.mean_luminance, self.rms_contrast)
    }

    fn target<T: Real>(&self, height: usize, width: usize, precision: Precision) -> Target<T> {
        let weights = self.weights(height, width);
        Target {
            mean: self.mean_luminance,
            contrast: self.rms_contrast,
            light: self.light,
            knee: self.knee,
            background: self.aperture.map_or(0.5, |a| a.background),
            total: weights.sum(),
            weights: weights.into_iter().map(T::from_f64).collect(),
            tolerance: if precision == Precision::F64 { TIGHT_TOLERANCE } else { TOLERANCE },
        }
    }
}

/// Every image with its own solution; `x` holds whole images of three planes.
fn equalize<T: Real>(target: &Target<T>, x: &[T]) -> (Vec<T>, Vec<Solution>) {
    let size = 3 * target.weights.len();
    let mut z = vec![T::zero(); x.len()];
    let solutions = z
        .par_chunks_exact_mut(size)
        .zip(x.par_chunks_exact(size))
        .map(|(z, x)| {
            let solution = target.solve(x);
            solution.map(target, x, z);
            solution
        })
        .collect();
    (z, solutions)
}

#[cfg(test)]
#[path = "constraint_tests.rs"]
mod tests;
