//! ONNX files by the format's field numbers.

use crate::protobuf::Message;

const FLOAT: u64 = 1;
const INT64: u64 = 7;

enum Given<'a> {
    Int(i64),
    Ints(&'a [i64]),
    Float(f32),
    Text(&'a str),
    Tensor(Message),
}

fn floats(name: &str, dims: &[u64], scale: f32) -> Message {
    let n = dims.iter().product::<u64>();
    let values: Vec<u8> = (0..n).flat_map(|i| (((i * 37 % 23) as f32 / 11.0 - 1.0) * scale).to_le_bytes()).collect();
    tensor(name, dims, FLOAT).bytes(9, &values)
}

fn tensor(name: &str, dims: &[u64], kind: u64) -> Message {
    let message = dims.iter().fold(Message::default(), |m, &d| m.varint(1, d));
    message.varint(2, kind).bytes(8, name.as_bytes())
}

fn ints(name: &str, values: &[i64]) -> Message {
    values.iter().fold(tensor(name, &[values.len() as u64], INT64), |m, &v| m.varint(7, v as u64))
}

fn node(kind: &str, inputs: &[&str], output: &str, attributes: &[(&str, Given<'_>)]) -> Message {
    let message = inputs.iter().fold(Message::default(), |m, name| m.bytes(1, name.as_bytes()));
    let message = message.bytes(2, output.as_bytes()).bytes(3, format!("node of {output}").as_bytes());
    attributes.iter().fold(message.bytes(4, kind.as_bytes()), |m, (name, given)| {
        let attribute = Message::default().bytes(1, name.as_bytes());
        m.message(
            5,
            &match given {
                Given::Int(v) => attribute.varint(3, *v as u64).varint(20, 2),
                Given::Ints(all) => all.iter().fold(attribute, |a, &v| a.varint(8, v as u64)).varint(20, 7),
                Given::Float(v) => attribute.float(2, *v).varint(20, 1),
                Given::Text(v) => attribute.bytes(4, v.as_bytes()).varint(20, 3),
                Given::Tensor(t) => attribute.message(5, t).varint(20, 4),
            },
        )
    })
}

fn info(name: &str, kind: u64, dims: &[u64]) -> Message {
    let shape = dims.iter().fold(Message::default(), |m, &d| m.message(1, &Message::default().varint(1, d)));
    let tensor = Message::default().varint(1, kind).message(2, &shape);
    Message::default().bytes(1, name.as_bytes()).message(2, &Message::default().message(1, &tensor))
}

fn file(kind: u64, dims: &[u64], nodes: &[Message], initializers: &[Message], output: &str) -> Vec<u8> {
    let graph = nodes.iter().fold(Message::default(), |m, n| m.message(1, n)).bytes(2, b"graph");
    let graph = initializers.iter().fold(graph, |m, t| m.message(5, t));
    let graph = graph.message(11, &info("x", kind, dims)).message(12, &info(output, FLOAT, &[1, 5]));
    let opset = Message::default().bytes(1, b"").varint(2, 13);
    Message::default().varint(1, 8).message(7, &graph).message(8, &opset).0
}

pub fn seeds() -> Vec<Vec<u8>> {
    vec![chain(), branches(), channels_last()]
}

/// Convolutions, pools, norms and a classifier.
fn chain() -> Vec<u8> {
    use Given::{Float, Int, Ints};
    let nodes = [
        node("Conv", &["x", "k1", "b1"], "conv1", &[("kernel_shape", Ints(&[3, 3])), ("pads", Ints(&[1, 1, 1, 1]))]),
        node("Relu", &["conv1"], "relu1", &[]),
        node("MaxPool", &["relu1"], "pool1", &[("kernel_shape", Ints(&[2, 2])), ("strides", Ints(&[2, 2]))]),
        node("LRN", &["pool1"], "lrn", &[("size", Int(3)), ("alpha", Float(1e-4)), ("beta", Float(0.75))]),
        node("Conv", &["lrn", "k2"], "conv2", &[("group", Int(2)), ("strides", Ints(&[1, 1]))]),
        node("BatchNormalization", &["conv2", "s", "b1", "m", "v"], "norm", &[("epsilon", Float(1e-5))]),
        node("Add", &["norm", "lrn"], "sum", &[]),
        node("AveragePool", &["sum"], "pool2", &[("kernel_shape", Ints(&[2, 2])), ("strides", Ints(&[2, 2]))]),
        node("Flatten", &["pool2"], "flat", &[("axis", Int(1))]),
        node("Gemm", &["flat", "w", "b"], "scores", &[("transB", Int(1))]),
        node("Softmax", &["scores"], "p", &[("axis", Int(1))]),
    ];
    let positive = |name: &str| tensor(name, &[4], FLOAT).bytes(9, &[1f32; 4].map(f32::to_le_bytes).concat());
    let arrays = [
        floats("k1", &[4, 3, 3, 3], 0.5),
        floats("b1", &[4], 0.5),
        floats("k2", &[4, 2, 1, 1], 0.5),
        positive("s"),
        floats("m", &[4], 0.1),
        positive("v"),
        floats("w", &[5, 16], 0.5),
        floats("b", &[5], 0.5),
    ];
    file(FLOAT, &[1, 3, 8, 8], &nodes, &arrays, "p")
}

/// Concatenation, padding, arithmetic, reshaping.
fn branches() -> Vec<u8> {
    use Given::{Float, Int, Ints, Tensor, Text};
    let nodes = [
        node("Pad", &["x", "pads"], "padded", &[("mode", Text("constant"))]),
        node("Conv", &["padded", "k"], "a", &[("dilations", Ints(&[2, 2])), ("auto_pad", Text("SAME_UPPER"))]),
        node("Sigmoid", &["a"], "gate", &[]),
        node("Clip", &["a", "low"], "clipped", &[]),
        node("Concat", &["gate", "clipped"], "both", &[("axis", Int(1))]),
        node("Constant", &[], "half", &[("value", Tensor(tensor("half", &[], FLOAT).bytes(9, &0.5f32.to_le_bytes())))]),
        node("Mul", &["both", "half"], "scaled", &[]),
        node("LeakyRelu", &["scaled"], "leaky", &[("alpha", Float(0.1))]),
        node("Dropout", &["leaky"], "same", &[]),
        node("GlobalAveragePool", &["same"], "gap", &[]),
        node("Reshape", &["gap", "shape"], "flat", &[]),
        node("MatMul", &["flat", "w"], "scores", &[]),
    ];
    let scalar = |name: &str, v: f32| tensor(name, &[], FLOAT).bytes(9, &v.to_le_bytes());
    let arrays = [
        ints("pads", &[0, 0, 1, 1, 0, 0, 1, 1]),
        floats("k", &[2, 3, 3, 3], 0.5),
        scalar("low", 0.0),
        ints("shape", &[0, -1]),
        floats("w", &[4, 5], 0.5),
    ];
    file(FLOAT, &[1, 3, 6, 6], &nodes, &arrays, "scores")
}

/// Whole numbers with channels last, as converters from TensorFlow write.
fn channels_last() -> Vec<u8> {
    use Given::{Int, Ints};
    let nodes = [
        node("Cast", &["x"], "float", &[("to", Int(1))]),
        node("Mul", &["float", "gain"], "scaled", &[]),
        node("Transpose", &["scaled"], "first", &[("perm", Ints(&[0, 3, 1, 2]))]),
        node("Conv", &["first", "k"], "conv", &[]),
        node("Transpose", &["conv"], "last", &[("perm", Ints(&[0, 2, 3, 1]))]),
        node("ReduceMean", &["last"], "mean", &[("axes", Ints(&[1, 2])), ("keepdims", Int(0))]),
        node("Gemm", &["mean", "w", "b"], "scores", &[("transB", Int(1))]),
    ];
    let arrays = [
        floats("gain", &[3], 0.01),
        floats("k", &[4, 3, 1, 1], 0.5),
        floats("w", &[5, 4], 0.5),
        floats("b", &[5], 0.5),
    ];
    file(2, &[1, 5, 5, 3], &nodes, &arrays, "scores")
}
