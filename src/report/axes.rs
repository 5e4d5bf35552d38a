//! Axes, ticks, legends and colour bars.

use super::palette::{GRID, INK, MUTED, Map, Rgb};
use super::scene::{Align, Area, Scene, text_width, widest};

pub(super) const LABEL: f64 = 12.0;
pub(super) const TICK: f64 = 11.0;

/// A linear or logarithmic scale from `low` to `high`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    pub low: f64,
    pub high: f64,
    pub log: bool,
}

impl Axis {
    /// Covers the finite values (the positive ones for a log scale) with a margin of `pad` of their range.
    pub(super) fn around(values: impl Iterator<Item = f64>, log: bool, pad: f64) -> Self {
        let usable = values.filter(|v| v.is_finite() && (!log || *v > 0.0)).map(|v| if log { v.log10() } else { v });
        let (mut low, mut high) = usable.fold((f64::INFINITY, f64::NEG_INFINITY), |m, v| (m.0.min(v), m.1.max(v)));
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        if high - low < 1e-12 * high.abs().max(1e-300) {
            let half = if low == 0.0 || log { 0.5 } else { 0.1 * low.abs() };
            (low, high) = (low - half, high + half);
        }
        let margin = pad * (high - low);
        let (low, high) = (low - margin, high + margin);
        if log { Self { low: 10f64.powf(low), high: 10f64.powf(high), log } } else { Self { low, high, log } }
    }

    /// Starting at zero when that costs less than half of the height; a log scale stays as it is.
    pub(super) fn starting_at_zero(self) -> Self {
        if self.log || self.low < 0.0 || self.low > 0.5 * self.high { self } else { Self { low: 0.0, ..self } }
    }

    /// Widened to whole ticks.
    pub(super) fn rounded(self, n: usize) -> Self {
        if self.log {
            return self;
        }
        let step = nice_step(self.low, self.high, n);
        Self { low: (self.low / step + 1e-9).floor() * step, high: (self.high / step - 1e-9).ceil() * step, log: false }
    }

    /// Where `value` lies, 0 at the low end and 1 at the high end; none outside the scale or for no number.
    pub(super) fn at(&self, value: f64) -> Option<f64> {
        let t = if self.log {
            (value.log10() - self.low.log10()) / (self.high.log10() - self.low.log10())
        } else {
            (value - self.low) / (self.high - self.low)
        };
        (t.is_finite() && (-1e-9..=1.0 + 1e-9).contains(&t)).then_some(t)
    }

    /// About `n` round values with their labels.
    pub(super) fn ticks(&self, n: usize) -> Vec<(f64, String)> {
        if self.log { log_ticks(self.low, self.high, n) } else { linear_ticks(self.low, self.high, n) }
    }
}

/// 1, 2 or 5 times a power of ten, such that the range has about `n` steps.
fn nice_step(low: f64, high: f64, n: usize) -> f64 {
    let raw = (high - low) / n.max(1) as f64;
    let power = 10f64.powf(raw.log10().floor());
    let lead = raw / power;
    power * [1.0, 2.0, 5.0, 10.0].into_iter().find(|s| lead <= s * 1.001).unwrap_or(10.0)
}

fn linear_ticks(low: f64, high: f64, n: usize) -> Vec<(f64, String)> {
    let step = nice_step(low, high, n);
    let decimals = (-step.log10().floor()).max(0.0) as usize;
    let (first, last) = ((low / step - 1e-6).ceil() as i64, (high / step + 1e-6).floor() as i64);
    (first..=last).map(|i| i as f64 * step).map(|v| (v, tick_label(v, decimals))).collect()
}

/// Decades, with 2 and 5 between them when the decades alone are too few.
fn log_ticks(low: f64, high: f64, n: usize) -> Vec<(f64, String)> {
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let inside = |leads: &[f64]| -> Vec<f64> {
        (first..=last)
            .flat_map(|e| leads.iter().map(move |lead| lead * 10f64.powi(e)))
            .filter(|v| *v >= low * 0.999_999 && *v <= high * 1.000_001)
            .collect()
    };
    let mut values = inside(&[1.0]);
    if values.len() < 3 {
        values = inside(&[1.0, 2.0, 5.0]);
    }
    if values.len() < 3 {
        return linear_ticks(low, high, n).into_iter().filter(|(v, _)| *v > 0.0).collect();
    }
    let every = values.len().div_ceil(n.max(2) + 2);
    values.into_iter().step_by(every).map(|v| (v, compact(v))).collect()
}

