//! PyTorch, Keras and safetensors files made to hang, to panic or to take all memory: each is
//! refused in words that name the file.

use hdf5_pure::{AttrValue, FileBuilder};
use orthoscope::Error;
use orthoscope::network::probe::probe;
use orthoscope::network::zoo::{LoadOptions, load_model};
use orthoscope::tensor::Device;
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// Reads and checks a file as `models check` does; what it says, and that it says so at once.
fn refused(path: &Path) -> Error {
    let start = Instant::now();
    let options = LoadOptions { preprocess: Some("unit".into()), arch: Some("resnet18".into()), models_dir: None };
    let found = load_model(path.to_str().unwrap(), &options)
        .and_then(|m| probe(&m.graph, m.about.golden.as_ref(), &Device::default()));
    let error = found.err().unwrap_or_else(|| panic!("{} was read", path.display()));
    assert!(start.elapsed() < Duration::from_secs(30), "{error}: {:?}", start.elapsed());
    assert_eq!(error.exit_code(), 2, "{error}");
    let folder = path.parent().unwrap().display().to_string();
    let text = error.to_string();
    assert!(text.contains(&folder) && text.len() < 3000 && !text.contains('\n'), "{text}");
    error
}

// ---- PyTorch

type Part = Vec<u8>;

fn text(t: &str) -> Part {
    [&b"X"[..], &(t.len() as u32).to_le_bytes(), t.as_bytes()].concat()
}

fn whole(n: i64) -> Part {
    [&b"\x8a\x08"[..], &n.to_le_bytes()].concat()
}

fn tuple(values: &[i64]) -> Part {
    [&b"("[..], &values.iter().flat_map(|&v| whole(v)).collect::<Part>(), b"t"].concat()
}

/// A view on storage `0`.
fn tensor(offset: i64, size: &[i64], stride: &[i64]) -> Part {
    let storage = [&b"(("[..], &text("storage"), b"ctorch\nFloatStorage\n", &text("0"), &text("cpu"), b"K\x01tQ"];
    let view = [whole(offset), tuple(size), tuple(stride)].concat();
    [&b"ctorch._utils\n_rebuild_tensor_v2\n"[..], &storage.concat(), &view, b"tR"].concat()
}

fn dict(entries: &[(Part, Part)]) -> Part {
    [&b"}("[..], &entries.iter().flat_map(|(k, v)| [&k[..], v].concat()).collect::<Part>(), b"u"].concat()
}

/// A zip archive of a pickle and one storage of so many zeros.
fn torch(path: &Path, pickle: &[u8], n_zeros: usize) {
    let mut archive = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    let parts = [("a/data.pkl", [b"\x80\x02", pickle, b"."].concat()), ("a/data/0", vec![0; 4 * n_zeros])];
    for (name, bytes) in parts {
        archive.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(&bytes).unwrap();
    }
    archive.finish().unwrap();
}

#[test]
fn tensors_that_make_no_sense_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.pt");
    let one = |t: Part| dict(&[(text("conv1.weight"), t)]);
    let huge = 1 << 62;
    let tensors = [
        ("a side of nothing beside huge ones", tensor(0, &[0, huge, huge], &[1, 1, 1])),
        ("sides that wrap", tensor(0, &[1 << 32, 1 << 32], &[0, 0])),
        ("more numbers than there are", tensor(0, &[17], &[0])),
        ("negative sides", tensor(0, &[-2, -2], &[1, 1])),
        ("negative strides", tensor(0, &[2, 2], &[-1, -1])),
        ("strides that wrap", tensor(0, &[2, 2], &[huge, huge])),
        ("another place", tensor(huge, &[1], &[1])),
        ("a negative place", tensor(-1, &[1], &[1])),
        ("sides without strides", tensor(0, &[2, 2], &[1])),
        ("a hundred thousand sides", tensor(0, &[1; 100_000], &[1; 100_000])),
    ];
    for (what, t) in tensors {
        torch(&path, &one(t), 16);
        println!("{what}: {}", refused(&path));
    }
}

