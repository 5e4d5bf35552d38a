//! Caffe's `.caffemodel`: layers with their blobs, in the current format or the one before 2015.
//!
//! A tap's name is the blob's name and means the blob's last value; what a layer computed before another overwrote it in place
//! is called `<blob>.pre_<layer type>`, such as `conv1.pre_relu`. Layers that only exist while training are left out.

mod layers;
mod proto;

use super::assembly::Assembly;
use crate::error::{Error, Result};
use crate::network::graph::{Graph, NodeId};
use crate::network::shape::Shape;
use prost::Message;
use proto::{LayerParameter, NetParameter};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Layers that feed, judge or supervise a network in training.
const TRAINING: [&str; 9] = [
    "Data",
    "ImageData",
    "HDF5Data",
    "DummyData",
    "Accuracy",
    "SoftmaxWithLoss",
    "EuclideanLoss",
    "Silence",
    "HingeLoss",
];

/// Reads a network. Its [`crate::network::InputSpec`] has the file's size and no preprocessing yet.
///
/// # Errors
/// [`Error::Io`], [`Error::Corrupt`] for a truncated file, [`Error::UnsupportedOp`] naming layer and type.
pub fn read(path: &Path) -> Result<Graph> {
    let bytes = super::read_bytes(path)?;
    let again = "the file is truncated or no .caffemodel: download it again";
    let damaged = |found: String| Error::corrupt(path, "a Caffe network with its weights", found, again);
    let mut net = NetParameter::decode(bytes.as_slice())
        .map_err(|e| damaged(format!("{} bytes that do not decode ({e})", bytes.len())))?;
    let old = std::mem::take(&mut net.v1);
    net.layer.extend(old.into_iter().map(proto::V1LayerParameter::upgraded));
    if net.layer.iter().all(|l| l.blobs.is_empty()) {
        return Err(damaged("no layer with weights".into()));
    }
    let (input, shape) = input_of(path, &net)?;
    let mut assembly = Assembly::new(path, shape)?;
    if input != "data" {
        assembly.alias(&input, "data");
    }
    let layers = deployed(net.layer, &input);
    let mut import = Import { net: assembly, blobs: HashMap::from([(input, 0)]) };
    for (layer, name) in &layers {
        import.layer(layer, name)?;
    }
    import.net.finish()
}

struct Import {
    net: Assembly,
    /// The node that holds each blob's present value.
    blobs: HashMap<String, NodeId>,
}

/// The input's name and shape, from the network, an Input layer, or a training set's crop.
fn input_of(path: &Path, net: &NetParameter) -> Result<(String, Shape)> {
    let shape = |dims: &[i64]| match dims {
        [_, c, h, w] if dims.iter().all(|d| (1..1 << 16).contains(d)) => {
            Some(Shape::new(*c as usize, *h as usize, *w as usize))
        }
        _ => None,
    };
    let of_layer = |l: &LayerParameter| {
        let crop = l.transform.as_ref().and_then(|t| t.crop_size).map(|c| vec![1, 3, i64::from(c), i64::from(c)]);
        let dims = l.input.as_ref().and_then(|i| i.shape.first()).map(|s| s.dim.clone()).or(crop)?;
        Some((l.top.first()?.clone(), shape(&dims)?))
    };
    let dims = net
        .input_shape
        .first()
        .map_or_else(|| net.input_dim.iter().map(|&d| i64::from(d)).collect(), |s| s.dim.clone());
    let of_net = net.input.first().cloned().zip(shape(&dims));
    of_net.or_else(|| net.layer.iter().find_map(of_layer)).ok_or_else(|| {
        Error::invalid(
            format!("{}: input", path.display()),
            "an Input layer of batch x channels x height x width",
            "none",
            "save the network with its deploy description, which says the image size",
        )
    })
}

/// The layers that run at test time, each with its node's name.
fn deployed(all: Vec<LayerParameter>, input: &str) -> Vec<(LayerParameter, String)> {
    let mut known = HashSet::from([input.to_owned()]);
    let mut kept: Vec<LayerParameter> = Vec::new();
    let mut removed: HashSet<String> = HashSet::new();
    for layer in all {
        let kind = layer.kind.as_deref().unwrap_or_default();
        let training = layer.include.iter().any(|rule| rule.phase == Some(0)) || TRAINING.contains(&kind);
        let feeds = kind == "Input" || layer.top.first().is_some_and(|t| t == input && layer.bottom.is_empty());
        // Labels, and what is computed from them.
        if training || feeds || layer.bottom.iter().any(|b| removed.contains(b) && !known.contains(b)) {
            removed.extend(layer.top.into_iter().filter(|t| !known.contains(t)));
            continue;
        }
        let in_place = layer.bottom.first() == layer.top.first();
        if kind == "Dropout" && in_place {
            continue;
        }
        known.extend(layer.top.iter().cloned());
        kept.push(layer);
    }
    let mut names = Vec::with_capacity(kept.len());
    for (i, layer) in kept.iter().enumerate() {
        let top = layer.top.first().cloned().unwrap_or_default();
        let overwritten = kept[i + 1..].iter().find(|later| later.top.first() == Some(&top));
        names.push(match overwritten {
            Some(later) => format!("{top}.pre_{}", later.kind.as_deref().unwrap_or("layer").to_lowercase()),
            None => top,
        });
    }
    kept.into_iter().zip(names).collect()
}
