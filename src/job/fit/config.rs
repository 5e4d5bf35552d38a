//! Configuration of `orthoscope fit`.

use super::together;
use crate::encoding::features::Reduction;
use crate::encoding::permutation::Shuffle;
use crate::encoding::readout::ReadoutOptions;
use crate::encoding::temporal::DoubleGamma;
use crate::encoding::{Alphas, Form, Gammas, RidgeOptions, Scaling, Score, Split};
use crate::error::{Error, Result};
use crate::image::resize::Resize;
use crate::job::inputs::targets::TargetsConfig;
use crate::job::limits::{self, within};
use crate::job::machine::Machine;
use crate::job::model::NetworkConfig;
use crate::job::shard::Shard;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Configuration of `orthoscope fit`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Always `fit`.
    pub command: String,
    pub seed: u64,
    /// Megabytes that features, decompositions and batches of targets may take, beside the responses
    /// themselves.
    pub memory_mb: usize,
    /// Folder of features that runs share; else they are kept as long as the run is unfinished.
    pub cache: Option<PathBuf>,
    pub estimator: Estimator,
    /// Which models are fitted where there are several sets of features.
    pub combine: Combine,
    pub stimuli: StimuliConfig,
    pub network: NetworkConfig,
    pub targets: TargetsConfig,
    pub time: TimeConfig,
    pub test: TestConfig,
    pub folds: FoldsConfig,
    pub ridge: RidgeConfig,
    pub banded: BandedConfig,
    /// Of `factorized`.
    pub readout: ReadoutOptions,
    pub scores: ScoresConfig,
    pub machine: Machine,
    /// Only some of the targets: several machines can share them.
    pub shard: Option<Shard>,
    /// Run directories of all shards, to be put together.
    pub shards: Vec<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            command: "fit".into(),
            seed: 1,
            memory_mb: 4096,
            cache: None,
            estimator: Estimator::default(),
            combine: Combine::default(),
            stimuli: StimuliConfig::default(),
            network: NetworkConfig::default(),
            targets: TargetsConfig::default(),
            time: TimeConfig::default(),
            test: TestConfig::default(),
            folds: FoldsConfig::default(),
            ridge: RidgeConfig::default(),
            banded: BandedConfig::default(),
            readout: ReadoutOptions::default(),
            scores: ScoresConfig::default(),
            machine: Machine::default(),
            shard: None,
            shards: vec![],
        }
    }
}

/// What is fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Estimator {
    /// Ridge regression ([`crate::encoding::RidgeCv`]).
    #[default]
    Ridge,
    /// Ridge regression with a penalty of its own for each set of features
    /// ([`crate::encoding::BandedRidgeCv`]).
    Banded,
    /// Ridge regression on the channels under one Gaussian window a target
    /// ([`crate::encoding::receptive_fields::GaussianRf`]).
    GaussianRf,
    /// A map and a weight of every channel for each target
    /// ([`crate::encoding::readout::FactorizedReadout`]).
    Factorized,
}

/// Which models are fitted where there are several sets of features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Combine {
    /// One on each.
    #[default]
    Each,
    /// One on all of them.
    Together,
    /// Both.
    Both,
}

/// What was shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StimuliConfig {
    /// Folder, zip, npy, `stimuli.tsv` or one file.
    pub images: Option<PathBuf>,
    /// A movie for each run: a file that `ffmpeg` decodes, or frames as `images` has them.
    pub movies: Vec<PathBuf>,
    /// Ready features instead: `.npy` of n x n_features, `.npz` of several such.
    pub features: Vec<PathBuf>,
    /// A table with the stimulus of each of their rows.
    pub feature_rows: Option<PathBuf>,
    /// Layers, aliases or presets.
    pub taps: Vec<String>,
    pub resize: Resize,
    /// What is kept of a layer.
    pub reduction: Reduction,
    /// What is done to every feature.
    pub scaling: Scaling,
    /// Whether sets of features that one model takes side by side are given the same total variance
    /// over the rows that are fitted on.
    pub balance: bool,
    /// A table with the columns `stimulus` and `category`, for folds by group and identification
    /// within categories.
    pub categories: Option<PathBuf>,
}

impl Default for StimuliConfig {
    fn default() -> Self {
        Self {
            images: None,
            movies: vec![],
            features: vec![],
            feature_rows: None,
            taps: vec![],
            resize: Resize::default(),
            reduction: Reduction::default(),
            scaling: Scaling::default(),
            balance: true,
            categories: None,
        }
    }
}

