//! Recordings, images, tables and configurations that are damaged, or made to do harm: each ends soon,
//! in one error that names it, and nothing is written.

use crate::program::{Program, photographs};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// What a refusal may take, compiled for speed or not, on a machine that has other work.
const SOON: Duration = Duration::from_secs(20);

/// Runs a command that must be refused with these words.
#[track_caller]
fn refused(program: Program, words: &[&str]) {
    let began = Instant::now();
    let ended = program.run();
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    ended.expect_code(2).expect_error(words);
}

fn rdm(images: &Path) -> Program {
    let out = images.with_file_name("out");
    Program::new("rdm").arg("--images", images).arg("--out", out)
}

fn written(path: PathBuf, bytes: &[u8]) -> PathBuf {
    std::fs::write(&path, bytes).unwrap();
    path
}

/// An npy file with this header and these bytes.
fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}\n");
    let length = u32::try_from(header.len()).unwrap();
    [b"\x93NUMPY\x02\x00", &length.to_le_bytes()[..], header.as_bytes(), data].concat()
}

#[test]
fn arrays_of_impossible_shapes() {
    let dir = tempfile::tempdir().unwrap();
    let byte = "'|u1'";
    let sides = format!("({})", "1,".repeat(65));
    for (bytes, words) in [
        (npy(byte, "(4294967296, 4294967296, 1, 3)", &[]), "the shape"),
        (npy(byte, "(0, 9223372036854775807, 9223372036854775807, 3)", &[]), "the shape"),
        (npy(byte, "(0, 4, 4, 3)", &[]), "[0, 4, 4, 3]"),
        (npy(byte, "(-1, 4, 4, 3)", &[]), "not numbers"),
        (npy(byte, &sides, &[1]), "65 sides"),
        (npy(byte, "((((((3, 4, 4, 3)", &[7; 100]), "144"),
        (npy("[('shape', '<f4'), ('b', '<f4')]", "(3,)", &[0; 24]), "record array"),
        (npy("'|O'", "(3,)", b"\x80\x04"), "pickled"),
        (npy(byte, "(1000001, 1, 1, 3)", &[5; 3_000_003]), "at most 1000000 images"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{'descr'".to_vec(), "truncated header"),
    ] {
        refused(rdm(&written(dir.path().join("a.npy"), &bytes)), &["a.npy", words]);
    }
    assert!(!dir.path().join("out").exists());
}

/// A chunk of a PNG file.
fn chunk(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(kind);
    crc.update(body);
    let length = u32::try_from(body.len()).unwrap();
    [&length.to_be_bytes()[..], kind, body, &crc.sum().to_be_bytes()].concat()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut writer, bytes).unwrap();
    writer.finish().unwrap()
}

/// A PNG file of this size, bit depth and colour type, with chunks before its packed rows.
fn picture((width, height): (u32, u32), kind: [u8; 2], chunks: &[u8], rows: &[u8]) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &kind, &[0; 3]].concat();
    let [header, rows, end] = [chunk(b"IHDR", &header), chunk(b"IDAT", &packed(rows)), chunk(b"IEND", b"")];
    [b"\x89PNG\r\n\x1a\n", &header[..], chunks, &rows, &end].concat()
}

#[test]
fn pictures_that_ask_for_memory_or_break_their_decoder() {
    let dir = tempfile::tempdir().unwrap();
    let images = photographs(dir.path(), 3, 24);
    let [rgb, indexed] = [[8, 2], [8, 3]];
    let jpeg = |sof: u8, [h1, h0, w1, w0]: [u8; 4]| {
        let parts = [1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0];
        [&[0xff, 0xd8, 0xff, sof, 0, 17, 8, h1, h0, w1, w0, 3][..], &parts, &[0xff, 0xd9]].concat()
    };
    for (bytes, words) in [
        (picture((30_000, 30_000), rgb, b"", &[0; 1000]), "30000 x 30000 pixels"),
        (picture((u32::MAX, u32::MAX), rgb, b"", &[0; 1000]), "4294967295 x 4294967295 pixels"),
        (picture((8192, 8192), [16, 6], b"", &[0; 1000]), "enough data"),
        (picture((4, 4), indexed, &chunk(b"PLTE", &[9; 47]), &[0; 20]), "a palette of 47 bytes"),
        (picture((4, 4), indexed, &chunk(b"PLTE", b""), &[0; 20]), "a palette of 0 bytes"),
        (picture((4, 4), indexed, b"", &[0; 20]), "palette"),
        (picture((4, 4), [3, 2], b"", &[0; 52]), "bit depth"),
        (picture((4, 4), rgb, &chunk(b"acTL", &[0, 1, 0, 0, 0, 0, 0, 0]), &[0; 52]), "65536 frames"),
        (jpeg(0xc2, [0xff; 4]), "65535 x 65535 pixels"),
        (jpeg(0xc0, [0, 0, 0, 9]), "damaged header"),
        (jpeg(0xc2, [32, 0, 32, 0])[..21].repeat(50_000), "two headers of one image"),
    ] {
        written(images.join("photo01.png"), &bytes);
        refused(rdm(&images), &["photo01.png", words]);
    }
}

