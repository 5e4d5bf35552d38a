//! The `results` of `rdm`.

use super::models::Models;
use crate::io::json::{or_nan, or_nans};
use crate::rdm::Measure;
use crate::rdm::report::Row;
use serde::{Deserialize, Serialize};

/// Layer RDMs in numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Layers, in the order of the RDMs.
    pub taps: Vec<String>,
    pub n_images: usize,
    /// Names, in the order of the RDMs' conditions.
    pub images: Vec<String>,
    pub measure: Measure,
    /// Standard deviation of each layer's dissimilarities.
    #[serde(deserialize_with = "or_nans")]
    pub rdm_sd: Vec<f64>,
    /// Mean of |Pearson's r| between two layers' RDMs.
    #[serde(deserialize_with = "or_nan")]
    pub mean_abs_r: f64,
    #[serde(deserialize_with = "or_nan")]
    pub max_abs_r: f64,
    /// Every layer with every reference.
    pub comparisons: Vec<Row>,
    /// Every reference of several subjects with all layers, where an inference was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<Models>,
}
