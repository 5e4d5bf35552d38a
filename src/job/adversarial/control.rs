//! Random perturbations of the same size: what a response does when the direction does not matter.
//!
//! For the mean and the largest difference every value moves by the radius, up or down at random:
//! the size of a signed gradient step without its direction. For the Euclidean norm it is normal
//! noise, whose directions are uniform on the sphere.

use super::plan::Plan;
use crate::image::Norm;
use crate::image::ball::LEVELS;
use crate::image::dequantize;
use crate::rng;
use ndarray::{Array3, Array4, Axis, stack};

/// `n_random` perturbations of a base image, scaled to the radius, brought into the pixel range, 8
/// bits within the budget. In [0, 1].
///
/// Stream: (`seed`, "random perturbation", image and number).
pub fn random(plan: &Plan, base: usize, epsilon: f64) -> Array4<f32> {
    let bytes = plan.base_bytes.index_axis(Axis(0), base);
    let flat: Vec<u8> = bytes.iter().copied().collect();
    let images: Vec<Array3<u8>> = (0..plan.config.n_random)
        .map(|k| {
            let mut draws =
                rng::stream(plan.config.seed, "random perturbation", (base * plan.config.n_random + k) as u64);
            let one = |normal: f64| if plan.config.norm == Norm::L2 { normal } else { normal.signum() };
            let noise: Vec<f64> = flat.iter().map(|_| one(draws.normal())).collect();
            let factor = epsilon / plan.config.norm.of(noise.iter().copied());
            let moved: Vec<f32> =
                flat.iter().zip(&noise).map(|(&b, d)| ((f64::from(b) + factor * d) / LEVELS) as f32).collect();
            let rounded = plan.config.norm.round(&moved, &flat, epsilon);
            Array3::from_shape_vec(bytes.raw_dim(), rounded).expect("as many values as the base")
        })
        .collect();
    let views: Vec<_> = images.iter().map(|image| image.view()).collect();
    let (_, c, h, w) = plan.base_bytes.dim();
    dequantize(&stack(Axis(0), &views).unwrap_or_else(|_| Array4::zeros((0, c, h, w))))
}
