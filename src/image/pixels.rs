//! The ancestor's parametrisation: the pixels themselves, with Laplacian-pyramid gradient
//! normalisation and octaves.

use super::ball::LEVELS;
use super::colour::luminance_plane;
use super::custom::with_gradient;
use super::laplacian::LaplacianGradient;
use super::param::{Canvas, ImageParam, Init};
use super::smooth::Gaussian;
use crate::error::Result;
use crate::rng;
use crate::tensor::Var;
use ndarray::parallel::prelude::*;
use ndarray::{Array2, Array4, Axis};
use rayon::slice::ParallelSliceMut;

/// Pixel values, shown as they are:
///
/// ```text
/// image = min(max(p, 0), 1),   d(image)/dp taken as 1 everywhere
/// ```
///
/// so that a pixel at the edge of the range can come back; [`project`](ImageParam::project) brings
/// the values into [0, 1] after each step. The one leaf holds, per image, channels x height x
/// width. What is ascended is a [`GradientRule`].
///
/// # Source
/// Wammes, Norman and Turk-Browne, eLife 2022, "Stimulus synthesis"; Mordvintsev's DeepDream
/// tutorial (2015).
#[derive(Debug)]
pub struct Pixels {
    canvas: Canvas,
    rule: GradientRule,
    relax: Option<Relax>,
    initial: Array2<f32>,
    start: String,
}

/// What is ascended in place of the raw gradient, image by image.
#[derive(Debug, Clone, PartialEq)]
pub enum GradientRule {
    Plain,
    /// Band by band; see [`LaplacianGradient`].
    Laplacian(LaplacianGradient),
    /// `G_sigma( g / (rms(g) + 1e-5) )` with `g` in units of response per level of 0..255, and G a
    /// Gaussian over the pixels of each channel ([`Gaussian`]); the root mean square is over all
    /// values of an image.
    ///
    /// # Source
    /// Cowley et al., Nature 2026, maximising synthesis.
    Smooth {
        sigma: f64,
    },
}

/// Added to the root mean square, in units of response per level of 0..255.
const RMS_FLOOR: f64 = 1e-5;

impl GradientRule {
    /// Conditions a gradient in place: rows are images of `channels` x `height` x `width`.
    pub fn apply(&self, gradient: &mut Array2<f32>, channels: usize, height: usize, width: usize) {
        match self {
            Self::Plain => {}
            Self::Laplacian(rule) => {
                let shape = (gradient.nrows(), channels, height, width);
                let planes = gradient.to_shape(shape).expect("one value per pixel");
                let out = rule.apply(planes.view());
                gradient.iter_mut().zip(out).for_each(|(slot, v)| *slot = v);
            }
            Self::Smooth { sigma } => {
                let gaussian = Gaussian::new(*sigma);
                gradient.axis_iter_mut(Axis(0)).into_par_iter().for_each(|mut row| {
                    let row = row.as_slice_mut().expect("gradients are row-major");
                    let square: f64 = row.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>() / row.len() as f64;
                    // g / 255 is the gradient per level.
                    let factor = (1.0 / LEVELS / (square.sqrt() / LEVELS + RMS_FLOOR)) as f32;
                    row.iter_mut().for_each(|v| *v *= factor);
                    row.chunks_exact_mut(height * width).for_each(|plane| gaussian.apply(plane, height, width));
                });
            }
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Plain => "plain gradients".into(),
            Self::Laplacian(rule) => format!("gradients normalised in {} Laplacian levels", rule.n_levels),
            Self::Smooth { sigma } => format!("gradients of unit root mean square, smoothed by {sigma} px"),
        }
    }
}

/// Blurs the images now and then, so that fine noise does not pile up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Relax {
    /// Steps between two blurs: after steps `every + 1`, `2 every + 1`, ... (counted from 1), as
    /// published.
    pub every: usize,
    /// Standard deviation of the Gaussian, pixels.
    pub sigma: f64,
}

impl Pixels {
    /// Standard deviation of the visual noise that the ancestor-like mode starts from.
    pub const NOISE_SD: f64 = 0.1;

    /// Pixels for `canvas`, started from `init`: noise is around 0.5 and brought into [0, 1].
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) for an empty canvas or initial images of another
    /// shape.
    pub fn new(canvas: Canvas, rule: GradientRule, init: &Init<'_>) -> Result<Self> {
        let at = "pixel parametrisation";
        canvas.check(at)?;
        init.check(&canvas, at)?;
        let initial = initial_pixels(&canvas, init);
        Ok(Self { canvas, rule, relax: None, initial, start: init.describe() })
    }

    /// The same, blurred every so many steps.
    pub fn with_relax(self, relax: Relax) -> Self {
        Self { relax: Some(relax), ..self }
    }
}

