//! Receptive fields as circles in degrees.

use super::super::chart::{Axis, Chart, Entry, Frame, LABEL, drawn, ink, place, sheet, units, write};
use super::super::palette::{INK, MUTED, Rgb, WHITE, line, mix};
use super::super::scene::{Scene, fitted};
use super::{columns, nonempty};
use crate::error::{Error, Result};
use plotters::element::Circle;
use plotters::style::text_anchor::HPos;
use std::path::Path;

/// Receptive fields of one region: for each the centre (degrees right of and above the middle of the
/// image) and the radius, one standard deviation of its Gaussian, in degrees.
#[derive(Debug, Clone, Default)]
pub struct RfGroup {
    pub name: String,
    pub fields: Vec<[f64; 3]>,
}

/// How [`receptive_fields`] draws.
///
/// | field | meaning | default |
/// |---|---|---|
/// | `title` | above the figure | none |
/// | `image_deg` | width and height of the image in degrees, drawn as a frame | none |
/// | `panels` | a panel for every region, else one for all, coloured by region | yes |
#[derive(Debug, Clone)]
pub struct RfOptions {
    pub title: String,
    pub image_deg: Option<(f64, f64)>,
    pub panels: bool,
}

impl Default for RfOptions {
    fn default() -> Self {
        Self { title: String::new(), image_deg: None, panels: true }
    }
}

/// Circles that a panel shows at most, taken evenly from all.
const MOST: usize = 300;
/// Corners of a circle.
const CORNERS: usize = 48;
const MARGIN: f64 = 16.0;

/// Draws a circle for every receptive field on axes of one scale, with the frame of the image and a cross
/// at its middle. Circles are the paler the more there are; of very many, some are drawn, and the panel says
/// how many. What is not a number or has no size is left out.
///
/// # Errors
/// [`Error::Invalid`] without regions or for an image without a size; [`Error::Io`].
pub fn receptive_fields(groups: &[RfGroup], stem: &Path, options: &RfOptions) -> Result<()> {
    scene(groups, options)?.save(stem)
}

pub(super) fn scene(groups: &[RfGroup], options: &RfOptions) -> Result<Scene> {
    nonempty("receptive fields", "region", groups.len())?;
    if let Some((w, h)) = options.image_deg.filter(|(w, h)| !(w.is_finite() && h.is_finite() && *w > 0.0 && *h > 0.0)) {
        let found = format!("{w} x {h} degrees");
        return Err(Error::invalid("receptive fields", "an image of some width and height", found, ""));
    }
    let shown: Vec<Vec<[f64; 3]>> = groups.iter().map(shown).collect();
    let frame = frame(&shown, options, if options.panels && groups.len() > 1 { 230.0 } else { 440.0 });
    if options.panels && groups.len() > 1 {
        return Ok(panels(groups, &shown, &frame, options));
    }
    let names: Vec<String> = groups.iter().zip(&shown).map(|(group, shown)| caption(group, shown)).collect();
    let key: Vec<_> = names.iter().enumerate().map(|(i, name)| Entry::line(name, line(i))).collect();
    Ok(frame.scene(&options.title, &key, |chart| {
        chart.mesh();
        for (i, fields) in shown.iter().enumerate() {
            circles(chart, fields, line(i));
        }
        surround(chart, options);
    }))
}

/// The fields that are drawn, large ones first.
fn shown(group: &RfGroup) -> Vec<[f64; 3]> {
    let usable = |f: &&[f64; 3]| f.iter().all(|v| v.is_finite()) && f[2] > 0.0;
    let all: Vec<[f64; 3]> = group.fields.iter().filter(usable).copied().collect();
    let every = all.len().div_ceil(MOST).max(1);
    let mut some: Vec<[f64; 3]> = all.into_iter().step_by(every).collect();
    some.sort_by(|a, b| b[2].total_cmp(&a[2]));
    some
}

fn caption(group: &RfGroup, shown: &[[f64; 3]]) -> String {
    match shown.len() == group.fields.len() {
        true => format!("{} ({})", group.name, shown.len()),
        false => format!("{} ({} of {})", group.name, shown.len(), group.fields.len()),
    }
}

