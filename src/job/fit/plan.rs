//! Everything read and checked before the first fit.

use super::config::{Combine, Config, Estimator};
use super::fitting::Model;
use super::rounds::{Round, rounds};
use super::samples::Samples;
use super::shards;
use super::sources::{self, Read, Source};
use super::spaces::How;
use super::summarize;
use crate::encoding::Scaling;
use crate::encoding::features::Reduction;
use crate::encoding::solver::judged;
use crate::error::{Error, Result};
use crate::io::{npy, source};
use crate::job::inputs::targets;
use crate::tensor::Device;
use crate::warning::Warning;
use ndarray::Ix2;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

/// A checked run.
pub struct Plan {
    pub config: Config,
    pub source: Source,
    pub samples: Samples,
    pub rounds: Vec<Round>,
    pub models: Vec<Model>,
    pub gammas: Option<Vec<Vec<f64>>>,
    /// Those that are put together.
    pub shards: Vec<shards::Fitted>,
    pub device: Device,
    pub sets: BTreeMap<String, String>,
    pub warnings: Vec<Warning>,
}

impl Plan {
    /// # Errors
    /// Whatever is wrong with a configuration.
    pub fn new(config: Config) -> Result<Self> {
        config.check()?;
        let device = config.machine.device()?;
        let targets = targets::read(&config.targets)?;
        let Read { source, samples, sets, warnings: said } = sources::read(&config, &targets)?;
        let mut warnings = targets.warnings;
        warnings.extend(said);
        let rounds = rounds(&config, &samples)?;
        let inner = || rounds.iter().flat_map(|round| &round.inner);
        inner().try_for_each(|fold| judged(fold, config.ridge.score))?;
        repeated(&config, &samples)?;
        let models = models(&config, &source)?;
        config.shard.map_or(Ok(()), |shard| shard.check(samples.n_targets(), "targets"))?;
        let gammas = config.banded.gammas.as_deref().map(|path| gammas(path, source.names().len())).transpose()?;
        let shards = match config.shards.is_empty() {
            true => vec![],
            false => shards::complete(&config, samples.n_targets(), &sets)?,
        };
        let plan = Self { shards, config, source, samples, rounds, models, gammas, device, sets, warnings };
        plan.config.ridge.alphas.grid(1.0)?;
        plan.check_delays()?;
        plan.check_extraction()?;
        Ok(plan)
    }

    fn check_extraction(&self) -> Result<()> {
        let Source::Layers(layers) = &self.source else { return Ok(()) };
        let extraction = layers.extraction(&layers.all(), &self.config, self.least_train())?;
        match extraction.taps().iter().find(|tap| tap.gram && layers.map.is_some()) {
            None => Ok(()),
            Some(tap) => {
                let hint = "say pca = { project = {} } (components of a sparse random projection), or spatial_mean";
                let expected = "a PCA of a projection, where a movie's layer has far more units than there are samples";
                Err(Error::invalid("stimuli.reduction", expected, format!("a PCA of all units of `{}`", tap.tap), hint))
            }
        }
    }

    fn check_delays(&self) -> Result<()> {
        let delays = &self.config.time.delays;
        let Some(time) = &self.samples.time else {
            if delays.is_empty() {
                return Ok(());
            }
            let hint = "delays are of time series (targets.rows = \"time\")";
            return Err(Error::invalid("time.delays", "none for responses to stimuli", format!("{delays:?}"), hint));
        };
        let shortest = (0..time.run_names.len()).map(|run| time.runs.iter().filter(|&&r| r == run).count()).min();
        match delays.iter().find(|d| d.unsigned_abs() >= shortest.unwrap_or(0)) {
            None => Ok(()),
            Some(delay) => {
                let expected = format!("delays shorter than a run of {} samples", shortest.unwrap_or(0));
                Err(Error::invalid("time.delays", expected, delay.to_string(), "delays are in samples"))
            }
        }
    }

    /// The smallest training side.
    pub fn least_train(&self) -> usize {
        self.rounds.iter().map(|round| round.train.len()).min().unwrap_or(0)
    }

    /// The targets of this run.
    pub fn targets(&self) -> Range<usize> {
        let n = self.samples.n_targets();
        match self.config.shard {
            None => 0..n,
            Some(shard) => shard.slice(n),
        }
    }

