//! Caffe's `.caffemodel`: layers with their blobs, in the current format or the one before 2015.
//!
//! A tap's name is the blob's name and means the blob's last value; what a layer computed before
//! another overwrote it in place is called `<blob>.pre_<layer type>`, such as `conv1.pre_relu`.
//! Layers that only exist while training are left out.

mod layers;
mod proto;

use super::assembly::Assembly;
use super::{Imported, Pixels, Says, protobuf};
use crate::error::{Error, Result};
use crate::network::graph::{Graph, NodeId};
use crate::network::input::{ChannelOrder, InputSpec};
use crate::network::shape::Shape;
use crate::warning::Warning;
use proto::{LayerParameter, NetParameter, Transformation};
use std::collections::{BTreeSet, HashMap, HashSet};
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
/// [`Error::Io`], [`Error::Corrupt`] for a truncated file, [`Error::UnsupportedOp`] naming layer
/// and type, [`Error::Invalid`] for weights that are not there or that no layer reads, and for two
/// layers of one name.
pub fn read(path: &Path) -> Result<Imported> {
    let bytes = super::read_bytes(path)?;
    let again = "the file is truncated or no .caffemodel: download it again";
    let damaged = |found: String| Error::corrupt(path, "a Caffe network with its weights", found, again);
    let mut net: NetParameter = protobuf::decode(&bytes, &proto::NET).map_err(damaged)?;
    let old = std::mem::take(&mut net.v1);
    net.layer.extend(old.into_iter().map(proto::V1LayerParameter::upgraded));
    if bytes.is_empty() {
        return Err(damaged("an empty file".into()));
    }
    if net.layer.iter().all(|l| l.blobs.is_empty()) {
        let hint = "give the .caffemodel that training wrote, not the description of the network";
        let found = format!("{} layers without weights", net.layer.len());
        return Err(Error::invalid(path.display().to_string(), "a Caffe network with its weights", found, hint));
    }
    let (input, shape) = input_of(path, &net)?;
    let mut assembly = Assembly::new(path, shape, bytes.len())?;
    if input != "data" {
        assembly.alias(&input, "data");
    }
    let training = net.layer.iter().find_map(|l| Some((own_name(l).to_owned(), l.transform.clone()?)));
    let layers = deployed(path, net.layer, &input)?;
    refuse_namesakes(path, &layers)?;
    let blobs = HashMap::from([(input, 0)]);
    let shared = shared_names(&layers);
    let mut import = Import { net: assembly, blobs, shared, read: BTreeSet::new(), warnings: vec![] };
    for (layer, name) in &layers {
        import.layer(layer, name)?;
    }
    let (graph, warnings) = (import.net.finish()?, import.warnings);
    let trained = training.and_then(|(name, transform)| trained_with(&graph, &name, &transform));
    let pixels = Pixels::of_first_layers(&graph).or(trained);
    Ok(Imported { graph, pixels, warnings })
}

struct Import {
    net: Assembly,
    /// The node that holds each blob's present value.
    blobs: HashMap<String, NodeId>,
    /// Names that several layers have.
    shared: HashSet<String>,
    /// Which of the present layer's weights were read.
    read: BTreeSet<usize>,
    warnings: Vec<Warning>,
}

/// The preprocessing that the data layer of a trained network gives, unless its means are in
/// another file. Caffe reads B, G, R.
fn trained_with(graph: &Graph, name: &str, transform: &Transformation) -> Option<Pixels> {
    let n = graph.input.n_channels();
    let scale = transform.scale.unwrap_or(1.0);
    let mean = match transform.mean_value[..] {
        [one] => vec![one; n],
        ref several if several.len() == n => several.to_vec(),
        _ => return None,
    };
    if transform.mean_file.is_some() || scale <= 0.0 {
        return None;
    }
    let order = if n == 1 { ChannelOrder::Grey } else { ChannelOrder::Bgr };
    let input = InputSpec { order, range: 255.0, std: vec![1.0 / scale; n], ..graph.input.clone() };
    let why = format!("its layer `{name}` was trained with B, G, R of 0..255, minus {mean:?}, times {scale}");
    Some(Pixels { input: InputSpec { mean, ..input }, says: Says::Training, why })
}

/// Refuses layers with weights that another has the name of: Caffe itself finds a layer's weights
/// by its name.
fn refuse_namesakes(path: &Path, layers: &[(LayerParameter, String)]) -> Result<()> {
    // Whether a layer of the name has weights.
    let mut weighted: HashMap<&str, bool> = HashMap::new();
    for (layer, _) in layers {
        let (name, has) = (own_name(layer), !layer.blobs.is_empty());
        let before = weighted.get(name).copied();
        weighted.insert(name, has || before == Some(true));
        if before.is_some_and(|before| before || has) {
            return Err(Error::invalid(
                format!("{}: layer `{name}`", path.display()),
                "layers with weights that have names of their own",
                "two of that name",
                "rename one of them in the network's description and save it again: their weights cannot be told apart",
            ));
        }
    }
    Ok(())
}

fn shared_names(layers: &[(LayerParameter, String)]) -> HashSet<String> {
    let mut seen = HashSet::new();
    layers.iter().map(|(l, _)| own_name(l)).filter(|name| !seen.insert(*name)).map(str::to_owned).collect()
}

fn own_name(layer: &LayerParameter) -> &str {
    layer.name.as_deref().or(layer.top.first().map(String::as_str)).unwrap_or_default()
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
///
/// # Errors
/// [`Error::Invalid`] for a layer with weights that runs at test time and whose input nothing
/// gives.
fn deployed(path: &Path, all: Vec<LayerParameter>, input: &str) -> Result<Vec<(LayerParameter, String)>> {
    let mut known = HashSet::from([input.to_owned()]);
    let mut kept: Vec<LayerParameter> = Vec::new();
    let mut removed: HashSet<String> = HashSet::new();
    for layer in all {
        let kind = layer.kind.as_deref().unwrap_or_default();
        let training = layer.include.iter().any(|rule| rule.phase == Some(0)) || TRAINING.contains(&kind);
        let feeds = kind == "Input" || layer.top.first().is_some_and(|t| t == input && layer.bottom.is_empty());
        // Labels, and what is computed from them.
        let absent = layer.bottom.iter().find(|b| removed.contains(*b) && !known.contains(*b));
        if training || feeds || absent.is_some() {
            if let Some(bottom) = absent.filter(|_| !training && !layer.blobs.is_empty()) {
                return Err(Error::invalid(
                    format!("{}: layer `{}`", path.display(), own_name(&layer)),
                    "weights of layers that see the images",
                    format!("weights behind `{bottom}`, which is not computed from `{input}`"),
                    "only networks of one image input can be imported: save that branch as a network of its own",
                ));
            }
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
    // From the last layer back: the next one that overwrites each blob.
    let mut later: HashMap<&str, &LayerParameter> = HashMap::new();
    for layer in kept.iter().rev() {
        let top = layer.top.first().map_or("", String::as_str);
        let overwritten = layer.top.first().and_then(|top| later.insert(top, layer));
        names.push(match overwritten {
            Some(later) => format!("{top}.pre_{}", later.kind.as_deref().unwrap_or("layer").to_lowercase()),
            None => top.to_owned(),
        });
    }
    names.reverse();
    Ok(kept.into_iter().zip(names).collect())
}
