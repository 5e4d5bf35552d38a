//! One layer of all images: convolution, batch norm, ReLU.

use super::depthwise::Row;
use super::norm::{Moments, Norm};
use super::pack::pack;
use super::products::Shape;
use super::{Kernels, padded};
use rayon::prelude::*;

/// What a layer's convolution is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Every output reads every channel: the first layer, on the image. Its input gets no gradient.
    Dense,
    /// A kernel for each channel, then products over channels.
    Separable,
}

/// A square window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub kernel: usize,
    pub stride: usize,
    /// Zeros above, to the left, below and to the right.
    pub padding: [usize; 4],
}

/// `a = max(gain (z - mean) / sqrt(var + epsilon) + shift, 0)` with z the convolution, mean and
/// variance (biased) of z over all images and pixels, per channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Layer {
    pub kind: Kind,
    /// In and out.
    pub channels: [usize; 2],
    /// Rows and columns, in and out.
    pub size: [[usize; 2]; 2],
    pub window: Window,
    pub epsilon: f32,
}

/// A layer's weights, row-major.
#[derive(Debug, Clone, Copy)]
pub struct LayerWeights<'a> {
    /// Out x in x k x k (dense), or in x 1 x k x k (separable).
    pub kernel: &'a [f32],
    /// Out x in (separable); empty for dense layers.
    pub point: &'a [f32],
    pub gain: &'a [f32],
    pub shift: &'a [f32],
}

/// The gradient at each of [`LayerWeights`].
#[derive(Debug, Clone, PartialEq)]
pub struct LayerGradient {
    pub kernel: Vec<f32>,
    pub point: Vec<f32>,
    pub gain: Vec<f32>,
    pub shift: Vec<f32>,
}

/// Columns of the input that one tap pattern serves, on the way back through a stride.
pub(super) struct Phase {
    /// First column of the input, and how many, a stride apart.
    pub first: usize,
    pub n: usize,
    /// Column of the gradient (with its border) that the first tap of the first one reads.
    pub from: usize,
    pub n_taps: usize,
    /// Kernel row by kernel row, taps in the order of the gradient's columns.
    pub weights: Vec<f32>,
}

/// Weights as the kernels read them.
pub(super) struct Packed {
    pub kernel: Vec<f32>,
    pub point: Vec<f32>,
    pub point_back: Vec<f32>,
    pub phases: Vec<Phase>,
}

/// What a layer reads.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    /// Images with their borders, channels last, unpadded.
    Images(&'a [f32]),
    /// The layer below, before its norm.
    Layer(&'a [f32], &'a Norm),
}

impl Layer {
    pub(super) fn widths(&self) -> [usize; 2] {
        self.channels.map(padded)
    }

    pub(super) fn pixels(&self, side: usize) -> usize {
        self.size[side][0] * self.size[side][1]
    }

    /// Numbers of one image before the norm.
    pub(super) fn units(&self) -> usize {
        self.pixels(1) * self.widths()[1]
    }

    /// Numbers of one image between kernels and products.
    pub(super) fn deep_units(&self) -> usize {
        if self.kind == Kind::Dense { 0 } else { self.pixels(1) * self.widths()[0] }
    }

    /// Rows and columns of the input with its border.
    pub(super) fn bordered(&self) -> [usize; 2] {
        let ([h, w], [t, l, b, r]) = (self.size[0], self.window.padding);
        [h + t + b, w + l + r]
    }

    /// Where a dense kernel's entry (tap and channel in, channel out) stands.
    pub(super) fn dense_at(&self) -> impl Fn(usize, usize) -> usize + use<> {
        let (k, n) = (self.window.kernel, self.channels[0]);
        move |row, out| ((out * n + row % n) * k + row / (k * n)) * k + row / n % k
    }

    pub(super) fn pack(&self, w: &LayerWeights<'_>) -> Packed {
        let ([n_in, n_out], k) = (self.channels, self.window.kernel);
        if self.kind == Kind::Dense {
            let kernel = pack(w.kernel, k * k * n_in, n_out, self.dense_at());
            return Packed { kernel, point: vec![], point_back: vec![], phases: vec![] };
        }
        Packed {
            kernel: pack(w.kernel, k * k, n_in, |tap, c| c * k * k + tap),
            point: pack(w.point, n_in, n_out, |c, o| o * n_in + c),
            point_back: pack(w.point, n_out, n_in, |o, c| o * n_in + c),
            phases: (0..self.window.stride).filter_map(|q| self.phase(q, w.kernel)).collect(),
        }
    }

    /// The columns `x` of the input with `(x + left) % stride = q`.
    fn phase(&self, q: usize, kernel: &[f32]) -> Option<Phase> {
        let Window { kernel: k, stride: s, padding: [_, left, ..] } = self.window;
        let n_taps = k.saturating_sub(q).div_ceil(s);
        let j = left.saturating_sub(q).div_ceil(s);
        let first = j * s + q - left;
        let width = self.size[0][1];
        if n_taps == 0 || first >= width {
            return None;
        }
        // Tap t' of row ky: the kernel's column q + (n_taps - 1 - t') s.
        let at = |row: usize, c: usize| {
            let (ky, t) = (row / n_taps, row % n_taps);
            (c * k + ky) * k + q + (n_taps - 1 - t) * s
        };
        Some(Phase {
            first,
            n: (width - first).div_ceil(s),
            from: j + self.border()[0] + 1 - n_taps,
            n_taps,
            weights: pack(kernel, k * n_taps, self.channels[0], at),
        })
    }

