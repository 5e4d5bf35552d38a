//! Arrays of numbers in HDF5 files, among them MATLAB's of version 7.3, by the paths of their
//! datasets (`rt`, `roi/v1lh`).
//!
//! MATLAB stores the first axis of an array fastest and HDF5 the last, so that an array of MATLAB's
//! size 540 x 73728 is one of 73728 x 540 here, as in h5py. Its linear indices stay what they are.

use super::hdf5::{self, Numbers};
use super::source;
use crate::error::{Error, Result};
use crate::size;
use hdf5_pure::{AttrValue, Dataset, File, Group};
use ndarray::{ArrayD, IxDyn};
use std::path::Path;

/// Names of arrays that an error lists.
const LISTED: usize = 12;
/// Most datasets of a group of masks.
const MOST_MASKS: usize = 10_000;

/// An array and the name of its dataset.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    pub key: String,
    /// Row-major, the axes as HDF5 and h5py have them.
    pub values: ArrayD<f32>,
    /// Whether MATLAB wrote it: its `size` there is `values.shape()` in reverse.
    pub matlab: bool,
}

/// Reads the dataset of a path, or the only dataset of numbers.
///
/// # Errors
/// [`Error::Io`]; [`Error::Corrupt`] for another format (MATLAB's before 7.3, too), damage, and
/// numbers that 32 bits cannot hold; [`Error::Invalid`], which lists what is there, when there is
/// no such dataset, when it holds no numbers (cells, structures, text), and without `key` when
/// there is not exactly one.
pub fn read(path: &Path, key: Option<&str>) -> Result<Array> {
    opened(path, |file, most| {
        let there = datasets(&file.root());
        let key = match (key, &there[..]) {
            (Some(key), _) => key.trim_matches('/').to_owned(),
            (None, [only]) => only.clone(),
            (None, _) => return Err(absent(path, "the name of one dataset", &there, "name it as the key")),
        };
        let dataset = file.dataset(&key).map_err(|_| match file.group(&key) {
            Ok(group) => {
                let sparse = group.attrs().is_ok_and(|a| a.contains_key("MATLAB_sparse"));
                let what = if sparse { "a sparse matrix of MATLAB" } else { "a group" };
                let hint =
                    if sparse { "save it full: x = full(x)" } else { "name a dataset in it, such as `GROUP/NAME`" };
                Error::invalid(path.display().to_string(), "a dataset of numbers", format!("{what} at `{key}`"), hint)
            }
            Err(_) => {
                let hint = "name one of them; soft and external links and virtual datasets are not followed: save a copy of their numbers";
                absent(path, &format!("a dataset `{key}`"), &there, hint)
            }
        })?;
        let (numbers, matlab) = numbers(path, &key, &dataset, most)?;
        let values =
            numbers.to_f32(1.0).map_err(|e| bad(path, format!("{e} in `{key}`"), "save it in larger units"))?;
        let values = ArrayD::from_shape_vec(IxDyn(&numbers.shape), values).expect("as many numbers as the shape says");
        Ok(Array { key, values, matlab })
    })
}

/// Reads a group whose datasets are masks of `n` places: for each the places, in the order in which
/// the file has them, whose number is neither 0 nor NaN. Masks are in the order of their names.
///
/// # Errors
/// As [`read`]; [`Error::Invalid`] for a dataset of another number of places, and for a group
/// without any.
pub fn masks(path: &Path, group: &str, n: usize) -> Result<Vec<(String, Vec<u32>)>> {
    opened(path, |file, most| {
        let found = file.group(group.trim_matches('/')).map_err(|_| {
            let mut there = file.root().groups().unwrap_or_default();
            there.sort();
            absent(path, &format!("a group `{group}` of masks"), &there, "name one of the groups")
        })?;
        let mut names = found.datasets().unwrap_or_default();
        names.sort();
        if names.is_empty() || names.len() > MOST_MASKS {
            let found = format!("{} datasets", names.len());
            return Err(Error::invalid(path.display().to_string(), format!("masks in `{group}`"), found, ""));
        }
        let mask = |name: String| {
            let key = format!("{group}/{name}");
            let damaged = |e: hdf5_pure::Error| bad(path, format!("`{key}`, which cannot be read ({e})"), AGAIN);
            let dataset = found.dataset(&name).map_err(damaged)?;
            let shape = dataset.shape().map_err(damaged)?;
            if size::product(shape.iter().map(|&side| side as usize)) != Some(n) {
                let at = format!("{}, `{key}`", path.display());
                return Err(Error::invalid(at, format!("a mask of {n} targets"), format!("{shape:?} numbers"), ""));
            }
            let (numbers, _) = numbers(path, &key, &dataset, most)?;
            let values = numbers.to_f32(1.0).map_err(|e| bad(path, format!("{e} in `{key}`"), ""))?;
            let inside = values.iter().enumerate().filter(|(_, v)| **v != 0.0 && !v.is_nan());
            Ok((name, inside.map(|(i, _)| i as u32).collect()))
        };
        names.into_iter().map(mask).collect()
    })
}

const AGAIN: &str = "the file is truncated or damaged: copy or save it again";

fn bad(path: &Path, found: impl Into<String>, hint: &str) -> Error {
    Error::corrupt(path, "an HDF5 file (or MATLAB's of version 7.3)", found, hint)
}

fn absent(path: &Path, expected: &str, there: &[String], hint: &str) -> Error {
    let list = there.iter().take(LISTED).cloned().collect::<Vec<_>>().join("`, `");
    let more = if there.len() > LISTED { ", ..." } else { "" };
    let found = if there.is_empty() { "none".into() } else { format!("`{list}`{more}") };
    Error::invalid(path.display().to_string(), expected, found, hint)
}

