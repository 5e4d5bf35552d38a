//! Network weights as safetensors: names, shapes and 32-bit numbers.
//!
//! Files are byte for byte the same for the same weights and metadata: names and metadata keys are
//! sorted. (The header is written here because the `safetensors` crate takes metadata from a hash
//! map, whose order changes from run to run.)

use crate::error::{Error, Result};
use crate::io::{atomic, source};
use crate::size;
use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn};
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

/// Weights by name.
pub type Weights = BTreeMap<String, ArrayD<f32>>;

/// Width of the numbers in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Storage {
    /// 32 bits: exact.
    #[default]
    F32,
    /// 16 bits: 11 significant bits, rounded to nearest; numbers beyond 65504 are refused.
    F16,
}

/// PyTorch's step counters of batch normalisation: integers that no forward pass uses.
const COUNTER: &str = "num_batches_tracked";

/// Reads all weights (F32, F16, BF16 and F64, converted to 32 bits) and the metadata.
///
/// Integer entries named `...num_batches_tracked` are left out.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read; [`Error::Corrupt`] when it is truncated or not
/// safetensors, when a tensor is of another type, or when a weight is NaN, infinite or too large
/// for 32 bits.
pub fn read(path: &Path) -> Result<(Weights, BTreeMap<String, String>)> {
    decode(&source::read(path)?, path)
}

/// The weights in the bytes of a safetensors file; `path` is only for messages. See [`read`].
pub fn decode(bytes: &[u8], path: &Path) -> Result<(Weights, BTreeMap<String, String>)> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| damaged(path, bytes.len(), &e))?;
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| damaged(path, bytes.len(), &e))?;
    let metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
    let mut weights = Weights::new();
    for (name, view) in file.iter() {
        if name.ends_with(COUNTER) && view.dtype() == Dtype::I64 {
            continue;
        }
        // The crate checks sides against bytes; a side of 0 hides others that no memory holds.
        size::items(path, &format!("`{name}`"), view.shape(), 4, 4 * bytes.len() as u64)?;
        let values = numbers(view.dtype(), view.data()).ok_or_else(|| {
            let hint = "convert the weights to float32 before saving them";
            Error::corrupt(
                path,
                "weights of type F32, F16, BF16 or F64",
                format!("{:?} in `{name}`", view.dtype()),
                hint,
            )
        })?;
        if let Some(at) = values.iter().position(|v| !v.is_finite()) {
            let found = format!("{} at item {at} of `{name}`", values[at]);
            return Err(Error::corrupt(
                path,
                "finite weights",
                found,
                "the training diverged or the file is damaged: export it again",
            ));
        }
        let array =
            ArrayD::from_shape_vec(IxDyn(view.shape()), values).expect("safetensors checks shapes against sizes");
        weights.insert(name.to_string(), array);
    }
    Ok((weights, metadata))
}

fn damaged(path: &Path, n_bytes: usize, error: &SafeTensorError) -> Error {
    use SafeTensorError as E;
    let (found, hint) = match error {
        E::HeaderTooSmall | E::InvalidHeaderLength | E::MetadataIncompleteBuffer => {
            (format!("a file cut off at {n_bytes} bytes ({error})"), "the file is truncated: copy or download it again")
        }
        _ => (error.to_string(), "give a file written by safetensors"),
    };
    Error::corrupt(path, "a safetensors file", found, hint)
}

fn numbers(dtype: Dtype, data: &[u8]) -> Option<Vec<f32>> {
    Some(match dtype {
        Dtype::F32 => data.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
        Dtype::F64 => data.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b) as f32).collect(),
        Dtype::F16 => data.as_chunks().0.iter().map(|&b| f16::from_le_bytes(b).to_f32()).collect(),
        Dtype::BF16 => data.as_chunks().0.iter().map(|&b| bf16::from_le_bytes(b).to_f32()).collect(),
        _ => return None,
    })
}

/// Writes weights atomically, names sorted.
///
/// # Errors
/// [`Error::Invalid`] when a weight is NaN, infinite or too large for the storage; [`Error::Io`]
/// when writing fails.
pub fn write(path: &Path, weights: &Weights, metadata: &BTreeMap<String, String>, storage: Storage) -> Result<()> {
    let bytes = encode(weights, metadata, storage)?;
    atomic::write_with(path, |file| file.write_all(&bytes))
}

