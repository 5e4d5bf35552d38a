//! Configuration of `orthoscope map`.

use crate::error::{Error, Result};
use crate::mapping::dissimilarity::Folds;
use crate::mapping::noise::{NoiseCovariance, NoiseFrom};
use crate::mapping::simulate::SimulationOptions;
use crate::mapping::{Dissimilarity, PlaceCorrection, Residual, Sphere, Statistic};
use crate::stats::glm::{DesignOptions, NoiseModel};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Configuration of `orthoscope map`.
///
/// | field | default | meaning |
/// |---|---|---|
/// | `dissimilarity` | correlation | correlation, cosine, euclidean, mahalanobis, crossnobis |
/// | `noise` | shrinkage_diag | of mahalanobis and crossnobis: identity, diagonal, shrinkage_diag, shrinkage_eye |
/// | `noise_from` | training | of crossnobis: training (unbiased), all (as rsatoolbox) |
/// | `folds` | auto | of crossnobis: runs, pairs |
/// | `statistic` | spearman | pearson, spearman, kendall_tau_a, cosine, corr_cov, cosine_cov, ols, nnls |
/// | `residual` | none | none, semi_partial, partial, unique_variance, ordered, adjacent, activation_level, symmetric |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Always `map`.
    pub command: String,
    pub dissimilarity: Dissimilarity,
    pub noise: NoiseCovariance,
    pub noise_from: NoiseFrom,
    pub folds: Folds,
    pub statistic: Statistic,
    pub residual: Residual,
    pub seed: u64,
    pub betas: BetasConfig,
    pub bold: BoldConfig,
    pub fingerprints: FingerprintConfig,
    pub sphere: Sphere,
    pub regions: RegionConfig,
    pub test: TestConfig,
    pub maps: MapsConfig,
    /// A made-up brain instead of a recorded one.
    pub simulation: Option<SimulationConfig>,
    /// Only some of the centres: several machines can share them.
    pub shard: Option<Shard>,
    /// Run directories of all shards, to be put together.
    pub shards: Vec<PathBuf>,
}

/// One of `of` slices of the centres, counted from 1; written `2/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Shard {
    pub index: usize,
    pub of: usize,
}

impl From<Shard> for String {
    fn from(shard: Shard) -> Self {
        format!("{}/{}", shard.index, shard.of)
    }
}

impl TryFrom<String> for Shard {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(i, n)| Some((i.trim().parse().ok()?, n.trim().parse().ok()?)));
        match numbers {
            Some((index, of)) if (1..=of).contains(&index) => Ok(Self { index, of }),
            _ => Err(format!("expected a slice as in 2/8, found `{text}`")),
        }
    }
}

/// Where the betas are.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
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
    /// Take every voxel's mean over a run off its samples.
    pub centre_runs: bool,
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
    /// Leave conditions out of the runs in which little of their regressor is left (an event at the end of a run). They
    /// stay in the model; where it is false or absent, the user is told of them.
    pub leave_out_weak: Option<bool>,
    /// Repetition time; the header's where it is absent.
    pub tr_s: Option<f64>,
    /// The noise of the time series.
    pub noise: NoiseModel,
    /// What the patterns are made of.
    pub estimate: Estimate,
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

/// Where the fingerprints are.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FingerprintConfig {
    /// `rdms.npz`, run directories of `orthogonalize` and `rdm`, or RDM files.
    pub files: Vec<PathBuf>,
    /// Names of the RDMs' conditions: a text file, one a line, or a table; else those of the run directory.
    pub conditions: Option<PathBuf>,
    /// Layers to use, in this order; all where it is empty.
    pub layers: Vec<String>,
    /// npz with the activations of each layer, n_images x n_units, for `residual = "activation_level"`.
    pub activations: Option<PathBuf>,
}

/// Regions instead of searchlights.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RegionConfig {
    /// Label image: every number but 0 is a region.
    pub image: Option<PathBuf>,
    /// Names of the regions of npy patterns: a table with one row a voxel and a column `region`, or names of the numbers of
    /// the label image (columns `index` and `name`).
    pub names: Option<PathBuf>,
    /// RDMs of regions instead of betas: npy of n_subjects x n x n, one a region.
    pub rdms: Vec<PathBuf>,
}

/// How the maps are tested.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TestConfig {
    /// Relabellings of the conditions; 0 for no test.
    pub n_permutations: usize,
    pub correction: PlaceCorrection,
    /// What is called significant.
    pub alpha: f64,
    /// Resamples of the images for intervals of every value; 0 for none.
    pub n_image_bootstraps: usize,
    /// Coverage of those intervals.
    pub level: f64,
}

impl Default for TestConfig {
    fn default() -> Self {
        Self {
            n_permutations: 1000,
            correction: PlaceCorrection::default(),
            alpha: 0.05,
            n_image_bootstraps: 0,
            level: 0.95,
        }
    }
}

/// A brain of regions that carry one layer each: how often that layer comes back, over a grid of presentations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SimulationConfig {
    /// Presentations of each image.
    pub repeats: Vec<usize>,
    /// Duration of one presentation with its pause, for the scanning time in the table.
    pub seconds_per_presentation: Option<f64>,
    /// Share of the regions whose layer must come back.
    pub target: f64,
    /// Its seed is the job's.
    pub brain: SimulationOptions,
}

