//! Convolutions and linear layers as products, forward and backward.

use super::gemm::{Gemm, Part, Pixels, TapAt, Target};
use super::{Lower, Pull, act, grad};
use crate::real::Real;
use crate::spec::{Activation, Conv, Id, Op, Order, Padding};
use std::borrow::Cow;

/// One weight: output, input within the group, row, column.
fn weight(conv: &Conv, inputs: usize, o: usize, i: usize, ky: usize, kx: usize) -> f32 {
    conv.weight[((o * inputs + i) * conv.kernel.0 + ky) * conv.kernel.1 + kx]
}

/// What the gradient of a convolution looks like as a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Backward {
    /// Stride 1, one group: joins the products of other readers.
    Joint,
    /// The kernel covers the whole input: one part for each input pixel.
    Whole,
    /// Phase by phase, group by group.
    Phases,
}

impl<'a, T: Real> Lower<'a, T> {
    /// The convolution that a node is, with linear layers as kernels that cover their input.
    pub(super) fn conv_of(&self, id: Id) -> Option<Cow<'a, Conv>> {
        let node = &self.net.nodes[id];
        match &node.op {
            Op::Conv(conv) => Some(Cow::Borrowed(conv)),
            Op::Linear { weight, bias, out, order } => {
                let x = self.shape(node.inputs[0]);
                let weight = match order {
                    Order::Chw => weight.clone(),
                    Order::Hwc => {
                        let size = x.h * x.w;
                        let from = |o: usize, c: usize, p: usize| weight[o * x.len() + p * x.c + c];
                        let rows = (0..*out).flat_map(|o| (0..x.c).map(move |c| (o, c)));
                        rows.flat_map(|(o, c)| (0..size).map(move |p| (o, c, p)))
                            .map(|(o, c, p)| from(o, c, p))
                            .collect()
                    }
                };
                Some(Cow::Owned(Conv {
                    weight,
                    bias: bias.clone(),
                    out: *out,
                    kernel: (x.h, x.w),
                    stride: (1, 1),
                    pad: Padding::default(),
                    dilation: (1, 1),
                    groups: 1,
                }))
            }
            _ => None,
        }
    }

    /// True for one output per input channel and group.
    pub(super) fn is_depthwise(&self, id: Id) -> bool {
        let node = &self.net.nodes[id];
        matches!(&node.op, Op::Conv(c) if c.groups > 1 && c.groups == c.out && c.groups == self.shape(node.inputs[0]).c)
    }

    /// Convolutions that can share a pass over their input with `id`, `id` first.
    fn siblings(&self, id: Id) -> Vec<Id> {
        let Op::Conv(first) = &self.net.nodes[id].op else { return vec![id] };
        let x = self.net.nodes[id].inputs[0];
        let alike = |n: &Id| match &self.net.nodes[*n].op {
            Op::Conv(c) => {
                self.live[*n]
                    && self.net.nodes[*n].inputs[0] == x
                    && (c.kernel, c.stride, c.pad, c.dilation)
                        == (first.kernel, first.stride, first.pad, first.dilation)
                    && c.groups == 1
            }
            _ => false,
        };
        if first.groups != 1 { vec![id] } else { (0..self.net.nodes.len()).filter(alike).collect() }
    }

    /// The forward product of a convolution and its siblings; nothing when an earlier sibling did it.
    pub(super) fn conv_forward(&mut self, id: Id) {
        let group = self.siblings(id);
        if group[0] != id {
            return;
        }
        let x = self.net.nodes[id].inputs[0];
        let first = self.conv_of(id).expect("called for convolutions");
        let at = (-(first.pad.top as isize), -(first.pad.left as isize));
        let out = self.shape(id);
        let mut gemm = Gemm {
            grid: (out.h, out.w),
            sources: vec![Pixels { buf: act(x), at, step: first.stride }],
            targets: Vec::new(),
            parts: Vec::new(),
        };
        for (dest, &n) in group.iter().enumerate() {
            let conv = self.conv_of(n).expect("siblings are convolutions");
            gemm.targets.push(Target {
                pixels: Pixels { buf: act(n), at: (0, 0), step: (1, 1) },
                act: self.net.nodes[n].act,
                store: Pull { accumulate: false, pull: None },
            });
            gemm.parts.extend((0..conv.groups).map(|g| forward_part(&conv, g, self.shape(x).c, dest)));
        }
        self.push_gemm(gemm);
    }

    /// Which form the gradient of convolution `id` takes.
    pub(super) fn backward_kind(&self, id: Id) -> Backward {
        let conv = self.conv_of(id).expect("called for convolutions");
        let (x, y) = (self.shape(self.net.nodes[id].inputs[0]), self.shape(id));
        if (y.h, y.w) == (1, 1) && conv.groups == 1 && conv.pad == Padding::default() && (x.h, x.w) != (1, 1) {
            Backward::Whole
        } else if conv.groups == 1 && conv.stride == (1, 1) && x.c > 4 {
            Backward::Joint
        } else {
            Backward::Phases
        }
    }

    /// One product for the gradient at `x` from several convolutions of stride 1.
    pub(super) fn conv_joint(&mut self, x: Id, readers: &[Id], store: Pull) {
        let shape = self.shape(x);
        let mut gemm = Gemm {
            grid: (shape.h, shape.w),
            sources: Vec::new(),
            targets: vec![gradient_target(x, (0, 0), (1, 1), store)],
            parts: Vec::new(),
        };
        let (mut taps, mut matrix) = (Vec::new(), Vec::new());
        for (src, &id) in readers.iter().enumerate() {
            let conv = self.conv_of(id).expect("readers are convolutions");
            gemm.sources.push(Pixels { buf: grad(id), at: (0, 0), step: (1, 1) });
            for (ky, kx) in window(conv.kernel).rev() {
                let dy = conv.pad.top as isize - (ky * conv.dilation.0) as isize;
                let dx = conv.pad.left as isize - (kx * conv.dilation.1) as isize;
                taps.push(TapAt { src, dy, dx, c0: 0, len: conv.out });
                for o in 0..conv.out {
                    matrix.extend((0..shape.c).map(|i| weight(&conv, shape.c, o, i, ky, kx)));
                }
            }
        }
        gemm.parts.push(Part { taps, matrix, n: shape.c, bias: vec![], dest: 0, c0: 0, scatter: vec![] });
        self.push_gemm(gemm);
    }

    /// The gradient at `x` of a kernel that covers it: `gx[p, i] = sum_o w[o, i, p] gy[o]`.
    pub(super) fn conv_whole(&mut self, x: Id, id: Id, store: Pull) {
        let conv = self.conv_of(id).expect("called for convolutions");
        let shape = self.shape(x);
        let mut gemm = Gemm {
            grid: (1, 1),
            sources: vec![Pixels { buf: grad(id), at: (0, 0), step: (1, 1) }],
            targets: Vec::new(),
            parts: Vec::new(),
        };
        for (y, col) in window((shape.h, shape.w)) {
            let tap = |i: usize, k: usize, d: usize| (i.is_multiple_of(d) && i / d < k).then_some(i / d);
            let taps = (tap(y, conv.kernel.0, conv.dilation.0), tap(col, conv.kernel.1, conv.dilation.1));
            let mut part = Part {
                taps: vec![],
                matrix: vec![],
                n: shape.c,
                bias: vec![],
                dest: gemm.targets.len(),
                c0: 0,
                scatter: vec![],
            };
            if let (Some(ky), Some(kx)) = taps {
                part.taps.push(TapAt { src: 0, dy: 0, dx: 0, c0: 0, len: conv.out });
                for o in 0..conv.out {
                    part.matrix.extend((0..shape.c).map(|i| weight(&conv, shape.c, o, i, ky, kx)));
                }
            }
            gemm.targets.push(gradient_target(x, (y as isize, col as isize), (1, 1), store));
            gemm.parts.push(part);
        }
        self.push_gemm(gemm);
    }

    /// The gradient at `x` of any convolution: input pixels fall into phases of the stride, each of which is a
    /// convolution of stride 1 of the output's gradient with some of the taps.
    pub(super) fn conv_phases(&mut self, x: Id, id: Id, store: Pull) {
        let conv = self.conv_of(id).expect("called for convolutions");
        if conv.groups == 1 && store.pull.is_none() && self.shape(x).c <= 4 {
            return self.conv_few_channels(x, id, &conv, store);
        }
        let shape = self.shape(x);
        let (inputs, outputs) = (shape.c / conv.groups, conv.out / conv.groups);
        for (py, px) in window(conv.stride) {
            if py >= shape.h || px >= shape.w {
                continue;
            }
            let grid = ((shape.h - py).div_ceil(conv.stride.0), (shape.w - px).div_ceil(conv.stride.1));
            let hits = phase_taps(&conv, (py, px));
            let mut gemm = Gemm {
                grid,
                sources: vec![Pixels { buf: grad(id), at: (0, 0), step: (1, 1) }],
                targets: vec![gradient_target(x, (py as isize, px as isize), conv.stride, store)],
                parts: Vec::new(),
            };
            for g in 0..conv.groups {
                let (mut taps, mut matrix) = (Vec::new(), Vec::new());
                for &(ky, kx, dy, dx) in &hits {
                    taps.push(TapAt { src: 0, dy, dx, c0: g * outputs, len: outputs });
                    for o in 0..outputs {
                        matrix.extend((0..inputs).map(|i| weight(&conv, inputs, g * outputs + o, i, ky, kx)));
                    }
                }
                gemm.parts.push(Part {
                    taps,
                    matrix,
                    n: inputs,
                    bias: vec![],
                    dest: 0,
                    c0: g * inputs,
                    scatter: vec![],
                });
            }
            self.push_gemm(gemm);
        }
    }

    /// The gradient at a tensor of few channels (an image): a block of neighbouring input pixels becomes the columns
    /// of the product, so that vectors are filled; taps that miss a pixel have zero weights.
    fn conv_few_channels(&mut self, x: Id, id: Id, conv: &Conv, store: Pull) {
        let shape = self.shape(x);
        let block = self.best_block(conv, shape.c);
        let (dys, dxs) = (tap_span(conv, 0, block.0), tap_span(conv, 1, block.1));
        let columns: Vec<(usize, usize, usize)> =
            window(block).flat_map(|(py, px)| (0..shape.c).map(move |c| (py, px, c))).collect();
        let (mut taps, mut matrix) = (Vec::new(), Vec::new());
        for dy in dys.0..=dys.1 {
            for dx in dxs.0..=dxs.1 {
                taps.push(TapAt { src: 0, dy, dx, c0: 0, len: conv.out });
                for o in 0..conv.out {
                    for &(py, px, i) in &columns {
                        let ky = tap_of(py, dy, conv.pad.top, conv.dilation.0, conv.stride.0, conv.kernel.0);
                        let kx = tap_of(px, dx, conv.pad.left, conv.dilation.1, conv.stride.1, conv.kernel.1);
                        matrix.push(ky.zip(kx).map_or(0.0, |(ky, kx)| weight(conv, shape.c, o, i, ky, kx)));
                    }
                }
            }
        }
        let step = (block.0 / conv.stride.0, block.1 / conv.stride.1);
        let part = Part { taps, matrix, n: columns.len(), bias: vec![], dest: 0, c0: 0, scatter: columns };
        self.push_gemm(Gemm {
            grid: (shape.h.div_ceil(block.0), shape.w.div_ceil(block.1)),
            sources: vec![Pixels { buf: grad(id), at: (0, 0), step }],
            targets: vec![gradient_target(x, (0, 0), block, store)],
            parts: vec![part],
        });
    }

    /// The block of input pixels with the least work per pixel.
    fn best_block(&self, conv: &Conv, channels: usize) -> (usize, usize) {
        let cost = |&(by, bx): &(usize, usize)| {
            let (ys, xs) = (tap_span(conv, 0, by), tap_span(conv, 1, bx));
            let taps = ((ys.1 - ys.0 + 1) * (xs.1 - xs.0 + 1)) as usize;
            let vectors = (by * bx * channels).div_ceil(self.isa.lanes);
            (taps * vectors * 1000) / (by * bx)
        };
        let sizes = window((3, 3)).map(|(i, j)| (conv.stride.0 * (i + 1), conv.stride.1 * (j + 1)));
        let width = self.isa.lanes * self.isa.nv;
        let fits = |b: &(usize, usize)| b.0 * b.1 * channels <= width || *b == conv.stride;
        sizes.filter(fits).min_by_key(cost).unwrap_or(conv.stride)
    }
}

