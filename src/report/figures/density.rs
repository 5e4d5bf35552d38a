//! How many of very many points lie where.

use super::super::chart::{Axis, BAR_WIDTH, Frame, colour_bar};
use super::super::palette::{INK, Map};
use super::super::scene::Scene;
use super::nonempty;
use crate::error::Result;
use ndarray::Array2;
use std::path::Path;

/// How [`density`] draws.
///
/// | field | meaning | default |
/// |---|---|---|
/// | `title`, `x_label`, `y_label` | texts | none |
/// | `bar_label` | what is counted | `targets` |
/// | `diagonal` | both axes from the same to the same number, with a line where x equals y | yes |
#[derive(Debug, Clone)]
pub struct DensityOptions {
    pub title: String,
    pub x_label: String,
    pub y_label: String,
    pub bar_label: String,
    pub diagonal: bool,
}

impl Default for DensityOptions {
    fn default() -> Self {
        let [title, x_label, y_label] = [(); 3].map(|()| String::new());
        Self { title, x_label, y_label, bar_label: "targets".into(), diagonal: true }
    }
}

const SIDE: f64 = 420.0;
/// Cells along an axis: 7 px each.
const CELLS: usize = 60;
/// Up to this many points, all are within the axes.
const FEW: usize = 200;
/// Of more, this share at either end may lie outside, so that some far ones do not squeeze the rest.
const OUTSIDE: f64 = 0.001;

/// Draws the plane in cells coloured by the number of points in each, on a logarithmic scale; cells without
/// any are white. Points that are not numbers are left out; points beyond the axes are counted below.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) without points; [`Error::Io`](crate::Error::Io).
pub fn density(points: &[(f64, f64)], stem: &Path, options: &DensityOptions) -> Result<()> {
    scene(points, options)?.save(stem)
}

pub(super) fn scene(points: &[(f64, f64)], options: &DensityOptions) -> Result<Scene> {
    nonempty("density", "point", points.len())?;
    let points: Vec<(f64, f64)> = points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
    let (x, y) = axes(&points, options.diagonal);
    let (counts, outside) = counts(&points, &x, &y);
    let x_label = match outside {
        0 => options.x_label.clone(),
        n => format!("{} ({n} outside)", options.x_label),
    };
    let most = counts.iter().copied().max().unwrap_or(0).max(10);
    let scale = Axis { log: true, ..Axis::linear(1.0, most as f64) };
    let frame = Frame { x, y, x_label: &x_label, y_label: &options.y_label, size: (SIDE, SIDE) };
    let mut plot = None;
    let mut scene = frame.scene(&options.title, &[], |chart| {
        chart.mesh();
        let (Frame { x, y, .. }, cells) = (&frame, CELLS as f64);
        let edge = |axis: &Axis, i: usize| axis.low + (axis.high - axis.low) * i as f64 / cells;
        for ((i, j), &n) in counts.indexed_iter().filter(|(_, n)| **n > 0) {
            let corners = [(edge(x, j), edge(y, i)), (edge(x, j + 1), edge(y, i + 1))];
            chart.cell(corners, Map::Sequential.at(scale.fraction(n as f64)));
        }
        if options.diagonal {
            chart.line(&[(x.low, y.low), (x.high, y.high)], INK, 1.0, 0.0);
        }
        plot = Some(chart.area);
    });
    let area = plot.expect("the chart was drawn");
    scene.width = (area.x + area.w + 20.0 + BAR_WIDTH).ceil();
    colour_bar(&mut scene, area.x + area.w + 18.0, area.y, area.h, Map::Sequential, &scale, &options.bar_label);
    Ok(scene)
}

fn axes(points: &[(f64, f64)], diagonal: bool) -> (Axis, Axis) {
    let middle = |of: fn(&(f64, f64)) -> f64| {
        let mut values: Vec<f64> = points.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        let skip = if values.len() > FEW { (OUTSIDE * values.len() as f64).ceil() as usize } else { 0 };
        values[skip..values.len() - skip].to_vec()
    };
    let (x, y) = (middle(|p| p.0), middle(|p| p.1));
    if diagonal {
        let axis = Axis::around(x.into_iter().chain(y), false, 0.02);
        return (axis.clone(), axis);
    }
    let [x, y] = [x, y].map(|values| Axis::around(values.into_iter(), false, 0.02));
    (x, y)
}

/// Rows upwards x columns, and the points beyond the axes.
fn counts(points: &[(f64, f64)], x: &Axis, y: &Axis) -> (Array2<usize>, usize) {
    let mut counts = Array2::zeros((CELLS, CELLS));
    let mut outside = 0;
    let place = |t: f64| ((t * CELLS as f64) as usize).min(CELLS - 1);
    for point in points {
        match (x.at(point.0), y.at(point.1)) {
            (Some(across), Some(up)) => counts[(place(up), place(across))] += 1,
            _ => outside += 1,
        }
    }
    (counts, outside)
}
