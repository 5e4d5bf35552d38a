//! Keras files: written by Keras itself (golden), and as little as makes one.

use super::golden;
use hdf5_pure::{AttrValue, FileBuilder};
use serde_json::json;

pub fn archives() -> Vec<Vec<u8>> {
    vec![golden("keras_prep.keras")]
}

pub fn files() -> Vec<Vec<u8>> {
    vec![one_convolution(), one_convolution(), golden("keras_slash.h5"), golden("keras_prep.h5")]
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
