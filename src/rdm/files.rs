//! RDMs in NumPy files.

use super::compare::{Comparison, second_order};
use super::{Measure, Rdm};
use crate::data::names::{find_all, nfc, twice};
use crate::error::{Error, Result};
use crate::io::filename::{Part, distinct};
use crate::io::{json, npy, npz};
use crate::math::condensed;
use ndarray::{Array2, ArrayD, ArrayView2, Axis, Ix1, Ix2, arr1};
use serde_json::Value;
use std::path::Path;

/// Key of the second-order matrix beside the layers' RDMs in `rdms.npz`.
pub const SECOND_ORDER: &str = "second_order";
/// In front of the keys of other images' RDMs in the `rdms.npz` of a set: they are not of the set's
/// conditions.
pub const BASELINE: &str = "baseline.";
/// Relative difference of (i, j) and (j, i) that is still symmetric: what 32-bit arithmetic leaves.
const SYMMETRIC: f64 = 1e-5;
/// A comparison needs three pairs at least.
const MIN_CONDITIONS: usize = 3;

/// Loads one or many RDMs.
///
/// | file | RDMs | names |
/// |---|---|---|
/// | `.npy`, n x n | 1 | the file's |
/// | `.npy`, ... x n x n | the product of the leading sides | `file[i]`, `file[i,j]`, ... from 0 |
/// | `.npy`, n (n - 1) / 2 | 1, condensed as by scipy's squareform | the file's |
/// | `.npy`, k x n (n - 1) / 2 | k, condensed | `file[i]` |
/// | `.npz` | those of its arrays, each as above; `second_order` and `baseline.*` are left out | the arrays' |
///
/// `labels`: the conditions' names, where they are known; `expected`: the number of images that the
/// RDMs must be of.
///
/// # Errors
/// [`Error::Io`] and [`Error::Corrupt`] as [`npy::read`]; [`Error::Corrupt`] when an array is of no
/// such shape, not symmetric, has a diagonal that is not zero, or holds NaN or infinity;
/// [`Error::Invalid`] when the number of conditions is not the expected one.
pub fn load_rdms(path: &Path, expected: Option<usize>, labels: Option<&[String]>) -> Result<Vec<(String, Rdm)>> {
    let mut rdms = Vec::new();
    for (name, array) in &arrays(path)? {
        rdms.extend(from_array(name, array, path)?);
    }
    if rdms.is_empty() {
        return Err(Error::corrupt(path, "RDMs", "none", "give n x n or condensed matrices"));
    }
    rdms.into_iter()
        .map(|(name, values)| {
            let n = condensed::n_conditions(values.len()).expect("checked when the array was read");
            let wanted = expected.or(labels.map(<[String]>::len));
            if let Some(wanted) = wanted.filter(|&w| w != n) {
                let at = format!("{}, `{name}`", path.display());
                let hint = "an RDM's rows are the images, in the same order";
                return Err(Error::invalid(
                    at,
                    format!("an RDM of {wanted} images"),
                    format!("one of {n} conditions"),
                    hint,
                ));
            }
            let labels = labels.map_or_else(|| Rdm::default_labels(n), <[String]>::to_vec);
            Ok((name, Rdm::new(Measure::Given, values, labels)?))
        })
        .collect()
}

/// Whether a key of an `rdms.npz` is a layer's, of the file's own images.
fn is_layer(key: &str) -> bool {
    key != SECOND_ORDER && !key.starts_with(BASELINE)
}

/// Loads RDMs and brings them to `images`: by name where the file is `arrays/rdms.npz` of a run
/// directory, whose manifest names the images (see [`find_all`]); others are taken to be of these
/// images in this order.
///
/// # Errors
/// As [`load_rdms`]; [`Error::Invalid`] when an image is not among those of the run directory.
pub fn load_rdms_of(path: &Path, images: &[String]) -> Result<Vec<(String, Rdm)>> {
    let Some(names) = images_beside(path)? else { return load_rdms(path, Some(images.len()), Some(images)) };
    let rdms = load_rdms(path, None, Some(&names))?;
    let found = find_all(images, &names, &path.display().to_string(), ("images", "images of the RDMs"))?;
    rdms.into_iter().map(|(name, rdm)| Ok((name, rdm.subset(&found.places)?))).collect()
}

