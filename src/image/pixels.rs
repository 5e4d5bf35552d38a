//! The ancestor's parametrisation: the pixels themselves, with Laplacian-pyramid gradient normalisation and octaves.

use super::colour::luminance_plane;
use super::custom::with_gradient;
use super::laplacian::LaplacianGradient;
use super::param::{Canvas, ImageParam, Init};
use crate::error::Result;
use crate::rng;
use crate::tensor::{Tensor, Var, array, precision, tensor_f64};
use ndarray::{Array2, Array4, Axis};

/// Pixel values, shown as they are:
///
/// ```text
/// image = min(max(p, 0), 1),   d(image)/dp taken as 1 everywhere
/// ```
///
/// so that a pixel at the edge of the range can come back; [`project`](ImageParam::project) brings the values into [0, 1] after each step.
/// The one leaf holds, per image, channels x height x width. Gradients are normalised per pyramid level when [`LaplacianGradient`] is given.
///
/// # Source
/// Wammes, Norman and Turk-Browne, eLife 2022, "Stimulus synthesis"; Mordvintsev's DeepDream tutorial (2015).
#[derive(Debug)]
pub struct Pixels {
    canvas: Canvas,
    normalisation: Option<LaplacianGradient>,
    initial: Array2<f32>,
    start: String,
}

impl Pixels {
    /// Standard deviation of the visual noise that the ancestor-like mode starts from.
    pub const NOISE_SD: f64 = 0.1;

    /// Pixels for `canvas`, started from `init`: noise is around 0.5 and brought into [0, 1].
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) for an empty canvas or initial images of another shape.
    pub fn new(canvas: Canvas, normalisation: Option<LaplacianGradient>, init: &Init<'_>) -> Result<Self> {
        let at = "pixel parametrisation";
        canvas.check(at)?;
        init.check(&canvas, at)?;
        let initial = initial_pixels(&canvas, init);
        Ok(Self { canvas, normalisation, initial, start: init.describe() })
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
        let shown = leaves[0].clone().inner().clamp(0.0, 1.0);
        let planes = with_gradient(leaves[0].clone(), shown, |gradient| gradient);
        let planes = planes.reshape([n_images, self.canvas.n_channels(), height, width]);
        if self.canvas.grey { planes.repeat_dim(1, 3) } else { planes }
    }

    fn condition(&self, gradients: Vec<Tensor<2>>) -> Vec<Tensor<2>> {
        let Some(normalisation) = self.normalisation else { return gradients };
        let Canvas { height, width, .. } = self.canvas;
        let condition = |gradient: Tensor<2>| {
            let [n_images, _] = gradient.dims();
            let shape = (n_images, self.canvas.n_channels(), height, width);
            let planes = array(&gradient).into_shape_with_order(shape).expect("the leaf has one value per pixel");
            let out = normalisation.apply(planes.view()).mapv(f64::from);
            let flat =
                out.into_shape_with_order((n_images, shape.1 * height * width)).expect("as many values as before");
            tensor_f64(flat.view(), precision(&gradient), &gradient.device())
        };
        gradients.into_iter().map(condition).collect()
    }

    fn project(&self, leaves: Vec<Tensor<2>>) -> Vec<Tensor<2>> {
        leaves.into_iter().map(|leaf| leaf.clamp(0.0, 1.0)).collect()
    }

    fn describe(&self) -> String {
        let colour = if self.canvas.grey { "grey" } else { "RGB" };
        let gradient = match &self.normalisation {
            Some(n) => format!("gradients normalised in {} Laplacian levels", n.n_levels),
            None => "plain gradients".into(),
        };
        format!("pixels, {colour}, {gradient}; from {}", self.start)
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

/// The sizes of the ancestor's octaves, smallest first: the last is `height` x `width`, each one 1/`factor` of the next, rounded, at least 2.
pub fn octave_sizes(height: usize, width: usize, n_octaves: usize, factor: f64) -> Vec<[usize; 2]> {
    let shrink = |n: usize, octave: usize| ((n as f64 / factor.powi(octave as i32)).round() as usize).max(2);
    (0..n_octaves).rev().map(|octave| [shrink(height, octave), shrink(width, octave)]).collect()
}

/// Images (n x channels x h x w) at another size by bilinear interpolation (antialiased when shrinking; pixel centres at half integers), for
/// going from one octave to the next.
pub fn resample_bilinear(images: &Array4<f32>, height: usize, width: usize) -> Array4<f32> {
    let (_, _, h, w) = images.dim();
    super::transform::apply_matrices(images, &super::kernel::resize(h, height), &super::kernel::resize(w, width))
}

#[cfg(test)]
#[path = "pixels_tests.rs"]
mod tests;
