//! Keras files: written by Keras itself (golden), and as little as makes one.

use super::golden;
use hdf5_pure::{AttrValue, FileBuilder};
use serde_json::json;
use std::io::Write;

pub fn archives() -> Vec<Vec<u8>> {
    vec![third_version(), third_version(), third_version(), golden("keras_prep.keras")]
}

pub fn files() -> Vec<Vec<u8>> {
    vec![one_convolution(), one_convolution(), golden("keras_slash.h5"), golden("keras_prep.h5")]
}

/// A convolution of 1 x 1 in the layout of Keras 3.
fn third_version() -> Vec<u8> {
    let layers = json!([
        {"class_name": "InputLayer", "config": {"name": "images", "batch_shape": [null, 4, 4, 3], "dtype": "float32"}},
        {"class_name": "Conv2D", "config": {"name": "conv", "use_bias": true, "activation": "relu", "strides": [2, 2],
            "padding": "same", "dilation_rate": [1, 1], "groups": 1}},
        {"class_name": "GlobalAveragePooling2D", "config": {"name": "pool"}},
    ]);
    let config = json!({"class_name": "Sequential", "config": {"name": "s", "layers": layers}});
    let mut file = FileBuilder::new();
    let mut root = file.create_group("layers");
    let mut group = root.create_group("conv2d");
    let mut inner = group.create_group("vars");
    inner.set_attr("name", AttrValue::String("conv".into()));
    inner.create_dataset("0").with_f32_data(&[1.0, 2.0, 4.0]).with_shape(&[1, 1, 3, 1]);
    inner.create_dataset("1").with_f32_data(&[0.5]).with_shape(&[1]);
    group.add_group(inner.finish());
    root.add_group(group.finish());
    file.add_group(root.finish());
    let weights = file.finish().expect("arrays with shapes");
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let metadata = json!({"keras_version": "3.5.0"}).to_string();
    let files = [
        ("metadata.json", metadata.into_bytes()),
        ("config.json", config.to_string().into_bytes()),
        ("model.weights.h5", weights),
    ];
    for (name, bytes) in files {
        archive.start_file(name, zip::write::SimpleFileOptions::default()).expect("another name");
        archive.write_all(&bytes).expect("memory takes every byte");
    }
    archive.finish().expect("entries").into_inner()
}

/// A convolution of 1 x 1 in the layout of Keras 2.
fn one_convolution() -> Vec<u8> {
    let layers = json!([
        {"class_name": "InputLayer", "config": {"name": "images", "batch_input_shape": [null, 4, 4, 3], "dtype": "float32"}},
        {"class_name": "Rescaling", "config": {"name": "scaled", "scale": 0.5, "offset": -1.0}},
        {"class_name": "Conv2D", "config": {"name": "conv", "use_bias": true, "activation": "relu", "strides": [1, 1],
            "padding": "same", "dilation_rate": [1, 1], "groups": 1}},
        {"class_name": "MaxPooling2D", "config": {"name": "pool", "pool_size": [2, 2], "strides": [2, 2], "padding": "valid"}},
        {"class_name": "Flatten", "config": {"name": "flat"}},
    ]);
    let config = json!({"class_name": "Sequential", "config": {"name": "s", "layers": layers}});
    let mut file = FileBuilder::new();
    file.set_attr("model_config", AttrValue::String(config.to_string()));
    file.set_attr("keras_version", AttrValue::String("2.15.0".into()));
    let mut root = file.create_group("model_weights");
    let mut group = root.create_group("conv");
    group.set_attr("weight_names", AttrValue::StringArray(vec!["conv/kernel:0".into(), "conv/bias:0".into()]));
    let mut inner = group.create_group("conv");
    inner.create_dataset("kernel:0").with_f32_data(&[1.0, 2.0, 4.0]).with_shape(&[1, 1, 3, 1]);
    inner.create_dataset("bias:0").with_f32_data(&[0.5]).with_shape(&[1]);
    group.add_group(inner.finish());
    root.add_group(group.finish());
    file.add_group(root.finish());
    file.finish().expect("arrays with shapes")
}
