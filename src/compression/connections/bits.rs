//! Bits in bytes, most significant first.

/// Bytes that bits are added to.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
    free: u32,
}

impl Writer {
    /// Adds the low `n` bits of a number, at most 64.
    pub fn push(&mut self, value: u64, n: u32) {
        for shift in (0..n).rev() {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            self.free -= 1;
            let last = self.bytes.len() - 1;
            self.bytes[last] |= ((value >> shift & 1) as u8) << self.free;
        }
    }

    /// The bytes; the last is filled with zeros.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// Bytes that bits are taken from.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// From the first bit.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next bit; zeros beyond the end.
    pub fn bit(&mut self) -> u64 {
        let byte = self.bytes.get(self.at / 8).copied().unwrap_or(0);
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        u64::from(bit)
    }

    /// Whether more bits were taken than there are.
    pub fn beyond(&self) -> bool {
        self.at > 8 * self.bytes.len()
    }
}
