//! Reading.

use super::gunzip::Gunzip;
use super::header::{Datatype, Header, SIZE_2};
use super::numbers::{narrow, to_f32, to_f64, to_whole};
use crate::data::{Grid, Mask, Volume};
use crate::error::{Error, Result};
use crate::io::source;
use crate::size::{self, Limited};
use crate::warning::Warning;
use ndarray::Array2;
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
/// [`Error::Io`] when the file cannot be read; [`Error::Corrupt`] as [`Header::parse`], for a
/// damaged gzip stream, and for a header that promises more numbers than the file can hold.
pub fn read(path: &Path) -> Result<Nifti> {
    open(path, &mut std::io::sink())
}

/// Opens an image; what lies between its header and its numbers goes to `extensions`.
fn open(path: &Path, extensions: &mut dyn std::io::Write) -> Result<Nifti> {
    let file = source::open(path)?;
    let length = file.metadata().map_err(Error::io(path, "read"))?.len();
    let mut file = BufReader::with_capacity(1 << 18, file);
    let mut start = Vec::new();
    file.by_ref().take(2).read_to_end(&mut start).map_err(Error::io(path, "read"))?;
    let zipped = start == [0x1f, 0x8b];
    let raw = std::io::Cursor::new(start).chain(file);
    let available = if zipped { size::inflatable(length) } else { length };
    let mut stream: Box<dyn Read> = if zipped {
        Box::new(Limited::new(BufReader::with_capacity(1 << 18, Gunzip::new(raw)), available))
    } else {
        Box::new(raw)
    };
    let mut bytes = Vec::new();
    stream.by_ref().take(SIZE_2 as u64).read_to_end(&mut bytes).map_err(|e| damaged(path, &e, "the header"))?;
    let header = Header::parse(&bytes, path)?;
    fits(&header, available, path)?;
    let after_header = std::io::Cursor::new(bytes.split_off(header.offset.min(SIZE_2).min(bytes.len())));
    let mut stream: Box<dyn Read> = Box::new(after_header.chain(stream));
    let between = header.offset.saturating_sub(SIZE_2) as u64;
    std::io::copy(&mut stream.by_ref().take(between), extensions).map_err(|e| damaged(path, &e, "the extensions"))?;
    Ok(Nifti { header, stream, path: path.to_path_buf(), next: 0, buffer: Vec::new() })
}

/// A matrix in a NIfTI-2 file, with its extensions: what CIFTI-2 is.
pub struct Matrix {
    /// Codes and contents of the extensions.
    pub extensions: Vec<(i32, Vec<u8>)>,
    /// The image, each of whose volumes is what the file has together: the numbers of one place of
    /// the last side.
    pub image: Nifti,
    /// The side whose numbers lie together in the file, and the last side.
    pub sides: [usize; 2],
}

/// Opens a file whose first four sides are 1, and which has two more.
///
/// # Errors
/// As [`read`]; [`Error::Corrupt`] for another version or other sides, and for extensions of more
/// than 256 MB.
pub fn read_matrix(path: &Path) -> Result<Matrix> {
    let mut between = Vec::new();
    let mut image = open(path, &mut Limit { bytes: &mut between })?;
    let sides = &image.header.sides;
    let bad = |found: String| {
        let hint =
            "CIFTI-2 is read (.dscalar.nii, .dtseries.nii); CIFTI-1 and NIfTI images are not: wb_command -file-convert";
        Error::corrupt(path, "a NIfTI-2 file of 1 x 1 x 1 x 1 x n x m numbers", found, hint)
    };
    let &[1, 1, 1, 1, n, m] = &sides[..] else {
        return Err(bad(format!("one of {sides:?}")));
    };
    if image.header.version != 2 {
        return Err(bad("a NIfTI-1 file".into()));
    }
    image.header.grid.shape = [n, 1, 1];
    image.header.n_volumes = m;
    let found = extensions(&between, image.header.big_endian);
    let found = found.ok_or_else(|| Error::corrupt(path, "extensions of the header", "damaged ones", AGAIN))?;
    Ok(Matrix { extensions: found, image, sides: [n, m] })
}

/// Bytes of the largest extensions that are read.
const MOST_EXTENSIONS: usize = 256_000_000;

/// Takes so many bytes and no more.
struct Limit<'b> {
    bytes: &'b mut Vec<u8>,
}

