//! Arguments.

use crate::worker::Order;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, PartialEq, Clone, Copy)]
pub enum Mode {
    Bench,
    One,
    List,
    Worker,
}

#[derive(Debug, Clone)]
pub struct Args {
    pub mode: Mode,
    /// Parts of names of readers; all where it is empty.
    pub words: Vec<String>,
    pub seed: u64,
    pub from: u64,
    /// The first mutant that is not tried.
    pub to: u64,
    pub time: Duration,
    pub jobs: usize,
    pub folder: PathBuf,
    pub loud: bool,
}

/// Mutants of each reader where nothing is said, as in `cargo test`.
const FEW: u64 = 300;

impl Args {
    /// # Errors
    /// In words.
    pub fn parse(mut given: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut args = Self {
            mode: Mode::Bench,
            words: vec![],
            seed: 1,
            from: 0,
            to: FEW,
            time: Duration::MAX,
            jobs: std::thread::available_parallelism().map_or(1, |n| n.get().min(4)),
            folder: PathBuf::new(),
            loud: false,
        };
        let mut bounded = false;
        while let Some(flag) = given.next() {
            let mut value = || given.next().ok_or(format!("`{flag}` without a value"));
            let number = |text: String| text.parse::<u64>().map_err(|_| format!("`{flag} {text}`: no whole number"));
            match flag.as_str() {
                "--seed" => args.seed = number(value()?)?,
                "--from" => args.from = number(value()?)?,
                "--mutants" | "--to" => (args.to, bounded) = (number(value()?)?, true),
                "--mutant" => {
                    args.from = number(value()?)?;
                    (args.mode, args.to, bounded) = (Mode::One, args.from.saturating_add(1), true);
                }
                "--seconds" => {
                    let text = value()?;
                    let seconds = text.parse().ok().and_then(|s| Duration::try_from_secs_f64(s).ok());
                    args.time = seconds.ok_or(format!("`--seconds {text}`: no number of seconds"))?;
                    args.to = if bounded { args.to } else { u64::MAX };
                }
                "--jobs" => args.jobs = number(value()?)?.clamp(1, 64) as usize,
                "--folder" => args.folder = value()?.into(),
                "--list" => args.mode = Mode::List,
                "--loud" => args.loud = true,
                "--worker" => {
                    args.mode = Mode::Worker;
                    args.words = vec![value()?];
                }
                // What `cargo test` hands to every test program.
                "--nocapture" | "--no-capture" | "--quiet" | "-q" | "--show-output" => {}
                _ if flag.starts_with('-') => return Err(format!("`{flag}` is no flag of this bench")),
                _ => args.words.push(flag),
            }
        }
        Ok(args)
    }

    /// What a worker with these arguments does.
    pub fn order(&self) -> Order {
        let Self { seed, from, to, folder, time, loud, .. } = self.clone();
        Order { seed, mutants: from..to, folder, time, loud }
    }
}
