//! `predict`: a fitted model's responses to images and ready features, scored where there are
//! responses.

use crate::docs::{has_keys, has_rows};
use crate::encoding_model::{fitted_file, pictures};
use crate::program::{Program, photographs};
use crate::support::{json, npy};
use ndarray::{Array2, Array3, Axis};
use orthoscope::encoding::model::{
    self, EncodingModel, ModelSpace, PredictOptions, Readout, ReadoutWeights, SpaceFrom, TrainingStimulus, pixels_hash,
};
use orthoscope::encoding::reliability::{Repeats, feve, r2_er};
use orthoscope::io::{npy as npy_io, tsv};
use orthoscope::math::stats;
use orthoscope::network::{CpuEngine, Executor};
use orthoscope::rng;
use std::path::{Path, PathBuf};

const N: usize = 12;

/// Twelve pictures as a file of 8-bit pixels.
fn images(dir: &Path) -> PathBuf {
    let path = dir.join("images.npy");
    let bytes = pictures(N).permuted_axes([0, 2, 3, 1]).mapv(|v| (v * 255.0).round() as u8);
    npy_io::write(&path, &bytes.as_standard_layout().into_owned()).unwrap();
    path
}

/// What the library predicts to them.
fn expected(file: &Path) -> (EncodingModel, Array2<f32>) {
    let model = model::read(file).unwrap();
    let graph = &model.network.as_ref().unwrap().graph;
    let mut make = |taps: &[_]| Ok(Box::new(CpuEngine::new(graph, taps)?) as Box<dyn Executor>);
    let found = model.predict_images(&pictures(N), &mut make, &PredictOptions::default()).unwrap();
    (model, found)
}

fn predict(dir: &Path, out: &str) -> Program {
    Program::new("predict").arg("--out", dir.join(out)).flag("--json")
}

fn predictions(run: &Path) -> Array2<f32> {
    npy(&run.join("arrays/predictions.npy")).into_dimensionality().unwrap()
}

/// The same numbers, NaN where NaN is expected.
#[track_caller]
fn same(found: &Array2<f32>, expected: &Array2<f32>) {
    assert_eq!(found.dim(), expected.dim());
    let off = |a: f32, b: f32| !(a.is_nan() && b.is_nan()) && (a - b).abs() > 1e-5 * b.abs().max(1.0);
    assert!(found.iter().zip(expected).all(|(&a, &b)| !off(a, b)));
}

/// Responses: what is predicted of some targets, with noise, three repeats, in another order.
fn responses(dir: &Path, predicted: &Array2<f32>, targets: &[&str], columns: &[usize]) -> (Array3<f32>, PathBuf) {
    let order: Vec<usize> = (0..10).map(|i| (i * 7 + 3) % 10).collect();
    let mut stream = rng::stream(2, "repeats", 0);
    let values = Array3::from_shape_fn((columns.len(), order.len(), 3), |(t, s, r)| {
        let column = predicted.column(columns[t]);
        let sd = stats::sd(&column.iter().map(|&v| f64::from(v)).collect::<Vec<_>>(), 0);
        // One repeat of one stimulus was not made.
        let there = !(s == 4 && r == 2);
        if there { column[order[s]] + (0.5 * sd * stream.normal()) as f32 } else { f32::NAN }
    });
    npy_io::write(&dir.join("responses.npy"), &values).unwrap();
    let names: Vec<String> = order.iter().map(|i| format!("image{:04}", i + 1)).collect();
    std::fs::write(dir.join("ids.txt"), names.join("\n")).unwrap();
    std::fs::write(dir.join("names.txt"), targets.join("\n")).unwrap();
    let config = format!(
        "command = \"predict\"\n[targets]\nfiles = [\"{0}/responses.npy\"]\naxes = [\"targets\", \"rows\", \"repeats\"]\nids = \"{0}/ids.txt\"\nnames = \"{0}/names.txt\"\n",
        dir.display()
    );
    let path = dir.join("predict.toml");
    std::fs::write(&path, config).unwrap();
    (values, path)
}

