//! Features of earlier runs, kept on the disk.

use super::reduction::Reduction;
use super::table::Table;
use crate::encoding::folds::Rows;
use crate::error::{Error, Result};
use crate::io::sealed;
use crate::warning::Warning;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Raised whenever the same images, weights, tap and reduction give other numbers.
const FORMAT: u32 = 1;

/// How the names of entries end.
const ENDING: &str = "features";

/// What features depend on, beside tap and reduction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Hash of the set of images.
    pub images: String,
    /// Hash of the network's weights.
    pub weights: String,
    /// How images are brought to the input size.
    pub resize: String,
    /// What runs the network: other instructions round differently.
    pub executor: String,
}

/// A folder of features: one sealed file (`io::sealed`) for each tap and reduction, named by the BLAKE3
/// of everything that its numbers depend on: images, weights, resizing, executor, tap, reduction,
/// the rows that units were z-scored on where they were, and the format's version.
///
/// An entry that is damaged is computed again, with a warning. Any file, and the folder, may be removed at
/// any time: that is how the cache is cleared. With a limit, the entries that were written first go
/// when a new one would not fit; an entry that alone is larger is not kept.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
    limit: Option<u64>,
}

impl Cache {
    /// A folder, made when the first entry is written, of at most so many bytes.
    pub fn new(folder: &Path, limit: Option<u64>) -> Self {
        Self { folder: folder.into(), limit }
    }

