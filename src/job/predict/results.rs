//! The `results` of `predict`.

use crate::encoding::identification::Identification;
use crate::io::json::or_nan;
use crate::math::stats;
use serde::{Deserialize, Serialize};

/// What was predicted, and how well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// The model's file.
    pub model: String,
    pub n_stimuli: usize,
    pub n_targets: usize,
    /// Targets that could not be fitted: their predictions are NaN.
    pub n_unfitted: usize,
    /// Stimuli that the model was fitted on; null where the model does not know.
    pub n_trained: Option<usize>,
    /// Where responses were given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scores: Option<Scored>,
    /// Of the scored stimuli from the patterns over targets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identification: Option<Identification>,
    pub seconds: f64,
    /// Null where the system does not tell.
    pub peak_rss_mb: Option<f64>,
}

/// Predictions against responses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// Stimuli with responses.
    pub n_stimuli: usize,
    /// Targets with responses.
    pub n_targets: usize,
    /// Largest number of repeats of a stimulus.
    pub n_repeats: usize,
    /// Targets that score 0 because their responses never change.
    pub n_constant: usize,
    /// Targets that score 0 because some response or prediction is no number.
    pub n_not_finite: usize,
    pub r: Spread,
    pub r2: Spread,
    /// Noise-corrected, of the targets where it is defined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r2_er: Option<Spread>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feve: Option<Spread>,
    /// The best-predicted targets, by r.
    pub best: Vec<Best>,
}

/// A score over targets.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Targets where it is a number.
    pub n: usize,
    #[serde(deserialize_with = "or_nan")]
    pub mean: f64,
    #[serde(deserialize_with = "or_nan")]
    pub median: f64,
}

impl Spread {
    /// Of some scores, those that are not finite left out.
    pub fn of(values: &[f64]) -> Self {
        let finite: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
        Self { n: finite.len(), mean: stats::mean(&finite), median: stats::median(&finite) }
    }
}

/// A target and its score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Best {
    pub target: String,
    pub r: f64,
}
