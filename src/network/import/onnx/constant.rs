//! ONNX tensors whose values are in the file (or in a file beside it), as arrays.

use super::proto::TensorProto;
use crate::error::{Error, Result};
use ndarray::{ArrayD, IxDyn};
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

/// Reads a tensor; `file` is the `.onnx` file, beside which external data lie.
///
/// # Errors
/// [`Error::Corrupt`] when the numbers are fewer or more than the dimensions say;
/// [`Error::Invalid`] for types that no network weight has.
pub fn read(tensor: &TensorProto, file: &Path) -> Result<Constant> {
    let name = tensor.name.clone().unwrap_or_default();
    let dims = dimensions(tensor, file, &name)?;
    let n: usize = dims.iter().product();
    let raw = if tensor.data_location == Some(1) {
        Raw::Bytes(external(tensor, file, &name)?.into())
    } else if let Some(bytes) = &tensor.raw_data {
        Raw::Bytes(bytes.as_slice().into())
    } else {
        Raw::Typed
    };
    let kind = tensor.data_type.unwrap_or(0);
    let floats = match (kind, &raw) {
        (1, Raw::Bytes(b)) => chunks(b).map(f32::from_le_bytes).collect(),
        (1, Raw::Typed) => tensor.float_data.clone(),
        (10, Raw::Bytes(b)) => chunks(b).map(|c| half::f16::from_le_bytes(c).to_f32()).collect(),
        (10, Raw::Typed) => tensor.int32_data.iter().map(|&v| half::f16::from_bits(v as u16).to_f32()).collect(),
        (16, Raw::Bytes(b)) => chunks(b).map(|c| half::bf16::from_le_bytes(c).to_f32()).collect(),
        (16, Raw::Typed) => tensor.int32_data.iter().map(|&v| half::bf16::from_bits(v as u16).to_f32()).collect(),
        (11, Raw::Bytes(b)) => chunks(b).map(|c| f64::from_le_bytes(c) as f32).collect(),
        (11, Raw::Typed) => tensor.double_data.iter().map(|&v| v as f32).collect(),
        _ => return ints(kind, &raw, tensor, dims, file, &name),
    };
    check_count(floats.len(), n, &raw, kind, file, &name)?;
    let array = ArrayD::from_shape_vec(IxDyn(&dims), floats).expect("counted above");
    Ok(Constant::Floats(array))
}

fn ints(kind: i32, raw: &Raw<'_>, tensor: &TensorProto, dims: Vec<usize>, file: &Path, name: &str) -> Result<Constant> {
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
    check_count(values.len(), dims.iter().product(), raw, kind, file, name)?;
    Ok(Constant::Ints { values })
}

/// A type of numbers as ONNX calls it.
pub fn kind_name(kind: i32) -> String {
    let names = ["undefined", "float", "uint8", "int8", "uint16", "int16", "int32", "int64", "string", "bool"];
    let known = usize::try_from(kind).ok().and_then(|k| names.get(k));
    known.map_or_else(|| format!("ONNX type {kind}"), |name| (*name).to_owned())
}

fn dimensions(tensor: &TensorProto, file: &Path, name: &str) -> Result<Vec<usize>> {
    let dims: Option<Vec<usize>> = tensor.dims.iter().map(|&d| usize::try_from(d).ok()).collect();
    dims.filter(|d| d.iter().try_fold(1usize, |n, &m| n.checked_mul(m)).is_some_and(|n| n < 1 << 40)).ok_or_else(|| {
        Error::corrupt(
            file,
            format!("dimensions of `{name}`"),
            format!("{:?}", tensor.dims),
            "export the network again",
        )
    })
}

/// The whole numbers in `bytes`; a rest is caught by [`check_count`].
fn chunks<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    bytes.chunks_exact(N).map(|c| c.try_into().expect("chunks of N bytes"))
}

fn check_count(found: usize, expected: usize, raw: &Raw<'_>, kind: i32, file: &Path, name: &str) -> Result<()> {
    let size = match kind {
        10 | 16 => 2,
        1 | 6 => 4,
        _ => 8,
    };
    let whole = match raw {
        Raw::Bytes(b) => b.len() == expected * size,
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

/// Bytes of a tensor kept in another file of the same folder.
fn external(tensor: &TensorProto, file: &Path, name: &str) -> Result<Vec<u8>> {
    use std::io::{Read, Seek, SeekFrom};
    let entry = |key: &str| {
        tensor.external_data.iter().find(|e| e.key.as_deref() == Some(key)).and_then(|e| e.value.as_deref())
    };
    let broken = |found: String| {
        Error::corrupt(file, format!("where the data of `{name}` lie"), found, "export the network again")
    };
    let location = entry("location").ok_or_else(|| broken("no location".into()))?;
    let relative = PathBuf::from(location);
    if relative.components().any(|c| !matches!(c, Component::Normal(_) | Component::CurDir)) {
        return Err(broken(format!("`{location}`, which is outside the model's folder")));
    }
    let number =
        |key: &str| entry(key).map(|v| v.parse::<u64>().map_err(|_| broken(format!("{key} `{v}`")))).transpose();
    let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
    let path = file.parent().unwrap_or(Path::new("")).join(relative);
    // A device or a pipe might never end.
    if !std::fs::metadata(&path).map_err(Error::io(&path, "read"))?.is_file() {
        return Err(broken(format!("`{location}`, which is no file")));
    }
    let mut source = std::fs::File::open(&path).map_err(Error::io(&path, "read"))?;
    source.seek(SeekFrom::Start(offset)).map_err(Error::io(&path, "read"))?;
    let mut bytes = Vec::new();
    source.take(length.unwrap_or(u64::MAX)).read_to_end(&mut bytes).map_err(Error::io(&path, "read"))?;
    match length {
        Some(l) if l != bytes.len() as u64 => Err(Error::corrupt(
            &path,
            format!("{l} bytes of `{name}` at {offset}"),
            format!("{}", bytes.len()),
            "the file is truncated: download or export it again",
        )),
        _ => Ok(bytes),
    }
}
