//! PyTorch state dicts (`torch.save(model.state_dict(), ...)`), in the zip format and the one
//! before PyTorch 1.6.

use super::pickle::{Id, Item, Pickle, Refused, parse};
use super::wrappers::{Group, beside, groups};
use crate::error::{Error, Result};
use crate::io::unzip::Unzip;
use crate::network::graph::Weights;
use crate::size;
use ndarray::{ArrayD, IxDyn};
use std::collections::HashMap;
use std::path::Path;

const AGAIN: &str = "the file is truncated or damaged: download or save it again";
const SAVE: &str = "save the weights alone: torch.save(model.state_dict(), FILE)";

/// Dictionaries with fewer tensors than this many others are no network's: an optimiser keeps one a
/// parameter.
const LARGEST: usize = 16;
/// Axes of a tensor.
const MOST_AXES: usize = 16;

/// The tensors of one dictionary of a file, under the names that the network itself gives them.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Where in the file, in words.
    pub at: String,
    /// Floating-point tensors (16, 32 or 64 bits).
    pub weights: Weights,
    /// Names of tensors of whole numbers, without the counters that no forward pass uses.
    pub whole: Vec<String>,
    /// Names of floating-point tensors of the same dictionary that wrappers' names tell apart from
    /// these.
    pub beside: Vec<String>,
}

/// Reads the tensors of the dictionary with the most of them; see [`candidates`].
///
/// # Errors
/// As [`candidates`].
pub fn read(path: &Path) -> Result<Weights> {
    Ok(candidates(path)?.remove(0).weights)
}

/// Reads every dictionary of a file that might be a network's, the one with the most tensors first;
/// never none.
///
/// Checkpoints hold the state dict under names such as `state_dict`, `model` or `ema`, beside
/// whatever else was saved; wrappers put `module.`, `_orig_mod.`, `model.` before the names of its
/// tensors, in any order.
///
/// # Errors
/// [`Error::Io`]; [`Error::Corrupt`] for a truncated file; [`Error::Invalid`] for a pickle that
/// holds more than tensors and plain values, holds no tensors, or two of one name.
pub fn candidates(path: &Path) -> Result<Vec<Candidate>> {
    let bytes = crate::network::import::read_bytes(path)?;
    let (pickle, storages) = if bytes.starts_with(b"PK") { from_zip(bytes, path)? } else { from_stream(&bytes, path)? };
    let mut found = groups(&pickle).map_err(|what| corrupt(path, what))?;
    if found.is_empty() {
        return Err(Error::invalid(path.display().to_string(), "a state dict", "no tensors", SAVE));
    }
    found.sort_by_key(|g| std::cmp::Reverse(g.tensors.len()));
    // Tensors may be views on the same numbers: of 32 bits, each may be read four times.
    let mut budget = storages.values().map(Vec::len).sum::<usize>();
    let largest = found.iter().take(LARGEST);
    largest.map(|group| candidate(group, beside(group, &found), &pickle, &storages, &mut budget, path)).collect()
}

fn candidate(
    group: &Group,
    beside: Vec<String>,
    pickle: &Pickle,
    storages: &Storages,
    budget: &mut usize,
    path: &Path,
) -> Result<Candidate> {
    let mut out = Candidate { at: group.at.clone(), weights: Weights::new(), whole: vec![], beside };
    for (name, written, id) in &group.tensors {
        let found = match array(pickle, *id, storages) {
            Ok(found) => found,
            Err(Unread::Broken(what)) => return Err(corrupt(path, format!("{what} in `{written}`"))),
            Err(Unread::Type(kind)) => {
                let place = format!("{}: `{written}`", path.display());
                let hint = "convert the weights first: model.float()";
                return Err(Error::invalid(place, "floats of 16, 32 or 64 bits, or whole numbers", kind, hint));
            }
        };
        let Some(array) = found else {
            if !["num_batches_tracked", "n_averaged"].iter().any(|counter| name.ends_with(counter)) {
                out.whole.push(name.clone());
            }
            continue;
        };
        *budget = budget.checked_sub(array.len()).ok_or_else(|| {
            let found = "tensors that repeat the same numbers over and over";
            Error::invalid(path.display().to_string(), "tensors with numbers of their own", found, SAVE)
        })?;
        match out.weights.get(name) {
            Some(other) if *other != array => {
                let found = format!("several, one of them `{written}`, with different numbers");
                let place = format!("{}: {}", path.display(), group.at);
                return Err(Error::invalid(place, format!("one tensor `{name}`"), found, SAVE));
            }
            _ => out.weights.insert(name.clone(), array),
        };
    }
    Ok(out)
}

