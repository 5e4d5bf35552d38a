//! Fingerprints: read, named, and brought to the betas' order of conditions.

use super::config::Config;
use crate::error::{Error, Result};
use crate::io::{json, npz, tsv};
use crate::job::manifest::hash_file;
use crate::mapping::activation::{Moments, residual_rdms};
use crate::rdm::files::load_rdms;
use crate::rdm::{Measure, Rdm};
use crate::warning::Warning;
use ndarray::{Axis, Ix2};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What was read.
pub struct Fingerprints {
    pub layers: Vec<(String, Rdm)>,
    /// Whether the conditions have names of their own.
    pub named: bool,
    pub hashes: BTreeMap<String, String>,
}

/// Reads all files, and keeps the layers that were asked for.
pub fn read(config: &Config) -> Result<Fingerprints> {
    let own = &config.fingerprints;
    let given = own.conditions.as_ref().map(|path| condition_names(path)).transpose()?;
    let mut read = Fingerprints { layers: Vec::new(), named: given.is_some(), hashes: BTreeMap::new() };
    if let Some(path) = &own.activations {
        read.layers = from_activations(path, given.as_deref())?;
        read.hashes.insert(format!("activations {}", path.display()), hash_file(path)?);
    }
    for path in &own.files {
        let file = if path.is_dir() { path.join("arrays").join("rdms.npz") } else { path.clone() };
        let names = given.clone().or_else(|| run_conditions(&file));
        read.named |= names.is_some();
        let rdms = load_rdms(&file, None, names.as_deref())?;
        let several = own.files.len() > 1 && rdms.len() > 1;
        let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        read.layers.extend(rdms.into_iter().map(|(name, rdm)| {
            let taken = several && !name.starts_with(&stem);
            (if taken { format!("{stem}.{name}") } else { name }, rdm)
        }));
        read.hashes.insert(format!("fingerprints {}", file.display()), hash_file(&file)?);
    }
    read.layers = chosen(read.layers, &own.layers)?;
    let mut seen = std::collections::HashSet::new();
    if let Some((twice, _)) = read.layers.iter().find(|(name, _)| !seen.insert(name.clone())) {
        let hint = "maps are named by layer: rename one of the files, or choose with --layers";
        return Err(Error::invalid("--fingerprints", "one RDM a name", format!("`{twice}` twice"), hint));
    }
    Ok(read)
}

fn chosen(layers: Vec<(String, Rdm)>, wanted: &[String]) -> Result<Vec<(String, Rdm)>> {
    if wanted.is_empty() {
        return Ok(layers);
    }
    let find = |name: &String| {
        layers.iter().find(|(layer, _)| layer == name || npz::key(name) == *layer).cloned().ok_or_else(|| {
            let there = layers.iter().map(|(layer, _)| layer.as_str()).collect::<Vec<_>>().join("`, `");
            Error::invalid("--layers", format!("some of `{there}`"), format!("`{name}`"), "")
        })
    };
    wanted.iter().map(find).collect()
}

/// One name a line, or the first column of a table.
fn condition_names(path: &Path) -> Result<Vec<String>> {
    let table = tsv::read(path)?;
    let usual = ["condition", "filename", "stim_file", "file", "name", "image"];
    if let Some(column) = usual.iter().find_map(|name| table.column(name)) {
        return Ok(column.into_iter().map(stem).collect());
    }
    let first = table.header.first().cloned().into_iter();
    Ok(first.chain(table.rows.iter().filter_map(|row| row.first().cloned())).map(|n| stem(&n)).collect())
}

/// What a condition is called whatever its file's folder and ending: `images/im01.png` is `im01`.
fn stem(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let lower = name.to_ascii_lowercase();
    let image = [".png", ".jpg", ".jpeg", ".bmp", ".tif"].into_iter().find(|end| lower.ends_with(end));
    image.map_or(name, |end| &name[..name.len() - end.len()]).to_owned()
}

