//! Atomic writes: a temporary file in the same folder, fsync, rename. A reader sees the old file or
//! the new one, never half.

use crate::error::{Error, Result};
use std::io::{BufWriter, Write};
use std::path::Path;

/// Names of temporary files begin and end so.
const PREFIX: &str = ".orthoscope-";
const SUFFIX: &str = ".part";

/// Whether a name is that of a temporary file of this program.
pub fn is_temporary(name: &std::ffi::OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX))
}

/// Removes temporary files that processes left in a folder when they were killed. Nobody may be
/// writing there.
pub fn sweep(folder: &Path) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| is_temporary(&entry.file_name())).for_each(|entry| {
        std::fs::remove_file(entry.path()).ok();
    });
}

/// Brings renames in a folder to the disk; a file system without this is still consistent.
pub fn sync_folder(folder: &Path) {
    if let Ok(dir) = std::fs::File::open(folder) {
        dir.sync_all().ok();
    }
}

/// Writes a file through `write`; on any error the file that was there before is untouched.
///
/// # Errors
/// [`Error::Io`] when the folder cannot be written to, the disk is full, or `write` fails.
pub fn write_with(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&std::fs::File>) -> std::io::Result<()>,
) -> Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let temporary =
        tempfile::Builder::new().prefix(PREFIX).suffix(SUFFIX).tempfile_in(folder).map_err(Error::io(path, "write"))?;
    let mut buffer = BufWriter::with_capacity(1 << 16, temporary.as_file());
    write(&mut buffer).and_then(|()| buffer.flush()).map_err(Error::io(path, "write"))?;
    drop(buffer);
    temporary.as_file().sync_all().map_err(Error::io(path, "write"))?;
    set_readable(temporary.as_file());
    temporary.persist(path).map_err(|e| Error::io(path, "write")(e.error))?;
    sync_folder(folder);
    Ok(())
}

/// Writes bytes atomically; see [`write_with`].
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_with(path, |file| file.write_all(bytes))
}

/// Temporary files are private (0600); results are ordinary files.
fn set_readable(file: &std::fs::File) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(std::fs::Permissions::from_mode(0o644)).ok();
    }
    #[cfg(not(unix))]
    let _ = file;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.b.txt");
        write(&path, b"old").unwrap();
        let failed = write_with(&path, |f| {
            f.write_all(b"new, half")?;
            Err(std::io::Error::from(std::io::ErrorKind::StorageFull))
        });
        assert_eq!(failed.unwrap_err().exit_code(), 1);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file stays behind");
    }
}
