//! Everything resolved, read and checked before anything is written.

use super::config::Config;
use super::parts::Shards;
use super::regions::{RegionRdms, read_rdms};
use crate::error::{Error, Result};
use crate::job::inputs::betas::{self, Data};
use crate::job::inputs::fingerprints::{self, Fingerprints};
use crate::job::limits::together;
use crate::mapping::image_bootstrap::{BootstrapOptions, ImageBootstrap};
use crate::mapping::null;
use crate::mapping::{Comparator, Measurement, Neighbourhoods, Patterns, Question, Relabellings, Statistic};
use crate::math::permutation::Tail;
use crate::warning::Warning;
use serde_json::{Value, json};

/// Where the brain's RDMs come from.
pub enum Brain {
    /// Patterns of a volume: a searchlight.
    Searchlight(Data),
    /// Patterns of named regions.
    Regions(Data),
    /// RDMs of regions.
    Rdms(Vec<RegionRdms>),
}

/// A checked job.
pub struct Plan {
    pub config: Config,
    pub brain: Brain,
    pub comparator: Comparator,
    /// Where intervals over images are asked for.
    pub bootstrap: Option<ImageBootstrap>,
    /// Absent where the brain's RDMs are given.
    pub patterns: Option<Patterns>,
    pub conditions: Vec<String>,
    pub warnings: Vec<Warning>,
    /// What the shards measured, where there are some to put together.
    pub shards: Option<Shards>,
}

impl Plan {
    /// Reads and checks everything.
    pub fn new(config: Config) -> Result<Self> {
        config.check()?;
        let mut read = fingerprints::read(&config.fingerprints)?;
        let (brain, conditions, mut warnings) = if config.regions.rdms.is_empty() {
            Self::from_betas(&config, &mut read)?
        } else {
            let rdms = read_rdms(&config, &read)?;
            let names = read.layers.first().map_or_else(Vec::new, |(_, rdm)| rdm.labels().to_vec());
            (Brain::Rdms(rdms), names, vec![])
        };
        let patterns = match &brain {
            Brain::Searchlight(data) | Brain::Regions(data) => {
                let measurement = Measurement {
                    dissimilarity: config.dissimilarity,
                    noise: config.noise,
                    noise_from: config.noise_from,
                    folds: config.folds,
                };
                Some(Patterns::new(&data.betas, measurement)?)
            }
            Brain::Rdms(_) => None,
        };
        let comparator = Comparator::new(&read.layers, config.statistic, config.residual)?;
        warnings.extend(comparator.collinearity().warnings(comparator.layers(), config.residual));
        let bootstrap = match config.test.n_image_bootstraps {
            0 => None,
            _ => Some(ImageBootstrap::new(&read.layers, config.statistic, config.residual)?),
        };
        let mut plan = Self { config, brain, comparator, bootstrap, patterns, conditions, warnings, shards: None };
        plan.check_test()?;
        plan.shards = plan.join_shards()?;
        Ok(plan)
    }

    fn from_betas(config: &Config, read: &mut Fingerprints) -> Result<(Brain, Vec<String>, Vec<Warning>)> {
        let data = betas::read(config.recorded())?;
        let conditions = data.betas.condition_names().to_vec();
        let mut warnings = data.warnings.clone();
        warnings.extend(fingerprints::match_conditions(read, &conditions)?);
        let searchlight = data.regions.is_none();
        if searchlight {
            // Found out now rather than after the directory was made.
            let mask = data.mask.as_ref().expect("images have a mask");
            Neighbourhoods::new(mask, data.centres.as_ref(), config.sphere)?;
        }
        Ok((if searchlight { Brain::Searchlight(data) } else { Brain::Regions(data) }, conditions, warnings))
    }

    /// Kendall's tau is no inner product: its maps are not relabelled.
    pub fn n_permutations(&self) -> usize {
        if self.config.statistic == Statistic::KendallTauA { 0 } else { self.config.test.n_permutations }
    }