/// The images of the run directory that an `arrays/rdms.npz` lies in.
fn run_conditions(file: &Path) -> Option<Vec<String>> {
    let run: PathBuf = file.parent()?.parent()?.to_path_buf();
    let manifest: Value = json::read(&run.join("manifest.json")).ok()?;
    let listed = manifest["results"]["images"].as_array()?;
    let name = |v: &Value| match v {
        Value::String(name) => Some(stem(name)),
        other => ["name", "file", "filename"].iter().find_map(|key| other[*key].as_str()).map(stem),
    };
    listed.iter().map(name).collect()
}

fn from_activations(path: &Path, names: Option<&[String]>) -> Result<Vec<(String, Rdm)>> {
    let mut layers = Vec::new();
    for (name, array) in npz::read(path)?.all::<f64>()? {
        let found = format!("{:?} in `{name}`", array.shape());
        let n_images = array.shape().first().copied().unwrap_or(0);
        let n_units = array.len().checked_div(n_images).unwrap_or(0);
        let y = array.to_shape((n_images, n_units)).ok().and_then(|a| a.to_owned().into_dimensionality::<Ix2>().ok());
        let Some(y) = y.filter(|y| y.nrows() > 2 && y.ncols() > 0) else {
            return Err(Error::corrupt(path, "layers of n_images x n_units", found, "images come first"));
        };
        layers.push((name, Moments { gram: y.dot(&y.t()), sums: y.sum_axis(Axis(1)), n_units: y.ncols() }));
    }
    let Some((_, first)) = layers.first() else {
        return Err(Error::corrupt(path, "activations of layers", "an empty archive", ""));
    };
    let labels = names.map_or_else(|| Rdm::default_labels(first.sums.len()), <[String]>::to_vec);
    residual_rdms(&layers, Measure::Correlation, &labels)
}

/// Brings every fingerprint to the order of `conditions`.
///
/// Without names of their own, RDMs must be of as many conditions, and are taken to be in the natural order of the betas'
/// names; the user is told.
pub fn match_conditions(read: &mut Fingerprints, conditions: &[String]) -> Result<Vec<Warning>> {
    let stems: Vec<String> = conditions.iter().map(|c| stem(c)).collect();
    let mut warnings = Vec::new();
    for (name, rdm) in &mut read.layers {
        if !read.named {
            if rdm.n_conditions() != conditions.len() {
                let found = format!("{} in `{name}`", rdm.n_conditions());
                let hint = "the fingerprints are of another set of images; name their conditions with --fingerprint-conditions";
                return Err(Error::invalid("--fingerprints", format!("{} conditions", conditions.len()), found, hint));
            }
            continue;
        }
        let order: Option<Vec<usize>> =
            stems.iter().map(|c| rdm.labels().iter().position(|label| label == c)).collect();
        let Some(order) = order else {
            let unknown: Vec<&String> = stems.iter().filter(|c| !rdm.labels().contains(c)).collect();
            let few = |names: &[&String]| names.iter().take(4).map(|n| n.as_str()).collect::<Vec<_>>().join("`, `");
            let there: Vec<&String> = rdm.labels().iter().collect();
            return Err(Error::invalid(
                "--fingerprints",
                format!("the betas' {} conditions in `{name}`", conditions.len()),
                format!("`{}`, ... without {} of them: `{}`, ...", few(&there), unknown.len(), few(&unknown)),
                "the fingerprints are of another set of images, or the conditions have other names",
            ));
        };
        if rdm.n_conditions() > order.len() && warnings.is_empty() {
            let text = format!(
                "the fingerprints are of {} images, the betas of {} of them: only those are compared",
                rdm.n_conditions(),
                order.len()
            );
            warnings.push(Warning::Note { text });
        }
        *rdm = rdm.subset(&order)?;
    }
    if !read.named {
        let first = conditions.first().map_or("", String::as_str);
        let text = format!(
            "the fingerprints do not name their conditions: they are taken to be in the order of the betas' names (`{first}` first); say otherwise with --fingerprint-conditions"
        );
        warnings.push(Warning::Note { text });
    }
    Ok(warnings)
}
