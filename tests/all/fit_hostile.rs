//! The job `fit` on data that tempt it: runs that a split cuts, targets and features that say nothing,
//! images that come twice.

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