#[test]
fn the_same_numbers_over_and_over_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.pt");
    let views: Vec<(Part, Part)> =
        (0..3000).map(|i| (text(&format!("w{i}")), tensor(0, &[1000, 1000], &[1000, 1]))).collect();
    torch(&path, &dict(&views), 1_000_000);
    assert!(refused(&path).to_string().contains("over and over"));
    let turned: Vec<(Part, Part)> =
        (0..3000).map(|i| (text(&format!("w{i}")), tensor(0, &[1000, 1000], &[0, 1]))).collect();
    torch(&path, &dict(&turned), 1_000_000);
    assert!(refused(&path).to_string().contains("over and over"));
}

#[test]
fn pickles_that_grow_are_refused_or_read_in_one_pass() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.pt");
    let small = tensor(0, &[1], &[1]);
    // A dictionary in a dictionary, 100,000 deep: all their paths together have gigabytes.
    let mut deep = Part::new();
    for _ in 0..100_000 {
        deep.extend([&b"}"[..], &text("layer")].concat());
    }
    deep.extend(dict(&[(text("w"), small.clone())]));
    deep.extend(std::iter::repeat_n(b's', 100_000));
    // One long name in 20,000 dictionaries.
    let mut long = [&b"("[..], &text(&"n".repeat(100_000)), b"q\x00", &small, b"q\x010"].concat();
    long.extend(std::iter::repeat_n(*b"}h\x00h\x01s", 20_000).flatten());
    long.extend(b"l");
    let mut named = [&b"]("[..], &text(&"n".repeat(100_000)), b"q\x00", &small, b"q\x01"].concat();
    named.extend(std::iter::repeat_n(*b"}h\x00h\x01s", 20_000).flatten());
    named.push(b'e');
    // Every tensor held by something else.
    let holders = ["model", "net", "ema", "student", "teacher", "state", "network", "backbone"];
    let held = |i: usize| (0..5).map(|k| holders[(i >> (3 * k)) & 7]).collect::<Vec<_>>().join(".");
    let held: Vec<(Part, Part)> =
        (0..30_000).map(|i| (text(&format!("{}.conv1.weight", held(i))), small.clone())).collect();
    let pickles = [
        ("endless nesting", deep),
        ("an opcode that no state dict has", long),
        ("one long name", named),
        ("30,000 holders", dict(&held)),
        ("a list in itself", b"]q\x00h\x00a".to_vec()),
        ("a dictionary in itself", [&b"}q\x00"[..], &text("a"), b"h\x00s"].concat()),
        ("a tensor of itself", dict(&[(text("w"), b"ctorch._utils\n_rebuild_tensor_v2\n(q\x00".to_vec())])),
        ("a million marks", vec![b'('; 1_000_000]),
        ("a million empty lists", [&b"("[..], &vec![b']'; 1_000_000], b"t"].concat()),
        ("a text beyond the end", b"X\xff\xff\xff\x7f".to_vec()),
    ];
    for (what, pickle) in pickles {
        torch(&path, &pickle, 1);
        println!("{what}: {}", refused(&path));
    }
    // The format before PyTorch 1.6: a storage of 2^63 numbers.
    let data = dict(&[(text("w"), small)]);
    let keys = [&b"]("[..], &text("0"), b"e"].concat();
    let parts = [&b"K\x01"[..], b"K\x01", b"}", &data, &keys].map(|p| [b"\x80\x02", p, b"."].concat());
    std::fs::write(&path, [&parts.concat()[..], &(1u64 << 63).to_le_bytes()].concat()).unwrap();
    println!("{}", refused(&path));
}

// ---- Keras

/// A model of version 2 with these layers behind images of 8 x 8; `conv` has a kernel of 3 x 3 x 3 x 4.
fn keras(path: &Path, input: &Value, layers: &[Value]) {
    let mut all = vec![json!({"class_name": "InputLayer", "config": {"name": "images", "batch_input_shape": input}})];
    all.extend(layers.iter().cloned());
    let config = json!({"class_name": "Sequential", "config": {"name": "s", "layers": all}});
    write_keras(path, &config.to_string());
}

