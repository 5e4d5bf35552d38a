//! The `results` of `map`.

use crate::io::json::{or_nan, or_nans};
use crate::job::brain::results::{GradientResults, OverlapResults};
use crate::job::shard::Shard;
use crate::mapping::ceiling::Ceiling;
use crate::mapping::overlap::Compactness;
use crate::mapping::simulate::SimulationOptions;
use crate::mapping::{Dissimilarity, PlaceCorrection, Residual, Statistic};
use crate::stats::correction::Family;
use serde::{Deserialize, Serialize};

/// What a run came to, with its time and memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    #[serde(flatten)]
    pub found: Found,
    pub seconds: f64,
    pub peak_rss_mb: Option<f64>,
}

/// A whole map, a slice of one, or a simulation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Found {
    Map(Box<Mapped>),
    Simulation(Simulated),
    Shard(Sliced),
}

/// One slice of the centres, for `--shards`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sliced {
    pub shard: Shard,
    /// What all shards of one job have in common.
    pub job: String,
    pub n_centres: usize,
}

/// Maps or regions in numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mapped {
    /// 0 for regions.
    pub n_centres: usize,
    pub n_layers: usize,
    pub n_conditions: usize,
    pub dissimilarity: Dissimilarity,
    pub statistic: Statistic,
    pub residual: Residual,
    pub n_permutations: usize,
    pub correction: PlaceCorrection,
    #[serde(default)]
    pub family: Family,
    pub alpha: f64,
    /// Of the fingerprints' correlation matrix.
    #[serde(deserialize_with = "or_nan")]
    pub condition_number: f64,
    pub layers: Vec<Layer>,
    pub overlap: Option<OverlapResults>,
    pub gradient: Option<GradientResults>,
    #[serde(flatten)]
    pub volume: Option<Volume>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rois: Option<Vec<Region>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_rois: Option<usize>,
}

/// One layer over all places.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    pub name: String,
    /// What it is called in the names of its maps, `desc-<label>`; absent for regions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    #[serde(deserialize_with = "or_nan")]
    pub max: f64,
    #[serde(deserialize_with = "or_nan")]
    pub mean: f64,
    /// Absent without a test.
    pub n_significant: Option<usize>,
    pub peak_mm: Option<[f64; 3]>,
    pub n_clusters: Option<usize>,
    pub compactness: Option<Compactness>,
    /// Variance inflation of the fingerprint by the others.
    #[serde(deserialize_with = "or_nan")]
    pub vif: f64,
    /// Standard deviation of what the others do not explain, as a share.
    #[serde(deserialize_with = "or_nan")]
    pub residual_sd: f64,
    /// Share of the standard deviation that the residual method kept.
    #[serde(deserialize_with = "or_nan")]
    pub kept_sd: f64,
}

/// Of searchlights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Volume {
    /// The rule, in words.
    pub sphere: String,
    pub n_voxels: usize,
    /// Voxels of the mask that hold nothing.
    pub n_voxels_dropped: usize,
    /// Centres with too few voxels.
    pub n_centres_skipped: usize,
    /// Centres without an RDM.
    pub n_centres_undefined: usize,
    pub n_runs: usize,
    /// Runs of time series that were fitted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub glm: Vec<Glm>,
    /// Fewest and most.
    pub voxels_per_centre: [Option<u32>; 2],
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reliability: Option<Reliability>,
}

/// The fit of one run's time series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Glm {
    pub run: String,
    /// What it is called in the names of its files, `desc-<label>`.
    #[serde(default)]
    pub label: String,
    pub tr_s: f64,
    pub n_volumes: usize,
    pub n_regressors: usize,
    pub dof: usize,
    #[serde(deserialize_with = "or_nan")]
    pub mean_r2: f64,
    #[serde(deserialize_with = "or_nan")]
    pub max_r2: f64,
}

/// Split-half correlation of the RDMs over all centres.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Reliability {
    #[serde(deserialize_with = "or_nan")]
    pub mean: f64,
    #[serde(deserialize_with = "or_nan")]
    pub max: f64,
}

/// One region and all layers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Region {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voxels: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subjects: Option<usize>,
    /// Of each layer (and R^2).
    #[serde(deserialize_with = "or_nans")]
    pub values: Vec<f64>,
    /// Standard errors over subjects; empty for one.
    #[serde(deserialize_with = "or_nans")]
    pub errors: Vec<f64>,
    /// Empty without a test.
    #[serde(deserialize_with = "or_nans")]
    pub p: Vec<f64>,
    /// Over images; empty where they were not asked for.
    pub intervals: Vec<(Option<f64>, Option<f64>)>,
    /// Comparison of the RDMs of two halves of the data; of betas.
    #[serde(default)]
    pub split_half: Option<f64>,
    pub ceiling: Option<Ceiling>,
    pub best_layer: Option<String>,
    /// With intervals over images, of betas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<Margin>,
}

/// How much better the best layer is than the next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Margin {
    pub second_layer: String,
    #[serde(deserialize_with = "or_nan")]
    pub value: f64,
    /// Of the interval over images.
    #[serde(deserialize_with = "or_nan")]
    pub low: f64,
    #[serde(deserialize_with = "or_nan")]
    pub high: f64,
}

/// How long to scan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Simulated {
    /// Always true.
    pub simulated: bool,
    /// Of the set with most layers.
    pub n_layers: Option<usize>,
    pub dissimilarity: Dissimilarity,
    pub statistic: Statistic,
    pub residual: Residual,
    pub n_permutations: usize,
    pub correction: PlaceCorrection,
    #[serde(default)]
    pub family: Family,
    pub alpha: f64,
    /// Share of the regions whose layer must come back.
    pub target: f64,
    pub brain: SimulationOptions,
    /// One entry a set of images and way to judge.
    pub sets: Vec<SimulatedSet>,
}

/// One set of images, judged by raw or residual fingerprints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SimulatedSet {
    pub images: String,
    pub fingerprints: Residual,
    pub n_images: usize,
    /// Fewest presentations that reach the target.
    pub n_repeats_for_exact: Option<usize>,
    pub n_repeats_for_accuracy: Option<usize>,
    pub minutes_for_exact: Option<f64>,
    pub recovery: Vec<RecoveryRow>,
}

/// What came back at one number of presentations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecoveryRow {
    pub n_repeats: usize,
    pub accuracy: f64,
    pub interval: (f64, f64),
    pub hits: f64,
    pub false_layers: f64,
    pub exact: f64,
    pub exact_interval: (f64, f64),
    pub minutes: Option<f64>,
}