    /// Columns of zeros before and behind a row of gradients between kernels and products.
    pub(super) fn border(&self) -> [usize; 2] {
        let Window { kernel: k, stride: s, padding: [_, left, ..] } = self.window;
        [k.div_ceil(s) - 1, ((self.size[0][1] - 1 + left) / s + 1).saturating_sub(self.size[1][1])]
    }

    /// The convolution of all images, and its moments.
    pub(super) fn forward(
        &self,
        kernels: &Kernels,
        packed: &Packed,
        source: Source<'_>,
        deep: &mut [f32],
        z: &mut [f32],
    ) -> Moments {
        let one = |z: &mut [f32], deep: &mut [f32], image: usize| match source {
            Source::Images(images) => {
                let [h, w] = self.bordered();
                let units = h * w * self.channels[0];
                self.dense_forward(kernels, packed, &images[image * units..][..units], z)
            }
            Source::Layer(below, norm) => {
                let units = self.pixels(0) * self.widths()[0];
                self.separable_forward(kernels, packed, (&below[image * units..][..units], norm), deep, z)
            }
        };
        let images = z.par_chunks_mut(self.units()).enumerate();
        let parts: Vec<Moments> = if self.kind == Kind::Dense {
            images.map(|(i, z)| one(z, &mut [], i)).collect()
        } else {
            images.zip(deep.par_chunks_mut(self.deep_units())).map(|((i, z), deep)| one(z, deep, i)).collect()
        };
        let mut moments = Moments::new(self.widths()[1]);
        parts.iter().for_each(|part| moments.join(part));
        moments
    }

    fn dense_forward(&self, kernels: &Kernels, packed: &Packed, image: &[f32], z: &mut [f32]) -> Moments {
        let ([n_in, _], [_, out_width], [oh, ow]) = (self.channels, self.widths(), self.size[1]);
        let (k, s) = (self.window.kernel, self.window.stride);
        let row = self.bordered()[1] * n_in;
        let shape = Shape {
            rows: ow,
            columns: out_width,
            n: [k, k * n_in],
            a_row: s * n_in,
            a_steps: [row, 1],
            b_steps: [k * n_in * out_width, out_width],
            out_row: out_width,
            add: false,
        };
        let mut moments = Moments::new(out_width);
        for (y, z) in z.chunks_exact_mut(ow * out_width).enumerate().take(oh) {
            kernels.products(&shape, z, &image[y * s * row..], &packed.kernel);
            moments.add(kernels, z);
        }
        moments
    }

    /// Activates a row of the layer below between zeros that stay.
    pub(super) fn activated(&self, kernels: &Kernels, (below, norm): (&[f32], &Norm), y: usize, row: &mut [f32]) {
        let (width, w) = (self.widths()[0], self.size[0][1]);
        let left = self.window.padding[1] * width;
        norm.activate(kernels, &below[y * w * width..][..w * width], &mut row[left..left + w * width]);
    }

    fn separable_forward(
        &self,
        kernels: &Kernels,
        packed: &Packed,
        below: (&[f32], &Norm),
        deep: &mut [f32],
        z: &mut [f32],
    ) -> Moments {
        let ([in_width, out_width], [_, ow]) = (self.widths(), self.size[1]);
        let Window { kernel: k, stride: s, padding: [top, ..] } = self.window;
        let (h, line) = (self.size[0][0], self.bordered()[1] * in_width);
        let row = Row { channels: in_width, n: ow, in_step: s, out_step: 1, n_taps: k };
        let point = self.point(ow, in_width, out_width, self.channels[0]);
        // The last k rows of the layer below, row y at y % k.
        let mut ring = vec![0.0; k * line];
        let mut next = 0;
        let mut moments = Moments::new(out_width);
        let rows = deep.chunks_exact_mut(ow * in_width).zip(z.chunks_exact_mut(ow * out_width));
        for (y, (deep, z)) in rows.enumerate() {
            let last = (y * s + k).saturating_sub(top).min(h);
            while next < last {
                if next + k >= last {
                    self.activated(kernels, below, next, &mut ring[next % k * line..][..line]);
                }
                next += 1;
            }
            let reads: Vec<(&[f32], &[f32])> = (0..k)
                .filter_map(|ky| (y * s + ky).checked_sub(top).filter(|&at| at < h).map(|at| (ky, at)))
                .map(|(ky, at)| (&ring[at % k * line..][..line], &packed.kernel[ky * k * in_width..][..k * in_width]))
                .collect();
            kernels.correlate(&row, deep, &reads);
            kernels.products(&point, z, deep, &packed.point);
            moments.add(kernels, z);
        }
        moments
    }

    /// Products over `n` channels of `pixels` pixels.
    pub(super) fn point(&self, pixels: usize, a_row: usize, columns: usize, n: usize) -> Shape {
        Shape {
            rows: pixels,
            columns,
            n: [1, n],
            a_row,
            a_steps: [0, 1],
            b_steps: [0, columns],
            out_row: columns,
            add: false,
        }
    }
}