/// Axes of one scale about the image and all circles that reach no further than half its size beyond it.
fn frame<'a>(shown: &[Vec<[f64; 3]>], options: &RfOptions, width: f64) -> Frame<'a> {
    let half = options.image_deg.map(|(w, h)| (w / 2.0, h / 2.0));
    let reach = |along: usize, half: Option<f64>| {
        let ends = shown.iter().flatten().flat_map(|f| [f[along] - f[2], f[along] + f[2]]);
        let most = half.map_or(f64::INFINITY, |half| 2.0 * half);
        let ends = ends.map(|v| v.clamp(-most, most)).chain(half.into_iter().flat_map(|half| [-half, half]));
        Axis::around(ends.chain([0.0]), false, 0.04)
    };
    let (x, y) = (reach(0, half.map(|h| h.0)), reach(1, half.map(|h| h.1)));
    let height = (width * (y.high - y.low) / (x.high - x.low)).clamp(0.4 * width, 1.5 * width);
    // One scale: the axis that has room to spare is widened about its middle.
    let scale = ((x.high - x.low) / width).max((y.high - y.low) / height);
    let widened = |axis: Axis, px: f64| {
        let (middle, half) = ((axis.low + axis.high) / 2.0, scale * px / 2.0);
        Axis::linear(middle - half, middle + half)
    };
    let (x, y) = (widened(x, width), widened(y, height));
    Frame { x, y, x_label: "degrees", y_label: "degrees", size: (width, height) }
}

fn panels(groups: &[RfGroup], shown: &[Vec<[f64; 3]>], frame: &Frame<'_>, options: &RfOptions) -> Scene {
    let n_columns = columns(groups.len(), 4);
    let [_, left, below] = frame.rooms();
    let (step_x, step_y) = (left + frame.size.0 + 18.0, frame.size.1 + below + 26.0);
    let captions: Vec<String> = groups.iter().zip(shown).map(|(group, shown)| caption(group, shown)).collect();
    let (mut scene, top) = sheet(2.0 * MARGIN + n_columns as f64 * step_x - 10.0, &options.title, &[]);
    scene.height = (top + groups.len().div_ceil(n_columns) as f64 * step_y).ceil();
    for (i, (fields, caption)) in shown.iter().zip(captions).enumerate() {
        let corner = ((i % n_columns) as f64 * step_x + MARGIN - 4.0, top + (i / n_columns) as f64 * step_y + 14.0);
        let mut chart = Chart::new(&mut scene, corner, frame);
        chart.mesh();
        circles(&mut chart, fields, line(0));
        surround(&mut chart, options);
        let caption = fitted(&caption, LABEL, frame.size.0);
        write(&chart.root, (chart.area.x, chart.area.y - 10.0), &caption, LABEL, INK, HPos::Left);
    }
    scene
}

/// Paler the more there are.
fn circles(chart: &mut Chart<'_>, fields: &[[f64; 3]], colour: Rgb) {
    let pale = 0.75 * (fields.len() as f64 / MOST as f64).min(1.0).sqrt();
    let width = if fields.len() > 60 { 0.7 } else { 1.2 };
    for &[x, y, r] in fields {
        let corner = |i: usize| {
            let angle = std::f64::consts::TAU * i as f64 / CORNERS as f64;
            (x + r * angle.cos(), y + r * angle.sin())
        };
        chart.line(&(0..=CORNERS).map(corner).collect::<Vec<_>>(), mix(colour, WHITE, pale), width, 0.0);
    }
    let dot = if fields.len() > 60 { 1.0 } else { 1.8 };
    for at in fields.iter().filter_map(|f| chart.at((f[0], f[1]))) {
        drawn(chart.root.draw(&Circle::new(place(at), units(dot), ink(colour, 1.0))));
    }
}

/// The frame of the image, and the cross at its middle.
fn surround(chart: &mut Chart<'_>, options: &RfOptions) {
    let Some((w, h)) = options.image_deg.map(|(w, h)| (w / 2.0, h / 2.0)) else { return };
    chart.line(&[(-w, -h), (w, -h), (w, h), (-w, h), (-w, -h)], INK, 1.2, 0.0);
    let arm = 0.04 * w.min(h);
    chart.line(&[(-arm, 0.0), (arm, 0.0)], MUTED, 1.4, 0.0);
    chart.line(&[(0.0, -arm), (0.0, arm)], MUTED, 1.4, 0.0);
}