fn tick_label(value: f64, decimals: usize) -> String {
    let value = if value.abs() < 1e-12 { 0.0 } else { value };
    if value.abs() >= 1e6 || decimals > 6 {
        return compact(value);
    }
    format!("{value:.decimals$}").replace('-', "−")
}

/// At most three significant digits; powers of ten outside 0.001..1e6.
pub(super) fn compact(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    if !value.is_finite() {
        return "n/a".into();
    }
    let exponent = value.abs().log10().floor() as i32;
    let text = if (-4..6).contains(&exponent) {
        let decimals = (2 - exponent).max(0) as usize;
        let text = format!("{value:.decimals$}");
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
    } else {
        let lead = format!("{:.2}", value / 10f64.powi(exponent));
        format!("{}e{exponent}", lead.trim_end_matches('0').trim_end_matches('.'))
    };
    text.replace('-', "−")
}

/// A fixed number of decimals with a real minus sign, for numbers in cells and titles.
pub(super) fn fixed(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return "n/a".into();
    }
    let text = format!("{value:.decimals$}");
    let zero = text.trim_start_matches('-').chars().all(|c| c == '0' || c == '.');
    if zero { text.trim_start_matches('-').into() } else { text.replace('-', "−") }
}

/// The width that the labels of a vertical axis need, its name included.
pub(super) fn left_margin(axis: &Axis, n: usize) -> f64 {
    let labels: Vec<String> = axis.ticks(n).into_iter().map(|t| t.1).collect();
    widest(&labels, TICK) + 40.0
}

/// Grid lines, tick labels and axis names around `area`; both axes with about `n` ticks, or none where `x` is none.
pub(super) fn frame(scene: &mut Scene, area: Area, x: Option<&Axis>, y: &Axis, x_label: &str, y_label: &str) {
    let bottom = area.y + area.h;
    let n_y = (area.h / 45.0).round().max(3.0) as usize;
    for (value, label) in y.ticks(n_y) {
        let Some(t) = y.at(value) else { continue };
        let level = bottom - t * area.h;
        scene.line(vec![(area.x, level), (area.x + area.w, level)], 1.0, GRID);
        scene.text(area.x - 7.0, level, label, TICK, MUTED, Align::End);
    }
    if let Some(x) = x {
        for (value, label) in x.ticks((area.w / 80.0).round().max(3.0) as usize) {
            let Some(t) = x.at(value) else { continue };
            let place = area.x + t * area.w;
            scene.line(vec![(place, area.y), (place, bottom)], 1.0, GRID);
            scene.text(place, bottom + 13.0, label, TICK, MUTED, Align::Middle);
        }
    }
    scene.line(vec![(area.x, area.y), (area.x, bottom), (area.x + area.w, bottom)], 1.0, MUTED);
    let margin = left_margin(y, n_y);
    scene.text(area.x + area.w / 2.0, bottom + 34.0, x_label, LABEL, INK, Align::Middle);
    scene.vertical_text(area.x - margin + 14.0, area.y + area.h / 2.0, y_label, LABEL, INK, Align::Middle);
}

/// Number of ticks that [`frame`] draws on a vertical axis of this height.
pub(super) fn n_ticks(height: f64) -> usize {
    (height / 45.0).round().max(3.0) as usize
}

/// Coloured names in rows from `x`, wrapped at `width`; returns the height used (0 without entries).
pub(super) fn legend(scene: &mut Scene, x: f64, y: f64, width: f64, entries: &[(String, Rgb)]) -> f64 {
    if entries.is_empty() {
        return 0.0;
    }
    let (mut left, mut row) = (x, y + 8.0);
    for (name, colour) in entries {
        let name = super::names::ellipsis(name, 60);
        let size = 26.0 + text_width(&name, LABEL) + 18.0;
        if left > x && left + size - 18.0 > x + width {
            (left, row) = (x, row + 19.0);
        }
        scene.line(vec![(left, row), (left + 18.0, row)], 3.0, *colour);
        scene.text(left + 25.0, row, name, LABEL, INK, Align::Start);
        left += size;
    }
    row - y + 14.0
}

