//! Convolutions of an image: few channels, five rows of taps, stride 1, in Winograd's form down the
//! columns.
//!
//! A strip of four output rows depends on eight input rows `d`. Per column, tap column and channel,
//! `Y = A^T [(G w) * (B^T d)]` takes eight multiplications where the direct form takes twenty: F(4,
//! 5). The tap columns stay a sum over contiguous elements, because a pixel has no channels beyond
//! its own. Interpolation points are 0, +-1/2, +-1, +-2 and infinity; in one dimension their
//! rounding errors stay near those of the direct form: 1e-7 of a layer's maximum in f32. (Lavin and
//! Gray 2016.) The gradient is [`crate::strip_gradient`].
//!
//! Work unit: a strip. Every output is computed by the same operations in the same order wherever
//! the units run.

use crate::epilogue::Act;
use crate::mem::{Layout, Mem, Space};
use crate::real::Real;
use crate::simd::{Body, Simd};
use std::mem::MaybeUninit;
use std::ops::Range;

/// Output rows of a strip.
pub const ROWS: usize = 4;
/// Rows of taps.
pub const TAPS: usize = 5;
/// Points: input rows of a strip.
pub const POINTS: usize = ROWS + TAPS - 1;

/// Elements from a point's transformed line to the next: not a power of two, for the sake of cache
/// sets.
const LINE: usize = 528;
/// Most elements of a vector.
const MOST_LANES: usize = 16;

/// The step.
#[derive(Debug, Clone)]
pub struct Strip<T> {
    /// Channels of the image, which has no others.
    pub n_channels: usize,
    /// Columns of taps.
    pub width: usize,
    /// Block of the image.
    pub space: Space,
    /// Element of the image under the first tap of the first output, may be before the tensor's own
    /// first.
    pub at: isize,
    /// Elements between rows of the image.
    pub pitch: usize,
    /// Output.
    pub out: Layout,
    /// Activation.
    pub act: Act<T>,
    /// Per vector of outputs: tap column and channel, point, lane.
    pub weights: crate::mem::Aligned<T>,
    /// Padded to vectors.
    pub biases: crate::mem::Aligned<T>,
}

/// `G`: POINTS x TAPS, row-major.
pub fn kernel_transform() -> [[f64; TAPS]; POINTS] {
    let points = [0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0];
    let mut g = [[0.0; TAPS]; POINTS];
    for (i, p) in points.iter().enumerate() {
        let others: f64 = points.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, q)| p - q).product();
        (0..TAPS).for_each(|k| g[i][k] = p.powi(k as i32) / others);
    }
    g[POINTS - 1][TAPS - 1] = 1.0;
    g
}

/// `B^T d`.
///
/// # Safety
/// Called inside `S::vectorize`.
#[inline(always)]
pub unsafe fn input_line<S: Simd>(d: [S::V; POINTS]) -> [S::V; POINTS] {
    // SAFETY: arithmetic only.
    unsafe {
        let c = |x: f64| S::splat(S::T::from_f64(x));
        // x^2 (x^2 - p^2) (x^2 - q^2) and x (x^2 - p^2) (x^2 - q^2), from the sum and the product
        // of the squares.
        let pair = |sum: f64, product: f64| {
            let even = S::fma(c(product), d[2], S::fma(c(-sum), d[4], d[6]));
            (even, S::fma(c(product), d[1], S::fma(c(-sum), d[3], d[5])))
        };
        let ((e1, o1), (eh, oh), (e2, o2)) = (pair(4.25, 1.0), pair(5.0, 4.0), pair(1.25, 0.25));
        let ends = |d: [S::V; 4]| S::fma(c(-1.0), d[0], S::fma(c(5.25), d[1], S::fma(c(-5.25), d[2], d[3])));
        [
            ends([d[0], d[2], d[4], d[6]]),
            S::add(e1, o1),
            S::fma(c(-1.0), o1, e1),
            S::fma(c(0.5), oh, eh),
            S::fma(c(-0.5), oh, eh),
            S::fma(c(2.0), o2, e2),
            S::fma(c(-2.0), o2, e2),
            ends([d[1], d[3], d[5], d[7]]),
        ]
    }
}

