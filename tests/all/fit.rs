//! The job `fit`: whole runs on made-up and on real responses.

use crate::docs::has_rows;
use crate::program::{Ended, Program};
use crate::support::{data, json};
use ndarray::{Array2, Axis, s};
use orthoscope::io::{npy, npz, tsv};
use orthoscope::math::linalg::Cholesky;
use orthoscope::rng;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Features and responses: targets 0 to 3 are predictable, 4 is noise, 5 constant, 6 lacks a number.
struct Study {
    dir: tempfile::TempDir,
    x: Array2<f64>,
    y: Array2<f64>,
}

const N: usize = 60;

impl Study {
    fn new() -> Self {
        let mut draw = rng::stream(41, "fit test", 0);
        let x = Array2::from_shape_simple_fn((N, 5), || draw.normal());
        let weights = Array2::from_shape_simple_fn((5, 4), || draw.normal());
        let mut y = Array2::from_shape_simple_fn((N, 7), || 3.0 + draw.normal());
        let signal = x.dot(&weights) * 2.0;
        for (mut column, own) in y.columns_mut().into_iter().zip(signal.columns()) {
            column += &own;
        }
        y.column_mut(5).fill(2.5);
        y[(7, 6)] = f64::NAN;
        let study = Self { dir: tempfile::tempdir().unwrap(), x: x.mapv(f64::from), y };
        npy::write(&study.at("x.npy"), &study.x.mapv(|v| v as f32)).unwrap();
        npy::write(&study.at("y.npy"), &study.y.mapv(|v| v as f32)).unwrap();
        let names: Vec<String> = (0..N).map(|i| format!("stim{i:02}")).collect();
        std::fs::write(study.at("ids.txt"), names.join("\n") + "\n").unwrap();
        study.table("rows.tsv", "stimulus", &names);
        let regions: Vec<String> = (0..7).map(|t| if t < 4 { "V1".into() } else { "V2".into() }).collect();
        study.table("rois.tsv", "region", &regions);
        study
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn table(&self, name: &str, header: &str, rows: &[String]) {
        std::fs::write(self.at(name), format!("{header}\n{}\n", rows.join("\n"))).unwrap();
    }

    fn program(&self, out: &str) -> Program {
        Program::new("fit")
            .arg("--out", self.at(out))
            .arg("--features", self.at("x.npy"))
            .arg("--feature-rows", self.at("rows.tsv"))
            .arg("--targets", self.at("y.npy"))
            .arg("--axes", "rows,targets")
            .arg("--ids", self.at("ids.txt"))
            .arg("--rois", self.at("rois.tsv"))
    }

    fn results(&self, out: &str) -> Value {
        json(&self.at(out).join("manifest.json"))["results"].clone()
    }

    fn scores(&self, out: &str) -> tsv::Table {
        tsv::read(&self.at(out).join("arrays/scores.tsv")).unwrap()
    }
}

fn numbers(table: &tsv::Table, column: &str) -> Vec<f64> {
    table.column(column).unwrap().iter().map(|v| v.parse().unwrap_or(f64::NAN)).collect()
}

fn array(path: &Path, name: &str) -> Array2<f32> {
    npz::read(path).unwrap().get::<f32>(name).unwrap().into_dimensionality().unwrap()
}

#[test]
fn a_fit_says_what_was_fitted_on_what_and_how_good_it_is() {
    let study = Study::new();
    study.program("run").arg("--permutations", "200").run().expect_code(0);
    let results = study.results("run");
    has_rows("fit", &results);
    assert_eq!(
        (&results["n_targets"], &results["n_constant"], &results["n_not_finite"]),
        (&7.into(), &1.into(), &1.into())
    );
    assert_eq!((&results["n_train"], &results["n_test"]), (&48.into(), &12.into()));
    let scores = study.scores("run");
    let (r, q) = (numbers(&scores, "r"), numbers(&scores, "q"));
    assert!(r[..4].iter().all(|&r| r > 0.8), "{r:?}");
    assert!(r[4].abs() < 0.7 && r[5] == 0.0 && r[6] == 0.0, "{r:?}");
    assert!(q[..4].iter().all(|&q| q < 0.05) && q[4] > 0.05 && q[5] == 1.0, "{q:?}");
    let states = scores.column("state").unwrap();
    assert_eq!((states[0], states[5], states[6]), ("varies", "constant", "not_finite"));
    let by_roi = results["scores"]["by_roi"].as_array().unwrap();
    assert_eq!((by_roi[0]["roi"].as_str(), by_roi[1]["n_targets"].as_u64()), (Some("V1"), Some(3)));
    // Nothing was fitted on what its round tests.
    let rows = |text: &str| -> Vec<usize> {
        let part = |part: &str| match part.split_once('-') {
            Some((a, b)) => (a.parse().unwrap()..=b.parse::<usize>().unwrap()).collect::<Vec<_>>(),
            None => vec![part.parse().unwrap()],
        };
        text.split(", ").filter(|t| !t.is_empty()).flat_map(part).collect()
    };
    let leakage = results["leakage"].as_array().unwrap();
    assert!(leakage.len() > 2, "{leakage:?}");
    for line in leakage {
        let (fitted, tested) = (rows(line["rows"].as_str().unwrap()), rows(line["tested"].as_str().unwrap()));
        assert_eq!((fitted.len(), tested.len()), (line["n_rows"].as_u64().unwrap() as usize, 12), "{line}");
        assert!(fitted.iter().all(|row| !tested.contains(row)), "{line}");
    }
}

/// At a fixed penalty everything is known: predictions are those of the normal equations.
#[test]
fn predictions_are_those_of_the_normal_equations() {
    let study = Study::new();
    study.program("run").arg("--alphas", "7").arg("--test", "last").arg("--test-share", "0.25").run().expect_code(0);
    let file = study.at("run/arrays/predictions.npz");
    let found = array(&file, "predictions");
    let (train, test) = (s![..45, ..], s![45.., ..]);
    let (x_mean, y_mean) =
        (study.x.slice(train).mean_axis(Axis(0)).unwrap(), study.y.slice(train).mean_axis(Axis(0)).unwrap());
    let x = &study.x.slice(train) - &x_mean;
    let y = &study.y.slice(train) - &y_mean;
    let gram = x.t().dot(&x) + Array2::<f64>::eye(5) * 7.0;
    let weights = Cholesky::new(gram.view()).unwrap().solve(x.t().dot(&y).view());
    let expected = (&study.x.slice(test) - &x_mean).dot(&weights) + &y_mean;
    for t in 0..5 {
        let gap = (&found.column(t).mapv(f64::from) - &expected.column(t)).mapv(f64::abs);
        assert!(gap.iter().all(|&g| g < 1e-4), "target {t}: {gap}");
    }
    let names = tsv::read(&study.at("run/arrays/predictions.tsv")).unwrap();
    assert_eq!(names.column("stimulus").unwrap()[0], "stim45");
}

/// What is held out may hold anything: no bit of what is fitted changes.
#[test]
fn held_out_samples_change_nothing_that_is_fitted() {
    let study = Study::new();
    let flags = |program: Program| {
        let program = program.arg("--test", "last").arg("--test-share", "0.25");
        program.arg("--scaling", "z_score").arg("--reduction", "pca:3")
    };
    flags(study.program("clean")).run().expect_code(0);
    let poisoned = |values: &Array2<f64>, name: &str| {
        let mut values = values.mapv(|v| v as f32);
        values.slice_mut(s![45.., ..]).fill(1e6);
        npy::write(&study.at(name), &values).unwrap();
    };
    poisoned(&study.x, "x.npy");
    poisoned(&study.y, "y.npy");
    flags(study.program("poisoned")).run().expect_code(0);
    let weights = |out: &str| std::fs::read(study.at(out).join("arrays/model.safetensors")).unwrap();
    assert_eq!(weights("clean"), weights("poisoned"));
}

#[test]
fn the_order_of_rows_does_not_matter_where_names_are_given() {
    let study = Study::new();
    study.program("run").run().expect_code(0);
    let order: Vec<usize> = rng::stream(42, "fit test", 0).permutation(N);
    npy::write(&study.at("y.npy"), &study.y.select(Axis(0), &order).mapv(|v| v as f32)).unwrap();
    let names: Vec<String> = order.iter().map(|i| format!("stim{i:02}")).collect();
    std::fs::write(study.at("ids.txt"), names.join("\n") + "\n").unwrap();
    study.program("shuffled").run().expect_code(0);
    let scores = |out: &str| std::fs::read(study.at(out).join("arrays/scores.tsv")).unwrap();
    assert_eq!(scores("run"), scores("shuffled"));
}

/// Penalties and scores are those of other units, however small: responses in volts or tesla.
#[test]
fn the_unit_of_responses_does_not_matter() {
    let study = Study::new();
    for (out, unit) in [("one", 1.0), ("volts", 1e-6), ("tesla", 1e-13), ("counts", 1e6)] {
        npy::write(&study.at("y.npy"), &study.y.mapv(|v| (v * unit) as f32)).unwrap();
        study.program(out).run().expect_code(0);
        let (found, expected) = (study.scores(out), study.scores("one"));
        for column in ["r", "r2", "alpha"] {
            // Penalties of noise are chosen among equals.
            let n = if column == "alpha" { 4 } else { 7 };
            for (a, b) in numbers(&found, column).iter().zip(numbers(&expected, column)).take(n) {
                assert!((a - b).abs() <= 1e-4 * b.abs() || (a.is_nan() && b.is_nan()), "{out} {column}: {a} {b}");
            }
        }
    }
}

/// Shards are slices of the targets: put together they are the whole run, byte for byte.
#[test]
fn shards_are_the_whole() {
    let study = Study::new();
    for flags in ["--combine each", "--combine both"] {
        let spaces = npz::NpzWriter::new()
            .add("a", &study.x.slice(s![.., ..3]).mapv(|v| v as f32))
            .add("b", &study.x.slice(s![.., 2..]).mapv(|v| v as f32));
        spaces.write(&study.at("spaces.npz")).unwrap();
        let program = |out: &str| {
            let program = Program::new("fit")
                .arg("--out", study.at(out))
                .arg("--features", study.at("spaces.npz"))
                .arg("--targets", study.at("y.npy"))
                .arg("--axes", "rows,targets")
                .arg("--match", "order")
                .flag("--force");
            flags.split(' ').fold(program, Program::flag)
        };
        program("whole").run().expect_code(0);
        program("one").arg("--shard", "1/2").run().expect_code(0);
        program("two").arg("--shard", "2/2").run().expect_code(0);
        has_rows("fit", &study.results("one"));
        let joined = program("joined").arg("--shards", study.at("two")).arg("--shards", study.at("one"));
        joined.run().expect_code(0);
        for file in ["model.safetensors", "scores.tsv", "layers.npz", "predictions.npz", "leakage.tsv"] {
            let bytes = |out: &str| std::fs::read(study.at(out).join("arrays").join(file)).unwrap();
            assert_eq!(bytes("whole"), bytes("joined"), "{file}");
        }
        program("half").arg("--shards", study.at("one")).run().expect_code(2).expect_error(&["all 7 targets"]);
        program("many").arg("--shard", "1/8").run().expect_code(2).expect_error(&["at most 7 shards"]);
        assert!(!study.at("many").exists());
    }
}

/// The best layer is chosen by inner folds, and banded ridge by the candidates that are given.
#[test]
fn layers_are_chosen_by_inner_folds() {
    let study = Study::new();
    let mut draw = rng::stream(43, "fit test", 0);
    let noise = Array2::from_shape_simple_fn((N, 5), || draw.normal() as f32);
    let spaces = npz::NpzWriter::new().add("noise", &noise).add("signal", &study.x.mapv(|v| v as f32));
    spaces.write(&study.at("spaces.npz")).unwrap();
    let program = |out: &str| {
        let program = Program::new("fit").arg("--out", study.at(out)).arg("--features", study.at("spaces.npz"));
        program.arg("--targets", study.at("y.npy")).arg("--axes", "rows,targets").arg("--match", "order")
    };
    program("both").arg("--combine", "both").run().expect_code(0);
    let results = study.results("both");
    has_rows("fit", &results);
    let layers = results["layers"].as_array().unwrap();
    let of = |name: &str| layers.iter().find(|layer| layer["name"] == name).unwrap();
    assert!(of("noise")["n_best"].as_u64() <= Some(1), "{layers:?}");
    assert!(of("signal")["contribution"].as_f64().unwrap() > 0.85, "{layers:?}");
    let shares: f64 = ["noise", "signal"].iter().map(|name| of(name)["contribution"].as_f64().unwrap()).sum();
    assert!((shares - 1.0).abs() < 1e-9);
    npy::write(&study.at("gammas.npy"), &ndarray::array![[0.5, 0.5], [0.02, 0.98], [0.98, 0.02]]).unwrap();
    program("banded").arg("--estimator", "banded").arg("--gammas", study.at("gammas.npy")).run().expect_code(0);
    let banded = study.results("banded");
    has_rows("fit", &banded);
    let median = |results: &Value| results["scores"]["all"]["r"]["median"].as_f64().unwrap();
    assert!(median(&banded) > 0.8 && median(&results) > 0.8, "{banded}");
}

/// Delays of a time series: a response that comes three samples late is predicted by that delay
/// alone, and runs do not reach into each other.
#[test]
fn a_late_response_needs_its_delay() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let mut draw = rng::stream(44, "fit test", 0);
    let x = Array2::from_shape_simple_fn((120, 2), || draw.normal() as f32);
    let run = |t: usize| t / 40;
    let late = |t: usize, j: usize| if t >= 3 && run(t - 3) == run(t) { x[(t - 3, j)] } else { 0.0 };
    let y = Array2::from_shape_fn((120, 2), |(t, j)| 500.0 + 40.0 * late(t, j) + draw.normal() as f32);
    npy::write(&at("x.npy"), &x).unwrap();
    npy::write(&at("y.npy"), &y).unwrap();
    let rows: Vec<String> = (0..120).map(|t| format!("run-{}", run(t) + 1)).collect();
    std::fs::write(at("trials.tsv"), format!("run\n{}\n", rows.join("\n"))).unwrap();
    let fit = |out: &str, delays: &str| -> Value {
        let program = Program::new("fit").arg("--out", at(out)).arg("--features", at("x.npy"));
        let program = program.arg("--targets", at("y.npy")).arg("--axes", "rows,targets").arg("--rows", "time");
        let program = program.arg("--trials", at("trials.tsv")).arg("--tr", "2").arg("--delays", delays);
        program.arg("--permutations", "50").run().expect_code(0);
        json(&at(out).join("manifest.json"))["results"].clone()
    };
    let median = |results: &Value| results["scores"]["all"]["r"]["median"].as_f64().unwrap();
    let right = fit("right", "2,3,4");
    has_rows("fit", &right);
    assert!(median(&right) > 0.95, "{right}");
    assert_eq!(right["n_test"], 40);
    assert!(median(&fit("wrong", "1,2")) < 0.4);
}

