//! Pixels inside a ball around a base image: bounded perturbations.

use super::ball::{LEVELS, Norm};
use super::colour::LUMINANCE;
use super::param::ImageParam;
use super::smooth::Gaussian;
use crate::error::{Error, Result};
use crate::tensor::Var;
use ndarray::parallel::prelude::*;
use ndarray::{Array2, Array4, ArrayView1, Axis};
use serde::{Deserialize, Serialize};

/// What is ascended inside the ball.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ascent {
    /// The raw gradient: for optimizers that scale it themselves.
    Raw,
    /// The gradient smoothed by a Gaussian of `sigma` pixels (0: not) and scaled to the ball:
    /// `epsilon g / rms(g)` for the mean absolute difference, `epsilon g / |g|` for the Euclidean
    /// norm, `epsilon sign(g)` for the largest difference.
    Scaled { sigma: f64 },
    /// `epsilon sign(g)`, which spends the budget of the mean and of the largest difference in one
    /// step; `epsilon g / |g|` for the Euclidean norm.
    Sign,
}

/// What else a perturbation leaves as it is in the base image, to the precision of alternating
/// projections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Equal {
    #[default]
    Nothing,
    /// The mean luminance.
    Luminance,
    /// Mean and standard deviation of the luminance.
    Contrast,
}

/// Pixels that stay in `{x : |x - base| <= epsilon, 0 <= x <= 1}` of their own base image; see
/// [`Norm::project`].
///
/// The one leaf holds, per image, 3 x height x width values in [0, 1], shown as they are.
#[derive(Debug)]
pub struct Bounded {
    shape: [usize; 4],
    base: Array2<f32>,
    norm: Norm,
    /// Radius of each image, levels of 0..255.
    epsilon: Vec<f64>,
    ascent: Ascent,
    equal: Equal,
}

/// Rounds of alternating projections onto equal luminance and contrast, and onto the ball.
const ROUNDS: usize = 6;

impl Bounded {
    /// Balls of radius `epsilon[i]` around `base[i]` (n x 3 x h x w, in [0, 1]).
    ///
    /// # Errors
    /// [`Error::Invalid`] for a radius that no perturbation can have, or another number of radii
    /// than images.
    pub fn new(base: &Array4<f32>, epsilon: Vec<f64>, norm: Norm, ascent: Ascent, equal: Equal) -> Result<Self> {
        let (n, channels, height, width) = base.dim();
        let n_values = channels * height * width;
        for &radius in &epsilon {
            norm.check(radius, n_values)?;
        }
        if epsilon.len() != n || channels != 3 {
            let found = format!("{} and {channels}", epsilon.len());
            return Err(Error::invalid("bounded perturbation", format!("{n} radii and 3 channels"), found, ""));
        }
        let base =
            Array2::from_shape_vec((n, n_values), base.iter().copied().collect()).expect("three values per pixel");
        Ok(Self { shape: [n, channels, height, width], base, norm, epsilon, ascent, equal })
    }

    /// Moves a perturbed image (3 planes) to the mean luminance, and contrast, of its base.
    fn equalise(&self, row: &mut [f32], base: ArrayView1<'_, f32>) {
        let base = base.as_slice().expect("row-major");
        let (mean, sd) = luminance(row);
        let (wanted, wanted_sd) = luminance(base);
        let gain = if self.equal == Equal::Contrast && sd > 0.0 { wanted_sd / sd } else { 1.0 };
        row.iter_mut().for_each(|v| *v = (wanted + (f64::from(*v) - mean) * gain) as f32);
    }
}

/// Mean and standard deviation of L over the pixels of three planes.
fn luminance(image: &[f32]) -> (f64, f64) {
    let n = image.len() / 3;
    let at = |i: usize| (0..3).map(|c| LUMINANCE[c] * f64::from(image[c * n + i])).sum::<f64>();
    let mean = (0..n).map(at).sum::<f64>() / n as f64;
    let variance = (0..n).map(|i| (at(i) - mean).powi(2)).sum::<f64>() / n as f64;
    (mean, variance.sqrt())
}

impl ImageParam for Bounded {
    fn shape(&self) -> [usize; 4] {
        self.shape
    }

    fn leaves(&self) -> Vec<Array2<f32>> {
        vec![self.base.clone()]
    }

    fn render(&self, leaves: &[Var<2>]) -> Var<4> {
        let [_, channels, height, width] = self.shape;
        let n = leaves[0].dims()[0];
        leaves[0].clone().reshape([n, channels, height, width])
    }

