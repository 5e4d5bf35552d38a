//! One progress reporter: a bar on a terminal, a line every few seconds elsewhere, both with the time left.

use indicatif::{ProgressBar, ProgressStyle as BarStyle};
use serde::{Deserialize, Serialize};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProgressStyle {
    /// A bar on a terminal, lines elsewhere.
    #[default]
    Auto,
    Bar,
    Lines,
    None,
}

/// Seconds between two lines.
const EVERY: Duration = Duration::from_secs(5);

/// Progress of one long task.
pub struct Progress {
    bar: Option<ProgressBar>,
    lines: bool,
    label: String,
    total: u64,
    done: u64,
    /// Work done before this process: a resumed run must not count it as its own speed.
    skipped: u64,
    began: Instant,
    last_line: Option<Instant>,
}

impl Progress {
    /// `total` units of work, `skipped` of them done earlier.
    pub fn new(style: ProgressStyle, label: impl Into<String>, total: u64, skipped: u64) -> Self {
        let label = label.into();
        let on_terminal = std::io::stderr().is_terminal();
        let draw = style == ProgressStyle::Bar || (style == ProgressStyle::Auto && on_terminal);
        let bar = draw.then(|| {
            let bar = ProgressBar::new(total).with_position(skipped);
            let template = "{prefix} {wide_bar} {pos}/{len} {msg} {eta} left";
            bar.set_style(BarStyle::with_template(template).unwrap_or_else(|_| BarStyle::default_bar()));
            bar.set_prefix(label.clone());
            bar
        });
        let lines = style == ProgressStyle::Lines || (style == ProgressStyle::Auto && !on_terminal);
        Self { bar, lines, label, total, done: skipped, skipped, began: Instant::now(), last_line: None }
    }

    /// One more unit is done; `message` says how it stands.
    pub fn tick(&mut self, message: impl FnOnce() -> String) {
        self.done += 1;
        if let Some(bar) = &self.bar {
            bar.set_position(self.done);
            bar.set_message(message());
        } else if self.lines && self.due() {
            eprintln!("{} {}/{} {} {} left", self.label, self.done, self.total, message(), clock(self.left()));
            self.last_line = Some(Instant::now());
        }
    }

    fn due(&self) -> bool {
        let since = self.last_line.unwrap_or(self.began);
        self.done == self.total || since.elapsed() >= EVERY
    }

    fn left(&self) -> Duration {
        let own = self.done.saturating_sub(self.skipped).max(1);
        self.began.elapsed().mul_f64(self.total.saturating_sub(self.done) as f64 / own as f64)
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// `1 h 02 min`, `3 min 20 s` or `12 s`.
pub fn clock(time: Duration) -> String {
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
