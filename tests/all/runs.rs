//! Runs that end too early, and runs that must not begin.

use crate::program::{Program, tiny_model};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

fn orthogonalize(model: &Path, out: &Path, steps: usize) -> Program {
    Program::new("orthogonalize")
        .arg("--model", model)
        .arg("--n-images", "5")
        .arg("--steps", steps.to_string())
        .arg("--checkpoint-every", "7")
        .arg("--out", out)
}

/// Everything that a run must reproduce byte for byte: images, arrays and figures.
fn products(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut out = BTreeMap::new();
    for part in ["images", "arrays", "figures"] {
        for entry in std::fs::read_dir(run.join(part)).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{part}/{}", path.file_name().unwrap().to_string_lossy());
            out.insert(name, std::fs::read(&path).unwrap());
        }
    }
    assert!(out.len() > 7, "images, arrays and figures were written: {:?}", out.keys());
    out
}

fn manifest(run: &Path) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(run.join("manifest.json")).unwrap()).unwrap()
}

/// Waits until an item's checkpoint lies on the disk.
fn await_checkpoint(run: &Path) {
    let began = Instant::now();
    while !run.join("checkpoint/item-000.checkpoint").exists() {
        assert!(began.elapsed() < Duration::from_secs(120), "no checkpoint was written");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_killed_run_resumes_to_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny_model(dir.path());
    let (whole, broken) = (dir.path().join("whole"), dir.path().join("broken"));
    orthogonalize(&model, &whole, 400).run().expect_code(0);
    let mut child = orthogonalize(&model, &broken, 400).spawn();
    await_checkpoint(&broken);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(manifest(&broken)["status"], "running", "it was killed in the middle");
    Program::new("resume").flag(broken.to_str().unwrap()).run().expect_code(0);
    assert_eq!(products(&whole), products(&broken));
    let (a, b) = (manifest(&whole), manifest(&broken));
    assert_eq!(b["status"], "complete");
    for key in ["start", "final", "exported", "robust", "steps"] {
        assert_eq!(a["results"][key], b["results"][key], "{key}");
    }
    assert!(!broken.join("checkpoint").exists(), "a complete run needs no checkpoint");
}

#[cfg(unix)]
#[test]
fn a_signal_ends_the_step_and_leaves_a_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny_model(dir.path());
    let (whole, broken) = (dir.path().join("whole"), dir.path().join("broken"));
    orthogonalize(&model, &whole, 300).arg("--param", "pixels").arg("--octaves", "2").run().expect_code(0);
    let mut child = orthogonalize(&model, &broken, 300).arg("--param", "pixels").arg("--octaves", "2").spawn();
    await_checkpoint(&broken);
    let sent = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    assert_eq!(child.wait().unwrap().code(), Some(75));
    assert_eq!(manifest(&broken)["status"], "interrupted");
    orthogonalize(&model, &broken, 300)
        .arg("--param", "pixels")
        .arg("--octaves", "2")
        .flag("--resume")
        .run()
        .expect_code(0);
    assert_eq!(products(&whole), products(&broken));
}

#[test]
fn the_same_seed_gives_the_same_bytes_for_any_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny_model(dir.path());
    let run = |threads: &str, seed: &str| {
        let out = dir.path().join(format!("threads-{threads}-{seed}"));
        orthogonalize(&model, &out, 12).arg("--threads", threads).arg("--seed", seed).run().expect_code(0);
        products(&out)
    };
    let one = run("1", "3");
    assert_eq!(one, run("2", "3"));
    assert_ne!(one["images/image-01.png"], run("1", "4")["images/image-01.png"], "another seed, other images");
}

#[test]
fn a_directory_is_never_overwritten_by_accident() {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny_model(dir.path());
    let out = dir.path().join("run");
    orthogonalize(&model, &out, 3).run().expect_code(0);
    let before = products(&out);
    orthogonalize(&model, &out, 3).run().expect_code(2).expect_error(&["an earlier run", "--force"]);
    let other = orthogonalize(&model, &out, 4).flag("--resume").run().expect_code(2);
    other.expect_error(&["steps = 3", "steps = 4"]);
    assert_eq!(before, products(&out), "what was there is untouched");
    orthogonalize(&model, &out, 4).flag("--force").run().expect_code(0);
    assert_eq!(manifest(&out)["results"]["steps"], 4);
    let photos = dir.path().join("photos");
    std::fs::create_dir(&photos).unwrap();
    std::fs::write(photos.join("mine.txt"), "precious").unwrap();
    orthogonalize(&model, &photos, 3).flag("--force").run().expect_code(2).expect_error(&["not a run of this program"]);
    assert!(photos.join("mine.txt").exists());
}

