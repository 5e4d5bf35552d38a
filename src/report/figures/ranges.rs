//! Responses to kept images against the distribution of responses to natural images.

use super::super::axes::{Axis, LABEL, TICK, frame, left_margin, n_ticks};
use super::super::names::ellipsis;
use super::super::palette::{GRID, INK, MUTED, Rgb, WHITE, line};
use super::super::scene::{Align, Area, Scene, fitted, text_width, widest};
use super::{cut_unique, nonempty};
use crate::error::{Error, Result};
use std::path::Path;

/// One unit of [`ranges`]: minimum, lower quartile, median, upper quartile and maximum of its responses to natural images, and
/// (series, response) for each image to be compared with them.
#[derive(Debug, Clone, Default)]
pub struct UnitRange {
    pub name: String,
    pub natural: Option<[f64; 5]>,
    pub marks: Vec<(String, f64)>,
}

/// How [`ranges`] draws.
///
/// | field | meaning | default |
/// |---|---|---|
/// | `title` | above the figure | none |
/// | `y_label` | what the values are | `response (z)` |
/// | `sort` | units by their largest mark, from the largest | no: in the order given |
#[derive(Debug, Clone)]
pub struct RangeOptions {
    pub y_label: String,
    pub title: String,
    pub sort: bool,
}

impl Default for RangeOptions {
    fn default() -> Self {
        Self { y_label: "response (z)".into(), title: String::new(), sort: false }
    }
}

/// Up to this many units stand side by side; more are listed below each other.
const MAX_COLUMNS: usize = 40;
/// Rows of one panel of the list, about.
const PANEL_ROWS: usize = 62;
const HEIGHT: f64 = 320.0;
const ROW: f64 = 13.0;
const ROW_LABEL: f64 = 10.0;
const MARGIN: f64 = 16.0;
const BOX: Rgb = [0xc6, 0xcc, 0xd3];

/// Draws one column per unit (above 40 units one row each, in panels on one scale): a thin line from the least to the largest natural
/// response, a box between the quartiles, a tick at the median, and one marker per kept image. What is not a number is left out.
///
/// # Errors
/// [`Error::Invalid`] without units or for a natural range that does not ascend; [`Error::Io`].
pub fn ranges(units: &[UnitRange], stem: &Path, options: &RangeOptions) -> Result<()> {
    scene(units, options)?.save(stem)
}

pub(super) fn scene(units: &[UnitRange], options: &RangeOptions) -> Result<Scene> {
    nonempty("ranges", "unit", units.len())?;
    for unit in units {
        if let Some(five) = unit.natural.filter(|five| five.windows(2).any(|w| w[0] > w[1])) {
            let at = format!("ranges, unit {}", unit.name);
            return Err(Error::invalid(at, "min, q1, median, q3, max in ascending order", format!("{five:?}"), ""));
        }
    }
    let mut order: Vec<&UnitRange> = units.iter().collect();
    if options.sort {
        order.sort_by(|a, b| largest(b).total_cmp(&largest(a)));
    }
    let series = series_names(&order);
    let natural = order.iter().filter_map(|u| natural(u)).flatten();
    let values = natural.chain(order.iter().flat_map(|u| u.marks.iter().map(|m| m.1)));
    let axis = Axis::around(values, false, 0.03);
    if order.len() <= MAX_COLUMNS {
        Ok(side_by_side(&order, &series, axis.rounded(n_ticks(HEIGHT)), options))
    } else {
        Ok(list(&order, &series, axis, options))
    }
}

/// A unit without marks comes last.
fn largest(unit: &UnitRange) -> f64 {
    unit.marks.iter().map(|m| m.1).filter(|v| v.is_finite()).fold(f64::NEG_INFINITY, f64::max)
}

fn natural(unit: &UnitRange) -> Option<[f64; 5]> {
    unit.natural.filter(|five| five.iter().all(|v| v.is_finite()))
}

