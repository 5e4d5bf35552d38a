//! The job `fit` on data that tempt it: runs that a split cuts, targets and features that say nothing,
//! images that come twice.

use crate::docs::has_rows;
use crate::program::Program;
use crate::support::json;
use ndarray::{Array2, Axis, concatenate, s};
use orthoscope::io::{npy, npz, tsv};
use orthoscope::math::linalg::Cholesky;
use orthoscope::rng;
use serde_json::Value;
use std::path::PathBuf;

/// Features and responses in one order.
pub struct Bare {
    pub dir: tempfile::TempDir,
    pub x: Array2<f32>,
    pub y: Array2<f32>,
}

impl Bare {
    /// `y = x w + noise`, n x 5 and n x 4, `y` about 500.
    pub fn new(n: usize, seed: u64) -> Self {
        let mut draw = rng::stream(seed, "hostile fit", 0);
        let x = Array2::from_shape_simple_fn((n, 5), || draw.normal() as f32);
        let weights = Array2::from_shape_simple_fn((5, 4), || draw.normal() as f32);
        let y = x.dot(&weights) * 20.0 + Array2::from_shape_simple_fn((n, 4), || 500.0 + draw.normal() as f32);
        let made = Self { dir: tempfile::tempdir().unwrap(), x, y };
        made.write();
        made
    }

