//! Raw second moments of activations across images, computed where the activations lie.
//!
//! Forward, for activations A (n_images x n_units): `gram = A A^T` (n_images x n_images) and
//! `sums_i = sum_d A_id`, products in blocks of at most [`BLOCK`] elements in the element type,
//! blocks added in `f64`. Backward, for `G = dL/dgram`, `s = dL/dsums`:
//! `dL/dA_i = sum_j (G_ij + G_ji) A_j + s_i`. A representational dissimilarity matrix of raw,
//! centred or normalised patterns is a function of these moments alone.

use crate::epilogue::Store;
use crate::mem::{Layout, Mem};
use crate::real::Real;
use crate::simd::{Body, Simd};
use std::ops::Range;

/// Elements summed in the element type before `f64` takes over.
pub const BLOCK: usize = 2048;

/// Runs of contiguous elements that make up one row of a tensor: the row, or its pixels.
fn runs(l: &Layout, y: usize, dense: bool) -> impl Iterator<Item = (usize, usize)> + use<> {
    let (n, len) = if dense { (1, l.w * l.c) } else { (l.w, l.c) };
    let (first, cs) = (l.pixel(y as isize, 0), l.cs);
    (0..n).map(move |x| (first + x * cs, len))
}

/// Adds the moments of some rows to `gram` (upper triangle) and `sums`.
pub struct GramBody<'a, S: Simd> {
    /// The activations.
    pub x: Layout,
    /// Spans all images.
    pub mem: &'a Mem<S::T>,
    /// Rows.
    pub rows: Range<usize>,
    /// n_images x n_images.
    pub gram: &'a mut [f64],
    /// n_images.
    pub sums: &'a mut [f64],
}

