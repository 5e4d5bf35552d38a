//! Axes as coordinates of `plotters`, and numbers as text.

use plotters::coord::ranged1d::{BoldPoints, DefaultFormatting, KeyPointHint, Ranged};
use plotters::coord::types::RangedCoordf64;
use std::ops::Range;

/// From `low` to `high`: linear, logarithmic, or (with names) one slot of width 1 per name.
#[derive(Debug, Clone, Default)]
pub struct Axis {
    pub low: f64,
    pub high: f64,
    pub log: bool,
    pub names: Vec<String>,
}

impl Axis {
    pub fn linear(low: f64, high: f64) -> Self {
        Self { low, high, ..Self::default() }
    }

    /// Slot `i` lies from `i` to `i + 1`.
    pub fn slots(names: Vec<String>) -> Self {
        Self { low: 0.0, high: names.len() as f64, log: false, names }
    }

    /// The other way round: a vertical list begins at the top.
    pub fn reversed(self) -> Self {
        Self { low: self.high, high: self.low, ..self }
    }

    /// Covers the finite values (the positive ones for a log scale) with a margin of `pad` of their
    /// range.
    pub fn around(values: impl Iterator<Item = f64>, log: bool, pad: f64) -> Self {
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
        if log { Self { log, ..Self::linear(10f64.powf(low), 10f64.powf(high)) } } else { Self::linear(low, high) }
    }

    /// Starting at zero when that costs less than half of the height; a log scale stays as it is.
    pub fn starting_at_zero(self) -> Self {
        if self.log || self.low < 0.0 || self.low > 0.5 * self.high { self } else { Self { low: 0.0, ..self } }
    }

    /// Widened to whole ticks, which a wider axis may have fewer of.
    pub fn rounded(mut self, n: usize) -> Self {
        for _ in 0..3 {
            let ticks = round_values(self.low, self.high, n);
            if self.log || ticks.len() < 2 {
                return self;
            }
            let step = ticks[1] - ticks[0];
            self = Self::linear((self.low / step + 1e-9).floor() * step, (self.high / step - 1e-9).ceil() * step);
        }
        self
    }

    /// As [`Self::at`], and beyond the ends.
    pub fn fraction(&self, value: f64) -> f64 {
        let scaled = |v: f64| if self.log { v.log10() } else { v };
        (scaled(value) - scaled(self.low)) / (scaled(self.high) - scaled(self.low))
    }

    /// Where `value` lies, 0 at the low end and 1 at the high end; none outside the scale or for no
    /// number.
    pub fn at(&self, value: f64) -> Option<f64> {
        let t = self.fraction(value);
        (-1e-9..=1.0 + 1e-9).contains(&t).then_some(t)
    }

