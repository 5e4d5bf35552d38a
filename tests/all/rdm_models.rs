//! `rdm` with several subjects' RDMs: the layers as models of them.

use crate::program::{Program, tiny_model};
use ndarray::{Array2, Array4};
use orthoscope::io::{npy, npz, tsv};
use orthoscope::math::stats;
use orthoscope::rng;
use std::path::{Path, PathBuf};

const N_IMAGES: usize = 14;
const N_SUBJECTS: usize = 6;

/// Random images and the tiny network, ready for `rdm`.
fn rdm(dir: &Path, out: &str) -> Program {
    let images = dir.join("images.npy");
    if !images.exists() {
        let mut stream = rng::stream(3, "images of the model comparison", 0);
        let pixels = Array4::from_shape_simple_fn((N_IMAGES, 24, 24, 3), || (stream.uniform() * 255.0) as u8);
        npy::write(&images, &pixels).unwrap();
        tiny_model(dir);
    }
    Program::new("rdm")
        .arg("--model", dir.join("tiny"))
        .arg("--taps", "conv1,conv2,conv4")
        .arg("--images", images)
        .arg("--n-permutations", "20")
        .arg("--out", dir.join(out))
        .flag("--json")
}

/// RDMs of subjects who carry the last layer's and noise, condensed; and those of the layers.
fn subjects(dir: &Path) -> (PathBuf, Array2<f64>, Vec<Vec<f64>>) {
    rdm(dir, "layers").run().expect_code(0);
    let layers = npz::read(&dir.join("layers/arrays/rdms.npz")).unwrap();
    let layers: Vec<Vec<f64>> =
        ["conv1", "conv2", "conv4"].map(|name| layers.get::<f64>(name).unwrap().iter().copied().collect()).to_vec();
    let sd = stats::sd(&layers[2], 0);
    let mut stream = rng::stream(4, "subjects of the model comparison", 0);
    let rdms = Array2::from_shape_fn((N_SUBJECTS, layers[2].len()), |(_, p)| layers[2][p] + sd * stream.normal());
    let path = dir.join("subjects.npy");
    npy::write(&path, &rdms).unwrap();
    (path, rdms, layers)
}

#[test]
fn layers_are_tested_as_models_of_subjects() {
    let dir = tempfile::tempdir().unwrap();
    let (path, rdms, layers) = subjects(dir.path());
    let results = rdm(dir.path(), "run").arg("--compare", &path).arg("--bootstrap", "both").run().expect_code(0).json();
    assert_eq!(
        results["comparisons"].as_array().unwrap().len(),
        3 * N_SUBJECTS,
        "every subject, as without a bootstrap"
    );
    let found = &results["models"][0];
    assert_eq!((&found["reference"], &found["bootstrap"]), (&"subjects".into(), &"both".into()));
    assert_eq!((&found["n_subjects"], &found["n_images"]), (&N_SUBJECTS.into(), &N_IMAGES.into()));
    assert_eq!(found["dof"], 5.0, "the smaller of subjects and images, less 1");
    let value = |m: usize, key: &str| found["models"][m][key].as_f64().unwrap();
    for (m, layer) in layers.iter().enumerate() {
        let each: Vec<f64> = rdms.outer_iter().map(|s| stats::spearman(layer, &s.to_vec())).collect();
        assert!((value(m, "similarity") - stats::mean(&each)).abs() < 1e-12);
        assert!(value(m, "low") < value(m, "mean") && value(m, "mean") < value(m, "high"));
        assert!(value(m, "p_zero") <= value(m, "q_zero") && value(m, "q_zero") <= value(m, "p_zero_fwe"));
    }
    assert!(value(2, "p_zero_fwe") < 0.01 && value(2, "mean") > value(1, "mean"));
    let ceiling = |bound: &str, key: &str| found["noise_ceiling"][bound][key].as_f64().unwrap();
    assert!(ceiling("lower", "mean") < ceiling("upper", "mean") && ceiling("lower", "low") < ceiling("lower", "high"));
    assert_eq!(found["pairs"].as_array().unwrap().len(), 3);
    assert_eq!((&found["pairs"][1]["a"], &found["pairs"][1]["b"]), (&"conv1".into(), &"conv4".into()));
    let difference = found["pairs"][1]["difference"].as_f64().unwrap();
    assert!((difference - (value(0, "mean") - value(2, "mean"))).abs() < 1e-12);
    let run = dir.path().join("run");
    let table = tsv::read(&run.join("arrays/model_comparison.tsv")).unwrap();
    assert_eq!(
        table.column("model").unwrap(),
        ["conv1", "conv2", "conv4", "noise_ceiling_lower", "noise_ceiling_upper"]
    );
    assert_eq!(table.column("mean").unwrap()[2].parse::<f64>().unwrap(), value(2, "mean"));
    assert_eq!(tsv::read(&run.join("arrays/model_pairs.tsv")).unwrap().column("p_fwe").unwrap().len(), 3);
    assert!(run.join("figures/models_1.png").exists() && run.join("figures/models_1.svg").exists());
    let page = std::fs::read_to_string(run.join("report.html")).unwrap();
    assert!(page.contains("Layers as models of subjects"));
    let again = rdm(dir.path(), "again").arg("--config", run.join("config.toml")).run().expect_code(0).json();
    assert_eq!(again["models"], results["models"], "the configuration holds everything");
}

