//! Depthwise convolution: each channel has its own kernel,
//! `y[c] = b[c] + sum w[ky,kx,c] x[c, y s + ky, x s + kx]`.
//!
//! Forward and, phase by phase of the stride, backward (flipped taps). A row of eight (or four)
//! output pixels times one vector of channels is held in registers, for strides 1 and 2 with the
//! source pixels under a row of taps, each loaded once for all outputs that it reaches. Work unit:
//! an output row.

use crate::epilogue::{Act, Store};
use crate::mem::{Aligned, Mem, Space};
use crate::real::Real;
use crate::simd::{Body, Simd};
use std::mem::MaybeUninit;
use std::ops::Range;

/// A regular grid of pixels in a tensor.
#[derive(Debug, Clone, Copy)]
pub struct Grid {
    /// Block.
    pub space: Space,
    /// Element of the first pixel (its first tap, for a source), may be before the tensor's own
    /// first.
    pub at: isize,
    /// Elements from a grid row to the next.
    pub row: usize,
    /// Elements from a grid pixel to the next.
    pub col: usize,
}

/// The step.
#[derive(Debug, Clone)]
pub struct Depthwise<T> {
    /// Rows of the output grid.
    pub n_rows: usize,
    /// Columns of the output grid.
    pub n_cols: usize,
    /// Channels.
    pub n_channels: usize,
    /// Input: the pixel under the first tap.
    pub src: Grid,
    /// Output.
    pub dst: Grid,
    /// Elements between tap rows in the source.
    pub tap_row: isize,
    /// Elements between taps of a row in the source.
    pub tap_col: isize,
    /// Taps: rows, columns.
    pub taps: (usize, usize),
    /// `ky, kx, channels padded to vectors`.
    pub weights: Aligned<T>,
    /// Channels padded to vectors.
    pub biases: Aligned<T>,
    /// Forward activation.
    pub act: Act<T>,
    /// Backward store; `pull` values are addressed by `values`.
    pub store: Store<T>,
    /// Grid of the activation values for `store.pull`.
    pub values: Option<Grid>,
    /// Channels may be written in whole vectors, and `values` read so.
    pub whole: bool,
}

struct RowBody<'a, S: Simd> {
    step: &'a Depthwise<S::T>,
    mem: &'a Mem<S::T>,
    rows: Range<usize>,
}

impl<S: Simd> Body for RowBody<'_, S> {
    type Out = ();
    #[inline(always)]
    fn call(self) {
        let RowBody { step, mem, rows } = self;
        // SAFETY: passed on from `Depthwise::run`.
        unsafe {
            match (step.taps.1, step.stride(), S::MR >= 8) {
                (5, 1, true) => step.shared_rows::<S, 5, 1, 8>(mem, rows),
                (5, 2, true) => step.shared_rows::<S, 5, 2, 8>(mem, rows),
                (3, 1, true) => step.shared_rows::<S, 3, 1, 8>(mem, rows),
                (3, 2, true) => step.shared_rows::<S, 3, 2, 8>(mem, rows),
                (2, 1, true) => step.shared_rows::<S, 2, 1, 8>(mem, rows),
                (5, 1, false) => step.shared_rows::<S, 5, 1, 4>(mem, rows),
                (5, 2, false) => step.shared_rows::<S, 5, 2, 4>(mem, rows),
                (3, 1, false) => step.shared_rows::<S, 3, 1, 4>(mem, rows),
                (3, 2, false) => step.shared_rows::<S, 3, 2, 4>(mem, rows),
                (2, 1, false) => step.shared_rows::<S, 2, 1, 4>(mem, rows),
                _ => step.rows::<S>(mem, rows),
            }
        }
    }
}

impl<T: Real> Depthwise<T> {
    /// Runs output rows.
    ///
    /// # Safety
    /// Grids lie inside `mem`; the rows' outputs belong to the caller.
    pub unsafe fn run<S: Simd<T = T>>(&self, mem: &Mem<T>, rows: Range<usize>) {
        S::vectorize(RowBody::<S> { step: self, mem, rows });
    }