fn series_names(units: &[&UnitRange]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (name, _) in units.iter().flat_map(|u| &u.marks) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

fn side_by_side(units: &[&UnitRange], series: &[String], y: Axis, options: &RangeOptions) -> Scene {
    let names: Vec<String> = units.iter().map(|u| u.name.clone()).collect();
    let names = cut_unique(&names, |t| text_width(t, TICK) <= 150.0);
    let plot = ((720.0 / units.len() as f64).clamp(20.0, 100.0) * units.len() as f64).max(260.0);
    let slot = plot / units.len() as f64;
    let left = left_margin(&y, n_ticks(HEIGHT)) + 4.0;
    let upright = widest(&names, TICK) <= slot - 8.0;
    let below = if upright { 28.0 } else { widest(&names, TICK) + 18.0 };
    let mut scene = Scene::new((left + plot + 24.0).max(420.0), 0.0);
    let top = scene.title(MARGIN, &options.title);
    let top = top + key(&mut scene, top, units.iter().any(|u| natural(u).is_some()), series) + 8.0;
    let area = Area::new(left, top, plot, HEIGHT);
    scene.height = (top + HEIGHT + below).ceil();
    frame(&mut scene, area, None, &y, "", &fitted(&options.y_label, LABEL, HEIGHT));
    if let Some(t) = y.at(0.0) {
        let level = area.y + (1.0 - t) * area.h;
        scene.line(vec![(area.x, level), (area.x + area.w, level)], 1.0, MUTED);
    }
    for (i, unit) in units.iter().enumerate() {
        let middle = area.x + (i as f64 + 0.5) * slot;
        let strip = Strip { from: area.y + area.h, to: area.y, middle, width: slot.min(46.0), across: true };
        strip.draw(&mut scene, unit, &y, series);
        if upright {
            scene.text(middle, area.y + area.h + 14.0, names[i].clone(), TICK, MUTED, Align::Middle);
        } else {
            scene.vertical_text(middle, area.y + area.h + 8.0, names[i].clone(), TICK, MUTED, Align::End);
        }
    }
    scene
}

fn list(units: &[&UnitRange], series: &[String], x: Axis, options: &RangeOptions) -> Scene {
    let names: Vec<String> = units.iter().map(|u| u.name.clone()).collect();
    let names = cut_unique(&names, |t| text_width(t, ROW_LABEL) <= 160.0);
    let label_room = widest(&names, ROW_LABEL) + 10.0;
    let n_panels = units.len().div_ceil(PANEL_ROWS).min(4);
    let rows = units.len().div_ceil(n_panels);
    let plot = if n_panels == 1 { 480.0 } else { 320.0 };
    let step = label_room + plot + 26.0;
    let mut scene = Scene::new(2.0 * MARGIN + n_panels as f64 * step - 26.0 + 10.0, 0.0);
    let top = scene.title(MARGIN, &options.title);
    let top = top + key(&mut scene, top, units.iter().any(|u| natural(u).is_some()), series) + 24.0;
    scene.height = (top + rows as f64 * ROW + 50.0).ceil();
    for (panel, chunk) in units.chunks(rows).enumerate() {
        let left = MARGIN + panel as f64 * step + label_room;
        let area = Area::new(left, top, plot, chunk.len() as f64 * ROW);
        value_grid(&mut scene, area, &x, &options.y_label);
        for (i, unit) in chunk.iter().enumerate() {
            let middle = area.y + (i as f64 + 0.5) * ROW;
            scene.line(vec![(area.x, middle), (area.x + plot, middle)], 0.6, GRID);
            let name = names[panel * rows + i].clone();
            scene.text(area.x - 7.0, middle, name, ROW_LABEL, MUTED, Align::End);
            let strip = Strip { from: area.x, to: area.x + plot, middle, width: ROW, across: false };
            strip.draw(&mut scene, unit, &x, series);
        }
    }
    scene
}

/// Vertical grid lines with their values above and below, and the axis name below.
fn value_grid(scene: &mut Scene, area: Area, x: &Axis, label: &str) {
    let bottom = area.y + area.h;
    for (value, text) in x.ticks((area.w / 60.0).round() as usize) {
        let Some(t) = x.at(value) else { continue };
        let place = area.x + t * area.w;
        let colour = if value == 0.0 { MUTED } else { GRID };
        scene.line(vec![(place, area.y), (place, bottom)], 1.0, colour);
        scene.text(place, area.y - 9.0, text.clone(), TICK, MUTED, Align::Middle);
        scene.text(place, bottom + 12.0, text, TICK, MUTED, Align::Middle);
    }
    scene.line(vec![(area.x, area.y), (area.x, bottom), (area.x + area.w, bottom)], 1.0, MUTED);
    let label = fitted(label, LABEL, area.w);
    scene.text(area.x + area.w / 2.0, bottom + 32.0, label, LABEL, INK, Align::Middle);
}

/// The place of one unit: values run from `from` to `to`, upwards when `across` (units stand side by side), else to the right.
struct Strip {
    from: f64,
    to: f64,
    middle: f64,
    width: f64,
    across: bool,
}

impl Strip {
    fn point(&self, t: f64, aside: f64) -> (f64, f64) {
        let along = self.from + t * (self.to - self.from);
        if self.across { (self.middle + aside, along) } else { (along, self.middle + aside) }
    }

    fn draw(&self, scene: &mut Scene, unit: &UnitRange, axis: &Axis, series: &[String]) {
        if let Some(five) = natural(unit) {
            self.natural(scene, five.map(|v| axis.at(v).unwrap_or(0.0)));
        }
        // series side by side, so that equal responses stay visible
        let gap = (0.62 * self.width / series.len().max(1) as f64).min(7.0);
        let r = if self.across { 3.6 } else { 3.0 };
        for (name, value) in &unit.marks {
            let s = series.iter().position(|n| n == name).unwrap_or(0);
            let Some(t) = axis.at(*value) else { continue };
            marker(scene, s, self.point(t, (s as f64 - (series.len() as f64 - 1.0) / 2.0) * gap), r);
        }
    }

    fn natural(&self, scene: &mut Scene, [min, q1, median, q3, max]: [f64; 5]) {
        let half = (0.3 * self.width).min(8.0);
        scene.line(vec![self.point(min, 0.0), self.point(max, 0.0)], 1.0, MUTED);
        for end in [min, max] {
            scene.line(vec![self.point(end, -0.4 * half), self.point(end, 0.4 * half)], 1.0, MUTED);
        }
        let ((x0, y0), (x1, y1)) = (self.point(q1, -half), self.point(q3, half));
        scene.rect(Area::new(x0.min(x1), y0.min(y1), (x1 - x0).abs(), (y1 - y0).abs()), BOX);
        scene.line(vec![self.point(median, -half), self.point(median, half)], 1.8, INK);
    }
}

/// The marker of series `s`: shape and colour, so that colour alone decides nothing among the first six.
fn marker(scene: &mut Scene, s: usize, (x, y): (f64, f64), r: f64) {
    let colour = line(s);
    let stroke =
        |scene: &mut Scene, dx: f64, dy: f64| scene.line(vec![(x - dx, y - dy), (x + dx, y + dy)], 2.0, colour);
    match s % 6 {
        0 => scene.circle(x, y, r, colour),
        1 => scene.rect(Area::new(x - 0.88 * r, y - 0.88 * r, 1.76 * r, 1.76 * r), colour),
        2 => {
            stroke(scene, r, r);
            stroke(scene, r, -r);
        }
        3 => {
            scene.circle(x, y, r + 0.4, colour);
            scene.circle(x, y, r - 1.4, WHITE);
        }
        4 => {
            stroke(scene, 1.2 * r, 0.0);
            stroke(scene, 0.0, 1.2 * r);
        }
        _ => stroke(scene, 1.2 * r, 0.0),
    }
}

/// The meaning of the boxes and markers, in rows over the width of the scene; returns the height used.
fn key(scene: &mut Scene, top: f64, with_natural: bool, series: &[String]) -> f64 {
    let mut entries: Vec<(String, Option<usize>)> =
        series.iter().enumerate().map(|(s, name)| (ellipsis(name, 40), Some(s))).collect();
    if with_natural {
        entries.insert(0, ("natural images (min, quartiles, max)".into(), None));
    }
    if entries.is_empty() {
        return 0.0;
    }
    let (mut left, mut row) = (MARGIN, top + 8.0);
    for (name, mark) in entries {
        let symbol = if mark.is_some() { 12.0 } else { 32.0 };
        let size = symbol + 6.0 + text_width(&name, LABEL);
        if left > MARGIN && left + size > scene.width - MARGIN {
            (left, row) = (MARGIN, row + 19.0);
        }
        match mark {
            Some(s) => marker(scene, s, (left + 5.0, row), 3.6),
            None => Strip { from: left, to: left + symbol, middle: row, width: ROW, across: false }
                .natural(scene, [0.0, 0.3, 0.5, 0.7, 1.0]),
        }
        scene.text(left + symbol + 6.0, row, name, LABEL, INK, Align::Start);
        left += size + 18.0;
    }
    row - top + 14.0
}
