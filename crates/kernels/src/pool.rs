//! Pools over windows, forward and backward, vectorised over channels.
//!
//! Max: `y[c] = max over the window's pixels inside the image`; one byte per output remembers which
//! pixel won (the first of equals), and the backward pass gathers: each input pixel asks the few
//! windows that contain it. Average: `y[c] = sum / divisor`, the divisor counts the window clipped
//! to the padded image or to the image. Work unit: a row of the tensor that is written.

use crate::epilogue::{Act, Store, pixel, pixel_mut};
use crate::mem::{Layout, Mem};
use crate::real::Real;
use crate::spec::{Pool, PoolKind};
use std::ops::Range;

/// `y = act(pool(x))`.
#[derive(Debug, Clone)]
pub struct PoolForward<T> {
    /// Parameters.
    pub pool: Pool,
    /// Input.
    pub x: Layout,
    /// Output.
    pub y: Layout,
    /// First winner byte of the image, when the backward pass will ask.
    pub winners: Option<usize>,
    /// Activation.
    pub act: Act<T>,
}

/// `gx (+)= pool'(gy)`.
#[derive(Debug, Clone)]
pub struct PoolBackward<T> {
    /// Parameters.
    pub pool: Pool,
    /// Gradient at the input, written.
    pub gx: Layout,
    /// Gradient at the output.
    pub gy: Layout,
    /// First winner byte of the image.
    pub winners: usize,
    /// How to store.
    pub store: Store<T>,
}

/// Pixels of the image that window `i` covers along one side.
#[inline(always)]
fn covered(i: usize, k: usize, s: usize, before: usize, n: usize) -> Range<usize> {
    let start = i * s;
    start.saturating_sub(before)..(start + k).saturating_sub(before).min(n)
}

/// Windows that cover pixel `p` along one side.
#[inline(always)]
fn covering(p: usize, k: usize, s: usize, before: usize, n_windows: usize) -> Range<usize> {
    let q = p + before;
    let first = (q + 1).saturating_sub(k).div_ceil(s);
    first..(q / s + 1).min(n_windows)
}

/// `1 / divisor` of the window at output `(i, j)`.
#[inline(always)]
fn weight<T: Real>(pool: &Pool, x: (usize, usize), i: usize, j: usize) -> T {
    let side = |i: usize, k: usize, s: usize, before: usize, after: usize, n: usize| match pool.kind {
        PoolKind::AvgIncludePad => (i * s + k).min(n + before + after) - i * s,
        _ => covered(i, k, s, before, n).len(),
    };
    let h = side(i, pool.kernel.0, pool.stride.0, pool.pad.top, pool.pad.bottom, x.0);
    let w = side(j, pool.kernel.1, pool.stride.1, pool.pad.left, pool.pad.right, x.1);
    T::from_f64(1.0 / (h * w).max(1) as f64)
}

impl<T: Real> PoolForward<T> {
    /// Runs output rows.
    ///
    /// # Safety
    /// Layouts lie inside `mem`; the rows belong to the caller.
    #[inline(always)]
    pub unsafe fn run(&self, mem: &Mem<T>, rows: Range<usize>) {
        let p = &self.pool;
        for i in rows {
            let ys = covered(i, p.kernel.0, p.stride.0, p.pad.top, self.x.h);
            for j in 0..self.y.w {
                let xs = covered(j, p.kernel.1, p.stride.1, p.pad.left, self.x.w);
                // SAFETY: an output pixel of the caller's rows.
                let out = unsafe { pixel_mut(mem, &self.y, i as isize, j as isize) };
                match (p.kind, self.winners) {
                    (PoolKind::Max, Some(at)) => {
                        let c = self.y.c;
                        // SAFETY: the winners of that pixel.
                        let winners = unsafe { mem.winners(at + (i * self.y.w + j) * c, c) };
                        self.max_with_winners(mem, (i, j), ys.clone(), xs, out, winners);
                    }
                    (PoolKind::Max, None) => self.max(mem, ys.clone(), xs, out),
                    _ => self.average(mem, (i, j), ys.clone(), xs, out),
                }
                self.act.value_row(out);
            }
        }
    }

    #[inline(always)]
    fn max(&self, mem: &Mem<T>, ys: Range<usize>, xs: Range<usize>, out: &mut [T]) {
        out.fill(T::NEG_INFINITY);
        for y in ys {
            for x in xs.clone() {
                // SAFETY: a pixel of the input.
                let from = unsafe { pixel(mem, &self.x, y as isize, x as isize) };
                for (o, &v) in out.iter_mut().zip(from) {
                    *o = if v > *o { v } else { *o };
                }
            }
        }
    }

