//! Local response normalisation across channels.
//!
//! `s_c = k + alpha/n sum_{|d - c| <= n/2} x_d^2`, `y_c = x_c s_c^-beta`; backward: `gx_c = gy_c
//! s_c^-beta - 2 alpha beta / n x_c sum_{|d - c| <= n/2} gy_d x_d s_d^(-beta-1)`. Work unit: a row.
//! (Krizhevsky et al. 2012, section 3.3, with Caffe's division of alpha by n.)

use crate::epilogue::{Act, Store, pixel, pixel_mut};
use crate::mem::{Layout, Mem};
use crate::real::Real;
use crate::spec::Lrn;
use std::ops::Range;

/// The step forward.
#[derive(Debug, Clone)]
pub struct LrnForward<T> {
    /// Parameters.
    pub lrn: Lrn,
    /// Input.
    pub x: Layout,
    /// Output.
    pub y: Layout,
    /// Activation.
    pub act: Act<T>,
}

/// The step backward.
#[derive(Debug, Clone)]
pub struct LrnBackward<T> {
    /// Parameters.
    pub lrn: Lrn,
    /// Input of the forward pass.
    pub x: Layout,
    /// Gradient at the output.
    pub gy: Layout,
    /// Gradient at the input.
    pub gx: Layout,
    /// How to store.
    pub store: Store<T>,
}

/// `s^-beta`, by square roots for the usual 3/4. The choice is made outside the loops over
/// channels, which otherwise stay scalar.
#[inline(always)]
fn shrink<T: Real, const THREE_QUARTERS: bool>(s: T, beta: T) -> T {
    if THREE_QUARTERS {
        let root = s.sqrt();
        T::ONE / (root * root.sqrt())
    } else {
        s.powf(-beta)
    }
}

/// One pixel's channels with half a window of zeros on both sides.
struct Line<T> {
    values: Vec<T>,
    half: usize,
    n_channels: usize,
}

impl<T: Real> Line<T> {
    fn new(n_channels: usize, n: usize) -> Self {
        Line { values: vec![T::ZERO; n_channels + n - 1], half: n / 2, n_channels }
    }
    #[inline(always)]
    fn channels(&mut self) -> &mut [T] {
        &mut self.values[self.half..self.half + self.n_channels]
    }
    /// Sums over the windows around each channel.
    #[inline(always)]
    fn windowed(&self, out: &mut [T]) {
        out.copy_from_slice(&self.values[..self.n_channels]);
        for d in 1..=2 * self.half {
            for (o, &v) in out.iter_mut().zip(&self.values[d..]) {
                *o += v;
            }
        }
    }
}

impl<T: Real> LrnForward<T> {
    /// Runs output rows.
    ///
    /// # Safety
    /// Layouts lie inside `mem`; the rows belong to the caller.
    #[inline(always)]
    pub unsafe fn run(&self, mem: &Mem<T>, rows: Range<usize>) {
        // SAFETY: passed on.
        unsafe {
            match self.lrn.beta {
                0.75 => self.rows::<true>(mem, rows),
                _ => self.rows::<false>(mem, rows),
            }
        }
    }

    #[inline(always)]
    unsafe fn rows<const THREE_QUARTERS: bool>(&self, mem: &Mem<T>, rows: Range<usize>) {
        let (lrn, c) = (&self.lrn, self.x.c);
        let (k, beta) = (T::from_f32(lrn.k), T::from_f32(lrn.beta));
        let a = T::from_f64(f64::from(lrn.alpha) / lrn.n as f64);
        let mut squares = Line::new(c, lrn.n);
        let mut sums = vec![T::ZERO; c];
        for i in rows {
            for j in 0..self.y.w {
                // SAFETY: pixels of the input and of the caller's rows.
                let (x, y) = unsafe {
                    (pixel(mem, &self.x, i as isize, j as isize), pixel_mut(mem, &self.y, i as isize, j as isize))
                };
                squares.channels().iter_mut().zip(x).for_each(|(s, &x)| *s = x * x);
                squares.windowed(&mut sums);
                for ((y, &x), &s) in y.iter_mut().zip(x).zip(&sums) {
                    *y = x * shrink::<T, THREE_QUARTERS>(k + a * s, beta);
                }
                self.act.value_row(y);
            }
        }
    }
}

impl<T: Real> LrnBackward<T> {
    /// Runs rows of the input's gradient.
    ///
    /// # Safety
    /// Layouts lie inside `mem`; the rows belong to the caller.
    #[inline(always)]
    pub unsafe fn run(&self, mem: &Mem<T>, rows: Range<usize>) {
        // SAFETY: passed on.
        unsafe {
            match self.lrn.beta {
                0.75 => self.rows::<true>(mem, rows),
                _ => self.rows::<false>(mem, rows),
            }
        }
    }

    #[inline(always)]
    unsafe fn rows<const THREE_QUARTERS: bool>(&self, mem: &Mem<T>, rows: Range<usize>) {
        let (lrn, c) = (&self.lrn, self.x.c);
        let (k, beta) = (T::from_f32(lrn.k), T::from_f32(lrn.beta));
        let a = T::from_f64(f64::from(lrn.alpha) / lrn.n as f64);
        let factor = T::from_f64(2.0 * f64::from(lrn.alpha) * f64::from(lrn.beta) / lrn.n as f64);
        let (mut squares, mut cross) = (Line::new(c, lrn.n), Line::new(c, lrn.n));
        let (mut sums, mut direct) = (vec![T::ZERO; c], vec![T::ZERO; c]);
        for i in rows {
            for j in 0..self.gx.w {
                let (r, q) = (i as isize, j as isize);
                // SAFETY: pixels of the tensors and of the caller's rows.
                let (x, gy, gx) =
                    unsafe { (pixel(mem, &self.x, r, q), pixel(mem, &self.gy, r, q), pixel_mut(mem, &self.gx, r, q)) };
                squares.channels().iter_mut().zip(x).for_each(|(s, &x)| *s = x * x);
                squares.windowed(&mut sums);
                let lines = direct.iter_mut().zip(cross.channels());
                for (((d, t), (&x, &g)), &s) in lines.zip(x.iter().zip(gy)).zip(&sums) {
                    let s = k + a * s;
                    *d = g * shrink::<T, THREE_QUARTERS>(s, beta);
                    *t = *d * x / s;
                }
                cross.windowed(&mut sums);
                for (((o, &d), &x), &s) in gx.iter_mut().zip(&direct).zip(x).zip(&sums) {
                    let z = d - factor * x * s;
                    *o = if self.store.accumulate { *o + z } else { z };
                }
            }
            // SAFETY: one of the caller's rows.
            unsafe { self.store.finish_row(mem, &self.gx, i) };
        }
    }
}
