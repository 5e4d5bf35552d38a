//! torchvision's architectures against torchvision itself, with weights that both sides make from a
//! hash; and torch.save's two formats.

use crate::support::{activations, relative_error};
use ndarray::{ArrayD, IxDyn};
use orthoscope::network::NodeId;
use orthoscope::network::graph::Weights;
use orthoscope::network::import::pytorch::{build, state};
use orthoscope::network::probe::waves;
use orthoscope::tensor::Device;
use serde_json::Value;
use std::path::Path;

/// As `numbers` in torch_archs.py.
fn numbers(name: &str, n: usize) -> Vec<f64> {
    let seed = name.bytes().fold(0xCBF2_9CE4_8422_2325u64, |s, b| (s ^ u64::from(b)).wrapping_mul(0x100_0000_01B3));
    let number = |i: u64| {
        let mut x = i.wrapping_add(seed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((x ^ (x >> 31)) >> 40) as f64 / f64::from(1 << 23) - 1.0
    };
    (0..n as u64).map(number).collect()
}

/// As `weights` in torch_archs.py.
fn weight(name: &str, shape: &[usize]) -> ArrayD<f32> {
    let fan_in: usize = shape[1..].iter().product();
    let scale = |u: f64| match () {
        () if name.ends_with("running_var") => 1.0 + 0.5 * u.abs(),
        () if shape.len() > 1 => u * (6.0 / fan_in as f64).sqrt(),
        () if name.ends_with("weight") => 1.0 + 0.25 * u,
        () => 0.1 * u,
    };
    let values = numbers(name, shape.iter().product()).into_iter().map(|u| scale(u) as f32).collect();
    ArrayD::from_shape_vec(IxDyn(shape), values).unwrap()
}

fn check(arch: &str) {
    let golden: Value = serde_json::from_str(include_str!("../golden/torch_archs.json")).unwrap();
    let golden = &golden["architectures"][arch];
    let sizes =
        |v: &Value| -> Vec<usize> { v.as_array().unwrap().iter().map(|d| d.as_u64().unwrap() as usize).collect() };
    let weights: Weights =
        golden["tensors"].as_object().unwrap().iter().map(|(n, s)| (n.clone(), weight(n, &sizes(s)))).collect();
    let graph = build(arch, weights, Path::new("state.pth")).unwrap();
    let taps = golden["taps"].as_array().unwrap();
    let nodes: Vec<NodeId> = taps.iter().map(|t| graph.find(t["name"].as_str().unwrap()).unwrap()).collect();
    let images = waves(224, 224, &Device::default());
    for (tap, found) in taps.iter().zip(activations(&graph, &nodes, &images)) {
        let name = tap["name"].as_str().unwrap();
        assert_eq!(found.len() as u64, tap["length"].as_u64().unwrap(), "{arch} {name}");
        let (max, mean) = (tap["max"].as_f64().unwrap(), tap["mean"].as_f64().unwrap());
        let flat = found.as_slice().unwrap();
        // Both compute in 32 bits, in another order, through up to fifty layers.
        let tolerance = 2e-5 * max;
        let found_mean = flat.iter().map(|&v| f64::from(v)).sum::<f64>() / flat.len() as f64;
        assert!((found_mean - mean).abs() <= tolerance, "{arch} {name} mean: {found_mean} against {mean}");
        for (i, v) in sizes(&tap["index"]).into_iter().zip(tap["value"].as_array().unwrap()) {
            let v = v.as_f64().unwrap();
            assert!((f64::from(flat[i]) - v).abs() <= tolerance, "{arch} {name}[{i}]: {} against {v}", flat[i]);
        }
    }
}

#[test]
fn googlenet() {
    check("googlenet");
}

#[test]
fn alexnet() {
    check("alexnet");
}

#[test]
fn vgg() {
    check("vgg16");
    check("vgg19");
}

#[test]
fn resnet() {
    check("resnet18");
    check("resnet50");
}

#[test]
fn squeezenet() {
    check("squeezenet1_1");
}

#[test]
fn both_formats_of_torch_save_are_read() {
    for file in ["state_zip.pth", "state_legacy.pth"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file);
        let state = state::read(&path).unwrap();
        let names: Vec<&str> = state.keys().map(String::as_str).collect();
        assert_eq!(names, ["bfloat", "double", "half", "part", "plain", "scalar", "transposed"], "{file}");
        let plain = ArrayD::from_shape_vec(IxDyn(&[4, 6]), (0..24).map(|i| i as f32 / 8.0 - 1.0).collect()).unwrap();
        assert_eq!(state["plain"], plain);
        assert_eq!(state["half"], plain);
        assert_eq!(state["bfloat"], plain, "eighths below 2 are exact in 8 bits");
        assert_eq!(state["transposed"], plain.clone().reversed_axes());
        assert_eq!(state["part"], plain.slice(ndarray::s![1..3, ..;2]).into_dyn());
        assert_eq!(state["scalar"].iter().copied().collect::<Vec<_>>(), [0.5]);
        assert!(relative_error(state["double"].as_slice().unwrap(), (plain / 3.0).as_slice().unwrap()) < 1e-7);
        let bytes = std::fs::read(&path).unwrap();
        let cut = tempfile::NamedTempFile::new().unwrap();
        for n in (0..bytes.len()).step_by(97) {
            std::fs::write(cut.path(), &bytes[..n]).unwrap();
            let error = state::read(cut.path()).unwrap_err();
            assert!(matches!(error, orthoscope::Error::Corrupt { .. }), "{file}, {n} bytes: {error}");
        }
    }
}
