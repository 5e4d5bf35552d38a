//! A scene as SVG text.

use super::palette::Rgb;
use super::scene::{Align, Area, HALF_CAPITAL, Item, Scene, Text, png_bytes};
use image::RgbImage;
use ndarray::Array2;
use std::fmt::Write;

/// Above this many cells a matrix is written as one embedded bitmap, its pixels repeated [`REPEAT`]
/// times.
const MAX_CELLS: usize = 2500;
const REPEAT: u32 = 4;

pub(super) fn render(scene: &Scene) -> String {
    let (w, h) = (number(scene.width), number(scene.height));
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\" \
         font-family=\"DejaVu Sans, sans-serif\">\n<rect width=\"{w}\" height=\"{h}\" fill=\"#ffffff\"/>\n"
    );
    scene.items.iter().for_each(|item| write_item(&mut out, item));
    out.push_str("</svg>\n");
    out
}

fn write_item(out: &mut String, item: &Item) {
    // writing into a String cannot fail
    let _ = match item {
        Item::Rect { area, fill } => writeln!(out, "<rect {} fill=\"{}\"/>", place(area), hex(*fill)),
        Item::Cells { area, colours } => {
            cells(out, area, colours);
            Ok(())
        }
        Item::Line { points, width, colour } => {
            let (points, colour, width) = (corners(points), hex(*colour), number(*width));
            let style = format!("fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" stroke-linejoin=\"round\"");
            writeln!(out, "<polyline points=\"{points}\" {style}/>")
        }
        Item::Polygon { points, fill } => {
            writeln!(out, "<polygon points=\"{}\" fill=\"{}\"/>", corners(points), hex(*fill))
        }
        Item::Circle { x, y, r, fill } => {
            let [x, y, r] = [x, y, r].map(|v| number(*v));
            writeln!(out, "<circle cx=\"{x}\" cy=\"{y}\" r=\"{r}\" fill=\"{}\"/>", hex(*fill))
        }
        Item::Text(text) => write_text(out, text),
        Item::Picture { area, pixels } => write_image(out, area, pixels),
    };
}

fn corners(points: &[(f64, f64)]) -> String {
    points.iter().map(|p| format!("{},{}", number(p.0), number(p.1))).collect::<Vec<_>>().join(" ")
}

fn write_text(out: &mut String, text: &Text) -> std::fmt::Result {
    let anchor = match text.align {
        Align::Start => "start",
        Align::Middle => "middle",
        Align::End => "end",
    };
    let drop = HALF_CAPITAL * text.size;
    let place = if text.vertical {
        format!("transform=\"translate({} {}) rotate(-90)\"", number(text.x + drop), number(text.y))
    } else {
        format!("x=\"{}\" y=\"{}\"", number(text.x), number(text.y + drop))
    };
    writeln!(
        out,
        "<text {place} font-size=\"{}\" text-anchor=\"{anchor}\" fill=\"{}\">{}</text>",
        number(text.size),
        hex(text.colour),
        escape(&text.text)
    )
}

/// One rectangle per run of equal colours in a row.
fn cells(out: &mut String, area: &Area, colours: &Array2<Rgb>) {
    let (rows, columns) = colours.dim();
    if rows * columns > MAX_CELLS {
        let pixels = RgbImage::from_fn(columns as u32 * REPEAT, rows as u32 * REPEAT, |x, y| {
            image::Rgb(colours[[(y / REPEAT) as usize, (x / REPEAT) as usize]])
        });
        let _ = write_image(out, area, &pixels);
        return;
    }
    out.push_str("<g shape-rendering=\"crispEdges\">\n");
    let (w, h) = (area.w / columns as f64, area.h / rows as f64);
    for (i, row) in colours.rows().into_iter().enumerate() {
        let mut start = 0;
        while start < columns {
            let run = row.iter().skip(start).take_while(|c| **c == row[start]).count();
            let run_area = Area::new(area.x + w * start as f64, area.y + h * i as f64, w * run as f64, h);
            let _ = writeln!(out, "<rect {} fill=\"{}\"/>", place(&run_area), hex(row[start]));
            start += run;
        }
    }
    out.push_str("</g>\n");
}

fn write_image(out: &mut String, area: &Area, pixels: &RgbImage) -> std::fmt::Result {
    let bytes = png_bytes(pixels, std::path::Path::new("figure")).unwrap_or_default();
    writeln!(
        out,
        "<image {} preserveAspectRatio=\"none\" style=\"image-rendering:pixelated\" href=\"data:image/png;base64,{}\"/>",
        place(area),
        super::html::base64(&bytes)
    )
}

fn place(a: &Area) -> String {
    format!("x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"", number(a.x), number(a.y), number(a.w), number(a.h))
}

fn hex(c: Rgb) -> String {
    format!("#{:02x}{:02x}{:02x}", c[0], c[1], c[2])
}

/// At most two decimals, no trailing zeros.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

fn escape(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
        out
    })
}