    #[inline(always)]
    fn max_with_winners(
        &self,
        mem: &Mem<T>,
        (i, j): (usize, usize),
        ys: Range<usize>,
        xs: Range<usize>,
        out: &mut [T],
        winners: &mut [u8],
    ) {
        let p = &self.pool;
        out.fill(T::NEG_INFINITY);
        winners.fill(255);
        for y in ys {
            for x in xs.clone() {
                let tap = (y + p.pad.top - i * p.stride.0) * p.kernel.1 + x + p.pad.left - j * p.stride.1;
                // SAFETY: a pixel of the input.
                let from = unsafe { pixel(mem, &self.x, y as isize, x as isize) };
                for ((o, w), &v) in out.iter_mut().zip(winners.iter_mut()).zip(from) {
                    let better = v > *o;
                    *o = if better { v } else { *o };
                    *w = if better { tap as u8 } else { *w };
                }
            }
        }
    }

    #[inline(always)]
    fn average(&self, mem: &Mem<T>, (i, j): (usize, usize), ys: Range<usize>, xs: Range<usize>, out: &mut [T]) {
        out.fill(T::ZERO);
        for y in ys {
            for x in xs.clone() {
                // SAFETY: a pixel of the input.
                let from = unsafe { pixel(mem, &self.x, y as isize, x as isize) };
                for (o, &v) in out.iter_mut().zip(from) {
                    *o += v;
                }
            }
        }
        let w: T = weight(&self.pool, (self.x.h, self.x.w), i, j);
        out.iter_mut().for_each(|o| *o *= w);
    }
}

impl<T: Real> PoolBackward<T> {
    /// Runs rows of the input's gradient.
    ///
    /// # Safety
    /// Layouts lie inside `mem`; the rows belong to the caller.
    #[inline(always)]
    pub unsafe fn run(&self, mem: &Mem<T>, rows: Range<usize>) {
        let (p, gx, gy) = (&self.pool, &self.gx, &self.gy);
        for y in rows {
            let is = covering(y, p.kernel.0, p.stride.0, p.pad.top, gy.h);
            for x in 0..gx.w {
                let js = covering(x, p.kernel.1, p.stride.1, p.pad.left, gy.w);
                // SAFETY: a pixel of the caller's rows.
                let out = unsafe { pixel_mut(mem, gx, y as isize, x as isize) };
                if !self.store.accumulate {
                    out.fill(T::ZERO);
                }
                for i in is.clone() {
                    for j in js.clone() {
                        // SAFETY: a pixel of the output's gradient.
                        let g = unsafe { pixel(mem, gy, i as isize, j as isize) };
                        self.add(mem, (y, x), (i, j), g, out);
                    }
                }
            }
            // SAFETY: one of the caller's rows.
            unsafe { self.store.finish_row(mem, gx, y) };
        }
    }

    #[inline(always)]
    fn add(&self, mem: &Mem<T>, (y, x): (usize, usize), (i, j): (usize, usize), g: &[T], out: &mut [T]) {
        let p = &self.pool;
        if p.kind == PoolKind::Max {
            let tap = ((y + p.pad.top - i * p.stride.0) * p.kernel.1 + x + p.pad.left - j * p.stride.1) as u8;
            // SAFETY: the winners of that output pixel, only read here.
            let winners = unsafe { mem.winners(self.winners + (i * self.gy.w + j) * self.gy.c, self.gy.c) };
            for ((o, &g), &w) in out.iter_mut().zip(g).zip(winners.iter()) {
                *o += if w == tap { g } else { T::ZERO };
            }
        } else {
            let w: T = weight(p, (self.gx.h, self.gx.w), i, j);
            for (o, &g) in out.iter_mut().zip(g) {
                *o += w * g;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{covered, covering};

    #[test]
    fn covering_inverts_covered() {
        for (n, k, s, before, windows) in
            [(7, 3, 2, 1, 4), (8, 3, 2, 0, 4), (5, 2, 3, 0, 2), (6, 5, 1, 2, 6), (4, 1, 2, 0, 2)]
        {
            for p in 0..n {
                let expected: Vec<usize> = (0..windows).filter(|&i| covered(i, k, s, before, n).contains(&p)).collect();
                let found: Vec<usize> = covering(p, k, s, before, windows).collect();
                assert_eq!(expected, found, "pixel {p} of {n}, window {k}/{s}, {before} before");
            }
        }
    }
}
