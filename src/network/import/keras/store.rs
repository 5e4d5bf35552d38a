//! Where Keras files keep their weights: `.keras` (zip of `config.json` and `model.weights.h5`) and
//! legacy `.h5`.
//!
//! A weight is found by the path that the file itself gives: legacy files list the datasets of a
//! layer in the attribute `weight_names` of its group, `.keras` files number them in the group
//! `vars`. Groups of layers may lie in one another (`block` and `block/conv`), so nothing is
//! searched by the end of its name.

use crate::error::{Error, Result};
use crate::io::hdf5;
use crate::io::unzip::Unzip;
use crate::network::import::names::{in_words, nearest};
use crate::network::import::read_bytes;
use crate::size;
use hdf5_pure::{AttrValue, File, Group};
use ndarray::{ArrayD, IxDyn};
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

pub const AGAIN: &str = "the file is truncated or damaged: download or save it again with model.save()";
/// Groups and datasets that are visited before a file counts as endless (its groups may contain one
/// another).
const MOST: usize = 100_000;

/// An open file.
pub struct Store {
    file: File,
    path: PathBuf,
    /// `.keras`: the group of each layer; `None` for legacy files, whose groups are called as their
    /// layers.
    groups: Option<HashMap<String, String>>,
    /// What wrote the file.
    version: String,
    /// Bytes of the HDF5 file, and of arrays that may still be read: chunks are packed.
    bytes: usize,
    left: Cell<u64>,
    /// Paths of the datasets that were read.
    read: RefCell<BTreeSet<String>>,
}

/// Opens a file; the store and the model's configuration.
///
/// # Errors
/// [`Error::Io`]; [`Error::Corrupt`] for a truncated file; [`Error::Invalid`] for one without a
/// model.
pub fn open(path: &Path) -> Result<(Store, Value)> {
    let bytes = read_bytes(path)?;
    if bytes.starts_with(b"PK") { open_zip(bytes, path) } else { open_legacy(bytes, path) }
}

fn corrupt(path: &Path, found: impl Into<String>) -> Error {
    Error::corrupt(path, "a Keras model with its weights", found, AGAIN)
}

fn open_zip(bytes: Vec<u8>, path: &Path) -> Result<(Store, Value)> {
    let mut archive = Unzip::open(bytes).map_err(|e| corrupt(path, e))?;
    let there = archive.names().to_vec();
    let mut load = |name: &str| -> Result<Vec<u8>> {
        if !there.iter().any(|n| n == name) {
            let found = in_words(name, &there, "an empty zip archive");
            let hint = "save with model.save(\"NAME.keras\") of Keras 3; weights alone (save_weights) hold no network";
            return Err(Error::invalid(
                path.display().to_string(),
                format!("`{name}` in a .keras archive"),
                found,
                hint,
            ));
        }
        archive.read(name).map_err(|e| corrupt(path, e))
    };
    let config: Value = serde_json::from_slice(&load("config.json")?)
        .map_err(|e| corrupt(path, format!("config.json that is no JSON ({e})")))?;
    let weights = load("model.weights.h5")?;
    let n = weights.len();
    let file = hdf5::open(weights).map_err(|e| corrupt(path, format!("as weights {e}")))?;
    let metadata: Value = load("metadata.json").ok().and_then(|m| serde_json::from_slice(&m).ok()).unwrap_or_default();
    let version = format!("Keras {}", metadata["keras_version"].as_str().unwrap_or("3"));
    let groups = Some(groups_of(&config, &file, path, &version)?);
    Ok((Store::new(file, path, groups, version, n), config))
}

fn open_legacy(bytes: Vec<u8>, path: &Path) -> Result<(Store, Value)> {
    let n = bytes.len();
    let file = hdf5::open(bytes).map_err(|e| corrupt(path, e))?;
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
    let version = format!("Keras {}", attributes.get("keras_version").and_then(|a| a.as_str()).unwrap_or("2"));
    Ok((Store::new(file, path, None, version, n), config))
}

