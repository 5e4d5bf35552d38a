//! Curves with bands, such as a response over the strength of a perturbation, and traces over
//! steps.

use super::super::chart::{Axis, Entry, Frame, n_ticks, plot_width};
use super::super::palette::{MUTED, Map, Rgb, WHITE, line, mix};
use super::super::scene::Scene;
use super::{nonempty, same_length};
use crate::error::Result;
use std::path::Path;

/// One curve of [`curves`]: (x, y) in the order in which they are joined, and for each point the
/// (low, high) of its band.
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
/// Up to this many curves have their own names in the legend.
const MAX_NAMED: usize = 24;
/// Curves with more points than this have no markers.
const MAX_MARKED: usize = 40;

/// Draws lines with optional bands; markers where a curve has few points. A value that is not a
/// number interrupts its line.
///
/// # Shapes
/// `band`: one (low, high) per point.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) without series or for a band of another length;
/// [`Error::Io`](crate::Error::Io).
pub fn curves(series: &[CurveSeries], stem: &Path, options: &CurveOptions) -> Result<()> {
    scene(series, options, MAX_MARKED)?.save(stem)
}

/// How [`trace`] draws: as [`CurveOptions`], over the `step` on a linear axis.
#[derive(Debug, Clone)]
pub struct TraceOptions {
    pub title: String,
    pub x_label: String,
    pub y_label: String,
    pub log_y: bool,
    pub references: Vec<(String, f64)>,
}

impl Default for TraceOptions {
    fn default() -> Self {
        let [title, y_label] = [String::new(), String::new()];
        Self { title, x_label: "step".into(), y_label, log_y: false, references: Vec::new() }
    }
}

/// Draws lines of (step, value); a value that is not a number interrupts its line.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) without series; [`Error::Io`](crate::Error::Io).
pub fn trace(series: &[(String, Vec<(f64, f64)>)], stem: &Path, options: &TraceOptions) -> Result<()> {
    trace_scene(series, options)?.save(stem)
}

pub(super) fn trace_scene(series: &[(String, Vec<(f64, f64)>)], options: &TraceOptions) -> Result<Scene> {
    nonempty("trace", "series", series.len())?;
    let curve = |s: &(String, Vec<(f64, f64)>)| CurveSeries { name: s.0.clone(), points: s.1.clone(), band: None };
    let TraceOptions { title, x_label, y_label, log_y, references } = options.clone();
    let options = CurveOptions { title, x_label, y_label, log_x: false, log_y, references };
    scene(&series.iter().map(curve).collect::<Vec<_>>(), &options, 0)
}

pub(super) fn scene(series: &[CurveSeries], options: &CurveOptions, max_marked: usize) -> Result<Scene> {
    nonempty("curves", "series", series.len())?;
    for one in series {
        if let Some(band) = &one.band {
            same_length("curves", "band limits", one.points.len(), band.len())?;
        }
    }
    let (x, y) = axes(series, options, max_marked);
    let colours: Vec<Rgb> = (0..series.len()).map(|i| colour(i, series.len())).collect();
    let size = (plot_width(WIDTH, &y, HEIGHT), HEIGHT);
    let frame = Frame { x, y, x_label: &options.x_label, y_label: &options.y_label, size };
    let bands = |one: &CurveSeries| -> Vec<(f64, (f64, f64))> {
        one.points.iter().map(|p| p.0).zip(one.band.iter().flatten().copied()).collect()
    };
    let many = series.len() > MAX_NAMED;
    let colour_of = || series.iter().zip(&colours);
    Ok(frame.scene(&options.title, &entries(series, &colours, &options.y_label), |chart| {
        // bands lie below the grid, lines above it
        colour_of().for_each(|(one, colour)| chart.band(&bands(one), *colour));
        chart.mesh();
        for (one, colour) in colour_of() {
            for side in [|b: (f64, f64)| b.0, |b: (f64, f64)| b.1] {
                let edge: Vec<_> =
                    bands(one).into_iter().map(|(x, b)| (x, side(b).clamp(frame.y.low, frame.y.high))).collect();
                chart.line(&edge, mix(*colour, WHITE, 0.5), 0.8, 0.0);
            }
        }
        for (one, colour) in colour_of() {
            let dot = if one.points.len() <= max_marked && !many { 3.0 } else { 0.0 };
            chart.line(&one.points, *colour, if many { 0.9 } else { 1.8 }, dot);
        }
        chart.references(&options.references);
    }))
}

fn axes(series: &[CurveSeries], options: &CurveOptions, max_marked: usize) -> (Axis, Axis) {
    let few = series.iter().any(|s| s.points.len() <= max_marked);
    let steps = series.iter().flat_map(|s| s.points.iter().map(|p| p.0));
    let x = Axis::around(steps, options.log_x, if few { 0.02 } else { 0.0 });
    let values = series.iter().flat_map(|s| s.points.iter().map(|p| p.1));
    let bands = series.iter().flat_map(|s| s.band.iter().flatten().flat_map(|b| [b.0, b.1]));
    let all = values.chain(bands).chain(options.references.iter().map(|r| r.1));
    let y = Axis::around(all, options.log_y, if options.log_y { 0.06 } else { 0.0 });
    (x, if options.log_y { y } else { y.starting_at_zero().rounded(n_ticks(HEIGHT)) })
}

/// Distinct colours for a few curves, a sequence from dark to light for more, one grey for very
/// many.
fn colour(i: usize, n: usize) -> Rgb {
    match n {
        0..=7 => line(i),
        8..=MAX_NAMED => Map::Sequential.at(0.08 + 0.75 * i as f64 / (n - 1) as f64),
        _ => mix(MUTED, WHITE, 0.35),
    }
}

fn entries<'e>(series: &[CurveSeries], colours: &[Rgb], y_label: &str) -> Vec<Entry<'e>> {
    if series.len() > MAX_NAMED {
        return vec![Entry::line(&format!("{} curves", series.len()), colours[0])];
    }
    if series.len() == 1 && series[0].name == y_label {
        return Vec::new();
    }
    let named = series.iter().zip(colours).filter(|(s, _)| !s.name.is_empty());
    named.map(|(s, c)| Entry::line(&s.name, *c)).collect()
}
