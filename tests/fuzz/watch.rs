//! Workers from outside: started under limits, watched, killed when they hang, started again behind
//! the mutant that killed them.

use crate::readers::Reader;
use crate::worker::{BEAT, Order, status_kb};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Processor seconds that one mutant may take.
const PATIENCE: f64 = 2.0;
/// Wall-clock seconds, for a machine that others use too and for readers that wait.
const WALL: Duration = Duration::from_secs(20);
/// Memory above that of an empty process: 1 GB.
const ROOM_KB: u64 = 1 << 20;

/// How a worker ended.
#[derive(Debug, Default)]
pub struct End {
    /// Its lines.
    pub lines: Vec<String>,
    /// The mutant that it died of, and how; `None` when it came to its end.
    pub died: Option<(u64, String)>,
}

/// The command of a worker: this program under `ulimit`, one thread, no core files.
pub fn command(reader: &Reader, order: &Order) -> Command {
    let limit = status_kb("VmPeak:").map_or_else(|| "unlimited".into(), |kb| (kb + ROOM_KB).to_string());
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v \"$0\" 2>/dev/null; ulimit -c 0; exec \"$@\"", &limit]);
    command.arg(std::env::current_exe().expect("a running program has a path"));
    command.args(["--worker", reader.name]);
    command.arg("--seed").arg(order.seed.to_string());
    command.arg("--from").arg(order.mutants.start.to_string());
    command.arg("--to").arg(order.mutants.end.to_string());
    command.arg("--seconds").arg(order.time.as_secs_f64().min(1e9).to_string());
    command.arg("--folder").arg(&order.folder);
    if order.loud {
        command.arg("--loud");
    }
    command.env("RAYON_NUM_THREADS", "1").env("MALLOC_ARENA_MAX", "1").env_remove("RUST_BACKTRACE");
    command.stdin(Stdio::null());
    command
}

/// Runs a worker to its end, or to that of the patience with it.
pub fn run(reader: &Reader, order: &Order) -> End {
    std::fs::create_dir_all(&order.folder).expect("the folder for temporary files can be written");
    let beat = order.folder.join(BEAT);
    std::fs::write(&beat, u64::MAX.to_le_bytes()).expect("the folder for temporary files can be written");
    let mut child = command(reader, order)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("`sh` starts this program again");
    let (stdout, stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
    let lines = std::thread::spawn(move || BufReader::new(stdout).lines().map_while(Result::ok).collect());
    let last_words = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = BufReader::new(stderr).read_to_end(&mut text);
        let text = String::from_utf8_lossy(&text).into_owned();
        let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty() && !l.starts_with("note:")).collect();
        lines[lines.len().saturating_sub(2)..].join(" ")
    });
    let hung = watch(&mut child, &beat);
    let status = child.wait().expect("a child can be waited for");
    let lines: Vec<String> = lines.join().unwrap_or_default();
    let words = last_words.join().unwrap_or_default();
    let whole = lines.last().is_some_and(|line| line.starts_with("done"));
    let died = match hung {
        Some(how) => Some((at(&beat), how)),
        None if whole => None,
        None => Some((at(&beat), format!("ended with {status}: {words}"))),
    };
    let _ = std::fs::remove_dir_all(&order.folder);
    End { lines, died }
}

/// The mutant that a worker is at; `u64::MAX` before the first.
fn at(beat: &Path) -> u64 {
    let bytes = std::fs::read(beat).ok().and_then(|b| b.try_into().ok());
    bytes.map_or(u64::MAX, u64::from_le_bytes)
}

/// Waits for the child; kills it, and says so, when it stays at one mutant for too long.
fn watch(child: &mut Child, beat: &Path) -> Option<String> {
    let mut since = (at(beat), Instant::now(), cpu_seconds(child.id()));
    let mut pause = Duration::from_millis(1);
    while child.try_wait().expect("a child can be waited for").is_none() {
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
        let now = at(beat);
        if now != since.0 {
            since = (now, Instant::now(), cpu_seconds(child.id()));
            continue;
        }
        let wall = since.1.elapsed();
        let worked = cpu_seconds(child.id()).zip(since.2).map(|(now, then)| now - then);
        // What comes before the first mutant may take its time.
        let limit = if now == u64::MAX { 10.0 } else { 1.0 };
        if worked.is_some_and(|s| s > limit * PATIENCE) || wall > WALL.mul_f64(limit) {
            let _ = child.kill();
            return Some(format!("hangs: more than {PATIENCE} s ({:.1} s by the clock)", wall.as_secs_f64()));
        }
    }
    None
}

/// Processor time of a process in seconds, in user and kernel mode, from Linux's `/proc/PID/stat`
/// (ticks of 1/100 s).
fn cpu_seconds(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / 100.0)
}
