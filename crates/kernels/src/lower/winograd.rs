//! Which convolutions take Winograd's form, and their transformed weights.

use super::conv::View;
use super::gemm::Pixels;
use super::{Lower, Pull, act, grad};
use crate::epilogue::Act;
use crate::mem::Aligned;
use crate::real::Real;
use crate::spec::{Activation, Id, Shape};
use crate::step::Step;
use crate::winograd::{POINTS, SIDE, Winograd, kernel_transform, scratch_len};

/// Bytes of transformed input and output that a chunk of tiles may take: what stays in a
/// second-level cache of 1 MiB while weights stream through it.
const CHUNK_BYTES: usize = 768 * 1024;

/// Multiply-adds that a transform costs for each point of a tile and channel, with its loads and
/// stores.
const TRANSFORM: usize = 6;

/// A product in Winograd's form, in coordinates.
struct Plan<'a> {
    conv: View<'a>,
    /// The source under the first tap of the first output.
    source: Pixels,
    n_inputs: usize,
    target: usize,
    grid: Shape,
    act: Activation,
    store: Pull,
    /// Kernel flipped, inputs and outputs exchanged.
    transposed: bool,
}

impl Plan<'_> {
    fn taps(&self) -> usize {
        self.conv.kernel.0
    }

    fn m(&self) -> usize {
        SIDE + 1 - self.taps()
    }

    /// `w[output, input, ky, kx]` of the product.
    fn weight(&self, o: usize, i: usize, ky: usize, kx: usize) -> f32 {
        let last = self.taps() - 1;
        match self.transposed {
            true => self.conv.weight(i, o, last - ky, last - kx),
            false => self.conv.weight(o, i, ky, kx),
        }
    }

    /// `G w G^T` of one pair of channels.
    fn transformed(&self, g: &[f64], o: usize, i: usize) -> [f64; POINTS] {
        let r = self.taps();
        let mut half = [[0.0; SIDE]; SIDE];
        for (ky, half) in half.iter_mut().enumerate().take(r) {
            for kx in 0..r {
                let w = f64::from(self.weight(o, i, ky, kx));
                half.iter_mut().enumerate().for_each(|(p, h)| *h += g[p * r + kx] * w);
            }
        }
        let mut out = [0.0; POINTS];
        for (p, row) in out.chunks_exact_mut(SIDE).enumerate() {
            for (ky, half) in half.iter().enumerate().take(r) {
                row.iter_mut().zip(half).for_each(|(o, h)| *o += g[p * r + ky] * h);
            }
        }
        out
    }

    /// Per block of `width` outputs: point, input, output padded to vectors.
    fn weights<T: Real>(&self, lanes: usize, width: usize) -> Aligned<T> {
        let g = kernel_transform(self.taps());
        let padded = self.grid.c.next_multiple_of(lanes);
        let mut weights = Aligned::zeros(POINTS * self.n_inputs * padded);
        let to = weights.as_mut_slice();
        for o in 0..self.grid.c {
            let first = o / width * width;
            let channels = (padded - first).min(width);
            for i in 0..self.n_inputs {
                for (p, w) in self.transformed(&g, o, i).into_iter().enumerate() {
                    to[POINTS * self.n_inputs * first + (p * self.n_inputs + i) * channels + o - first] =
                        T::from_f64(w);
                }
            }
        }
        weights
    }
}

/// True when Winograd's form of a product is clearly less work than the direct one.
fn pays(conv: &View<'_>, n_inputs: usize, out: Shape) -> bool {
    let square = conv.kernel == (3, 3) || conv.kernel == (5, 5);
    if !square || conv.stride != (1, 1) || conv.dilation != (1, 1) || conv.groups != 1 || n_inputs < 8 || out.c < 8 {
        return false;
    }
    let (r, m) = (conv.kernel.0, SIDE + 1 - conv.kernel.0);
    let tiles = out.h.div_ceil(m) * out.w.div_ceil(m);
    let direct = out.h * out.w * r * r * n_inputs * out.c;
    let transformed = tiles * POINTS * (n_inputs * out.c + TRANSFORM * (n_inputs + out.c));
    10 * transformed < 8 * direct
}

