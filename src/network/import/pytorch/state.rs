//! PyTorch state dicts (`torch.save(model.state_dict(), ...)`), in the zip format and the one before PyTorch 1.6.

use super::pickle::{Id, Item, Pickle, Refused, parse};
use crate::error::{Error, Result};
use crate::network::graph::Weights;
use ndarray::{ArrayD, IxDyn};
use std::collections::HashMap;
use std::io::{Cursor, Read};
use std::path::Path;

const AGAIN: &str = "the file is truncated or damaged: download or save it again";
const SAVE: &str = "save the weights alone: torch.save(model.state_dict(), FILE)";

/// Reads all floating-point tensors (16, 32 or 64 bits), without DataParallel's `module.` before their names.
///
/// # Errors
/// [`Error::Io`]; [`Error::Corrupt`] for a truncated file; [`Error::Invalid`] for a pickle that holds more than a state dict.
pub fn read(path: &Path) -> Result<Weights> {
    let bytes = crate::network::import::read_bytes(path)?;
    let (pickle, storages) = if bytes.starts_with(b"PK") { from_zip(bytes, path)? } else { from_stream(&bytes, path)? };
    tensors(&pickle, &storages, path)
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
    let broken = |e: zip::result::ZipError| corrupt(path, format!("a zip archive that cannot be read ({e})"));
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
    let names: Vec<String> = archive.file_names().filter_map(|n| Some(n.ok()?.into_owned())).collect();
    let main = names
        .iter()
        .find(|n| n.ends_with("/data.pkl"))
        .ok_or_else(|| corrupt(path, "a zip archive without data.pkl"))?;
    let root = main.trim_end_matches("data.pkl").to_owned();
    let mut load = |name: &str| -> Result<Vec<u8>> {
        let mut entry = archive.by_name(name).map_err(broken)?;
        let mut data = Vec::new();
        entry.read_to_end(&mut data).map_err(|e| corrupt(path, format!("`{name}` that cannot be read ({e})")))?;
        Ok(data)
    };
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

/// The format before PyTorch 1.6: five pickles (magic number, version, machine, data, keys), then the storages.
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

/// The tensors of the root, or of its entry `state_dict` or `model`.
fn tensors(pickle: &Pickle, storages: &Storages, path: &Path) -> Result<Weights> {
    let entries = |id: Id| -> Vec<(&str, Id)> {
        let Item::Dict(pairs) = &pickle.items[id] else { return vec![] };
        let name = |k: Id| if let Item::Text(t) = &pickle.items[k] { Some(t.as_str()) } else { None };
        pairs.iter().filter_map(|&(k, v)| Some((name(k)?, v))).collect()
    };
    let is_tensor = |id: Id| matches!(pickle.items[id], Item::Tensor { .. });
    let mut dict = entries(pickle.root);
    if !dict.iter().any(|&(_, v)| is_tensor(v)) {
        let inner = dict.iter().find(|(k, _)| matches!(*k, "state_dict" | "model" | "model_state_dict"));
        dict = inner.map_or_else(Vec::new, |&(_, v)| entries(v));
    }
    let mut weights = Weights::new();
    for (name, id) in dict.into_iter().filter(|&(_, v)| is_tensor(v)) {
        if let Some(array) = array(pickle, id, storages).map_err(|what| corrupt(path, format!("{what} in `{name}`")))? {
            weights.insert(name.strip_prefix("module.").unwrap_or(name).to_owned(), array);
        }
    }
    if weights.is_empty() {
        return Err(Error::invalid(path.display().to_string(), "a state dict", "no tensors", SAVE));
    }
    Ok(weights)
}

/// A tensor's numbers in row-major order; `None` for whole numbers.
fn array(pickle: &Pickle, id: Id, storages: &Storages) -> std::result::Result<Option<ArrayD<f32>>, String> {
    let Item::Tensor { storage: of, offset, size, stride } = pickle.items[id] else { return Ok(None) };
    let integer = |id: Id| match pickle.items[id] {
        Item::Int(n) => usize::try_from(n).ok(),
        _ => None,
    };
    let integers = |id: Id| match &pickle.items[id] {
        Item::Tuple(ids) | Item::List(ids) => ids.iter().map(|&i| integer(i)).collect::<Option<Vec<usize>>>(),
        _ => None,
    };
    let (key, kind) = storage(pickle, of).ok_or("no storage")?;
    let bytes = storages.get(key).ok_or("a storage that is not in the file")?;
    let Some(values) = floats(bytes, kind)? else { return Ok(None) };
    let (offset, size, stride) = integer(offset)
        .zip(integers(size))
        .zip(integers(stride))
        .map(|((o, s), t)| (o, s, t))
        .filter(|(_, s, t)| s.len() == t.len())
        .ok_or("sizes that make no sense")?;
    let count = size
        .iter()
        .try_fold(1usize, |n, &d| n.checked_mul(d))
        .filter(|&n| n <= values.len())
        .ok_or("too few numbers")?;
    let reach =
        size.iter().zip(&stride).try_fold(offset, |at, (&d, &s)| at.checked_add(d.saturating_sub(1).checked_mul(s)?));
    if count > 0 && reach.is_none_or(|r| r >= values.len()) {
        return Err("numbers beyond its storage".into());
    }
    let mut index = vec![0usize; size.len()];
    let mut out = Vec::with_capacity(count);
    for _ in 0..count {
        out.push(values[offset + index.iter().zip(&stride).map(|(i, s)| i * s).sum::<usize>()]);
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

fn floats(bytes: &[u8], kind: &str) -> std::result::Result<Option<Vec<f32>>, String> {
    fn each<const N: usize>(bytes: &[u8], f: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        bytes.as_chunks::<N>().0.iter().map(|&c| f(c)).collect()
    }
    Ok(Some(match kind {
        "torch FloatStorage" => each(bytes, f32::from_le_bytes),
        "torch DoubleStorage" => each(bytes, |b| f64::from_le_bytes(b) as f32),
        "torch HalfStorage" => each(bytes, |b| half::f16::from_le_bytes(b).to_f32()),
        "torch BFloat16Storage" => each(bytes, |b| half::bf16::from_le_bytes(b).to_f32()),
        other if width(other).is_some() => return Ok(None),
        other => return Err(format!("`{other}`")),
    }))
}
