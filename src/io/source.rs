//! The one place where files that a user names are opened for reading, so that a file that is read
//! is a file that is known: see [`recorded`].

use crate::error::{Error, Result};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

thread_local! {
    /// What the innermost [`recorded`] of this thread saw.
    static OPENED: RefCell<Option<BTreeSet<PathBuf>>> = const { RefCell::new(None) };
}

/// Does something, and tells which files were opened meanwhile on this thread, sorted.
///
/// Files of large sets, which are hashed as a set, are left out: see [`open_member`].
pub fn recorded<T>(work: impl FnOnce() -> T) -> (T, Vec<PathBuf>) {
    /// Gives the thread its record back, also where `work` panics.
    struct Outer(Option<BTreeSet<PathBuf>>);
    impl Drop for Outer {
        fn drop(&mut self) {
            OPENED.set(self.0.take());
        }
    }
    let outer = Outer(OPENED.replace(Some(BTreeSet::new())));
    let found = work();
    let opened = so_far();
    drop(outer);
    (found, opened)
}

/// What was opened since [`recorded`] began on this thread, sorted.
pub fn so_far() -> Vec<PathBuf> {
    OPENED.with_borrow(|opened| opened.iter().flatten().cloned().collect())
}

/// Opens a regular file (or a link to one): pipes and devices, which wait or never end, are refused
/// before they are opened.
///
/// # Errors
/// [`Error::Io`] when it is absent or unreadable; [`Error::Corrupt`] when it is something else.
pub fn open(path: &Path) -> Result<File> {
    let file = open_member(path)?;
    OPENED.with_borrow_mut(|opened| opened.as_mut().map(|all| all.insert(path.to_path_buf())));
    Ok(file)
}

/// As [`open`], for one file of a set whose hash the caller makes.
///
/// # Errors
/// As [`open`].
pub fn open_member(path: &Path) -> Result<File> {
    let about = about(path)?;
    if about.is_file() {
        return File::open(path).map_err(Error::io(path, "read"));
    }
    let (found, hint) = if about.is_dir() {
        ("a folder", "give a file in it")
    } else {
        ("a pipe, socket or device", "write its contents to a file and give that: a file can be read again")
    };
    Err(Error::corrupt(path, "a file", found, hint))
}

/// What a path leads to.
///
/// # Errors
/// [`Error::Io`] when nothing is there; [`Error::Corrupt`] for a link that leads nowhere.
pub fn about(path: &Path) -> Result<Metadata> {
    std::fs::metadata(path).map_err(|e| absent(path, e))
}

/// All bytes of a regular file.
///
/// # Errors
/// As [`open`]; [`Error::Io`] also where there is no memory for them.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    whole(open(path)?, path)
}

/// As [`read`], for one file of a set whose hash the caller makes.
///
/// # Errors
/// As [`read`].
pub fn read_member(path: &Path) -> Result<Vec<u8>> {
    whole(open_member(path)?, path)
}

fn whole(mut file: File, path: &Path) -> Result<Vec<u8>> {
    let length = file.metadata().as_ref().map_or(0, Metadata::len);
    let mut bytes = Vec::new();
    let room = usize::try_from(length).ok().and_then(|n| bytes.try_reserve_exact(n).ok());
    room.ok_or_else(|| Error::io(path, "read")(ErrorKind::OutOfMemory.into()))?;
    file.read_to_end(&mut bytes).map_err(Error::io(path, "read"))?;
    Ok(bytes)
}

/// All bytes of a regular file of a kind that is never large.
///
/// # Errors
/// As [`read`]; [`Error::Corrupt`] for a file of more than `most` bytes, before it is read.
pub fn small(path: &Path, most: u64, kind: &str) -> Result<Vec<u8>> {
    let file = open(path)?;
    let length = file.metadata().map_err(Error::io(path, "read"))?.len();
    if length <= most {
        return whole(file, path);
    }
    let expected = format!("{kind} of at most {} MB", most / 1_000_000);
    Err(Error::corrupt(path, expected, format!("{} MB", length / 1_000_000), "is this the file that was meant?"))
}

/// The text of a regular file, of at most [`MOST_TEXT`] bytes.
///
/// # Errors
/// As [`small`]; [`Error::Corrupt`] where it is not UTF-8.
pub fn text(path: &Path) -> Result<String> {
    String::from_utf8(small(path, MOST_TEXT, "text")?).map_err(|e| {
        let found = format!("another byte at position {}", e.utf8_error().valid_up_to());
        Error::corrupt(path, "text in UTF-8", found, "save it as UTF-8")
    })
}

/// Text that people write: configurations, model cards.
pub const MOST_TEXT: u64 = 16_000_000;

/// Says where a link leads that leads nowhere.
fn absent(path: &Path, error: std::io::Error) -> Error {
    match std::fs::read_link(path) {
        Ok(target) if error.kind() != ErrorKind::PermissionDenied => Error::corrupt(
            path,
            "a file",
            format!("a link to `{}`, which is not there", target.display()),
            "with git-annex or DataLad, `git annex get` or `datalad get` fetches the contents",
        ),
        _ => Error::io(path, "read")(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_are_opened() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.txt");
        std::fs::write(&file, "text").unwrap();
        assert_eq!(text(&file).unwrap(), "text");
        std::fs::write(&file, [b'a', 0xff]).unwrap();
        assert!(text(&file).unwrap_err().to_string().contains("position 1"));
        assert!(read(dir.path()).unwrap_err().to_string().contains("a folder"));
        assert_eq!(read(&dir.path().join("none")).unwrap_err().exit_code(), 2);
        assert_eq!(small(&file, 2, "JSON").unwrap(), [b'a', 0xff]);
        assert!(small(&file, 1, "JSON").unwrap_err().to_string().contains("JSON of at most 0 MB"));
        for odd in [dir.path().join("x".repeat(300)), "a\0b".into(), "d/".repeat(3000).into()] {
            assert_eq!(read(&odd).unwrap_err().exit_code(), 2, "{}", odd.display());
        }
    }

    #[test]
    fn what_is_read_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        ["a", "b", "c"].iter().for_each(|name| std::fs::write(at(name), name).unwrap());
        let ((), all) = recorded(|| {
            read(&at("b")).unwrap();
            let (_, inner) = recorded(|| read(&at("c")).unwrap());
            assert_eq!(inner, [at("c")]);
            text(&at("a")).unwrap();
            read_member(&at("c")).unwrap();
            read(&at("none")).unwrap_err();
        });
        assert_eq!(all, [at("a"), at("b")]);
        assert!(so_far().is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn links_to_nothing_and_devices_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("a.npy");
        std::os::unix::fs::symlink(".git/annex/objects/a.npy", &link).unwrap();
        let error = read(&link).unwrap_err();
        assert!(error.to_string().contains("annex/objects") && error.hint().unwrap().contains("annex get"), "{error}");
        let circle = dir.path().join("b.npy");
        std::os::unix::fs::symlink(&circle, &circle).unwrap();
        assert_eq!(read(&circle).unwrap_err().exit_code(), 2);
        assert!(read(Path::new("/dev/zero")).unwrap_err().to_string().contains("device"));
    }
}
