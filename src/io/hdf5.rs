//! Numbers of HDF5 datasets, read as the type that the file stores and never through a narrower
//! one.
//!
//! (The reader's own typed functions convert silently: an `int32` asked for as 16 bits loses its
//! upper half, a `float16` comes back empty. So the bytes are taken as they are and decoded here.)

use crate::io::{guard, hdf5_trees};
use crate::size;
use half::{bf16, f16};
use hdf5_pure::{Dataset, Datatype, DatatypeByteOrder, File};
use std::fmt;

/// Opens the bytes of a file.
///
/// # Errors
/// In words: no HDF5, or fewer bytes than the file says that it has.
pub fn open(bytes: Vec<u8>) -> Result<File, String> {
    let n = bytes.len() as u64;
    hdf5_trees::check(&bytes)?;
    let file = File::from_bytes(bytes).map_err(|e| format!("a file that is no HDF5 or is damaged ({e})"))?;
    let whole = file.superblock().eof_address;
    if n < whole { Err(format!("a file cut off at {n} of {whole} bytes")) } else { Ok(file) }
}

/// Bytes of stack for [`apart`].
const STACK: usize = 64 << 20;

/// Runs what reads a file, on a thread of its own. The library parses types by recursion, of which a
/// message of 64 kB holds thousands within each other, and any of it may panic on a damaged file.
///
/// # Errors
/// In words: what it said when it panicked, or that there is no thread.
pub fn apart<T: Send>(read: impl FnOnce() -> T + Send) -> Result<T, String> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || guard::catch(read));
        let thread = thread.map_err(|e| format!("no thread could be started ({e})"))?;
        thread.join().unwrap_or_else(|_| Err("the reader ended".into()))
    })
}

/// How a number is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    Signed,
    Unsigned,
    /// IEEE 754: 16, 32 or 64 bits.
    Float,
    /// The upper half of a 32-bit float.
    BFloat,
}

/// The type of a dataset's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    pub class: Class,
    pub bytes: usize,
    big_endian: bool,
}

impl Stored {
    pub fn is_integer(self) -> bool {
        matches!(self.class, Class::Signed | Class::Unsigned)
    }

    /// The type of a dataset; the words say why it has none that is a number here.
    fn of(datatype: &Datatype) -> Result<Self, String> {
        let other = || format!("numbers of type {datatype}");
        let (class, size, order) = match datatype {
            Datatype::FixedPoint { size, byte_order, layout } => {
                let whole = layout.bit_offset == 0 && u32::from(layout.bit_precision) == 8 * size;
                if !whole || !matches!(size, 1 | 2 | 4 | 8) {
                    return Err(other());
                }
                (if layout.signed { Class::Signed } else { Class::Unsigned }, *size, byte_order)
            }
            Datatype::FloatingPoint { size, byte_order, layout } => {
                let class = match (size, layout.exponent_size, layout.mantissa_size, layout.exponent_bias) {
                    (2, 5, 10, 15) | (4, 8, 23, 127) | (8, 11, 52, 1023) => Class::Float,
                    (2, 8, 7, 127) => Class::BFloat,
                    _ => return Err(other()),
                };
                (class, *size, byte_order)
            }
            _ => return Err(other()),
        };
        match order {
            DatatypeByteOrder::LittleEndian => Ok(Self { class, bytes: size as usize, big_endian: false }),
            DatatypeByteOrder::BigEndian => Ok(Self { class, bytes: size as usize, big_endian: true }),
            DatatypeByteOrder::Vax => Err(other()),
        }
    }

    /// One number; exact but for integers beyond 2^53, which are rounded.
    fn decode(self, bytes: &[u8]) -> f64 {
        let mut word = [0u8; 8];
        for (to, &from) in word.iter_mut().zip(bytes) {
            *to = from;
        }
        if self.big_endian {
            word[..self.bytes].reverse();
        }
        let bits = u64::from_le_bytes(word);
        match (self.class, self.bytes) {
            (Class::Float, 2) => f16::from_bits(bits as u16).to_f64(),
            (Class::BFloat, _) => bf16::from_bits(bits as u16).to_f64(),
            (Class::Float, 4) => f64::from(f32::from_bits(bits as u32)),
            (Class::Float, _) => f64::from_bits(bits),
            (Class::Unsigned, _) => bits as f64,
            (Class::Signed, n) => {
                let spare = 64 - 8 * n as u32;
                (((bits << spare) as i64) >> spare) as f64
            }
        }
    }
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.class {
            Class::Signed => "int",
            Class::Unsigned => "uint",
            Class::Float => "float",
            Class::BFloat => "bfloat",
        };
        write!(f, "{name}{}", 8 * self.bytes)
    }
}