impl ImageParam for Pixels {
    fn shape(&self) -> [usize; 4] {
        self.canvas.shape()
    }

    fn leaves(&self) -> Vec<Array2<f32>> {
        vec![self.initial.clone()]
    }

    fn render(&self, leaves: &[Var<2>]) -> Var<4> {
        let Canvas { height, width, .. } = self.canvas;
        let n_images = leaves[0].dims()[0];
        let planes = with_gradient(leaves[0].clone(), |leaf| (leaf.clamp(0.0, 1.0), |gradient| gradient));
        let planes = planes.reshape([n_images, self.canvas.n_channels(), height, width]);
        if self.canvas.grey { planes.repeat_dim(1, 3) } else { planes }
    }

    fn is_pixels(&self) -> bool {
        !self.canvas.grey
    }

    fn condition(&self, gradients: &mut [Array2<f32>], _: &[usize]) {
        let Canvas { height, width, .. } = self.canvas;
        gradients.iter_mut().for_each(|g| self.rule.apply(g, self.canvas.n_channels(), height, width));
    }

    fn project(&self, leaves: &mut [Array2<f32>], _: &[usize], _: usize) {
        leaves.iter_mut().for_each(|leaf| leaf.mapv_inplace(|v| v.clamp(0.0, 1.0)));
    }

    fn relax(&self, leaves: &mut [Array2<f32>], step: usize) -> bool {
        let Canvas { height, width, .. } = self.canvas;
        let due = |r: &Relax| r.every > 0 && step > 1 && (step - 1).is_multiple_of(r.every);
        let Some(relax) = self.relax.filter(due) else { return false };
        let gaussian = Gaussian::new(relax.sigma);
        for leaf in leaves {
            let planes = leaf.as_slice_mut().expect("leaves are row-major").par_chunks_exact_mut(height * width);
            planes.for_each(|plane| gaussian.apply(plane, height, width));
        }
        true
    }

    fn describe(&self) -> String {
        let colour = if self.canvas.grey { "grey" } else { "RGB" };
        let relax =
            self.relax.map_or_else(String::new, |r| format!(", blurred by {} px every {} steps", r.sigma, r.every));
        format!("pixels, {colour}, {}{relax}; from {}", self.rule.describe(), self.start)
    }
}

fn initial_pixels(canvas: &Canvas, init: &Init<'_>) -> Array2<f32> {
    let n_values = canvas.n_channels() * canvas.height * canvas.width;
    let mut out = Array2::from_elem((canvas.n_images, n_values), 0.5);
    match init {
        Init::Grey => {}
        Init::Noise { sd, seed, item } => {
            for (i, mut row) in out.axis_iter_mut(Axis(0)).enumerate() {
                let mut draws = rng::stream(*seed, "image-init", item * canvas.n_images as u64 + i as u64);
                row.mapv_inplace(|v| (f64::from(v) + sd * draws.normal()).clamp(0.0, 1.0) as f32);
            }
        }
        Init::Uniform { low, high, seed, item } => {
            for (i, mut row) in out.axis_iter_mut(Axis(0)).enumerate() {
                let mut draws = rng::stream(*seed, "image-init", item * canvas.n_images as u64 + i as u64);
                row.mapv_inplace(|_| draws.uniform_in(*low, *high) as f32);
            }
        }
        Init::Images(images) => {
            for (image, mut row) in images.axis_iter(Axis(0)).zip(out.axis_iter_mut(Axis(0))) {
                if canvas.grey {
                    let luminance = luminance_plane(image);
                    row.iter_mut().zip(&luminance).for_each(|(slot, &v)| *slot = v.clamp(0.0, 1.0) as f32);
                } else {
                    row.iter_mut().zip(&image).for_each(|(slot, &v)| *slot = v.clamp(0.0, 1.0));
                }
            }
        }
    }
    out
}

/// The sizes of the ancestor's octaves, smallest first: the last is `height` x `width`, each one
/// 1/`factor` of the next, rounded, at least 2.
pub fn octave_sizes(height: usize, width: usize, n_octaves: usize, factor: f64) -> Vec<[usize; 2]> {
    let shrink = |n: usize, octave: usize| ((n as f64 / factor.powi(octave as i32)).round() as usize).max(2);
    (0..n_octaves).rev().map(|octave| [shrink(height, octave), shrink(width, octave)]).collect()
}

/// Images (n x channels x h x w) at another size by bilinear interpolation (antialiased when
/// shrinking; pixel centres at half integers), for going from one octave to the next.
pub fn resample_bilinear(images: &Array4<f32>, height: usize, width: usize) -> Array4<f32> {
    let (_, _, h, w) = images.dim();
    super::transform::apply_matrices(images, &super::kernel::resize(h, height), &super::kernel::resize(w, width))
}

#[cfg(test)]
#[path = "pixels_tests.rs"]
mod tests;
