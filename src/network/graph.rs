//! The typed graph: operations in execution order, each with one output tensor that can be tapped
//! by name.

use super::bounds::{self, Load};
use super::input::InputSpec;
use super::op::Op;
use super::shape::{Shape, infer};
use crate::error::{Error, Result};
use ndarray::ArrayD;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// Index of a node in execution order; 0 is the input.
pub type NodeId = usize;

/// Named weight arrays, row-major, 32 bits.
pub type Weights = BTreeMap<String, ArrayD<f32>>;

/// One operation with its inputs; its output is the tensor called `name`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    pub name: String,
    pub op: Op,
    pub inputs: Vec<NodeId>,
    /// Shape of one image's output.
    pub shape: Shape,
}

/// A frozen image-computable network. Immutable once built: every shape has been checked.
#[derive(Debug, Clone)]
pub struct Graph {
    pub name: String,
    pub input: InputSpec,
    nodes: Vec<Node>,
    /// Where each name's node is.
    places: HashMap<String, NodeId>,
    load: Load,
    weights: Weights,
    /// Other names for nodes: alias -> name.
    pub aliases: BTreeMap<String, String>,
    /// Named lists of taps, such as `inception12`.
    pub presets: BTreeMap<String, Vec<String>>,
}

impl Graph {
    /// All nodes in execution order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id]
    }

    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The weight of that name. The graph was checked when built, so names in its operations are
    /// always there.
    pub fn weight(&self, name: &str) -> &ArrayD<f32> {
        &self.weights[name]
    }

    /// The node called `name` exactly (no aliases; see [`super::taps`]).
    pub fn find(&self, name: &str) -> Option<NodeId> {
        self.places.get(name).copied()
    }

    /// The last node: the network's output.
    pub fn output(&self) -> NodeId {
        self.nodes.len() - 1
    }

    /// Number of trained parameters that the nodes use.
    pub fn n_parameters(&self) -> usize {
        let mut used: Vec<&str> = self.nodes.iter().flat_map(|n| n.op.weights()).collect();
        used.sort_unstable();
        used.dedup();
        used.iter().map(|name| self.weights[*name].len()).sum()
    }

    /// Multiply-accumulates of one image through the nodes `0..=deepest`, counting convolutions and
    /// linear layers.
    pub fn n_macs(&self, deepest: NodeId) -> u64 {
        self.nodes[..=deepest]
            .iter()
            .map(|n| match &n.op {
                Op::Conv2d { weight, .. } | Op::Linear { weight, .. } => {
                    let per_pixel = self.weights[weight].len() as u64;
                    per_pixel * (n.shape.height * n.shape.width) as u64
                }
                _ => 0,
            })
            .sum()
    }

    /// The nodes that `targets` depend on, as a mask over all nodes.
    pub fn needed(&self, targets: &[NodeId]) -> Vec<bool> {
        let mut needed = vec![false; self.nodes.len()];
        for &t in targets {
            needed[t] = true;
        }
        for id in (0..self.nodes.len()).rev() {
            if needed[id] {
                for &input in &self.nodes[id].inputs {
                    needed[input] = true;
                }
            }
        }
        needed
    }

    /// What some nodes depend on: nodes in their order under their names, the weights that they read, and
    /// the aliases and presets that still lead somewhere.
    ///
    /// # Errors
    /// Never for nodes of this graph.
    pub fn up_to(&self, taps: &[NodeId]) -> Result<Self> {
        let needed = self.needed(taps);
        let kept: Vec<NodeId> = (1..self.nodes.len()).filter(|&id| needed[id]).collect();
        let read = kept.iter().flat_map(|&id| self.nodes[id].op.weights());
        let weights = read.map(|name| (name.to_owned(), self.weights[name].clone())).collect();
        let mut builder = GraphBuilder::new(&self.name, self.input.clone(), weights)?;
        let mut moved = vec![0; self.nodes.len()];
        for &id in &kept {
            let node = &self.nodes[id];
            let inputs: Vec<NodeId> = node.inputs.iter().map(|&i| moved[i]).collect();
            moved[id] = builder.push(node.name.clone(), node.op.clone(), &inputs)?;
        }
        if kept.is_empty() {
            // A graph has an operation, also where only its pixels are wanted.
            builder.push("pixels", Op::Identity, &[0])?;
        }
        let leads = |name: &str| self.lookup(name).is_some_and(|id| id == 0 || needed[id]);
        builder.graph.aliases =
            self.aliases.iter().filter(|(alias, _)| leads(alias)).map(|(a, n)| (a.clone(), n.clone())).collect();
        for (preset, listed) in &self.presets {
            let left: Vec<String> = listed.iter().filter(|name| leads(name)).cloned().collect();
            if !left.is_empty() {
                builder.preset(preset, left);
            }
        }
        builder.finish()
    }

    /// The same graph with the mean over pixels of each node appended, and the ids of the new
    /// nodes.
    ///
    /// New nodes are called `<name>.gap`: patterns of channel means are then ordinary taps.
    ///
    /// # Errors
    /// Never for nodes of this graph.
    pub fn with_gap(&self, taps: &[NodeId]) -> Result<(Self, Vec<NodeId>)> {
        let mut builder = GraphBuilder::from_graph(self.clone());
        let ids = taps
            .iter()
            .map(|&t| {
                let name = format!("{}.gap", self.nodes[t].name);
                match builder.graph.find(&name) {
                    Some(id) => Ok(id),
                    None => builder.push(name, Op::GlobalAvgPool, &[t]),
                }
            })
            .collect::<Result<Vec<_>>>()?;
        Ok((builder.finish()?, ids))
    }

    /// The same nodes, aliases and presets over other weights.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the first node whose weights are missing or do not fit.
    pub fn with_weights(&self, weights: Weights) -> Result<Self> {
        let mut builder = GraphBuilder::new(&self.name, self.input.clone(), weights)?;
        for node in &self.nodes[1..] {
            builder.push(node.name.clone(), node.op.clone(), &node.inputs)?;
        }
        builder.graph.aliases = self.aliases.clone();
        builder.graph.presets = self.presets.clone();
        builder.finish()
    }

    /// The same network at another input size; fails where a layer depends on the size.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the first node that does not fit.
    pub fn resized(&self, height: usize, width: usize) -> Result<Self> {
        let input = InputSpec { height, width, ..self.input.clone() };
        let mut builder = GraphBuilder::new(&self.name, input, self.weights.clone())?;
        for node in &self.nodes[1..] {
            builder.push(node.name.clone(), node.op.clone(), &node.inputs)?;
        }
        builder.graph.aliases = self.aliases.clone();
        builder.graph.presets = self.presets.clone();
        builder.finish()
    }
}

