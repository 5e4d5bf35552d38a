//! NumPy's `.npy`: one array a file.
//!
//! Reading accepts bool, 8- to 64-bit integers, f4 and f8 in either byte order and either memory order, and converts to the
//! type that is asked for; a value that the asked type cannot hold is an error, never a silent change.

use crate::error::{Error, Result};
use crate::io::atomic;
use ndarray::{ArrayD, ArrayRef, Dimension};
use ndarray_npy::{ReadNpyExt, ReadableElement, WritableElement, WriteNpyExt};
use std::io::Read;
use std::path::Path;

/// A number type that an array can be read into.
pub trait Element: Copy + 'static {
    /// The type's name in messages, as NumPy writes it.
    const NAME: &'static str;
    /// The nearest value; `None` when the number is out of range or (integers) not whole.
    fn from_float(value: f64) -> Option<Self>;
    /// The same value; `None` when the number is out of range.
    fn from_int(value: i128) -> Option<Self>;
}

impl Element for f64 {
    const NAME: &'static str = "float64";
    fn from_float(value: f64) -> Option<Self> {
        Some(value)
    }
    fn from_int(value: i128) -> Option<Self> {
        Some(value as f64)
    }
}

impl Element for f32 {
    const NAME: &'static str = "float32";
    fn from_float(value: f64) -> Option<Self> {
        let narrow = value as f32;
        (narrow.is_finite() || !value.is_finite()).then_some(narrow)
    }
    fn from_int(value: i128) -> Option<Self> {
        Some(value as f32)
    }
}

macro_rules! integer_element {
    ($($kind:ty, $name:literal;)*) => {$(
        impl Element for $kind {
            const NAME: &'static str = $name;
            fn from_float(value: f64) -> Option<Self> {
                (value.fract() == 0.0).then(|| Self::from_int(value as i128)).flatten()
            }
            fn from_int(value: i128) -> Option<Self> {
                Self::try_from(value).ok()
            }
        }
    )*};
}
integer_element! { u8, "uint8"; i32, "int32"; i64, "int64"; u64, "uint64"; }

