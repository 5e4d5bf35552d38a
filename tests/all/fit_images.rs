//! The job `fit` on images and movies: every estimator, and what `predict` makes of its model.

use crate::docs::has_rows;
use crate::program::{Program, photographs, tiny_model};
use crate::support::{data, json};
use ndarray::{Array2, Array4, Axis};
use orthoscope::io::{npy, npz, tsv};
use orthoscope::rng;
use std::path::{Path, PathBuf};

const N: usize = 30;

/// Photographs, and noisy responses to them.
struct Shown {
    dir: tempfile::TempDir,
    images: PathBuf,
    model: PathBuf,
}

impl Shown {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (images, model) = (photographs(dir.path(), N, 24), tiny_model(dir.path()));
        let mut draw = rng::stream(61, "fit images", 0);
        let y = Array2::from_shape_fn((N, 6), |(i, t)| ((i * (t + 2)) as f64 * 0.37).sin() + 0.3 * draw.normal() + 2.0);
        npy::write(&dir.path().join("y.npy"), &y.mapv(|v| v as f32)).unwrap();
        let names: Vec<String> = (0..N).map(|i| format!("photo{i:02}")).collect();
        std::fs::write(dir.path().join("ids.txt"), names.join("\n") + "\n").unwrap();
        Self { dir, images, model }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A fit whose configuration has these lines.
    fn program(&self, out: &str, lines: &str) -> Program {
        let config = self.at(&format!("{out}.toml"));
        std::fs::write(&config, format!("command = \"fit\"\n{lines}\n")).unwrap();
        Program::new("fit")
            .arg("--config", config)
            .arg("--out", self.at(out))
            .arg("--model", &self.model)
            .arg("--images", &self.images)
            .arg("--targets", self.at("y.npy"))
            .arg("--axes", "rows,targets")
            .arg("--ids", self.at("ids.txt"))
    }
}

fn array(path: &Path, name: &str) -> Array2<f32> {
    npz::read(path).unwrap().get::<f32>(name).unwrap().into_dimensionality().unwrap()
}

/// What `predict` makes of the file of a fit is what the fit itself predicted, whatever is kept of a
/// layer and whatever is fitted on it.
#[test]
fn a_model_read_back_predicts_what_the_fit_predicted() {
    let shown = Shown::new();
    let window =
        "{ rf_pooled = { width_deg = 10.0, n_centres = 3, n_radii = 2, smallest_deg = 1.0, largest_deg = 3.0 } }";
    let layers = "taps = [\"conv2\", \"conv4\"]";
    let cases = [
        ("flat", format!("[stimuli]\n{layers}")),
        (
            "mean",
            format!("combine = \"both\"\n[stimuli]\n{layers}\nreduction = \"spatial_mean\"\nscaling = \"z_score\""),
        ),
        ("pca", format!("[stimuli]\n{layers}\nreduction = {{ pca = {{ keep = {{ components = 5 }} }} }}")),
        ("zpca", format!("[stimuli]\n{layers}\nreduction = {{ pca = {{ zscore = true }} }}")),
        ("srp", format!("[stimuli]\n{layers}\nreduction = {{ sparse_random_projection = {{ n_components = 40 }} }}")),
        (
            "banded",
            format!("estimator = \"banded\"\n[stimuli]\n{layers}\nreduction = \"spatial_mean\"\n[banded]\nn_iter = 6"),
        ),
        ("rf", format!("estimator = \"gaussian_rf\"\n[stimuli]\n{layers}\nreduction = {window}")),
        ("maps", format!("estimator = \"factorized\"\n[stimuli]\n{layers}\n[readout]\nepochs = 4")),
    ];
    for (name, lines) in cases {
        shown.program(name, &lines).run().expect_code(0);
        let results = json(&shown.at(name).join("manifest.json"))["results"].clone();
        has_rows("fit", &results);
        let predicted = format!("{name}-predicted");
        let program = Program::new("predict").arg("--out", shown.at(&predicted)).arg("--model", shown.at(name));
        program.arg("--images", &shown.images).run().expect_code(0);
        let all: Array2<f32> = npy::read::<f32>(&shown.at(&predicted).join("arrays/predictions.npy"))
            .unwrap()
            .into_dimensionality()
            .unwrap();
        let file = shown.at(name).join("arrays/predictions.npz");
        let (own, rows) = (array(&file, "predictions"), npz::read(&file).unwrap().get::<f64>("rows").unwrap());
        let rows: Vec<usize> = rows.iter().map(|&r| r as usize).collect();
        assert_eq!(own.dim(), (6, 6), "{name}");
        let gap = (&all.select(Axis(0), &rows) - &own).mapv(f32::abs).fold(0.0, |most: f32, &v| most.max(v));
        assert!(gap < 2e-4, "{name}: {gap}");
        if name == "rf" {
            let scores = tsv::read(&shown.at(name).join("arrays/scores.tsv")).unwrap();
            let sizes = scores.column("sd_deg").unwrap();
            assert!(sizes.iter().all(|v| *v == "1" || *v == "3"), "{sizes:?}");
            assert_eq!(results["receptive_fields"][0]["n_targets"], 6);
        }
    }
}

