//! Every change of the file system that a run makes is a point at which it may be killed, or from
//! which on the disk is full. Whatever is left must be resumed or replaced by the same command, to
//! the same bytes, and an earlier run must be whole until the new one is.
//!
//! Every job is tried at some of its points; with `ORTHOSCOPE_ALL=1` at all of them.

use crate::map::Brain;
use crate::program::Ended;
use crate::tasks::{Task, tasks};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Points of a job that are tried, without `ORTHOSCOPE_ALL`.
const SOME: usize = 4;

/// The preloaded library; `None` where it cannot be made.
fn library(dir: &Path) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/crash/points.c");
    let out = dir.join("points.so");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&out).arg(source).arg("-ldl");
    let made = cfg!(target_os = "linux") && compiler.status().is_ok_and(|status| status.success());
    if !made {
        println!("skipped: no C compiler makes a library to preload");
    }
    made.then_some(out)
}

/// The points at which a job of `n` is tried.
fn some_of(n: usize, offset: usize) -> Vec<usize> {
    let all = std::env::var_os("ORTHOSCOPE_ALL").is_some();
    let stride = if all { 1 } else { n.div_ceil(SOME).max(1) };
    (1..=n).skip(offset % stride).step_by(stride).collect()
}

/// All files of a run but its manifest and page, which say when it was.
fn files(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut out = BTreeMap::new();
    let mut folders = vec![run.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(run).unwrap().display().to_string();
            if !["manifest.json", "report.html"].contains(&name.as_str()) {
                out.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    out
}

fn manifest(run: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(run.join("manifest.json")).unwrap()).unwrap()
}

/// A run that is complete, and nothing else.
#[track_caller]
fn expect_whole(run: &Path, reference: &BTreeMap<String, Vec<u8>>, what: &str) {
    let found = files(run);
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&found), names(reference), "{what}");
    for (name, bytes) in &found {
        // Times are not of the images.
        let timed = name.ends_with(".json") || name.ends_with("units.tsv");
        assert!(timed || *bytes == reference[name], "{what}: {name} has other bytes");
    }
    let manifest = manifest(run);
    assert_eq!((&manifest["status"], &manifest["error"]), (&"complete".into(), &serde_json::Value::Null), "{what}");
    let outputs: Vec<&String> = manifest["outputs"].as_object().unwrap().keys().collect();
    let own = |name: &&String| name.contains('/') && !name.contains("mine");
    assert_eq!(outputs, found.keys().filter(own).collect::<Vec<_>>(), "{what}");
    let page = std::fs::read_to_string(run.join("report.html")).unwrap();
    assert!(page.contains("</html>") && !page.contains("The status of this run is"), "{what}");
}

struct Trial<'a> {
    task: &'a Task,
    library: &'a Path,
    dir: &'a Path,
}

impl Trial<'_> {
    fn run(&self, out: &Path, flags: &[&str], point: Option<(&str, usize)>) -> Ended {
        let program = flags.iter().fold(self.task.program(out, 1), |program, flag| program.flag(flag));
        match point {
            Some((how, n)) => program.env("LD_PRELOAD", self.library).env(how, n.to_string()).run(),
            None => program.run(),
        }
    }

    /// The points of a whole run with these flags.
    fn n_points(&self, out: &Path, flags: &[&str]) -> usize {
        let log = self.dir.join("points.txt");
        std::fs::remove_file(&log).ok();
        let program = flags.iter().fold(self.task.program(out, 1), |program, flag| program.flag(flag));
        program.env("LD_PRELOAD", self.library).env("POINT_LOG", &log).run().expect_code(0);
        std::fs::read_to_string(&log).unwrap().lines().count()
    }

    /// The same command again, until it is complete: as it is, then with `--resume` or `--force`.
    fn again(&self, out: &Path, n: usize) {
        let plain = self.run(out, &[], None);
        if plain.code() == 0 {
            return;
        }
        plain.expect_code(2).expect_error(&["an earlier run"]);
        let flag = if n.is_multiple_of(2) { "--resume" } else { "--force" };
        self.run(out, &[flag], None).expect_code(0);
    }

    /// Killed, or without room on the disk, in an empty place.
    fn plain(&self, reference: &BTreeMap<String, Vec<u8>>, n_points: usize) -> usize {
        let points = some_of(n_points, 0);
        for &n in &points {
            let what = format!("{}, killed at point {n}", self.task.name);
            let out = self.dir.join(format!("killed-{n}"));
            let killed = self.run(&out, &[], Some(("POINT_AT", n)));
            assert!([-1, 0].contains(&killed.code()), "{what}: {}", killed.stderr());
            self.again(&out, n);
            expect_whole(&out, reference, &what);
            std::fs::remove_dir_all(&out).unwrap();

            let what = format!("{}, disk full from point {n}", self.task.name);
            let ended = self.run(&out, &[], Some(("POINT_FAIL", n)));
            assert!([0, 1].contains(&ended.code()), "{what}: {} {}", ended.code(), ended.stderr());
            assert!(!ended.stderr().contains("panicked"), "{what}: {}", ended.stderr());
            self.again(&out, n);
            expect_whole(&out, reference, &what);
            std::fs::remove_dir_all(&out).unwrap();
        }
        points.len()
    }

    /// Killed while it replaces an earlier run, in whose folder a user keeps a file.
    fn force(&self, reference: &BTreeMap<String, Vec<u8>>, n_points: usize) -> usize {
        let mut reference = reference.clone();
        reference.insert("arrays/mine.txt".into(), b"precious".to_vec());
        let old = self.dir.join("old");
        self.task.program(&old, 2).run().expect_code(0);
        std::fs::create_dir_all(old.join("arrays")).unwrap();
        std::fs::write(old.join("arrays/mine.txt"), "precious").unwrap();
        let before = (files(&old), std::fs::read(old.join("manifest.json")).unwrap());
        let points = some_of(n_points, 1);
        for &n in &points {
            let what = format!("{}, killed at point {n} of --force", self.task.name);
            let out = self.dir.join(format!("forced-{n}"));
            copy(&old, &out);
            let killed = self.run(&out, &["--force"], Some(("POINT_AT", n)));
            assert!([-1, 0].contains(&killed.code()), "{what}: {}", killed.stderr());
            let waits = out.join(".next/checkpoint/outputs/manifest.json").exists();
            if !waits && manifest(&out)["seed"] == 2 {
                let mut left = files(&out);
                left.retain(|name, _| !name.starts_with(".next/") && name != ".lock" && !name.ends_with(".part"));
                assert!(left == before.0, "{what}: {:?}", left.keys());
                assert!(std::fs::read(out.join("manifest.json")).unwrap() == before.1, "{what}");
            }
            let flags: &[&str] = [&["--force"][..], &["--force", "--resume"]][n % 2];
            self.run(&out, flags, None).expect_code(0);
            expect_whole(&out, &reference, &what);
            std::fs::remove_dir_all(&out).unwrap();
        }
        points.len()
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, name) = (entry.as_ref().unwrap().path(), entry.unwrap().file_name());
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            std::fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

