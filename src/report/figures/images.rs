//! Contact sheets.

use super::super::palette::MUTED;
use super::super::raster::SCALE;
use super::super::scene::{Align, Area, Item, Scene, fitted};
use super::{columns, nonempty, picture, same_length};
use crate::error::{Error, Result};
use ndarray::{ArrayView4, Axis};
use std::path::Path;

/// Pixels of one picture on the sheet are brought near this: small images are enlarged a whole
/// number of times, large ones are reduced.
const TARGET_PX: f64 = 240.0;

/// Writes a contact sheet `stem.png`.
///
/// # Shapes
/// `images`: n_images x height x width x 3, 8-bit sRGB; `labels`: one per image, or none at all.
/// Long labels lose their middle.
///
/// # Errors
/// [`Error::Invalid`] without images, for another shape or a wrong number of labels; [`Error::Io`].
pub fn image_grid(images: ArrayView4<u8>, labels: &[String], stem: &Path) -> Result<()> {
    let (n, height, width, n_channels) = images.dim();
    nonempty("image grid", "image", n * height * width)?;
    if n_channels != 3 {
        return Err(Error::invalid("image grid", "n_images x height x width x 3", format!("{:?}", images.dim()), ""));
    }
    if !labels.is_empty() {
        same_length("image grid", "labels", n, labels.len())?;
    }
    let factor = enlargement(height.max(width) as f64);
    let (w, h) = ((width as f64 * factor).round() / SCALE, (height as f64 * factor).round() / SCALE);
    let label_height = if labels.is_empty() { 0.0 } else { 15.0 };
    let (n_columns, gap, margin) = (columns(n, 8), 6.0, 10.0);
    let n_rows = n.div_ceil(n_columns);
    let (step_x, step_y) = (w + gap, h + gap + label_height);
    let mut scene =
        Scene::new(2.0 * margin + n_columns as f64 * step_x - gap, 2.0 * margin + n_rows as f64 * step_y - gap);
    for (i, image) in images.axis_iter(Axis(0)).enumerate() {
        let (x, y) = (margin + (i % n_columns) as f64 * step_x, margin + (i / n_columns) as f64 * step_y);
        scene.items.push(Item::Picture { area: Area::new(x, y, w, h), pixels: picture(image) });
        if let Some(label) = labels.get(i) {
            scene.text(x + w / 2.0, y + h + 8.0, fitted(label, 10.0, w), 10.0, MUTED, Align::Middle);
        }
    }
    scene.save_png(stem)
}

fn enlargement(size: f64) -> f64 {
    if size <= TARGET_PX { (TARGET_PX / size).floor() } else { (TARGET_PX / size).max(0.25) }
}
