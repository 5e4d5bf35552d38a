//! The end of a network, run from activations that were changed.
//!
//! What a change does to the output is asked again and again (a channel masked, one after the
//! other), while everything before it stays the same. A [`Tail`] is what depends on the change: its
//! [`Tail::frontier`] is computed once, by any executor, and [`Tail::run`] goes on from there.
//!
//! Up to the first node that everything passes through (the neck: a concatenation behind an
//! inception block, often the changed tensor itself) the operations are burn's; from there on the
//! engine for frozen networks runs, where this build uses it.

use super::burn_ops::{BurnWeights, apply};
use super::graph::{Graph, NodeId};
use super::plan::{Plan, complaint};
use crate::error::{Error, Result};
use crate::tensor::{self, Backend, Device, Tensor};
use burn_tensor::DType;
use orthoscope_kernels::{Engine, Session, isa};
use std::collections::BTreeMap;

/// A tensor that is changed for some of those who read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub node: NodeId,
    /// The nodes that see it changed; others read it as it is.
    pub readers: Vec<NodeId>,
    /// Whether it is changed as a tap, too.
    pub tapped: bool,
}

/// What lies behind some changes.
///
/// ```
/// use ndarray::Array4;
/// use orthoscope::network::zoo::{LoadOptions, load_model};
/// use orthoscope::network::{Change, CpuEngine, Executor, Tail, TapRequest, TapValue};
/// use orthoscope::tensor::{Device, tensor};
///
/// let graph = load_model("mini-inception", &LoadOptions::default())?.graph;
/// let node = graph.tap("inception_5a/output")?;
/// let readers = (0..graph.nodes().len()).filter(|&r| graph.node(r).inputs.contains(&node)).collect();
/// let change = Change { node, readers, tapped: false };
/// let mut tail = Tail::new(&graph, &[change], &[graph.scores()], &Device::default())?;
/// assert_eq!(tail.frontier(), [node]);
///
/// let images = Array4::from_elem((1, 3, 96, 96), 0.5f32);
/// let mut engine = CpuEngine::new(&graph, &[TapRequest::Activations(node)])?;
/// let TapValue::Activations(known) =
///     engine.infer(&tensor(images.view(), &Device::default()))?.remove(0)
/// else {
///     panic!("activations were asked for");
/// };
/// // The scores, had the layer been half as active.
/// let halved = tail.run(&[known], &|_, activations| activations * 0.5)?;
/// assert_eq!(halved[0].dims()[1], graph.node(graph.scores()).shape.channels);
/// # Ok::<(), orthoscope::Error>(())
/// ```
pub struct Tail {
    graph: Graph,
    changes: Vec<Change>,
    taps: Vec<NodeId>,
    frontier: Vec<NodeId>,
    /// Nodes that burn computes, in order.
    near: Vec<NodeId>,
    neck: NodeId,
    /// One of the nodes behind the neck that read it; all see the same.
    reader: Option<NodeId>,
    /// From the neck to the taps behind it.
    far: Option<Far>,
    weights: BurnWeights<Backend>,
}

struct Far {
    plan: Plan,
    engine: Engine<f32>,
    session: Option<Session<f32>>,
}

impl Tail {
    /// Prepares the part of a graph that leads from changed tensors to taps.
    ///
    /// # Errors
    /// [`Error::Invalid`] without changes or taps.
    pub fn new(graph: &Graph, changes: &[Change], taps: &[NodeId], device: &Device) -> Result<Self> {
        if changes.is_empty() || taps.is_empty() {
            let found = format!("{} changes and {} taps", changes.len(), taps.len());
            return Err(Error::invalid(&graph.name, "tensors to change, and taps", found, ""));
        }
        let part = Part::of(graph, changes, taps);
        let fast = !cfg!(any(feature = "cuda", feature = "wgpu"));
        let (neck, far) = match part.neck().filter(|_| fast) {
            Some(neck) => (neck, Far::new(graph, neck, taps)?),
            None => (graph.output(), None),
        };
        let near = part.between(neck);
        let used = near.iter().flat_map(|&id| graph.node(id).op.weights());
        let weights = used.map(|name| (name.to_owned(), graph.weight(name).clone())).collect();
        Ok(Self {
            frontier: part.frontier(&near),
            weights: BurnWeights::of(&weights, device, DType::F32),
            graph: graph.clone(),
            changes: changes.to_vec(),
            taps: taps.to_vec(),
            near,
            neck,
            reader: part.readers(neck, neck).next(),
            far,
        })
    }

