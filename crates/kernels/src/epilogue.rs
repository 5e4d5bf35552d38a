//! What happens to a result on its way to memory: `y = act(z)` forward; `g = (old + z) act'(y)`
//! backward.

use crate::mem::{Layout, Mem, Space};
use crate::real::Real;
use crate::simd::Simd;
use crate::spec::Activation;

/// An activation with its constant in the element type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Act<T> {
    /// See [`Activation`].
    None,
    /// See [`Activation`].
    Relu,
    /// See [`Activation`].
    Leaky(T),
    /// See [`Activation`].
    Sigmoid,
    /// See [`Activation`].
    Tanh,
}

impl<T: Real> From<Activation> for Act<T> {
    fn from(act: Activation) -> Self {
        match act {
            Activation::None => Act::None,
            Activation::Relu => Act::Relu,
            Activation::Leaky(slope) => Act::Leaky(T::from_f32(slope)),
            Activation::Sigmoid => Act::Sigmoid,
            Activation::Tanh => Act::Tanh,
        }
    }
}

impl<T: Real> Act<T> {
    /// The value of the activation.
    #[inline(always)]
    pub fn value(self, z: T) -> T {
        match self {
            Act::None => z,
            Act::Relu => {
                if z > T::ZERO {
                    z
                } else {
                    T::ZERO
                }
            }
            Act::Leaky(slope) => {
                if z > T::ZERO {
                    z
                } else {
                    slope * z
                }
            }
            Act::Sigmoid => T::ONE / (T::ONE + (-z).exp()),
            Act::Tanh => z.tanh(),
        }
    }
    /// The derivative, from the value `y`, times `g`.
    #[inline(always)]
    pub fn pull(self, y: T, g: T) -> T {
        match self {
            Act::None => g,
            Act::Relu => {
                if y > T::ZERO {
                    g
                } else {
                    T::ZERO
                }
            }
            Act::Leaky(slope) => {
                if y > T::ZERO {
                    g
                } else {
                    slope * g
                }
            }
            Act::Sigmoid => g * y * (T::ONE - y),
            Act::Tanh => g * (T::ONE - y * y),
        }
    }
    /// Applies the activation to a row in place.
    #[inline(always)]
    pub fn value_row(self, row: &mut [T]) {
        match self {
            Act::None => {}
            Act::Relu => row.iter_mut().for_each(|z| *z = if *z > T::ZERO { *z } else { T::ZERO }),
            _ => row.iter_mut().for_each(|z| *z = self.value(*z)),
        }
    }
    /// Multiplies a row of gradients by the derivative.
    #[inline(always)]
    pub fn pull_row(self, y: &[T], g: &mut [T]) {
        match self {
            Act::None => {}
            Act::Relu => g.iter_mut().zip(y).for_each(|(g, &y)| *g = if y > T::ZERO { *g } else { T::ZERO }),
            _ => g.iter_mut().zip(y).for_each(|(g, &y)| *g = self.pull(y, *g)),
        }
    }
    /// The activation of a vector.
    ///
    /// # Safety
    /// Called inside `S::vectorize`.
    #[inline(always)]
    pub unsafe fn value_vector<S: Simd<T = T>>(self, z: S::V) -> S::V {
        // SAFETY: the caller runs inside `S::vectorize`.
        unsafe {
            match self {
                Act::None => z,
                Act::Relu => S::max(z, S::splat(T::ZERO)),
                Act::Leaky(slope) => S::positive(z, z, S::mul(z, S::splat(slope))),
                _ => lanewise::<S>(z, z, |a, _| self.value(a)),
            }
        }
    }
    /// The derivative of a vector, from the value `y`, times `g`.
    ///
    /// # Safety
    /// Called inside `S::vectorize`.
    #[inline(always)]
    pub unsafe fn pull_vector<S: Simd<T = T>>(self, y: S::V, g: S::V) -> S::V {
        // SAFETY: the caller runs inside `S::vectorize`.
        unsafe {
            match self {
                Act::None => g,
                Act::Relu => S::positive(y, g, S::splat(T::ZERO)),
                Act::Leaky(slope) => S::positive(y, g, S::mul(g, S::splat(slope))),
                _ => lanewise::<S>(y, g, |a, b| self.pull(a, b)),
            }
        }
    }
}

/// A function lane by lane, for what has no vector form.
#[inline(always)]
unsafe fn lanewise<S: Simd>(a: S::V, b: S::V, f: impl Fn(S::T, S::T) -> S::T) -> S::V {
    let mut x = [S::T::ZERO; 16];
    let mut y = [S::T::ZERO; 16];
    // SAFETY: LANES is at most 16.
    unsafe {
        S::store(x.as_mut_ptr(), a);
        S::store(y.as_mut_ptr(), b);
        for (x, y) in x.iter_mut().zip(y) {
            *x = f(*x, y);
        }
        S::load(x.as_ptr())
    }
}