impl<'a, T: Real> Lower<'a, T> {
    /// True when the forward product of a convolution takes this form.
    pub(super) fn winograd_forward_pays(&self, id: Id) -> bool {
        self.conv_of(id).is_some_and(|conv| pays(&conv, conv.inputs, self.shape(id)))
    }

    /// True when the gradient of a convolution takes this form.
    pub(super) fn winograd_backward_pays(&self, id: Id) -> bool {
        self.conv_of(id).is_some_and(|conv| pays(&conv, conv.out, self.shape(self.net.nodes[id].inputs[0])))
    }

    pub(super) fn winograd_forward(&mut self, id: Id) {
        let node = &self.net.nodes[id];
        let Some(conv) = self.conv_of(id) else { return };
        let at = (-(conv.pad.top as isize), -(conv.pad.left as isize));
        self.push_winograd(Plan {
            conv,
            source: Pixels { buf: act(node.inputs[0]), at, step: (1, 1) },
            n_inputs: conv.inputs,
            target: act(id),
            grid: node.shape,
            act: node.act,
            store: Pull { accumulate: false, pull: None },
            transposed: false,
        });
    }

    pub(super) fn winograd_backward(&mut self, x: Id, id: Id, store: Pull) {
        let Some(conv) = self.conv_of(id) else { return };
        let last = conv.kernel.0 as isize - 1;
        let at = (conv.pad.top as isize - last, conv.pad.left as isize - last);
        self.push_winograd(Plan {
            conv,
            source: Pixels { buf: grad(id), at, step: (1, 1) },
            n_inputs: conv.out,
            target: grad(x),
            grid: self.shape(x),
            act: Activation::None,
            store,
            transposed: true,
        });
    }

    fn push_winograd(&mut self, plan: Plan<'a>) {
        let (lanes, width, m) = (self.isa.lanes, self.isa.lanes * self.isa.nv, plan.m());
        let tiles = (plan.grid.h.div_ceil(m), plan.grid.w.div_ceil(m));
        let (at, r) = (plan.source.at, plan.taps());
        let far = |n: usize| (n * m + r - 2) as isize;
        self.buffers.reach(plan.source.buf, (at.0, at.0 + far(tiles.0)), (at.1, at.1 + far(tiles.1)));
        self.buffers.reach(plan.target, (0, plan.grid.h as isize - 1), (0, plan.grid.w as isize - 1));
        let padded = plan.grid.c.next_multiple_of(lanes);
        let per_tile = POINTS * (plan.n_inputs.next_multiple_of(lanes) + padded) * size_of::<T>();
        let n_tiles = tiles.0 * tiles.1;
        let n_chunks = n_tiles.div_ceil((CHUNK_BYTES / per_tile).max(self.isa.mr));
        let chunk = n_tiles.div_ceil(n_chunks);
        let reads = plan.store.reads(&[plan.source.buf]);
        let (n_weights, writes) = (POINTS * plan.n_inputs * padded + padded, [plan.target]);
        let plan_inputs = plan.n_inputs;
        self.push(&reads, &writes, move |buffers| {
            let mut biases = Aligned::zeros(padded);
            if !plan.transposed {
                biases.as_mut_slice().iter_mut().zip(plan.conv.bias).for_each(|(b, &v)| *b = T::from_f32(v));
            }
            let weights = plan.weights(lanes, width);
            let Plan { source, n_inputs, target, act, store, .. } = plan;
            let from = buffers.layout(source.buf);
            Step::Winograd(Winograd {
                m,
                width,
                tiles,
                chunk,
                space: from.space,
                at: from.at as isize + at.0 * from.pitch as isize + at.1 * from.cs as isize,
                pitch: from.pitch,
                cs: from.cs,
                n_inputs,
                out: buffers.layout(target),
                act: Act::from(act),
                store: store.store(buffers),
                weights,
                biases,
            })
        });
        let pending = self.list.last_mut().expect("just pushed");
        pending.weights = n_weights;
        pending.scratch = scratch_len(chunk, plan_inputs, padded);
    }
}