#[test]
fn each_kind_of_conclusion_has_its_degrees_of_freedom() {
    let dir = tempfile::tempdir().unwrap();
    let (path, ..) = subjects(dir.path());
    let with = |bootstrap: &str| {
        let run = rdm(dir.path(), bootstrap).arg("--compare", &path).arg("--bootstrap", bootstrap);
        run.arg("--n-bootstraps", "60").arg("--level", "0.9").run().expect_code(0).json()["models"][0].clone()
    };
    let (none, subjects, images) = (with("none"), with("subjects"), with("images"));
    assert_eq!([&none["dof"], &subjects["dof"], &images["dof"]].map(|d| d.as_f64().unwrap()), [5.0, 5.0, 13.0]);
    assert_eq!([&none["n_bootstraps"], &subjects["n_bootstraps"], &images["n_bootstraps"]], [0, 60, 60]);
    assert!(none["noise_ceiling"]["lower"]["sem"].is_null(), "without resamples the ceiling is taken as it is");
    assert_eq!(none["models"][0]["mean"], none["models"][0]["similarity"]);
    assert_eq!(none["models"][0]["similarity"], images["models"][0]["similarity"]);
}

#[test]
fn what_is_not_several_subjects_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (path, rdms, _) = subjects(dir.path());
    let refused = |path: &Path, flags: [&str; 2], texts: &[&str]| {
        let run = rdm(dir.path(), "refused").arg("--compare", path).arg("--bootstrap", "both").arg(flags[0], flags[1]);
        run.run().expect_code(2).expect_error(texts);
        assert!(!dir.path().join("refused").exists());
    };
    let one = dir.path().join("one.npy");
    npy::write(&one, &rdms.row(0)).unwrap();
    refused(&one, ["--seed", "1"], &["several subjects", "none"]);
    refused(&path, ["--level", "1.5"], &["--level", "1.5"]);
    refused(&path, ["--n-bootstraps", "1"], &["--n-bootstraps", "2 resamples"]);
    let sessions = dir.path().join("sessions.npy");
    let zeros = ndarray::Array4::<f64>::zeros((2, 2, N_IMAGES, N_IMAGES));
    npy::write(&sessions, &zeros).unwrap();
    refused(&sessions, ["--seed", "1"], &["[2, 2, 14, 14]", "average the sessions"]);
    rdm(dir.path(), "plain").arg("--compare", &path).run().expect_code(0);
    let plain = rdm(dir.path(), "plain").arg("--compare", &path).flag("--force").run().expect_code(0).json();
    assert!(plain.get("models").is_none(), "subjects are compared one by one unless a bootstrap is asked for");
}
