//! Changes of bytes, drawn from a stream: the same stream makes the same mutant.

use orthoscope::rng::Stream;

/// Mutants do not grow beyond this.
pub const LONGEST: usize = 256 << 10;

/// Numbers at which sizes, counts and offsets go wrong.
const INTEGERS: [i64; 28] = [
    0,
    1,
    -1,
    2,
    3,
    7,
    16,
    64,
    100,
    127,
    128,
    255,
    256,
    1000,
    4096,
    32767,
    32768,
    65535,
    65536,
    1 << 24,
    i32::MAX as i64,
    1 << 31,
    u32::MAX as i64,
    1 << 32,
    (1 << 32) + 1,
    1 << 40,
    1 << 62,
    i64::MAX,
];

const FLOATS: [f64; 8] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, -1e300, 1e-300, -0.0, 1e38];

/// One of the [`INTEGERS`], now and then of the other sign.
pub fn integer(rng: &mut Stream) -> i64 {
    let value = INTEGERS[rng.below(INTEGERS.len())];
    match rng.below(8) {
        0 => value.wrapping_neg(),
        1 => value.wrapping_sub(1),
        2 => i64::MIN,
        _ => value,
    }
}

/// A position: anywhere, or in the first bytes, where headers are.
fn place(len: usize, rng: &mut Stream) -> usize {
    match (len, rng.below(3)) {
        (0, _) => 0,
        (_, 0) => rng.below(len.min(64)),
        (_, 1) => rng.below(len.min(512)),
        _ => rng.below(len),
    }
}

/// Length of a range that begins at `at`.
fn extent(len: usize, at: usize, rng: &mut Stream) -> usize {
    let most = [4, 16, 128, 4096][rng.below(4)].min(len - at);
    if most == 0 { 0 } else { 1 + rng.below(most) }
}

/// Changes bytes in one to four ways; `other` is what ranges are taken from.
pub fn bytes(bytes: &mut Vec<u8>, other: &[u8], rng: &mut Stream) {
    let n = [1, 1, 1, 2, 2, 3, 4][rng.below(7)];
    for _ in 0..n {
        once(bytes, other, rng);
    }
    bytes.truncate(LONGEST);
}

fn once(bytes: &mut Vec<u8>, other: &[u8], rng: &mut Stream) {
    let at = place(bytes.len(), rng);
    match rng.below(14) {
        0 | 1 => flip(bytes, at, rng),
        2 => set(bytes, at, &[rng.below(256) as u8]),
        3..=5 => number(bytes, at, rng),
        6 => near(bytes, at, rng),
        7 => {
            let n = extent(bytes.len(), at, rng);
            bytes.drain(at..at + n);
        }
        8 => {
            let n = 1 + rng.below(32);
            let fill = [0, 0xff, rng.below(256) as u8][rng.below(3)];
            bytes.splice(at..at, std::iter::repeat_n(fill, n));
        }
        9 => duplicate(bytes, at, rng),
        10 => bytes.truncate(at),
        11 => {
            let from = place(other.len(), rng);
            let n = extent(other.len(), from, rng);
            bytes.splice(at..at, other[from..from + n].iter().copied());
        }
        12 => {
            let tail = &other[at.min(other.len())..];
            bytes.truncate(at);
            bytes.extend_from_slice(tail);
        }
        _ => {
            let from = place(bytes.len(), rng);
            let n = extent(bytes.len(), from, rng).min(bytes.len() - at);
            bytes.copy_within(from..from + n, at);
        }
    }
}

fn flip(bytes: &mut [u8], at: usize, rng: &mut Stream) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << rng.below(8);
    }
}

/// Overwrites as much as there is room for.
fn set(bytes: &mut [u8], at: usize, value: &[u8]) {
    for (to, from) in bytes.iter_mut().skip(at).zip(value) {
        *to = *from;
    }
}

