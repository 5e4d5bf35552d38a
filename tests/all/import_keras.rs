//! Keras files against Keras's own predictions (tests/golden/keras.py), and files that are not what
//! their layers need.

use crate::support::{activations, relative_error};
use hdf5_pure::{AttrValue, FileBuilder};
use ndarray::{ArrayD, Axis, IxDyn};
use orthoscope::Error;
use orthoscope::io::npz;
use orthoscope::network::zoo::{LoadOptions, Model, load_model};
use orthoscope::network::{ChannelOrder, InputSpec};
use orthoscope::tensor::{Device, tensor};
use serde_json::json;
use std::path::{Path, PathBuf};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn load(path: &Path, preprocess: Option<&str>) -> Result<Model, Error> {
    let options = LoadOptions { preprocess: preprocess.map(str::to_owned), ..LoadOptions::default() };
    load_model(path.to_str().unwrap(), &options)
}

/// The golden images, displayed: n x 3 x h x w in [0, 1].
fn images() -> ArrayD<f32> {
    let pixels = npz::read(&golden("keras.npz")).unwrap().get::<f32>("images").unwrap();
    (pixels / 255.0).permuted_axes(IxDyn(&[0, 3, 1, 2])).as_standard_layout().into_owned()
}

/// The largest error of the output over images, relative to the largest value that Keras predicts.
fn error_of(model: &Model, expected: &str) -> f32 {
    let expected = npz::read(&golden("keras.npz")).unwrap().get::<f32>(expected).unwrap();
    let images = tensor(images().view(), &Device::default());
    let found = activations(&model.graph, &[model.graph.output()], &images).remove(0);
    relative_error(found.as_slice().unwrap(), expected.as_slice().unwrap())
}

#[test]
fn both_formats_scale_their_own_input_and_find_every_layer() {
    for file in ["keras_prep.keras", "keras_prep.h5"] {
        let raw = InputSpec::preset("raw", 9, 9).unwrap();
        // The names of its two convolutions are those of the other's group in the .keras file.
        let model = load(&golden(file), None).unwrap();
        assert_eq!(
            (&model.graph.input, &model.warnings[..]),
            (&raw, &[][..]),
            "{file} says that its pixels are 0..255"
        );
        assert!(error_of(&model, "prep") < 1e-5, "{file}");
        let model = load(&golden(file), Some("unit")).unwrap();
        assert_eq!(model.graph.input, raw, "{file}: 0..1 would be scaled twice");
        let text = model.warnings[0].to_string();
        assert!([file, "unit", "`scaled`", "0..255"].iter().all(|part| text.contains(part)), "{text}");
        let model = load(&golden(file), Some("raw")).unwrap();
        assert!(model.warnings.is_empty() && error_of(&model, "prep") < 1e-5, "{file}");
    }
}

#[test]
fn layers_whose_groups_lie_in_one_another_keep_their_own_weights() {
    let model = load(&golden("keras_slash.h5"), Some("unit")).unwrap();
    let expected = npz::read(&golden("keras.npz")).unwrap().get::<f32>("slash").unwrap();
    let images = tensor(images().view(), &Device::default());
    let found = activations(&model.graph, &[model.graph.output()], &images).remove(0);
    for (found, expected) in found.axis_iter(Axis(0)).zip(expected.axis_iter(Axis(0))) {
        let error = relative_error(&found.iter().copied().collect::<Vec<_>>(), expected.as_slice().unwrap());
        assert!(error < 1e-5, "{error}");
    }
}

/// A file of one convolution `conv` (1 x 1, three planes to one) in the layout of version 2;
/// `layers` are put before it.
fn one_convolution(
    path: &Path,
    layers: Vec<serde_json::Value>,
    listed: &[&str],
    dtype: &str,
    fill: &dyn Fn(&mut hdf5_pure::DatasetBuilder, usize),
) {
    let mut all = vec![json!({"class_name": "InputLayer",
        "config": {"name": "images", "batch_input_shape": [null, 2, 2, 3], "dtype": dtype}})];
    all.extend(layers);
    all.push(json!({"class_name": "Conv2D", "config": {"name": "conv", "use_bias": true, "activation": "linear"}}));
    let config = json!({"class_name": "Sequential", "config": {"name": "s", "layers": all}});
    let mut file = FileBuilder::new();
    file.set_attr("model_config", AttrValue::String(config.to_string()));
    file.set_attr("keras_version", AttrValue::String("2.15.0".into()));
    let mut root = file.create_group("model_weights");
    let mut group = root.create_group("conv");
    group.set_attr("weight_names", AttrValue::StringArray(listed.iter().map(|n| format!("conv/{n}:0")).collect()));
    let mut inner = group.create_group("conv");
    for (i, name) in listed.iter().enumerate() {
        fill(inner.create_dataset(&format!("{name}:0")), i);
    }
    group.add_group(inner.finish());
    root.add_group(group.finish());
    file.add_group(root.finish());
    file.write(path).unwrap();
}

