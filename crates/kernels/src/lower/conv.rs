//! Convolutions and linear layers as products, forward and backward.

use super::gemm::{Gemm, Part, Pixels, TapAt, Target};
use super::thin::CHANNELS;
use super::{Lower, Pull, act, grad};
use crate::real::Real;
use crate::spec::{Activation, Id, Op, Order, Padding};

/// A convolution, or a linear layer as the convolution whose kernel covers its input. Weights stay
/// where they are.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    weights: &'a [f32],
    pub bias: &'a [f32],
    /// Input channels of a group.
    pub inputs: usize,
    pub out: usize,
    pub kernel: (usize, usize),
    pub stride: (usize, usize),
    pub pad: Padding,
    pub dilation: (usize, usize),
    pub groups: usize,
    /// Weights are output, row, column, input instead of output, input, row, column.
    channels_last: bool,
}

impl View<'_> {
    /// One weight: output, input within the group, row, column.
    pub fn weight(&self, o: usize, i: usize, ky: usize, kx: usize) -> f32 {
        let (inputs, (kh, kw)) = (self.inputs, self.kernel);
        let at = match self.channels_last {
            true => ((o * kh + ky) * kw + kx) * inputs + i,
            false => ((o * inputs + i) * kh + ky) * kw + kx,
        };
        self.weights[at]
    }
}

/// What the gradient of a convolution looks like as a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Backward {
    /// A product in Winograd's form.
    Winograd,
    /// Stride 1, one group: joins the products of other readers.
    Joint,
    /// The kernel covers the whole input: one part for each input pixel.
    Whole,
    /// Phase by phase, group by group.
    Phases,
}

impl<'a, T: Real> Lower<'a, T> {
    /// The convolution that a node is.
    pub(super) fn conv_of(&self, id: Id) -> Option<View<'a>> {
        let node = &self.net.nodes[id];
        let x = self.shape(*node.inputs.first()?);
        match &node.op {
            Op::Conv(conv) => Some(View {
                weights: &conv.weight,
                bias: &conv.bias,
                inputs: x.c / conv.groups,
                out: conv.out,
                kernel: conv.kernel,
                stride: conv.stride,
                pad: conv.pad,
                dilation: conv.dilation,
                groups: conv.groups,
                channels_last: false,
            }),
            Op::Linear { weight, bias, out, order } => Some(View {
                weights: weight,
                bias,
                inputs: x.c,
                out: *out,
                kernel: (x.h, x.w),
                stride: (1, 1),
                pad: Padding::default(),
                dilation: (1, 1),
                groups: 1,
                channels_last: *order == Order::Hwc,
            }),
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

    /// The forward product of a convolution and its siblings; nothing when an earlier sibling did
    /// it.
    pub(super) fn conv_forward(&mut self, id: Id) {
        if self.winograd_forward_pays(id) {
            return self.winograd_forward(id);
        }
        if self.is_strip(id) {
            let first = self.list.len();
            self.strip_forward(id);
            if self.rolls_into(id).is_some() {
                self.hold_forward(id, first);
            }
            return;
        }
        let mut group = self.siblings(id);
        group.retain(|&n| !self.winograd_forward_pays(n) && !self.is_strip(n));
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
            gemm.parts.extend((0..conv.groups).map(|g| forward_part(conv, g, dest)));
        }
        self.push_gemm(gemm);
    }

    /// Which form the gradient of convolution `id` takes.
    pub(super) fn backward_kind(&self, id: Id) -> Backward {
        let conv = self.conv_of(id).expect("called for convolutions");
        let (x, y) = (self.shape(self.net.nodes[id].inputs[0]), self.shape(id));
        if (y.h, y.w) == (1, 1) && conv.groups == 1 && conv.pad == Padding::default() && (x.h, x.w) != (1, 1) {
            Backward::Whole
        } else if self.winograd_backward_pays(id) {
            Backward::Winograd
        } else if conv.groups == 1 && conv.stride == (1, 1) && x.c > CHANNELS {
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
        let (mut taps, mut convs) = (Vec::new(), Vec::new());
        for (src, &id) in readers.iter().enumerate() {
            let conv = self.conv_of(id).expect("readers are convolutions");
            gemm.sources.push(Pixels { buf: grad(id), at: (0, 0), step: (1, 1) });
            for (ky, kx) in window(conv.kernel).rev() {
                let dy = conv.pad.top as isize - (ky * conv.dilation.0) as isize;
                let dx = conv.pad.left as isize - (kx * conv.dilation.1) as isize;
                taps.push(TapAt { src, dy, dx, c0: 0, len: conv.out });
            }
            convs.push(conv);
        }
        let matrix = move || {
            let mut matrix = Vec::new();
            for conv in convs {
                for (ky, kx) in window(conv.kernel).rev() {
                    gradient_rows(&mut matrix, conv, 0, (ky, kx));
                }
            }
            matrix
        };
        gemm.parts.push(Part { taps, matrix: Box::new(matrix), n: shape.c, bias: &[], dest: 0, c0: 0 });
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
            let hit = taps.0.zip(taps.1);
            let matrix = move || {
                let mut matrix = Vec::new();
                hit.into_iter().for_each(|at| gradient_rows(&mut matrix, conv, 0, at));
                matrix
            };
            let part = Part {
                taps: hit.iter().map(|_| TapAt { src: 0, dy: 0, dx: 0, c0: 0, len: conv.out }).collect(),
                matrix: Box::new(matrix),
                n: shape.c,
                bias: &[],
                dest: gemm.targets.len(),
                c0: 0,
            };
            gemm.targets.push(gradient_target(x, (y as isize, col as isize), (1, 1), store));
            gemm.parts.push(part);
        }
        self.push_gemm(gemm);
    }

