//! Labelled points, such as a trade-off between two scores.

use super::super::axes::{Axis, TICK, frame, left_margin, legend, n_ticks, reference_line};
use super::super::palette::{INK, MUTED, line};
use super::super::scene::{Align, Area, Scene, text_width};
use super::nonempty;
use crate::error::Result;
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

/// Draws labelled points; labels keep out of each other's way, points that are not numbers are left out.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) without points; [`Error::Io`](crate::Error::Io).
pub fn scatter(points: &[Point], stem: &Path, options: &ScatterOptions) -> Result<()> {
    nonempty("scatter", "point", points.len())?;
    let x = axis(points.iter().map(|p| p.x), &options.x_references, options.log);
    let y = axis(points.iter().map(|p| p.y), &options.y_references, options.log);
    let mut groups: Vec<&String> = Vec::new();
    points.iter().for_each(|p| {
        if !groups.contains(&&p.group) {
            groups.push(&p.group)
        }
    });
    let mut scene = Scene::new(WIDTH, 0.0);
    let top = scene.title(16.0, &options.title);
    let entries: Vec<_> = groups.iter().enumerate().map(|(i, g)| ((*g).clone(), line(i))).collect();
    let entries = if groups.len() == 1 { Vec::new() } else { entries };
    let top = top + legend(&mut scene, 16.0, top, WIDTH - 32.0, &entries) + 10.0;
    let left = left_margin(&y, n_ticks(HEIGHT)) + 4.0;
    let area = Area::new(left, top, WIDTH - left - 24.0, HEIGHT);
    scene.height = top + HEIGHT + 48.0;
    frame(&mut scene, area, Some(&x), &y, &options.x_label, &options.y_label);
    guides(&mut scene, area, &x, &y, options);
    let mut placed = Vec::new();
    for p in points {
        let (Some(u), Some(v)) = (x.at(p.x), y.at(p.y)) else { continue };
        let colour = line(groups.iter().position(|g| **g == p.group).unwrap_or(0));
        placed.push((area.x + u * area.w, area.y + (1.0 - v) * area.h, p, colour));
    }
    let mut taken: Vec<Area> = placed.iter().map(|(x, y, ..)| Area::new(x - 9.0, y - 7.0, 18.0, 14.0)).collect();
    taken.extend(guide_boxes(area, &x, &y, options));
    for (i, (x, y, point, colour)) in placed.into_iter().enumerate() {
        scene.circle(x, y, 4.5, colour);
        place_label(&mut scene, area, &mut taken, i, (x, y), &point.label);
    }
    scene.save(stem)
}

fn axis(values: impl Iterator<Item = f64>, references: &[(String, f64)], log: bool) -> Axis {
    let values: Vec<f64> = values.chain(references.iter().map(|r| r.1)).collect();
    let padded = Axis::around(values.iter().copied(), log, 0.08);
    let tight = Axis::around(values.into_iter(), log, 0.0).starting_at_zero();
    if tight.low == 0.0 { Axis { low: 0.0, ..padded } } else { padded }
}

fn guides(scene: &mut Scene, area: Area, x: &Axis, y: &Axis, options: &ScatterOptions) {
    if options.diagonal {
        let (low, high) = (x.low.max(y.low), x.high.min(y.high));
        let at = |v: f64| Some((area.x + x.at(v)? * area.w, area.y + (1.0 - y.at(v)?) * area.h));
        if let (Some(a), Some(b)) = (at(low), at(high)) {
            scene.line(vec![a, b], 1.0, MUTED);
        }
    }
    for (label, value) in &options.y_references {
        reference_line(scene, area, y, label, *value, Align::Start);
    }
    for (label, value) in &options.x_references {
        let Some(t) = x.at(*value) else { continue };
        let place = area.x + t * area.w;
        scene.dashed(vec![(place, area.y), (place, area.y + area.h)], 1.5, MUTED);
        scene.vertical_text(place - 9.0, area.y + 4.0, label.clone(), TICK, MUTED, Align::End);
    }
}

/// The strips that the dashed lines take, so that no label lies on them.
fn guide_boxes(area: Area, x: &Axis, y: &Axis, options: &ScatterOptions) -> Vec<Area> {
    let rows = options.y_references.iter().filter_map(|r| y.at(r.1));
    let rows = rows.map(|t| Area::new(area.x, area.y + (1.0 - t) * area.h - 1.0, area.w, 2.0));
    let columns = options.x_references.iter().filter_map(|r| x.at(r.1));
    rows.chain(columns.map(|t| Area::new(area.x + t * area.w - 1.0, area.y, 2.0, area.h))).collect()
}

/// Puts a label beside its point where it hits nothing; above it when every side is taken.
fn place_label(scene: &mut Scene, area: Area, taken: &mut Vec<Area>, own: usize, (x, y): (f64, f64), label: &str) {
    if label.is_empty() {
        return;
    }
    let (w, h) = (text_width(label, TICK), TICK + 2.0);
    let sides = [
        (8.0, -h / 2.0),
        (-8.0 - w, -h / 2.0),
        (-w / 2.0, -h - 6.0),
        (-w / 2.0, 6.0),
        (6.0, -h - 3.0),
        (6.0, 3.0),
        (-w - 6.0, -h - 3.0),
        (-w - 6.0, 3.0),
    ];
    let inside =
        |b: &Area| b.x >= area.x && b.y >= area.y && b.x + b.w <= area.x + area.w && b.y + b.h <= area.y + area.h;
    let boxes = sides.map(|(dx, dy)| Area::new(x + dx, y + dy, w, h));
    // `own` is the point itself
    let free = boxes.iter().find(|b| inside(b) && !taken.iter().enumerate().any(|(i, t)| i != own && t.overlaps(b)));
    let chosen = *free.or_else(|| boxes.iter().find(|b| inside(b))).unwrap_or(&boxes[2]);
    scene.text(chosen.x, chosen.y + h / 2.0, label, TICK, INK, Align::Start);
    taken.push(chosen);
}
