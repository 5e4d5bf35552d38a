//! Targets of a fitted encoding model as units.

use super::population::{Member, Population, PopulationUnit};
use crate::encoding::model::ModelFile;
use crate::error::{Error, Result};
use crate::job::fitted::{delay_note, name, own_preprocessing, select};
use crate::job::manifest::hash_file;
use crate::job::model::NetworkConfig;
use crate::network::Unit;
use crate::warning::Warning;
use std::path::Path;

/// Reads the weights of the targets that `names` choose, and makes them outputs of the model's
/// network ([`crate::encoding::EncodingModel::to_graph`]).
///
/// # Errors
/// What reading says; [`Error::Invalid`] for names of no target, a target that could not be fitted
/// and is asked for by itself, and a model of ready features.
pub fn load(file: &Path, network: &NetworkConfig, names: &[String]) -> Result<(Population, Vec<Warning>)> {
    own_preprocessing(network)?;
    let opened = ModelFile::open(file)?;
    let called = name(file);
    let head = opened.head();
    let mut fitted = vec![false; head.targets.len()];
    head.readouts.iter().flat_map(|readout| &readout.targets).for_each(|&t| fitted[t] = true);
    let chosen = select(&head.targets, names)?;
    let (usable, left): (Vec<usize>, Vec<usize>) = chosen.into_iter().partition(|&t| fitted[t]);
    let alone = left.iter().map(|&t| &head.targets[t]).find(|target| names.contains(target));
    if let Some(target) = alone.or(left.first().map(|&t| &head.targets[t]).filter(|_| usable.is_empty())) {
        let hint = "its responses were constant or not finite; `units` chooses others";
        return Err(Error::invalid("units", "targets that could be fitted", format!("`{target}`"), hint));
    }
    let mut warnings: Vec<Warning> = delay_note(&head.delays, &called).into_iter().collect();
    if !left.is_empty() {
        let (n, first) = (left.len(), &head.targets[left[0]]);
        let text = format!("{called}: {n} targets that could not be fitted are left out, `{first}` the first of them");
        warnings.push(Warning::Note { text });
    }
    let model = opened.some(&usable)?;
    let made = model.to_graph().map_err(|e| of_file(file, e))?;
    let unit = |(place, target): (&Option<(usize, usize)>, &String)| {
        let (node, channel) = place.expect("every usable target has a readout");
        let unit = Unit { node, channel, at: None, name: target.clone() };
        PopulationUnit { name: target.clone(), member: 0, unit }
    };
    let units = made.units.iter().zip(&model.targets).map(unit).collect();
    let (origin, blake3) = (file.display().to_string(), hash_file(file)?);
    Ok((Population { members: vec![Member { name: called, graph: made.graph, origin, blake3 }], units }, warnings))
}

fn of_file(file: &Path, error: Error) -> Error {
    match error {
        Error::Invalid { at, expected, found, hint } => {
            Error::Invalid { at: format!("{}: {at}", file.display()), expected, found, hint }
        }
        other => other,
    }
}
