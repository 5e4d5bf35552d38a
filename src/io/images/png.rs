//! PNG: chunks are walked to the last one and their checksums compared before the decoder sees
//! them, which stops at the last row and skips damaged chunks that it does not need.

use super::decode::{Metadata, small_enough};
use crate::io::guard;
use image::{DynamicImage, ImageFormat};
use std::io::Read;

/// Text profiles are small; a compressed one must not ask for more memory than this.
const MOST_PROFILE_BYTES: u64 = 1 << 20;

/// The image and its metadata, or what is wrong.
pub(super) fn read(bytes: &[u8]) -> Result<(DynamicImage, Metadata), String> {
    let (metadata, pixels) = walk(bytes)?;
    let decode = || image::load_from_memory_with_format(&pixels, ImageFormat::Png).map_err(|e| e.to_string());
    let image = guard::catch(decode).map_err(|panic| format!("data that its decoder was not made for ({panic})"))??;
    Ok((image, metadata))
}

/// Chunks of text and profiles, which the decoder would unpack although they change no pixel.
const WORDS: [&[u8]; 4] = [b"tEXt", b"zTXt", b"iTXt", b"iCCP"];

/// The metadata, and the file without [`WORDS`].
fn walk(bytes: &[u8]) -> Result<(Metadata, Vec<u8>), String> {
    let mut metadata = Metadata::default();
    let mut pixels = bytes.get(..8).unwrap_or_default().to_vec();
    let mut rest = bytes.get(8..).unwrap_or_default();
    loop {
        let (length, kind) = match rest {
            [a, b, c, d, kind @ ..] if kind.len() >= 4 => (u32::from_be_bytes([*a, *b, *c, *d]) as usize, &kind[..4]),
            _ => return Err("data that end early: no IEND chunk".into()),
        };
        let name = String::from_utf8_lossy(kind).into_owned();
        let end = length.saturating_add(8);
        let (Some(body), Some(sum)) = (rest.get(8..end), rest.get(end..end.saturating_add(4))) else {
            return Err(format!("data that end early, in a chunk {name:?}"));
        };
        let mut crc = flate2::Crc::new();
        crc.update(&rest[4..end]);
        if crc.sum().to_be_bytes() != sum {
            return Err(format!("a chunk {name:?} whose checksum does not fit its bytes"));
        }
        if !WORDS.contains(&kind) {
            pixels.extend_from_slice(&rest[..end + 4]);
        }
        match kind {
            b"IEND" => return Ok((metadata, pixels)),
            b"IHDR" => match body {
                [a, b, c, d, e, f, g, h, ..] => {
                    small_enough(u32::from_be_bytes([*a, *b, *c, *d]), u32::from_be_bytes([*e, *f, *g, *h]))?;
                }
                _ => return Err("a header that ends early".into()),
            },
            b"PLTE" if body.is_empty() || body.len() % 3 != 0 => {
                return Err(format!("a palette of {} bytes, not three a colour", body.len()));
            }
            b"acTL" if body.len() >= 4 => metadata.n_frames = u32::from_be_bytes([body[0], body[1], body[2], body[3]]),
            b"eXIf" => metadata.set_exif(body),
            b"iTXt" if body.starts_with(b"XML:com.adobe.xmp\0") => metadata.xmp = Some(body.to_vec()),
            b"tEXt" | b"zTXt" => {
                if let Some(exif) = profile(body, kind == b"zTXt") {
                    metadata.set_exif(&exif);
                }
            }
            _ => {}
        }
        rest = &rest[end + 4..];
    }
}

/// EXIF as hexadecimal text, as ImageMagick wrote it before PNG had a chunk for it.
fn profile(body: &[u8], compressed: bool) -> Option<Vec<u8>> {
    let at = body.iter().position(|b| *b == 0)?;
    if !matches!(&body[..at], b"Raw profile type exif" | b"Raw profile type APP1") {
        return None;
    }
    let mut text = String::new();
    if compressed {
        flate2::read::ZlibDecoder::new(body.get(at + 2..)?).take(MOST_PROFILE_BYTES).read_to_string(&mut text).ok()?;
    } else {
        text = String::from_utf8(body[at + 1..].to_vec()).ok()?;
    }
    // Its name, its length, its bytes.
    let digits: Vec<u8> = text.split_ascii_whitespace().skip(2).flat_map(str::bytes).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks_exact(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_do_not_reach_the_decoder() {
        let pixels = ndarray::Array3::from_shape_fn((2, 3, 3), |(y, x, c)| (20 * y + 5 * x + c) as u8);
        let plain = crate::io::png::encode(pixels.view()).unwrap();
        let text = [&b"iCCPname\0\0"[..], b"not packed"].concat();
        let mut crc = flate2::Crc::new();
        crc.update(&text);
        let chunk = [&((text.len() - 4) as u32).to_be_bytes()[..], &text, &crc.sum().to_be_bytes()].concat();
        // The header ends at byte 33.
        let with = [&plain[..33], &chunk, &plain[33..]].concat();
        assert_eq!(walk(&with).unwrap().1, plain);
        assert_eq!(walk(&plain).unwrap().1, plain);
        assert_eq!(read(&with).unwrap().0.into_rgb8().into_raw(), pixels.into_raw_vec_and_offset().0);
    }
}