/// Bytes of each storage by its key.
type Storages = HashMap<String, Vec<u8>>;

fn corrupt(path: &Path, found: impl Into<String>) -> Error {
    Error::corrupt(path, "a PyTorch state dict", found, AGAIN)
}

fn parsed(bytes: &[u8], path: &Path) -> Result<Pickle> {
    parse(bytes).map_err(|refused| match refused {
        Refused::Damaged(what) => corrupt(path, what),
        Refused::Forbidden(name) => Error::invalid(
            path.display().to_string(),
            "a state dict of plain tensors",
            format!("the Python object `{name}`, which is never run"),
            SAVE,
        ),
    })
}

fn from_zip(bytes: Vec<u8>, path: &Path) -> Result<(Pickle, Storages)> {
    let mut archive = Unzip::open(bytes).map_err(|e| corrupt(path, e))?;
    let names = archive.names().to_vec();
    let main = names.iter().find(|n| n.ends_with("/data.pkl")).ok_or_else(|| {
        let found = crate::network::import::names::in_words("archive/data.pkl", &names, "an empty zip archive");
        let hint = "torch.save did not write it: a Keras model ends in .keras, NumPy's arrays in .npz";
        Error::invalid(path.display().to_string(), "`data.pkl` in the zip archive that torch.save writes", found, hint)
    })?;
    let root = main.trim_end_matches("data.pkl").to_owned();
    let mut load = |name: &str| archive.read(name).map_err(|e| corrupt(path, e));
    let pickle = parsed(&load(main)?, path)?;
    let order = format!("{root}byteorder");
    if names.contains(&order) && load(&order)? != b"little" {
        return Err(Error::invalid(
            path.display().to_string(),
            "little-endian numbers",
            "big-endian",
            "save the weights on another machine",
        ));
    }
    let prefix = format!("{root}data/");
    let mut storages = Storages::new();
    for name in &names {
        if let Some(key) = name.strip_prefix(&prefix) {
            storages.insert(key.to_owned(), load(name)?);
        }
    }
    Ok((pickle, storages))
}

/// The format before PyTorch 1.6: five pickles (magic number, version, machine, data, keys), then
/// the storages.
fn from_stream(bytes: &[u8], path: &Path) -> Result<(Pickle, Storages)> {
    if bytes.first() != Some(&0x80) {
        return Err(corrupt(path, "neither a zip archive nor a pickle"));
    }
    let mut at = 0;
    let mut next = || -> Result<Pickle> {
        let pickle = parsed(&bytes[at..], path)?;
        at += pickle.len;
        Ok(pickle)
    };
    let (_magic, _version, _machine) = (next()?, next()?, next()?);
    let (data, keys) = (next()?, next()?);
    let widths: HashMap<String, usize> = (0..data.items.len())
        .filter_map(|id| storage(&data, id))
        .filter_map(|(key, kind)| Some((key.to_owned(), width(kind)?)))
        .collect();
    let Item::List(list) = &keys.items[keys.root] else {
        return Err(corrupt(path, "no list of storages"));
    };
    let mut storages = Storages::new();
    for &id in list {
        let Item::Text(key) = &keys.items[id] else {
            return Err(corrupt(path, "a storage without a name"));
        };
        let width = *widths.get(key).ok_or_else(|| corrupt(path, format!("a storage `{key}` of unknown type")))?;
        let count = bytes.get(at..at + 8).map(|b| u64::from_le_bytes(b.try_into().expect("eight bytes")));
        let end = count.and_then(|n| usize::try_from(n).ok()?.checked_mul(width)?.checked_add(at + 8));
        let data = end
            .and_then(|end| bytes.get(at + 8..end))
            .ok_or_else(|| corrupt(path, format!("the end of the file in storage `{key}`")))?;
        storages.insert(key.clone(), data.to_vec());
        at += 8 + data.len();
    }
    Ok((data, storages))
}

/// Key and type of a storage, for an item that is one.
fn storage(pickle: &Pickle, id: Id) -> Option<(&str, &str)> {
    let Item::Persistent(tuple) = &pickle.items[id] else { return None };
    let Item::Tuple(parts) = &pickle.items[*tuple] else { return None };
    match parts.get(..3)?.iter().map(|&p| &pickle.items[p]).collect::<Vec<_>>()[..] {
        [Item::Text(word), Item::Global(kind), Item::Text(key)] if word == "storage" => Some((key, kind)),
        _ => None,
    }
}

