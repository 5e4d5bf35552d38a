//! Safetensors files that need not fit in memory: tensors of 32 and 64 bits, written as they come
//! and read one by one, or some rows of one.
//!
//! Tensors of 64 bits come first and names are sorted, so that every number is aligned and a file's
//! bytes depend on nothing but what it holds. Weights of networks are [`super::weights`].

use crate::error::{Error, Result};
use crate::io::{atomic, source};
use crate::size;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Bytes of the longest header that readers of the format take.
const HEADER: usize = 100_000_000;

/// Width of the numbers of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Width {
    /// `F64`.
    F64,
    /// `F32`.
    F32,
}

impl Width {
    fn bytes(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 => 4,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::F64 => "F64",
            Self::F32 => "F32",
        }
    }
}

/// A tensor that is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name in the file.
    pub name: String,
    /// Width of its numbers.
    pub width: Width,
    /// Row-major.
    pub shape: Vec<usize>,
}

/// Where the numbers of a tensor go.
pub struct Sink<'a> {
    to: &'a mut dyn Write,
    n_bytes: u64,
}

impl Sink<'_> {
    /// More numbers of 32 bits.
    ///
    /// # Errors
    /// [`std::io::Error`] where writing fails.
    pub fn f32s<'v>(&mut self, values: impl IntoIterator<Item = &'v f32>) -> std::io::Result<()> {
        values.into_iter().try_for_each(|v| self.put(&v.to_le_bytes()))
    }

    /// More numbers of 64 bits.
    ///
    /// # Errors
    /// [`std::io::Error`] where writing fails.
    pub fn f64s<'v>(&mut self, values: impl IntoIterator<Item = &'v f64>) -> std::io::Result<()> {
        values.into_iter().try_for_each(|v| self.put(&v.to_le_bytes()))
    }

    fn put(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.n_bytes += bytes.len() as u64;
        self.to.write_all(bytes)
    }
}

/// Writes a file atomically, tensor by tensor: `fill` is called for each in the order of the file
/// and puts all its numbers into the sink.
///
/// # Errors
/// [`Error::Io`]; [`Error::Invalid`] for two tensors of one name, a header that is too long, or a
/// tensor that is given other than all its numbers; whatever `fill` says. The file before stays
/// then.
pub fn write(
    path: &Path,
    entries: &[Entry],
    metadata: &BTreeMap<String, String>,
    fill: &mut dyn FnMut(&Entry, &mut Sink<'_>) -> Result<()>,
) -> Result<()> {
    let mut entries: Vec<&Entry> = entries.iter().collect();
    entries.sort_by(|a, b| (a.width, &a.name).cmp(&(b.width, &b.name)));
    let header = header(path, &entries, metadata)?;
    let mut failed = None;
    let written = atomic::write_with(path, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        for entry in &entries {
            let mut sink = Sink { to: file, n_bytes: 0 };
            let filled = fill(entry, &mut sink).and_then(|()| complete(entry, sink.n_bytes));
            if let Err(error) = filled {
                failed = Some(error);
                return Err(ErrorKind::Other.into());
            }
        }
        Ok(())
    });
    failed.map_or(written, Err)
}

fn n_bytes(entry: &Entry) -> Result<usize> {
    size::product(entry.shape.iter().copied().chain([entry.width.bytes()])).ok_or_else(|| {
        Error::invalid(format!("tensor `{}`", entry.name), "a size that memory holds", format!("{:?}", entry.shape), "")
    })
}

fn complete(entry: &Entry, found: u64) -> Result<()> {
    let expected = n_bytes(entry)? as u64;
    if found == expected {
        return Ok(());
    }
    let at = format!("tensor `{}`", entry.name);
    Err(Error::invalid(at, format!("{expected} bytes"), found.to_string(), "its numbers are not as many as its shape"))
}

