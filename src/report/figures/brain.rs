//! Maps of the brain: slices over an image, projections through a glass brain, labels.
//!
//! Left is left. Slices are axial, from below; their height is in mm.

use super::super::axes::{Axis as Scale, BAR_WIDTH, LABEL, TICK, colour_bar};
use super::super::palette::{INK, MUTED, Map, Rgb, WHITE, mix};
use super::super::scene::{Align, Area, Item, Scene, fitted, text_width};
use super::nonempty;
use crate::data::{Grid, Mask, Volume};
use crate::error::Result;
use image::RgbImage;
use ndarray::Array2;
use std::path::Path;

/// How [`brain_slices`] and [`glass_brain`] draw.
///
/// | field | meaning | default |
/// |---|---|---|
/// | `title` | above the figure | none |
/// | `bar_label` | beside the colour bar | none |
/// | `limit` | end of the colour scale | the largest magnitude of all maps |
/// | `outlines` | one volume a map, 1 where it is significant: the rest is drawn faintly | everything is drawn fully |
/// | `n_slices` | slices of a map | 8 |
#[derive(Debug, Clone)]
pub struct BrainOptions {
    pub title: String,
    pub bar_label: String,
    pub limit: Option<f64>,
    pub outlines: Option<Vec<Volume>>,
    pub n_slices: usize,
}

impl Default for BrainOptions {
    fn default() -> Self {
        Self { title: String::new(), bar_label: String::new(), limit: None, outlines: None, n_slices: 8 }
    }
}

/// Longer side of a slice, in px of the figure.
const SLICE: f64 = 96.0;
/// Pixels of a voxel in a slice's picture: enough that its edge can be drawn.
const VOXEL_PX: u32 = 8;
/// How much of its colour a place keeps that is not significant.
const FAINT: f64 = 0.28;
const MARGIN: f64 = 14.0;
const GAP: f64 = 4.0;
/// What is outside the brain.
const OUTSIDE: Rgb = WHITE;
/// The brain behind a projection.
const GLASS: Rgb = [0xe9, 0xeb, 0xee];

/// The grid's axes by anatomy: which voxel axis runs left-right, back-front, up, and whether it runs that way.
#[derive(Clone, Copy)]
struct Anatomy {
    axes: [usize; 3],
    forward: [bool; 3],
    shape: [usize; 3],
}

impl Anatomy {
    fn of(grid: &Grid) -> Self {
        let orientation = grid.affine.orientation();
        let mut found = Self { axes: [0; 3], forward: [true; 3], shape: [0; 3] };
        for (axis, (world, forward)) in orientation.into_iter().enumerate() {
            found.axes[world] = axis;
            found.forward[world] = forward;
            found.shape[world] = grid.shape[axis];
        }
        found
    }

    /// The voxel at (right, front, up) counted from the left, the back, below.
    fn voxel(&self, at: [usize; 3]) -> [usize; 3] {
        let mut voxel = [0; 3];
        for world in 0..3 {
            let n = self.shape[world];
            voxel[self.axes[world]] = if self.forward[world] { at[world] } else { n - 1 - at[world] };
        }
        voxel
    }
}

/// First and last place along (right, front, up) where the mask has voxels.
fn extent(mask: &Mask, anatomy: &Anatomy) -> [(usize, usize); 3] {
    let mut found = [(usize::MAX, 0); 3];
    for &position in mask.voxels() {
        let voxel = mask.grid().voxel(position as usize);
        for world in 0..3 {
            let v = voxel[anatomy.axes[world]];
            let at = if anatomy.forward[world] { v } else { anatomy.shape[world] - 1 - v };
            found[world] = (found[world].0.min(at), found[world].1.max(at));
        }
    }
    found
}

/// What a pixel of a voxel shows, and to which set it belongs: edges are drawn between sets.
type Voxel = (Rgb, u32);

