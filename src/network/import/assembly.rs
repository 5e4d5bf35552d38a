//! What all importers share: a graph under construction whose tensors are found by the file's own
//! names.

use crate::error::{Error, Result};
use crate::network::graph::{Graph, GraphBuilder, NodeId, Weights};
use crate::network::input::{ChannelOrder, InputSpec};
use crate::network::op::Op;
use crate::network::shape::Shape;
use ndarray::{ArrayD, IxDyn};
use std::path::{Path, PathBuf};

/// A graph under construction.
pub(crate) struct Assembly {
    builder: GraphBuilder,
    file: PathBuf,
}

impl Assembly {
    /// Starts with an input of `shape`. The preprocessing is a placeholder until the caller knows
    /// it: see [`crate::network::zoo`].
    pub fn new(file: &Path, shape: Shape) -> Result<Self> {
        let order = match shape.channels {
            1 => ChannelOrder::Grey,
            3 => ChannelOrder::Rgb,
            n => {
                return Err(Error::invalid(
                    format!("{}: input", file.display()),
                    "images of 1 or 3 channels",
                    format!("{n} channels"),
                    "only networks that see images can be imported",
                ));
            }
        };
        let planes = shape.channels;
        let input = InputSpec {
            height: shape.height,
            width: shape.width,
            order,
            range: 1.0,
            mean: vec![0.0; planes],
            std: vec![1.0; planes],
        };
        let builder = GraphBuilder::new(&super::stem(file), input, Weights::new())?;
        Ok(Self { builder, file: file.to_path_buf() })
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    /// An operator that the importer does not know, or not with these attributes.
    pub fn unsupported(&self, node: &str, op: impl Into<String>, hint: &str) -> Error {
        unsupported(&self.file, node, op, hint)
    }

    /// A file that contradicts itself.
    pub fn corrupt(&self, expected: impl Into<String>, found: impl Into<String>) -> Error {
        Error::corrupt(
            &self.file,
            expected,
            found,
            "the file is damaged or was written wrongly: download or export it again",
        )
    }

    pub fn push(&mut self, name: &str, op: Op, inputs: &[NodeId]) -> Result<NodeId> {
        self.builder.push(name, op, inputs)
    }

    /// A name that the file does not have: what was looked for, the nearest of those that are
    /// there, what to do.
    pub fn missing(&self, at: &str, wanted: &str, there: &[impl AsRef<str>], none: &str, hint: &str) -> Error {
        let place = format!("{}: {at}", self.file.display());
        Error::invalid(place, format!("`{wanted}`"), super::names::in_words(wanted, there, none), hint)
    }

    /// Stores a weight and gives its name back. Where other numbers have that name already, it gets
    /// a number: two layers of a file may be called the same.
    pub fn weight(&mut self, name: impl Into<String>, array: ArrayD<f32>) -> String {
        let wanted = name.into();
        let mut name = wanted.clone();
        let mut count = 1;
        while self.builder.weights().get(&name).is_some_and(|other| *other != array) {
            count += 1;
            name = format!("{wanted}#{count}");
        }
        self.builder.add_weight(&name, array);
        name
    }

    /// Stores one value per channel.
    pub fn vector(&mut self, name: impl Into<String>, values: Vec<f32>) -> String {
        let n = values.len();
        self.weight(name, ArrayD::from_shape_vec(IxDyn(&[n]), values).expect("one axis of n values"))
    }

    pub fn alias(&mut self, alias: &str, name: &str) {
        self.builder.alias(alias, name);
    }

    pub fn shape(&self, id: NodeId) -> Shape {
        self.builder.shape(id)
    }

    pub fn finish(self) -> Result<Graph> {
        self.builder.finish()
    }
}

/// An operator that cannot be imported.
pub(crate) fn unsupported(file: &Path, node: &str, op: impl Into<String>, hint: &str) -> Error {
    Error::UnsupportedOp { file: file.display().to_string(), node: node.into(), op: op.into(), hint: hint.into() }
}
