//! One row a reader: its file, honest examples of it, and what reads it.

mod checkpoints;
mod compression;
mod encoding;
mod images;
mod itself;
mod networks;
mod plans;
mod tables;
mod volumes;

use ndarray::Array3;
use orthoscope::Result;
use std::path::Path;

/// Whatever reads a file of some format.
pub struct Reader {
    pub name: &'static str,
    /// What mutants are called; the ending says how they are packed.
    pub file: &'static str,
    /// Honest files, which must be read.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Writes what lies beside the mutants.
    pub beside: fn(&Path),
    /// Whether it reads from the disk.
    pub on_disk: bool,
    pub read: fn(&Input<'_>) -> Result<()>,
}

/// A mutant.
pub struct Input<'a> {
    pub bytes: &'a [u8],
    /// Where it lies, if its reader reads from the disk.
    pub path: &'a Path,
}

impl Reader {
    /// A reader of files that need nothing beside them.
    const fn of_files(
        name: &'static str,
        file: &'static str,
        seeds: fn() -> Vec<Vec<u8>>,
        read: fn(&Input<'_>) -> Result<()>,
    ) -> Self {
        Self { name, file, seeds, beside: |_| {}, on_disk: true, read }
    }

    /// A reader of bytes.
    const fn of_bytes(
        name: &'static str,
        file: &'static str,
        seeds: fn() -> Vec<Vec<u8>>,
        read: fn(&Input<'_>) -> Result<()>,
    ) -> Self {
        Self { on_disk: false, ..Self::of_files(name, file, seeds, read) }
    }
}

/// Those that must be found out.
pub fn wicked() -> &'static [Reader] {
    itself::READERS
}

pub fn all() -> Vec<Reader> {
    [
        volumes::READERS,
        images::READERS,
        tables::READERS,
        networks::READERS,
        encoding::READERS,
        checkpoints::READERS,
        compression::READERS,
        plans::READERS,
    ]
    .into_iter()
    .flat_map(<[Reader]>::iter)
    .map(|r| Reader { ..*r })
    .collect()
}

/// The bytes that something writes to a file called `name`.
fn written(name: &str, write: impl FnOnce(&Path)) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(name);
    write(&path);
    std::fs::read(&path).expect("it was written")
}

/// The first answer, if there is one; else the first error.
fn any(answers: impl IntoIterator<Item = Result<()>>) -> Result<()> {
    let mut answers = answers.into_iter();
    let first = answers.next().unwrap_or(Ok(()));
    if first.is_ok() { first } else { answers.find(Result::is_ok).unwrap_or(first) }
}

/// A picture with something on it.
fn picture(height: usize, width: usize) -> Array3<u8> {
    Array3::from_shape_fn((height, width, 3), |(y, x, c)| (37 * y + 91 * x + 50 * c) as u8)
}

/// A file of the golden values.
fn golden(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    std::fs::read(path).expect("it belongs to the repository")
}
