//! ONNX (operator sets 7 to 24), read at run time.
//!
//! A node's output tensor gives the tap its name, an initializer's name is the weight's name. Batch
//! may be symbolic; channels, rows and columns must be fixed. Tensors may lie channels last in the
//! file where only activations, arithmetic, means and reshapes read them; `Transpose` changes
//! between the two, and taps are channels, rows, columns either way.

mod arithmetic;
mod constant;
mod input;
mod layers;
mod proto;
mod reshape;
mod windows;

use super::assembly::Assembly;
use super::{Imported, Pixels, protobuf};
use crate::error::{Error, Result};
use crate::network::graph::NodeId;
use crate::network::op::Op;
use crate::warning::Warning;
use constant::{Beside, Constant};
use proto::{AttributeProto, GraphProto, ModelProto, NodeProto};
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;

const AGAIN: &str = "the file is truncated or not ONNX: download or export it again";

/// Reads a network. Its [`crate::network::InputSpec`] has the file's size and no preprocessing yet.
///
/// # Errors
/// [`Error::Io`], [`Error::Corrupt`] for a truncated file, [`Error::UnsupportedOp`] naming node and
/// operator, [`Error::Invalid`] for tensors that are not there or share a name.
pub fn read(path: &Path) -> Result<Imported> {
    let bytes = super::read_bytes(path)?;
    let model: ModelProto =
        protobuf::decode(&bytes, &proto::MODEL).map_err(|found| Error::corrupt(path, "an ONNX model", found, AGAIN))?;
    let graph = model.graph.filter(|g| !g.node.is_empty());
    let graph = graph.ok_or_else(|| Error::corrupt(path, "an ONNX model", "no graph", AGAIN))?;
    let opset = model.opset_import.iter().find(|o| matches!(o.domain.as_deref(), None | Some("" | "ai.onnx")));
    let opset = opset.and_then(|o| o.version).ok_or_else(|| {
        let found = format!("{} operator sets, none of `ai.onnx`", model.opset_import.len());
        Error::invalid(
            path.display().to_string(),
            "an operator set version",
            found,
            "export again with opset_version=17",
        )
    })?;
    if !(7..=24).contains(&opset) {
        return Err(Error::invalid(
            format!("{}", path.display()),
            "ONNX operator set 7 to 24",
            format!("{opset}"),
            "export again with opset_version=17",
        ));
    }
    let mut import = Import::new(path, &graph, opset, bytes.len())?;
    for node in &graph.node {
        import.node(node)?;
    }
    import.finish(&graph)
}

/// A tensor while the graph is read.
#[derive(Clone)]
enum Value {
    /// A node's output, its rank in the file (4, or 2 once flattened), and whether channels are the
    /// last axis there.
    Node {
        id: NodeId,
        rank: usize,
        last: bool,
    },
    Constant(std::rc::Rc<Constant>),
}

struct Import {
    net: Assembly,
    values: HashMap<String, Value>,
    /// Names of nodes and what they compute.
    calls: Vec<(String, String)>,
    opset: i64,
}

impl Import {
    fn new(path: &Path, graph: &GraphProto, opset: i64, bytes: usize) -> Result<Self> {
        let mut values = HashMap::new();
        let mut beside = Beside::new(path);
        for tensor in &graph.initializer {
            let constant = constant::read(tensor, &mut beside)?;
            let name = tensor.name.clone().unwrap_or_default();
            if values.insert(name.clone(), Value::Constant(constant.into())).is_some() {
                return Err(namesakes(path, "initializer", &name));
            }
        }
        let input = input::of(path, graph, &values)?;
        let mut net = Assembly::new(path, input.shape, bytes.saturating_add(beside.bytes()))?;
        if input.name != "data" {
            net.alias(&input.name, "data");
        }
        values.insert(input.name, Value::Node { id: 0, rank: 4, last: input.last });
        Ok(Self { net, values, calls: vec![], opset })
    }

