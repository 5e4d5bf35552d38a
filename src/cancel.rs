//! A request to stop, as a value.

use crate::error::{Error, Result};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Asks work to end in good order: the step at hand is finished, a checkpoint written, and
/// [`Error::Interrupted`] returned. Clones ask for the same.
///
/// ```
/// let cancel = orthoscope::Cancel::default();
/// let of_the_work = cancel.clone();
/// assert!(of_the_work.check().is_ok());
/// cancel.cancel();
/// assert!(of_the_work.requested() && of_the_work.check().is_err());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks; any number of times, from any thread.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether somebody has asked.
    pub fn requested(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// For `?` between two steps; the run directory puts its own path into the error.
    ///
    /// # Errors
    /// [`Error::Interrupted`] once somebody has asked.
    pub fn check(&self) -> Result<()> {
        if self.requested() { Err(Error::Interrupted { dir: PathBuf::new() }) } else { Ok(()) }
    }
}