#[test]
fn predictions_are_written_and_scored() {
    let dir = tempfile::tempdir().unwrap();
    let file = fitted_file(dir.path());
    let set = images(dir.path());
    let (model, all) = expected(&file);
    let (values, config) = responses(dir.path(), &all, &["IT-7", "V1-0", "unknown", "dead"], &[7, 0, 1, 3]);
    let run = predict(dir.path(), "run").arg("--config", config).arg("--model", dir.path().join("fit"));
    let results = run.arg("--images", &set).run().expect_code(0).json();
    has_rows("predict", &results);
    has_keys("predict", std::slice::from_ref(&results));
    let run = dir.path().join("run");
    same(&predictions(&run), &all);
    let targets = tsv::read(&run.join("arrays/targets.tsv")).unwrap();
    assert_eq!(targets.column("name").unwrap(), model.targets);
    assert_eq!(targets.column("fitted").unwrap()[2], "no");
    let stimuli = tsv::read(&run.join("arrays/stimuli.tsv")).unwrap();
    assert_eq!(stimuli.column("stimulus").unwrap().len(), N);
    assert_eq!(
        (&results["n_stimuli"], &results["n_targets"], &results["n_unfitted"]),
        (&12.into(), &10.into(), &1.into())
    );
    // Scores of the stimuli in the responses' own order, by the library's functions.
    let table = tsv::read(&run.join("arrays/scores.tsv")).unwrap();
    assert_eq!(table.column("target").unwrap(), ["V1-0", "dead", "IT-7"]);
    let order: Vec<usize> = (0..10).map(|i| (i * 7 + 3) % 10).collect();
    for (row, response, column) in [(0, 1, 0), (2, 0, 7)] {
        let model: Vec<f64> = order.iter().map(|&i| f64::from(all[(i, column)])).collect();
        let repeats = Repeats::of(values.index_axis(Axis(0), response));
        let score = |name: &str| table.column(name).unwrap()[row].parse::<f64>().unwrap();
        assert!((score("r") - stats::pearson(&model, &repeats.means)).abs() < 1e-4);
        assert!((score("r2_er") - r2_er(&model, &repeats)).abs() < 1e-4);
        assert!((score("feve") - feve(&model, &repeats)).abs() < 1e-4);
    }
    assert_eq!(table.column("r").unwrap()[1], "0", "what could not be fitted scores 0");
    let scores = &results["scores"];
    assert_eq!((&scores["n_targets"], &scores["n_stimuli"], &scores["n_repeats"]), (&3.into(), &10.into(), &3.into()));
    assert_eq!((&scores["n_not_finite"], &results["identification"]["n_targets"]), (&1.into(), &2.into()));
    assert!(scores["r"]["median"].as_f64().unwrap() > 0.5 && scores["best"].as_array().unwrap().len() == 3);
    for figure in ["scatter.png", "scatter.svg", "top_images.png"] {
        assert!(run.join("figures").join(figure).exists(), "{figure}");
    }
    let page = std::fs::read_to_string(run.join("report.html")).unwrap();
    assert!(page.contains("Top images") && page.contains("Predictions and responses"));
    let said = json(&run.join("manifest.json"))["warning_texts"].to_string();
    assert!(said.contains("7 of the 10 predicted targets have no responses"), "{said}");
    assert!(said.contains("2 of the 12 stimuli have no responses"), "{said}");
}

#[test]
fn training_stimuli_are_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let file = fitted_file(dir.path());
    let photos = photographs(dir.path(), 3, 24);
    let mut model = model::read(&file).unwrap();
    let warned = |model: &EncodingModel, out: &str| {
        model.write(&file).unwrap();
        let run = predict(dir.path(), out).arg("--model", &file).arg("--images", &photos).arg("--unit", "V1-*");
        let results = run.run().expect_code(0).json();
        let said = json(&dir.path().join(out).join("manifest.json"))["warning_texts"].to_string();
        (results["n_trained"].as_u64(), said.contains("among those that the model was fitted on"))
    };
    assert_eq!(warned(&model, "others"), (Some(0), false), "names alone do not make pictures the same");
    // The same picture under another name; a name of a stimulus whose pixels are not known.
    let pixels = orthoscope::io::png::read(&photos.join("photo01.png")).unwrap();
    model.stimuli[0] = TrainingStimulus { name: "scene".into(), hash: pixels_hash(&pixels) };
    model.stimuli[1] = TrainingStimulus { name: "photo02".into(), hash: String::new() };
    assert_eq!(warned(&model, "two"), (Some(2), true));
    let table = tsv::read(&dir.path().join("two/arrays/stimuli.tsv")).unwrap();
    assert_eq!(table.column("fitted_on").unwrap(), ["no", "yes", "yes"]);
    model.stimuli.clear();
    assert_eq!(warned(&model, "unknown"), (None, false));
}

