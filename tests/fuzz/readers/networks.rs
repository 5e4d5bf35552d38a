//! Networks from files: read, looked at and, where they are small, run.

#[path = "networks/caffe.rs"]
mod caffe;
#[path = "networks/keras.rs"]
mod keras;
#[path = "networks/onnx.rs"]
mod onnx;
#[path = "networks/torch.rs"]
mod torch;

use super::{Input, Reader, golden};
use ndarray::{ArrayD, IxDyn};
use orthoscope::Result;
use orthoscope::io::weights::{self, Storage};
use orthoscope::network::card::{self, About, Card};
use orthoscope::network::inspect::{inspect, table};
use orthoscope::network::zoo::{LoadOptions, load_model};
use orthoscope::network::{CpuEngine, Executor, Graph, GraphBuilder, InputSpec, Op, TapRequest, probe};
use orthoscope::tensor::Device;
use std::path::Path;

pub const READERS: &[Reader] = &[
    Reader::of_bytes("safetensors", "weights.safetensors", tensors, |i| weights::decode(i.bytes, i.path).map(drop)),
    Reader::of_bytes("model-weights", "weights.safetensors", own_weights, read_weights),
    Reader { beside: a_model, ..Reader::of_files("card", "model/card.toml", cards, read_card) },
    Reader::of_files("onnx", "network.onnx", onnx::seeds, read_file),
    Reader::of_files("caffe", "network.caffemodel", caffe::seeds, read_file),
    Reader::of_files("keras", "network.keras", keras::archives, read_file),
    Reader::of_files("keras-h5", "network.h5", keras::files, read_file),
    Reader::of_files("pytorch", "network.pt", torch::archives, read_state),
    Reader::of_files("pytorch-legacy", "network.pt", torch::streams, read_state),
];

/// Multiplications, activations and nodes up to which a network is run.
const MACS: u64 = 400_000;
const UNITS: usize = 100_000;
const NODES: usize = 60;

/// Runs a small network once: the reference forwards and back, the engine forwards.
fn run(graph: &Graph) -> Result<()> {
    let units = graph.nodes().iter().fold(0usize, |sum, node| sum.saturating_add(node.shape.len()));
    if graph.nodes().len() > NODES || units > UNITS || graph.n_macs(graph.output()) > MACS {
        return Ok(());
    }
    let device = Device::default();
    let tap = [TapRequest::Activations(graph.output())];
    CpuEngine::on_one_thread(graph, &tap)?.infer(&probe::waves(graph.input.height, graph.input.width, &device))?;
    probe::probe(graph, None, &device).map(drop)
}

fn load(path: &Path, arch: Option<&str>) -> Result<()> {
    let options = LoadOptions {
        arch: arch.map(str::to_owned),
        preprocess: Some("unit".into()),
        models_dir: Some(path.with_file_name("none")),
    };
    let model = load_model(&path.display().to_string(), &options)?;
    table(&inspect(&model));
    run(&model.graph)
}

fn read_file(input: &Input<'_>) -> Result<()> {
    load(input.path, None)
}

fn read_state(input: &Input<'_>) -> Result<()> {
    load(input.path, Some("cowley-compact"))
}

pub fn numbers(shape: &[usize], scale: f32) -> ArrayD<f32> {
    let mut next = 0;
    ArrayD::from_shape_simple_fn(IxDyn(shape), || {
        next += 1;
        ((next * 37 % 23) as f32 / 11.0 - 1.0) * scale
    })
}

/// A convolution, a norm, a pool and a readout on 8 x 8 pixels.
pub fn small_graph() -> Graph {
    let input = InputSpec::preset("unit", 8, 8).expect("a preset");
    let mut b = GraphBuilder::new("small", input, Default::default()).expect("three planes");
    b.add_weight("kernel", numbers(&[4, 3, 3, 3], 0.5));
    b.add_weight("mean", numbers(&[4], 0.1));
    b.add_weight("var", numbers(&[4], 0.1).mapv(|v| 1.0 + v));
    b.add_weight("readout", numbers(&[5, 64], 0.2));
    let conv = Op::Conv2d {
        weight: "kernel".into(),
        bias: None,
        stride: [1, 1],
        padding: [1; 4],
        dilation: [1, 1],
        groups: 1,
    };
    let norm = Op::BatchNorm { scale: None, shift: None, mean: "mean".into(), var: "var".into(), epsilon: 1e-3 };
    let pool = Op::MaxPool { kernel: [2, 2], stride: [2, 2], padding: [0; 4], ceil: false };
    let flatten = Op::Flatten { order: orthoscope::network::FlattenOrder::Chw };
    let linear = Op::Linear { weight: "readout".into(), bias: None };
    let ops = [("conv", conv), ("norm", norm), ("relu", Op::Relu), ("pool", pool), ("flat", flatten), ("out", linear)];
    let mut at = 0;
    for (name, op) in ops {
        at = b.push(name, op, &[at]).expect("shapes that fit");
    }
    b.alias("last", "out");
    b.preset("default", vec!["conv".into(), "out".into()]);
    b.finish().expect("weights that are used")
}

/// Three pictures, one of the size of its images.
pub fn picture_folder(folder: &Path) {
    std::fs::create_dir_all(folder.join("images")).expect("a folder of its own");
    for (name, height) in [("a", 8), ("b", 9), ("c", 12)] {
        let path = folder.join("images").join(name).with_extension("png");
        orthoscope::io::png::write(&path, super::picture(height, 8).view()).expect("a small picture");
    }
}

/// A model directory, `model`.
pub fn a_whole_model(folder: &Path) {
    let graph = small_graph();
    let golden = probe::record_presets(&graph, &Device::default()).expect("a network that runs");
    let about = About { description: "small".into(), golden: Some(golden), ..About::default() };
    card::write(&folder.join("model"), &graph, &about, Storage::F32, true).expect("a folder of its own");
}

fn file_of_model(name: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    a_whole_model(folder.path());
    std::fs::read(folder.path().join("model").join(name)).expect("it was written")
}

/// The weights alone: the card is what is changed.
fn a_model(folder: &Path) {
    std::fs::write(folder.join("model").join(card::WEIGHTS), own_weights().remove(0)).expect("a folder of its own");
}

fn cards() -> Vec<Vec<u8>> {
    vec![file_of_model(card::CARD)]
}

fn own_weights() -> Vec<Vec<u8>> {
    vec![file_of_model(card::WEIGHTS)]
}

fn tensors() -> Vec<Vec<u8>> {
    let arrays = [("a", numbers(&[2, 3], 1.0)), ("b.c", numbers(&[5], 1.0)), ("scalar", numbers(&[], 1.0))];
    let arrays = arrays.into_iter().map(|(name, array)| (name.to_owned(), array)).collect();
    let notes = [("note".to_owned(), "{\"a\": 1}".to_owned())].into();
    let of = |storage| weights::encode(&arrays, &notes, storage).expect("finite numbers");
    vec![of(Storage::F32), of(Storage::F16)]
}

fn read_card(input: &Input<'_>) -> Result<()> {
    let (graph, _) = card::read(input.path.parent().unwrap_or(input.path))?;
    load(input.path.parent().unwrap_or(input.path), None)?;
    run(&graph)
}

/// With a card that takes the bytes for its own.
fn read_weights(input: &Input<'_>) -> Result<()> {
    let mut card = Card::of(&small_graph(), &About::default());
    card.weights.blake3 = orthoscope::job::manifest::hash(input.bytes);
    run(&card::assemble(&card, input.bytes, input.path, input.path)?)
}
