//! Where Keras files keep their weights: `.keras` (zip of `config.json` and `model.weights.h5`) and legacy `.h5`.

use crate::error::{Error, Result};
use crate::network::import::read_bytes;
use hdf5_pure::{File, Group};
use ndarray::{ArrayD, IxDyn};
use serde_json::Value;
use std::collections::HashMap;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

const AGAIN: &str = "the file is truncated or damaged: download or save it again with model.save()";

/// An open file.
pub struct Store {
    file: File,
    path: PathBuf,
    /// `.keras`: the group of each layer; `None` for legacy files, whose groups are called as their layers.
    groups: Option<HashMap<String, String>>,
}

/// Opens a file; the store and the model's configuration.
///
/// # Errors
/// [`Error::Io`]; [`Error::Corrupt`] for a truncated file or one without a model.
pub fn open(path: &Path) -> Result<(Store, Value)> {
    let bytes = read_bytes(path)?;
    if bytes.starts_with(b"PK") { open_zip(bytes, path) } else { open_legacy(bytes, path) }
}

fn corrupt(path: &Path, found: impl Into<String>) -> Error {
    Error::corrupt(path, "a Keras model with its weights", found, AGAIN)
}

fn open_zip(bytes: Vec<u8>, path: &Path) -> Result<(Store, Value)> {
    let broken = |e: zip::result::ZipError| corrupt(path, format!("a zip archive that cannot be read ({e})"));
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
    let mut load = |name: &str| -> Result<Vec<u8>> {
        let mut data = Vec::new();
        let mut entry = archive.by_name(name).map_err(broken)?;
        entry.read_to_end(&mut data).map_err(|e| corrupt(path, format!("`{name}` that cannot be read ({e})")))?;
        Ok(data)
    };
    let config = serde_json::from_slice(&load("config.json")?)
        .map_err(|e| corrupt(path, format!("config.json that is no JSON ({e})")))?;
    let file = File::from_bytes(load("model.weights.h5")?)
        .map_err(|e| corrupt(path, format!("weights that are no HDF5 ({e})")))?;
    let groups = Some(groups_of(&config, &file));
    Ok((Store { file, path: path.to_path_buf(), groups }, config))
}

fn open_legacy(bytes: Vec<u8>, path: &Path) -> Result<(Store, Value)> {
    let file = File::from_bytes(bytes).map_err(|e| corrupt(path, format!("no HDF5 file ({e})")))?;
    let attributes = file.root().attrs().map_err(|e| corrupt(path, format!("attributes that cannot be read ({e})")))?;
    let text = attributes.get("model_config").and_then(|a| a.as_str()).ok_or_else(|| {
        Error::invalid(
            path.display().to_string(),
            "a whole model",
            "weights alone",
            "save with model.save(), not save_weights()",
        )
    })?;
    let config =
        serde_json::from_str(text).map_err(|e| corrupt(path, format!("a configuration that is no JSON ({e})")))?;
    Ok((Store { file, path: path.to_path_buf(), groups: None }, config))
}

/// The group of each layer in a `.keras` file: its class in snake case, numbered within the class; newer files use the layer's name.
fn groups_of(config: &Value, file: &File) -> HashMap<String, String> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    let mut groups = HashMap::new();
    let layers = config["config"]["layers"].as_array().map_or(&[][..], Vec::as_slice);
    let has = |group: &str| file.group(&format!("layers/{group}")).is_ok();
    for layer in layers {
        let (class, name) =
            (layer["class_name"].as_str().unwrap_or_default(), layer["config"]["name"].as_str().unwrap_or_default());
        let snake = match class {
            "Conv2D" => "conv2d",
            "DepthwiseConv2D" => "depthwise_conv2d",
            "SeparableConv2D" => "separable_conv2d",
            "BatchNormalization" => "batch_normalization",
            "Dense" => "dense",
            _ => continue,
        };
        let count = counts.entry(snake.into()).or_default();
        let numbered = if *count == 0 { snake.to_owned() } else { format!("{snake}_{count}") };
        *count += 1;
        groups.insert(name.to_owned(), if has(&numbered) { numbered } else { name.to_owned() });
    }
    groups
}

impl Store {
    /// A layer's weights, in Keras's order; `names` are what legacy files call them.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when one is missing or cannot be read.
    pub fn weights(&self, layer: &str, names: &[&str]) -> Result<Vec<ArrayD<f32>>> {
        let missing =
            |what: &str| Error::corrupt(&self.path, format!("{what} of layer `{layer}`"), "none in the weights", AGAIN);
        if let Some(groups) = &self.groups {
            let group = groups.get(layer).ok_or_else(|| missing("the group"))?;
            return names
                .iter()
                .enumerate()
                .map(|(i, what)| self.array(&format!("layers/{group}/vars/{i}"), layer, what))
                .collect();
        }
        let root = format!("model_weights/{layer}");
        let mut found = HashMap::new();
        if let Ok(group) = self.file.group(&root) {
            datasets(&group, &root, 0, &mut found);
        }
        names.iter().map(|what| self.array(found.get(*what).ok_or_else(|| missing(what))?, layer, what)).collect()
    }

    fn array(&self, path: &str, layer: &str, what: &str) -> Result<ArrayD<f32>> {
        let bad = |e: &dyn std::fmt::Display| {
            Error::corrupt(&self.path, format!("{what} of layer `{layer}`"), format!("{e}"), AGAIN)
        };
        let dataset = self.file.dataset(path).map_err(|e| bad(&e))?;
        let shape: Vec<usize> = dataset.shape().map_err(|e| bad(&e))?.iter().map(|&d| d as usize).collect();
        let values = dataset.read_f32().map_err(|e| bad(&e))?;
        ArrayD::from_shape_vec(IxDyn(&shape), values).map_err(|e| bad(&e))
    }
}

/// Paths of all datasets below a group by their last name, without `:0`.
fn datasets(group: &Group, path: &str, depth: usize, found: &mut HashMap<String, String>) {
    for name in group.datasets().unwrap_or_default() {
        found.insert(name.trim_end_matches(":0").to_owned(), format!("{path}/{name}"));
    }
    for name in group.groups().unwrap_or_default() {
        if let (Ok(inner), true) = (group.group(&name), depth < 8) {
            datasets(&inner, &format!("{path}/{name}"), depth + 1, found);
        }
    }
}
