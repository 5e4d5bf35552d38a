//! Everything that a configuration names, read and checked.

use super::config::Config;
use crate::data::StimulusSource;
use crate::data::names::nfc;
use crate::encoding::EncodingModel;
use crate::encoding::features::FeatureSpace;
use crate::encoding::features::spaces;
use crate::encoding::model::{ModelFile, SpaceFrom, pixels_hash};
use crate::error::{Error, Result};
use crate::image::Resized;
use crate::job::fitted;
use crate::job::inputs::targets::{self, Aligned};
use crate::job::limits::together;
use crate::job::model::{executor, open_images_seen};
use crate::network::TapRequest;
use crate::tensor::Device;
use crate::warning::Warning;
use ndarray::Array2;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;

/// A checked configuration.
pub struct Plan {
    pub config: Config,
    pub file: PathBuf,
    /// Of the chosen targets alone.
    pub model: EncodingModel,
    /// Numbers of the targets in the whole model.
    pub chosen: Vec<usize>,
    pub images: Option<Resized>,
    pub stimuli: Vec<String>,
    /// For each stimulus, whether the model was fitted on it; none where it does not know.
    pub trained: Option<Vec<bool>>,
    /// Ready features of the model's spaces that need some, in order, a row a stimulus.
    pub given: Vec<Array2<f32>>,
    pub recorded: Option<Recorded>,
    pub device: Device,
    pub sets: BTreeMap<String, String>,
    pub warnings: Vec<Warning>,
}

/// Responses to compare with.
pub struct Recorded {
    pub aligned: Aligned,
    /// Target of the (chosen) model and target of the responses, of every name that both have.
    pub pairs: Vec<(usize, usize)>,
}

/// Stimuli with the hash of their pixels, where they are images.
type Named = (String, Option<String>);

impl Plan {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// [`Error::Invalid`] and whatever the readers say.
    pub fn new(config: Config) -> Result<Self> {
        config.check()?;
        let device = config.machine.device()?;
        let file = fitted::file(&config.model).ok_or_else(|| {
            let expected = format!("a run directory of `fit` (with {}), or a file .safetensors", fitted::FILE);
            Error::invalid("model", expected, format!("`{}`", config.model), "fit a model first, or check the path")
        })?;
        let opened = ModelFile::open(&file)?;
        let chosen = fitted::select(&opened.head().targets, &config.units)?;
        let model = opened.some(&chosen)?;
        let mut warnings = Vec::new();
        let mut sets = BTreeMap::new();
        let mut named: Vec<Named> = Vec::new();
        let images = read_images(&config, &model, &mut named, &mut sets, &mut warnings)?;
        let given = read_features(&config, &model, &mut named, &mut warnings)?;
        together("units", "stimuli x targets", &[named.len(), model.targets.len()])?;
        let trained = trained(&model, &named);
        let stimuli: Vec<String> = named.into_iter().map(|(name, _)| name).collect();
        warnings.extend(shown_before(trained.as_deref()));
        warnings.extend(series_note(&model, &fitted::name(&file)));
        let of_file = Fitted { targets: &opened.head().targets, model: &model, chosen: &chosen };
        let recorded = recorded(&config, &of_file, &stimuli, &mut warnings)?;
        let plan =
            Self { config, file, model, chosen, images, stimuli, trained, given, recorded, device, sets, warnings };
        Ok(plan)
    }

    /// What `--dry-run` prints.
    ///
    /// # Errors
    /// As the executor's constructor.
    pub fn describe(&self) -> Result<Value> {
        let mut plan = json!({
            "dry_run": true,
            "model": self.file.display().to_string(),
            "n_stimuli": self.stimuli.len(),
            "n_targets": self.model.targets.len(),
            "spaces": self.model.spaces.iter().map(|space| space.name.as_str()).collect::<Vec<_>>(),
            "n_trained": self.n_trained(),
            "n_scored_targets": self.recorded.as_ref().map(|recorded| recorded.pairs.len()),
        });
        if let (Some(network), Some(_)) = (&self.model.network, &self.images) {
            let (graph, n) = (&network.graph, self.stimuli.len() as u64);
            let last = graph.output();
            plan["executor"] = json!(executor(graph, &[TapRequest::Activations(last)], &self.device)?.describe());
            plan["gflop"] = json!(2.0 * (graph.n_macs(last) * n) as f64 / 1e9);
        }
        Ok(plan)
    }

    /// Stimuli that the model was fitted on.
    pub fn n_trained(&self) -> Option<usize> {
        self.trained.as_ref().map(|all| all.iter().filter(|seen| **seen).count())
    }
}

