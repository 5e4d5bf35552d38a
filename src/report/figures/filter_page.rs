//! All filters of a network on one page.

use super::super::palette::{INK, MUTED, Map, Rgb, WHITE, mix};
use super::super::scene::{Align, Area, Item, Scene, fit_size, fitted};
use super::nonempty;
use crate::error::{Error, Result};
use ndarray::{Array2, Array3, ArrayView3};
use std::path::Path;

/// A filter: its weights, and whether it is one of those that went.
#[derive(Debug, Clone, PartialEq)]
pub struct FilterTile {
    /// What stands below it, such as its number.
    pub label: String,
    /// 3 (R, G, B) or 1 x height x width.
    pub weights: Array3<f32>,
    pub gone: bool,
}

/// Filters of a layer, in the order in which they are drawn; they share one scale.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FilterRow {
    pub title: String,
    pub tiles: Vec<FilterTile>,
}

/// How [`filter_page`] draws.
///
/// | field | meaning | default |
/// |---|---|---|
/// | `title` | above the page | none |
/// | `note` | below it, in small | none |
#[derive(Debug, Clone, Default)]
pub struct FilterPageOptions {
    pub title: String,
    pub note: String,
}

const WIDTH: f64 = 940.0;
const MARGIN: f64 = 16.0;
const GAP: f64 = 6.0;
/// Room below a tile for its label.
const BELOW: f64 = 13.0;
const SMALL: f64 = 8.5;
/// Filters of a layer that are drawn.
const MOST: usize = 240;

/// Draws one section a layer. Colour filters are grey where they are 0 and coloured as they weigh
/// red, green and blue; filters of one plane are red where they are positive and blue where they
/// are negative. Within a section all filters share one scale, from minus to plus the largest
/// weight, which the section's heading states. Filters that went are faded and crossed out.
///
/// # Errors
/// [`Error::Invalid`] without filters, for filters of other planes than 1 or 3, or of two sizes in
/// one section; [`Error::Io`].
pub fn filter_page(rows: &[FilterRow], stem: &Path, options: &FilterPageOptions) -> Result<()> {
    scene(rows, options)?.save(stem)
}

pub(super) fn scene(rows: &[FilterRow], options: &FilterPageOptions) -> Result<Scene> {
    nonempty("filter page", "filter", rows.iter().map(|row| row.tiles.len()).sum())?;
    let mut scene = Scene::new(WIDTH, 0.0);
    let mut y = scene.title(MARGIN, &options.title);
    for row in rows.iter().filter(|row| !row.tiles.is_empty()) {
        y = section(&mut scene, row, y + 4.0)?;
    }
    if !options.note.is_empty() {
        let size = fit_size(&options.note, 10.5, WIDTH - 2.0 * MARGIN);
        scene.text(MARGIN, y + 6.0, fitted(&options.note, size, WIDTH - 2.0 * MARGIN), size, MUTED, Align::Start);
        y += 16.0;
    }
    scene.height = (y + 8.0).ceil();
    Ok(scene)
}

/// One layer from `y` on; returns where the next begins.
fn section(scene: &mut Scene, row: &FilterRow, y: f64) -> Result<f64> {
    let (planes, height, width) = row.tiles[0].weights.dim();
    if let Some(odd) =
        row.tiles.iter().find(|t| t.weights.dim() != (planes, height, width) || ![1, 3].contains(&planes))
    {
        let expected = "filters of one size and of 1 or 3 planes";
        return Err(Error::invalid("filter page", expected, format!("{:?} in `{}`", odd.weights.dim(), row.title), ""));
    }
    let limit =
        row.tiles.iter().flat_map(|t| &t.weights).fold(0.0f32, |m, v| if v.is_finite() { m.max(v.abs()) } else { m });
    let more = if row.tiles.len() > MOST { format!(", the first {MOST} are shown") } else { String::new() };
    let heading = format!("{}; scale ±{}{more}", row.title, three(limit));
    let size = fit_size(&heading, 12.0, WIDTH - 2.0 * MARGIN);
    scene.text(MARGIN, y + 7.0, fitted(&heading, size, WIDTH - 2.0 * MARGIN), size, INK, Align::Start);
    let cell = pixel(height.max(width), row.tiles.len());
    let (w, h) = (cell * width as f64, cell * height as f64);
    let step = w.max(24.0) + GAP;
    let columns = ((WIDTH - 2.0 * MARGIN + GAP) / step).floor().max(1.0) as usize;
    let top = y + 20.0;
    let shown = &row.tiles[..row.tiles.len().min(MOST)];
    for (i, tile) in shown.iter().enumerate() {
        let (x, y) = (MARGIN + (i % columns) as f64 * step, top + (i / columns) as f64 * (h + BELOW + GAP));
        draw(scene, tile, Area::new(x, y, w, h), limit.max(f32::MIN_POSITIVE));
    }
    Ok(top + shown.len().div_ceil(columns) as f64 * (h + BELOW + GAP) + 2.0)
}

/// Px of one weight: large enough to be seen, small enough for many filters.
fn pixel(side: usize, n: usize) -> f64 {
    let wanted = match n {
        0..=12 => 84.0,
        13..=80 => 40.0,
        _ => 30.0,
    };
    ((2.0 * wanted / side as f64).floor() / 2.0).max(1.0)
}

fn draw(scene: &mut Scene, tile: &FilterTile, area: Area, limit: f32) {
    let (_, height, width) = tile.weights.dim();
    let fade = |colour: Rgb| if tile.gone { mix(colour, WHITE, 0.55) } else { colour };
    let colour = |(y, x): (usize, usize)| fade(shade(tile.weights.view(), y, x, limit));
    scene.items.push(Item::Cells { area, colours: Array2::from_shape_fn((height, width), colour) });
    scene.outline(area, if tile.gone { 0.5 } else { 0.9 }, if tile.gone { MUTED } else { INK });
    if tile.gone {
        scene.line(vec![(area.x, area.y + area.h), (area.x + area.w, area.y)], 0.8, MUTED);
    }
    let room = area.w.max(24.0) + GAP - 2.0;
    let (size, ink) = (fit_size(&tile.label, SMALL, room), if tile.gone { MUTED } else { INK });
    scene.text(area.x + area.w / 2.0, area.y + area.h + 7.0, fitted(&tile.label, size, room), size, ink, Align::Middle);
}

fn shade(weights: ArrayView3<'_, f32>, y: usize, x: usize, limit: f32) -> Rgb {
    if weights.dim().0 == 1 {
        return Map::Diverging.at(0.5 + 0.5 * f64::from(weights[[0, y, x]] / limit));
    }
    std::array::from_fn(|c| (127.5 + 127.5 * weights[[c, y, x]] / limit).round().clamp(0.0, 255.0) as u8)
}

/// Three significant digits.
fn three(value: f32) -> String {
    let digits = (2 - f64::from(value.abs().max(1e-30)).log10().floor() as i32).clamp(0, 8) as usize;
    format!("{value:.digits$}")
}
