//! What a run reads is what it knows: every file that a job reads is changed in turn, by a change
//! that leaves it readable, and the run must refuse to go on.

use crate::map::Brain;
use crate::tasks::tasks;
use orthoscope::io::png;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// All files of some files and folders.
fn files(of: &[PathBuf]) -> Vec<PathBuf> {
    let mut out = Vec::new();
    let mut open = of.to_vec();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            out.push(path);
        }
    }
    out.sort();
    out.dedup();
    out
}

fn repacked(bytes: &[u8], change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain).unwrap();
    change(&mut plain);
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(&plain).unwrap();
    packer.finish().unwrap()
}

/// The file with another content that is read without complaint.
fn changed(path: &Path) -> Vec<u8> {
    let mut bytes = std::fs::read(path).unwrap();
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    // The text `descrip` of a NIfTI header begins at byte 148.
    let described = |bytes: &mut Vec<u8>| bytes[148] = if bytes[148] == b'x' { b'y' } else { b'x' };
    if name.ends_with(".nii.gz") {
        return repacked(&bytes, described);
    }
    match path.extension().unwrap().to_str().unwrap() {
        "nii" => described(&mut bytes),
        // A comment of one letter at the end of the archive.
        "npz" | "zip" => {
            let at = bytes.len() - 2;
            bytes[at] = 1;
            bytes.push(b'x');
        }
        // The lowest bit of the first number.
        "npy" => {
            let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
            bytes[10 + header] ^= 1;
        }
        "safetensors" => {
            let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            bytes[8 + header] ^= 1;
        }
        "png" => {
            let mut pixels = png::read(path).unwrap();
            pixels[[3, 3, 0]] ^= 1;
            let other = path.with_extension("other.png");
            png::write(&other, pixels.view()).unwrap();
            bytes = std::fs::read(&other).unwrap();
            std::fs::remove_file(other).unwrap();
        }
        "toml" | "tsv" | "txt" => bytes.push(b'\n'),
        other => panic!("{other}: how is such a file changed?"),
    }
    bytes
}

#[test]
fn every_file_that_is_read_is_known() {
    let (dir, brain) = (tempfile::tempdir().unwrap(), Brain::new());
    let mut flags = BTreeSet::new();
    for (i, task) in tasks(dir.path(), &brain).iter().enumerate() {
        let out = dir.path().join(format!("run{i}"));
        task.program(&out, 1).run().expect_code(0);
        let before = std::fs::read(out.join("manifest.json")).unwrap();
        let read = files(&task.inputs);
        for file in &read {
            let what = format!("{}: {}", task.name, file.display());
            let whole = std::fs::read(file).unwrap();
            std::fs::write(file, changed(file)).unwrap();
            let ended = task.program(&out, 1).flag("--resume").run();
            assert_eq!(ended.code(), 2, "{what}: {}", ended.stderr());
            // A card knows its weights by itself.
            let card = ended.stderr().contains("card.toml names");
            assert!(card || ended.stderr().contains("as when the run began"), "{what}: {}", ended.stderr());
            std::fs::write(file, whole).unwrap();
        }
        task.program(&out, 1).flag("--resume").run().expect_code(0);
        assert_eq!(std::fs::read(out.join("manifest.json")).unwrap(), before, "{}", task.name);
        println!("{}: {} files", task.name, read.len());
        flags.extend(task.flags().map(String::from));
    }
    for flag in &FLAGS {
        assert!(flags.contains(*flag), "no task reads {flag}");
    }
}

/// Flags that name files.
const FLAGS: [&str; 37] = [
    "--model",
    "--baseline",
    "--init-images",
    "--target",
    "--target-rsms",
    "--natural",
    "--check",
    "--against",
    "--population",
    "--images",
    "--compare",
    "--betas",
    "--labels",
    "--mask",
    "--centres",
    "--background",
    "--rois",
    "--roi-names",
    "--roi-rdms",
    "--fingerprints",
    "--fingerprint-conditions",
    "--activations",
    "--bold",
    "--events",
    "--confounds",
    "--features",
    "--feature-rows",
    "--targets",
    "--ids",
    "--target-names",
    "--categories",
    "--test-stimuli",
    "--trials",
    "--gammas",
    "--classes",
    "--teacher",
    "--test-images",
];

/// What a run reads by relative paths is found from wherever it is resumed.
#[test]
fn a_run_is_resumed_from_anywhere() {
    let dir = tempfile::tempdir().unwrap();
    let model = crate::program::tiny_model(dir.path());
    let program = |subcommand: &str| crate::program::Program::new(subcommand);
    let run = || {
        let run = program("orthogonalize").directory(dir.path()).arg("--model", model.file_name().unwrap());
        run.arg("--n-images", "4").arg("--steps", "100000").arg("--out", "run")
    };
    let mut child = run().spawn();
    while !dir.path().join("run/checkpoint/item-000.checkpoint").exists() {
        assert!(child.try_wait().unwrap().is_none(), "the run ended");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let mut resumed =
        program("resume").directory(elsewhere.path()).flag(dir.path().join("run").to_str().unwrap()).spawn();
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(resumed.try_wait().unwrap().is_none(), "it goes on");
    resumed.kill().unwrap();
    resumed.wait().unwrap();
}

/// Another program's version, and another layout, are refused; another build and other instructions
/// are said.
#[test]
fn what_began_otherwise_is_refused_or_said() {
    let dir = tempfile::tempdir().unwrap();
    let model = crate::program::tiny_model(dir.path());
    let out = dir.path().join("run");
    let run = || {
        let run = crate::program::Program::new("orthogonalize").arg("--model", &model).arg("--n-images", "4");
        run.arg("--steps", "5").arg("--out", &out)
    };
    run().run().expect_code(0);
    let path = out.join("manifest.json");
    let whole = std::fs::read_to_string(&path).unwrap();
    let edit = |from: &str, to: &str| {
        assert!(whole.contains(from), "{from}");
        std::fs::write(&path, whole.replace(from, to)).unwrap();
    };
    edit("\"schema\": 2", "\"schema\": 1");
    run().flag("--resume").run().expect_code(2).expect_error(&["manifest 1", "--force"]);
    edit(&format!("\"version\": \"{}\"", env!("CARGO_PKG_VERSION")), "\"version\": \"0.0.9\"");
    run().flag("--resume").run().expect_code(2).expect_error(&["orthoscope 0.0.9"]);
    edit("\"status\": \"complete\"", "\"status\": \"interrupted\"");
    let unfinished = std::fs::read_to_string(&path).unwrap();
    let set = serde_json::from_str::<serde_json::Value>(&whole).unwrap()["instruction_set"].clone();
    let text = unfinished.replace(&format!("\"instruction_set\": {set}"), "\"instruction_set\": \"other\"");
    std::fs::write(&path, text).unwrap();
    run().flag("--resume").run().expect_code(0).expect_error(&["it began with instructions other"]);
}
