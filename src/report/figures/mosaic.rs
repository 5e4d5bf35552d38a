//! Pictures in labelled rows: one row per unit, one column per kind of picture.

use super::super::chart::{LABEL, fixed};
use super::super::palette::{GRID, INK, MUTED};
use super::super::raster::SCALE;
use super::super::scene::{Align, Area, Item, Scene, bare, fitted, text_width, widest};
use super::{cut_labels, nonempty, picture};
use crate::error::{Error, Result};
use ndarray::Array3;
use std::path::{Path, PathBuf};

/// One picture with a line of text below it, such as the response `r = 3.41`.
///
/// # Shapes
/// `image`: height x width x 3, 8-bit sRGB; the pictures of one mosaic may differ in size.
#[derive(Debug, Clone)]
pub struct MosaicCell {
    pub image: Array3<u8>,
    pub caption: String,
}

/// One row of a [`mosaic`]; `None` leaves its place empty, and so do cells missing at the end.
#[derive(Debug, Clone, Default)]
pub struct MosaicRow {
    pub label: String,
    pub cells: Vec<Option<MosaicCell>>,
}

/// Pixels of the longer side of a picture on the sheet.
const CELL_PX: f64 = 224.0;
/// A sheet with more rows than this cannot be read on one screen.
const ROWS_PER_SHEET: usize = 14;
/// Room for the label of a row, in px.
const MAX_LABEL: f64 = 190.0;
const CAPTION: f64 = 10.5;
const MARGIN: f64 = 16.0;
const GAP: f64 = 8.0;

/// Writes rows of pictures as `stem.png`; above 14 rows the rest goes to `stem_02.png`,
/// `stem_03.png`, ..., all of about equal length.
///
/// Small pictures are enlarged by repeating pixels, large ones reduced by averaging; all sheets
/// share one cell size.
///
/// # Shapes
/// `headers`: one name per column; no row has more cells than that.
///
/// # Errors
/// [`Error::Invalid`] without rows or pictures, for a picture that is not height x width x 3 or a
/// row with too many cells; [`Error::Io`].
pub fn mosaic(rows: &[MosaicRow], headers: &[String], stem: &Path, title: &str) -> Result<()> {
    let plan = Plan::new(rows, headers)?;
    let n_sheets = rows.len().div_ceil(ROWS_PER_SHEET);
    for sheet in 0..n_sheets {
        plan.sheet(rows, headers, sheet, title).save_png(&sheet_stem(stem, sheet))?;
    }
    Ok(())
}

/// What all sheets of one mosaic share.
pub(super) struct Plan {
    labels: Vec<String>,
    label_width: f64,
    headers: Vec<Vec<String>>,
    cell: (f64, f64),
    caption_height: f64,
    rows_per_sheet: usize,
}

impl Plan {
    pub(super) fn new(rows: &[MosaicRow], headers: &[String]) -> Result<Self> {
        nonempty("mosaic", "row", rows.len())?;
        let cells = || rows.iter().flat_map(|r| r.cells.iter().flatten());
        nonempty("mosaic", "picture", cells().count())?;
        rows.iter().try_for_each(|row| check_row(row, headers.len()))?;
        let cell = cells().map(|c| drawn_size(&c.image)).fold((0.0_f64, 0.0_f64), |m, s| (m.0.max(s.0), m.1.max(s.1)));
        let labels: Vec<String> = rows.iter().map(|r| r.label.clone()).collect();
        let labels = cut_labels(&labels, |t| text_width(t, LABEL) <= MAX_LABEL);
        let width = widest(&labels, LABEL);
        let captioned = cells().any(|c| !c.caption.is_empty());
        Ok(Self {
            label_width: if width > 0.0 { width + 12.0 } else { 0.0 },
            labels,
            headers: headers.iter().map(|h| two_lines(h, cell.0)).collect(),
            cell,
            caption_height: if captioned { 17.0 } else { 0.0 },
            rows_per_sheet: rows.len().div_ceil(rows.len().div_ceil(ROWS_PER_SHEET)),
        })
    }

