//! From a typed graph to what the engine for frozen networks is told.
//!
//! Batch norms are folded, activations join the operation before them when nothing else sees what
//! lies between, a flattening before linear layers becomes the order of their weights, and
//! preprocessing becomes a gain and an offset per plane, applied before any zero padding. What no
//! tap depends on is left out. Merging of sibling convolutions, concat as offsets, and lifetimes
//! are decided in `orthoscope_kernels::lower`.

mod translate;

use super::executor::TapRequest;
use super::fold::fold_batch_norm;
use super::graph::{Graph, NodeId};
use super::input::{ChannelOrder, InputSpec};
use crate::error::{Error, Result};
use orthoscope_kernels::spec::{Net, Prepare, Shape, SpecError};
use orthoscope_kernels::{Tap, spec};

/// A network as the engine wants it, and its taps there.
#[derive(Debug, Clone)]
pub struct Plan {
    pub net: Net,
    /// One for each request.
    pub taps: Vec<Tap>,
}

impl Plan {
    /// Plans a graph for its taps.
    ///
    /// # Errors
    /// [`Error::Invalid`] without taps, or for an operation that the engine cannot do.
    pub fn new(graph: &Graph, requests: &[TapRequest]) -> Result<Self> {
        if requests.is_empty() {
            return Err(Error::invalid(&graph.name, "at least one tap", "none", "name some with `taps`"));
        }
        let nodes: Vec<NodeId> = requests.iter().map(|r| r.node()).collect();
        let (folded, wanted) = fold_batch_norm(graph, &nodes)?;
        let mut net = Net::new(Shape { h: folded.input.height, w: folded.input.width, c: folded.input.n_channels() });
        net.prepare = prepare(&folded.input);
        let ids = translate::nodes(&folded, 0, &wanted, &mut net)?;
        let tap = |(request, &node): (&TapRequest, &NodeId)| match request {
            TapRequest::Activations(_) => Tap::Plain(ids[node]),
            TapRequest::Moments(_) => Tap::Moments(ids[node]),
        };
        Ok(Plan { taps: requests.iter().zip(&wanted).map(tap).collect(), net })
    }

    /// Plans what lies between a node, whose activations are the input, and nodes behind it. Nothing
    /// behind may read what comes before it.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn behind(graph: &Graph, from: NodeId, taps: &[NodeId]) -> Result<Self> {
        let nodes: Vec<NodeId> = taps.iter().copied().chain([from]).collect();
        let (folded, wanted) = fold_batch_norm(graph, &nodes)?;
        let (&from, taps) = wanted.split_last().expect("the node is the last");
        let shape = folded.node(from).shape;
        let mut net = Net::new(Shape { h: shape.height, w: shape.width, c: shape.channels });
        let ids = translate::nodes(&folded, from, taps, &mut net)?;
        Ok(Plan { taps: taps.iter().map(|&node| Tap::Plain(ids[node])).collect(), net })
    }
}

/// `x[c] = range / std[c] p[order(c)] - mean[c] / std[c]`; see [`InputSpec`].
fn prepare(input: &InputSpec) -> Vec<Prepare> {
    let plane = |c: usize| {
        let gain = input.range / input.std[c];
        let gains = match input.order {
            ChannelOrder::Rgb => (0..3).map(|k| if k == c { gain } else { 0.0 }).collect(),
            ChannelOrder::Bgr => (0..3).map(|k| if k == 2 - c { gain } else { 0.0 }).collect(),
            ChannelOrder::Grey => vec![gain / 3.0; 3],
        };
        Prepare { gains, offset: -input.mean[c] / input.std[c] }
    };
    (0..input.n_channels()).map(plane).collect()
}

/// The engine's complaint as ours.
pub(super) fn complaint(at: &str) -> impl Fn(SpecError) -> Error + '_ {
    move |e| Error::invalid(at, "a network that the CPU engine can run", e.to_string(), "use the burn executor for it")
}

/// Shape of a node there, which must be the graph's.
pub(super) fn same_shape(found: spec::Shape, expected: super::shape::Shape) -> bool {
    (found.h, found.w, found.c) == (expected.height, expected.width, expected.channels)
}
