//! Networks that cannot be read: each is refused with what was expected, what was found, and what
//! to do.

use orthoscope::Error;
use orthoscope::network::zoo::{LoadOptions, load_model};
use prost::Message;
use std::path::Path;

/// As little of ONNX as makes a file, written by field numbers of the format.
mod onnx {
    use prost::Message;

    #[derive(Clone, PartialEq, Message)]
    pub struct Model {
        #[prost(message, optional, tag = "7")]
        pub graph: Option<Graph>,
        #[prost(message, repeated, tag = "8")]
        pub opset: Vec<Opset>,
    }
    #[derive(Clone, PartialEq, Message)]
    pub struct Opset {
        #[prost(string, tag = "1")]
        pub domain: String,
        #[prost(int64, tag = "2")]
        pub version: i64,
    }
    #[derive(Clone, PartialEq, Message)]
    pub struct Graph {
        #[prost(message, repeated, tag = "1")]
        pub node: Vec<Node>,
        #[prost(message, repeated, tag = "11")]
        pub input: Vec<ValueInfo>,
        #[prost(message, repeated, tag = "12")]
        pub output: Vec<ValueInfo>,
    }
    #[derive(Clone, PartialEq, Message)]
    pub struct Node {
        #[prost(string, repeated, tag = "1")]
        pub input: Vec<String>,
        #[prost(string, repeated, tag = "2")]
        pub output: Vec<String>,
        #[prost(string, tag = "3")]
        pub name: String,
        #[prost(string, tag = "4")]
        pub op_type: String,
    }
    #[derive(Clone, PartialEq, Message)]
    pub struct ValueInfo {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(message, optional, tag = "2")]
        pub kind: Option<Type>,
    }
    #[derive(Clone, PartialEq, Message)]
    pub struct Type {
        #[prost(message, optional, tag = "1")]
        pub tensor: Option<Tensor>,
    }
    #[derive(Clone, PartialEq, Message)]
    pub struct Tensor {
        #[prost(message, optional, tag = "2")]
        pub shape: Option<Shape>,
    }
    #[derive(Clone, PartialEq, Message)]
    pub struct Shape {
        #[prost(message, repeated, tag = "1")]
        pub dim: Vec<Dim>,
    }
    #[derive(Clone, PartialEq, Message)]
    pub struct Dim {
        #[prost(int64, tag = "1")]
        pub value: i64,
    }
}

/// `x` -> one node -> `y`.
fn one_node(op_type: &str, version: i64) -> Vec<u8> {
    let info = |name: &str, dims: &[i64]| onnx::ValueInfo {
        name: name.into(),
        kind: Some(onnx::Type {
            tensor: Some(onnx::Tensor {
                shape: Some(onnx::Shape { dim: dims.iter().map(|&value| onnx::Dim { value }).collect() }),
            }),
        }),
    };
    let node = onnx::Node {
        input: vec!["x".into()],
        output: vec!["y".into()],
        name: "stage5/odd".into(),
        op_type: op_type.into(),
    };
    let graph = onnx::Graph { node: vec![node], input: vec![info("x", &[1, 3, 8, 8])], output: vec![info("y", &[])] };
    onnx::Model { graph: Some(graph), opset: vec![onnx::Opset { domain: String::new(), version }] }.encode_to_vec()
}

fn load(path: &Path) -> Result<orthoscope::network::Graph, Error> {
    let options = LoadOptions { preprocess: Some("unit".into()), arch: Some("resnet18".into()), models_dir: None };
    load_model(path.to_str().unwrap(), &options).map(|m| m.graph)
}

