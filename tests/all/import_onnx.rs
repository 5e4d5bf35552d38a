//! ONNX graphs with channels last, with inputs of whole numbers, with names used twice and weights
//! that nobody reads. Values by hand.

use crate::support::activations;
use ndarray::{ArrayD, IxDyn};
use orthoscope::Error;
use orthoscope::network::zoo::{LoadOptions, Model, load_model};
use orthoscope::network::{InputSpec, NodeId};
use orthoscope::tensor::{Device, tensor};
use prost::Message;

/// As little of the format as makes a file, written by its field numbers.
#[derive(Clone, PartialEq, Message)]
struct File {
    #[prost(message, optional, tag = "7")]
    graph: Option<Graph>,
    #[prost(message, repeated, tag = "8")]
    opset: Vec<Opset>,
}
#[derive(Clone, PartialEq, Message)]
struct Opset {
    #[prost(string, tag = "1")]
    domain: String,
    #[prost(int64, tag = "2")]
    version: i64,
}
#[derive(Clone, PartialEq, Message)]
struct Graph {
    #[prost(message, repeated, tag = "1")]
    node: Vec<Node>,
    #[prost(message, repeated, tag = "5")]
    initializer: Vec<Array>,
    #[prost(message, repeated, tag = "11")]
    input: Vec<Info>,
    #[prost(message, repeated, tag = "12")]
    output: Vec<Info>,
}
#[derive(Clone, PartialEq, Message)]
struct Node {
    #[prost(string, repeated, tag = "1")]
    input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    output: Vec<String>,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(string, tag = "4")]
    kind: String,
    #[prost(message, repeated, tag = "5")]
    attribute: Vec<Attribute>,
}
#[derive(Clone, PartialEq, Message)]
struct Attribute {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(float, optional, tag = "2")]
    f: Option<f32>,
    #[prost(int64, optional, tag = "3")]
    i: Option<i64>,
    #[prost(int64, repeated, tag = "8")]
    ints: Vec<i64>,
}
#[derive(Clone, PartialEq, Message)]
struct Array {
    #[prost(int64, repeated, tag = "1")]
    dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    kind: i32,
    #[prost(float, repeated, tag = "4")]
    floats: Vec<f32>,
    #[prost(int64, repeated, tag = "7")]
    ints: Vec<i64>,
    #[prost(string, tag = "8")]
    name: String,
}
#[derive(Clone, PartialEq, Message)]
struct Info {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    kind: Option<Type>,
}
#[derive(Clone, PartialEq, Message)]
struct Type {
    #[prost(message, optional, tag = "1")]
    tensor: Option<Tensor>,
}
#[derive(Clone, PartialEq, Message)]
struct Tensor {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<Shape>,
}
#[derive(Clone, PartialEq, Message)]
struct Shape {
    #[prost(message, repeated, tag = "1")]
    dim: Vec<Dim>,
}
#[derive(Clone, PartialEq, Message)]
struct Dim {
    #[prost(int64, tag = "1")]
    value: i64,
}

const FLOAT: i32 = 1;
const UINT8: i32 = 2;
const UINT16: i32 = 4;

fn floats(name: &str, dims: &[i64], values: &[f32]) -> Array {
    Array { name: name.into(), kind: FLOAT, dims: dims.to_vec(), floats: values.to_vec(), ints: vec![] }
}

fn ints(name: &str, values: &[i64]) -> Array {
    Array { name: name.into(), kind: 7, dims: vec![values.len() as i64], floats: vec![], ints: values.to_vec() }
}

fn node(kind: &str, inputs: &[&str], output: &str, attributes: &[(&str, &[i64])]) -> Node {
    let attribute = |(name, values): &(&str, &[i64])| Attribute {
        name: (*name).into(),
        f: None,
        i: (values.len() == 1).then(|| values[0]),
        ints: if values.len() == 1 { vec![] } else { values.to_vec() },
    };
    Node {
        input: inputs.iter().map(|s| (*s).into()).collect(),
        output: vec![output.into()],
        name: format!("node of {output}"),
        kind: kind.into(),
        attribute: attributes.iter().map(attribute).collect(),
    }
}

