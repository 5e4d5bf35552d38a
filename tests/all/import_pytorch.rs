//! Checkpoints as training programs write them: which dictionary is the network, and what wrappers
//! put before its names.

use orthoscope::Error;
use orthoscope::io::npz;
use orthoscope::network::Graph;
use orthoscope::network::graph::Weights;
use orthoscope::network::import::pytorch::build;
use orthoscope::network::zoo::{LoadOptions, load_model};
use std::io::Write;
use std::path::Path;

/// What a pickle holds here.
#[derive(Clone)]
enum Value {
    Dict(Vec<(String, Value)>),
    Tensor(Vec<usize>, Vec<f32>),
    Int(u8),
}

/// Writes a value as `pickle.dumps(value, protocol=2)` would, tensors as torch.save does; storages
/// go to `storages`.
fn pickle(value: &Value, out: &mut Vec<u8>, storages: &mut Vec<Vec<u8>>) {
    let text = |out: &mut Vec<u8>, t: &str| {
        out.push(b'X');
        out.extend((t.len() as u32).to_le_bytes());
        out.extend(t.bytes());
    };
    let int = |out: &mut Vec<u8>, n: usize| {
        out.push(b'J');
        out.extend((n as i32).to_le_bytes());
    };
    match value {
        Value::Int(n) => out.extend([b'K', *n]),
        Value::Dict(entries) => {
            out.extend(b"}(");
            for (name, inner) in entries {
                text(out, name);
                pickle(inner, out, storages);
            }
            out.push(b'u');
        }
        Value::Tensor(shape, numbers) => {
            out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
            text(out, "storage");
            out.extend(b"ctorch\nFloatStorage\n");
            text(out, &storages.len().to_string());
            text(out, "cpu");
            int(out, numbers.len());
            out.extend(b"tQ");
            int(out, 0);
            out.push(b'(');
            shape.iter().for_each(|&d| int(out, d));
            out.extend(b"t(");
            (0..shape.len()).for_each(|axis| int(out, shape[axis + 1..].iter().product()));
            out.extend(b"t\x89ccollections\nOrderedDict\n)RtR");
            storages.push(numbers.iter().flat_map(|v| v.to_le_bytes()).collect());
        }
    }
}

fn save(path: &Path, value: &Value) {
    let (mut data, mut storages) = (b"\x80\x02".to_vec(), vec![]);
    pickle(value, &mut data, &mut storages);
    data.push(b'.');
    let mut archive = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    let mut entry = |name: String, bytes: &[u8]| {
        archive.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(bytes).unwrap();
    };
    entry("archive/data.pkl".into(), &data);
    storages.iter().enumerate().for_each(|(i, bytes)| entry(format!("archive/data/{i}"), bytes));
    archive.finish().unwrap();
}

/// A made-up compact network.
fn weights() -> Weights {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/synthesis_cowley.npz");
    let all = npz::read(&path).unwrap().all::<f32>().unwrap();
    all.into_iter().filter(|(name, _)| name.starts_with("layers.")).collect()
}

/// Its state dict with every name and number changed.
fn state(rename: impl Fn(&str) -> String, change: impl Fn(f32) -> f32) -> Vec<(String, Value)> {
    let tensor = |a: &ndarray::ArrayD<f32>| Value::Tensor(a.shape().to_vec(), a.iter().map(|&v| change(v)).collect());
    weights().iter().map(|(name, array)| (rename(name), tensor(array))).collect()
}

fn plain() -> Vec<(String, Value)> {
    state(str::to_owned, |v| v)
}

