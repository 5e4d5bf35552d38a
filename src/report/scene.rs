//! A figure as a list of shapes in logical pixels, drawn by [`super::raster`] and written by
//! [`super::svg`].

use super::names::ellipsis;
use super::palette::{INK, Rgb};
use crate::data::shown::line;
use crate::error::{Error, Result};
use crate::io::atomic;
use ab_glyph::{Font, FontRef, PxScale, ScaleFont};
use image::RgbImage;
use ndarray::Array2;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

static FONT_BYTES: &[u8] = include_bytes!("../../assets/fonts/DejaVuSans-subset.ttf");

/// The one font of all figures.
pub(super) static FONT: LazyLock<FontRef<'static>> =
    LazyLock::new(|| FontRef::try_from_slice(FONT_BYTES).expect("the embedded font is a valid TrueType file"));

/// Half the height of the capitals of DejaVu Sans, in em: what lies between a text's middle and its
/// baseline.
pub(super) const HALF_CAPITAL: f64 = 0.365;

/// The scale at which `ab_glyph` draws a font of `size` (in px per em).
pub(super) fn px_scale(size: f64) -> PxScale {
    let em = f64::from(FONT.units_per_em().unwrap_or(2048.0));
    PxScale::from((size * f64::from(FONT.height_unscaled()) / em) as f32)
}

/// Width of a text as it is shown ([`line`]) in px for a font size in px per em.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    let font = FONT.as_scaled(px_scale(size));
    let mut previous = None;
    let mut width = 0.0;
    for c in line(text).chars() {
        let id = font.glyph_id(c);
        width += font.h_advance(id) + previous.map_or(0.0, |p| font.kern(p, id));
        previous = Some(id);
    }
    f64::from(width)
}

/// The widest of several texts.
pub(super) fn widest<'a>(texts: impl IntoIterator<Item = &'a String>, size: f64) -> f64 {
    texts.into_iter().map(|t| text_width(t, size)).fold(0.0, f64::max)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Start,
    Middle,
    End,
}

/// A box: left, top, width, height.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Area {
    pub x: f64,
    pub y: f64,
    pub w: f64,
    pub h: f64,
}

impl Area {
    pub(super) fn new(x: f64, y: f64, w: f64, h: f64) -> Self {
        Self { x, y, w, h }
    }

    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.x < other.x + other.w
            && other.x < self.x + self.w
            && self.y < other.y + other.h
            && other.y < self.y + self.h
    }
}

/// A text whose middle line is at `y` (or, vertical, at `x`, reading upwards).
#[derive(Debug, Clone)]
pub(super) struct Text {
    pub x: f64,
    pub y: f64,
    pub text: String,
    pub size: f64,
    pub colour: Rgb,
    pub align: Align,
    pub vertical: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Item {
    Rect {
        area: Area,
        fill: Rgb,
    },
    /// A grid of cells that fills the area; no gaps.
    Cells {
        area: Area,
        colours: Array2<Rgb>,
    },
    Line {
        points: Vec<(f64, f64)>,
        width: f64,
        colour: Rgb,
    },
    Polygon {
        points: Vec<(f64, f64)>,
        fill: Rgb,
    },
    Circle {
        x: f64,
        y: f64,
        r: f64,
        fill: Rgb,
    },
    Text(Text),
    Picture {
        area: Area,
        pixels: RgbImage,
    },
}

/// A figure under construction.
#[derive(Debug, Clone)]
pub(super) struct Scene {
    pub width: f64,
    pub height: f64,
    pub items: Vec<Item>,
}

impl Scene {
    pub(super) fn new(width: f64, height: f64) -> Self {
        Self { width: width.ceil(), height: height.ceil(), items: Vec::new() }
    }

    pub(super) fn rect(&mut self, area: Area, fill: Rgb) {
        self.items.push(Item::Rect { area, fill });
    }

    pub(super) fn line(&mut self, points: Vec<(f64, f64)>, width: f64, colour: Rgb) {
        self.items.push(Item::Line { points, width, colour });
    }

    /// The outline of a box.
    pub(super) fn outline(&mut self, a: Area, width: f64, colour: Rgb) {
        let (r, b) = (a.x + a.w, a.y + a.h);
        self.line(vec![(a.x, a.y), (r, a.y), (r, b), (a.x, b), (a.x, a.y)], width, colour);
    }

    pub(super) fn text(&mut self, x: f64, y: f64, text: impl Into<String>, size: f64, colour: Rgb, align: Align) {
        let text = line(&text.into()).into_owned();
        self.items.push(Item::Text(Text { x, y, text, size, colour, align, vertical: false }));
    }

    pub(super) fn vertical_text(&mut self, (x, y): (f64, f64), text: &str, size: f64, colour: Rgb, align: Align) {
        let text = line(text).into_owned();
        self.items.push(Item::Text(Text { x, y, text, size, colour, align, vertical: true }));
    }

    /// The figure's title at the top left; returns the height it takes.
    pub(super) fn title(&mut self, x: f64, title: &str) -> f64 {
        if title.is_empty() {
            return 8.0;
        }
        let width = self.width - 2.0 * x;
        let size = fit_size(title, 16.0, width).max(11.0);
        self.text(x, 20.0, fitted(title, size, width), size, INK, Align::Start);
        38.0
    }

    /// Writes `stem.png` and `stem.svg`.
    pub(super) fn save(&self, stem: &Path) -> Result<()> {
        self.save_png(stem)?;
        atomic::write(&with_extension(stem, ".svg"), super::svg::render(self).as_bytes())
    }

    /// Writes `stem.png` alone.
    pub(super) fn save_png(&self, stem: &Path) -> Result<()> {
        let path = with_extension(stem, ".png");
        atomic::write(&path, &png_bytes(&super::raster::render(self), &path)?)
    }
}

/// The largest size up to `size` at which the text fits into `width`, at least 8 px.
pub(super) fn fit_size(text: &str, size: f64, width: f64) -> f64 {
    (size * width / text_width(text, size).max(1e-9)).min(size).max(8.0)
}

/// The text with its middle cut out until it is no wider than `width`.
pub(super) fn fitted(text: &str, size: f64, width: f64) -> String {
    let n = text.chars().count();
    let cut = (3..=n).rev().map(|k| ellipsis(text, k)).find(|t| text_width(t, size) <= width);
    cut.unwrap_or_else(|| ellipsis(text, 3))
}

/// The path without an extension `png` or `svg`: other dots inside a stem are part of the name.
pub(super) fn bare(stem: &Path) -> OsString {
    let text = stem.to_string_lossy();
    let bare = text.strip_suffix(".png").or_else(|| text.strip_suffix(".svg"));
    bare.map_or_else(|| stem.as_os_str().to_os_string(), Into::into)
}

fn with_extension(stem: &Path, extension: &str) -> PathBuf {
    let mut path = bare(stem);
    path.push(extension);
    path.into()
}

/// An image as the bytes of a PNG file.
pub(super) fn png_bytes(image: &RgbImage, path: &Path) -> Result<Vec<u8>> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image
        .write_to(&mut bytes, image::ImageFormat::Png)
        .map_err(|e| Error::io(path, "write")(std::io::Error::other(e)))?;
    Ok(bytes.into_inner())
}
