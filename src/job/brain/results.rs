//! What `map` and `group` say alike of the maps of several layers.

use crate::io::json::or_nan;
use crate::mapping::layers::Gradient;
use serde::{Deserialize, Serialize};

/// How much the layers' maps overlap; what needs a test is absent without one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OverlapResults {
    pub mean_dice: Option<f64>,
    pub mean_jaccard: Option<f64>,
    /// Of the unthresholded maps.
    #[serde(deserialize_with = "or_nan")]
    pub mean_map_correlation: f64,
    /// Of the places with a significant layer, the share with one only.
    pub one_layer: Option<f64>,
    /// Places with 0, 1, 2, ... significant layers.
    pub layers_per_voxel: Option<Vec<usize>>,
}

/// How the winning layer changes along each axis, mm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GradientResults {
    pub x: Gradient,
    pub y: Gradient,
    pub z: Gradient,
}
