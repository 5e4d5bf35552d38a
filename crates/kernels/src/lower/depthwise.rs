//! Depthwise convolutions, forward and backward by phases.

use super::buffers::Buffers;
use super::conv::{View, phase_taps, window};
use super::gemm::Pixels;
use super::{Lower, Pull, act, grad};
use crate::depthwise::{Depthwise, Grid};
use crate::epilogue::Act;
use crate::mem::Aligned;
use crate::real::Real;
use crate::spec::{Activation, Id};
use crate::step::Step;

/// A depthwise product in coordinates.
struct Plan {
    grid: (usize, usize),
    /// Source at the first tap, and the way from a tap row (or column) to the next.
    source: Pixels,
    tap_step: (isize, isize),
    taps: (usize, usize),
    /// Kernel row and column for each tap, in order.
    kernel: Vec<(usize, usize)>,
    target: Pixels,
    act: Activation,
    store: Pull,
    bias: Vec<f32>,
}

impl Grid {
    pub(super) fn new(buffers: &Buffers, p: &Pixels) -> Grid {
        let l = buffers.layout(p.buf);
        Grid {
            space: l.space,
            at: l.at as isize + p.at.0 * l.pitch as isize + p.at.1 * l.cs as isize,
            row: p.step.0 * l.pitch,
            col: p.step.1 * l.cs,
        }
    }
}

impl Plan {
    fn build<T: Real>(&self, conv: View<'_>, buffers: &Buffers, lanes: usize) -> Depthwise<T> {
        let (source, target) = (buffers.layout(self.source.buf), buffers.layout(self.target.buf));
        let padded = conv.out.next_multiple_of(lanes);
        let mut weights = Aligned::zeros(self.kernel.len() * padded);
        for (&(ky, kx), to) in self.kernel.iter().zip(weights.as_mut_slice().chunks_exact_mut(padded)) {
            for (c, w) in to.iter_mut().enumerate().take(conv.out) {
                *w = T::from_f32(conv.weight(c, 0, ky, kx));
            }
        }
        let mut biases = Aligned::zeros(padded);
        biases.as_mut_slice().iter_mut().zip(&self.bias).for_each(|(t, &b)| *t = T::from_f32(b));
        let values = self.store.pull.map(|(_, buf)| Grid::new(buffers, &Pixels { buf, ..self.target }));
        Depthwise {
            n_rows: self.grid.0,
            n_cols: self.grid.1,
            n_channels: conv.out,
            src: Grid::new(buffers, &self.source),
            dst: Grid::new(buffers, &self.target),
            tap_row: self.tap_step.0 * source.pitch as isize,
            tap_col: self.tap_step.1 * source.cs as isize,
            taps: self.taps,
            weights,
            biases,
            act: Act::from(self.act),
            store: self.store.store(buffers),
            values,
            whole: target.room >= padded
                && self.store.pull.is_none_or(|(_, values)| buffers.layout(values).room >= padded),
        }
    }
}

impl<'a, T: Real> Lower<'a, T> {
    fn push_depthwise(&mut self, id: Id, plan: Plan) {
        let Some(conv) = self.conv_of(id) else { return };
        let last = (plan.grid.0 as isize - 1, plan.grid.1 as isize - 1);
        let mut reach = |p: &Pixels, taps: (usize, usize), step: (isize, isize)| {
            let far = ((taps.0.max(1) as isize - 1) * step.0, (taps.1.max(1) as isize - 1) * step.1);
            let rows = (p.at.0 + far.0.min(0), p.at.0 + last.0 * p.step.0 as isize + far.0.max(0));
            let cols = (p.at.1 + far.1.min(0), p.at.1 + last.1 * p.step.1 as isize + far.1.max(0));
            self.buffers.reach(p.buf, rows, cols);
        };
        reach(&plan.source, plan.taps, plan.tap_step);
        reach(&plan.target, (1, 1), (0, 0));
        let reads = plan.store.reads(&[plan.source.buf]);
        let (lanes, writes) = (self.isa.lanes, [plan.target.buf]);
        let n_weights = (plan.kernel.len() + 1) * conv.out.next_multiple_of(lanes);
        self.push(&reads, &writes, move |buffers| Step::Depthwise(plan.build(conv, buffers, lanes)));
        self.list.last_mut().expect("just pushed").weights = n_weights;
    }

    pub(super) fn depthwise_forward(&mut self, id: Id) {
        let node = &self.net.nodes[id];
        let Some(conv) = self.conv_of(id) else { return };
        let out = node.shape;
        let plan = Plan {
            grid: (out.h, out.w),
            source: Pixels {
                buf: act(node.inputs[0]),
                at: (-(conv.pad.top as isize), -(conv.pad.left as isize)),
                step: conv.stride,
            },
            tap_step: (conv.dilation.0 as isize, conv.dilation.1 as isize),
            taps: conv.kernel,
            kernel: window(conv.kernel).collect(),
            target: Pixels { buf: act(id), at: (0, 0), step: (1, 1) },
            act: node.act,
            store: Pull { accumulate: false, pull: None },
            bias: conv.bias.to_vec(),
        };
        self.push_depthwise(id, plan);
    }

    pub(super) fn depthwise_backward(&mut self, x: Id, id: Id, store: Pull) {
        let Some(conv) = self.conv_of(id) else { return };
        let shape = self.shape(x);
        for (py, px) in window(conv.stride).filter(|&(py, px)| py < shape.h && px < shape.w) {
            let hits = phase_taps(&conv, (py, px));
            let distinct = |pick: fn(&(usize, usize, isize, isize)) -> isize| {
                let mut list: Vec<isize> = hits.iter().map(pick).collect();
                list.sort_unstable();
                list.dedup();
                list
            };
            let (dys, dxs) = (distinct(|h| h.2), distinct(|h| h.3));
            let step = |d: &[isize]| if d.len() > 1 { d[1] - d[0] } else { 0 };
            let mut sorted = hits.clone();
            sorted.sort_unstable_by_key(|h| (h.2, h.3));
            let first = (dys.first().copied().unwrap_or(0), dxs.first().copied().unwrap_or(0));
            let grid = ((shape.h - py).div_ceil(conv.stride.0), (shape.w - px).div_ceil(conv.stride.1));
            let plan = Plan {
                grid,
                source: Pixels { buf: grad(id), at: first, step: (1, 1) },
                tap_step: (step(&dys), step(&dxs)),
                taps: (dys.len(), dxs.len()),
                kernel: sorted.iter().map(|h| (h.0, h.1)).collect(),
                target: Pixels { buf: grad(x), at: (py as isize, px as isize), step: conv.stride },
                act: Activation::None,
                store,
                bias: vec![],
            };
            self.push_depthwise(id, plan);
        }
    }
}
