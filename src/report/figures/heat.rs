//! Heat maps: fingerprints and second-order matrices.

use super::super::chart::{Axis, BAR_WIDTH, LABEL, TICK, colour_bar, fixed};
use super::super::names::{cut_labels, shorten};
use super::super::palette::{INK, MUTED, Map};
use super::super::scene::{Align, Area, Scene, fit_size, fitted, text_width, widest};
use super::cells::{Cells, MAX_NUMBERED, colour_scale, labels, upright};
use super::{columns, nonempty, same_length};
use crate::error::{Error, Result};
use ndarray::Array2;
use std::path::Path;

/// What the cells of a fingerprint mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Entries {
    /// Similarities, red above and blue below zero; the diagonal (always 1) is left grey.
    #[default]
    Similarity,
    /// Dissimilarities, dark to light; the diagonal (always 0) is left grey.
    Dissimilarity,
}

/// How [`fingerprints`] draws.
///
/// | field | meaning | default |
/// |---|---|---|
/// | `title` | above the figure | none |
/// | `bar_label` | beside the colour bar | `Pearson r` |
/// | `entries` | similarity or dissimilarity | similarity |
/// | `sd` | standard deviation of each layer's entries, shown in its title | none |
/// | `limit` | end of the colour scale; cells beyond take its end colours, and the bar says so | covers 98 % of the cells |
/// | `short_names` | titles by [`shorten`](crate::report::names::shorten) | yes |
#[derive(Debug, Clone)]
pub struct FingerprintOptions {
    pub title: String,
    pub bar_label: String,
    pub entries: Entries,
    pub sd: Vec<f64>,
    pub limit: Option<f64>,
    pub short_names: bool,
}

impl Default for FingerprintOptions {
    fn default() -> Self {
        Self {
            title: String::new(),
            bar_label: "Pearson r".into(),
            entries: Entries::Similarity,
            sd: Vec::new(),
            limit: None,
            short_names: true,
        }
    }
}

/// Draws one square heat map per layer on one shared colour scale.
///
/// # Shapes
/// `layers`: (tap, n_images x n_images) each; the diagonal is not drawn, NaN cells are crossed
/// grey.
///
/// # Errors
/// [`Error::Invalid`] without layers or for a matrix that is not square; [`Error::Io`].
pub fn fingerprints(layers: &[(String, Array2<f64>)], stem: &Path, options: &FingerprintOptions) -> Result<()> {
    nonempty("fingerprints", "layer", layers.len())?;
    layers.iter().try_for_each(|(name, m)| square("fingerprints", name, m))?;
    if !options.sd.is_empty() {
        same_length("fingerprints", "standard deviations", layers.len(), options.sd.len())?;
    }
    let names: Vec<String> = layers.iter().map(|l| l.0.clone()).collect();
    let names = if options.short_names { shorten(&names) } else { names };
    let map = if options.entries == Entries::Similarity { Map::Diverging } else { Map::Sequential };
    let cells = layers.iter().flat_map(|(_, m)| m.indexed_iter().filter(|((i, j), _)| i != j).map(|(_, v)| *v));
    let (scale, clipped) = colour_scale(cells, map, options.limit, false);
    let bar_label = if clipped { format!("{} (clipped)", options.bar_label) } else { options.bar_label.clone() };
    let n_columns = columns(layers.len(), 6);
    let n_rows = layers.len().div_ceil(n_columns);
    let cell = panel_size(layers[0].1.nrows(), 170.0);
    let (step_x, step_y, margin) = (cell + 18.0, cell + 36.0, 16.0);
    let body = n_rows as f64 * step_y - 12.0;
    let bar_height = body.min(2.0 * step_y) - 30.0;
    let width = 2.0 * margin + n_columns as f64 * step_x + BAR_WIDTH;
    let mut scene = Scene::new(width, body + 50.0);
    let top = scene.title(margin, &options.title);
    scene.height = (top + body + 8.0).ceil();
    for (i, (_, matrix)) in layers.iter().enumerate() {
        let (x, y) = (margin + (i % n_columns) as f64 * step_x, top + (i / n_columns) as f64 * step_y);
        let sd = options.sd.get(i).map_or(String::new(), |sd| format!("sd {}", fixed(*sd, 3)));
        panel_title(&mut scene, x, y + 10.0, cell, &names[i], &sd);
        let cells = Cells { values: matrix.view(), map, scale: &scale, blank_diagonal: true };
        cells.draw(&mut scene, Area::new(x, y + 22.0, cell, cell));
    }
    let bar_x = margin + n_columns as f64 * step_x + 4.0;
    colour_bar(&mut scene, bar_x, top + 22.0, bar_height, map, &scale, &bar_label);
    scene.save(stem)
}

