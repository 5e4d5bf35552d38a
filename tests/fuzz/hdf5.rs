//! Checksums of HDF5 files: Jenkins's lookup3 of the superblock (versions 2 and 3) and of object
//! headers (version 2).

/// Puts the right checksums into a file whose bytes were changed.
pub fn with_checksums(bytes: &mut [u8]) {
    // Superblock: signature, version, sizes, flags, four addresses of eight bytes, checksum.
    if bytes.len() >= 48 && matches!(bytes[8], 2 | 3) {
        sum(bytes, 0, 44);
    }
    let starts: Vec<usize> = (0..bytes.len().saturating_sub(8)).filter(|&i| &bytes[i..i + 4] == b"OHDR").collect();
    for start in starts {
        if let Some(end) = header_end(bytes, start) {
            sum(bytes, start, end);
        }
    }
}

/// Where the checksum of an object header's first chunk lies.
fn header_end(bytes: &[u8], start: usize) -> Option<usize> {
    let flags = *bytes.get(start + 5)?;
    let times = if flags & 0x20 == 0 { 0 } else { 16 };
    let phases = if flags & 0x10 == 0 { 0 } else { 4 };
    let at = start + 6 + times + phases;
    let width = 1 << (flags & 3);
    let mut size = [0u8; 8];
    size[..width].copy_from_slice(bytes.get(at..at + width)?);
    let end = usize::try_from(u64::from_le_bytes(size)).ok()?.checked_add(at + width)?;
    (end.checked_add(4)? <= bytes.len()).then_some(end)
}

fn sum(bytes: &mut [u8], start: usize, end: usize) {
    let value = lookup3(&bytes[start..end]);
    bytes[end..end + 4].copy_from_slice(&value.to_le_bytes());
}

/// `hashlittle` of Bob Jenkins's lookup3 with a start value of 0.
fn lookup3(data: &[u8]) -> u32 {
    let seed = 0xdead_beef_u32.wrapping_add(data.len() as u32);
    let mut state = [seed; 3];
    let mut rest = data;
    while rest.len() > 12 {
        add(&mut state, &rest[..12]);
        mix(&mut state);
        rest = &rest[12..];
    }
    if rest.is_empty() {
        return state[2];
    }
    add(&mut state, rest);
    let [mut a, mut b, mut c] = state;
    c = (c ^ b).wrapping_sub(b.rotate_left(14));
    a = (a ^ c).wrapping_sub(c.rotate_left(11));
    b = (b ^ a).wrapping_sub(a.rotate_left(25));
    c = (c ^ b).wrapping_sub(b.rotate_left(16));
    a = (a ^ c).wrapping_sub(c.rotate_left(4));
    b = (b ^ a).wrapping_sub(a.rotate_left(14));
    (c ^ b).wrapping_sub(b.rotate_left(24))
}

/// Adds up to twelve bytes, as three words, least significant byte first.
fn add(state: &mut [u32; 3], bytes: &[u8]) {
    let mut words = [0u8; 12];
    words[..bytes.len()].copy_from_slice(bytes);
    for (word, four) in state.iter_mut().zip(words.chunks_exact(4)) {
        *word = word.wrapping_add(u32::from_le_bytes(four.try_into().expect("four bytes")));
    }
}

fn mix(state: &mut [u32; 3]) {
    // Each word loses one neighbour, is turned with it, and the other neighbour gains the third.
    for (i, turn) in [4, 6, 8, 16, 19, 4].into_iter().enumerate() {
        let (x, y, z) = (i % 3, (i + 1) % 3, (i + 2) % 3);
        state[x] = state[x].wrapping_sub(state[z]) ^ state[z].rotate_left(turn);
        state[z] = state[z].wrapping_add(state[y]);
    }
}
