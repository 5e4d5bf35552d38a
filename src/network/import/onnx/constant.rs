//! ONNX tensors whose values are in the file (or in a file beside it), as arrays.

use super::proto::TensorProto;
use crate::error::{Error, Result};
use crate::io::source;
use crate::size;
use ndarray::{ArrayD, IxDyn};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

/// A tensor known before the network runs.
#[derive(Debug, Clone)]
pub enum Constant {
    Floats(ArrayD<f32>),
    Ints { values: Vec<i64> },
}

/// Numbers as they lie in the file, little-endian.
enum Raw<'a> {
    Bytes(std::borrow::Cow<'a, [u8]>),
    Typed,
}

/// The `.onnx` file, and the files beside it in which external data lie.
pub struct Beside<'a> {
    file: &'a Path,
    /// Bytes of each file beside it.
    lengths: BTreeMap<PathBuf, u64>,
    /// Bytes that tensors took of them.
    taken: u64,
}

impl<'a> Beside<'a> {
    pub fn new(file: &'a Path) -> Self {
        Self { file, lengths: BTreeMap::new(), taken: 0 }
    }

    /// Bytes of all files beside the model's that were read.
    pub fn bytes(&self) -> usize {
        self.lengths.values().sum::<u64>() as usize
    }

    /// Opens a file of the model's folder and takes `n` bytes of it: tensors may lie on the same
    /// bytes, but all together take no more than the files hold twice, or [`size::FREE`].
    /// Without a stated length they reach to the end.
    fn take(&mut self, path: &Path, offset: u64, n: u64, stated: bool, name: &str) -> Result<File> {
        let mut source = source::open(path)?;
        let length = source.metadata().map_err(Error::io(path, "read"))?.len();
        self.lengths.insert(path.to_path_buf(), length);
        self.taken = self.taken.saturating_add(n);
        let most = size::FREE.max(self.lengths.values().sum::<u64>().saturating_mul(2));
        let fits = offset.checked_add(n).is_some_and(|end| if stated { end <= length } else { end == length });
        if !fits || self.taken > most {
            let found = match self.taken > most {
                true => "tensors that repeat the same bytes over and over".to_owned(),
                false => format!("a file of {length}"),
            };
            return Err(Error::corrupt(
                path,
                format!("{n} bytes of `{name}` at {offset}"),
                found,
                "the file is truncated: download or export it again",
            ));
        }
        source.seek(SeekFrom::Start(offset)).map_err(Error::io(path, "read"))?;
        Ok(source)
    }
}

/// Reads a tensor.
///
/// # Errors
/// [`Error::Corrupt`] when the numbers are fewer or more than the dimensions say;
/// [`Error::Invalid`] for types that no network weight has.
pub fn read(tensor: &TensorProto, beside: &mut Beside<'_>) -> Result<Constant> {
    let file = beside.file;
    let name = tensor.name.clone().unwrap_or_default();
    let (dims, n) = dimensions(tensor, file, &name)?;
    let kind = tensor.data_type.unwrap_or(0);
    let raw = if !matches!(kind, 1 | 6 | 7 | 10 | 11 | 16) {
        Raw::Typed
    } else if tensor.data_location == Some(1) {
        Raw::Bytes(external(tensor, beside, &name, n)?.into())
    } else if let Some(bytes) = &tensor.raw_data {
        Raw::Bytes(bytes.as_slice().into())
    } else {
        Raw::Typed
    };
    let floats = match (kind, &raw) {
        (1, Raw::Bytes(b)) => chunks(b).map(f32::from_le_bytes).collect(),
        (1, Raw::Typed) => tensor.float_data.clone(),
        (10, Raw::Bytes(b)) => chunks(b).map(|c| half::f16::from_le_bytes(c).to_f32()).collect(),
        (10, Raw::Typed) => tensor.int32_data.iter().map(|&v| half::f16::from_bits(v as u16).to_f32()).collect(),
        (16, Raw::Bytes(b)) => chunks(b).map(|c| half::bf16::from_le_bytes(c).to_f32()).collect(),
        (16, Raw::Typed) => tensor.int32_data.iter().map(|&v| half::bf16::from_bits(v as u16).to_f32()).collect(),
        (11, Raw::Bytes(b)) => chunks(b).map(|c| f64::from_le_bytes(c) as f32).collect(),
        (11, Raw::Typed) => tensor.double_data.iter().map(|&v| v as f32).collect(),
        _ => return ints(kind, &raw, tensor, n, file, &name),
    };
    check_count(floats.len(), n, &raw, kind, file, &name)?;
    let array = ArrayD::from_shape_vec(IxDyn(&dims), floats).expect("counted above");
    Ok(Constant::Floats(array))
}