/// Time series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimeConfig {
    /// Samples that features are delayed by, each a copy of them.
    pub delays: Vec<isize>,
    /// What is done to every target's samples of a run.
    pub runs: RunScaling,
    /// Frames a second, where the movie's file does not say.
    pub frame_rate_hz: Option<f64>,
    /// How frames become samples.
    pub frames: FrameSampling,
    /// The response that frames are convolved with.
    pub response: DoubleGamma,
    /// Seconds of the movie before the first sample.
    pub skip_s: f64,
}

impl Default for TimeConfig {
    fn default() -> Self {
        Self {
            delays: vec![],
            runs: RunScaling::default(),
            frame_rate_hz: None,
            frames: FrameSampling::default(),
            response: DoubleGamma::default(),
            skip_s: 0.0,
        }
    }
}

/// What is done to a target's samples of a run, by the run's own numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunScaling {
    /// Nothing.
    None,
    /// Its mean is taken off.
    Centre,
    /// Its mean is taken off and it is divided by its standard deviation (ddof 0).
    #[default]
    ZScore,
}

/// How frames become samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FrameSampling {
    /// The mean of a sample's frames; delays follow the response.
    #[default]
    Average,
    /// The frame at the sample's time.
    Downsample,
    /// Convolved with the response, then the frame at the sample's time.
    Convolve,
}

/// What is held out, and never fitted on, to score predictions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TestConfig {
    pub by: Held,
    /// Share that is held out, for `last` and `random`.
    pub share: f64,
    /// Runs that are held out, for `runs`.
    pub runs: Vec<String>,
    /// The stimuli that are held out, for `stimuli`: text, one a line, or a table.
    pub stimuli: Option<PathBuf>,
    /// How samples are dealt out, for `folds`.
    pub split: Deal,
    /// How many folds, for `folds`.
    pub n_folds: usize,
    /// Samples on either side of held-out ones, of the same run, that are not fitted on.
    pub purge: usize,
}

impl Default for TestConfig {
    fn default() -> Self {
        Self {
            by: Held::default(),
            share: 0.2,
            runs: vec![],
            stimuli: None,
            split: Deal::default(),
            n_folds: 5,
            purge: 0,
        }
    }
}

/// What is held out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// A random share of stimuli; the last run of time series, or their last share where there is
    /// one run.
    #[default]
    Auto,
    /// The last share.
    Last,
    /// A random share.
    Random,
    /// Some runs.
    Runs,
    /// Some stimuli, by name.
    Stimuli,
    /// Everything once, by cross-validation; the model that is kept is fitted on everything.
    Folds,
    /// Nothing: there are no scores.
    None,
}

/// How samples are dealt out to folds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deal {
    /// By run where there are several, else at random; blocks for one run of a time series.
    #[default]
    Auto,
    /// One run at a time.
    Run,
    /// Contiguous blocks.
    Block,
    /// Whole categories.
    Group,
    /// At random.
    Random,
    /// Every n-th.
    Interleaved,
}

/// Inner folds, by which penalties, windows and layers are chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FoldsConfig {
    pub split: Deal,
    pub n_folds: usize,
    /// Samples on either side of tested ones, of the same run, that are not fitted on.
    pub purge: usize,
}

impl Default for FoldsConfig {
    fn default() -> Self {
        Self { split: Deal::default(), n_folds: 5, purge: 0 }
    }
}

/// Ridge regression; see [`RidgeOptions`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RidgeConfig {
    pub alphas: Alphas,
    pub per_target: bool,
    pub fit_intercept: bool,
    pub score: Score,
    pub max_extensions: usize,
    pub form: Form,
}

impl Default for RidgeConfig {
    fn default() -> Self {
        let RidgeOptions { alphas, per_target, fit_intercept, score, max_extensions, form, .. } =
            RidgeOptions::default();
        Self { alphas, per_target, fit_intercept, score, max_extensions, form }
    }
}

/// Banded ridge regression; see [`Gammas`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BandedConfig {
    /// Candidates that are drawn.
    pub n_iter: usize,
    /// Concentrations of Dirichlet's distribution.
    pub concentration: Vec<f64>,
    /// These candidates instead: `.npy` of n x n_spaces.
    pub gammas: Option<PathBuf>,
}

impl Default for BandedConfig {
    fn default() -> Self {
        Self { n_iter: 100, concentration: vec![0.1, 1.0], gammas: None }
    }
}

