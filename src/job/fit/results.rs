//! What `manifest.json` holds under `results`.

use crate::encoding::AlphaReport;
use crate::encoding::identification::Identification;
use crate::encoding::receptive_fields::RfSummary;
use crate::job::shard::Shard;
use serde::{Deserialize, Serialize};

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    #[serde(flatten)]
    pub found: Found,
    pub seconds: f64,
    pub peak_rss_mb: Option<f64>,
}

/// A whole fit, or a shard of its targets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Found {
    Fit(Box<Fit>),
    Shard(Sliced),
}

/// A shard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sliced {
    pub shard: Shard,
    /// What its fellows must have in common with it.
    pub job: String,
    pub n_targets_fitted: usize,
}

/// A fit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    pub n_samples: usize,
    /// Samples that the model in the file was fitted on.
    pub n_train: usize,
    /// Samples that were held out and predicted.
    pub n_test: usize,
    /// Samples on no side of the test: too near in time, or copies of a tested image.
    pub n_left_out: usize,
    pub n_targets: usize,
    /// Targets that do not vary over the training samples: nothing is fitted, and their score is 0.
    pub n_constant: usize,
    /// Targets that vary there, but not over the held-out samples: their score is 0.
    pub n_constant_tested: usize,
    /// Targets that lack a number in some sample: their score is 0.
    pub n_not_finite: usize,
    /// Targets left out of summaries by `scores.min_snr`.
    pub n_low_snr: usize,
    pub estimator: String,
    /// Of each target's best model, chosen by inner folds.
    pub scores: Option<ScoresResult>,
    pub identification: Option<Identified>,
    /// Of the models in the file.
    pub alphas: AlphaReport,
    pub layers: Vec<LayerResult>,
    pub receptive_fields: Vec<RegionField>,
    pub leakage: Vec<LeakageLine>,
    /// The model, under the run's directory.
    pub model: String,
}

/// Scores in summary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoresResult {
    pub all: ScoreSummary,
    pub by_roi: Vec<RegionScores>,
    /// Every model by itself.
    pub by_layer: Vec<LayerScores>,
    /// What r was tested by.
    pub permutations: Option<Permutations>,
}

/// A permutation test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Permutations {
    /// Permutations that were used: fewer than asked for where there are no more.
    pub n: usize,
    /// `1 / (1 + n)`: no p is smaller.
    pub smallest_p: f64,
}

/// Scores of some targets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoreSummary {
    pub n_targets: usize,
    pub r: Option<Scored>,
    pub r2: Option<Scored>,
    pub r2_er: Option<Scored>,
    pub feve: Option<Scored>,
    /// Largest r that the repeats allow.
    pub ceiling_r: Option<Scored>,
    /// Targets that are significant, after correction for their number.
    pub n_significant: Option<usize>,
}

/// One score over targets.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    pub mean: f64,
    pub median: f64,
    /// Of the median, over resampled targets.
    pub interval: Interval,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegionScores {
    pub roi: String,
    #[serde(flatten)]
    pub scores: ScoreSummary,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerScores {
    pub layer: String,
    #[serde(flatten)]
    pub scores: ScoreSummary,
    /// Median r of every region, in the order of `by_roi`.
    pub roi_r: Vec<Option<f64>>,
    /// How often this model's predictions name the right stimulus.
    pub identification: Option<Identification>,
}

/// Identification of the tested stimuli by the best models' predictions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Identified {
    pub all: Identification,
    pub within_category: Option<Identification>,
}

/// One set of features, or all together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerResult {
    pub name: String,
    pub n_features: usize,
    /// Windows that lie on its map, with receptive fields; the others are left out of it.
    pub n_windows: Option<usize>,
    /// Targets whose best model this is, by inner folds.
    pub n_best: usize,
    /// Of them in every region.
    pub roi_n_best: Vec<usize>,
    /// Mean share of r that this set adds to the model of all sets together, over targets; adds up to
    /// 1 over sets.
    pub contribution: Option<f64>,
    /// The same in every region.
    pub roi_contribution: Vec<Option<f64>>,
    /// Mean R2 that it adds to that model (product measure).
    pub r2_share: Option<f64>,
}

/// Receptive fields of a region.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegionField {
    pub roi: String,
    #[serde(flatten)]
    pub fields: RfSummary,
}

/// What was fitted on which rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LeakageLine {
    pub round: String,
    pub what: String,
    pub n_rows: usize,
    /// `0-799, 812`, counted from 0.
    pub rows: String,
    /// Rows of the round's test; empty where nothing is tested.
    pub tested: String,
}
