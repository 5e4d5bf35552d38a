//! PyTorch state dicts for architectures that we know by name: torchvision's, and the compact
//! models of macaque V4.
//!
//! A state dict has no graph, so the architecture must be named (`--arch`). Nodes are called as
//! torchvision calls its modules; where a module is convolution, batch norm and ReLU in one, the
//! parts are `<module>.conv`, `<module>.bn` and `<module>`.

mod archs;
mod googlenet;
mod pickle;
mod resnet;
pub mod state;
mod wrappers;

use super::Imported;
use super::assembly::Assembly;
use super::names::in_words;
use crate::error::{Error, Result};
use crate::network::graph::{Graph, NodeId, Weights};
use crate::network::op::{FlattenOrder, Op};
use crate::network::shape::Shape;
use std::path::Path;

/// Architectures that `--arch` may name.
pub const ARCHITECTURES: [&str; 8] =
    ["googlenet", "alexnet", "vgg16", "vgg19", "resnet18", "resnet50", "squeezenet1_1", "cowley-compact"];

/// Reads a state dict into the architecture `arch`. Where a checkpoint holds several dictionaries
/// of tensors, the one that is the architecture's is taken.
///
/// # Errors
/// [`Error::Invalid`] without a known architecture, for tensors that are not the architecture's, or
/// for two dictionaries that both are and differ; [`Error::Corrupt`] for a truncated file; see
/// [`state::candidates`].
pub fn read(path: &Path, arch: Option<&str>) -> Result<Imported> {
    let known = ARCHITECTURES.join(", ");
    let Some(arch) = arch.filter(|a| ARCHITECTURES.contains(a)) else {
        return Err(Error::invalid(
            format!("{}: `arch`", path.display()),
            format!("one of {known}"),
            arch.map_or_else(|| "none".into(), |a| format!("`{a}`")),
            "a state dict holds no architecture: name it, or export the network to ONNX",
        ));
    };
    let mut fits: Vec<(String, Vec<String>, Graph)> = vec![];
    let mut nearest: Option<Misfit> = None;
    for candidate in state::candidates(path)? {
        match fit(arch, candidate.weights, candidate.whole, path) {
            Ok(graph) => fits.push((candidate.at, candidate.beside, graph)),
            Err(misfit) if nearest.as_ref().is_none_or(|n| misfit.taken > n.taken) => nearest = Some(misfit),
            Err(_) => {}
        }
    }
    let Some((at, beside, graph)) = fits.first() else {
        return Err(nearest.map_or_else(|| Error::invalid(arch, "tensors", "none", ""), |n| n.error));
    };
    if let Some((other, _, _)) = fits[1..].iter().find(|(_, _, g)| g.weights() != graph.weights()) {
        return Err(Error::invalid(
            path.display().to_string(),
            format!("one set of weights of {arch}"),
            format!("different ones in {at} and in {other}"),
            "save the one that is meant alone: torch.save(checkpoint[NAME], FILE)",
        ));
    }
    if !beside.is_empty() {
        return Err(Error::invalid(
            format!("{}: {at}", path.display()),
            format!("the tensors of {arch} and no others"),
            in_words("", beside, ""),
            "save the network alone: torch.save(model.state_dict(), FILE)",
        ));
    }
    let (_, _, graph) = fits.swap_remove(0);
    Ok(Imported { graph, pixels: None, warnings: vec![] })
}

/// The graph of an architecture with these weights; `path` is for names and messages.
///
/// # Errors
/// [`Error::Invalid`] when a tensor is missing or left over.
pub fn build(arch: &str, weights: Weights, path: &Path) -> Result<Graph> {
    fit(arch, weights, vec![], path).map_err(|misfit| misfit.error)
}

/// Tensors that are not an architecture's.
struct Misfit {
    /// How many of them the architecture used before it found out.
    taken: usize,
    error: Error,
}

fn fit(arch: &str, weights: Weights, whole: Vec<String>, path: &Path) -> std::result::Result<Graph, Misfit> {
    let size = if arch == "cowley-compact" { compact_size(&weights) } else { 224 };
    let bytes = weights.values().map(|w| 4 * w.len()).sum();
    let net = Assembly::new(path, Shape::new(3, size, size), bytes).map_err(|error| Misfit { taken: 0, error })?;
    let mut build = Builder { net, state: weights, whole, taken: 0, arch: arch.to_owned() };
    let built = match arch {
        "googlenet" => googlenet::googlenet(&mut build),
        "alexnet" => archs::alexnet(&mut build),
        "vgg16" => archs::vgg(&mut build, &[2, 2, 3, 3, 3]),
        "vgg19" => archs::vgg(&mut build, &[2, 2, 4, 4, 4]),
        "resnet18" => resnet::resnet(&mut build, &[2, 2, 2, 2], false),
        "resnet50" => resnet::resnet(&mut build, &[3, 4, 6, 3], true),
        "squeezenet1_1" => archs::squeezenet(&mut build),
        _ => archs::compact(&mut build),
    };
    let taken = build.taken;
    built.and_then(|()| build.finish()).map_err(|error| Misfit { taken, error })
}

