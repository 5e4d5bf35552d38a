//! The `results` of `distill`.

use crate::io::json::or_nan;
use serde::{Deserialize, Serialize};

/// What was taught, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Who taught.
    pub teacher: String,
    pub n_units: usize,
    /// Members of an ensemble; 1 for any other teacher.
    pub n_members: usize,
    /// Images that students learnt from, and views of each.
    pub n_images: usize,
    pub n_views: usize,
    /// Images that they never learnt from.
    pub n_held: usize,
    /// Images with recorded responses.
    pub n_test: Option<usize>,
    /// The core that all units share, with a readout for each.
    pub shared: Option<Network>,
    pub students: Vec<Student>,
    pub medians: Medians,
    pub seconds: f64,
    /// Null where the system does not tell.
    pub peak_rss_mb: Option<f64>,
}

/// A unit's students.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Student {
    pub unit: String,
    /// How well the teacher itself predicts the recorded responses.
    pub teacher: Option<Recorded>,
    pub unpruned: Network,
    pub pruned: Option<Network>,
}

/// A network, measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// Its model directory, within the run directory.
    pub model: String,
    pub parameters: usize,
    /// Filters of each layer.
    pub filters: Vec<usize>,
    /// Filters that see more than one pixel.
    pub kernels: usize,
    /// Multiply-accumulates of one image.
    pub macs: u64,
    /// Of the file of its weights.
    pub bytes: u64,
    /// Of one image, on this machine at this time.
    pub latency_ms: f64,
    /// Pearson's r with the teacher on the held-out images (mean over outputs).
    #[serde(deserialize_with = "or_nan")]
    pub r: f64,
    /// On the recorded responses.
    pub recorded: Option<Recorded>,
    /// Passes over the images of its last training.
    pub epochs: usize,
}

/// Scores on recorded responses.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// Pearson's r with the mean over repeats.
    #[serde(deserialize_with = "or_nan")]
    pub r: f64,
    /// Noise-corrected; null without repeats.
    pub r2_er: Option<f64>,
}

/// Medians over units.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Medians {
    pub unpruned: Median,
    pub pruned: Option<Median>,
    /// Of the teacher's own r with recorded responses.
    pub teacher_recorded_r: Option<f64>,
}

/// Of the networks of one stage.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Median {
    pub parameters: f64,
    pub kernels: f64,
    #[serde(deserialize_with = "or_nan")]
    pub r: f64,
    pub recorded_r: Option<f64>,
}