fn gradient_target(x: Id, at: (isize, isize), step: (usize, usize), store: Pull) -> Target {
    Target { pixels: Pixels { buf: grad(x), at, step }, act: Activation::None, store }
}

/// All places of a window, row by row.
pub(super) fn window(size: (usize, usize)) -> impl DoubleEndedIterator<Item = (usize, usize)> + Clone {
    (0..size.0 * size.1).map(move |p| (p / size.1, p % size.1))
}

fn forward_part(conv: &Conv, g: usize, channels: usize, dest: usize) -> Part {
    let (inputs, outputs) = (channels / conv.groups, conv.out / conv.groups);
    let (mut taps, mut matrix) = (Vec::new(), Vec::new());
    for (ky, kx) in window(conv.kernel) {
        let (dy, dx) = ((ky * conv.dilation.0) as isize, (kx * conv.dilation.1) as isize);
        taps.push(TapAt { src: 0, dy, dx, c0: g * inputs, len: inputs });
        for i in 0..inputs {
            matrix.extend((0..outputs).map(|o| weight(conv, inputs, g * outputs + o, i, ky, kx)));
        }
    }
    let bias = conv.bias.get(g * outputs..(g + 1) * outputs).unwrap_or_default().to_vec();
    Part { taps, matrix, n: outputs, bias, dest, c0: g * outputs, scatter: vec![] }
}