/// Bytes of one number of a storage type.
fn width(kind: &str) -> Option<usize> {
    Some(match kind.strip_prefix("torch ")? {
        "DoubleStorage" | "LongStorage" => 8,
        "FloatStorage" | "IntStorage" => 4,
        "HalfStorage" | "BFloat16Storage" | "ShortStorage" => 2,
        "ByteStorage" | "CharStorage" | "BoolStorage" => 1,
        _ => return None,
    })
}

/// Why a tensor was not read.
enum Unread {
    /// It contradicts itself or the file.
    Broken(String),
    /// Numbers of another kind.
    Type(String),
}

/// A tensor's numbers in row-major order; `None` for whole numbers.
fn array(pickle: &Pickle, id: Id, storages: &Storages) -> std::result::Result<Option<ArrayD<f32>>, Unread> {
    let Item::Tensor { storage: of, offset, size, stride } = pickle.items[id] else { return Ok(None) };
    let broken = |what: &str| Unread::Broken(what.to_owned());
    let integer = |id: Id| match pickle.items[id] {
        Item::Int(n) => usize::try_from(n).ok(),
        _ => None,
    };
    let integers = |id: Id| match &pickle.items[id] {
        Item::Tuple(ids) | Item::List(ids) => ids.iter().map(|&i| integer(i)).collect::<Option<Vec<usize>>>(),
        _ => None,
    };
    let (key, kind) = storage(pickle, of).ok_or_else(|| broken("no storage"))?;
    let bytes = storages.get(key).ok_or_else(|| broken("a storage that is not in the file"))?;
    let width = width(kind).ok_or_else(|| Unread::Type(format!("`{kind}`")))?;
    let Some(number) = float(kind) else { return Ok(None) };
    let n_stored = bytes.len() / width;
    let (offset, size, stride) = integer(offset)
        .zip(integers(size))
        .zip(integers(stride))
        .map(|((o, s), t)| (o, s, t))
        .filter(|(_, s, t)| s.len() == t.len())
        .ok_or_else(|| broken("sizes that make no sense"))?;
    if size.len() > MOST_AXES {
        return Err(broken("too many axes"));
    }
    let counted = size::product(size.iter().copied()).filter(|&n| n <= n_stored);
    let count = counted.ok_or_else(|| broken("too few numbers"))?;
    let reach =
        size.iter().zip(&stride).try_fold(offset, |at, (&d, &s)| at.checked_add(d.saturating_sub(1).checked_mul(s)?));
    if count > 0 && reach.is_none_or(|r| r >= n_stored) {
        return Err(broken("numbers beyond its storage"));
    }
    if count > 0 && stride == contiguous(&size) {
        let whole = bytes[width * offset..width * (offset + count)].chunks_exact(width).map(number).collect();
        return Ok(Some(ArrayD::from_shape_vec(IxDyn(&size), whole).expect("as many numbers as the sizes say")));
    }
    let mut index = vec![0usize; size.len()];
    let mut out = Vec::with_capacity(count);
    for _ in 0..count {
        let at = width * (offset + index.iter().zip(&stride).map(|(i, s)| i * s).sum::<usize>());
        out.push(number(&bytes[at..at + width]));
        for axis in (0..size.len()).rev() {
            index[axis] += 1;
            if index[axis] < size[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    Ok(Some(ArrayD::from_shape_vec(IxDyn(&size), out).expect("as many numbers as the sizes say")))
}

/// Strides of an array in row-major order.
fn contiguous(size: &[usize]) -> Vec<usize> {
    let mut stride = vec![1; size.len()];
    for axis in (1..size.len()).rev() {
        stride[axis - 1] = stride[axis] * size[axis];
    }
    stride
}

/// How a number of a storage type is read, from as many bytes as [`width`] says; `None` for whole
/// numbers.
fn float(kind: &str) -> Option<fn(&[u8]) -> f32> {
    fn bytes<const N: usize>(b: &[u8]) -> [u8; N] {
        b.try_into().expect("as many bytes as the type is wide")
    }
    match kind {
        "torch FloatStorage" => Some(|b| f32::from_le_bytes(bytes(b))),
        "torch DoubleStorage" => Some(|b| f64::from_le_bytes(bytes(b)) as f32),
        "torch HalfStorage" => Some(|b| half::f16::from_le_bytes(bytes(b)).to_f32()),
        "torch BFloat16Storage" => Some(|b| half::bf16::from_le_bytes(bytes(b)).to_f32()),
        _ => None,
    }
}
