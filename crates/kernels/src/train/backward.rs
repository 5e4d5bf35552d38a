//! One layer of all images, backwards: gradients at the weights and below.

use super::depthwise::Row;
use super::layer::{Kind, Layer, Packed, Source, Window};
use super::norm::{Back, Norm, Sums};
use super::pack::{total, unpack};
use super::products::Shape;
use super::{BLOCK, GROUP, Kernels};
use rayon::prelude::*;

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