#[test]
fn archives_that_unpack_to_too_much() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("set.zip");
    let mut archive = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    for i in 0..3 {
        archive.start_file(format!("{i}.png"), zip::write::SimpleFileOptions::default()).unwrap();
        std::io::Write::write_all(&mut archive, &vec![0; 100 << 20]).unwrap();
    }
    archive.finish().unwrap();
    refused(rdm(&path), &["set.zip", "unpacks to at most"]);
}

/// Nothing waits for a pipe, and nothing that is called an image is left out of a set.
#[cfg(unix)]
#[test]
fn what_is_no_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let images = photographs(dir.path(), 4, 24);
    let pipe = dir.path().join("pipe.png");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    refused(rdm(&pipe), &["pipe.png", "a pipe, socket or device"]);
    refused(rdm(&images).arg("--config", &pipe), &["pipe.png", "a pipe"]);
    refused(rdm(&images).arg("--compare", &pipe), &["pipe.png", "a pipe"]);
    refused(Program::new("run").flag(pipe.to_str().unwrap()), &["pipe.png", "a pipe"]);
    let inside = images.join("photo99.png");
    std::os::unix::fs::symlink(&pipe, &inside).unwrap();
    refused(rdm(&images), &["photo99.png", "a pipe"]);
    std::fs::remove_file(&inside).unwrap();
    std::os::unix::fs::symlink("../.git/annex/objects/photo.png", &inside).unwrap();
    refused(rdm(&images), &["photo99.png", "a link to `../.git/annex/objects/photo.png`", "git annex get"]);
    std::fs::remove_file(&inside).unwrap();
    std::fs::create_dir(&inside).unwrap();
    refused(rdm(&images), &["photo99.png", "a folder"]);
    std::fs::remove_dir(&inside).unwrap();
    let socket = std::os::unix::net::UnixListener::bind(&inside).unwrap();
    refused(rdm(&images), &["photo99.png", "a pipe, socket or device"]);
    drop(socket);
    std::fs::remove_file(&inside).unwrap();
    let closed = written(inside, b"");
    std::fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(0o0)).unwrap();
    // An administrator may read everything.
    let words = if std::fs::File::open(&closed).is_ok() { "an empty file" } else { "cannot read" };
    refused(rdm(&images), &["photo99.png", words]);
    std::fs::remove_file(&closed).unwrap();
    std::fs::remove_dir_all(&images).unwrap();
    std::fs::create_dir(&images).unwrap();
    std::os::unix::fs::symlink("nowhere.tsv", images.join("stimuli.tsv")).unwrap();
    refused(rdm(&images), &["stimuli.tsv", "a link to `nowhere.tsv`"]);
}

