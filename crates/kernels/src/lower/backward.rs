//! Backward steps: for each tensor, from the last to the first, the sum of what its readers and
//! taps send back.
//!
//! The gradient kept for a node is the one before its activation: the last contribution is
//! multiplied by the derivative as it is stored. Parts of a concat find their readers' contribution
//! in place; parts with further readers add theirs.

use super::conv::Backward;
use super::{Lower, Pull, Tap, act, grad};
use crate::epilogue::Act;
use crate::lrn::LrnBackward;
use crate::moments::MomentBackward;
use crate::pointwise::{Flatten, SoftmaxBackward};
use crate::pool::PoolBackward;
use crate::real::Real;
use crate::spec::{Activation, Id, Op};
use crate::step::{Export, Step, TapIn};

/// Something that adds to a gradient.
#[derive(Debug, Clone)]
enum Contribution {
    Joint(Vec<Id>),
    Reader(Id, usize),
    Plain(usize),
    Moments(usize),
}

impl<'a, T: Real> Lower<'a, T> {
    pub(super) fn lower_backward(&mut self) {
        let mut pulled = vec![false; self.net.nodes.len()];
        for id in (0..self.net.nodes.len()).rev().filter(|&id| self.live[id]).collect::<Vec<_>>() {
            self.gradient(id, &mut pulled);
        }
        let prepare = self.net.prepare.clone();
        self.push(&[grad(0)], &[], move |b| Step::Export(Export::new(b.layout(grad(0)), &prepare)));
    }

    /// True when concat `n` holds its `k`-th input in place.
    fn in_place(&self, n: Id, k: usize) -> bool {
        matches!(self.net.nodes[n].op, Op::Concat) && self.copied[n][k].is_none()
    }

    fn contributions(&self, id: Id) -> Vec<Contribution> {
        let mut list = Vec::new();
        let (mut plain, mut moments) = (0, 0);
        for tap in &self.taps {
            let slot = match tap {
                Tap::Plain(_) => &mut plain,
                Tap::Moments(_) => &mut moments,
            };
            if tap.id() == id {
                list.push(match tap {
                    Tap::Plain(_) => Contribution::Plain(*slot),
                    Tap::Moments(_) => Contribution::Moments(*slot),
                });
            }
            *slot += 1;
        }
        let mut joint = Vec::new();
        for (n, k) in self.readers(id) {
            if self.in_place(n, k) {
                continue;
            }
            let dense = matches!(self.net.nodes[n].op, Op::Conv(_) | Op::Linear { .. }) && !self.is_depthwise(n);
            if dense && self.backward_kind(n) == Backward::Joint {
                joint.push(n);
            } else {
                list.push(Contribution::Reader(n, k));
            }
        }
        if !joint.is_empty() {
            list.push(Contribution::Joint(joint));
        }
        list
    }

    /// The activation that all parts of a concat share, when the concat can apply its derivative
    /// for them.
    fn shared_activation(&self, id: Id) -> Activation {
        let node = &self.net.nodes[id];
        if !matches!(node.op, Op::Concat) || self.copied[id].iter().any(Option::is_some) {
            return Activation::None;
        }
        let first = self.net.nodes[node.inputs[0]].act;
        let alone = |&i: &Id| {
            let concat = matches!(self.net.nodes[i].op, Op::Concat);
            self.net.nodes[i].act == first && !concat && self.readers(i).len() == 1 && !self.tapped(i)
        };
        if node.inputs.iter().all(alone) { first } else { Activation::None }
    }

    fn gradient(&mut self, id: Id, pulled: &mut [bool]) {
        let list = self.contributions(id);
        let mut in_place = self.readers(id).iter().any(|&(n, k)| self.in_place(n, k));
        let shared = self.shared_activation(id);
        let own = if pulled[id] { Activation::None } else { self.net.nodes[id].act };
        let derivative = if shared == Activation::None { own } else { shared };
        let pull = (derivative != Activation::None).then_some((derivative, act(id)));
        if let ([Contribution::Reader(reader, 0)], Some(rolled)) = (&list[..], self.rolls_into(id)) {
            debug_assert_eq!(*reader, rolled);
            let first = self.list.len();
            self.contribute(id, list[0].clone(), Pull { accumulate: false, pull: None });
            return self.hold_backward(id, rolled, first);
        }
        if list.is_empty() {
            if pull.is_some() {
                self.push_map(vec![], vec![], Activation::None, grad(id), Pull { accumulate: true, pull }, (0, 0));
            }
            return;
        }
        if shared != Activation::None {
            self.net.nodes[id].inputs.iter().for_each(|&i| pulled[i] = true);
        }
        let last = list.len() - 1;
        for (n, contribution) in list.into_iter().enumerate() {
            let store = Pull { accumulate: in_place, pull: if n == last { pull } else { None } };
            self.contribute(id, contribution, store);
            in_place = true;
        }
    }

