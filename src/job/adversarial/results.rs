//! The `results` of `adversarial`.

use super::config::Method;
use crate::image::Norm;
use crate::io::json::{or_nan, or_nans};
use crate::job::Named;
use serde::{Deserialize, Serialize};

/// All perturbations in numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    pub method: Method,
    pub norm: Norm,
    /// Radii, levels of 0..255.
    pub epsilon: Vec<f64>,
    pub n_units: usize,
    /// Base images.
    pub n_images: usize,
    pub summary: Summary,
    /// Of a classifier's answers; absent for responses.
    pub success: Option<Success>,
    /// One row per base image, unit and radius.
    pub pairs: Vec<Pair>,
    pub seconds_total: f64,
    pub seconds_synthesis: f64,
    pub peak_rss_mb: Option<f64>,
}

/// Means over images and units.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub unit_of_change: String,
    pub per_epsilon: Vec<PerEpsilon>,
}

/// Mean changes from the base within one radius.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PerEpsilon {
    #[serde(deserialize_with = "or_nan")]
    pub epsilon: f64,
    pub mean_up: Option<f64>,
    pub mean_down: Option<f64>,
    /// Of random perturbations of the same size.
    pub mean_random: Option<f64>,
    /// Of the images made for another unit.
    pub mean_cross_up: Option<f64>,
    pub mean_cross_down: Option<f64>,
    #[serde(deserialize_with = "or_nan")]
    pub mean_ssim: f64,
    pub largest_achieved: f64,
}

/// Whether each image gets another answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Success {
    pub epsilon: Vec<f64>,
    pub images: Vec<String>,
    /// Radii x images.
    pub matrix: Vec<Vec<Option<bool>>>,
    /// Share of the images, per radius.
    #[serde(deserialize_with = "or_nans")]
    pub rate: Vec<f64>,
}

/// One base image, up and down. Responses, or margins of a classifier's own answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    pub image: String,
    pub unit: String,
    /// Paths within the run directory.
    #[serde(default)]
    pub file_up: String,
    #[serde(default)]
    pub file_down: Option<String>,
    pub epsilon: f64,
    #[serde(deserialize_with = "or_nan")]
    pub base: f64,
    /// To the image before rounding.
    #[serde(deserialize_with = "or_nan")]
    pub up: f64,
    pub down: Option<f64>,
    pub random_up: Option<f64>,
    pub random_sd: Option<f64>,
    /// Mean size of the random perturbations in 8 bits, levels.
    #[serde(default)]
    pub random_achieved: Option<f64>,
    /// To the image as written.
    #[serde(deserialize_with = "or_nan")]
    pub exported_up: f64,
    pub exported_down: Option<f64>,
    pub cross_up: Option<f64>,
    pub cross_down: Option<f64>,
    /// Size of the written perturbation, levels.
    pub epsilon_achieved: f64,
    pub epsilon_achieved_down: Option<f64>,
    #[serde(deserialize_with = "or_nan")]
    pub ssim: f64,
    pub ssim_down: Option<f64>,
    #[serde(flatten)]
    pub smallest: Option<Smallest>,
    #[serde(flatten)]
    pub answers: Option<Answers>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub natural_sd: Option<f64>,
    pub checks: Named<Checked>,
}

/// Of a search for the smallest radius.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Smallest {
    pub epsilon_down: Option<f64>,
    pub reached: bool,
    pub reached_down: Option<bool>,
}

/// A classifier's answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answers {
    pub answer_before: String,
    pub answer_after: String,
    pub success: bool,
}

/// What another model says of a pair.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    #[serde(deserialize_with = "or_nan")]
    pub base: f64,
    #[serde(deserialize_with = "or_nan")]
    pub up: f64,
    pub down: Option<f64>,
}
