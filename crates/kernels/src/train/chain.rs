//! A batch forward through a chain of layers and back.

use super::backward::Kept;
use super::layer::{self, Kind, Layer, LayerGradient, LayerWeights, Source};
use super::norm::{Moments, Norm};
use super::readout::{self, Below, Readout, ReadoutGradient, ReadoutWeights};
use super::{Kernels, padded};

/// Weights of a chain, as they are now.
#[derive(Debug, Clone)]
pub struct Weights<'a> {
    /// One for each layer.
    pub layers: Vec<LayerWeights<'a>>,
    pub readout: ReadoutWeights<'a>,
}

/// Gradients at the weights of a chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Gradients {
    pub layers: Vec<LayerGradient>,
    pub readout: ReadoutGradient,
}

/// What the batch left behind on its way forward.
struct Pass {
    n_images: usize,
    packed: Vec<layer::Packed>,
    readout: readout::Packed,
    norms: Vec<Norm>,
    moments: Vec<Moments>,
}

/// A chain with the memory that a batch needs, which is kept from one to the next.
pub struct Chain {
    layers: Vec<Layer>,
    readout: Readout,
    kernels: Kernels,
    /// Images with their borders, channels last.
    images: Vec<f32>,
    z: Vec<Vec<f32>>,
    deep: Vec<Vec<f32>>,
    g: Vec<Vec<f32>>,
    pass: Option<Pass>,
}

impl Chain {
    /// A dense layer, then separable ones, each reading the one before, then a readout.
    ///
    /// # Panics
    /// When there is no layer, the first is not dense, another is, or sizes do not follow each
    /// other.
    pub fn new(layers: Vec<Layer>, readout: Readout, kernels: Kernels) -> Self {
        assert!(layers.first().is_some_and(|l| l.kind == Kind::Dense), "a dense layer first");
        assert!(layers[1..].iter().all(|l| l.kind == Kind::Separable), "separable layers behind it");
        for pair in layers.windows(2) {
            assert_eq!((pair[0].channels[1], pair[0].size[1]), (pair[1].channels[0], pair[1].size[0]));
        }
        let none = || vec![vec![]; layers.len()];
        let (z, deep, g) = (none(), none(), none());
        Self { layers, readout, kernels, images: vec![], z, deep, g, pass: None }
    }

    /// Outputs (images x outputs) of images x channels x rows x columns, as the first layer reads
    /// them.
    ///
    /// # Panics
    /// When `images` is no whole number of images, or weights are of other sizes.
    pub fn forward(&mut self, images: &[f32], weights: &Weights<'_>) -> Vec<f32> {
        let n_images = self.take(images);
        let mut pass = Pass {
            n_images,
            packed: self.layers.iter().zip(&weights.layers).map(|(l, w)| l.pack(w)).collect(),
            readout: {
                let (pixels, channels) = self.last();
                self.readout.pack(&weights.readout, pixels, channels)
            },
            norms: vec![],
            moments: vec![],
        };
        for (i, (layer, weights)) in self.layers.iter().zip(&weights.layers).enumerate() {
            let (below, own) = self.z.split_at_mut(i);
            let source = match i {
                0 => Source::Images(&self.images),
                _ => Source::Layer(&below[i - 1], &pass.norms[i - 1]),
            };
            own[0].resize(n_images * layer.units(), 0.0);
            self.deep[i].resize(n_images * layer.deep_units(), 0.0);
            let moments = layer.forward(&self.kernels, &pass.packed[i], source, &mut self.deep[i], &mut own[0]);
            pass.norms.push(Norm::new(&moments, weights.gain, weights.shift, layer.epsilon));
            pass.moments.push(moments);
        }
        let outputs = self.readout.forward(&self.kernels, &pass.readout, self.below(&pass));
        self.pass = Some(pass);
        outputs
    }

    /// Mean, variance (divided by the number of values less one) of each channel of a layer's
    /// convolution, in the batch that went forward last.
    ///
    /// # Panics
    /// When none did.
    pub fn moments(&self, layer: usize) -> [Vec<f32>; 2] {
        let moments = &self.pass.as_ref().expect("a batch has gone forward").moments[layer];
        let n = self.layers[layer].channels[1];
        [moments.mean(n), moments.variance(n, 1.0)]
    }

    /// Gradients at the weights, for gradients at the outputs of the batch that went forward last.
    ///
    /// # Panics
    /// When none did, or `gradient` is not images x outputs.
    pub fn backward(&mut self, gradient: &[f32]) -> Gradients {
        let pass = self.pass.take().expect("a batch has gone forward");
        assert_eq!(gradient.len(), pass.n_images * self.readout.n_outputs(), "images x outputs");
        let last = self.layers.len() - 1;
        let mut g = std::mem::take(&mut self.g);
        for (g, z) in g.iter_mut().zip(&self.z) {
            g.resize(z.len(), 0.0);
        }
        let below = self.below(&pass);
        let (readout, mut sums) = self.readout.backward(&self.kernels, &pass.readout, below, gradient, &mut g[last]);
        let mut layers = Vec::new();
        for (i, layer) in self.layers.iter().enumerate().rev() {
            let m = pass.moments[i].n();
            let (below_g, own) = g.split_at_mut(i);
            let kept = Kept { z: &self.z[i], deep: &self.deep[i], g: &own[0], back: pass.norms[i].back(&sums, m) };
            let (source, below_g) = match i {
                0 => (Source::Images(&self.images), &mut [][..]),
                _ => (Source::Layer(&self.z[i - 1], &pass.norms[i - 1]), &mut below_g[i - 1][..]),
            };
            let (kernel, point, below_sums) = layer.backward(&self.kernels, &pass.packed[i], source, &kept, below_g);
            let sum = |k: usize| sums[..layer.channels[1]].iter().map(|s| s[k] as f32).collect();
            layers.push(LayerGradient { kernel, point, shift: sum(0), gain: sum(1) });
            sums = below_sums;
        }
        layers.reverse();
        self.g = g;
        self.pass = Some(pass);
        Gradients { layers, readout }
    }

    /// Pixels and channels of the last layer.
    fn last(&self) -> (usize, usize) {
        let layer = self.layers.last().expect("there is a layer");
        (layer.size[1][0] * layer.size[1][1], layer.channels[1])
    }

    fn below<'a>(&'a self, pass: &'a Pass) -> Below<'a> {
        let (pixels, channels) = self.last();
        let (z, norm) = (self.z.last().expect("there is a layer"), pass.norms.last().expect("there is a layer"));
        debug_assert_eq!(z.len(), pass.n_images * pixels * padded(channels));
        Below { z, norm, pixels, channels }
    }

    /// Lays images out with borders, channels last; returns how many.
    fn take(&mut self, images: &[f32]) -> usize {
        let first = self.layers[0];
        let ([h, w], c, [t, l, ..]) = (first.size[0], first.channels[0], first.window.padding);
        assert!(!images.is_empty() && images.len().is_multiple_of(c * h * w), "whole images");
        let ([rows, columns], n) = (first.bordered(), images.len() / (c * h * w));
        self.images.resize(n * rows * columns * c, 0.0);
        for (plane, values) in images.chunks_exact(h * w).enumerate() {
            let (image, channel) = (plane / c, plane % c);
            for (y, row) in values.chunks_exact(w).enumerate() {
                let at = ((image * rows + y + t) * columns + l) * c + channel;
                self.images[at..].iter_mut().step_by(c).zip(row).for_each(|(to, v)| *to = *v);
            }
        }
        n
    }
}