fn read(
    kind: i32,
    dims: [i64; 4],
    node: Vec<Node>,
    initializer: Vec<Array>,
    preprocess: Option<&str>,
) -> Result<Model, Error> {
    let shape = Shape { dim: dims.iter().map(|&value| Dim { value }).collect() };
    let input = vec![Info { name: "x".into(), kind: Some(Type { tensor: Some(Tensor { kind, shape: Some(shape) }) }) }];
    let output = vec![Info { name: node.last().unwrap().output[0].clone(), kind: None }];
    let graph = Some(Graph { node, initializer, input, output });
    let file = File { graph, opset: vec![Opset { domain: String::new(), version: 13 }] };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("n.onnx");
    std::fs::write(&path, file.encode_to_vec()).unwrap();
    let options = LoadOptions { preprocess: preprocess.map(str::to_owned), ..LoadOptions::default() };
    load_model(path.to_str().unwrap(), &options)
}

/// Image (c, y, x) = 0.1 c + 0.02 y + 0.005 x, three planes.
fn pixel(c: usize, y: usize, x: usize) -> f32 {
    0.1 * c as f32 + 0.02 * y as f32 + 0.005 * x as f32
}

fn run(model: &Model, tap: NodeId) -> Vec<f32> {
    let (h, w) = (model.graph.input.height, model.graph.input.width);
    let image = ArrayD::from_shape_fn(IxDyn(&[1, 3, h, w]), |i| pixel(i[1], i[2], i[3]));
    activations(&model.graph, &[tap], &tensor(image.view(), &Device::default())).remove(0).iter().copied().collect()
}

fn close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-5), "{found:?} {expected:?}");
}

/// As tf2onnx writes a Keras network: scaled by a constant per channel on the last axis, channels
/// first for the convolution, channels last again before the features are made.
fn from_keras() -> (Vec<Node>, Vec<Array>) {
    let nodes = vec![
        node("Mul", &["x", "gain"], "scaled", &[]),
        node("Transpose", &["scaled"], "first", &[("perm", &[0, 3, 1, 2])]),
        node("Conv", &["first", "kernel", "bias"], "conv", &[]),
        node("Transpose", &["conv"], "last", &[("perm", &[0, 2, 3, 1])]),
        node("Relu", &["last"], "relu", &[]),
        node("Reshape", &["relu", "shape"], "features", &[]),
    ];
    // Two outputs: the sum of the planes, and the first plane.
    let kernel = floats("kernel", &[2, 3, 1, 1], &[1.0, 1.0, 1.0, 1.0, 0.0, 0.0]);
    let arrays = vec![
        floats("gain", &[3], &[1.0, 2.0, 4.0]),
        kernel,
        floats("bias", &[2], &[0.5, 0.0]),
        ints("shape", &[-1, 8]),
    ];
    (nodes, arrays)
}

#[test]
fn channels_last_inputs_are_read_as_they_lie() {
    let (nodes, arrays) = from_keras();
    let model = read(FLOAT, [1, 2, 2, 3], nodes.clone(), arrays.clone(), Some("unit")).unwrap();
    let shape = model.graph.node(0).shape;
    assert_eq!((shape.channels, shape.height, shape.width), (3, 2, 2));
    let sum = |y, x| pixel(0, y, x) + 2.0 * pixel(1, y, x) + 4.0 * pixel(2, y, x) + 0.5;
    // Features run over rows, columns, then channels.
    let expected: Vec<f32> =
        [(0, 0), (0, 1), (1, 0), (1, 1)].iter().flat_map(|&(y, x)| [sum(y, x), pixel(0, y, x)]).collect();
    close(&run(&model, model.graph.output()), &expected);
    // Three rows, three columns, three planes: the Transpose tells which is which.
    let arrays: Vec<Array> =
        arrays.into_iter().map(|a| if a.name == "shape" { ints("shape", &[-1, 18]) } else { a }).collect();
    let model = read(FLOAT, [1, 3, 4, 3], nodes.clone(), vec![], Some("unit"));
    assert!(model.is_err(), "without its arrays");
    let model = read(FLOAT, [1, 3, 3, 3], nodes, arrays, Some("unit")).unwrap();
    close(&run(&model, model.graph.tap("scaled").unwrap())[9..12], &[0.2, 0.21, 0.22]);
}

