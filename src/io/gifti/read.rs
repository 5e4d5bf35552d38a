//! Reading.

use super::STRUCTURES;
use crate::error::{Error, Result};
use crate::io::xml::{self, Element};
use crate::io::{base64, source};
use crate::size::{self, Limited};
use flate2::bufread::ZlibDecoder;
use std::io::Read;
use std::path::Path;

const EXPECTED: &str = "surface data in GIFTI";
const AGAIN: &str = "the file is truncated or damaged: copy or convert it again";
/// Most sides of an array, as the format has it.
const MOST_SIDES: usize = 6;

/// A file's arrays and what it says of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Gifti {
    pub arrays: Vec<DataArray>,
    /// Names and values of the file.
    pub meta: Vec<(String, String)>,
    /// Keys and names of the label table, in the file's order.
    pub labels: Vec<(i64, String)>,
}

/// One array.
#[derive(Debug, Clone, PartialEq)]
pub struct DataArray {
    /// Such as `NIFTI_INTENT_TIME_SERIES`.
    pub intent: String,
    pub shape: Vec<usize>,
    /// Row-major whatever the file's order.
    pub numbers: Numbers,
    /// Names and values of the array.
    pub meta: Vec<(String, String)>,
}

/// Numbers of an array: integers exactly, floats to 32 bits.
#[derive(Debug, Clone, PartialEq)]
pub enum Numbers {
    Whole(Vec<i64>),
    Floats(Vec<f32>),
}

impl Numbers {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Self::Whole(values) => values.len(),
            Self::Floats(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// As 32-bit floats.
    pub fn to_f32(&self) -> Vec<f32> {
        match self {
            Self::Whole(values) => values.iter().map(|&v| v as f32).collect(),
            Self::Floats(values) => values.clone(),
        }
    }
}

fn value<'m>(meta: &'m [(String, String)], name: &str) -> Option<&'m str> {
    meta.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

impl DataArray {
    /// A value of its meta data.
    pub fn meta(&self, name: &str) -> Option<&str> {
        value(&self.meta, name)
    }
}

impl Gifti {
    /// The structure that the data are of (`AnatomicalStructurePrimary` of the file or its first
    /// array), as CIFTI calls it: `CORTEX_LEFT`; others as they stand.
    pub fn structure(&self) -> Option<String> {
        let arrays = self.arrays.iter().map(|array| array.meta.as_slice());
        let said = std::iter::once(self.meta.as_slice()).chain(arrays);
        let name = said.into_iter().find_map(|meta| value(meta, "AnatomicalStructurePrimary"))?;
        let known = STRUCTURES.iter().find(|(gifti, _)| gifti.eq_ignore_ascii_case(name));
        Some(known.map_or_else(|| name.to_owned(), |(_, cifti)| (*cifti).to_owned()))
    }
}

/// Reads a file.
///
/// # Errors
/// [`Error::Io`]; [`Error::Corrupt`] for no GIFTI, damage of any kind, arrays that unpack to more
/// than such a file can hold ([`size::inflatable`]), and what is not read (see the module).
pub fn read(path: &Path) -> Result<Gifti> {
    let bytes = source::read(path)?;
    let bad = |found: String, hint: &str| Error::corrupt(path, EXPECTED, found, hint);
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return Err(bad("a gzip file".into(), "GIFTI is packed within: unpack it (gunzip)"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| bad("bytes that are no text".into(), AGAIN))?;
    let root = xml::parse(text).map_err(|e| bad(e, AGAIN))?;
    if root.name != "GIFTI" {
        return Err(bad(format!("XML of `{}`", root.name), "is this the file that was meant?"));
    }
    let mut left = size::inflatable(bytes.len() as u64);
    let mut arrays = vec![];
    for (n, element) in root.all("DataArray").enumerate() {
        let array = Array { element, path, n, left: &mut left };
        arrays.push(array.read()?);
    }
    if let Some(said) = root.attribute("NumberOfDataArrays").and_then(|n| n.trim().parse::<usize>().ok())
        && said != arrays.len()
    {
        return Err(bad(format!("{} arrays where it says {said}", arrays.len()), AGAIN));
    }
    let label = |element: &Element<'_>| {
        let key = element.attribute("Key").or_else(|| element.attribute("Index"))?;
        Some((key.trim().parse().ok()?, element.text.trim().to_owned()))
    };
    let labels = root.child("LabelTable").into_iter().flat_map(|table| table.all("Label")).filter_map(label).collect();
    Ok(Gifti { arrays, meta: meta(&root), labels })
}

