//! What a group of channels looks like, names and widths aside.

use super::groups::Groups;
use crate::network::{Graph, Op};

/// The operations that have parameters of a group, in execution order: which operation, which axis,
/// and for convolutions kernel and whether channels are kept apart. Groups of one topology can be
/// compared (Fang et al., "Isomorphic pruning for vision models", ECCV 2024).
pub fn topology(graph: &Graph, groups: &Groups, group: usize) -> String {
    let of_group = |weight: &str, axis: usize| {
        groups.axis(weight, axis).is_some_and(|places| places.iter().flatten().any(|p| p.group == group))
    };
    let mut parts = Vec::new();
    for node in graph.nodes() {
        for axis in 0..2 {
            let Some(weight) = node.op.weights().into_iter().find(|w| of_group(w, axis)) else { continue };
            parts.push(match &node.op {
                Op::Conv2d { groups, .. } => {
                    let shape = graph.weight(weight).shape();
                    let apart = if *groups > 1 { " in groups" } else { "" };
                    let kernel = shape.get(2..).map_or(String::new(), |k| format!(" {}x{}", k[0], k[1]));
                    format!("{}{kernel}{apart} axis {axis}", node.op.kind())
                }
                op => format!("{} axis {axis}", op.kind()),
            });
        }
    }
    parts.join(", ")
}
