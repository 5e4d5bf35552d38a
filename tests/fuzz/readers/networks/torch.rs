//! State dicts of the compact architecture as `torch.save` writes them, in both formats.

use super::numbers;
use ndarray::ArrayD;
use std::io::Write;

/// Names and tensors of a network of two channels on 8 x 8 pixels.
fn state() -> Vec<(String, ArrayD<f32>)> {
    let mut all = Vec::new();
    let mut add = |name: String, shape: &[usize]| {
        let scale = if name.ends_with("var") { 0.01 } else { 0.3 };
        let array = numbers(shape, scale);
        all.push((format!("layers.{name}"), if name.ends_with("var") { array.mapv(|v| v + 1.0) } else { array }));
    };
    for i in 0..5 {
        if i == 0 {
            add("layer0_conv.weight".into(), &[2, 3, 5, 5]);
            add("layer0_conv.bias".into(), &[2]);
        } else {
            add(format!("layer{i}_conv_depth.weight"), &[2, 1, 5, 5]);
            add(format!("layer{i}_conv_point.weight"), &[2, 2, 1, 1]);
            add(format!("layer{i}_conv_point.bias"), &[2]);
        }
        for name in ["weight", "bias", "running_mean", "running_var"] {
            add(format!("layer{i}_bn.{name}"), &[2]);
        }
    }
    add("Beta.weight".into(), &[1, 2 * READOUT * READOUT]);
    add("Beta.bias".into(), &[1]);
    all
}

/// Rows of the last feature map: the architecture takes 112 pixels and halves them twice.
const READOUT: usize = 28;

fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'X');
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.bytes());
}

fn int(out: &mut Vec<u8>, n: usize) {
    out.push(b'J');
    out.extend((n as i32).to_le_bytes());
}

/// `pickle.dumps(state, protocol=2)` with tensors as `torch.save` pickles them.
fn pickle(state: &[(String, ArrayD<f32>)], legacy: bool) -> Vec<u8> {
    let mut out = b"\x80\x02}(".to_vec();
    for (key, (name, array)) in state.iter().enumerate() {
        text(&mut out, name);
        out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut out, "storage");
        out.extend(b"ctorch\nFloatStorage\n");
        text(&mut out, &key.to_string());
        text(&mut out, "cpu");
        int(&mut out, array.len());
        if legacy {
            out.push(b'N');
        }
        out.extend(b"tQ");
        int(&mut out, 0);
        out.push(b'(');
        array.shape().iter().for_each(|&side| int(&mut out, side));
        out.extend(b"t(");
        (0..array.ndim()).for_each(|axis| int(&mut out, array.shape()[axis + 1..].iter().product()));
        out.extend(b"t\x89ccollections\nOrderedDict\n)RtR");
    }
    out.extend(b"u.");
    out
}

fn raw(array: &ArrayD<f32>) -> Vec<u8> {
    array.iter().flat_map(|v| v.to_le_bytes()).collect()
}

pub fn archives() -> Vec<Vec<u8>> {
    let state = state();
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let mut entry = |name: String, bytes: &[u8]| {
        archive.start_file(name, zip::write::SimpleFileOptions::default()).expect("another name");
        archive.write_all(bytes).expect("memory takes every byte");
    };
    entry("archive/data.pkl".into(), &pickle(&state, false));
    state.iter().enumerate().for_each(|(i, (_, array))| entry(format!("archive/data/{i}"), &raw(array)));
    vec![archive.finish().expect("entries").into_inner()]
}

/// Magic number, version and machine, the dictionary, the list of storages, the storages.
pub fn streams() -> Vec<Vec<u8>> {
    let state = state();
    let mut out = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}.".to_vec();
    out.extend(pickle(&state, true));
    out.extend(b"\x80\x02](");
    (0..state.len()).for_each(|key| text(&mut out, &key.to_string()));
    out.extend(b"e.");
    for (_, array) in &state {
        out.extend((array.len() as u64).to_le_bytes());
        out.extend(raw(array));
    }
    vec![out]
}
