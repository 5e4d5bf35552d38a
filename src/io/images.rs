//! Sets of images: a folder, a zip, an `.npy` array, a `stimuli.tsv`, or one file.
//!
//! Nothing is resized here: the pixels are those of the files. Whoever computes with them decodes
//! every file once before, so that a damaged one is an error at once.

mod array;
mod classes;
mod decode;
mod entropy;
mod jpeg;
mod png;

pub use classes::{Classes, open_classes};
pub use decode::decode;

use super::image_source::{Files, Rows, Zipped};
use crate::data::ImageSource;
use crate::data::names::{natural_order, nfc, same};
use crate::error::{Error, Result};
use crate::io::{npy, source, tsv};
use crate::warning::Warning;
use ndarray::Array3;
use std::path::{Path, PathBuf};

/// Images as they are in their files.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageSet {
    /// One name an image, in one Unicode spelling ([`nfc`]): the file's name without its ending;
    /// with it when two would be equal; with its folder as the table or zip gives it when two still
    /// would.
    pub names: Vec<String>,
    /// Pixels of each image: height x width x 3, RGB, 0..255. Sizes may differ between images.
    pub pixels: Vec<Array3<u8>>,
    /// What the user should know of how they were read.
    pub warnings: Vec<Warning>,
}

/// Columns of a `stimuli.tsv` that may hold the file names (BIDS says `stim_file`).
pub const FILE_COLUMNS: [&str; 3] = ["filename", "stim_file", "file"];

/// Loads a set of images: [`open`], and all of it read.
///
/// # Errors
/// As [`open`], and as reading says.
pub fn load(path: &Path) -> Result<ImageSet> {
    let source = open(path)?;
    let pixels = source.read(0..source.n_images())?;
    Ok(ImageSet { names: source.names().to_vec(), pixels, warnings: source.warnings().to_vec() })
}

/// Opens a set of images; what it holds is listed, but no image is decoded yet.
///
/// | `path` | order | memory |
/// |---|---|---|
/// | folder of PNG and JPEG files (not its sub-folders) | natural sort of names: `image2` before `image10` | names |
/// | `.zip` of PNG and JPEG files | natural sort | names |
/// | `.npy`, n_images x height x width x 3: 0..255, 0..1 as floats, or bool | the array's; names `image0001`, ... | none; the whole array where it is of another type or in Fortran order |
/// | `.tsv` with one of the [`FILE_COLUMNS`], paths relative to the table | the rows' | names |
/// | folder without images but with a `stimuli.tsv` | the rows' | names |
/// | one PNG or JPEG file | | |
///
/// Files are read as [`decode`] says, which refuses what it cannot be sure of. What has the name of an
/// image in a folder is one: links that lead nowhere, folders and files without permission are
/// errors.
///
/// # Errors
/// [`Error::Io`] when something cannot be read; [`Error::Corrupt`] naming the file when an image is
/// damaged or not PNG or JPEG, or when the numbers of an array are of no range that images have;
/// [`Error::Invalid`] when there are no images.
pub fn open(path: &Path) -> Result<Box<dyn ImageSource>> {
    let kind = source::about(path)?;
    let ending = ending(path);
    let files = match ending.as_str() {
        _ if kind.is_dir() => of_folder(path)?,
        "tsv" => of_table(path)?,
        "npy" => return open_array(path),
        "zip" => return open_zip(path),
        _ => {
            let paths = vec![path.to_path_buf()];
            Files { names: names(&paths), paths, warnings: vec![] }
        }
    };
    few_enough(path, files.paths.len())?;
    Ok(Box::new(files))
}

/// More images than this are no set that anybody looks at, and their names alone fill the memory.
const MOST_IMAGES: usize = 1_000_000;

fn few_enough(path: &Path, n_images: usize) -> Result<()> {
    if n_images <= MOST_IMAGES {
        return Ok(());
    }
    let hint = "cut the set into parts; is an array n_images x height x width x 3?";
    Err(Error::invalid(path.display().to_string(), format!("at most {MOST_IMAGES} images"), n_images.to_string(), hint))
}

fn ending(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default()
}

/// Whether a file of a folder or zip is an image to load; an error, which calls it as `shown`, for image
/// formats that we do not read.
fn is_image(path: &Path, shown: &Path) -> Result<bool> {
    let hidden = path.components().any(|c| {
        let name = c.as_os_str().to_string_lossy();
        name == "__MACOSX" || (name.starts_with('.') && name.len() > 1 && name != "..")
    });
    match ending(path).as_str() {
        _ if hidden => Ok(false),
        "png" | "jpg" | "jpeg" => Ok(true),
        other @ ("gif" | "bmp" | "tif" | "tiff" | "webp" | "heic" | "avif" | "ppm") => Err(Error::corrupt(
            shown,
            "a PNG or JPEG image",
            format!("a .{other} file"),
            "convert it to PNG, or take it out of the set",
        )),
        _ => Ok(false),
    }
}