/// Side of the compact model's input: its readout has a weight per channel and position, a quarter
/// as many positions each way. 112 as published.
fn compact_size(weights: &Weights) -> usize {
    let len = |name: &str| weights.get(name).map(|w| w.len());
    match (len("layers.Beta.weight"), len("layers.layer4_conv_point.bias")) {
        (Some(readout), Some(channels)) if channels > 0 => 4 * ((readout / channels) as f64).sqrt().round() as usize,
        _ => 112,
    }
}

/// A graph and the tensors that were not used yet.
pub(super) struct Builder {
    pub net: Assembly,
    state: Weights,
    /// Names of tensors of whole numbers.
    whole: Vec<String>,
    /// Tensors used so far.
    taken: usize,
    arch: String,
}

/// Window of a layer; all square.
#[derive(Clone, Copy)]
pub(super) struct Window {
    pub kernel: usize,
    pub stride: usize,
    pub pad: usize,
}

/// Kernel, stride, padding.
pub(super) fn window(kernel: usize, stride: usize, pad: usize) -> Window {
    Window { kernel, stride, pad }
}

impl Builder {
    /// Moves a tensor into the graph.
    pub fn take(&mut self, name: &str) -> Result<String> {
        if let Some(array) = self.state.remove(name) {
            self.taken += 1;
            return self.net.weight(name, array);
        }
        let found = if self.whole.iter().any(|w| w == name) {
            "whole numbers under that name (a quantised network?)".to_owned()
        } else {
            let there: Vec<&String> = self.state.keys().collect();
            format!("{} of those that are left", in_words(name, &there, "none"))
        };
        Err(self.mismatch(format!("the tensor `{name}` of {}", self.arch), found))
    }

    fn take_if(&mut self, name: &str) -> Result<Option<String>> {
        if self.state.contains_key(name) { self.take(name).map(Some) } else { Ok(None) }
    }

    /// Whether a tensor is still there.
    pub fn has(&self, name: &str) -> bool {
        self.state.contains_key(name)
    }

    fn mismatch(&self, expected: String, found: String) -> Error {
        let hint = "is `arch` the architecture that was saved, unchanged? any other network can be exported to ONNX";
        Error::invalid(self.net.file().display().to_string(), expected, found, hint)
    }

    /// A convolution `node` with the tensors `<tensors>.weight` and, if there, `<tensors>.bias`.
    pub fn conv(&mut self, node: &str, tensors: &str, x: NodeId, w: Window, groups: usize) -> Result<NodeId> {
        self.conv_padded(node, tensors, x, w.stride, [w.pad; 4], groups)
    }

    pub fn conv_padded(
        &mut self,
        node: &str,
        tensors: &str,
        x: NodeId,
        stride: usize,
        padding: [usize; 4],
        groups: usize,
    ) -> Result<NodeId> {
        let weight = self.take(&format!("{tensors}.weight"))?;
        let bias = self.take_if(&format!("{tensors}.bias"))?;
        let op = Op::Conv2d { weight, bias, stride: [stride; 2], padding, dilation: [1, 1], groups };
        self.net.push(node, op, &[x])
    }

    pub fn batch_norm(&mut self, node: &str, tensors: &str, x: NodeId, epsilon: f32) -> Result<NodeId> {
        let op = Op::BatchNorm {
            scale: Some(self.take(&format!("{tensors}.weight"))?),
            shift: Some(self.take(&format!("{tensors}.bias"))?),
            mean: self.take(&format!("{tensors}.running_mean"))?,
            var: self.take(&format!("{tensors}.running_var"))?,
            epsilon,
        };
        self.net.push(node, op, &[x])
    }

    pub fn relu(&mut self, node: &str, x: NodeId) -> Result<NodeId> {
        self.net.push(node, Op::Relu, &[x])
    }

    pub fn max_pool(&mut self, node: &str, x: NodeId, w: Window, ceil: bool) -> Result<NodeId> {
        let op = Op::MaxPool { kernel: [w.kernel; 2], stride: [w.stride; 2], padding: [w.pad; 4], ceil };
        self.net.push(node, op, &[x])
    }

    pub fn flatten(&mut self, node: &str, x: NodeId, order: FlattenOrder) -> Result<NodeId> {
        self.net.push(node, Op::Flatten { order }, &[x])
    }

    pub fn linear(&mut self, node: &str, tensors: &str, x: NodeId) -> Result<NodeId> {
        let weight = self.take(&format!("{tensors}.weight"))?;
        let bias = self.take_if(&format!("{tensors}.bias"))?;
        self.net.push(node, Op::Linear { weight, bias }, &[x])
    }

    /// Global average and classifier, as GoogLeNet and ResNet end.
    pub fn head(&mut self, x: NodeId) -> Result<()> {
        let pooled = self.net.push("avgpool", Op::GlobalAvgPool, &[x])?;
        self.linear("fc", "fc", pooled)?;
        Ok(())
    }

    fn finish(self) -> Result<Graph> {
        let left: Vec<&String> = self.state.keys().chain(&self.whole).collect();
        if !left.is_empty() {
            let found = in_words("", &left, "");
            return Err(self.mismatch(format!("the tensors of {} and no others", self.arch), found));
        }
        self.net.finish()
    }

    /// Forgets tensors of training-time branches.
    pub fn forget(&mut self, prefixes: &[&str]) {
        self.state.retain(|name, _| !prefixes.iter().any(|p| name.starts_with(p)));
        self.whole.retain(|name| !prefixes.iter().any(|p| name.starts_with(p)));
    }
}