/// The name at the left, the note at the right, both fitting into `width`.
fn panel_title(scene: &mut Scene, x: f64, y: f64, width: f64, name: &str, note: &str) {
    let note_width = if note.is_empty() { 0.0 } else { text_width(note, TICK) + 8.0 };
    let size = fit_size(name, LABEL, width - note_width).max(10.0);
    scene.text(x, y, fitted(name, size, width - note_width), size, INK, Align::Start);
    scene.text(x + width, y, note, TICK, MUTED, Align::End);
}

/// How [`second_order`] draws.
///
/// | field | meaning | default |
/// |---|---|---|
/// | `title` | above the figure | none |
/// | `bar_label` | beside the colour bar | `second-order r` |
/// | `limit` | the scale is -limit..limit | 1 |
/// | `short_names` | axis labels by [`shorten`](crate::report::names::shorten) | yes |
#[derive(Debug, Clone)]
pub struct SecondOrderOptions {
    pub title: String,
    pub bar_label: String,
    pub limit: f64,
    pub short_names: bool,
}

impl Default for SecondOrderOptions {
    fn default() -> Self {
        Self { title: String::new(), bar_label: "second-order r".into(), limit: 1.0, short_names: true }
    }
}

/// Room for one axis label, in px.
const MAX_LABEL: f64 = 110.0;

/// Draws layer x layer matrices side by side on one scale.
///
/// # Shapes
/// `matrices`: (title, n_layers x n_layers) each; `taps`: n_layers names.
///
/// # Errors
/// [`Error::Invalid`] when sizes do not match; [`Error::Io`].
pub fn second_order(
    matrices: &[(String, Array2<f64>)],
    taps: &[String],
    stem: &Path,
    options: &SecondOrderOptions,
) -> Result<()> {
    nonempty("second-order figure", "matrix", matrices.len().min(taps.len()))?;
    for (name, matrix) in matrices {
        square("second-order figure", name, matrix)?;
        same_length("second-order figure", "taps", matrix.nrows(), taps.len())?;
    }
    let taps = if options.short_names { shorten(taps) } else { taps.to_vec() };
    let taps: Vec<String> = cut_labels(&taps, |t| text_width(t, TICK) <= MAX_LABEL);
    let n = taps.len();
    let cell = if n <= MAX_NUMBERED { 32.0 } else { (460.0 / n as f64).clamp(9.0, 32.0) };
    let (size, label_room) = (cell * n as f64, widest(&taps, TICK) + 10.0);
    let size_wanted = size.max(140.0);
    let n_columns = columns(matrices.len(), 3);
    let below = if upright(&taps, cell) { 22.0 } else { label_room + 6.0 };
    let (step_x, step_y, margin) = (label_room + size_wanted + 22.0, size + 30.0 + below + 8.0, 14.0);
    let n_rows = matrices.len().div_ceil(n_columns);
    let mut scene = Scene::new(2.0 * margin + n_columns as f64 * step_x + BAR_WIDTH - 10.0, 60.0);
    let top = scene.title(margin, &options.title);
    scene.height = (top + n_rows as f64 * step_y).ceil();
    let limit = if options.limit > 0.0 { options.limit } else { 1.0 };
    let scale = Axis::linear(-limit, limit);
    for (i, (title, matrix)) in matrices.iter().enumerate() {
        let x = margin + (i % n_columns) as f64 * step_x + label_room;
        let y = top + (i / n_columns) as f64 * step_y + 24.0;
        scene.text(x, y - 13.0, title.clone(), fit_size(title, LABEL, step_x - 12.0), INK, Align::Start);
        let area = Area::new(x, y, size, size);
        let cells = Cells { values: matrix.view(), map: Map::Diverging, scale: &scale, blank_diagonal: true };
        cells.draw(&mut scene, area);
        cells.draw_grid_and_numbers(&mut scene, area);
        labels(&mut scene, area, &taps, &taps);
    }
    let bar_x = margin + n_columns as f64 * step_x - 2.0;
    colour_bar(&mut scene, bar_x, top + 24.0, size.min(300.0), Map::Diverging, &scale, &options.bar_label);
    scene.save(stem)
}

/// Whole pixels per cell where they fit.
fn panel_size(n: usize, target: f64) -> f64 {
    let cell = (target / n as f64).floor();
    if cell >= 2.0 { cell * n as f64 } else { target }
}

fn square(figure: &str, name: &str, matrix: &Array2<f64>) -> Result<()> {
    let (rows, columns) = matrix.dim();
    if rows != columns || rows == 0 {
        return Err(Error::invalid(format!("{figure}, {name}"), "a square matrix", format!("{rows} x {columns}"), ""));
    }
    Ok(())
}