#[test]
fn whatever_a_kill_leaves_is_resumed_or_replaced() {
    let (dir, brain) = (tempfile::tempdir().unwrap(), Brain::new());
    let Some(library) = library(dir.path()) else { return };
    // The other tasks write the same way.
    let variants = |task: &&Task| !task.name.contains(',') || ["map, shard", "map, simulate"].contains(&task.name);
    for (i, task) in tasks(dir.path(), &brain).iter().filter(variants).enumerate() {
        let folder = dir.path().join(format!("task{i}"));
        std::fs::create_dir(&folder).unwrap();
        let trial = Trial { task, library: &library, dir: &folder };
        let whole = folder.join("whole");
        let n_points = trial.n_points(&whole, &[]);
        let reference = files(&whole);
        expect_whole(&whole, &reference, task.name);
        let n_forced = trial.n_points(&whole, &["--force"]);
        let tried = (trial.plain(&reference, n_points), trial.force(&reference, n_forced));
        println!("{}: {} of {n_points} points, {} of {n_forced} with --force", task.name, tried.0, tried.1);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

/// A checkpoint with one other bit is never gone on from: 60 bits of each kind of checkpoint, with
/// `ORTHOSCOPE_ALL=1` a thousand.
#[test]
fn a_flipped_bit_in_a_checkpoint_is_refused() {
    let (dir, brain) = (tempfile::tempdir().unwrap(), Brain::new());
    let Some(library) = library(dir.path()) else { return };
    let n_bits = if std::env::var_os("ORTHOSCOPE_ALL").is_some() { 1000 } else { 60 };
    let all = tasks(dir.path(), &brain);
    for (i, name) in ["orthogonalize", "maximize", "adversarial", "map"].into_iter().enumerate() {
        let task = all.iter().find(|task| task.name == name).unwrap();
        let folder = dir.path().join(format!("flipped{i}"));
        std::fs::create_dir(&folder).unwrap();
        let trial = Trial { task, library: &library, dir: &folder };
        let whole = folder.join("whole");
        let n_points = trial.n_points(&whole, &[]);
        let (reference, out) = (files(&whole), folder.join("run"));
        let checkpoint = (n_points / 3..n_points).step_by(4).find_map(|n| {
            std::fs::remove_dir_all(&out).ok();
            trial.run(&out, &[], Some(("POINT_AT", n)));
            let entries = std::fs::read_dir(out.join("checkpoint")).ok()?.flatten();
            entries.map(|entry| entry.path()).find(|path| path.extension().is_some_and(|e| e == "checkpoint"))
        });
        let checkpoint = checkpoint.expect("some point lies after a checkpoint");
        let bytes = std::fs::read(&checkpoint).unwrap();
        let mut draw = orthoscope::rng::stream(1, "flipped bits", i as u64);
        for _ in 0..n_bits {
            let bit = draw.below(8 * bytes.len());
            let mut other = bytes.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&checkpoint, &other).unwrap();
            let ended = trial.run(&out, &["--resume"], None).expect_code(2);
            ended.expect_error(&[".checkpoint", "checksum"]);
        }
        std::fs::write(&checkpoint, &bytes).unwrap();
        trial.run(&out, &["--resume"], None).expect_code(0);
        expect_whole(&out, &reference, name);
        println!("{name}: {n_bits} bits of {}", checkpoint.file_name().unwrap().display());
    }
}
