//! The `results` of `maximize`.

use super::config::Method;
use crate::io::json::{or_nan, or_nans};
use crate::job::Named;
use serde::{Deserialize, Serialize};

/// All kept images in numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    pub method: Method,
    pub n_units: usize,
    pub n_images_optimised: usize,
    pub steps: usize,
    /// Counts over all kept images.
    pub summary: Named<Count>,
    /// One row per kept image.
    pub units: Vec<KeptImage>,
    pub seconds_total: f64,
    pub seconds_synthesis: f64,
    pub images_per_second: f64,
    /// Share of the time that the network took.
    pub executor_share: f64,
    pub peak_rss_mb: Option<f64>,
}

/// So many of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    pub n: usize,
    pub of: usize,
}

/// A kept image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptImage {
    pub unit: String,
    pub direction: String,
    /// Path within the run directory.
    pub image: String,
    /// Within its unit and direction, from 1.
    pub number: usize,
    #[serde(flatten)]
    pub search: Option<Search>,
    /// Response to the image as written.
    #[serde(deserialize_with = "or_nan")]
    pub exported: f64,
    #[serde(flatten)]
    pub natural: Option<BesideNatural>,
    /// Of an objective over several units.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<Driven>,
    pub checks: Named<Response>,
}

/// How an image was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Search {
    /// Response before the first step.
    #[serde(deserialize_with = "or_nan")]
    pub start: f64,
    /// Response to the kept image before rounding.
    #[serde(rename = "final", deserialize_with = "or_nan")]
    pub last: f64,
    pub steps: usize,
    pub best_step: usize,
    pub converged: bool,
    /// Responses that all starts reached.
    #[serde(deserialize_with = "or_nans")]
    pub restarts: Vec<f64>,
}

/// A response beside those to natural images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BesideNatural {
    #[serde(deserialize_with = "or_nan")]
    pub natural_max: f64,
    #[serde(deserialize_with = "or_nan")]
    pub natural_min: f64,
    #[serde(deserialize_with = "or_nan")]
    pub natural_mean: f64,
    #[serde(deserialize_with = "or_nan")]
    pub natural_sd: f64,
    pub natural_best: String,
    pub natural_worst: String,
    #[serde(deserialize_with = "or_nan")]
    pub percentile: f64,
    #[serde(deserialize_with = "or_nan")]
    pub z: f64,
    /// Outside the natural range on the wanted side.
    pub beyond_natural: Option<bool>,
    /// Absent with a single unit; nothing where no other unit's response varies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub off_target: Option<Option<OffTarget>>,
}

/// How the other units take an image, in standard deviations of their natural responses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OffTarget {
    pub mean_abs_z: f64,
    pub largest_z: f64,
    pub largest_unit: String,
    /// Share of the other units that respond less than the image's own.
    pub share_weaker: f64,
}

/// One of the units of an objective.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Driven {
    pub unit: String,
    #[serde(deserialize_with = "or_nan")]
    pub response: f64,
    pub z: Option<f64>,
}

/// What another model says of an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Response {
    pub unit: String,
    #[serde(deserialize_with = "or_nan")]
    pub response: f64,
    pub percentile: Option<f64>,
}