#[test]
fn bad_input_is_an_error_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny_model(dir.path());
    let out = dir.path().join("run");
    let cases: Vec<(Program, Vec<&str>)> = vec![
        (orthogonalize(&model, &out, 3).arg("--taps", "conv2,konv3"), vec!["`konv3`", "`conv3`"]),
        (Program::new("orthogonalize").arg("--n-images", "2").arg("--out", &out), vec!["at least 3", "found 2"]),
        (orthogonalize(&model, &out, 3).arg("--measure", "kendall"), vec!["kendall", "pearson"]),
        (orthogonalize(&model, &out, 3).arg("--device", "tpu"), vec!["--device", "tpu"]),
        (orthogonalize(Path::new("no-such-model"), &out, 3), vec!["no-such-model"]),
        (orthogonalize(&model, &out, 0), vec!["--steps", "at least 1"]),
        (orthogonalize(&model, &out, 3).arg("--contrast", "0.7"), vec!["--contrast"]),
        (orthogonalize(&model, &out, 3).arg("--scale", "0.9"), vec!["--scale", "two numbers"]),
        (orthogonalize(&model, &out, 3).arg("--baseline", dir.path().join("none")), vec!["none"]),
    ];
    for (program, texts) in cases {
        let ended = program.run().expect_code(2);
        ended.expect_error(&texts);
        assert!(!out.exists(), "nothing was written: {}", ended.stderr());
    }
}

#[test]
fn damaged_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny_model(dir.path());
    let out = dir.path().join("run");
    let weights = model.join("weights.safetensors");
    let whole = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &whole[..whole.len() / 2]).unwrap();
    orthogonalize(&model, &out, 3).run().expect_code(2).expect_error(&["weights.safetensors"]);
    std::fs::write(&weights, &whole).unwrap();
    let images = dir.path().join("images");
    std::fs::create_dir(&images).unwrap();
    for i in 0..5 {
        let pixels = ndarray::Array3::from_shape_fn((24, 24, 3), |(y, x, c)| (y * 7 + x * 3 + c + i) as u8);
        orthoscope::io::png::write(&images.join(format!("photo{i}.png")), pixels.view()).unwrap();
    }
    let good = std::fs::read(images.join("photo3.png")).unwrap();
    std::fs::write(images.join("photo3.png"), &good[..good.len() / 2]).unwrap();
    orthogonalize(&model, &out, 3).arg("--baseline", &images).run().expect_code(2).expect_error(&["photo3.png"]);
    assert!(!out.exists());
    std::fs::write(images.join("photo3.png"), &good).unwrap();
    orthogonalize(&model, &out, 3).arg("--baseline", &images).run().expect_code(0);
    assert!(manifest(&out)["results"]["baseline"]["mean_abs_r"].is_number());
}

#[test]
fn a_folder_that_cannot_be_written_to_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny_model(dir.path());
    let file = dir.path().join("a-file");
    std::fs::write(&file, "").unwrap();
    orthogonalize(&model, &file.join("run"), 3).run().expect_code(2).expect_error(&["a-file"]);
}

#[test]
fn a_full_disk_loses_nothing_that_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny_model(dir.path());
    let disk = dir.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let run = Program::new("orthogonalize")
        .arg("--model", &model)
        .arg("--n-images", "12")
        .arg("--steps", "400")
        .arg("--checkpoint-every", "7")
        .arg("--out", disk.join("run"));
    match run.run_on_small_disk(&disk, "96k") {
        Some(ended) => ended.expect_code(1).expect_error(&["No space left", "hint"]),
        None => println!("skipped: this system does not let a test mount a small disk"),
    }
}

#[test]
fn a_dry_run_writes_nothing_and_describes_the_plan() {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny_model(dir.path());
    let out = dir.path().join("run");
    let ended = orthogonalize(&model, &out, 9).arg("--scale", "0.97,1.03").flag("--dry-run").flag("--json").run();
    let ended = ended.expect_code(0);
    let plan = ended.json();
    assert_eq!(plan["steps"], 9);
    assert_eq!(plan["taps"].as_array().unwrap().len(), 4);
    assert!(plan["expected_seconds"].as_f64().unwrap() > 0.0 && !out.exists());
}

