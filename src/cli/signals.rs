//! Signals ask a job to finish its step and write a checkpoint; only a second Ctrl-C ends the
//! process at once.

use crate::cancel::Cancel;

/// SIGINT, SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2 ask `cancel`; batch systems deliver theirs more
/// than once.
///
/// A second SIGINT exits with 130: checkpoints are written atomically, so the last one is whole.
#[cfg(unix)]
pub fn listen(cancel: &Cancel) {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
    use std::io::Write;
    let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2]) else {
        return;
    };
    let cancel = cancel.clone();
    std::thread::spawn(move || {
        let mut interrupted = false;
        for signal in signals.forever() {
            if signal == SIGINT && interrupted {
                std::process::exit(130);
            }
            interrupted |= signal == SIGINT;
            if !cancel.requested() {
                // Standard error may be gone with the terminal that sent the signal.
                writeln!(
                    std::io::stderr(),
                    "\nfinishing the step and writing a checkpoint (Ctrl-C again stops at once)"
                )
                .ok();
            }
            cancel.cancel();
        }
    });
}

/// Elsewhere a signal ends the process; what was written before is whole.
#[cfg(not(unix))]
pub fn listen(_cancel: &Cancel) {}