#[test]
fn bad_input_ends_before_anything_is_written() {
    let study = Study::new();
    let refused = |flags: &[(&str, &str)], texts: &[&str]| {
        let program = flags.iter().fold(study.program("bad"), |program, (flag, value)| program.arg(flag, value));
        program.run().expect_code(2).expect_error(texts);
        assert!(!study.at("bad").exists(), "{flags:?}");
    };
    refused(&[("--alphas", "1,-2")], &["--alphas", "positive numbers", "-2"]);
    refused(&[("--alphas", "0")], &["positive numbers"]);
    refused(&[("--cv", "49")], &["folds", "use fewer folds"]);
    refused(&[("--cv", "1")], &["--cv", "2"]);
    refused(&[("--cv", "48"), ("--score", "pearson")], &["2 samples or more"]);
    refused(&[("--cv", "48"), ("--score", "r2")], &["2 samples or more"]);
    refused(&[("--test", "runs")], &["runs only for time series"]);
    refused(&[("--delays", "1")], &["--delays", "time series"]);
    refused(&[("--test", "stimuli")], &["--test-stimuli"]);
    refused(&[("--estimator", "banded")], &["several sets of features"]);
    refused(&[("--estimator", "gaussian_rf")], &["grid of receptive fields"]);
    refused(&[("--reduction", "spatial_mean")], &["ready features"]);
    refused(&[("--reduction", "pca:1.5x")], &["rf_pooled:20"]);
    refused(&[("--images", "photos")], &["several"]);
    refused(&[("--memory-mb", "1")], &["--memory-mb"]);
    // What is said is used, or refused.
    refused(&[("--test-stimuli", "nowhere.txt")], &["nowhere.txt"]);
    refused(&[("--test-runs", "2")], &["runs only for time series"]);
    refused(&[("--test", "last"), ("--test-stimuli", "nowhere.txt")], &["--test-stimuli", "--test"]);
    refused(&[("--test", "last"), ("--test-folds", "4")], &["--test-folds"]);
    refused(&[("--min-snr", "0.1")], &["--min-snr", "repeats"]);
    refused(&[("--mask-order", "numpy")], &["--mask-order", "a mask beside it"]);
    refused(&[("--n-iter", "7")], &["banded"]);
    refused(&[("--taps", "conv1")], &["--taps", "images or movies"]);
    // Rows that are another number, and names that are not there.
    npy::write(&study.at("short.npy"), &study.x.slice(s![..50, ..]).mapv(|v| v as f32)).unwrap();
    let with = |name: &str| {
        let program = Program::new("fit").arg("--out", study.at("bad")).arg("--features", study.at(name));
        program.arg("--targets", study.at("y.npy")).arg("--axes", "rows,targets")
    };
    with("short.npy").arg("--match", "order").run().expect_code(2).expect_error(&["60 rows", "50"]);
    with("x.npy").run().expect_code(2).expect_error(&["--feature-rows", "none"]);
    let ids: Vec<String> = (0..N).map(|i| format!("other{i:02}")).collect();
    std::fs::write(study.at("others.txt"), ids.join("\n") + "\n").unwrap();
    let other = with("x.npy").arg("--feature-rows", study.at("rows.tsv")).arg("--ids", study.at("others.txt"));
    other.run().expect_code(2).expect_error(&["other00"]);
    let mut nan = study.x.mapv(|v| v as f32);
    nan[(3, 1)] = f32::NAN;
    npy::write(&study.at("nan.npy"), &nan).unwrap();
    with("nan.npy").arg("--match", "order").run().expect_code(2).expect_error(&["NaN or infinity in row 3"]);
    // A stimulus that no target was measured for.
    let mut empty = study.y.mapv(|v| v as f32);
    empty.row_mut(9).fill(f32::NAN);
    npy::write(&study.at("y.npy"), &empty).unwrap();
    study.program("bad").run().expect_code(2).expect_error(&["stim09", "a response of some target"]);
}

