//! NumPy's `.npz`: several named arrays in a zip archive.
//!
//! What we write is deterministic: entries in the order given, a fixed date, stored without
//! compression (as `numpy.savez` does), so that equal arrays make equal bytes. Reading takes
//! compressed archives too.

use crate::error::{Error, Result};
use crate::io::filename::Part;
use crate::io::{atomic, npy, source};
use crate::size::{self, Limited};
use ndarray::{ArrayD, ArrayRef, Dimension};
use ndarray_npy::WritableElement;
use std::io::{Cursor, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use zip::ZipArchive;
use zip::read::ZipFile;
use zip::result::ZipError;
use zip::write::SimpleFileOptions;

/// Arrays to be written together.
#[derive(Debug, Clone, Default)]
pub struct NpzWriter {
    entries: Vec<(String, Vec<u8>)>,
}

impl NpzWriter {
    /// An archive without arrays.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an array under a name (`numpy.load(FILE)[name]`). Slashes become dots: they would be
    /// folders in the archive.
    #[must_use]
    pub fn add<A: WritableElement, D: Dimension>(mut self, name: &str, array: &ArrayRef<A, D>) -> Self {
        self.entries.push((key(name), npy::encode(array)));
        self
    }

    /// Writes the archive atomically.
    ///
    /// # Errors
    /// [`Error::Invalid`] when two arrays have one name; [`Error::Io`] when the file cannot be
    /// written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let bytes = self.bytes(path)?;
        atomic::write_with(path, |file| file.write_all(&bytes))
    }

    /// The bytes of the archive; `path` is only for messages.
    ///
    /// # Errors
    /// [`Error::Invalid`] when two arrays have one name.
    pub fn bytes(&self, path: &Path) -> Result<Vec<u8>> {
        for (i, (name, _)) in self.entries.iter().enumerate() {
            if self.entries[..i].iter().any(|(earlier, _)| earlier == name) {
                let at = path.display().to_string();
                return Err(Error::invalid(
                    at,
                    "one array a name",
                    format!("`{name}` twice"),
                    "give the arrays different names",
                ));
            }
        }
        self.archive().map_err(|e| Error::io(path, "write")(std::io::Error::other(e)))
    }

    fn archive(&self) -> Result<Vec<u8>, ZipError> {
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in &self.entries {
            let options = SimpleFileOptions::default()
                .compression_method(zip::CompressionMethod::Stored)
                .last_modified_time(zip::DateTime::DEFAULT)
                .unix_permissions(0o644)
                .large_file(bytes.len() >= u32::MAX as usize);
            archive.start_file(format!("{name}.npy"), options)?;
            archive.write_all(bytes).map_err(ZipError::Io)?;
        }
        Ok(archive.finish()?.into_inner())
    }
}

/// The key under which [`NpzWriter::add`] stores an array: `/` becomes `.`.
pub fn key(name: &str) -> String {
    Part::Key.plain(name)
}

/// An archive that was read: names in the archive's order, arrays decoded when asked for.
#[derive(Debug, Clone)]
pub struct Npz {
    path: PathBuf,
    entries: Vec<(String, Vec<u8>)>,
}

impl Npz {
    /// The arrays' names, without `.npy`.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.as_str())
    }

    /// One array, converted as by [`npy::read`].
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no array of that name; [`Error::Corrupt`] as for
    /// [`npy::read`].
    pub fn get<T: npy::Element>(&self, name: &str) -> Result<ArrayD<T>> {
        let wanted = key(name);
        match self.entries.iter().find(|(entry, _)| *entry == wanted) {
            Some((_, bytes)) => npy::decode(bytes, &self.path.join(&wanted)),
            None => {
                let names: Vec<_> = self.names().collect();
                let found = format!("arrays {}", names.join(", "));
                Err(Error::invalid(
                    self.path.display().to_string(),
                    format!("an array `{wanted}`"),
                    found,
                    "name one of them",
                ))
            }
        }
    }

    /// All arrays in the archive's order; see [`Npz::get`].
    pub fn all<T: npy::Element>(&self) -> Result<Vec<(String, ArrayD<T>)>> {
        self.entries
            .iter()
            .map(|(name, bytes)| Ok((name.clone(), npy::decode(bytes, &self.path.join(name))?)))
            .collect()
    }
}

