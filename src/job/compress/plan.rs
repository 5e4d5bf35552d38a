//! Everything that a configuration names, read and checked.

use super::config::{By, Config};
use super::sets::{self, Chosen, Opened, Set, Truth};
use super::subject::{FittedModel, Subject};
use super::truths::Known;
use crate::compression::{Groups, Pruner};
use crate::data::StimulusSource;
use crate::error::{Error, Result};
use crate::tensor::Device;
use crate::warning::Warning;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A checked configuration.
pub struct Plan {
    pub config: Config,
    pub subject: Subject,
    pub groups: Groups,
    /// Groups that are pruned.
    pub pruned: Vec<usize>,
    /// What channels are judged on, and what the reported scores are on.
    pub judged: Set,
    pub tested: Set,
    /// Names of the outputs.
    pub outputs: Vec<String>,
    /// How the images came apart, in words.
    pub split: String,
    pub device: Device,
    pub sets: BTreeMap<String, String>,
    pub warnings: Vec<Warning>,
}

/// Both sets of images before anything is known of them.
pub struct Sides {
    pub judged: Chosen,
    pub tested: Chosen,
    /// How they came apart, in words.
    pub split: String,
}

impl Plan {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// [`Error::Invalid`] and whatever the readers say.
    pub fn new(config: Config) -> Result<Self> {
        config.check()?;
        let device = config.machine.device()?;
        let mut subject = Subject::load(&config)?;
        let mut warnings = std::mem::take(&mut subject.warnings);
        let mut sets = BTreeMap::from([("model".to_owned(), subject.blake3.clone())]);
        let groups = Groups::of(&subject.graph, &subject.keep)?;
        let pruned = pruned(&config, &subject, &groups)?;
        let images = config.images.clone().expect("checked");
        let judged = sets::open(&images, &config, &subject.graph, "images", &mut sets, &mut warnings)?;
        let tested = match &config.test_images {
            Some(path) => {
                let opened = sets::open(path, &config, &subject.graph, "test_images", &mut sets, &mut warnings)?;
                sets::apart(&judged, &opened)?;
                Some(opened)
            }
            None => None,
        };
        let sides = sides(&config, &subject, &judged, tested.as_ref())?;
        let known =
            Known { config: &config, subject: &subject, judged: &judged, tested: tested.as_ref(), sides: &sides };
        let (truths, outputs) = known.truths(&mut warnings)?;
        let [judged, tested] =
            [(sides.judged, 0), (sides.tested, 1)].map(|(images, k)| Set { images, truth: truths[k].clone() });
        let plan = Self {
            config,
            subject,
            groups,
            pruned,
            judged,
            tested,
            outputs,
            split: sides.split,
            device,
            sets,
            warnings,
        };
        plan.check()?;
        Ok(plan)
    }

    /// Channels of all pruned layers.
    pub fn n_channels(&self) -> usize {
        self.pruned.iter().map(|&g| self.groups.group(g).width()).sum()
    }

    fn check(&self) -> Result<()> {
        let known = &self.judged.truth;
        let (by, needed) = match self.config.prune.by {
            Some(By::Car) => ("labels", matches!(known, Truth::Labels(_))),
            Some(By::Rar) => ("targets.files", matches!(known, Truth::Responses(_))),
            _ => ("", true),
        };
        if !needed {
            let (expected, hint) = match by {
                "labels" => ("classes of the images for car", "a folder for each class, or a table (`labels`)"),
                _ => ("recorded responses for rar", "give the responses to the images"),
            };
            return Err(Error::invalid(by, expected, "none", hint));
        }
        for (key, set) in [("images", &self.judged), ("test_images", &self.tested)] {
            let (n, least) = (set.images.n_images(), if matches!(set.truth, Truth::Labels(_)) { 1 } else { 3 });
            if n < least {
                let hint = "give more images, or another `test_share`";
                return Err(Error::invalid(key, format!("at least {least} images"), n.to_string(), hint));
            }
        }
        Ok(())
    }

    /// What `--dry-run` prints.
    ///
    /// # Errors
    /// None for what the plan has checked.
    pub fn describe(&self) -> Result<Value> {
        let graph = &self.subject.graph;
        let n = self.n_channels();
        let removed = self.config.prune.by.and(self.config.prune.keep).map(|keep| n - keep.of(n).min(n));
        let layer =
            |&g: &usize| json!({ "layer": self.groups.group(g).name, "channels": self.groups.group(g).width() });
        let at_once = self.at_once();
        Ok(json!({
            "dry_run": true,
            "model": self.subject.origin,
            "score": super::judge::describe(self),
            "n_images": self.judged.images.n_images(),
            "n_test_images": self.tested.images.n_images(),
            "split": self.split,
            "layers": self.pruned.iter().map(layer).collect::<Vec<_>>(),
            "n_channels": n,
            "n_removed": removed,
            "at_once": at_once,
            "gflop": 2.0 * graph.n_macs(graph.output()) as f64 / 1e9 * self.passes(removed.unwrap_or(n)),
        }))
    }

    /// Channels that go between two judgements.
    pub fn at_once(&self) -> usize {
        let n = self.n_channels();
        let one = matches!(self.config.prune.by, Some(By::Car | By::Rar));
        match (self.config.prune.at_once, one) {
            (Some(amount), _) => amount.of(n).max(1),
            (None, true) => 1,
            (None, false) => (n as f64 * 0.05).round().max(1.0) as usize,
        }
    }

