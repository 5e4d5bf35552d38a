//! All readers, one after the other or some at a time, and what was found.

use crate::args::Args;
use crate::readers::{self, Reader};
use crate::watch::{self, End};
use crate::worker::{self, Order};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A reader that dies so often is given up: every death costs seconds.
const DEATHS: usize = 12;

/// What was found in a reader.
#[derive(Default)]
struct Report {
    tried: u64,
    accepted: u64,
    slowest_us: u64,
    slowest_at: u64,
    peak_mb: u64,
    seconds: f64,
    /// Mutant and words.
    findings: Vec<(Option<u64>, String)>,
    gave_up: bool,
}

/// Memory that looks like a folder, where there is some.
fn scratch() -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let memory = Path::new("/dev/shm");
    let root = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
    let name = format!("orthoscope-fuzz-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    root.join(name)
}

fn chosen(args: &Args) -> Vec<Reader> {
    let wanted = |name: &str| args.words.is_empty() || args.words.iter().any(|word| name.contains(word.as_str()));
    let exact: Vec<Reader> = readers::all().into_iter().filter(|r| args.words.iter().any(|w| w == r.name)).collect();
    if exact.is_empty() { readers::all().into_iter().filter(|r| wanted(r.name)).collect() } else { exact }
}

/// Tries the readers; fails with a list of what was found.
pub fn all(args: &Args) -> ExitCode {
    let readers = chosen(args);
    if args.words.is_empty() && !finds_the_wicked() {
        return ExitCode::FAILURE;
    }
    println!("{} readers, seed {}", readers.len(), args.seed);
    println!("reader                mutants  accepted   a second  peak MB   slowest (mutant)");
    let deadline = Instant::now().checked_add(args.time);
    let queue = Mutex::new(readers.iter().collect::<Vec<_>>().into_iter().enumerate());
    let found = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..args.jobs {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().expect("nobody panics with it").next();
                    let Some((index, reader)) = next else { break };
                    let time = match deadline {
                        Some(end) => {
                            let left = end.saturating_duration_since(Instant::now());
                            left.mul_f64((args.jobs as f64 / (readers.len() - index) as f64).min(1.0))
                        }
                        None => Duration::MAX,
                    };
                    let report = try_reader(reader, args, time);
                    found.fetch_add(report.findings.len() as u64, Ordering::Relaxed);
                    print(reader, args.seed, &report);
                }
            });
        }
    });
    let n = found.into_inner();
    if n == 0 {
        return ExitCode::SUCCESS;
    }
    println!("{n} findings");
    ExitCode::FAILURE
}

/// Whether the bench finds what it is for: a panic, an abort, 2 GB taken, a loop without end.
fn finds_the_wicked() -> bool {
    let words = [("panic", "on purpose"), ("", "SIGABRT"), ("", "memory allocation"), ("", "hangs")];
    readers::wicked().iter().zip(words).all(|(reader, (line, death))| {
        let order = Order { seed: 1, mutants: 0..1, folder: scratch(), time: Duration::MAX, loud: false };
        let End { lines, died } = watch::run(reader, &order);
        let panicked = !line.is_empty() && lines.iter().any(|l| l.starts_with(line) && l.contains(death));
        let found = panicked || died.as_ref().is_some_and(|(at, how)| *at == 0 && how.contains(death));
        // Memory has a limit where the process can see what it holds.
        let blind = reader.name == "itself-takes" && worker::status_kb("VmPeak:").is_none();
        if !found && !blind {
            println!("{}: the bench does not find it: {lines:?}, {died:?}", reader.name);
        }
        found || blind
    })
}

fn again(reader: &Reader, seed: u64, mutant: u64) -> String {
    format!("cargo test --release --test fuzz -- {} --seed {seed} --mutant {mutant}", reader.name)
}