/// A dataset's shape, type and bytes.
#[derive(Debug)]
pub struct Numbers {
    pub shape: Vec<usize>,
    pub stored: Stored,
    raw: Vec<u8>,
}

/// Reads a dataset of integers (8 to 64 bits, signed or not) or floats (16, 32 or 64 bits) in
/// either byte order, which may have `most` bytes: what no chunk holds is filled up to the shape, and
/// chunks are packed, so that a small file may stand for any number of them.
///
/// # Errors
/// In words: what the dataset holds instead, or why it cannot be read.
pub fn numbers(dataset: &Dataset, most: u64) -> Result<Numbers, String> {
    let stored = Stored::of(&dataset.datatype().map_err(|e| e.to_string())?)?;
    let shape: Vec<usize> = dataset.shape().map_err(|e| e.to_string())?.iter().map(|&d| d as usize).collect();
    let n = size::product(shape.iter().copied().chain([stored.bytes]));
    let n = n.filter(|&n| n as u64 <= most && chunks(dataset, stored.bytes).is_some_and(|all| all <= most));
    let n = n.ok_or_else(|| format!("an array of {shape:?}, more than such a file can hold"))?;
    let raw = dataset.read_raw().map_err(|e| e.to_string())?;
    if n != raw.len() {
        return Err(format!("{} bytes of {stored} for the shape {shape:?}", raw.len()));
    }
    Ok(Numbers { shape, stored, raw })
}

/// Bytes that all chunks of a dataset unpack to, whole as they are stored: 0 where it has none,
/// `None` where nobody can count them.
fn chunks(dataset: &Dataset, width: usize) -> Option<u64> {
    let Ok(Some(sides)) = dataset.chunk_shape() else { return Some(0) };
    let each = size::product(sides.iter().map(|&d| d as usize).chain([width]))?;
    let n = dataset.chunks().map_or(0, |list| list.len());
    Some(size::product([each, n])? as u64)
}

