//! Maps of the brain: slices over an image, projections through a glass brain, labels.
//!
//! Left is left. Slices are axial, from below; their height is in mm.

mod anatomy;
mod glass;
mod picture;
#[cfg(test)]
mod tests;

pub use glass::glass_brain;

use super::super::chart::{Axis as Scale, BAR_WIDTH, LABEL, TICK, colour_bar};
use super::super::palette::{INK, MUTED, Map, mix};
use super::super::scene::{Align, Area, Item, Scene, fitted, text_width};
use super::nonempty;
use crate::data::{Mask, Volume};
use crate::error::Result;
use anatomy::{Anatomy, extent};
use picture::{Grey, Voxel, coloured, limit_of, picture};
use std::path::Path;

/// How [`brain_slices`] and [`glass_brain`] draw.
///
/// | field | meaning | default |
/// |---|---|---|
/// | `title` | above the figure | none |
/// | `bar_label` | beside the colour bar | none |
/// | `limit` | end of the colour scale | the largest magnitude of all maps |
/// | `outlines` | one volume a map, 1 where it is significant: the rest is drawn faintly | everything is drawn fully |
/// | `n_slices` | slices of a map | 8 |
#[derive(Debug, Clone)]
pub struct BrainOptions {
    pub title: String,
    pub bar_label: String,
    pub limit: Option<f64>,
    pub outlines: Option<Vec<Volume>>,
    pub n_slices: usize,
}

impl Default for BrainOptions {
    fn default() -> Self {
        Self { title: String::new(), bar_label: String::new(), limit: None, outlines: None, n_slices: 8 }
    }
}

/// Longer side of a slice, in px of the figure.
const SLICE: f64 = 96.0;
/// How much of its colour a place keeps that is not significant.
const FAINT: f64 = 0.28;
const MARGIN: f64 = 14.0;
const GAP: f64 = 4.0;

/// Heights of the slices: evenly over the mask.
fn heights((low, high): (usize, usize), n: usize) -> Vec<usize> {
    let n = n.min(high - low + 1).max(1);
    (0..n).map(|s| low + ((s as f64 + 0.5) / n as f64 * (high - low + 1) as f64) as usize).collect()
}

/// Draws maps as rows of axial slices over an image; NaN shows the image.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) without maps, or for maps on another grid;
/// [`Error::Io`](crate::Error::Io).
pub fn brain_slices(
    maps: &[(String, Volume)],
    background: &Volume,
    mask: &Mask,
    stem: &Path,
    options: &BrainOptions,
) -> Result<()> {
    nonempty("brain slices", "map", maps.len())?;
    maps.iter().try_for_each(|(_, map)| mask.grid().require_same("brain slices", map.grid()))?;
    let limit = limit_of(maps, options);
    let grey = Grey::of(background, mask);
    let paint = |at: usize, map: &Volume, significant: Option<&Volume>| -> Voxel {
        let value = map.values()[at];
        let behind = grey.colour(background.values()[at], mask.rank(at).is_some());
        let outlined = significant.is_some_and(|s| s.values()[at] > 0.5);
        let colour = match (value.is_finite(), significant.is_none() || outlined) {
            (false, _) => behind,
            (true, true) => coloured(value, limit),
            (true, false) => mix(behind, coloured(value, limit), FAINT),
        };
        (colour, u32::from(outlined))
    };
    let mut rows: Vec<Row<'_>> = Vec::new();
    for (m, (name, map)) in maps.iter().enumerate() {
        let significant = options.outlines.as_ref().map(|o| &o[m]);
        let paint = &paint;
        rows.push((name.as_str(), Box::new(move |at| paint(at, map, significant))));
    }
    let mut scene = slices_of(&rows, mask, options.n_slices, &options.title);
    let bar = (scene.height - scene_top(&options.title) - 40.0).clamp(60.0, 320.0);
    let scale = Scale::linear(-limit, limit);
    let x = scene.width - BAR_WIDTH - 4.0;
    colour_bar(&mut scene, x, scene_top(&options.title) + 20.0, bar, Map::Diverging, &scale, &options.bar_label);
    scene.save_png(stem)
}

/// Name of a row and the look of each voxel.
type Row<'a> = (&'a str, Box<dyn Fn(usize) -> Voxel + 'a>);