/// The bytes of a safetensors file; see [`write()`].
pub fn encode(weights: &Weights, metadata: &BTreeMap<String, String>, storage: Storage) -> Result<Vec<u8>> {
    let (size, dtype) = match storage {
        Storage::F32 => (4, "F32"),
        Storage::F16 => (2, "F16"),
    };
    let mut header = Map::new();
    if !metadata.is_empty() {
        header.insert("__metadata__".into(), json!(metadata));
    }
    let mut end = 0;
    for (name, array) in weights {
        let start = end;
        end += size * array.len();
        header.insert(name.clone(), json!({"dtype": dtype, "shape": array.shape(), "data_offsets": [start, end]}));
    }
    let mut text = Value::Object(header).to_string().into_bytes();
    // The format wants the data to begin at a multiple of 8; spaces fill the gap.
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut bytes = Vec::with_capacity(8 + text.len() + end);
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text);
    for (name, array) in weights {
        for &value in array {
            let narrow = f16::from_f32(value);
            if !value.is_finite() || (storage == Storage::F16 && !narrow.is_finite()) {
                let expected = format!("weights that {dtype} can hold");
                return Err(Error::invalid(
                    format!("weights `{name}`"),
                    expected,
                    value.to_string(),
                    "store them as F32, or find where they overflow",
                ));
            }
            match storage {
                Storage::F32 => bytes.extend(value.to_le_bytes()),
                Storage::F16 => bytes.extend(narrow.to_le_bytes()),
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path() -> &'static Path {
        Path::new("weights.safetensors")
    }

    fn example() -> (Weights, BTreeMap<String, String>) {
        let array = |shape: &[usize]| ArrayD::from_shape_fn(IxDyn(shape), |i| i[0] as f32 - 0.5);
        let weights = [("conv1/weight", array(&[4, 3, 2, 2])), ("bias", array(&[4])), ("empty", array(&[0, 3]))];
        let metadata = ["card", "a", "z", "m"].map(|k| (k.to_string(), format!("{k} value")));
        (weights.map(|(n, a)| (n.to_string(), a)).into(), metadata.into())
    }

    #[test]
    fn the_crate_reads_what_we_write_and_bytes_repeat() {
        let (weights, metadata) = example();
        let bytes = encode(&weights, &metadata, Storage::F32).unwrap();
        assert_eq!(bytes, encode(&weights, &metadata, Storage::F32).unwrap());
        let names: Vec<_> = SafeTensors::deserialize(&bytes).unwrap().iter().map(|(n, _)| n.to_string()).collect();
        assert_eq!(names.len(), 3);
        assert_eq!(decode(&bytes, path()).unwrap(), (weights.clone(), metadata.clone()));
        let half = decode(&encode(&weights, &metadata, Storage::F16).unwrap(), path()).unwrap();
        assert_eq!(half.0, weights, "halves of small integers are exact in 16 bits");
    }

    #[test]
    fn truncation_anywhere_is_a_typed_error() {
        let (weights, metadata) = example();
        let bytes = encode(&weights, &metadata, Storage::F32).unwrap();
        for cut in (0..bytes.len()).step_by(7) {
            let error = decode(&bytes[..cut], path()).unwrap_err();
            assert!(
                matches!(&error, Error::Corrupt { hint, .. } if hint.contains("truncated")),
                "cut at {cut}: {error}"
            );
        }
        assert!(matches!(decode(b"PK\x03\x04 and so on, a zip", path()), Err(Error::Corrupt { .. })));
    }

    #[test]
    fn other_types_are_refused_and_counters_left_out() {
        let ints: Vec<u8> = [1i64, 2].iter().flat_map(|v| v.to_le_bytes()).collect();
        let view = |shape| safetensors::tensor::TensorView::new(Dtype::I64, shape, &ints).unwrap();
        let bytes = safetensors::serialize([("bn1.num_batches_tracked", view(vec![2]))], None).unwrap();
        assert!(decode(&bytes, path()).unwrap().0.is_empty());
        let bytes = safetensors::serialize([("index", view(vec![2]))], None).unwrap();
        let error = decode(&bytes, path()).unwrap_err();
        assert!(error.to_string().contains("I64") && error.to_string().contains("index"), "{error}");
    }

    #[test]
    fn f64_and_bf16_are_converted_and_nan_is_refused() {
        let read = |dtype, data: &[u8]| {
            let view = safetensors::tensor::TensorView::new(dtype, vec![2], data).unwrap();
            decode(&safetensors::serialize([("w", view)], None).unwrap(), path())
        };
        let f64s = |a: f64, b: f64| [a.to_le_bytes(), b.to_le_bytes()].concat();
        assert_eq!(read(Dtype::F64, &f64s(1.5, -2.0)).unwrap().0["w"].as_slice().unwrap(), [1.5, -2.0]);
        let bf16s = [bf16::from_f32(1.5).to_le_bytes(), bf16::from_f32(-2.0).to_le_bytes()].concat();
        assert_eq!(read(Dtype::BF16, &bf16s).unwrap().0["w"].as_slice().unwrap(), [1.5, -2.0]);
        for bad in [f64::NAN, f64::INFINITY, 1e300] {
            assert!(read(Dtype::F64, &f64s(1.0, bad)).unwrap_err().to_string().contains("item 1 of `w`"));
        }
    }

    #[test]
    fn what_the_storage_cannot_hold_is_refused() {
        let weights = |v| Weights::from([("w".to_string(), ArrayD::from_elem(IxDyn(&[1]), v))]);
        assert!(encode(&weights(7e4), &BTreeMap::new(), Storage::F16).is_err());
        assert!(encode(&weights(7e4), &BTreeMap::new(), Storage::F32).is_ok());
        assert!(encode(&weights(f32::NAN), &BTreeMap::new(), Storage::F32).is_err());
    }

    proptest! {
        #[test]
        fn read_after_write_is_the_same(values in prop::collection::vec(-1e30f32..1e30, 0..40), name in "[a-z._/0-9]{1,12}", note in ".{0,20}") {
            let weights = Weights::from([(name, ArrayD::from_shape_vec(IxDyn(&[values.len()]), values).unwrap())]);
            let metadata = BTreeMap::from([("note".to_string(), note)]);
            let bytes = encode(&weights, &metadata, Storage::F32).unwrap();
            prop_assert_eq!(decode(&bytes, path()).unwrap(), (weights, metadata));
        }
    }
}