/// `objects81_rois`: the mean r of every region that the folder's README gives.
#[test]
fn given_features_of_objects_predict_what_the_readme_says() {
    let Some(folder) = data("objects81_rois") else { return };
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let program = Program::new("fit").arg("--out", &out).arg("--features", folder.join("alexnet_pcs.npy"));
    let program = program.arg("--targets", folder.join("betas.npy")).arg("--axes", "rows,targets");
    let program = program.arg("--match", "order").arg("--rois", folder.join("voxels.tsv")).arg("--scaling", "z_score");
    let program = program.arg("--alphas", "30").arg("--test", "folds").arg("--test-split", "interleaved");
    program.arg("--test-folds", "9").run().expect_code(0);
    let results = json(&out.join("manifest.json"))["results"].clone();
    let expected = [("LOC", 0.65), ("PPA", 0.63), ("OFA", 0.56), ("OPA", 0.51), ("EVC", 0.48), ("PFS", 0.15)];
    for (roi, r) in expected {
        let all = results["scores"]["by_roi"].as_array().unwrap();
        let found = all.iter().find(|own| own["roi"] == roi).unwrap()["r"]["mean"].as_f64().unwrap();
        assert!((found - r).abs() < 0.0051, "{roi}: {found}, expected {r}");
    }
}