/// A picture of n_columns x n_rows voxels, the first row at the bottom.
fn picture(n_columns: usize, n_rows: usize, voxel: impl Fn(usize, usize) -> Voxel) -> RgbImage {
    let cells = Array2::from_shape_fn((n_rows, n_columns), |(y, x)| voxel(x, n_rows - 1 - y));
    let set = |y: i64, x: i64| {
        let inside = y >= 0 && x >= 0 && y < n_rows as i64 && x < n_columns as i64;
        if inside { cells[[y as usize, x as usize]].1 } else { 0 }
    };
    RgbImage::from_fn(n_columns as u32 * VOXEL_PX, n_rows as u32 * VOXEL_PX, |px, py| {
        let (x, y) = (i64::from(px / VOXEL_PX), i64::from(py / VOXEL_PX));
        let (colour, own) = cells[[y as usize, x as usize]];
        let (dx, dy) = (px % VOXEL_PX, py % VOXEL_PX);
        let last = VOXEL_PX - 1;
        let edge = (dx == 0 && set(y, x - 1) != own)
            || (dx == last && set(y, x + 1) != own)
            || (dy == 0 && set(y - 1, x) != own)
            || (dy == last && set(y + 1, x) != own);
        image::Rgb(if own > 0 && edge { INK } else { colour })
    })
}

/// Grey values of an image: black at its 2nd, white at its 98th percentile inside the mask.
struct Grey {
    low: f64,
    high: f64,
}

impl Grey {
    fn of(background: &Volume, mask: &Mask) -> Self {
        let mut values: Vec<f32> =
            mask.voxels().iter().map(|&v| background.values()[v as usize]).filter(|v| v.is_finite()).collect();
        values.sort_unstable_by(f32::total_cmp);
        let at = |share: f64| values.get((share * values.len().saturating_sub(1) as f64) as usize).copied();
        Self { low: at(0.02).unwrap_or(0.0).into(), high: at(0.98).unwrap_or(1.0).into() }
    }

    fn colour(&self, value: f32, inside: bool) -> Rgb {
        let value = f64::from(value);
        if !value.is_finite() || (!inside && value == 0.0) {
            return OUTSIDE;
        }
        let span = self.high - self.low;
        let t = if span > 0.0 { ((value - self.low) / span).clamp(0.0, 1.0) } else { 0.7 };
        mix([0x50, 0x50, 0x50], [0xe6, 0xe6, 0xe6], t)
    }
}

fn limit_of(maps: &[(String, Volume)], options: &BrainOptions) -> f64 {
    let values = maps.iter().flat_map(|(_, map)| map.values()).filter(|v| v.is_finite());
    let largest = values.fold(0.0f32, |m, v| m.max(v.abs()));
    options.limit.unwrap_or(f64::from(largest)).max(1e-9)
}

fn coloured(value: f32, limit: f64) -> Rgb {
    Map::Diverging.at(0.5 + 0.5 * f64::from(value) / limit)
}

/// Heights of the slices: evenly over the mask.
fn heights((low, high): (usize, usize), n: usize) -> Vec<usize> {
    let n = n.min(high - low + 1).max(1);
    (0..n).map(|s| low + ((s as f64 + 0.5) / n as f64 * (high - low + 1) as f64) as usize).collect()
}

/// Draws maps as rows of axial slices over an image; NaN shows the image.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) without maps, or for maps on another grid; [`Error::Io`](crate::Error::Io).
pub fn brain_slices(
    maps: &[(String, Volume)],
    background: &Volume,
    mask: &Mask,
    stem: &Path,
    options: &BrainOptions,
) -> Result<()> {
    nonempty("brain slices", "map", maps.len())?;
    maps.iter().try_for_each(|(_, map)| mask.grid().require_same("brain slices", map.grid()))?;
    let limit = limit_of(maps, options);
    let grey = Grey::of(background, mask);
    let paint = |at: usize, map: &Volume, significant: Option<&Volume>| -> Voxel {
        let value = map.values()[at];
        let behind = grey.colour(background.values()[at], mask.rank(at).is_some());
        let outlined = significant.is_some_and(|s| s.values()[at] > 0.5);
        let colour = match (value.is_finite(), significant.is_none() || outlined) {
            (false, _) => behind,
            (true, true) => coloured(value, limit),
            (true, false) => mix(behind, coloured(value, limit), FAINT),
        };
        (colour, u32::from(outlined))
    };
    let mut rows: Vec<Row<'_>> = Vec::new();
    for (m, (name, map)) in maps.iter().enumerate() {
        let significant = options.outlines.as_ref().map(|o| &o[m]);
        let paint = &paint;
        rows.push((name.as_str(), Box::new(move |at| paint(at, map, significant))));
    }
    let mut scene = slices_of(&rows, mask, options.n_slices, &options.title);
    let bar = (scene.height - scene_top(&options.title) - 40.0).clamp(60.0, 320.0);
    let scale = Scale { low: -limit, high: limit, log: false };
    let x = scene.width - BAR_WIDTH - 4.0;
    colour_bar(&mut scene, x, scene_top(&options.title) + 20.0, bar, Map::Diverging, &scale, &options.bar_label);
    scene.save_png(stem)
}

