//! One process at a time in a run directory.

use crate::error::{Error, Result};
use std::fs::{File, TryLockError};
use std::path::Path;

/// Name of the file that a writing process holds.
pub(super) const NAME: &str = ".lock";

/// Takes the directory, which is created where it is not there, for this process; `None` on file
/// systems that cannot lock.
pub(super) fn take(root: &Path) -> Result<Option<File>> {
    std::fs::create_dir_all(root).map_err(Error::io(root, "create"))?;
    let at = root.join(NAME);
    let file = File::options().create(true).append(true).open(&at).map_err(Error::io(&at, "write"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(Error::RunDir {
            path: root.to_path_buf(),
            expected: "a run directory that nobody is writing".into(),
            found: "another process at work in it".into(),
            hint: "wait for it or stop it (Ctrl-C writes a checkpoint), or choose another `out`".into(),
        }),
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

/// Takes the file away. It is still held then: whoever comes now makes one of its own, and must
/// find everything done.
pub(super) fn release(root: &Path) {
    std::fs::remove_file(root.join(NAME)).ok();
}
