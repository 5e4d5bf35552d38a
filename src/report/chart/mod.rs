//! Charts: `plotters` draws axes, ticks, meshes, lines, areas and marks on our scene, with our
//! text.
//!
//! `plotters` stacks a legend inside the plot and measures it with a font of its own, so names and
//! their places are ours.

mod axis;
mod canvas;
mod colour_bar;

pub(super) use axis::{Axis, fixed};
pub(super) use canvas::{Canvas, ink, units};
pub(super) use colour_bar::{BAR_WIDTH, colour_bar};

use super::names::cut_labels;
use super::palette::{GRID, INK, MUTED, Rgb, WHITE, mix};
use super::scene::{Area, Scene, fitted, text_width, widest};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

pub(super) const LABEL: f64 = 12.0;
pub(super) const TICK: f64 = 11.0;
/// The names of rows that stand close.
pub(super) const ROW_LABEL: f64 = 10.0;
const MARGIN: f64 = 16.0;
/// From the left border to the name of the vertical axis.
const LEFT: f64 = 12.0;
const RIGHT: f64 = 24.0;

pub(super) type Root<'a> = DrawingArea<Canvas<'a>, Shift>;

/// The result of drawing, which on a scene has no way to fail.
pub(super) fn drawn<T, E: std::fmt::Debug>(result: Result<T, E>) -> T {
    result.expect("a scene takes every shape")
}

/// A place in logical pixels for `plotters`.
pub(super) fn place((x, y): (f64, f64)) -> (i32, i32) {
    (units(x), units(y))
}

fn font(size: f64, colour: Rgb, h: HPos) -> TextStyle<'static> {
    let style = ("sans-serif", units(size)).into_text_style(&(0_u32, 0_u32)).pos(Pos::new(h, VPos::Center));
    TextStyle { color: ink(colour, 0.0).color.to_backend_color(), ..style }
}

/// A text from, about or up to a place in logical pixels.
pub(super) fn write(root: &Root<'_>, at: (f64, f64), text: &str, size: f64, colour: Rgb, h: HPos) {
    drawn(root.draw_text(text, &font(size, colour, h), place(at)));
}

/// As [`write`], reading upwards.
pub(super) fn write_up(root: &Root<'_>, at: (f64, f64), text: &str, size: f64, h: HPos) {
    drawn(root.draw_text(text, &font(size, MUTED, h).transform(FontTransform::Rotate270), place(at)));
}

/// A path through places in logical pixels.
pub(super) fn path<const N: usize>(root: &Root<'_>, places: [(f64, f64); N], colour: Rgb, width: f64) {
    drawn(root.draw(&PathElement::new(places.map(place).to_vec(), ink(colour, width))));
}

/// Draws a symbol to the right of a place.
type Symbol<'e> = Box<dyn Fn(&Root<'_>, (f64, f64)) + 'e>;

/// A name of the legend, the width of its symbol, and what draws the symbol to the right of a
/// place.
pub(super) struct Entry<'e> {
    pub name: String,
    pub symbol: f64,
    pub draw: Symbol<'e>,
}

impl Entry<'_> {
    /// A short line of one colour.
    pub(super) fn line(name: &str, colour: Rgb) -> Self {
        let draw = move |root: &Root<'_>, (x, y): (f64, f64)| path(root, [(x, y), (x + 18.0, y)], colour, 3.0);
        Self { name: name.into(), symbol: 18.0, draw: Box::new(draw) }
    }
}