/// Kernel 1, 2, 4 and bias 0.5 in 32 bits; further arrays are single numbers.
fn in_32_bits(dataset: &mut hdf5_pure::DatasetBuilder, i: usize) {
    match i {
        0 => dataset.with_f32_data(&[1.0, 2.0, 4.0]).with_shape(&[1, 1, 3, 1]),
        _ => dataset.with_f32_data(&[0.5]).with_shape(&[1]),
    };
}

#[test]
fn kernels_of_any_type_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.h5");
    let half = |dataset: &mut hdf5_pure::DatasetBuilder, i: usize| {
        let datatype = hdf5_pure::Datatype::FloatingPoint {
            size: 2,
            byte_order: hdf5_pure::DatatypeByteOrder::LittleEndian,
            layout: hdf5_pure::FloatingPointLayout {
                bit_offset: 0,
                bit_precision: 16,
                exponent_location: 10,
                exponent_size: 5,
                mantissa_location: 0,
                mantissa_size: 10,
                exponent_bias: 15,
            },
        };
        // 1, 2, 4 and 0.5 in IEEE 754 binary16.
        let (bits, shape): (&[u16], &[u64]) =
            if i == 0 { (&[0x3c00, 0x4000, 0x4400], &[1, 1, 3, 1]) } else { (&[0x3800], &[1]) };
        let bytes: Vec<u8> = bits.iter().flat_map(|b| b.to_le_bytes()).collect();
        dataset.with_raw_data(datatype, bytes, bits.len() as u64).with_shape(shape);
    };
    let double = |dataset: &mut hdf5_pure::DatasetBuilder, i: usize| {
        match i {
            0 => dataset.with_f64_data(&[1.0, 2.0, 4.0]).with_shape(&[1, 1, 3, 1]),
            _ => dataset.with_f64_data(&[0.5]).with_shape(&[1]),
        };
    };
    type Write<'w> = &'w dyn Fn(&mut hdf5_pure::DatasetBuilder, usize);
    let kinds: [Write<'_>; 3] = [&half, &double, &in_32_bits];
    for fill in kinds {
        one_convolution(&path, vec![], &["kernel", "bias"], "float32", fill);
        let graph = load(&path, Some("unit")).unwrap().graph;
        assert_eq!(graph.weight("conv.weight").as_slice().unwrap(), [1.0, 2.0, 4.0]);
        assert_eq!(graph.weight("conv.bias").as_slice().unwrap(), [0.5]);
    }
}

#[test]
fn a_type_of_whole_numbers_says_what_the_pixels_are() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.h5");
    one_convolution(&path, vec![], &["kernel", "bias"], "uint8", &in_32_bits);
    assert_eq!(load(&path, None).unwrap().graph.input, InputSpec::preset("raw", 2, 2).unwrap());
    let model = load(&path, Some("caffe")).unwrap();
    assert_eq!((model.graph.input.mean, model.graph.input.order), (vec![0.0; 3], ChannelOrder::Bgr));
    assert!(model.warnings[0].to_string().contains("uint8"), "{:?}", model.warnings);
    one_convolution(&path, vec![], &["kernel", "bias"], "float32", &in_32_bits);
    assert!(load(&path, None).unwrap_err().to_string().contains("raw"), "nothing says what the pixels are");
}

#[test]
fn every_weight_is_read_or_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.h5");
    one_convolution(&path, vec![], &["kernel", "bias", "kernel_scale"], "float32", &in_32_bits);
    let error = load(&path, Some("unit")).unwrap_err();
    assert!(error.to_string().contains("conv/kernel_scale:0") && error.exit_code() == 2, "{error}");
}

#[test]
fn a_missing_name_is_not_called_damage() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.h5");
    one_convolution(&path, vec![], &["kernel_0", "bias"], "float32", &in_32_bits);
    let error = load(&path, Some("unit")).unwrap_err();
    let (text, hint) = (error.to_string(), error.hint().unwrap());
    assert!(["`conv`", "`kernel`", "conv/kernel_0:0"].iter().all(|part| text.contains(part)), "{text}");
    assert!(hint.contains("2.15.0") && !hint.contains("damaged"), "{hint}");
    let dense = json!({"class_name": "Dense", "config": {"name": "convolve", "units": 3}});
    one_convolution(&path, vec![dense], &["kernel", "bias"], "float32", &in_32_bits);
    let text = load(&path, Some("unit")).unwrap_err().to_string();
    assert!(text.contains("convolve") && text.contains("`conv`"), "{text}");
}

#[test]
fn what_stands_in_the_place_of_numbers_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.h5");
    let scale = json!({"class_name": "__numpy__", "config": {"value": [1, 2, 3]}});
    let rescaling = json!({"class_name": "Rescaling", "config": {"name": "r", "scale": scale, "offset": 0}});
    one_convolution(&path, vec![rescaling], &["kernel", "bias"], "float32", &in_32_bits);
    let text = load(&path, Some("raw")).unwrap_err().to_string();
    assert!(text.contains("`r`") && text.contains("Rescaling"), "{text}");
}