    /// What is done to every set of features.
    pub fn how(&self) -> How<'_> {
        let centred = self.config.stimuli.scaling == Scaling::Centre && self.config.ridge.fit_intercept;
        How {
            reduction: &self.config.stimuli.reduction,
            // An intercept centres features with the means of the rows that are fitted on.
            scaling: if centred { Scaling::None } else { self.config.stimuli.scaling },
            given: self.config.stimuli.scaling,
            balance: self.config.stimuli.balance,
            delays: &self.config.time.delays,
            runs: self.samples.time.as_ref().map(|time| time.runs.as_slice()),
        }
    }

    /// What `--dry-run` prints.
    ///
    /// # Errors
    /// As planning the extraction.
    pub fn describe(&self) -> Result<Value> {
        let last = self.rounds.last().expect("a round");
        let mut plan = json!({
            "dry_run": true,
            "estimator": self.config.estimator,
            "n_samples": self.samples.n_samples(),
            "n_targets": self.samples.n_targets(),
            "n_train": last.train.len(),
            "n_test": self.n_tested(),
            "rounds": self.rounds.iter().map(|round| json!({
                "name": round.name,
                "n_train": round.train.len(),
                "n_test": round.test.as_ref().map_or(0, |rows| rows.len()),
                "n_left_out": round.n_left_out,
                "n_folds": round.inner.len(),
            })).collect::<Vec<_>>(),
            "models": self.models.iter().map(|model| &model.name).collect::<Vec<_>>(),
            "features": self.source.names(),
            "n_regions": self.samples.regions.len(),
        });
        if let Source::Layers(layers) = &self.source {
            let extraction = layers.extraction(&layers.all(), &self.config, self.least_train())?;
            let deepest = layers.taps.iter().copied().max().unwrap_or(0);
            let n_macs = layers.graph.n_macs(deepest) * self.samples.n_samples() as u64;
            plan["features"] = json!(extraction.describe());
            plan["n_passes"] = json!(extraction.n_passes());
            plan["gflop"] = json!(2.0 * n_macs as f64 * extraction.n_passes() as f64 / 1e9);
            plan["scratch_mb"] = json!(extraction.scratch_bytes().div_ceil(1 << 20));
            plan["features_mb"] = json!(extraction.taps().iter().map(|tap| tap.bytes).sum::<u64>().div_ceil(1 << 20));
            let widest = extraction.taps().iter().map(|tap| tap.size.at_most).max().unwrap_or(0);
            plan["model_mb"] = json!(mb(widest * self.samples.n_targets()));
        }
        plan["responses_mb"] = json!(mb(self.samples.y.len()));
        plan["predictions_mb"] = json!(mb(self.n_tested() * self.samples.n_targets()));
        Ok(plan)
    }

    /// The samples that some round tests, in their order.
    pub fn tested(&self) -> Vec<usize> {
        let all = self.rounds.iter().filter_map(|round| round.test.as_ref());
        let mut all: Vec<usize> = all.flat_map(|rows| rows.indices().iter().copied()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// How many samples rounds test.
    pub fn n_tested(&self) -> usize {
        self.rounds.iter().filter_map(|round| round.test.as_ref()).map(|rows| rows.len()).sum()
    }
}

/// Megabytes of so many 32-bit numbers.
fn mb(n: usize) -> usize {
    (n * size_of::<f32>()).div_ceil(1 << 20)
}

/// A signal-to-noise ratio is of repeats.
fn repeated(config: &Config, samples: &Samples) -> Result<()> {
    let repeats = samples.responses.as_ref().is_some_and(|responses| responses.n_repeats() > 1);
    if config.scores.min_snr.is_none() || repeats {
        return Ok(());
    }
    let hint = "give all repeats of the responses (an axis `repeats`), or leave it out";
    Err(Error::invalid("scores.min_snr", "responses with repeats", "one number a stimulus", hint))
}

/// The models of a configuration.
fn models(config: &Config, source: &Source) -> Result<Vec<Model>> {
    let names = source.names();
    let each = || names.iter().enumerate().map(|(i, name)| Model { name: name.clone(), spaces: vec![i] });
    let together = Model { name: "together".into(), spaces: (0..names.len()).collect() };
    let refused = |expected: &str, found: String, hint: &str| Err(Error::invalid("estimator", expected, found, hint));
    match (config.estimator, config.combine) {
        (Estimator::Banded, _) if names.len() < 2 => {
            refused("several sets of features for `banded`", format!("`{}` alone", names[0]), "estimator = \"ridge\"")
        }
        (Estimator::Banded, _) => Ok(vec![together]),
        (Estimator::GaussianRf | Estimator::Factorized, Combine::Together | Combine::Both) => {
            let name = summarize::name(config.estimator);
            refused(&format!("combine = \"each\" with `{name}`"), format!("{:?}", config.combine), "")
        }
        (Estimator::Factorized, _) if config.stimuli.reduction != Reduction::Flat => {
            let hint = "a readout has a weight for every place of the map: stimuli.reduction = \"flat\"";
            refused("all units of a layer with `factorized`", config.stimuli.reduction.describe(), hint)
        }
        (Estimator::Factorized, _) if !config.time.delays.is_empty() => {
            refused("no delays with `factorized`", format!("{:?}", config.time.delays), "")
        }
        (Estimator::GaussianRf, _) if !config.time.delays.is_empty() => refused(
            "no delays with `gaussian_rf`",
            format!("{:?}", config.time.delays),
            "convolve frames with a response",
        ),
        (Estimator::GaussianRf, _) if !matches!(config.stimuli.reduction, Reduction::RfPooled(_)) => {
            let hint = "stimuli.reduction = { rf_pooled = { width_deg = 20.0 } }, the images' size in degrees";
            refused("a grid of receptive fields with `gaussian_rf`", config.stimuli.reduction.describe(), hint)
        }
        (_, Combine::Each) => Ok(each().collect()),
        (_, _) if names.len() < 2 => Ok(each().collect()),
        (_, Combine::Together) => Ok(vec![together]),
        (_, Combine::Both) => Ok(each().chain([together]).collect()),
    }
}

/// Candidates of a file.
fn gammas(path: &Path, n_spaces: usize) -> Result<Vec<Vec<f64>>> {
    let array = npy::decode::<f64>(&source::read(path)?, path)?;
    let shape = array.shape().to_vec();
    match array.into_dimensionality::<Ix2>() {
        Ok(rows) if rows.ncols() == n_spaces => Ok(rows.rows().into_iter().map(|row| row.to_vec()).collect()),
        _ => {
            let expected = format!("n x {n_spaces}, a weight for each set of features");
            Err(Error::invalid(path.display().to_string(), expected, format!("{shape:?}"), ""))
        }
    }
}