/// A sheet with its title and its legend, in rows, and the height that they take.
pub(super) fn sheet(width: f64, title: &str, legend: &[Entry<'_>]) -> (Scene, f64) {
    // `plotters` keeps shapes within the sheet, whose height the legend decides
    let mut scene = Scene::new(width, 1e4);
    let top = scene.title(MARGIN, title);
    if legend.is_empty() {
        scene.height = top + 8.0;
        return (scene, top + 8.0);
    }
    let (room, names) = (scene.width - 2.0 * MARGIN, legend.iter().map(|e| e.name.clone()).collect::<Vec<_>>());
    let names = cut_labels(&names, |t| text_width(t, LABEL) <= (room - 40.0).min(400.0));
    let root = Canvas(&mut scene).into_drawing_area();
    let (mut left, mut row) = (MARGIN, top + 8.0);
    for (entry, name) in legend.iter().zip(names) {
        let size = entry.symbol + 7.0 + text_width(&name, LABEL);
        if left > MARGIN && left + size > MARGIN + room {
            (left, row) = (MARGIN, row + 19.0);
        }
        (entry.draw)(&root, (left, row));
        write(&root, (left + entry.symbol + 7.0, row), &name, LABEL, INK, HPos::Left);
        left += size + 18.0;
    }
    drop(root);
    scene.height = row + 22.0;
    (scene, row + 22.0)
}

/// About how many steps a vertical axis of this height has.
pub(super) fn n_ticks(height: f64) -> usize {
    (height / 45.0).round().max(3.0) as usize
}

fn left_room(y: &Axis, height: f64) -> f64 {
    let labels: Vec<String> = y.ticks(n_ticks(height)).into_iter().map(|t| t.1).collect();
    if y.names.is_empty() { widest(&labels, TICK) + 32.0 } else { widest(&labels, ROW_LABEL) + 10.0 }
}

/// The width of the plot on a sheet of `width`.
pub(super) fn plot_width(width: f64, y: &Axis, height: f64) -> f64 {
    width - LEFT - left_room(y, height) - RIGHT
}

/// What stands around the series: axes with their names, and the size of the plot between them.
pub(super) struct Frame<'a> {
    pub x: Axis,
    pub y: Axis,
    pub x_label: &'a str,
    pub y_label: &'a str,
    pub size: (f64, f64),
}

impl Frame<'_> {
    /// Whether a point has a place between the axes.
    fn holds(&self, (x, y): (f64, f64)) -> bool {
        self.x.at(x).and(self.y.at(y)).is_some()
    }

    /// Whether the names below stand upright: no wider than their slots.
    fn upright(&self) -> bool {
        widest(&self.x.names, TICK) <= self.size.0 / self.x.names.len().max(1) as f64 - 6.0
    }

    /// Room for what stands above (the values again where rows are named), at the left and below.
    pub(super) fn rooms(&self) -> [f64; 3] {
        let above = if self.y.names.is_empty() { 0.0 } else { 22.0 };
        let below = match self.x.names.is_empty() {
            true => 48.0,
            false if self.upright() => 28.0,
            false => widest(&self.x.names, TICK) + 18.0,
        };
        [above, left_room(&self.y, self.size.1), below]
    }

    /// A figure of this chart alone.
    pub(super) fn scene(&self, title: &str, legend: &[Entry<'_>], draw: impl FnOnce(&mut Chart<'_>)) -> Scene {
        let [_, left, below] = self.rooms();
        let (mut scene, top) = sheet((LEFT + left + self.size.0 + RIGHT - 1e-6).max(420.0), title, legend);
        scene.height = (top + self.size.1 + below).ceil();
        draw(&mut Chart::new(&mut scene, (LEFT, top), self));
        scene
    }
}

/// A chart on a scene.
pub(super) struct Chart<'a> {
    pub root: Root<'a>,
    /// The plot between the axes.
    pub area: Area,
    /// Where labels are.
    pub taken: Vec<Area>,
    frame: &'a Frame<'a>,
    context: ChartContext<'a, Canvas<'a>, Cartesian2d<Axis, Axis>>,
    /// Points along all lines, close enough that a label across a line meets one.
    inked: Vec<(f64, f64)>,
}

impl<'a> Chart<'a> {
    /// A chart whose outer corner (its labels included) is at `corner`. Nothing is drawn yet.
    pub(super) fn new(scene: &'a mut Scene, corner: (f64, f64), frame: &'a Frame<'a>) -> Self {
        let ([above, left, below], (w, h)) = (frame.rooms(), frame.size);
        let area = Area::new(corner.0 + left, corner.1 + above, w, h);
        let root = Canvas(scene).into_drawing_area();
        let outer = root.clone().shrink(place(corner), place((left + w, above + h + below)));
        let mut builder = ChartBuilder::on(&outer);
        builder.top_x_label_area_size(units(above)).x_label_area_size(units(below)).y_label_area_size(units(left));
        let context = drawn(builder.build_cartesian_2d(frame.x.clone(), frame.y.clone()));
        Self { root, area, taken: Vec::new(), frame, context, inked: Vec::new() }
    }

