//! Whether the scans of a JPEG hold every block that its header promises (ITU-T T.81, sequential
//! and progressive Huffman coding). Nothing is reconstructed: codes are followed and counted.
//!
//! A decoder cannot tell: data that end before their time are read on as zeros, up to the last row.

const EARLY: &str = "data that end early, before the image's last row";

/// Components of an image (grey, YCbCr, CMYK), and blocks of one in an MCU in each direction.
const MOST_PARTS: usize = 4;
/// Huffman tables of a file: every scan may bring its own, a few hundred in all.
const MOST_TABLES: usize = 1000;

/// Marks a coefficient that no scan has sent.
const UNSENT: u8 = u8::MAX;

/// What the segments before a scan have defined.
#[derive(Default)]
pub(super) struct Scans {
    dc: [Option<Codes>; 4],
    ac: [Option<Codes>; 4],
    n_tables: usize,
    components: Vec<Component>,
    width: usize,
    height: usize,
    progressive: bool,
    /// MCUs between restart markers; 0 for none.
    interval: usize,
}

struct Component {
    id: u8,
    horizontal: usize,
    vertical: usize,
    /// Blocks across and down, without those that only fill an MCU.
    blocks: (usize, usize),
    /// Which AC coefficients of a block are not zero so far: bit k.
    nonzero: Vec<u64>,
    /// The bit to which each coefficient has been sent.
    sent: [u8; 64],
}

/// A Huffman table: length and symbol for every 16 bits; length 0 where there is no code.
struct Codes(Vec<(u8, u8)>);

/// One scan's components (index, DC table, AC table) and its part of the coefficients.
struct Scan {
    components: Vec<(usize, usize, usize)>,
    first: usize,
    last: usize,
    refines: bool,
    low: u8,
}

fn damaged() -> String {
    "a damaged header".into()
}

impl Scans {
    /// DHT.
    pub(super) fn tables(&mut self, mut body: &[u8]) -> Result<(), String> {
        while let [class, rest @ ..] = body {
            self.n_tables += 1;
            if self.n_tables > MOST_TABLES {
                return Err(format!("more than {MOST_TABLES} Huffman tables"));
            }
            let counts = rest.get(..16).ok_or_else(damaged)?;
            let n: usize = counts.iter().map(|&c| usize::from(c)).sum();
            let symbols = rest.get(16..16 + n).ok_or_else(damaged)?;
            let tables = if class >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            *tables.get_mut(usize::from(class & 15)).ok_or_else(damaged)? = Some(Codes::new(counts, symbols)?);
            body = &rest[16 + n..];
        }
        Ok(())
    }

    /// DRI.
    pub(super) fn restarts(&mut self, body: &[u8]) -> Result<(), String> {
        let [high, low, ..] = body else { return Err(damaged()) };
        self.interval = usize::from(u16::from_be_bytes([*high, *low]));
        Ok(())
    }

    /// SOF0, SOF1 or SOF2.
    pub(super) fn frame(&mut self, body: &[u8], progressive: bool) -> Result<(), String> {
        let [_, h1, h0, w1, w0, n, list @ ..] = body else { return Err(damaged()) };
        if !self.components.is_empty() {
            return Err("two headers of one image".into());
        }
        self.height = usize::from(u16::from_be_bytes([*h1, *h0]));
        self.width = usize::from(u16::from_be_bytes([*w1, *w0]));
        self.progressive = progressive;
        let list = list.get(..3 * usize::from(*n)).ok_or_else(damaged)?;
        let side = |c: &[u8]| (usize::from(c[1] >> 4), usize::from(c[1] & 15));
        let sides: Vec<(usize, usize)> = list.chunks_exact(3).map(side).collect();
        let parts = 1..=MOST_PARTS;
        let all_parts = sides.iter().all(|s| parts.contains(&s.0) && parts.contains(&s.1));
        if self.width == 0 || self.height == 0 || !parts.contains(&sides.len()) || !all_parts {
            return Err(damaged());
        }
        super::decode::small_enough(self.width as u32, self.height as u32)?;
        let largest = sides.iter().fold((1, 1), |m, s| (m.0.max(s.0), m.1.max(s.1)));
        let component = |(c, &(horizontal, vertical)): (&[u8], &(usize, usize))| {
            let across = (self.width * horizontal).div_ceil(largest.0).div_ceil(8);
            let down = (self.height * vertical).div_ceil(largest.1).div_ceil(8);
            let nonzero = if progressive { vec![0; across * down] } else { vec![] };
            Component { id: c[0], horizontal, vertical, blocks: (across, down), nonzero, sent: [UNSENT; 64] }
        };
        self.components = list.chunks_exact(3).zip(&sides).map(component).collect();
        Ok(())
    }

