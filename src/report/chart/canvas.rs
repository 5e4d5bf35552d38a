//! A scene as a backend of `plotters`, which computes in whole units: here sixteenths of a logical
//! pixel, too fine to see.

use super::super::palette::{Rgb, WHITE, mix};
use super::super::scene::{Align, Area, Item, Scene, Text, text_width};
use crate::data::shown::line;
use plotters::style::text_anchor::{HPos, VPos};
use plotters::style::{Color, FontTransform, RGBColor, ShapeStyle};
use plotters_backend::{BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind};
use std::convert::Infallible;

const UNITS: f64 = 16.0;

/// Logical pixels in units of the backend.
pub fn units(px: f64) -> i32 {
    (px * UNITS).round() as i32
}

/// A place of the backend in logical pixels.
pub(super) fn px((x, y): BackendCoord) -> (f64, f64) {
    (f64::from(x) / UNITS, f64::from(y) / UNITS)
}

/// A filled style whose lines are `width` logical pixels wide.
pub fn ink(colour: Rgb, width: f64) -> ShapeStyle {
    let [r, g, b] = colour;
    ShapeStyle { color: RGBColor(r, g, b).to_rgba(), filled: true, stroke_width: units(width) as u32 }
}

/// Draws on the scene with the scene's own text.
pub struct Canvas<'a>(pub &'a mut Scene);

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

impl Canvas<'_> {
    fn add(&mut self, item: Item) -> Drawn {
        self.0.items.push(item);
        Ok(())
    }
}

/// The figures have a white ground, so that a transparent colour is a lighter one.
fn rgb(colour: BackendColor) -> Rgb {
    mix(WHITE, [colour.rgb.0, colour.rgb.1, colour.rgb.2], colour.alpha)
}

fn width(style: &impl BackendStyle) -> f64 {
    f64::from(style.stroke_width()) / UNITS
}

impl DrawingBackend for Canvas<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        (units(self.0.width) as u32, units(self.0.height) as u32)
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, at: BackendCoord, colour: BackendColor) -> Drawn {
        self.draw_rect(at, (at.0 + 1, at.1 + 1), &colour, true)
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Drawn {
        self.draw_path([from, to], style)
    }

    fn draw_rect<S: BackendStyle>(&mut self, a: BackendCoord, b: BackendCoord, style: &S, fill: bool) -> Drawn {
        if !fill {
            return self.draw_path([a, (b.0, a.1), b, (a.0, b.1), a], style);
        }
        let ((x, y), (right, bottom)) = (px(a), px(b));
        self.add(Item::Rect { area: Area::new(x, y, right - x, bottom - y), fill: rgb(style.color()) })
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, path: I, style: &S) -> Drawn {
        let points: Vec<_> = path.into_iter().map(px).collect();
        if points.len() < 2 {
            return Ok(());
        }
        self.add(Item::Line { points, width: width(style), colour: rgb(style.color()) })
    }

    /// A circle that is not filled is white inside.
    fn draw_circle<S: BackendStyle>(&mut self, at: BackendCoord, radius: u32, style: &S, fill: bool) -> Drawn {
        let ((x, y), r) = (px(at), f64::from(radius) / UNITS);
        let half = if fill { 0.0 } else { width(style) / 2.0 };
        self.add(Item::Circle { x, y, r: r + half, fill: rgb(style.color()) })?;
        if fill { Ok(()) } else { self.add(Item::Circle { x, y, r: r - half, fill: WHITE }) }
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, corners: I, style: &S) -> Drawn {
        self.add(Item::Polygon { points: corners.into_iter().map(px).collect(), fill: rgb(style.color()) })
    }

    /// The anchor is that of the text before it is turned; turned text reads upwards.
    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, at: BackendCoord) -> Drawn {
        let ((x, y), size, anchor) = (px(at), style.size() / UNITS, style.anchor());
        let align = match anchor.h_pos {
            HPos::Left => Align::Start,
            HPos::Center => Align::Middle,
            HPos::Right => Align::End,
        };
        let across = match anchor.v_pos {
            VPos::Top => size / 2.0,
            VPos::Center => 0.0,
            VPos::Bottom => -size / 2.0,
        };
        let vertical = !matches!(style.transform(), FontTransform::None);
        let (x, y) = if vertical { (x + across, y) } else { (x, y + across) };
        let colour = rgb(style.color());
        if text.is_empty() {
            return Ok(());
        }
        let text = line(text).into_owned();
        self.add(Item::Text(Text { x, y, text, size, colour, align, vertical }))
    }

    fn estimate_text_size<S: BackendTextStyle>(
        &self,
        text: &str,
        style: &S,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        let size = style.size() / UNITS;
        Ok((units(text_width(text, size)) as u32, units(size) as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plotters::prelude::*;

    #[test]
    fn shapes_and_text_keep_their_place_to_a_sixteenth_of_a_pixel() {
        let mut scene = Scene::new(100.0, 50.0);
        let root = Canvas(&mut scene).into_drawing_area();
        assert_eq!(root.dim_in_pixel(), (1600, 800));
        root.draw(&PathElement::new(vec![(units(10.06), 0), (units(20.5), 8)], ink([0; 3], 1.8))).unwrap();
        let style = ("sans-serif", units(11.0), &RED).into_text_style(&root);
        let width = root.estimate_text_size("layer", &style).unwrap().0;
        assert!((f64::from(width) / UNITS - text_width("layer", 11.0)).abs() < 0.04);
        root.draw_text("across", &style, (16, 16)).unwrap();
        root.draw_text("up", &style.transform(FontTransform::Rotate270), (16, 16)).unwrap();
        drop(root);
        let [Item::Line { points, width, .. }, Item::Text(across), Item::Text(up)] = &scene.items[..] else {
            panic!("{:?}", scene.items)
        };
        assert_eq!((points.as_slice(), *width), ([(10.0625, 0.0), (20.5, 0.5)].as_slice(), 1.8125));
        assert_eq!((across.x, across.y, across.size, across.vertical), (1.0, 6.5, 11.0, false));
        assert_eq!((up.x, up.y, up.vertical), (6.5, 1.0, true));
    }
}