    /// The axes, their ticks and names, and lines across the plot.
    pub(super) fn mesh(&mut self) {
        let (Frame { x, y, .. }, area) = (self.frame, self.area);
        let turned = !x.names.is_empty() && !self.frame.upright();
        let (n_x, n_y) = ((area.w / 80.0).round().max(3.0) as usize, n_ticks(area.h));
        let (x_ticks, y_ticks) = (x.ticks(n_x), y.ticks(n_y));
        let label =
            |ticks: &[(f64, String)], v: &f64| ticks.iter().find(|t| t.0 == *v).map_or("".into(), |t| t.1.clone());
        let (x_name, y_name) = (|v: &f64| label(&x_ticks, v), |v: &f64| label(&y_ticks, v));
        let row = if y.names.is_empty() { TICK } else { ROW_LABEL };
        let mut mesh = self.context.configure_mesh();
        mesh.x_labels(if turned { 0 } else { n_x }).x_label_formatter(&x_name);
        mesh.y_labels(n_y).y_label_formatter(&y_name).max_light_lines(0);
        mesh.axis_style(ink(MUTED, 1.0)).bold_line_style(ink(GRID, 1.0)).set_all_tick_mark_size(units(3.5));
        mesh.x_label_style(font(TICK, MUTED, HPos::Left)).y_label_style(font(row, MUTED, HPos::Left));
        mesh.axis_desc_style(font(LABEL, INK, HPos::Left)).y_desc(fitted(self.frame.y_label, LABEL, area.h));
        if !x.names.is_empty() {
            mesh.disable_x_mesh();
        }
        drawn(mesh.draw());
        // `plotters` would write the name of the horizontal axis above as well
        let (middle, bottom) = (area.x + area.w / 2.0, area.y + area.h);
        let name = fitted(self.frame.x_label, LABEL, area.w);
        write(&self.root, (middle, bottom + 34.0), &name, LABEL, INK, HPos::Center);
        for (i, name) in x.names.iter().enumerate().filter(|_| turned) {
            let middle = area.x + (i as f64 + 0.5) * area.w / x.names.len() as f64;
            write_up(&self.root, (middle, bottom + 8.0), name, TICK, HPos::Right);
        }
    }

    /// A point of the plot in logical pixels; none outside the axes or for no number.
    pub(super) fn at(&self, (x, y): (f64, f64)) -> Option<(f64, f64)> {
        self.frame.holds((x, y)).then(|| canvas::px(self.context.backend_coord(&(x, y))))
    }

    /// Labels keep out of this path.
    fn keep_clear(&mut self, path: &[(f64, f64)]) {
        for pair in path.windows(2) {
            let (Some(a), Some(b)) = (self.at(pair[0]), self.at(pair[1])) else { continue };
            let n = ((b.0 - a.0).hypot(b.1 - a.1) / 6.0).ceil().max(1.0);
            let at = |i: usize| (a.0 + i as f64 / n * (b.0 - a.0), a.1 + i as f64 / n * (b.1 - a.1));
            self.inked.extend((0..=n as usize).map(at));
        }
    }

    /// Joins the points in order; what lies outside the axes or is no number interrupts the line.
    /// Every point has a dot of radius `dot`, a point alone at least one of 2.5.
    pub(super) fn line(&mut self, points: &[(f64, f64)], colour: Rgb, width: f64, dot: f64) {
        let frame = self.frame;
        for run in points.split(|p| !frame.holds(*p)) {
            let dot = if run.len() == 1 { dot.max(2.5) } else { dot };
            let series = LineSeries::new(run.iter().copied(), ink(colour, width)).point_size(units(dot) as u32);
            drawn(self.context.draw_series(series));
            self.keep_clear(run);
        }
    }

    /// Fills between low and high. A limit beyond the end of the axis is its end; one that is no
    /// number interrupts the band.
    pub(super) fn band(&mut self, band: &[(f64, (f64, f64))], colour: Rgb) {
        let frame = self.frame;
        let level = |v: f64| if v.is_nan() { v } else { v.clamp(frame.y.low, frame.y.high) };
        let band: Vec<_> = band.iter().map(|(x, (low, high))| [(*x, level(*low)), (*x, level(*high))]).collect();
        for run in band.split(|ends| !ends.iter().all(|p| frame.holds(*p))).filter(|run| run.len() > 1) {
            let around: Vec<_> = run.iter().map(|p| p[1]).chain(run.iter().rev().map(|p| p[0])).collect();
            drawn(self.context.draw_series([Polygon::new(around, ink(mix(colour, WHITE, 0.8), 1.0))]));
        }
    }

