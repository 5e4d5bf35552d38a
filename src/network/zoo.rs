//! What `--model` takes: a name, a model directory, or a file to import on the fly.

use super::architectures;
use super::card::{self, About, Card};
use super::graph::Graph;
use super::import::{self, Imported};
use super::input::{ChannelOrder, InputSpec};
use crate::error::{Error, Result};
use crate::warning::Warning;
use std::path::{Path, PathBuf};

/// Extensions of files that can be imported.
pub const EXTENSIONS: [&str; 6] = ["onnx", "caffemodel", "pth", "pt", "keras", "h5"];

/// How to find and read a network.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Architecture of a PyTorch state dict.
    pub arch: Option<String>,
    /// Preprocessing of a bare file, see [`InputSpec::preset`].
    pub preprocess: Option<String>,
    /// Where named models are; else `$ORTHOSCOPE_MODELS`, else `models`.
    pub models_dir: Option<PathBuf>,
}

/// A network and where it came from.
#[derive(Debug, Clone)]
pub struct Model {
    pub graph: Graph,
    pub about: About,
    /// `embedded`, a model directory or a file.
    pub origin: String,
    /// Hash of the weights, or of the imported file.
    pub blake3: String,
    /// What the user should know about the file before trusting the network.
    pub warnings: Vec<Warning>,
}

/// A network inside the program.
pub struct Embedded {
    pub name: &'static str,
    pub card: &'static str,
    pub weights: &'static [u8],
}

/// Networks inside the program.
pub fn embedded() -> &'static [Embedded] {
    &[Embedded {
        name: "mini-inception",
        card: include_str!("../../models/mini-inception/card.toml"),
        weights: include_bytes!("../../models/mini-inception/weights.safetensors"),
    }]
}

/// Where named models are.
pub fn models_dir(options: &LoadOptions) -> PathBuf {
    let from_environment = || std::env::var_os("ORTHOSCOPE_MODELS").map(PathBuf::from);
    options.models_dir.clone().or_else(from_environment).unwrap_or_else(|| "models".into())
}

/// Names that [`load_model`] knows: the embedded ones, then those in the models directory.
pub fn known_names(options: &LoadOptions) -> Vec<String> {
    let mut names: Vec<String> = embedded().iter().map(|e| e.name.to_owned()).collect();
    let mut stored: Vec<String> = std::fs::read_dir(models_dir(options))
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().join(card::CARD).is_file())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && !names.contains(name))
        .collect();
    stored.sort();
    names.extend(stored);
    names
}

/// Finds and reads a network.
///
/// `spec` is a name (embedded, or a folder of the models directory, which wins), a model directory,
/// the run directory of a job that made a network, or a file.
///
/// # Errors
/// [`Error::Invalid`] listing the known names; whatever the readers say.
pub fn load_model(spec: &str, options: &LoadOptions) -> Result<Model> {
    let path = Path::new(spec);
    let stored = models_dir(options).join(spec);
    let is_name = path.components().count() == 1;
    if is_name && stored.join(card::CARD).is_file() {
        return load_dir(&stored, options).map_err(|e| of_file(&stored, e));
    }
    if path.join(card::CARD).is_file() {
        return load_dir(path, options).map_err(|e| of_file(path, e));
    }
    let made = path.join(card::OF_RUN);
    if made.join(card::CARD).is_file() {
        return load_dir(&made, options).map_err(|e| of_file(&made, e));
    }
    if let Some(found) = embedded().iter().find(|e| e.name == spec) {
        return load_embedded(found, options);
    }
    if path.is_file() {
        return load_file(path, options).map_err(|e| of_file(path, e));
    }
    let names = known_names(options);
    let names = if names.is_empty() { "none is installed".into() } else { names.join(", ") };
    Err(Error::invalid(
        "model",
        format!("a known name ({names}), a folder with {}, or a file to import", card::CARD),
        format!("`{spec}`"),
        format!("`orthoscope models import FILE --name NAME` stores a network in {}", models_dir(options).display()),
    ))
}