    fn is_pixels(&self) -> bool {
        true
    }

    fn condition(&self, gradients: &mut [Array2<f32>], images: &[usize]) {
        let [_, _, height, width] = self.shape;
        let gaussian = match self.ascent {
            Ascent::Raw => return,
            Ascent::Scaled { sigma } => Gaussian::new(sigma),
            Ascent::Sign => Gaussian::new(0.0),
        };
        for gradient in gradients {
            gradient.axis_iter_mut(Axis(0)).into_par_iter().zip(images).for_each(|(mut row, &image)| {
                let row = row.as_slice_mut().expect("gradients are row-major");
                row.chunks_exact_mut(height * width).for_each(|plane| gaussian.apply(plane, height, width));
                scale(row, self.norm, self.ascent == Ascent::Sign, self.epsilon[image] / LEVELS);
            });
        }
    }

    fn project(&self, leaves: &mut [Array2<f32>], images: &[usize], _: usize) {
        for leaf in leaves {
            leaf.axis_iter_mut(Axis(0)).into_par_iter().zip(images).for_each(|(mut row, &image)| {
                let row = row.as_slice_mut().expect("leaves are row-major");
                let base = self.base.row(image);
                let rounds = if self.equal == Equal::Nothing { 0 } else { ROUNDS };
                for _ in 0..rounds {
                    self.equalise(row, base);
                    self.norm.project(row, base.as_slice().expect("row-major"), self.epsilon[image]);
                }
                if rounds == 0 {
                    self.norm.project(row, base.as_slice().expect("row-major"), self.epsilon[image]);
                }
            });
        }
    }

    fn describe(&self) -> String {
        let equal = match self.equal {
            Equal::Nothing => "",
            Equal::Luminance => ", mean luminance of the base",
            Equal::Contrast => ", mean luminance and contrast of the base",
        };
        format!("pixels around a base image, {} of at most epsilon{equal}", self.norm)
    }
}

/// Scales a gradient to a step of the ball's size.
fn scale(row: &mut [f32], norm: Norm, sign: bool, epsilon: f64) {
    if norm == Norm::Linf || (sign && norm == Norm::L1Mean) {
        row.iter_mut().for_each(|v| *v = if *v == 0.0 { 0.0 } else { v.signum() * epsilon as f32 });
        return;
    }
    let square: f64 = row.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
    let length = if norm == Norm::L2 { square.sqrt() } else { (square / row.len() as f64).sqrt() };
    if length > 0.0 {
        let factor = (epsilon / length) as f32;
        row.iter_mut().for_each(|v| *v *= factor);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::uniform_images;
    use super::*;

    fn moved(norm: Norm, ascent: Ascent, equal: Equal, epsilon: f64) -> (Vec<f32>, Vec<f32>) {
        let base = uniform_images("bounded", (2, 3, 9, 8)).mapv(|v| 0.2 + 0.6 * v);
        let param = Bounded::new(&base, vec![epsilon, 2.0 * epsilon], norm, ascent, equal).expect("good radii");
        let mut gradient =
            [uniform_images("bounded-g", (1, 3, 9, 8)).into_shape_with_order((1, 216)).expect("216 values")];
        // One row that makes image 1: its radius is the second.
        param.condition(&mut gradient, &[1]);
        let mut leaf = [param.leaves()[0].select(Axis(0), &[1]) + &gradient[0]];
        param.project(&mut leaf, &[1], 1);
        (leaf[0].row(0).to_vec(), param.base.row(1).to_vec())
    }

    #[test]
    fn a_step_spends_the_budget_of_its_own_image() {
        for (norm, epsilon) in [(Norm::L1Mean, 4.0), (Norm::L2, 60.0), (Norm::Linf, 4.0)] {
            let (image, base) = moved(norm, Ascent::Sign, Equal::Nothing, epsilon);
            let size = norm.of(image.iter().zip(&base).map(|(&x, &b)| LEVELS * f64::from(x - b)));
            assert!((size - 2.0 * epsilon).abs() < 1e-3, "{norm}: {size}");
        }
    }

    #[test]
    fn luminance_and_contrast_are_held() {
        let (image, base) = moved(Norm::L1Mean, Ascent::Scaled { sigma: 1.0 }, Equal::Contrast, 4.0);
        let ((m, s), (wanted, wanted_sd)) = (luminance(&image), luminance(&base));
        assert!((m - wanted).abs() < 1e-4 && (s - wanted_sd).abs() < 1e-3, "{m} {wanted}, {s} {wanted_sd}");
        assert!(image != base);
    }
}
