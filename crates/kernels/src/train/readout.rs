//! From the last layer's activations to a few numbers.

use super::norm::{Norm, Sums};
use super::pack::{pack, total, unpack};
use super::products::Shape;
use super::{BLOCK, GROUP, Kernels, WIDTH, padded};
use crate::dense::fast;
use crate::simd::Body;
use rayon::prelude::*;

/// What reads the activations a (pixels p, channels c).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readout {
    /// `y_j = bias_j + sum_{p,c} weight[j, p, c] a[p, c]`; `weight[j, c, p]` where
    /// `channels_first`.
    Linear { n_outputs: usize, channels_first: bool },
    /// `y_j = pool_bias_j + sum_p pool[j, p] (bias_j + sum_c weight[j, c] a[p, c])`.
    Factorised { n_outputs: usize },
}

/// A readout's weights, row-major; empty where it has none.
#[derive(Debug, Clone, Copy)]
pub struct ReadoutWeights<'a> {
    pub weight: &'a [f32],
    pub bias: &'a [f32],
    pub pool: &'a [f32],
    pub pool_bias: &'a [f32],
}

/// The gradient at each of [`ReadoutWeights`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ReadoutGradient {
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
    pub pool: Vec<f32>,
    pub pool_bias: Vec<f32>,
}

/// Weights as the kernels read them.
pub(super) struct Packed {
    weight: Vec<f32>,
    bias: Vec<f32>,
    pool: Vec<f32>,
    pool_bias: Vec<f32>,
    weight_back: Vec<f32>,
}

/// The last layer: activations before its norm, of some size.
#[derive(Clone, Copy)]
pub(super) struct Below<'a> {
    pub z: &'a [f32],
    pub norm: &'a Norm,
    pub pixels: usize,
    pub channels: usize,
}

/// Sums over a group of images.
struct Part {
    weight: Vec<f32>,
    pool: Vec<f32>,
    bias: Vec<f32>,
    sums: Sums,
}

impl Readout {
    /// Numbers that are read out.
    pub fn n_outputs(&self) -> usize {
        match *self {
            Self::Linear { n_outputs, .. } | Self::Factorised { n_outputs } => n_outputs,
        }
    }

    pub(super) fn pack(&self, w: &ReadoutWeights<'_>, pixels: usize, channels: usize) -> Packed {
        let n = self.n_outputs();
        let fill = |v: &[f32]| (0..padded(n)).map(|j| v.get(j).copied().unwrap_or(0.0)).collect();
        let (bias, pool_bias) = (fill(w.bias), fill(w.pool_bias));
        match *self {
            Self::Linear { channels_first, .. } => {
                let at = linear_at(channels_first, pixels, channels);
                let weight = pack(w.weight, n * pixels, channels, at);
                Packed { weight, bias, pool: vec![], pool_bias, weight_back: vec![] }
            }
            Self::Factorised { .. } => Packed {
                weight: pack(w.weight, channels, n, |c, j| j * channels + c),
                bias,
                pool: pack(w.pool, pixels, n, |p, j| j * pixels + p),
                pool_bias,
                weight_back: pack(w.weight, n, channels, |j, c| j * channels + c),
            },
        }
    }

    /// The outputs of all images.
    pub(super) fn forward(&self, kernels: &Kernels, packed: &Packed, below: Below<'_>) -> Vec<f32> {
        let (n, units) = (self.n_outputs(), below.pixels * padded(below.channels));
        let one = |z: &[f32]| -> Vec<f32> {
            let mut a = vec![0.0; units];
            below.norm.activate(kernels, z, &mut a);
            match self {
                Self::Linear { .. } => {
                    (0..n).map(|j| packed.bias[j] + fast(Dot(&a, &packed.weight[j * units..][..units]))).collect()
                }
                Self::Factorised { .. } => {
                    let mut out = packed.pool_bias.clone();
                    for (m, pool) in self.mixed(kernels, packed, below, &a).chunks_exact(padded(n)).zip(rows(packed, n))
                    {
                        out.iter_mut().zip(m).zip(pool).for_each(|((o, m), p)| *o += m * p);
                    }
                    out.truncate(n);
                    out
                }
            }
        };
        let images: Vec<Vec<f32>> = below.z.par_chunks(units).map(one).collect();
        images.concat()
    }

