//! Caffe files made to hang, to panic or to take all memory: each is refused in words that name the
//! file.

use crate::hostile_onnx::wire::{bytes, float, int, ints, raw};
use crate::hostile_onnx::{Part, refused};
use orthoscope::network::zoo::{LoadOptions, load_model};

fn blob(dims: &[i64], values: &[f32]) -> Part {
    [bytes(7, ints(1, dims)), bytes(5, raw(values))].concat()
}

fn layer(name: &str, kind: &str, bottom: &str, top: &str, more: &[Part]) -> Part {
    [bytes(1, name), bytes(2, kind), bytes(3, bottom), bytes(4, top), more.concat()].concat()
}

fn weighted(name: &str, blobs: &[Part], parameters: &[Part]) -> Part {
    let blobs: Vec<Part> = blobs.iter().map(|b| bytes(7, b)).collect();
    layer(name, "Convolution", "data", name, &[blobs.concat(), bytes(106, parameters.concat())])
}

fn caffe(side: i64, layers: &[Part]) -> Part {
    let input = [bytes(3, "data"), bytes(8, ints(1, &[1, 3, side, side]))].concat();
    [input, layers.iter().flat_map(|l| bytes(100, l)).collect()].concat()
}

#[test]
fn caffe_files_that_make_no_sense_are_refused() {
    let (weights, bias) = (blob(&[4, 3, 3, 3], &[0.1; 108]), blob(&[4], &[0.0; 4]));
    let honest = |parameters: &[Part]| weighted("conv", &[weights.clone(), bias.clone()], parameters);
    let behind = |kind: &str, more: &[Part]| caffe(8, &[honest(&[]), layer("next", kind, "conv", "next", more)]);
    let pool = |parameters: &[Part]| behind("Pooling", &[bytes(121, parameters.concat())]);
    let lrn = |parameters: &[Part]| behind("LRN", &[bytes(118, parameters.concat())]);
    let odd = |dims: &[i64], n: usize| caffe(8, &[weighted("conv", &[blob(dims, &vec![0.1; n]), bias.clone()], &[])]);
    let norm = |factor: f32| {
        let blobs = [blob(&[4], &[1.0; 4]), blob(&[4], &[1.0; 4]), blob(&[1], &[factor])];
        behind("BatchNorm", &[blobs.iter().flat_map(|b| bytes(7, b)).collect()])
    };
    let huge = int(9, 4_000_000_000);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.caffemodel");
    std::fs::write(&path, behind("ReLU", &[])).unwrap();
    let options = LoadOptions { preprocess: Some("unit".into()), ..LoadOptions::default() };
    load_model(path.to_str().unwrap(), &options).unwrap();
    let files = [
        (
            "two layers of one name",
            caffe(8, &[honest(&[]), layer("conv", "Convolution", "conv", "b", &[bytes(7, &weights)])]),
        ),
        ("padding", caffe(8, &[honest(&[huge.clone(), int(10, 4_000_000_000)])])),
        ("no stride", caffe(8, &[honest(&[int(6, 0)])])),
        ("no groups", caffe(8, &[honest(&[int(5, 0)])])),
        ("groups", caffe(8, &[honest(&[int(5, 4_000_000_000)])])),
        ("dilation", caffe(8, &[honest(&[int(18, 4_000_000_000)])])),
        ("a huge input", caffe(60_000, &[honest(&[])])),
        ("no sides", odd(&[], 108)),
        ("sides that wrap", odd(&[1 << 31, 1 << 31, 2, 2], 0)),
        ("negative sides", odd(&[-4, -3, 3, 3], 108)),
        ("sides of nothing", odd(&[0, 1 << 31, 1 << 31, 1 << 31], 0)),
        ("a hundred thousand sides", odd(&vec![1; 100_000], 1)),
        ("no weights", caffe(8, &[weighted("conv", &[blob(&[4, 3, 3, 3], &[]), bias.clone()], &[])])),
        ("pooling of nothing", pool(&[])),
        ("pooling of a huge window", pool(&[int(2, 4_000_000_000)])),
        ("pooling without stride", pool(&[int(2, 2), int(3, 0)])),
        ("pooling padded by more than its window", pool(&[int(2, 2), int(4, 2)])),
        ("normalisation of even size", lrn(&[int(1, 4)])),
        ("normalisation of huge size", lrn(&[int(1, 4_000_000_001)])),
        ("normalisation by NaN", lrn(&[float(2, f32::NAN)])),
        ("normalisation to an infinite power", lrn(&[float(3, f32::INFINITY)])),
        ("a factor that is no number", norm(f32::NAN)),
        ("a factor too small to divide by", norm(1e-45)),
        ("a power of NaN", behind("Power", &[bytes(122, float(2, f32::NAN))])),
        ("a slope of NaN", behind("ReLU", &[bytes(123, float(1, f32::NAN))])),
        ("a blob that is not there", behind("Concat", &[bytes(3, "none")])),
        ("a line break", caffe(8, &[weighted("a\nb", &[weights.clone(), bias.clone()], &[])])),
        ("millions of empty layers", bytes(100, []).repeat(4_000_000)),
    ];
    for (what, file) in files {
        println!("{what}: {}", refused("a.caffemodel", &file));
    }
}

#[test]
fn a_long_caffe_network_is_judged_at_once() {
    let weights = [blob(&[4, 3, 3, 3], &[0.1; 108]), blob(&[4], &[0.0; 4])];
    let mut layers = vec![weighted("n0", &weights, &[])];
    layers.extend((1..30_000).map(|i| {
        let (before, name) = (format!("n{}", i - 1), format!("n{i}"));
        layer(&name, "ReLU", &before, &name, &[])
    }));
    assert!(refused("a.caffemodel", &caffe(8, &layers)).to_string().contains("nodes"));
}
