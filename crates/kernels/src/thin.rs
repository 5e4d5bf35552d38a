//! The gradient of a convolution at a tensor of few channels: the image.
//!
//! `gx[p, c] = sum over taps t, outputs o of w[t, o, c] gy[p + t, o]`, for each phase of the stride
//! with its own taps. Few channels would leave most of a vector empty, so vectors run over the
//! outputs `o`, which are the reduction, and their lanes are added at the end. Eight (or four)
//! neighbouring pixels times three channels are held in registers. Work unit: a row of every phase.

use crate::depthwise::Grid;
use crate::mem::{Aligned, Mem};
use crate::real::Real;
use crate::simd::{Body, Simd};
use std::ops::Range;

/// The pixels of one phase of the stride.
#[derive(Debug, Clone)]
pub struct Phase {
    /// Rows, columns.
    pub size: (usize, usize),
    /// Gradient at the outputs, at the phase's pixel.
    pub src: Grid,
    /// Gradient at the image.
    pub dst: Grid,
    /// From the pixel to each tap, in elements.
    pub taps: Vec<isize>,
    /// First weight.
    pub weight: usize,
}

/// The step.
#[derive(Debug, Clone)]
pub struct Thin<T> {
    /// Channels of the image.
    pub n_channels: usize,
    /// Channels of the output.
    pub n_outputs: usize,
    /// At most one for each pixel of the stride.
    pub phases: Vec<Phase>,
    /// Per phase: tap, vector of outputs, channel, lane.
    pub weights: Aligned<T>,
    /// Add to what is there.
    pub accumulate: bool,
}

struct RowBody<'a, S: Simd> {
    step: &'a Thin<S::T>,
    mem: &'a Mem<S::T>,
    rows: Range<usize>,
}

impl<S: Simd> Body for RowBody<'_, S> {
    type Out = ();
    #[inline(always)]
    fn call(self) {
        for y in self.rows {
            for phase in self.step.phases.iter().filter(|p| y < p.size.0) {
                // SAFETY: passed on from `Thin::run`.
                unsafe {
                    match (self.step.n_channels, S::MR >= 8) {
                        (3, true) => self.step.row::<S, 3, 8>(self.mem, phase, y),
                        (3, false) => self.step.row::<S, 3, 4>(self.mem, phase, y),
                        _ => self.step.row::<S, 1, 8>(self.mem, phase, y),
                    }
                }
            }
        }
    }
}

impl<T: Real> Thin<T> {
    /// Number of work units.
    pub fn units(&self) -> usize {
        self.phases.iter().map(|p| p.size.0).max().unwrap_or(0)
    }

    /// Runs rows.
    ///
    /// # Safety
    /// Every tap of every pixel lies inside its source, the pixels inside the destination; the rows
    /// belong to the caller.
    pub unsafe fn run<S: Simd<T = T>>(&self, mem: &Mem<T>, rows: Range<usize>) {
        S::vectorize(RowBody::<S> { step: self, mem, rows });
    }

    #[inline(always)]
    unsafe fn row<S: Simd<T = T>, const C: usize, const P: usize>(&self, mem: &Mem<T>, phase: &Phase, y: usize) {
        for x in (0..phase.size.1).step_by(P) {
            for channel in (0..self.n_channels).step_by(C) {
                // SAFETY: passed on; `row` is called with C = 1 or C = n_channels.
                unsafe { self.tile::<S, C, P>(mem, phase, (y, x), channel) };
            }
        }
    }

    #[inline(always)]
    unsafe fn tile<S: Simd<T = T>, const C: usize, const P: usize>(
        &self,
        mem: &Mem<T>,
        phase: &Phase,
        (y, x): (usize, usize),
        channel: usize,
    ) {
        let m = (phase.size.1 - x).min(P);
        let place = |grid: &Grid, p: usize| grid.at + (y * grid.row + (x + p) * grid.col) as isize;
        let whole = self.n_outputs / S::LANES * S::LANES;
        // SAFETY: taps and pixels lie inside their tensors; pixels beyond the last repeat it and
        // are not stored; weights hold whole vectors.
        unsafe {
            let (base, total) = mem.block(phase.src.space);
            let mut pixels = [base; P];
            for (p, pixel) in pixels.iter_mut().enumerate() {
                *pixel = base.wrapping_offset(place(&phase.src, p.min(m - 1)));
            }
            let mut w = self.weights.as_slice().as_ptr().add(phase.weight + channel * S::LANES);
            let mut acc = [[S::splat(T::ZERO); C]; P];
            for &tap in &phase.taps {
                debug_assert!(place(&phase.src, 0) + tap >= 0);
                debug_assert!((place(&phase.src, m - 1) + tap) as usize + self.n_outputs <= total);
                for o in (0..self.n_outputs).step_by(S::LANES) {
                    let mut wv = [S::splat(T::ZERO); C];
                    for (c, v) in wv.iter_mut().enumerate() {
                        *v = S::load(w.add(c * S::LANES));
                    }
                    for p in 0..P {
                        let at = pixels[p].wrapping_offset(tap + o as isize);
                        let g = if o < whole { S::load(at) } else { S::load_first(at, self.n_outputs - o) };
                        for c in 0..C {
                            acc[p][c] = S::fma(g, wv[c], acc[p][c]);
                        }
                    }
                    w = w.add(self.n_channels * S::LANES);
                }
            }
            // For all pixels: a loop over the first `m` would keep the accumulators out of
            // registers above.
            let mut sums = [[T::ZERO; C]; P];
            for p in 0..P {
                for c in 0..C {
                    sums[p][c] = S::sum(acc[p][c]);
                }
            }
            for (p, sum) in sums.iter().enumerate().take(m) {
                let out = mem.write(phase.dst.space, place(&phase.dst, p) as usize + channel, C);
                for (o, &z) in out.iter_mut().zip(sum) {
                    *o = if self.accumulate { *o + z } else { z };
                }
            }
        }
    }
}