fn header(path: &Path, entries: &[&Entry], metadata: &BTreeMap<String, String>) -> Result<Vec<u8>> {
    let at = || path.display().to_string();
    let mut header = Map::new();
    if !metadata.is_empty() {
        header.insert("__metadata__".into(), json!(metadata));
    }
    let mut end = 0usize;
    for entry in entries {
        let start = end;
        end = end.checked_add(n_bytes(entry)?).ok_or_else(|| Error::invalid(at(), "a file", "endless tensors", ""))?;
        let about = json!({ "dtype": entry.width.name(), "shape": entry.shape, "data_offsets": [start, end] });
        if header.insert(entry.name.clone(), about).is_some() {
            return Err(Error::invalid(at(), "one tensor a name", format!("`{}` twice", entry.name), ""));
        }
    }
    let mut text = Value::Object(header).to_string().into_bytes();
    // The format wants the data to begin at a multiple of 8; spaces fill the gap.
    text.resize(text.len().next_multiple_of(8), b' ');
    if text.len() > HEADER {
        let hint = "fewer names, or shorter ones";
        return Err(Error::invalid(at(), format!("names of at most {HEADER} bytes"), text.len().to_string(), hint));
    }
    Ok(text)
}

/// A tensor in a file.
#[derive(Debug, Clone)]
struct Stored {
    width: Width,
    shape: Vec<usize>,
    /// Its first byte.
    start: u64,
}

/// A file whose header was read: tensors are read when they are asked for.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    file: File,
    tensors: BTreeMap<String, Stored>,
    metadata: BTreeMap<String, String>,
}

/// A tensor as the header has it.
#[derive(Deserialize)]
struct About {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

impl TensorFile {
    /// Opens a file; its numbers stay where they are.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Corrupt`] for a file that is truncated, no safetensors, or has
    /// tensors of other types than F32 and F64, or that overlap or leave gaps.
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = source::open(path)?;
        let length = file.metadata().map_err(Error::io(path, "read"))?.len();
        let mut head = [0; 8];
        let truncated = |found: String| {
            Error::corrupt(path, "a safetensors file", found, "the file is truncated: copy or download it again")
        };
        if length < 8 {
            return Err(truncated(format!("{length} bytes")));
        }
        file.read_exact(&mut head).map_err(Error::io(path, "read"))?;
        let n = u64::from_le_bytes(head);
        if n > HEADER as u64 {
            let found = format!("a header of {n} bytes");
            return Err(Error::corrupt(path, "a safetensors file", found, "give a file written by safetensors"));
        }
        if n > length - 8 {
            return Err(truncated(format!("{length} bytes for a header of {n}")));
        }
        let mut text = vec![0; n as usize];
        file.read_exact(&mut text).map_err(Error::io(path, "read"))?;
        let (tensors, metadata) = parse(&text, path, 8 + n, length)?;
        Ok(Self { path: path.to_path_buf(), file, tensors, metadata })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Text by name.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Names of the tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Sizes of a tensor along its axes.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where there is none of that name.
    pub fn shape(&self, name: &str) -> Result<&[usize]> {
        self.find(name).map(|stored| stored.shape.as_slice())
    }

    fn find(&self, name: &str) -> Result<&Stored> {
        self.tensors.get(name).ok_or_else(|| {
            let hint = "the file is damaged, or was written by something else";
            Error::corrupt(&self.path, format!("a tensor `{name}`"), "none of that name", hint)
        })
    }

