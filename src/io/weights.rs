//! Weights by name in safetensors files: 32-bit in memory, 16, 32 or 64 bits on disk.

use crate::error::{Error, Result};
use ndarray::{ArrayD, IxDyn};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::collections::BTreeMap;
use std::path::Path;

/// Named row-major arrays.
pub type Arrays = BTreeMap<String, ArrayD<f32>>;

/// Floating-point width on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Width {
    #[default]
    F32,
    /// Half the size; values are rounded to 11 significant bits.
    F16,
}

const AGAIN: &str = "the file is truncated or damaged: download or write it again";

/// All floating-point tensors of a safetensors file; whole-numbered ones (counters) are left out.
///
/// # Errors
/// [`Error::Io`]; [`Error::Corrupt`] for a file that is truncated or not safetensors.
pub fn read(path: &Path) -> Result<Arrays> {
    from_bytes(&std::fs::read(path).map_err(Error::io(path, "read"))?, path)
}

/// As [`read`], for bytes in memory; `path` is for messages only.
///
/// # Errors
/// As [`read`].
pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Arrays> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| {
        Error::corrupt(
            path,
            "a safetensors file",
            format!("{} bytes that do not fit together ({e})", bytes.len()),
            AGAIN,
        )
    })?;
    let mut arrays = Arrays::new();
    for (name, view) in file.iter() {
        let Some(values) = floats(&view) else { continue };
        let array = ArrayD::from_shape_vec(IxDyn(view.shape()), values);
        let array = array.map_err(|e| {
            Error::corrupt(path, format!("{:?} numbers in `{name}`", view.shape()), format!("{e}"), AGAIN)
        })?;
        arrays.insert(name.to_owned(), array);
    }
    Ok(arrays)
}

/// A tensor's numbers, or `None` when they are not floating-point.
fn floats(view: &TensorView<'_>) -> Option<Vec<f32>> {
    fn each<const N: usize>(bytes: &[u8], f: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        bytes.chunks_exact(N).map(|c| f(c.try_into().expect("chunks of N bytes"))).collect()
    }
    let bytes = view.data();
    match view.dtype() {
        Dtype::F32 => Some(each(bytes, f32::from_le_bytes)),
        Dtype::F64 => Some(each(bytes, |b| f64::from_le_bytes(b) as f32)),
        Dtype::F16 => Some(each(bytes, |b| half::f16::from_le_bytes(b).to_f32())),
        Dtype::BF16 => Some(each(bytes, |b| half::bf16::from_le_bytes(b).to_f32())),
        _ => None,
    }
}

/// The bytes of a safetensors file, tensors in order of their names: equal arrays give equal bytes.
pub fn to_bytes(arrays: &Arrays, width: Width) -> Vec<u8> {
    let data: Vec<(&String, Vec<usize>, Vec<u8>)> =
        arrays.iter().map(|(name, a)| (name, a.shape().to_vec(), encode(a, width))).collect();
    let dtype = if width == Width::F16 { Dtype::F16 } else { Dtype::F32 };
    let views = data.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(dtype, shape.clone(), bytes).expect("as many bytes as the shape says");
        (name.as_str(), view)
    });
    safetensors::serialize(views, None).expect("names and shapes of arrays in memory can be written")
}

fn encode(array: &ArrayD<f32>, width: Width) -> Vec<u8> {
    match width {
        Width::F32 => array.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Width::F16 => array.iter().flat_map(|v| half::f16::from_f32(*v).to_le_bytes()).collect(),
    }
}

/// Writes a safetensors file atomically.
///
/// # Errors
/// [`Error::Io`].
pub fn write(path: &Path, arrays: &Arrays, width: Width) -> Result<()> {
    super::atomic::write(path, &to_bytes(arrays, width))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrays() -> Arrays {
        let values: Vec<f32> = (0..24).map(|i| (i as f32 * 0.37).sin()).collect();
        let a = ArrayD::from_shape_vec(IxDyn(&[2, 3, 4]), values).unwrap();
        Arrays::from([("conv1/7x7.weight".into(), a), ("scalar".into(), ArrayD::from_elem(IxDyn(&[]), 3.5))])
    }

    #[test]
    fn what_was_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.safetensors");
        write(&path, &arrays(), Width::F32).unwrap();
        assert_eq!(read(&path).unwrap(), arrays());
        write(&path, &arrays(), Width::F16).unwrap();
        let half = read(&path).unwrap();
        for (name, a) in arrays() {
            // 11 significant bits: relative rounding error at most 2^-12.
            assert!(a.iter().zip(&half[&name]).all(|(x, y)| (x - y).abs() <= x.abs() / 4096.0 + 1e-7), "{name}");
        }
    }

    #[test]
    fn a_truncated_file_is_corrupt() {
        let bytes = to_bytes(&arrays(), Width::F32);
        for n in [0, 4, 20, bytes.len() - 1] {
            let error = from_bytes(&bytes[..n], Path::new("w.safetensors")).unwrap_err();
            assert!(matches!(error, Error::Corrupt { .. }), "{n} bytes: {error}");
        }
    }
}
