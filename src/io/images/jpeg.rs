//! JPEG: the stream is walked to its end marker before it is decoded, and decoded without
//! tolerance. Most programs fill what a cut-off file lacks with grey.

use super::decode::{Metadata, small_enough};
use super::entropy::Scans;
use crate::io::guard;
use image::{DynamicImage, GrayImage, RgbImage};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// Scans of a progressive file: ten are usual, and each may say something of every block in a few
/// bytes. It is the decoder's own limit, too.
const MOST_SCANS: usize = 100;

/// The image and its metadata, or what is wrong.
pub(super) fn read(bytes: &[u8]) -> Result<(DynamicImage, Metadata), String> {
    let metadata = walk(bytes)?;
    let options = DecoderOptions::default().set_strict_mode(true).set_max_width(usize::MAX).set_max_height(usize::MAX);
    let decoded = guard::catch(|| decode(bytes, options));
    let image = decoded.map_err(|panic| format!("data that its decoder was not made for ({panic})"))??;
    Ok((image, metadata))
}

fn decode(bytes: &[u8], options: DecoderOptions) -> Result<DynamicImage, String> {
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|e| e.to_string())?;
    let colours = match decoder.input_colorspace() {
        Some(ColorSpace::Luma) => ColorSpace::Luma,
        _ => ColorSpace::RGB,
    };
    let (width, height) = decoder.dimensions().unwrap_or((0, 0));
    let side = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    small_enough(side(width), side(height))?;
    decoder.set_options(options.jpeg_set_out_colorspace(colours));
    let pixels = decoder.decode().map_err(|e| e.to_string())?;
    let (width, height) = (width as u32, height as u32);
    let image = match colours {
        ColorSpace::Luma => GrayImage::from_raw(width, height, pixels).map(DynamicImage::from),
        _ => RgbImage::from_raw(width, height, pixels).map(DynamicImage::from),
    };
    image.ok_or_else(|| "fewer pixels than its header says".into())
}

/// Follows the markers to the end of the image and counts what its scans hold; what lies behind it
/// (previews, other images) is not ours.
fn walk(bytes: &[u8]) -> Result<Metadata, String> {
    let early = || "data that end early, before the image's end marker".to_owned();
    let mut metadata = Metadata::default();
    let mut scans = Scans::default();
    let mut n_scans = 0;
    let mut at = 2;
    loop {
        // Fill bytes may stand before a marker, and other bytes are for the decoder to refuse.
        let is_marker = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff);
        let found = bytes.get(at..).and_then(|rest| rest.windows(2).position(is_marker));
        at += found.ok_or_else(early)? + 2;
        let marker = bytes[at - 1];
        match marker {
            0xd9 if scans.complete() => return Ok(metadata),
            0xd9 => return Err("an end marker before all of the image: the file was cut".into()),
            0x01 | 0xd0..=0xd8 => continue,
            _ => {}
        }
        let length = bytes.get(at..at + 2).map(|n| usize::from(u16::from_be_bytes([n[0], n[1]]))).ok_or_else(early)?;
        let body = bytes.get(at + 2..at + length.max(2)).ok_or_else(early)?;
        at += length.max(2);
        match marker {
            0xe1 if body.starts_with(b"Exif\0\0") => metadata.set_exif(body),
            0xe1 if body.starts_with(b"http://ns.adobe.com/xap/1.0/\0") => metadata.xmp = Some(body.to_vec()),
            0xc4 => scans.tables(body)?,
            0xc0..=0xc2 => scans.frame(body, marker == 0xc2)?,
            0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                return Err("a JPEG of a kind that is not read (lossless or arithmetic coding)".into());
            }
            0xdd => scans.restarts(body)?,
            0xda if n_scans == MOST_SCANS => return Err(format!("more than {MOST_SCANS} scans")),
            0xda => {
                n_scans += 1;
                at += scans.scan(body, &bytes[at..])?;
            }
            _ => {}
        }
    }
}
