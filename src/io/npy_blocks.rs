//! npy arrays of float32 that do not fit in memory: written and read in blocks of consecutive
//! numbers, in any order.

use super::{atomic, npy, source};
use crate::error::{Error, Result};
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Bytes of a number.
const WIDTH: usize = size_of::<f32>();
/// Headers end at a multiple of this, as NumPy's do.
const ALIGNED: usize = 64;
/// `\x93NUMPY`, the version and the length of the header.
const PREAMBLE: usize = 10;

/// A file that is being written; numbers that no block gives are 0.
pub struct Blocks<'f> {
    file: BufWriter<&'f File>,
    start: u64,
}

impl Blocks<'_> {
    /// Puts numbers where the array, in C order, has number `offset`.
    ///
    /// # Errors
    /// What the file system says.
    pub fn put(&mut self, offset: usize, mut numbers: impl Iterator<Item = f32>) -> std::io::Result<()> {
        self.file.seek(SeekFrom::Start(self.start + (offset * WIDTH) as u64))?;
        numbers.try_for_each(|number| self.file.write_all(&number.to_le_bytes()))
    }
}

/// Writes an array of this shape, in C order, as one atomic file.
///
/// # Errors
/// [`Error::Io`] when the file cannot be written, or what `fill` says; the file before stays.
pub fn write(path: &Path, shape: &[usize], fill: impl FnOnce(&mut Blocks<'_>) -> Result<()>) -> Result<()> {
    let mut failed = None;
    let written = atomic::write_with(path, |file| {
        let header = header(shape);
        file.write_all(&header)?;
        file.flush()?;
        let whole: &File = file.get_ref();
        whole.set_len((header.len() + shape.iter().product::<usize>() * WIDTH) as u64)?;
        let mut blocks = Blocks { file: BufWriter::new(whole), start: header.len() as u64 };
        if let Err(e) = fill(&mut blocks) {
            failed = Some(e);
            return Err(std::io::Error::other("the numbers were not made"));
        }
        blocks.file.flush()
    });
    failed.map_or(written, Err)
}

/// NumPy's header, version 1.0.
fn header(shape: &[usize]) -> Vec<u8> {
    let sides = shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    let comma = if shape.len() == 1 { "," } else { "" };
    let mut text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({sides}{comma}), }}");
    let end = (PREAMBLE + text.len() + 1).next_multiple_of(ALIGNED);
    text.extend(std::iter::repeat_n(' ', end - PREAMBLE - text.len() - 1));
    text.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes
}

/// A file that is read in blocks.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    file: File,
    shape: Vec<usize>,
    start: u64,
}

impl Reader {
    /// # Errors
    /// [`Error::Io`]; [`Error::Corrupt`] for what is no whole array of float32 in C order.
    pub fn open(path: &Path) -> Result<Self> {
        let Some((shape, start)) = npy::plain(path, "f4")? else {
            let hint = "a truncated copy must be made again";
            return Err(Error::corrupt(path, "an npy array of float32 in C order", "another file", hint));
        };
        Ok(Self { path: path.to_path_buf(), file: source::open(path)?, shape, start })
    }

    /// The array's sides.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// `n` numbers from number `offset` on, in C order.
    ///
    /// # Errors
    /// [`Error::Io`], also when the array ends before.
    pub fn read(&mut self, offset: usize, n: usize) -> Result<Vec<f32>> {
        let mut bytes = vec![0; n * WIDTH];
        let from = SeekFrom::Start(self.start + (offset * WIDTH) as u64);
        let found = self.file.seek(from).and_then(|_| self.file.read_exact(&mut bytes));
        found.map_err(Error::io(&self.path, "read"))?;
        Ok(bytes.as_chunks().0.iter().map(|&number| f32::from_le_bytes(number)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, Axis};

    #[test]
    fn blocks_in_any_order_are_the_array() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.npy");
        let whole = Array3::from_shape_fn((3, 4, 5), |(i, j, k)| (100 * i + 10 * j + k) as f32);
        let row = |i: usize, j: usize| whole.index_axis(Axis(0), i).row(j).to_vec();
        let fill = |blocks: &mut Blocks<'_>| {
            for (i, j) in (0..3).flat_map(|i| [3, 0, 2].map(|j| (i, j))) {
                blocks.put((i * 4 + j) * 5, row(i, j).into_iter()).map_err(Error::io(&path, "write"))?;
            }
            Ok(())
        };
        write(&path, &[3, 4, 5], fill).unwrap();
        let mut expected = whole.clone();
        expected.index_axis_mut(Axis(1), 1).fill(0.0);
        assert_eq!(npy::read::<f32>(&path).unwrap(), expected.into_dyn());
        // As numpy.save writes them.
        let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4, 5), }";
        assert_eq!(header(&[3, 4, 5])[..10], *b"\x93NUMPY\x01\x00v\x00");
        assert_eq!(header(&[3, 4, 5])[10..], *format!("{text:<117}\n").as_bytes());
        assert!(String::from_utf8_lossy(&header(&[7])).contains("'shape': (7,), }"));
        let mut reader = Reader::open(&path).unwrap();
        assert_eq!(reader.shape(), [3, 4, 5]);
        assert_eq!(reader.read(42, 3).unwrap(), [202.0, 203.0, 204.0]);
        assert!(reader.read(58, 3).is_err(), "behind the end");
        // A failure leaves the file that was there.
        let failed = write(&path, &[9], |_| Err(Error::invalid("a", "b", "c", "d")));
        assert!(matches!(failed, Err(Error::Invalid { .. })) && npy::read::<f32>(&path).unwrap().len() == 60);
        npy::write(&path, &whole.mapv(f64::from)).unwrap();
        assert!(Reader::open(&path).is_err(), "64 bits");
    }
}
