//! What every run is given besides its configuration.

use crate::cancel::Cancel;
use crate::progress::Sink;
use std::path::PathBuf;
use std::time::Instant;

/// What does not change a run's results, and so is not part of its configuration.
#[derive(Debug, Clone)]
pub struct Session {
    /// Run directory.
    pub out: PathBuf,
    /// Check everything, describe the plan, write nothing.
    pub dry_run: bool,
    /// Continue the directory if it holds an unfinished run of the same configuration.
    pub resume: bool,
    /// Replace an earlier run in the directory; with `resume`, only where it cannot be continued.
    pub force: bool,
    /// Asks the run to end with a checkpoint.
    pub cancel: Cancel,
    /// Where progress goes.
    pub progress: Sink,
    /// When the session began.
    pub began: Instant,
}

impl Session {
    /// A session that writes to `out`, shows nothing and refuses to touch an earlier run.
    pub fn new(out: impl Into<PathBuf>) -> Self {
        Self {
            out: out.into(),
            dry_run: false,
            resume: false,
            force: false,
            cancel: Cancel::default(),
            progress: Sink::default(),
            began: Instant::now(),
        }
    }

    /// Seconds since the session began, to a millisecond.
    pub fn seconds(&self) -> f64 {
        (self.began.elapsed().as_secs_f64() * 1e3).round() / 1e3
    }
}