/// A dashed line across `area` at `value` of the vertical axis, its label above it at the right (or left) end.
pub(super) fn reference_line(scene: &mut Scene, area: Area, y: &Axis, label: &str, value: f64, align: Align) {
    let Some(t) = y.at(value) else { return };
    let level = area.y + area.h * (1.0 - t);
    scene.dashed(vec![(area.x, level), (area.x + area.w, level)], 1.5, MUTED);
    let above = if t > 0.96 { 10.0 } else { -9.0 };
    let x = if align == Align::End { area.x + area.w - 4.0 } else { area.x + 6.0 };
    scene.text(x, level + above, label, TICK, MUTED, align);
}

/// A vertical colour bar with ticks and a name; returns nothing, takes [`BAR_WIDTH`] px.
pub(super) fn colour_bar(scene: &mut Scene, x: f64, y: f64, height: f64, map: Map, axis: &Axis, label: &str) {
    let bar = Area::new(x, y, 14.0, height);
    let colours = ndarray::Array2::from_shape_fn((128, 1), |(i, _)| map.at(1.0 - i as f64 / 127.0));
    scene.items.push(super::scene::Item::Cells { area: bar, colours });
    scene.outline(bar, 0.7, MUTED);
    let wanted = (height / 40.0).round().clamp(2.0, 8.0) as usize;
    // A short bar around zero may have room for a single round step: three ticks tell a scale.
    let ticks = (wanted..wanted + 4)
        .map(|n| axis.ticks(n).into_iter().filter(|(v, _)| axis.at(*v).is_some()).collect::<Vec<_>>())
        .reduce(|best, ticks| if best.len() < 3 { ticks } else { best })
        .unwrap_or_default();
    for (value, text) in &ticks {
        let level = y + height * (1.0 - axis.at(*value).unwrap_or(0.0));
        scene.line(vec![(x + 14.0, level), (x + 18.0, level)], 1.0, MUTED);
        scene.text(x + 22.0, level, text.clone(), TICK, MUTED, Align::Start);
    }
    let labels: Vec<String> = ticks.into_iter().map(|t| t.1).collect();
    scene.vertical_text(x + 34.0 + widest(&labels, TICK), y + height / 2.0, label, LABEL, INK, Align::Middle);
}

/// Room for [`colour_bar`].
pub(super) const BAR_WIDTH: f64 = 84.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(low: f64, high: f64, log: bool) -> Vec<String> {
        Axis { low, high, log }.ticks(5).into_iter().map(|t| t.1).collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(labels(0.0, 1.0, false), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(-0.03, 0.021, false), ["−0.02", "0.00", "0.02"]);
        assert_eq!(labels(0.0, 1000.0, false), ["0", "200", "400", "600", "800", "1000"]);
        assert_eq!(labels(0.009, 1.2, true), ["0.01", "0.1", "1"]);
        assert_eq!(labels(0.02, 0.8, true), ["0.02", "0.05", "0.1", "0.2", "0.5"]);
    }

    #[test]
    fn an_axis_of_nothing_or_of_one_value_still_has_a_range() {
        for values in [vec![], vec![f64::NAN], vec![0.0], vec![3.0, 3.0]] {
            for log in [false, true] {
                let axis = Axis::around(values.iter().copied(), log, 0.05);
                assert!(axis.high > axis.low && !axis.ticks(5).is_empty(), "{values:?} {log}");
            }
        }
    }

    #[test]
    fn numbers_in_cells() {
        assert_eq!(fixed(-0.001, 2), "0.00");
        assert_eq!(fixed(-0.126, 2), "−0.13");
        assert_eq!(fixed(f64::NAN, 2), "n/a");
        assert_eq!(compact(123_456.0), "123456");
        assert_eq!(compact(0.05), "0.05");
    }
}
