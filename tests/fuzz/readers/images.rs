//! Images and sets of them.

use super::{Input, Reader, golden, picture, written};
use ndarray::Array4;
use orthoscope::Result;
use orthoscope::io::{images, npy, png, tsv};
use std::io::Write;
use std::path::Path;

pub const READERS: &[Reader] = &[
    Reader::of_bytes("png", "image.png", pngs, |input| images::decode(input.bytes, input.path).map(drop)),
    Reader::of_files("png-file", "image.png", own_pngs, |input| png::read(input.path).map(drop)),
    Reader::of_bytes("jpeg", "image.jpg", jpegs, |input| images::decode(input.bytes, input.path).map(drop)),
    Reader { beside: a_picture, ..Reader::of_files("image-folder", "images/b.png", pngs, read_folder) },
    Reader::of_files("image-zip", "images.zip", zips, read_set),
    Reader::of_files("image-array", "images.npy", arrays, read_set),
    Reader { beside: a_picture, ..Reader::of_files("stimuli-tsv", "images/stimuli.tsv", tables, read_set) },
];

fn read_set(input: &Input<'_>) -> Result<()> {
    images::load(input.path).map(drop)
}

fn read_folder(input: &Input<'_>) -> Result<()> {
    let folder = input.path.parent().unwrap_or(input.path);
    let source = images::open(folder)?;
    let last = source.n_images();
    source.read(last.saturating_sub(1)..last).map(drop)
}

fn a_picture(folder: &Path) {
    png::write(&folder.join("images/a.png"), picture(4, 5).view()).expect("a small picture");
}

fn own_pngs() -> Vec<Vec<u8>> {
    vec![png::encode(picture(6, 5).view()).expect("a small picture"), png::encode(picture(1, 1).view()).expect("a dot")]
}

/// Every kind of colour, with and without interlacing, 16 bits, and chunks beside the pixels.
fn pngs() -> Vec<Vec<u8>> {
    let grey =
        encoded(image::DynamicImage::from(image::GrayImage::from_fn(6, 5, |x, y| image::Luma([(40 * x + y) as u8]))));
    let deep = encoded(image::DynamicImage::from(image::ImageBuffer::from_fn(4, 3, |x, y| {
        image::Rgb([(9000 * x + 1) as u16, (9000 * y + 2) as u16, 65535])
    })));
    let opaque = encoded(image::DynamicImage::from(image::RgbaImage::from_fn(5, 5, |x, y| {
        image::Rgba([(50 * x) as u8, (50 * y) as u8, 7, 255])
    })));
    let palette = chunks(&[
        (b"IHDR", &[0, 0, 0, 3, 0, 0, 0, 2, 8, 3, 0, 0, 0]),
        (b"PLTE", &[0, 0, 0, 255, 0, 0, 0, 255, 0]),
        (b"pHYs", &[0, 0, 11, 19, 0, 0, 11, 19, 1]),
        (b"IDAT", &zlib(&[0, 0, 1, 2, 0, 2, 1, 0])),
        (b"IEND", &[]),
    ]);
    let interlaced = chunks(&[
        (b"IHDR", &[0, 0, 0, 2, 0, 0, 0, 2, 1, 0, 0, 0, 1]),
        (b"gAMA", &[0, 0, 177, 143]),
        // Passes of 1 x 1, 1 x 1 and 2 x 1.
        (b"IDAT", &zlib(&[0, 0x80, 0, 0x80, 0, 0xc0])),
        (b"eXIf", b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"),
        (b"IEND", &[]),
    ]);
    own_pngs().into_iter().chain([grey, deep, opaque, palette, interlaced]).collect()
}

fn encoded(image: image::DynamicImage) -> Vec<u8> {
    let mut out = std::io::Cursor::new(Vec::new());
    image.write_to(&mut out, image::ImageFormat::Png).expect("a small picture");
    out.into_inner()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).and_then(|()| out.finish()).expect("memory takes every byte")
}

fn chunks(all: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in all {
        let mut crc = flate2::Crc::new();
        crc.update(*kind);
        crc.update(data);
        out.extend((data.len() as u32).to_be_bytes());
        out.extend(*kind);
        out.extend(*data);
        out.extend(crc.sum().to_be_bytes());
    }
    out
}

/// By a JPEG encoder, and those of the golden files that are small.
fn jpegs() -> Vec<Vec<u8>> {
    let pixels = picture(17, 9);
    let of = |quality| {
        let mut out = Vec::new();
        let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut out, quality);
        let bytes = pixels.as_slice().expect("a new array");
        encoder.encode(bytes, 9, 17, image::ExtendedColorType::Rgb8).expect("a small picture");
        out
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/jpeg");
    let names = std::fs::read_dir(folder).expect("it belongs to the repository");
    let mut names: Vec<String> =
        names.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).filter(|n| n.ends_with(".jpg")).collect();
    names.sort();
    let golden = names.iter().map(|name| golden(&format!("jpeg/{name}"))).filter(|bytes| bytes.len() < 6000);
    [of(20), of(95)].into_iter().chain(golden).filter(|b| images::decode(b, Path::new("a.jpg")).is_ok()).collect()
}

fn zips() -> Vec<Vec<u8>> {
    let write = |path: &Path| {
        let mut archive = zip::ZipWriter::new(std::fs::File::create(path).expect("a temporary file"));
        let files =
            [("b.png", own_pngs().remove(0)), ("folder/a.jpg", jpegs().remove(0)), ("notes.txt", b"x".to_vec())];
        for (name, bytes) in files {
            archive.start_file(name, zip::write::SimpleFileOptions::default()).expect("another name");
            archive.write_all(&bytes).expect("a temporary file");
        }
        archive.finish().expect("three entries");
    };
    vec![written("images.zip", write)]
}

fn arrays() -> Vec<Vec<u8>> {
    let bytes = Array4::from_shape_fn((3, 4, 5, 3), |(n, y, x, c)| (60 * n + 31 * y + 17 * x + c) as u8);
    let columns =
        Array4::from_shape_fn(ndarray::ShapeBuilder::f((2, 3, 2, 3)), |(n, y, x, _)| (90 * n + 50 * y + x) as u8);
    vec![npy::encode(&bytes), npy::encode(&columns), npy::encode(&bytes.mapv(|v| f32::from(v) / 255.0))]
}

fn tables() -> Vec<Vec<u8>> {
    let write = |header: &[&str], rows: &[&[&str]]| {
        let mut table = tsv::Table::new(header.iter().copied());
        rows.iter().for_each(|row| table.push(row.iter().copied()));
        written("stimuli.tsv", |path| tsv::write(path, &table).expect("rows as wide as the header"))
    };
    vec![
        write(&["index", "filename"], &[&["0", "a.png"]]),
        write(&["stim_file", "word"], &[&["a.png", "n/a"], &["../images/a.png", "two"]]),
    ]
}
