//! 8-bit RGB PNG: what a projector shows.
//!
//! Pixel arrays are height x width x 3; the numbers of a PNG's 0..255 and of a rendered image's
//! 0..1 differ by the factor 255 and nothing else (no gamma is applied anywhere).

use crate::error::{Error, Result};
use crate::io::atomic;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use ndarray::{Array3, ArrayView3};
use std::path::Path;

/// Writes an image atomically, losslessly.
///
/// # Shapes
/// `pixels`: height x width x 3.
///
/// # Errors
/// [`Error::Invalid`] when the shape is not height x width x 3; [`Error::Io`] when the file cannot
/// be written.
pub fn write(path: &Path, pixels: ArrayView3<'_, u8>) -> Result<()> {
    atomic::write(path, &encode(pixels)?)
}

/// The bytes of a PNG file; see [`write()`].
pub fn encode(pixels: ArrayView3<'_, u8>) -> Result<Vec<u8>> {
    let (height, width, n_channels) = pixels.dim();
    let side = |n: usize| u32::try_from(n).ok().filter(|&n| n > 0 && n <= 65_535);
    let (Some(h), Some(w), 3) = (side(height), side(width), n_channels) else {
        let found = format!("{height} x {width} x {n_channels}");
        return Err(Error::invalid("io::png", "height x width x 3, sides of 1 to 65535", found, ""));
    };
    let raw: Vec<u8> = pixels.iter().copied().collect();
    let mut bytes = Vec::new();
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Default, FilterType::Adaptive)
        .write_image(&raw, w, h, ExtendedColorType::Rgb8)
        .expect("a Vec takes every byte, and the shape was checked");
    Ok(bytes)
}

/// Reads an image that [`write()`] wrote (any PNG or JPEG that [`super::images`] takes).
///
/// # Errors
/// [`Error::Io`] when the file cannot be read; [`Error::Corrupt`] when it is damaged.
pub fn read(path: &Path) -> Result<Array3<u8>> {
    let bytes = super::source::read(path)?;
    super::images::decode(&bytes, path)
}

/// 0..1, channels first, to 0..255, channels last: round(255 x), halves away from zero, clipped to
/// the range.
///
/// # Shapes
/// `image`: n_channels x height x width -> height x width x n_channels.
///
/// # Errors
/// [`Error::Invalid`] when a pixel is NaN or infinite.
pub fn quantize(image: ArrayView3<'_, f32>) -> Result<Array3<u8>> {
    if let Some(bad) = image.iter().find(|v| !v.is_finite()) {
        return Err(Error::invalid(
            "io::png",
            "finite pixels",
            bad.to_string(),
            "the optimisation diverged: lower the learning rate",
        ));
    }
    Ok(image.permuted_axes([1, 2, 0]).mapv(|v| (255.0 * v).round().clamp(0.0, 255.0) as u8))
}

/// 0..255, channels last, to 0..1, channels first: v / 255. The inverse of [`quantize`], exactly.
pub fn unit(pixels: ArrayView3<'_, u8>) -> Array3<f32> {
    pixels.permuted_axes([2, 0, 1]).as_standard_layout().mapv(|v| f32::from(v) / 255.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_level_survives_unit_and_quantize() {
        let ramp = Array3::from_shape_fn((16, 16, 3), |(i, j, _)| (16 * i + j) as u8);
        assert_eq!(quantize(unit(ramp.view()).view()).unwrap(), ramp);
    }

    #[test]
    fn out_of_range_is_clipped_and_nan_is_refused() {
        let image = Array3::from_shape_vec((3, 1, 1), vec![-0.1, 0.5, 7.0]).unwrap();
        assert_eq!(quantize(image.view()).unwrap().as_slice().unwrap(), [0, 128, 255]);
        assert!(quantize(Array3::from_elem((3, 1, 1), f32::NAN).view()).is_err());
        assert!(encode(Array3::<u8>::zeros((2, 2, 4)).view()).is_err());
        assert!(encode(Array3::<u8>::zeros((0, 2, 3)).view()).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn read_after_write_is_the_same(height in 1usize..9, width in 1usize..9, seed in any::<u64>()) {
            let mut rng = crate::rng::stream(seed, "png test", 0);
            let pixels = Array3::from_shape_fn((height, width, 3), |_| rng.bits() as u8);
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("a.png");
            write(&path, pixels.view()).unwrap();
            prop_assert_eq!(read(&path).unwrap(), pixels);
        }
    }
}