#[test]
fn configurations_that_no_machine_can_compute() {
    let dir = tempfile::tempdir().unwrap();
    let images = photographs(dir.path(), 4, 24);
    let images = images.display();
    let brain = "[betas]\nfiles = [\"b.nii\"]\n[fingerprints]\nfiles = [\"f.npz\"]\n";
    let simulated = "[fingerprints]\nfiles = [\"f.npz\"]\n";
    let cases = [
        ("orthogonalize", "n_images = 4294967296", "n_images"),
        ("orthogonalize", "n_images = 10000\n[image]\nparam = \"pixels\"", "n_images"),
        ("orthogonalize", "steps = 9223372036854775807", "steps"),
        ("orthogonalize", "restarts = 4294967296", "restarts"),
        ("orthogonalize", "[objective]\nsd_weight = inf", "objective.sd_weight"),
        ("orthogonalize", "[objective]\nmin_sd = 1e300", "objective.min_sd"),
        ("orthogonalize", "[image]\ninit_sd = inf", "image.init_sd"),
        ("orthogonalize", "[image]\nluminance = nan", "image.luminance"),
        ("orthogonalize", "[image]\nband_limit = nan", "image.band_limit"),
        ("orthogonalize", "[image]\ndecay = -inf", "image.decay"),
        ("orthogonalize", "[optimizer]\nlearning_rate = 1e300", "optimizer.learning_rate"),
        ("orthogonalize", "[optimizer]\ntolerance = inf", "optimizer.tolerance"),
        ("orthogonalize", "[optimizer]\nanneal = nan", "optimizer.anneal"),
        ("orthogonalize", "[robust]\njitter = 1e300", "robust.jitter"),
        ("maximize", "n_images = 4294967296", "n_images"),
        ("maximize", "steps = 4294967296", "steps"),
        ("maximize", "restarts = 4294967296", "restarts"),
        ("maximize", "restarts = 9999\nn_images = 9999", "restarts, n_images"),
        ("maximize", "diversity = 1e300\nn_images = 2", "diversity"),
        ("maximize", "[search]\ncandidates = 4294967296", "search.candidates"),
        ("maximize", "[search]\ntolerance = inf", "search.tolerance"),
        ("maximize", "[search]\nsmooth = nan", "search.smooth"),
        ("maximize", "[search.views]\nscale = [nan, 1.0]", "scale"),
        ("maximize", "[image]\nmask = \"disc\"\nmask_diameter = inf", "image.mask_diameter"),
        ("maximize", "[image]\nmask = \"disc\"\nmask_diameter = 9\nmask_centre = [nan, 0.0]", "image.mask_centre"),
        ("maximize", "[image]\npx_per_degree = 1e300", "image.px_per_degree"),
        ("adversarial", &format!("images = \"{images}\"\nbatch = 4294967296"), "batch"),
        ("adversarial", &format!("images = \"{images}\"\nresize = \"crop\"\nbatch = 1000000"), "batch"),
        ("adversarial", &format!("images = \"{images}\"\nsteps = 4294967296"), "steps"),
        ("adversarial", &format!("images = \"{images}\"\nn_random = 4294967296"), "n_random"),
        ("adversarial", &format!("images = \"{images}\"\nlearning_rate = 1e300"), "learning_rate"),
        ("adversarial", &format!("images = \"{images}\"\nepsilon = [nan]\nresize = \"crop\""), "epsilon"),
        ("rdm", &format!("images = \"{images}\"\nn_permutations = 4294967296"), "n_permutations"),
        ("rdm", &format!("images = \"{images}\"\n[inference]\nn_bootstraps = 4294967296"), "inference.n_bootstraps"),
        ("map", &format!("{brain}[test]\nn_permutations = 4294967296"), "test.n_permutations"),
        ("map", &format!("{brain}[test]\nn_image_bootstraps = 4294967296"), "test.n_image_bootstraps"),
        ("map", &format!("{brain}[test]\nalpha = nan"), "test.alpha"),
        ("map", &format!("{brain}[sphere]\nradius = 1e300"), "sphere.radius"),
        ("map", &format!("{brain}[sphere]\nradius = nan"), "sphere.radius"),
        ("map", &format!("{brain}[bold]\ntr_s = inf"), "bold.tr_s"),
        ("map", &format!("{brain}[bold.design]\noversampling = 4294967296"), "bold.design.oversampling"),
        ("map", &format!("{brain}[bold.design]\nhigh_pass_hz = 1e300"), "bold.design.high_pass_hz"),
        ("map", &format!("{brain}[bold.design]\nslice_time_ref = nan"), "bold.design.slice_time_ref"),
        ("map", &format!("{simulated}[simulation]\nrepeats = [4294967296]"), "simulation.repeats"),
        ("map", &format!("{simulated}[simulation.brain]\nn_voxels = 4294967296"), "simulation.brain"),
        ("map", &format!("{simulated}[simulation.brain]\nn_regions = 9223372036854775807"), "simulation.brain"),
        ("map", &format!("{simulated}[simulation.brain]\nsnr = inf"), "simulation.brain.snr"),
        ("group", "[maps]\nsubjects = [\"a.nii\"]\n[test]\nn_permutations = 4294967296", "test.n_permutations"),
        ("group", "[maps]\nsubjects = [\"a.nii\"]\n[test]\nlevel = nan", "test.level"),
        ("group", "[maps]\nsubjects = [\"a.nii\"]\n[test.tfce]\nheight = 1e300", "test.tfce.height"),
        ("group", "[maps]\nsubjects = [\"a.nii\"]\n[test.tfce]\nheights = { dh = nan }", "test.tfce.heights"),
    ];
    for (command, text, option) in cases {
        let path = written(dir.path().join("c.toml"), format!("command = \"{command}\"\n{text}\n").as_bytes());
        let ended = Program::new("run").flag(path.to_str().unwrap()).arg("--out", dir.path().join("out")).run();
        let first = ended.stderr().lines().next().unwrap_or_default().to_owned();
        let named = first.split(": expected").next().unwrap_or_default();
        assert!(ended.code() == 2 && named.contains(option), "{command}, {text}: {first}");
    }
    assert!(!dir.path().join("out").exists());
}

