//! A view of its own for every image: shift, zoom, rotation and blur, resampled bilinearly.

use super::custom::with_gradient;
use super::smooth::Gaussian;
use crate::error::{Error, Result};
use crate::rng::Stream;
use crate::tensor::{Tensor, Var, into_vec_f64, precision, tensor_f64};
use ndarray::Array4;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One view: the pixel at `p` (from the centre) shows what lies at `R(-angle) (p - shift) / scale`,
/// then a Gaussian blur.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pose {
    /// Pixels down and to the right.
    pub shift: (f64, f64),
    pub scale: f64,
    /// Counter-clockwise.
    pub angle_deg: f64,
    /// Standard deviation, pixels.
    pub blur_px: f64,
}

/// Ranges that poses are drawn from, uniformly.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PoseOptions {
    /// Largest shift each way, pixels.
    pub jitter: f64,
    /// Smallest and largest magnification.
    pub scale: [f64; 2],
    /// Largest rotation each way, degrees.
    pub rotate: f64,
    /// Largest blur, standard deviation in pixels.
    pub blur: f64,
}

impl Default for PoseOptions {
    fn default() -> Self {
        Self { jitter: 4.0, scale: [0.95, 1.05], rotate: 5.0, blur: 0.0 }
    }
}

impl PoseOptions {
    /// True when every pose would leave the image as it is.
    pub fn is_off(&self) -> bool {
        self.jitter == 0.0 && self.scale == [1.0, 1.0] && self.rotate == 0.0 && self.blur == 0.0
    }

    /// # Errors
    /// [`Error::Invalid`] for ranges that are negative, not finite, or too large to be views of the
    /// same image.
    pub fn check(&self) -> Result<()> {
        let [low, high] = self.scale;
        let good = (0.0..=64.0).contains(&self.jitter)
            && (0.0..=180.0).contains(&self.rotate)
            && (0.0..=8.0).contains(&self.blur)
            && 0.5 <= low
            && low <= high
            && high <= 2.0;
        if good {
            return Ok(());
        }
        Err(Error::invalid(
            "jitter, rotate, blur, scale",
            "0..64 px, 0..180 degrees, 0..8 px, and 0.5 <= LOW <= HIGH <= 2",
            format!("{}, {}, {} and {low},{high}", self.jitter, self.rotate, self.blur),
            "0 (and 1,1) turn them off",
        ))
    }
}

impl Pose {
    /// A random pose; always takes the same number of draws.
    pub fn draw(draws: &mut Stream, options: &PoseOptions) -> Self {
        let PoseOptions { jitter, scale, rotate, blur } = *options;
        Self {
            shift: (draws.uniform_in(-jitter, jitter), draws.uniform_in(-jitter, jitter)),
            scale: draws.uniform_in(scale[0], scale[1]),
            angle_deg: draws.uniform_in(-rotate, rotate),
            blur_px: draws.uniform_in(0.0, blur),
        }
    }

    /// For each pixel of a `height` x `width` plane the four source pixels and their weights; edges
    /// are repeated.
    fn stencil(&self, height: usize, width: usize) -> Vec<[(u32, f64); 4]> {
        let (cy, cx) = ((height as f64 - 1.0) / 2.0, (width as f64 - 1.0) / 2.0);
        let (sin, cos) = self.angle_deg.to_radians().sin_cos();
        let mut out = Vec::with_capacity(height * width);
        for y in 0..height {
            for x in 0..width {
                let (dy, dx) = (y as f64 - cy - self.shift.0, x as f64 - cx - self.shift.1);
                // Rows grow downwards: a counter-clockwise turn of the content looks up clockwise.
                let (sx, sy) = ((cos * dx - sin * dy) / self.scale + cx, (sin * dx + cos * dy) / self.scale + cy);
                let (y0, x0) = (sy.floor(), sx.floor());
                let (fy, fx) = (sy - y0, sx - x0);
                let at = |y: f64, x: f64| {
                    let (y, x) = (y.clamp(0.0, height as f64 - 1.0) as u32, x.clamp(0.0, width as f64 - 1.0) as u32);
                    y * width as u32 + x
                };
                out.push([
                    (at(y0, x0), (1.0 - fy) * (1.0 - fx)),
                    (at(y0, x0 + 1.0), (1.0 - fy) * fx),
                    (at(y0 + 1.0, x0), fy * (1.0 - fx)),
                    (at(y0 + 1.0, x0 + 1.0), fy * fx),
                ]);
            }
        }
        out
    }
}