/// Reads an archive written by us, by `numpy.savez` or by `numpy.savez_compressed`.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read; [`Error::Corrupt`] when it is damaged or holds
/// anything but npy arrays.
pub fn read(path: &Path) -> Result<Npz> {
    let file = source::open(path)?;
    read_from(std::io::BufReader::new(file), path)
}

/// As [`read`], from bytes; `path` is only for messages.
///
/// # Errors
/// As [`read`].
pub fn decode(bytes: &[u8], path: &Path) -> Result<Npz> {
    read_from(Cursor::new(bytes), path)
}

fn read_from(reader: impl Read + Seek, path: &Path) -> Result<Npz> {
    let mut entries = Vec::new();
    for_each_file(reader, path, |name, bytes| {
        let Some(name) = name.strip_suffix(".npy") else {
            return Err(Error::corrupt(
                path,
                "an archive of .npy arrays",
                format!("`{name}`"),
                "give a file written by numpy.savez",
            ));
        };
        entries.push((name.to_string(), bytes()?));
        Ok(())
    })?;
    Ok(Npz { path: path.to_path_buf(), entries })
}

/// What is said of an archive that cannot be read.
pub(crate) fn damaged_zip(path: &Path, found: String) -> Error {
    Error::corrupt(path, "a zip archive", found, "the file is truncated or damaged: copy or write it again")
}

/// Opens a zip archive; and its own bytes.
///
/// # Errors
/// [`Error::Corrupt`] for what is no archive, and for one with two files of one name: programs do not
/// agree on which of them is meant.
pub(crate) fn open_zip<R: Read + Seek>(mut reader: R, path: &Path) -> Result<(ZipArchive<R>, u64)> {
    let length = reader.seek(SeekFrom::End(0)).map_err(Error::io(path, "read"))?;
    let archive = ZipArchive::new(reader).map_err(|e| damaged_zip(path, e.to_string()))?;
    if archive.has_duplicate_names() {
        return Err(damaged_zip(path, "two files of one name".into()));
    }
    Ok((archive, length))
}

/// Unpacks a file of an archive, `name` in messages, and checks its CRC; its size is taken off
/// what the archive may still unpack to (`left`).
///
/// # Errors
/// [`Error::Corrupt`] when it is damaged, unpacks to more than it says, or says that it unpacks to
/// more than it may.
pub(crate) fn unpack<R: Read>(mut file: ZipFile<'_, R>, name: &str, path: &Path, left: &mut u64) -> Result<Vec<u8>> {
    let (claimed, packed) = (file.size(), file.compressed_size());
    size::unpacked(path, &format!("`{name}`"), claimed, packed)?;
    *left = left.checked_sub(claimed).ok_or_else(|| {
        let found = "files that share their bytes, or hardly have any".into();
        damaged_zip(path, found)
    })?;
    let mut bytes = Vec::new();
    let read = Limited::new(&mut file, claimed).read_to_end(&mut bytes);
    read.map(|_| bytes).map_err(|e| damaged_zip(path, format!("`{name}`: {e}")))
}