    pub(super) fn sheet(&self, rows: &[MosaicRow], headers: &[String], sheet: usize, title: &str) -> Scene {
        let n_sheets = rows.len().div_ceil(self.rows_per_sheet);
        let first = (sheet * self.rows_per_sheet).min(rows.len());
        let shown = first..(first + self.rows_per_sheet).min(rows.len());
        let (step_x, step_y) = (self.cell.0 + GAP, self.cell.1 + self.caption_height + GAP);
        let left = MARGIN + self.label_width;
        let needed = left + step_x * headers.len() as f64 - GAP + MARGIN;
        let title = if n_sheets > 1 { format!("{title} ({}/{n_sheets})", sheet + 1) } else { title.to_string() };
        // a narrow sheet still has room for its title
        let mut scene = Scene::new(needed.max((text_width(&title, 14.0) + 2.0 * MARGIN).min(520.0)), 0.0);
        let top = scene.title(MARGIN, title.trim()) + 2.0;
        let header_lines = self.headers.iter().map(Vec::len).max().unwrap_or(0) as f64;
        let body = top + 15.0 * header_lines + 4.0;
        scene.height = (body + step_y * shown.len() as f64 - GAP + 12.0).ceil();
        for (column, lines) in self.headers.iter().enumerate() {
            let middle = left + step_x * column as f64 + self.cell.0 / 2.0;
            for (i, line) in lines.iter().rev().enumerate() {
                scene.text(middle, body - 12.0 - 15.0 * i as f64, line.clone(), LABEL, INK, Align::Middle);
            }
        }
        for (i, row) in shown.enumerate() {
            let y = body + step_y * i as f64;
            scene.text(MARGIN, y + self.cell.1 / 2.0, self.labels[row].clone(), LABEL, INK, Align::Start);
            for column in 0..headers.len() {
                let area = Area::new(left + step_x * column as f64, y, self.cell.0, self.cell.1);
                self.draw_cell(&mut scene, area, rows[row].cells.get(column).and_then(Option::as_ref));
            }
        }
        scene
    }

    fn draw_cell(&self, scene: &mut Scene, area: Area, cell: Option<&MosaicCell>) {
        let Some(cell) = cell else {
            return scene.outline(area, 0.7, GRID);
        };
        let (w, h) = drawn_size(&cell.image);
        // whole pixels of the canvas, or small pictures would be blurred
        let whole = |v: f64| (v * SCALE).floor() / SCALE;
        let place = Area::new(area.x + whole((area.w - w) / 2.0), area.y + whole((area.h - h) / 2.0), w, h);
        scene.items.push(Item::Picture { area: place, pixels: picture(cell.image.view()) });
        let caption = fitted(&cell.caption, CAPTION, area.w + GAP - 2.0);
        scene.text(area.x + area.w / 2.0, area.y + area.h + 9.0, caption, CAPTION, MUTED, Align::Middle);
    }
}

fn check_row(row: &MosaicRow, n_columns: usize) -> Result<()> {
    let at = || format!("mosaic, row {}", row.label);
    if row.cells.len() > n_columns {
        let expected = format!("at most {n_columns} cells, one per header");
        return Err(Error::invalid(at(), expected, row.cells.len().to_string(), "give every column a header"));
    }
    match row.cells.iter().flatten().find(|c| c.image.dim().2 != 3 || c.image.is_empty()) {
        Some(c) => Err(Error::invalid(at(), "pictures of height x width x 3", format!("{:?}", c.image.dim()), "")),
        None => Ok(()),
    }
}

/// Width and height on the sheet, in logical pixels: at most [`CELL_PX`] on the canvas. Strong
/// enlargements are whole numbers, so that every pixel keeps its square.
fn drawn_size(image: &Array3<u8>) -> (f64, f64) {
    let (height, width, _) = image.dim();
    let factor = CELL_PX / height.max(width) as f64;
    let factor = if factor >= 3.0 { factor.floor() } else { factor };
    let side = |n: usize| (n as f64 * factor).round().max(1.0) / SCALE;
    (side(width), side(height))
}