impl<S: Simd> Body for GramBody<'_, S> {
    type Out = ();
    #[inline(always)]
    fn call(self) {
        let n = self.mem.n_images;
        for y in self.rows.clone() {
            for (first, len) in runs(&self.x, y, self.x.dense()) {
                for start in (0..len).step_by(BLOCK) {
                    let m = (len - start).min(BLOCK);
                    let at = |i: usize| {
                        // SAFETY: elements of the tensor of image i; nobody writes activations now.
                        unsafe { self.mem.read(self.x.space, i * self.mem.stride + first + start, m) }
                    };
                    for (i, sum) in self.sums.iter_mut().enumerate() {
                        *sum += total::<S>(at(i));
                    }
                    for i in (0..n).step_by(4) {
                        for j in (i..n).step_by(3) {
                            let a = std::array::from_fn::<_, 4, _>(|k| at((i + k).min(n - 1)));
                            let b = std::array::from_fn::<_, 3, _>(|k| at((j + k).min(n - 1)));
                            let dots = products::<S>(a, b);
                            for (p, row) in dots.iter().enumerate().take(n - i) {
                                for (q, dot) in row.iter().enumerate().take(n - j) {
                                    self.gram[(i + p) * n + j + q] += dot;
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn total<S: Simd>(x: &[S::T]) -> f64 {
    let whole = x.len() / S::LANES * S::LANES;
    // SAFETY: whole vectors of the slice.
    let lanes = unsafe {
        let mut acc = [S::splat(S::T::ZERO); 4];
        for (k, d) in (0..whole).step_by(S::LANES).enumerate() {
            acc[k % 4] = S::add(acc[k % 4], S::load(x.as_ptr().add(d)));
        }
        S::sum(S::add(S::add(acc[0], acc[1]), S::add(acc[2], acc[3])))
    };
    x[whole..].iter().fold(lanes.to_f64(), |sum, v| sum + v.to_f64())
}

/// All products of four with three vectors of equal length.
#[inline(always)]
fn products<S: Simd>(a: [&[S::T]; 4], b: [&[S::T]; 3]) -> [[f64; 3]; 4] {
    let len = a[0].len();
    let whole = len / S::LANES * S::LANES;
    let mut out = [[0.0; 3]; 4];
    // SAFETY: all slices have `len` elements.
    unsafe {
        let mut acc = [[S::splat(S::T::ZERO); 3]; 4];
        let mut d = 0;
        while d < whole {
            let bv = [S::load(b[0].as_ptr().add(d)), S::load(b[1].as_ptr().add(d)), S::load(b[2].as_ptr().add(d))];
            for p in 0..4 {
                let av = S::load(a[p].as_ptr().add(d));
                for q in 0..3 {
                    acc[p][q] = S::fma(av, bv[q], acc[p][q]);
                }
            }
            d += S::LANES;
        }
        for p in 0..4 {
            for q in 0..3 {
                out[p][q] = S::sum(acc[p][q]).to_f64();
            }
        }
    }
    for d in whole..len {
        for (row, a) in out.iter_mut().zip(a) {
            for (o, b) in row.iter_mut().zip(b) {
                *o += a[d].to_f64() * b[d].to_f64();
            }
        }
    }
    out
}

/// The gradient at activations from gradients at their moments. Work unit: a row, of all images.
#[derive(Debug, Clone)]
pub struct MomentBackward<T> {
    /// Which moment tap.
    pub tap: usize,
    /// Activations.
    pub x: Layout,
    /// Their gradient.
    pub gx: Layout,
    /// How to store.
    pub store: Store<T>,
}

/// [`MomentBackward`] as a [`Body`].
pub struct MomentBody<'a, S: Simd> {
    /// The step.
    pub step: &'a MomentBackward<S::T>,
    /// Spans all images.
    pub mem: &'a Mem<S::T>,
    /// `G + G^T`, n_images x n_images.
    pub matrix: &'a [S::T],
    /// `s`, n_images.
    pub offsets: &'a [S::T],
    /// Rows.
    pub rows: Range<usize>,
}

impl<S: Simd> Body for MomentBody<'_, S> {
    type Out = ();
    #[inline(always)]
    fn call(self) {
        let (n, step) = (self.mem.n_images, self.step);
        let dense = step.x.dense() && step.gx.dense();
        for y in self.rows.clone() {
            for ((from, len), (to, _)) in runs(&step.x, y, dense).zip(runs(&step.gx, y, dense)) {
                for i in (0..n).step_by(6) {
                    // SAFETY: a row of the tensor in all images; rows of the gradient belong to the
                    // caller.
                    unsafe { self.images(i, (n - i).min(6), from, to, len) };
                }
            }
            for i in 0..n {
                // SAFETY: as above.
                unsafe { step.store.finish_row(&self.mem.image(i), &step.gx, y) };
            }
        }
    }
}

impl<S: Simd> MomentBody<'_, S> {
    /// Gradients of images `i..i + m`, `m <= 6`, over one run of elements.
    #[inline(always)]
    unsafe fn images(&self, i: usize, m: usize, from: usize, to: usize, len: usize) {
        let (n, stride, step) = (self.mem.n_images, self.mem.stride, self.step);
        let whole = len / S::LANES * S::LANES;
        let rows: [&[S::T]; 6] = std::array::from_fn(|k| {
            let row = (i + k).min(i + m - 1);
            &self.matrix[row * n..(row + 1) * n]
        });
        // SAFETY: every access lies in a run of an image's tensor; checked by the slices taken
        // first and last.
        unsafe {
            debug_assert!(self.mem.read(step.x.space, (n - 1) * stride + from, len).len() == len);
            debug_assert!(self.mem.read(step.gx.space, (n - 1) * stride + to, len).len() == len);
            let x = self.mem.block(step.x.space).0.add(from);
            let out = self.mem.block(step.gx.space).0.add(to);
            for d in (0..whole).step_by(S::LANES) {
                let mut acc = [S::splat(S::T::ZERO); 6];
                for (k, a) in acc.iter_mut().enumerate() {
                    *a = S::splat(self.offsets[(i + k).min(n - 1)]);
                }
                for j in 0..n {
                    let a = S::load(x.add(j * stride + d));
                    for k in 0..6 {
                        acc[k] = S::fma(S::splat(*rows[k].get_unchecked(j)), a, acc[k]);
                    }
                }
                for (k, &z) in acc.iter().enumerate().take(m) {
                    let to = out.add((i + k) * stride + d);
                    S::store(to, if step.store.accumulate { S::add(z, S::load(to)) } else { z });
                }
            }
            for d in whole..len {
                for (k, row) in rows.iter().enumerate().take(m) {
                    let mut z = self.offsets[i + k];
                    for (j, &g) in row.iter().enumerate() {
                        z += g * *x.add(j * stride + d);
                    }
                    let to = out.add((i + k) * stride + d);
                    *to = if step.store.accumulate { *to + z } else { z };
                }
            }
        }
    }
}
