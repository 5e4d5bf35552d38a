//! Sets of images: a folder, a zip, an `.npy` array, a `stimuli.tsv`, or one file.
//!
//! Nothing is resized here: the pixels are those of the files. Whoever computes with them decodes every file once before,
//! so that a damaged one is an error at once.

use super::image_source::{Files, Rows, Zipped};
use crate::data::ImageSource;
use crate::data::names::natural_order;
use crate::error::{Error, Result};
use crate::io::{npy, tsv};
use image::{ColorType, DynamicImage, ImageFormat};
use ndarray::{Array3, Axis, Ix4};
use std::path::{Path, PathBuf};

/// Images as they are in their files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSet {
    /// One name an image: the file's name without its ending (with it when two would be equal).
    pub names: Vec<String>,
    /// Pixels of each image: height x width x 3, RGB, 0..255. Sizes may differ between images.
    pub pixels: Vec<Array3<u8>>,
}

/// Columns of a `stimuli.tsv` that may hold the file names (BIDS says `stim_file`).
pub const FILE_COLUMNS: [&str; 3] = ["filename", "stim_file", "file"];

/// Loads a set of images: [`open`], and all of it read.
///
/// # Errors
/// As [`open`], and as reading says.
pub fn load(path: &Path) -> Result<ImageSet> {
    let source = open(path)?;
    Ok(ImageSet { names: source.names().to_vec(), pixels: source.read(0..source.n_images())? })
}

/// Opens a set of images; what it holds is listed, but no image is decoded yet.
///
/// | `path` | order | memory |
/// |---|---|---|
/// | folder of PNG and JPEG files (not its sub-folders) | natural sort of names: `image2` before `image10` | names |
/// | `.zip` of PNG and JPEG files | natural sort | names |
/// | `.npy`, n_images x height x width x 3, uint8 | the array's; names `image0001`, ... | none; the whole array where it is of another type or in Fortran order |
/// | `.tsv` with one of the [`FILE_COLUMNS`], paths relative to the table | the rows' | names |
/// | folder without images but with a `stimuli.tsv` | the rows' | names |
/// | one PNG or JPEG file | | |
///
/// Grey becomes RGB, 16 bits become 8. An alpha channel is dropped where it is opaque everywhere; an image with a
/// transparent pixel is refused, because its colour depends on a background that the file does not tell.
///
/// # Errors
/// [`Error::Io`] when something cannot be read; [`Error::Corrupt`] naming the file when an image is damaged or not PNG or
/// JPEG; [`Error::Invalid`] when there are no images.
pub fn open(path: &Path) -> Result<Box<dyn ImageSource>> {
    let kind = std::fs::metadata(path).map_err(Error::io(path, "read"))?;
    let ending = ending(path);
    let paths = match ending.as_str() {
        _ if kind.is_dir() => folder_files(path)?,
        "tsv" => table_files(path)?,
        "npy" => return open_array(path),
        "zip" => return open_zip(path),
        _ => vec![path.to_path_buf()],
    };
    Ok(Box::new(Files { names: names(&paths), paths }))
}

fn ending(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default()
}

/// Whether a file of a folder or zip is an image to load; an error for image formats that we do not read.
fn is_image(path: &Path) -> Result<bool> {
    let hidden = path.components().any(|c| {
        let name = c.as_os_str().to_string_lossy();
        name == "__MACOSX" || (name.starts_with('.') && name.len() > 1 && name != "..")
    });
    match ending(path).as_str() {
        _ if hidden => Ok(false),
        "png" | "jpg" | "jpeg" => Ok(true),
        other @ ("gif" | "bmp" | "tif" | "tiff" | "webp" | "heic" | "avif" | "ppm") => Err(Error::corrupt(
            path,
            "a PNG or JPEG image",
            format!("a .{other} file"),
            "convert it to PNG, or take it out of the set",
        )),
        _ => Ok(false),
    }
}

fn folder_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder, "read"))? {
        let file = entry.map_err(Error::io(folder, "read"))?.path();
        // A hidden folder above the set hides nothing: only the file's own name counts.
        let name = PathBuf::from(file.file_name().unwrap_or_default());
        if is_image(&name)? && file.is_file() {
            files.push(file);
        }
    }
    let table = folder.join("stimuli.tsv");
    if files.is_empty() && table.is_file() {
        return table_files(&table);
    }
    if files.is_empty() {
        return Err(no_images(folder));
    }
    files.sort_by(|a, b| natural_order(&a.to_string_lossy(), &b.to_string_lossy()));
    Ok(files)
}