/// Builds a [`Graph`] node by node, checking names and shapes on the way.
///
/// ```
/// use ndarray::ArrayD;
/// use orthoscope::network::{GraphBuilder, InputSpec, Op};
///
/// let input = InputSpec::preset("unit", 8, 8)?; // RGB in 0..1, 8 x 8 pixels
/// let mut net = GraphBuilder::new("edges", input, Default::default())?;
/// let weight = ArrayD::from_shape_fn(vec![4, 3, 3, 3], |i| i[0] as f32 - i[3] as f32);
/// net.add_weight("conv.weight", weight);
/// let conv = Op::Conv2d {
///     weight: "conv.weight".into(),
///     bias: None,
///     stride: [2, 2],
///     padding: [1; 4],
///     dilation: [1, 1],
///     groups: 1,
/// };
/// let before = net.push("conv.pre_relu", conv, &[0])?; // node 0 is the image
/// net.push("conv", Op::Relu, &[before])?;
/// let graph = net.finish()?;
///
/// let shape = graph.node(graph.tap("conv")?).shape;
/// assert_eq!((shape.channels, shape.height, shape.width), (4, 4, 4));
/// assert_eq!(graph.n_parameters(), 4 * 3 * 3 * 3);
/// // Shapes are checked here, not when images run through: this layer reads 4 channels, not 3.
/// let mut wrong = GraphBuilder::from_graph(graph);
/// let op = Op::Conv2d {
///     weight: "conv.weight".into(),
///     bias: None,
///     stride: [1, 1],
///     padding: [0; 4],
///     dilation: [1, 1],
///     groups: 1,
/// };
/// assert!(wrong.push("next", op, &[2]).is_err());
/// # Ok::<(), orthoscope::Error>(())
/// ```
#[derive(Debug)]
pub struct GraphBuilder {
    graph: Graph,
}

impl GraphBuilder {
    /// Starts with the input node, called `data`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an unusable [`InputSpec`].
    pub fn new(name: &str, input: InputSpec, weights: Weights) -> Result<Self> {
        input.check(name)?;
        let shape = Shape::new(input.n_channels(), input.height, input.width);
        let data = Node { name: "data".into(), op: Op::Input, inputs: vec![], shape };
        let load = Load { weights: weights.values().map(|w| w.len() as u64).sum(), ..Load::default() };
        let graph = Graph {
            name: name.into(),
            input,
            places: HashMap::from([(data.name.clone(), 0)]),
            nodes: vec![data],
            load,
            weights,
            aliases: BTreeMap::new(),
            presets: BTreeMap::new(),
        };
        Ok(Self { graph })
    }