fn write_keras(path: &Path, config: &str) {
    let mut file = FileBuilder::new();
    file.set_attr("model_config", AttrValue::String(config.to_owned()));
    file.set_attr("keras_version", AttrValue::String("2.15.0".into()));
    let mut root = file.create_group("model_weights");
    let mut group = root.create_group("conv");
    group.set_attr("weight_names", AttrValue::StringArray(vec!["kernel:0".into(), "bias:0".into()]));
    group.create_dataset("kernel:0").with_f32_data(&[0.1; 108]).with_shape(&[3, 3, 3, 4]);
    group.create_dataset("bias:0").with_f32_data(&[0.5; 4]).with_shape(&[4]);
    root.add_group(group.finish());
    file.add_group(root.finish());
    file.write(path).unwrap();
}

#[test]
fn keras_configurations_that_make_no_sense_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.h5");
    let images = json!([null, 8, 8, 3]);
    let with = |class: &str, mut config: Value, more: Value| {
        let more = more.as_object().unwrap().clone();
        config.as_object_mut().unwrap().extend(more);
        json!({"class_name": class, "config": config})
    };
    let conv = |more: Value| with("Conv2D", json!({"name": "conv", "activation": "linear"}), more);
    let next = |class: &str, more: Value| vec![conv(json!({})), with(class, json!({"name": "next"}), more)];
    keras(&path, &images, &next("MaxPooling2D", json!({})));
    let options = LoadOptions { preprocess: Some("unit".into()), ..LoadOptions::default() };
    load_model(path.to_str().unwrap(), &options).unwrap();
    let huge = u64::MAX;
    let nested = (0..200).fold(json!(1.0), |inner, _| json!([inner]));
    let layers = [
        vec![conv(json!({"strides": [0, 1]}))],
        vec![conv(json!({"strides": huge}))],
        vec![conv(json!({"dilation_rate": [60_000, 60_000], "padding": "same"}))],
        vec![conv(json!({"groups": 0}))],
        vec![conv(json!({"groups": huge}))],
        vec![conv(json!({"activation": {"class_name": "a".repeat(30_000)}}))],
        next("MaxPooling2D", json!({"pool_size": 0})),
        next("MaxPooling2D", json!({"pool_size": 60_000, "padding": "same"})),
        next("AveragePooling2D", json!({"pool_size": [2, -2]})),
        next("ZeroPadding2D", json!({"padding": [[huge, 0], [0, 0]]})),
        next("ZeroPadding2D", json!({"padding": [[60_000, 0], [60_000, 0]]})),
        next("LeakyReLU", json!({"negative_slope": 1e300})),
        next("Rescaling", json!({"scale": 1e300})),
        next("Rescaling", json!({"scale": vec![0.5; 5_000]})),
        next("Normalization", json!({"mean": nested, "variance": nested})),
        next("Normalization", json!({"mean": 1.0, "variance": -1.0, "invert": true})),
        next("Lambda", json!({"function": "x"})),
        next("Dense", json!({"name": "conv"})),
        vec![conv(json!({"name": "con\nv"}))],
    ];
    for list in layers {
        keras(&path, &images, &list);
        println!("{}", refused(&path));
    }
    for input in
        [json!([null, 60_000, 60_000, 3]), json!([null, 0, 8, 3]), json!([null, huge, 8, 3]), json!(vec![8; 100])]
    {
        keras(&path, &input, &[conv(json!({}))]);
        println!("{}", refused(&path));
    }
    let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    for config in [" ", "null", "[1, 2]", "{\"class_name\": \"Sequential\"}", &deep] {
        write_keras(&path, config);
        println!("{}", refused(&path));
    }
}

#[test]
fn keras_layers_that_read_each_other_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.h5");
    let relu = |name: &str, from: &str| json!({"class_name": "ReLU", "name": name, "config": {"name": name}, "inbound_nodes": [[[from, 0, 0, {}]]]});
    let images = json!({"class_name": "InputLayer", "name": "images", "inbound_nodes": [],
        "config": {"name": "images", "batch_input_shape": [null, 8, 8, 3]}});
    for layers in [
        vec![images.clone(), relu("a", "a")],
        vec![images.clone(), relu("a", "b"), relu("b", "a")],
        vec![images.clone(), images.clone(), relu("a", "images")],
        vec![images, relu("images", "images"), relu("images", "images")],
    ] {
        let config = json!({"class_name": "Functional", "config": {"name": "f", "layers": layers}});
        write_keras(&path, &config.to_string());
        println!("{}", refused(&path));
    }
}

