//! One layer of all images: convolution, batch norm, ReLU.

use super::depthwise::Row;
use super::norm::{Back, Moments, Norm, Sums};
use super::pack::{pack, total, unpack};
use super::products::Shape;
use super::{BLOCK, GROUP, Kernels, padded};
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

/// `a = max(gain (z - mean) / sqrt(var + epsilon) + shift, 0)` with z the convolution, mean and variance
/// (biased) of z over all images and pixels, per channel.
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
struct Phase {
    /// First column of the input, and how many, a stride apart.
    first: usize,
    n: usize,
    /// Column of the gradient (with its border) that the first tap of the first one reads.
    from: usize,
    n_taps: usize,
    /// Kernel row by kernel row, taps in the order of the gradient's columns.
    weights: Vec<f32>,
}

/// Weights as the kernels read them.
pub(super) struct Packed {
    kernel: Vec<f32>,
    point: Vec<f32>,
    point_back: Vec<f32>,
    phases: Vec<Phase>,
}

/// What a layer reads.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    /// Images with their borders, channels last, unpadded.
    Images(&'a [f32]),
    /// The layer below, before its norm.
    Layer(&'a [f32], &'a Norm),
}

/// A layer's activations and what is known about them.
pub(super) struct Kept<'a> {
    /// Before the norm.
    pub z: &'a [f32],
    /// Between the kernels of channels and the products.
    pub deep: &'a [f32],
    /// Gradient behind the ReLU.
    pub g: &'a [f32],
    pub back: Back<'a>,
}

/// Sums over a group of images.
struct Part {
    kernel: Vec<f32>,
    point: Vec<f32>,
    sums: Sums,
}

impl Layer {
    pub(super) fn widths(&self) -> [usize; 2] {
        self.channels.map(padded)
    }