#[test]
fn ready_features_are_found_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let space = |name: &str, n: usize| ModelSpace {
        name: name.into(),
        from: SpaceFrom::Given { n_features: n },
        components: None,
        mean: vec![0.5; n],
        scale: vec![2.0; n],
    };
    let model = EncodingModel {
        network: None,
        spaces: vec![space("gist", 2), space("tags", 1)],
        readouts: vec![Readout {
            spaces: vec![0, 1],
            targets: vec![0, 1],
            weights: ReadoutWeights::Dense(ndarray::array![[1.0, 0.0], [0.0, 1.0], [1.0, -1.0]]),
            intercept: vec![0.0, 1.0],
            alphas: vec![1.0; 2],
        }],
        targets: vec!["a".into(), "b".into()],
        delays: vec![],
        stimuli: vec![TrainingStimulus { name: "s2".into(), hash: String::new() }],
    };
    model.write(&at("m.safetensors")).unwrap();
    npy_io::write(&at("gist.npy"), &ndarray::array![[0.5f32, 2.5], [4.5, 0.5]]).unwrap();
    npy_io::write(&at("tags.npy"), &ndarray::array![[0.5f32], [2.5]]).unwrap();
    std::fs::write(at("rows.tsv"), "stimulus\ns1\ns2\n").unwrap();
    let run = |out: &str| predict(dir.path(), out).arg("--model", at("m.safetensors"));
    let both = |out: &str| run(out).arg("--features", at("tags.npy")).arg("--features", at("gist.npy"));
    let results = both("run").arg("--feature-rows", at("rows.tsv")).run().expect_code(0).json();
    same(&predictions(&at("run")), &ndarray::array![[0.0, 2.0], [3.0, 0.0]]);
    assert_eq!(results["n_trained"], 1);
    both("plain").run().expect_code(0);
    run("one").arg("--features", at("gist.npy")).run().expect_code(2).expect_error(&["`tags`"]);
    run("none").arg("--images", images(dir.path())).run().expect_code(2).expect_error(&["without a network"]);
    npy_io::write(&at("gist.npy"), &Array2::<f32>::zeros((2, 3))).unwrap();
    both("wide").run().expect_code(2).expect_error(&["expected 2 features, found 3"]);
    // It has no image to be driven by.
    let driven = Program::new("maximize").arg("--model", at("m.safetensors")).arg("--out", at("driven"));
    driven.run().expect_code(2).expect_error(&["ready features"]);
}

/// Columns stand for targets where neither has names, and all are there; it is said.
#[test]
fn responses_without_names_are_never_matched_by_number_unsaid() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let model = |names: [&str; 2]| {
        let from = SpaceFrom::Given { n_features: 1 };
        let space = ModelSpace { name: "x".into(), from, components: None, mean: vec![0.0], scale: vec![1.0] };
        let weights = ReadoutWeights::Dense(ndarray::array![[1.0, -1.0]]);
        let (intercept, alphas) = (vec![0.0; 2], vec![1.0; 2]);
        let readout = Readout { spaces: vec![0], targets: vec![0, 1], weights, intercept, alphas };
        let targets = names.map(str::to_owned).to_vec();
        let (spaces, readouts) = (vec![space], vec![readout]);
        let model = EncodingModel { network: None, spaces, readouts, targets, delays: vec![], stimuli: vec![] };
        model.write(&at("m.safetensors")).unwrap();
    };
    npy_io::write(&at("x.npy"), &ndarray::array![[1.0f32], [2.0], [4.0]]).unwrap();
    let run = |responses: &Array2<f32>, names: Option<&str>| {
        npy_io::write(&at("y.npy"), responses).unwrap();
        let program = predict(dir.path(), "run").arg("--model", at("m.safetensors")).arg("--features", at("x.npy"));
        let config = "command = \"predict\"\n[targets]\naxes = [\"rows\", \"targets\"]\nmatch = \"order\"\n";
        let names = names.map(|names| {
            std::fs::write(at("names.txt"), names).unwrap();
            format!("names = {:?}\n", at("names.txt"))
        });
        let text = format!("{config}files = [{:?}]\n{}", at("y.npy"), names.unwrap_or_default());
        std::fs::write(at("predict.toml"), text).unwrap();
        program.flag("--force").arg("--config", at("predict.toml")).run()
    };
    let both = ndarray::array![[1.0f32, 9.0], [2.0, 8.0], [4.0, 6.0]];
    model(["0", "1"]);
    let found = run(&both, None).expect_code(0);
    assert!(found.stderr().contains("in the order of their columns"), "{}", found.stderr());
    run(&both.slice(ndarray::s![.., ..1]).to_owned(), None).expect_code(2).expect_error(&["the model's 2 targets"]);
    model(["1", "0"]);
    run(&both, None).expect_code(2).expect_error(&["names of the responses' targets"]);
    let found = run(&both, Some("0\n1\n")).expect_code(0);
    assert!(!found.stderr().contains("order of their columns"), "{}", found.stderr());
}

