//! Keras models, sequential or functional: `.keras` of version 3, and `.h5` of versions 2 and 3.
//!
//! A node has its layer's name. Where a layer holds several operations, the last has the layer's
//! name: a fused activation leaves `<layer>.pre_<activation>` before it, a separable convolution
//! `<layer>.depthwise`. Kernels are turned from rows, columns, inputs, outputs to outputs, inputs,
//! rows, columns; `Flatten` keeps Keras's order (channel fastest).

mod layers;
mod store;

use super::assembly::Assembly;
use super::{Imported, Pixels};
use crate::error::{Error, Result};
use crate::io::hdf5;
use crate::network::graph::NodeId;
use crate::network::shape::Shape;
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;
use store::Store;

/// Reads a model. Its [`crate::network::InputSpec`] has the file's size and no preprocessing yet.
///
/// # Errors
/// [`Error::Io`], [`Error::Corrupt`] for a truncated file, [`Error::UnsupportedOp`] naming layer
/// and class, [`Error::Invalid`] for weights that are not there or that no layer reads.
pub fn read(path: &Path) -> Result<Imported> {
    hdf5::apart(|| import(path)).unwrap_or_else(|panic| {
        let found = format!("a file that the HDF5 library gives up on ({panic})");
        Err(Error::corrupt(path, "a Keras model with its weights", found, store::AGAIN))
    })
}

fn import(path: &Path) -> Result<Imported> {
    let (store, config) = store::open(path)?;
    let class = config["class_name"].as_str().unwrap_or_default();
    if !matches!(class, "Sequential" | "Functional" | "Model") {
        return Err(super::assembly::unsupported(
            path,
            "model",
            class,
            "only Sequential and Functional models can be imported",
        ));
    }
    let layers: Vec<Layer<'_>> = match &config["config"] {
        Value::Array(layers) => layers.iter().map(Layer::new).collect(),
        model => model["layers"].as_array().map_or_else(Vec::new, |l| l.iter().map(Layer::new).collect()),
    };
    let (first, shape) = input_of(path, &layers, &config["config"])?;
    let mut net = Assembly::new(path, shape, store.bytes())?;
    if let Some(name) = first.filter(|n| *n != "data") {
        net.alias(name, "data");
    }
    let mut import = Import { net, store, nodes: HashMap::new() };
    let mut before = 0;
    for layer in &layers {
        before = import.add(layer, before, class == "Sequential")?;
    }
    import.store.all_read()?;
    let graph = import.net.finish()?;
    let whole = layers.iter().filter(|l| l.class == "InputLayer").find_map(|l| l.config["dtype"].as_str());
    let whole = whole.filter(|kind| kind.starts_with("int") || kind.starts_with("uint"));
    let pixels = whole.map(|kind| Pixels::integers(&graph, kind)).or_else(|| Pixels::of_first_layers(&graph));
    Ok(Imported { graph, pixels, warnings: vec![] })
}

struct Import {
    net: Assembly,
    store: Store,
    /// The node that holds each layer's output.
    nodes: HashMap<String, NodeId>,
}

/// One layer of the configuration.
struct Layer<'a> {
    class: &'a str,
    name: &'a str,
    config: &'a Value,
    inbound: &'a Value,
}

impl<'a> Layer<'a> {
    fn new(layer: &'a Value) -> Self {
        let config = &layer["config"];
        let name = config["name"].as_str().or(layer["name"].as_str()).unwrap_or_default();
        Self { class: layer["class_name"].as_str().unwrap_or_default(), name, config, inbound: &layer["inbound_nodes"] }
    }

    /// The layers whose outputs this one reads; `None` when it is called more than once.
    fn inputs(&self) -> Option<Vec<&'a str>> {
        let calls = self.inbound.as_array().map_or(&[][..], Vec::as_slice);
        let [call] = calls else {
            return calls.is_empty().then(Vec::new);
        };
        let mut names = Vec::new();
        match call {
            // Version 2: [["layer", 0, 0, {}], ...].
            Value::Array(tensors) => names.extend(tensors.iter().filter_map(|t| t[0].as_str())),
            // Version 3: tensors with a history somewhere in the arguments.
            other => histories(&other["args"], &mut names),
        }
        Some(names)
    }

    fn activation(&self) -> &'a str {
        let activation = &self.config["activation"];
        activation.as_str().or(activation["config"].as_str()).or(activation["class_name"].as_str()).unwrap_or("linear")
    }
}

fn histories<'a>(value: &'a Value, names: &mut Vec<&'a str>) {
    match value {
        Value::Array(items) => items.iter().for_each(|v| histories(v, names)),
        Value::Object(_) => names.extend(value["config"]["keras_history"][0].as_str()),
        _ => {}
    }
}

/// The input layer's name, if there is one, and the images' shape.
fn input_of<'a>(path: &Path, layers: &[Layer<'a>], model: &Value) -> Result<(Option<&'a str>, Shape)> {
    let first = layers.first();
    let named = first.filter(|l| l.class == "InputLayer").map(|l| l.name);
    let n_inputs = layers.iter().filter(|l| l.class == "InputLayer").count();
    let shapes = first.into_iter().flat_map(|l| [&l.config["batch_shape"], &l.config["batch_input_shape"]]);
    let dims = shapes.chain([&model["build_input_shape"]]).find_map(Value::as_array);
    let dims: Vec<Option<usize>> =
        dims.map_or_else(Vec::new, |d| d.iter().map(|v| v.as_u64().map(|v| v as usize)).collect());
    match dims[..] {
        [_, Some(h), Some(w), Some(c)] if n_inputs <= 1 && [h, w, c].iter().all(|d| (1..1 << 16).contains(d)) => {
            Ok((named, Shape::new(c, h, w)))
        }
        _ => Err(Error::invalid(
            format!("{}: input", path.display()),
            "one input of batch x rows x columns x channels, all but the batch fixed",
            format!("{n_inputs} input layers, shape {dims:?}"),
            "save the model with a fixed input shape",
        )),
    }
}
