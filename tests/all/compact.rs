//! Compact models of macaque V4 neurons (Cowley et al. 2023) from PyTorch, Keras and legacy Keras
//! files.

use crate::support::{activations, data, json, pearson, relative_error};
use ndarray::{Array2, ArrayD, Axis, IxDyn};
use orthoscope::network::zoo::{LoadOptions, load_model};
use orthoscope::network::{CpuEngine, Executor, Graph, TapRequest, TapValue};
use orthoscope::tensor::{Device, Tensor, tensor};
use std::io::Read;
use std::path::Path;

const MODELS: &str = "v4/data_compact_models";

pub(crate) fn load(path: &Path) -> Graph {
    let arch = path.extension().is_some_and(|e| e == "pt").then(|| "cowley-compact".to_string());
    load_model(path.to_str().unwrap(), &LoadOptions { arch, ..LoadOptions::default() }).unwrap().graph
}

/// Some images of a recording, by number from 0, in order of their names: N x 3 x 112 x 112 in [0,
/// 1].
pub(crate) fn images(id: &str, numbers: &[usize]) -> Option<Tensor<4>> {
    let file = std::fs::File::open(data(&format!("v4/data_V4_responses/images/images_{id}.zip"))?).unwrap();
    let mut archive = zip::ZipArchive::new(file).unwrap();
    let mut names: Vec<String> = archive
        .file_names()
        .map(|n| n.unwrap().into_owned())
        .filter(|n| n.ends_with(".jpg") && !n.contains("__MACOSX"))
        .collect();
    names.sort();
    let mut stack = ArrayD::zeros(IxDyn(&[numbers.len(), 3, 112, 112]));
    for (mut slot, &number) in stack.axis_iter_mut(Axis(0)).zip(numbers) {
        let mut bytes = Vec::new();
        archive.by_name(&names[number]).unwrap().read_to_end(&mut bytes).unwrap();
        let picture = image::load_from_memory(&bytes).unwrap().to_rgb8();
        for (x, y, pixel) in picture.enumerate_pixels() {
            (0..3).for_each(|c| slot[[c, y as usize, x as usize]] = f32::from(pixel[c]) / 255.0);
        }
    }
    Some(tensor(stack.view(), &Device::default()))
}

/// Predictions by the fast engine, a few images at a time.
pub(crate) fn many_predictions(graph: &Graph, images: &Tensor<4>) -> Vec<f64> {
    let mut engine = CpuEngine::new(graph, &[TapRequest::Activations(graph.output())]).unwrap();
    let n = images.dims()[0];
    let batch =
        |start: usize| match engine.infer(&images.clone().narrow(0, start, 20.min(n - start))).unwrap().remove(0) {
            TapValue::Activations(a) => orthoscope::tensor::array(&a).into_iter().map(f64::from).collect::<Vec<f64>>(),
            TapValue::Moments(_) => panic!("asked for activations"),
        };
    (0..n).step_by(20).flat_map(batch).collect()
}

fn predictions(graph: &Graph, images: &Tensor<4>) -> Vec<f32> {
    activations(graph, &[graph.output()], images).remove(0).iter().copied().collect()
}

fn files(folder: &str, extension: &str) -> Vec<std::path::PathBuf> {
    let Some(folder) = data(folder) else { return vec![] };
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == extension));
    paths.sort();
    paths
}

#[test]
fn predictions_are_the_references() {
    let Some(path) = data("v4/reference/predictions.json") else { return };
    let reference = json(&path);
    let first_ten: Vec<usize> = (0..10).collect();
    let recordings = ["190923", "201025"].map(|id| (id, images(id, &first_ten).unwrap()));
    let mut worst = 0.0f64;
    for (name, expected) in reference.as_object().unwrap() {
        let graph = load(&data(&format!("{MODELS}/models_torch/compact_model_{name}.pt")).unwrap());
        let (_, images) = recordings.iter().find(|(id, _)| name.starts_with(id)).unwrap();
        let found = predictions(&graph, images);
        for (f, e) in found.iter().zip(expected.as_array().unwrap()) {
            // Five decimals are given; JPEG decoders differ by one level of 255 here and there,
            // which moves an output by less than 0.02.
            worst = worst.max((f64::from(*f) - e.as_f64().unwrap()).abs());
            assert!((f64::from(*f) - e.as_f64().unwrap()).abs() < 0.02, "{name}: {found:?} against {expected}");
        }
    }
    println!("largest difference {worst}");
}

#[test]
fn three_formats_are_one_network() {
    let keras = files(&format!("{MODELS}/models_keras"), "keras");
    if keras.is_empty() {
        return;
    }
    assert_eq!(keras.len(), 6);
    let images = images("190923", &[0, 500]).unwrap();
    for path in keras {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let beside = |folder: &str, e: &str| data(&format!("{MODELS}/{folder}/{name}.{e}")).unwrap();
        let graphs = [load(&path), load(&beside("models_h5", "h5")), load(&beside("models_torch", "pt"))];
        let layers: Vec<Vec<ArrayD<f32>>> = graphs
            .iter()
            .map(|g| {
                let mut taps = g.resolve_taps(&["layers5".to_string()]).unwrap();
                taps.push(g.output());
                activations(g, &taps, &images)
            })
            .collect();
        for (a, b) in layers[0].iter().zip(&layers[1]).chain(layers[0].iter().zip(&layers[2])) {
            // The same numbers, but the .pt files hold variance + epsilon, rounded once: a few
            // units in the last of 24 bits, through five layers.
            let error = relative_error(a.as_slice().unwrap(), b.as_slice().unwrap());
            assert!(error <= 2e-5, "{name}: {error}");
        }
    }
}

