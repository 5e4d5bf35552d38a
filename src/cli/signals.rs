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
                super::say_lines("\nfinishing the step and writing a checkpoint (Ctrl-C again stops at once)");
            }
            cancel.cancel();
        }
    });
}

/// Elsewhere a signal ends the process; what was written before is whole.
#[cfg(not(unix))]
pub fn listen(_cancel: &Cancel) {}
