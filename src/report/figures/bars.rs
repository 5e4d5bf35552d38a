//! Grouped bars.

use super::super::chart::{Axis, Chart, Entry, Frame, LABEL, TICK, n_ticks, path, write_up};
use super::super::names::{cut_labels, shorten};
use super::super::palette::{INK, MUTED, line};
use super::super::scene::{Area, Scene, text_width};
use super::{nonempty, same_length};
use crate::error::Result;
use plotters::style::text_anchor::HPos;
use std::path::Path;

/// One colour of [`bars`]: a value, and optionally the ends of an error bar, low and high, for each
/// group.
#[derive(Debug, Clone, Default)]
pub struct BarSeries {
    pub name: String,
    pub values: Vec<f64>,
    pub errors: Option<Vec<[f64; 2]>>,
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

const HEIGHT: f64 = 300.0;

/// Draws grouped bars from zero; a value that is not a number leaves a gap marked n/a.
///
/// # Shapes
/// `groups`: one name per group (a layer); each series: one value (and error) per group.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) when the numbers of values and groups differ;
/// [`Error::Io`](crate::Error::Io).
pub fn bars(groups: &[String], series: &[BarSeries], stem: &Path, options: &BarOptions) -> Result<()> {
    scene(groups, series, options)?.save(stem)
}

pub(super) fn scene(groups: &[String], series: &[BarSeries], options: &BarOptions) -> Result<Scene> {
    nonempty("bars", "group and series", groups.len().min(series.len()))?;
    for s in series {
        same_length("bars", "values", groups.len(), s.values.len())?;
        if let Some(errors) = &s.errors {
            same_length("bars", "errors", groups.len(), errors.len())?;
        }
    }
    let names = if options.short_names { shorten(groups) } else { groups.to_vec() };
    let names = cut_labels(&names, |t| text_width(t, TICK) <= 130.0);
    let y = bar_axis(series, options);
    let bar = (900.0 / (groups.len() * series.len()) as f64).clamp(6.0, 18.0);
    let slot = (bar * series.len() as f64 + 14.0).max(150.0_f64.min(640.0 / groups.len() as f64));
    let size = (slot * groups.len() as f64, HEIGHT);
    let entries: Vec<_> = series.iter().enumerate().map(|(i, s)| Entry::line(&s.name, line(i))).collect();
    let frame = Frame { x: Axis::slots(names), y, x_label: "", y_label: &options.y_label, size };
    let inner = ((slot - 12.0).min(46.0 * series.len() as f64)) / slot;
    let width = inner / series.len() as f64;
    // A single one is what the axis says.
    Ok(frame.scene(&options.title, if series.len() == 1 { &[] } else { &entries }, |chart| {
        chart.mesh();
        for (s, one) in series.iter().enumerate() {
            for g in 0..groups.len() {
                let left = g as f64 + (1.0 - inner) / 2.0 + s as f64 * width;
                draw_bar(chart, one, g, (left, width, 0.5 / slot), line(s));
            }
        }
        chart.line(&[(frame.x.low, 0.0), (frame.x.high, 0.0)], MUTED, 1.0, 0.0);
        chart.references(&options.references);
    }))
}

/// Zero, every bar with its error, and the reference lines.
fn bar_axis(series: &[BarSeries], options: &BarOptions) -> Axis {
    let ends = series.iter().flat_map(|s| {
        s.values.iter().enumerate().flat_map(move |(g, v)| {
            let ends = s.errors.as_ref().map_or([*v; 2], |e| e[g]);
            [*v].into_iter().chain(ends.into_iter().filter(|e| e.is_finite()))
        })
    });
    let all = ends.chain(options.references.iter().map(|r| r.1)).chain([0.0]);
    let axis = Axis::around(all, false, 0.0);
    let room = 0.04 * (axis.high - axis.low);
    // Counts have no halves.
    let whole = series.iter().flat_map(|s| &s.values).all(|v| v.fract() == 0.0);
    let n = if whole { n_ticks(HEIGHT).min(axis.high.max(1.0) as usize) } else { n_ticks(HEIGHT) };
    Axis::linear(if axis.low < 0.0 { axis.low - room } else { 0.0 }, axis.high + room).rounded(n)
}

/// One bar from `left`, in slots, with its error.
fn draw_bar(chart: &mut Chart<'_>, one: &BarSeries, g: usize, (left, width, gap): (f64, f64, f64), colour: [u8; 3]) {
    let (value, middle) = (one.values[g], left + width / 2.0);
    if !value.is_finite() {
        let (x, y) = chart.at((middle, 0.0)).unwrap_or_default();
        chart.taken.push(Area::new(x - 6.0, y - 25.0, 12.0, 20.0));
        return write_up(&chart.root, (x, y - 5.0), "n/a", LABEL - 3.0, HPos::Left);
    }
    chart.bar([(left + gap, 0.0), (left + width - gap, value)], colour);
    let Some(ends) = one.errors.as_ref().map(|e| e[g]).filter(|e| e.iter().all(|v| v.is_finite())) else { return };
    chart.line(&ends.map(|v| (middle, v)), INK, 1.2, 0.0);
    for (x, y) in ends.iter().filter_map(|v| chart.at((middle, *v))) {
        path(&chart.root, [(x - 3.0, y), (x + 3.0, y)], INK, 1.2);
    }
}