#[test]
fn what_needs_channels_first_says_so() {
    let kernel = floats("kernel", &[2, 3, 1, 1], &[1.0; 6]);
    let error =
        read(FLOAT, [1, 4, 4, 3], vec![node("Conv", &["x", "kernel"], "conv", &[])], vec![kernel], Some("unit"));
    let error = error.unwrap_err();
    let (text, hint) = (error.to_string(), error.hint().unwrap());
    assert!(text.contains("node of conv") && text.contains("batch x height x width x channels"), "{text}");
    assert!(hint.contains("Transpose") && error.exit_code() == 2, "{hint}");
    let turned = vec![node("Transpose", &["x"], "y", &[("perm", &[0, 2, 1, 3])])];
    assert!(read(FLOAT, [1, 4, 4, 3], turned, vec![], Some("unit")).unwrap_err().to_string().contains("Transpose"));
}

#[test]
fn means_and_pads_of_channels_last_tensors() {
    let pads = ints("pads", &[0, 1, 0, 0, 0, 0, 2, 0]);
    let nodes = vec![
        node("Pad", &["x", "pads"], "padded", &[]),
        node("ReduceMean", &["padded"], "mean", &[("axes", &[1, 2]), ("keepdims", &[0])]),
    ];
    let model = read(FLOAT, [1, 2, 2, 3], nodes, vec![pads], Some("unit")).unwrap();
    let shape = model.graph.node(model.graph.tap("padded").unwrap()).shape;
    assert_eq!((shape.channels, shape.height, shape.width), (3, 3, 4));
    let total = |c| (0..2).flat_map(|y| (0..2).map(move |x| pixel(c, y, x))).sum::<f32>() / 12.0;
    close(&run(&model, model.graph.output()), &[total(0), total(1), total(2)]);
}

#[test]
fn inputs_of_whole_numbers_and_first_layers_say_what_the_pixels_are() {
    let nodes = vec![node("Cast", &["x"], "float", &[("to", &[1])]), node("Mul", &["float", "gain"], "scaled", &[])];
    let gain = floats("gain", &[1], &[2.0]);
    let raw = InputSpec::preset("raw", 4, 4).unwrap();
    let model = read(UINT8, [1, 3, 4, 4], nodes.clone(), vec![gain], None).unwrap();
    assert_eq!(model.graph.input, raw);
    close(&run(&model, model.graph.output())[..2], &[0.0, 2.0 * 255.0 * 0.005]);
    let gain = floats("gain", &[1], &[1.0 / 255.0]);
    assert_eq!(read(FLOAT, [1, 3, 4, 4], nodes.clone(), vec![gain.clone()], None).unwrap().graph.input, raw);
    let model = read(FLOAT, [1, 3, 4, 4], nodes.clone(), vec![gain.clone()], Some("torchvision")).unwrap();
    assert_eq!(model.graph.input, raw);
    assert!(model.warnings[0].to_string().contains("`scaled`"), "{:?}", model.warnings);
    let text = read(UINT16, [1, 3, 4, 4], nodes, vec![gain], None).unwrap_err().to_string();
    assert!(text.contains("uint16"), "{text}");
}

