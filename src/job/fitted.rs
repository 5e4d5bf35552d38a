//! Fitted encoding models as jobs take them: found, opened, their targets chosen.

use super::manifest::hash_file;
use super::model::NetworkConfig;
use crate::data::names::{matches, nfc};
use crate::data::shown::line;
use crate::encoding::model::{ModelFile, ModelSpace, Readout, ReadoutWeights, SpaceFrom};
use crate::error::{Error, Result};
use crate::network::card::About;
use crate::network::units::channels;
use crate::network::zoo::Model;
use crate::warning::Warning;
use serde::Serialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Where a run of `fit` keeps its model.
pub const FILE: &str = "arrays/model.safetensors";

/// The file of a fitted model that `spec` names: a run directory of `fit`, or the file itself.
pub fn file(spec: &str) -> Option<PathBuf> {
    let path = Path::new(spec);
    let inside = path.join(FILE);
    if inside.is_file() {
        return Some(inside);
    }
    let named = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("safetensors"));
    (named && path.is_file()).then(|| path.to_path_buf())
}

/// What a model is called: its run directory, or its file without the ending.
pub fn name(file: &Path) -> String {
    let run = file.ends_with(FILE).then(|| file.ancestors().nth(2)).flatten();
    let run = run.map(|run| std::path::absolute(run).unwrap_or_else(|_| run.to_path_buf()));
    let part = match &run {
        Some(run) => run.file_name(),
        None => file.file_stem(),
    };
    part.map_or_else(|| "fitted".into(), |part| nfc(&part.to_string_lossy()).into_owned())
}

/// The network of a fitted model, cut off above its deepest layer: a plain network of its taps.
///
/// # Errors
/// As [`ModelFile::open`]; [`Error::Invalid`] for a model of ready features, and for an
/// architecture or a preprocessing, which the model has of its own.
pub fn network(file: &Path, asked: &NetworkConfig) -> Result<Model> {
    own_preprocessing(asked)?;
    let opened = ModelFile::open(file)?;
    let head = opened.head();
    let Some(network) = &head.network else {
        let hint = "only a model that was fitted on layers of a network sees images";
        let at = file.display().to_string();
        return Err(Error::invalid(at, "a model with a network", "one of ready features", hint));
    };
    let description = format!("network of an encoding model of {} targets", head.targets.len());
    Ok(Model {
        graph: network.graph.clone(),
        about: About { description, source: network.source_blake3.clone(), ..About::default() },
        origin: file.display().to_string(),
        blake3: hash_file(file)?,
        warnings: vec![],
    })
}

/// # Errors
/// [`Error::Invalid`] where an architecture or a preprocessing is given.
pub fn own_preprocessing(asked: &NetworkConfig) -> Result<()> {
    let given = asked.arch.as_ref().map(|v| ("network.arch", v));
    match given.or(asked.preprocess.as_ref().map(|v| ("network.preprocess", v))) {
        None => Ok(()),
        Some((key, found)) => {
            let expected = "nothing beside a fitted model, which has its own network and preprocessing";
            Err(Error::invalid(key, expected, format!("`{found}`"), "leave it out"))
        }
    }
}

/// The targets that names stand for, in the order given, each once: a target's name, its number
/// from 0 (`7`), a range (`0-8`), `all`, or a name in which `*` stands for anything and `?` for one
/// character. A name that is a target's is that target's, also where it is a number.
///
/// # Errors
/// [`Error::Invalid`] for what stands for no target.
///
/// ```
/// # let names = |list: &[&str]| list.iter().map(|n| n.to_string()).collect::<Vec<_>>();
/// let targets = names(&["V1-1", "V1-2", "V4-1"]);
/// let select = |wanted: &[&str]| orthoscope::job::fitted::select(&targets, &names(wanted));
/// assert_eq!(select(&["V4-*", "0"])?, [2, 0]);
/// assert_eq!(select(&["all"])?, [0, 1, 2]);
/// assert!(select(&["V2-*"]).is_err());
/// // Names that are other targets' numbers make a range of numbers mean two things.
/// assert!(orthoscope::job::fitted::select(&names(&["1", "0"]), &names(&["0-1"])).is_err());
/// # Ok::<(), orthoscope::Error>(())
/// ```
pub fn select(targets: &[String], names: &[String]) -> Result<Vec<usize>> {
    let spelt: Vec<String> = targets.iter().map(|name| nfc(name).into_owned()).collect();
    let exact: HashMap<&str, usize> = spelt.iter().enumerate().map(|(i, name)| (name.as_str(), i)).collect();
    let mut seen = vec![false; targets.len()];
    let mut chosen = Vec::new();
    for name in names {
        let wanted = nfc(name);
        let found = match (exact.get(wanted.as_ref()), channels(&wanted, targets.len())) {
            (Some(&only), _) => vec![only],
            (None, Some(places)) => {
                places_alone(&exact, &places, name)?;
                places
            }
            (None, None) => (0..targets.len()).filter(|&i| matches(&wanted, &spelt[i])).collect(),
        };
        if found.is_empty() || found.iter().any(|&i| i >= targets.len()) {
            let expected = format!(
                "one of the {} targets (0 to {}, a name such as `{}`, a name with *, or all)",
                targets.len(),
                targets.len().saturating_sub(1),
                targets.first().map_or("", String::as_str)
            );
            let hint = "`orthoscope models inspect MODEL` tells how many there are; targets count from 0";
            return Err(Error::invalid("units", expected, format!("`{name}`"), hint));
        }
        chosen.extend(found.into_iter().filter(|&i| !std::mem::replace(&mut seen[i], true)));
    }
    if chosen.is_empty() {
        return Err(Error::invalid("units", "at least one target", "none", "name targets, or `all`"));
    }
    Ok(chosen)
}

