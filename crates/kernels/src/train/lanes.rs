//! What is done number by number, with a few numbers for each channel.

use super::{Kernels, WIDTH};
use crate::simd::{Body, Simd};
use std::marker::PhantomData;

/// `slope z + offset`, channel by channel: where it is above 0, a ReLU lets it through.
#[derive(Debug, Clone, Copy)]
pub struct Channels<'a> {
    pub slope: &'a [f32],
    pub offset: &'a [f32],
}

/// Pointers to the arrays of a kernel, each `n` pixels of `channels`, or `channels` numbers.
#[derive(Clone, Copy)]
pub(super) struct Arrays {
    channels: usize,
    n: usize,
    slope: *const f32,
    offset: *const f32,
    /// What else there is for each channel.
    more: [*const f32; 3],
    z: *const f32,
    g: *const f32,
    out: *mut f32,
}

pub(super) type Run = unsafe fn(&Arrays);

macro_rules! body {
    ($name:ident, $run:ident) => {
        struct $name<'a, S>(&'a Arrays, PhantomData<S>);

        pub(super) unsafe fn $run<S: Simd<T = f32>>(arrays: &Arrays) {
            S::vectorize($name::<S>(arrays, PhantomData));
        }
    };
}

body!(Activate, activate);
body!(Moments, moments);
body!(LiveSums, live_sums);
body!(Gradient, gradient);

// SAFETY of all bodies: the methods of `Kernels` below checked the arrays' sizes; channels are
// whole vectors.
impl<S: Simd<T = f32>> Body for Activate<'_, S> {
    type Out = ();
    #[inline(always)]
    fn call(self) {
        let a = *self.0;
        for x in 0..a.n {
            for v in (0..a.channels).step_by(S::LANES) {
                let at = x * a.channels + v;
                unsafe {
                    let y = S::fma(S::load(a.slope.add(v)), S::load(a.z.add(at)), S::load(a.offset.add(v)));
                    S::store(a.out.add(at), S::max(y, S::splat(0.0)));
                }
            }
        }
    }
}

/// Into three rows of channels: mean, sum of differences from it, sum of their squares.
impl<S: Simd<T = f32>> Body for Moments<'_, S> {
    type Out = ();
    #[inline(always)]
    fn call(self) {
        let a = *self.0;
        for v in (0..a.channels).step_by(S::LANES) {
            unsafe {
                let mut mean = [S::splat(0.0); 2];
                for x in 0..a.n {
                    mean[x % 2] = S::add(mean[x % 2], S::load(a.z.add(x * a.channels + v)));
                }
                let mean = S::mul(S::add(mean[0], mean[1]), S::splat(1.0 / a.n as f32));
                let (mut rest, mut squares) = (S::splat(0.0), S::splat(0.0));
                for x in 0..a.n {
                    let d = S::fma(mean, S::splat(-1.0), S::load(a.z.add(x * a.channels + v)));
                    rest = S::add(rest, d);
                    squares = S::fma(d, d, squares);
                }
                S::store(a.out.add(v), mean);
                S::store(a.out.add(a.channels + v), rest);
                S::store(a.out.add(2 * a.channels + v), squares);
            }
        }
    }
}

/// Into two rows of channels; `more` is mean and 1 / sd.
impl<S: Simd<T = f32>> Body for LiveSums<'_, S> {
    type Out = ();
    #[inline(always)]
    fn call(self) {
        let a = *self.0;
        let zero = unsafe { S::splat(0.0) };
        for v in (0..a.channels).step_by(S::LANES) {
            unsafe {
                let (slope, offset) = (S::load(a.slope.add(v)), S::load(a.offset.add(v)));
                let mean = S::load(a.more[0].add(v));
                let (mut first, mut second) = (zero, zero);
                for x in 0..a.n {
                    let at = x * a.channels + v;
                    let z = S::load(a.z.add(at));
                    let g = S::positive(S::fma(slope, z, offset), S::load(a.g.add(at)), zero);
                    first = S::add(first, g);
                    second = S::fma(g, S::fma(mean, S::splat(-1.0), z), second);
                }
                S::store(a.out.add(v), first);
                S::store(a.out.add(a.channels + v), S::mul(second, S::load(a.more[1].add(v))));
            }
        }
    }
}

