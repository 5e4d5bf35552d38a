//! Depthwise convolution: each channel has its own kernel, `y[c] = b[c] + sum w[ky,kx,c] x[c, y s + ky, x s + kx]`.
//!
//! Forward and, phase by phase of the stride, backward (flipped taps). A row of up to eight output pixels times one vector
//! of channels is held in registers; a kernel row's weights are loaded once for it. Work unit: an output row.

use crate::epilogue::{Act, Store};
use crate::mem::{Aligned, Mem, Space};
use crate::real::Real;
use crate::simd::{Body, Simd};
use std::ops::Range;

/// Pixels held in registers.
const TILE: usize = 8;

/// A regular grid of pixels in a tensor.
#[derive(Debug, Clone, Copy)]
pub struct Grid {
    /// Block.
    pub space: Space,
    /// Element of the first pixel (its first tap, for a source), may be before the tensor's own first.
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
    /// Channels may be written in whole vectors.
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
        // SAFETY: passed on from `Depthwise::run`.
        unsafe {
            match self.step.taps.1 {
                3 => self.step.rows::<S, 3>(self.mem, self.rows),
                5 => self.step.rows::<S, 5>(self.mem, self.rows),
                2 => self.step.rows::<S, 2>(self.mem, self.rows),
                _ => self.step.rows::<S, 0>(self.mem, self.rows),
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

    #[inline(always)]
    unsafe fn rows<S: Simd<T = T>, const KX: usize>(&self, mem: &Mem<T>, rows: Range<usize>) {
        let vectors = self.n_channels.div_ceil(S::LANES);
        for y in rows {
            let mut x = 0;
            while x < self.n_cols {
                let m = (self.n_cols - x).min(TILE);
                for v in 0..vectors {
                    // SAFETY: passed on.
                    unsafe {
                        if m == TILE {
                            self.tile::<S, KX, TILE>(mem, y, x, v);
                        } else {
                            for i in x..x + m {
                                self.tile::<S, KX, 1>(mem, y, i, v);
                            }
                        }
                    }
                }
                x += m;
            }
        }
    }

    #[inline(always)]
    unsafe fn tile<S: Simd<T = T>, const KX: usize, const M: usize>(&self, mem: &Mem<T>, y: usize, x: usize, v: usize) {
        let channel = v * S::LANES;
        let width = if KX == 0 { self.taps.1 } else { KX };
        let padded = self.biases.as_slice().len();
        let start = self.src.at + (y * self.src.row + x * self.src.col + channel) as isize;
        #[cfg(debug_assertions)]
        self.check(mem, start, M, S::LANES);
        // SAFETY: the taps of M pixels lie inside the source (checked above in debug builds); weights and biases are
        // padded to whole vectors.
        unsafe {
            let base = mem.block(self.src.space).0.wrapping_offset(start);
            let mut acc = [S::load(self.biases.as_slice().as_ptr().add(channel)); M];
            let weights = self.weights.as_slice().as_ptr().add(channel);
            for ky in 0..self.taps.0 {
                let row = base.offset(ky as isize * self.tap_row);
                let w = weights.add(ky * width * padded);
                for kx in 0..width {
                    let wv = S::load(w.add(kx * padded));
                    let tap = row.offset(kx as isize * self.tap_col);
                    for (i, a) in acc.iter_mut().enumerate() {
                        *a = S::fma(S::load(tap.add(i * self.src.col)), wv, *a);
                    }
                }
            }
            self.finish::<S, M>(mem, y, x, channel, acc);
        }
    }

    #[inline(always)]
    unsafe fn finish<S: Simd<T = T>, const M: usize>(
        &self,
        mem: &Mem<T>,
        y: usize,
        x: usize,
        channel: usize,
        acc: [S::V; M],
    ) {
        let place = |grid: &Grid, i: usize| grid.at + (y * grid.row + (x + i) * grid.col + channel) as isize;
        // SAFETY: output pixels lie inside the destination, values inside theirs.
        unsafe {
            for (i, &z) in acc.iter().enumerate() {
                let out = mem.block(self.dst.space).0.wrapping_offset(place(&self.dst, i));
                let valid = (self.n_channels - channel).min(S::LANES);
                let whole = self.whole || valid == S::LANES;
                let mut z = self.act.value_vector::<S>(z);
                if self.store.accumulate {
                    z = S::add(z, if whole { S::load(out) } else { S::load_first(out, valid) });
                }
                if let (Some((act, _)), Some(grid)) = (&self.store.pull, &self.values) {
                    let from = mem.block(grid.space).0.wrapping_offset(place(grid, i));
                    z = act.pull_vector::<S>(S::load_first(from, valid), z);
                }
                if whole {
                    S::store(out, z);
                } else {
                    S::store_first(out, valid, z);
                }
            }
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
