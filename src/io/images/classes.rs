//! Images in a folder for each class.

use super::{is_image, open, text};
use crate::data::ImageSource;
use crate::data::image_source::check_range;
use crate::data::names::natural_order;
use crate::error::{Error, Result};
use crate::warning::Warning;
use ndarray::Array3;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A set of images with the class of each.
pub struct Classes {
    /// Class by class, each in its own order; names are `CLASS/IMAGE`.
    pub images: Box<dyn ImageSource>,
    /// Names of the classes, in natural order.
    pub classes: Vec<String>,
    /// For each image, its class.
    pub labels: Vec<usize>,
}

/// Opens a folder of folders, one for each class, whose names are the classes'. `None` for anything
/// else: a file, or a folder with images of its own or with a table of them.
///
/// # Errors
/// As [`open`], of each of the folders; [`Error::Invalid`] for a class without images.
///
/// # Example
/// ```
/// use orthoscope::io::{images, png};
///
/// let dir = tempfile::tempdir().unwrap();
/// for (class, n) in [("ring", 1), ("disc", 2)] {
///     std::fs::create_dir(dir.path().join(class)).unwrap();
///     for i in 0..n {
///         let pixels = ndarray::Array3::from_elem((4, 4, 3), 40 * i as u8);
///         png::write(&dir.path().join(class).join(format!("{i}.png")), pixels.view())?;
///     }
/// }
/// let found = images::open_classes(dir.path())?.expect("folders of images");
/// assert_eq!(found.classes, ["disc", "ring"]);
/// assert_eq!(found.labels, [0, 0, 1]);
/// assert_eq!(found.images.names(), ["disc/0", "disc/1", "ring/0"]);
/// # Ok::<(), orthoscope::Error>(())
/// ```
pub fn open_classes(path: &Path) -> Result<Option<Classes>> {
    if !path.is_dir() {
        return Ok(None);
    }
    let mut folders: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(path).map_err(Error::io(path, "read"))? {
        let entry = entry.map_err(Error::io(path, "read"))?.path();
        let name = PathBuf::from(entry.file_name().unwrap_or_default());
        let hidden = name.to_string_lossy().starts_with('.');
        if entry.is_dir() && !hidden {
            folders.push(entry);
        } else if name.as_os_str() == "stimuli.tsv" || is_image(&name, &entry)? {
            return Ok(None);
        }
    }
    if folders.is_empty() {
        return Ok(None);
    }
    folders.sort_by(|a, b| natural_order(&text(a), &text(b)));
    let (mut parts, mut classes, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    for (class, folder) in folders.iter().enumerate() {
        let part = open(folder)?;
        labels.extend(std::iter::repeat_n(class, part.n_images()));
        classes.push(text(Path::new(folder.file_name().unwrap_or_default())));
        parts.push(part);
    }
    let images = Box::new(Joined::new(&classes, parts));
    Ok(Some(Classes { images, classes, labels }))
}

/// Sets of images, one after the other.
struct Joined {
    names: Vec<String>,
    warnings: Vec<Warning>,
    /// Each with where it begins.
    parts: Vec<(usize, Box<dyn ImageSource>)>,
}

impl Joined {
    fn new(classes: &[String], sources: Vec<Box<dyn ImageSource>>) -> Self {
        let mut joined = Self { names: vec![], warnings: vec![], parts: vec![] };
        for (class, source) in classes.iter().zip(sources) {
            let start = joined.names.len();
            joined.names.extend(source.names().iter().map(|name| format!("{class}/{name}")));
            joined.warnings.extend_from_slice(source.warnings());
            joined.parts.push((start, source));
        }
        joined
    }
}

impl ImageSource for Joined {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    fn read(&self, range: Range<usize>) -> Result<Vec<Array3<u8>>> {
        check_range(&range, self.names.len())?;
        let mut out = Vec::with_capacity(range.len());
        for (start, part) in &self.parts {
            let (from, to) = (range.start.max(*start), range.end.min(start + part.n_images()));
            if from < to {
                out.extend(part.read(from - start..to - start)?);
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::png;

    fn write(path: &Path, value: u8) {
        png::write(path, Array3::from_elem((3, 3, 3), value).view()).unwrap();
    }

    fn folder(root: &Path, name: &str, n: u8) {
        std::fs::create_dir(root.join(name)).unwrap();
        (0..n).for_each(|i| write(&root.join(name).join(format!("{i}.png")), 10 * n + i));
    }

    #[test]
    fn ranges_go_through_classes() {
        let dir = tempfile::tempdir().unwrap();
        for (name, n) in [("10-c", 3), ("2-b", 2), ("1-a", 4), (".hidden", 0)] {
            folder(dir.path(), name, n);
        }
        let found = open_classes(dir.path()).unwrap().unwrap();
        assert_eq!(found.classes, ["1-a", "2-b", "10-c"]);
        assert_eq!(found.labels, [0, 0, 0, 0, 1, 1, 2, 2, 2]);
        let values = |range: Range<usize>| -> Vec<u8> {
            found.images.read(range).unwrap().iter().map(|pixels| pixels[[0, 0, 0]]).collect()
        };
        assert_eq!(values(0..9), [40, 41, 42, 43, 20, 21, 30, 31, 32]);
        assert_eq!(values(3..7), [43, 20, 21, 30]);
        assert!(values(4..4).is_empty() && found.images.read(8..10).is_err());
    }

    #[test]
    fn only_folders_of_folders_are_classes() {
        let dir = tempfile::tempdir().unwrap();
        assert!(open_classes(dir.path()).unwrap().is_none());
        assert!(open_classes(&dir.path().join("none")).unwrap().is_none());
        folder(dir.path(), "a", 1);
        folder(dir.path(), "b", 0);
        let error = open_classes(dir.path()).err().unwrap().to_string();
        assert!(error.contains("/b") && error.contains("PNG or JPEG"), "{error}");
        write(&dir.path().join("own.png"), 1);
        assert!(open_classes(dir.path()).unwrap().is_none());
    }
}
