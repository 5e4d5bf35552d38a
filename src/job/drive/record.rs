//! What leaves a run with every image: the file that was written, read back, and a sidecar that
//! says what it is.

use crate::error::{Error, Result};
use crate::image::colour::Light;
use crate::image::hygiene::{self, ImageStatistics};
use crate::io::{json, png};
use ndarray::{Array2, Array3, ArrayView3, Axis};
use serde_json::Value;
use std::path::Path;

/// Writes an 8-bit image (3 x h x w) and reads it back: what is measured is what was written.
///
/// # Errors
/// [`Error::Io`], or [`Error::Corrupt`] when the file does not hold what was written.
pub fn write_image(path: &Path, image: ArrayView3<'_, u8>) -> Result<Array3<u8>> {
    png::write(path, image.permuted_axes([1, 2, 0]))?;
    let back = png::read(path)?.permuted_axes([2, 0, 1]);
    if back.view() != image {
        return Err(Error::corrupt(path, "the pixels that were written", "others", "is the disk full or failing?"));
    }
    Ok(back.as_standard_layout().into_owned())
}

/// Writes `NAME.json` beside `NAME.png`.
///
/// # Errors
/// [`Error::Io`].
pub fn write_sidecar(png: &Path, sidecar: &Value) -> Result<()> {
    json::write(&png.with_extension("json"), sidecar)
}

/// Luminance, contrast, clipping and spectral slope of one image in [0, 1], over all its pixels.
pub fn statistics(image: ArrayView3<'_, f32>) -> ImageStatistics {
    let (_, height, width) = image.dim();
    let all = image.to_owned().insert_axis(Axis(0));
    hygiene::achieved(&all, &Array2::ones((height, width)), Light::Encoded)[0]
}