/// Movies in which nothing changes within a sample: their mean is any of their frames.
#[test]
fn movies_become_samples() {
    let shown = Shown::new();
    let (n_samples, per_sample) = (20, 3);
    for run in 0..2u64 {
        let mut draw = rng::stream(62, "fit images", run);
        let stills = Array4::from_shape_simple_fn((n_samples, 24, 24, 3), || (255.0 * draw.uniform()) as u8);
        let frames: Vec<usize> = (0..n_samples * per_sample).map(|f| f / per_sample).collect();
        npy::write(&shown.at(&format!("movie{run}.npy")), &stills.select(Axis(0), &frames)).unwrap();
        let y = Array2::from_shape_simple_fn((n_samples, 3), || draw.normal() as f32);
        npy::write(&shown.at(&format!("bold{run}.npy")), &y).unwrap();
    }
    let movies = |out: &str, movies: &[&str], flags: &str| {
        let program = Program::new("fit").arg("--out", shown.at(out)).arg("--model", &shown.model);
        let program = movies.iter().fold(program, |p, movie| p.arg("--movie", shown.at(movie)));
        let program = (0..2).fold(program, |p, run| p.arg("--targets", shown.at(&format!("bold{run}.npy"))));
        let program = program.arg("--axes", "rows,targets").arg("--rows", "time").arg("--tr", "1.5");
        let program = program.arg("--taps", "conv2").arg("--reduction", "spatial_mean");
        flags.split_whitespace().fold(program, Program::flag)
    };
    let both = ["movie0.npy", "movie1.npy"];
    movies("average", &both, "--frame-rate 2 --delays 0,1").run().expect_code(0);
    movies("downsample", &both, "--frame-rate 2 --frames downsample --delays 0,1").run().expect_code(0);
    movies("convolve", &both, "--frame-rate 2 --frames convolve").run().expect_code(0);
    let scores = |out: &str| tsv::read(&shown.at(out).join("arrays/scores.tsv")).unwrap();
    let r = |out: &str| -> Vec<f64> { scores(out).column("r").unwrap().iter().map(|v| v.parse().unwrap()).collect() };
    let same = r("average").iter().zip(r("downsample")).all(|(a, b)| (a - b).abs() < 1e-5);
    assert!(same, "{:?} {:?}", r("average"), r("downsample"));
    has_rows("fit", &json(&shown.at("average").join("manifest.json"))["results"]);
    let refused = |movies: Program, texts: &[&str]| movies.run().expect_code(2).expect_error(texts);
    refused(movies("bad", &both, ""), &["--frame-rate", "none"]);
    refused(movies("bad", &both[..1], "--frame-rate 2"), &["2 movies, one for each run", "1"]);
    refused(movies("bad", &both, "--frame-rate 3"), &["movie0.npy", "frames"]);
    refused(movies("bad", &both, "--frame-rate 2 --images photos"), &["several"]);
    assert!(!shown.at("bad").exists());
}

