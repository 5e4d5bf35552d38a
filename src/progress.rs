//! Progress of long tasks, told to whoever wants to know.

use std::fmt;
use std::sync::Arc;

/// Something that shows progress: a terminal, a notebook, a log.
pub trait Watch: Send + Sync {
    /// A task of `total` units begins; `done` of them were done by an earlier process.
    fn begin(&self, task: &str, total: u64, done: u64) -> Box<dyn Track>;
}

/// One task that is being shown.
pub trait Track: Send {
    /// `done` units are done; `message` says how the task stands, if it is wanted.
    fn advance(&mut self, done: u64, message: &mut dyn FnMut() -> String);

    /// The task is over.
    fn end(&mut self) {}
}

/// Where progress goes; nowhere by default.
#[derive(Clone, Default)]
pub struct Sink(Option<Arc<dyn Watch>>);

impl Sink {
    /// Progress goes there.
    pub fn new(watch: impl Watch + 'static) -> Self {
        Self(Some(Arc::new(watch)))
    }

    /// The same for the parts of a larger task, each called `within: task`.
    pub fn within(&self, within: impl Into<String>) -> Self {
        let within = within.into();
        Self(self.0.clone().map(|watch| Arc::new(Within { watch, within }) as Arc<dyn Watch>))
    }
}

struct Within {
    watch: Arc<dyn Watch>,
    within: String,
}

impl Watch for Within {
    fn begin(&self, task: &str, total: u64, done: u64) -> Box<dyn Track> {
        self.watch.begin(&format!("{}: {task}", self.within), total, done)
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Sink(watched)" } else { "Sink(silent)" })
    }
}

/// Progress of one task.
pub struct Progress {
    track: Option<Box<dyn Track>>,
    done: u64,
}

impl Progress {
    /// `total` units of work, `skipped` of them done earlier.
    pub fn new(sink: &Sink, task: impl AsRef<str>, total: u64, skipped: u64) -> Self {
        Self { track: sink.0.as_ref().map(|watch| watch.begin(task.as_ref(), total, skipped)), done: skipped }
    }

    /// One more unit is done; `message` says how it stands.
    pub fn tick(&mut self, message: impl FnOnce() -> String) {
        self.done += 1;
        if let Some(track) = &mut self.track {
            let mut message = Some(message);
            track.advance(self.done, &mut || message.take().map(|m| m()).unwrap_or_default());
        }
    }

    /// The task is over.
    pub fn finish(mut self) {
        if let Some(track) = &mut self.track {
            track.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<String>>>);

    impl Watch for Log {
        fn begin(&self, task: &str, total: u64, done: u64) -> Box<dyn Track> {
            self.0.lock().unwrap().push(format!("{task} {done}/{total}"));
            Box::new(self.clone())
        }
    }

    impl Track for Log {
        fn advance(&mut self, done: u64, message: &mut dyn FnMut() -> String) {
            self.0.lock().unwrap().push(format!("{done} {}", message()));
        }

        fn end(&mut self) {
            self.0.lock().unwrap().push("end".into());
        }
    }

    #[test]
    fn a_watch_hears_of_every_unit_and_nobody_of_a_silent_one() {
        let log = Log::default();
        let mut progress = Progress::new(&Sink::new(log.clone()), "steps", 5, 3);
        progress.tick(|| "so far".into());
        progress.finish();
        assert_eq!(*log.0.lock().unwrap(), ["steps 3/5", "4 so far", "end"]);
        let mut silent = Progress::new(&Sink::default(), "steps", 5, 0);
        silent.tick(|| unreachable!("nobody asked"));
        silent.finish();
        Progress::new(&Sink::new(log.clone()).within("2 of 3"), "steps", 5, 0).finish();
        assert_eq!(log.0.lock().unwrap()[3], "2 of 3: steps 0/5");
    }
}