/// What is needed of a pose on both ways.
struct Prepared {
    stencil: Vec<[(u32, f64); 4]>,
    blur: Gaussian,
}

impl Prepared {
    fn forward(&self, image: &mut [f64], height: usize, width: usize) {
        for plane in image.chunks_exact_mut(height * width) {
            let seen: Vec<f64> =
                self.stencil.iter().map(|s| s.iter().map(|&(i, w)| w * plane[i as usize]).sum()).collect();
            plane.copy_from_slice(&seen);
            self.blur.apply(plane, height, width);
        }
    }

    /// The transposed map: the blur is symmetric, the resampling scatters.
    fn backward(&self, gradient: &mut [f64], height: usize, width: usize) {
        for plane in gradient.chunks_exact_mut(height * width) {
            self.blur.apply(plane, height, width);
            let mut source = vec![0.0; plane.len()];
            for (stencil, &g) in self.stencil.iter().zip(plane.iter()) {
                stencil.iter().for_each(|&(i, w)| source[i as usize] += w * g);
            }
            plane.copy_from_slice(&source);
        }
    }
}

/// Each image (n x channels x height x width) under its own pose, differentiable. One pose per
/// image.
pub fn apply(images: Var<4>, poses: Vec<Pose>) -> Var<4> {
    let [_, channels, height, width] = images.dims();
    let size = channels * height * width;
    let prepare = |pose: &Pose| Prepared { stencil: pose.stencil(height, width), blur: Gaussian::new(pose.blur_px) };
    let prepared: Arc<Vec<Prepared>> = Arc::new(poses.par_iter().map(prepare).collect());
    with_gradient(images, |images| {
        let forward = prepared.clone();
        let seen = each(images, size, |i, image| forward[i].forward(image, height, width));
        let pullback =
            move |gradient: Tensor<4>| each(gradient, size, |i, image| prepared[i].backward(image, height, width));
        (seen, pullback)
    })
}

/// Every image (`size` values) changed in place, in 64 bits.
fn each(images: Tensor<4>, size: usize, change: impl Fn(usize, &mut [f64]) + Send + Sync) -> Tensor<4> {
    let (width_of, device, shape) = (precision(&images), images.device(), images.dims());
    let mut values = into_vec_f64(images);
    values.par_chunks_mut(size).enumerate().for_each(|(i, image)| change(i, image));
    tensor_f64::<1, _>(ndarray::aview1(&values), width_of, &device).reshape(shape)
}

/// [`apply`] on plain arrays.
pub fn apply_array(images: &Array4<f32>, poses: &[Pose]) -> Array4<f32> {
    let (_, _, height, width) = images.dim();
    let mut out = images.clone();
    for (mut image, pose) in out.outer_iter_mut().zip(poses) {
        let prepared = Prepared { stencil: pose.stencil(height, width), blur: Gaussian::new(pose.blur_px) };
        let mut values: Vec<f64> = image.iter().map(|&v| f64::from(v)).collect();
        prepared.forward(&mut values, height, width);
        image.iter_mut().zip(values).for_each(|(slot, v)| *slot = v as f32);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check_gradient, normal, uniform_images};
    use super::*;

    const STILL: Pose = Pose { shift: (0.0, 0.0), scale: 1.0, angle_deg: 0.0, blur_px: 0.0 };

    #[test]
    fn gradients_match_finite_differences() {
        let poses = vec![
            Pose { shift: (0.7, -1.2), scale: 1.1, angle_deg: 12.0, blur_px: 0.8 },
            Pose { shift: (-2.0, 0.3), scale: 0.9, angle_deg: -30.0, blur_px: 0.0 },
        ];
        let x = normal("warp", (2, 3 * 7 * 6));
        check_gradient(&x, 1e-5, 1e-9, |leaf| apply(leaf.reshape([2, 3, 7, 6]), poses.clone()));
    }

    #[test]
    fn whole_shifts_and_quarter_turns_are_exact() {
        let images = uniform_images("warp", (1, 3, 5, 5));
        assert_eq!(apply_array(&images, &[STILL]), images);
        let down = apply_array(&images, &[Pose { shift: (2.0, 0.0), ..STILL }]);
        assert_eq!(down[(0, 1, 4, 3)], images[(0, 1, 2, 3)], "content moves down");
        let turned = apply_array(&images, &[Pose { angle_deg: 90.0, ..STILL }]);
        // Counter-clockwise: the right edge becomes the top edge.
        assert!((turned[(0, 0, 0, 1)] - images[(0, 0, 1, 4)]).abs() < 1e-6);
    }
}