/// `A^T y`.
///
/// # Safety
/// Called inside `S::vectorize`.
#[inline(always)]
pub unsafe fn output_line<S: Simd>(y: [S::V; POINTS]) -> [S::V; ROWS] {
    // SAFETY: arithmetic only.
    unsafe {
        let c = |x: f64| S::splat(S::T::from_f64(x));
        let pair = |a: S::V, b: S::V| (S::add(a, b), S::fma(c(-1.0), b, a));
        let ((s1, d1), (sh, dh), (s2, d2)) = (pair(y[1], y[2]), pair(y[3], y[4]), pair(y[5], y[6]));
        [
            S::add(S::add(y[0], s1), S::add(sh, s2)),
            S::fma(c(2.0), d2, S::fma(c(0.5), dh, d1)),
            S::fma(c(4.0), s2, S::fma(c(0.25), sh, s1)),
            S::fma(c(8.0), d2, S::fma(c(0.125), dh, S::add(d1, y[7]))),
        ]
    }
}

struct StripBody<'a, S: Simd> {
    step: &'a Strip<S::T>,
    mem: &'a Mem<S::T>,
    strips: Range<usize>,
}

impl<S: Simd> Body for StripBody<'_, S> {
    type Out = ();
    #[inline(always)]
    fn call(self) {
        for strip in self.strips {
            // SAFETY: passed on from `Strip::run`.
            unsafe {
                match S::MR >= 8 {
                    true => self.step.strip::<S, 8, 3>(self.mem, strip),
                    false => self.step.strip::<S, 4, 3>(self.mem, strip),
                }
            }
        }
    }
}

impl<T: Real> Strip<T> {
    /// Number of work units.
    pub fn units(&self) -> usize {
        self.out.h.div_ceil(ROWS)
    }

    /// Runs strips.
    ///
    /// # Safety
    /// The eight rows under every strip lie inside the image's block, and the output in its own;
    /// the strips' rows belong to the caller.
    pub unsafe fn run<S: Simd<T = T>>(&self, mem: &Mem<T>, strips: Range<usize>) {
        S::vectorize(StripBody::<S> { step: self, mem, strips });
    }

    /// One strip, PASS points at a time, COLS columns in registers.
    #[inline(always)]
    unsafe fn strip<S: Simd<T = T>, const PASS: usize, const COLS: usize>(&self, mem: &Mem<T>, strip: usize) {
        let most = (LINE - MOST_LANES) / self.n_channels + 1 - self.width;
        let k = self.width * self.n_channels;
        let mut lines = MaybeUninit::<[T; POINTS * LINE]>::uninit();
        let lines = lines.as_mut_ptr().cast::<T>();
        for first in (0..self.out.w).step_by(most) {
            let columns = (self.out.w - first).min(most);
            // SAFETY: `most` columns with their taps fit into a line; vectors of weights and biases
            // are whole.
            unsafe {
                self.transform::<S>(mem, strip, first, (columns + self.width - 1) * self.n_channels, lines);
                for channel in (0..self.out.c).step_by(S::LANES) {
                    let weights = self.weights.as_slice().as_ptr().add(channel * k * POINTS);
                    let fast = self.fast::<S>(strip) && PASS == POINTS && columns >= COLS;
                    for next in (0..columns).step_by(COLS) {
                        let (m, y) = ((columns - next).min(COLS), strip * ROWS);
                        if fast {
                            // The last tile reaches back, and writes the same again.
                            let x = next.min(columns - COLS);
                            let from = lines.add(x * self.n_channels);
                            let acc = self.tile::<S, POINTS, COLS>(from, weights, COLS);
                            self.finish_fast::<S, COLS>(mem, (y, first + x), channel, acc);
                            continue;
                        }
                        let mut done = [[S::splat(T::ZERO); COLS]; POINTS];
                        for pass in (0..POINTS).step_by(PASS) {
                            let from = lines.add(next * self.n_channels + pass * LINE);
                            let acc = self.tile::<S, PASS, COLS>(from, weights.add(pass * S::LANES), m);
                            done[pass..pass + PASS].copy_from_slice(&acc);
                        }
                        self.finish::<S, COLS>(mem, (y, first + next), channel, &done, m);
                    }
                }
            }
        }
    }

    /// True when a strip is stored in whole vectors, all its rows, with a maximum as activation.
    fn fast<S: Simd<T = T>>(&self, strip: usize) -> bool {
        let whole = self.out.room >= self.out.c.next_multiple_of(S::LANES);
        whole && (strip + 1) * ROWS <= self.out.h && matches!(self.act, Act::None | Act::Relu)
    }

