//! A matrix as coloured cells with named rows and columns.

use super::super::chart::{Axis, TICK, fixed};
use super::super::palette::{BLANK, MISSING, MUTED, Map, Rgb, WHITE, text_on};
use super::super::scene::{Align, Area, Item, Scene, widest};
use ndarray::{Array2, ArrayView2};

/// Up to this many rows and columns the cells show their numbers.
pub(super) const MAX_NUMBERED: usize = 14;

/// Values and their colours; the diagonal of a matrix of layers or images says nothing and stays
/// blank.
pub(super) struct Cells<'a> {
    pub values: ArrayView2<'a, f64>,
    pub map: Map,
    pub scale: &'a Axis,
    pub blank_diagonal: bool,
}

impl Cells<'_> {
    fn colour(&self, value: f64) -> Rgb {
        if value.is_finite() { self.map.at(self.scale.fraction(value)) } else { MISSING }
    }

    fn size(&self, area: Area) -> (f64, f64) {
        let (n_rows, n_columns) = self.values.dim();
        (area.w / n_columns as f64, area.h / n_rows as f64)
    }

    /// The cells and their outline; NaN grey and crossed out.
    pub(super) fn draw(&self, scene: &mut Scene, area: Area) {
        let blank = |(i, j): (usize, usize)| self.blank_diagonal && i == j;
        let cell = |at| if blank(at) { BLANK } else { self.colour(self.values[at]) };
        scene.items.push(Item::Cells { area, colours: Array2::from_shape_fn(self.values.dim(), cell) });
        let (w, h) = self.size(area);
        for ((i, j), _) in self.values.indexed_iter().filter(|(_, v)| !v.is_finite() && w.min(h) >= 5.0) {
            let (x, y) = (area.x + j as f64 * w, area.y + i as f64 * h);
            if !blank((i, j)) {
                scene.line(vec![(x, y + h), (x + w, y)], 1.0, WHITE);
            }
        }
        scene.outline(area, 0.7, MUTED);
    }

    /// White lines between the cells, and numbers in them where there are few cells and room for
    /// all numbers.
    pub(super) fn draw_grid_and_numbers(&self, scene: &mut Scene, area: Area) {
        let ((n_rows, n_columns), (w, h)) = (self.values.dim(), self.size(area));
        let (right, bottom) = (area.x + area.w, area.y + area.h);
        if w.min(h) >= 9.0 {
            for y in (1..n_rows).map(|i| area.y + i as f64 * h) {
                scene.line(vec![(area.x, y), (right, y)], 0.6, WHITE);
            }
            for x in (1..n_columns).map(|j| area.x + j as f64 * w) {
                scene.line(vec![(x, area.y), (x, bottom)], 0.6, WHITE);
            }
        }
        let high = self.scale.high;
        let decimals = if high >= 100.0 { 0 } else { 1 + usize::from(high < 10.0) };
        let number = |v: f64| fixed(v, decimals).replacen("0.", ".", usize::from(v.abs() < 1.0 && high <= 1.0));
        let shown = self.values.indexed_iter().filter(|((i, j), v)| v.is_finite() && !(self.blank_diagonal && i == j));
        let texts: Vec<_> = shown.map(|((i, j), v)| (i, j, *v, number(*v))).collect();
        let fits = widest(texts.iter().map(|t| &t.3), 10.0) <= w && h >= 12.0;
        for (i, j, value, text) in texts.into_iter().filter(|_| fits && n_rows.max(n_columns) <= MAX_NUMBERED) {
            let (x, y) = (area.x + (j as f64 + 0.5) * w, area.y + (i as f64 + 0.5) * h);
            scene.text(x, y, text, 10.0, text_on(self.colour(value)), Align::Middle);
        }
    }
}

/// The colour scale of finite values (from -high to high where it diverges): up to `limit`, else to
/// what covers 98 % of them, rounded up to a whole tick; and whether values lie beyond its ends.
/// Values far above zero need none unless `from_zero`.
pub(super) fn colour_scale(
    values: impl Iterator<Item = f64>,
    map: Map,
    limit: Option<f64>,
    from_zero: bool,
) -> (Axis, bool) {
    let diverging = map == Map::Diverging;
    let mut values: Vec<f64> = values.map(|v| if diverging { v.abs() } else { v }).filter(|v| v.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    let at = |q: f64| values.get(((values.len().max(1) - 1) as f64 * q).round() as usize).copied().unwrap_or(1.0);
    let covering = [at(0.98), at(1.0)].into_iter().find(|v| *v > 0.0).unwrap_or(1.0);
    let limit = limit.filter(|l| *l > 0.0 && l.is_finite());
    let high = limit.unwrap_or_else(|| Axis::linear(0.0, covering).rounded(5).high);
    let low = if from_zero || at(0.02) <= 0.3 * high { 0.0 } else { (at(0.02) / (0.1 * high)).floor() * 0.1 * high };
    let low = if diverging { -high } else { low };
    let high = if high > low { high } else { low + 1.0 };
    let clipped = at(1.0) > high * (1.0 + 1e-9) || (!diverging && at(0.0) < low);
    (Axis::linear(low, high), clipped)
}

/// Whether labels below cells of this width fit without being turned.
pub(super) fn upright(columns: &[String], cell: f64) -> bool {
    widest(columns, TICK) <= cell - 4.0
}

/// Names at the left and below; where they would run into each other, every second, third, ...
pub(super) fn labels(scene: &mut Scene, area: Area, rows: &[String], columns: &[String]) {
    let every = |cell: f64| (TICK / cell).ceil().max(1.0) as usize;
    let (w, h) = (area.w / columns.len() as f64, area.h / rows.len() as f64);
    for (i, name) in rows.iter().enumerate().step_by(every(h)) {
        scene.text(area.x - 6.0, area.y + (i as f64 + 0.5) * h, name.clone(), TICK, MUTED, Align::End);
    }
    let upright = upright(columns, w);
    for (j, name) in columns.iter().enumerate().step_by(if upright { 1 } else { every(w) }) {
        let (x, bottom) = (area.x + (j as f64 + 0.5) * w, area.y + area.h);
        if upright {
            scene.text(x, bottom + 11.0, name.clone(), TICK, MUTED, Align::Middle);
        } else {
            scene.vertical_text((x, bottom + 6.0), name, TICK, MUTED, Align::End);
        }
    }
}
