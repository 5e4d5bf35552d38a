//! What all importers share: a graph under construction whose tensors are found by the file's own
//! names.

use crate::error::{Error, Result};
use crate::network::graph::{Graph, GraphBuilder, NodeId, Weights};
use crate::network::input::{ChannelOrder, InputSpec};
use crate::network::op::Op;
use crate::network::shape::Shape;
use ndarray::{ArrayD, IxDyn};
use std::path::{Path, PathBuf};

/// Numbers that any file may make beside its own: vectors of one value per channel, constants in
/// another shape, weights that are turned.
const ROOM: usize = 1 << 26;
/// Different weights of one name.
const NAMESAKES: usize = 16;

/// A graph under construction.
pub(crate) struct Assembly {
    builder: GraphBuilder,
    file: PathBuf,
    /// Numbers that may still be made: [`ROOM`], or as many as the file has bytes.
    room: usize,
}

impl Assembly {
    /// Starts with an input of `shape`, of a file that holds so many `bytes`. The preprocessing is
    /// a placeholder until the caller knows it: see [`crate::network::zoo`].
    pub fn new(file: &Path, shape: Shape, bytes: usize) -> Result<Self> {
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
        Ok(Self { builder, file: file.to_path_buf(), room: bytes.max(ROOM) })
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

    /// Takes room for `n` numbers that are made from the file's, before they are.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there is none: the same few numbers would be made again and again.
    pub fn take_room(&mut self, n: usize) -> Result<()> {
        let left = self.room.checked_sub(n).ok_or_else(|| {
            let expected = "weights of the size of the file";
            let found = format!("{n} numbers more than that, made from the same ones again and again");
            Error::invalid(self.file.display().to_string(), expected, found, "simplify the network and save it again")
        })?;
        self.room = left;
        Ok(())
    }

    /// Stores a weight and gives its name back. Where other numbers have that name already, it gets
    /// a number: two layers of a file may be called the same.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for a number that is not finite; [`Error::Invalid`] for too many of one
    /// name, and as [`Self::take_room`].
    pub fn weight(&mut self, name: impl Into<String>, array: ArrayD<f32>) -> Result<String> {
        let wanted = name.into();
        if let Some(odd) = array.iter().find(|v| !v.is_finite()) {
            return Err(self.corrupt(format!("finite weights in `{wanted}`"), odd.to_string()));
        }
        for count in 1..=NAMESAKES {
            let name = if count == 1 { wanted.clone() } else { format!("{wanted}#{count}") };
            match self.builder.weights().get(&name) {
                None => {
                    self.take_room(array.len())?;
                    self.builder.add_weight(&name, array);
                    return Ok(name);
                }
                Some(other) if *other == array => return Ok(name),
                Some(_) => {}
            }
        }
        let place = format!("{}: weights `{wanted}`", self.file.display());
        let expected = format!("at most {NAMESAKES} different ones of one name");
        Err(Error::invalid(place, expected, "more", "give the layers names of their own and save the network again"))
    }

    /// Stores one value per channel, computed from what the file says.
    ///
    /// # Errors
    /// As [`Self::weight`].
    pub fn vector(&mut self, name: impl Into<String>, values: Vec<f32>) -> Result<String> {
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