    /// SOS and the data behind it: how many bytes those are.
    pub(super) fn scan(&mut self, body: &[u8], data: &[u8]) -> Result<usize, String> {
        let scan = self.header(body)?;
        let mut bits = Bits { data, at: 0, buffer: 0, n_bits: 0 };
        let single = scan.components.len() == 1;
        let largest = self.components.iter().fold((1, 1), |m, c| (m.0.max(c.horizontal), m.1.max(c.vertical)));
        let (across, down) = if single {
            self.components[scan.components[0].0].blocks
        } else {
            (self.width.div_ceil(8 * largest.0), self.height.div_ceil(8 * largest.1))
        };
        let mut run = 0;
        for mcu in 0..across * down {
            if self.interval > 0 && mcu > 0 && mcu % self.interval == 0 {
                bits.restart()?;
                run = 0;
            }
            for &(index, dc, ac) in &scan.components {
                let component = &mut self.components[index];
                let n_blocks = if single { 1 } else { component.horizontal * component.vertical };
                let (dc, ac) = (self.dc[dc].as_ref(), self.ac[ac].as_ref());
                for _ in 0..n_blocks {
                    match (self.progressive, scan.first) {
                        (false, _) => sequential(&mut bits, dc, ac)?,
                        (true, 0) if scan.refines => drop(bits.take(1)?),
                        (true, 0) => drop(bits.number(dc)?),
                        (true, _) => {
                            let nonzero = &mut component.nonzero[mcu];
                            let range = (scan.first, scan.last);
                            run = if scan.refines {
                                refine(&mut bits, ac, range, nonzero, run)?
                            } else {
                                begin(&mut bits, ac, range, nonzero, run)?
                            };
                        }
                    }
                }
            }
        }
        for &(index, ..) in &scan.components {
            self.components[index].sent[scan.first..=scan.last].fill(scan.low);
        }
        Ok(bits.at)
    }

    fn header(&self, body: &[u8]) -> Result<Scan, String> {
        let (n, rest) = body.split_first().ok_or_else(damaged)?;
        let n = usize::from(*n);
        let (list, [first, last, bits, ..]) = rest.split_at_checked(2 * n).ok_or_else(damaged)? else {
            return Err(damaged());
        };
        let find = |pair: &[u8]| {
            let index = self.components.iter().position(|c| c.id == pair[0]).ok_or_else(damaged)?;
            Ok((index, usize::from(pair[1] >> 4) & 3, usize::from(pair[1] & 3)))
        };
        let components = list.chunks_exact(2).map(find).collect::<Result<Vec<_>, String>>()?;
        let (mut first, mut last) = (usize::from(*first), usize::from(*last));
        if !self.progressive {
            (first, last) = (0, 63);
        }
        // Only the first coefficients of several components share a scan.
        if n == 0 || first > last || last > 63 || (self.progressive && n > 1 && last > 0) {
            return Err(damaged());
        }
        let low = if self.progressive { bits & 15 } else { 0 };
        Ok(Scan { components, first, last, refines: self.progressive && bits >> 4 != 0, low })
    }

    /// Whether every coefficient was sent to its last bit.
    pub(super) fn complete(&self) -> bool {
        !self.components.is_empty() && self.components.iter().all(|c| c.sent.iter().all(|&bit| bit == 0))
    }
}

impl Codes {
    fn new(counts: &[u8], symbols: &[u8]) -> Result<Self, String> {
        let mut lookup = Vec::with_capacity(1 << 16);
        let mut symbols = symbols.iter();
        for (length, &count) in (1u8..).zip(counts) {
            for symbol in symbols.by_ref().take(usize::from(count)) {
                lookup.resize(lookup.len() + (1 << (16 - length)), (length, *symbol));
            }
        }
        if lookup.len() > 1 << 16 {
            return Err(damaged());
        }
        lookup.resize(1 << 16, (0, 0));
        Ok(Self(lookup))
    }
}

/// The bits of a scan's data.
struct Bits<'d> {
    data: &'d [u8],
    at: usize,
    buffer: u64,
    n_bits: u32,
}