/// What is said about predictions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScoresConfig {
    /// Permutations that correlations are tested by; 0 for no test.
    pub n_permutations: usize,
    /// How predictions are moved against responses; else circularly for time series, and one by one
    /// for stimuli.
    pub shuffle: Option<Shuffle>,
    /// What is called significant, after Benjamini and Hochberg.
    pub alpha: f64,
    /// Resamples of the targets for intervals.
    pub n_bootstraps: usize,
    /// Coverage of those intervals.
    pub level: f64,
    /// Random splits of the repeats for split-half reliability.
    pub n_splits: usize,
    /// Targets with a lower signal-to-noise ratio of their repeats are left out of summaries.
    pub min_snr: Option<f64>,
    /// Targets that identification is by: those that inner folds predict best; all when left out.
    pub identify_by: Option<usize>,
}

impl Default for ScoresConfig {
    fn default() -> Self {
        Self {
            n_permutations: 0,
            shuffle: None,
            alpha: 0.05,
            n_bootstraps: 1000,
            level: 0.95,
            n_splits: 100,
            min_snr: None,
            identify_by: None,
        }
    }
}

impl Config {
    /// Options of the ridge estimators.
    pub fn ridge(&self) -> RidgeOptions {
        let RidgeConfig { alphas, per_target, fit_intercept, score, max_extensions, form } = self.ridge.clone();
        RidgeOptions { alphas, per_target, fit_intercept, score, max_extensions, form, memory_mb: self.memory_mb }
    }

    /// # Errors
    /// [`Error::Invalid`] for numbers that nobody means, and keys that mean nothing together.
    pub fn check(&self) -> Result<()> {
        within("memory_mb", self.memory_mb, 64, 1 << 24)?;
        within("test.share", self.test.share, 0.001, 0.999)?;
        within("test.n_folds", self.test.n_folds, 2, limits::IMAGES)?;
        within("folds.n_folds", self.folds.n_folds, 2, limits::IMAGES)?;
        within("ridge.max_extensions", self.ridge.max_extensions, 0, 20)?;
        within("banded.n_iter", self.banded.n_iter, 1, limits::BOOTSTRAPS)?;
        within("scores.n_permutations", self.scores.n_permutations, 0, limits::RELABELLINGS)?;
        within("scores.n_bootstraps", self.scores.n_bootstraps, 1, limits::BOOTSTRAPS)?;
        within("scores.alpha", self.scores.alpha, limits::TINY, 0.5)?;
        within("scores.level", self.scores.level, 0.5, 0.9999)?;
        within("scores.n_splits", self.scores.n_splits, 1, limits::BOOTSTRAPS)?;
        within("time.skip_s", self.time.skip_s, 0.0, limits::NUMBER)?;
        if let Alphas::Relative { low, high, n } = self.ridge.alphas {
            within("ridge.alphas n", n, 1, 1000)?;
            if !(low > 0.0 && low < high && high.is_finite()) {
                let found = format!("{low} to {high}");
                return Err(Error::invalid("ridge.alphas", "positive factors, low below high", found, ""));
            }
        }
        together::check(self)?;
        self.stimuli.check()
    }
}

impl StimuliConfig {
    fn check(&self) -> Result<()> {
        let given = [self.images.is_some(), !self.movies.is_empty(), !self.features.is_empty()];
        let n = given.iter().filter(|&&g| g).count();
        if n != 1 {
            let found = if n == 0 { "none" } else { "several" };
            let hint = "give one of `stimuli.images`, `stimuli.movies` and `stimuli.features`";
            return Err(Error::invalid("stimuli", "images, movies or ready features", found, hint));
        }
        if self.feature_rows.is_some() && self.features.is_empty() {
            let hint = "it says which stimulus a row of `stimuli.features` is";
            return Err(Error::invalid("stimuli.feature_rows", "ready features beside it", "none", hint));
        }
        Ok(())
    }
}

impl Deal {
    /// As the library has it, where runs and categories are known or not.
    pub fn split(self, n_folds: usize, seed: u64, several_runs: bool, in_time: bool) -> Split {
        match self {
            Self::Auto if several_runs => Split::Run,
            Self::Auto if in_time => Split::Block { n_folds },
            Self::Auto | Self::Random => Split::Random { n_folds, seed },
            Self::Run => Split::Run,
            Self::Block => Split::Block { n_folds },
            Self::Group => Split::Group { n_folds },
            Self::Interleaved => Split::Interleaved { n_folds },
        }
    }
}

impl BandedConfig {
    /// Candidates of a seed, or those of the file.
    pub fn gammas(&self, seed: u64, given: Option<Vec<Vec<f64>>>) -> Gammas {
        match given {
            Some(rows) => Gammas::Given(rows),
            None => Gammas::Random { n_iter: self.n_iter, concentration: self.concentration.clone(), seed },
        }
    }
}
