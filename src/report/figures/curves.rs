//! Curves with bands, such as a response over the strength of a perturbation.

use super::super::axes::{Axis, LABEL, TICK, frame, left_margin, legend, n_ticks};
use super::super::palette::{MUTED, Map, Rgb, WHITE, line, mix};
use super::super::scene::{Align, Area, Scene, fitted, text_width};
use super::{nonempty, same_length};
use crate::error::Result;
use std::path::Path;

/// One curve of [`curves`]: (x, y) in the order in which they are joined, and for each point the (low, high) of its band.
#[derive(Debug, Clone, Default)]
pub struct CurveSeries {
    pub name: String,
    pub points: Vec<(f64, f64)>,
    pub band: Option<Vec<(f64, f64)>>,
}

/// How [`curves`] draws.
///
/// | field | meaning | default |
/// |---|---|---|
/// | `title`, `x_label`, `y_label` | texts | none |
/// | `log_x`, `log_y` | logarithmic axes; points at 0 and below are left out | no |
/// | `references` | dashed horizontal lines with a label, such as the chance level | none |
#[derive(Debug, Clone, Default)]
pub struct CurveOptions {
    pub title: String,
    pub x_label: String,
    pub y_label: String,
    pub log_x: bool,
    pub log_y: bool,
    pub references: Vec<(String, f64)>,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 320.0;
const MARGIN: f64 = 16.0;
/// Up to this many curves have their own names in the legend.
const MAX_NAMED: usize = 24;
/// Curves with more points than this have no markers.
const MAX_MARKED: usize = 40;

/// Draws lines with optional bands; markers where a curve has few points. A value that is not a number interrupts its line.
///
/// # Shapes
/// `band`: one (low, high) per point.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) without series or for a band of another length; [`Error::Io`](crate::Error::Io).
pub fn curves(series: &[CurveSeries], stem: &Path, options: &CurveOptions) -> Result<()> {
    scene(series, options)?.save(stem)
}

pub(super) fn scene(series: &[CurveSeries], options: &CurveOptions) -> Result<Scene> {
    nonempty("curves", "series", series.len())?;
    for one in series {
        if let Some(band) = &one.band {
            same_length("curves", "band limits", one.points.len(), band.len())?;
        }
    }
    let (x, y) = axes(series, options);
    let colours: Vec<Rgb> = (0..series.len()).map(|i| colour(i, series.len())).collect();
    let mut scene = Scene::new(WIDTH, 0.0);
    let top = scene.title(MARGIN, &options.title);
    let entries = entries(series, &colours, &options.y_label);
    let top = top + legend(&mut scene, MARGIN, top, WIDTH - 2.0 * MARGIN, &entries) + 8.0;
    let left = left_margin(&y, n_ticks(HEIGHT)) + 4.0;
    let plot = Plot { area: Area::new(left, top, WIDTH - left - 24.0, HEIGHT), x, y };
    scene.height = (top + HEIGHT + 48.0).ceil();
    // bands lie below the grid, lines above it
    for (one, colour) in series.iter().zip(&colours) {
        plot.band(&mut scene, one, mix(*colour, WHITE, 0.8));
    }
    let x_label = fitted(&options.x_label, LABEL, plot.area.w);
    frame(&mut scene, plot.area, Some(&plot.x), &plot.y, &x_label, &fitted(&options.y_label, LABEL, HEIGHT));
    for (one, colour) in series.iter().zip(&colours) {
        plot.band_edges(&mut scene, one, mix(*colour, WHITE, 0.5));
    }
    for (one, colour) in series.iter().zip(&colours) {
        plot.curve(&mut scene, one, *colour, if series.len() > MAX_NAMED { 0.9 } else { 1.8 });
    }
    plot.references(&mut scene, series, &options.references);
    Ok(scene)
}

fn axes(series: &[CurveSeries], options: &CurveOptions) -> (Axis, Axis) {
    let few = series.iter().any(|s| s.points.len() <= MAX_MARKED);
    let x = Axis::around(
        series.iter().flat_map(|s| s.points.iter().map(|p| p.0)),
        options.log_x,
        if few { 0.02 } else { 0.0 },
    );
    let values = series.iter().flat_map(|s| s.points.iter().map(|p| p.1));
    let bands = series.iter().flat_map(|s| s.band.iter().flatten().flat_map(|b| [b.0, b.1]));
    let all = values.chain(bands).chain(options.references.iter().map(|r| r.1));
    let y = Axis::around(all, options.log_y, if options.log_y { 0.06 } else { 0.0 });
    (x, if options.log_y { y } else { y.starting_at_zero().rounded(n_ticks(HEIGHT)) })
}

/// Distinct colours for a few curves, a sequence from dark to light for more, one grey for very many.
fn colour(i: usize, n: usize) -> Rgb {
    match n {
        0..=7 => line(i),
        8..=MAX_NAMED => Map::Sequential.at(0.08 + 0.75 * i as f64 / (n - 1) as f64),
        _ => mix(MUTED, WHITE, 0.35),
    }
}

fn entries(series: &[CurveSeries], colours: &[Rgb], y_label: &str) -> Vec<(String, Rgb)> {
    if series.len() > MAX_NAMED {
        return vec![(format!("{} curves", series.len()), colours[0])];
    }
    let named = series.iter().zip(colours).filter(|(s, _)| !s.name.is_empty());
    if series.len() == 1 && series[0].name == y_label {
        return Vec::new();
    }
    named.map(|(s, c)| (s.name.clone(), *c)).collect()
}

struct Plot {
    area: Area,
    x: Axis,
    y: Axis,
}

impl Plot {
    fn at(&self, x: f64, y: f64) -> Option<(f64, f64)> {
        let (u, v) = (self.x.at(x)?, self.y.at(y)?);
        Some((self.area.x + u * self.area.w, self.area.y + (1.0 - v) * self.area.h))
    }