    /// Images through the whole network, at most: ablation runs its end alone.
    fn passes(&self, removed: usize) -> f64 {
        let (n, n_test) = (self.judged.images.n_images() as f64, self.tested.images.n_images() as f64);
        let rounds = removed.div_ceil(self.at_once().max(1));
        let each = |left: usize| match self.config.prune.by {
            Some(By::Car | By::Rar) => left as f64 + 2.0,
            Some(By::L1 | By::Random) => 1.0,
            Some(By::Taylor) => 4.0,
            Some(By::Variance | By::LayerwiseVariance) => 2.0,
            None => 0.0,
        };
        let left = |round: usize| self.n_channels().saturating_sub(round * self.at_once());
        let judging: f64 = (0..rounds).map(|round| each(left(round))).sum();
        n * (judging + 3.0 * self.config.fine_tune.epochs as f64 + 1.0) + n_test * 24.0
    }
}

/// The groups that are pruned, and whether what is asked of them can be.
fn pruned(config: &Config, subject: &Subject, groups: &Groups) -> Result<Vec<usize>> {
    if config.prune.by.is_none() {
        return Ok(vec![]);
    }
    let named: Vec<usize> =
        config.prune.layers.iter().map(|name| groups.named(name)).collect::<Result<_>>().map_err(|e| match e {
            Error::Invalid { expected, found, hint, .. } => {
                Error::Invalid { at: "prune.layers".into(), expected, found, hint }
            }
            other => other,
        })?;
    let chosen: Vec<usize> = (0..groups.all().len()).filter(|g| named.is_empty() || named.contains(g)).collect();
    if chosen.is_empty() {
        let hint = "its output's channels are never removed";
        return Err(Error::invalid("prune.layers", "layers whose channels can be removed", "none", hint));
    }
    let n: usize = chosen.iter().map(|&g| groups.group(g).width()).sum();
    let Some(keep) = config.prune.keep else { return Ok(chosen) };
    if keep.of(n) > n {
        let expected = format!("at most the {n} channels that there are");
        return Err(Error::invalid("prune.keep", expected, keep.to_string(), "keep fewer"));
    }
    let pruner = Pruner {
        keep: subject.keep.clone(),
        layers: config.prune.layers.clone(),
        minimum: config.prune.minimum,
        ..Pruner::new(&subject.graph)
    };
    let spare = pruner.removable()?;
    if n - keep.of(n) > spare {
        let expected = format!("at least {} channels, {} of each layer", n - spare, config.prune.minimum);
        let hint = "keep more, or lower the least number that a layer keeps (`prune.minimum`)";
        return Err(Error::invalid("prune.keep", expected, keep.to_string(), hint));
    }
    Ok(chosen)
}

/// Which images channels are judged on, and which the reported scores are on.
fn sides(config: &Config, subject: &Subject, judged: &Opened, tested: Option<&Opened>) -> Result<Sides> {
    let all = |opened: &Opened| opened.some((0..opened.n()).collect());
    if let Some(fitted) = &subject.fitted {
        not_held_out(fitted, judged, tested.is_some())?;
    }
    if let Some(tested) = tested {
        return Ok(Sides {
            judged: all(judged),
            tested: all(tested),
            split: "two sets of images, no picture in both".into(),
        });
    }
    if let Some(fitted) = subject.fitted.as_ref().filter(|fitted| !fitted.trained.is_empty()) {
        let side = |known: bool| -> Vec<usize> {
            (0..judged.n()).filter(|&i| fitted.trained.contains(&judged.hashes[i]) == known).collect()
        };
        let (own, others) = (side(true), side(false));
        // None of the fit: all are new to it, unless it kept some for its test.
        if own.is_empty() {
            not_held_out(fitted, judged, true)?;
            return Ok(drawn(config, judged));
        }
        if others.is_empty() {
            let found = format!("{} of the fit and no others", own.len());
            let hint =
                "give the images of the fit, those that it kept for its test among them; or two sets (`test_images`)";
            return Err(Error::invalid("images", "images that the model was fitted on, and others", found, hint));
        }
        let split = "channels are judged on images that the model was fitted on, scores are of the others".into();
        return Ok(Sides { judged: judged.some(own), tested: judged.some(others), split });
    }
    Ok(drawn(config, judged))
}

/// A share of the images drawn for the scores.
fn drawn(config: &Config, judged: &Opened) -> Sides {
    let (own, others) = sets::split(judged, config.test_share, config.seed);
    let of = if judged.classes.is_some() { " of each class" } else { "" };
    let split =
        format!("{} of the images{of}, drawn with seed {}, are kept for the scores", config.test_share, config.seed);
    Sides { judged: judged.some(own), tested: judged.some(others), split }
}

/// Refuses to judge channels on images that the fit kept for its test.
fn not_held_out(fitted: &FittedModel, judged: &Opened, chosen: bool) -> Result<()> {
    let names = judged.images.names();
    let held_out = |&i: &usize| fitted.tested.contains(&names[i]) && !fitted.trained.contains(&judged.hashes[i]);
    match (0..judged.n()).find(held_out).filter(|_| chosen) {
        None => Ok(()),
        Some(i) => {
            let hint = "channels must not be chosen on them: give other images, or leave `test_images` out";
            let found = format!("`{}`, which the fit kept for its test", names[i]);
            Err(Error::invalid("images", "images to judge channels on", found, hint))
        }
    }
}
