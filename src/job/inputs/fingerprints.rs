//! Fingerprints: read, named, and brought to the betas' order of conditions.

use super::FingerprintConfig;
use crate::data::names::{find_all, same};
use crate::error::{Error, Result};
use crate::io::{npz, tsv};
use crate::mapping::activation::{Moments, residual_rdms};
use crate::rdm::files::{images_beside, load_rdms};
use crate::rdm::{Measure, Rdm};
use crate::warning::Warning;
use ndarray::{Axis, Ix2};
use std::path::Path;

/// What was read.
pub struct Fingerprints {
    pub layers: Vec<(String, Rdm)>,
    /// Whether the conditions have names of their own.
    pub named: bool,
}

/// Reads all files, and keeps the layers that were asked for.
pub fn read(own: &FingerprintConfig) -> Result<Fingerprints> {
    let given = own.conditions.as_ref().map(|path| condition_names(path)).transpose()?;
    let mut read = Fingerprints { layers: Vec::new(), named: given.is_some() };
    if let Some(path) = &own.activations {
        read.layers = from_activations(path, given.as_deref())?;
    }
    for path in &own.files {
        let file = if path.is_dir() { path.join("arrays").join("rdms.npz") } else { path.clone() };
        let names = if given.is_some() { given.clone() } else { images_beside(&file)? };
        read.named |= names.is_some();
        let rdms = load_rdms(&file, None, names.as_deref())?;
        let several = own.files.len() > 1 && rdms.len() > 1;
        let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        read.layers.extend(rdms.into_iter().map(|(name, rdm)| {
            let taken = several && !name.starts_with(&stem);
            (if taken { format!("{stem}.{name}") } else { name }, rdm)
        }));
    }
    read.layers = chosen(read.layers, &own.layers)?;
    let mut seen = std::collections::HashSet::new();
    if let Some((twice, _)) = read.layers.iter().find(|(name, _)| !seen.insert(name.clone())) {
        let hint = "maps are named by layer: rename one of the files, or choose with `fingerprints.layers`";
        return Err(Error::invalid("fingerprints.files", "one RDM a name", format!("`{twice}` twice"), hint));
    }
    Ok(read)
}

fn chosen(layers: Vec<(String, Rdm)>, wanted: &[String]) -> Result<Vec<(String, Rdm)>> {
    if wanted.is_empty() {
        return Ok(layers);
    }
    let find = |name: &String| {
        let whole = layers.iter().find(|(layer, _)| same(layer, name));
        let found = whole.or_else(|| layers.iter().find(|(layer, _)| same(layer, &npz::key(name))));
        found.cloned().ok_or_else(|| {
            let there = layers.iter().map(|(layer, _)| layer.as_str()).collect::<Vec<_>>().join("`, `");
            Error::invalid("fingerprints.layers", format!("some of `{there}`"), format!("`{name}`"), "")
        })
    };
    wanted.iter().map(find).collect()
}

/// One name a line, or the column of names of a table.
fn condition_names(path: &Path) -> Result<Vec<String>> {
    let table = tsv::read(path)?;
    let usual = ["condition", "filename", "stim_file", "file", "name", "image"];
    let names: Vec<String> = match usual.iter().find_map(|name| table.column(name)) {
        Some(column) => column.into_iter().map(String::from).collect(),
        // Without a name that we know, the first line is a condition too.
        None => std::iter::once(&table.header).chain(&table.rows).filter_map(|row| row.first().cloned()).collect(),
    };
    if let Some(row) = names.iter().position(|name| tsv::is_missing(name)) {
        let found = format!("`{}` for the {}th", names[row], row + 1);
        let hint = "every row of an RDM has a condition: name them all, in its order";
        return Err(Error::invalid(path.display().to_string(), "a name for every condition", found, hint));
    }
    Ok(names)
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

/// Brings every fingerprint to the order of `conditions`; names are matched as by [`find_all`].
///
/// Without names of their own, RDMs must be of as many conditions, and are taken to be in the
/// natural order of the betas' names; the user is told.
pub fn match_conditions(read: &mut Fingerprints, conditions: &[String]) -> Result<Vec<Warning>> {
    let mut warnings = Vec::new();
    for (name, rdm) in &mut read.layers {
        if !read.named {
            if rdm.n_conditions() != conditions.len() {
                let found = format!("{} in `{name}`", rdm.n_conditions());
                let hint = "the fingerprints are of another set of images; name their conditions with `fingerprints.conditions`";
                return Err(Error::invalid(
                    "fingerprints.files",
                    format!("{} conditions", conditions.len()),
                    found,
                    hint,
                ));
            }
            continue;
        }
        let words = ("betas' conditions", "fingerprints' images");
        let found = find_all(conditions, rdm.labels(), &format!("fingerprints.files, `{name}`"), words)?;
        if warnings.is_empty() {
            warnings.extend(matched(rdm, &found.places, found.by_stem));
        }
        *rdm = rdm.subset(&found.places)?;
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

/// What the user should know of how names were matched.
fn matched(rdm: &Rdm, places: &[usize], by_stem: Option<(String, String)>) -> Vec<Warning> {
    let mut texts = Vec::new();
    if rdm.n_conditions() > places.len() {
        texts.push(format!(
            "the fingerprints are of {} images, the betas of {} of them: only those are compared",
            rdm.n_conditions(),
            places.len()
        ));
    }
    if let Some((condition, image)) = by_stem {
        texts.push(format!(
            "some conditions and images have one name but differ in folder or ending, such as `{condition}` and `{image}`: they were taken to be the same"
        ));
    }
    texts.into_iter().map(|text| Warning::Note { text }).collect()
}
