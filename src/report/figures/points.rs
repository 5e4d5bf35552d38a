//! Labelled points, such as a trade-off between two scores.

use super::super::chart::{Axis, Chart, Entry, Frame, TICK, drawn, ink, place, plot_width, units};
use super::super::names::distinct;
use super::super::palette::{INK, MUTED, line};
use super::super::scene::{Area, Scene, text_width};
use super::nonempty;
use crate::error::Result;
use plotters::element::Circle;
use std::path::Path;

/// One point of [`scatter`]; points of one `group` share a colour.
#[derive(Debug, Clone, Default)]
pub struct Point {
    pub label: String,
    pub group: String,
    pub x: f64,
    pub y: f64,
}

/// How [`scatter`] draws.
///
/// | field | meaning | default |
/// |---|---|---|
/// | `title`, `x_label`, `y_label` | texts | none |
/// | `x_references`, `y_references` | dashed lines with a label at values of one axis, such as the chance level | none |
/// | `diagonal` | a line where x equals y | no |
/// | `log` | both axes logarithmic | no |
#[derive(Debug, Clone, Default)]
pub struct ScatterOptions {
    pub title: String,
    pub x_label: String,
    pub y_label: String,
    pub x_references: Vec<(String, f64)>,
    pub y_references: Vec<(String, f64)>,
    pub diagonal: bool,
    pub log: bool,
}

const WIDTH: f64 = 680.0;
const HEIGHT: f64 = 420.0;
/// Radius of points; more of them than these are smaller.
const RADIUS: f64 = 4.5;
const MANY: f64 = 150.0;

/// Draws labelled points; labels keep out of each other's way, points that are not numbers are left
/// out.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) without points; [`Error::Io`](crate::Error::Io).
pub fn scatter(points: &[Point], stem: &Path, options: &ScatterOptions) -> Result<()> {
    scene(points, options)?.save(stem)
}

pub(super) fn scene(points: &[Point], options: &ScatterOptions) -> Result<Scene> {
    nonempty("scatter", "point", points.len())?;
    let x = axis(points.iter().map(|p| p.x), &options.x_references, options.log);
    let y = axis(points.iter().map(|p| p.y), &options.y_references, options.log);
    let groups = distinct(points.iter().map(|p| &p.group));
    let entries: Vec<_> = groups.iter().enumerate().map(|(i, g)| Entry::line(g, line(i))).collect();
    let size = (plot_width(WIDTH, &y, HEIGHT), HEIGHT);
    let frame = Frame { x, y, x_label: &options.x_label, y_label: &options.y_label, size };
    Ok(frame.scene(&options.title, if groups.len() == 1 { &[] } else { &entries }, |chart| {
        chart.mesh();
        let placed: Vec<_> = points.iter().filter_map(|p| Some((chart.at((p.x, p.y))?, p))).collect();
        chart.taken = placed.iter().map(|((x, y), _)| Area::new(x - 9.0, y - 7.0, 18.0, 14.0)).collect();
        guides(chart, &frame, options);
        let radius = RADIUS * (MANY / points.len() as f64).sqrt().clamp(0.4, 1.0);
        for (i, (at, point)) in placed.into_iter().enumerate() {
            let colour = line(groups.iter().position(|g| *g == point.group).unwrap_or(0));
            drawn(chart.root.draw(&Circle::new(place(at), units(radius), ink(colour, 1.0))));
            label_point(chart, i, at, &point.label);
        }
    }))
}

fn axis(values: impl Iterator<Item = f64>, references: &[(String, f64)], log: bool) -> Axis {
    let values: Vec<f64> = values.chain(references.iter().map(|r| r.1)).collect();
    let padded = Axis::around(values.iter().copied(), log, 0.08);
    let tight = Axis::around(values.into_iter(), log, 0.0).starting_at_zero();
    if tight.low == 0.0 { Axis { low: 0.0, ..padded } } else { padded }
}

/// The diagonal and the dashed lines.
fn guides(chart: &mut Chart<'_>, Frame { x, y, .. }: &Frame<'_>, options: &ScatterOptions) {
    if options.diagonal {
        let ends = [x.low.max(y.low), x.high.min(y.high)];
        chart.line(&ends.map(|v| (v, v)), MUTED, 1.0, 0.0);
    }
    chart.x_references(&options.x_references);
    chart.references(&options.y_references);
}

/// Beside a point, above and below it, and at its corners.
fn label_point(chart: &mut Chart<'_>, own: usize, (x, y): (f64, f64), label: &str) {
    let (w, h) = (text_width(label, TICK), TICK + 2.0);
    let (above, below, middle) = (y - h - 3.0, y + 3.0, y - h / 2.0);
    let sides = [(x + 8.0, middle), (x - 8.0 - w, middle), (x - w / 2.0, above - 3.0), (x - w / 2.0, below + 3.0)];
    let corners = [(x + 6.0, above), (x + 6.0, below), (x - w - 6.0, above), (x - w - 6.0, below)];
    chart.label(label, &[sides, corners].concat(), INK, Some(own));
}
