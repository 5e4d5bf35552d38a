//! Files that this program writes for itself and must read back unchanged: a mark, the BLAKE3 of
//! what follows, and what follows.

use super::{atomic, source};
use crate::error::{Error, Result};
use std::io::Write;
use std::path::Path;

const MARK: &[u8; 16] = b"orthoscope seal\n";
const HASH: usize = 32;

/// Writes some bytes under a seal, as one atomic file.
///
/// # Errors
/// [`Error::Io`]: the file before stays.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let seal = blake3::hash(bytes);
    atomic::write_with(path, |file| {
        file.write_all(MARK)?;
        file.write_all(seal.as_bytes())?;
        file.write_all(bytes)
    })
}

/// The bytes of a sealed file; `None` when there is none.
///
/// # Errors
/// [`Error::Corrupt`] where a single bit of it is not as it was written; [`Error::Io`].
pub fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    if !path.try_exists().map_err(Error::io(path, "read"))? {
        return Ok(None);
    }
    let mut bytes = source::read_member(path)?;
    let hint = "the disk or a copy damaged it: take it from a backup, or remove it and begin what it holds again";
    let corrupt = |found: &str| Err(Error::corrupt(path, "a checkpoint as it was written", found, hint));
    let Some((head, rest)) = bytes.split_at_checked(MARK.len() + HASH) else {
        return corrupt(&format!("{} bytes", bytes.len()));
    };
    if head[..MARK.len()] != MARK[..] {
        return corrupt("another kind of file, or a damaged beginning: no checksum");
    }
    if head[MARK.len()..] != blake3::hash(rest).as_bytes()[..] {
        return corrupt("other bytes: its checksum is another");
    }
    bytes.drain(..MARK.len() + HASH);
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_counts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.checkpoint");
        assert!(read(&path).unwrap().is_none());
        write(&path, b"what is kept").unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"what is kept");
        let whole = std::fs::read(&path).unwrap();
        for bit in 0..8 * whole.len() {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &bytes).unwrap();
            assert!(matches!(read(&path), Err(Error::Corrupt { .. })), "bit {bit}");
        }
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(matches!(read(&path), Err(Error::Corrupt { .. })), "{length} bytes");
        }
    }
}