    pub fn write(&self) {
        npy::write(&self.at("x.npy"), &self.x).unwrap();
        npy::write(&self.at("y.npy"), &self.y).unwrap();
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `flags` as they are typed.
    pub fn program(&self, out: &str, flags: &str) -> Program {
        let program = Program::new("fit")
            .arg("--out", self.at(out))
            .arg("--features", self.at("x.npy"))
            .arg("--targets", self.at("y.npy"))
            .arg("--axes", "rows,targets")
            .arg("--match", "order");
        flags.split_whitespace().fold(program, Program::flag)
    }

    pub fn manifest(&self, out: &str) -> Value {
        json(&self.at(out).join("manifest.json"))
    }

    pub fn results(&self, out: &str) -> Value {
        self.manifest(out)["results"].clone()
    }

    pub fn scores(&self, out: &str, column: &str) -> Vec<String> {
        let table = tsv::read(&self.at(out).join("arrays/scores.tsv")).unwrap();
        table.column(column).unwrap().into_iter().map(String::from).collect()
    }

    pub fn array(&self, out: &str, name: &str) -> Array2<f32> {
        let file = npz::read(&self.at(out).join("arrays/predictions.npz")).unwrap();
        file.get::<f32>(name).unwrap().into_dimensionality().unwrap()
    }

    fn bytes(&self, out: &str, name: &str) -> Vec<u8> {
        std::fs::read(self.at(out).join("arrays").join(name)).unwrap()
    }
}

/// Mean and standard deviation of the rows of `of` of every column, and ridge regression at one penalty on
/// them: responses and predictions of the rows of `test`, scaled.
fn scaled_by(study: &Bare, train: &[usize], test: &[usize], alpha: f64) -> [Array2<f64>; 2] {
    let wide = |m: &Array2<f32>, rows: &[usize]| m.select(Axis(0), rows).mapv(f64::from);
    let (x, y) = (wide(&study.x, train), wide(&study.y, train));
    let (mean, sd) = (y.mean_axis(Axis(0)).unwrap(), y.std_axis(Axis(0), 0.0));
    let x_mean = x.mean_axis(Axis(0)).unwrap();
    let (x, y) = (x - &x_mean, (y - &mean) / &sd);
    let gram = x.t().dot(&x) + Array2::<f64>::eye(5) * alpha;
    let weights = Cholesky::new(gram.view()).unwrap().solve(x.t().dot(&y).view());
    [(wide(&study.y, test) - &mean) / &sd, (wide(&study.x, test) - &x_mean).dot(&weights)]
}

fn close(found: &Array2<f32>, expected: &Array2<f64>) {
    let gap = (found.mapv(f64::from) - expected).mapv(f64::abs);
    assert!(gap.iter().all(|&gap| gap < 1e-4), "{gap}");
}

/// A run that the split cuts is scaled by its training samples: whatever is held out of it, no bit of what is
/// fitted changes, and predictions are those of the normal equations on so scaled responses.
#[test]
fn a_run_that_is_cut_is_scaled_by_its_training_samples() {
    let flags = "--rows time --tr 2 --alphas 7";
    let mut study = Bare::new(100, 1);
    study.program("clean", flags).run().expect_code(0);
    let (train, test): (Vec<usize>, Vec<usize>) = ((0..80).collect(), (80..100).collect());
    let [responses, predictions] = scaled_by(&study, &train, &test, 7.0);
    close(&study.array("clean", "responses"), &responses);
    close(&study.array("clean", "predictions"), &predictions);
    let leakage = study.results("clean")["leakage"].clone();
    let line = leakage.as_array().unwrap().iter().find(|line| line["what"].as_str().unwrap().contains("in each run"));
    assert_eq!(line.expect("the scales of runs are fitted")["rows"], "0-79");
    for how in ["z_score", "centre"] {
        let flags = format!("--rows time --tr 2 --run-scaling {how}");
        study = Bare::new(100, 1);
        study.program("clean", &flags).run().expect_code(0);
        study.y.slice_mut(s![80.., ..]).mapv_inplace(|v| 1e6 - 3.0 * v);
        study.write();
        study.program("poisoned", &flags).run().expect_code(0);
        assert_eq!(study.bytes("clean", "model.safetensors"), study.bytes("poisoned", "model.safetensors"), "{how}");
        for column in ["alpha", "cv_score"] {
            assert_eq!(study.scores("clean", column), study.scores("poisoned", column), "{how} {column}");
        }
        assert_eq!(study.array("clean", "predictions"), study.array("poisoned", "predictions"), "{how}");
    }
}

/// Every fold within a run has scales of its own, and responses are scored as their own fold scales them.
#[test]
fn folds_within_a_run_are_each_scaled_by_their_own_training_samples() {
    let study = Bare::new(60, 2);
    let flags = "--rows time --tr 2 --alphas 7 --test folds --test-split block --test-folds 3";
    study.program("run", flags).run().expect_code(0);
    let fold = |k: usize| {
        let (test, train): (Vec<usize>, Vec<usize>) = (0..60).partition(|i| i / 20 == k);
        scaled_by(&study, &train, &test, 7.0)
    };
    let folds = [fold(0), fold(1), fold(2)];
    for (i, name) in ["responses", "predictions"].into_iter().enumerate() {
        let expected = concatenate(Axis(0), &[folds[0][i].view(), folds[1][i].view(), folds[2][i].view()]).unwrap();
        close(&study.array("run", name), &expected);
    }
}

/// 60 samples of one run with its end held out have 11 circular shifts: that is said, with the smallest p.
#[test]
fn results_say_how_many_permutations_there_were() {
    let study = Bare::new(60, 3);
    study.program("time", "--rows time --tr 2 --permutations 500").run().expect_code(0);
    let permutations = study.results("time")["scores"]["permutations"].clone();
    assert_eq!((&permutations["n"], &permutations["smallest_p"]), (&11.into(), &(1.0 / 12.0).into()));
    let warnings = study.manifest("time")["warning_texts"].to_string();
    assert!(warnings.contains("11 ways only") && warnings.contains("8.33e-2"), "{warnings}");
    study.program("stimuli", "--permutations 500").run().expect_code(0);
    assert_eq!(study.results("stimuli")["scores"]["permutations"]["n"], 500);
    assert!(!study.manifest("stimuli")["warning_texts"].to_string().contains("ways only"));
    has_rows("fit", &study.results("stimuli"));
}

/// A feature that is dead in the training rows, or varies by what rounding leaves of its mean, changes
/// nothing: predictions are those without it.
#[test]
fn dead_features_are_not_blown_up() {
    let mut study = Bare::new(60, 4);
    let flags = "--scaling z_score --test last --alphas 5";
    study.program("without", flags).run().expect_code(0);
    let train = 48;
    let dead = |i: usize, unit: f32| if i < train { unit * (i % 3) as f32 } else { 1.0 };
    let more = Array2::from_shape_fn((60, 2), |(i, j)| dead(i, [1e-40, 1e-30][j]));
    study.x = concatenate(Axis(1), &[study.x.view(), more.view()]).unwrap();
    study.write();
    study.program("with", flags).run().expect_code(0);
    let gap = &study.array("with", "predictions") - &study.array("without", "predictions");
    assert!(gap.iter().all(|gap| gap.abs() < 1e-3), "{gap}");
    // All alike: said before anything is written, with the file's name.
    study.x.fill(3.0);
    study.write();
    study.program("constant", flags).run().expect_code(2).expect_error(&["features `x`", "7 that never change"]);
    assert!(!study.at("constant").exists());
}

/// Targets of which nothing can be fitted: refused in the plan, with the file's name; some of them: counted,
/// in one way everywhere.
#[test]
fn states_agree_in_all_tables() {
    let mut study = Bare::new(60, 5);
    study.y = concatenate(Axis(1), &[study.y.view(), study.y.view()]).unwrap();
    study.y.column_mut(0).fill(7.0);
    study.y.column_mut(1).slice_mut(s![48..]).fill(7.0);
    study.y[(3, 2)] = f32::NAN;
    study.y[(55, 3)] = f32::INFINITY;
    study.y[(3, 4)] = 1e30;
    study.write();
    study.program("run", "--test last").run().expect_code(0);
    let states = study.scores("run", "state");
    let expected = ["constant", "constant_tested", "not_finite", "not_finite", "not_finite", "varies"];
    assert_eq!(states[..6], expected);
    let results = study.results("run");
    let counts = ["n_constant", "n_constant_tested", "n_not_finite"].map(|key| results[key].as_u64().unwrap());
    assert_eq!(counts, [1, 1, 3]);
    let warnings = study.manifest("run")["warning_texts"].to_string();
    assert!(
        warnings.contains("3 lack a number") && warnings.contains("1 targets vary over the training"),
        "{warnings}"
    );
    for column in ["r", "r2"] {
        let values = study.scores("run", column);
        assert!(values[..5].iter().all(|v| v == "0") && values[5] != "0", "{column}: {values:?}");
    }
    // What is not fitted is not predicted, as `predict` has it.
    let predictions = study.array("run", "predictions");
    let unfitted: Vec<bool> = predictions.columns().into_iter().map(|c| c.iter().all(|v| v.is_nan())).collect();
    assert_eq!(unfitted, [true, false, true, false, true, false, false, false]);
    study.y.fill(2.0);
    study.write();
    study.program("all", "--test last").run().expect_code(2).expect_error(&["y.npy", "8 that never change"]);
    assert!(!study.at("all").exists());
}

/// One held-out sample has no correlation, two lie on a line whatever they are.
#[test]
fn too_few_held_out_samples_have_no_r() {
    let study = Bare::new(100, 6);
    for (share, n) in [("0.01", 1), ("0.02", 2), ("0.03", 3)] {
        study.program("run", &format!("--force --test-share {share}")).run().expect_code(0);
        let results = study.results("run");
        assert_eq!(results["n_test"], n);
        assert_eq!(results["scores"]["all"]["r"].is_null(), n < 3);
        assert_eq!(results["scores"]["all"]["r2"].is_null(), n < 2);
        assert_eq!(study.manifest("run")["warning_texts"].to_string().contains("r needs 3 or more"), n < 3);
        has_rows("fit", &results);
    }
}

/// What a user may get wrong is named as the user called it.
#[test]
fn small_mistakes_are_named() {
    let study = Bare::new(40, 7);
    let refused = |flags: &str, texts: &[&str]| {
        study.program("bad", flags).run().expect_code(2).expect_error(texts);
        assert!(!study.at("bad").exists(), "{flags}");
    };
    refused("--alphas -1", &["--alphas", "positive numbers", "-1"]);
    refused("--test-share -1", &["--test-share", "-1"]);
    refused("--rows time --tr 2 --delays 1,2,1", &["--delays", "1 twice"]);
    let names: Vec<String> = (0..40).map(|i| format!("s{}", i.max(1))).collect();
    std::fs::write(study.at("rows.tsv"), format!("stimulus\n{}\n", names.join("\n"))).unwrap();
    let twice = study.program("bad", "").arg("--feature-rows", study.at("rows.tsv"));
    twice.run().expect_code(2).expect_error(&["rows.tsv", "`s1` twice"]);
    // The grid ends where numbers do.
    study.program("small", "--alphas 1e-300,1e-299").run().expect_code(0);
    // Shards of another seed.
    study.program("one", "--shard 1/2").run().expect_code(0);
    study.program("two", "--shard 2/2 --seed 5").run().expect_code(0);
    let joined = study.program("bad", "").arg("--shards", study.at("one")).arg("--shards", study.at("two"));
    joined.run().expect_code(2).expect_error(&["a shard with seed = 5, here it is 1"]);
}

/// Responses that are a large number and a small rest lose the rest in 32 bits: that is said.
#[test]
fn responses_that_32_bits_do_not_hold_are_told() {
    let mut study = Bare::new(40, 8);
    study.y.mapv_inplace(|v| 1e6 + 1e-2 * v);
    study.write();
    study.program("run", "").run().expect_code(0);
    let said = study.manifest("run")["warning_texts"].to_string();
    assert!(said.contains("4 targets vary by less than 32 steps"), "{said}");
}

/// `--resume --force` continues what can be continued and replaces the rest: also a run on other files.
#[test]
fn a_run_on_other_files_is_replaced_with_resume_and_force() {
    let mut study = Bare::new(40, 9);
    study.program("run", "").run().expect_code(0);
    let before = study.scores("run", "r");
    study.y.mapv_inplace(|v| v.sin());
    study.write();
    study.program("run", "--resume").run().expect_code(2).expect_error(&["y.npy"]);
    study.program("run", "--resume --force").run().expect_code(0);
    assert_ne!(study.scores("run", "r"), before);
}