fn read_images(
    config: &Config,
    model: &EncodingModel,
    named: &mut Vec<Named>,
    sets: &mut BTreeMap<String, String>,
    warnings: &mut Vec<Warning>,
) -> Result<Option<Resized>> {
    let (network, path) = match (&model.network, &config.images) {
        (Some(network), Some(path)) => (network, path),
        (None, None) => return Ok(None),
        (Some(_), None) => {
            let hint = "the chosen targets were fitted on layers of a network";
            return Err(Error::invalid("images", "images for the model's network", "none", hint));
        }
        (None, Some(path)) => {
            let hint = "the chosen targets were fitted on ready features: give `features`";
            let found = path.display().to_string();
            return Err(Error::invalid("images", "no images beside a model without a network", found, hint));
        }
    };
    let how = config.resize.unwrap_or(network.resize);
    if how != network.resize {
        let text = format!("images are brought to size by `{how}`; the model was fitted on `{}`", network.resize);
        warnings.push(Warning::Note { text });
    }
    let see = &mut |name: &str, pixels: &ndarray::Array3<u8>| named.push((name.to_owned(), Some(pixels_hash(pixels))));
    let (images, hash, found) = open_images_seen(path, &network.graph, how, see)?;
    warnings.extend(found);
    sets.insert("images".into(), hash);
    Ok(Some(images))
}

/// The rows of ready features that are the stimuli's; without images the rows say what the stimuli
/// are.
fn read_features(
    config: &Config,
    model: &EncodingModel,
    named: &mut Vec<Named>,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<Array2<f32>>> {
    let mut found: Vec<FeatureSpace> = Vec::new();
    for path in &config.features {
        found.extend(spaces::read(path, config.feature_rows.as_deref())?);
    }
    let wanted: Vec<(&str, usize)> = model
        .spaces
        .iter()
        .filter(|space| matches!(space.from, SpaceFrom::Given { .. }))
        .map(|space| (space.name.as_str(), space.n_streamed()))
        .collect();
    if wanted.is_empty() && !found.is_empty() {
        let hint = "the chosen targets need nothing but images";
        return Err(Error::invalid("features", "none", format!("`{}`", found[0].name), hint));
    }
    if named.is_empty()
        && let Some(first) = found.first()
    {
        let number = |row: usize| (row + 1).to_string();
        let names = first.rows.clone().unwrap_or_else(|| (0..first.values.nrows()).map(number).collect());
        named.extend(names.into_iter().map(|name| (name, None)));
    }
    let stimuli: Vec<String> = named.iter().map(|(name, _)| name.clone()).collect();
    let mut given = Vec::with_capacity(wanted.len());
    for &(name, n_features) in &wanted {
        let (rows, noted) = rows_of(name, n_features, wanted.len() == 1, &found, &stimuli)?;
        // Where rows made the stimuli, they are in their own order.
        warnings.extend(noted.into_iter().filter(|_| config.images.is_some() || found.len() > 1));
        given.push(rows);
    }
    Ok(given)
}

/// The rows of the stimuli in the array of a name; a single array for a `single` space needs none.
fn rows_of(
    name: &str,
    n_features: usize,
    single: bool,
    found: &[FeatureSpace],
    stimuli: &[String],
) -> Result<(Array2<f32>, Vec<Warning>)> {
    let by_name = found.iter().find(|space| nfc(&space.name) == nfc(name));
    let only = found.first().filter(|_| single && found.len() == 1);
    let Some(space) = by_name.or(only) else {
        let names: Vec<&str> = found.iter().map(|space| space.name.as_str()).collect();
        let expected = format!("an array of the features `{name}`");
        let hint = "name the array (in an npz) or its file (npy) as for the fit";
        return Err(Error::invalid("features", expected, format!("{names:?}"), hint));
    };
    let (rows, noted) = space.of(stimuli)?;
    if rows.ncols() != n_features {
        let at = format!("features `{}`", space.name);
        let hint = "features must be made as those that the model was fitted on";
        return Err(Error::invalid(at, format!("{n_features} features"), rows.ncols().to_string(), hint));
    }
    Ok((rows, noted))
}

/// Which stimuli the model knows: by their pixels where both are known, else by name.
fn trained(model: &EncodingModel, named: &[Named]) -> Option<Vec<bool>> {
    if model.stimuli.is_empty() {
        return None;
    }
    let hashes: HashSet<&str> = model.stimuli.iter().map(|s| s.hash.as_str()).filter(|h| !h.is_empty()).collect();
    let unseen = model.stimuli.iter().filter(|s| s.hash.is_empty());
    let names: HashSet<_> = model.stimuli.iter().map(|s| nfc(&s.name)).collect();
    let by_name: HashSet<_> = unseen.map(|s| nfc(&s.name)).collect();
    let known = |(name, hash): &Named| match hash {
        Some(hash) => hashes.contains(hash.as_str()) || by_name.contains(&nfc(name)),
        None => names.contains(&nfc(name)),
    };
    Some(named.iter().map(known).collect())
}

fn shown_before(trained: Option<&[bool]>) -> Option<Warning> {
    let trained = trained?;
    let n = trained.iter().filter(|seen| **seen).count();
    (n > 0).then(|| Warning::Note {
        text: format!(
            "{n} of the {} stimuli are among those that the model was fitted on: how well they are predicted says nothing about new ones",
            trained.len()
        ),
    })
}

fn series_note(model: &EncodingModel, name: &str) -> Option<Warning> {
    (!model.delays.is_empty()).then(|| {
        let delays: Vec<String> = model.delays.iter().map(isize::to_string).collect();
        let text = format!(
            "{name}: its features are delayed by {} samples: the stimuli are taken as samples that follow each other in one run",
            delays.join(", ")
        );
        Warning::Note { text }
    })
}

/// What was fitted: the targets of the whole file, and those that are predicted.
struct Fitted<'a> {
    targets: &'a [String],
    model: &'a EncodingModel,
    chosen: &'a [usize],
}