/// Calls `visit(name, read)` for every file of a zip archive in its order; `read` unpacks the file
/// once.
pub(crate) fn for_each_file<R: Read + Seek>(
    reader: R,
    path: &Path,
    mut visit: impl FnMut(&str, &mut dyn FnMut() -> Result<Vec<u8>>) -> Result<()>,
) -> Result<()> {
    let damaged = |found: String| damaged_zip(path, found);
    let (mut archive, length) = open_zip(reader, path)?;
    let mut left = size::unpackable(length);
    for index in 0..archive.len() {
        let file = archive.by_index(index).map_err(|e| damaged(e.to_string()))?;
        if file.is_dir() {
            continue;
        }
        let name = file.name().map_err(|e| damaged(e.to_string()))?.into_owned();
        let mut file = Some(file);
        let mut read = || match file.take() {
            Some(file) => unpack(file, &name, path, &mut left),
            None => Err(damaged(format!("`{name}` read twice"))),
        };
        visit(&name, &mut read)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, Array2, arr1};
    use proptest::prelude::*;

    #[test]
    fn equal_arrays_make_equal_bytes_in_the_given_order() {
        let dir = tempfile::tempdir().unwrap();
        let writer = NpzWriter::new().add("mixed4a/relu", &Array2::<f32>::ones((2, 3))).add("b", &arr1(&[1i64, 2]));
        let paths = [dir.path().join("a.npz"), dir.path().join("b.npz")];
        writer.write(&paths[0]).unwrap();
        writer.write(&paths[1]).unwrap();
        assert_eq!(std::fs::read(&paths[0]).unwrap(), std::fs::read(&paths[1]).unwrap());
        let back = read(&paths[0]).unwrap();
        assert_eq!(back.names().collect::<Vec<_>>(), ["mixed4a.relu", "b"]);
        assert_eq!(back.get::<f64>("mixed4a/relu").unwrap().shape(), [2, 3]);
        assert!(back.get::<f64>("c").unwrap_err().to_string().contains("mixed4a.relu"));
        assert!(writer.add("b", &arr1(&[0u8])).write(&paths[0]).is_err());
    }

    #[test]
    fn damage_is_a_typed_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.npz");
        NpzWriter::new().add("a", &Array1::<f64>::ones(50)).write(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for cut in [0, 10, 200, bytes.len() - 3] {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            assert!(matches!(read(&path), Err(Error::Corrupt { .. })), "cut at {cut}");
        }
        let mut flipped = bytes;
        flipped[300] ^= 1;
        std::fs::write(&path, &flipped).unwrap();
        assert!(matches!(read(&path), Err(Error::Corrupt { .. })), "a flipped bit fails the CRC");
    }

    /// Files of zeros, packed.
    fn packed(names: &[&str], n_bytes: usize) -> Vec<u8> {
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for name in names {
            archive.start_file(*name, SimpleFileOptions::default()).unwrap();
            archive.write_all(&npy::encode(&Array1::<u8>::zeros(n_bytes))).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    /// Overwrites a file's unpacked size in the directory (`PK\1\2`, 24 bytes on) and in front of its
    /// bytes (`PK\3\4`, 22 bytes on).
    fn claim(bytes: &mut [u8], size: u32) {
        for (mark, at) in [(b"PK\x01\x02", 24), (b"PK\x03\x04", 22)] {
            let start = bytes.windows(4).position(|w| w == mark).unwrap() + at;
            bytes[start..start + 4].copy_from_slice(&size.to_le_bytes());
        }
    }

    #[test]
    fn archives_unpack_to_what_they_may() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.npz");
        let refused = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let error = read(&path).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{error}");
            error.to_string()
        };
        // Zeros are packed a thousandfold: honest as long as they are few.
        let mut honest = packed(&["a.npy", "b.npy"], 30_000_000);
        std::fs::write(&path, &honest).unwrap();
        assert_eq!(read(&path).unwrap().get::<u8>("b").unwrap().len(), 30_000_000);
        let bomb = packed(&["a.npy"], (size::FREE + 1) as usize);
        assert!(refused(&bomb).contains("`a.npy` that unpacks to at most"), "more than may be");
        let many = packed(&["a.npy", "b.npy", "c.npy"], 100_000_000);
        assert!(refused(&many).contains("share their bytes"), "together more than may be");
        claim(&mut honest, 1000);
        assert!(refused(&honest).contains("`a.npy`"), "more than is said");
        claim(&mut honest, u32::MAX - 1);
        assert!(refused(&honest).contains("unpacks to at most"), "4 GB of 30 kB");
        let mut twice = packed(&["a.npy", "b.npy"], 10);
        while let Some(at) = twice.windows(5).position(|w| w == b"b.npy") {
            twice[at] = b'a';
        }
        assert!(refused(&twice).contains("two files of one name"), "whose numbers are meant?");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn read_after_write_is_the_same(values in prop::collection::vec(any::<f32>(), 0..40), name in "[a-z][a-z0-9_./]{0,12}") {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("a.npz");
            NpzWriter::new().add(&name, &arr1(&values)).write(&path).unwrap();
            let back = read(&path).unwrap().get::<f32>(&name).unwrap();
            prop_assert!(back.len() == values.len() && back.iter().zip(&values).all(|(a, b)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()));
        }
    }
}
