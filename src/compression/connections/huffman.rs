//! Huffman codes in their canonical form: the lengths of the codes are all that a decoder must
//! know.

use super::bits::{Reader, Writer};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Longest code: a symbol would have to be 2^60 times rarer than another.
const LONGEST: usize = 60;

/// Lengths of the codes of symbols that occur so often; 0 for those that do not. A symbol that is
/// the only one has length 1.
///
/// # Source
/// Huffman, "A method for the construction of minimum-redundancy codes", 1952.
///
/// # Example
/// ```
/// use orthoscope::compression::connections::huffman::lengths;
///
/// assert_eq!(lengths(&[4, 2, 0, 1, 1]), [1, 2, 0, 3, 3]);
/// ```
pub fn lengths(counts: &[u64]) -> Vec<u8> {
    let symbols: Vec<usize> = (0..counts.len()).filter(|&s| counts[s] > 0).collect();
    let mut out = vec![0; counts.len()];
    if let [only] = symbols[..] {
        out[only] = 1;
        return out;
    }
    // Nodes by weight, then by the order in which they were made: nothing is left to chance.
    let mut heap: BinaryHeap<Reverse<(u64, usize)>> =
        symbols.iter().enumerate().map(|(node, &s)| Reverse((counts[s], node))).collect();
    let mut parent: Vec<usize> = vec![0; symbols.len()];
    while heap.len() > 1 {
        let (Some(Reverse((a, left))), Some(Reverse((b, right)))) = (heap.pop(), heap.pop()) else { break };
        let node = parent.len();
        parent.push(0);
        parent[left] = node;
        parent[right] = node;
        heap.push(Reverse((a + b, node)));
    }
    let mut depth = vec![0u8; parent.len()];
    for node in (0..parent.len().saturating_sub(1)).rev() {
        depth[node] = depth[parent[node]] + 1;
    }
    symbols.iter().enumerate().for_each(|(node, &s)| out[s] = depth[node]);
    out
}

/// Bits that symbols take which occur so often, with codes of these lengths.
pub fn n_bits(counts: &[u64], lengths: &[u8]) -> u64 {
    counts.iter().zip(lengths).map(|(&n, &l)| n * u64::from(l)).sum()
}

/// The code of each symbol: codes of one length follow each other in the order of symbols, shorter
/// ones come first (canonical Huffman codes, as in RFC 1951, section 3.2.2).
fn codes(lengths: &[u8]) -> Vec<u64> {
    let mut out = vec![0; lengths.len()];
    let (mut code, mut before) = (0u64, 0);
    for symbol in in_order(lengths) {
        code <<= lengths[symbol] - before;
        before = lengths[symbol];
        out[symbol] = code;
        code += 1;
    }
    out
}

/// Symbols that occur, by length and then by number.
fn in_order(lengths: &[u8]) -> Vec<usize> {
    let mut symbols: Vec<usize> = (0..lengths.len()).filter(|&s| lengths[s] > 0).collect();
    symbols.sort_by_key(|&s| (lengths[s], s));
    symbols
}

/// Symbols as bits, in bytes.
pub fn encode(symbols: &[usize], lengths: &[u8]) -> Vec<u8> {
    let codes = codes(lengths);
    let mut writer = Writer::default();
    symbols.iter().for_each(|&s| writer.push(codes[s], u32::from(lengths[s])));
    writer.finish()
}

/// `n` symbols from bits; `None` where lengths are no code or the bits end.
pub fn decode(bytes: &[u8], lengths: &[u8], n: usize) -> Option<Vec<usize>> {
    let symbols = in_order(lengths);
    // Every number of bits leaves room for the codes of that length: otherwise two codes are one.
    let room = symbols.iter().try_fold(1u64 << LONGEST, |room, &s| {
        (usize::from(lengths[s]) <= LONGEST).then_some(())?;
        room.checked_sub(1 << (LONGEST - usize::from(lengths[s])))
    });
    room?;
    // For each length: its first code, where its symbols begin, how many there are.
    let (mut table, mut code, mut start) = ([(0u64, 0usize, 0usize); LONGEST + 1], 0u64, 0);
    for (length, row) in table.iter_mut().enumerate().skip(1) {
        code <<= 1;
        let own = symbols[start..].iter().take_while(|&&s| usize::from(lengths[s]) == length).count();
        *row = (code, start, own);
        code += own as u64;
        start += own;
    }
    let mut reader = Reader::new(bytes);
    let mut out = Vec::with_capacity(n.min(8 * bytes.len()));
    for _ in 0..n {
        let mut code = 0;
        let found = table.iter().skip(1).find_map(|&(first, start, own)| {
            code = code << 1 | reader.bit();
            let at = code.checked_sub(first)? as usize;
            (at < own).then(|| symbols[start + at])
        })?;
        if reader.beyond() {
            return None;
        }
        out.push(found);
    }
    Some(out)
}
