//! A scene as pixels: exact-area anti-aliasing, two pixels per logical pixel.

use super::palette::{Rgb, WHITE, mix};
use super::scene::{Align, Area, FONT, HALF_CAPITAL, Item, Scene, Text, px_scale, text_width};
use ab_glyph::{Font, ScaleFont, point};
use ab_glyph_rasterizer::Rasterizer;
use image::{Rgb as Pixel, RgbImage, imageops};
use ndarray::Array2;

/// Pixels per logical pixel.
pub(super) const SCALE: f64 = 2.0;

type Points = Vec<(f64, f64)>;

/// Draws the scene on white.
pub(super) fn render(scene: &Scene) -> RgbImage {
    let (w, h) = ((scene.width * SCALE).round() as u32, (scene.height * SCALE).round() as u32);
    let mut canvas = RgbImage::from_pixel(w.max(1), h.max(1), Pixel(WHITE));
    for item in &scene.items {
        match item {
            Item::Rect { area, fill } => fill_paths(&mut canvas, &[corners(area)], *fill),
            Item::Cells { area, colours } => cells(&mut canvas, area, colours),
            Item::Line { points, width, colour } => fill_paths(&mut canvas, &stroke(points, *width), *colour),
            Item::Polygon { points, fill } => fill_paths(&mut canvas, std::slice::from_ref(points), *fill),
            Item::Circle { x, y, r, fill } => fill_paths(&mut canvas, &[disc(*x, *y, *r)], *fill),
            Item::Text(text) => draw_text(&mut canvas, text),
            Item::Picture { area, pixels } => picture(&mut canvas, area, pixels),
        }
    }
    canvas
}

fn corners(a: &Area) -> Points {
    vec![(a.x, a.y), (a.x + a.w, a.y), (a.x + a.w, a.y + a.h), (a.x, a.y + a.h)]
}

/// Fills shapes of one orientation (their overlaps count once) given in logical pixels.
fn fill_paths(canvas: &mut RgbImage, paths: &[Points], colour: Rgb) {
    let (w, h) = (f64::from(canvas.width()), f64::from(canvas.height()));
    // The rasterizer has no clipping of its own.
    let inside = |&(x, y): &(f64, f64)| ((x * SCALE).clamp(0.0, w), (y * SCALE).clamp(0.0, h));
    let paths: Vec<Points> = paths
        .iter()
        .filter(|p| p.iter().all(|(x, y)| x.is_finite() && y.is_finite()))
        .map(|p| p.iter().map(inside).collect())
        .collect();
    let all = || paths.iter().flatten();
    let (left, top) = all().fold((w, h), |m, p| (m.0.min(p.0), m.1.min(p.1)));
    let (right, bottom) = all().fold((0.0_f64, 0.0_f64), |m, p| (m.0.max(p.0), m.1.max(p.1)));
    if right <= left || bottom <= top {
        return;
    }
    let (x0, y0) = (left.floor(), top.floor());
    // one column to spare: a line on the right border must not run over into the next row
    let mut raster = Rasterizer::new((right.ceil() - x0) as usize + 2, (bottom.ceil() - y0) as usize + 1);
    for path in &paths {
        for (i, a) in path.iter().enumerate() {
            let b = path[(i + 1) % path.len()];
            let at = |p: (f64, f64)| point((p.0 - x0) as f32, (p.1 - y0) as f32);
            raster.draw_line(at(*a), at(b));
        }
    }
    raster.for_each_pixel_2d(|x, y, cover| {
        blend(canvas, x0 as i64 + i64::from(x), y0 as i64 + i64::from(y), colour, cover)
    });
}

fn blend(canvas: &mut RgbImage, x: i64, y: i64, colour: Rgb, cover: f32) {
    if cover <= 1e-3 || x < 0 || y < 0 || x >= i64::from(canvas.width()) || y >= i64::from(canvas.height()) {
        return;
    }
    let pixel = canvas.get_pixel_mut(x as u32, y as u32);
    pixel.0 = mix(pixel.0, colour, f64::from(cover.min(1.0)));
}