    /// Runs of neighbouring points whose band is defined, as (x, upper, lower) on the scene. On a log scale a limit at or below
    /// zero is the end of the axis.
    fn band_runs(&self, one: &CurveSeries) -> Vec<Vec<(f64, f64, f64)>> {
        let level = |x: f64, v: f64| self.at(x, if v.is_nan() { v } else { v.clamp(self.y.low, self.y.high) });
        let mut runs = vec![Vec::new()];
        for ((x, _), (low, high)) in one.points.iter().zip(one.band.iter().flatten()) {
            match (level(*x, *low), level(*x, *high)) {
                (Some((x, a)), Some((_, b))) => runs.last_mut().expect("never empty").push((x, a.min(b), a.max(b))),
                _ => runs.push(Vec::new()),
            }
        }
        runs
    }

    /// Fills with one polyline that goes up and down once per pixel, its strokes just overlapping.
    fn band(&self, scene: &mut Scene, one: &CurveSeries, colour: Rgb) {
        for run in self.band_runs(one) {
            let mut path: Vec<(f64, f64)> = Vec::new();
            for pair in run.windows(2) {
                let ((x0, a0, b0), (x1, a1, b1)) = (pair[0], pair[1]);
                let n = (x1 - x0).abs().ceil().max(1.0) as usize;
                for i in 0..=n {
                    let t = i as f64 / n as f64;
                    let (x, upper, lower) = (x0 + t * (x1 - x0), a0 + t * (a1 - a0), b0 + t * (b1 - b0));
                    let up = (path.len() / 2).is_multiple_of(2);
                    path.extend(if up { [(x, lower), (x, upper)] } else { [(x, upper), (x, lower)] });
                }
            }
            if path.len() > 1 {
                scene.line(path, 1.3, colour);
            }
        }
    }