    /// The nodes whose activations [`run`](Self::run) begins with, unchanged.
    pub fn frontier(&self) -> &[NodeId] {
        &self.frontier
    }

    /// The taps, each N x C x H x W, for activations of the frontier (N x C x H x W each, in its
    /// order); `change` makes the changed tensor of a tensor, and is told which of the changes it
    /// is.
    ///
    /// # Errors
    /// [`Error::Invalid`] for activations that are not the frontier's.
    pub fn run(
        &mut self,
        known: &[Tensor<4>],
        change: &dyn Fn(usize, Tensor<4>) -> Tensor<4>,
    ) -> Result<Vec<Tensor<4>>> {
        self.check(known)?;
        let mut values: BTreeMap<NodeId, Tensor<4>> =
            self.frontier.iter().copied().zip(known.iter().cloned()).collect();
        let mut changed: BTreeMap<NodeId, Tensor<4>> = BTreeMap::new();
        let changes = &self.changes;
        let seen = |values: &BTreeMap<_, Tensor<4>>, changed: &mut BTreeMap<_, _>, node: NodeId, by: Option<NodeId>| {
            let sees = |c: &Change| c.node == node && by.map_or(c.tapped, |r| c.readers.contains(&r));
            match changes.iter().position(sees) {
                Some(at) => changed.entry(node).or_insert_with(|| change(at, values[&node].clone())).clone(),
                None => values[&node].clone(),
            }
        };
        for &id in &self.near {
            let node = self.graph.node(id);
            let inputs: Vec<_> = node.inputs.iter().map(|&i| seen(&values, &mut changed, i, Some(id))).collect();
            values.insert(id, apply(&node.op, &inputs, &self.weights));
        }
        let mut behind = match &mut self.far {
            Some(far) => far.run(seen(&values, &mut changed, self.neck, self.reader))?,
            None => vec![],
        }
        .into_iter();
        let mut out = Vec::with_capacity(self.taps.len());
        for &tap in &self.taps {
            let value =
                if values.contains_key(&tap) { Some(seen(&values, &mut changed, tap, None)) } else { behind.next() };
            out.push(value.expect("taps are near, known, or far"));
        }
        Ok(out)
    }

    fn check(&self, known: &[Tensor<4>]) -> Result<()> {
        let n = known.first().map_or(0, |t| t.dims()[0]);
        let fits = |(&id, t): (&NodeId, &Tensor<4>)| {
            let shape = self.graph.node(id).shape;
            t.dims() == [n, shape.channels, shape.height, shape.width]
        };
        if n > 0 && known.len() == self.frontier.len() && self.frontier.iter().zip(known).all(fits) {
            return Ok(());
        }
        let names: Vec<&str> = self.frontier.iter().map(|&id| self.graph.node(id).name.as_str()).collect();
        let found: Vec<_> = known.iter().map(Tensor::dims).collect();
        let expected = format!("activations of `{}`", names.join("`, `"));
        Err(Error::invalid(format!("the end of {}", self.graph.name), expected, format!("{found:?}"), ""))
    }
}

impl Far {
    /// `None` where no tap lies behind the neck.
    fn new(graph: &Graph, neck: NodeId, taps: &[NodeId]) -> Result<Option<Self>> {
        let behind: Vec<NodeId> = taps.iter().copied().filter(|&t| t > neck).collect();
        if behind.is_empty() {
            return Ok(None);
        }
        let plan = Plan::behind(graph, neck, &behind)?;
        let isa = isa::chosen().map_err(complaint(isa::VARIABLE))?;
        let engine = Engine::new(&plan.net, &plan.taps, false, isa).map_err(complaint(&graph.name))?;
        Ok(Some(Self { plan, engine, session: None }))
    }