impl Numbers {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.raw.len() / self.stored.bytes
    }

    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// The numbers divided by `divisor`, rounded once, to 32 bits.
    ///
    /// # Errors
    /// In words: a finite number that 32 bits cannot hold.
    pub fn to_f32(&self, divisor: f64) -> Result<Vec<f32>, String> {
        let mut out = Vec::with_capacity(self.len());
        for (at, bytes) in self.raw.chunks_exact(self.stored.bytes).enumerate() {
            let value = self.stored.decode(bytes) / divisor;
            if value.is_finite() && !(value as f32).is_finite() {
                return Err(format!("{value:e} at item {at}, too large for 32 bits"));
            }
            out.push(value as f32);
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hdf5_pure::{DatasetBuilder, FileBuilder, FloatingPointLayout, make_f64_type, make_i32_type};

    fn one(build: impl FnOnce(&mut DatasetBuilder) -> &mut DatasetBuilder) -> Result<Numbers, String> {
        let mut file = FileBuilder::new();
        build(file.create_dataset("d"));
        numbers(&File::from_bytes(file.finish().unwrap()).unwrap().dataset("d").unwrap(), 1 << 20)
    }

    #[test]
    fn every_type_keeps_its_extremes() {
        let check = |found: Result<Numbers, String>, name: &str, expected: &[f32]| {
            let found = found.unwrap();
            assert_eq!(found.stored.to_string(), name);
            assert_eq!(found.to_f32(1.0).unwrap(), expected, "{name}");
        };
        check(one(|d| d.with_i8_data(&[i8::MIN, i8::MAX])), "int8", &[-128.0, 127.0]);
        check(one(|d| d.with_u8_data(&[0, u8::MAX])), "uint8", &[0.0, 255.0]);
        check(one(|d| d.with_i16_data(&[i16::MIN, i16::MAX])), "int16", &[-32768.0, 32767.0]);
        check(one(|d| d.with_u16_data(&[u16::MAX])), "uint16", &[65535.0]);
        check(one(|d| d.with_i32_data(&[-70_000, i32::MAX])), "int32", &[-70_000.0, i32::MAX as f32]);
        check(one(|d| d.with_u32_data(&[u32::MAX])), "uint32", &[u32::MAX as f32]);
        check(one(|d| d.with_i64_data(&[i64::MIN, 1 << 40])), "int64", &[i64::MIN as f32, (1u64 << 40) as f32]);
        check(one(|d| d.with_u64_data(&[u64::MAX])), "uint64", &[u64::MAX as f32]);
        check(one(|d| d.with_f32_data(&[1.5, f32::MIN_POSITIVE])), "float32", &[1.5, f32::MIN_POSITIVE]);
        check(one(|d| d.with_f64_data(&[0.1, -3.0])), "float64", &[0.1, -3.0]);
    }

    #[test]
    fn sixteen_bit_floats_and_the_other_byte_order() {
        let half = Datatype::FloatingPoint {
            size: 2,
            byte_order: DatatypeByteOrder::LittleEndian,
            layout: FloatingPointLayout {
                bit_offset: 0,
                bit_precision: 16,
                exponent_location: 10,
                exponent_size: 5,
                mantissa_location: 0,
                mantissa_size: 10,
                exponent_bias: 15,
            },
        };
        // IEEE 754 binary16: 0x3c00 is 1, 0xc000 is -2, 0x7bff is 65504, 0x0001 is 2^-24.
        let bytes: Vec<u8> = [0x3c00u16, 0xc000, 0x7bff, 0x0001].iter().flat_map(|v| v.to_le_bytes()).collect();
        let found = one(|d| d.with_raw_data(half, bytes, 4)).unwrap();
        assert_eq!(found.stored.to_string(), "float16");
        assert_eq!(found.to_f32(1.0).unwrap(), [1.0, -2.0, 65504.0, 2f32.powi(-24)]);
        let big = |datatype: Datatype| match datatype {
            Datatype::FixedPoint { size, layout, .. } => {
                Datatype::FixedPoint { size, byte_order: DatatypeByteOrder::BigEndian, layout }
            }
            Datatype::FloatingPoint { size, layout, .. } => {
                Datatype::FloatingPoint { size, byte_order: DatatypeByteOrder::BigEndian, layout }
            }
            other => other,
        };
        let bytes: Vec<u8> = [-70_000i32, 5].iter().flat_map(|v| v.to_be_bytes()).collect();
        assert_eq!(
            one(|d| d.with_raw_data(big(make_i32_type()), bytes, 2)).unwrap().to_f32(1.0).unwrap(),
            [-70_000.0, 5.0]
        );
        let bytes: Vec<u8> = [0.25f64].iter().flat_map(|v| v.to_be_bytes()).collect();
        assert_eq!(one(|d| d.with_raw_data(big(make_f64_type()), bytes, 1)).unwrap().to_f32(1.0).unwrap(), [0.25]);
    }

    #[test]
    fn readers_apart_may_go_deep_and_panic() {
        fn deep(n: usize) -> usize {
            let room = std::hint::black_box([n as u8; 1024]);
            if n == 0 { usize::from(room[0]) } else { 1 + deep(n - 1) }
        }
        // More than the 8 MB that a program's first thread has.
        assert_eq!(apart(|| deep(16_000)), Ok(16_000));
        assert_eq!(apart(|| -> u8 { panic!("no such type") }), Err("no such type".to_owned()));
    }

    #[test]
    fn arrays_and_chunks_larger_than_they_may_be_are_refused() {
        let read = |most: u64, chunk: u64| {
            let mut file = FileBuilder::new();
            file.create_dataset("d").with_f64_data(&[1.0; 4]).with_shape(&[4]).with_chunks(&[chunk]);
            numbers(&File::from_bytes(file.finish().unwrap()).unwrap().dataset("d").unwrap(), most)
        };
        assert_eq!(read(32, 4).unwrap().len(), 4);
        assert!(read(31, 4).unwrap_err().contains("more than such a file can hold"));
        assert!(read(800, 100).is_ok() && read(799, 100).is_err(), "a chunk is unpacked whole");
    }

    #[test]
    fn a_file_that_was_cut_off_is_called_that() {
        let mut file = FileBuilder::new();
        file.create_dataset("d").with_f32_data(&[1.0; 64]);
        let bytes = file.finish().unwrap();
        assert!(open(bytes.clone()).is_ok());
        for n in [0, 40, bytes.len() / 2, bytes.len() - 1] {
            assert!(open(bytes[..n].to_vec()).is_err(), "{n}");
        }
        let error = open(bytes[..bytes.len() - 1].to_vec()).unwrap_err();
        assert!(error.contains("cut off"), "{error}");
    }

    #[test]
    fn what_32_bits_cannot_hold_and_what_is_no_number_is_said() {
        let error = one(|d| d.with_f64_data(&[1.0, 1e300])).unwrap().to_f32(1.0).unwrap_err();
        assert!(error.contains("item 1"), "{error}");
        assert!(one(|d| d.with_f64_data(&[f64::INFINITY])).unwrap().to_f32(1.0).unwrap()[0].is_infinite());
        assert!(one(|d| d.with_complex32_data(&[(1.0, 2.0)])).is_err());
    }
}