/// The images of the run directory that an `arrays/rdms.npz` lies in, as its manifest names them;
/// `None` for any other file.
///
/// # Errors
/// As [`json::read`]: where the manifest beside `arrays/` is there and cannot be read, the order of the
/// conditions is not known.
pub fn images_beside(file: &Path) -> Result<Option<Vec<String>>> {
    let Some((folder, run)) = file.parent().and_then(|folder| Some((folder, folder.parent()?))) else {
        return Ok(None);
    };
    let path = run.join("manifest.json");
    let manifest: Value = match json::read(&path) {
        Ok(manifest) => manifest,
        // Other programs have manifests, too.
        Err(e) if folder.ends_with("arrays") && std::fs::symlink_metadata(&path).is_ok() => return Err(e),
        Err(_) => return Ok(None),
    };
    let name = |v: &Value| match v {
        Value::String(name) => Some(nfc(name).into_owned()),
        other => ["name", "file", "filename"].iter().find_map(|key| other[*key].as_str()).map(|n| nfc(n).into_owned()),
    };
    Ok(manifest["results"]["images"].as_array().and_then(|images| images.iter().map(name).collect()))
}

/// The RDMs of several subjects: every array of the file that holds more than one RDM, n_subjects x
/// n_pairs, with its name.
///
/// `n_images`: the number of images that the RDMs must be of.
///
/// # Errors
/// As [`load_rdms`]; [`Error::Invalid`] when an array has more leading sides than that of the
/// subjects.
pub fn load_subjects(path: &Path, n_images: usize) -> Result<Vec<(String, Array2<f64>)>> {
    let mut found = Vec::new();
    for (name, array) in arrays(path)? {
        let rdms = from_array(&name, &array, path)?;
        if rdms.len() < 2 {
            continue;
        }
        let n_pairs = condensed::n_pairs(n_images);
        let at = || format!("{}, `{name}`", path.display());
        if let Some((_, values)) = rdms.iter().find(|(_, values)| values.len() != n_pairs) {
            let conditions = condensed::n_conditions(values.len()).unwrap_or(0);
            let hint = "an RDM's rows are the images, in the same order";
            return Err(Error::invalid(at(), format!("RDMs of {n_images} images"), format!("of {conditions}"), hint));
        }
        if array.ndim() > 3 {
            let hint = "average the sessions of each subject first: they are no subjects of their own";
            let expected = "RDMs of several subjects: subjects x images x images";
            return Err(Error::invalid(at(), expected, format!("an array of shape {:?}", array.shape()), hint));
        }
        let all: Vec<f64> = rdms.iter().flat_map(|(_, values)| values.iter().copied()).collect();
        found.push((name, Array2::from_shape_vec((rdms.len(), n_pairs), all).expect("RDMs of one size")));
    }
    Ok(found)
}

/// The arrays of a `.npy` or `.npz` file that may be RDMs, with their names.
fn arrays(path: &Path) -> Result<Vec<(String, ArrayD<f64>)>> {
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("npz")) {
        return Ok(npz::read(path)?.all::<f64>()?.into_iter().filter(|(name, _)| is_layer(name)).collect());
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(vec![(stem, npy::read::<f64>(path)?)])
}

/// The condensed RDMs of one array, with their names.
fn from_array(name: &str, array: &ArrayD<f64>, path: &Path) -> Result<Vec<(String, Vec<f64>)>> {
    let shape = array.shape().to_vec();
    let bad = |found: String| {
        let hint =
            "save a square n x n matrix, a stack of them, or condensed vectors (scipy.spatial.distance.squareform)";
        Err(Error::corrupt(path, format!("RDMs of at least {MIN_CONDITIONS} conditions in `{name}`"), found, hint))
    };
    let (leading, n_values) = match shape.as_slice() {
        [] => return bad("a single number".into()),
        [.., n, m] if n == m && *n >= MIN_CONDITIONS => (&shape[..shape.len() - 2], n * m),
        [len] | [_, len] if condensed::n_conditions(*len).is_some_and(|n| n >= MIN_CONDITIONS) => {
            (&shape[..shape.len() - 1], *len)
        }
        _ => return bad(format!("an array of shape {shape:?}")),
    };
    let side = shape[shape.len() - 1];
    let stack = array.to_shape((array.len() / n_values, n_values)).expect("the sides' product is the length");
    let mut rdms = Vec::new();
    for (at, values) in stack.axis_iter(Axis(0)).enumerate() {
        let name = member_name(name, leading, at);
        if let Some(bad) = values.iter().find(|v| !v.is_finite()) {
            let hint = "leave undefined conditions out of the RDM";
            return Err(Error::corrupt(path, format!("finite dissimilarities in `{name}`"), bad.to_string(), hint));
        }
        let values = match values.to_shape((side, side)) {
            Ok(square) if n_values == side * side => {
                check_square(&name, square.view(), path)?;
                condensed::pairs(side).map(|(i, j)| square[[i, j]]).collect()
            }
            _ => values.to_vec(),
        };
        rdms.push((name, values));
    }
    Ok(rdms)
}

fn member_name(name: &str, leading: &[usize], mut at: usize) -> String {
    if leading.is_empty() {
        return name.to_string();
    }
    let mut indices = vec![String::new(); leading.len()];
    for (slot, side) in indices.iter_mut().zip(leading).rev() {
        *slot = (at % side).to_string();
        at /= side;
    }
    format!("{name}[{}]", indices.join(","))
}

