//! The `results` of `group`.

use super::config::{Generalise, GroupCorrection};
use crate::io::json::or_nan;
use crate::job::Named;
use crate::job::brain::results::{GradientResults, OverlapResults};
use crate::mapping::overlap::Compactness;
use crate::math::permutation::Tail;
use crate::stats::correction::Family;
use crate::stats::interval::Difference;
use serde::{Deserialize, Serialize};

/// The group's maps in numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    pub n_subjects: usize,
    pub n_voxels: usize,
    pub n_layers: usize,
    /// Whether differences of two sets of maps were tested.
    pub paired: bool,
    /// What the subjects' maps are of.
    pub statistic: String,
    /// Whether Fisher's z was taken first.
    pub fisher_z: bool,
    /// What was taken off every map before signs were flipped, in words.
    #[serde(default)]
    pub taken_off: String,
    /// To what a significant result generalises.
    #[serde(default)]
    pub generalise: Generalise,
    /// The same in words.
    #[serde(default)]
    pub claim: String,
    pub tail: Tail,
    pub correction: GroupCorrection,
    #[serde(default)]
    pub family: Family,
    pub alpha: f64,
    /// Sign flips, or relabellings of the conditions.
    pub n_permutations: usize,
    /// Whether these were all there are.
    pub exhaustive: bool,
    pub cluster_p: f64,
    pub layers: Vec<Layer>,
    /// Voxels whose winner is better than the next layer; absent with one layer.
    #[serde(default)]
    pub n_better: Option<usize>,
    pub overlap: Option<OverlapResults>,
    pub gradient: Option<GradientResults>,
    /// How the subjects' own overlaps differ between the two sets.
    pub overlap_difference: Option<Named<Difference>>,
    pub seconds: f64,
    pub peak_rss_mb: Option<f64>,
}

/// One layer's test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    pub name: String,
    /// What it is called in the names of its maps, `desc-<label>`.
    #[serde(default)]
    pub label: Option<String>,
    #[serde(deserialize_with = "or_nan")]
    pub mean: f64,
    #[serde(deserialize_with = "or_nan")]
    pub max: f64,
    pub n_significant: Option<usize>,
    pub n_clusters: usize,
    pub compactness: Option<Compactness>,
    /// Student's t where the tested statistic is furthest out.
    pub peak_t: Option<f64>,
    /// The tested statistic there, where conditions were relabelled.
    #[serde(default)]
    pub peak_z: Option<f64>,
    pub peak_mm: Option<[f64; 3]>,
    /// Corrected.
    pub peak_p: Option<f64>,
    /// Voxels without variation over subjects.
    pub n_left_out: usize,
    pub by_correction: Named<Corrected>,
}

/// What one correction calls significant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Corrected {
    pub n_significant: usize,
    pub smallest_p: f64,
}