    /// The gradient at `x` of any convolution: input pixels fall into phases of the stride, each of
    /// which is a convolution of stride 1 of the output's gradient with some of the taps.
    pub(super) fn conv_phases(&mut self, x: Id, id: Id, store: Pull) {
        let conv = self.conv_of(id).expect("called for convolutions");
        if x == 0 && self.is_strip(id) && store.pull.is_none() {
            self.strip_backward(id, store);
            return self.roll_backward(id);
        }
        if conv.groups == 1 && store.pull.is_none() && self.shape(x).c <= CHANNELS {
            return self.conv_thin(x, id, conv, store);
        }
        let shape = self.shape(x);
        let outputs = conv.out / conv.groups;
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
                let tap = |&(_, _, dy, dx): &(usize, usize, isize, isize)| TapAt {
                    src: 0,
                    dy,
                    dx,
                    c0: g * outputs,
                    len: outputs,
                };
                let taps = hits.iter().map(tap).collect();
                let hits = hits.clone();
                let matrix = move || {
                    let mut matrix = Vec::new();
                    hits.iter().for_each(|&(ky, kx, ..)| gradient_rows(&mut matrix, conv, g, (ky, kx)));
                    matrix
                };
                let (n, c0) = (conv.inputs, g * conv.inputs);
                gemm.parts.push(Part { taps, matrix: Box::new(matrix), n, bias: &[], dest: 0, c0 });
            }
            self.push_gemm(gemm);
        }
    }
}

fn gradient_target(x: Id, at: (isize, isize), step: (usize, usize), store: Pull) -> Target {
    Target { pixels: Pixels { buf: grad(x), at, step }, act: Activation::None, store }
}

/// All places of a window, row by row.
pub(super) fn window(size: (usize, usize)) -> impl DoubleEndedIterator<Item = (usize, usize)> + Clone {
    (0..size.0 * size.1).map(move |p| (p / size.1, p % size.1))
}

fn forward_part(conv: View<'_>, g: usize, dest: usize) -> Part<'_> {
    let (inputs, outputs) = (conv.inputs, conv.out / conv.groups);
    let tap = |(ky, kx): (usize, usize)| TapAt {
        src: 0,
        dy: (ky * conv.dilation.0) as isize,
        dx: (kx * conv.dilation.1) as isize,
        c0: g * inputs,
        len: inputs,
    };
    let matrix = move || {
        let rows = window(conv.kernel).flat_map(|at| (0..inputs).map(move |i| (at, i)));
        let mut matrix = Vec::with_capacity(conv.kernel.0 * conv.kernel.1 * inputs * outputs);
        for ((ky, kx), i) in rows {
            matrix.extend((0..outputs).map(|o| conv.weight(g * outputs + o, i, ky, kx)));
        }
        matrix
    };
    let bias = conv.bias.get(g * outputs..(g + 1) * outputs).unwrap_or_default();
    let taps = window(conv.kernel).map(tap).collect();
    Part { taps, matrix: Box::new(matrix), n: outputs, bias, dest, c0: g * outputs }
}

/// Rows (outputs of group `g`) times columns (its inputs) for one kernel place.
fn gradient_rows(matrix: &mut Vec<f32>, conv: View<'_>, g: usize, (ky, kx): (usize, usize)) {
    let outputs = conv.out / conv.groups;
    for o in g * outputs..(g + 1) * outputs {
        matrix.extend((0..conv.inputs).map(|i| conv.weight(o, i, ky, kx)));
    }
}

/// Taps that reach input pixels of a phase: kernel row and column, and where their output lies from
/// the phase's pixel.
pub(super) fn phase_taps(conv: &View<'_>, (py, px): (usize, usize)) -> Vec<(usize, usize, isize, isize)> {
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
