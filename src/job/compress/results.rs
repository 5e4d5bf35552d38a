//! The `results` of `compress`.

use crate::io::json::or_nan;
use serde::{Deserialize, Serialize};

/// What a network was, what it became, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// What was compressed: a model directory, a file or `embedded`.
    pub model: String,
    /// The model directory that was written, within the run directory.
    pub made: String,
    /// The operators in the order in which they were applied, in words.
    pub operators: Vec<String>,
    /// What the score is, in words.
    pub score: String,
    /// Images that channels were judged on.
    pub n_images: usize,
    /// Images that the scores are on.
    pub n_test_images: usize,
    /// How the images came apart.
    pub split: String,
    pub before: Stage,
    pub after: Stage,
    /// Before over after.
    pub ratio: Ratios,
    /// Before, after every operator.
    pub stages: Vec<Stage>,
    pub layers: Vec<Layer>,
    pub similarity: Vec<Similarity>,
    /// What went in every round.
    pub steps: Vec<Step>,
    /// Mean loss of every pass of fine-tuning.
    pub losses: Vec<f64>,
    pub seconds: f64,
    /// Null where the system does not tell.
    pub peak_rss_mb: Option<f64>,
}

/// A network, measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// What was done last.
    pub stage: String,
    pub params: usize,
    /// Parameters that are not 0.
    pub nonzero: usize,
    /// Output channels of all convolutions and linear layers.
    pub filters: usize,
    /// Filters that see more than one pixel.
    pub kernels: usize,
    /// Multiply-accumulates of one image.
    pub macs: u64,
    /// As it is stored.
    pub bytes: u64,
    /// Of one image; of this machine at this time.
    pub latency_ms: f64,
    /// On the test images.
    #[serde(deserialize_with = "or_nan")]
    pub score: f64,
    /// On the images that channels were judged on.
    #[serde(deserialize_with = "or_nan")]
    pub judged_score: f64,
}

/// How many times smaller a network became.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ratios {
    pub params: f64,
    pub nonzero: f64,
    pub filters: f64,
    pub macs: f64,
    pub bytes: f64,
    pub latency_ms: f64,
}

impl Ratios {
    /// Before over after.
    pub fn of(before: &Stage, after: &Stage) -> Self {
        let ratio = |b: u64, a: u64| b as f64 / a as f64;
        Self {
            params: ratio(before.params as u64, after.params as u64),
            nonzero: ratio(before.nonzero as u64, after.nonzero as u64),
            filters: ratio(before.filters as u64, after.filters as u64),
            macs: ratio(before.macs, after.macs),
            bytes: ratio(before.bytes, after.bytes),
            latency_ms: before.latency_ms / after.latency_ms,
        }
    }
}

/// A layer before and after.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    pub layer: String,
    /// Output channels.
    pub filters: [usize; 2],
    pub params: [usize; 2],
    pub macs: [u64; 2],
}

/// How alike a layer is before and after.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Similarity {
    pub tap: String,
    /// Linear CKA; null where the layer's patterns never differ.
    pub cka: Option<f64>,
    /// With unbiased estimates of its products; null as well with fewer than four images.
    pub debiased: Option<f64>,
}

/// A round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// `LAYER:CHANNEL`, counted in the network before.
    pub removed: Vec<String>,
    /// On the images that channels are judged on; of layerwise-variance the share of the variance
    /// (or of r^2) that is left.
    pub score: Option<f64>,
}
