//! Traces over steps, and grouped bars.

use super::super::axes::{Axis, LABEL, TICK, frame, left_margin, legend, n_ticks, reference_line};
use super::super::names::{cut_labels, shorten};
use super::super::palette::{INK, MUTED, line};
use super::super::scene::{Align, Area, Scene, text_width, widest};
use super::{nonempty, same_length};
use crate::error::Result;
use std::path::Path;

/// How [`trace`] draws.
///
/// | field | meaning | default |
/// |---|---|---|
/// | `title`, `x_label`, `y_label` | texts | none, `step`, none |
/// | `log_y` | logarithmic value axis; values of 0 and below are left out | no |
/// | `references` | dashed horizontal lines with a label, such as the chance level | none |
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
        Self {
            title: String::new(),
            x_label: "step".into(),
            y_label: String::new(),
            log_y: false,
            references: Vec::new(),
        }
    }
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 300.0;

/// Draws lines of (step, value); a value that is not a number interrupts its line.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) without series; [`Error::Io`](crate::Error::Io).
pub fn trace(series: &[(String, Vec<(f64, f64)>)], stem: &Path, options: &TraceOptions) -> Result<()> {
    nonempty("trace", "series", series.len())?;
    let x = Axis::around(series.iter().flat_map(|s| s.1.iter().map(|p| p.0)), false, 0.0);
    let values = series.iter().flat_map(|s| s.1.iter().map(|p| p.1));
    let margin = if options.log_y { 0.06 } else { 0.0 };
    let y = Axis::around(values.chain(options.references.iter().map(|r| r.1)), options.log_y, margin);
    let y = if options.log_y { y } else { y.starting_at_zero().rounded(n_ticks(HEIGHT)) };
    let mut scene = Scene::new(WIDTH, 0.0);
    let top = scene.title(16.0, &options.title);
    let entries: Vec<_> = series.iter().enumerate().map(|(i, s)| (s.0.clone(), line(i))).collect();
    let entries = if series.len() == 1 && series[0].0 == options.y_label { Vec::new() } else { entries };
    let top = top + legend(&mut scene, 16.0, top, WIDTH - 32.0, &entries) + 6.0;
    let left = left_margin(&y, n_ticks(HEIGHT)) + 4.0;
    let area = Area::new(left, top, WIDTH - left - 24.0, HEIGHT);
    scene.height = top + HEIGHT + 48.0;
    frame(&mut scene, area, Some(&x), &y, &options.x_label, &options.y_label);
    for (label, value) in &options.references {
        reference_line(&mut scene, area, &y, label, *value, Align::End);
    }
    for (i, (_, points)) in series.iter().enumerate() {
        draw_series(&mut scene, area, (&x, &y), points, line(i));
    }
    scene.save(stem)
}

fn draw_series(scene: &mut Scene, area: Area, (x, y): (&Axis, &Axis), points: &[(f64, f64)], colour: [u8; 3]) {
    let mut run = Vec::new();
    let flush = |scene: &mut Scene, run: &mut Vec<(f64, f64)>| match run.len() {
        0 => {}
        1 => scene.circle(run[0].0, run[0].1, 2.5, colour),
        _ => scene.line(std::mem::take(run), 1.8, colour),
    };
    for (step, value) in points {
        match (x.at(*step), y.at(*value)) {
            (Some(u), Some(v)) => run.push((area.x + u * area.w, area.y + (1.0 - v) * area.h)),
            _ => {
                flush(scene, &mut run);
                run.clear();
            }
        }
    }
    flush(scene, &mut run);
}

/// One colour of [`bars`]: a value, and optionally the half length of an error bar, for each group.
#[derive(Debug, Clone, Default)]
pub struct BarSeries {
    pub name: String,
    pub values: Vec<f64>,
    pub errors: Option<Vec<f64>>,
}

/// How [`bars`] draws.
///
/// | field | meaning | default |
/// |---|---|---|
/// | `title`, `y_label` | texts | none |
/// | `references` | dashed horizontal lines with a label, such as a noise ceiling | none |
/// | `short_names` | group labels by [`shorten`](crate::report::names::shorten) | yes |
#[derive(Debug, Clone)]
pub struct BarOptions {
    pub title: String,
    pub y_label: String,
    pub references: Vec<(String, f64)>,
    pub short_names: bool,
}

impl Default for BarOptions {
    fn default() -> Self {
        Self { title: String::new(), y_label: String::new(), references: Vec::new(), short_names: true }
    }
}

