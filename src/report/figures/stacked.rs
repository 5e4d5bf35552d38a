//! Shares of a whole, stacked.

use super::super::chart::{Axis, Chart, Entry, Frame, LABEL, Root, TICK, drawn, ink, n_ticks, place, write_up};
use super::super::names::{cut_labels, shorten};
use super::super::palette::{MUTED, Map, Rgb};
use super::super::scene::{Area, Scene, text_width};
use super::{nonempty, same_length};
use crate::error::Result;
use plotters::element::Rectangle;
use plotters::style::text_anchor::HPos;
use std::path::Path;

/// How [`stacked_bars`] draws.
///
/// | field | meaning | default |
/// |---|---|---|
/// | `title`, `y_label` | texts | none, `contribution` |
/// | `short_names` | names of parts by [`shorten`](crate::report::names::shorten) | yes |
#[derive(Debug, Clone)]
pub struct StackedOptions {
    pub title: String,
    pub y_label: String,
    pub short_names: bool,
}

impl Default for StackedOptions {
    fn default() -> Self {
        Self { title: String::new(), y_label: "contribution".into(), short_names: true }
    }
}

const HEIGHT: f64 = 320.0;

/// Draws a bar for every group (a region), made of its parts (layers) one on the other: those above zero
/// upwards in their order, those below zero downwards, with colours from dark to light. A group with a value
/// that is not a number is marked n/a.
///
/// # Shapes
/// `values`: for every group one number a part.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) without groups or parts, or when their numbers differ;
/// [`Error::Io`](crate::Error::Io).
pub fn stacked_bars(
    groups: &[String],
    parts: &[String],
    values: &[Vec<f64>],
    stem: &Path,
    options: &StackedOptions,
) -> Result<()> {
    scene(groups, parts, values, options)?.save(stem)
}

pub(super) fn scene(
    groups: &[String],
    parts: &[String],
    values: &[Vec<f64>],
    options: &StackedOptions,
) -> Result<Scene> {
    nonempty("stacked bars", "group and part", groups.len().min(parts.len()))?;
    same_length("stacked bars", "groups", groups.len(), values.len())?;
    values.iter().try_for_each(|own| same_length("stacked bars", "parts", parts.len(), own.len()))?;
    let names = if options.short_names { shorten(parts) } else { parts.to_vec() };
    let groups = cut_labels(groups, |t| text_width(t, TICK) <= 130.0);
    let colours: Vec<Rgb> = (0..parts.len()).map(|i| colour(i, parts.len())).collect();
    let slot = (640.0 / groups.len() as f64).clamp(26.0, 90.0);
    let size = ((slot * groups.len() as f64).max(300.0), HEIGHT);
    let slot = size.0 / groups.len() as f64;
    let entries: Vec<_> = names.iter().zip(&colours).map(|(name, colour)| swatch(name, *colour)).collect();
    let frame = Frame { x: Axis::slots(groups), y: axis(values), x_label: "", y_label: &options.y_label, size };
    let half = (0.5 - 5.0 / slot).min(30.0 / slot);
    Ok(frame.scene(&options.title, &entries, |chart| {
        chart.mesh();
        for (g, own) in values.iter().enumerate() {
            stack(chart, own, (g as f64 + 0.5, half), &colours);
        }
        chart.line(&[(frame.x.low, 0.0), (frame.x.high, 0.0)], MUTED, 1.0, 0.0);
    }))
}

fn colour(i: usize, n: usize) -> Rgb {
    Map::Sequential.at(0.1 + 0.8 * i as f64 / (n.max(2) - 1) as f64)
}

fn swatch<'e>(name: &str, colour: Rgb) -> Entry<'e> {
    let draw = move |root: &Root<'_>, (x, y): (f64, f64)| {
        drawn(root.draw(&Rectangle::new([place((x, y - 6.0)), place((x + 12.0, y + 6.0))], ink(colour, 1.0))));
    };
    Entry { name: name.into(), symbol: 12.0, draw: Box::new(draw) }
}

/// From the deepest to the highest stack; to 1 where that is the whole.
fn axis(values: &[Vec<f64>]) -> Axis {
    let side = |own: &Vec<f64>, up: bool| own.iter().filter(|v| v.is_finite() && (**v > 0.0) == up).sum::<f64>();
    let ends =
        |up: bool| values.iter().map(move |own| side(own, up)).fold(0.0f64, if up { f64::max } else { f64::min });
    let (low, high) = (ends(false), ends(true));
    if low == 0.0 && (high - 1.0).abs() < 1e-3 {
        return Axis::linear(0.0, 1.0);
    }
    Axis::around([low, high].into_iter(), false, 0.0).rounded(n_ticks(HEIGHT))
}

fn stack(chart: &mut Chart<'_>, own: &[f64], (middle, half): (f64, f64), colours: &[Rgb]) {
    if own.iter().any(|v| !v.is_finite()) {
        let (x, y) = chart.at((middle, 0.0)).unwrap_or_default();
        chart.taken.push(Area::new(x - 6.0, y - 25.0, 12.0, 20.0));
        return write_up(&chart.root, (x, y - 5.0), "n/a", LABEL - 3.0, HPos::Left);
    }
    let mut ends = [0.0, 0.0];
    for (&value, &colour) in own.iter().zip(colours).filter(|(v, _)| **v != 0.0) {
        let from = &mut ends[usize::from(value > 0.0)];
        // Sums of shares end a hair above 1.
        let to = (*from + value).clamp(chart.ends().0, chart.ends().1);
        chart.bar([(middle - half, *from), (middle + half, to)], colour);
        *from = to;
    }
}