fn dict(entries: Vec<(&str, Value)>) -> Value {
    Value::Dict(entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn load(value: &Value) -> Result<Graph, Error> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.pt");
    save(&path, value);
    let options = LoadOptions { arch: Some("cowley-compact".into()), ..LoadOptions::default() };
    load_model(path.to_str().unwrap(), &options).map(|m| m.graph)
}

fn expect_the_network(value: &Value, what: &str) {
    let expected = build("cowley-compact", weights(), Path::new("c.pt")).unwrap();
    let found = load(value).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_eq!(found.weights(), expected.weights(), "{what}");
}

#[test]
fn the_dictionary_that_fits_is_found_wherever_it_lies() {
    let scalar = || Value::Tensor(vec![], vec![0.75]);
    let moments =
        || dict(vec![("0", dict(vec![("exp_avg", Value::Tensor(vec![3], vec![1.0; 3])), ("step", scalar())]))]);
    expect_the_network(&Value::Dict(plain()), "a bare state dict");
    for name in ["state_dict", "model", "model_state_dict", "net", "ema", "weights"] {
        let beside = dict(vec![
            ("epoch", Value::Int(3)),
            ("best_acc1", scalar()),
            (name, Value::Dict(plain())),
            ("optimizer", moments()),
        ]);
        expect_the_network(&beside, name);
        let nested = dict(vec![
            ("best", scalar()),
            ("checkpoint", dict(vec![("loss", scalar()), (name, Value::Dict(plain()))])),
        ]);
        expect_the_network(&nested, &format!("nested {name}"));
    }
}

#[test]
fn prefixes_of_wrappers_are_taken_off_in_any_order() {
    for prefix in [
        "module.",
        "_orig_mod.",
        "module._orig_mod.",
        "_orig_mod.module.",
        "module.module.",
        "model.",
        "net.module.",
        "model._orig_mod.",
        "_orig_mod.model.",
        "ema.module.",
    ] {
        expect_the_network(&Value::Dict(state(|n| format!("{prefix}{n}"), |v| v)), prefix);
        let inside = dict(vec![("state_dict", Value::Dict(state(|n| format!("{prefix}{n}"), |v| v)))]);
        expect_the_network(&inside, &format!("state_dict, {prefix}"));
    }
    let part = |n: &str| n.replace("layers.layer0_conv", "layers._orig_mod.layer0_conv.module");
    expect_the_network(&Value::Dict(state(part, |v| v)), "a part was wrapped");
    let counter = [vec![("n_averaged_of".to_owned(), Value::Int(1))], state(|n| format!("module.{n}"), |v| v)].concat();
    expect_the_network(&Value::Dict(counter), "an averaged model");
}

#[test]
fn two_networks_in_one_file_are_refused_unless_they_are_equal() {
    let two = |change: fn(f32) -> f32| {
        dict(vec![("model", Value::Dict(plain())), ("ema", Value::Dict(state(str::to_owned, change)))])
    };
    expect_the_network(&two(|v| v), "twice the same");
    let error = load(&two(|v| 0.5 * v)).unwrap_err();
    assert!(error.to_string().contains("`model`") && error.to_string().contains("`ema`"), "{error}");
    assert_eq!(error.exit_code(), 2);
    let both = [state(|n| format!("model.{n}"), |v| v), state(|n| format!("ema.{n}"), |v| 0.5 * v)].concat();
    let text = load(&Value::Dict(both)).unwrap_err().to_string();
    assert!(text.contains("`model.`") && text.contains("`ema.`"), "{text}");
    let clash = [plain(), state(|n| format!("module.{n}"), |v| 0.5 * v)].concat();
    let text = load(&Value::Dict(clash)).unwrap_err().to_string();
    assert!(text.contains("different numbers"), "{text}");
}

#[test]
fn tensors_that_are_left_over_or_missing_are_named() {
    let beside =
        [state(|n| format!("model.{n}"), |v| v), vec![("loss.weight".to_owned(), Value::Tensor(vec![1], vec![1.0]))]]
            .concat();
    let text = load(&Value::Dict(beside)).unwrap_err().to_string();
    assert!(text.contains("`loss.weight`"), "{text}");
    let extra = [plain(), vec![("layers.adapter".to_owned(), Value::Tensor(vec![1], vec![1.0]))]].concat();
    let text = load(&Value::Dict(extra)).unwrap_err().to_string();
    assert!(text.contains("`layers.adapter`"), "{text}");
    let renamed = state(|n| n.replace("layers.Beta.weight", "layers.Beta.kernel"), |v| v);
    let error = load(&Value::Dict(renamed)).unwrap_err();
    assert!(
        error.to_string().contains("layers.Beta.weight") && error.to_string().contains("layers.Beta.kernel"),
        "{error}"
    );
    assert!(!error.hint().unwrap().contains("damaged"), "{error}");
}

#[test]
fn a_zip_that_torch_did_not_write_says_what_is_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("k.pt");
    let mut archive = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    archive.start_file("model.weights.h5", zip::write::SimpleFileOptions::default()).unwrap();
    archive.finish().unwrap();
    let options = LoadOptions { arch: Some("resnet18".into()), ..LoadOptions::default() };
    let error = load_model(path.to_str().unwrap(), &options).unwrap_err();
    assert!(error.to_string().contains("model.weights.h5") && error.hint().unwrap().contains(".keras"), "{error}");
}