fn recorded(
    config: &Config,
    fitted: &Fitted<'_>,
    stimuli: &[String],
    warnings: &mut Vec<Warning>,
) -> Result<Option<Recorded>> {
    if config.targets.files.is_empty() {
        if config.targets != targets::TargetsConfig::default() {
            return Err(Error::invalid("targets.files", "files of responses", "none", "or leave out the section"));
        }
        return Ok(None);
    }
    let mut read = targets::read(&config.targets)?;
    warnings.append(&mut read.warnings);
    let mut aligned = targets::align(&read, stimuli, config.targets.matching)?;
    warnings.append(&mut aligned.warnings);
    if aligned.stimuli.len() < 2 {
        let hint = "a correlation needs more than one response";
        return Err(Error::invalid(
            "targets",
            "responses to 2 stimuli or more",
            aligned.stimuli.len().to_string(),
            hint,
        ));
    }
    let pairs = if read.named {
        pairs(fitted.model, aligned.responses.targets())?
    } else {
        warnings.push(by_number(fitted.targets, aligned.responses.targets().len())?);
        fitted.chosen.iter().copied().enumerate().collect()
    };
    let n_predicted = fitted.model.targets.len();
    if pairs.len() < n_predicted {
        let text = format!(
            "{} of the {n_predicted} predicted targets have no responses and are not scored",
            n_predicted - pairs.len(),
        );
        warnings.push(Warning::Note { text });
    }
    Ok(Some(Recorded { aligned, pairs }))
}

/// Responses without names are the model's targets, all of them in their order, where those have no
/// names either; what the user should know of it.
fn by_number(targets: &[String], n_columns: usize) -> Result<Warning> {
    let numbers = targets.iter().enumerate().all(|(place, name)| *name == place.to_string());
    if numbers && n_columns == targets.len() {
        let text = format!(
            "neither the {n_columns} targets of the responses nor those of the model have names: they are compared in the order of their columns"
        );
        return Ok(Warning::Note { text });
    }
    let expected = match numbers {
        true => format!("responses of the model's {} targets, or names that say which they are", targets.len()),
        false => format!("names of the responses' targets, as those of the model: `{}`, ...", targets[0]),
    };
    let hint = "name them (`targets.names`, or a table with a header): nothing is matched by position";
    Err(Error::invalid("targets", expected, format!("{n_columns} columns without names"), hint))
}

/// Targets of the model and of the responses that have one name.
fn pairs(model: &EncodingModel, targets: &[String]) -> Result<Vec<(usize, usize)>> {
    let there: HashMap<_, usize> = targets.iter().map(|name| nfc(name)).zip(0..).collect();
    let pair = |(own, name): (usize, &String)| Some((own, *there.get(&nfc(name))?));
    let pairs: Vec<(usize, usize)> = model.targets.iter().enumerate().filter_map(pair).collect();
    if !pairs.is_empty() {
        return Ok(pairs);
    }
    let expected = format!("targets of the model, such as `{}`, in the responses", model.targets[0]);
    let found = format!("others, such as `{}`", targets.first().map_or("", String::as_str));
    let hint = "name the targets of the responses as for the fit (`targets.names`), or choose others (`units`)";
    Err(Error::invalid("targets.names", expected, found, hint))
}

impl Plan {
    /// How many stimuli.
    pub fn n_stimuli(&self) -> usize {
        self.images.as_ref().map_or(self.stimuli.len(), StimulusSource::n_images)
    }
}
