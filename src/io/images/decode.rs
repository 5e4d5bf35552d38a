//! The pixels of one PNG or JPEG file.

use super::{jpeg, png};
use crate::error::{Error, Result};
use image::metadata::Orientation;
use image::{DynamicImage, ImageFormat};
use ndarray::Array3;
use std::path::Path;

/// What a file's stream says besides its pixels.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    /// A TIFF header with tags, without `Exif\0\0` before it.
    pub exif: Option<Vec<u8>>,
    pub xmp: Option<Vec<u8>>,
    /// Frames of an animation; 0 without one.
    pub n_frames: u32,
}

impl Metadata {
    /// How the stored pixels are to be turned: EXIF's word, XMP's where EXIF has none.
    fn orientation(&self) -> Orientation {
        let exif = self.exif.as_deref().and_then(Orientation::from_exif_chunk);
        exif.or_else(|| self.xmp.as_deref().and_then(xmp_orientation)).unwrap_or(Orientation::NoTransforms)
    }

    pub(super) fn set_exif(&mut self, bytes: &[u8]) {
        self.exif = self.exif.take().or_else(|| Some(bytes.strip_prefix(b"Exif\0\0").unwrap_or(bytes).to_vec()));
    }
}

/// `tiff:Orientation="6"`, or the same as an element.
fn xmp_orientation(xmp: &[u8]) -> Option<Orientation> {
    let text = String::from_utf8_lossy(xmp);
    let value = &text[text.find("tiff:Orientation")? + "tiff:Orientation".len()..];
    let digit = value.trim_start_matches(['=', '"', '\'', '>', ' ']).bytes().next()?;
    Orientation::from_exif(digit.checked_sub(b'0')?)
}

/// Pixels of the largest image that is read: 8192 x 8192. A file of a few bytes may promise any
/// number of them.
const MOST_PIXELS: u64 = 1 << 26;

/// Refuses an image before memory is taken for it.
pub(super) fn small_enough(width: u32, height: u32) -> Result<(), String> {
    if u64::from(width) * u64::from(height) <= MOST_PIXELS {
        return Ok(());
    }
    Err(format!("{width} x {height} pixels, more than the {MOST_PIXELS} that are read"))
}

/// The pixels of a PNG or JPEG file, height x width x 3, RGB, 0..255, turned as its orientation
/// (EXIF, XMP) says; `path` is only for messages.
///
/// Grey becomes RGB, 16 bits become 8 (round(v / 257)). An alpha channel is dropped where it is
/// opaque everywhere.
///
/// # Errors
/// [`Error::Corrupt`] when the file is of another format, is damaged, ends before its last row and
/// its end marker, has more than 2^26 pixels, is animated, has a transparent pixel (its colour depends on a background that
/// the file does not tell), or when its brightest value says that it was not scaled to its range: 1
/// in a PNG of 8 bits, 255 or less in one of 16.
pub fn decode(bytes: &[u8], path: &Path) -> Result<Array3<u8>> {
    let bad = |found: String| {
        Error::corrupt(path, "a whole PNG or JPEG image", found, "replace the file, or take it out of the set")
    };
    let (mut image, metadata) = match image::guess_format(bytes) {
        Ok(ImageFormat::Png) => png::read(bytes).map_err(bad)?,
        Ok(ImageFormat::Jpeg) => jpeg::read(bytes).map_err(bad)?,
        Ok(other) => return Err(bad(format!("{other:?}"))),
        Err(_) if bytes.is_empty() => return Err(bad("an empty file".into())),
        Err(_) => return Err(bad("bytes of no image format".into())),
    };
    if metadata.n_frames > 1 {
        let found = format!("an animation of {} frames", metadata.n_frames);
        return Err(Error::corrupt(path, "one image", found, "save the frame that is meant as a file of its own"));
    }
    image.apply_orientation(metadata.orientation());
    opaque(&image, path)?;
    scaled(&image, path, bytes.starts_with(b"\x89PNG"))?;
    let rgb = image.into_rgb8();
    let (width, height) = (rgb.width() as usize, rgb.height() as usize);
    Ok(Array3::from_shape_vec((height, width, 3), rgb.into_raw()).expect("three bytes a pixel"))
}

fn opaque(image: &DynamicImage, path: &Path) -> Result<()> {
    let transparent = match image {
        DynamicImage::ImageLumaA8(i) => i.pixels().any(|p| p.0[1] != u8::MAX),
        DynamicImage::ImageLumaA16(i) => i.pixels().any(|p| p.0[1] != u16::MAX),
        DynamicImage::ImageRgba8(i) => i.pixels().any(|p| p.0[3] != u8::MAX),
        DynamicImage::ImageRgba16(i) => i.pixels().any(|p| p.0[3] != u16::MAX),
        _ => false,
    };
    if !transparent {
        return Ok(());
    }
    let hint = "flatten it onto the background it is meant for (in Pillow: Image.alpha_composite, then convert('RGB'))";
    Err(Error::corrupt(path, "an opaque image", "transparent pixels", hint))
}

/// An image of 0 and 1 of 255, or of 0..255 of 65535, is as good as black: it was saved without
/// being scaled.
fn scaled(image: &DynamicImage, path: &Path, lossless: bool) -> Result<()> {
    let colours = |raw: &[u16], n: usize| {
        let each = raw.chunks_exact(n).flat_map(|p| &p[..if n.is_multiple_of(2) { n - 1 } else { n }]);
        each.copied().max().unwrap_or(0)
    };
    let sixteen = match image {
        DynamicImage::ImageLuma16(i) => Some(colours(i.as_raw(), 1)),
        DynamicImage::ImageLumaA16(i) => Some(colours(i.as_raw(), 2)),
        DynamicImage::ImageRgb16(i) => Some(colours(i.as_raw(), 3)),
        DynamicImage::ImageRgba16(i) => Some(colours(i.as_raw(), 4)),
        _ => None,
    };
    let found = match sixteen {
        Some(brightest @ 1..=255) => format!("16 bits with {brightest} of 65535 as the brightest value"),
        None if lossless && image.to_rgb8().iter().max() == Some(&1) => "1 of 255 as the brightest value".into(),
        _ => return Ok(()),
    };
    let hint = "it was saved without scaling and would be black: scale it to the full range (a black image is 0)";
    Err(Error::corrupt(path, "an image that uses its range", found, hint))
}
