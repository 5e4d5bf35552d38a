//! Batch norm at test time is an affine map per channel: folded into the convolution or linear
//! layer before it.

use super::graph::{Graph, GraphBuilder, NodeId};
use super::op::Op;
use crate::error::Result;
use ndarray::{ArrayD, Axis, IxDyn};

/// The same function with batch norms folded, and where `taps` went.
///
/// A batch norm directly after a convolution or linear layer that nobody else reads disappears into
/// its weights: `weight' = g weight`, `bias' = g (bias - mean) + shift`,
/// `g = scale / sqrt(var + epsilon)`, in 64 bits. Any other becomes a [`Op::ChannelAffine`].
/// Identities disappear as well, unless tapped.
///
/// # Errors
/// Never for a graph that was built.
pub fn fold_batch_norm(graph: &Graph, taps: &[NodeId]) -> Result<(Graph, Vec<NodeId>)> {
    let mut readers = vec![0usize; graph.nodes().len()];
    graph.nodes().iter().flat_map(|n| &n.inputs).for_each(|&i| readers[i] += 1);
    taps.iter().for_each(|&t| readers[t] += 1);
    let foldable = |id: NodeId| readers[id] == 1 && matches!(graph.node(id).op, Op::Conv2d { .. } | Op::Linear { .. });
    let mut builder = GraphBuilder::new(&graph.name, graph.input.clone(), graph.weights().clone())?;
    let mut moved: Vec<NodeId> = vec![0; graph.nodes().len()];
    let mut absorbed = vec![false; graph.nodes().len()];
    for node in graph.nodes() {
        if let (Op::BatchNorm { .. }, &[before]) = (&node.op, &node.inputs[..]) {
            absorbed[before] = foldable(before);
        }
    }
    for (id, node) in graph.nodes().iter().enumerate().skip(1) {
        let inputs: Vec<NodeId> = node.inputs.iter().map(|&i| moved[i]).collect();
        if absorbed[id] {
            continue;
        }
        moved[id] = match &node.op {
            Op::Identity if !taps.contains(&id) => inputs[0],
            Op::BatchNorm { .. } => {
                let (gain, offset) = affine(graph, &node.op);
                let before = node.inputs[0];
                if absorbed[before] {
                    let inputs: Vec<NodeId> = graph.node(before).inputs.iter().map(|&i| moved[i]).collect();
                    let op = absorb(&mut builder, &node.name, &graph.node(before).op, &gain, &offset);
                    builder.push(node.name.clone(), op, &inputs)?
                } else {
                    let (scale, shift) = (format!("{}.gain", node.name), format!("{}.offset", node.name));
                    builder.add_weight(&scale, vector(gain));
                    builder.add_weight(&shift, vector(offset));
                    builder.push(node.name.clone(), Op::ChannelAffine { scale, shift }, &inputs)?
                }
            }
            op => builder.push(node.name.clone(), op.clone(), &inputs)?,
        };
    }
    let moved_taps = taps.iter().map(|&t| moved[t]).collect();
    Ok((builder.finish()?, moved_taps))
}

/// `y = gain x + offset` per channel.
fn affine(graph: &Graph, op: &Op) -> (Vec<f64>, Vec<f64>) {
    let Op::BatchNorm { scale, shift, mean, var, epsilon } = op else {
        return (vec![], vec![]);
    };
    let values = |name: &String| graph.weight(name).iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
    let (mean, var) = (values(mean), values(var));
    let scale = scale.as_ref().map_or_else(|| vec![1.0; mean.len()], values);
    let shift = shift.as_ref().map_or_else(|| vec![0.0; mean.len()], values);
    let gain: Vec<f64> = scale.iter().zip(&var).map(|(s, v)| s / (v + f64::from(*epsilon)).sqrt()).collect();
    let offset = shift.iter().zip(&gain).zip(&mean).map(|((b, g), m)| b - g * m).collect();
    (gain, offset)
}

fn absorb(builder: &mut GraphBuilder, name: &str, op: &Op, gain: &[f64], offset: &[f64]) -> Op {
    let mut op = op.clone();
    if let Op::Conv2d { weight, bias, .. } | Op::Linear { weight, bias } = &mut op {
        let mut folded = builder.weights()[weight.as_str()].clone();
        for (mut slice, g) in folded.axis_iter_mut(Axis(0)).zip(gain) {
            slice.mapv_inplace(|w| (f64::from(w) * g) as f32);
        }
        let old: Vec<f64> = match bias {
            Some(b) => builder.weights()[b.as_str()].iter().map(|&v| f64::from(v)).collect(),
            None => vec![0.0; gain.len()],
        };
        let new = old.iter().zip(gain).zip(offset).map(|((b, g), o)| b * g + o).collect();
        *weight = format!("{name}.folded.weight");
        *bias = Some(format!("{name}.folded.bias"));
        builder.add_weight(weight.as_str(), folded);
        builder.add_weight(format!("{name}.folded.bias"), vector(new));
    }
    op
}

fn vector(values: Vec<f64>) -> ArrayD<f32> {
    let n = values.len();
    ArrayD::from_shape_vec(IxDyn(&[n]), values.into_iter().map(|v| v as f32).collect()).expect("one axis of n values")
}