/// `slope g + more[1] (z - more[0]) + more[2]`.
impl<S: Simd<T = f32>> Body for Gradient<'_, S> {
    type Out = ();
    #[inline(always)]
    fn call(self) {
        let a = *self.0;
        let (zero, minus) = unsafe { (S::splat(0.0), S::splat(-1.0)) };
        for x in 0..a.n {
            for v in (0..a.channels).step_by(S::LANES) {
                let at = x * a.channels + v;
                unsafe {
                    let (z, slope) = (S::load(a.z.add(at)), S::load(a.slope.add(v)));
                    let g = S::positive(S::fma(slope, z, S::load(a.offset.add(v))), S::load(a.g.add(at)), zero);
                    let [mean, scale, constant] = [0, 1, 2].map(|i| a.more[i].add(v));
                    let centred = S::fma(S::load(mean), minus, z);
                    let rest = S::fma(S::load(scale), centred, S::load(constant));
                    S::store(a.out.add(at), S::fma(slope, g, rest));
                }
            }
        }
    }
}

impl Arrays {
    /// # Panics
    /// When slope and offset are no whole groups of channels, or z is no whole number of pixels.
    fn new(line: Channels<'_>, z: &[f32], g: &[f32], out: &mut [f32]) -> Self {
        let channels = line.slope.len();
        assert!(channels > 0 && channels.is_multiple_of(WIDTH) && line.offset.len() == channels);
        assert!(z.len().is_multiple_of(channels) && (g.is_empty() || g.len() == z.len()));
        Self {
            channels,
            n: z.len() / channels,
            slope: line.slope.as_ptr(),
            offset: line.offset.as_ptr(),
            more: [std::ptr::null(); 3],
            z: z.as_ptr(),
            g: g.as_ptr(),
            out: out.as_mut_ptr(),
        }
    }

    fn with(mut self, more: &[&[f32]]) -> Self {
        for (to, array) in self.more.iter_mut().zip(more) {
            assert_eq!(array.len(), self.channels);
            *to = array.as_ptr();
        }
        self
    }
}

/// Groups of channels of some rows of channels.
fn groups<const N: usize>(out: Vec<f32>) -> impl Iterator<Item = [[f32; WIDTH]; N]> {
    let n = out.len() / N / WIDTH;
    (0..n).map(move |group| std::array::from_fn(|row| out.as_chunks::<WIDTH>().0[row * n + group]))
}

impl Kernels {
    /// `out = max(slope z + offset, 0)`.
    ///
    /// # Panics
    /// When the sizes do not fit.
    pub fn activate(&self, line: Channels<'_>, z: &[f32], out: &mut [f32]) {
        assert_eq!(z.len(), out.len());
        let arrays = Arrays::new(line, z, &[], out);
        // SAFETY: the table holds only functions of sets that the machine has; sizes were checked.
        unsafe { (self.activate)(&arrays) }
    }

    /// For each group of channels: means, sums of the differences from them, sums of their squares.
    ///
    /// # Panics
    /// When `channels` is no whole groups, or z no whole number of pixels.
    pub fn moments(&self, z: &[f32], channels: usize) -> impl Iterator<Item = [[f32; WIDTH]; 3]> + use<> {
        let none = vec![0.0; channels];
        let mut out = vec![0.0; 3 * channels];
        let arrays = Arrays::new(Channels { slope: &none, offset: &none }, z, &[], &mut out);
        // SAFETY: as in `activate`.
        unsafe { (self.moments)(&arrays) }
        groups(out)
    }

    /// For each group of channels: sums of g, and of `g (z - mean) inverse`, where the ReLU is
    /// open.
    ///
    /// # Panics
    /// When the sizes do not fit.
    pub fn live_sums(
        &self,
        line: Channels<'_>,
        mean: &[f32],
        inverse: &[f32],
        z: &[f32],
        g: &[f32],
    ) -> impl Iterator<Item = [[f32; WIDTH]; 2]> + use<> {
        assert_eq!(z.len(), g.len());
        let mut out = vec![0.0; 2 * line.slope.len()];
        let arrays = Arrays::new(line, z, g, &mut out).with(&[mean, inverse]);
        // SAFETY: as in `activate`.
        unsafe { (self.live_sums)(&arrays) }
        groups(out)
    }

    /// `out = slope g + scale (z - mean) + constant` for `more = [mean, scale, constant]`, g where
    /// the ReLU is open, else 0.
    ///
    /// # Panics
    /// When the sizes do not fit.
    pub fn norm_gradient(&self, line: Channels<'_>, more: [&[f32]; 3], z: &[f32], g: &[f32], out: &mut [f32]) {
        assert!(z.len() == g.len() && z.len() == out.len());
        let arrays = Arrays::new(line, z, g, out).with(&more);
        // SAFETY: as in `activate`.
        unsafe { (self.gradient)(&arrays) }
    }
}
