//! Networks that we know: the names that lucid, torchvision and Caffe give the same tensors, and
//! useful lists of taps.

use super::graph::{Graph, NodeId};
use super::op::Op;

/// The nine inception blocks.
const BLOCKS: [&str; 9] = ["3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"];

/// One tensor of Inception-V1 as Caffe, lucid and torchvision call it.
///
/// `maxpool1` and `maxpool4` are missing on purpose: lucid and torchvision mean different layers by
/// them.
const STEM: [(&str, &str, &str); 11] = [
    ("conv1/7x7_s2", "conv2d0", "conv1"),
    ("pool1/3x3_s2", "maxpool0", ""),
    ("pool1/norm1", "localresponsenorm0", ""),
    ("conv2/3x3_reduce", "conv2d1", "conv2"),
    ("conv2/3x3", "conv2d2", "conv3"),
    ("conv2/norm2", "localresponsenorm1", ""),
    ("pool2/3x3_s2", "", "maxpool2"),
    ("pool3/3x3_s2", "", "maxpool3"),
    ("pool4/3x3_s2", "maxpool10", ""),
    ("pool5/7x7_s1", "avgpool0", "avgpool"),
    ("loss3/classifier", "softmax2_pre_activation", "fc"),
];

/// The same for the parts of a block: after `inception_4a/`, after `mixed4a` and after
/// `inception4a`.
const PARTS: [(&str, &str, &str); 8] = [
    ("1x1", "_1x1", ".branch1"),
    ("3x3_reduce", "_3x3_bottleneck", ".branch2.0"),
    ("3x3", "_3x3", ".branch2.1"),
    ("5x5_reduce", "_5x5_bottleneck", ".branch3.0"),
    ("5x5", "_5x5", ".branch3.1"),
    ("pool", "_pool", ".branch4.0"),
    ("pool_proj", "_pool_reduce", ".branch4.1"),
    ("output", "", ""),
];

/// A network that we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Inception-V1 under Caffe's names.
    GoogLeNetCaffe,
    /// Inception-V1 under lucid's names.
    InceptionLucid,
    /// Inception-V1 under torchvision's names.
    GoogLeNetTorch,
    /// SqueezeNet 1.1 under Caffe's names.
    SqueezeNetCaffe,
    /// One compact or shared compact model of macaque V4 (Cowley et al. 2023).
    CompactV4,
}

impl Known {
    /// The preprocessing that its published weights were trained with.
    pub fn preprocess(self) -> &'static str {
        match self {
            Self::GoogLeNetCaffe | Self::SqueezeNetCaffe => "caffe",
            Self::InceptionLucid => "lucid",
            Self::GoogLeNetTorch => "torchvision",
            Self::CompactV4 => "v4",
        }
    }
}

/// Recognises a network by the names of its nodes.
pub fn recognise(graph: &Graph) -> Option<Known> {
    let all = |names: &[&str]| names.iter().all(|n| graph.find(n).is_some());
    if all(&["conv1/7x7_s2", "inception_3a/output", "inception_5b/output"]) {
        Some(Known::GoogLeNetCaffe)
    } else if all(&["inception3a", "inception5b"]) {
        Some(Known::GoogLeNetTorch)
    } else if all(&["conv2d0", "mixed3a", "mixed5b"]) {
        Some(Known::InceptionLucid)
    } else if all(&["fire2/squeeze1x1", "fire9/concat", "conv10"]) {
        Some(Known::SqueezeNetCaffe)
    } else if all(&["layer0_conv", "layer0_bn", "layer4_act"]) && graph.input.height == 112 {
        Some(Known::CompactV4)
    } else {
        None
    }
}

/// Adds what is known about a graph's names: `.pre_relu` for what every ReLU reads, and, for
/// networks that we know, aliases and presets. Names that the graph has already stay as they are.
pub fn annotate(graph: &mut Graph) {
    pre_relu(graph);
    match recognise(graph) {
        Some(Known::GoogLeNetCaffe | Known::InceptionLucid | Known::GoogLeNetTorch) => inception(graph),
        Some(Known::SqueezeNetCaffe) => squeezenet(graph),
        Some(Known::CompactV4) => compact(graph),
        None => {}
    }
}