/// Names and values below an element.
fn meta(element: &Element<'_>) -> Vec<(String, String)> {
    let pair = |md: &Element<'_>| Some((md.text_of("Name")?.to_owned(), md.text_of("Value")?.to_owned()));
    element.child("MetaData").into_iter().flat_map(|meta| meta.all("MD")).filter_map(pair).collect()
}

/// An array that is being read.
struct Array<'a, 't> {
    element: &'a Element<'t>,
    path: &'a Path,
    /// Its number, from 0.
    n: usize,
    /// Bytes that the file may still unpack to.
    left: &'a mut u64,
}

impl<'a> Array<'a, '_> {
    fn bad(&self, found: impl std::fmt::Display, hint: &str) -> Error {
        Error::corrupt(self.path, EXPECTED, format!("{found} in its array {} (counted from 0)", self.n), hint)
    }

    fn attribute(&self, name: &str) -> Result<&'a str> {
        self.element.attribute(name).ok_or_else(|| self.bad(format!("no `{name}`"), AGAIN))
    }

    fn read(self) -> Result<DataArray> {
        let shape = self.shape()?;
        let kind = self.attribute("DataType")?;
        let width = match kind {
            "NIFTI_TYPE_UINT8" | "NIFTI_TYPE_INT8" => 1,
            "NIFTI_TYPE_INT16" | "NIFTI_TYPE_UINT16" => 2,
            "NIFTI_TYPE_INT32" | "NIFTI_TYPE_UINT32" | "NIFTI_TYPE_FLOAT32" => 4,
            "NIFTI_TYPE_FLOAT64" => 8,
            other => {
                let hint = "save it as NIFTI_TYPE_FLOAT32, or NIFTI_TYPE_INT32 for labels";
                return Err(self.bad(format!("numbers of type `{other}`"), hint));
            }
        };
        let n = size::items(self.path, &format!("array {}", self.n), &shape, width, *self.left)?;
        *self.left -= (n * width) as u64;
        let numbers = self.data(n, width, kind)?;
        let numbers = match self.attribute("ArrayIndexingOrder")? {
            "RowMajorOrder" => numbers,
            "ColumnMajorOrder" => match numbers {
                Numbers::Whole(values) => Numbers::Whole(row_major(values, &shape)),
                Numbers::Floats(values) => Numbers::Floats(row_major(values, &shape)),
            },
            other => return Err(self.bad(format!("the order `{other}` of the axes"), AGAIN)),
        };
        let intent = self.element.attribute("Intent").unwrap_or("NIFTI_INTENT_NONE").to_owned();
        Ok(DataArray { intent, shape, numbers, meta: meta(self.element) })
    }

    /// The numbers as the file has them.
    fn data(&self, n: usize, width: usize, kind: &str) -> Result<Numbers> {
        let data = self.element.child("Data").map_or("", |data| &data.text);
        match self.attribute("Encoding")? {
            "ASCII" => self.ascii(data, n, kind),
            "Base64Binary" => self.numbers(&base64::decode(data).map_err(|e| self.bad(e, AGAIN))?, n * width, kind),
            "GZipBase64Binary" => {
                let packed = base64::decode(data).map_err(|e| self.bad(e, AGAIN))?;
                let mut bytes = Vec::new();
                let mut stream = Limited::new(ZlibDecoder::new(&packed[..]), (n * width) as u64);
                let unpacked = stream.read_to_end(&mut bytes);
                unpacked.map_err(|e| self.bad(format!("data that cannot be unpacked ({e})"), AGAIN))?;
                self.numbers(&bytes, n * width, kind)
            }
            "ExternalFileBinary" => {
                let hint = "save it as one file: nibabel.save(nibabel.load(FILE), OTHER)";
                Err(self.bad("data in another file (ExternalFileBinary)", hint))
            }
            other => Err(self.bad(format!("data in the encoding `{other}`"), AGAIN)),
        }
    }

    fn shape(&self) -> Result<Vec<usize>> {
        let n_sides = self.attribute("Dimensionality")?.trim().parse::<usize>().ok();
        let n_sides = n_sides.filter(|n| (1..=MOST_SIDES).contains(n));
        let n_sides = n_sides.ok_or_else(|| self.bad("no number of sides from 1 to 6", AGAIN))?;
        let side = |i: usize| {
            let name = format!("Dim{i}");
            let side = self.attribute(&name)?.trim().parse::<usize>().ok().filter(|&side| side > 0);
            side.ok_or_else(|| self.bad(format!("no length in `{name}`"), AGAIN))
        };
        (0..n_sides).map(side).collect()
    }

    fn ascii(&self, text: &str, n: usize, kind: &str) -> Result<Numbers> {
        let wrong =
            |word: &str| self.bad(format!("`{}` for a number", word.chars().take(40).collect::<String>()), AGAIN);
        let words = text.split_ascii_whitespace().take(n + 1);
        let floats = kind.starts_with("NIFTI_TYPE_FLOAT");
        let (mut whole, mut real) = (vec![], vec![]);
        for word in words {
            if floats {
                let value: f64 = word.parse().map_err(|_| wrong(word))?;
                real.push(self.narrow(value)?);
            } else {
                whole.push(word.parse::<i64>().map_err(|_| wrong(word))?);
            }
        }
        let found = whole.len().max(real.len());
        if found != n {
            let found = if found < n { format!("{found} numbers") } else { "more numbers".into() };
            return Err(self.bad(format!("{found} where it says {n}"), AGAIN));
        }
        Ok(if floats { Numbers::Floats(real) } else { Numbers::Whole(whole) })
    }

    fn narrow(&self, value: f64) -> Result<f32> {
        let narrow = value as f32;
        if narrow.is_infinite() && value.is_finite() {
            return Err(self.bad(format!("{value:e}, too large for 32 bits,"), "save the data in larger units"));
        }
        Ok(narrow)
    }

    fn numbers(&self, bytes: &[u8], n_bytes: usize, kind: &str) -> Result<Numbers> {
        if bytes.len() != n_bytes {
            return Err(self.bad(format!("{} bytes of data where its sides need {n_bytes}", bytes.len()), AGAIN));
        }
        let big = match self.attribute("Endian")? {
            "LittleEndian" => false,
            "BigEndian" => true,
            other => return Err(self.bad(format!("the byte order `{other}`"), AGAIN)),
        };
        macro_rules! stored {
            ($t:ty) => {{
                let (raw, _) = bytes.as_chunks::<{ size_of::<$t>() }>();
                raw.iter().map(move |b| if big { <$t>::from_be_bytes(*b) } else { <$t>::from_le_bytes(*b) })
            }};
        }
        Ok(match kind {
            "NIFTI_TYPE_UINT8" => Numbers::Whole(bytes.iter().map(|&b| b.into()).collect()),
            "NIFTI_TYPE_INT8" => Numbers::Whole(stored!(i8).map(i64::from).collect()),
            "NIFTI_TYPE_INT16" => Numbers::Whole(stored!(i16).map(i64::from).collect()),
            "NIFTI_TYPE_UINT16" => Numbers::Whole(stored!(u16).map(i64::from).collect()),
            "NIFTI_TYPE_INT32" => Numbers::Whole(stored!(i32).map(i64::from).collect()),
            "NIFTI_TYPE_UINT32" => Numbers::Whole(stored!(u32).map(i64::from).collect()),
            "NIFTI_TYPE_FLOAT64" => Numbers::Floats(stored!(f64).map(|v| self.narrow(v)).collect::<Result<_>>()?),
            _ => Numbers::Floats(stored!(f32).collect()),
        })
    }
}

/// From the first axis fastest to the last axis fastest.
fn row_major<T: Copy>(values: Vec<T>, shape: &[usize]) -> Vec<T> {
    if shape.len() == 1 {
        return values;
    }
    let strides: Vec<usize> = shape.iter().scan(1, |all, &side| Some(std::mem::replace(all, *all * side))).collect();
    let from = |mut at: usize| {
        let sides = shape.iter().zip(&strides).rev();
        sides.fold(0, |sum, (&side, &stride)| {
            let index = at % side;
            at /= side;
            sum + index * stride
        })
    };
    (0..values.len()).map(|at| values[from(at)]).collect()
}