fn ints(kind: i32, raw: &Raw<'_>, tensor: &TensorProto, n: usize, file: &Path, name: &str) -> Result<Constant> {
    let values: Vec<i64> = match (kind, raw) {
        (7, Raw::Bytes(b)) => chunks(b).map(i64::from_le_bytes).collect(),
        (7, Raw::Typed) => tensor.int64_data.clone(),
        (6, Raw::Bytes(b)) => chunks(b).map(|c| i64::from(i32::from_le_bytes(c))).collect(),
        (6, Raw::Typed) => tensor.int32_data.iter().map(|&v| i64::from(v)).collect(),
        _ => {
            return Err(Error::invalid(
                format!("{}: tensor `{name}`", file.display()),
                "numbers of type float, float16, bfloat16, double, int32 or int64",
                kind_name(kind),
                "export the network in 32-bit floating point, not quantised",
            ));
        }
    };
    check_count(values.len(), n, raw, kind, file, name)?;
    Ok(Constant::Ints { values })
}

/// A type of numbers as ONNX calls it.
pub fn kind_name(kind: i32) -> String {
    let names = ["undefined", "float", "uint8", "int8", "uint16", "int16", "int32", "int64", "string", "bool"];
    let known = usize::try_from(kind).ok().and_then(|k| names.get(k));
    known.map_or_else(|| format!("ONNX type {kind}"), |name| (*name).to_owned())
}

/// Sides of a tensor (64 at most, as NumPy's), and how many numbers that makes.
fn dimensions(tensor: &TensorProto, file: &Path, name: &str) -> Result<(Vec<usize>, usize)> {
    let dims: Option<Vec<usize>> = tensor.dims.iter().take(65).map(|&d| usize::try_from(d).ok()).collect();
    let counted = dims.filter(|d| d.len() <= 64).and_then(|d| {
        let n = size::product(d.iter().copied().chain([8]))? / 8;
        Some((d, n))
    });
    counted.ok_or_else(|| {
        Error::corrupt(
            file,
            format!("dimensions of `{name}`"),
            format!("{:?}", &tensor.dims[..tensor.dims.len().min(65)]),
            "export the network again",
        )
    })
}

/// Bytes of a number of a type.
fn width(kind: i32) -> usize {
    match kind {
        10 | 16 => 2,
        1 | 6 => 4,
        _ => 8,
    }
}

/// The whole numbers in `bytes`; a rest is caught by [`check_count`].
fn chunks<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    bytes.chunks_exact(N).map(|c| c.try_into().expect("chunks of N bytes"))
}

fn check_count(found: usize, expected: usize, raw: &Raw<'_>, kind: i32, file: &Path, name: &str) -> Result<()> {
    let whole = match raw {
        Raw::Bytes(b) => Some(b.len()) == expected.checked_mul(width(kind)),
        Raw::Typed => found == expected,
    };
    if whole {
        return Ok(());
    }
    Err(Error::corrupt(
        file,
        format!("{expected} numbers in the tensor `{name}`"),
        format!("{found}"),
        "the file is damaged: download or export it again",
    ))
}

/// Bytes of a tensor of `n` numbers kept in another file of the same folder.
fn external(tensor: &TensorProto, beside: &mut Beside<'_>, name: &str, n: usize) -> Result<Vec<u8>> {
    let file = beside.file;
    let entry = |key: &str| {
        tensor.external_data.iter().find(|e| e.key.as_deref() == Some(key)).and_then(|e| e.value.as_deref())
    };
    let broken = |found: String| {
        Error::corrupt(file, format!("where the data of `{name}` lie"), found, "export the network again")
    };
    let location = entry("location").ok_or_else(|| broken("no location".into()))?;
    let relative = PathBuf::from(location);
    if location.contains('\0') || relative.components().any(|c| !matches!(c, Component::Normal(_) | Component::CurDir))
    {
        return Err(broken(format!("`{location}`, which is outside the model's folder")));
    }
    let number =
        |key: &str| entry(key).map(|v| v.parse::<u64>().map_err(|_| broken(format!("{key} `{v}`")))).transpose();
    let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
    let needed = (n * width(tensor.data_type.unwrap_or(0))) as u64;
    if let Some(other) = length.filter(|l| *l != needed) {
        return Err(Error::corrupt(
            file,
            format!("{n} numbers in the tensor `{name}`, {needed} bytes"),
            format!("a length of {other}"),
            "the file is damaged: download or export it again",
        ));
    }
    let path = file.parent().unwrap_or(Path::new("")).join(relative);
    let mut source = beside.take(&path, offset, needed, length.is_some(), name)?;
    let mut bytes = Vec::new();
    let no_memory = |_| Error::io(&path, "read")(ErrorKind::OutOfMemory.into());
    bytes.try_reserve_exact(needed as usize).map_err(no_memory)?;
    source.by_ref().take(needed).read_to_end(&mut bytes).map_err(Error::io(&path, "read"))?;
    Ok(bytes)
}
