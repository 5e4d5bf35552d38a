//! Maps of relabelled conditions: `map` writes them, `group` relabels all subjects as one with
//! them.

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What `relabelled.json` says of `relabelled.npy`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct About {
    /// What it is, in words.
    pub description: String,
    /// The comparison.
    pub comparison: String,
    /// First axis: the layers, and R^2 of all of them where there is one (`r2`).
    pub values: Vec<String>,
    /// Second axis: entry i of relabelling k is the number of the condition that takes the place of
    /// condition i, as in [`crate::mapping::null::shared_relabellings`].
    pub relabellings: Vec<Vec<usize>>,
    /// Third axis: voxels of the grid, from 0, i fastest.
    pub voxels: Vec<u32>,
    /// The conditions, in their order.
    pub conditions: Vec<String>,
}

/// Name of R^2 among the values.
pub const R2: &str = "r2";

/// The array and what is said of it, in the folder of a run's arrays.
pub fn files(arrays: &Path) -> [PathBuf; 2] {
    ["relabelled.npy", "relabelled.json"].map(|name| arrays.join(name))
}
