//! Where in the grid the best penalties lie.

use super::super::chart::{Axis, Chart, Frame, TICK, n_ticks, plot_width, sheet};
use super::super::palette::{INK, MUTED, line};
use super::super::scene::{Scene, text_width};
use super::{nonempty, same_length};
use crate::error::{Error, Result};
use std::path::Path;

/// How [`alphas`] draws.
///
/// | field | meaning | default |
/// |---|---|---|
/// | `title` | above the figure | none |
/// | `x_label` | the penalty and its unit | `penalty` |
/// | `score_label` | the score that penalties were chosen by | `mean validation score` |
/// | `given` | the smallest and the largest penalty before the grid was extended, as dashed lines | none |
#[derive(Debug, Clone)]
pub struct AlphaOptions {
    pub title: String,
    pub x_label: String,
    pub score_label: String,
    pub given: Option<(f64, f64)>,
}

impl Default for AlphaOptions {
    fn default() -> Self {
        let [title, x_label, score_label] = ["", "penalty", "mean validation score"].map(String::from);
        Self { title, x_label, score_label, given: None }
    }
}

const WIDTH: f64 = 680.0;
const HEIGHT: f64 = 220.0;
const MARGIN: f64 = 12.0;

/// Draws for every penalty of the grid how many targets it is best for and, above, the mean score over
/// targets and inner folds. Targets at the edges of the grid, whose best penalty may lie beyond, are coloured
/// and counted.
///
/// # Shapes
/// `alphas`: ascending; `counts`, `scores`: one a penalty.
///
/// # Errors
/// [`Error::Invalid`] without penalties, for some that do not ascend from above zero, or other numbers of
/// counts or scores; [`Error::Io`].
pub fn alphas(
    alphas: &[f64],
    counts: &[usize],
    scores: Option<&[f64]>,
    stem: &Path,
    options: &AlphaOptions,
) -> Result<()> {
    scene(alphas, counts, scores, options)?.save(stem)
}

pub(super) fn scene(alphas: &[f64], counts: &[usize], scores: Option<&[f64]>, options: &AlphaOptions) -> Result<Scene> {
    nonempty("penalties", "penalty", alphas.len())?;
    same_length("penalties", "counts", alphas.len(), counts.len())?;
    scores.map_or(Ok(()), |scores| same_length("penalties", "scores", alphas.len(), scores.len()))?;
    if !(alphas[0] > 0.0 && alphas.iter().all(|a| a.is_finite())) || alphas.windows(2).any(|w| w[0] >= w[1]) {
        return Err(Error::invalid("penalties", "positive numbers that ascend", format!("{alphas:?}"), ""));
    }
    let edges = edges(alphas);
    let ends = [edges[0], edges[alphas.len()]].into_iter();
    let x = Axis::around(ends.chain(options.given.iter().flat_map(|g| [g.0, g.1])), true, 0.01);
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let y = Axis::linear(0.0, 1.08 * most as f64).rounded(n_ticks(HEIGHT).min(most));
    let score_axis = scores
        .map(|scores| Axis::around(scores.iter().copied(), false, 0.05).starting_at_zero().rounded(n_ticks(HEIGHT)));
    let wide = |axis: &Axis| plot_width(WIDTH, axis, HEIGHT);
    let width = score_axis.as_ref().map_or(f64::INFINITY, wide).min(wide(&y));
    let frame =
        |y: &Axis, x_label, y_label| Frame { x: x.clone(), y: y.clone(), x_label, y_label, size: (width, HEIGHT) };
    let (mut scene, mut top) = sheet(WIDTH, &options.title, &[]);
    let panels = score_axis.as_ref().map(|axis| (frame(axis, "", &options.score_label), scores));
    for (frame, scores) in panels.into_iter().chain([(frame(&y, &options.x_label, "targets"), None)]) {
        let [_, left, below] = frame.rooms();
        scene.height = (top + HEIGHT + below).ceil();
        let mut chart = Chart::new(&mut scene, (WIDTH - width - left - MARGIN, top), &frame);
        chart.mesh();
        match scores {
            Some(scores) => means(&mut chart, alphas, scores),
            None => bars(&mut chart, &edges, counts, width),
        }
        given(&mut chart, &frame, options);
        top += HEIGHT + if scores.is_some() { 32.0 } else { below };
    }
    Ok(scene)
}

