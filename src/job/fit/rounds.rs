//! What is fitted on what: rounds of training rows, tested rows and inner folds.

use super::config::{Config, Deal, Held};
use super::samples::Samples;
use crate::data::names::find_all;
use crate::encoding::folds::{Fold, Rows, folds, hold_out};
use crate::error::{Error, Result};
use crate::job::inputs::targets::list;
use crate::rng;
use std::path::Path;

/// Everything that is fitted once.
pub struct Round {
    /// `test`, `fold 3` or `final`.
    pub name: String,
    pub train: Rows,
    /// None of the last round of a cross-validation: its model is kept, and was tested by the others.
    pub test: Option<Rows>,
    /// Samples on no side: too near in time, or copies of a tested image.
    pub n_left_out: usize,
    pub inner: Vec<Fold>,
}

impl Round {
    fn new(name: String, fold: Fold, samples: &Samples, config: &Config) -> Result<Self> {
        let n_left_out = fold.n_purged + fold.n_repeats;
        Self::of(name, (fold.train, Some(fold.test), n_left_out), samples, config)
    }

    fn of(
        name: String,
        (train, test, n_left_out): (Rows, Option<Rows>, usize),
        samples: &Samples,
        config: &Config,
    ) -> Result<Self> {
        let (own, n_runs) = (&config.folds, n_runs(&train, samples));
        let split = own.split.split(own.n_folds, config.seed, n_runs > 1, samples.time.is_some());
        let inner = folds(&train, &samples.labels(own.split), split, own.purge)?;
        Ok(Self { name, train, test, n_left_out, inner })
    }
}

fn n_runs(rows: &Rows, samples: &Samples) -> usize {
    let Some(time) = &samples.time else { return 1 };
    rows.indices().iter().map(|&i| time.runs[i]).collect::<std::collections::BTreeSet<_>>().len()
}

/// The rounds of a configuration, the one whose model is kept last.
///
/// # Errors
/// [`Error::Invalid`] for runs and stimuli that are not there, and what [`folds`] says.
pub fn rounds(config: &Config, samples: &Samples) -> Result<Vec<Round>> {
    let n = samples.n_samples();
    let all = Rows::all(n)?;
    let test = &config.test;
    let single = |held: Vec<usize>| -> Result<Vec<Round>> {
        let fold = hold_out(&all, &samples.labels(Deal::Auto), held, test.purge)?;
        Ok(vec![Round::new("test".into(), fold, samples, config)?])
    };
    match test.by {
        Held::None => Ok(vec![Round::of("final".into(), (all, None, 0), samples, config)?]),
        Held::Folds => {
            let split = test.split.split(test.n_folds, config.seed, samples.several_runs(), samples.time.is_some());
            let mut rounds = Vec::new();
            for (i, fold) in folds(&all, &samples.labels(test.split), split, test.purge)?.into_iter().enumerate() {
                rounds.push(Round::new(format!("fold {}", i + 1), fold, samples, config)?);
            }
            rounds.push(Round::of("final".into(), (all, None, 0), samples, config)?);
            Ok(rounds)
        }
        Held::Auto if samples.several_runs() => single(of_runs(samples, &[last_run(samples)])?),
        Held::Auto if samples.time.is_none() => single(random(n, test.share, config.seed)),
        Held::Auto | Held::Last => single((n - share_of(n, test.share)..n).collect()),
        Held::Random => single(random(n, test.share, config.seed)),
        Held::Runs => single(of_runs(samples, &test.runs)?),
        Held::Stimuli => single(of_stimuli(samples, test.stimuli.as_deref())?),
    }
}

fn share_of(n: usize, share: f64) -> usize {
    ((n as f64 * share).round() as usize).clamp(1, n.saturating_sub(1).max(1))
}

fn random(n: usize, share: f64, seed: u64) -> Vec<usize> {
    let order = rng::stream(seed, "held out", 0).permutation(n);
    order[..share_of(n, share)].to_vec()
}

fn last_run(samples: &Samples) -> String {
    samples.time.as_ref().and_then(|time| time.run_names.last().cloned()).unwrap_or_default()
}

fn of_runs(samples: &Samples, wanted: &[String]) -> Result<Vec<usize>> {
    let Some(time) = &samples.time else {
        let hint = "hold out a share, or `stimuli` by name";
        return Err(Error::invalid("test.by", "runs only for time series", "responses to stimuli", hint));
    };
    let place = |name: &String| {
        time.run_names.iter().position(|run| run == name).ok_or_else(|| {
            let known = time.run_names.join("`, `");
            Error::invalid("test.runs", format!("some of the runs `{known}`"), format!("`{name}`"), "")
        })
    };
    let runs = wanted.iter().map(place).collect::<Result<Vec<_>>>()?;
    if runs.is_empty() {
        return Err(Error::invalid("test.runs", "the runs that are held out", "none", "as in runs = [\"run-10\"]"));
    }
    Ok((0..samples.n_samples()).filter(|&i| runs.contains(&time.runs[i])).collect())
}

fn of_stimuli(samples: &Samples, path: Option<&Path>) -> Result<Vec<usize>> {
    let Some(path) = path.filter(|_| samples.time.is_none()) else {
        let hint = "a list of stimuli, one a line, of responses to stimuli";
        return Err(Error::invalid("test.stimuli", "the stimuli that are held out", "none", hint));
    };
    let wanted = list(path, None, "test.stimuli", "a stimulus")?;
    Ok(find_all(&wanted, &samples.names, "test.stimuli", ("held-out stimuli", "stimuli"))?.places)
}
