//! Caffe files with what variants of Caffe write, and with weights that nobody reads. Values by
//! hand.

use crate::support::activations;
use ndarray::{ArrayD, IxDyn};
use orthoscope::Error;
use orthoscope::network::ChannelOrder;
use orthoscope::network::zoo::{LoadOptions, Model, load_model};
use orthoscope::tensor::{Device, tensor};
use prost::Message;

/// As little of the format as makes a file, written by its field numbers.
#[derive(Clone, PartialEq, Message)]
struct Net {
    #[prost(message, repeated, tag = "100")]
    layer: Vec<Layer>,
}
#[derive(Clone, PartialEq, Message)]
struct Layer {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    kind: String,
    #[prost(string, repeated, tag = "3")]
    bottom: Vec<String>,
    #[prost(string, repeated, tag = "4")]
    top: Vec<String>,
    #[prost(message, repeated, tag = "7")]
    blobs: Vec<Blob>,
    #[prost(message, optional, tag = "100")]
    transform: Option<Transform>,
    #[prost(message, optional, tag = "143")]
    input: Option<Shapes>,
}
#[derive(Clone, PartialEq, Message)]
struct Transform {
    #[prost(float, tag = "1")]
    scale: f32,
    #[prost(uint32, tag = "3")]
    crop: u32,
    #[prost(float, repeated, tag = "5")]
    mean: Vec<f32>,
}
#[derive(Clone, PartialEq, Message)]
struct Shapes {
    #[prost(message, repeated, tag = "1")]
    shape: Vec<Dims>,
}
#[derive(Clone, PartialEq, Message)]
struct Dims {
    #[prost(int64, repeated, tag = "1")]
    dim: Vec<i64>,
}
#[derive(Clone, PartialEq, Message)]
struct Blob {
    #[prost(float, repeated, tag = "5")]
    data: Vec<f32>,
    #[prost(message, optional, tag = "7")]
    shape: Option<Dims>,
    #[prost(int32, optional, tag = "10")]
    raw_type: Option<i32>,
    #[prost(bytes = "vec", optional, tag = "12")]
    raw: Option<Vec<u8>>,
}

fn blob(dims: &[i64], data: &[f32]) -> Blob {
    Blob { data: data.to_vec(), shape: Some(Dims { dim: dims.to_vec() }), raw_type: None, raw: None }
}

fn layer(name: &str, kind: &str, bottom: &str, top: &str, blobs: Vec<Blob>) -> Layer {
    Layer {
        name: name.into(),
        kind: kind.into(),
        bottom: vec![bottom.into()],
        top: vec![top.into()],
        blobs,
        ..Layer::default()
    }
}

/// A one by one convolution of three planes: identity times `gain`.
fn convolution(name: &str, bottom: &str, top: &str, gain: f32) -> Layer {
    let weight: Vec<f32> = (0..9).map(|i| if i % 4 == 0 { gain } else { 0.0 }).collect();
    layer(name, "Convolution", bottom, top, vec![blob(&[3, 3, 1, 1], &weight), blob(&[3], &[0.0; 3])])
}

fn read(layers: Vec<Layer>, preprocess: Option<&str>) -> Result<Model, Error> {
    let input = Some(Shapes { shape: vec![Dims { dim: vec![1, 3, 2, 2] }] });
    let data = Layer { name: "data".into(), kind: "Input".into(), top: vec!["data".into()], input, ..Layer::default() };
    let feeds = layers.iter().any(|l| l.kind == "Data");
    let all: Vec<Layer> = if feeds { layers } else { [vec![data], layers].concat() };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("n.caffemodel");
    std::fs::write(&path, Net { layer: all }.encode_to_vec()).unwrap();
    let options = LoadOptions { preprocess: preprocess.map(str::to_owned), ..LoadOptions::default() };
    load_model(path.to_str().unwrap(), &options)
}

/// The output for an image of 0.5 everywhere: its first pixel's planes.
fn output(model: &Model) -> Vec<f32> {
    let image = tensor(ArrayD::from_elem(IxDyn(&[1, 3, 2, 2]), 0.5f32).view(), &Device::default());
    let found = activations(&model.graph, &[model.graph.output()], &image).remove(0);
    (0..3).map(|c| found[[0, c, 0, 0]]).collect()
}

fn close(found: &[f32], expected: [f32; 3]) {
    assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-5), "{found:?} {expected:?}");
}

#[test]
fn five_blobs_of_a_batch_norm_are_read() {
    // Mean, variance, factor, scale, shift: y = scale (x - mean / factor) / sqrt(variance / factor
    // + 1e-5) + shift.
    let three = |v: [f32; 3]| blob(&[3], &v);
    let blobs = vec![
        three([0.2, 0.0, 1.0]),
        three([0.5, 2.0, 8.0]),
        blob(&[1], &[2.0]),
        three([1.0, 2.0, -1.0]),
        three([0.0, 0.1, 0.2]),
    ];
    let model = read(vec![layer("bn", "BatchNorm", "data", "bn", blobs.clone())], Some("unit")).unwrap();
    // (0.5 - 0.1) / sqrt(0.25001), 2 x 0.5 / sqrt(1.00001) + 0.1, -(0.5 - 0.5) + 0.2
    close(&output(&model), [0.799_984, 1.099_995, 0.2]);
    let error = read(vec![layer("bn", "BatchNorm", "data", "bn", blobs[..4].to_vec())], Some("unit")).unwrap_err();
    assert!(error.to_string().contains("`bn` (BatchNorm)") && error.to_string().contains("number 4"), "{error}");
}