#[test]
fn all_compact_models_load_and_are_finite() {
    let paths = files(&format!("{MODELS}/models_torch"), "pt");
    if paths.is_empty() {
        return;
    }
    assert_eq!(paths.len(), 164);
    let images = images("201025", &[7]).unwrap();
    for path in paths {
        let graph = load(&path);
        assert_eq!(graph.nodes().len(), 2 + 3 * 5 + 4 + 1, "{}", path.display());
        let out = predictions(&graph, &images);
        assert!(out.len() == 1 && out[0].is_finite(), "{}: {out:?}", path.display());
    }
}

/// How many of a recording's models the fits are checked for, evenly spread: all of them with
/// `ORTHOSCOPE_ALL=1` (minutes).
const SOME: usize = 4;

/// Pearson r of models of a recording with its neuron over images 1, 7, 13, ... against `fit.tsv`.
fn check_fit(id: &str, mean: f64) {
    let Some(path) = data("v4/reference/fit.tsv") else { return };
    let start = std::time::Instant::now();
    let numbers: Vec<usize> = (0..200).map(|i| 6 * i).collect();
    let images = images(id, &numbers).unwrap();
    let responses: Array2<f64> = ndarray_npy::read_npy(
        data(&format!("v4/data_V4_responses/responses_repeat_averaged/responses_{id}.npy")).unwrap(),
    )
    .unwrap();
    let complete = std::env::var_os("ORTHOSCOPE_ALL").is_some();
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = text.lines().filter(|l| l.starts_with(id)).collect();
    let step = if complete { 1 } else { lines.len() / SOME };
    let mut all = Vec::new();
    for line in lines.into_iter().step_by(step) {
        let [_, neuron, r] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let (neuron, expected): (usize, f64) = (neuron.parse().unwrap(), r.parse().unwrap());
        let graph = load(&data(&format!("{MODELS}/models_torch/compact_model_{id}_neuron{neuron}.pt")).unwrap());
        let found = many_predictions(&graph, &images);
        let recorded: Vec<f64> = numbers.iter().map(|&n| responses[[neuron, n]]).collect();
        let r = pearson(&found, &recorded);
        // Four decimals are given; another JPEG decoder moves r by less than this.
        assert!((r - expected).abs() < 2e-3, "{id} neuron {neuron}: {r} against {expected}");
        all.push(r);
    }
    let found = all.iter().sum::<f64>() / all.len() as f64;
    assert!(!complete || (found - mean).abs() < 1e-3, "{id}: mean r {found} against {mean}");
    println!("{id}: {} models, mean r {found:.4}, {:.0} s", all.len(), start.elapsed().as_secs_f64());
}

#[test]
fn models_of_190923_fit_their_neurons() {
    check_fit("190923", 0.674);
}

#[test]
fn models_of_201025_fit_their_neurons() {
    check_fit("201025", 0.700);
}

#[test]
fn shared_models_give_219_finite_responses() {
    let folder = "v4/data_shared_compact_models";
    let paths =
        [files(&format!("{folder}/from_ensemble_model"), "keras"), files(&format!("{folder}/from_resnet50"), "keras")]
            .concat();
    if paths.is_empty() {
        return;
    }
    assert_eq!(paths.len(), 16);
    let images = images("190923", &[3]).unwrap();
    for path in paths {
        let out = predictions(&load(&path), &images);
        assert!(out.len() == 219 && out.iter().all(|v| v.is_finite()), "{}", path.display());
    }
}

#[test]
fn truncated_files_are_corrupt_and_architectures_must_be_named() {
    let dir = tempfile::tempdir().unwrap();
    let stem = "compact_model_190923_neuron0";
    for (folder, extension) in [("models_torch", "pt"), ("models_keras", "keras"), ("models_h5", "h5")] {
        let Some(path) = data(&format!("{MODELS}/{folder}/{stem}.{extension}")) else { return };
        let bytes = std::fs::read(&path).unwrap();
        for n in [0, 100, bytes.len() / 2, bytes.len() - 30] {
            let cut = dir.path().join(format!("cut.{extension}"));
            std::fs::write(&cut, &bytes[..n]).unwrap();
            let options = LoadOptions { arch: Some("cowley-compact".into()), ..LoadOptions::default() };
            let error = load_model(cut.to_str().unwrap(), &options).unwrap_err();
            assert!(matches!(error, orthoscope::Error::Corrupt { .. }), "{extension}, {n} bytes: {error}");
        }
    }
    let path = data(&format!("{MODELS}/models_torch/{stem}.pt")).unwrap();
    let spec = path.to_str().unwrap();
    let error = load_model(spec, &LoadOptions::default()).unwrap_err();
    assert!(error.to_string().contains("resnet18"), "{error}");
    let error = load_model(spec, &LoadOptions { arch: Some("alexnet".into()), ..LoadOptions::default() }).unwrap_err();
    assert!(error.to_string().contains("features.0.weight"), "{error}");
}

#[test]
fn a_shared_model_agrees_with_an_independent_implementation() {
    let golden: serde_json::Value = serde_json::from_str(include_str!("../golden/shared_compact.json")).unwrap();
    let Some(path) = data(golden["model"].as_str().unwrap()) else { return };
    let graph = load(&path);
    let found = predictions(&graph, &orthoscope::network::probe::waves(112, 112, &Device::default()));
    let expected: Vec<f32> =
        golden["responses"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect();
    // 32 against 64 bits through seven layers; the readout sums 784 terms of mixed sign.
    let error = relative_error(&found, &expected);
    assert!(error <= 2e-5, "{error}");
}