impl Default for SimulationConfig {
    fn default() -> Self {
        let repeats = vec![1, 2, 4, 8, 16, 32];
        Self { repeats, seconds_per_presentation: None, target: 0.8, brain: SimulationOptions::default() }
    }
}

impl SimulationConfig {
    fn check(&self) -> Result<()> {
        if self.repeats.is_empty() || self.repeats.contains(&0) {
            return Err(Error::invalid("--repeats", "numbers from 1", format!("{:?}", self.repeats), "as in 1,2,4,8"));
        }
        if self.seconds_per_presentation.is_some_and(|s| s <= 0.0 || !s.is_finite()) {
            return Err(Error::invalid("--seconds-per-presentation", "a positive number", "another", ""));
        }
        Ok(())
    }
}

/// What is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MapsConfig {
    /// In front of the names of the maps, as in `sub-01_task-images_space-T1w`.
    pub prefix: String,
    /// Split-half reliability and noise ceiling of every place.
    pub ceiling: bool,
    /// Smallest cluster of the table, in voxels.
    pub min_cluster: usize,
}

impl Default for MapsConfig {
    fn default() -> Self {
        Self { prefix: String::new(), ceiling: true, min_cluster: 1 }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            command: "map".into(),
            dissimilarity: Dissimilarity::default(),
            noise: NoiseCovariance::default(),
            noise_from: NoiseFrom::default(),
            folds: Folds::default(),
            statistic: Statistic::default(),
            residual: Residual::default(),
            seed: 1,
            betas: BetasConfig::default(),
            bold: BoldConfig::default(),
            fingerprints: FingerprintConfig::default(),
            sphere: Sphere::default(),
            regions: RegionConfig::default(),
            test: TestConfig::default(),
            maps: MapsConfig::default(),
            simulation: None,
            shard: None,
            shards: vec![],
        }
    }
}

impl Config {
    /// What is compared with the brain, in words.
    pub fn residual_words(&self) -> &'static str {
        match self.residual {
            Residual::None => "raw fingerprints",
            Residual::SemiPartial => "semi-partial residual fingerprints",
            Residual::Partial => "partial residual fingerprints",
            Residual::UniqueVariance => "unique variance",
            Residual::Ordered => "fingerprints without earlier layers",
            Residual::Adjacent => "fingerprints without adjacent layers",
            Residual::ActivationLevel => "residual activations",
            Residual::Symmetric => "symmetrically orthogonalised fingerprints",
        }
    }

    /// Refuses what cannot be meant.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn check(&self) -> Result<()> {
        let bad = |at: &str, expected: &str, found: String, hint: &str| Err(Error::invalid(at, expected, found, hint));
        if self.fingerprints.files.is_empty() && self.fingerprints.activations.is_none() {
            let hint = "give arrays/rdms.npz of a run of `orthoscope rdm` or `orthogonalize`, or RDM files";
            return bad("--fingerprints", "RDMs of layers", "none".into(), hint);
        }
        self.check_brain()?;
        for (at, p) in [("--alpha", self.test.alpha), ("--level", self.test.level)] {
            if !(p > 0.0 && p < 1.0) {
                return bad(at, "a number between 0 and 1", p.to_string(), "");
            }
        }
        if (self.residual == Residual::ActivationLevel) != self.fingerprints.activations.is_some() {
            let hint = "activations are what that variant of the residual method works on, and no other";
            return bad(
                "--activations",
                "them with --residual activation_level, and only with it",
                "not so".into(),
                hint,
            );
        }
        self.check_shard()?;
        if self.maps.prefix.contains(['/', '\\', ' ']) {
            return bad("--prefix", "the beginning of a file name", format!("`{}`", self.maps.prefix), "");
        }
        Ok(())
    }

    /// Shards are of searchlights.
    fn check_shard(&self) -> Result<()> {
        let (shard, shards) = (self.shard.is_some(), !self.shards.is_empty());
        let whole = self.simulation.is_some() || self.regions != RegionConfig::default();
        if shard && shards || (shard || shards) && whole {
            let hint = "regions and simulations are not cut; --shards puts together what --shard made";
            return Err(Error::invalid("--shard, --shards", "one of them, for a searchlight", "not so", hint));
        }
        Ok(())
    }

    /// One source of the brain's data, and only one.
    fn check_brain(&self) -> Result<()> {
        let sources = [
            ("--betas", !self.betas.files.is_empty()),
            ("--bold", !self.bold.files.is_empty()),
            ("--roi-rdms", !self.regions.rdms.is_empty()),
            ("--simulate", self.simulation.is_some()),
        ];
        let given: Vec<&str> = sources.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
        if given.len() != 1 {
            let found = if given.is_empty() { "none".into() } else { given.join(" and ") };
            let hint = "say where the brain's data are";
            return Err(Error::invalid("--betas, --bold, --roi-rdms, --simulate", "one of them", found, hint));
        }
        let bold = &self.bold;
        let (n_runs, n_events, n_confounds) = (bold.files.len(), bold.events.len(), bold.confounds.len());
        if n_events != n_runs || !(n_confounds == 0 || n_confounds == n_runs) {
            let found = format!("{n_runs} series, {n_events} events, {n_confounds} confounds");
            let hint = "give --events (and --confounds) once for every --bold, in the same order";
            return Err(Error::invalid("--bold", "a table of events for every run", found, hint));
        }
        if let Some(simulation) = &self.simulation {
            simulation.check()?;
        }
        Ok(())
    }
}
