//! Kernels that each work on one channel: row by row, forward, at the input and at the taps.

use super::{Kernels, WIDTH};
use crate::simd::{Body, Simd};
use std::marker::PhantomData;

/// Most rows that meet one row: kernels are at most this high.
pub const MOST_ROWS: usize = 15;

/// How a row of `n` pixels is made of other rows: `out[x] = sum over rows and taps t < n_taps of
/// row[x in_step + t] w[t]`, channel by channel.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Channels with padding: whole groups of [`WIDTH`].
    pub channels: usize,
    /// Pixels of the result.
    pub n: usize,
    /// Pixels of a row from one result to the next.
    pub in_step: usize,
    /// Pixels from one result to the next where it is stored (1 for [`Kernels::taps`]).
    pub out_step: usize,
    pub n_taps: usize,
}

pub(super) type Correlate = unsafe fn(&Row, *mut f32, &[(*const f32, *const f32)]);
pub(super) type Taps = unsafe fn(&Row, *mut f32, *const f32, *const f32);

/// Pixels of a tile.
const PIXELS: usize = 8;

struct CorrelateBody<'a, S> {
    row: &'a Row,
    out: *mut f32,
    rows: &'a [(*const f32, *const f32)],
    of: PhantomData<S>,
}

impl<S: Simd<T = f32>> Body for CorrelateBody<'_, S> {
    type Out = ();
    #[inline(always)]
    fn call(self) {
        let Row { channels, n, in_step, out_step, n_taps } = *self.row;
        for x in (0..n).step_by(PIXELS) {
            let m = PIXELS.min(n - x);
            // Pixels beyond the last repeat it and are not stored.
            let mut at = [0; PIXELS];
            for (p, at) in at.iter_mut().enumerate() {
                *at = (x + p.min(m - 1)) * in_step * channels;
            }
            for v in (0..channels).step_by(S::LANES) {
                // SAFETY: `Kernels::correlate` checked the last pixel of every row and of the
                // result.
                unsafe {
                    let mut acc = [S::splat(0.0); PIXELS];
                    for &(row, weights) in self.rows {
                        for t in 0..n_taps {
                            let w = S::load(weights.add(t * channels + v));
                            let from = row.add(t * channels + v);
                            for p in 0..PIXELS {
                                acc[p] = S::fma(S::load(from.add(at[p])), w, acc[p]);
                            }
                        }
                    }
                    for p in 0..PIXELS {
                        if p < m {
                            S::store(self.out.add((x + p) * out_step * channels + v), acc[p]);
                        }
                    }
                }
            }
        }
    }
}

pub(super) unsafe fn correlate<S: Simd<T = f32>>(row: &Row, out: *mut f32, rows: &[(*const f32, *const f32)]) {
    S::vectorize(CorrelateBody::<S> { row, out, rows, of: PhantomData });
}

/// Gradients at up to `T` taps of one row of a kernel.
struct TapsBody<'a, S, const T: usize> {
    row: &'a Row,
    taps: *mut f32,
    input: *const f32,
    gradient: *const f32,
    of: PhantomData<S>,
}

impl<S: Simd<T = f32>, const T: usize> Body for TapsBody<'_, S, T> {
    type Out = ();
    #[inline(always)]
    fn call(self) {
        let Row { channels, n, in_step, .. } = *self.row;
        for v in (0..channels).step_by(S::LANES) {
            // SAFETY: as in `CorrelateBody`.
            unsafe {
                let mut acc = [S::splat(0.0); T];
                for t in 0..T {
                    acc[t] = S::load(self.taps.add(t * channels + v));
                }
                for x in 0..n {
                    let g = S::load(self.gradient.add(x * channels + v));
                    let from = self.input.add(x * in_step * channels + v);
                    for t in 0..T {
                        acc[t] = S::fma(S::load(from.add(t * channels)), g, acc[t]);
                    }
                }
                for t in 0..T {
                    S::store(self.taps.add(t * channels + v), acc[t]);
                }
            }
        }
    }
}

pub(super) unsafe fn taps<S: Simd<T = f32>>(row: &Row, out: *mut f32, input: *const f32, gradient: *const f32) {
    let mut t = 0;
    while t < row.n_taps {
        // SAFETY: within the taps of the row.
        let (taps, input) = unsafe { (out.add(t * row.channels), input.add(t * row.channels)) };
        macro_rules! some {
            ($n:literal) => {{
                S::vectorize(TapsBody::<S, $n> { row, taps, input, gradient, of: PhantomData });
                t += $n;
            }};
        }
        match row.n_taps - t {
            1 => some!(1),
            2 => some!(2),
            3 => some!(3),
            4 => some!(4),
            _ => some!(5),
        }
    }
}

impl Kernels {
    /// One row of the result from rows of the input and of weights (`n_taps` x channels each).
    ///
    /// # Panics
    /// When a slice is too short, or channels are no whole groups.
    pub fn correlate(&self, row: &Row, out: &mut [f32], rows: &[(&[f32], &[f32])]) {
        let c = row.channels;
        assert!(row.n > 0 && row.n_taps > 0 && c > 0 && c.is_multiple_of(WIDTH) && rows.len() <= MOST_ROWS);
        assert!(((row.n - 1) * row.out_step + 1) * c <= out.len(), "a result of {row:?}");
        let mut pointers = [(std::ptr::null(), std::ptr::null()); MOST_ROWS];
        for (pointer, (input, weights)) in pointers.iter_mut().zip(rows) {
            assert!(((row.n - 1) * row.in_step + row.n_taps) * c <= input.len(), "an input of {row:?}");
            assert!(row.n_taps * c <= weights.len(), "weights of {row:?}");
            *pointer = (input.as_ptr(), weights.as_ptr());
        }
        // SAFETY: the table holds only functions of sets that the machine has; sizes were checked.
        unsafe { (self.correlate)(row, out.as_mut_ptr(), &pointers[..rows.len()]) }
    }

    /// Adds to the gradient at the taps of one row of a kernel (`n_taps` x channels):
    /// `taps[t] += sum over x of input[x in_step + t] gradient[x]`, channel by channel.
    ///
    /// # Panics
    /// As [`correlate`](Self::correlate).
    pub fn taps(&self, row: &Row, taps: &mut [f32], input: &[f32], gradient: &[f32]) {
        let c = row.channels;
        assert!(row.n > 0 && row.n_taps > 0 && c > 0 && c.is_multiple_of(WIDTH));
        assert!(row.n * c <= gradient.len() && row.n_taps * c <= taps.len(), "taps of {row:?}");
        assert!(((row.n - 1) * row.in_step + row.n_taps) * c <= input.len(), "an input of {row:?}");
        // SAFETY: the table holds only functions of sets that the machine has; sizes were checked.
        unsafe { (self.taps)(row, taps.as_mut_ptr(), input.as_ptr(), gradient.as_ptr()) }
    }
}
