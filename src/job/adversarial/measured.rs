//! What is known of a perturbed image once it is written.

use super::batch::Perturbed;

/// Responses to random perturbations of the radius.
#[derive(Debug, Clone, Copy)]
pub struct Random {
    pub mean: f64,
    pub sd: f64,
    /// Their mean size in 8 bits, levels.
    pub achieved: f64,
}

/// What models say about one written perturbation.
#[derive(Debug, Clone)]
pub struct Measured {
    pub made: Perturbed,
    /// Response of the unit (or margin) to the written image.
    pub exported: f64,
    /// A classifier's answer to it.
    pub answer: Option<usize>,
    /// Response of the unit to the perturbation of the same image that was made for the next unit.
    pub cross: Option<f64>,
    pub random: Option<Random>,
    pub ssim: f64,
    /// Per check model: response before and after.
    pub checks: Vec<(f64, f64)>,
}