    /// Each pixel's channels, mixed for every output.
    fn mixed(&self, kernels: &Kernels, packed: &Packed, below: Below<'_>, a: &[f32]) -> Vec<f32> {
        let width = padded(self.n_outputs());
        let mut out = packed.bias.repeat(below.pixels);
        let shape = Shape {
            rows: below.pixels,
            columns: width,
            n: [1, below.channels],
            a_row: padded(below.channels),
            a_steps: [0, 1],
            b_steps: [0, width],
            out_row: width,
            add: true,
        };
        kernels.products(&shape, &mut out, a, &packed.weight);
        out
    }

    /// Gradients at the weights, behind the last ReLU (into `g`), and the last norm's sums, for
    /// gradients at the outputs (images x outputs).
    pub(super) fn backward(
        &self,
        kernels: &Kernels,
        packed: &Packed,
        below: Below<'_>,
        gradient: &[f32],
        g: &mut [f32],
    ) -> (ReadoutGradient, Sums) {
        let (n, width) = (self.n_outputs(), padded(below.channels));
        let units = below.pixels * width;
        let groups = g.par_chunks_mut(GROUP * units).zip(below.z.par_chunks(GROUP * units));
        let parts: Vec<Part> = groups
            .zip(gradient.par_chunks(GROUP * n))
            .map(|((g, z), gradient)| {
                let mut part = self.part(packed, width);
                let mut a = vec![0.0; units];
                let images = g.chunks_exact_mut(units).zip(z.chunks_exact(units)).zip(gradient.chunks_exact(n));
                for ((g, z), gradient) in images {
                    below.norm.activate(kernels, z, &mut a);
                    match self {
                        Self::Linear { .. } => linear_backward(packed, &a, gradient, g, &mut part),
                        Self::Factorised { .. } => {
                            self.factorised_backward(kernels, packed, below, (&a, gradient), g, &mut part);
                        }
                    }
                    // In blocks, so that 32-bit sums stay short.
                    for (z, g) in z.chunks(BLOCK * width).zip(g.chunks(BLOCK * width)) {
                        below.norm.sums(kernels, z, g, &mut part.sums);
                    }
                }
                part
            })
            .collect();
        self.joined(parts, below, gradient)
    }

    fn part(&self, packed: &Packed, width: usize) -> Part {
        Part {
            weight: vec![0.0; packed.weight.len()],
            pool: vec![0.0; packed.pool.len()],
            bias: vec![0.0; padded(self.n_outputs())],
            sums: vec![[0.0; 2]; width],
        }
    }

    fn joined(&self, parts: Vec<Part>, below: Below<'_>, gradient: &[f32]) -> (ReadoutGradient, Sums) {
        let (n, Below { pixels, channels, .. }) = (self.n_outputs(), below);
        let mut sums = vec![[0.0; 2]; padded(channels)];
        for part in &parts {
            sums.iter_mut().zip(&part.sums).for_each(|(a, b)| *a = [a[0] + b[0], a[1] + b[1]]);
        }
        let (mut weights, mut pools, mut biases) = (vec![], vec![], vec![]);
        for part in parts {
            weights.push(part.weight);
            pools.push(part.pool);
            biases.push(part.bias);
        }
        let output: Vec<f32> = (0..n).map(|j| gradient.iter().skip(j).step_by(n).sum()).collect();
        let weight = total(weights);
        let gradient = match *self {
            Self::Linear { channels_first, .. } => ReadoutGradient {
                weight: unpack(&weight, channels, linear_at(channels_first, pixels, channels)),
                bias: output,
                ..ReadoutGradient::default()
            },
            Self::Factorised { .. } => ReadoutGradient {
                weight: unpack(&weight, n, |c, j| j * channels + c),
                bias: total(biases)[..n].to_vec(),
                pool: unpack(&total(pools), n, |p, j| j * pixels + p),
                pool_bias: output,
            },
        };
        (gradient, sums)
    }

