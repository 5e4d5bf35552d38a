//! Training: chains of convolutions with batch norm and ReLU, their gradients at the weights.
//!
//! A [`Chain`] is what a small student network is: a dense convolution on the image, separable
//! convolutions (a kernel for each channel, then a product over channels), each followed by batch
//! norm with the batch's own moments and ReLU, and a [`Readout`]. One call goes forward through a
//! batch, one goes back and gives the gradient at every weight. Activations of a layer are kept
//! once, before their norm: what a norm and a ReLU make of them is computed where it is read, row
//! by row.
//!
//! | module | what |
//! |---|---|
//! | [`chain`] | a batch forward and back |
//! | [`layer`], `backward` | one layer of all images, forward and back |
//! | [`readout`] | the last layer's activations to a few numbers |
//! | [`norm`] | moments, lines, sums of batch norm |
//! | [`products`], [`depthwise`], `lanes` | the kernels that all of it is made of |
//!
//! Numbers lie pixel by pixel, channels last, in whole groups of [`WIDTH`] channels; what is beyond
//! the last channel is zero. Images are taken in fixed groups whose sums are added in order:
//! results do not depend on the number of threads.

mod backward;
pub mod chain;
pub mod depthwise;
mod lanes;
pub mod layer;
pub mod norm;
mod pack;
pub mod products;
pub mod readout;
#[cfg(test)]
mod tests;

pub use chain::{Chain, Gradients, Weights};
pub use lanes::Channels;
pub use layer::{Kind, Layer, LayerGradient, LayerWeights, Window};
pub use readout::{Readout, ReadoutGradient, ReadoutWeights};

use crate::simd::Simd;

/// Channels of a group: one line of the cache.
pub const WIDTH: usize = 16;

/// Images of a group, whose gradients at the weights are added up one after the other.
pub(crate) const GROUP: usize = 4;

/// Pixels that are worked on at a time: their gradients stay in the first-level cache.
pub(crate) const BLOCK: usize = 56;

/// Channels with the padding that groups need.
pub const fn padded(n: usize) -> usize {
    n.div_ceil(WIDTH) * WIDTH
}

/// The functions of one instruction set; the choice is [`crate::isa::chosen`]'s.
#[derive(Clone, Copy)]
pub struct Kernels {
    /// `avx512`, `avx2`, `neon` or `portable`.
    pub name: &'static str,
    products: products::Run,
    correlate: depthwise::Correlate,
    taps: depthwise::Taps,
    activate: lanes::Run,
    moments: lanes::Run,
    live_sums: lanes::Run,
    gradient: lanes::Run,
}

impl std::fmt::Debug for Kernels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kernels({})", self.name)
    }
}

fn table<S: Simd<T = f32>>(name: &'static str) -> Kernels {
    Kernels {
        name,
        products: products::run::<S>,
        correlate: depthwise::correlate::<S>,
        taps: depthwise::taps::<S>,
        activate: lanes::activate::<S>,
        moments: lanes::moments::<S>,
        live_sums: lanes::live_sums::<S>,
        gradient: lanes::gradient::<S>,
    }
}

impl Kernels {
    crate::isa::choice!(table);
}
