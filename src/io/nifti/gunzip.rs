//! Gzip streams, read and verified to their end.

use flate2::bufread::GzDecoder;
use std::io::{BufRead, Error, ErrorKind, Read, Result};

/// Unpacks all members of a gzip stream one after the other.
///
/// The end is only reached where every member's CRC and length are right, and nothing follows the
/// last one but zeros (the padding of tapes and archives, which gzip and Python skip too).
pub(super) struct Gunzip<R: BufRead> {
    /// `None` after the end, or a failure.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Gunzip<R> {
    pub(super) fn new(packed: R) -> Self {
        Self { member: Some(GzDecoder::new(packed)) }
    }
}

impl<R: BufRead> Read for Gunzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        while let Some(member) = &mut self.member {
            let n = member.read(buffer)?;
            if n > 0 || buffer.is_empty() {
                return Ok(n);
            }
            let rest = self.member.take().map(GzDecoder::into_inner);
            self.member = rest.map(next_member).transpose()?.flatten();
        }
        Ok(0)
    }
}

/// The member that follows, if any does.
fn next_member<R: BufRead>(mut rest: R) -> Result<Option<GzDecoder<R>>> {
    loop {
        let bytes = rest.fill_buf()?;
        let n_zeros = bytes.iter().take_while(|b| **b == 0).count();
        match bytes.get(n_zeros) {
            Some(0x1f) => {
                rest.consume(n_zeros);
                return Ok(Some(GzDecoder::new(rest)));
            }
            Some(_) => return Err(Error::new(ErrorKind::InvalidData, "other bytes follow the gzip stream")),
            None if bytes.is_empty() => return Ok(None),
            None => rest.consume(n_zeros),
        }
    }
}
