//! NumPy's `.npy`: one array a file.
//!
//! Reading accepts bool, 8- to 64-bit integers, f2, f4 and f8 in either byte order and either
//! memory order, and converts to the type that is asked for; a value that the asked type cannot
//! hold is an error, never a silent change. Floats are rounded to the nearest of a narrower float
//! type; integers must be held exactly.

use crate::error::{Error, Result};
use crate::io::{atomic, source};
use crate::size;
use half::f16;
use ndarray::{ArrayD, ArrayRef, Dimension, IxDyn, ShapeBuilder};
use ndarray_npy::{WritableElement, WriteNpyExt};
use std::io::Read;
use std::path::Path;

/// A number type that an array can be read into.
pub trait Element: Copy + 'static {
    /// The type's name in messages, as NumPy writes it.
    const NAME: &'static str;
    /// The nearest value; `None` when the number is out of range or (integers) not whole.
    fn from_float(value: f64) -> Option<Self>;
    /// The same value; `None` when the type does not hold it exactly.
    fn from_int(value: i128) -> Option<Self>;
}

impl Element for f64 {
    const NAME: &'static str = "float64";
    fn from_float(value: f64) -> Option<Self> {
        Some(value)
    }
    fn from_int(value: i128) -> Option<Self> {
        Some(value as f64).filter(|wide| *wide as i128 == value)
    }
}

impl Element for f32 {
    const NAME: &'static str = "float32";
    fn from_float(value: f64) -> Option<Self> {
        let narrow = value as f32;
        (narrow.is_finite() || !value.is_finite()).then_some(narrow)
    }
    fn from_int(value: i128) -> Option<Self> {
        Some(value as f32).filter(|narrow| *narrow as i128 == value)
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
/// [`Error::Io`] when the file cannot be read; [`Error::Corrupt`] when it is truncated, not npy, of
/// a type without numbers (pickled objects, text, records), or holds a value that `T` cannot.
pub fn read<T: Element>(path: &Path) -> Result<ArrayD<T>> {
    decode(&source::read(path)?, path)
}

/// Shape of a little-endian array in C order of the type `code` (`u1`, `f4`) and where its bytes begin
/// in the file, so that they can be read one by one; `None` for any other array, and for a file of
/// another size than its header says: [`read`] converts those, or says what is wrong.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read.
pub(crate) fn plain(path: &Path, code: &str) -> Result<Option<(Vec<usize>, u64)>> {
    let mut file = source::open(path)?;
    let size = file.metadata().map_err(Error::io(path, "read"))?.len();
    let mut start = Vec::new();
    file.by_ref().take(HEADER).read_to_end(&mut start).map_err(Error::io(path, "read"))?;
    let Ok(header) = Header::parse(&start, path) else {
        return Ok(None);
    };
    // The header's sides have a product that memory holds.
    let n_items: usize = header.shape.iter().product();
    let width: u64 = if code.ends_with('4') { 4 } else { 1 };
    let whole = n_items > 0 && n_items as u64 * width + header.data_start as u64 == size;
    let plain = !header.fortran_order && whole && header.descr.trim_start_matches(['<', '|', '=']) == code;
    Ok(plain.then_some((header.shape, header.data_start as u64)))
}

/// Bytes that hold any header that NumPy writes.
const HEADER: u64 = 1 << 16;

/// NumPy's own limit (`NPY_MAXDIMS`).
const MOST_SIDES: usize = 64;

/// Writes an array; C order unless the array itself lies in Fortran order. NumPy's header version
/// 1.0.
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
    let data = header.data(bytes, path)?;
    let big = header.descr.starts_with('>');
    let values = match header.code() {
        "f8" => convert(words(data, big).map(f64::from_le_bytes), path, T::from_float),
        "f4" => convert(words(data, big).map(|w| f64::from(f32::from_le_bytes(w))), path, T::from_float),
        "f2" => convert(words(data, big).map(|w| f16::from_le_bytes(w).to_f64()), path, T::from_float),
        "i8" => convert(words(data, big).map(|w| i64::from_le_bytes(w).into()), path, T::from_int),
        "i4" => convert(words(data, big).map(|w| i32::from_le_bytes(w).into()), path, T::from_int),
        "i2" => convert(words(data, big).map(|w| i16::from_le_bytes(w).into()), path, T::from_int),
        "i1" => convert(words(data, big).map(|w| i8::from_le_bytes(w).into()), path, T::from_int),
        "u8" => convert(words(data, big).map(|w| u64::from_le_bytes(w).into()), path, T::from_int),
        "u4" => convert(words(data, big).map(|w| u32::from_le_bytes(w).into()), path, T::from_int),
        "u2" => convert(words(data, big).map(|w| u16::from_le_bytes(w).into()), path, T::from_int),
        "u1" => convert(data.iter().map(|&b| b.into()), path, T::from_int),
        _ => convert(data.iter().map(|&b| b.into()), path, |v: i128| T::from_int(v).filter(|_| v < 2)),
    };
    header.arranged(values?, path)
}

/// The `N`-byte numbers of the data, least significant byte first.
fn words<const N: usize>(data: &[u8], big_endian: bool) -> impl Iterator<Item = [u8; N]> {
    data.chunks_exact(N).map(move |chunk| {
        let mut word: [u8; N] = chunk.try_into().expect("chunks are of N bytes");
        if big_endian {
            word.reverse();
        }
        word
    })
}

/// Kinds of numbers that an array can be of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Bool,
    Integer,
    Float,
}