impl std::io::Write for Limit<'_> {
    fn write(&mut self, more: &[u8]) -> std::io::Result<usize> {
        if self.bytes.len() + more.len() > MOST_EXTENSIONS {
            return Err(std::io::Error::new(ErrorKind::InvalidData, "more than 256 MB"));
        }
        self.bytes.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Four bytes, the first of which says whether there is anything; then size, code and contents of
/// each extension, the size that of all three.
fn extensions(between: &[u8], big_endian: bool) -> Option<Vec<(i32, Vec<u8>)>> {
    let word = |bytes: &[u8]| {
        let word = bytes.try_into().expect("four bytes");
        if big_endian { i32::from_be_bytes(word) } else { i32::from_le_bytes(word) }
    };
    let mut found = vec![];
    let Some((flag, mut rest)) = between.split_first_chunk::<4>() else { return Some(found) };
    while flag[0] != 0 && rest.len() >= 8 {
        let n = usize::try_from(word(&rest[..4])).ok().filter(|&n| n >= 8 && n <= rest.len())?;
        found.push((word(&rest[4..8]), rest[8..n].to_vec()));
        rest = &rest[n..];
    }
    Some(found)
}

/// Refuses a header that promises more than the `available` bytes of the file.
fn fits(header: &Header, available: u64, path: &Path) -> Result<()> {
    let offset = header.offset as u64;
    let volume = (header.grid.n_voxels() * header.datatype.size()) as u64;
    let all = volume * header.n_volumes as u64;
    if all <= available.saturating_sub(offset) {
        return Ok(());
    }
    let n = header.n_volumes;
    let found = match available.saturating_sub(offset) / volume {
        _ if offset > available => format!("the end of the file at byte {available}, before the numbers"),
        whole => format!("the end of the file within volume {} of {n}: {all} bytes do not fit in it", whole + 1),
    };
    Err(Error::corrupt(path, "a complete NIfTI image", found, AGAIN))
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
/// As [`read`] and [`Nifti::next_volume`]; [`Error::Invalid`] when it has several volumes.
pub fn read_volume(path: &Path) -> Result<Volume> {
    let mut image = single(path)?;
    let values = image.next_volume()?;
    Volume::new(image.header.grid, values)
}

/// An image of one volume as a mask, with what [`Mask::from_values`] and [`Header::warning`] have
/// to say.
///
/// # Errors
/// As [`read_volume`] and [`Mask::from_values`].
pub fn read_mask(path: &Path) -> Result<(Mask, Vec<Warning>)> {
    let mut image = single(path)?;
    let values = image.next_values()?;
    let header = &image.header;
    let (mask, warning) = Mask::from_values(header.grid, &values, header.step(), &path.display().to_string())?;
    Ok((mask, header.warning(path).into_iter().chain(warning).collect()))
}

/// A label image: one whole number a voxel, exact whatever its size; 0 where there is none (also
/// for NaN). With what [`Header::warning`] has to say.
///
/// # Errors
/// As [`read_volume`]; [`Error::Corrupt`] for numbers that are not whole, or were rounded when they
/// were stored.
pub fn read_labels(path: &Path) -> Result<(Grid, Vec<i64>, Vec<Warning>)> {
    let mut image = single(path)?;
    image.fill()?;
    let labels = to_whole(&image.buffer, &image.header, path)?;
    let mut warnings: Vec<Warning> = image.header.warning(path).into_iter().collect();
    let largest = labels.iter().map(|l| l.unsigned_abs()).max().unwrap_or(0);
    if image.header.datatype == Datatype::F32 && largest > 1 << f32::MANTISSA_DIGITS {
        let text = format!(
            "{}: labels up to {largest} are stored as 32-bit floats, which tell whole numbers apart only up to {}: the program that wrote them may have joined regions",
            path.display(),
            1 << f32::MANTISSA_DIGITS
        );
        warnings.push(Warning::Note { text });
    }
    Ok((image.header.grid, labels, warnings))
}

fn single(path: &Path) -> Result<Nifti> {
    let image = read(path)?;
    if image.header.n_volumes == 1 {
        return Ok(image);
    }
    let at = path.display().to_string();
    Err(Error::invalid(at, "one volume", format!("{}", image.header.n_volumes), "give a 3-D image"))
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

    /// The next volume, scaled, i fastest. With the last one, what follows is verified: the
    /// checksum of a gzip stream, and that there are no more numbers than the header has.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the file ends before or after, its gzip stream is damaged, or 32-bit
    /// floats cannot hold the numbers.
    ///
    /// # Panics
    /// When all volumes were read.
    pub fn next_volume(&mut self) -> Result<Vec<f32>> {
        self.fill()?;
        if self.header.datatype == Datatype::F64 || self.header.is_scaled() {
            return narrow(&to_f64(&self.buffer, &self.header), &self.path);
        }
        Ok(to_f32(&self.buffer, &self.header))
    }

    /// As [`Nifti::next_volume`], in 64 bits.
    ///
    /// # Errors
    /// As [`Nifti::next_volume`].
    ///
    /// # Panics
    /// When all volumes were read.
    pub fn next_values(&mut self) -> Result<Vec<f64>> {
        self.fill()?;
        Ok(to_f64(&self.buffer, &self.header))
    }

    /// The bytes of the next volume.
    fn fill(&mut self) -> Result<()> {
        assert!(self.next < self.header.n_volumes, "only as many volumes as the header has");
        self.next += 1;
        self.buffer.resize(self.header.grid.n_voxels() * self.header.datatype.size(), 0);
        let what = format!("volume {} of {}", self.next, self.header.n_volumes);
        self.stream.read_exact(&mut self.buffer).map_err(|e| damaged(&self.path, &e, &what))?;
        if self.next == self.header.n_volumes { self.verify_end() } else { Ok(()) }
    }

    fn verify_end(&mut self) -> Result<()> {
        let rest = std::io::copy(&mut self.stream, &mut std::io::sink());
        let rest = rest.map_err(|e| damaged(&self.path, &e, "the checksum after the last volume"))?;
        if rest == 0 {
            return Ok(());
        }
        let (n, size) = (self.header.n_volumes, self.buffer.len() as u64);
        let expected = format!("the end of the file after {n} volumes of {size} bytes, as its header says");
        let found = format!("{rest} more bytes ({:.4} volumes)", rest as f64 / size as f64);
        let hint = "the header does not fit the numbers: convert the image again, with all its volumes";
        Err(Error::corrupt(&self.path, expected, found, hint))
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