    fn factorised_backward(
        &self,
        kernels: &Kernels,
        packed: &Packed,
        below: Below<'_>,
        (a, gradient): (&[f32], &[f32]),
        g: &mut [f32],
        part: &mut Part,
    ) {
        let (n, width, in_width) = (self.n_outputs(), padded(self.n_outputs()), padded(below.channels));
        let mut mixed = self.mixed(kernels, packed, below, a);
        for ((m, pool), grad) in
            mixed.chunks_exact_mut(width).zip(rows(packed, n)).zip(part.pool.chunks_exact_mut(width))
        {
            for j in 0..n {
                grad[j] += gradient[j] * m[j];
                m[j] = gradient[j] * pool[j];
                part.bias[j] += m[j];
            }
        }
        for (a, m) in a.chunks(BLOCK * in_width).zip(mixed.chunks(BLOCK * width)) {
            let shape = Shape {
                rows: below.channels,
                columns: width,
                n: [1, m.len() / width],
                a_row: 1,
                a_steps: [0, in_width],
                b_steps: [0, width],
                out_row: width,
                add: true,
            };
            kernels.products(&shape, &mut part.weight, a, m);
        }
        let shape = Shape {
            rows: below.pixels,
            columns: in_width,
            n: [1, n],
            a_row: width,
            a_steps: [0, 1],
            b_steps: [0, in_width],
            out_row: in_width,
            add: false,
        };
        kernels.products(&shape, g, &mixed, &packed.weight_back);
    }
}

/// Where a linear weight (output and pixel, channel) stands.
fn linear_at(channels_first: bool, pixels: usize, channels: usize) -> impl Fn(usize, usize) -> usize {
    move |row, c| match channels_first {
        false => row * channels + c,
        true => (row / pixels * channels + c) * pixels + row % pixels,
    }
}

/// The pool's weights, pixel by pixel.
fn rows(packed: &Packed, n: usize) -> std::slice::ChunksExact<'_, f32> {
    packed.pool.chunks_exact(padded(n))
}

fn linear_backward(packed: &Packed, a: &[f32], gradient: &[f32], g: &mut [f32], part: &mut Part) {
    g.fill(0.0);
    let weights = packed.weight.chunks_exact(a.len()).zip(part.weight.chunks_exact_mut(a.len()));
    for ((weight, grad), &factor) in weights.zip(gradient) {
        fast(AddScaled(factor, a, grad));
        fast(AddScaled(factor, weight, g));
    }
}

/// Sum of products, in lanes.
struct Dot<'a>(&'a [f32], &'a [f32]);

impl Body for Dot<'_> {
    type Out = f32;
    #[inline(always)]
    fn call(self) -> f32 {
        let mut sums = [[0.0f32; WIDTH]; 2];
        let (a, b) = (self.0.as_chunks::<WIDTH>().0, self.1.as_chunks::<WIDTH>().0);
        for (i, (a, b)) in a.iter().zip(b).enumerate() {
            for l in 0..WIDTH {
                sums[i % 2][l] = a[l].mul_add(b[l], sums[i % 2][l]);
            }
        }
        sums.iter().flatten().map(|&v| f64::from(v)).sum::<f64>() as f32
    }
}

/// `out += factor x`.
struct AddScaled<'a>(f32, &'a [f32], &'a mut [f32]);

impl Body for AddScaled<'_> {
    type Out = ();
    #[inline(always)]
    fn call(self) {
        for (o, x) in self.2.iter_mut().zip(self.1) {
            *o = self.0.mul_add(*x, *o);
        }
    }
}