/// Name of a row and the look of each voxel.
type Row<'a> = (&'a str, Box<dyn Fn(usize) -> Voxel + 'a>);

fn scene_top(title: &str) -> f64 {
    if title.is_empty() { MARGIN } else { MARGIN + 26.0 }
}

/// Rows of slices, with room for a colour bar at the right.
fn slices_of(rows: &[Row<'_>], mask: &Mask, n_slices: usize, title: &str) -> Scene {
    let anatomy = Anatomy::of(mask.grid());
    let [x, y, z] = extent(mask, &anatomy);
    let size = mask.grid().affine.voxel_size();
    let side = |(low, high): (usize, usize), world: usize| (high - low + 1) as f64 * size[anatomy.axes[world]];
    let factor = SLICE / side(x, 0).max(side(y, 1));
    let (w, h) = (side(x, 0) * factor, side(y, 1) * factor);
    let heights = heights(z, n_slices);
    let names: Vec<String> = rows.iter().map(|(name, _)| fitted(name, LABEL, 130.0)).collect();
    let left = MARGIN + names.iter().map(|n| text_width(n, LABEL)).fold(0.0, f64::max) + 20.0;
    let width = left + heights.len() as f64 * (w + GAP) + MARGIN + BAR_WIDTH;
    let top = scene_top(title);
    let mut scene = Scene::new(width.max(300.0), top + 16.0 + rows.len() as f64 * (h + GAP) + MARGIN);
    if !title.is_empty() {
        scene.title(MARGIN, title);
    }
    for (s, &up) in heights.iter().enumerate() {
        let middle = anatomy.voxel([(x.0 + x.1) / 2, (y.0 + y.1) / 2, up]);
        let mm = mask.grid().affine.apply(middle.map(|v| v as f64))[2];
        let at = left + s as f64 * (w + GAP) + w / 2.0;
        let text = format!("{}{}", if s == 0 { "z = " } else { "" }, mm.round()).replace('-', "−");
        scene.text(at, top + 5.0, text, TICK, MUTED, Align::Middle);
    }
    for (r, (_, voxel)) in rows.iter().enumerate() {
        let y_at = top + 16.0 + r as f64 * (h + GAP);
        scene.text(left - 16.0, y_at + h / 2.0, names[r].clone(), LABEL, INK, Align::End);
        for (s, &up) in heights.iter().enumerate() {
            let pixels = picture(x.1 - x.0 + 1, y.1 - y.0 + 1, |i, j| {
                voxel(mask.grid().index(anatomy.voxel([x.0 + i, y.0 + j, up])))
            });
            let area = Area::new(left + s as f64 * (w + GAP), y_at, w, h);
            scene.items.push(Item::Picture { area, pixels });
        }
        if r == 0 {
            scene.text(left - 3.0, y_at + 8.0, "L", TICK, MUTED, Align::End);
        }
    }
    scene
}

/// The three views: which of (right, front, up) run along the picture's columns and rows, and which is looked through.
const VIEWS: [(usize, usize, usize, &str); 3] =
    [(1, 2, 0, "from the right"), (0, 2, 1, "from behind"), (0, 1, 2, "from above")];

/// Draws the value that is furthest from zero along every line of sight, from the right, from behind and from above; where
/// `outlines` are given, of the significant places only.
///
/// # Errors
/// As [`brain_slices`].
pub fn glass_brain(maps: &[(String, Volume)], mask: &Mask, stem: &Path, options: &BrainOptions) -> Result<()> {
    nonempty("glass brain", "map", maps.len())?;
    maps.iter().try_for_each(|(_, map)| mask.grid().require_same("glass brain", map.grid()))?;
    let anatomy = Anatomy::of(mask.grid());
    let ends = extent(mask, &anatomy);
    let size = mask.grid().affine.voxel_size();
    let side = |world: usize| (ends[world].1 - ends[world].0 + 1) as f64 * size[anatomy.axes[world]];
    let factor = 1.35 * SLICE / side(1).max(side(0)).max(side(2));
    let limit = limit_of(maps, options);
    let widths = VIEWS.map(|(column, ..)| side(column) * factor);
    let height = VIEWS.map(|(_, row, ..)| side(row) * factor).into_iter().fold(0.0, f64::max);
    let per_line = if maps.len() > 3 { 2 } else { 1 };
    let block = widths.iter().sum::<f64>() + 3.0 * 10.0 + 12.0;
    let lines = maps.len().div_ceil(per_line);
    let top = scene_top(&options.title);
    let line_height = height + 34.0;
    let mut scene =
        Scene::new(2.0 * MARGIN + per_line as f64 * block + BAR_WIDTH, top + lines as f64 * line_height + MARGIN);
    if !options.title.is_empty() {
        scene.title(MARGIN, &options.title);
    }
    for (m, (name, map)) in maps.iter().enumerate() {
        let significant = options.outlines.as_ref().map(|o| &o[m]);
        let (x0, y0) = (MARGIN + (m % per_line) as f64 * block, top + (m / per_line) as f64 * line_height);
        scene.text(x0, y0 + 6.0, fitted(name, LABEL, block - 20.0), LABEL, INK, Align::Start);
        let mut x = x0;
        for (&(column, row, through, view), width) in VIEWS.iter().zip(widths) {
            let look = |i: usize, j: usize| {
                let mut at = [0; 3];
                at[column] = ends[column].0 + i;
                at[row] = ends[row].0 + j;
                projected(mask, &anatomy, at, (through, ends[through]), map, significant, limit)
            };
            let pixels = picture(ends[column].1 - ends[column].0 + 1, ends[row].1 - ends[row].0 + 1, look);
            let own = side(row) * factor;
            scene
                .items
                .push(Item::Picture { area: Area::new(x, y0 + 16.0 + (height - own) / 2.0, width, own), pixels });
            if m == 0 {
                scene.text(x + width / 2.0, y0 + 22.0 + height, view, TICK, MUTED, Align::Middle);
            }
            x += width + 10.0;
        }
    }
    let bar = (scene.height - top - 50.0).clamp(60.0, 260.0);
    let scale = Scale { low: -limit, high: limit, log: false };
    let x = scene.width - BAR_WIDTH - 4.0;
    colour_bar(&mut scene, x, top + 16.0, bar, Map::Diverging, &scale, &options.bar_label);
    scene.save_png(stem)
}

fn projected(
    mask: &Mask,
    anatomy: &Anatomy,
    mut at: [usize; 3],
    (through, (first, last)): (usize, (usize, usize)),
    map: &Volume,
    significant: Option<&Volume>,
    limit: f64,
) -> Voxel {
    let (mut best, mut inside) = (f32::NAN, false);
    for depth in first..=last {
        at[through] = depth;
        let position = mask.grid().index(anatomy.voxel(at));
        inside |= mask.rank(position).is_some();
        let value = map.values()[position];
        let counts = significant.is_none_or(|s| s.values()[position] > 0.5);
        if value.is_finite() && counts && (best.is_nan() || value.abs() > best.abs()) {
            best = value;
        }
    }
    match (best.is_nan(), inside) {
        (true, true) => (GLASS, 0),
        (true, false) => (OUTSIDE, 0),
        _ => (coloured(best, limit), 0),
    }
}

/// Draws a volume of labels (from 1; NaN nowhere) as axial slices, one colour a name, in the order of the names.
///
/// # Errors
/// As [`brain_slices`].
pub fn brain_labels(labels: &Volume, names: &[String], background: &Volume, mask: &Mask, stem: &Path) -> Result<()> {
    nonempty("brain labels", "name", names.len())?;
    mask.grid().require_same("brain labels", labels.grid())?;
    let grey = Grey::of(background, mask);
    let colour = |l: usize| Map::Sequential.at(0.12 + 0.88 * l as f64 / names.len().saturating_sub(1).max(1) as f64);
    let voxel = |at: usize| -> Voxel {
        let label = labels.values()[at];
        if label.is_finite() && label >= 1.0 {
            return (colour(label as usize - 1), 0);
        }
        (grey.colour(background.values()[at], mask.rank(at).is_some()), 0)
    };
    let mut scene = slices_of(&[("winner", Box::new(voxel))], mask, 8, "");
    let columns = names.len().min(6);
    let step = (scene.width - 2.0 * MARGIN) / columns as f64;
    let top = scene.height;
    for (l, name) in names.iter().enumerate() {
        let (x, y) = (MARGIN + (l % columns) as f64 * step, top + (l / columns) as f64 * 18.0);
        scene.rect(Area::new(x, y - 5.0, 12.0, 10.0), colour(l));
        scene.text(x + 18.0, y, fitted(name, TICK, step - 24.0), TICK, INK, Align::Start);
    }
    scene.height = top + names.len().div_ceil(columns) as f64 * 18.0 + MARGIN;
    scene.save_png(stem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Affine;

    /// x runs to the left in the file; the right front upper corner is significant.
    fn sample() -> (Mask, Volume, Volume) {
        let grid = Grid {
            shape: [4, 5, 3],
            affine: Affine([[-2.0, 0.0, 0.0, 3.0], [0.0, 2.0, 0.0, -4.0], [0.0, 0.0, 2.0, 0.0]]),
        };
        let mask = Mask::from_fn(grid, |_| true).unwrap();
        let corner = grid.index([0, 4, 2]);
        let map = Volume::new(grid, (0..60).map(|v| if v == corner { 1.0 } else { 0.1 }).collect()).unwrap();
        let significant = Volume::new(grid, (0..60).map(|v| f32::from(u8::from(v == corner))).collect()).unwrap();
        (mask, map, significant)
    }

    #[test]
    fn left_is_left() {
        let (mask, ..) = sample();
        let anatomy = Anatomy::of(mask.grid());
        assert_eq!(anatomy.voxel([3, 4, 2]), [0, 4, 2], "furthest right is the file's first column");
        assert_eq!(extent(&mask, &anatomy), [(0, 3), (0, 4), (0, 2)]);
        assert_eq!(heights((2, 9), 4), [3, 5, 7, 9]);
    }

    #[test]
    fn figures_are_written() {
        let (mask, map, significant) = sample();
        let dir = tempfile::tempdir().unwrap();
        let maps = vec![("one".to_owned(), map.clone()), ("two".to_owned(), Volume::filled(*mask.grid(), f32::NAN))];
        let options =
            BrainOptions { outlines: Some(vec![significant.clone(), significant]), ..BrainOptions::default() };
        let background = Volume::filled(*mask.grid(), 1.0);
        brain_slices(&maps, &background, &mask, &dir.path().join("slices"), &options).unwrap();
        glass_brain(&maps, &mask, &dir.path().join("glass"), &options).unwrap();
        let names = ["a".to_owned(), "b".to_owned()];
        let labels = Volume::filled(*mask.grid(), 2.0);
        brain_labels(&labels, &names, &background, &mask, &dir.path().join("winner")).unwrap();
        for name in ["slices", "glass", "winner"] {
            assert!(image::open(dir.path().join(format!("{name}.png"))).unwrap().width() > 200, "{name}");
        }
        assert!(brain_slices(&[], &background, &mask, &dir.path().join("none"), &options).is_err());
    }
}
