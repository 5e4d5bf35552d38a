//! Sets of images that are opened, not loaded: each image is read and decoded when it is asked for.
//!
//! Memory is that of the images asked for and the list of names. The frames of a movie are such a
//! set: a folder or zip of frames (`frame1.png`, `frame2.png`, ... in natural order), or an `.npy`
//! array of them.

use super::images::{ImageSet, decode};
use super::npz::{damaged_zip, open_zip, unpack};
use super::source;
use crate::data::ImageSource;
use crate::data::image_source::check_range;
use crate::data::names::nfc;
use crate::error::{Error, Result};
use crate::size;
use crate::warning::Warning;
use ndarray::Array3;
use rayon::prelude::*;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use zip::ZipArchive;

/// Files of a folder or table.
pub(super) struct Files {
    pub names: Vec<String>,
    pub paths: Vec<PathBuf>,
    pub warnings: Vec<Warning>,
}

impl ImageSource for Files {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    fn read(&self, range: Range<usize>) -> Result<Vec<Array3<u8>>> {
        check_range(&range, self.paths.len())?;
        in_order(self.paths[range].par_iter().map(|path| decode(&source::read_member(path)?, path)))
    }
}

/// The first error in the images' order, whatever thread met another one before.
fn in_order(images: impl IndexedParallelIterator<Item = Result<Array3<u8>>>) -> Result<Vec<Array3<u8>>> {
    images.collect::<Vec<_>>().into_iter().collect()
}

/// Files of a zip archive: unpacked one after the other, decoded together.
pub(super) struct Zipped {
    path: PathBuf,
    archive: Mutex<ZipArchive<BufReader<File>>>,
    /// Bytes of the archive.
    length: u64,
    /// Index in the archive and path within it, in the images' order.
    entries: Vec<(usize, PathBuf)>,
    names: Vec<String>,
}

impl Zipped {
    /// Opens an archive and keeps the files that `wanted` says are images; sizes are checked.
    pub fn open(path: &Path, wanted: impl Fn(&Path) -> Result<bool>) -> Result<(Self, Vec<PathBuf>)> {
        let damaged = |e: zip::result::ZipError| damaged_zip(path, e.to_string());
        let (mut archive, length) = open_zip(BufReader::new(source::open(path)?), path)?;
        let mut entries = Vec::new();
        let mut claimed = 0u64;
        for index in 0..archive.len() {
            let file = archive.by_index(index).map_err(damaged)?;
            let inside = PathBuf::from(file.name().map_err(damaged)?.as_ref());
            if !file.is_dir() && wanted(&inside)? {
                claimed = claimed.saturating_add(file.size());
                entries.push((index, inside));
            }
        }
        size::unpacked(path, "an archive", claimed, length)?;
        entries.sort_by(|a, b| {
            crate::data::names::natural_order(&nfc(&a.1.to_string_lossy()), &nfc(&b.1.to_string_lossy()))
        });
        let paths = entries.iter().map(|(_, inside)| inside.clone()).collect();
        Ok((Self { path: path.into(), archive: Mutex::new(archive), length, entries, names: vec![] }, paths))
    }

    /// The images' names.
    pub fn named(self, names: Vec<String>) -> Self {
        Self { names, ..self }
    }
}

impl ImageSource for Zipped {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn read(&self, range: Range<usize>) -> Result<Vec<Array3<u8>>> {
        check_range(&range, self.entries.len())?;
        let mut packed = Vec::with_capacity(range.len());
        {
            // A thread that panicked left the archive as it was: every read seeks first.
            let mut archive = self.archive.lock().unwrap_or_else(PoisonError::into_inner);
            let mut left = size::unpackable(self.length);
            for (index, inside) in &self.entries[range] {
                let name = inside.display().to_string();
                let file = archive.by_index(*index);
                let file = file.map_err(|e| damaged_zip(&self.path, format!("`{name}`: {e}")))?;
                packed.push((self.path.join(inside), unpack(file, &name, &self.path, &mut left)?));
            }
        }
        in_order(packed.par_iter().map(|(path, bytes)| decode(bytes, path)))
    }
}

/// Rows of an array of uint8 in C order, n_images x height x width x 3, read by seeking.
pub(super) struct Rows {
    pub path: PathBuf,
    pub names: Vec<String>,
    /// Height and width.
    pub size: (usize, usize),
    /// Where the first image begins in the file.
    pub start: u64,
}

impl ImageSource for Rows {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn read(&self, range: Range<usize>) -> Result<Vec<Array3<u8>>> {
        check_range(&range, self.names.len())?;
        let (height, width) = self.size;
        let n_bytes = height * width * 3;
        let mut file = source::open(&self.path)?;
        let start = self.start + (range.start * n_bytes) as u64;
        file.seek(SeekFrom::Start(start)).map_err(Error::io(&self.path, "read"))?;
        range
            .map(|_| {
                let mut pixels = vec![0; n_bytes];
                file.read_exact(&mut pixels).map_err(Error::io(&self.path, "read"))?;
                Ok(Array3::from_shape_vec((height, width, 3), pixels).expect("as many bytes as the shape has"))
            })
            .collect()
    }
}

impl ImageSource for ImageSet {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    fn read(&self, range: Range<usize>) -> Result<Vec<Array3<u8>>> {
        check_range(&range, self.pixels.len())?;
        Ok(self.pixels[range].to_vec())
    }
}

#[cfg(test)]
#[path = "image_source_tests.rs"]
mod tests;
