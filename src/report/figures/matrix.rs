//! A heat map of any matrix with named rows and columns.

use super::super::chart::{BAR_WIDTH, LABEL, TICK, colour_bar};
use super::super::palette::{INK, Map};
use super::super::scene::{Align, Area, Scene, fitted, text_width, widest};
use super::cells::{Cells, colour_scale, labels, upright};
use super::{cut_labels, nonempty, same_length};
use crate::error::Result;
use ndarray::ArrayView2;
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
const MARGIN: f64 = 16.0;

/// Draws a matrix as coloured cells: blue to red about 0, or dark to light when no value is
/// negative. NaN cells are grey and crossed out. Where labels would touch, every second, third, ...
/// is drawn.
///
/// # Shapes
/// `values`: n_rows x n_columns; `rows` and `columns`: as many names.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) for an empty matrix or a wrong number of names;
/// [`Error::Io`](crate::Error::Io).
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
    let map = if values.iter().any(|v| *v < 0.0 && v.is_finite()) { Map::Diverging } else { Map::Sequential };
    let (scale, clipped) = colour_scale(values.iter().copied(), map, options.limit, true);
    let rows = cut_labels(rows, |t| text_width(t, TICK) <= MAX_LABEL);
    let columns = cut_labels(columns, |t| text_width(t, TICK) <= MAX_LABEL);
    let (w, h) = (extent(columns.len(), rows.len()), extent(rows.len(), columns.len()));
    let label_height = if upright(&columns, w / columns.len() as f64) { 20.0 } else { widest(&columns, TICK) + 10.0 };
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
    let cells = Cells { values, map, scale: &scale, blank_diagonal: false };
    cells.draw(&mut scene, area);
    cells.draw_grid_and_numbers(&mut scene, area);
    labels(&mut scene, area, &rows, &columns);
    let column_title = fitted(&options.column_title, LABEL, w.max(200.0));
    // a name wider than its cells must not run out at the left
    let middle = (left + w / 2.0).max(4.0 + text_width(&column_title, LABEL) / 2.0);
    scene.text(middle, top + h + label_height + 10.0, column_title, LABEL, INK, Align::Middle);
    let row_title = fitted(&options.row_title, LABEL, h.max(bar_height));
    let middle = top + (h / 2.0).max(text_width(&row_title, LABEL) / 2.0);
    scene.vertical_text((MARGIN + 6.0, middle), &row_title, LABEL, INK, Align::Middle);
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