fn alias(graph: &mut Graph, alias: &str, id: NodeId) {
    if !alias.is_empty() && graph.find(alias).is_none() && !graph.aliases.contains_key(alias) {
        let name = graph.node(id).name.clone();
        graph.aliases.insert(alias.into(), name);
    }
}

/// Sets a preset when all its taps exist.
pub fn preset(graph: &mut Graph, name: &str, taps: &[String]) {
    let ids: Option<Vec<NodeId>> = taps.iter().map(|t| graph.tap(t).ok()).collect();
    if let (Some(ids), false) = (ids, graph.presets.contains_key(name)) {
        let names = ids.into_iter().map(|id| graph.node(id).name.clone()).collect();
        graph.presets.insert(name.into(), names);
    }
}

/// What a ReLU reads, when it is one.
fn before_relu(graph: &Graph, id: NodeId) -> Option<NodeId> {
    (graph.node(id).op == Op::Relu).then(|| graph.node(id).inputs[0])
}

fn pre_relu(graph: &mut Graph) {
    for id in 0..graph.nodes().len() {
        if let Some(before) = before_relu(graph, id) {
            let name = format!("{}.pre_relu", graph.node(id).name);
            alias(graph, &name, before);
        }
    }
}

/// The names of one tensor in the three dialects, for every tensor of Inception-V1.
fn inception_names() -> Vec<[String; 3]> {
    let stem = STEM.iter().map(|(c, l, t)| [c, l, t].map(|s| s.to_string()));
    let blocks = BLOCKS.iter().flat_map(|b| {
        PARTS
            .iter()
            .map(move |(c, l, t)| [format!("inception_{b}/{c}"), format!("mixed{b}{l}"), format!("inception{b}{t}")])
    });
    stem.chain(blocks).collect()
}

fn inception(graph: &mut Graph) {
    for names in inception_names() {
        let Some(id) = names.iter().filter(|n| !n.is_empty()).find_map(|n| graph.find(n)) else { continue };
        names.iter().for_each(|n| alias(graph, n, id));
        if let Some(before) = before_relu(graph, id) {
            let [caffe, lucid, torch] = &names;
            alias(graph, &format!("{caffe}.pre_relu"), before);
            alias(graph, &format!("{lucid}_pre_relu"), before);
            alias(graph, &format!("{torch}.pre_relu"), before);
        }
    }
    let blocks: Vec<String> = BLOCKS.iter().map(|b| format!("mixed{b}")).collect();
    let stem: Vec<String> = (0..3).map(|i| format!("conv2d{i}")).collect();
    let twelve: Vec<String> = stem.iter().chain(&blocks).cloned().collect();
    let ancestor: Vec<String> = stem
        .iter()
        .map(|s| format!("{s}_pre_relu"))
        .chain(blocks.iter().map(|b| format!("{b}_pool_reduce_pre_relu")))
        .collect();
    preset(graph, "inception12", &twelve);
    preset(graph, "inception9", &blocks);
    preset(graph, "ancestor-pool-reduce", &ancestor);
    preset(graph, "default", &twelve);
}

fn squeezenet(graph: &mut Graph) {
    let fires: Vec<String> = (2..10).map(|i| format!("fire{i}/concat")).collect();
    let ten: Vec<String> = ["conv1".to_string()].into_iter().chain(fires).chain(["conv10".to_string()]).collect();
    preset(graph, "fires10", &ten);
    preset(graph, "default", &ten);
}

fn compact(graph: &mut Graph) {
    let layers: Vec<String> = (0..5).map(|i| format!("layer{i}_act")).collect();
    for (i, name) in layers.iter().enumerate() {
        if let Some(id) = graph.find(name) {
            alias(graph, &format!("layer{i}"), id);
            if let Some(before) = before_relu(graph, id) {
                alias(graph, &format!("layer{i}.pre_relu"), before);
            }
        }
    }
    preset(graph, "layers5", &layers);
    preset(graph, "default", &layers);
}