/// `digit69`: pixels to voxels, as the folder's README has it.
#[test]
fn pixels_of_digits_predict_what_the_readme_says() {
    let Some(folder) = data("digit69") else { return };
    let dir = tempfile::tempdir().unwrap();
    let (out, pixels) = (dir.path().join("run"), dir.path().join("pixels.npy"));
    let images: ndarray::ArrayD<u8> = ndarray_npy::read_npy(folder.join("images.npy")).unwrap();
    let flat = images.mapv(|v| f32::from(v) / 255.0).into_shape_with_order((90, 784)).unwrap();
    npy::write(&pixels, &flat).unwrap();
    let program = Program::new("fit").arg("--out", &out).arg("--features", &pixels);
    let program = program.arg("--targets", folder.join("fmri.npy")).arg("--axes", "rows,targets");
    let program = program.arg("--match", "order").arg("--alphas", "50").flag("--no-intercept");
    let program = program.arg("--test", "folds").arg("--test-split", "interleaved").arg("--test-folds", "10");
    program.run().expect_code(0);
    let scores = tsv::read(&out.join("arrays/scores.tsv")).unwrap();
    let mut r = numbers(&scores, "r");
    let mean = r.iter().sum::<f64>() / r.len() as f64;
    r.sort_by(f64::total_cmp);
    let best = r[(0.99 * r.len() as f64) as usize];
    assert!((mean - 0.18).abs() < 0.005 && (best - 0.76).abs() < 0.005, "{mean} {best}");
}