    /// All numbers of a tensor of 64 bits.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for no such tensor, or numbers of another width; [`Error::Io`].
    pub fn f64s(&self, name: &str) -> Result<Vec<f64>> {
        let bytes = self.bytes(name, Width::F64, None)?;
        Ok(bytes.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b)).collect())
    }

    /// All numbers of a tensor of 32 bits, which must be finite.
    ///
    /// # Errors
    /// As [`f64s`](Self::f64s); [`Error::Corrupt`] for NaN or infinity.
    pub fn f32s(&self, name: &str) -> Result<Vec<f32>> {
        self.finite(name, self.bytes(name, Width::F32, None)?)
    }

    /// Some rows of a tensor of 32 bits, in the order asked for: its first axis counts rows.
    ///
    /// # Errors
    /// As [`f32s`](Self::f32s).
    ///
    /// # Panics
    /// When there is no such row.
    pub fn rows(&self, name: &str, rows: &[usize]) -> Result<Vec<f32>> {
        self.finite(name, self.bytes(name, Width::F32, Some(rows))?)
    }

    fn finite(&self, name: &str, bytes: Vec<u8>) -> Result<Vec<f32>> {
        let values: Vec<f32> = bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
        match values.iter().find(|v| !v.is_finite()) {
            None => Ok(values),
            Some(odd) => {
                let found = format!("{odd} in `{name}`");
                Err(Error::corrupt(&self.path, "finite numbers", found, "the file is damaged: make it again"))
            }
        }
    }

    fn bytes(&self, name: &str, width: Width, rows: Option<&[usize]>) -> Result<Vec<u8>> {
        let stored = self.find(name)?;
        if stored.width != width {
            let (expected, found) = (format!("`{name}` of type {}", width.name()), stored.width.name());
            return Err(Error::corrupt(&self.path, expected, found, "the file was written by something else"));
        }
        let all: usize = stored.shape.iter().product::<usize>() * width.bytes();
        let Some(rows) = rows else { return self.read(stored.start, all) };
        let n_rows = stored.shape.first().copied().unwrap_or(0);
        assert!(rows.iter().all(|&row| row < n_rows), "rows of the tensor");
        let n = all.checked_div(n_rows).unwrap_or(0);
        let mut bytes = Vec::with_capacity(rows.len() * n);
        for part in rows.chunk_by(|a, b| a + 1 == *b) {
            bytes.extend(self.read(stored.start + (part[0] * n) as u64, part.len() * n)?);
        }
        Ok(bytes)
    }

    fn read(&self, start: u64, n: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; n];
        let mut file = &self.file;
        let read = file.seek(SeekFrom::Start(start)).and_then(|_| file.read_exact(&mut bytes));
        read.map_err(Error::io(&self.path, "read")).map(|()| bytes)
    }
}

type Parsed = (BTreeMap<String, Stored>, BTreeMap<String, String>);

/// Tensors and metadata of a header, their places counted from the file's beginning.
fn parse(text: &[u8], path: &Path, data: u64, length: u64) -> Result<Parsed> {
    let wrong = |found: String| {
        Error::corrupt(path, "a safetensors file", found, "the file is damaged, or was written by something else")
    };
    let mut header: BTreeMap<String, Value> = serde_json::from_slice(text).map_err(|e| wrong(e.to_string()))?;
    let metadata = header.remove("__metadata__").unwrap_or_else(|| json!({}));
    let metadata = serde_json::from_value(metadata).map_err(|e| wrong(e.to_string()))?;
    let mut abouts = Vec::with_capacity(header.len());
    for (name, about) in header {
        let about: About = serde_json::from_value(about).map_err(|e| wrong(format!("{e} in `{name}`")))?;
        abouts.push((name, about));
    }
    abouts.sort_by_key(|(_, about)| about.data_offsets);
    let (mut tensors, mut end) = (BTreeMap::new(), 0);
    for (name, about) in abouts {
        let width = match about.dtype.as_str() {
            "F32" => Width::F32,
            "F64" => Width::F64,
            other => return Err(wrong(format!("numbers of type {other} in `{name}`"))),
        };
        let n = size::items(path, &format!("`{name}`"), &about.shape, width.bytes(), length - data)?;
        let [first, last] = about.data_offsets;
        if first != end || last.checked_sub(first) != Some((n * width.bytes()) as u64) {
            return Err(wrong(format!("`{name}` at bytes {first} to {last}, where its shape has another place")));
        }
        end = last;
        tensors.insert(name, Stored { width, shape: about.shape, start: data + first });
    }
    if data + end != length {
        let found = format!("{length} bytes, {} of them described", data + end);
        return Err(Error::corrupt(
            path,
            "a safetensors file",
            found,
            "the file is truncated: copy or download it again",
        ));
    }
    Ok((tensors, metadata))
}

#[cfg(test)]
#[path = "tensors_tests.rs"]
mod tests;
