//! Forward steps, node by node.

use super::{Lower, Pull, act};
use crate::epilogue::{Act, Store};
use crate::lrn::LrnForward;
use crate::pointwise::{Flatten, Map, SoftmaxForward};
use crate::pool::PoolForward;
use crate::real::Real;
use crate::spec::{Id, Op, Padding, Pool, PoolKind};
use crate::step::{Import, Step};

const PLAIN: Pull = Pull { accumulate: false, pull: None };

pub(super) fn reals<T: Real>(values: &[f32]) -> Vec<T> {
    values.iter().map(|&v| T::from_f32(v)).collect()
}

impl<'a, T: Real> Lower<'a, T> {
    pub(super) fn lower_forward(&mut self) {
        for id in 0..self.net.nodes.len() {
            if self.live[id] {
                self.forward_node(id);
            }
        }
    }

    /// The pool that a node is, with the global mean as a window over everything.
    pub(super) fn pool_of(&self, id: Id) -> Option<Pool> {
        let node = &self.net.nodes[id];
        match &node.op {
            Op::Pool(pool) => Some(*pool),
            Op::GlobalAvg => {
                let x = self.shape(node.inputs[0]);
                let kind = PoolKind::AvgExcludePad;
                Some(Pool { kind, kernel: (x.h, x.w), stride: (1, 1), pad: Padding::default(), ceil: false })
            }
            _ => None,
        }
    }

    fn forward_node(&mut self, id: Id) {
        let node = &self.net.nodes[id];
        let activation = node.act;
        let x = node.inputs.first().map_or(0, |&i| act(i));
        let y = act(id);
        match &node.op {
            Op::Input(_) => {
                let prepare = self.net.prepare.clone();
                self.push(&[], &[y], move |b| Step::Import(Import::new(b.layout(y), &prepare)));
            }
            Op::Conv(_) if self.is_depthwise(id) => {
                self.depthwise_forward(id);
                self.roll_forward(id);
            }
            Op::Conv(_) | Op::Linear { .. } => self.conv_forward(id),
            Op::Pool(_) | Op::GlobalAvg => {
                let pool = self.pool_of(id).expect("this node is a pool");
                let winners = (pool.kind == PoolKind::Max).then_some(self.bytes_len);
                if winners.is_some() {
                    self.bytes_len += node.shape.len();
                    self.winners[id] = winners;
                }
                self.push(&[x], &[y], move |b| {
                    let (x, y) = (b.layout(x), b.layout(y));
                    Step::PoolForward(PoolForward { pool, x, y, winners, act: Act::from(activation) })
                });
            }
            Op::Lrn(lrn) => {
                let lrn = *lrn;
                self.push(&[x], &[y], move |b| {
                    Step::LrnForward(LrnForward { lrn, x: b.layout(x), y: b.layout(y), act: Act::from(activation) })
                });
            }
            Op::Add | Op::Identity => {
                let inputs = node.inputs.iter().map(|&i| (act(i), vec![])).collect();
                self.push_map(inputs, vec![], activation, y, PLAIN, (0, 0));
            }
            Op::Affine { scale, shift } => {
                self.push_map(vec![(x, scale.clone())], shift.clone(), activation, y, PLAIN, (0, 0));
            }
            Op::Pad(p) => {
                let origin = (-(p.top as isize), -(p.left as isize));
                self.push_map(vec![(x, vec![])], vec![], activation, y, PLAIN, origin);
            }
            Op::Concat => {
                for (k, &input) in node.inputs.iter().enumerate() {
                    if let Some((region, _)) = self.copied[id][k] {
                        self.push_map(vec![(act(input), vec![])], vec![], activation, region, PLAIN, (0, 0));
                    }
                }
            }
            Op::Softmax => {
                self.push(&[x], &[y], move |b| Step::SoftmaxForward(SoftmaxForward { x: b.layout(x), y: b.layout(y) }));
            }
            Op::Flatten(order) => {
                let order = *order;
                self.push(&[x], &[y], move |b| {
                    Step::Flatten(Flatten {
                        whole: b.layout(x),
                        flat: b.layout(y),
                        order,
                        unflatten: false,
                        act: Act::from(activation),
                        store: Store { accumulate: false, pull: None },
                    })
                });
            }
        }
    }

    /// `out (+)= act(sum gain x + shift)`; see [`Map`].
    pub(super) fn push_map(
        &mut self,
        inputs: Vec<(usize, Vec<f32>)>,
        shift: Vec<f32>,
        activation: crate::spec::Activation,
        out: usize,
        store: Pull,
        origin: (isize, isize),
    ) {
        let bufs: Vec<usize> = inputs.iter().map(|i| i.0).collect();
        self.push(&store.reads(&bufs), &[out], move |b| {
            Step::Map(Map {
                inputs: inputs.iter().map(|(buf, gain)| (b.layout(*buf), reals(gain))).collect(),
                shift: reals(&shift),
                act: Act::from(activation),
                out: b.layout(out),
                store: store.store(b),
                origin,
            })
        });
    }
}