/// The end of a run by hand is the end of a run that was never killed: what a killed one left is used.
#[test]
fn a_run_that_is_killed_ends_with_the_same_bytes() {
    let study = Study::new();
    let mut draw = rng::stream(45, "fit test", 0);
    let wide = Array2::from_shape_simple_fn((N, 400), || draw.normal() as f32);
    let many = Array2::from_shape_fn((N, 6000), |(i, t)| wide[(i, t % 400)] + draw.normal() as f32);
    npy::write(&study.at("x.npy"), &wide).unwrap();
    npy::write(&study.at("y.npy"), &many).unwrap();
    std::fs::remove_file(study.at("rois.tsv")).unwrap();
    let program = |out: &str| {
        let program = Program::new("fit").arg("--out", study.at(out)).arg("--features", study.at("x.npy"));
        program.arg("--targets", study.at("y.npy")).arg("--axes", "rows,targets").arg("--match", "order")
    };
    program("whole").run().expect_code(0);
    let mut child = program("killed").spawn();
    let checkpoint = study.at("killed/checkpoint");
    let kept = || std::fs::read_dir(&checkpoint).map_or(0, |all| all.flatten().count());
    let began = std::time::Instant::now();
    while kept() < 2 && child.try_wait().unwrap().is_none() && began.elapsed().as_secs() < 60 {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child.kill().ok();
    child.wait().unwrap();
    program("killed").flag("--resume").run().expect_code(0);
    for file in ["model.safetensors", "scores.tsv", "predictions.npz"] {
        let bytes = |out: &str| std::fs::read(study.at(out).join("arrays").join(file)).unwrap();
        assert_eq!(bytes("whole"), bytes("killed"), "{file}");
    }
}

#[test]
fn a_dry_run_says_what_would_be_fitted() {
    let study = Study::new();
    let ended: Ended = study.program("never").flag("--dry-run").flag("--json").run().expect_code(0);
    let plan = ended.json();
    assert_eq!((&plan["n_samples"], &plan["n_targets"], &plan["n_train"]), (&60.into(), &7.into(), &48.into()));
    assert_eq!(plan["rounds"][0]["n_folds"], 5);
    assert!(!study.at("never").exists());
}
