//! The process in which mutants are read: it says on standard output what panicked, and in a file
//! which mutant it is at, so that whoever watches knows what killed it.

use crate::readers::{Input, Reader};
use crate::repack;
use orthoscope::rng;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek, Write};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Where a worker says which mutant it is at.
pub const BEAT: &str = "beat";
/// Panics of one place that are listed one by one.
const LISTED: usize = 2;

/// What a worker is asked for.
pub struct Order {
    pub seed: u64,
    pub mutants: Range<u64>,
    /// A folder of its own.
    pub folder: PathBuf,
    pub time: Duration,
    /// Prints what becomes of each mutant.
    pub loud: bool,
}

/// Place and words of the last panic.
static PANIC: Mutex<(String, String)> = Mutex::new((String::new(), String::new()));

/// Keeps panics quiet: the library catches some itself, and those are none here.
fn listen(loud: bool) {
    std::panic::set_hook(Box::new(move |info| {
        let place = info.location().map_or_else(|| "somewhere".into(), ToString::to_string);
        let text = info.payload_as_str().unwrap_or("something").replace('\n', " ");
        if loud {
            println!("panic at {place}: {text}\n{}", std::backtrace::Backtrace::force_capture());
        }
        *PANIC.lock().unwrap_or_else(|e| e.into_inner()) = (place, text);
    }));
}

/// The bytes of a mutant.
pub fn mutant(reader: &Reader, seeds: &[Vec<u8>], seed: u64, number: u64) -> Vec<u8> {
    let mut rng = rng::stream(seed, reader.name, number);
    let (own, other) = (rng.below(seeds.len()), rng.below(seeds.len()));
    repack::mutant(reader.file, &seeds[own], &seeds[other], &mut rng)
}

/// What has been read so far.
#[derive(Default)]
struct Tally {
    tried: u64,
    accepted: u64,
    slowest: (Duration, u64),
    panics: BTreeMap<String, usize>,
}

/// Reads the mutants of an order.
pub fn work(reader: &Reader, order: &Order) {
    listen(order.loud);
    std::env::set_current_dir(&order.folder).expect("a folder of its own");
    let place = Place::new(reader, &order.folder);
    let seeds = (reader.seeds)();
    let began = Instant::now();
    for (number, bytes) in seeds.iter().enumerate() {
        if let Outcome::Refused(error) = place.read(reader, bytes) {
            println!("refused\t{number}\t{}", error.replace('\n', " "));
        }
    }
    let mut beat = File::create(order.folder.join(BEAT)).expect("a folder of its own");
    let mut tally = Tally::default();
    for number in order.mutants.clone() {
        if began.elapsed() > order.time {
            break;
        }
        beat.rewind().and_then(|()| beat.write_all(&number.to_le_bytes())).expect("eight bytes");
        let bytes = mutant(reader, &seeds, order.seed, number);
        let start = Instant::now();
        let outcome = place.read(reader, &bytes);
        tally.note(number, start.elapsed(), outcome, order.loud);
    }
    let (time, at) = tally.slowest;
    let memory = peak_mb();
    println!("done\t{}\t{}\t{}\t{at}\t{memory}", tally.tried, tally.accepted, time.as_micros());
}

impl Tally {
    fn note(&mut self, number: u64, time: Duration, outcome: Outcome, loud: bool) {
        self.tried += 1;
        self.slowest = self.slowest.max((time, number));
        if loud {
            println!("mutant {number}, {:.3} s: {outcome:?}", time.as_secs_f64());
        }
        match outcome {
            Outcome::Read => self.accepted += 1,
            Outcome::Refused(_) => {}
            Outcome::Panicked => {
                let (place, text) = PANIC.lock().unwrap_or_else(|e| e.into_inner()).clone();
                let times = self.panics.entry(place.clone()).or_default();
                *times += 1;
                if *times <= LISTED {
                    println!("panic\t{number}\t{place}: {text}");
                }
            }
        }
    }
}

#[derive(Debug)]
enum Outcome {
    Read,
    Refused(String),
    Panicked,
}

/// Where mutants lie.
struct Place {
    path: PathBuf,
}

impl Place {
    fn new(reader: &Reader, folder: &Path) -> Self {
        let path = folder.join(reader.file);
        std::fs::create_dir_all(path.parent().unwrap_or(folder)).expect("a folder of its own");
        (reader.beside)(folder);
        Self { path }
    }

    fn read(&self, reader: &Reader, bytes: &[u8]) -> Outcome {
        if reader.on_disk {
            std::fs::write(&self.path, bytes).expect("a folder of its own");
        }
        let input = Input { bytes, path: &self.path };
        match catch_unwind(AssertUnwindSafe(|| (reader.read)(&input))) {
            Ok(Ok(())) => Outcome::Read,
            Ok(Err(error)) => Outcome::Refused(error.to_string()),
            Err(_) => Outcome::Panicked,
        }
    }
}

/// Megabytes that this process has held at once; 0 where nobody knows.
fn peak_mb() -> u64 {
    status_kb("VmHWM:").unwrap_or(0) / 1024
}

/// A line of `/proc/self/status`, in kilobytes.
pub fn status_kb(key: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse().ok())
}