/// The kind of an array's numbers.
///
/// # Errors
/// [`Error::Corrupt`] when the bytes are not those of an npy file.
pub fn kind(bytes: &[u8], path: &Path) -> Result<Kind> {
    Ok(match Header::parse(bytes, path)?.code().as_bytes().first() {
        Some(b'f') => Kind::Float,
        Some(b'b') => Kind::Bool,
        _ => Kind::Integer,
    })
}

fn unreadable(path: &Path, descr: &str) -> Error {
    let (found, hint) = match descr.trim_start_matches(['<', '>', '|', '=']) {
        "O" => (
            "a pickled array of Python objects (dtype object)".to_string(),
            "pickles are never executed; in Python: np.save(FILE, np.load(FILE, allow_pickle=True).astype('float64')), one array a file",
        ),
        other => (format!("dtype {other}"), "in Python: np.save(FILE, array.astype('float32'))"),
    };
    Error::corrupt(path, "an array of numbers (bool, integer, float16, float32 or float64)", found, hint)
}

fn convert<S: Copy + std::fmt::Display, T: Element>(
    source: impl Iterator<Item = S>,
    path: &Path,
    to: impl Fn(S) -> Option<T>,
) -> Result<Vec<T>> {
    let bad = |value: S| {
        let hint = "convert the array in Python with astype, or give the file that was meant";
        Error::corrupt(path, format!("values that fit {}", T::NAME), value.to_string(), hint)
    };
    source.map(|value| to(value).ok_or_else(|| bad(value))).collect()
}

