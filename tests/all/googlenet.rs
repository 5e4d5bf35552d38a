//! The real GoogLeNet from ONNX, and from safetensors with a card, against activations of
//! independent implementations.

use crate::support::{activations, data, displayed, json, npy, photograph, relative_error, synthetic, top5};
use orthoscope::io::weights::Storage;
use orthoscope::network::card::{self, About};
use orthoscope::network::zoo::{LoadOptions, load_model};
use orthoscope::network::{Graph, NodeId};
use serde_json::Value;

/// Two implementations agreed within 2e-6, a third within 6e-6.
const TOLERANCE: f32 = 1e-4;

fn onnx() -> Option<Graph> {
    let path = data("googlenet_bvlc/googlenet_bvlc.onnx")?;
    Some(load_model(path.to_str().unwrap(), &LoadOptions::default()).unwrap().graph)
}

/// Largest error over the reference's 13 layers, each relative to the layer's maximum.
fn check_layers(graph: &Graph, images: &orthoscope::tensor::Tensor<4>, reference: &Value) {
    let layers = reference["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 13);
    let name = |l: &Value| match l["layer"].as_str().unwrap().split(" (").next().unwrap() {
        "pool5" => "pool5/7x7_s1".to_string(),
        n => n.to_string(),
    };
    let nodes: Vec<NodeId> = layers.iter().map(|l| graph.tap(&name(l)).unwrap()).collect();
    for (layer, found) in layers.iter().zip(activations(graph, &nodes, images)) {
        let flat: Vec<f32> = found.iter().copied().collect();
        let number = |key: &str| layer[key].as_f64().unwrap();
        let max = number("max");
        let n = flat.len() as f64;
        let mean = flat.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        let norm = flat.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
        let largest = flat.iter().copied().fold(f32::MIN, f32::max);
        let at = name(layer);
        let close = |what: &str, a: f64, b: f64, scale: f64| {
            assert!((a - b).abs() <= f64::from(TOLERANCE) * scale, "{at} {what}: {a} against {b}");
        };
        close("mean", mean, number("mean"), max);
        close("max", f64::from(largest), max, max);
        close("norm", norm, number("l2"), number("l2"));
        let (indices, values) = (layer["sample_index"].as_array().unwrap(), layer["sample_value"].as_array().unwrap());
        assert_eq!(indices.len(), 12);
        for (i, v) in indices.iter().zip(values) {
            let i = i.as_u64().unwrap() as usize;
            close(&format!("[{i}]"), f64::from(flat[i]), v.as_f64().unwrap(), max);
        }
    }
}

fn check_all(graph: &Graph) {
    let Some(folder) = data("googlenet_bvlc/reference") else { return };
    let reference = json(&folder.join("activations.json"));
    let chelsea = npy(&folder.join("chelsea_input_bgr.npy")).into_dimensionality().unwrap();
    let images = displayed(graph, &chelsea);
    check_layers(graph, &images, &reference["chelsea.png"]);
    check_layers(graph, &displayed(graph, &synthetic(224)), &reference["synthetic"]);
    let taps = ["inception_4c/output", "inception_5b/output", "loss3/classifier"].map(|t| graph.tap(t).unwrap());
    let found = activations(graph, &taps, &images);
    for (file, a) in ["chelsea_4c.npy", "chelsea_5b.npy", "chelsea_logits.npy"].iter().zip(&found) {
        let error = relative_error(a.as_slice().unwrap(), npy(&folder.join(file)).as_slice().unwrap());
        assert!(error <= TOLERANCE, "{file}: {error}");
    }
    let expected: Vec<usize> = reference["chelsea.png"]["top5"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["index"].as_u64().unwrap() as usize)
        .collect();
    assert_eq!(top5(found[2].as_slice().unwrap()), expected);
}

#[test]
fn from_onnx() {
    let Some(graph) = onnx() else { return };
    assert_eq!(graph.n_parameters(), 6_998_552);
    check_all(&graph);
}

#[test]
fn from_safetensors_and_card() {
    let Some(graph) = onnx() else { return };
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("googlenet");
    card::write(&at, &graph, &About::default(), Storage::F32, false).unwrap();
    let (read, _) = card::read(&at).unwrap();
    assert_eq!(read.nodes(), graph.nodes());
    assert_eq!(read.weights(), graph.weights());
    assert_eq!((&read.aliases, &read.presets, &read.input), (&graph.aliases, &graph.presets, &graph.input));
    // The published safetensors file holds the same numbers under the same names: the card goes
    // with either.
    let published = data("googlenet_bvlc/googlenet_bvlc.safetensors").unwrap();
    let bytes = std::fs::read(&published).unwrap();
    let text = std::fs::read_to_string(at.join("card.toml")).unwrap();
    let mut card = card::Card::parse(&text, &at).unwrap();
    card.weights.file = "published.safetensors".into();
    card.weights.blake3 = blake3::hash(&bytes).to_hex().to_string();
    std::fs::write(at.join("card.toml"), card.to_toml()).unwrap();
    std::fs::write(at.join("published.safetensors"), bytes).unwrap();
    let options = LoadOptions { models_dir: Some(dir.path().to_path_buf()), ..LoadOptions::default() };
    let graph = load_model("googlenet", &options).unwrap().graph;
    check_all(&graph);
}

#[test]
fn names_of_three_dialects_are_one_tap() {
    let Some(graph) = onnx() else { return };
    for same in [
        ["mixed4a", "inception_4a/output", "inception4a"],
        ["conv2d0", "conv1/7x7_s2", "conv1"],
        ["conv2d1", "conv2/3x3_reduce", "conv2"],
        ["conv2d2", "conv2/3x3", "conv3"],
        ["mixed4a_pool_reduce_pre_relu", "inception_4a/pool_proj.pre_relu", "inception4a.branch4.1.pre_relu"],
        ["mixed5b_3x3_bottleneck", "inception_5b/3x3_reduce", "inception5b.branch2.0"],
    ] {
        let ids = same.map(|n| graph.tap(n).unwrap());
        assert!(ids[0] == ids[1] && ids[1] == ids[2], "{same:?}: {ids:?}");
    }
    let names = |preset: &str| -> Vec<String> {
        graph.resolve_taps(&[preset.to_string()]).unwrap().iter().map(|&id| graph.node(id).name.clone()).collect()
    };
    assert_eq!(names("inception12")[..3], ["conv1/7x7_s2", "conv2/3x3_reduce", "conv2/3x3"]);
    assert_eq!(names("inception12")[3..], names("inception9")[..]);
    assert_eq!(names("default"), names("inception12"));
    let ancestor = names("ancestor-pool-reduce");
    assert_eq!(ancestor.len(), 12);
    assert_eq!(ancestor[0], "conv1/7x7_s2.pre_relu");
    assert_eq!(ancestor[11], "inception_5b/pool_proj.pre_relu");
}

#[test]
fn an_unknown_tap_offers_the_nearest() {
    let Some(graph) = onnx() else { return };
    let error = graph.tap("mixed4f").unwrap_err();
    assert_eq!(error.exit_code(), 2);
    let hint = error.hint().unwrap();
    assert!(hint.contains("`mixed4"), "{hint}");
}

#[test]
fn truncated_onnx_is_corrupt() {
    let Some(path) = data("googlenet_bvlc/googlenet_bvlc.onnx") else { return };
    let bytes = std::fs::read(path).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for n in [0, 10, 1000, bytes.len() / 2, bytes.len() - 1] {
        let path = dir.path().join("cut.onnx");
        std::fs::write(&path, &bytes[..n]).unwrap();
        let error = load_model(path.to_str().unwrap(), &LoadOptions::default()).unwrap_err();
        assert!(matches!(error, orthoscope::Error::Corrupt { .. }), "{n} bytes: {error}");
    }
}

#[test]
fn photographs() {
    let Some(graph) = onnx() else { return };
    let folder = data("googlenet_bvlc/reference").unwrap();
    let reference = json(&folder.join("activations.json"));
    for file in ["chelsea.png", "coffee.png", "camera.png", "rocket.jpg"] {
        let images = photograph(&folder.join(file), 256, 224);
        let logits = activations(&graph, &[graph.tap("loss3/classifier").unwrap()], &images).remove(0);
        let top = reference[file]["top5"].as_array().unwrap();
        let classes: Vec<usize> = top.iter().map(|t| t["index"].as_u64().unwrap() as usize).collect();
        assert_eq!(top5(logits.as_slice().unwrap()), classes, "{file}");
        if !file.ends_with("jpg") {
            check_layers(&graph, &images, &reference[file]);
        }
    }
}