#[test]
fn an_unknown_onnx_operator_names_node_operator_and_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("odd.onnx");
    std::fs::write(&path, one_node("Relu", 13)).unwrap();
    assert_eq!(load(&path).unwrap().nodes().len(), 2, "the same file with a known operator is read");
    std::fs::write(&path, one_node("GridSample", 16)).unwrap();
    let error = load(&path).unwrap_err();
    assert!(matches!(error, Error::UnsupportedOp { .. }), "{error}");
    let text = error.to_string();
    assert!(["odd.onnx", "stage5/odd", "GridSample"].iter().all(|part| text.contains(part)), "{text}");
    assert_eq!(error.exit_code(), 2);
    std::fs::write(&path, one_node("Relu", 3)).unwrap();
    assert!(load(&path).unwrap_err().to_string().contains("operator set 7"));
}

#[test]
fn a_pickle_that_would_run_something_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("evil.pth");
    let pickle = b"\x80\x02cposix\nsystem\nq\x00X\x04\x00\x00\x00echoq\x01\x85q\x02Rq\x03.";
    let mut archive = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    archive.start_file("evil/data.pkl", zip::write::SimpleFileOptions::default()).unwrap();
    std::io::Write::write_all(&mut archive, pickle).unwrap();
    archive.finish().unwrap();
    let error = load(&path).unwrap_err();
    assert!(error.to_string().contains("posix.system"), "{error}");
    assert!(error.hint().unwrap().contains("state_dict"), "{:?}", error.hint());
}

#[test]
fn unknown_names_and_extensions_list_what_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let options = LoadOptions { models_dir: Some(dir.path().into()), ..LoadOptions::default() };
    let error = load_model("no-such-model", &options).unwrap_err();
    assert!(error.to_string().contains("no-such-model") && error.hint().unwrap().contains("models import"), "{error}");
    let path = dir.path().join("network.pb");
    std::fs::write(&path, b"x").unwrap();
    assert!(load(&path).unwrap_err().to_string().contains("onnx"));
    let path = dir.path().join("bare.onnx");
    std::fs::write(&path, one_node("Relu", 13)).unwrap();
    let error = load_model(path.to_str().unwrap(), &options).unwrap_err();
    assert!(error.to_string().contains("`preprocess`"), "a bare file of an unknown network needs it: {error}");
}

#[test]
fn a_card_with_other_weights_names_both_hashes_and_truncation_is_told_apart() {
    use orthoscope::io::weights::Storage;
    use orthoscope::network::card::{self, About};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r.onnx");
    std::fs::write(&path, one_node("Relu", 13)).unwrap();
    let graph = load(&path).unwrap();
    let mut graph = orthoscope::network::GraphBuilder::from_graph(graph);
    graph.add_weight("w", ndarray::ArrayD::ones(ndarray::IxDyn(&[2, 3, 3, 3])));
    let op = orthoscope::network::Op::Conv2d {
        weight: "w".into(),
        bias: None,
        stride: [1, 1],
        padding: [0, 1, 2, 3],
        dilation: [1, 1],
        groups: 1,
    };
    graph.push("conv", op, &[1]).unwrap();
    let graph = graph.finish().unwrap();
    let at = dir.path().join("stored");
    let written = card::write(&at, &graph, &About::default(), Storage::F16, false).unwrap();
    assert_eq!(card::read(&at).unwrap().0.nodes(), graph.nodes());
    assert!(matches!(card::write(&at, &graph, &About::default(), Storage::F32, false), Err(Error::RunDir { .. })));
    let weights = at.join("weights.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &bytes[..bytes.len() - 3]).unwrap();
    let error = card::read(&at).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }) && !error.to_string().contains("blake3"), "{error}");
    let mut other = bytes.clone();
    *other.last_mut().unwrap() ^= 1;
    std::fs::write(&weights, &other).unwrap();
    let text = card::read(&at).unwrap_err().to_string();
    assert!(text.contains(&written.weights.blake3) && text.contains(&*blake3::hash(&other).to_hex()), "{text}");
    std::fs::write(at.join("card.toml"), "schema = 1\nname = 3\n").unwrap();
    assert!(matches!(card::read(&at), Err(Error::Corrupt { .. })));
}
