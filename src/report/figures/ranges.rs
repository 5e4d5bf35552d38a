//! Responses to kept images against the distribution of responses to natural images.

use super::super::chart::units as in_units;
use super::super::chart::{Axis, Chart, Entry, Frame, ROW_LABEL, Root, TICK, drawn, ink, n_ticks, path, place, sheet};
use super::super::names::distinct;
use super::super::palette::{INK, MUTED, Rgb, line};
use super::super::scene::{Scene, text_width, widest};
use super::{cut_labels, nonempty};
use crate::error::{Error, Result};
use plotters::prelude::*;
use std::path::Path;

/// One unit of [`ranges`]: minimum, lower quartile, median, upper quartile and maximum of its
/// responses to natural images, and (series, response) for each image to be compared with them.
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
const MARGIN: f64 = 16.0;
const BOX: Rgb = [0xc6, 0xcc, 0xd3];

/// Draws one column per unit (above 40 units one row each, in panels on one scale): a thin line
/// from the least to the largest natural response, a box between the quartiles, a tick at the
/// median, and one marker per kept image. What is not a number is left out.
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
    let series = distinct(order.iter().flat_map(|u| u.marks.iter().map(|m| &m.0)));
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

fn side_by_side(units: &[&UnitRange], series: &[String], y: Axis, options: &RangeOptions) -> Scene {
    let names: Vec<String> = units.iter().map(|u| u.name.clone()).collect();
    let names = cut_labels(&names, |t| text_width(t, TICK) <= 150.0);
    let plot = ((720.0 / units.len() as f64).clamp(20.0, 100.0) * units.len() as f64).max(260.0);
    let frame = Frame { x: Axis::slots(names), y, x_label: "", y_label: &options.y_label, size: (plot, HEIGHT) };
    frame.scene(&options.title, &key(units, series), |chart| {
        chart.mesh();
        chart.line(&[(frame.x.low, 0.0), (frame.x.high, 0.0)], MUTED, 1.0, 0.0);
        strips(chart, units, series, (plot / units.len() as f64).min(46.0), true);
    })
}

fn list(units: &[&UnitRange], series: &[String], x: Axis, options: &RangeOptions) -> Scene {
    let names: Vec<String> = units.iter().map(|u| u.name.clone()).collect();
    let names = cut_labels(&names, |t| text_width(t, ROW_LABEL) <= 160.0);
    let n_panels = units.len().div_ceil(PANEL_ROWS).min(4);
    let rows = units.len().div_ceil(n_panels);
    let plot = if n_panels == 1 { 480.0 } else { 320.0 };
    let right = widest(&names, ROW_LABEL) + 10.0 + plot;
    let width = 2.0 * MARGIN + n_panels as f64 * (right + 26.0) - 16.0;
    let (mut scene, top) = sheet(width, &options.title, &key(units, series));
    for (panel, chunk) in units.chunks(rows).enumerate() {
        let y = Axis::slots(names[panel * rows..][..chunk.len()].to_vec()).reversed();
        let size = (plot, chunk.len() as f64 * ROW);
        let frame = Frame { x: x.clone(), y, x_label: &options.y_label, y_label: "", size };
        let [above, left, below] = frame.rooms();
        scene.height = scene.height.max((top + above + size.1 + below).ceil());
        let corner = MARGIN + panel as f64 * (right + 26.0) + right - plot - left;
        let mut chart = Chart::new(&mut scene, (corner, top), &frame);
        chart.mesh();
        chart.line(&[(0.0, frame.y.low), (0.0, frame.y.high)], MUTED, 1.0, 0.0);
        strips(&chart, chunk, series, ROW, false);
    }
    scene
}

/// Every unit in its slot of the chart, `width` px of it: along the vertical axis when `upright`,
/// else along the horizontal one.
fn strips(chart: &Chart<'_>, units: &[&UnitRange], series: &[String], width: f64, upright: bool) {
    // series side by side, so that equal responses stay visible
    let gap = (0.62 * width / series.len().max(1) as f64).min(7.0);
    for (i, unit) in units.iter().enumerate() {
        let slot = i as f64 + 0.5;
        let at = |v: f64| chart.at(if upright { (slot, v) } else { (v, slot) });
        if let Some(five) = natural(unit) {
            distribution(&chart.root, five.map(|v| at(v).unwrap_or_default()), width, upright);
        }
        for (name, value) in &unit.marks {
            let s = series.iter().position(|n| n == name).unwrap_or(0);
            let Some((x, y)) = at(*value) else { continue };
            let aside = (s as f64 - (series.len() as f64 - 1.0) / 2.0) * gap;
            let (at, r) = if upright { ((x + aside, y), 3.6) } else { ((x, y + aside), 3.0) };
            marker(&chart.root, s, at, r);
        }
    }
}

/// Whiskers from the first to the last of five places, a box between the second and the fourth, a
/// tick in the middle.
fn distribution(root: &Root<'_>, [min, q1, median, q3, max]: [(f64, f64); 5], width: f64, upright: bool) {
    let half = (0.3 * width).min(8.0);
    let aside = |(x, y): (f64, f64), by: f64| if upright { (x + by, y) } else { (x, y + by) };
    path(root, [min, max], MUTED, 1.0);
    for end in [min, max] {
        path(root, [aside(end, -0.4 * half), aside(end, 0.4 * half)], MUTED, 1.0);
    }
    drawn(root.draw(&Rectangle::new([place(aside(q1, -half)), place(aside(q3, half))], ink(BOX, 1.0))));
    path(root, [aside(median, -half), aside(median, half)], INK, 1.8);
}

/// The marker of series `s`: shape and colour, so that colour alone decides nothing among the first
/// six.
fn marker(root: &Root<'_>, s: usize, (x, y): (f64, f64), r: f64) {
    let (at, style, half, arm) = (place((x, y)), ink(line(s), 2.0), 0.88 * r, 1.2 * r);
    match s % 6 {
        0 => drawn(root.draw(&Circle::new(at, in_units(r), style))),
        1 => drawn(root.draw(&Rectangle::new([place((x - half, y - half)), place((x + half, y + half))], style))),
        2 => drawn(root.draw(&Cross::new(at, in_units(r), style))),
        3 => drawn(root.draw(&Circle::new(at, in_units(r - 0.5), ShapeStyle { filled: false, ..ink(line(s), 1.8) }))),
        s => {
            path(root, [(x - arm, y), (x + arm, y)], line(s), 2.0);
            path(root, if s == 4 { [(x, y - arm), (x, y + arm)] } else { [(x - arm, y), (x + arm, y)] }, line(s), 2.0);
        }
    }
}

/// The meaning of the boxes and markers.
fn key<'e>(units: &[&UnitRange], series: &[String]) -> Vec<Entry<'e>> {
    let boxed = Entry {
        name: "natural images (min, quartiles, max)".into(),
        symbol: 32.0,
        draw: Box::new(|root: &Root<'_>, (x, y): (f64, f64)| {
            distribution(root, [0.0, 0.3, 0.5, 0.7, 1.0].map(|t| (x + 32.0 * t, y)), ROW, false);
        }),
    };
    let marked = |(s, name): (usize, &String)| Entry {
        name: name.clone(),
        symbol: 12.0,
        draw: Box::new(move |root: &Root<'_>, (x, y): (f64, f64)| marker(root, s, (x + 5.0, y), 3.6)),
    };
    let boxed = units.iter().any(|u| natural(u).is_some()).then_some(boxed);
    boxed.into_iter().chain(series.iter().enumerate().map(marked)).collect()
}