/// A window beyond a layer's map is left out of that layer, and nothing else changes; where none is left, the
/// layer is named.
#[test]
fn windows_beyond_a_map_are_left_out() {
    let shown = Shown::new();
    let window = |x: f64, sd: f64| format!("{{ x_deg = {x}, y_deg = 0.5, sd_deg = {sd} }}");
    let inside = [window(-2.0, 1.0), window(1.0, 2.0), window(0.0, 4.0)];
    let fit = |out: &str, windows: &[String]| {
        let grid = format!("{{ rf_pooled = {{ width_deg = 10.0, windows = [{}] }} }}", windows.join(", "));
        shown.program(out, &format!("estimator = \"gaussian_rf\"\n[stimuli]\ntaps = [\"conv2\"]\nreduction = {grid}"))
    };
    fit("without", &inside).run().expect_code(0);
    fit("with", &[inside.as_slice(), &[window(40.0, 1.0)]].concat()).run().expect_code(0);
    let manifest = |out: &str| json(&shown.at(out).join("manifest.json"));
    let layer = |out: &str| manifest(out)["results"]["layers"][0]["n_windows"].clone();
    assert_eq!((layer("without"), layer("with")), (3.into(), 3.into()));
    assert!(manifest("with")["warning_texts"].to_string().contains("1 of 4 on `conv2`"));
    assert!(!manifest("without")["warning_texts"].to_string().contains("windows"));
    has_rows("fit", &manifest("with")["results"]);
    let scores = |out: &str| std::fs::read_to_string(shown.at(out).join("arrays/scores.tsv")).unwrap();
    assert_eq!(scores("without"), scores("with"));
    let ended = fit("bad", &[window(40.0, 1.0)]).run().expect_code(2);
    ended.expect_error(&["receptive fields on `conv2`", "x 40, y 0.5, sd 1 degrees"]);
    assert!(!shown.at("bad").exists());
}

/// Two names for one picture: where one is held out, the other is not fitted on.
#[test]
fn copies_of_a_picture_are_on_one_side() {
    let shown = Shown::new();
    std::fs::copy(shown.images.join("photo03.png"), shown.images.join("photo29.png")).unwrap();
    std::fs::write(shown.at("held.txt"), "photo29\nphoto10\n").unwrap();
    let program = shown.program("run", "[stimuli]\ntaps = [\"conv2\"]\nreduction = \"spatial_mean\"");
    program.arg("--test", "stimuli").arg("--test-stimuli", shown.at("held.txt")).run().expect_code(0);
    let manifest = json(&shown.at("run").join("manifest.json"));
    let results = &manifest["results"];
    assert_eq!((&results["n_train"], &results["n_test"], &results["n_left_out"]), (&27.into(), &2.into(), &1.into()));
    assert!(manifest["warning_texts"].to_string().contains("`photo29` is `photo03`"), "{}", manifest["warning_texts"]);
    for line in results["leakage"].as_array().unwrap().iter().filter(|line| line["n_rows"] == 27) {
        assert_eq!(line["rows"], "0-2, 4-9, 11-28");
    }
}

/// V4 neurons: half of the images fitted, half tested; the numbers that the folder gives for the neurons'
/// own compact models are the yardstick.
#[test]
fn neurons_of_v4_are_predicted_from_squeezenet() {
    let Some(folder) = data("v4/data_V4_responses") else { return };
    let Some(network) = data("squeezenet_v11/squeezenet_v11.onnx") else { return };
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let program = Program::new("fit").arg("--out", &out).arg("--model", network).arg("--preprocess", "torchvision");
    let program = program.arg("--images", folder.join("images/images_190923.zip"));
    let program = program.arg("--targets", folder.join("responses_repeat_averaged/responses_190923.npy"));
    let program = program.arg("--axes", "targets,rows").arg("--match", "order").arg("--reduction", "spatial_mean");
    let program = program.arg("--taps", "fire2/concat,fire5/concat,fire8/concat");
    program.arg("--test", "last").arg("--test-share", "0.5").run().expect_code(0);
    let results = json(&out.join("manifest.json"))["results"].clone();
    let median = |of: &serde_json::Value| of["r"]["median"].as_f64().unwrap();
    let layers: Vec<f64> = results["scores"]["by_layer"].as_array().unwrap().iter().map(median).collect();
    // Early layers know little of V4, and choosing by inner folds loses nothing.
    let best = median(&results["scores"]["all"]);
    assert!(layers[0] < layers[1] && layers[0] < layers[2] && best > 0.5, "{layers:?} {best}");
    assert!(best > layers.iter().copied().fold(0.0, f64::max) - 0.02, "{layers:?} {best}");
}