    /// Goes on from a finished graph.
    pub fn from_graph(graph: Graph) -> Self {
        Self { graph }
    }

    /// Adds weights that later nodes may use; a name that exists is replaced.
    pub fn add_weight(&mut self, name: impl Into<String>, array: ArrayD<f32>) {
        self.graph.load.weights += array.len() as u64;
        if let Some(old) = self.graph.weights.insert(name.into(), array) {
            self.graph.load.weights -= old.len() as u64;
        }
    }

    /// Appends a node whose inputs exist already.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name used twice, an unknown input, shapes that do not fit, or a node
    /// that is larger than [`bounds`] allow.
    pub fn push(&mut self, name: impl Into<String>, op: Op, inputs: &[NodeId]) -> Result<NodeId> {
        let name = name.into();
        check_name(&name)?;
        let at = format!("node `{name}`");
        if self.graph.nodes.len() >= bounds::NODES {
            return Err(bounds::too_large(at, format!("at most {} nodes", bounds::NODES), "more".into()));
        }
        if self.graph.find(&name).is_some() {
            return Err(Error::invalid(at, "a name of its own", "one that another node has", "rename the node"));
        }
        if let Some(bad) = inputs.iter().find(|&&i| i >= self.graph.nodes.len()) {
            return Err(Error::invalid(at, "inputs that come before it", format!("node {bad}"), "order the nodes"));
        }
        let shapes: Vec<Shape> = inputs.iter().map(|&i| self.graph.nodes[i].shape).collect();
        let shape = infer(&name, &op, &shapes, &self.graph.weights)?;
        self.graph.load.add(&name, &op, &shapes, shape, &self.graph.weights)?;
        let id = self.graph.nodes.len();
        self.graph.places.insert(name.clone(), id);
        self.graph.nodes.push(Node { name, op, inputs: inputs.to_vec(), shape });
        Ok(id)
    }

    /// The shape of a node added before.
    pub fn shape(&self, id: NodeId) -> Shape {
        self.graph.nodes[id].shape
    }

    /// The node added before that is called `name`.
    pub fn find(&self, name: &str) -> Option<NodeId> {
        self.graph.find(name)
    }

    /// The node added before that does just this to just that input.
    pub fn find_op(&self, op: &Op, input: NodeId) -> Option<NodeId> {
        self.graph.nodes.iter().position(|node| node.op == *op && node.inputs == [input])
    }

    /// The weights added so far.
    pub fn weights(&self) -> &Weights {
        &self.graph.weights
    }

    /// Gives a node another name that taps may use.
    pub fn alias(&mut self, alias: impl Into<String>, name: impl Into<String>) {
        self.graph.aliases.insert(alias.into(), name.into());
    }

    /// Names a list of taps.
    pub fn preset(&mut self, preset: impl Into<String>, taps: Vec<String>) {
        self.graph.presets.insert(preset.into(), taps);
    }

    /// # Errors
    /// [`Error::Invalid`] for a graph without operations, an alias of nothing or of itself, or a
    /// graph that is larger than [`bounds`] allow.
    pub fn finish(self) -> Result<Graph> {
        let graph = self.graph;
        if graph.nodes.len() < 2 {
            return Err(Error::invalid(&graph.name, "at least one operation", "none", "is the file complete?"));
        }
        graph.load.check(&graph.name)?;
        graph.aliases.keys().chain(graph.presets.keys()).try_for_each(|name| check_name(name))?;
        let listed = graph.presets.values().flatten().map(String::as_str);
        for target in graph.aliases.values().map(String::as_str).chain(listed) {
            if graph.lookup(target).is_none() {
                return Err(Error::invalid(
                    format!("{}: aliases and presets", graph.name),
                    "names of nodes",
                    format!("`{target}`"),
                    "correct the card",
                ));
            }
        }
        Ok(graph)
    }
}

/// Refuses names that no line of a table holds.
fn check_name(name: &str) -> Result<()> {
    if name.len() <= bounds::NAME && !name.contains(['\0', '\n', '\r']) {
        return Ok(());
    }
    let start: String = name.chars().take(40).collect();
    let expected = format!("names of one line and at most {} bytes", bounds::NAME);
    let found = format!("{} bytes that begin with {start:?}", name.len());
    Err(Error::invalid("names of nodes", expected, found, "rename the layer before saving the network"))
}