    /// The file of a tap's features; `rows` where the reduction learns while they are extracted.
    pub fn path(&self, identity: &Identity, tap: &str, reduction: &Reduction, rows: Option<&Rows>) -> PathBuf {
        let mut hasher = blake3::Hasher::new();
        let reduction = serde_json::to_string(reduction).expect("options become JSON");
        let rows = rows.map_or("all".into(), |rows| format!("{rows} of {}", rows.n_samples()));
        let Identity { images, weights, resize, executor } = identity;
        let parts = [images, weights, resize, executor, tap, &reduction, &rows, &FORMAT.to_string()];
        for part in parts {
            // Lengths keep two parts from being read as others.
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        self.folder.join(format!("{}.{ENDING}", hasher.finalize().to_hex()))
    }

    /// The features in a file of [`path`](Self::path), if they are there and whole.
    pub(super) fn get(&self, path: &Path, tap: &str, warnings: &mut Vec<Warning>) -> Option<Table> {
        let why = match sealed::read(path) {
            Ok(None) => return None,
            Ok(Some(bytes)) => match Table::decode(&bytes) {
                Some(table) => return Some(table),
                None => "it holds no features".to_owned(),
            },
            Err(error) => error.to_string(),
        };
        let text = format!("{tap}: its features in the cache cannot be used and are computed again ({why})");
        warnings.push(Warning::Note { text });
        None
    }

    /// Keeps features; where that fails there is a warning, and nothing else.
    pub(super) fn put(&self, path: &Path, tap: &str, table: &Table, warnings: &mut Vec<Warning>) {
        let bytes = table.encode();
        let why = match self.limit {
            Some(limit) if bytes.len() as u64 > limit => {
                Some(format!("{} bytes, and the cache may hold {limit}", bytes.len()))
            }
            _ => self.write(path, &bytes).err().map(|error| error.to_string()),
        };
        if let Some(why) = why {
            warnings.push(Warning::Note { text: format!("{tap}: its features were not kept in the cache ({why})") });
        }
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        std::fs::create_dir_all(&self.folder).map_err(Error::io(&self.folder, "make"))?;
        if let Some(limit) = self.limit {
            self.make_room(limit.saturating_sub(bytes.len() as u64));
        }
        sealed::write(path, bytes)
    }

    /// Removes entries, those written first, until no more than `most` bytes are left.
    fn make_room(&self, most: u64) {
        let mut entries = self.entries();
        entries.sort();
        let mut total: u64 = entries.iter().map(|(_, _, size)| size).sum();
        for (_, path, size) in entries {
            if total <= most {
                return;
            }
            if std::fs::remove_file(&path).is_ok() {
                total -= size;
            }
        }
    }

    /// When each entry was written, where and how large.
    fn entries(&self) -> Vec<(SystemTime, PathBuf, u64)> {
        let files = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let entry = |file: std::fs::DirEntry| {
            let (path, about) = (file.path(), file.metadata().ok()?);
            let own = path.extension().is_some_and(|e| e == ENDING) && about.is_file();
            own.then(|| (about.modified().unwrap_or(SystemTime::UNIX_EPOCH), path, about.len()))
        };
        files.filter_map(entry).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    fn identity() -> Identity {
        let text = |s: &str| s.to_owned();
        Identity { images: text("i"), weights: text("w"), resize: text("stretch"), executor: text("e") }
    }

    #[test]
    fn every_part_of_the_key_counts() {
        let cache = Cache::new(Path::new("c"), None);
        let rows = Rows::all(3).unwrap();
        let mut paths = vec![cache.path(&identity(), "conv1", &Reduction::Flat, None)];
        for other in [
            Identity { images: "iw".into(), ..identity() },
            Identity { weights: "v".into(), ..identity() },
            Identity { resize: "crop".into(), ..identity() },
            Identity { executor: "f".into(), ..identity() },
            Identity { images: "".into(), weights: "iw".into(), ..identity() },
        ] {
            paths.push(cache.path(&other, "conv1", &Reduction::Flat, None));
        }
        paths.push(cache.path(&identity(), "conv2", &Reduction::Flat, None));
        paths.push(cache.path(&identity(), "conv1", &Reduction::SpatialMean, None));
        paths.push(cache.path(&identity(), "conv1", &Reduction::Flat, Some(&rows)));
        let distinct: std::collections::BTreeSet<_> = paths.iter().collect();
        assert_eq!(distinct.len(), paths.len());
    }

    #[test]
    fn damaged_entries_are_not_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(&dir.path().join("new/folder"), None);
        let (table, mut warnings) = (Table::Features(Array2::ones((3, 4))), vec![]);
        let path = cache.path(&identity(), "conv1", &Reduction::Flat, None);
        assert!(cache.get(&path, "conv1", &mut warnings).is_none());
        cache.put(&path, "conv1", &table, &mut warnings);
        assert_eq!(cache.get(&path, "conv1", &mut warnings).unwrap(), table);
        assert!(warnings.is_empty());
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert!(cache.get(&path, "conv1", &mut warnings).is_none());
        sealed::write(&path, b"{}\n").unwrap();
        assert!(cache.get(&path, "conv1", &mut warnings).is_none());
        assert_eq!(warnings.len(), 2);
        assert!(warnings[0].to_string().contains("conv1: its features in the cache cannot be used"), "{}", warnings[0]);
    }

    #[test]
    fn the_folder_stays_below_its_limit() {
        let dir = tempfile::tempdir().unwrap();
        let table = Table::Features(Array2::ones((10, 25)));
        let size = table.encode().len() as u64 + 48;
        let cache = Cache::new(dir.path(), Some(2 * size + 10));
        std::fs::write(dir.path().join("notes.txt"), [0; 5000]).unwrap();
        let mut warnings = vec![];
        let path = |tap: &str| cache.path(&identity(), tap, &Reduction::Flat, None);
        for (i, tap) in ["a", "b", "c"].into_iter().enumerate() {
            cache.put(&path(tap), tap, &table, &mut warnings);
            let file = std::fs::OpenOptions::new().append(true).open(path(tap)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(i as u64)).unwrap();
        }
        assert_eq!(["a", "b", "c"].map(|tap| path(tap).exists()), [false, true, true]);
        assert!(dir.path().join("notes.txt").exists() && warnings.is_empty());
        cache.put(&path("d"), "d", &Table::Features(Array2::ones((10, 100))), &mut warnings);
        assert!(warnings[0].to_string().contains("not kept") && path("b").exists() && !path("d").exists());
    }
}
