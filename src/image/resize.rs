//! Bringing images to a network's input size.
//!
//! The filters are Pillow's (`Image.resize`, antialiased, on the 8-bit values as they are, no
//! gamma), bit for bit, because that is what torchvision's preprocessing and most published
//! networks were trained with. (Pillow 13 may exchange its two passes when an image shrinks more in
//! height than in width: bilinear values then differ by one level of 255 at most.)

use crate::data::Stimuli;
use crate::error::{Error, Result};
use crate::io::images::ImageSet;
use crate::warning::Warning;
use ndarray::{Array3, Array4, ArrayView3, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What to do about an image of another size or shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resize {
    /// Height and width independently; the aspect ratio changes.
    #[default]
    Stretch,
    /// The smaller side is fitted, then the centre is cut out (torchvision `Resize` +
    /// `CenterCrop`).
    Crop,
    /// The larger side is fitted, then grey (128) fills the rest (Pillow `ImageOps.pad`).
    Pad,
}

impl fmt::Display for Resize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stretch => "stretch",
            Self::Crop => "crop",
            Self::Pad => "pad",
        })
    }
}

/// Interpolation kernel, widened by the scale when the image shrinks (antialias).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// Triangle; torchvision's default.
    #[default]
    Bilinear,
    /// Cubic convolution with a = -0.5 (Keys, IEEE Trans. ASSP 29:1153, 1981).
    Bicubic,
}

impl Filter {
    /// Half-width of the kernel in pixels of the coarser grid.
    fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        let x = x.abs();
        match self {
            Self::Bilinear => (1.0 - x).max(0.0),
            Self::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            Self::Bicubic => 0.0,
        }
    }
}

/// The cubic kernel's slope parameter, Pillow's value.
const A: f64 = -0.5;
/// What surrounds a padded image: the grey of an empty screen.
const PAD_GREY: u8 = 128;
/// Fraction bits of the fixed-point weights (Pillow: 32 - 8 - 2).
const PRECISION_BITS: u32 = 22;

/// Brings a set of images to one size and makes them ready for a network.
///
/// Images that already have `size` keep their bytes: value / 255. `size` = (height, width) in
/// pixels; `None` keeps the images' own size, which must then be the same for all.
///
/// # Errors
/// [`Error::Invalid`] when `size` is `None` and two images differ in size, or as for
/// [`Stimuli::new`].
pub fn stimuli(mut set: ImageSet, size: Option<(usize, usize)>, how: Resize) -> Result<(Stimuli, Vec<Warning>)> {
    let sizes: Vec<_> = set.pixels.iter().map(size_of).collect();
    let (target, resized) = target(&set.names, &sizes, size, how)?;
    let mut warnings = std::mem::take(&mut set.warnings);
    warnings.extend(resized);
    let images = ready(&set.pixels, target, how);
    Ok((Stimuli::new(set.names, images)?, warnings))
}

/// Height and width.
pub(super) fn size_of(pixels: &Array3<u8>) -> (usize, usize) {
    (pixels.dim().0, pixels.dim().1)
}

/// n x 3 x height x width, 0..1.
pub(super) fn ready(pixels: &[Array3<u8>], size: (usize, usize), how: Resize) -> Array4<f32> {
    let mut images = Array4::zeros((pixels.len(), 3, size.0, size.1));
    let rows = images.axis_iter_mut(Axis(0)).into_par_iter().zip(pixels);
    rows.for_each(|(mut image, pixels)| {
        let pixels = resize(pixels.view(), size, how, Filter::default());
        image.assign(&crate::io::png::unit(pixels.view()));
    });
    images
}

/// The size that images of `sizes` are brought to, and what is to be said about it.
pub(super) fn target(
    names: &[String],
    sizes: &[(usize, usize)],
    size: Option<(usize, usize)>,
    how: Resize,
) -> Result<((usize, usize), Vec<Warning>)> {
    let Some(&first) = sizes.first() else {
        return Err(Error::invalid("stimuli", "images", "none", ""));
    };
    let target = size.unwrap_or(first);
    let odd = sizes.iter().position(|&s| s != target);
    let mut warnings = Vec::new();
    match (size, odd) {
        (None, Some(i)) => {
            let found = format!("{} for `{}` but {} for `{}`", show(first), names[0], show(sizes[i]), names[i]);
            return Err(Error::invalid("stimuli", "images of one size", found, "give the size to bring them to"));
        }
        (Some(_), Some(i)) => warnings.push(Warning::Resized {
            n_images: sizes.iter().filter(|&&s| s != target).count(),
            from: if sizes.iter().all(|&s| s == sizes[i] || s == target) {
                show(sizes[i])
            } else {
                "various sizes".into()
            },
            to: show(target),
            how: how.to_string(),
        }),
        (_, None) => {}
    }
    if target.0 == 0 || target.1 == 0 {
        return Err(Error::invalid("stimuli", "a size of at least 1 x 1", show(target), ""));
    }
    Ok((target, warnings))
}

