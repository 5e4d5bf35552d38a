//! SIGINT, SIGTERM and SIGHUP finish the current step, write the checkpoint, and end with exit code 75.

use crate::error::{Error, Result};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

static SIGNALS: AtomicUsize = AtomicUsize::new(0);

/// Starts listening; a second signal ends the process at once (its checkpoint on disk is intact, writes are atomic).
pub fn install() {
    let handler = || {
        if SIGNALS.fetch_add(1, Ordering::SeqCst) > 0 {
            std::process::exit(130);
        }
        eprintln!("\nfinishing the step and writing a checkpoint (again to stop at once)");
    };
    // A second installation in one process (tests) keeps the first handler, which does the same.
    ctrlc::set_handler(handler).ok();
}

/// True once a signal has arrived.
pub fn requested() -> bool {
    SIGNALS.load(Ordering::SeqCst) > 0
}

/// The error that ends a job once a signal has arrived; the run directory puts its own path in.
///
/// # Errors
/// [`Error::Interrupted`].
pub fn check() -> Result<()> {
    if requested() { Err(Error::Interrupted { dir: PathBuf::new() }) } else { Ok(()) }
}
