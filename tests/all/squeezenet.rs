//! SqueezeNet 1.1 from ONNX, Caffe and safetensors: the same network three times.

use crate::support::{activations, data, displayed, json, npy, photograph, relative_error, synthetic, top5};
use orthoscope::io::weights::Storage;
use orthoscope::network::Graph;
use orthoscope::network::card::{self, About};
use orthoscope::network::zoo::{LoadOptions, load_model};

fn load(file: &str) -> Option<Graph> {
    let path = data(file)?;
    Some(load_model(path.to_str().unwrap(), &LoadOptions::default()).unwrap().graph)
}

/// ONNX, Caffe, and the published safetensors under a card.
fn three() -> Option<[Graph; 3]> {
    let onnx = load("squeezenet_v11/squeezenet_v11.onnx")?;
    let caffe = load("squeezenet_v11/squeezenet_v11.caffemodel")?;
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("s");
    let mut described = card::write(&at, &caffe, &About::default(), Storage::F32, false).unwrap();
    let bytes = std::fs::read(data("squeezenet_v11/squeezenet_v11.safetensors")?).unwrap();
    described.weights.blake3 = blake3::hash(&bytes).to_hex().to_string();
    let tensors = card::assemble(&described, &bytes, &at, &at).unwrap();
    Some([onnx, caffe, tensors])
}

#[test]
fn three_formats_give_the_same_logits() {
    let Some(graphs) = three() else { return };
    let folder = data("squeezenet_v11/reference").unwrap();
    let expected = npy(&folder.join("synthetic_logits.npy"));
    let logits: Vec<Vec<f32>> = graphs
        .iter()
        .map(|g| {
            assert_eq!(g.n_parameters(), 1_235_496);
            let tap = g.tap("pool10").unwrap();
            activations(g, &[tap], &displayed(g, &synthetic(227))).remove(0).iter().copied().collect()
        })
        .collect();
    assert_eq!(logits[0], logits[1]);
    assert_eq!(logits[0], logits[2]);
    // The two formats agreed within 7e-7 elsewhere; the pixels pass through [0, 1] here.
    let error = relative_error(&logits[0], expected.as_slice().unwrap());
    assert!(error <= 1e-5, "{error}");
}

#[test]
fn photographs() {
    let Some(graph) = load("squeezenet_v11/squeezenet_v11.caffemodel") else { return };
    let reference = json(&data("squeezenet_v11/reference/logits.json").unwrap());
    for file in ["chelsea.png", "coffee.png", "camera.png", "rocket.jpg"] {
        let images = photograph(&data("googlenet_bvlc/reference").unwrap().join(file), 256, 227);
        let logits = activations(&graph, &[graph.tap("pool10").unwrap()], &images).remove(0);
        let logits = logits.as_slice().unwrap();
        let expected = &reference[file];
        let list = |key: &str| expected[key].as_array().unwrap();
        let found: Vec<f32> = list("logit_index").iter().map(|i| logits[i.as_u64().unwrap() as usize]).collect();
        let wanted: Vec<f32> = list("logit_value").iter().map(|v| v.as_f64().unwrap() as f32).collect();
        let error = relative_error(&found, &wanted);
        // A JPEG decoder may differ from libjpeg by one level here and there.
        assert!(error <= if file.ends_with("jpg") { 2e-2 } else { 1e-4 }, "{file}: {error}");
        let classes: Vec<usize> = list("top5").iter().map(|t| t["index"].as_u64().unwrap() as usize).collect();
        assert_eq!(top5(logits), classes, "{file}");
    }
}

#[test]
fn caffe_names_what_in_place_layers_overwrite() {
    let Some(graph) = load("squeezenet_v11/squeezenet_v11.caffemodel") else { return };
    let names: Vec<&str> = graph.nodes()[1..4].iter().map(|n| n.name.as_str()).collect();
    assert_eq!(names, ["conv1.pre_relu", "conv1", "pool1"]);
    assert_eq!(graph.tap("relu_conv1").unwrap(), graph.tap("conv1").unwrap());
    let shape = graph.node(graph.tap("pool1").unwrap()).shape;
    assert_eq!((shape.channels, shape.height, shape.width), (64, 56, 56));
}

#[test]
fn a_truncated_caffemodel_is_corrupt() {
    let Some(path) = data("squeezenet_v11/squeezenet_v11.caffemodel") else { return };
    let bytes = std::fs::read(path).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for n in [0, 20, 5000, bytes.len() / 2, bytes.len() - 1] {
        let path = dir.path().join("cut.caffemodel");
        std::fs::write(&path, &bytes[..n]).unwrap();
        let error = load_model(path.to_str().unwrap(), &LoadOptions::default()).unwrap_err();
        assert!(matches!(error, orthoscope::Error::Corrupt { .. }), "{n} bytes: {error}");
    }
}
