//! The B-trees (version 1) of an HDF5 file's groups and chunks, looked at before the library walks
//! them: their nodes may lead to each other, so that two nodes of a few kilobytes stand for billions
//! of entries, and the library lists them all.
//!
//! A node is `TREE`, a type (0: group, 1: chunks), a level (0: leaf), the number of its entries, two
//! siblings, and key, child, key, child, ..., key. The keys of chunks have a length that only their
//! dataset knows, so that every possible one is tried.

use std::collections::HashMap;

/// The sizes of addresses and lengths, and where addresses count from.
struct Frame {
    offset: usize,
    length: usize,
    base: u64,
}

/// Refuses trees that lead to more entries than the file has room for.
///
/// # Errors
/// In words.
pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    let Some(frame) = frame(bytes) else { return Ok(()) };
    let starts = |&(i, &b): &(usize, &u8)| b == b'T' && bytes[i..].starts_with(b"TREE");
    let at: Vec<usize> = bytes.iter().enumerate().filter(starts).map(|(i, _)| i).collect();
    let inner =
        |kind: u8| at.iter().any(|&p| bytes.get(p + 4) == Some(&kind) && bytes.get(p + 5).is_some_and(|l| *l > 0));
    // A dataset has up to 32 axes; the keys hold one number more.
    let chunks = (2..=33).map(|n| (1, 8 + 8 * n));
    let kinds: Vec<(u8, usize)> = std::iter::once((0, frame.length)).chain(chunks).filter(|(k, _)| inner(*k)).collect();
    kinds.into_iter().try_for_each(|(kind, key)| Trees { bytes, frame: &frame, kind, key }.check(&at))
}

/// Reads the superblock, at the start of the file or behind a block of 512, 1024, ... bytes.
fn frame(bytes: &[u8]) -> Option<Frame> {
    let starts = std::iter::once(0).chain((9..).map(|k| 1 << k)).take_while(|&p| p < bytes.len());
    let block = starts.filter_map(|p| bytes.get(p..)).find(|b| b.starts_with(b"\x89HDF\r\n\x1a\n"))?;
    let (sizes, base) = match block.get(8)? {
        0 => (13, 24),
        1 => (13, 28),
        _ => (9, 12),
    };
    let (offset, length) = (usize::from(*block.get(sizes)?), usize::from(*block.get(sizes + 1)?));
    let known = |n: usize| matches!(n, 2 | 4 | 8);
    (known(offset) && known(length)).then(|| Frame { offset, length, base: number(block, base, offset).unwrap_or(0) })
}

fn number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let part = bytes.get(at..at.checked_add(width)?)?;
    Some(part.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b)))
}

/// The trees of one type, with keys of one length.
struct Trees<'a> {
    bytes: &'a [u8],
    frame: &'a Frame,
    kind: u8,
    key: usize,
}

impl Trees<'_> {
    /// Level and number of entries of the node at a place.
    fn node(&self, at: usize) -> Option<(u8, usize)> {
        let head = self.bytes.get(at..at.checked_add(8)?)?;
        let n = usize::from(u16::from_le_bytes([head[6], head[7]]));
        (head.starts_with(b"TREE") && head[4] == self.kind).then_some((head[5], n))
    }

    fn child(&self, at: usize, i: usize) -> Option<usize> {
        let first = at + 8 + 2 * self.frame.offset;
        let place = number(self.bytes, first + i * (self.key + self.frame.offset) + self.key, self.frame.offset)?;
        usize::try_from(place.checked_add(self.frame.base)?).ok()
    }

    /// Counts the entries that the nodes lead to, from the leaves up. Where a node leads back to
    /// itself, the library stops of itself.
    fn check(&self, at: &[usize]) -> Result<(), String> {
        let most = self.bytes.len() as u64 / 8;
        let again = || "B-trees that lead to the same places again and again".to_owned();
        // Entries below each node; 0 while they are being counted.
        let mut below: HashMap<usize, u64> = HashMap::new();
        let mut looked = 0;
        for &root in at {
            let mut open = vec![(root, 0, 0u64)];
            while let Some((place, next, sum)) = open.pop() {
                let Some((level, n)) = self.node(place) else { continue };
                if level == 0 || next == n {
                    let sum = if level == 0 { n as u64 } else { sum };
                    below.insert(place, sum);
                    if let Some((_, _, above)) = open.last_mut() {
                        *above += sum;
                    }
                    if sum > most {
                        return Err(again());
                    }
                    continue;
                }
                looked += 1;
                if looked > most {
                    return Err(again());
                }
                if next == 0 && below.contains_key(&place) {
                    continue;
                }
                below.entry(place).or_insert(0);
                let child = self.child(place, next).filter(|c| self.node(*c).is_some());
                let known = child.and_then(|c| below.get(&c).copied());
                open.push((place, next + 1, sum.saturating_add(known.unwrap_or(0))));
                if let (Some(child), None) = (child, known) {
                    open.push((child, 0, 0));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A superblock (version 0) and nodes of type 0: place, level, children.
    fn file(nodes: &[(usize, u8, Vec<u64>)]) -> Vec<u8> {
        let mut bytes = vec![0; 1 << 16];
        bytes[..8].copy_from_slice(b"\x89HDF\r\n\x1a\n");
        (bytes[13], bytes[14]) = (8, 8);
        for (at, level, children) in nodes {
            let mut node = b"TREE".to_vec();
            node.extend([0, *level]);
            node.extend((children.len() as u16).to_le_bytes());
            node.extend([0xff; 16]);
            children.iter().for_each(|c| node.extend([[0; 8], c.to_le_bytes()].concat()));
            bytes[*at..at + node.len()].copy_from_slice(&node);
        }
        bytes
    }

    #[test]
    fn an_honest_tree_passes_and_one_that_multiplies_does_not() {
        let leaf = |at: usize| (at, 0, vec![40_000; 50]);
        check(&file(&[(1000, 1, vec![3000, 5000]), leaf(3000), leaf(5000)])).unwrap();
        check(&file(&[(1000, 1, vec![1000, 3000]), leaf(3000)])).unwrap();
        // 100 x 100 x 50 entries in 64 kB.
        let twice = file(&[(1000, 2, vec![10_000; 100]), (10_000, 1, vec![20_000; 100]), leaf(20_000)]);
        assert!(check(&twice).unwrap_err().contains("again and again"));
        // Two children each, forty levels deep.
        let deep: Vec<_> = (0..40).map(|i| (1000 + 200 * i, 1, vec![1200 + 200 * i as u64; 2])).collect();
        let deep: Vec<_> = deep.into_iter().chain([leaf(9000)]).collect();
        assert!(check(&file(&deep)).is_err());
        check(b"no HDF5").unwrap();
    }

    #[test]
    fn the_librarys_own_files_pass() {
        let mut writer = hdf5_pure::FileBuilder::new();
        for i in 0..200 {
            writer.create_dataset(&format!("d{i}")).with_f32_data(&[1.0; 64]).with_shape(&[64]).with_chunks(&[4]);
        }
        check(&writer.finish().unwrap()).unwrap();
    }
}
