//! Progress on a terminal as a bar, elsewhere as a line every few seconds, both with the time left.

use crate::data::shown;
use crate::progress::{Sink, Track, Watch};
use indicatif::{ProgressBar, ProgressStyle as BarStyle};
use serde::{Deserialize, Serialize};
use std::io::IsTerminal;
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
            Self::Lines => Sink::new(Lines),
            Self::Auto if on_terminal => Sink::new(Bars),
            Self::Auto => Sink::new(Lines),
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

struct Lines;

impl Watch for Lines {
    fn begin(&self, task: &str, total: u64, done: u64) -> Box<dyn Track> {
        Box::new(Line { task: task.into(), total, skipped: done, began: Instant::now(), last: None })
    }
}

/// Time between two lines.
const EVERY: Duration = Duration::from_secs(5);

struct Line {
    task: String,
    total: u64,
    /// Work done before this process: a resumed run must not count it as its own speed.
    skipped: u64,
    began: Instant,
    last: Option<Instant>,
}

impl Track for Line {
    fn advance(&mut self, done: u64, message: &mut dyn FnMut() -> String) {
        let since = self.last.unwrap_or(self.began);
        if done == self.total || since.elapsed() >= EVERY {
            super::say(format_args!(
                "{} {done}/{} {} {} left",
                self.task,
                self.total,
                message(),
                clock(self.left(done))
            ));
            self.last = Some(Instant::now());
        }
    }
}

impl Line {
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

    #[test]
    fn clocks_read_well() {
        assert_eq!(clock(Duration::from_secs(12)), "12 s");
        assert_eq!(clock(Duration::from_secs(200)), "3 min 20 s");
        assert_eq!(clock(Duration::from_secs(3720)), "1 h 02 min");
    }
}