pub(super) fn show((height, width): (usize, usize)) -> String {
    format!("{height} x {width} px")
}

/// One image brought to `size` = (height, width), both at least 1; unchanged when it has that size
/// already.
///
/// # Shapes
/// height x width x 3, at least 1 x 1 -> `size` x 3.
pub fn resize(pixels: ArrayView3<'_, u8>, size: (usize, usize), how: Resize, filter: Filter) -> Array3<u8> {
    let from = (pixels.dim().0, pixels.dim().1);
    if from == size {
        return pixels.to_owned();
    }
    match how {
        Resize::Stretch => scale(pixels, size, filter),
        Resize::Crop => {
            let scaled = scale(pixels, cover(from, size), filter);
            centre_crop(scaled.view(), size)
        }
        Resize::Pad => {
            let scaled = scale(pixels, contain(from, size), filter);
            centre_on_grey(scaled.view(), size)
        }
    }
}

/// The smallest size of the image's shape that covers `size`: torchvision truncates the longer
/// side.
fn cover((h, w): (usize, usize), (height, width): (usize, usize)) -> (usize, usize) {
    if width * h >= height * w { (h * width / w, width) } else { (height, w * height / h) }
}

/// The largest size of the image's shape inside `size`: Pillow rounds halves to even.
fn contain((h, w): (usize, usize), (height, width): (usize, usize)) -> (usize, usize) {
    let side = |n: f64| (n.round_ties_even() as usize).max(1);
    match (w * height).cmp(&(h * width)) {
        std::cmp::Ordering::Greater => (side(h as f64 / w as f64 * width as f64), width),
        std::cmp::Ordering::Less => (height, side(w as f64 / h as f64 * height as f64)),
        std::cmp::Ordering::Equal => (height, width),
    }
}

/// Half of a margin, halves to even (Python's `round`).
fn half(margin: usize) -> usize {
    (margin as f64 / 2.0).round_ties_even() as usize
}

fn centre_crop(pixels: ArrayView3<'_, u8>, (height, width): (usize, usize)) -> Array3<u8> {
    let (top, left) = (half(pixels.dim().0 - height), half(pixels.dim().1 - width));
    Array3::from_shape_fn((height, width, 3), |(i, j, c)| pixels[[top + i, left + j, c]])
}

fn centre_on_grey(pixels: ArrayView3<'_, u8>, (height, width): (usize, usize)) -> Array3<u8> {
    let (h, w, _) = pixels.dim();
    let (top, left) = (half(height - h), half(width - w));
    let inside = |at: usize, start: usize, n: usize| at.checked_sub(start).filter(|&i| i < n);
    Array3::from_shape_fn((height, width, 3), |(i, j, c)| match (inside(i, top, h), inside(j, left, w)) {
        (Some(i), Some(j)) => pixels[[i, j, c]],
        _ => PAD_GREY,
    })
}

/// Pillow's two passes: across, rounded to 8 bits, then down. A pass that changes nothing is left
/// out.
fn scale(pixels: ArrayView3<'_, u8>, (height, width): (usize, usize), filter: Filter) -> Array3<u8> {
    [(Axis(1), width), (Axis(0), height)].into_iter().fold(pixels.to_owned(), |image, (axis, n_out)| {
        if image.len_of(axis) == n_out { image } else { pass(image.view(), axis, n_out, filter) }
    })
}

fn pass(pixels: ArrayView3<'_, u8>, axis: Axis, n_out: usize, filter: Filter) -> Array3<u8> {
    let weights = fixed_point_weights(pixels.len_of(axis), n_out, filter);
    let mut shape = pixels.raw_dim();
    shape[axis.index()] = n_out;
    let mut out = Array3::zeros(shape);
    for (mut line, (start, weights)) in out.axis_iter_mut(axis).zip(&weights) {
        ndarray::Zip::indexed(&mut line).for_each(|(i, c), value| {
            let at = |x: usize| if axis.index() == 1 { pixels[[i, x, c]] } else { pixels[[x, i, c]] };
            let rounding = 1i64 << (PRECISION_BITS - 1);
            let sum = weights.iter().enumerate().map(|(k, &w)| i64::from(at(start + k)) * w).sum::<i64>();
            *value = ((rounding + sum) >> PRECISION_BITS).clamp(0, 255) as u8;
        });
    }
    out
}