impl Bits<'_> {
    /// Takes bytes up to the next marker; a 0 behind 255 says that the 255 is data.
    fn fill(&mut self) {
        while self.n_bits <= 48 {
            let Some(&byte) = self.data.get(self.at) else { return };
            if byte == 0xff {
                if self.data.get(self.at + 1) != Some(&0) {
                    return;
                }
                self.at += 1;
            }
            self.at += 1;
            self.buffer = (self.buffer << 8) | u64::from(byte);
            self.n_bits += 8;
        }
    }

    fn take(&mut self, n: u8) -> Result<u32, String> {
        self.fill();
        let n = u32::from(n);
        if n > self.n_bits {
            return Err(EARLY.into());
        }
        self.n_bits -= n;
        Ok(((self.buffer >> self.n_bits) & ((1 << n) - 1)) as u32)
    }

    fn symbol(&mut self, codes: Option<&Codes>) -> Result<u8, String> {
        self.fill();
        let ahead =
            if self.n_bits >= 16 { self.buffer >> (self.n_bits - 16) } else { self.buffer << (16 - self.n_bits) };
        let (length, symbol) = codes.ok_or_else(damaged)?.0[(ahead & 0xffff) as usize];
        match length {
            0 if self.n_bits >= 16 => Err("damaged data: bits that are no code".into()),
            0 => Err(EARLY.into()),
            _ => self.take(length).map(|_| symbol),
        }
    }

    /// A symbol that says how many bits a number has, and the number.
    fn number(&mut self, codes: Option<&Codes>) -> Result<u32, String> {
        let n = self.symbol(codes)?;
        self.take(n.min(16))
    }

    /// Goes on behind a restart marker.
    fn restart(&mut self) -> Result<(), String> {
        (self.buffer, self.n_bits) = (0, 0);
        while self.data.get(self.at) == Some(&0xff) && self.data.get(self.at + 1) == Some(&0xff) {
            self.at += 1;
        }
        if !matches!(self.data.get(self.at..self.at + 2), Some([0xff, 0xd0..=0xd7])) {
            return Err("damaged data: no restart marker where one is due".into());
        }
        self.at += 2;
        Ok(())
    }
}

fn sequential(bits: &mut Bits<'_>, dc: Option<&Codes>, ac: Option<&Codes>) -> Result<(), String> {
    bits.number(dc)?;
    let mut k = 1;
    while k < 64 {
        let symbol = bits.symbol(ac)?;
        match (symbol >> 4, symbol & 15) {
            (15, 0) => k += 16,
            (_, 0) => break,
            (zeros, n) => {
                k += usize::from(zeros) + 1;
                bits.take(n)?;
            }
        }
    }
    Ok(())
}

/// Blocks that end together: 2^r and as many as r bits say.
fn end_run(bits: &mut Bits<'_>, r: u8) -> Result<u32, String> {
    Ok((1 << r) + bits.take(r)?)
}

/// The first bits of AC coefficients of one block; `run` blocks from here on hold nothing.
fn begin(
    bits: &mut Bits<'_>,
    ac: Option<&Codes>,
    (first, last): (usize, usize),
    nonzero: &mut u64,
    run: u32,
) -> Result<u32, String> {
    if run > 0 {
        return Ok(run - 1);
    }
    let mut k = first;
    while k <= last {
        let symbol = bits.symbol(ac)?;
        match (symbol >> 4, symbol & 15) {
            (15, 0) => k += 16,
            (r, 0) => return Ok(end_run(bits, r)? - 1),
            (zeros, n) => {
                k += usize::from(zeros);
                bits.take(n)?;
                *nonzero |= 1u64.checked_shl(k as u32).unwrap_or(0);
                k += 1;
            }
        }
    }
    Ok(0)
}

/// One more bit of AC coefficients of one block: those that are not zero have a bit each, between
/// the codes of those that become so.
fn refine(
    bits: &mut Bits<'_>,
    ac: Option<&Codes>,
    (first, last): (usize, usize),
    nonzero: &mut u64,
    mut run: u32,
) -> Result<u32, String> {
    let before = *nonzero;
    let mut k = first;
    while run == 0 && k <= last {
        let symbol = bits.symbol(ac)?;
        let (mut zeros, new) = (symbol >> 4, symbol & 15 != 0);
        if !new && zeros < 15 {
            run = end_run(bits, zeros)?;
            break;
        }
        if new {
            bits.take(1)?;
        }
        while k <= last {
            if before >> k & 1 == 1 {
                bits.take(1)?;
            } else if zeros == 0 {
                *nonzero |= u64::from(new) << k;
                k += 1;
                break;
            } else {
                zeros -= 1;
            }
            k += 1;
        }
    }
    if run == 0 {
        return Ok(0);
    }
    let rest = (k..=last).filter(|k| before >> k & 1 == 1).count();
    for _ in 0..rest {
        bits.take(1)?;
    }
    Ok(run - 1)
}
