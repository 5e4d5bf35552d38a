//! The library's one error type.
//!
//! Every message reads `where: expected X, found Y`; [`Error::hint`] says in one line what to do
//! about it. The process's exit code is decided here too ([`Error::exit_code`]), so that scripts
//! can depend on it.

use std::path::{Path, PathBuf};

/// Result with the library's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, grouped by whose turn it is to act.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // ---- what the user gave
    /// A value, shape or option that cannot be used.
    #[error("{at}: expected {expected}, found {found}")]
    Invalid { at: String, expected: String, found: String, hint: String },

    /// A tap that the network does not have.
    #[error("{network}: expected the name of a tap, found `{name}`")]
    UnknownTap { network: String, name: String, nearest: Vec<String> },

    /// A layer type that an importer does not know.
    #[error("{file}: expected a supported operator, found `{op}` at node `{node}`")]
    UnsupportedOp { file: String, node: String, op: String, hint: String },

    /// A file that is truncated, damaged or of another type than its name says.
    #[error("{}: expected {expected}, found {found}", path.display())]
    Corrupt { path: PathBuf, expected: String, found: String, hint: String },

    /// A run directory that belongs to another configuration, or that would be overwritten.
    #[error("{}: expected {expected}, found {found}", path.display())]
    RunDir { path: PathBuf, expected: String, found: String, hint: String },

    // ---- the machine
    /// Reading or writing failed.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io { path: PathBuf, action: &'static str, source: std::io::Error },

    // ---- neither: the work stopped in good order
    /// A signal arrived; the checkpoint in `dir` holds everything done so far.
    #[error("{}: interrupted; a checkpoint was written", dir.display())]
    Interrupted { dir: PathBuf },
}

impl Error {
    /// A bad value: `at: expected X, found Y`, and what to do.
    pub fn invalid(
        at: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::Invalid { at: at.into(), expected: expected.into(), found: found.into(), hint: hint.into() }
    }

    /// A damaged or mistyped file.
    pub fn corrupt(
        path: impl AsRef<Path>,
        expected: impl Into<String>,
        found: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::Corrupt {
            path: path.as_ref().to_path_buf(),
            expected: expected.into(),
            found: found.into(),
            hint: hint.into(),
        }
    }

    /// A failed file operation; for use in `map_err(Error::io(path, "read"))`.
    pub fn io(path: impl AsRef<Path>, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io { path, action, source }
    }

    /// One line that says what to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Invalid { hint, .. }
            | Self::UnsupportedOp { hint, .. }
            | Self::Corrupt { hint, .. }
            | Self::RunDir { hint, .. } => (!hint.is_empty()).then(|| hint.clone()),
            Self::UnknownTap { nearest, .. } if nearest.is_empty() => {
                Some("`orthoscope models inspect MODEL` lists the taps".into())
            }
            Self::UnknownTap { nearest, .. } => Some(format!(
                "did you mean {}? `orthoscope models inspect MODEL` lists all taps",
                nearest.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
            )),
            Self::Io { source, .. } => io_hint(source),
            Self::Interrupted { dir } => Some(format!("continue with: orthoscope resume {}", dir.display())),
        }
    }

    /// 2: bad usage or bad input, nothing was written; 75: interrupted with a checkpoint; 1:
    /// anything else.
    pub fn exit_code(&self) -> u8 {
        use std::io::ErrorKind as K;
        match self {
            Self::Invalid { .. }
            | Self::UnknownTap { .. }
            | Self::UnsupportedOp { .. }
            | Self::Corrupt { .. }
            | Self::RunDir { .. } => 2,
            Self::Io { source, .. } => match source.kind() {
                K::NotFound | K::PermissionDenied | K::NotADirectory | K::ReadOnlyFilesystem | K::AlreadyExists => 2,
                K::IsADirectory | K::InvalidFilename | K::InvalidInput => 2,
                _ => 1,
            },
            Self::Interrupted { .. } => 75,
        }
    }
}

fn io_hint(source: &std::io::Error) -> Option<String> {
    use std::io::ErrorKind as K;
    let hint = match source.kind() {
        K::NotFound | K::NotADirectory | K::InvalidInput => "check the path",
        K::InvalidFilename => "the path, or a name in it, is longer than the file system allows: shorten it",
        K::PermissionDenied | K::ReadOnlyFilesystem => {
            "choose a folder that you may write to, or change its permissions"
        }
        K::StorageFull | K::QuotaExceeded => {
            "free some space, then continue with `orthoscope resume DIR`: nothing written before is lost"
        }
        _ => return None,
    };
    Some(hint.into())
}