#[test]
fn names_used_twice_are_refused() {
    let relu = || vec![node("Relu", &["x"], "y", &[]), node("Mul", &["y", "gain"], "z", &[])];
    let gain = |v: f32| floats("gain", &[1], &[v]);
    assert!(read(FLOAT, [1, 3, 4, 4], relu(), vec![gain(2.0)], Some("unit")).is_ok());
    let text = read(FLOAT, [1, 3, 4, 4], relu(), vec![gain(2.0), gain(3.0)], Some("unit")).unwrap_err().to_string();
    assert!(text.contains("initializer `gain`"), "{text}");
    let twice = vec![node("Relu", &["x"], "y", &[]), node("Sigmoid", &["x"], "y", &[])];
    let text = read(FLOAT, [1, 3, 4, 4], twice, vec![], Some("unit")).unwrap_err().to_string();
    assert!(text.contains("tensor `y`"), "{text}");
    let mut namesakes = relu();
    namesakes.iter_mut().for_each(|n| n.name = "layer".into());
    let model = read(FLOAT, [1, 3, 4, 4], namesakes, vec![gain(2.0)], Some("unit")).unwrap();
    assert!(model.graph.tap("layer").is_err() && model.graph.tap("z").is_ok(), "a name that two nodes have is no tap");
}

#[test]
fn a_matrix_used_with_two_factors_stays_two_matrices() {
    let gemm = |input: &str, output: &str| node("Gemm", &[input, "matrix"], output, &[]);
    let mut scaled = gemm("flat", "a");
    scaled.attribute = vec![Attribute { name: "alpha".into(), f: Some(3.0), i: None, ints: vec![] }];
    let nodes = vec![node("Flatten", &["x"], "flat", &[]), scaled, gemm("a", "b")];
    let identity: Vec<f32> = (0..9).map(|i| if i % 4 == 0 { 2.0 } else { 0.0 }).collect();
    let model = read(FLOAT, [1, 3, 1, 1], nodes, vec![floats("matrix", &[3, 3], &identity)], Some("unit")).unwrap();
    close(&run(&model, model.graph.output()), &[0.0, 1.2, 2.4]);
}

#[test]
fn sums_of_tensors_with_other_axes_are_refused() {
    // A batch x features and a batch x features x 1 x 1 tensor: numpy's rules would mix images.
    let nodes = vec![
        node("GlobalAveragePool", &["x"], "pooled", &[]),
        node("Flatten", &["pooled"], "flat", &[]),
        node("Add", &["pooled", "flat"], "sum", &[]),
    ];
    let text = read(FLOAT, [1, 3, 4, 4], nodes, vec![], Some("unit")).unwrap_err().to_string();
    assert!(text.contains("different axes"), "{text}");
}

#[test]
fn weights_that_nothing_reads_are_said() {
    let spare = floats("spare", &[1], &[2.0]);
    let model =
        read(FLOAT, [1, 3, 4, 4], vec![node("Relu", &["x"], "y", &[])], vec![spare.clone()], Some("unit")).unwrap();
    assert!(model.warnings[0].to_string().contains("`spare`"), "{:?}", model.warnings);
    let odd = vec![node("Relu", &["x", "spare"], "y", &[])];
    let text = read(FLOAT, [1, 3, 4, 4], odd, vec![spare], Some("unit")).unwrap_err().to_string();
    assert!(text.contains("`spare`") && text.contains("node of y"), "{text}");
}

#[test]
fn a_missing_tensor_is_named_with_those_that_are_there() {
    let nodes = vec![node("Relu", &["x"], "conv1/out", &[]), node("Relu", &["conv2/out"], "y", &[])];
    let error = read(FLOAT, [1, 3, 4, 4], nodes, vec![], Some("unit")).unwrap_err();
    assert!(error.to_string().contains("conv2/out") && error.to_string().contains("conv1/out"), "{error}");
    assert!(!error.hint().unwrap().contains("damaged"), "{error}");
}