fn of_folder(folder: &Path) -> Result<Files> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder, "read"))? {
        let file = entry.map_err(Error::io(folder, "read"))?.path();
        // A hidden folder above the set hides nothing: only the file's own name counts.
        let name = PathBuf::from(file.file_name().unwrap_or_default());
        if is_image(&name, &file)? {
            // What is called an image and cannot be opened would be missing from the set.
            source::open_member(&file)?;
            files.push(file);
        }
    }
    let table = folder.join("stimuli.tsv");
    if files.is_empty() && std::fs::symlink_metadata(&table).is_ok() {
        return of_table(&table);
    }
    if files.is_empty() {
        return Err(no_images(folder));
    }
    files.sort_by(|a, b| natural_order(&text(a), &text(b)));
    Ok(Files { names: names(&files), paths: files, warnings: vec![] })
}

/// A path in one spelling.
fn text(path: &Path) -> String {
    nfc(&path.to_string_lossy()).into_owned()
}

fn no_images(path: &Path) -> Error {
    let hint = "give a folder or zip of .png, .jpg or .jpeg files, an .npy array, or a stimuli.tsv";
    Error::invalid(path.display().to_string(), "PNG or JPEG images", "none", hint)
}

/// Columns of a table of images that say in which place a row is.
const ORDER_COLUMNS: [&str; 4] = ["index", "order", "row", "number"];

fn of_table(path: &Path) -> Result<Files> {
    let table = tsv::read(path)?;
    let Some((name, column)) = FILE_COLUMNS.iter().find_map(|name| Some((*name, table.column(name)?))) else {
        let found = table.header.join(", ");
        let hint = "name the column with the images' paths `filename`";
        return Err(Error::corrupt(path, format!("one of the columns {}", FILE_COLUMNS.join(", ")), found, hint));
    };
    if column.is_empty() {
        return Err(no_images(path));
    }
    if let Some(row) = column.iter().position(|file| tsv::is_missing(file)) {
        let hint = "every row is an image: take the row out, or name its file";
        return Err(tsv::bad_field(path, name, row, "the path of an image", column[row], hint));
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let files = column.iter().map(|file| locate(folder, file)).collect::<Result<Vec<_>>>()?;
    let names = names(&column.iter().map(PathBuf::from).collect::<Vec<_>>());
    let mut warnings = Vec::new();
    if let Some(order) = table.out_of_order(&ORDER_COLUMNS) {
        let text = format!(
            "{}: the rows are not in the order of the column `{order}`; the images are in the order of the rows",
            path.display()
        );
        warnings.push(Warning::Note { text });
    }
    Ok(Files { names, paths: files, warnings })
}

/// `folder`/`file`, in the spelling that the disk has: a name may be composed in the table and
/// decomposed there.
fn locate(folder: &Path, file: &str) -> Result<PathBuf> {
    let mut path = folder.to_path_buf();
    for part in Path::new(file).components() {
        let name = part.as_os_str().to_string_lossy();
        let entries = if name.is_ascii() { None } else { std::fs::read_dir(at_least_here(&path)).ok() };
        let alike: Vec<String> = entries
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|entry| same(entry, &name))
            .collect();
        match alike.as_slice() {
            [] => path.push(part),
            [one] => path.push(one),
            _ => {
                let expected = format!("one file `{name}`");
                let found = format!("{} whose names look the same but are spelt differently", alike.len());
                return Err(Error::invalid(path.display().to_string(), expected, found, "rename one of them"));
            }
        }
    }
    Ok(path)
}

/// The empty path is the working directory.
fn at_least_here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

/// An array of uint8 is read image by image; any other, and one whose range must be looked at
/// whole, is loaded.
fn open_array(path: &Path) -> Result<Box<dyn ImageSource>> {
    match npy::plain(path, "u1")? {
        Some((shape, start)) if shape.len() == 4 && shape[3] == 3 && array::shows_its_range(path, start)? => {
            few_enough(path, shape[0])?;
            Ok(Box::new(Rows {
                path: path.to_path_buf(),
                names: array_names(shape[0]),
                size: (shape[1], shape[2]),
                start,
            }))
        }
        _ => Ok(Box::new(array::load(path)?)),
    }
}

fn array_names(n_images: usize) -> Vec<String> {
    (1..=n_images).map(|i| format!("image{i:04}")).collect()
}

fn open_zip(path: &Path) -> Result<Box<dyn ImageSource>> {
    let (zipped, files) = Zipped::open(path, |name: &Path| is_image(name, &path.join(name)))?;
    if files.is_empty() {
        return Err(no_images(path));
    }
    few_enough(path, files.len())?;
    Ok(Box::new(zipped.named(names(&files))))
}

/// File names without folder and ending; with them where that leaves two equal.
fn names(files: &[PathBuf]) -> Vec<String> {
    let part = |part: Option<&std::ffi::OsStr>| text(Path::new(part.unwrap_or_default()));
    let distinct = |names: &Vec<String>| names.iter().collect::<std::collections::HashSet<_>>().len() == names.len();
    let stems: Vec<String> = files.iter().map(|file| part(file.file_stem())).collect();
    let whole = files.iter().map(|file| part(file.file_name())).collect();
    [stems, whole].into_iter().find(distinct).unwrap_or_else(|| files.iter().map(|file| text(file)).collect())
}

#[cfg(test)]
mod tests;