/// For each output pixel: the first input pixel under the kernel, and the weights, which sum to 1
/// in floating point.
fn fixed_point_weights(n_in: usize, n_out: usize, filter: Filter) -> Vec<(usize, Vec<i64>)> {
    let scale = n_in as f64 / n_out as f64;
    let widening = scale.max(1.0);
    let support = filter.support() * widening;
    let one_output = |out: usize| {
        let centre = (out as f64 + 0.5) * scale;
        let start = (centre - support + 0.5).max(0.0) as usize;
        let end = ((centre + support + 0.5) as usize).min(n_in);
        let raw: Vec<f64> = (start..end).map(|x| filter.weight((x as f64 - centre + 0.5) * (1.0 / widening))).collect();
        let sum: f64 = raw.iter().sum();
        let fixed = |w: f64| {
            let w = w / sum * f64::from(1u32 << PRECISION_BITS);
            (if w < 0.0 { w - 0.5 } else { w + 0.5 }) as i64
        };
        (start, raw.into_iter().map(fixed).collect())
    };
    (0..n_out).map(one_output).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::npz;
    use ndarray::Ix3;
    use proptest::prelude::*;
    use std::path::Path;

    /// Made by tests/golden/resize.py with Pillow 11.3.0. Equal to the last bit: the algorithm is
    /// integer arithmetic.
    #[test]
    fn equals_pillow_bit_for_bit() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/resize.npz");
        let golden = npz::read(&path).unwrap();
        let image = |name: &str| golden.get::<u8>(name).unwrap().into_dimensionality::<Ix3>().unwrap();
        let mut n_checked = 0;
        for name in golden.names().filter(|n| n.contains(':')).map(String::from).collect::<Vec<_>>() {
            let parts: Vec<_> = name.split(':').collect();
            let filter = if parts[1] == "bicubic" { Filter::Bicubic } else { Filter::Bilinear };
            let how = match parts[2] {
                "stretch" => Resize::Stretch,
                "crop" => Resize::Crop,
                _ => Resize::Pad,
            };
            let expected = image(&name);
            let found = resize(image(parts[0]).view(), (expected.dim().0, expected.dim().1), how, filter);
            assert!(found == expected, "{name}");
            n_checked += 1;
        }
        assert!(n_checked >= 20, "only {n_checked} cases");
    }

    fn set(sizes: &[(usize, usize)]) -> ImageSet {
        let pixels =
            sizes.iter().map(|&(h, w)| Array3::from_shape_fn((h, w, 3), |(i, j, c)| (40 * i + 7 * j + c) as u8));
        ImageSet {
            names: (0..sizes.len()).map(|i| format!("image{i}")).collect(),
            pixels: pixels.collect(),
            warnings: vec![],
        }
    }

    #[test]
    fn one_size_keeps_its_bytes_and_two_need_a_choice() {
        let same = set(&[(5, 6), (5, 6)]);
        for size in [None, Some((5, 6))] {
            let (stimuli, warnings) = stimuli(same.clone(), size, Resize::Crop).unwrap();
            assert!(warnings.is_empty());
            assert_eq!(crate::io::png::quantize(stimuli.image(1)).unwrap(), same.pixels[1]);
        }
        let error = stimuli(set(&[(5, 6), (6, 5)]), None, Resize::Stretch).unwrap_err();
        assert!(error.to_string().contains("5 x 6 px for `image0` but 6 x 5 px for `image1`"), "{error}");
        let (resized, warnings) = stimuli(set(&[(5, 6), (4, 4)]), Some((4, 4)), Resize::Pad).unwrap();
        assert_eq!(resized.size(), (4, 4));
        assert!(matches!(&warnings[..], [Warning::Resized { n_images: 1, from, .. }] if from == "5 x 6 px"));
        assert!(stimuli(set(&[(5, 6)]), Some((0, 4)), Resize::Pad).is_err());
    }

    proptest! {
        #[test]
        fn any_shape_reaches_any_size_and_a_flat_image_stays_flat(
            h in 1usize..20, w in 1usize..20, height in 1usize..20, width in 1usize..20, level in any::<u8>(), how in 0..3,
        ) {
            let how = [Resize::Stretch, Resize::Crop, Resize::Pad][how as usize];
            let flat = Array3::from_elem((h, w, 3), level);
            for filter in [Filter::Bilinear, Filter::Bicubic] {
                let out = resize(flat.view(), (height, width), how, filter);
                prop_assert_eq!(out.dim(), (height, width, 3));
                prop_assert!(out.iter().all(|&v| v == level || (how == Resize::Pad && v == PAD_GREY)));
            }
        }
    }
}
