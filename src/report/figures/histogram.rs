//! How often scores are how large.

use super::super::chart::{Axis, Frame, fixed, n_ticks, plot_width};
use super::super::palette::{MUTED, WHITE, line, mix};
use super::super::scene::Scene;
use super::nonempty;
use crate::error::Result;
use crate::math::stats::median;
use std::path::Path;

/// How [`histogram`] draws.
///
/// | field | meaning | default |
/// |---|---|---|
/// | `title`, `x_label`, `y_label` | texts | none, none, `targets` |
/// | `references` | dashed upright lines with a label, such as a threshold or the 95th percentile of a null distribution | none |
/// | `median` | a dashed line at the median, with its number | yes |
#[derive(Debug, Clone)]
pub struct HistogramOptions {
    pub title: String,
    pub x_label: String,
    pub y_label: String,
    pub references: Vec<(String, f64)>,
    pub median: bool,
}

impl Default for HistogramOptions {
    fn default() -> Self {
        let [title, x_label] = [String::new(), String::new()];
        Self { title, x_label, y_label: "targets".into(), references: Vec::new(), median: true }
    }
}

const WIDTH: f64 = 680.0;
const HEIGHT: f64 = 300.0;
/// About as many bars, for a step of 1, 2 or 5 times a power of ten.
const BARS: f64 = 36.0;

/// Draws how many values lie in every step of a round size; what is not a number is left out and counted
/// below.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) without values; [`Error::Io`](crate::Error::Io).
pub fn histogram(values: &[f64], stem: &Path, options: &HistogramOptions) -> Result<()> {
    scene(values, options)?.save(stem)
}

pub(super) fn scene(values: &[f64], options: &HistogramOptions) -> Result<Scene> {
    nonempty("histogram", "value", values.len())?;
    let usable: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    let (first, step, counts) = counts(&usable);
    let at = |i: usize| (first + i as f64) * step;
    let mut references = options.references.clone();
    if options.median && !usable.is_empty() {
        let middle = median(&usable);
        references.push((format!("median {}", fixed(middle, decimals(step))), middle));
    }
    let ends = [at(0), at(counts.len())].into_iter().chain(references.iter().map(|r| r.1));
    let x = Axis::around(ends, false, 0.01);
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let y = Axis::linear(0.0, 1.06 * most as f64).rounded(n_ticks(HEIGHT).min(most));
    let x_label = match values.len() - usable.len() {
        0 => options.x_label.clone(),
        n => format!("{} ({n} without a value)", options.x_label),
    };
    let size = (plot_width(WIDTH, &y, HEIGHT), HEIGHT);
    let frame = Frame { x, y, x_label: &x_label, y_label: &options.y_label, size };
    Ok(frame.scene(&options.title, &[], |chart| {
        chart.mesh();
        // Half a pixel between bars.
        let gap = 0.25 * (frame.x.high - frame.x.low) / size.0;
        // Pale, so that labels can be read on them.
        let colour = mix(line(0), WHITE, 0.6);
        for (i, &n) in counts.iter().enumerate().filter(|(_, n)| **n > 0) {
            chart.bar([(at(i) + gap, 0.0), (at(i + 1) - gap, n as f64)], colour);
        }
        chart.line(&[(frame.x.low, 0.0), (frame.x.high, 0.0)], MUTED, 1.0, 0.0);
        chart.x_references(&references);
    }))
}

/// The step before the first one with a value, the size of steps, and the number of values in each.
fn counts(values: &[f64]) -> (f64, f64, Vec<usize>) {
    let around = Axis::around(values.iter().copied(), false, 0.0);
    let step = round_step((around.high - around.low) / BARS);
    let first = (around.low / step + 1e-9).floor();
    let n = ((around.high / step - first).floor() as usize + 1).min(4 * BARS as usize);
    let mut counts = vec![0; n];
    for v in values {
        counts[((v / step - first + 1e-9).max(0.0) as usize).min(n - 1)] += 1;
    }
    (first, step, counts)
}

/// The next of 1, 2 and 5 times a power of ten.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|lead| lead * power).find(|v| *v >= step * 0.999).unwrap_or(10.0 * power)
}

/// One more than a step has.
fn decimals(step: f64) -> usize {
    (1.0 - (step * 1.001).log10().floor()).clamp(0.0, 12.0) as usize
}