    fn pixels(&self, side: usize) -> usize {
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
    fn dense_at(&self) -> impl Fn(usize, usize) -> usize + use<> {
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
    fn border(&self) -> [usize; 2] {
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
    fn activated(&self, kernels: &Kernels, (below, norm): (&[f32], &Norm), y: usize, row: &mut [f32]) {
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
    fn point(&self, pixels: usize, a_row: usize, columns: usize, n: usize) -> Shape {
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

    /// Gradients at the weights; for separable layers also behind the ReLU of the layer below (into
    /// `below_g`), and that layer's sums.
    pub(super) fn backward(
        &self,
        kernels: &Kernels,
        packed: &Packed,
        source: Source<'_>,
        kept: &Kept<'_>,
        below_g: &mut [f32],
    ) -> (Vec<f32>, Vec<f32>, Sums) {
        let n = kept.z.len() / self.units();
        let parts: Vec<Part> = match source {
            Source::Images(images) => (0..n.div_ceil(GROUP))
                .into_par_iter()
                .map(|group| {
                    let range = group * GROUP..((group + 1) * GROUP).min(n);
                    self.dense_backward(kernels, images, kept, range)
                })
                .collect(),
            Source::Layer(below, norm) => {
                let units = self.pixels(0) * self.widths()[0];
                let groups = below_g.par_chunks_mut(GROUP * units).zip(below.par_chunks(GROUP * units)).enumerate();
                groups
                    .map(|(group, (below_g, below))| {
                        self.separable_backward(kernels, packed, (below, norm), kept, below_g, group * GROUP)
                    })
                    .collect()
            }
        };
        self.joined(parts)
    }

    /// The parts' sums, as gradients of weights in their own order.
    fn joined(&self, parts: Vec<Part>) -> (Vec<f32>, Vec<f32>, Sums) {
        let ([n_in, n_out], k) = (self.channels, self.window.kernel);
        let mut sums = parts[0].sums.clone();
        for part in &parts[1..] {
            sums.iter_mut().zip(&part.sums).for_each(|(a, b)| *a = [a[0] + b[0], a[1] + b[1]]);
        }
        let (kernel, point): (Vec<_>, Vec<_>) = parts.into_iter().map(|p| (p.kernel, p.point)).unzip();
        let (kernel, point) = (total(kernel), total(point));
        if self.kind == Kind::Dense {
            return (unpack(&kernel, n_out, self.dense_at()), vec![], sums);
        }
        let kernel = unpack(&kernel, n_in, |tap, c| c * k * k + tap);
        (kernel, unpack(&point, n_out, |c, o| o * n_in + c), sums)
    }

    fn dense_backward(
        &self,
        kernels: &Kernels,
        images: &[f32],
        kept: &Kept<'_>,
        range: std::ops::Range<usize>,
    ) -> Part {
        let ([n_in, _], [_, width], [oh, ow]) = (self.channels, self.widths(), self.size[1]);
        let (k, s) = (self.window.kernel, self.window.stride);
        let [h, w] = self.bordered();
        let mut kernel = vec![0.0; k * k * n_in * width];
        let mut dz = vec![0.0; BLOCK.min(ow) * width];
        for image in range {
            let pixels = &images[image * h * w * n_in..][..h * w * n_in];
            for y in 0..oh {
                for x in (0..ow).step_by(BLOCK) {
                    let n = BLOCK.min(ow - x);
                    let at = image * self.units() + (y * ow + x) * width;
                    let dz = &mut dz[..n * width];
                    kept.back.gradient(kernels, &kept.z[at..][..n * width], &kept.g[at..][..n * width], dz);
                    let shape = Shape {
                        rows: k * n_in,
                        columns: width,
                        n: [1, n],
                        a_row: 1,
                        a_steps: [0, s * n_in],
                        b_steps: [0, width],
                        out_row: width,
                        add: true,
                    };
                    for ky in 0..k {
                        let line = &pixels[((y * s + ky) * w + x * s) * n_in..];
                        kernels.products(&shape, &mut kernel[ky * k * n_in * width..][..k * n_in * width], line, dz);
                    }
                }
            }
        }
        Part { kernel, point: vec![], sums: vec![] }
    }

    /// A group's images from `first` on.
    fn separable_backward(
        &self,
        kernels: &Kernels,
        packed: &Packed,
        (below, norm): (&[f32], &Norm),
        kept: &Kept<'_>,
        below_g: &mut [f32],
        first: usize,
    ) -> Part {
        let [in_width, out_width] = self.widths();
        let k = self.window.kernel;
        let [before, behind] = self.border();
        let line = (before + self.size[1][1] + behind) * in_width;
        let mut deep = vec![0.0; self.size[1][0] * line];
        let mut part = Part {
            kernel: vec![0.0; k * k * in_width],
            point: vec![0.0; self.channels[0] * out_width],
            sums: vec![[0.0; 2]; in_width],
        };
        let units = self.pixels(0) * in_width;
        for (i, (below, below_g)) in below.chunks_exact(units).zip(below_g.chunks_exact_mut(units)).enumerate() {
            self.products_backward(kernels, packed, kept, first + i, &mut deep, &mut part.point);
            self.kernels_backward(kernels, packed, (below, norm), &deep, below_g, &mut part);
        }
        part
    }

    /// One image's gradient between kernels and products, row by row with borders.
    fn products_backward(
        &self,
        kernels: &Kernels,
        packed: &Packed,
        kept: &Kept<'_>,
        image: usize,
        deep: &mut [f32],
        point: &mut [f32],
    ) {
        let ([in_width, out_width], [oh, ow]) = (self.widths(), self.size[1]);
        let [before, behind] = self.border();
        let line = (before + ow + behind) * in_width;
        let mut dz = vec![0.0; BLOCK.min(ow) * out_width];
        for y in 0..oh {
            for x in (0..ow).step_by(BLOCK) {
                let n = BLOCK.min(ow - x);
                let pixel = y * ow + x;
                let at = image * self.units() + pixel * out_width;
                let dz = &mut dz[..n * out_width];
                kept.back.gradient(kernels, &kept.z[at..][..n * out_width], &kept.g[at..][..n * out_width], dz);
                let own = &kept.deep[image * self.deep_units() + pixel * in_width..][..n * in_width];
                let weights = Shape {
                    rows: self.channels[0],
                    columns: out_width,
                    n: [1, n],
                    a_row: 1,
                    a_steps: [0, in_width],
                    b_steps: [0, out_width],
                    out_row: out_width,
                    add: true,
                };
                kernels.products(&weights, point, own, dz);
                let inputs = self.point(n, out_width, in_width, self.channels[1]);
                kernels.products(&inputs, &mut deep[y * line + (before + x) * in_width..], dz, &packed.point_back);
            }
        }
    }

    /// One image's gradient behind the ReLU below, that layer's sums, and the gradient at the taps.
    fn kernels_backward(
        &self,
        kernels: &Kernels,
        packed: &Packed,
        below: (&[f32], &Norm),
        deep: &[f32],
        below_g: &mut [f32],
        part: &mut Part,
    ) {
        let (width, [oh, ow]) = (self.widths()[0], self.size[1]);
        let Window { kernel: k, stride: s, padding: [top, ..] } = self.window;
        let (w, [before, behind]) = (self.size[0][1], self.border());
        let line = (before + ow + behind) * width;
        let taps = Row { channels: width, n: ow, in_step: s, out_step: 1, n_taps: k };
        let mut activated = vec![0.0; self.bordered()[1] * width];
        for (y, g) in below_g.chunks_exact_mut(w * width).enumerate() {
            self.activated(kernels, below, y, &mut activated);
            // Rows of the kernel, and of the gradient that they meet here.
            let meet: Vec<(usize, usize)> = (0..k)
                .filter(|ky| (y + top) >= *ky && (y + top - ky).is_multiple_of(s) && (y + top - ky) / s < oh)
                .map(|ky| (ky, (y + top - ky) / s))
                .collect();
            for &(ky, at) in &meet {
                let gradient = &deep[at * line + before * width..][..ow * width];
                kernels.taps(&taps, &mut part.kernel[ky * k * width..][..k * width], &activated, gradient);
            }
            if packed.phases.len() < s || meet.is_empty() {
                g.fill(0.0);
            }
            for phase in packed.phases.iter().filter(|_| !meet.is_empty()) {
                let taps = phase.n_taps * width;
                let reads: Vec<(&[f32], &[f32])> = meet
                    .iter()
                    .map(|&(ky, at)| {
                        let from = at * line + phase.from * width;
                        (&deep[from..(at + 1) * line], &phase.weights[ky * taps..][..taps])
                    })
                    .collect();
                let row = Row { channels: width, n: phase.n, in_step: 1, out_step: s, n_taps: phase.n_taps };
                kernels.correlate(&row, &mut g[phase.first * width..], &reads);
            }
            below.1.sums(kernels, &below.0[y * w * width..][..w * width], g, &mut part.sums);
        }
    }
}