/// How a contribution to a gradient is stored.
#[derive(Debug, Clone, Copy)]
pub struct Store<T> {
    /// Add to what is there.
    pub accumulate: bool,
    /// Then multiply by the derivative of this activation, whose values lie there.
    pub pull: Option<(Act<T>, Layout)>,
}

impl<T: Real> Store<T> {
    /// Applies the derivative to row `y` of the gradient `g`.
    ///
    /// # Safety
    /// As [`Mem::write`] for the row, [`Mem::read`] for the values.
    #[inline(always)]
    pub unsafe fn finish_row(&self, mem: &Mem<T>, g: &Layout, y: usize) {
        let Some((act, values)) = self.pull else { return };
        for x in 0..g.w as isize {
            // SAFETY: pixels inside both tensors.
            let (g, v) = unsafe {
                (
                    mem.write(g.space, g.pixel(y as isize, x), g.c),
                    mem.read(values.space, values.pixel(y as isize, x), g.c),
                )
            };
            act.pull_row(v, g);
        }
    }
}

/// One vector of channels of a tensor, the same at every pixel: how it may be touched.
#[derive(Debug, Clone, Copy)]
pub struct Vector {
    layout: Layout,
    channel: usize,
    /// Channels of the vector that exist.
    valid: usize,
}

impl Vector {
    /// The vector of `lanes` channels from `channel` on.
    #[inline(always)]
    pub fn new(layout: &Layout, channel: usize, lanes: usize) -> Self {
        Vector { layout: *layout, channel, valid: (layout.c - channel).min(lanes) }
    }

    /// Stores `z` at a pixel of the tensor as `how` says.
    ///
    /// # Safety
    /// The pixel lies inside the tensor and belongs to the caller; values of `how` lie inside
    /// theirs. Called inside `S::vectorize`.
    #[inline(always)]
    pub unsafe fn store<S: Simd>(&self, mem: &Mem<S::T>, how: &Store<S::T>, (y, x): (usize, usize), z: S::V) {
        let (y, x) = (y as isize, x as isize);
        // SAFETY: promised by the caller.
        unsafe {
            let out = mem.write(self.layout.space, self.layout.pixel(y, x) + self.channel, self.valid).as_mut_ptr();
            let values = how.pull.map(|(act, l)| (act, mem.read(l.space, l.pixel(y, x) + self.channel, self.valid)));
            let whole = self.valid == S::LANES;
            let mut z = z;
            if how.accumulate {
                z = S::add(z, if whole { S::load(out) } else { S::load_first(out, self.valid) });
            }
            if let Some((act, values)) = values {
                let y = values.as_ptr();
                z = act.pull_vector::<S>(if whole { S::load(y) } else { S::load_first(y, self.valid) }, z);
            }
            if whole { S::store(out, z) } else { S::store_first(out, self.valid, z) }
        }
    }
}

/// Shorthand: the channels of a pixel, to read.
///
/// # Safety
/// As [`Mem::read`].
#[inline(always)]
pub unsafe fn pixel<'a, T: Real>(mem: &Mem<T>, layout: &Layout, y: isize, x: isize) -> &'a [T] {
    // SAFETY: passed on.
    unsafe { mem.read(layout.space, layout.pixel(y, x), layout.c) }
}

/// Shorthand: the channels of a pixel, to write.
///
/// # Safety
/// As [`Mem::write`].
#[inline(always)]
pub unsafe fn pixel_mut<'a, T: Real>(mem: &Mem<T>, layout: &Layout, y: isize, x: isize) -> &'a mut [T] {
    // SAFETY: passed on.
    unsafe { mem.write(layout.space, layout.pixel(y, x), layout.c) }
}

/// Sets the border around a tensor to zero; `top`, `left`, `bottom`, `right` in pixels.
#[derive(Debug, Clone)]
pub struct ZeroBorder {
    /// The tensor, all its channels.
    pub layout: Layout,
    /// Border.
    pub border: [usize; 4],
}

impl ZeroBorder {
    /// Writes the zeros.
    ///
    /// # Safety
    /// As [`Mem::write`] for the border.
    pub unsafe fn run<T: Real>(&self, mem: &Mem<T>) {
        let l = &self.layout;
        let [top, left, bottom, right] = self.border;
        let start = l.pixel(-(top as isize), -(left as isize));
        let space: Space = l.space;
        // SAFETY: the ranges are exactly the border of the tensor.
        unsafe {
            mem.write(space, start, top * l.pitch).fill(T::ZERO);
            for y in 0..l.h as isize {
                mem.write(space, l.pixel(y, -(left as isize)), left * l.cs).fill(T::ZERO);
                mem.write(space, l.pixel(y, l.w as isize), right * l.cs).fill(T::ZERO);
            }
            mem.write(space, l.pixel(l.h as isize, -(left as isize)), bottom * l.pitch).fill(T::ZERO);
        }
    }
}