    fn contribute(&mut self, x: Id, contribution: Contribution, store: Pull) {
        let gx = grad(x);
        match contribution {
            Contribution::Joint(readers) => self.conv_joint(x, &readers, store),
            Contribution::Plain(tap) => {
                self.push(&store.reads(&[]), &[gx], move |b| {
                    Step::TapIn(TapIn { tap, g: b.layout(gx), store: store.store(b) })
                });
            }
            Contribution::Moments(tap) => {
                self.push(&store.reads(&[act(x)]), &[gx], move |b| {
                    Step::MomentBackward(MomentBackward {
                        tap,
                        x: b.layout(act(x)),
                        gx: b.layout(gx),
                        store: store.store(b),
                    })
                });
                self.list.last_mut().expect("just pushed").batch = true;
            }
            Contribution::Reader(n, k) => self.reader(x, n, k, store),
        }
    }

    fn reader(&mut self, x: Id, n: Id, k: usize, store: Pull) {
        let (gx, gy) = (grad(x), grad(n));
        let reads = store.reads(&[gy]);
        match &self.net.nodes[n].op {
            Op::Input(_) => {}
            Op::Conv(_) | Op::Linear { .. } => {
                if self.is_depthwise(n) {
                    return self.depthwise_backward(x, n, store);
                }
                match self.backward_kind(n) {
                    Backward::Winograd => self.winograd_backward(x, n, store),
                    Backward::Whole => self.conv_whole(x, n, store),
                    Backward::Joint | Backward::Phases => self.conv_phases(x, n, store),
                }
            }
            Op::Pool(_) | Op::GlobalAvg => {
                let pool = self.pool_of(n).expect("this node is a pool");
                let winners = self.winners[n].unwrap_or(0);
                self.push(&reads, &[gx], move |b| {
                    let (gx, gy) = (b.layout(gx), b.layout(gy));
                    Step::PoolBackward(PoolBackward { pool, gx, gy, winners, store: store.store(b) })
                });
            }
            Op::Lrn(lrn) => {
                let lrn = *lrn;
                self.push(&store.reads(&[gy, act(x)]), &[gx], move |b| {
                    let (x, gy, gx) = (b.layout(act(x)), b.layout(gy), b.layout(gx));
                    Step::LrnBackward(LrnBackward { lrn, x, gy, gx, store: store.store(b) })
                });
            }
            Op::Add | Op::Identity => self.push_map(vec![(gy, vec![])], vec![], Activation::None, gx, store, (0, 0)),
            Op::Affine { scale, .. } => {
                self.push_map(vec![(gy, scale.clone())], vec![], Activation::None, gx, store, (0, 0));
            }
            Op::Pad(p) => {
                let origin = (p.top as isize, p.left as isize);
                self.push_map(vec![(gy, vec![])], vec![], Activation::None, gx, store, origin);
            }
            Op::Concat => {
                if let Some((_, region)) = self.copied[n][k] {
                    self.push_map(vec![(region, vec![])], vec![], Activation::None, gx, store, (0, 0));
                }
            }
            Op::Softmax => {
                let y = act(n);
                self.push(&store.reads(&[gy, y]), &[gx], move |b| {
                    let (y, gy, gx) = (b.layout(y), b.layout(gy), b.layout(gx));
                    Step::SoftmaxBackward(SoftmaxBackward { y, gy, gx, store: store.store(b) })
                });
            }
            Op::Flatten(order) => {
                let order = *order;
                self.push(&reads, &[gx], move |b| {
                    let (whole, flat) = (b.layout(gx), b.layout(gy));
                    Step::Flatten(Flatten {
                        whole,
                        flat,
                        order,
                        unflatten: true,
                        act: Act::None,
                        store: store.store(b),
                    })
                });
            }
        }
    }
}