/// The group of each layer in a `.keras` file: the layer whose name the attribute `name` of its
/// `vars` gives or, in files that have no such attribute, its class in snake case, numbered within
/// the class.
fn groups_of(config: &Value, file: &File, path: &Path, version: &str) -> Result<HashMap<String, String>> {
    let Ok(root) = file.group("layers") else {
        let there = file.root().groups().unwrap_or_default();
        return Err(Error::invalid(
            format!("{}: weights", path.display()),
            "the group `layers` of model.weights.h5, which Keras 3 writes",
            if there.is_empty() { "no groups".to_owned() } else { format!("`{}`", there.join("`, `")) },
            format!("the file is of {version}: open it in Keras 3 and save it again, or save it as .h5"),
        ));
    };
    let mut named = HashMap::new();
    let there = root.groups().unwrap_or_default();
    for group in &there {
        let attributes = root.group(&format!("{group}/vars")).and_then(|g| g.attrs()).unwrap_or_default();
        let Some(name) = attributes.get("name").and_then(AttrValue::as_str) else { continue };
        if let Some(other) = named.insert(name.to_owned(), group.clone()) {
            let found = format!("`layers/{other}` and `layers/{group}`");
            return Err(corrupt(path, format!("two groups of weights of the layer `{name}`: {found}")));
        }
    }
    if !named.is_empty() {
        return Ok(named);
    }
    let mut counts: HashMap<String, usize> = HashMap::new();
    let layers = config["config"]["layers"].as_array().map_or(&[][..], Vec::as_slice);
    for layer in layers {
        let snake = snake_case(layer["class_name"].as_str().unwrap_or_default());
        let count = counts.entry(snake.clone()).or_default();
        let numbered = if *count == 0 { snake } else { format!("{snake}_{count}") };
        *count += 1;
        named.insert(layer["config"]["name"].as_str().unwrap_or_default().to_owned(), numbered);
    }
    // Files in which no class counts are called after their layers.
    if named.values().all(|group| !there.contains(group)) {
        named.iter_mut().for_each(|(name, group)| group.clone_from(name));
    }
    Ok(named)
}

