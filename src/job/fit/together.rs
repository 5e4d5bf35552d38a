//! Keys that mean nothing together: what somebody says is used, or refused.

use super::config::{BandedConfig, Config, Estimator, Held, StimuliConfig, TestConfig};
use crate::encoding::readout::ReadoutOptions;
use crate::error::{Error, Result};
use crate::job::model::NetworkConfig;
use toml::{Table, Value};

/// What is held out where the keys of one way are given and none is named: `test.stimuli` asks for
/// `by = "stimuli"`, `test.runs` for `runs`, `test.n_folds` and `test.split` for `folds`.
pub fn implied(given: &mut Table) {
    let Some(test) = given.get_mut("test").and_then(Value::as_table_mut) else { return };
    if test.contains_key("by") {
        return;
    }
    let ways = [("stimuli", "stimuli"), ("runs", "runs"), ("n_folds", "folds"), ("split", "folds")];
    if let Some((_, by)) = ways.into_iter().find(|(key, _)| test.contains_key(*key)) {
        test.insert("by".into(), Value::String(by.into()));
    }
}

/// # Errors
/// [`Error::Invalid`], which names the key, for one that is not what it is by default and that
/// nothing reads.
pub fn check(config: &Config) -> Result<()> {
    let unread = test(config).or_else(|| estimator(config)).or_else(|| stimuli(config));
    match unread {
        None => Ok(()),
        Some((key, reader)) => {
            Err(Error::invalid(key, format!("it only with {reader}"), "something else", "leave one of them out"))
        }
    }
}

/// A key that nothing reads, and what would.
type Unread = Option<(&'static str, &'static str)>;

fn first(rows: &[(bool, &'static str, &'static str)]) -> Unread {
    rows.iter().find(|(unread, _, _)| *unread).map(|&(_, key, reader)| (key, reader))
}

fn test(config: &Config) -> Unread {
    let (own, usual) = (&config.test, TestConfig::default());
    let share = matches!(own.by, Held::Auto | Held::Last | Held::Random);
    first(&[
        (own.by != Held::Stimuli && own.stimuli.is_some(), "test.stimuli", "test.by = \"stimuli\""),
        (own.by != Held::Runs && !own.runs.is_empty(), "test.runs", "test.by = \"runs\""),
        (own.by != Held::Folds && own.n_folds != usual.n_folds, "test.n_folds", "test.by = \"folds\""),
        (own.by != Held::Folds && own.split != usual.split, "test.split", "test.by = \"folds\""),
        (!share && own.share != usual.share, "test.share", "test.by = \"last\" or \"random\""),
    ])
}

fn estimator(config: &Config) -> Unread {
    let (banded, usual) = (&config.banded, BandedConfig::default());
    let is = |estimator| config.estimator == estimator;
    let scaled = config.stimuli.scaling != StimuliConfig::default().scaling;
    first(&[
        (!is(Estimator::Banded) && *banded != usual, "banded", "estimator = \"banded\""),
        (
            banded.gammas.is_some() && (banded.n_iter != usual.n_iter || banded.concentration != usual.concentration),
            "banded.gammas",
            "neither `n_iter` nor `concentration`",
        ),
        (
            !is(Estimator::Factorized) && config.readout != ReadoutOptions::default(),
            "readout",
            "estimator = \"factorized\"",
        ),
        (is(Estimator::Factorized) && scaled, "stimuli.scaling", "an estimator that standardises features"),
    ])
}

fn stimuli(config: &Config) -> Unread {
    let (own, usual) = (&config.stimuli, StimuliConfig::default());
    let given = !own.features.is_empty();
    let network = config.network != NetworkConfig::default();
    first(&[
        (given && !own.taps.is_empty(), "stimuli.taps", "images or movies"),
        (given && own.resize != usual.resize, "stimuli.resize", "images or movies"),
        (given && network, "network", "images or movies"),
    ])
}
