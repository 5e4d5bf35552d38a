//! Mosaic of first-layer filters.

use super::super::palette::WHITE;
use super::{columns, nonempty};
use crate::error::{Error, Result};
use crate::report::raster::SCALE;
use crate::report::scene::{Area, Item, Scene};
use image::RgbImage;
use ndarray::{ArrayView3, ArrayView4, Axis};
use std::path::Path;

/// Pixels of one filter on the mosaic, about.
const TARGET_PX: usize = 66;

/// Writes the filters of a first layer as `stem.png`: grey is zero, each filter is divided by its
/// own largest magnitude, pixels are repeated, not smoothed.
///
/// # Shapes
/// `weights`: n_filters x 3 (RGB) or 1 (grey) x height x width.
///
/// # Errors
/// [`Error::Invalid`] for another shape; [`Error::Io`].
pub fn filters(weights: ArrayView4<f32>, stem: &Path) -> Result<()> {
    let (n, n_channels, height, width) = weights.dim();
    nonempty("filters", "filter", n * height * width)?;
    if n_channels != 3 && n_channels != 1 {
        let found = format!("{:?}", weights.dim());
        return Err(Error::invalid(
            "filters",
            "n_filters x 3 x height x width",
            found,
            "only filters that see pixels have colours",
        ));
    }
    let factor = (TARGET_PX / height.max(width)).max(1);
    let (w, h) = ((width * factor) as f64 / SCALE, (height * factor) as f64 / SCALE);
    let (n_columns, gap, margin) = (columns(n, 16), 3.0, 8.0);
    let n_rows = n.div_ceil(n_columns);
    let mut scene =
        Scene::new(2.0 * margin + n_columns as f64 * (w + gap) - gap, 2.0 * margin + n_rows as f64 * (h + gap) - gap);
    scene.rect(Area::new(0.0, 0.0, scene.width, scene.height), WHITE);
    for (i, filter) in weights.axis_iter(Axis(0)).enumerate() {
        let (x, y) = (margin + (i % n_columns) as f64 * (w + gap), margin + (i / n_columns) as f64 * (h + gap));
        scene.items.push(Item::Picture { area: Area::new(x, y, w, h), pixels: normalised(filter) });
    }
    scene.save_png(stem)
}

fn normalised(filter: ArrayView3<f32>) -> RgbImage {
    let (n_channels, height, width) = filter.dim();
    let largest = filter.iter().fold(0.0_f32, |m, v| m.max(v.abs())).max(f32::MIN_POSITIVE);
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        let level = |c: usize| 127.5 + 127.5 * filter[[c.min(n_channels - 1), y as usize, x as usize]] / largest;
        image::Rgb(std::array::from_fn(|c| level(c).round().clamp(0.0, 255.0) as u8))
    })
}
