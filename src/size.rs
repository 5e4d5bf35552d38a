//! Sizes that files claim, checked before memory is taken.
//!
//! A header of a few bytes may ask for terabytes. Whatever is read from one passes here: products
//! that wrap are refused, stored numbers must lie in the file, and what is packed may unpack to
//! [`FREE`] bytes or to [`RATIO`] times its packed size, whichever is more.

use crate::error::{Error, Result};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// Bytes that anything packed may unpack to: 256 MiB.
pub const FREE: u64 = 256 << 20;

/// How many times its packed size anything larger may unpack to. Deflate reaches 1032 with nothing
/// but zeros; recordings and weights stay below 20.
pub const RATIO: u64 = 100;

/// The product of some sizes, or `None` where it does not fit a signed 64-bit number of bytes (which
/// is what arrays can hold).
///
/// ```
/// assert_eq!(orthoscope::size::product([2, 3, 4]), Some(24));
/// assert_eq!(orthoscope::size::product([0, usize::MAX, 2]), None);
/// ```
pub fn product(sizes: impl IntoIterator<Item = usize>) -> Option<usize> {
    // Zeros count as ones: arrays of no items must have a layout, too.
    let mut empty = false;
    let mut nonzero = sizes.into_iter().map(|size| {
        empty |= size == 0;
        size.max(1)
    });
    let product = nonzero.try_fold(1usize, usize::checked_mul)?;
    (product <= isize::MAX as usize).then_some(if empty { 0 } else { product })
}

/// How many items an array of some sizes has, each of so many bytes.
///
/// # Errors
/// [`Error::Corrupt`] for `what` in `path` where the bytes cannot be counted, or are more than
/// `available` (those that are left of the file, or [`unpackable`] from them).
pub fn items(path: &Path, what: &str, sizes: &[usize], bytes_each: usize, available: u64) -> Result<usize> {
    let n = product(sizes.iter().copied());
    let bytes = n.and_then(|n| product([n, bytes_each]));
    match (n, bytes) {
        (Some(n), Some(bytes)) if bytes as u64 <= available => Ok(n),
        _ => {
            let sizes: Vec<String> = sizes.iter().map(ToString::to_string).collect();
            let expected = format!("at most {available} bytes of {what}, which is all that the file can hold");
            let found = format!("{} numbers of {bytes_each} bytes", sizes.join(" x "));
            Err(Error::corrupt(path, expected, found, "the file is truncated or damaged: copy or convert it again"))
        }
    }
}

/// How many bytes deflate (gzip, zip) can make of a packed one: 258 of two bits.
const DEFLATE: u64 = 1032;

/// The most bytes that so many packed by deflate (gzip, zip) can hold, and may: [`unpackable`],
/// but never more than the format has room for.
pub fn inflatable(packed: u64) -> u64 {
    unpackable(packed).min(packed.saturating_mul(DEFLATE))
}

/// How many bytes may come out of so many packed ones.
pub fn unpackable(packed: u64) -> u64 {
    packed.saturating_mul(RATIO).max(FREE)
}

/// Refuses what claims to unpack to more than [`unpackable`].
///
/// # Errors
/// [`Error::Corrupt`] for `what` in `path`.
pub fn unpacked(path: &Path, what: &str, claimed: u64, packed: u64) -> Result<()> {
    if claimed <= unpackable(packed) {
        return Ok(());
    }
    let expected = format!("{what} that unpacks to at most {} bytes", unpackable(packed));
    let found = format!("{claimed} bytes, packed in {packed}");
    Err(Error::corrupt(path, expected, found, "unpack it by other means if you trust it, and give what comes out"))
}

/// A stream that fails, where it does not end, after so many bytes.
///
/// ```
/// use std::io::Read;
/// let mut text = String::new();
/// assert!(orthoscope::size::Limited::new(&b"four"[..], 4).read_to_string(&mut text).is_ok());
/// assert!(orthoscope::size::Limited::new(&b"more"[..], 3).read_to_string(&mut text).is_err());
/// ```
pub struct Limited<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Limited<R> {
    /// A stream that may give `limit` bytes.
    pub fn new(inner: R, limit: u64) -> Self {
        Self { inner, left: limit }
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(n as u64)
            .ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "it unpacks to more bytes than it may"))?;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_that_wrap_are_refused() {
        assert_eq!(product([1 << 31, 1 << 31]), Some(1 << 62));
        assert_eq!(product([1 << 32, 1 << 32]), None);
        assert_eq!(product([1 << 32, 1 << 31]), None, "more than isize::MAX");
        assert_eq!(product([0, 7]), Some(0));
        assert_eq!(product([]), Some(1));
    }

    #[test]
    fn stored_numbers_lie_in_the_file() {
        let path = Path::new("a.nii");
        assert_eq!(items(path, "voxels", &[2, 3], 4, 24).unwrap(), 6);
        let error = items(path, "voxels", &[2, 3], 4, 23).unwrap_err();
        assert!(error.to_string().contains("2 x 3 numbers of 4 bytes"), "{error}");
        assert!(items(path, "voxels", &[1 << 40, 1 << 40], 8, u64::MAX).is_err());
    }

    #[test]
    fn packed_data_may_grow_so_much() {
        let path = Path::new("a.zip");
        assert!(unpacked(path, "`b.npy`", FREE, 1).is_ok());
        assert!(unpacked(path, "`b.npy`", FREE + 1, 1).is_err());
        assert_eq!((inflatable(100), inflatable(1 << 20), inflatable(1 << 30)), (103_200, FREE, 100 << 30));
        assert!(unpacked(path, "`b.npy`", 20 << 30, 1 << 30).is_ok());
        assert!(unpacked(path, "`b.npy`", u64::MAX, u64::MAX).is_ok());
    }
}