    fn band_edges(&self, scene: &mut Scene, one: &CurveSeries, colour: Rgb) {
        for run in self.band_runs(one).iter().filter(|run| run.len() > 1) {
            scene.line(run.iter().map(|p| (p.0, p.1)).collect(), 0.8, colour);
            scene.line(run.iter().map(|p| (p.0, p.2)).collect(), 0.8, colour);
        }
    }

    fn curve(&self, scene: &mut Scene, one: &CurveSeries, colour: Rgb, width: f64) {
        let places: Vec<Option<(f64, f64)>> = one.points.iter().map(|p| self.at(p.0, p.1)).collect();
        let marked = one.points.len() <= MAX_MARKED && width > 1.0;
        for run in places.split(Option::is_none) {
            let run: Vec<(f64, f64)> = run.iter().flatten().copied().collect();
            if marked || run.len() == 1 {
                run.iter().for_each(|p| scene.circle(p.0, p.1, 3.0, colour));
            }
            if run.len() > 1 {
                scene.line(run, width, colour);
            }
        }
    }

    /// Dashed lines, each label where it lies on no other label and on as little of the curves as possible.
    fn references(&self, scene: &mut Scene, series: &[CurveSeries], references: &[(String, f64)]) {
        let inked = self.samples(series);
        let levels: Vec<f64> = references.iter().filter_map(|r| self.at(self.x.low, r.1)).map(|p| p.1).collect();
        let mut taken: Vec<Area> = Vec::new();
        for (label, value) in references {
            let Some((_, level)) = self.at(self.x.low, *value) else { continue };
            scene.dashed(vec![(self.area.x, level), (self.area.x + self.area.w, level)], 1.5, MUTED);
            let label = fitted(label, TICK, 0.45 * self.area.w);
            let (w, h) = (text_width(&label, TICK), TICK + 2.0);
            let (left, right) = (self.area.x + 6.0, self.area.x + self.area.w - 4.0 - w);
            let places =
                [(right, -h - 2.0), (right, 2.0), (left, -h - 2.0), (left, 2.0), ((left + right) / 2.0, -h - 2.0)];
            let places = places.map(|(x, dy)| Area::new(x, level + dy, w, h));
            let cost = |a: &Area| {
                let inside = |x: f64, y: f64| x >= a.x && x <= a.x + a.w && y >= a.y && y <= a.y + a.h;
                let outside = a.y < self.area.y || a.y + a.h > self.area.y + self.area.h;
                let crossed = levels.iter().filter(|l| inside(a.x, **l)).count();
                let covered = inked.iter().filter(|p| inside(p.0, p.1)).count();
                10_000 * (taken.iter().filter(|t| t.overlaps(a)).count() + usize::from(outside))
                    + 100 * crossed
                    + covered
            };
            let chosen = places[(0..places.len()).min_by_key(|i| cost(&places[*i])).unwrap_or(0)];
            scene.text(chosen.x, chosen.y + h / 2.0, label, TICK, MUTED, Align::Start);
            taken.push(chosen);
        }
    }

    /// Points along the curves, close enough that a label across a line meets one.
    fn samples(&self, series: &[CurveSeries]) -> Vec<(f64, f64)> {
        let mut out = Vec::new();
        for one in series {
            let edge = |side: fn(&(f64, f64)) -> f64| {
                let limits = one.band.iter().flatten().map(side);
                one.points.iter().map(|p| p.0).zip(limits).collect::<Vec<_>>()
            };
            for path in [&one.points, &edge(|b| b.0), &edge(|b| b.1)] {
                for pair in path.windows(2) {
                    let (Some(a), Some(b)) = (self.at(pair[0].0, pair[0].1), self.at(pair[1].0, pair[1].1)) else {
                        continue;
                    };
                    let n = ((b.0 - a.0).hypot(b.1 - a.1) / 6.0).ceil().max(1.0);
                    let at = |i: usize| (a.0 + i as f64 / n * (b.0 - a.0), a.1 + i as f64 / n * (b.1 - a.1));
                    out.extend((0..=n as usize).map(at));
                }
            }
        }
        out
    }
}
