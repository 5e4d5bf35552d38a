//! PyTorch state dicts for architectures that we know by name: torchvision's, and the compact models of macaque V4.
//!
//! A state dict has no graph, so the architecture must be named (`--arch`). Nodes are called as torchvision calls its modules;
//! where a module is convolution, batch norm and ReLU in one, the parts are `<module>.conv`, `<module>.bn` and `<module>`.

mod archs;
mod googlenet;
mod pickle;
mod resnet;
pub mod state;

use super::assembly::Assembly;
use crate::error::{Error, Result};
use crate::network::graph::{Graph, NodeId, Weights};
use crate::network::op::{FlattenOrder, Op};
use crate::network::shape::Shape;
use std::path::Path;

/// Architectures that `--arch` may name.
pub const ARCHITECTURES: [&str; 8] =
    ["googlenet", "alexnet", "vgg16", "vgg19", "resnet18", "resnet50", "squeezenet1_1", "cowley-compact"];

/// Reads a state dict into the architecture `arch`.
///
/// # Errors
/// [`Error::Invalid`] without a known architecture; [`Error::Corrupt`] for a truncated file or tensors that are not the
/// architecture's; see [`state::read`].
pub fn read(path: &Path, arch: Option<&str>) -> Result<Graph> {
    let known = ARCHITECTURES.join(", ");
    let Some(arch) = arch.filter(|a| ARCHITECTURES.contains(a)) else {
        return Err(Error::invalid(
            format!("{}: --arch", path.display()),
            format!("one of {known}"),
            arch.map_or_else(|| "none".into(), |a| format!("`{a}`")),
            "a state dict holds no architecture: name it, or export the network to ONNX",
        ));
    };
    build(arch, state::read(path)?, path)
}

/// The graph of an architecture with these weights; `path` is for names and messages.
///
/// # Errors
/// [`Error::Corrupt`] when a tensor is missing or left over.
pub fn build(arch: &str, weights: Weights, path: &Path) -> Result<Graph> {
    let size = if arch == "cowley-compact" { compact_size(&weights) } else { 224 };
    let net = Assembly::new(path, Shape::new(3, size, size))?;
    let mut build = Builder { net, state: weights, arch: arch.to_owned() };
    match arch {
        "googlenet" => googlenet::googlenet(&mut build)?,
        "alexnet" => archs::alexnet(&mut build)?,
        "vgg16" => archs::vgg(&mut build, &[2, 2, 3, 3, 3])?,
        "vgg19" => archs::vgg(&mut build, &[2, 2, 4, 4, 4])?,
        "resnet18" => resnet::resnet(&mut build, &[2, 2, 2, 2], false)?,
        "resnet50" => resnet::resnet(&mut build, &[3, 4, 6, 3], true)?,
        "squeezenet1_1" => archs::squeezenet(&mut build)?,
        _ => archs::compact(&mut build)?,
    }
    build.finish()
}

/// Side of the compact model's input: its readout has a weight per channel and position, a quarter as many positions each way. 112 as published.
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
        match self.state.remove(name) {
            Some(array) => Ok(self.net.weight(name, array)),
            None => {
                Err(self.mismatch(format!("the tensor `{name}` of {}", self.arch), "no tensor of that name".into()))
            }
        }
    }

    fn take_if(&mut self, name: &str) -> Result<Option<String>> {
        if self.state.contains_key(name) { self.take(name).map(Some) } else { Ok(None) }
    }

    /// The number of output channels or features of a tensor that is still there.
    pub fn has(&self, name: &str) -> bool {
        self.state.contains_key(name)
    }

    fn mismatch(&self, expected: String, found: String) -> Error {
        Error::corrupt(self.net.file(), expected, found, "is --arch the architecture that was saved?")
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
        if let Some(name) = self.state.keys().next() {
            let found = format!("{} more, such as `{name}`", self.state.len());
            return Err(self.mismatch(format!("the tensors of {} and no others", self.arch), found));
        }
        self.net.finish()
    }

    /// Forgets tensors of training-time branches.
    pub fn forget(&mut self, prefixes: &[&str]) {
        self.state.retain(|name, _| !prefixes.iter().any(|p| name.starts_with(p)));
    }
}