    fn run(&mut self, neck: Tensor<4>) -> Result<Vec<Tensor<4>>> {
        let (n, device) = (neck.dims()[0], neck.device());
        if self.session.as_ref().is_none_or(|s| s.n_images() != n) {
            self.session = None;
            self.session = Some(self.engine.session(n));
        }
        let session = self.session.as_mut().expect("made for these images");
        let wrong = complaint("the end of a network");
        session.forward(&self.engine, &tensor::into_vec_f32(neck)).map_err(&wrong)?;
        let mut out = Vec::with_capacity(self.plan.taps.len());
        for (k, tap) in self.plan.taps.iter().enumerate() {
            let shape = self.plan.net.nodes[tap.id()].shape;
            let mut values = vec![0.0; n * shape.len()];
            session.tap(&self.engine, k, &mut values).map_err(&wrong)?;
            out.push(tensor::tensor_from_vec(values, [n, shape.c, shape.h, shape.w], &device));
        }
        Ok(out)
    }
}

/// Which nodes depend on changes.
struct Part<'a> {
    graph: &'a Graph,
    changes: &'a [Change],
    taps: &'a [NodeId],
    needed: Vec<bool>,
    /// Computed from something that changed.
    depends: Vec<bool>,
}

impl<'a> Part<'a> {
    fn of(graph: &'a Graph, changes: &'a [Change], taps: &'a [NodeId]) -> Self {
        let needed = graph.needed(taps);
        let mut depends = vec![false; needed.len()];
        for (id, node) in graph.nodes().iter().enumerate() {
            let reads_change = changes.iter().any(|c| c.readers.contains(&id));
            depends[id] = needed[id] && (reads_change || node.inputs.iter().any(|&i| depends[i]));
        }
        Self { graph, changes, taps, needed, depends }
    }

    /// The first node from which all the rest can be computed.
    fn neck(&self) -> Option<NodeId> {
        let changed = |id: NodeId| self.changes.iter().any(|c| c.node == id);
        (0..self.depends.len()).find(|&id| self.needed[id] && (self.depends[id] || changed(id)) && self.is_neck(id))
    }

    /// The needed nodes behind `behind` that read a node.
    fn readers(&self, id: NodeId, behind: NodeId) -> impl Iterator<Item = NodeId> {
        (behind + 1..self.needed.len()).filter(move |&r| self.needed[r] && self.graph.node(r).inputs.contains(&id))
    }

    fn is_neck(&self, neck: NodeId) -> bool {
        let behind = self.graph.nodes().iter().zip(&self.needed).skip(neck + 1).filter(|(_, needed)| **needed);
        let before = behind.flat_map(|(node, _)| &node.inputs).any(|&i| i < neck);
        // What is changed behind the neck, or for some readers of it only, the engine cannot do.
        let apart = self.changes.iter().any(|c| match c.node {
            node if node < neck => false,
            node if node == neck => !c.readers.is_empty() && !self.readers(neck, neck).all(|r| c.readers.contains(&r)),
            _ => true,
        });
        // A tap behind it that no change reaches is known already.
        let known = self.taps.iter().any(|&t| t > neck && !self.depends[t]);
        !before && !apart && !known
    }

    /// What is computed up to the neck.
    fn between(&self, neck: NodeId) -> Vec<NodeId> {
        (0..=neck).filter(|&id| self.depends[id]).collect()
    }

