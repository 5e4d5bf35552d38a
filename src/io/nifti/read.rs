//! Reading.

use super::header::{Datatype, Header, SIZE_2};
use crate::data::{Grid, Mask, Volume};
use crate::error::{Error, Result};
use flate2::read::MultiGzDecoder;
use ndarray::Array2;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

const AGAIN: &str = "the file is truncated or damaged: copy or convert it again";

/// An open image; volumes are read one after the other, so that no more than one is held.
pub struct Nifti {
    header: Header,
    stream: Box<dyn Read>,
    path: PathBuf,
    next: usize,
    buffer: Vec<u8>,
}

/// Opens an image and reads its header.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read; [`Error::Corrupt`] as [`Header::parse`] and for a damaged gzip stream.
pub fn read(path: &Path) -> Result<Nifti> {
    let file = File::open(path).map_err(Error::io(path, "read"))?;
    let mut file = BufReader::with_capacity(1 << 18, file);
    let mut start = Vec::new();
    file.by_ref().take(2).read_to_end(&mut start).map_err(Error::io(path, "read"))?;
    let zipped = start == [0x1f, 0x8b];
    let raw = std::io::Cursor::new(start).chain(file);
    let mut stream: Box<dyn Read> =
        if zipped { Box::new(BufReader::with_capacity(1 << 18, MultiGzDecoder::new(raw))) } else { Box::new(raw) };
    let mut bytes = Vec::new();
    stream.by_ref().take(SIZE_2 as u64).read_to_end(&mut bytes).map_err(|e| damaged(path, &e, "the header"))?;
    let header = Header::parse(&bytes, path)?;
    let after_header = std::io::Cursor::new(bytes.split_off(header.offset.min(SIZE_2).min(bytes.len())));
    let mut stream: Box<dyn Read> = Box::new(after_header.chain(stream));
    let extensions = header.offset.saturating_sub(SIZE_2) as u64;
    std::io::copy(&mut stream.by_ref().take(extensions), &mut std::io::sink())
        .map_err(|e| damaged(path, &e, "the extensions"))?;
    Ok(Nifti { header, stream, path: path.to_path_buf(), next: 0, buffer: Vec::new() })
}

/// The header alone.
///
/// # Errors
/// As [`read`].
pub fn read_header(path: &Path) -> Result<Header> {
    Ok(read(path)?.header)
}

/// An image of one volume.
///
/// # Errors
/// As [`read`]; [`Error::Invalid`] when it has several volumes.
pub fn read_volume(path: &Path) -> Result<Volume> {
    let mut image = read(path)?;
    if image.header.n_volumes != 1 {
        let at = path.display().to_string();
        return Err(Error::invalid(at, "one volume", format!("{}", image.header.n_volumes), "give a 3-D image"));
    }
    let values = image.next_volume()?;
    Volume::new(image.header.grid, values)
}

fn damaged(path: &Path, e: &std::io::Error, what: &str) -> Error {
    let found = match e.kind() {
        ErrorKind::UnexpectedEof => format!("the end of the file within {what}"),
        _ => format!("{what} that cannot be unpacked ({e})"),
    };
    Error::corrupt(path, "a complete NIfTI image", found, AGAIN)
}

impl Nifti {
    /// What the header says.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Where the voxels are.
    pub fn grid(&self) -> &Grid {
        &self.header.grid
    }

    /// The next volume, scaled, i fastest.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the file ends before, or its gzip stream is damaged.
    ///
    /// # Panics
    /// When all volumes were read.
    pub fn next_volume(&mut self) -> Result<Vec<f32>> {
        assert!(self.next < self.header.n_volumes, "only as many volumes as the header has");
        self.next += 1;
        let datatype = self.header.datatype;
        self.buffer.resize(self.header.grid.n_voxels() * datatype.size(), 0);
        let what = format!("volume {} of {}", self.next, self.header.n_volumes);
        self.stream.read_exact(&mut self.buffer).map_err(|e| damaged(&self.path, &e, &what))?;
        Ok(convert(&self.buffer, &self.header))
    }

    /// All volumes inside a mask: n_volumes x n_voxels.
    ///
    /// # Errors
    /// As [`Nifti::next_volume`]; [`Error::Invalid`] when the mask is on another grid.
    pub fn masked(mut self, mask: &Mask) -> Result<Array2<f32>> {
        mask.grid().require_same(&self.path.display().to_string(), &self.header.grid)?;
        let mut rows = Array2::zeros((self.header.n_volumes, mask.n_voxels()));
        for mut row in rows.rows_mut() {
            let volume = self.next_volume()?;
            row.iter_mut().zip(mask.voxels()).for_each(|(x, &v)| *x = volume[v as usize]);
        }
        Ok(rows)
    }
}

fn convert(bytes: &[u8], header: &Header) -> Vec<f32> {
    let (slope, intercept) = header.scaling;
    macro_rules! numbers {
        ($t:ty) => {{
            let value = |raw: &[u8; size_of::<$t>()]| {
                if header.big_endian { <$t>::from_be_bytes(*raw) } else { <$t>::from_le_bytes(*raw) }
            };
            let (raw, _) = bytes.as_chunks::<{ size_of::<$t>() }>();
            if header.scaling == (1.0, 0.0) {
                raw.iter().map(|raw| value(raw) as f32).collect()
            } else {
                raw.iter().map(|raw| (value(raw) as f64 * slope + intercept) as f32).collect()
            }
        }};
    }
    match header.datatype {
        Datatype::U8 => numbers!(u8),
        Datatype::I8 => numbers!(i8),
        Datatype::I16 => numbers!(i16),
        Datatype::U16 => numbers!(u16),
        Datatype::I32 => numbers!(i32),
        Datatype::U32 => numbers!(u32),
        Datatype::I64 => numbers!(i64),
        Datatype::U64 => numbers!(u64),
        Datatype::F32 => numbers!(f32),
        Datatype::F64 => numbers!(f64),
    }
}
