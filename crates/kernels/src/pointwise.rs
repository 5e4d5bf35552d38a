//! Operations that look at one pixel at a time: sums, affine maps, activations, softmax,
//! flattening. Work unit: an output row.

use crate::epilogue::{Act, Store, pixel, pixel_mut};
use crate::mem::{Layout, Mem};
use crate::real::Real;
use crate::spec::Order;
use std::ops::Range;

/// `out (+)= act(sum_i gain_i x_i + shift)`, on the pixels that `out` has, taken from
/// `(y, x) + origin` of the inputs; pixels that the inputs do not have count as zero.
#[derive(Debug, Clone)]
pub struct Map<T> {
    /// Inputs, each with an optional gain per channel.
    pub inputs: Vec<(Layout, Vec<T>)>,
    /// Per channel, or empty.
    pub shift: Vec<T>,
    /// Forward activation.
    pub act: Act<T>,
    /// Output.
    pub out: Layout,
    /// How to store.
    pub store: Store<T>,
    /// Row and column of the inputs at the output's first pixel.
    pub origin: (isize, isize),
}

impl<T: Real> Map<T> {
    /// Runs output rows.
    ///
    /// # Safety
    /// Layouts lie inside `mem`; the rows belong to the caller.
    #[inline(always)]
    pub unsafe fn run(&self, mem: &Mem<T>, rows: Range<usize>) {
        for y in rows {
            for x in 0..self.out.w {
                // SAFETY: a pixel of the caller's rows.
                let out = unsafe { pixel_mut(mem, &self.out, y as isize, x as isize) };
                self.pixel(mem, (y as isize + self.origin.0, x as isize + self.origin.1), out);
            }
            // SAFETY: one of the caller's rows.
            unsafe { self.store.finish_row(mem, &self.out, y) };
        }
    }

    #[inline(always)]
    fn pixel(&self, mem: &Mem<T>, (y, x): (isize, isize), out: &mut [T]) {
        let mut fresh = !self.store.accumulate;
        if !self.shift.is_empty() {
            out.copy_from_slice(&self.shift);
            fresh = false;
        }
        for (layout, gain) in &self.inputs {
            if y < 0 || x < 0 || y >= layout.h as isize || x >= layout.w as isize {
                continue;
            }
            // SAFETY: a pixel of the input.
            let from = unsafe { pixel(mem, layout, y, x) };
            match (fresh, gain.is_empty()) {
                (true, true) => out.copy_from_slice(from),
                (false, true) => out.iter_mut().zip(from).for_each(|(o, &v)| *o += v),
                (true, false) => out.iter_mut().zip(from).zip(gain).for_each(|((o, &v), &g)| *o = g * v),
                (false, false) => out.iter_mut().zip(from).zip(gain).for_each(|((o, &v), &g)| *o += g * v),
            }
            fresh = false;
        }
        if fresh {
            out.fill(T::ZERO);
        }
        self.act.value_row(out);
    }
}

/// Softmax over the channels of each pixel: `y = exp(x - max x) / sum exp(x - max x)`.
#[derive(Debug, Clone)]
pub struct SoftmaxForward {
    /// Input.
    pub x: Layout,
    /// Output.
    pub y: Layout,
}

impl SoftmaxForward {
    /// Runs output rows.
    ///
    /// # Safety
    /// Layouts lie inside `mem`; the rows belong to the caller.
    #[inline(always)]
    pub unsafe fn run<T: Real>(&self, mem: &Mem<T>, rows: Range<usize>) {
        for i in rows {
            for j in 0..self.y.w {
                // SAFETY: pixels of the input and of the caller's rows.
                let (x, y) = unsafe {
                    (pixel(mem, &self.x, i as isize, j as isize), pixel_mut(mem, &self.y, i as isize, j as isize))
                };
                let top = x.iter().fold(T::NEG_INFINITY, |m, &v| if v > m { v } else { m });
                let mut sum = T::ZERO;
                for (y, &x) in y.iter_mut().zip(x) {
                    *y = (x - top).exp();
                    sum += *y;
                }
                y.iter_mut().for_each(|y| *y = *y / sum);
            }
        }
    }
}

/// `gx (+)= y (gy - sum_c y gy)`.
#[derive(Debug, Clone)]
pub struct SoftmaxBackward<T> {
    /// Output of the forward pass.
    pub y: Layout,
    /// Gradient at the output.
    pub gy: Layout,
    /// Gradient at the input.
    pub gx: Layout,
    /// How to store.
    pub store: Store<T>,
}

impl<T: Real> SoftmaxBackward<T> {
    /// Runs rows.
    ///
    /// # Safety
    /// Layouts lie inside `mem`; the rows belong to the caller.
    #[inline(always)]
    pub unsafe fn run(&self, mem: &Mem<T>, rows: Range<usize>) {
        for i in rows {
            for j in 0..self.gx.w {
                let (r, c) = (i as isize, j as isize);
                // SAFETY: pixels of the tensors and of the caller's rows.
                let (y, gy, gx) =
                    unsafe { (pixel(mem, &self.y, r, c), pixel(mem, &self.gy, r, c), pixel_mut(mem, &self.gx, r, c)) };
                let mut dot = T::ZERO;
                y.iter().zip(gy).for_each(|(&y, &g)| dot += y * g);
                for ((o, &y), &g) in gx.iter_mut().zip(y).zip(gy) {
                    let z = y * (g - dot);
                    *o = if self.store.accumulate { *o + z } else { z };
                }
            }
            // SAFETY: one of the caller's rows.
            unsafe { self.store.finish_row(mem, &self.gx, i) };
        }
    }
}

/// Copies between a tensor and its flattened form. Work unit: a row of `whole`.
#[derive(Debug, Clone)]
pub struct Flatten<T> {
    /// `h x w x c`.
    pub whole: Layout,
    /// `1 x 1 x hwc`.
    pub flat: Layout,
    /// Order of `flat`.
    pub order: Order,
    /// From `flat` to `whole` (backward) instead of the other way.
    pub unflatten: bool,
    /// Forward activation.
    pub act: Act<T>,
    /// Backward store.
    pub store: Store<T>,
}

impl<T: Real> Flatten<T> {
    /// Runs rows of `whole`.
    ///
    /// # Safety
    /// Layouts lie inside `mem`; the rows and their places in `flat` belong to the caller.
    #[inline(always)]
    pub unsafe fn run(&self, mem: &Mem<T>, rows: Range<usize>) {
        let (l, size) = (&self.whole, self.whole.h * self.whole.w);
        for y in rows {
            for x in 0..l.w {
                let (first, step) = match self.order {
                    Order::Chw => (y * l.w + x, size),
                    Order::Hwc => ((y * l.w + x) * l.c, 1),
                };
                for c in 0..l.c {
                    let (from, to) = (l.pixel(y as isize, x as isize) + c, self.flat.at + first + c * step);
                    // SAFETY: one element of each tensor.
                    unsafe {
                        if self.unflatten {
                            let value = mem.read(self.flat.space, to, 1)[0];
                            let out = &mut mem.write(l.space, from, 1)[0];
                            *out = if self.store.accumulate { *out + value } else { value };
                        } else {
                            mem.write(self.flat.space, to, 1)[0] = self.act.value(mem.read(l.space, from, 1)[0]);
                        }
                    }
                }
            }
            if self.unflatten {
                // SAFETY: one of the caller's rows.
                unsafe { self.store.finish_row(mem, l, y) };
            }
        }
    }
}