impl Element for bool {
    const NAME: &'static str = "bool";
    fn from_float(value: f64) -> Option<Self> {
        (value.fract() == 0.0).then(|| Self::from_int(value as i128)).flatten()
    }
    fn from_int(value: i128) -> Option<Self> {
        match value {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

/// Reads an array of any rank.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read; [`Error::Corrupt`] when it is truncated, not npy, of a type without
/// numbers (pickled objects, text, records), or holds a value that `T` cannot.
pub fn read<T: Element>(path: &Path) -> Result<ArrayD<T>> {
    let bytes = std::fs::read(path).map_err(Error::io(path, "read"))?;
    decode(&bytes, path)
}

/// Shape of an array of uint8 in C order and where its bytes begin in the file, so that they can be read one by one; `None`
/// for any other array, and for a file of another size than its header says: [`read`] converts those, or says what is wrong.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read.
pub(crate) fn plain_bytes(path: &Path) -> Result<Option<(Vec<usize>, u64)>> {
    let mut file = std::fs::File::open(path).map_err(Error::io(path, "read"))?;
    let size = file.metadata().map_err(Error::io(path, "read"))?.len();
    let mut start = Vec::new();
    file.by_ref().take(HEADER).read_to_end(&mut start).map_err(Error::io(path, "read"))?;
    let Ok(header) = Header::parse(&start, path) else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&start[..header.data_start]);
    let in_order = value_of(&text, "fortran_order").is_some_and(|v| v.starts_with("False"));
    let whole =
        header.n_items() > 0 && header.n_items().checked_add(header.data_start as u128) == Some(u128::from(size));
    let plain = in_order && whole && header.descr.trim_start_matches(['<', '>', '|', '=']) == "u1";
    // Every side is at most the number of items, which the file's size bounds.
    Ok(plain.then(|| (header.shape.iter().map(|&side| side as usize).collect(), header.data_start as u64)))
}

/// Bytes that hold any header that NumPy writes.
const HEADER: u64 = 1 << 16;

/// Writes an array; C order unless the array itself lies in Fortran order. NumPy's header version 1.0.
///
/// # Errors
/// [`Error::Io`] when the file cannot be written.
pub fn write<A: WritableElement, D: Dimension>(path: &Path, array: &ArrayRef<A, D>) -> Result<()> {
    atomic::write(path, &encode(array))
}

/// The bytes of an npy file; see [`write()`].
pub fn encode<A: WritableElement, D: Dimension>(array: &ArrayRef<A, D>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128 + array.len() * size_of::<A>());
    array.write_npy(&mut bytes).expect("a Vec takes every byte, and a shape of numbers is a valid header");
    bytes
}

/// The array in the bytes of an npy file; `path` is only for messages. See [`read`].
pub fn decode<T: Element>(bytes: &[u8], path: &Path) -> Result<ArrayD<T>> {
    let header = Header::parse(bytes, path)?;
    let code = header.descr.trim_start_matches(['<', '>', '|', '=']);
    if header.n_bytes(code).is_none_or(|expected| expected > (bytes.len() - header.data_start) as u128) {
        return Err(Error::corrupt(
            path,
            format!("{} of {} numbers of type {}", "an array", header.n_items(), header.descr),
            format!("only {} bytes of data", bytes.len() - header.data_start),
            "the file is truncated: copy or write it again",
        ));
    }
    match code {
        "f8" => floats::<f64, T>(bytes, path),
        "f4" => floats::<f32, T>(bytes, path),
        "i8" => integers::<i64, T>(bytes, path),
        "i4" => integers::<i32, T>(bytes, path),
        "i2" => integers::<i16, T>(bytes, path),
        "i1" => integers::<i8, T>(bytes, path),
        "u8" => integers::<u64, T>(bytes, path),
        "u4" => integers::<u32, T>(bytes, path),
        "u2" => integers::<u16, T>(bytes, path),
        "u1" => integers::<u8, T>(bytes, path),
        "b1" => integers::<bool, T>(bytes, path),
        _ => Err(unreadable(path, &header.descr)),
    }
}

fn unreadable(path: &Path, descr: &str) -> Error {
    let (found, hint) = match descr.trim_start_matches(['<', '>', '|', '=']) {
        "O" => (
            "a pickled array of Python objects (dtype object)".to_string(),
            "pickles are never executed; in Python: np.save(FILE, np.load(FILE, allow_pickle=True).astype('float64')), one array a file",
        ),
        other => (format!("dtype {other}"), "in Python: np.save(FILE, array.astype('float32'))"),
    };
    Error::corrupt(path, "an array of numbers (bool, integer, float32 or float64)", found, hint)
}

fn floats<S: ReadableElement + Copy + Into<f64>, T: Element>(bytes: &[u8], path: &Path) -> Result<ArrayD<T>> {
    convert::<S, T>(bytes, path, |v| T::from_float(v.into()), |v| format!("{}", v.into()))
}

fn integers<S: ReadableElement + Copy + Into<i128>, T: Element>(bytes: &[u8], path: &Path) -> Result<ArrayD<T>> {
    convert::<S, T>(bytes, path, |v| T::from_int(v.into()), |v| format!("{}", v.into()))
}

fn convert<S: ReadableElement + Copy, T: Element>(
    bytes: &[u8],
    path: &Path,
    to: impl Fn(S) -> Option<T>,
    show: impl Fn(S) -> String,
) -> Result<ArrayD<T>> {
    let source = ArrayD::<S>::read_npy(bytes)
        .map_err(|e| Error::corrupt(path, "an npy array", e.to_string(), "write the file again with numpy.save"))?;
    if let Some(&bad) = source.iter().find(|&&v| to(v).is_none()) {
        let hint = "convert the array in Python with astype, or give the file that was meant";
        return Err(Error::corrupt(path, format!("values that fit {}", T::NAME), show(bad), hint));
    }
    // Row-major whatever the file's order: everything after this point may rely on it.
    let values: Vec<T> = source.iter().map(|&v| to(v).expect("checked above")).collect();
    Ok(ArrayD::from_shape_vec(source.raw_dim(), values).expect("as many values as the source has"))
}

/// What is needed of the header before the data are touched: the type for the dispatch, and the shape, so that a damaged
/// header cannot ask for more memory than the file has data.
struct Header {
    descr: String,
    shape: Vec<u128>,
    data_start: usize,
}

impl Header {
    fn parse(bytes: &[u8], path: &Path) -> Result<Self> {
        let bad = |found: &str| {
            Error::corrupt(
                path,
                "a NumPy .npy file",
                found,
                "give a file written by numpy.save; a truncated copy must be made again",
            )
        };
        if bytes.is_empty() {
            return Err(bad("an empty file"));
        }
        if !bytes.starts_with(b"\x93NUMPY") {
            return Err(bad("other bytes at its start"));
        }
        let (length, start): (usize, usize) = match (bytes.get(6), bytes.get(8..10), bytes.get(8..12)) {
            (Some(1), Some(n), _) => (usize::from(u16::from_le_bytes([n[0], n[1]])), 10),
            (Some(2 | 3), _, Some(n)) => (u32::from_le_bytes([n[0], n[1], n[2], n[3]]) as usize, 12),
            (Some(1..=3) | None, ..) => return Err(bad("a truncated header")),
            (Some(version), ..) => return Err(bad(&format!("format version {version}"))),
        };
        let text = bytes.get(start..start.saturating_add(length)).ok_or_else(|| bad("a truncated header"))?;
        let text = String::from_utf8_lossy(text);
        let descr = value_of(&text, "descr").ok_or_else(|| bad("a header without descr"))?;
        let descr = match descr.strip_prefix(['\'', '"']) {
            Some(rest) => rest.split(['\'', '"']).next().unwrap_or_default().to_string(),
            None => "a record array".to_string(),
        };
        let shape = value_of(&text, "shape").ok_or_else(|| bad("a header without shape"))?;
        let shape = shape.trim_start_matches('(').split(')').next().unwrap_or_default();
        let shape = shape.split(',').map(|n| n.trim().trim_end_matches('L')).filter(|n| !n.is_empty());
        let shape = shape.map(str::parse).collect::<Result<_, _>>().map_err(|_| bad("a shape that is not numbers"))?;
        Ok(Self { descr, shape, data_start: start + length })
    }