    /// What the computed nodes and the taps need beside each other.
    fn frontier(&self, near: &[NodeId]) -> Vec<NodeId> {
        let read = near.iter().flat_map(|&id| self.graph.node(id).inputs.iter().copied());
        let changed = self.changes.iter().map(|c| c.node);
        let taps = self.taps.iter().copied();
        let mut known: Vec<NodeId> =
            read.chain(changed).chain(taps).filter(|&id| self.needed[id] && !self.depends[id]).collect();
        known.sort_unstable();
        known.dedup();
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::zoo::{LoadOptions, load_model};
    use crate::network::{BurnExecutor, Executor, TapRequest, TapValue};
    use crate::tensor::{Precision, tensor, vec_f32};
    use ndarray::Array4;

    fn images() -> Tensor<4> {
        let pixels =
            Array4::from_shape_fn((3, 3, 96, 96), |(n, c, y, x)| ((n + 2) * (c + 3 * y + x) % 13) as f32 / 12.0);
        tensor(pixels.view(), &Device::default())
    }

    fn known(graph: &Graph, nodes: &[NodeId]) -> Vec<Tensor<4>> {
        let taps: Vec<TapRequest> = nodes.iter().map(|&n| TapRequest::Activations(n)).collect();
        let mut run = BurnExecutor::new(graph, &taps, Precision::F32, &Device::default()).unwrap();
        let plain = |v| match v {
            TapValue::Activations(a) => a,
            TapValue::Moments(_) => unreachable!("activations were asked for"),
        };
        run.infer(&images()).unwrap().into_iter().map(plain).collect()
    }

    fn error(found: &Tensor<4>, expected: &Tensor<4>) -> f32 {
        let (a, b) = (vec_f32(found), vec_f32(expected));
        let scale = b.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        a.iter().zip(&b).fold(0.0f32, |m, (a, b)| m.max((a - b).abs())) / scale
    }

    /// Behind a tensor that nothing was done to, the network is what it was; the frontier is small.
    #[test]
    fn nothing_changed_is_the_network_itself() {
        let graph = load_model("mini-inception", &LoadOptions::default()).unwrap().graph;
        let node = |name: &str| graph.tap(name).unwrap();
        let readers = |id: NodeId| (0..graph.nodes().len()).filter(|&r| graph.node(r).inputs.contains(&id)).collect();
        let taps = [node("inception_4b/output"), node("loss3/classifier"), node("conv2/3x3")];
        for (name, frontier) in [
            // An only tensor that everything passes through, and the tap before it.
            ("inception_3a/output", vec!["conv2/3x3", "inception_3a/output"]),
            // Within a block: the other branches are known.
            (
                "inception_4a/3x3_reduce",
                vec![
                    "conv2/3x3",
                    "inception_4a/1x1",
                    "inception_4a/3x3_reduce",
                    "inception_4a/5x5",
                    "inception_4a/pool_proj",
                ],
            ),
        ] {
            let change = Change { node: node(name), readers: readers(node(name)), tapped: false };
            let mut tail = Tail::new(&graph, &[change], &taps, &Device::default()).unwrap();
            assert_eq!(tail.frontier(), frontier.into_iter().map(node).collect::<Vec<_>>(), "{name}");
            let begin = known(&graph, tail.frontier());
            let found = tail.run(&begin, &|_, t| t).unwrap();
            for (f, e) in found.iter().zip(known(&graph, &taps)) {
                // The same numbers in the order of two implementations.
                assert!(error(f, &e) < 1e-5, "{name}");
            }
            let twice = tail.run(&begin, &|_, t| t * 2.0).unwrap();
            assert!(error(&twice[1], &found[1]) > 1e-3);
            assert_eq!(error(&twice[2], &found[2]), 0.0, "what lies before does not change");
        }
    }

    #[test]
    fn a_tap_may_be_what_is_changed_and_others_read_it_unchanged() {
        let graph = load_model("mini-inception", &LoadOptions::default()).unwrap().graph;
        let (node, out) = (graph.tap("inception_3a/output").unwrap(), graph.tap("loss3/classifier").unwrap());
        let change = Change { node, readers: vec![], tapped: true };
        let mut tail = Tail::new(&graph, &[change], &[node, out], &Device::default()).unwrap();
        let begin = known(&graph, tail.frontier());
        let found = tail.run(&begin, &|_, t| t * 3.0).unwrap();
        let plain = known(&graph, &[node, out]);
        assert!(error(&found[0], &(plain[0].clone() * 3.0)) < 1e-6 && error(&found[1], &plain[1]) < 1e-6);
        let wrong = tail.run(&begin[..1], &|_, t| t).unwrap_err();
        assert_eq!(wrong.exit_code(), 2);
        assert!(Tail::new(&graph, &[], &[out], &Device::default()).is_err());
    }
}