#[test]
fn two_processes_do_not_write_one_directory() {
    let dir = tempfile::tempdir().unwrap();
    let (model, out) = (tiny_model(dir.path()), dir.path().join("out"));
    let run = || {
        let run = Program::new("orthogonalize").arg("--model", &model).arg("--n-images", "4").arg("--steps", "100000");
        run.arg("--out", &out)
    };
    let mut child = run().spawn();
    while !out.join("manifest.json").exists() {
        assert!(child.try_wait().unwrap().is_none(), "the first run ended");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    run().flag("--force").run().expect_code(2).expect_error(&["another process", "--out"]);
    run().flag("--resume").run().expect_code(2).expect_error(&["another process"]);
    child.kill().unwrap();
    child.wait().unwrap();
    let again = Program::new("orthogonalize").arg("--model", &model).arg("--n-images", "4").arg("--steps", "2");
    again.arg("--out", &out).flag("--force").run().expect_code(0);
    assert!(!out.join(".lock").exists());
}

/// Batch systems deliver their signals more than once, and to every process of a step: none of them
/// may lose the checkpoint. Only a second SIGINT ends the process at once.
#[test]
#[cfg(unix)]
fn any_number_of_signals_leaves_a_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny_model(dir.path());
    for (name, signals, code) in
        [("term", ["TERM", "TERM", "USR1", "USR2", "HUP", "INT"], Some(75)), ("int", ["INT"; 6], Some(130))]
    {
        let out = dir.path().join(name);
        let run = Program::new("orthogonalize").arg("--model", &model).arg("--n-images", "16").arg("--steps", "100000");
        let mut child = run.arg("--out", &out).spawn();
        while !out.join("manifest.json").exists() {
            assert!(child.try_wait().unwrap().is_none(), "the run ended");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        for signal in signals {
            let status = std::process::Command::new("kill").args(["-s", signal, &child.id().to_string()]).status();
            // It may have ended in good order before the last of them.
            status.unwrap();
        }
        let ended = child.wait().unwrap().code();
        // Equal signals that wait are one: six SIGINTs may arrive as one.
        assert!(ended == code || name == "int" && ended == Some(75), "{name}: {ended:?}");
        if ended == Some(75) {
            assert!(std::fs::read_dir(out.join("checkpoint")).unwrap().count() > 0, "{name}: no checkpoint");
        }
    }
}

#[test]
fn images_are_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let run = || Program::new("rdm").arg("--out", &out);
    run().run().expect_code(2).expect_error(&["--images: expected a folder, zip or npy of images, found none"]);
    let config = dir.path().join("rdm.toml");
    std::fs::write(&config, "command = \"rdm\"\n").unwrap();
    let from_file = Program::new("run").flag(config.to_str().unwrap()).arg("--out", &out);
    from_file.run().expect_code(2).expect_error(&["images: expected a folder"]);
    assert!(!out.exists());
}

/// What a file says in short, and what it must not lose.
#[test]
fn flags_lie_over_the_file_key_by_key() {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny_model(dir.path());
    let config = dir.path().join("own.toml");
    std::fs::write(&config, "command = \"orthogonalize\"\nsteps = 2\nn_images = 4\n[robust]\nenabled = false\n")
        .unwrap();
    for (flags, band_limit) in [(vec![], "0.0"), (vec!["--band-limit", "0.2"], "0.2")] {
        let out = dir.path().join(band_limit);
        let run = Program::new("orthogonalize").arg("--config", &config).arg("--model", &model).arg("--out", &out);
        flags.into_iter().fold(run, Program::flag).run().expect_code(0);
        let resolved = std::fs::read_to_string(out.join("config.toml")).unwrap();
        assert!(resolved.contains(&format!("band_limit = {band_limit}\n")), "{resolved}");
        assert!(resolved.contains("enabled = false") && resolved.contains("steps = 2"));
    }
    let plain = Program::new("orthogonalize").arg("--model", &model).arg("--steps", "2").arg("--n-images", "4");
    let out = dir.path().join("plain");
    plain.flag("--plain").arg("--band-limit", "0.18").arg("--out", &out).run().expect_code(0);
    assert!(std::fs::read_to_string(out.join("config.toml")).unwrap().contains("band_limit = 0.18\n"));
}