    fn n_items(&self) -> u128 {
        self.shape.iter().fold(1, |n: u128, &side| n.saturating_mul(side))
    }

    /// Bytes of data for a type code such as `f8`; `None` on overflow. Unknown codes need none: they are refused later.
    fn n_bytes(&self, code: &str) -> Option<u128> {
        let size = code.get(1..).and_then(|n| n.parse::<u128>().ok()).unwrap_or(0);
        self.shape.iter().try_fold(size, |n, &side| n.checked_mul(side))
    }
}

/// The text after `'key':` in a Python dictionary literal.
fn value_of<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    let at = text.find(&format!("'{key}'")).or_else(|| text.find(&format!("\"{key}\"")))?;
    Some(text[at + key.len() + 2..].trim_start().strip_prefix(':')?.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array, Array2, IxDyn, arr2};
    use proptest::prelude::*;

    fn path() -> &'static Path {
        Path::new("a.npy")
    }

    #[test]
    fn every_type_converts_or_says_why_not() {
        let whole = arr2(&[[0.0f64, 1.0], [200.0, 3.0]]);
        assert_eq!(decode::<u8>(&encode(&whole), path()).unwrap().as_slice().unwrap(), [0, 1, 200, 3]);
        assert_eq!(decode::<f32>(&encode(&whole.mapv(|v| v as i64)), path()).unwrap()[[1, 0]], 200.0);
        assert_eq!(decode::<f64>(&encode(&whole.mapv(|v| v as i32)), path()).unwrap()[[1, 0]], 200.0);
        assert_eq!(decode::<i64>(&encode(&whole.mapv(|v| v as u8)), path()).unwrap()[[1, 0]], 200);
        assert_eq!(decode::<f64>(&encode(&whole.mapv(|v| v > 0.5)), path()).unwrap()[[0, 1]], 1.0);
        let refused = decode::<bool>(&encode(&whole), path()).unwrap_err();
        assert!(refused.to_string().contains("200") && refused.to_string().contains("bool"), "{refused}");
        assert!(decode::<u8>(&encode(&arr2(&[[0.5]])), path()).is_err());
        assert!(decode::<f32>(&encode(&arr2(&[[1e300]])), path()).is_err());
        assert!(decode::<f32>(&encode(&arr2(&[[f64::NAN]])), path()).unwrap()[[0, 0]].is_nan());
    }

    #[test]
    fn fortran_order_comes_back_row_major() {
        let rows = Array2::from_shape_fn((3, 4), |(i, j)| (10 * i + j) as f32);
        let mut columns = Array2::zeros(ndarray::ShapeBuilder::f((3, 4)));
        columns.assign(&rows);
        let bytes = encode(&columns);
        assert!(String::from_utf8_lossy(&bytes[..100]).contains("'fortran_order': True"));
        let back = decode::<f32>(&bytes, path()).unwrap();
        assert!(back.is_standard_layout());
        assert_eq!(back, rows.into_dyn());
    }

    #[test]
    fn damage_is_a_typed_error() {
        let bytes = encode(&Array2::<f64>::zeros((5, 5)));
        for cut in [0, 3, 7, 20, 127, 200, bytes.len() - 1] {
            let error = decode::<f64>(&bytes[..cut], path()).unwrap_err();
            assert!(matches!(error, Error::Corrupt { .. }), "cut at {cut}: {error}");
        }
        let mut more = bytes;
        more.push(0);
        assert!(decode::<f64>(&more, path()).is_err(), "bytes behind the array are damage too");
    }

    #[test]
    fn a_header_cannot_ask_for_memory_without_data() {
        let bytes = encode(&Array2::<f64>::zeros((5, 5)));
        for shape in ["(9999999999999999999, )", "(99999999, 99999999, 99999999)"] {
            let text = String::from_utf8_lossy(&bytes[10..128]).replace("(5, 5)", shape);
            let text = format!("{:<117}\n", text.trim_end());
            let forged = [&bytes[..8], &118u16.to_le_bytes(), text.as_bytes(), &bytes[128..]].concat();
            assert!(matches!(decode::<f64>(&forged, path()), Err(Error::Corrupt { .. })));
        }
    }

    #[test]
    fn pickled_objects_are_refused_by_name() {
        let header = "{'descr': '|O', 'fortran_order': False, 'shape': (2,), }";
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend(118u16.to_le_bytes());
        bytes.extend(format!("{header:<117}\n").bytes());
        bytes.extend(b"\x80\x04pickle");
        let error = decode::<f64>(&bytes, path()).unwrap_err();
        assert!(error.to_string().contains("pickled"), "{error}");
        assert!(error.hint().unwrap().contains("allow_pickle"));
    }

    proptest! {
        #[test]
        fn read_after_write_is_the_same(values in prop::collection::vec(any::<f64>(), 0..60), columns in 1usize..5) {
            let rows = values.len() / columns;
            let array = Array::from_shape_vec(IxDyn(&[rows, columns]), values[..rows * columns].to_vec()).unwrap();
            let back = decode::<f64>(&encode(&array), path()).unwrap();
            prop_assert_eq!(back.shape(), array.shape());
            prop_assert!(back.iter().zip(&array).all(|(a, b)| a.to_bits() == b.to_bits()));
        }
    }
}
