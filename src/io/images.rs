//! Sets of images: a folder, a zip, an `.npy` array, a `stimuli.tsv`, or one file.
//!
//! Nothing is resized here: the pixels are those of the files. Every file is decoded before anything is computed, so
//! that a damaged one is an error at once.

use crate::data::names::natural_order;
use crate::error::{Error, Result};
use crate::io::{npy, npz, tsv};
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

/// Loads a set of images.
///
/// | `path` | order |
/// |---|---|
/// | folder of PNG and JPEG files (not its sub-folders) | natural sort of names: `image2` before `image10` |
/// | `.zip` of PNG and JPEG files | natural sort |
/// | `.npy`, n_images x height x width x 3, uint8 | the array's; names `image0001`, ... |
/// | `.tsv` with one of the [`FILE_COLUMNS`], paths relative to the table | the rows' |
/// | folder without images but with a `stimuli.tsv` | the rows' |
/// | one PNG or JPEG file | |
///
/// Grey becomes RGB, 16 bits become 8. An alpha channel is dropped where it is opaque everywhere; an image with a
/// transparent pixel is refused, because its colour depends on a background that the file does not tell.
///
/// # Errors
/// [`Error::Io`] when something cannot be read; [`Error::Corrupt`] naming the file when an image is damaged or not PNG or
/// JPEG; [`Error::Invalid`] when there are no images.
pub fn load(path: &Path) -> Result<ImageSet> {
    let kind = std::fs::metadata(path).map_err(Error::io(path, "read"))?;
    let ending = ending(path);
    let files = match ending.as_str() {
        _ if kind.is_dir() => return load_folder(path),
        "tsv" => return load_table(path),
        "npy" => return load_array(path),
        "zip" => return load_zip(path),
        _ => vec![path.to_path_buf()],
    };
    decode_all(&files)
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

fn load_folder(folder: &Path) -> Result<ImageSet> {
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
        return load_table(&table);
    }
    if files.is_empty() {
        return Err(no_images(folder));
    }
    files.sort_by(|a, b| natural_order(&a.to_string_lossy(), &b.to_string_lossy()));
    decode_all(&files)
}

fn no_images(path: &Path) -> Error {
    let hint = "give a folder or zip of .png, .jpg or .jpeg files, an .npy array, or a stimuli.tsv";
    Error::invalid(path.display().to_string(), "PNG or JPEG images", "none", hint)
}

fn load_table(path: &Path) -> Result<ImageSet> {
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
    decode_all(&column.iter().map(|file| folder.join(file)).collect::<Vec<_>>())
}

fn load_array(path: &Path) -> Result<ImageSet> {
    let array = npy::read::<u8>(path)?;
    let shape = array.shape().to_vec();
    let Some(array) = array.into_dimensionality::<Ix4>().ok().filter(|a| a.dim().3 == 3 && !a.is_empty()) else {
        let hint = "channels last, as Pillow and matplotlib have it; add an axis for a single image";
        return Err(Error::corrupt(path, "n_images x height x width x 3", format!("{shape:?}"), hint));
    };
    let names = (1..=array.dim().0).map(|i| format!("image{i:04}")).collect();
    Ok(ImageSet { names, pixels: array.axis_iter(Axis(0)).map(|image| image.to_owned()).collect() })
}

fn load_zip(path: &Path) -> Result<ImageSet> {
    let file = std::fs::File::open(path).map_err(Error::io(path, "read"))?;
    let mut images: Vec<(PathBuf, Array3<u8>)> = Vec::new();
    npz::for_each_file(std::io::BufReader::new(file), path, |name, bytes| {
        let inside = PathBuf::from(name);
        if is_image(&inside)? {
            let pixels = decode(&bytes()?, &path.join(&inside))?;
            images.push((inside, pixels));
        }
        Ok(())
    })?;
    if images.is_empty() {
        return Err(no_images(path));
    }
    images.sort_by(|a, b| natural_order(&a.0.to_string_lossy(), &b.0.to_string_lossy()));
    let (files, pixels): (Vec<_>, Vec<_>) = images.into_iter().unzip();
    Ok(ImageSet { names: names(&files), pixels })
}

fn decode_all(files: &[PathBuf]) -> Result<ImageSet> {
    let pixels = files
        .iter()
        .map(|file| decode(&std::fs::read(file).map_err(Error::io(file, "read"))?, file))
        .collect::<Result<_>>()?;
    Ok(ImageSet { names: names(files), pixels })
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
