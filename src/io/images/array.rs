//! Images in an `.npy` array.
//!
//! The range of an array of pixels is not in its type: libraries write 0..255 and 0..1 as floats,
//! and masks as bool.

use super::ImageSet;
use crate::error::{Error, Result};
use crate::io::npy::{self, Kind};
use crate::io::source;
use crate::warning::Warning;
use ndarray::{ArrayD, Axis, Ix4};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Reads n_images x height x width x 3.
///
/// | numbers | black and white |
/// |---|---|
/// | integers 0..255, with one above 1 or all 0 | 0, 255 |
/// | floats 0..255, whole, with one above 1 | 0, 255 |
/// | floats 0..1 | 0, 1, to 8 bits: round(255 v), with a warning |
/// | bool | false, true |
///
/// All else is refused, with the reason that it speaks for.
pub(super) fn load(path: &Path) -> Result<ImageSet> {
    let bytes = source::read(path)?;
    let (array, warnings) = match npy::kind(&bytes, path)? {
        Kind::Bool => (npy::decode::<u8>(&bytes, path)?.mapv(|v| 255 * v), vec![]),
        Kind::Integer => (integers(&bytes, path)?, vec![]),
        Kind::Float => floats(npy::decode(&bytes, path)?, path)?,
    };
    let shape = array.shape().to_vec();
    let Some(array) = array.into_dimensionality::<Ix4>().ok().filter(|a| a.dim().3 == 3 && !a.is_empty()) else {
        let hint = match shape.as_slice() {
            [_, 3, _, _] => "channels last, as Pillow and matplotlib have it: array.transpose(0, 2, 3, 1)",
            [_, _, _, 1] | [_, _, _] => "three channels; grey images: np.repeat(array[..., None], 3, axis=-1)",
            _ => "channels last, as Pillow and matplotlib have it; add an axis for a single image",
        };
        return Err(Error::corrupt(path, "n_images x height x width x 3", format!("{shape:?}"), hint));
    };
    super::few_enough(path, array.dim().0)?;
    let names = super::array_names(array.dim().0);
    let pixels = array.axis_iter(Axis(0)).map(|image| image.to_owned()).collect();
    Ok(ImageSet { names, pixels, warnings })
}

/// Whether some byte behind the header is above 1, which only pixels of 0..255 are.
pub(super) fn shows_its_range(path: &Path, start: u64) -> Result<bool> {
    let mut file = source::open(path)?;
    file.seek(SeekFrom::Start(start)).map_err(Error::io(path, "read"))?;
    let mut block = vec![0; 1 << 16];
    loop {
        let n = file.read(&mut block).map_err(Error::io(path, "read"))?;
        if n == 0 || block[..n].iter().any(|&v| v > 1) {
            return Ok(n > 0);
        }
    }
}

fn out_of_range(path: &Path, found: String, hint: &str) -> Error {
    Error::corrupt(path, "pixels of 0..255, or of 0..1 as floats or bool", found, hint)
}

fn integers(bytes: &[u8], path: &Path) -> Result<ArrayD<u8>> {
    let wide = |e: Error| match e {
        // The header and the length were right if the values could be looked at.
        Error::Corrupt { expected, found, .. } if expected.contains("fit uint8") => {
            let hint = if found.starts_with('-') {
                "negative pixels: undo the normalisation, then array.astype('uint8')"
            } else {
                "16-bit pixels: np.round(array / 257).astype('uint8') if white is 65535"
            };
            out_of_range(path, format!("the value {found}"), hint)
        }
        other => other,
    };
    let array = npy::decode::<u8>(bytes, path).map_err(wide)?;
    if array.iter().max() == Some(&1) {
        let hint = "1 of 255 is black: save masks as bool, and images after array * 255";
        return Err(out_of_range(path, "integers of 0 and 1 only".into(), hint));
    }
    Ok(array)
}

fn floats(array: ArrayD<f64>, path: &Path) -> Result<(ArrayD<u8>, Vec<Warning>)> {
    if let Some(bad) = array.iter().find(|v| !v.is_finite()) {
        return Err(out_of_range(path, bad.to_string(), "pixels are numbers: find out where this one comes from"));
    }
    let least = array.iter().copied().fold(f64::INFINITY, f64::min);
    let most = array.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let range = format!("floats from {least} to {most}");
    if least < 0.0 {
        let hint = "negative pixels: undo the normalisation (for -1..1: (array + 1) / 2)";
        return Err(out_of_range(path, range, hint));
    }
    if most <= 1.0 {
        let text = format!("{}: floats of 0..1 were read as black to white, to 8 bits", path.display());
        let warnings = if most > 0.0 { vec![Warning::Note { text }] } else { vec![] };
        return Ok((array.mapv(|v| (255.0 * v).round() as u8), warnings));
    }
    if most > 255.0 {
        let hint = "bring the pixels to 0..255 and save them as uint8";
        return Err(out_of_range(path, range, hint));
    }
    if let Some(part) = array.iter().find(|v| v.fract() != 0.0) {
        let hint = "np.round(array).astype('uint8') if white is 255; array / white otherwise";
        return Err(out_of_range(path, format!("{range}, not whole: {part}"), hint));
    }
    Ok((array.mapv(|v| v as u8), vec![]))
}
