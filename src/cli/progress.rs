//! Progress on a terminal as a bar, elsewhere as a line every five seconds at most, both with the time left.

use crate::data::shown;
use crate::progress::{Sink, Track, Watch};
use indicatif::{ProgressBar, ProgressStyle as BarStyle};
use serde::{Deserialize, Serialize};
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Style {
    /// A bar on a terminal, lines elsewhere.
    #[default]
    Auto,
    Bar,
    Lines,
    None,
}

impl Style {
    /// Where progress of this style goes.
    pub fn sink(self) -> Sink {
        let on_terminal = std::io::stderr().is_terminal();
        match self {
            Self::Bar => Sink::new(Bars),
            Self::Lines => Sink::new(Lines::default()),
            Self::Auto if on_terminal => Sink::new(Bars),
            Self::Auto => Sink::new(Lines::default()),
            Self::None => Sink::default(),
        }
    }
}

struct Bars;

impl Watch for Bars {
    fn begin(&self, task: &str, total: u64, done: u64) -> Box<dyn Track> {
        let bar = ProgressBar::new(total).with_position(done);
        let template = "{prefix} {wide_bar} {pos}/{len} {msg} {eta} left";
        bar.set_style(BarStyle::with_template(template).unwrap_or_else(|_| BarStyle::default_bar()));
        bar.set_prefix(shown::line(task).into_owned());
        Box::new(Bar(bar))
    }
}

struct Bar(ProgressBar);

impl Track for Bar {
    fn advance(&mut self, done: u64, message: &mut dyn FnMut() -> String) {
        self.0.set_position(done);
        self.0.set_message(shown::line(&message()).into_owned());
    }

    fn end(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Lines of all tasks: when the last one was said, or the first task began.
#[derive(Default)]
struct Lines(Arc<Mutex<Option<Instant>>>);

impl Watch for Lines {
    fn begin(&self, task: &str, total: u64, done: u64) -> Box<dyn Track> {
        let began = Instant::now();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(began);
        Box::new(Line { task: task.into(), total, skipped: done, began, last: self.0.clone() })
    }
}

/// Time between two lines, whatever their tasks: short ones, of which there may be hundreds, have none.
const EVERY: Duration = Duration::from_secs(5);

struct Line {
    task: String,
    total: u64,
    /// Work done before this process: a resumed run must not count it as its own speed.
    skipped: u64,
    began: Instant,
    last: Arc<Mutex<Option<Instant>>>,
}

impl Track for Line {
    fn advance(&mut self, done: u64, message: &mut dyn FnMut() -> String) {
        if self.is_due(Instant::now()) {
            super::say(format_args!(
                "{} {done}/{} {} {} left",
                self.task,
                self.total,
                message(),
                clock(self.left(done))
            ));
        }
    }
}

impl Line {
    /// Whether nothing was said for so long; notes it.
    fn is_due(&self, now: Instant) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| now.duration_since(last) >= EVERY);
        if due {
            *last = Some(now);
        }
        due
    }

    fn left(&self, done: u64) -> Duration {
        let own = done.saturating_sub(self.skipped).max(1);
        self.began.elapsed().mul_f64(self.total.saturating_sub(done) as f64 / own as f64)
    }
}

/// `1 h 02 min`, `3 min 20 s` or `12 s`.
fn clock(time: Duration) -> String {
    let s = time.as_secs();
    match (s / 3600, s / 60 % 60, s % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s:02} s"),
        (h, m, _) => format!("{h} h {m:02} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hundreds of short tasks say no more than one long one.
    #[test]
    fn all_tasks_share_their_lines() {
        let began = Instant::now();
        let lines = Arc::new(Mutex::new(Some(began)));
        let task = || Line { task: "t".into(), total: 1, skipped: 0, began, last: lines.clone() };
        let said = (1..=440).filter(|i| task().is_due(began + Duration::from_millis(16 * i))).count();
        assert_eq!(said, 1, "440 tasks in 7 s");
        assert!(task().is_due(began + Duration::from_secs(13)) && !task().is_due(began + Duration::from_secs(14)));
    }

    #[test]
    fn clocks_read_well() {
        assert_eq!(clock(Duration::from_secs(12)), "12 s");
        assert_eq!(clock(Duration::from_secs(200)), "3 min 20 s");
        assert_eq!(clock(Duration::from_secs(3720)), "1 h 02 min");
    }
}