    #[inline(always)]
    unsafe fn transform<S: Simd<T = T>>(&self, mem: &Mem<T>, strip: usize, first: usize, len: usize, lines: *mut T) {
        let (base, total) = mem.block(self.space);
        let at = self.at + (strip * ROWS * self.pitch + first * self.n_channels) as isize;
        debug_assert!(at >= 0 && at as usize + (POINTS - 1) * self.pitch + len <= total, "strip at {at} of {total}");
        // SAFETY: rows lie inside the block (checked above in debug builds), which has slack for
        // the last vector.
        unsafe {
            let from = base.wrapping_offset(at);
            for i in (0..len).step_by(S::LANES) {
                let mut rows = [S::splat(T::ZERO); POINTS];
                for (y, row) in rows.iter_mut().enumerate() {
                    *row = S::load(from.add(y * self.pitch + i));
                }
                for (p, &value) in input_line::<S>(rows).iter().enumerate() {
                    S::store(lines.add(p * LINE + i), value);
                }
            }
        }
    }

    /// PASS points of COLS columns times a vector of outputs; columns from the `m`-th on repeat the
    /// one before.
    #[inline(always)]
    unsafe fn tile<S: Simd<T = T>, const PASS: usize, const COLS: usize>(
        &self,
        from: *const T,
        weights: *const T,
        m: usize,
    ) -> [[S::V; COLS]; PASS] {
        // SAFETY: lines hold `width` pixels from every column on; weights a vector for each of
        // their elements and points.
        unsafe {
            let mut columns = [from; COLS];
            for (t, column) in columns.iter_mut().enumerate() {
                *column = from.add(t.min(m - 1) * self.n_channels);
            }
            let mut w = weights;
            let mut acc = [[S::splat(T::ZERO); COLS]; PASS];
            for k in 0..self.width * self.n_channels {
                for p in 0..PASS {
                    let wv = S::load(w.add(p * S::LANES));
                    for t in 0..COLS {
                        acc[p][t] = S::fma(S::splat(*columns[t].add(p * LINE + k)), wv, acc[p][t]);
                    }
                }
                w = w.add(POINTS * S::LANES);
            }
            acc
        }
    }

    /// Stores a tile straight from registers; see [`fast`](Self::fast).
    #[inline(always)]
    unsafe fn finish_fast<S: Simd<T = T>, const COLS: usize>(
        &self,
        mem: &Mem<T>,
        (y, x): (usize, usize),
        channel: usize,
        acc: [[S::V; COLS]; POINTS],
    ) {
        // SAFETY: the tile's pixels lie inside the output, with room for whole vectors.
        unsafe {
            let bias = S::load(self.biases.as_slice().as_ptr().add(channel));
            let relu = self.act == Act::Relu;
            let at = self.out.pixel(y as isize, x as isize) + channel;
            let out = mem.block(self.out.space).0.wrapping_add(at);
            for t in 0..COLS {
                let points = std::array::from_fn(|p| acc[p][t]);
                let rows = output_line::<S>(points);
                for (i, &z) in rows.iter().enumerate() {
                    let z = S::add(z, bias);
                    let z = if relu { S::max(z, S::splat(T::ZERO)) } else { z };
                    S::store(out.wrapping_add(t * self.out.cs + i * self.out.pitch), z);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn finish<S: Simd<T = T>, const COLS: usize>(
        &self,
        mem: &Mem<T>,
        (y, x): (usize, usize),
        channel: usize,
        done: &[[S::V; COLS]; POINTS],
        m: usize,
    ) {
        let valid = (self.out.c - channel).min(S::LANES);
        let whole = self.out.room - channel >= S::LANES;
        // SAFETY: the tile's pixels lie inside the output; `room` allows whole vectors where they
        // are stored.
        unsafe {
            let bias = S::load(self.biases.as_slice().as_ptr().add(channel));
            for t in 0..m {
                let rows = output_line::<S>(std::array::from_fn(|p| done[p][t]));
                for (i, &z) in rows.iter().enumerate().take(self.out.h - y) {
                    let z = self.act.value_vector::<S>(S::add(z, bias));
                    let at = self.out.pixel((y + i) as isize, (x + t) as isize) + channel;
                    let out = mem.write(self.out.space, at, valid).as_mut_ptr();
                    if whole { S::store(out, z) } else { S::store_first(out, valid, z) }
                }
            }
        }
    }
}