/// Half way between neighbours, in logarithms.
fn edges(alphas: &[f64]) -> Vec<f64> {
    let n = alphas.len();
    let step = |i: usize| if n == 1 { 10.0 } else { alphas[i + 1] / alphas[i] };
    let first = alphas[0] / step(0).sqrt();
    let between = alphas.windows(2).map(|w| (w[0] * w[1]).sqrt());
    let last = alphas[n - 1] * step(n.max(2) - 2).sqrt();
    [first].into_iter().chain(between).chain([last]).collect()
}

fn means(chart: &mut Chart<'_>, alphas: &[f64], scores: &[f64]) {
    let points: Vec<(f64, f64)> = alphas.iter().copied().zip(scores.iter().copied()).collect();
    chart.line(&points, line(0), 1.8, 3.0);
}

fn bars(chart: &mut Chart<'_>, edges: &[f64], counts: &[usize], width: f64) {
    let (n, total) = (counts.len(), counts.iter().sum::<usize>().max(1));
    // A pixel between bars.
    let gap = ((edges[n] / edges[0]).ln() / width / 2.0).exp();
    let at_edge = |i: usize| n > 1 && (i == 0 || i == n - 1);
    let drawn = || counts.iter().enumerate().filter(|(_, count)| **count > 0);
    for (i, &count) in drawn() {
        chart.bar([(edges[i] * gap, 0.0), (edges[i + 1] / gap, count as f64)], line(usize::from(at_edge(i))));
    }
    for (i, &count) in drawn().filter(|(i, _)| at_edge(*i)) {
        let text = format!("{count} at the edge ({} %)", (100.0 * count as f64 / total as f64).round());
        let Some((x, _)) = chart.at((if i == 0 { edges[0] } else { edges[n] }, count as f64)) else { continue };
        let bar = width * (edges[i + 1] / edges[i]).ln() / (edges[n] / edges[0]).ln();
        let beside = if i == 0 {
            [x + 2.0, x + bar + 4.0]
        } else {
            [0.0, bar + 2.0].map(|by| x - by - 2.0 - text_width(&text, TICK))
        };
        // Above every bar that it reaches over.
        let above = |left: f64| {
            let over = |(k, count): (usize, &usize)| {
                let end = |edge: f64| chart.at((edge, 0.0)).map_or(left, |(x, _)| x);
                let reaches = end(edges[k]) < left + text_width(&text, TICK) && end(edges[k + 1]) > left;
                reaches.then(|| chart.at((edges[k], *count as f64)).map_or(0.0, |(_, y)| y))
            };
            drawn().filter_map(over).fold(f64::INFINITY, f64::min)
        };
        let own = chart.at((edges[i], count as f64)).map_or(0.0, |(_, y)| y);
        let places = beside.map(|left| (left, above(left).min(own) - TICK - 6.0));
        chart.label(&text, &places, INK, None);
    }
}

/// Where the grid ended before it was extended.
fn given(chart: &mut Chart<'_>, frame: &Frame<'_>, options: &AlphaOptions) {
    let Some((low, high)) = options.given else { return };
    for end in [low, high] {
        chart.dashed([(end, frame.y.low), (end, frame.y.high)]);
    }
    let Some((x, y)) = chart.at((low, frame.y.high)) else { return };
    chart.label("grid as given", &[(x + 5.0, y + 4.0), (x + 5.0, y + 20.0)], MUTED, None);
}