fn scene_top(title: &str) -> f64 {
    if title.is_empty() { MARGIN } else { MARGIN + 26.0 }
}

/// Rows of slices, with room for a colour bar at the right.
fn slices_of(rows: &[Row<'_>], mask: &Mask, n_slices: usize, title: &str) -> Scene {
    let anatomy = Anatomy::of(mask.grid());
    let [x, y, z] = extent(mask, &anatomy);
    let size = mask.grid().affine.voxel_size();
    let side = |(low, high): (usize, usize), world: usize| (high - low + 1) as f64 * size[anatomy.axes[world]];
    let factor = SLICE / side(x, 0).max(side(y, 1));
    let (w, h) = (side(x, 0) * factor, side(y, 1) * factor);
    let heights = heights(z, n_slices);
    let names: Vec<String> = rows.iter().map(|(name, _)| fitted(name, LABEL, 130.0)).collect();
    let left = MARGIN + names.iter().map(|n| text_width(n, LABEL)).fold(0.0, f64::max) + 20.0;
    let width = left + heights.len() as f64 * (w + GAP) + MARGIN + BAR_WIDTH;
    let top = scene_top(title);
    let mut scene = Scene::new(width.max(300.0), top + 16.0 + rows.len() as f64 * (h + GAP) + MARGIN);
    if !title.is_empty() {
        scene.title(MARGIN, title);
    }
    for (s, &up) in heights.iter().enumerate() {
        let middle = anatomy.voxel([(x.0 + x.1) / 2, (y.0 + y.1) / 2, up]);
        let mm = mask.grid().affine.apply(middle.map(|v| v as f64))[2];
        let at = left + s as f64 * (w + GAP) + w / 2.0;
        let text = format!("{}{}", if s == 0 { "z = " } else { "" }, mm.round()).replace('-', "−");
        scene.text(at, top + 5.0, text, TICK, MUTED, Align::Middle);
    }
    for (r, (_, voxel)) in rows.iter().enumerate() {
        let y_at = top + 16.0 + r as f64 * (h + GAP);
        scene.text(left - 16.0, y_at + h / 2.0, names[r].clone(), LABEL, INK, Align::End);
        for (s, &up) in heights.iter().enumerate() {
            let pixels = picture(x.1 - x.0 + 1, y.1 - y.0 + 1, |i, j| {
                voxel(mask.grid().index(anatomy.voxel([x.0 + i, y.0 + j, up])))
            });
            let area = Area::new(left + s as f64 * (w + GAP), y_at, w, h);
            scene.items.push(Item::Picture { area, pixels });
        }
        if r == 0 {
            scene.text(left - 3.0, y_at + 8.0, "L", TICK, MUTED, Align::End);
        }
    }
    scene
}

/// Draws a volume of labels (from 1; NaN nowhere) as axial slices, one colour a name, in the order
/// of the names.
///
/// # Errors
/// As [`brain_slices`].
pub fn brain_labels(labels: &Volume, names: &[String], background: &Volume, mask: &Mask, stem: &Path) -> Result<()> {
    nonempty("brain labels", "name", names.len())?;
    mask.grid().require_same("brain labels", labels.grid())?;
    let grey = Grey::of(background, mask);
    let colour = |l: usize| Map::Sequential.at(0.12 + 0.88 * l as f64 / names.len().saturating_sub(1).max(1) as f64);
    let voxel = |at: usize| -> Voxel {
        let label = labels.values()[at];
        if label.is_finite() && label >= 1.0 {
            return (colour(label as usize - 1), 0);
        }
        (grey.colour(background.values()[at], mask.rank(at).is_some()), 0)
    };
    let mut scene = slices_of(&[("winner", Box::new(voxel))], mask, 8, "");
    let columns = names.len().min(6);
    let step = (scene.width - 2.0 * MARGIN) / columns as f64;
    let top = scene.height;
    for (l, name) in names.iter().enumerate() {
        let (x, y) = (MARGIN + (l % columns) as f64 * step, top + (l / columns) as f64 * 18.0);
        scene.rect(Area::new(x, y - 5.0, 12.0, 10.0), colour(l));
        scene.text(x + 18.0, y, fitted(name, TICK, step - 24.0), TICK, INK, Align::Start);
    }
    scene.height = top + names.len().div_ceil(columns) as f64 * 18.0 + MARGIN;
    scene.save_png(stem)
}