/// `SeparableConv2D` -> `separable_conv2d`, as Keras does it.
fn snake_case(class: &str) -> String {
    let letters: Vec<char> = class.chars().filter(|c| c.is_alphanumeric() || *c == '_').collect();
    let mut out = String::new();
    for (i, &c) in letters.iter().enumerate() {
        let before = i.checked_sub(1).map(|b| letters[b]);
        let starts_word = letters.get(i + 1).is_some_and(char::is_ascii_lowercase);
        let after_small = before.is_some_and(|b| b.is_ascii_lowercase());
        if c.is_ascii_uppercase() && before.is_some_and(|b| b != '_') && (starts_word || after_small) {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}

impl Store {
    fn new(file: File, path: &Path, groups: Option<HashMap<String, String>>, version: String, bytes: usize) -> Self {
        let left = Cell::new(size::unpackable(bytes as u64));
        Self { file, path: path.to_path_buf(), groups, version, bytes, left, read: RefCell::default() }
    }

    /// Bytes of the HDF5 file.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// A layer's weights, in Keras's order; each by one of its names in legacy files (versions
    /// differ).
    ///
    /// # Errors
    /// [`Error::Invalid`] when the file has no such weight; [`Error::Corrupt`] when one cannot be
    /// read.
    pub fn weights(&self, layer: &str, names: &[&[&str]]) -> Result<Vec<ArrayD<f32>>> {
        let paths = match &self.groups {
            Some(groups) => {
                let group = groups.get(layer).filter(|g| self.file.group(&format!("layers/{g}")).is_ok());
                let group = group.ok_or_else(|| {
                    let there = self.file.group("layers").and_then(|g| g.groups()).unwrap_or_default();
                    self.missing(layer, "a group of weights", &there)
                })?;
                (0..names.len()).map(|i| format!("layers/{group}/vars/{i}")).collect()
            }
            None => self.listed(layer, names)?,
        };
        names.iter().zip(paths).map(|(what, path)| self.array(&path, layer, what)).collect()
    }

    /// The paths of a layer's weights in a legacy file, by the list of its group.
    fn listed(&self, layer: &str, names: &[&[&str]]) -> Result<Vec<String>> {
        let root = format!("model_weights/{layer}");
        let group = self.file.group(&root).map_err(|_| {
            let there = self.file.group("model_weights").and_then(|g| g.groups()).unwrap_or_default();
            self.missing(layer, "a group of weights", &there)
        })?;
        let list = weight_names(&group);
        let is = |path: &str, names: &[&str]| {
            let last = path.rsplit('/').next().unwrap_or(path);
            names.contains(&last.split(':').next().unwrap_or(last))
        };
        let find = |names: &&[&str]| match &list.iter().filter(|path| is(path, names)).collect::<Vec<_>>()[..] {
            [one] => Ok(format!("{root}/{one}")),
            [] => Err(self.missing(layer, &format!("`{}`", names.join("` or `")), &list)),
            several => {
                Err(corrupt(&self.path, format!("{} weights called `{}` in `{layer}`", several.len(), names[0])))
            }
        };
        names.iter().map(find).collect()
    }

    /// A name that the file does not have: what was looked for, what is there, and what wrote it.
    fn missing(&self, layer: &str, what: &str, there: &[String]) -> Error {
        let found = match there {
            [] => "none".to_owned(),
            _ => format!("`{}`", nearest(layer, there, 6).join("`, `")),
        };
        Error::invalid(
            format!("{}: layer `{layer}`", self.path.display()),
            format!("{what} (names of Keras 2 and 3)"),
            found,
            format!(
                "the file is of {}: save the model with model.save() of Keras 2 or 3, or export it to ONNX",
                self.version
            ),
        )
    }

    fn array(&self, path: &str, layer: &str, names: &[&str]) -> Result<ArrayD<f32>> {
        let bad = |e: String| Error::corrupt(&self.path, format!("`{}` of layer `{layer}`", names[0]), e, AGAIN);
        let dataset = match self.file.dataset(path) {
            Ok(dataset) => dataset,
            Err(_) => {
                let (parent, _) = path.rsplit_once('/').unwrap_or(("", path));
                let there = self.file.group(parent).and_then(|g| g.datasets()).unwrap_or_default();
                return Err(self.missing(layer, &format!("`{path}`, its `{}`", names[0]), &there));
            }
        };
        let numbers = hdf5::numbers(&dataset, self.left.get()).map_err(bad)?;
        self.left.set(self.left.get().saturating_sub((numbers.len() * numbers.stored.bytes) as u64));
        let values = numbers.to_f32(1.0).map_err(bad)?;
        self.read.borrow_mut().insert(path.to_owned());
        ArrayD::from_shape_vec(IxDyn(&numbers.shape), values).map_err(|e| bad(e.to_string()))
    }

    /// Refuses a file with weights of the model that no layer read. What the optimiser and the
    /// metrics keep lies elsewhere; the states of random number generators are no weights.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the first ones.
    pub fn all_read(&self) -> Result<()> {
        let roots: &[&str] = if self.groups.is_some() { &["layers", "vars"] } else { &["model_weights"] };
        let (mut there, mut visited) = (vec![], 0);
        for root in roots {
            if let Ok(group) = self.file.group(root) {
                datasets(&group, root, &mut visited, &mut there);
            }
        }
        if visited > MOST {
            return Err(corrupt(&self.path, format!("more than {MOST} groups and datasets, or groups in a circle")));
        }
        let read = self.read.borrow();
        let left: Vec<&str> = there
            .iter()
            .map(String::as_str)
            .filter(|path| !read.contains(*path) && !path.split('/').any(|part| part.starts_with("seed_generator")))
            .collect();
        if left.is_empty() {
            return Ok(());
        }
        let more = if left.len() > 4 { format!(" and {} more", left.len() - 4) } else { String::new() };
        Err(Error::invalid(
            format!("{}: weights", self.path.display()),
            "weights that the model's layers read, and no others",
            format!("`{}`{more}", left[..left.len().min(4)].join("`, `")),
            "a layer has more weights than are understood here: export the model to ONNX",
        ))
    }
}

/// The list of a group's weights; long lists are cut into `weight_names0`, `weight_names1`, ...
fn weight_names(group: &Group) -> Vec<String> {
    let attributes = group.attrs().unwrap_or_default();
    let list = |key: &str| attributes.get(key).map(|a| a.as_strings().unwrap_or_default().to_vec());
    list("weight_names").unwrap_or_else(|| (0..).map_while(|i| list(&format!("weight_names{i}"))).flatten().collect())
}

/// Paths of all datasets below a group, as long as fewer than [`MOST`] things were visited.
fn datasets(group: &Group, path: &str, visited: &mut usize, found: &mut Vec<String>) {
    let names = group.datasets().unwrap_or_default();
    *visited += names.len() + 1;
    found.extend(names.into_iter().map(|name| format!("{path}/{name}")));
    // No layer's name has that many parts.
    let too_deep = path.matches('/').count() > 64;
    for name in group.groups().unwrap_or_default() {
        if *visited > MOST || too_deep {
            *visited = MOST + 1;
            return;
        }
        if let Ok(inner) = group.group(&name) {
            datasets(&inner, &format!("{path}/{name}"), visited, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::snake_case;

    #[test]
    fn classes_in_snake_case() {
        // keras.src.utils.naming.to_snake_case of Keras 3.15.
        for (class, expected) in [
            ("Conv2D", "conv2d"),
            ("DepthwiseConv2D", "depthwise_conv2d"),
            ("SeparableConv2D", "separable_conv2d"),
            ("BatchNormalization", "batch_normalization"),
            ("Dense", "dense"),
            ("ReLU", "re_lu"),
            ("LeakyReLU", "leaky_re_lu"),
            ("GlobalAveragePooling2D", "global_average_pooling2d"),
        ] {
            assert_eq!(snake_case(class), expected);
        }
    }
}