    /// A bar between two opposite corners.
    pub(super) fn bar(&mut self, corners: [(f64, f64); 2], colour: Rgb) {
        let [a, b] = corners;
        drawn(self.context.draw_series([Rectangle::new(corners, ink(colour, 1.0))]));
        self.keep_clear(&[a, (a.0, b.1), b, (b.0, a.1)]);
    }

    /// A rectangle that labels may lie on.
    pub(super) fn cell(&mut self, corners: [(f64, f64); 2], colour: Rgb) {
        drawn(self.context.draw_series([Rectangle::new(corners, ink(colour, 1.0))]));
    }

    /// The ends of the vertical axis.
    pub(super) fn ends(&self) -> (f64, f64) {
        (self.frame.y.low, self.frame.y.high)
    }

    /// A dashed line, which labels keep out of.
    pub(super) fn dashed(&mut self, ends: [(f64, f64); 2]) {
        if !ends.iter().all(|p| self.frame.holds(*p)) {
            return;
        }
        drawn(self.context.draw_series(DashedLineSeries::new(ends, units(5.0), units(4.0), ink(MUTED, 1.5))));
        self.keep_clear(&ends);
    }

    /// Dashed lines across, with a label above or below each.
    pub(super) fn references(&mut self, references: &[(String, f64)]) {
        let Axis { low, high, .. } = self.frame.x;
        references.iter().for_each(|(_, value)| self.dashed([(low, *value), (high, *value)]));
        for (label, value) in references {
            let Some((left, level)) = self.at((low, *value)) else { continue };
            let label = fitted(label, TICK, 0.45 * self.area.w);
            let right = left + self.area.w - 4.0 - text_width(&label, TICK);
            let (left, above, below) = (left + 6.0, level - TICK - 4.0, level + 2.0);
            let places = [(right, above), (right, below), (left, above), (left, below), ((left + right) / 2.0, above)];
            self.label(&label, &places, MUTED, None);
        }
    }

    /// Dashed upright lines, each with a label that reads upwards beside it: at the left, or at the right
    /// where that is free and the left is not.
    pub(super) fn x_references(&mut self, references: &[(String, f64)]) {
        let Axis { low, high, .. } = self.frame.y;
        for (label, value) in references {
            let Some((left, top)) = self.at((*value, high)) else { continue };
            self.dashed([(*value, low), (*value, high)]);
            let label = fitted(label, TICK, self.area.h - 8.0);
            let beside = |x: f64| Area::new(x - 6.0, top + 4.0, 12.0, text_width(&label, TICK));
            let (before, after) = (beside(left - 9.0), beside(left + 9.0));
            let free = |area: &Area, taken: &[Area]| !taken.iter().any(|t| t.overlaps(area)) && area.x > self.area.x;
            let area = if free(&before, &self.taken) || !free(&after, &self.taken) { before } else { after };
            write_up(&self.root, (area.x + 6.0, top + 4.0), &label, TICK, HPos::Right);
            self.taken.push(area);
        }
    }

    /// Writes a label where it lies on no other label and on as little else as possible; `places`
    /// are upper left corners, and the label of the point that is `own` among what is taken may
    /// touch it.
    pub(super) fn label(&mut self, text: &str, places: &[(f64, f64)], colour: Rgb, own: Option<usize>) {
        let (plot, size) = (self.area, (text_width(text, TICK), TICK + 2.0));
        let cost = |a: &Area| {
            let inside = |(x, y): &&(f64, f64)| *x >= a.x && *x <= a.x + a.w && *y >= a.y && *y <= a.y + a.h;
            let outside = a.x < plot.x || a.y < plot.y || a.x + a.w > plot.x + plot.w || a.y + a.h > plot.y + plot.h;
            let hit = self.taken.iter().enumerate().filter(|(i, t)| own != Some(*i) && t.overlaps(a)).count();
            10_000 * (hit + 100 * usize::from(outside)) + self.inked.iter().filter(inside).count()
        };
        let boxes = places.iter().map(|(x, y)| Area::new(*x, *y, size.0, size.1));
        let Some(chosen) = boxes.min_by_key(cost) else { return };
        write(&self.root, (chosen.x, chosen.y + size.1 / 2.0), text, TICK, colour, HPos::Left);
        self.taken.push(chosen);
    }
}