/// An error that names the file, in one line of a length that people read: what a file calls things
/// may be endless.
fn of_file(path: &Path, error: Error) -> Error {
    let file = path.display().to_string();
    let short = |text: String| {
        let mut out = String::new();
        for (i, c) in text.chars().enumerate() {
            match c {
                _ if i == 400 + file.len() => return out + "...",
                c if c.is_control() => out.extend(c.escape_default()),
                c => out.push(c),
            }
        }
        out
    };
    match error {
        Error::Invalid { at, expected, found, hint } => {
            let at = if at.contains(&file) { at } else { format!("{file}: {at}") };
            Error::Invalid { at: short(at), expected: short(expected), found: short(found), hint }
        }
        Error::UnsupportedOp { file, node, op, hint } => {
            Error::UnsupportedOp { file, node: short(node), op: short(op), hint }
        }
        Error::Corrupt { path, expected, found, hint } => {
            Error::Corrupt { path, expected: short(expected), found: short(found), hint }
        }
        other => other,
    }
}

fn load_dir(dir: &Path, options: &LoadOptions) -> Result<Model> {
    let (mut graph, card) = card::read(dir)?;
    let warnings = replace_input(&mut graph, options)?;
    Ok(Model { graph, about: card.about(), origin: dir.display().to_string(), blake3: card.weights.blake3, warnings })
}

fn load_embedded(found: &Embedded, options: &LoadOptions) -> Result<Model> {
    let path = PathBuf::from(format!("embedded:{}", found.name));
    let card = Card::parse(found.card, &path)?;
    let mut graph = card::assemble(&card, found.weights, &path, &path)?;
    let warnings = replace_input(&mut graph, options)?;
    Ok(Model { graph, about: card.about(), origin: "embedded".into(), blake3: card.weights.blake3, warnings })
}

fn load_file(path: &Path, options: &LoadOptions) -> Result<Model> {
    let Imported { mut graph, pixels, mut warnings } = import::read(path, options.arch.as_deref())?;
    architectures::annotate(&mut graph);
    let known = architectures::recognise(&graph).map(architectures::Known::preprocess);
    // An architecture that was named is torchvision's or the compact model, whose preprocessing is
    // part of the name.
    let named = options.arch.as_deref().map(|a| if a == "cowley-compact" { "v4" } else { "torchvision" });
    let preset = |name: &str| preprocessing(name, &graph.input);
    let given = options.preprocess.as_deref().map(|name| Ok((name, preset(name)?))).transpose()?;
    let (input, warning) = import::choose(path, given, named.or(known).map(preset).transpose()?, pixels.as_ref())?;
    input.check("preprocessing")?;
    graph.input = input;
    warnings.extend(warning);
    let hash = blake3::hash(&import::read_bytes(path)?).to_hex().to_string();
    let about =
        About { source: path.file_name().unwrap_or_default().to_string_lossy().into_owned(), ..About::default() };
    Ok(Model { graph, about, origin: path.display().to_string(), blake3: hash, warnings })
}

/// Puts `--preprocess` in the place of a card's input, and says so where they differ.
fn replace_input(graph: &mut Graph, options: &LoadOptions) -> Result<Vec<Warning>> {
    let Some(name) = &options.preprocess else { return Ok(vec![]) };
    let input = preprocessing(name, &graph.input)?;
    if input == graph.input {
        return Ok(vec![]);
    }
    let old = std::mem::replace(&mut graph.input, input);
    let why = format!(
        "its card has pixels of 0..{}, {:?}, mean {:?}, standard deviation {:?}",
        old.range, old.order, old.mean, old.std
    );
    let (model, used) = (graph.name.clone(), format!("--preprocess {name} is used"));
    Ok(vec![Warning::Preprocessing { model, given: name.clone(), why, used }])
}

/// A named convention for an input of this size; networks of one plane get the mean of its three.
fn preprocessing(name: &str, input: &InputSpec) -> Result<InputSpec> {
    let spec = InputSpec::preset(name, input.height, input.width)?;
    if input.order != ChannelOrder::Grey {
        return Ok(spec);
    }
    let mean = |v: &[f32]| vec![v.iter().sum::<f32>() / v.len() as f32];
    Ok(InputSpec { order: ChannelOrder::Grey, mean: mean(&spec.mean), std: mean(&spec.std), ..spec })
}