/// A row of the table, and under it what was found.
fn print(reader: &Reader, seed: u64, r: &Report) {
    let share = 100.0 * r.accepted as f64 / r.tried.max(1) as f64;
    let mut text = format!(
        "{:<19} {:>9}  {share:>7.1}%  {:>9.0}  {:>7}  {:>6.1} ms ({}){}",
        reader.name,
        r.tried,
        r.tried as f64 / r.seconds.max(1e-9),
        r.peak_mb,
        r.slowest_us as f64 / 1e3,
        r.slowest_at,
        if r.findings.is_empty() { String::new() } else { format!("  {} FINDINGS", r.findings.len()) }
    );
    for (mutant, words) in &r.findings {
        text += &format!("\n    {words}");
        if let Some(mutant) = mutant {
            let kept = keep(reader, seed, *mutant);
            text += &format!("\n        {}\n        bytes: {}", again(reader, seed, *mutant), kept.display());
        }
    }
    if r.gave_up {
        text += &format!("\n    given up after {DEATHS} deaths");
    }
    println!("{text}");
}

/// All mutants of a reader, behind those that kill its worker too.
fn try_reader(reader: &Reader, args: &Args, time: Duration) -> Report {
    let began = Instant::now();
    let mut report = Report::default();
    let (mut next, mut deaths) = (args.from, 0);
    while next < args.to && began.elapsed() < time {
        let time = time.saturating_sub(began.elapsed());
        let order = Order { seed: args.seed, mutants: next..args.to, folder: scratch(), time, loud: false };
        let End { lines, died } = watch::run(reader, &order);
        lines.iter().for_each(|line| report.note(line));
        let Some((at, how)) = died else { break };
        report.tried += at.saturating_sub(next).saturating_add(1).min(args.to - next);
        if at == u64::MAX {
            report.findings.push((None, format!("its honest files: {how}")));
            break;
        }
        let alone = Order { mutants: at..at + 1, folder: scratch(), time: Duration::MAX, ..order };
        let alone = watch::run(reader, &alone).died;
        let how = alone.map_or_else(|| format!("{how} (alone it ends well)"), |(_, how)| how);
        report.findings.push((Some(at), how));
        next = at + 1;
        deaths += 1;
        if deaths == DEATHS {
            report.gave_up = true;
            break;
        }
    }
    report.seconds = began.elapsed().as_secs_f64();
    report
}

impl Report {
    /// Reads a worker's line.
    fn note(&mut self, line: &str) {
        let fields: Vec<&str> = line.split('\t').collect();
        let number = |at: usize| fields.get(at).and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
        match fields[..] {
            ["panic", _, words] => self.findings.push((Some(number(1)), format!("panics at {words}"))),
            ["refused", n, words] => {
                self.findings.push((None, format!("its honest file {n} is refused, the bench must follow: {words}")));
            }
            ["done", ..] => {
                self.tried += number(1);
                self.accepted += number(2);
                if number(3) > self.slowest_us {
                    (self.slowest_us, self.slowest_at) = (number(3), number(4));
                }
                self.peak_mb = self.peak_mb.max(number(5));
            }
            _ => {}
        }
    }
}

/// Writes a mutant to a file that stays.
fn keep(reader: &Reader, seed: u64, mutant: u64) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz");
    let ending = reader.file.split_once('.').map_or("bin", |(_, ending)| ending);
    let path = folder.join(format!("{}-{seed}-{mutant}.{ending}", reader.name));
    let bytes = worker::mutant(reader, &(reader.seeds)(), seed, mutant);
    let written = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, bytes));
    if let Err(error) = written {
        eprintln!("warning: {}: {error}", path.display());
    }
    path
}

/// Reads one mutant in a worker under the same limits, and prints what becomes of it.
pub fn replay(args: &Args) -> ExitCode {
    let [reader] = &chosen(args)[..] else {
        eprintln!("error: name one reader; `--list` prints them");
        return ExitCode::from(2);
    };
    println!("bytes: {}", keep(reader, args.seed, args.from).display());
    let folder = scratch();
    let order = Order { seed: args.seed, mutants: args.from..args.to, folder, time: Duration::MAX, loud: true };
    let End { lines, died } = watch::run(reader, &order);
    lines.iter().filter(|line| !line.starts_with("done")).for_each(|line| println!("{line}"));
    match died {
        Some((_, how)) => println!("{how}"),
        None if lines.iter().any(|line| line.starts_with("panic\t")) => {}
        None => return ExitCode::SUCCESS,
    }
    ExitCode::FAILURE
}