/// Numbers stand for places where no target is called by another place's number.
fn places_alone(exact: &HashMap<&str, usize>, places: &[usize], given: &str) -> Result<()> {
    let other = |&&place: &&usize| exact.get(place.to_string().as_str()).is_some_and(|&target| target != place);
    match places.iter().find(other).filter(|_| given != "all") {
        None => Ok(()),
        Some(&place) => {
            let expected = "names of targets: some are numbers, which are not the targets' places";
            let found = format!("`{given}`, in which {place} may be a name or a place");
            Err(Error::invalid("units", expected, found, "name each target"))
        }
    }
}

/// What there is to know about a fitted model.
#[derive(Debug, Clone, Serialize)]
pub struct Inspection {
    pub file: String,
    pub blake3: String,
    pub n_targets: usize,
    /// The others could not be fitted.
    pub n_fitted: usize,
    /// Some names of targets.
    pub targets: Vec<String>,
    /// The network below, and the hash of the one that it was cut from.
    pub network: Option<String>,
    pub network_blake3: Option<String>,
    /// Rows and columns of the images.
    pub input: Option<[usize; 2]>,
    pub spaces: Vec<InspectedSpace>,
    pub readouts: Vec<InspectedReadout>,
    pub delays: Vec<isize>,
    /// Stimuli that it was fitted on, as far as it knows.
    pub n_stimuli: usize,
}

/// A set of features.
#[derive(Debug, Clone, Serialize)]
pub struct InspectedSpace {
    pub name: String,
    /// Layer and reduction in words.
    pub from: String,
    pub n_features: usize,
}

/// Weights of some targets.
#[derive(Debug, Clone, Serialize)]
pub struct InspectedReadout {
    pub spaces: Vec<String>,
    pub n_targets: usize,
    /// `dense`, `windows` or `factorized`.
    pub weights: &'static str,
}

/// Names that an inspection shows.
const SHOWN: usize = 8;

/// Describes a fitted model.
///
/// # Errors
/// As [`ModelFile::open`].
pub fn inspect(file: &Path) -> Result<Inspection> {
    let opened = ModelFile::open(file)?;
    let head = opened.head();
    let space = |space: &ModelSpace| InspectedSpace {
        name: space.name.clone(),
        from: match &space.from {
            SpaceFrom::Tap { tap, reduction } => format!("`{tap}`, {}", reduction.describe()),
            SpaceFrom::Given { .. } => "ready features".into(),
        },
        n_features: space.mean.len(),
    };
    let readout = |readout: &Readout| InspectedReadout {
        spaces: readout.spaces.iter().map(|&s| head.spaces[s].name.clone()).collect(),
        n_targets: readout.targets.len(),
        weights: match readout.weights {
            ReadoutWeights::Dense(_) => "dense",
            ReadoutWeights::Windows { .. } => "windows",
            ReadoutWeights::Factorized { .. } => "factorized",
        },
    };
    let network = head.network.as_ref();
    Ok(Inspection {
        file: file.display().to_string(),
        blake3: hash_file(file)?,
        n_targets: head.targets.len(),
        n_fitted: head.readouts.iter().map(|readout| readout.targets.len()).sum(),
        targets: head.targets.iter().take(SHOWN).cloned().collect(),
        network: network.map(|n| n.graph.name.clone()),
        network_blake3: network.map(|n| n.source_blake3.clone()),
        input: network.map(|n| [n.graph.input.height, n.graph.input.width]),
        spaces: head.spaces.iter().map(space).collect(),
        readouts: head.readouts.iter().map(readout).collect(),
        delays: head.delays.clone(),
        n_stimuli: head.stimuli.len(),
    })
}

impl Inspection {
    /// For people.
    pub fn text(&self) -> String {
        let more = if self.n_targets > self.targets.len() { ", ..." } else { "" };
        let names: Vec<String> = self.targets.iter().map(|name| line(name).into_owned()).collect();
        let mut text = format!("{}: encoding model of {} targets", line(&self.file), self.n_targets);
        if self.n_fitted < self.n_targets {
            text += &format!(", {} of them fitted", self.n_fitted);
        }
        text += &format!("\ntargets: {}{more}\n", names.join(", "));
        if let (Some(network), Some([height, width])) = (&self.network, self.input) {
            text += &format!("network: {}, images of {height} x {width}\n", line(network));
        }
        for space in &self.spaces {
            text += &format!("features {}: {}, {} of them\n", line(&space.name), line(&space.from), space.n_features);
        }
        for readout in &self.readouts {
            let spaces: Vec<String> = readout.spaces.iter().map(|name| line(name).into_owned()).collect();
            text += &format!("readout: {} targets on {}, {}\n", readout.n_targets, spaces.join(" + "), readout.weights);
        }
        if !self.delays.is_empty() {
            text += &format!("delays: {:?} samples\n", self.delays);
        }
        if self.n_stimuli > 0 {
            text += &format!("fitted on {} stimuli\n", self.n_stimuli);
        }
        text
    }
}

/// What should be known of an image's responses where features are delayed.
pub fn delay_note(delays: &[isize], name: &str) -> Option<Warning> {
    (!delays.is_empty()).then(|| {
        let listed: Vec<String> = delays.iter().map(isize::to_string).collect();
        let text = format!(
            "{name}: its features are delayed by {} samples; weights are summed over the delays, so a response is that to an image that stays",
            listed.join(", ")
        );
        Warning::Note { text }
    })
}
