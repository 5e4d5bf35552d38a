//! ONNX (operator sets 7 to 24), read at run time.
//!
//! A node's output tensor gives the tap its name, an initializer's name is the weight's name. Batch may be symbolic;
//! channels, rows and columns must be fixed.

mod arithmetic;
mod constant;
mod layers;
mod proto;
mod windows;

use super::assembly::Assembly;
use crate::error::{Error, Result};
use crate::network::graph::{Graph, NodeId};
use crate::network::op::Op;
use crate::network::shape::Shape;
use constant::Constant;
use prost::Message;
use proto::{AttributeProto, GraphProto, ModelProto, NodeProto};
use std::collections::HashMap;
use std::path::Path;

const AGAIN: &str = "the file is truncated or not ONNX: download or export it again";

/// Reads a network. Its [`crate::network::InputSpec`] has the file's size and no preprocessing yet.
///
/// # Errors
/// [`Error::Io`], [`Error::Corrupt`] for a truncated file, [`Error::UnsupportedOp`] naming node and operator.
pub fn read(path: &Path) -> Result<Graph> {
    let bytes = super::read_bytes(path)?;
    let model = ModelProto::decode(bytes.as_slice()).map_err(|e| {
        Error::corrupt(path, "an ONNX model", format!("{} bytes that do not decode ({e})", bytes.len()), AGAIN)
    })?;
    let graph = model.graph.filter(|g| !g.node.is_empty());
    let graph = graph.ok_or_else(|| Error::corrupt(path, "an ONNX model", "no graph", AGAIN))?;
    let opset = model.opset_import.iter().find(|o| matches!(o.domain.as_deref(), None | Some("" | "ai.onnx")));
    let opset =
        opset.and_then(|o| o.version).ok_or_else(|| Error::corrupt(path, "an operator set version", "none", AGAIN))?;
    if !(7..=24).contains(&opset) {
        return Err(Error::invalid(
            format!("{}", path.display()),
            "ONNX operator set 7 to 24",
            format!("{opset}"),
            "export again with opset_version=17",
        ));
    }
    let mut import = Import::new(path, &graph, opset)?;
    for node in &graph.node {
        import.node(node)?;
    }
    import.finish(&graph)
}

/// A tensor while the graph is read.
#[derive(Clone)]
enum Value {
    /// A node's output and its rank in the file: 4, or 2 once flattened.
    Node {
        id: NodeId,
        rank: usize,
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
    fn new(path: &Path, graph: &GraphProto, opset: i64) -> Result<Self> {
        let mut values = HashMap::new();
        for tensor in &graph.initializer {
            let constant = constant::read(tensor, path)?;
            values.insert(tensor.name.clone().unwrap_or_default(), Value::Constant(constant.into()));
        }
        let (name, shape) = input_of(path, graph, &values)?;
        let mut net = Assembly::new(path, shape)?;
        if name != "data" {
            net.alias(&name, "data");
        }
        values.insert(name, Value::Node { id: 0, rank: 4 });
        Ok(Self { net, values, calls: vec![], opset })
    }

    fn node(&mut self, proto: &NodeProto) -> Result<()> {
        let kind = proto.op_type.clone().unwrap_or_default();
        let output = proto.output.first().cloned().unwrap_or_default();
        let name = proto.name.clone().filter(|n| !n.is_empty()).unwrap_or_else(|| output.clone());
        let call = Call { proto, name, kind, output };
        if !matches!(proto.domain.as_deref(), None | Some("" | "ai.onnx")) {
            let op = format!("{}::{}", proto.domain.as_deref().unwrap_or_default(), call.kind);
            return Err(self.net.unsupported(&call.name, op, "only standard ONNX operators can be imported"));
        }
        let value = match call.kind.as_str() {
            "Conv" | "BatchNormalization" | "LRN" | "Gemm" | "MatMul" => self.layer(&call)?,
            "MaxPool" | "AveragePool" | "GlobalAveragePool" | "GlobalMaxPool" | "ReduceMean" | "Pad" => {
                self.window(&call)?
            }
            _ => self.plain(&call)?,
        };
        if matches!(value, Value::Node { .. }) {
            self.calls.push((call.name, call.output.clone()));
        }
        self.values.insert(call.output, value);
        Ok(())
    }

    /// Adds a node named after the call's output.
    fn push(&mut self, call: &Call<'_>, op: Op, inputs: &[NodeId], rank: usize) -> Result<Value> {
        let id = self.net.push(&call.output, op, inputs)?;
        Ok(Value::Node { id, rank })
    }

    /// The call's input number `i`, if it has one.
    fn value(&self, call: &Call<'_>, i: usize) -> Result<Option<Value>> {
        let Some(name) = call.proto.input.get(i).filter(|n| !n.is_empty()) else {
            return Ok(None);
        };
        match self.values.get(name) {
            Some(value) => Ok(Some(value.clone())),
            None => {
                Err(self.net.corrupt(format!("a tensor `{name}` before node `{}`", call.name), "none of that name"))
            }
        }
    }

    /// An input that the network computes: node and rank.
    fn tensor(&self, call: &Call<'_>, i: usize) -> Result<(NodeId, usize)> {
        match self.value(call, i)? {
            Some(Value::Node { id, rank }) => Ok((id, rank)),
            Some(Value::Constant(_)) => Err(self.refuse(call, "of a constant")),
            None => Err(self.net.corrupt(format!("input {i} of node `{}`", call.name), "none")),
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

    fn finish(mut self, graph: &GraphProto) -> Result<Graph> {
        for output in &graph.output {
            let name = output.name.as_deref().unwrap_or_default();
            if !matches!(self.values.get(name), Some(Value::Node { .. })) {
                return Err(self.net.corrupt(format!("the output `{name}`"), "no node that computes it"));
            }
        }
        for (name, output) in &self.calls {
            if !self.values.contains_key(name) {
                self.net.alias(name, output);
            }
        }
        self.net.finish()
    }
}

/// One node of the file.
struct Call<'a> {
    proto: &'a NodeProto,
    name: String,
    kind: String,
    output: String,
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

/// The one input that is not an initializer: its name and shape.
fn input_of(path: &Path, graph: &GraphProto, known: &HashMap<String, Value>) -> Result<(String, Shape)> {
    let at = || format!("{}: input", path.display());
    let free: Vec<_> =
        graph.input.iter().filter(|i| !known.contains_key(i.name.as_deref().unwrap_or_default())).collect();
    let [input] = free[..] else {
        return Err(Error::invalid(
            at(),
            "one input, the images",
            format!("{} inputs", free.len()),
            "export the image branch alone",
        ));
    };
    let shape = input.r#type.as_ref().and_then(|t| t.tensor_type.as_ref()).and_then(|t| t.shape.as_ref());
    let dims: Vec<Option<i64>> = shape.map_or_else(Vec::new, |s| s.dim.iter().map(|d| d.value).collect());
    let size = |d: Option<i64>| d.and_then(|v| usize::try_from(v).ok()).filter(|v| (1..1 << 16).contains(v));
    let shape = match dims[..] {
        [_, c, h, w] => size(c).zip(size(h)).zip(size(w)).map(|((c, h), w)| Shape::new(c, h, w)),
        _ => None,
    };
    let shape = shape.ok_or_else(|| {
        Error::invalid(
            at(),
            "batch x channels x height x width, all but the batch fixed",
            format!("{dims:?}"),
            "export with a fixed image size",
        )
    })?;
    Ok((input.name.clone().unwrap_or_default(), shape))
}
