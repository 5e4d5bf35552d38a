//! Work on centres that is watched: its progress is shown, and a signal stops it.

use crate::job::Session;
use crate::progress::Progress;
use std::sync::Mutex;

/// Shows how many of `total` centres are done while `work` runs; what it tells them returns false
/// when a signal has arrived.
pub fn watched<T>(
    session: &Session,
    name: &'static str,
    total: usize,
    work: impl FnOnce(&(dyn Fn(usize) -> bool + Sync)) -> T,
) -> T {
    let progress = Mutex::new(Progress::new(&session.progress, name, total as u64, 0));
    let found = work(&|count| {
        if let Ok(mut progress) = progress.lock() {
            (0..count).for_each(|_| progress.tick(|| "centres".into()));
        }
        !session.cancel.requested()
    });
    progress.into_inner().map(|p| p.finish()).ok();
    found
}
