//! The `results` of `orthogonalize`.

use super::score::Score;
use crate::image::hygiene::ImageStatistics;
use crate::io::json::{or_nan, or_nans};
use crate::job::Named;
use serde::{Deserialize, Serialize};

/// The best set in numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Layers, in the order of every matrix.
    pub taps: Vec<String>,
    pub n_images: usize,
    /// Steps of the best item.
    pub steps: usize,
    /// Whether the objective had settled over the last tenth of the steps.
    pub converged: bool,
    pub seconds_per_step: f64,
    /// Share of the time that the network took.
    pub executor_share: f64,
    pub peak_rss_mb: Option<f64>,
    /// Before the first step.
    pub start: Score,
    /// After the last step, unquantized.
    #[serde(rename = "final")]
    pub last: Score,
    /// Of the written 8-bit images.
    pub exported: Score,
    /// The worst of `probes`.
    pub robust: Option<Score>,
    /// Of the written images after a shift, a blur and a rescale.
    pub probes: Named<Score>,
    /// Of the natural images that were given.
    pub baseline: Option<Score>,
    /// Mean |R| of random RSMs of this size.
    #[serde(deserialize_with = "or_nan")]
    pub chance_mean_abs_r: f64,
    /// Standard deviation of each layer's RSM on the written images.
    #[serde(deserialize_with = "or_nans")]
    pub rsm_sd: Vec<f64>,
    /// The restart that was kept.
    pub best_item: usize,
    /// What was maximised, in words.
    pub objective: String,
    /// Of each written image.
    pub image_statistics: Vec<ImageStatistics>,
    /// All restarts, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restarts: Vec<Restart>,
}

/// One of several restarts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Restart {
    pub item: usize,
    pub exported: Score,
    pub steps: usize,
}
