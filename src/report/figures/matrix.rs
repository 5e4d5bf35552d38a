//! A heat map of any matrix with named rows and columns.

use super::super::axes::{Axis, BAR_WIDTH, LABEL, TICK, colour_bar, fixed};
use super::super::palette::{INK, MISSING, MUTED, Map, WHITE, text_on};
use super::super::scene::{Align, Area, Item, Scene, fitted, text_width, widest};
use super::{cut_unique, nonempty, same_length};
use crate::error::Result;
use ndarray::{Array2, ArrayView2};
use std::path::Path;

/// How [`matrix`] draws.
///
/// | field | meaning | default |
/// |---|---|---|
/// | `title` | above the figure | none |
/// | `bar_label` | beside the colour bar | none |
/// | `limit` | end of the colour scale; cells beyond take its end colours, and the bar says so | covers 98 % of the cells |
/// | `row_title`, `column_title` | what the rows and the columns are | none |
#[derive(Debug, Clone, Default)]
pub struct MatrixOptions {
    pub title: String,
    pub bar_label: String,
    pub limit: Option<f64>,
    pub row_title: String,
    pub column_title: String,
}

/// Room for the cells in one direction, about, in px.
const TARGET: f64 = 660.0;
const MAX_CELL: f64 = 34.0;
/// A cell with room for a line of text beside it.
const LABELLED_CELL: f64 = 13.0;
/// Room for one axis label, in px.
const MAX_LABEL: f64 = 160.0;
/// Up to this many rows and columns the cells show their numbers.
const MAX_NUMBERED: usize = 14;
const MARGIN: f64 = 16.0;

/// Draws a matrix as coloured cells: blue to red about 0, or dark to light when no value is negative. NaN cells are grey and
/// crossed out. Where labels would touch, every second, third, ... is drawn.
///
/// # Shapes
/// `values`: n_rows x n_columns; `rows` and `columns`: as many names.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) for an empty matrix or a wrong number of names; [`Error::Io`](crate::Error::Io).
pub fn matrix(
    values: ArrayView2<f64>,
    rows: &[String],
    columns: &[String],
    stem: &Path,
    options: &MatrixOptions,
) -> Result<()> {
    scene(values, rows, columns, options)?.save(stem)
}

pub(super) fn scene(
    values: ArrayView2<f64>,
    rows: &[String],
    columns: &[String],
    options: &MatrixOptions,
) -> Result<Scene> {
    nonempty("matrix", "cell", values.len())?;
    same_length("matrix", "row names", values.nrows(), rows.len())?;
    same_length("matrix", "column names", values.ncols(), columns.len())?;
    let (map, scale, clipped) = scale(values, options.limit);
    let rows = cut_unique(rows, |t| text_width(t, TICK) <= MAX_LABEL);
    let columns = cut_unique(columns, |t| text_width(t, TICK) <= MAX_LABEL);
    let (w, h) = (extent(columns.len(), rows.len()), extent(rows.len(), columns.len()));
    let upright = widest(&columns, TICK) <= w / columns.len() as f64 - 4.0;
    let label_height = if upright { 20.0 } else { widest(&columns, TICK) + 10.0 };
    let row_title = if options.row_title.is_empty() { 0.0 } else { 20.0 };
    let column_title = if options.column_title.is_empty() { 0.0 } else { 20.0 };
    let left = MARGIN + row_title + widest(&rows, TICK) + 8.0;
    let title_width = text_width(&options.title, 14.0) + 2.0 * MARGIN;
    let mut scene = Scene::new((left + w + 14.0 + BAR_WIDTH + MARGIN).max(title_width.min(520.0)), 0.0);
    let top = scene.title(MARGIN, &options.title) + 6.0;
    let area = Area::new(left, top, w, h);
    let bar_height = h.clamp(140.0, 300.0);
    let below = label_height + column_title + 6.0;
    scene.height = (top + (h + below).max(bar_height + 12.0)).ceil();
    cells(&mut scene, area, values, map, &scale);
    labels(&mut scene, area, &rows, &columns, upright);
    let column_title = fitted(&options.column_title, LABEL, w.max(200.0));
    // a name wider than its cells must not run out at the left
    let middle = (left + w / 2.0).max(4.0 + text_width(&column_title, LABEL) / 2.0);
    scene.text(middle, top + h + label_height + 10.0, column_title, LABEL, INK, Align::Middle);
    let row_title = fitted(&options.row_title, LABEL, h.max(bar_height));
    scene.vertical_text(
        MARGIN + 6.0,
        top + (h / 2.0).max(text_width(&row_title, LABEL) / 2.0),
        row_title,
        LABEL,
        INK,
        Align::Middle,
    );
    let bar_label = if clipped { format!("{} (clipped)", options.bar_label) } else { options.bar_label.clone() };
    let bar_label = fitted(bar_label.trim_start(), LABEL, bar_height + 10.0);
    colour_bar(&mut scene, left + w + 14.0, top, bar_height, map, &scale, &bar_label);
    Ok(scene)
}

