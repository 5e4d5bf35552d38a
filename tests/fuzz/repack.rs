//! Mutants of what lies inside a format: unpacked, changed and packed again, with the checksums and
//! lengths that belong to it. Changed from outside, such files die at a checksum.

use crate::hdf5::with_checksums;
use crate::mutate::{self, LONGEST, integer};
use crate::protobuf;
use flate2::Compression;
use flate2::read::{GzDecoder, ZlibDecoder};
use flate2::write::{GzEncoder, ZlibEncoder};
use orthoscope::rng::Stream;
use std::io::{Read, Write};

/// A mutant of `bytes`, a file called `name`; parts of `other` may turn up in it.
pub fn mutant(name: &str, bytes: &[u8], other: &[u8], rng: &mut Stream) -> Vec<u8> {
    // Now and then the packing itself.
    let inside = if rng.below(6) == 0 { None } else { inside(name, bytes, other, rng) };
    let mut out = inside.unwrap_or_else(|| {
        let mut out = bytes.to_vec();
        mutate::bytes(&mut out, other, rng);
        out
    });
    out.truncate(4 * LONGEST);
    out
}

fn inside(name: &str, bytes: &[u8], other: &[u8], rng: &mut Stream) -> Option<Vec<u8>> {
    let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
    match ending {
        "gz" => Some(gzip(&mutant(stem, &gunzip(bytes)?, &gunzip(other)?, rng), rng)),
        "zip" | "npz" | "keras" | "pt" if bytes.starts_with(b"PK") => zip(bytes, other, rng),
        "png" => png(bytes, other, rng),
        "onnx" | "caffemodel" => protobuf::mutant(bytes, rng),
        "h5" | "hdf5" => {
            let mut out = bytes.to_vec();
            mutate::bytes(&mut out, other, rng);
            with_checksums(&mut out);
            Some(out)
        }
        "npy" => npy(bytes, other, rng),
        "safetensors" => safetensors(bytes, other, rng),
        "json" | "tsv" | "toml" | "txt" => {
            let mut out = bytes.to_vec();
            mutate::text(&mut out, other, rng);
            Some(out)
        }
        _ => None,
    }
}

fn gunzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut out).ok()?;
    Some(out)
}

/// Packing is what takes the time: mostly it only frames.
fn level(rng: &mut Stream) -> Compression {
    if rng.below(16) == 0 { Compression::fast() } else { Compression::none() }
}

fn gzip(bytes: &[u8], rng: &mut Stream) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), level(rng));
    out.write_all(bytes).expect("memory takes every byte");
    out.finish().expect("memory takes every byte")
}

fn zlib(bytes: &[u8], rng: &mut Stream) -> Vec<u8> {
    let mut out = ZlibEncoder::new(Vec::new(), level(rng));
    out.write_all(bytes).expect("memory takes every byte");
    out.finish().expect("memory takes every byte")
}

/// A file of an archive.
struct Entry {
    name: String,
    bytes: Vec<u8>,
    /// Sizes that its headers claim, where they are not the true ones.
    claims: Option<u32>,
}

fn entries(bytes: &[u8]) -> Option<Vec<Entry>> {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).ok()?;
    let mut all = Vec::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index).ok()?;
        let name = file.name().ok()?.into_owned();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        all.push(Entry { name, bytes, claims: None });
    }
    Some(all)
}

fn zip(bytes: &[u8], other: &[u8], rng: &mut Stream) -> Option<Vec<u8>> {
    let mut all = entries(bytes).filter(|all| !all.is_empty())?;
    let at = rng.below(all.len());
    match rng.below(16) {
        0 => {
            all.remove(at);
        }
        1 => {
            let twice = Entry { name: all[at].name.clone(), bytes: all[at].bytes.clone(), claims: None };
            all.push(twice);
        }
        2 => {
            let to = rng.below(all.len());
            let bytes = std::mem::take(&mut all[at].bytes);
            all[at].bytes = std::mem::replace(&mut all[to].bytes, bytes);
        }
        3 => {
            let mut name = all[at].name.clone().into_bytes();
            mutate::text(&mut name, b"../a.npy", rng);
            name.truncate(300);
            all[at].name = String::from_utf8_lossy(&name).into_owned();
        }
        4 => all[at].claims = Some(integer(rng) as u32),
        _ => {
            let others = entries(other).unwrap_or_default();
            let other = others.get(at).map_or(&[][..], |entry| &entry.bytes);
            all[at].bytes = mutant(&all[at].name, &all[at].bytes, other, rng);
        }
    }
    Some(zipped(&all, rng))
}

