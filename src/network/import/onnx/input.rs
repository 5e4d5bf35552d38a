//! The images that an ONNX graph takes: name, size, order of the axes, type of the numbers.

use super::Value;
use super::constant::kind_name;
use super::proto::{GraphProto, ValueInfo};
use crate::error::{Error, Result};
use crate::network::graph::Graph;
use crate::network::shape::Shape;
use std::collections::HashMap;
use std::path::Path;

/// The input of a graph.
pub(super) struct Input {
    pub name: String,
    pub shape: Shape,
    /// Channels are the last axis in the file.
    pub last: bool,
}

/// The one input that is not an initializer.
///
/// # Errors
/// [`Error::Invalid`] for several inputs, for one that is no image of a fixed size, for numbers
/// that are no pixels.
pub(super) fn of(path: &Path, graph: &GraphProto, known: &HashMap<String, Value>) -> Result<Input> {
    let at = || format!("{}: input", path.display());
    let input = match free(graph, |name| known.contains_key(name))[..] {
        [only] => only,
        ref several => {
            return Err(Error::invalid(
                at(),
                "one input, the images",
                format!("{} inputs", several.len()),
                "export the image branch alone",
            ));
        }
    };
    let name = input.name.clone().unwrap_or_default();
    if let Some(kind) = kind_of(input).filter(|kind| !matches!(kind, 0 | 1 | 2 | 6 | 7 | 10 | 11 | 16)) {
        let expected = "pixels as floats or as whole numbers of 0..255 (uint8, int32, int64)";
        let hint = "export the network with an input of floats, not quantised";
        return Err(Error::invalid(at(), expected, kind_name(kind), hint));
    }
    let dims = dimensions(input);
    let size = |d: Option<i64>| d.and_then(|v| usize::try_from(v).ok()).filter(|v| (1..1 << 16).contains(v));
    let found = match dims[..] {
        [_, a, b, c] => size(a).zip(size(b)).zip(size(c)).map(|((a, b), c)| (a, b, c)),
        _ => None,
    };
    let Some((a, b, c)) = found else {
        return Err(Error::invalid(
            at(),
            "batch x channels x height x width (or batch x height x width x channels), all but the batch fixed",
            format!("{dims:?}"),
            "export with a fixed image size",
        ));
    };
    let planes = |n: usize| n == 1 || n == 3;
    let last = match (planes(a), planes(c)) {
        (false, true) => true,
        (true, true) => becomes_first(graph, &name),
        _ => false,
    };
    let shape = if last { Shape::new(c, a, b) } else { Shape::new(a, b, c) };
    Ok(Input { name, shape, last })
}

/// Whether what reads a tensor first, beside operators of single numbers, is a change from channels
/// last to first.
fn becomes_first(graph: &GraphProto, name: &str) -> bool {
    let mut name = name;
    for node in &graph.node {
        if !node.input.iter().any(|i| i == name) {
            continue;
        }
        match node.op_type.as_deref() {
            Some("Transpose") => {
                let perm = node.attribute.iter().find(|a| a.name.as_deref() == Some("perm"));
                return perm.is_some_and(|p| p.ints == [0, 3, 1, 2]);
            }
            Some("Cast" | "Identity" | "Add" | "Sub" | "Mul" | "Div") => {
                name = node.output.first().map_or("", String::as_str);
            }
            _ => return false,
        }
    }
    false
}

/// The type of the input when it is one of whole numbers, and the network computes with floats.
pub(super) fn whole_numbers(graph: &GraphProto, imported: &Graph) -> Option<String> {
    let is_data = |name: &str| name == "data" || imported.aliases.get(name).is_some_and(|to| to == "data");
    let input = graph.input.iter().find(|i| i.name.as_deref().is_some_and(is_data))?;
    kind_of(input).filter(|kind| matches!(kind, 2 | 6 | 7)).map(kind_name)
}

fn free(graph: &GraphProto, known: impl Fn(&str) -> bool) -> Vec<&ValueInfo> {
    graph.input.iter().filter(|i| !known(i.name.as_deref().unwrap_or_default())).collect()
}

fn kind_of(input: &ValueInfo) -> Option<i32> {
    input.r#type.as_ref()?.tensor_type.as_ref()?.elem_type
}

fn dimensions(input: &ValueInfo) -> Vec<Option<i64>> {
    let shape = input.r#type.as_ref().and_then(|t| t.tensor_type.as_ref()).and_then(|t| t.shape.as_ref());
    shape.map_or_else(Vec::new, |s| s.dim.iter().map(|d| d.value).collect())
}
