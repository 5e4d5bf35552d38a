//! Zip archives of which no more is unpacked than their size lets expect.

use crate::io::guard;
use crate::size::{self, Limited};
use std::io::{Cursor, Read};
use zip::ZipArchive;

/// An archive in memory.
pub struct Unzip {
    archive: ZipArchive<Cursor<Vec<u8>>>,
    names: Vec<String>,
    packed: u64,
    /// Bytes unpacked so far: entries may lie on each other.
    unpacked: u64,
}

impl Unzip {
    /// Opens the bytes of a file.
    ///
    /// # Errors
    /// In words: no zip archive, or a damaged one.
    pub fn open(bytes: Vec<u8>) -> Result<Self, String> {
        let packed = bytes.len() as u64;
        let archive = guard::catch(|| ZipArchive::new(Cursor::new(bytes)));
        let archive = archive.and_then(|found| found.map_err(|e| e.to_string())).map_err(|e| unreadable(&e))?;
        let names = archive.file_names().filter_map(|n| Some(n.ok()?.into_owned())).collect();
        Ok(Self { archive, names, packed, unpacked: 0 })
    }

    /// The names of its files.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Bytes of all files that were read.
    pub fn unpacked(&self) -> u64 {
        self.unpacked
    }

    /// One file. All files together may have [`size::unpackable`] bytes.
    ///
    /// # Errors
    /// In words: absent, damaged, encrypted or too large.
    pub fn read(&mut self, name: &str) -> Result<Vec<u8>, String> {
        let left = size::unpackable(self.packed).saturating_sub(self.unpacked);
        let too_large = || {
            let (most, packed) = (size::unpackable(self.packed), self.packed);
            format!("files that unpack to more than {most} bytes with `{name}`, from a zip archive of {packed} bytes")
        };
        let broken = |e: String| format!("`{name}` that cannot be read ({e})");
        let archive = &mut self.archive;
        let data = guard::catch(|| -> Result<Option<Vec<u8>>, String> {
            let entry = archive.by_name(name).map_err(|e| e.to_string())?;
            if entry.size() > left {
                return Ok(None);
            }
            let mut data = Vec::new();
            let found = Limited::new(entry, left).read_to_end(&mut data);
            found.map(|_| Some(data)).map_err(|e| e.to_string())
        });
        let data = data.and_then(|found| found).map_err(broken)?.ok_or_else(too_large)?;
        self.unpacked += data.len() as u64;
        Ok(data)
    }
}

fn unreadable(why: &str) -> String {
    format!("a zip archive that cannot be read ({why})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use zip::write::SimpleFileOptions;

    fn archive(files: &[(&str, usize)]) -> Vec<u8> {
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, n) in files {
            archive.start_file(*name, SimpleFileOptions::default()).unwrap();
            archive.write_all(&vec![0; *n]).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    #[test]
    fn files_are_read_until_they_are_too_large_together() {
        let half = size::FREE as usize / 2 + 1;
        let mut zip = Unzip::open(archive(&[("a", half), ("b", half), ("c", 3)])).unwrap();
        assert_eq!(zip.names(), ["a", "b", "c"]);
        assert_eq!(zip.read("a").unwrap().len(), half);
        assert!(zip.read("b").unwrap_err().contains("unpack to more than"));
        assert_eq!((zip.read("c").unwrap(), zip.unpacked()), (vec![0; 3], half as u64 + 3));
        assert!(zip.read("d").unwrap_err().contains("`d`"));
    }

    #[test]
    fn a_size_that_is_understated_does_not_help() {
        // Both headers of the entry say 3 bytes; the stream has more.
        let mut bytes = archive(&[("a", 1 << 20)]);
        let honest = (1u32 << 20).to_le_bytes();
        let at: Vec<usize> = (0..bytes.len() - 4).filter(|&i| bytes[i..i + 4] == honest).collect();
        at.into_iter().for_each(|i| bytes[i..i + 4].copy_from_slice(&3u32.to_le_bytes()));
        let found = Unzip::open(bytes).and_then(|mut zip| zip.read("a"));
        assert!(found.is_err() || found.unwrap().len() <= 1 << 20);
    }

    #[test]
    fn what_is_no_archive_is_said() {
        let whole = archive(&[("a", 100)]);
        for cut in 0..whole.len() {
            assert!(Unzip::open(whole[..cut].to_vec()).and_then(|mut zip| zip.read("a")).is_err(), "{cut}");
        }
    }
}