fn no_images(path: &Path) -> Error {
    let hint = "give a folder or zip of .png, .jpg or .jpeg files, an .npy array, or a stimuli.tsv";
    Error::invalid(path.display().to_string(), "PNG or JPEG images", "none", hint)
}

fn table_files(path: &Path) -> Result<Vec<PathBuf>> {
    let table = tsv::read(path)?;
    let Some(column) = FILE_COLUMNS.iter().find_map(|name| table.column(name)) else {
        let found = table.header.join(", ");
        let hint = "name the column with the images' paths `filename`";
        return Err(Error::corrupt(path, format!("one of the columns {}", FILE_COLUMNS.join(", ")), found, hint));
    };
    if column.is_empty() {
        return Err(no_images(path));
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    Ok(column.iter().map(|file| folder.join(file)).collect())
}

fn load_array(path: &Path) -> Result<ImageSet> {
    let array = npy::read::<u8>(path)?;
    let shape = array.shape().to_vec();
    let Some(array) = array.into_dimensionality::<Ix4>().ok().filter(|a| a.dim().3 == 3 && !a.is_empty()) else {
        let hint = "channels last, as Pillow and matplotlib have it; add an axis for a single image";
        return Err(Error::corrupt(path, "n_images x height x width x 3", format!("{shape:?}"), hint));
    };
    let names = array_names(array.dim().0);
    Ok(ImageSet { names, pixels: array.axis_iter(Axis(0)).map(|image| image.to_owned()).collect() })
}

/// An array that needs no conversion is read image by image; any other is loaded.
fn open_array(path: &Path) -> Result<Box<dyn ImageSource>> {
    match npy::plain_bytes(path)? {
        Some((shape, start)) if shape.len() == 4 && shape[3] == 3 => Ok(Box::new(Rows {
            path: path.to_path_buf(),
            names: array_names(shape[0]),
            size: (shape[1], shape[2]),
            start,
        })),
        _ => Ok(Box::new(load_array(path)?)),
    }
}

fn array_names(n_images: usize) -> Vec<String> {
    (1..=n_images).map(|i| format!("image{i:04}")).collect()
}

fn open_zip(path: &Path) -> Result<Box<dyn ImageSource>> {
    let (zipped, files) = Zipped::open(path, is_image)?;
    if files.is_empty() {
        return Err(no_images(path));
    }
    Ok(Box::new(zipped.named(names(&files))))
}

/// File names without folder and ending; with them where that leaves two equal.
fn names(files: &[PathBuf]) -> Vec<String> {
    let short = |file: &PathBuf| file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let full = |file: &PathBuf| file.to_string_lossy().into_owned();
    let name = |file: &PathBuf| file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let distinct = |names: &Vec<String>| names.iter().collect::<std::collections::HashSet<_>>().len() == names.len();
    let candidates = [files.iter().map(short).collect::<Vec<_>>(), files.iter().map(name).collect()];
    candidates.into_iter().find(distinct).unwrap_or_else(|| files.iter().map(full).collect())
}

/// The pixels of a PNG or JPEG file, height x width x 3; `path` is only for messages. Rules as for [`load`].
pub fn decode(bytes: &[u8], path: &Path) -> Result<Array3<u8>> {
    let bad = |found: String| {
        Error::corrupt(path, "a PNG or JPEG image", found, "replace the file, or take it out of the set")
    };
    let format = match image::guess_format(bytes) {
        Ok(format @ (ImageFormat::Png | ImageFormat::Jpeg)) => format,
        Ok(other) => return Err(bad(format!("{other:?}"))),
        Err(_) if bytes.is_empty() => return Err(bad("an empty file".into())),
        Err(_) => return Err(bad("bytes of no image format".into())),
    };
    let image = image::load_from_memory_with_format(bytes, format).map_err(|e| bad(e.to_string()))?;
    if has_transparency(&image) {
        let hint =
            "flatten it onto the background it is meant for (in Pillow: Image.alpha_composite, then convert('RGB'))";
        return Err(Error::corrupt(path, "an opaque image", "transparent pixels", hint));
    }
    let rgb = image.into_rgb8();
    let (width, height) = (rgb.width() as usize, rgb.height() as usize);
    Ok(Array3::from_shape_vec((height, width, 3), rgb.into_raw()).expect("three bytes a pixel"))
}

fn has_transparency(image: &DynamicImage) -> bool {
    match image.color() {
        ColorType::La8 | ColorType::La16 | ColorType::Rgba8 | ColorType::Rgba16 | ColorType::Rgba32F => {
            image.to_rgba16().pixels().any(|pixel| pixel.0[3] != u16::MAX)
        }
        _ => false,
    }
}

#[cfg(test)]
#[path = "images_tests.rs"]
mod tests;