    /// Source pixels from an output pixel to the next, when neighbouring taps are neighbouring
    /// pixels; else 0.
    fn stride(&self) -> usize {
        match self.tap_col {
            1.. if self.src.col.is_multiple_of(self.tap_col as usize) => self.src.col / self.tap_col as usize,
            _ => 0,
        }
    }

    /// Rows of M pixels or more, each of whose taps of a row are the neighbours' taps, too: KX
    /// taps, stride ST.
    #[inline(always)]
    unsafe fn shared_rows<S: Simd<T = T>, const KX: usize, const ST: usize, const M: usize>(
        &self,
        mem: &Mem<T>,
        rows: Range<usize>,
    ) {
        if self.n_cols < M {
            // SAFETY: passed on.
            return unsafe { self.rows::<S>(mem, rows) };
        }
        let relu = matches!(self.store.pull, Some((Act::Relu, _)));
        let fast = self.whole && self.act == Act::None && !self.store.accumulate && (relu || self.store.pull.is_none());
        for y in rows {
            for next in (0..self.n_cols).step_by(M) {
                // The last tile reaches back.
                let x = next.min(self.n_cols - M);
                for channel in (0..self.n_channels).step_by(S::LANES) {
                    // SAFETY: passed on.
                    unsafe {
                        let acc = self.shared_tile::<S, KX, ST, M>(mem, (y, x), channel);
                        if fast {
                            // Written twice where tiles overlap: the same.
                            let place = |grid: &Grid| {
                                let at = grid.at + (y * grid.row + x * grid.col + channel) as isize;
                                mem.block(grid.space).0.wrapping_offset(at)
                            };
                            let out = place(&self.dst);
                            let values = self.values.as_ref().map_or(out, place);
                            let step = self.values.map_or(0, |grid| grid.col);
                            for (i, &z) in acc.iter().enumerate() {
                                let z = match relu {
                                    true => S::positive(S::load(values.wrapping_add(i * step)), z, S::splat(T::ZERO)),
                                    false => z,
                                };
                                S::store(out.wrapping_add(i * self.dst.col), z);
                            }
                        } else {
                            let mut done = MaybeUninit::<[T; 8 * 16]>::uninit();
                            let done = done.as_mut_ptr().cast::<T>();
                            for (i, &z) in acc.iter().enumerate() {
                                S::store(done.add(i * S::LANES), z);
                            }
                            for i in next - x..M {
                                self.finish::<S>(mem, (y, x + i), channel, S::load(done.add(i * S::LANES)));
                            }
                        }
                    }
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn shared_tile<S: Simd<T = T>, const KX: usize, const ST: usize, const M: usize>(
        &self,
        mem: &Mem<T>,
        (y, x): (usize, usize),
        channel: usize,
    ) -> [S::V; M] {
        let padded = self.biases.as_slice().len();
        let start = self.src.at + (y * self.src.row + x * self.src.col + channel) as isize;
        #[cfg(debug_assertions)]
        self.check(mem, start, M, S::LANES);
        // SAFETY: the taps of M pixels lie inside the source (checked above in debug builds);
        // weights and biases are padded to whole vectors.
        unsafe {
            let mut row = mem.block(self.src.space).0.wrapping_offset(start).cast_const();
            let mut acc = [S::load(self.biases.as_slice().as_ptr().add(channel)); M];
            let mut w = self.weights.as_slice().as_ptr().add(channel);
            for _ in 0..self.taps.0 {
                // Pixels of one remainder of the stride after the other: each is loaded once.
                for first in 0..ST {
                    let mut pixels = [S::splat(T::ZERO); 12];
                    let n = M + (KX - first).div_ceil(ST) - 1;
                    let mut at = row.wrapping_offset(first as isize * self.tap_col);
                    for pixel in pixels.iter_mut().take(n) {
                        *pixel = S::load(at);
                        at = at.wrapping_add(self.src.col);
                    }
                    for k in 0..(KX - first).div_ceil(ST) {
                        let wv = S::load(w.add((first + k * ST) * padded));
                        for i in 0..M {
                            acc[i] = S::fma(pixels[i + k], wv, acc[i]);
                        }
                    }
                }
                w = w.add(KX * padded);
                row = row.wrapping_offset(self.tap_row);
            }
            acc
        }
    }

    /// Any row, pixel by pixel.
    #[inline(always)]
    unsafe fn rows<S: Simd<T = T>>(&self, mem: &Mem<T>, rows: Range<usize>) {
        for y in rows {
            for x in 0..self.n_cols {
                for channel in (0..self.n_channels).step_by(S::LANES) {
                    // SAFETY: passed on.
                    unsafe {
                        let z = self.pixel::<S>(mem, (y, x), channel);
                        self.finish::<S>(mem, (y, x), channel, z);
                    }
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn pixel<S: Simd<T = T>>(&self, mem: &Mem<T>, (y, x): (usize, usize), channel: usize) -> S::V {
        let padded = self.biases.as_slice().len();
        let start = self.src.at + (y * self.src.row + x * self.src.col + channel) as isize;
        #[cfg(debug_assertions)]
        self.check(mem, start, 1, S::LANES);
        // SAFETY: as in `shared_tile`.
        unsafe {
            let base = mem.block(self.src.space).0.wrapping_offset(start);
            let mut acc = S::load(self.biases.as_slice().as_ptr().add(channel));
            let weights = self.weights.as_slice().as_ptr().add(channel);
            for ky in 0..self.taps.0 {
                for kx in 0..self.taps.1 {
                    let tap = base.wrapping_offset(ky as isize * self.tap_row + kx as isize * self.tap_col);
                    let wv = S::load(weights.add((ky * self.taps.1 + kx) * padded));
                    acc = S::fma(S::load(tap), wv, acc);
                }
            }
            acc
        }
    }

    #[inline(always)]
    unsafe fn finish<S: Simd<T = T>>(&self, mem: &Mem<T>, (y, x): (usize, usize), channel: usize, z: S::V) {
        let place = |grid: &Grid| grid.at + (y * grid.row + x * grid.col + channel) as isize;
        // SAFETY: output pixels lie inside the destination, values inside theirs.
        unsafe {
            let out = mem.block(self.dst.space).0.wrapping_offset(place(&self.dst));
            let valid = (self.n_channels - channel).min(S::LANES);
            let whole = self.whole || valid == S::LANES;
            let mut z = self.act.value_vector::<S>(z);
            if self.store.accumulate {
                z = S::add(z, if whole { S::load(out) } else { S::load_first(out, valid) });
            }
            if let (Some((act, _)), Some(grid)) = (&self.store.pull, &self.values) {
                let from = mem.block(grid.space).0.wrapping_offset(place(grid));
                z = act.pull_vector::<S>(S::load_first(from, valid), z);
            }
            if whole { S::store(out, z) } else { S::store_first(out, valid, z) }
        }
    }

    #[cfg(debug_assertions)]
    fn check(&self, mem: &Mem<T>, start: isize, m: usize, lanes: usize) {
        let total = mem.block(self.src.space).1 as isize;
        let (rows, cols) = (self.taps.0 as isize - 1, self.taps.1 as isize - 1);
        let first = mem.first(self.src.space) as isize;
        let extent = rows * self.tap_row + cols * self.tap_col + ((m - 1) * self.src.col + lanes) as isize;
        assert!(
            self.taps.0 == 0 || self.taps.1 == 0 || (start >= first && start + extent <= total),
            "{start}+{extent} of {total}"
        );
    }
}