#[test]
fn archives_that_unpack_to_far_more_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.keras");
    let mut archive = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    for name in ["config.json", "model.weights.h5"] {
        archive.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        let zeros = vec![b' '; 1 << 20];
        (0..257).for_each(|_| archive.write_all(&zeros).unwrap());
    }
    archive.finish().unwrap();
    assert!(refused(&path).to_string().contains("unpack to more than"));
}

// ---- model directories

/// A card of one layer, with other lines in the place of some.
fn card(dir: &Path, weights: &[u8], change: &[(&str, &str)]) {
    let hash = blake3::hash(weights).to_hex();
    let mut text = format!(
        "schema = 1\nname = \"n\"\n\n[weights]\nfile = \"w.safetensors\"\nblake3 = \"{hash}\"\n\n[input]\nheight = 8\n\
         width = 8\nrange = 1.0\nmean = [0.0, 0.0, 0.0]\nstd = [1.0, 1.0, 1.0]\n\n[aliases]\n\n[presets]\n\n[[node]]\n\
         name = \"y\"\ninputs = [\"data\"]\nop = {{ kind = \"relu\" }}\n"
    );
    for (from, to) in change {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    std::fs::write(dir.join("card.toml"), text).unwrap();
    std::fs::write(dir.join("w.safetensors"), weights).unwrap();
}

fn safetensors(header: &str, data: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; data]].concat()
}

#[test]
fn cards_that_make_no_sense_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("m");
    std::fs::create_dir(&model).unwrap();
    let nothing = safetensors("{}", 0);
    card(&model, &nothing, &[]);
    load_model(model.to_str().unwrap(), &LoadOptions::default()).unwrap();
    let op = "kind = \"relu\"";
    let node = |i: usize| format!("\n[[node]]\nname = \"n{i}\"\ninputs = [\"data\"]\nop = {{ {op} }}\n");
    let many = (0..20_000).map(node).collect::<String>() + "\n[[node]]";
    let changes: [&[(&str, &str)]; 17] = [
        &[("height = 8", "height = 4294967296"), ("width = 8", "width = 4294967296")],
        &[("height = 8", "height = 0")],
        &[("height = 8", "height = -1")],
        &[("std = [1.0,", "std = [-1.0,")],
        &[("std = [1.0,", "std = [nan,")],
        &[("mean = [0.0,", "mean = [inf,")],
        &[("range = 1.0", "range = nan")],
        &[("[aliases]", "[aliases]\na = \"b\"\nb = \"a\"")],
        &[("[aliases]", "[aliases]\na = \"a\"")],
        &[("[presets]", "[presets]\ndefault = [\"none\"]")],
        &[(op, "kind = \"pad\", padding = [9223372036854775807, 1, 1, 1]")],
        &[(op, "kind = \"pad\", padding = [60000, 60000, 60000, 60000]")],
        &[(op, "kind = \"lrn\", size = 5, alpha = 1.0, beta = inf, k = 1.0")],
        &[(op, "kind = \"max-pool\", kernel = [2, 2], stride = [0, 0]")],
        &[("inputs = [\"data\"]", "inputs = [\"y\"]")],
        &[("w.safetensors", "../w.safetensors")],
        &[("\n[[node]]", &many)],
    ];
    for change in changes {
        card(&model, &nothing, change);
        println!("{}", refused(&model));
    }
}

#[test]
fn safetensors_with_sides_of_nothing_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("m");
    std::fs::create_dir(&model).unwrap();
    let tensor = |shape: &str, end: usize| {
        safetensors(&format!("{{\"w\":{{\"dtype\":\"F32\",\"shape\":{shape},\"data_offsets\":[0,{end}]}}}}"), end)
    };
    let sides = format!("[{}1]", "1,".repeat(100_000));
    for weights in [
        tensor("[0, 4611686018427387904, 4611686018427387904]", 0),
        tensor("[4611686018427387904, 4]", 0),
        tensor("[-1]", 4),
        tensor(&sides, 4),
        safetensors(&"[".repeat(100_000), 0),
        safetensors("{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[18446744073709551615,4]}}", 4),
        [&u64::MAX.to_le_bytes()[..], b"{}"].concat(),
    ] {
        card(&model, &weights, &[]);
        println!("{}", refused(&model));
    }
}