#[test]
fn configurations_that_are_no_text_and_names_that_are_none() {
    let dir = tempfile::tempdir().unwrap();
    let run = |path: &Path| Program::new("run").flag(path.to_str().unwrap());
    let bytes = written(dir.path().join("c.toml"), b"command = \"rdm\"\nimages = \"\xff\"\n");
    refused(run(&bytes), &["c.toml", "text in UTF-8"]);
    refused(run(&written(dir.path().join("deep.toml"), &b"a = [".repeat(100_000)[..])), &["deep.toml"]);
    let deep = [&b"a = "[..], &b"[".repeat(200_000)].concat();
    refused(run(&written(dir.path().join("deep.toml"), &deep)), &["deep.toml", "recursion"]);
    let large = dir.path().join("large.toml");
    std::fs::File::create(&large).unwrap().set_len(1 << 40).unwrap();
    refused(run(&large), &["large.toml", "at most 16 MB"]);
    let images = photographs(dir.path(), 3, 24);
    for long in ["x".repeat(300), "d/".repeat(2500)] {
        refused(rdm(&dir.path().join(&long)), &["shorten it"]);
        let out = dir.path().join(&long);
        refused(Program::new("rdm").arg("--images", &images).arg("--out", out), &["shorten it"]);
    }
}

#[cfg(unix)]
#[test]
fn names_that_are_not_utf_8_are_refused_where_they_cannot_be_written_down() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    let name = dir.path().join(std::ffi::OsStr::from_bytes(b"fa\xe7ade"));
    let images = photographs(dir.path(), 3, 24);
    std::fs::rename(images, &name).unwrap();
    refused(rdm(&name), &["UTF-8", "rename"]);
}

#[test]
fn no_number_of_threads_hangs() {
    let dir = tempfile::tempdir().unwrap();
    let images = photographs(dir.path(), 3, 24);
    let run = |threads: Option<&str>, variable: Option<(&str, &str)>| -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_orthoscope"));
        for name in ["SLURM_CPUS_PER_TASK", "RAYON_NUM_THREADS", "RAYON_RS_NUM_CPUS"] {
            command.env_remove(name);
        }
        command.args(["rdm", "--dry-run", "--quiet", "--images"]).arg(&images).envs(variable);
        for n in threads.iter() {
            command.args(["--threads", n]);
        }
        command.output().unwrap()
    };
    let began = Instant::now();
    let huge = "99999999999999999999999";
    for (threads, variable, asker) in [
        (Some("65535"), None, "--threads asks for 65535 threads: "),
        (None, Some(("SLURM_CPUS_PER_TASK", "1000000")), "SLURM_CPUS_PER_TASK asks for 1000000 threads: "),
        (None, Some(("RAYON_NUM_THREADS", huge)), "RAYON_NUM_THREADS asks for "),
        (Some("1"), Some(("SLURM_CPUS_PER_TASK", huge)), ""),
        (None, Some(("SLURM_CPUS_PER_TASK", "-3")), ""),
        (None, Some(("SLURM_CPUS_PER_TASK", "0")), ""),
    ] {
        let output = run(threads, variable);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(if asker.is_empty() { said.is_empty() } else { said.starts_with(asker) }, "{said}");
    }
    assert!(began.elapsed() < 3 * SOON, "{:?}", began.elapsed());
}

/// Bars, lines, summaries and errors stop nothing where they cannot be written.
#[cfg(unix)]
#[test]
fn a_terminal_that_is_gone_stops_nothing() {
    if !Path::new("/dev/full").exists() {
        println!("skipped: there is no /dev/full");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_orthoscope");
    let full = || Stdio::from(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    let closed = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Stdio::from(writer)
    };
    for (style, stderr) in [("bar", full()), ("lines", full()), ("bar", closed()), ("lines", closed())] {
        let out = dir.path().join("run");
        let mut child = Command::new(program)
            .args(["orthogonalize", "--n-images", "4", "--checkpoint-every", "1", "--steps", "100000"])
            .args(["--progress", style, "--force", "--out"])
            .arg(&out)
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let began = Instant::now();
        while !out.join("checkpoint/item-000.checkpoint").exists() {
            assert!(began.elapsed() < 6 * SOON && child.try_wait().unwrap().is_none(), "no checkpoint with {style}");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(Command::new("kill").args(["-HUP", &child.id().to_string()]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(75), "{style}");
        assert!(out.join("checkpoint/item-000.checkpoint").exists());
        std::fs::remove_dir_all(&out).unwrap();
    }
    let ended = |args: &[&str], stdout: Stdio, stderr: Stdio| {
        Command::new(program).args(args).stdout(stdout).stderr(stderr).status().unwrap().code().unwrap()
    };
    assert_eq!(ended(&["rdm", "--images", "nowhere"], Stdio::null(), full()), 2);
    assert_eq!(ended(&["models", "inspect", "mini-inception"], full(), closed()), 1);
    assert_eq!(ended(&["models", "inspect", "mini-inception", "--json"], closed(), full()), 1);
    assert!(ended(&["--help"], full(), full()) < 3, "no panic");
    assert!(ended(&["rdm", "--nothing"], closed(), closed()) < 3, "no panic");
}
