//! Configuration of `orthoscope map`.

use crate::error::{Error, Result};
use crate::job::brain::maps::check_prefix;
use crate::job::inputs::{BetasConfig, BoldConfig, FingerprintConfig, Recorded, RegionConfig};
use crate::job::limits::{self, together, within};
use crate::job::shard::Shard;
use crate::mapping::dissimilarity::Folds;
use crate::mapping::noise::{NoiseCovariance, NoiseFrom};
use crate::mapping::simulate::SimulationOptions;
use crate::mapping::{Dissimilarity, PlaceCorrection, Residual, Sphere, Statistic};
use crate::stats::correction::Family;
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

/// Seconds between two volumes, and samples of the response in between.
const MOST_TR_S: f64 = 1000.0;
const MOST_OVERSAMPLING: usize = 1000;

/// The largest sphere, mm or voxels: it holds a whole brain.
const MOST_RADIUS: f64 = 100.0;

/// Relabelled maps that are written; 5,000 of 50,000 places and four layers are 4 GB.
const MOST_KEPT: usize = 100_000;

/// How the maps are tested.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TestConfig {
    /// Relabellings of the conditions; 0 for no test.
    pub n_permutations: usize,
    /// Relabelled maps that are written, for a group that generalises over images: the same
    /// relabellings in all subjects.
    pub keep_relabellings: usize,
    pub correction: PlaceCorrection,
    /// What is corrected for together: the places of all layers, or of each.
    pub family: Family,
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
            keep_relabellings: 0,
            correction: PlaceCorrection::default(),
            family: Family::default(),
            alpha: 0.05,
            n_image_bootstraps: 0,
            level: 0.95,
        }
    }
}

/// A brain of regions that carry one layer each: how often that layer comes back, over a grid of
/// presentations.
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
            return Err(Error::invalid(
                "simulation.repeats",
                "numbers from 1",
                format!("{:?}", self.repeats),
                "as in 1,2,4,8",
            ));
        }
        self.check_size()?;
        if self.seconds_per_presentation.is_some_and(|s| s <= 0.0 || !s.is_finite()) {
            return Err(Error::invalid("simulation.seconds_per_presentation", "a positive number", "another", ""));
        }
        Ok(())
    }
}

/// Numbers of repeats in a table of recovery, and presentations of an image.
const MOST_REPEATS: usize = 1000;
const MOST_PRESENTATIONS: usize = 1_000_000;

impl SimulationConfig {
    fn check_size(&self) -> Result<()> {
        within("simulation.repeats", self.repeats.len(), 1, MOST_REPEATS)?;
        for &n in &self.repeats {
            within("simulation.repeats", n, 1, MOST_PRESENTATIONS)?;
        }
        let own = &self.brain;
        within("simulation.brain.snr", own.snr, limits::TINY, limits::NUMBER)?;
        within("simulation.target", self.target, 0.0, 1.0)?;
        let sizes = [own.n_regions, own.n_voxels, own.n_runs];
        together("simulation.brain", "regions x voxels x runs", &sizes)
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
    /// What was recorded, and where its regions are.
    pub fn recorded(&self) -> Recorded<'_> {
        let crossed = self.dissimilarity == Dissimilarity::Crossnobis;
        Recorded { betas: &self.betas, bold: &self.bold, regions: &self.regions, crossed }
    }

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
            return bad("fingerprints.files", "RDMs of layers", "none".into(), hint);
        }
        self.check_brain()?;
        within("test.n_permutations", self.test.n_permutations, 0, limits::RELABELLINGS)?;
        within("test.keep_relabellings", self.test.keep_relabellings, 0, MOST_KEPT)?;
        within("test.n_image_bootstraps", self.test.n_image_bootstraps, 0, limits::BOOTSTRAPS)?;
        within("sphere.radius", self.sphere.radius, limits::TINY, MOST_RADIUS)?;
        for (at, p) in [("test.alpha", self.test.alpha), ("test.level", self.test.level)] {
            if !(p > 0.0 && p < 1.0) {
                return bad(at, "a number between 0 and 1", p.to_string(), "");
            }
        }
        if (self.residual == Residual::ActivationLevel) != self.fingerprints.activations.is_some() {
            let hint = "activations are what that variant of the residual method works on, and no other";
            return bad(
                "fingerprints.activations",
                "them with `residual` activation_level, and only with it",
                "not so".into(),
                hint,
            );
        }
        self.check_shard()?;
        check_prefix(&self.maps.prefix)?;
        Ok(())
    }

    /// What a model of time series may be made of.
    fn check_bold(&self) -> Result<()> {
        let design = &self.bold.design;
        within("bold.tr_s", self.bold.tr_s.unwrap_or(1.0), MOST_TR_S / 1e6, MOST_TR_S)?;
        within("bold.design.high_pass_hz", design.high_pass_hz, 0.0, 1.0)?;
        within("bold.design.slice_time_ref", design.slice_time_ref, 0.0, 1.0)?;
        within("bold.design.oversampling", design.oversampling, 1, MOST_OVERSAMPLING)
    }

    /// Shards are of searchlights.
    fn check_shard(&self) -> Result<()> {
        let (shard, shards) = (self.shard.is_some(), !self.shards.is_empty());
        let whole = self.simulation.is_some() || self.regions != RegionConfig::default();
        if shard && shards || (shard || shards) && whole {
            let hint = "regions and simulations are not cut; `shards` puts together what `shard` made";
            return Err(Error::invalid("shard, shards", "one of them, for a searchlight", "not so", hint));
        }
        Ok(())
    }

    /// One source of the brain's data, and only one.
    fn check_brain(&self) -> Result<()> {
        let sources = [
            ("betas.files", !self.betas.files.is_empty()),
            ("bold.files", !self.bold.files.is_empty()),
            ("regions.rdms", !self.regions.rdms.is_empty()),
            ("simulation.simulate", self.simulation.is_some()),
        ];
        let given: Vec<&str> = sources.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
        if given.len() != 1 {
            let found = if given.is_empty() { "none".into() } else { given.join(" and ") };
            let hint = "say where the brain's data are";
            return Err(Error::invalid(
                "betas.files, bold.files, regions.rdms, simulation.simulate",
                "one of them",
                found,
                hint,
            ));
        }
        self.check_bold()?;
        let bold = &self.bold;
        let (n_runs, n_events, n_confounds) = (bold.files.len(), bold.events.len(), bold.confounds.len());
        if n_events != n_runs || !(n_confounds == 0 || n_confounds == n_runs) {
            let found = format!("{n_runs} series, {n_events} events, {n_confounds} confounds");
            let hint = "give `bold.events` (and `bold.confounds`) once for every `bold.files`, in the same order";
            return Err(Error::invalid("bold.files", "a table of events for every run", found, hint));
        }
        if let Some(simulation) = &self.simulation {
            simulation.check()?;
        }
        Ok(())
    }
}
