//! ONNX files made to hang, to panic or to take all memory: each is refused in words that
//! name the file.

use orthoscope::Error;
use orthoscope::network::probe::probe;
use orthoscope::network::zoo::{LoadOptions, load_model};
use orthoscope::tensor::Device;
use std::path::Path;
use std::time::{Duration, Instant};

/// Protocol buffers by field number.
pub mod wire {
    fn varint(mut v: u64) -> Vec<u8> {
        let mut out = vec![];
        while v > 127 {
            out.push(v as u8 | 128);
            v >>= 7;
        }
        out.push(v as u8);
        out
    }
    pub fn bytes(field: u64, content: impl AsRef<[u8]>) -> Vec<u8> {
        let content = content.as_ref();
        [varint(field << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
    }
    pub fn int(field: u64, v: i64) -> Vec<u8> {
        [varint(field << 3), varint(v as u64)].concat()
    }
    pub fn float(field: u64, v: f32) -> Vec<u8> {
        [varint(field << 3 | 5), v.to_le_bytes().to_vec()].concat()
    }
    pub fn ints(field: u64, list: &[i64]) -> Vec<u8> {
        list.iter().flat_map(|&v| int(field, v)).collect()
    }
    /// 32-bit floats in one piece.
    pub fn raw(list: &[f32]) -> Vec<u8> {
        list.iter().flat_map(|v| v.to_le_bytes()).collect()
    }
}
use wire::{bytes, float, int, ints, raw};

/// Reads and checks a file as `models check` does; what it says, and that it says so at once.
pub fn refused(name: &str, content: &[u8]) -> Error {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, content).unwrap();
    refused_at(&path)
}

fn refused_at(path: &Path) -> Error {
    let start = Instant::now();
    let options = LoadOptions { preprocess: Some("unit".into()), ..LoadOptions::default() };
    let found = load_model(path.to_str().unwrap(), &options).and_then(|m| probe(&m.graph, None, &Device::default()));
    let error = found.err().unwrap_or_else(|| panic!("{} was read", path.display()));
    assert!(start.elapsed() < Duration::from_secs(30), "{error}: {:?}", start.elapsed());
    assert_eq!(error.exit_code(), 2, "{error}");
    let folder = path.parent().unwrap().display().to_string();
    let text = error.to_string();
    assert!(text.contains(&folder) && text.len() < 2000 && !text.contains('\n'), "{text}");
    error
}

pub type Part = Vec<u8>;

fn node(kind: &str, inputs: &[&str], output: &str, attributes: &[Part]) -> Part {
    let mut out: Vec<Part> = inputs.iter().map(|i| bytes(1, i)).collect();
    out.extend([bytes(2, output), bytes(4, kind)]);
    out.extend(attributes.iter().map(|a| bytes(5, a)));
    out.concat()
}

fn list(name: &str, values: &[i64]) -> Part {
    [bytes(1, name), ints(8, values)].concat()
}

fn whole(name: &str, value: i64) -> Part {
    [bytes(1, name), int(3, value)].concat()
}

fn real(name: &str, value: f32) -> Part {
    [bytes(1, name), float(2, value)].concat()
}

fn tensor(name: &str, dims: &[i64], values: &[f32]) -> Part {
    [ints(1, dims), int(2, 1), bytes(8, name), bytes(9, raw(values))].concat()
}

fn whole_tensor(name: &str, values: &[i64]) -> Part {
    [int(1, values.len() as i64), int(2, 7), ints(7, values), bytes(8, name)].concat()
}

fn info(name: &str, dims: &[i64]) -> Part {
    let dims: Vec<Part> = dims.iter().map(|&d| bytes(1, int(1, d))).collect();
    [bytes(1, name), bytes(2, bytes(1, bytes(2, dims.concat())))].concat()
}

/// Images `x` of 1 x 3 x `side` x `side` to `output`.
fn onnx(side: i64, nodes: &[Part], tensors: &[Part], output: &str) -> Part {
    let mut graph: Vec<Part> = nodes.iter().map(|n| bytes(1, n)).collect();
    graph.extend(tensors.iter().map(|t| bytes(5, t)));
    graph.extend([bytes(11, info("x", &[1, 3, side, side])), bytes(12, info(output, &[]))]);
    [bytes(7, graph.concat()), bytes(8, int(2, 13))].concat()
}

fn kernel() -> Part {
    tensor("w", &[4, 3, 3, 3], &[0.1; 108])
}

/// One convolution with these attributes.
fn conv(side: i64, attributes: &[Part]) -> Part {
    onnx(side, &[node("Conv", &["x", "w"], "y", attributes)], &[kernel()], "y")
}

/// One node without weights.
fn one(kind: &str, attributes: &[Part]) -> Part {
    onnx(8, &[node(kind, &["x"], "y", attributes)], &[], "y")
}

#[test]
fn sizes_of_onnx_attributes_are_checked() {
    let lrn = |size: i64, alpha: f32, beta: f32, k: f32| {
        one("LRN", &[whole("size", size), real("alpha", alpha), real("beta", beta), real("bias", k)])
    };
    let pool = |kernel: &[i64], more: &[Part]| one("MaxPool", &[&[list("kernel_shape", kernel)], more].concat());
    let files = [
        ("huge padding", conv(8, &[list("pads", &[60_000; 4])])),
        ("padding that a stride hides", conv(8, &[list("pads", &[60_000; 4]), list("strides", &[60_000; 2])])),
        ("padding of another number", conv(8, &[list("pads", &[1; 1_000_000])])),
        ("negative padding", conv(8, &[list("pads", &[-1, 0, 0, 0])])),
        ("padding of 2^63", conv(8, &[list("pads", &[i64::MAX; 4])])),
        ("no stride", conv(8, &[list("strides", &[0, 1])])),
        ("huge stride", conv(8, &[list("strides", &[i64::MAX; 2])])),
        ("no dilation", conv(8, &[list("dilations", &[0, 0])])),
        ("dilation beyond the image", conv(8, &[list("dilations", &[60_000; 2])])),
        (
            "no stride, padded",
            conv(8, &[list("strides", &[0, 0]), [bytes(1, "auto_pad"), bytes(4, "SAME_UPPER")].concat()]),
        ),
        ("kernel larger than the image", conv(2, &[])),
        ("groups of nothing", conv(8, &[whole("group", 0)])),
        ("negative groups", conv(8, &[whole("group", -1)])),
        ("as many groups as wrap", conv(8, &[whole("group", (1 << 62) + 1)])),
        ("huge input", conv(65_535, &[])),
        ("an input of no pixels", conv(0, &[])),
        ("a negative input", conv(-8, &[])),
        ("normalisation of 2^40 channels", lrn(1 << 40, 1.0, 1.0, 1.0)),
        ("normalisation of 2^31 channels", lrn((1 << 31) + 1, 1.0, 1.0, 1.0)),
        ("normalisation of no channels", lrn(0, 1.0, 1.0, 1.0)),
        ("normalisation by NaN", lrn(5, f32::NAN, 1.0, 1.0)),
        ("normalisation to an infinite power", lrn(5, 1.0, f32::INFINITY, 1.0)),
        ("pooling of nothing", pool(&[0, 0], &[])),
        ("pooling without a window", one("MaxPool", &[])),
        ("pooling of a huge window", pool(&[60_000; 2], &[list("pads", &[59_999; 4])])),
        ("pooling of three axes", pool(&[2, 2, 2], &[])),
        ("pooling padded by its window", pool(&[2, 2], &[list("pads", &[2; 4])])),
        ("a border without end", one("Pad", &[list("pads", &[0, 0, 1 << 40, 0, 0, 0, 0, 0])])),
        ("a border of millions", one("Pad", &[list("pads", &[0, 0, 60_000, 60_000, 0, 0, 60_000, 60_000])])),
        ("a slope that is no number", one("LeakyRelu", &[real("alpha", f32::NAN)])),
        ("an axis of -2^63", one("Softmax", &[whole("axis", i64::MIN)])),
        ("a mean over a million axes", one("ReduceMean", &[list("axes", &[2; 1_000_000])])),
        ("a permutation of a million axes", one("Transpose", &[list("perm", &[1; 1_000_000])])),
    ];
    for (what, file) in files {
        println!("{what}: {}", refused("a.onnx", &file));
    }
}

#[test]
fn sides_of_onnx_tensors_are_checked() {
    let file = |weights: Part| onnx(8, &[node("Conv", &["x", "w"], "y", &[])], &[weights], "y");
    let files = [
        ("none", tensor("w", &[4, 3, 3, 3], &[])),
        ("one too few", tensor("w", &[4, 3, 3, 3], &[0.1; 107])),
        ("negative sides", tensor("w", &[-4, -3, 3, 3], &[0.1; 108])),
        ("no sides", tensor("w", &[], &[0.1])),
        ("a side of nothing beside huge ones", tensor("w", &[0, 1 << 62, 1 << 62, 4], &[])),
        ("sides that wrap to none", tensor("w", &[1 << 32, 1 << 32, 1, 1], &[])),
        ("seven sides", tensor("w", &[4, 3, 3, 3, 1, 1, 1], &[0.1; 108])),
        ("a million sides", tensor("w", &vec![1; 1_000_000], &[0.1])),
        ("a kernel of no rows", tensor("w", &[4, 3, 0, 3], &[])),
        ("a type that nobody has", [int(1, 1), int(2, 99), bytes(8, "w"), bytes(9, "abcd")].concat()),
    ];
    for (what, weights) in files {
        println!("{what}: {}", refused("a.onnx", &file(weights)));
    }
}

#[test]
fn onnx_graphs_that_grow_are_refused() {
    let name = |i: usize| format!("n{i}");
    let chain = |n: usize, kind: &str, times: usize| {
        let node = |i: usize| {
            let before = if i == 0 { "x".to_owned() } else { name(i - 1) };
            node(kind, &vec![before.as_str(); times], &name(i), &[])
        };
        onnx(16, &(0..n).map(node).collect::<Vec<_>>(), &[], &name(n - 1))
    };
    assert!(refused("a.onnx", &chain(40, "Concat", 2)).to_string().contains("Concat".to_lowercase().as_str()));
    assert!(refused("a.onnx", &chain(20_000, "Relu", 1)).to_string().contains("nodes"));
    assert!(refused("a.onnx", &chain(1, "Sum", 100_000)).to_string().contains("inputs"));
    assert!(refused("a.onnx", &chain(1, "Concat", 1_000_000)).to_string().contains("at most"));
    // Every node of an allowed size, all of them together not.
    let wide = [
        node("Pad", &["x"], "p", &[list("pads", &[0, 0, 0, 0, 0, 0, 1900, 1900])]),
        node("Concat", &["p", "p", "p", "p"], "n0", &[]),
    ];
    let more = (1..80).map(|i| node("Relu", &[&name(i - 1)], &name(i), &[]));
    let file = onnx(100, &wide.into_iter().chain(more).collect::<Vec<_>>(), &[], "n79");
    assert!(refused("a.onnx", &file).to_string().contains("at all nodes"));
    // A window of 1,000 x 1,000 at every pixel.
    let pool = node("MaxPool", &["x"], "y", &[list("kernel_shape", &[1000, 1000])]);
    assert!(refused("a.onnx", &onnx(2000, &[pool], &[], "y")).to_string().contains("operations"));
    // The same million weights in every node.
    let first = node("Conv", &["x", "v"], "n0", &[]);
    let more = (1..300).map(|i| node("Conv", &[&name(i - 1), "w"], &name(i), &[]));
    let weights =
        [tensor("v", &[1000, 3, 1, 1], &[0.1; 3000]), tensor("w", &[1000, 1000, 1, 1], &vec![0.1; 1_000_000])];
    let file = onnx(1, &[first].into_iter().chain(more).collect::<Vec<_>>(), &weights, "n299");
    assert!(refused("a.onnx", &file).to_string().contains("over and over"));
}

#[test]
fn onnx_constants_are_not_multiplied() {
    let big = tensor("w", &[1000, 1000], &vec![0.1; 1_000_000]);
    let turned: Vec<Part> = (0..100).map(|i| node("Transpose", &["w"], &format!("t{i}"), &[])).collect();
    let error = refused("a.onnx", &onnx(8, &turned, std::slice::from_ref(&big), "t0"));
    assert!(error.to_string().contains("again and again"), "{error}");
    let shapes = [whole_tensor("s", &[1 << 32, 1 << 32]), whole_tensor("m", &[1; 100_000]), big];
    for (what, made) in [
        ("sides that wrap", node("Reshape", &["w", "s"], "r", &[])),
        ("a hundred thousand sides", node("Reshape", &["w", "m"], "r", &[])),
        ("a hundred thousand new sides", node("Unsqueeze", &["w", "m"], "r", &[])),
    ] {
        println!("{what}: {}", refused("a.onnx", &onnx(8, &[made], &shapes, "r")));
    }
    // A factor for each of four million features, many times.
    let half = tensor("h", &[], &[0.5]);
    let mut nodes = vec![node("Flatten", &["x"], "n0", &[])];
    nodes.extend((1..40).map(|i| node("Mul", &[&format!("n{}", i - 1), "h"], &format!("n{i}"), &[])));
    let error = refused("a.onnx", &onnx(1100, &nodes, &[half], "n39"));
    assert!(error.to_string().contains("again and again") || error.to_string().contains("at most"), "{error}");
    // 1 / 0.
    let divided = node("Div", &["x", "z"], "y", &[]);
    assert!(refused("a.onnx", &onnx(8, &[divided], &[tensor("z", &[], &[0.0])], "y")).to_string().contains("finite"));
}

#[test]
fn onnx_names_and_circles() {
    let relu = |input: &str, output: &str| node("Relu", &[input], output, &[]);
    let long = "n".repeat(1_000_000);
    let files = [
        ("a node that reads itself", onnx(8, &[relu("y", "y")], &[], "y")),
        ("a circle", onnx(8, &[relu("b", "a"), relu("a", "b")], &[], "b")),
        ("nothing to read", onnx(8, &[node("Relu", &[], "y", &[])], &[], "y")),
        ("an output that is not there", onnx(8, &[relu("x", "y")], &[], "z")),
        ("an input that is not there, of a long name", onnx(8, &[relu("x", "y"), relu(&long, "z")], &[], "z")),
        ("a long name", onnx(8, &[relu("x", &long)], &[], &long)),
        ("a line break", onnx(8, &[relu("x", "a\nb")], &[], "a\nb")),
        ("a zero", onnx(8, &[relu("x", "a\0b")], &[], "a\0b")),
        ("a long operator", one(&"Z".repeat(1_000_000), &[])),
        ("no text", onnx(8, &[[bytes(1, "x"), bytes(2, [0xff, 0xfe]), bytes(4, "Relu")].concat()], &[], "y")),
        ("a long attribute", one("Pad", &[[bytes(1, "mode"), bytes(4, "m".repeat(1_000_000))].concat()])),
        ("millions of empty nodes", bytes(7, bytes(1, []).repeat(8_000_000))),
        ("groups without end", vec![0x0b; 1_000_000]),
        ("nothing", vec![]),
    ];
    for (what, file) in files {
        println!("{what}: {}", refused("a.onnx", &file));
    }
}

#[test]
fn external_data_lie_in_files_of_the_models_folder() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("folder")).unwrap();
    std::fs::write(dir.path().join("data"), vec![0; 4 << 20]).unwrap();
    let path = dir.path().join("a.onnx");
    let entry = |key: &str, value: &str| bytes(13, [bytes(1, key), bytes(2, value)].concat());
    let outside = |name: &str, n: i64, entries: &[Part]| {
        [int(1, n), int(2, 1), bytes(8, name), entries.concat(), int(14, 1)].concat()
    };
    let write = |tensors: &[Part]| {
        std::fs::write(&path, onnx(8, &[node("Relu", &["x"], "y", &[])], tensors, "y")).unwrap();
    };
    write(&[outside("w", 1 << 20, &[entry("location", "data")])]);
    let options = LoadOptions { preprocess: Some("unit".into()), ..LoadOptions::default() };
    load_model(path.to_str().unwrap(), &options).unwrap();
    let at = |place: &str| vec![entry("location", place)];
    let range =
        |offset: &str, length: &str| [at("data"), vec![entry("offset", offset), entry("length", length)]].concat();
    #[allow(unused_mut)]
    let mut places = vec![
        vec![],
        at("../data"),
        at("/dev/zero"),
        at("none"),
        at("folder"),
        at("a\0b"),
        range("0", "4"),
        range("1", "4194304"),
        range("18446744073709551615", "4194304"),
        range("-1", "4194304"),
        [at("data"), vec![entry("offset", "4")]].concat(),
    ];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("/dev/zero", dir.path().join("endless")).unwrap();
        places.push(at("endless"));
    }
    for entries in places {
        write(&[outside("w", 1 << 20, &entries)]);
        println!("{}", refused_at(&path));
    }
    for n in [1i64 << 62, 1 << 40, -1] {
        write(&[outside("w", n, &at("data"))]);
        println!("{}", refused_at(&path));
    }
    // A hundred tensors, each of the same 4 MB.
    let many: Vec<Part> = (0..100).map(|i| outside(&format!("w{i}"), 1 << 20, &at("data"))).collect();
    write(&many);
    assert!(refused_at(&path).to_string().contains("over and over"));
}
