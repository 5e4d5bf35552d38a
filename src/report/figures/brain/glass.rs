//! Projections through a glass brain.

use super::anatomy::{Anatomy, extent};
use super::picture::{OUTSIDE, Voxel, coloured, limit_of, picture};
use super::{BrainOptions, MARGIN, SLICE, scene_top};
use crate::data::{Mask, Volume};
use crate::error::Result;
use crate::report::chart::{Axis as Scale, BAR_WIDTH, LABEL, TICK, colour_bar};
use crate::report::figures::nonempty;
use crate::report::palette::{INK, MUTED, Map, Rgb};
use crate::report::scene::{Align, Area, Item, Scene, fitted};
use std::path::Path;

/// The brain behind a projection.
const GLASS: Rgb = [0xe9, 0xeb, 0xee];

/// The three views: which of (right, front, up) run along the picture's columns and rows, and which
/// is looked through.
const VIEWS: [(usize, usize, usize, &str); 3] =
    [(1, 2, 0, "from the right"), (0, 2, 1, "from behind"), (0, 1, 2, "from above")];

/// Draws the value that is furthest from zero along every line of sight, from the right, from
/// behind and from above; where `outlines` are given, of the significant places only.
///
/// # Errors
/// As [`brain_slices`](super::brain_slices).
pub fn glass_brain(maps: &[(String, Volume)], mask: &Mask, stem: &Path, options: &BrainOptions) -> Result<()> {
    nonempty("glass brain", "map", maps.len())?;
    maps.iter().try_for_each(|(_, map)| mask.grid().require_same("glass brain", map.grid()))?;
    let anatomy = Anatomy::of(mask.grid());
    let ends = extent(mask, &anatomy);
    let size = mask.grid().affine.voxel_size();
    let side = |world: usize| (ends[world].1 - ends[world].0 + 1) as f64 * size[anatomy.axes[world]];
    let factor = 1.35 * SLICE / side(1).max(side(0)).max(side(2));
    let limit = limit_of(maps, options);
    let widths = VIEWS.map(|(column, ..)| side(column) * factor);
    let height = VIEWS.map(|(_, row, ..)| side(row) * factor).into_iter().fold(0.0, f64::max);
    let per_line = if maps.len() > 3 { 2 } else { 1 };
    let block = widths.iter().sum::<f64>() + 3.0 * 10.0 + 12.0;
    let lines = maps.len().div_ceil(per_line);
    let top = scene_top(&options.title);
    let line_height = height + 34.0;
    let mut scene =
        Scene::new(2.0 * MARGIN + per_line as f64 * block + BAR_WIDTH, top + lines as f64 * line_height + MARGIN);
    if !options.title.is_empty() {
        scene.title(MARGIN, &options.title);
    }
    for (m, (name, map)) in maps.iter().enumerate() {
        let significant = options.outlines.as_ref().map(|o| &o[m]);
        let (x0, y0) = (MARGIN + (m % per_line) as f64 * block, top + (m / per_line) as f64 * line_height);
        scene.text(x0, y0 + 6.0, fitted(name, LABEL, block - 20.0), LABEL, INK, Align::Start);
        let mut x = x0;
        for (&(column, row, through, view), width) in VIEWS.iter().zip(widths) {
            let look = |i: usize, j: usize| {
                let mut at = [0; 3];
                at[column] = ends[column].0 + i;
                at[row] = ends[row].0 + j;
                projected(mask, &anatomy, at, (through, ends[through]), map, significant, limit)
            };
            let pixels = picture(ends[column].1 - ends[column].0 + 1, ends[row].1 - ends[row].0 + 1, look);
            let own = side(row) * factor;
            scene
                .items
                .push(Item::Picture { area: Area::new(x, y0 + 16.0 + (height - own) / 2.0, width, own), pixels });
            if m == 0 {
                scene.text(x + width / 2.0, y0 + 22.0 + height, view, TICK, MUTED, Align::Middle);
            }
            x += width + 10.0;
        }
    }
    let bar = (scene.height - top - 50.0).clamp(60.0, 260.0);
    let scale = Scale::linear(-limit, limit);
    let x = scene.width - BAR_WIDTH - 4.0;
    colour_bar(&mut scene, x, top + 16.0, bar, Map::Diverging, &scale, &options.bar_label);
    scene.save_png(stem)
}

fn projected(
    mask: &Mask,
    anatomy: &Anatomy,
    mut at: [usize; 3],
    (through, (first, last)): (usize, (usize, usize)),
    map: &Volume,
    significant: Option<&Volume>,
    limit: f64,
) -> Voxel {
    let (mut best, mut inside) = (f32::NAN, false);
    for depth in first..=last {
        at[through] = depth;
        let position = mask.grid().index(anatomy.voxel(at));
        inside |= mask.rank(position).is_some();
        let value = map.values()[position];
        let counts = significant.is_none_or(|s| s.values()[position] > 0.5);
        if value.is_finite() && counts && (best.is_nan() || value.abs() > best.abs()) {
            best = value;
        }
    }
    match (best.is_nan(), inside) {
        (true, true) => (GLASS, 0),
        (true, false) => (OUTSIDE, 0),
        _ => (coloured(best, limit), 0),
    }
}
