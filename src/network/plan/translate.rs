//! Node by node.

use super::{complaint, same_shape};
use crate::error::{Error, Result};
use crate::network::graph::{Graph, NodeId};
use crate::network::op::{FlattenOrder, Op};
use orthoscope_kernels::spec::{Activation, Conv, Id, Lrn, Net, Op as Kernel, Order, Padding, Pool, PoolKind};

/// What is known of the nodes that were translated.
struct Translator<'a> {
    graph: &'a Graph,
    wanted: &'a [NodeId],
    needed: Vec<bool>,
    ids: Vec<Id>,
    /// Flattenings that live on as the order of linear weights.
    orders: Vec<Option<Order>>,
}

/// Adds what `wanted` depends on and lies behind `from` to `net`, whose input is `from`; returns the
/// engine's id of each node.
///
/// # Errors
/// [`Error::Invalid`] for an operation that the engine cannot do.
pub fn nodes(graph: &Graph, from: NodeId, wanted: &[NodeId], net: &mut Net) -> Result<Vec<Id>> {
    let n = graph.nodes().len();
    let mut t = Translator { graph, wanted, needed: graph.needed(wanted), ids: vec![0; n], orders: vec![None; n] };
    for id in (from + 1..n).filter(|&id| t.needed[id]).collect::<Vec<_>>() {
        t.ids[id] = t.node(id, net)?;
        let node = graph.node(id);
        if t.orders[id].is_none() && !same_shape(net.nodes[t.ids[id]].shape, node.shape) {
            return Err(Error::invalid(
                format!("node `{}`", node.name),
                format!("an output of {}", node.shape),
                format!("{:?} in the CPU engine's plan", net.nodes[t.ids[id]].shape),
                "please report this network; the burn executor runs it",
            ));
        }
    }
    Ok(t.ids)
}

impl Translator<'_> {
    fn values(&self, name: &str) -> Vec<f32> {
        self.graph.weight(name).iter().copied().collect()
    }

    fn optional(&self, name: Option<&String>) -> Vec<f32> {
        name.map_or_else(Vec::new, |n| self.values(n))
    }

    /// True when `id` is read once, by nobody's tap.
    fn read_once(&self, id: NodeId) -> bool {
        !self.wanted.contains(&id) && self.readers(id).len() == 1
    }

    fn readers(&self, id: NodeId) -> Vec<NodeId> {
        let nodes = (0..self.needed.len()).filter(|&n| self.needed[n]);
        nodes.flat_map(|n| self.graph.node(n).inputs.iter().filter(move |&&i| i == id).map(move |_| n)).collect()
    }

    fn node(&mut self, id: NodeId, net: &mut Net) -> Result<Id> {
        let node = self.graph.node(id);
        let inputs: Vec<Id> = node.inputs.iter().map(|&i| self.ids[i]).collect();
        if let Some(act) = activation(&node.op, &node.name)? {
            let before = &mut net.nodes[inputs[0]];
            let takes = !matches!(before.op, Kernel::Input(_) | Kernel::Concat | Kernel::Softmax);
            if takes && before.act == Activation::None && self.read_once(node.inputs[0]) {
                before.act = act;
                return Ok(inputs[0]);
            }
            return net.push(Kernel::Identity, &inputs, act).map_err(complaint(&node.name));
        }
        if let Op::Flatten { order } = &node.op {
            let linear = |&n: &NodeId| matches!(self.graph.node(n).op, Op::Linear { .. });
            let readers = self.readers(id);
            if !self.wanted.contains(&id)
                && !readers.is_empty()
                && readers.iter().all(linear)
                && self.orders[node.inputs[0]].is_none()
            {
                self.orders[id] = Some(order_of(*order));
                return Ok(inputs[0]);
            }
        }
        let op = self.operation(id);
        net.push(op, &inputs, Activation::None).map_err(complaint(&node.name))
    }

    /// The engine's operation for anything that is not an activation.
    fn operation(&self, id: NodeId) -> Kernel {
        let node = self.graph.node(id);
        let pair = |v: &[usize; 2]| (v[0], v[1]);
        match &node.op {
            Op::Input => unreachable!("node 0 alone is the input"),
            Op::Conv2d { weight, bias, stride, padding, dilation, groups } => {
                let dims = self.graph.weight(weight).shape();
                Kernel::Conv(Conv {
                    out: dims[0],
                    kernel: (dims[2], dims[3]),
                    weight: self.values(weight),
                    bias: self.optional(bias.as_ref()),
                    stride: pair(stride),
                    pad: margin(*padding),
                    dilation: pair(dilation),
                    groups: *groups,
                })
            }
            Op::ChannelAffine { scale, shift } => {
                Kernel::Affine { scale: self.values(scale), shift: self.values(shift) }
            }
            Op::MaxPool { kernel, stride, padding, ceil } => Kernel::Pool(Pool {
                kind: PoolKind::Max,
                kernel: pair(kernel),
                stride: pair(stride),
                pad: margin(*padding),
                ceil: *ceil,
            }),
            Op::AvgPool { kernel, stride, padding, ceil, count_include_pad } => Kernel::Pool(Pool {
                kind: if *count_include_pad { PoolKind::AvgIncludePad } else { PoolKind::AvgExcludePad },
                kernel: pair(kernel),
                stride: pair(stride),
                pad: margin(*padding),
                ceil: *ceil,
            }),
            Op::GlobalAvgPool => Kernel::GlobalAvg,
            Op::Lrn { size, alpha, beta, k } => Kernel::Lrn(Lrn { n: *size, alpha: *alpha, beta: *beta, k: *k }),
            Op::Concat => Kernel::Concat,
            Op::Add => Kernel::Add,
            Op::Flatten { order } => Kernel::Flatten(order_of(*order)),
            Op::Linear { weight, bias } => Kernel::Linear {
                out: self.graph.weight(weight).shape()[0],
                weight: self.values(weight),
                bias: self.optional(bias.as_ref()),
                order: self.orders[node.inputs[0]].unwrap_or(Order::Chw),
            },
            Op::Softmax => Kernel::Softmax,
            Op::Pad { padding } => Kernel::Pad(margin(*padding)),
            Op::Identity | Op::BatchNorm { .. } | Op::Relu | Op::LeakyRelu { .. } | Op::Sigmoid | Op::Tanh => {
                Kernel::Identity
            }
        }
    }
}

fn activation(op: &Op, name: &str) -> Result<Option<Activation>> {
    Ok(Some(match op {
        Op::Relu => Activation::Relu,
        Op::LeakyRelu { slope } if *slope > 0.0 => Activation::Leaky(*slope),
        Op::LeakyRelu { slope } if *slope == 0.0 => Activation::Relu,
        Op::LeakyRelu { slope } => {
            return Err(Error::invalid(
                format!("node `{name}`"),
                "a slope of at least 0",
                format!("{slope}"),
                "use the burn executor for it",
            ));
        }
        Op::Sigmoid => Activation::Sigmoid,
        Op::Tanh => Activation::Tanh,
        _ => return Ok(None),
    }))
}

fn margin([top, left, bottom, right]: crate::network::op::Padding) -> Padding {
    Padding { top, left, bottom, right }
}

fn order_of(order: FlattenOrder) -> Order {
    match order {
        FlattenOrder::Chw => Order::Chw,
        FlattenOrder::Hwc => Order::Hwc,
    }
}