fn check_square(name: &str, square: ArrayView2<'_, f64>, path: &Path) -> Result<()> {
    let n = square.nrows();
    let largest = square.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let bad = |expected: &str, found: String, hint: &str| {
        Err(Error::corrupt(path, format!("{expected} in `{name}`"), found, hint))
    };
    if let Some(i) = (0..n).find(|&i| square[[i, i]].abs() > SYMMETRIC * largest) {
        let found = format!("{} at ({i}, {i})", square[[i, i]]);
        return if (0..n).all(|i| (square[[i, i]] - 1.0).abs() < SYMMETRIC) {
            bad("a zero diagonal", found, "these look like similarities: give 1 - r")
        } else {
            bad("a zero diagonal", found, "an RDM holds dissimilarities: a condition does not differ from itself")
        };
    }
    match condensed::pairs(n).find(|&(i, j)| (square[[i, j]] - square[[j, i]]).abs() > SYMMETRIC * largest) {
        Some((i, j)) => {
            let found = format!("{} at ({i}, {j}) but {} at ({j}, {i})", square[[i, j]], square[[j, i]]);
            bad("a symmetric matrix", found, "average the matrix with its transpose, if that is what is meant")
        }
        None => Ok(()),
    }
}

/// Refuses layers that cannot have an array each in an `rdms.npz`: two of one key (`a/b` and
/// `a.b`), and names that mean something else there. For jobs, before they work.
///
/// # Errors
/// [`Error::Invalid`], with `at` in the words of the caller.
pub fn check_layers(at: &str, layers: &[String]) -> Result<()> {
    let refuse = |found: String| {
        let hint = "each layer is an array of rdms.npz, `/` in its name a `.`: take one, or rename it in the network";
        Err(Error::invalid(at, "layers that rdms.npz can name", found, hint))
    };
    let keys: Vec<String> = layers.iter().map(|layer| npz::key(layer)).collect();
    if let Some(layer) = layers.iter().find(|layer| !is_layer(&npz::key(layer))) {
        return refuse(format!("`{layer}`, which means other arrays there"));
    }
    let made = distinct(Part::Key, layers);
    let Some(other) = (0..layers.len()).find(|&l| made[l] != keys[l]) else {
        return match twice(layers.iter().map(String::as_str)) {
            Some(layer) => refuse(format!("`{layer}` twice")),
            None => Ok(()),
        };
    };
    match (0..layers.len()).find(|&l| l != other && keys[l] == keys[other]) {
        Some(first) => refuse(format!("`{}` and `{}`", layers[first.min(other)], layers[first.max(other)])),
        None => refuse(format!("`{}`", layers[other])),
    }
}

/// The content of `rdms.npz`: one condensed RDM a layer (float64, key = tap with `/` as `.`), and
/// `second_order`, the n_layers x n_layers Pearson correlations between them.
///
/// # Errors
/// [`Error::Invalid`] when the RDMs differ in the number of conditions.
pub fn rdms_npz(layers: &[(String, Rdm)]) -> Result<npz::NpzWriter> {
    let rdms: Vec<&Rdm> = layers.iter().map(|(_, rdm)| rdm).collect();
    let matrix = second_order(&rdms, Comparison::Pearson)?;
    let writer = layers.iter().fold(npz::NpzWriter::new(), |w, (name, rdm)| w.add(name, &arr1(rdm.values())));
    Ok(writer.add(SECOND_ORDER, &matrix))
}

/// The content of an `rdms.npz`.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerRdms {
    /// Key and condensed RDM of each layer, in order; undefined entries are NaN.
    pub layers: Vec<(String, Vec<f64>)>,
    /// n_layers x n_layers Pearson correlations between them.
    pub second_order: Array2<f64>,
}

/// Reads what [`rdms_npz`] wrote.
///
/// # Errors
/// [`Error::Io`], [`Error::Corrupt`] as [`npz::read`]; [`Error::Corrupt`] when an array has another
/// rank.
pub fn read_rdms_npz(path: &Path) -> Result<LayerRdms> {
    let file = npz::read(path)?;
    let rank = |name: &str| {
        let found = format!("another shape of `{name}`");
        Error::corrupt(path, "condensed RDMs and `second_order`", found, "give arrays/rdms.npz of a run directory")
    };
    let second_order = file.get(SECOND_ORDER)?.into_dimensionality::<Ix2>().map_err(|_| rank(SECOND_ORDER))?;
    let mut layers = Vec::new();
    for (name, array) in file.all::<f64>()?.into_iter().filter(|(name, _)| is_layer(name)) {
        let values = array.into_dimensionality::<Ix1>().map_err(|_| rank(&name))?;
        layers.push((name, values.to_vec()));
    }
    Ok(LayerRdms { layers, second_order })
}