    fn node(&mut self, proto: &NodeProto) -> Result<()> {
        let kind = proto.op_type.clone().unwrap_or_default();
        let output = proto.output.first().cloned().unwrap_or_default();
        let name = proto.name.clone().filter(|n| !n.is_empty()).unwrap_or_else(|| output.clone());
        let call = Call { proto, name, kind, output, read: RefCell::default() };
        if self.values.contains_key(&call.output) {
            return Err(namesakes(self.net.file(), "tensor", &call.output));
        }
        if !matches!(proto.domain.as_deref(), None | Some("" | "ai.onnx")) {
            let op = format!("{}::{}", proto.domain.as_deref().unwrap_or_default(), call.kind);
            return Err(self.net.unsupported(&call.name, op, "only standard ONNX operators can be imported"));
        }
        let value = match call.kind.as_str() {
            "Conv" | "BatchNormalization" | "LRN" | "Gemm" | "MatMul" => self.layer(&call)?,
            "MaxPool" | "AveragePool" | "GlobalAveragePool" | "GlobalMaxPool" | "ReduceMean" | "Pad" => {
                self.window(&call)?
            }
            "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" | "Transpose" => self.reshape(&call)?,
            _ => self.plain(&call)?,
        };
        self.all_read(&call)?;
        if matches!(value, Value::Node { .. }) {
            self.calls.push((call.name, call.output.clone()));
        }
        self.values.insert(call.output, value);
        Ok(())
    }

    /// Refuses a node with an input that was not looked at: it may be weights. Dropout's ratio and
    /// mode mean nothing here.
    fn all_read(&self, call: &Call<'_>) -> Result<()> {
        let read = call.read.borrow();
        let left = call.proto.input.iter().enumerate().find(|(i, name)| !name.is_empty() && !read.contains(i));
        match left {
            Some((i, name)) if call.kind != "Dropout" => {
                Err(self.refuse(call, &format!("with an input {i}, `{name}`, that is not understood")))
            }
            _ => Ok(()),
        }
    }

    /// Adds a node named after the call's output, channels first.
    fn push(&mut self, call: &Call<'_>, op: Op, inputs: &[NodeId], rank: usize) -> Result<Value> {
        self.push_as(call, op, inputs, Laid { rank, last: false })
    }

    /// Adds a node named after the call's output.
    fn push_as(&mut self, call: &Call<'_>, op: Op, inputs: &[NodeId], laid: Laid) -> Result<Value> {
        let id = self.net.push(&call.output, op, inputs)?;
        Ok(Value::Node { id, rank: laid.rank, last: laid.last })
    }

    /// The call's input number `i`, if it has one.
    fn value(&self, call: &Call<'_>, i: usize) -> Result<Option<Value>> {
        let Some(name) = call.proto.input.get(i).filter(|n| !n.is_empty()) else {
            return Ok(None);
        };
        call.read.borrow_mut().insert(i);
        match self.values.get(name) {
            Some(value) => Ok(Some(value.clone())),
            None => {
                let there: Vec<&String> = self.values.keys().collect();
                let hint = "a later node, a subgraph or another output of a node makes it: simplify the graph (onnxsim) and try again";
                Err(self.net.missing(&format!("input of node `{}`", call.name), name, &there, "no tensor", hint))
            }
        }
    }

    /// An input that the network computes: node and rank, channels first.
    fn tensor(&self, call: &Call<'_>, i: usize) -> Result<(NodeId, usize)> {
        let (id, laid) = self.any_tensor(call, i)?;
        if laid.last {
            let op = format!("{} of a tensor laid out as batch x height x width x channels", call.kind);
            let hint =
                "put a Transpose (0, 3, 1, 2) before it, or export with channels first (tf2onnx --inputs-as-nchw)";
            return Err(self.net.unsupported(&call.name, op, hint));
        }
        Ok((id, laid.rank))
    }

    /// An input that the network computes, in whichever layout.
    fn any_tensor(&self, call: &Call<'_>, i: usize) -> Result<(NodeId, Laid)> {
        match self.value(call, i)? {
            Some(Value::Node { id, rank, last }) => Ok((id, Laid { rank, last })),
            Some(Value::Constant(_)) => Err(self.refuse(call, "of a constant")),
            None => Err(self.refuse(call, &format!("without its input {i}"))),
        }
    }

    /// An input whose values the file holds.
    fn constant(&self, call: &Call<'_>, i: usize) -> Result<Option<std::rc::Rc<Constant>>> {
        match self.value(call, i)? {
            Some(Value::Constant(c)) => Ok(Some(c)),
            Some(Value::Node { .. }) => Err(self.refuse(call, &format!("with a computed input {i}"))),
            None => Ok(None),
        }
    }