/// Taps that reach input pixels of a phase: kernel row and column, and where their output lies from the phase's pixel.
pub(super) fn phase_taps(conv: &Conv, (py, px): (usize, usize)) -> Vec<(usize, usize, isize, isize)> {
    let hit = |p: usize, pad: usize, k: usize, d: usize, s: usize| {
        let q = (p + pad) as isize - (k * d) as isize;
        (q.rem_euclid(s as isize) == 0).then(|| q.div_euclid(s as isize))
    };
    let both = |(ky, kx): (usize, usize)| {
        let dy = hit(py, conv.pad.top, ky, conv.dilation.0, conv.stride.0)?;
        let dx = hit(px, conv.pad.left, kx, conv.dilation.1, conv.stride.1)?;
        Some((ky, kx, dy, dx))
    };
    window(conv.kernel).rev().filter_map(both).collect()
}

/// The kernel row (or column) by which output `dy` away from the block reaches input `p` of the block.
fn tap_of(p: usize, dy: isize, pad: usize, d: usize, s: usize, k: usize) -> Option<usize> {
    let q = (p + pad) as isize - dy * s as isize;
    (q >= 0 && q % d as isize == 0 && (q as usize / d) < k).then(|| q as usize / d)
}

/// First and last output, relative to a block of `b` input rows (or columns), that reaches any of them.
fn tap_span(conv: &Conv, axis: usize, b: usize) -> (isize, isize) {
    let (pad, k, s, d) = if axis == 0 {
        (conv.pad.top, conv.kernel.0, conv.stride.0, conv.dilation.0)
    } else {
        (conv.pad.left, conv.kernel.1, conv.stride.1, conv.dilation.1)
    };
    let low = (pad as isize - ((k - 1) * d) as isize).div_euclid(s as isize);
    (low, ((b - 1 + pad) / s) as isize)
}