/// Type, shape and order of the data, and where they begin.
struct Header {
    descr: String,
    fortran_order: bool,
    shape: Vec<usize>,
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
            None => return Err(bad("a record array")),
        };
        let order = value_of(&text, "fortran_order").ok_or_else(|| bad("a header without fortran_order"))?;
        let shape = value_of(&text, "shape").ok_or_else(|| bad("a header without shape"))?;
        let shape = shape.trim_start_matches('(').split(')').next().unwrap_or_default();
        let shape = shape.split(',').map(|n| n.trim().trim_end_matches('L')).filter(|n| !n.is_empty());
        let shape: Vec<usize> =
            shape.map(str::parse).collect::<Result<_, _>>().map_err(|_| bad("a shape that is not numbers"))?;
        if shape.len() > MOST_SIDES {
            return Err(bad(&format!("an array of {} sides", shape.len())));
        }
        if size::product(shape.iter().copied().chain([8])).is_none() {
            return Err(bad(&format!("the shape {shape:?}")));
        }
        Ok(Self { descr, fortran_order: order.starts_with("True"), shape, data_start: start + length })
    }

    /// The type without its byte order, such as `f8`.
    fn code(&self) -> &str {
        self.descr.trim_start_matches(['<', '>', '|', '='])
    }

    /// The bytes of the numbers, exactly as many as the shape says.
    fn data<'b>(&self, bytes: &'b [u8], path: &Path) -> Result<&'b [u8]> {
        let width = match self.code() {
            "f8" | "i8" | "u8" => 8,
            "f4" | "i4" | "u4" => 4,
            "f2" | "i2" | "u2" => 2,
            "i1" | "u1" | "b1" => 1,
            _ => return Err(unreadable(path, &self.descr)),
        };
        let data = &bytes[self.data_start..];
        let n_items: usize = self.shape.iter().product();
        let wanted = n_items * width;
        let expected = || format!("an array of {n_items} numbers of type {}, {wanted} bytes", self.descr);
        if data.len() < wanted {
            let hint = "the file is truncated: copy or write it again";
            return Err(Error::corrupt(path, expected(), format!("only {} bytes of data", data.len()), hint));
        }
        if data.len() > wanted {
            let hint = "one array a file: several numpy.save into one file, or a damaged header? write it again";
            let found = format!("{} bytes more behind them", data.len() - wanted);
            return Err(Error::corrupt(path, expected(), found, hint));
        }
        Ok(data)
    }

    /// The array, row-major whatever the file's order: everything after this point may rely on it.
    fn arranged<T: Element>(&self, values: Vec<T>, path: &Path) -> Result<ArrayD<T>> {
        let shape = IxDyn(&self.shape).set_f(self.fortran_order);
        let array = ArrayD::from_shape_vec(shape, values)
            .map_err(|e| Error::corrupt(path, "an npy array", e.to_string(), "write it again with numpy.save"))?;
        if array.is_standard_layout() {
            return Ok(array);
        }
        Ok(array.as_standard_layout().into_owned())
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
        // 2^24 + 1 has no 32-bit float, 2^53 + 1 no 64-bit one.
        assert!(decode::<f32>(&encode(&arr2(&[[16_777_217i64]])), path()).is_err());
        assert!(decode::<f64>(&encode(&arr2(&[[9_007_199_254_740_993u64]])), path()).is_err());
        assert_eq!(decode::<f64>(&encode(&arr2(&[[16_777_217i64]])), path()).unwrap()[[0, 0]], 16_777_217.0);
    }

    fn file(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend(118u16.to_le_bytes());
        bytes.extend(format!("{header:<117}\n").bytes());
        bytes.extend(data);
        bytes
    }

    /// NumPy: np.array([1, -0.5, 255, 6e-8], 'f2').tobytes() and its byteswap; np.array([258],
    /// '>u2').
    #[test]
    fn half_precision_and_either_byte_order_are_read() {
        let little = [0x00, 0x3c, 0x00, 0xb8, 0xf8, 0x5b, 0x01, 0x00];
        let big = [0x3c, 0x00, 0xb8, 0x00, 0x5b, 0xf8, 0x00, 0x01];
        let right = [1.0, -0.5, 255.0, 5.960_464_477_539_063e-8];
        for (descr, data) in [("<f2", little), (">f2", big)] {
            assert_eq!(decode::<f64>(&file(descr, "(4,)", &data), path()).unwrap().as_slice().unwrap(), right);
        }
        assert_eq!(decode::<i64>(&file(">u2", "(1,)", &[1, 2]), path()).unwrap()[[0]], 258);
        let truth = file("|b1", "(2,)", &[0, 1]);
        assert_eq!(kind(&truth, path()).unwrap(), Kind::Bool);
        assert_eq!(decode::<u8>(&truth, path()).unwrap().as_slice().unwrap(), [0, 1]);
        assert!(decode::<u8>(&file("|b1", "(2,)", &[0, 7]), path()).is_err(), "no bool is 7");
        assert!(decode::<f64>(&file("<c8", "(1,)", &[0; 8]), path()).unwrap_err().to_string().contains("dtype c8"));
    }

    #[test]
    fn a_side_of_zero_hides_no_overflow() {
        for shape in ["(0, 9223372036854775807, 4)", "(4611686018427387904, 0, 3)"] {
            assert!(matches!(decode::<u8>(&file("|u1", shape, &[]), path()), Err(Error::Corrupt { .. })));
        }
        assert_eq!(decode::<u8>(&file("|u1", "(0, 3)", &[]), path()).unwrap().shape(), [0, 3]);
        let sides = |n: usize| format!("({})", "1,".repeat(n));
        assert_eq!(decode::<u8>(&file("|u1", &sides(20), &[7]), path()).unwrap().ndim(), 20);
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
        let error = decode::<f64>(&file("|O", "(2,)", b"\x80\x04pickle"), path()).unwrap_err();
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
