//! The scale of coloured cells.

use super::super::palette::{INK, MUTED, Map};
use super::super::scene::{Align, Area, Item, Scene, widest};
use super::{Axis, LABEL, TICK};

/// A vertical colour bar with ticks and a name; returns nothing, takes [`BAR_WIDTH`] px.
pub fn colour_bar(scene: &mut Scene, x: f64, y: f64, height: f64, map: Map, axis: &Axis, label: &str) {
    let bar = Area::new(x, y, 14.0, height);
    let colours = ndarray::Array2::from_shape_fn((128, 1), |(i, _)| map.at(1.0 - i as f64 / 127.0));
    scene.items.push(Item::Cells { area: bar, colours });
    scene.outline(bar, 0.7, MUTED);
    // with five ticks allowed, at least three of a scale around zero are drawn
    let mut ticks = axis.ticks((height / 40.0).round().clamp(4.0, 8.0) as usize);
    ticks.retain(|(v, _)| axis.at(*v).is_some());
    for (value, text) in &ticks {
        let level = y + height * (1.0 - axis.at(*value).unwrap_or(0.0));
        scene.line(vec![(x + 14.0, level), (x + 18.0, level)], 1.0, MUTED);
        scene.text(x + 22.0, level, text.clone(), TICK, MUTED, Align::Start);
    }
    let labels: Vec<String> = ticks.into_iter().map(|t| t.1).collect();
    scene.vertical_text((x + 34.0 + widest(&labels, TICK), y + height / 2.0), label, LABEL, INK, Align::Middle);
}

/// Room for [`colour_bar`].
pub const BAR_WIDTH: f64 = 84.0;