/// An archive, by APPNOTE.TXT of PKWARE: local headers with their data, the directory, its end.
fn zipped(all: &[Entry], rng: &mut Stream) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for entry in all {
        let mut crc = flate2::Crc::new();
        crc.update(&entry.bytes);
        let deflated = rng.below(8) == 0;
        let packed = if deflated { deflate(&entry.bytes) } else { entry.bytes.clone() };
        let mut header = Vec::new();
        // Version 2.0, flag 11 (names in UTF-8), method, no time.
        for word in [20u16, 1 << 11, if deflated { 8 } else { 0 }, 0, 0x21] {
            header.extend(word.to_le_bytes());
        }
        let length = entry.claims.unwrap_or(entry.bytes.len() as u32);
        for word in [crc.sum(), packed.len() as u32, length] {
            header.extend(word.to_le_bytes());
        }
        header.extend((entry.name.len() as u16).to_le_bytes());
        header.extend([0, 0]);
        let at = out.len() as u32;
        out.extend(b"PK\x03\x04");
        out.extend(&header);
        out.extend(entry.name.bytes());
        out.extend(&packed);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&header);
        directory.extend([0; 10]);
        directory.extend(at.to_le_bytes());
        directory.extend(entry.name.bytes());
    }
    let at = out.len() as u32;
    out.extend(&directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    let n = (all.len() as u16).to_le_bytes();
    out.extend([n, n].concat());
    out.extend((directory.len() as u32).to_le_bytes());
    out.extend(at.to_le_bytes());
    out.extend([0, 0]);
    out
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::DeflateEncoder::new(Vec::new(), Compression::fast());
    out.write_all(bytes).expect("memory takes every byte");
    out.finish().expect("memory takes every byte")
}

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
const CHUNKS: [&[u8; 4]; 18] = [
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"tEXt", b"zTXt", b"iTXt",
    b"bKGD", b"pHYs", b"sBIT", b"eXIf", b"acTL", b"fcTL",
];

fn png(bytes: &[u8], other: &[u8], rng: &mut Stream) -> Option<Vec<u8>> {
    let mut rest = bytes.strip_prefix(SIGNATURE)?;
    let mut chunks: Vec<([u8; 4], Vec<u8>)> = Vec::new();
    while let [a, b, c, d, t, u, v, w, tail @ ..] = rest {
        let n = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        chunks.push(([*t, *u, *v, *w], tail.get(..n)?.to_vec()));
        rest = tail.get(n + 4..)?;
    }
    let at = rng.below(chunks.len());
    match rng.below(10) {
        0 => {
            chunks.remove(at);
        }
        1 => chunks.insert(at, chunks[rng.below(chunks.len())].clone()),
        2 => {
            let from = rng.below(other.len().max(1)).min(other.len());
            let data = other[from..other.len().min(from + 1 + rng.below(64))].to_vec();
            chunks.insert(at, (*CHUNKS[rng.below(CHUNKS.len())], data));
        }
        3 => chunks[at].0 = *CHUNKS[rng.below(CHUNKS.len())],
        _ if &chunks[at].0 == b"IDAT" && rng.below(3) > 0 => {
            let mut rows = Vec::new();
            ZlibDecoder::new(chunks[at].1.as_slice()).read_to_end(&mut rows).ok()?;
            mutate::bytes(&mut rows, other, rng);
            chunks[at].1 = zlib(&rows, rng);
        }
        _ => mutate::bytes(&mut chunks[at].1, other, rng),
    }
    let mut out = SIGNATURE.to_vec();
    for (kind, data) in &chunks {
        let mut crc = flate2::Crc::new();
        crc.update(kind);
        crc.update(data);
        out.extend((data.len() as u32).to_be_bytes());
        out.extend(kind);
        out.extend(data);
        out.extend(crc.sum().to_be_bytes());
    }
    Some(out)
}

/// The words of the header, with its length.
fn npy(bytes: &[u8], other: &[u8], rng: &mut Stream) -> Option<Vec<u8>> {
    if rng.below(3) == 0 {
        return None;
    }
    let n = usize::from(u16::from_le_bytes([*bytes.get(8)?, *bytes.get(9)?]));
    let mut header = bytes.get(10..10 + n)?.to_vec();
    mutate::text(&mut header, other.get(10..).unwrap_or_default(), rng);
    header.truncate(usize::from(u16::MAX));
    Some([&bytes[..8], &(header.len() as u16).to_le_bytes(), &header, &bytes[10 + n..]].concat())
}

fn safetensors(bytes: &[u8], other: &[u8], rng: &mut Stream) -> Option<Vec<u8>> {
    if rng.below(4) == 0 {
        return None;
    }
    let n = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?) as usize;
    let mut header = bytes.get(8..8usize.checked_add(n)?)?.to_vec();
    mutate::text(&mut header, other.get(8..).unwrap_or_default(), rng);
    Some([&(header.len() as u64).to_le_bytes()[..], &header, &bytes[8 + n..]].concat())
}