#[test]
fn a_factor_of_zero_means_none_or_one() {
    let bn = |mean: f32, variance: f32| {
        let blobs = vec![blob(&[3], &[mean; 3]), blob(&[3], &[variance; 3]), blob(&[1], &[0.0])];
        read(vec![layer("norm", "BatchNorm", "data", "norm", blobs)], Some("unit")).unwrap()
    };
    // BVLC's before the first step: mean and variance are 0, 0.5 / sqrt(1e-5).
    let model = bn(0.0, 0.0);
    assert!(model.warnings.is_empty() && (output(&model)[0] - 158.113_88).abs() < 1e-3, "{:?}", output(&model));
    // NVIDIA's writes the statistics themselves beside a factor of 0: (0.5 - 0.25) / sqrt(4.00001).
    let model = bn(0.25, 4.0);
    close(&output(&model), [0.125; 3]);
    let text = model.warnings[0].to_string();
    assert!(text.contains("`norm`") && text.contains("NVIDIA"), "{text}");
}

#[test]
fn weights_that_nothing_reads_are_named() {
    let mut extra = convolution("conv", "data", "conv", 2.0);
    extra.blobs.push(blob(&[3], &[1.0; 3]));
    let text = read(vec![extra], Some("unit")).unwrap_err().to_string();
    assert!(text.contains("`conv` (Convolution)") && text.contains("number 3"), "{text}");
    let mut relu = layer("relu", "ReLU", "conv", "relu", vec![blob(&[1], &[0.25])]);
    let text =
        read(vec![convolution("conv", "data", "conv", 2.0), relu.clone()], Some("unit")).unwrap_err().to_string();
    assert!(text.contains("`relu`"), "{text}");
    relu.blobs.clear();
    close(&output(&read(vec![convolution("conv", "data", "conv", 2.0), relu], Some("unit")).unwrap()), [1.0; 3]);
    let mut bare = convolution("conv", "data", "conv", 2.0);
    bare.blobs.pop();
    let error = read(vec![bare], Some("unit")).unwrap_err();
    assert!(error.to_string().contains("its bias") && !error.hint().unwrap().contains("damaged"), "{error}");
}

#[test]
fn two_layers_of_one_name_are_refused_when_they_have_weights() {
    let two = vec![convolution("conv", "data", "a", 1.0), convolution("conv", "a", "b", 7.0)];
    let error = read(two, Some("unit")).unwrap_err();
    assert!(error.to_string().contains("layer `conv`") && error.exit_code() == 2, "{error}");
    let relus = vec![
        convolution("conv", "data", "a", 1.0),
        layer("relu", "ReLU", "a", "b", vec![]),
        convolution("conv2", "b", "c", 3.0),
        layer("relu", "ReLU", "c", "d", vec![]),
    ];
    let model = read(relus, Some("unit")).unwrap();
    close(&output(&model), [1.5; 3]);
    assert!(model.graph.tap("relu").is_err(), "a name that two layers have is no tap");
}

#[test]
fn half_precision_blobs_are_read() {
    // 2 and 0 in IEEE 754 binary16.
    let bytes: Vec<u8> = (0..9).flat_map(|i: i32| if i % 4 == 0 { [0x00, 0x40] } else { [0, 0] }).collect();
    let half = Blob { raw_type: Some(2), raw: Some(bytes), ..blob(&[3, 3, 1, 1], &[]) };
    let conv = layer("conv", "Convolution", "data", "conv", vec![half, blob(&[3], &[0.25; 3])]);
    close(&output(&read(vec![conv], Some("unit")).unwrap()), [1.25; 3]);
}

#[test]
fn what_the_network_was_trained_with_is_its_preprocessing() {
    let transform = Transform { scale: 0.5, crop: 2, mean: vec![10.0, 20.0, 30.0] };
    let data = Layer {
        name: "mydata".into(),
        kind: "Data".into(),
        top: vec!["data".into()],
        transform: Some(transform),
        ..Layer::default()
    };
    let layers = vec![data, convolution("conv", "data", "conv", 1.0)];
    let model = read(layers.clone(), None).unwrap();
    assert_eq!(model.graph.input.order, ChannelOrder::Bgr);
    // (127.5 - mean) x 0.5
    close(&output(&model), [58.75, 53.75, 48.75]);
    let model = read(layers, Some("unit")).unwrap();
    close(&output(&model), [0.5; 3]);
    let text = model.warnings[0].to_string();
    assert!(text.contains("`mydata`") && text.contains("unit is used"), "{text}");
}

#[test]
fn a_missing_blob_is_named_with_those_that_are_there() {
    let layers = vec![convolution("conv", "data", "conv1", 1.0), layer("relu", "ReLU", "conv2", "relu", vec![])];
    let error = read(layers, Some("unit")).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("`relu`") && text.contains("`conv2`") && text.contains("`conv1`"), "{text}");
    assert!(!error.hint().unwrap().contains("damaged"), "{error}");
}