    /// Integers from attribute `name` or, in later operator sets, from input `i`.
    fn ints(&self, call: &Call<'_>, name: &str, i: usize) -> Result<Option<Vec<i64>>> {
        if let Some(a) = call.attribute(name) {
            return Ok(Some(a.ints.clone()));
        }
        match self.constant(call, i)?.as_deref() {
            None => Ok(None),
            Some(Constant::Ints { values, .. }) => Ok(Some(values.clone())),
            Some(Constant::Floats(_)) => Err(self.refuse(call, &format!("with fractional {name}"))),
        }
    }

    fn refuse(&self, call: &Call<'_>, how: &str) -> Error {
        self.net.unsupported(&call.name, format!("{} {how}", call.kind), "rewrite that layer before exporting")
    }

    fn finish(mut self, graph: &GraphProto) -> Result<Imported> {
        for output in &graph.output {
            let name = output.name.as_deref().unwrap_or_default();
            if !matches!(self.values.get(name), Some(Value::Node { .. })) {
                let there: Vec<&String> = self.calls.iter().map(|(_, output)| output).collect();
                let hint = "the graph's output is a constant or is made by nothing: export the network again";
                return Err(self.net.missing("output of the graph", name, &there, "no node", hint));
            }
        }
        let mut seen = HashSet::new();
        let shared: HashSet<&str> = self.calls.iter().map(|(n, _)| n.as_str()).filter(|n| !seen.insert(*n)).collect();
        for (name, output) in &self.calls {
            if !self.values.contains_key(name) && !shared.contains(name.as_str()) {
                self.net.alias(name, output);
            }
        }
        let warnings = unread(self.net.file(), graph).into_iter().collect();
        let imported = self.net.finish()?;
        let kind = input::whole_numbers(graph, &imported);
        let pixels = kind.map(|kind| Pixels::integers(&imported, &kind));
        let pixels = pixels.or_else(|| Pixels::of_first_layers(&imported));
        Ok(Imported { graph: imported, pixels, warnings })
    }
}

/// How a tensor lies in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Laid {
    rank: usize,
    last: bool,
}

impl Laid {
    /// The axis of the channels.
    fn axis(self) -> usize {
        if self.last { self.rank - 1 } else { 1 }
    }
}

/// Two things of one name, of which only one can be meant.
fn namesakes(file: &Path, what: &str, name: &str) -> Error {
    Error::invalid(
        format!("{}: {what} `{name}`", file.display()),
        format!("one {what} of that name"),
        "two",
        "names must be unique in ONNX: export the network again",
    )
}

/// Floating-point initializers that no node of the file reads: nothing is computed from them, but
/// somebody put them there.
fn unread(file: &Path, graph: &GraphProto) -> Option<Warning> {
    let read: HashSet<&str> = graph.node.iter().flat_map(|n| &n.input).map(String::as_str).collect();
    let outputs: HashSet<&str> = graph.output.iter().filter_map(|o| o.name.as_deref()).collect();
    let floats = graph.initializer.iter().filter(|t| matches!(t.data_type, Some(1 | 10 | 11 | 16)));
    let left: Vec<&str> =
        floats.filter_map(|t| t.name.as_deref()).filter(|n| !read.contains(n) && !outputs.contains(n)).collect();
    let first = left.first()?;
    Some(Warning::OddWeights {
        model: file.display().to_string(),
        what: format!("no node reads {} of its initializers, such as `{first}`", left.len()),
        taken: "they were left out".into(),
    })
}

/// One node of the file.
struct Call<'a> {
    proto: &'a NodeProto,
    name: String,
    kind: String,
    output: String,
    /// Which of its inputs were looked at.
    read: RefCell<BTreeSet<usize>>,
}

impl Call<'_> {
    fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.proto.attribute.iter().find(|a| a.name.as_deref() == Some(name))
    }

    fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).and_then(|a| a.i).unwrap_or(default)
    }

    fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).and_then(|a| a.f).unwrap_or(default)
    }

    fn text(&self, name: &str) -> Option<String> {
        self.attribute(name).and_then(|a| a.s.as_ref()).map(|s| String::from_utf8_lossy(s).into_owned())
    }
}