/// Draws grouped bars from zero; a value that is not a number leaves a gap marked n/a.
///
/// # Shapes
/// `groups`: one name per group (a layer); each series: one value (and error) per group.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) when the numbers of values and groups differ; [`Error::Io`](crate::Error::Io).
pub fn bars(groups: &[String], series: &[BarSeries], stem: &Path, options: &BarOptions) -> Result<()> {
    nonempty("bars", "group and series", groups.len().min(series.len()))?;
    for s in series {
        same_length("bars", "values", groups.len(), s.values.len())?;
        if let Some(errors) = &s.errors {
            same_length("bars", "errors", groups.len(), errors.len())?;
        }
    }
    let names = if options.short_names { shorten(groups) } else { groups.to_vec() };
    let names: Vec<String> = cut_labels(&names, |t| text_width(t, TICK) <= 130.0);
    let y = bar_axis(series, options);
    let bar = (900.0 / (groups.len() * series.len()) as f64).clamp(6.0, 18.0);
    let slot = (bar * series.len() as f64 + 14.0).max(150.0_f64.min(640.0 / groups.len() as f64));
    let left = left_margin(&y, n_ticks(HEIGHT)) + 4.0;
    let plot = slot * groups.len() as f64;
    let upright = widest(&names, TICK) <= slot - 6.0;
    let below = if upright { 28.0 } else { widest(&names, TICK) + 18.0 };
    let mut scene = Scene::new((left + plot + 24.0).max(420.0), 0.0);
    let top = scene.title(16.0, &options.title);
    let entries: Vec<_> = series.iter().enumerate().map(|(i, s)| (s.name.clone(), line(i))).collect();
    let width = scene.width;
    let top = top + legend(&mut scene, 16.0, top, width - 32.0, &entries) + 6.0;
    let area = Area::new(left, top, plot, HEIGHT);
    scene.height = top + HEIGHT + below;
    frame(&mut scene, area, None, &y, "", &options.y_label);
    for (g, name) in names.iter().enumerate() {
        let middle = area.x + (g as f64 + 0.5) * slot;
        draw_group(&mut scene, area, &y, series, g, slot);
        if upright {
            scene.text(middle, area.y + area.h + 14.0, name.clone(), TICK, MUTED, Align::Middle);
        } else {
            scene.vertical_text(middle, area.y + area.h + 8.0, name.clone(), TICK, MUTED, Align::End);
        }
    }
    base_and_references(&mut scene, area, &y, &options.references);
    scene.save(stem)
}

fn base_and_references(scene: &mut Scene, area: Area, y: &Axis, references: &[(String, f64)]) {
    if let Some(zero) = y.at(0.0) {
        let level = area.y + (1.0 - zero) * area.h;
        scene.line(vec![(area.x, level), (area.x + area.w, level)], 1.0, MUTED);
    }
    for (label, value) in references {
        reference_line(scene, area, y, label, *value, Align::End);
    }
}

/// Zero, every bar with its error, and the reference lines.
fn bar_axis(series: &[BarSeries], options: &BarOptions) -> Axis {
    let ends = series.iter().flat_map(|s| {
        s.values.iter().enumerate().flat_map(move |(g, v)| {
            let e = s.errors.as_ref().map_or(0.0, |e| e[g]);
            let e = if e.is_finite() { e } else { 0.0 };
            [v - e, v + e]
        })
    });
    let all = ends.chain(options.references.iter().map(|r| r.1)).chain([0.0]);
    let axis = Axis::around(all, false, 0.0);
    let room = 0.04 * (axis.high - axis.low);
    Axis { low: if axis.low < 0.0 { axis.low - room } else { 0.0 }, high: axis.high + room, log: false }
        .rounded(n_ticks(HEIGHT))
}

fn draw_group(scene: &mut Scene, area: Area, y: &Axis, series: &[BarSeries], g: usize, slot: f64) {
    let inner = (slot - 12.0).min(46.0 * series.len() as f64);
    let bar = inner / series.len() as f64;
    let level = |v: f64| y.at(v.clamp(y.low, y.high)).map(|t| area.y + (1.0 - t) * area.h);
    for (s, one) in series.iter().enumerate() {
        let x = area.x + g as f64 * slot + (slot - inner) / 2.0 + s as f64 * bar;
        let value = one.values[g];
        let (Some(zero), Some(end)) = (level(0.0), level(value)) else {
            let zero = level(0.0).unwrap_or(area.y + area.h);
            scene.vertical_text(x + bar / 2.0, zero - 5.0, "n/a", LABEL - 3.0, MUTED, Align::Start);
            continue;
        };
        scene.rect(Area::new(x + 0.5, zero.min(end), bar - 1.0, (zero - end).abs()), line(s));
        let error = one.errors.as_ref().map(|e| e[g]).filter(|e| e.is_finite());
        if let Some((low, high)) = error.and_then(|e| Some((level(value - e)?, level(value + e)?))) {
            let middle = x + bar / 2.0;
            scene.line(vec![(middle, low), (middle, high)], 1.2, INK);
            for end in [low, high] {
                scene.line(vec![(middle - 3.0, end), (middle + 3.0, end)], 1.2, INK);
            }
        }
    }
}