#[test]
fn bad_input_is_an_error_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let file = fitted_file(dir.path());
    let set = images(dir.path());
    let refused = |run: Program, texts: &[&str]| {
        run.run().expect_code(2).expect_error(texts);
        assert!(!dir.path().join("run").exists());
    };
    let run = || predict(dir.path(), "run");
    let good = || run().arg("--model", &file).arg("--images", &set);
    refused(run().arg("--images", &set), &["--model", "a run directory of `fit`"]);
    refused(run().arg("--model", "nowhere").arg("--images", &set), &["`nowhere`"]);
    refused(run().arg("--model", &file), &["--images"]);
    refused(good().arg("--unit", "V9-*"), &["--unit", "one of the 10 targets"]);
    refused(good().arg("--batch", "0"), &["--batch"]);
    refused(good().arg("--features", &set), &["--features"]);
    let (_, all) = expected(&file);
    let (_, config) = responses(dir.path(), &all, &["p", "q", "r", "s"], &[0, 1, 3, 4]);
    refused(good().arg("--config", &config), &["targets.names", "`p`"]);
    std::fs::write(dir.path().join("ids.txt"), (0..10).map(|i| format!("other{i}\n")).collect::<String>()).unwrap();
    refused(good().arg("--config", &config), &["`other0`"]);
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 9]).unwrap();
    refused(good(), &["truncated"]);
    std::fs::write(&file, b"not a model").unwrap();
    refused(good(), &["safetensors"]);
}

#[test]
fn a_dry_run_describes_and_a_signal_interrupts() {
    let dir = tempfile::tempdir().unwrap();
    let file = fitted_file(dir.path());
    let set = images(dir.path());
    let run = || predict(dir.path(), "run").arg("--model", &file).arg("--images", &set).arg("--unit", "0,3");
    let plan = run().flag("--dry-run").run().expect_code(0).json();
    assert_eq!((&plan["n_targets"], &plan["n_stimuli"], &plan["n_trained"]), (&2.into(), &12.into(), &0.into()));
    assert!(plan["gflop"].as_f64().unwrap() > 0.0 && !dir.path().join("run").exists());
    use orthoscope::job::{self, Session, predict as job_predict};
    let config = job_predict::Config {
        model: file.display().to_string(),
        images: Some(set.clone()),
        ..job_predict::Config::default()
    };
    let session = Session::new(dir.path().join("stopped"));
    session.cancel.cancel();
    let error = job::run::<job_predict::Predict>(config, &session).unwrap_err();
    assert_eq!(error.exit_code(), 75);
    assert_eq!(json(&dir.path().join("stopped/manifest.json"))["status"], "interrupted");
}

/// A fitted target is driven like any unit, and its image is judged by the same model.
#[test]
fn fitted_targets_are_driven() {
    let dir = tempfile::tempdir().unwrap();
    let file = fitted_file(dir.path());
    let photos = photographs(dir.path(), 4, 24);
    let out = dir.path().join("driven");
    let run = Program::new("maximize").arg("--model", dir.path().join("fit")).arg("--unit", "IT-8,V1-0");
    let run = run.arg("--steps", "30").arg("--restarts", "1").arg("--natural", &photos).arg("--out", &out);
    let results = run.flag("--json").run().expect_code(0).json();
    let made: Vec<PathBuf> = std::fs::read_dir(out.join("images"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "png"))
        .collect();
    assert_eq!(made.len(), 2, "{results}");
    // What the sidecar says is what `predict` says of the written image.
    let of = |path: &Path| json(&path.with_extension("json"));
    for path in &made {
        let side = of(path)["responses"].clone();
        let unit = side["unit"].as_str().unwrap().to_owned();
        let out = dir.path().join(format!("of {unit}"));
        let run = Program::new("predict").arg("--model", &file).arg("--unit", &unit).arg("--images", path);
        run.arg("--out", &out).run().expect_code(0);
        let response = side["exported"].as_f64().unwrap();
        let again = f64::from(predictions(&out)[(0, 0)]);
        assert!((response - again).abs() < 1e-4 * response.abs().max(1.0), "{unit}: {response} and {again}");
    }
    let run = Program::new("adversarial").arg("--model", dir.path().join("fit")).arg("--unit", "V4-4");
    let run = run.arg("--images", &photos).arg("--steps", "3").arg("--out", dir.path().join("moved"));
    run.run().expect_code(0);
    let margin = Program::new("adversarial").arg("--model", &file).arg("--aim", "margin").arg("--images", &photos);
    margin.arg("--out", dir.path().join("margin")).run().expect_code(2).expect_error(&["one layer of scores"]);
    let run = Program::new("controversial").arg("--model", &file).arg("--against", format!("{}=V4-6", file.display()));
    let run = run.arg("--unit", "V1-3").arg("--natural", &photos).arg("--steps", "3");
    run.arg("--out", dir.path().join("apart")).run().expect_code(0);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_orthoscope"))
        .args(["models", "inspect", "--json"])
        .arg(dir.path().join("fit"))
        .output()
        .unwrap();
    let output: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&output["n_targets"], &output["n_fitted"]), (&10.into(), &9.into()));
    let rdm = Program::new("rdm").arg("--model", &file).arg("--taps", "conv4").arg("--images", &photos);
    rdm.arg("--out", dir.path().join("rdm")).run().expect_code(0);
}
