//! Sections of configurations that say where recordings and fingerprints are.

use crate::stats::glm::{DesignOptions, NoiseModel};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What was recorded, and where its regions are: the sections of one configuration.
#[derive(Debug, Clone, Copy)]
pub struct Recorded<'a> {
    pub betas: &'a BetasConfig,
    pub bold: &'a BoldConfig,
    pub regions: &'a RegionConfig,
    /// Whether runs are held against each other: what is fitted over all of them would then be on
    /// both sides.
    pub crossed: bool,
}

/// Where the betas are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BetasConfig {
    /// 4-D NIfTI files, GLMsingle HDF5 files, or one npy of n_samples x n_voxels.
    pub files: Vec<PathBuf>,
    /// Tables of labels: one a file, or one for all.
    pub labels: Vec<PathBuf>,
    pub condition_column: Option<String>,
    pub run_column: Option<String>,
    /// Voxels that take part.
    pub mask: Option<PathBuf>,
    /// Voxels that are centres; the mask where it is absent.
    pub centres: Option<PathBuf>,
    /// Image behind the maps; the betas' mean where it is absent.
    pub background: Option<PathBuf>,
    /// Where runs have other shares of the conditions, take off what each adds to its samples,
    /// fitted together with the conditions' patterns.
    pub run_effects: bool,
    /// Take off the mean pattern, too.
    pub centre_runs: bool,
}

impl Default for BetasConfig {
    fn default() -> Self {
        Self {
            files: vec![],
            labels: vec![],
            condition_column: None,
            run_column: None,
            mask: None,
            centres: None,
            background: None,
            run_effects: true,
            centre_runs: false,
        }
    }
}

/// Time series instead of betas: a least-squares GLM gives one beta a condition and run.
///
/// Mask, centres, background, `condition_column` and `centre_runs` are those of `[betas]`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BoldConfig {
    /// 4-D NIfTI files of preprocessed BOLD, one a run.
    pub files: Vec<PathBuf>,
    /// BIDS events, one table a run.
    pub events: Vec<PathBuf>,
    /// Confounds, one table a run with one row a volume.
    pub confounds: Vec<PathBuf>,
    /// Their columns (a `*` at the end stands for anything); all where it is empty.
    pub confound_columns: Vec<String>,
    /// Conditions that are modelled and not mapped.
    pub nuisance: Vec<String>,
    /// Leave conditions out of the runs in which little of their regressor is left (an event at the
    /// end of a run). They stay in the model; where it is false or absent, the user is told of
    /// them.
    pub leave_out_weak: Option<bool>,
    /// Repetition time; the header's where it is absent.
    pub tr_s: Option<f64>,
    /// The noise of the time series.
    pub noise: NoiseModel,
    /// What the patterns are made of.
    pub estimate: Estimate,
    /// The unit of estimates.
    pub scale: SignalScale,
    pub design: DesignOptions,
}

/// What a GLM hands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Estimate {
    /// The coefficient, in the units of the data.
    #[default]
    Beta,
    /// Its t: noisy voxels count less (Misaki et al., NeuroImage 53:103, 2010).
    T,
}

/// The unit of a coefficient. Scanner units differ from voxel to voxel with the distance to the
/// coil, and a voxel counts in an RDM by the size of its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignalScale {
    /// Percent of the voxel's mean over the run (nilearn's default, `signal_scaling = 0`).
    #[default]
    Percent,
    /// Percent of the mean over all voxels and volumes of the run (SPM's grand mean scaling).
    Run,
    /// The units of the data.
    None,
}

/// Where the fingerprints are.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FingerprintConfig {
    /// `rdms.npz`, run directories of `orthogonalize` and `rdm`, or RDM files.
    pub files: Vec<PathBuf>,
    /// Names of the RDMs' conditions: a text file, one a line, or a table; else those of the run
    /// directory.
    pub conditions: Option<PathBuf>,
    /// Layers to use, in this order; all where it is empty.
    pub layers: Vec<String>,
    /// npz with the activations of each layer, n_images x n_units, for
    /// `residual = "activation_level"`.
    pub activations: Option<PathBuf>,
}

/// Regions instead of searchlights.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RegionConfig {
    /// Label image: every number but 0 is a region.
    pub image: Option<PathBuf>,
    /// Names of the regions of npy patterns: a table with one row a voxel and a column `region`, or
    /// names of the numbers of the label image (columns `index` and `name`).
    pub names: Option<PathBuf>,
    /// RDMs of regions instead of betas: npy of n_subjects x n x n, one a region.
    pub rdms: Vec<PathBuf>,
}