/// A polyline as quadrilaterals, with round joins when it is thick enough to see them.
fn stroke(points: &[(f64, f64)], width: f64) -> Vec<Points> {
    let mut shapes = Vec::with_capacity(2 * points.len());
    for pair in points.windows(2) {
        let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
        let length = (x1 - x0).hypot(y1 - y0);
        if length < 1e-9 {
            continue;
        }
        let (nx, ny) = (-(y1 - y0) / length * width / 2.0, (x1 - x0) / length * width / 2.0);
        shapes.push(vec![(x0 - nx, y0 - ny), (x1 - nx, y1 - ny), (x1 + nx, y1 + ny), (x0 + nx, y0 + ny)]);
    }
    if points.len() > 2 {
        shapes.extend(points[1..points.len() - 1].iter().map(|&(x, y)| disc(x, y, width / 2.0)));
    }
    shapes
}

/// A circle as a polygon, in the orientation of [`stroke`]'s quadrilaterals.
fn disc(x: f64, y: f64, r: f64) -> Points {
    let n = if r > 2.0 { 40 } else { 12 };
    (0..n)
        .map(|i| {
            let angle = std::f64::consts::TAU * f64::from(i) / f64::from(n);
            (x + r * angle.cos(), y + r * angle.sin())
        })
        .collect()
}

/// Cells meet on whole pixels: no seams.
fn cells(canvas: &mut RgbImage, area: &Area, colours: &Array2<Rgb>) {
    let (rows, columns) = colours.dim();
    let edge = |start: f64, size: f64, i: usize, n: usize| {
        ((start + size * i as f64 / n as f64) * SCALE).round().max(0.0) as u32
    };
    for ((i, j), colour) in colours.indexed_iter() {
        let (y0, y1) = (edge(area.y, area.h, i, rows), edge(area.y, area.h, i + 1, rows));
        let (x0, x1) = (edge(area.x, area.w, j, columns), edge(area.x, area.w, j + 1, columns));
        for y in y0..y1.min(canvas.height()) {
            for x in x0..x1.min(canvas.width()) {
                canvas.put_pixel(x, y, Pixel(*colour));
            }
        }
    }
}

/// Whole enlargements repeat pixels; everything else is resampled with a triangle filter.
fn picture(canvas: &mut RgbImage, area: &Area, pixels: &RgbImage) {
    let (w, h) = ((area.w * SCALE).round().max(1.0) as u32, (area.h * SCALE).round().max(1.0) as u32);
    let whole = w.is_multiple_of(pixels.width()) && h.is_multiple_of(pixels.height());
    let filter = if whole { imageops::FilterType::Nearest } else { imageops::FilterType::Triangle };
    let scaled = imageops::resize(pixels, w, h, filter);
    imageops::replace(canvas, &scaled, (area.x * SCALE).round() as i64, (area.y * SCALE).round() as i64);
}

fn draw_text(canvas: &mut RgbImage, text: &Text) {
    let shift = match text.align {
        Align::Start => 0.0,
        Align::Middle => 0.5,
        Align::End => 1.0,
    } * text_width(&text.text, text.size);
    let font = FONT.as_scaled(px_scale(text.size * SCALE));
    // pen position along the text and baseline across it, from the anchor, in canvas pixels
    let mut pen = (-shift * SCALE) as f32;
    let baseline = (HALF_CAPITAL * text.size * SCALE) as f32;
    let (x0, y0) = (text.x * SCALE, text.y * SCALE);
    let mut previous = None;
    for c in text.text.chars() {
        let id = font.glyph_id(c);
        pen += previous.map_or(0.0, |p| font.kern(p, id));
        previous = Some(id);
        // fractions of a pixel are kept along the text and dropped across it: baselines stay sharp
        let (fx, fy) = if text.vertical { (y0, x0) } else { (x0, y0) };
        let along = if text.vertical { pen - fx.fract() as f32 } else { pen + fx.fract() as f32 };
        let across = (baseline + fy.fract() as f32).round();
        if let Some(outline) = font.outline_glyph(id.with_scale_and_position(font.scale(), point(along, across))) {
            let bounds = outline.px_bounds();
            outline.draw(|x, y, cover| {
                let (u, v) = (bounds.min.x as i64 + i64::from(x), bounds.min.y as i64 + i64::from(y));
                let (x, y) = if text.vertical {
                    (x0.floor() as i64 + v, y0.floor() as i64 - u - 1)
                } else {
                    (x0.floor() as i64 + u, y0.floor() as i64 + v)
                };
                blend(canvas, x, y, text.colour, cover);
            });
        }
        pen += font.h_advance(id);
    }
}