    /// What is asked of every place; there are betas.
    pub fn question(&self) -> Question<'_> {
        let patterns = self.patterns.as_ref().expect("there are betas");
        Question { patterns, comparator: &self.comparator }
    }

    /// A layer is looked for where it is more like the brain than chance.
    pub const TAIL: Tail = Tail::Greater;

    /// How the conditions are relabelled.
    pub fn relabellings(&self) -> Relabellings {
        let test = &self.config.test;
        Relabellings {
            n_permutations: self.n_permutations(),
            seed: self.config.seed,
            tail: Self::TAIL,
            n_kept: test.keep_relabellings,
        }
    }

    /// Read now: what is missing is found out before the directory is made.
    fn join_shards(&self) -> Result<Option<Shards>> {
        if let Brain::Searchlight(data) = &self.brain
            && !self.config.shards.is_empty()
        {
            let mask = data.mask.as_ref().expect("images have a mask");
            let spheres = Neighbourhoods::new(mask, data.centres.as_ref(), self.config.sphere)?;
            return Shards::read(&self.config, spheres.centres().len()).map(Some);
        }
        Ok(None)
    }

    /// How images are resampled.
    pub fn resampling(&self) -> BootstrapOptions {
        let test = &self.config.test;
        BootstrapOptions { n_bootstraps: test.n_image_bootstraps, level: test.level, seed: self.config.seed }
    }

    fn check_test(&self) -> Result<()> {
        let (n, n_kept) = (self.config.test.n_permutations, self.config.test.keep_relabellings);
        let searchlight = matches!(self.brain, Brain::Searchlight(_));
        if n_kept > 0 && (!searchlight || n_kept > self.n_permutations()) {
            let expected = "a searchlight with at least as many `test.n_permutations`";
            let found = format!("{n_kept} to be kept of {}", self.n_permutations());
            let hint = "maps are kept for `group`, which takes those of searchlights; kendall_tau_a has none";
            return Err(Error::invalid("test.keep_relabellings", expected, found, hint));
        }
        together("test.n_permutations", "relabellings x conditions", &[n, self.conditions.len()])?;
        let smallest = null::smallest_p(self.conditions.len(), n);
        if n > 0 && smallest > self.config.test.alpha {
            let expected = format!("enough relabellings for p below {}", self.config.test.alpha);
            let found =
                format!("p of at least {smallest:.3} with {} conditions and {n} relabellings", self.conditions.len());
            let hint =
                "raise `test.n_permutations`, use more conditions, or `test.n_permutations` 0 for maps without a test";
            return Err(Error::invalid("test.n_permutations", expected, found, hint));
        }
        Ok(())
    }

    /// What `--dry-run` prints.
    pub fn describe(&self) -> Result<Value> {
        let mut out = json!({
            "dry_run": true,
            "n_conditions": self.conditions.len(),
            "layers": self.comparator.layers(),
            "dissimilarity": self.config.dissimilarity,
            "statistic": self.config.statistic,
            "residual": self.config.residual,
            "n_permutations": self.n_permutations(),
            "n_image_bootstraps": self.config.test.n_image_bootstraps,
            "collinearity": self.comparator.collinearity(),
        });
        match &self.brain {
            Brain::Searchlight(data) => {
                let mask = data.mask.as_ref().expect("images have a mask");
                let spheres = Neighbourhoods::new(mask, data.centres.as_ref(), self.config.sphere)?;
                out["sphere"] = json!(self.config.sphere.to_string());
                out["sphere_voxels"] = json!(spheres.n_shape());
                out["n_centres"] = json!(spheres.centres().len());
                out["n_voxels"] = json!(mask.n_voxels());
                out["n_runs"] = json!(data.betas.n_runs());
                out["n_samples"] = json!(data.betas.runs().len());
                let n_values = self.comparator.n_values();
                out["relabellings_mb"] = json!(
                    (self.config.test.keep_relabellings as f64 * (n_values * spheres.centres().len()) as f64 * 4.0
                        / 1e6)
                        .round()
                );
                out["memory_mb"] = json!((self.memory_bytes(mask.n_voxels(), spheres.centres().len()) / 1e6).round());
            }
            Brain::Regions(data) => {
                let regions = data.regions.as_ref().expect("regions were read");
                out["regions"] = json!(regions.regions.iter().map(|(n, v)| (n, v.len())).collect::<Vec<_>>());
            }
            Brain::Rdms(rdms) => {
                out["regions"] = json!(rdms.iter().map(|r| (&r.name, r.subjects.len())).collect::<Vec<_>>())
            }
        }
        Ok(out)
    }

    /// Betas once as read and once laid out, maps and p, one RDM a thread.
    fn memory_bytes(&self, n_voxels: usize, n_centres: usize) -> f64 {
        let n = self.conditions.len() as f64;
        let layers = self.comparator.n_values() as f64;
        let one = n * (n - 1.0) / 2.0 * 24.0 + n * n * 4.0;
        n_voxels as f64 * n * 12.0 + n_centres as f64 * layers * 24.0 + one * rayon::current_num_threads() as f64
    }
}