    /// About `n` round values with their labels, or the middles of all slots with their names.
    pub fn ticks(&self, n: usize) -> Vec<(f64, String)> {
        if !self.names.is_empty() {
            return self.names.iter().enumerate().map(|(i, name)| (i as f64 + 0.5, name.clone())).collect();
        }
        let decades = if self.log { decades(self.low, self.high, n) } else { Vec::new() };
        if decades.len() >= 3 {
            // One form for all: 10, 1e3, 1e5 rather than 10, 1000, 1e5.
            let powers = decades.iter().any(|v| compact(*v).contains('e'));
            let label = |v: f64| if powers && !(0.1..=100.0).contains(&v) { power(v) } else { compact(v) };
            return decades.into_iter().map(|v| (v, label(v))).collect();
        }
        let values = round_values(self.low, self.high, n);
        let values: Vec<f64> = values.into_iter().filter(|v| !self.log || *v > 0.0).collect();
        let step = values.windows(2).map(|w| w[1] - w[0]).next().unwrap_or(self.high - self.low);
        let decimals = (-(step * 1.001).log10().floor()).max(0.0) as usize;
        let short = |v: &f64| if v.abs() >= 1e6 || decimals > 6 { compact(*v) } else { fixed(*v, decimals) };
        let mut labels: Vec<String> = values.iter().map(short).collect();
        if labels.windows(2).any(|w| w[0] == w[1]) {
            labels = values.iter().map(|v| fixed(*v, decimals)).collect();
        }
        values.into_iter().zip(labels).collect()
    }
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        from + (self.fraction(*value).clamp(0.0, 1.0) * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        match hint.max_num_points() {
            0 => Vec::new(),
            n => self.ticks(n).into_iter().map(|t| t.0).collect(),
        }
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

/// The key points of `plotters` for about `n` steps. It compares with the machine epsilon, so it is
/// given a range of 1 to 10.
fn round_values(low: f64, high: f64, n: usize) -> Vec<f64> {
    if !(high > low && (high - low).is_finite()) {
        return Vec::new();
    }
    let power = 10f64.powf((high - low).log10().floor());
    let scaled = RangedCoordf64::from(low / power..high / power);
    let points = scaled.key_points(BoldPoints(n.max(1) + 1)).into_iter();
    points.map(|v| if v.abs() < 1e-9 { 0.0 } else { v * power }).collect()
}

/// Decades, with 2 and 5 between them when the decades alone are too few (`plotters` has none
/// within a decade).
fn decades(low: f64, high: f64, n: usize) -> Vec<f64> {
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let inside = |leads: &[f64]| -> Vec<f64> {
        let values = (first..=last).flat_map(|e| leads.iter().map(move |lead| lead * 10f64.powi(e)));
        values.filter(|v| *v >= low * 0.999_999 && *v <= high * 1.000_001).collect()
    };
    let whole = inside(&[1.0]);
    let values = if whole.len() < 3 { inside(&[1.0, 2.0, 5.0]) } else { whole };
    let every = values.len().div_ceil(n.max(2) + 2).max(1);
    values.into_iter().step_by(every).collect()
}

/// A power of ten.
fn power(value: f64) -> String {
    let three = format!("{value:.2e}").parse().unwrap_or(value);
    format!("{three:e}").replace('-', "−")
}

/// At most three significant digits, whole numbers in full; powers of ten outside 0.0001..1e6.
fn compact(value: f64) -> String {
    let three = format!("{value:.2e}").parse().unwrap_or(value) + 0.0;
    let text = match value.abs() {
        size if !size.is_finite() => "n/a".into(),
        size if (1e3..1e6).contains(&size) => format!("{value:.0}"),
        size if size == 0.0 || (1e-4..1e3).contains(&size) => format!("{three}"),
        _ => format!("{three:e}"),
    };
    text.replace('-', "−")
}

/// A fixed number of decimals with a real minus sign, for numbers in cells and titles.
pub fn fixed(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return "n/a".into();
    }
    let text = format!("{value:.decimals$}");
    let zero = text.trim_start_matches('-').chars().all(|c| c == '0' || c == '.');
    if zero { text.trim_start_matches('-').into() } else { text.replace('-', "−") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(low: f64, high: f64, log: bool) -> Vec<String> {
        Axis { log, ..Axis::linear(low, high) }.ticks(5).into_iter().map(|t| t.1).collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(labels(0.0, 1.0, false), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(-0.03, 0.041, false), ["−0.02", "0.00", "0.02", "0.04"]);
        assert_eq!(labels(0.0, 1000.0, false), ["0", "200", "400", "600", "800", "1000"]);
        assert_eq!(labels(0.009, 1.2, true), ["0.01", "0.1", "1"]);
        assert_eq!(labels(0.02, 0.8, true), ["0.02", "0.05", "0.1", "0.2", "0.5"]);
        assert_eq!(labels(-2e-18, 8e-18, false), ["−2e−18", "0", "2e−18", "4e−18", "6e−18", "8e−18"]);
    }

    #[test]
    fn an_axis_of_nothing_or_of_one_value_still_has_a_range() {
        for values in [vec![], vec![f64::NAN], vec![0.0], vec![3.0, 3.0]] {
            for log in [false, true] {
                let axis = Axis::around(values.iter().copied(), log, 0.05);
                assert!(axis.high > axis.low && !axis.ticks(5).is_empty(), "{values:?} {log}");
            }
        }
        assert!(
            Axis::linear(f64::NAN, 1.0).ticks(5).is_empty() && Axis::linear(0.0, f64::INFINITY).ticks(5).is_empty()
        );
    }

    #[test]
    fn slots_are_named_in_their_middle() {
        let axis = Axis::slots(vec!["conv1".into(), "4a".into()]).reversed();
        assert_eq!(axis.ticks(9), [(0.5, String::from("conv1")), (1.5, String::from("4a"))]);
        assert_eq!((axis.map(&0.5, (400, 0)), axis.map(&1.5, (400, 0))), (100, 300));
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
