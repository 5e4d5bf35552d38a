//! The section `[targets]` of a configuration.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What is to be predicted, and to which stimuli or at which times it was recorded.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TargetsConfig {
    /// npy, npz, HDF5 (`.h5`, `.hdf5`, MATLAB 7.3 `.mat`), NIfTI, GIFTI (`.gii`), CIFTI-2
    /// (`.dscalar.nii`, `.dtseries.nii`), `.csv` or `.tsv`. Several files follow each other in time
    /// or stimuli; GIFTI of two hemispheres stand beside each other.
    pub files: Vec<PathBuf>,
    /// The array of an npz, or the dataset of an HDF5 file; not needed where there is only one.
    pub key: Option<String>,
    /// The axes of an npy, npz or HDF5 array, in NumPy's order (MATLAB's `size` in reverse). Not
    /// needed where the number of stimuli says which is which.
    pub axes: Vec<Axis>,
    /// What stands beside each other along the axis `rows`.
    pub rows: Rows,
    /// What becomes of several responses to one stimulus.
    pub repeats: Repeats,
    /// Names of the stimuli of the rows: text, one a line, or a table with a column of them.
    pub ids: Option<PathBuf>,
    /// That column.
    pub ids_column: Option<String>,
    /// How rows and stimuli find each other.
    #[serde(rename = "match")]
    pub matching: Matching,
    /// For `rows = "trials"` and `"time"`: a table with one row a trial or sample.
    pub trials: Option<PathBuf>,
    /// Its column of stimuli.
    pub condition_column: Option<String>,
    /// Its column of runs.
    pub run_column: Option<String>,
    /// For `rows = "time"`: seconds between samples; the header's where it is absent.
    pub tr_s: Option<f64>,
    /// NIfTI mask of the targets.
    pub mask: Option<PathBuf>,
    /// For arrays of the voxels of a mask: the order in which they stand.
    pub mask_order: Option<MaskOrder>,
    /// Regions: a NIfTI label image, GIFTI labels (one file a hemisphere), a `.dlabel.nii`, a table
    /// with one row a target and a column `region`, or the HDF5 file of `rois_group`.
    pub rois: Vec<PathBuf>,
    /// A group of masks in an HDF5 file, one a region: `roi`.
    pub rois_group: Option<String>,
    /// Names of the numbers of a NIfTI label image (columns `index` and `name`).
    pub roi_names: Option<PathBuf>,
    /// Names of the targets: text, one a line, or a table with a column `name`; else the file's, or
    /// numbers from 0.
    pub names: Option<PathBuf>,
}

/// An axis of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    Targets,
    /// Stimuli, trials or samples, as `rows` says.
    Rows,
    Repeats,
}

/// What the rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rows {
    /// One stimulus each.
    #[default]
    Stimuli,
    /// One presentation each; `trials` says of which stimulus.
    Trials,
    /// One sample of a time series each.
    Time,
}

/// What becomes of several responses to one stimulus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repeats {
    /// Each stays, for ceilings and noise-corrected scores.
    #[default]
    Keep,
    /// Their mean.
    Average,
}

/// How rows and stimuli find each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Matching {
    /// By their names, in whatever order.
    #[default]
    Ids,
    /// The first row is the first stimulus and so on: only because the user says so.
    Order,
}

/// The order of a mask's voxels in an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaskOrder {
    /// The last index fastest: `data[mask]` in NumPy, nilearn's maskers.
    Numpy,
    /// The first index fastest: `data(mask)` in MATLAB, and FSL's and AFNI's dumps.
    Matlab,
}