/// An interesting number, 1 to 8 bytes wide, in either order; fields are aligned more often than not.
fn number(bytes: &mut [u8], at: usize, rng: &mut Stream) {
    let width = [1, 2, 4, 8][rng.below(4)];
    let at = if rng.below(4) == 0 { at } else { at / width * width };
    let mut word = match (width, rng.below(6)) {
        (4, 0) => (FLOATS[rng.below(8)] as f32).to_le_bytes().to_vec(),
        (8, 0) => FLOATS[rng.below(8)].to_le_bytes().to_vec(),
        _ => integer(rng).to_le_bytes()[..width].to_vec(),
    };
    if rng.below(3) == 0 {
        word.reverse();
    }
    set(bytes, at, &word);
}

/// A number that is off by a little.
fn near(bytes: &mut [u8], at: usize, rng: &mut Stream) {
    let width = [1, 2, 4, 8][rng.below(4)];
    let Some(found) = bytes.get(at..at + width) else { return };
    let big = rng.below(3) == 0;
    let mut word = [0u8; 8];
    word[..width].copy_from_slice(found);
    if big {
        word[..width].reverse();
    }
    let step = [1, -1, 2, -2, 4, 8, -8, 256][rng.below(8)];
    word = i64::from_le_bytes(word).wrapping_add(step).to_le_bytes();
    if big {
        word[..width].reverse();
    }
    set(bytes, at, &word[..width]);
}

/// A range once more, or many times.
fn duplicate(bytes: &mut Vec<u8>, at: usize, rng: &mut Stream) {
    let n = extent(bytes.len(), at, rng);
    let range = bytes[at..at + n].to_vec();
    let times = [1, 1, 2, 16, 256][rng.below(5)].min(LONGEST / n.max(1));
    bytes.splice(at..at, std::iter::repeat_n(range, times).flatten());
}

/// What is put in the place of a number, or anywhere.
const WORDS: [&str; 40] = [
    "0",
    "-1",
    "1",
    "2",
    "3",
    "-0",
    "0.5",
    "255",
    "65536",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551615",
    "99999999999999999999999",
    "1e9",
    "1e-300",
    "1e308",
    "1e400",
    "-1e400",
    "nan",
    "inf",
    "null",
    "true",
    "\"\"",
    "{}",
    "[]",
    "[[]]",
    "\u{0}",
    "\u{1b}[31m",
    "\u{e9}",
    "e\u{301}",
    "\u{feff}",
    "\t",
    "\r\n",
    "n/a",
    "\"",
];

/// Changes text: numbers, words, nesting, and its bytes.
pub fn text(bytes: &mut Vec<u8>, other: &[u8], rng: &mut Stream) {
    for _ in 0..1 + rng.below(3) {
        match rng.below(8) {
            0..=3 => replace_number(bytes, rng),
            4 => {
                let at = place(bytes.len(), rng);
                bytes.splice(at..at, WORDS[rng.below(WORDS.len())].bytes());
            }
            5 if rng.below(16) == 0 => nest(bytes, rng),
            _ => once(bytes, other, rng),
        }
    }
    bytes.truncate(LONGEST);
}

fn replace_number(bytes: &mut Vec<u8>, rng: &mut Stream) {
    let digit = |b: &u8| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+');
    let starts: Vec<usize> =
        (0..bytes.len()).filter(|&i| digit(&bytes[i]) && (i == 0 || !digit(&bytes[i - 1]))).collect();
    if starts.is_empty() {
        return;
    }
    let at = starts[rng.below(starts.len())];
    let n = bytes[at..].iter().take_while(|b| digit(b)).count();
    bytes.splice(at..at + n, WORDS[rng.below(25)].bytes());
}

/// Brackets within brackets, closed or not.
fn nest(bytes: &mut Vec<u8>, rng: &mut Stream) {
    let (open, close) = [("[", "]"), ("{\"a\":", "}"), ("(", ")"), ("a={", "}")][rng.below(4)];
    let depth = [10, 100, 1000, 20_000][rng.below(4)];
    let mut nested = open.repeat(depth);
    if rng.below(2) == 0 {
        nested += "1";
        nested += &close.repeat(depth);
    }
    let at = place(bytes.len(), rng);
    bytes.splice(at..at, nested.into_bytes());
}