/// One line where the text fits, else two, broken at the space that leaves them most even.
fn two_lines(text: &str, width: f64) -> Vec<String> {
    if text_width(text, LABEL) <= width {
        return vec![text.to_string()];
    }
    let longer = |i: usize| text_width(&text[..i], LABEL).max(text_width(&text[i + 1..], LABEL));
    let spaces = text.match_indices(' ').map(|(i, _)| i);
    let parts = spaces
        .min_by(|a, b| longer(*a).total_cmp(&longer(*b)))
        .map_or(vec![text], |i| vec![&text[..i], &text[i + 1..]]);
    parts.into_iter().map(|part| fitted(part, LABEL, width)).collect()
}

/// `stem` for the first sheet, then `stem_02`, `stem_03`, ...
fn sheet_stem(stem: &Path, sheet: usize) -> PathBuf {
    if sheet == 0 {
        return stem.to_path_buf();
    }
    let mut path = bare(stem);
    path.push(format!("_{:02}", sheet + 1));
    path.into()
}

/// One row of [`tiles`]: a picture and what became of it when a response was driven up and down.
#[derive(Debug, Clone)]
pub struct TileRow {
    pub label: String,
    pub base: MosaicCell,
    pub up: Option<MosaicCell>,
    pub down: Option<MosaicCell>,
}

/// How much [`tiles`] enlarges differences.
pub const TILE_GAIN: f64 = 10.0;

/// The caption of a response, which is no correlation: `3.41`.
pub fn response_caption(response: f64) -> String {
    fixed(response, 2)
}

/// `128 + gain (other - base)` per pixel and channel, rounded and clipped to 0..255.
///
/// # Shapes
/// The result is shaped like `base`; where `other` has no pixel it is 128, as for equal pixels.
pub fn difference(base: &Array3<u8>, other: &Array3<u8>, gain: f64) -> Array3<u8> {
    Array3::from_shape_fn(base.dim(), |(y, x, c)| {
        let other = other.get([y, x, c]).copied().unwrap_or(base[[y, x, c]]);
        (128.0 + gain * (f64::from(other) - f64::from(base[[y, x, c]]))).round().clamp(0.0, 255.0) as u8
    })
}

/// Writes rows of base, up, down and their differences from the base, times [`TILE_GAIN`] about mid
/// grey, as `stem.png` (and further sheets like [`mosaic`]). Columns that no row fills are left
/// out.
///
/// # Errors
/// [`Error::Invalid`] without rows or for pictures of one row that differ in shape; [`Error::Io`].
pub fn tiles(items: &[TileRow], stem: &Path, title: &str) -> Result<()> {
    nonempty("tiles", "row", items.len())?;
    for item in items {
        let base = item.base.image.dim();
        if let Some(other) = [&item.up, &item.down].into_iter().flatten().find(|t| t.image.dim() != base) {
            let (expected, found) = (format!("pictures of {base:?}"), format!("{:?}", other.image.dim()));
            return Err(Error::invalid(format!("tiles, row {}", item.label), expected, found, ""));
        }
    }
    let (any_up, any_down) = (items.iter().any(|i| i.up.is_some()), items.iter().any(|i| i.down.is_some()));
    let mut headers = vec!["base".to_string()];
    for (name, _) in [("up", any_up), ("down", any_down)].into_iter().filter(|(_, any)| *any) {
        headers.extend([name.to_string(), format!("difference × {TILE_GAIN}")]);
    }
    let rows: Vec<MosaicRow> = items.iter().map(|item| tile_row(item, any_up, any_down)).collect();
    mosaic(&rows, &headers, stem, title)
}

fn tile_row(item: &TileRow, any_up: bool, any_down: bool) -> MosaicRow {
    let mut cells = vec![Some(item.base.clone())];
    for (changed, _) in [(&item.up, any_up), (&item.down, any_down)].into_iter().filter(|(_, any)| *any) {
        let image = changed.as_ref().map(|c| difference(&item.base.image, &c.image, TILE_GAIN));
        cells.extend([changed.clone(), image.map(|image| MosaicCell { image, caption: String::new() })]);
    }
    MosaicRow { label: item.label.clone(), cells }
}