/// Opens a file apart, and tells how many bytes an array of it may have.
fn opened<T: Send>(path: &Path, work: impl FnOnce(&File, u64) -> Result<T> + Send) -> Result<T> {
    let bytes = source::read(path)?;
    if bytes.starts_with(b"MATLAB 5.0 MAT-file") {
        let hint =
            "in MATLAB: save(FILE, 'NAME', '-v7.3'); in Python: numpy.save(FILE, scipy.io.loadmat(OTHER)['NAME'])";
        return Err(bad(path, "a MATLAB file of version 5 to 7.2", hint));
    }
    let most = size::unpackable(bytes.len() as u64);
    let found = hdf5::apart(|| {
        let file = hdf5::open(bytes).map_err(|e| bad(path, e, AGAIN))?;
        work(&file, most)
    });
    found.unwrap_or_else(|e| Err(bad(path, format!("a file that the HDF5 library gives up on ({e})"), AGAIN)))
}

/// Paths of the datasets at the top and in the groups there, but for what MATLAB hides (`#refs#`).
fn datasets(root: &Group) -> Vec<String> {
    let mut found = root.datasets().unwrap_or_default();
    for group in root.groups().unwrap_or_default() {
        let inside = root.group(&group).and_then(|g| g.datasets()).unwrap_or_default();
        found.extend(inside.into_iter().map(|name| format!("{group}/{name}")));
    }
    found.retain(|name| !name.starts_with('#'));
    found.sort();
    found
}

fn numbers(path: &Path, key: &str, dataset: &Dataset, most: u64) -> Result<(Numbers, bool)> {
    let attributes = dataset.attrs().unwrap_or_default();
    let class = attributes.get("MATLAB_class").and_then(AttrValue::as_str);
    let class = class.map(|text| text.trim_matches(['\0', ' ']).to_owned());
    let at = || format!("{}, `{key}`", path.display());
    let numeric = |class: &str| {
        matches!(class, "double" | "single" | "logical") || class.starts_with("int") || class.starts_with("uint")
    };
    if let Some(class) = class.as_deref().filter(|class| !numeric(class)) {
        let hint = "save the numbers as an array of their own, such as x = cell2mat(c) or x = s.field";
        return Err(Error::invalid(at(), "an array of numbers", format!("a MATLAB `{class}`"), hint));
    }
    if attributes.contains_key("MATLAB_empty") {
        return Err(Error::invalid(at(), "an array of numbers", "an empty array of MATLAB", ""));
    }
    let found = hdf5::numbers(dataset, most);
    let found = found
        .map_err(|e| Error::invalid(at(), "an array of numbers", e, "integers and floats of up to 64 bits are read"))?;
    Ok((found, class.is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hdf5_pure::FileBuilder;
    use std::path::PathBuf;

    fn file() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.mat");
        let mut writer = FileBuilder::new();
        writer.create_dataset("rt").with_f32_data(&[1.0, 2.0, f32::NAN, 4.0, 5.0, 6.0]).with_shape(&[3, 2]);
        writer.create_dataset("big").with_f64_data(&[1e300]).with_shape(&[1]);
        let mut group = writer.create_group("roi");
        group.create_dataset("v2").with_u8_data(&[0, 1, 0]).with_shape(&[1, 3]);
        group.create_dataset("v1").with_f64_data(&[1.0, f64::NAN, 2.0]).with_shape(&[3, 1]);
        writer.add_group(group.finish());
        writer.write(&path).unwrap();
        (dir, path)
    }

    #[test]
    fn arrays_by_path_and_masks_by_group() {
        let (_dir, path) = file();
        let found = read(&path, Some("/rt")).unwrap();
        assert_eq!((found.key.as_str(), found.values.shape(), found.matlab), ("rt", &[3, 2][..], false));
        assert!(found.values[[1, 0]].is_nan() && found.values[[2, 1]] == 6.0);
        assert_eq!(read(&path, Some("roi/v2")).unwrap().values.shape(), [1, 3]);
        let masks = masks(&path, "roi", 3).unwrap();
        assert_eq!(masks, [("v1".to_owned(), vec![0, 2]), ("v2".into(), vec![1])]);
    }

    #[test]
    fn what_is_absent_is_answered_with_what_is_there() {
        let (_dir, path) = file();
        let text = |found: Result<Array>| found.unwrap_err().to_string();
        assert!(text(read(&path, None)).contains("`big`, `roi/v1`, `roi/v2`, `rt`"));
        assert!(text(read(&path, Some("rv"))).contains("a dataset `rv`, found `big`"));
        assert!(text(read(&path, Some("roi"))).contains("a group at `roi`"));
        assert!(text(read(&path, Some("big"))).contains("too large for 32 bits in `big`"));
        assert!(masks(&path, "rois", 3).unwrap_err().to_string().contains("found `roi`"));
        let error = masks(&path, "roi", 4).unwrap_err().to_string();
        assert!(error.contains("`roi/v1`: expected a mask of 4 targets"), "{error}");
        std::fs::write(&path, b"MATLAB 5.0 MAT-file, Platform: GLNXA64").unwrap();
        let error = read(&path, None).unwrap_err();
        assert!(error.to_string().contains("5 to 7.2") && error.hint().unwrap().contains("-v7.3"), "{error}");
        std::fs::write(&path, b"no HDF5").unwrap();
        assert_eq!(read(&path, None).unwrap_err().exit_code(), 2);
    }
}