/// Px for `n` cells; beside few cells of the other direction there is room for every label.
fn extent(n: usize, other: usize) -> f64 {
    let cell = (2.0 * TARGET / n as f64).floor() / 2.0;
    let least = if n <= 130 && other <= 24 { LABELLED_CELL } else { 0.0 };
    if cell < 0.5 { TARGET } else { cell.clamp(least, MAX_CELL) * n as f64 }
}

/// Colours, limits, and whether cells lie beyond them.
fn scale(values: ArrayView2<f64>, limit: Option<f64>) -> (Map, Axis, bool) {
    let finite = || values.iter().copied().filter(|v| v.is_finite());
    let mut sizes: Vec<f64> = finite().map(f64::abs).collect();
    sizes.sort_by(f64::total_cmp);
    let largest = sizes.last().copied().unwrap_or(1.0);
    let robust = sizes.get(((sizes.len().max(1) - 1) as f64 * 0.98).round() as usize).copied().unwrap_or(1.0);
    let wanted = if robust > 0.0 { robust } else { largest };
    let wanted = if wanted > 0.0 { wanted } else { 1.0 };
    let high = limit.filter(|l| *l > 0.0 && l.is_finite()).unwrap_or_else(|| round_up(wanted));
    let clipped = largest > high * (1.0 + 1e-9);
    if finite().any(|v| v < 0.0) {
        (Map::Diverging, Axis { low: -high, high, log: false }, clipped)
    } else {
        (Map::Sequential, Axis { low: 0.0, high, log: false }, clipped)
    }
}

/// The next whole tick.
fn round_up(value: f64) -> f64 {
    Axis { low: 0.0, high: value, log: false }.rounded(5).high
}

fn cells(scene: &mut Scene, area: Area, values: ArrayView2<f64>, map: Map, scale: &Axis) {
    let at = |v: f64| map.at((v - scale.low) / (scale.high - scale.low));
    let colours = Array2::from_shape_fn(values.dim(), |place| {
        let v = values[place];
        if v.is_finite() { at(v) } else { MISSING }
    });
    scene.items.push(Item::Cells { area, colours });
    let (n_rows, n_columns) = values.dim();
    let (w, h) = (area.w / n_columns as f64, area.h / n_rows as f64);
    if w.min(h) >= 9.0 {
        grid(scene, area, n_rows, n_columns);
    }
    scene.outline(area, 0.7, MUTED);
    for ((i, j), _) in values.indexed_iter().filter(|(_, v)| !v.is_finite() && w.min(h) >= 5.0) {
        let (x, y) = (area.x + j as f64 * w, area.y + i as f64 * h);
        scene.line(vec![(x, y + h), (x + w, y)], 1.0, WHITE);
    }
    if n_rows.max(n_columns) <= MAX_NUMBERED {
        let decimals = if scale.high >= 100.0 { 0 } else { 1 + usize::from(scale.high < 10.0) };
        let number = |v: f64| fixed(v, decimals).replacen("0.", ".", usize::from(v.abs() < 1.0 && scale.high <= 1.0));
        let texts = values.mapv(|v| if v.is_finite() { number(v) } else { String::new() });
        if widest(texts.iter(), 10.0) <= w - 3.0 && h >= 12.0 {
            for ((i, j), text) in texts.indexed_iter().filter(|(_, t)| !t.is_empty()) {
                let (x, y) = (area.x + (j as f64 + 0.5) * w, area.y + (i as f64 + 0.5) * h);
                scene.text(x, y, text.clone(), 10.0, text_on(at(values[[i, j]])), Align::Middle);
            }
        }
    }
}

fn grid(scene: &mut Scene, area: Area, n_rows: usize, n_columns: usize) {
    for i in 1..n_rows {
        let y = area.y + area.h * i as f64 / n_rows as f64;
        scene.line(vec![(area.x, y), (area.x + area.w, y)], 0.6, WHITE);
    }
    for j in 1..n_columns {
        let x = area.x + area.w * j as f64 / n_columns as f64;
        scene.line(vec![(x, area.y), (x, area.y + area.h)], 0.6, WHITE);
    }
}

fn labels(scene: &mut Scene, area: Area, rows: &[String], columns: &[String], upright: bool) {
    // labels closer than a line of text would run into each other
    let every = |cell: f64| ((TICK + 1.0) / cell).ceil().max(1.0) as usize;
    let (w, h) = (area.w / columns.len() as f64, area.h / rows.len() as f64);
    for (i, name) in rows.iter().enumerate().step_by(every(h)) {
        scene.text(area.x - 6.0, area.y + (i as f64 + 0.5) * h, name.clone(), TICK, MUTED, Align::End);
    }
    for (j, name) in columns.iter().enumerate().step_by(if upright { 1 } else { every(w) }) {
        let (x, bottom) = (area.x + (j as f64 + 0.5) * w, area.y + area.h);
        if upright {
            scene.text(x, bottom + 11.0, name.clone(), TICK, MUTED, Align::Middle);
        } else {
            scene.vertical_text(x, bottom + 6.0, name.clone(), TICK, MUTED, Align::End);
        }
    }
}
