//! Other models that images are shown to: does an image only fool the model it was made on?

use super::population::Population;
use crate::data::names::twice;
use crate::error::{Error, Result};
use crate::job::model::NetworkConfig;
use std::path::Path;

/// Another model.
pub struct Check {
    /// The model's file without the ending; as the user wrote it where two would be equal.
    pub name: String,
    pub population: Population,
    /// Unit of that model for each driven unit.
    pub units: Vec<usize>,
}

/// Another network beside the driven ones, from `MODEL` or `MODEL=UNIT+UNIT`; without units those
/// of the same names, or all its outputs.
///
/// # Errors
/// As [`Population::load`].
pub fn load_beside(spec: &str, network: &NetworkConfig, driven: &[String]) -> Result<(Population, String)> {
    let (model, units) = match spec.rsplit_once('=') {
        Some((model, units)) => (model, Some(units.split('+').map(str::to_owned).collect::<Vec<_>>())),
        None => (spec, None),
    };
    let network = NetworkConfig { model: model.into(), ..network.clone() };
    let wanted = units.clone().unwrap_or_else(|| driven.to_vec());
    let (population, _) = match (Population::load(&network.beside(true), &wanted, false), units.is_none()) {
        (Err(_), true) => Population::load(&network.beside(true), &["all".into()], false)?,
        (other, _) => other?,
    };
    Ok((population, model.to_owned()))
}

/// Reads the models of `--check`; each must have as many units as are driven, or one, and a name of
/// its own.
///
/// # Errors
/// [`Error::Invalid`], or what reading says.
pub fn read_checks(
    specs: &[String],
    network: &NetworkConfig,
    names: &[String],
    population: &Population,
    n_driven: usize,
) -> Result<Vec<Check>> {
    let read = |spec: &String| {
        let (found, model) = load_beside(spec, network, names)?;
        let there = found.units.len();
        if there != n_driven && there != 1 {
            let hint = "say which of its units go with the driven ones: `check` MODEL=UNITS (joined by +)";
            let expected = format!("1 or {n_driven} units of `{model}`");
            return Err(Error::invalid("check", expected, there.to_string(), hint));
        }
        if found.size() != population.size() {
            let expected = format!("a network for images of {:?} pixels", population.size());
            return Err(Error::invalid("check", expected, format!("{:?}", found.size()), ""));
        }
        Ok(Check { name: stem(&model), population: found, units: (0..n_driven).map(|u| u.min(there - 1)).collect() })
    };
    let mut checks = specs.iter().map(read).collect::<Result<Vec<Check>>>()?;
    let stems: Vec<String> = checks.iter().map(|check| check.name.clone()).collect();
    for (check, spec) in checks.iter_mut().zip(specs) {
        if stems.iter().filter(|other| **other == check.name).count() > 1 {
            check.name.clone_from(spec);
        }
    }
    match twice(checks.iter().map(|check| check.name.as_str())) {
        Some(name) => {
            Err(Error::invalid("check", "each model once", format!("`{name}` twice"), "leave one of them out"))
        }
        None => Ok(checks),
    }
}

/// What a model is called: its file's or folder's name without the ending.
fn stem(model: &str) -> String {
    Path::new(model).file_stem().map_or_else(|| model.to_owned(), |s| s.to_string_lossy().into_owned())
}
