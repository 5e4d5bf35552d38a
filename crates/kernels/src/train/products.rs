//! Sums of products of numbers and rows: convolutions on images, products over channels, and the
//! gradients at the weights of both.

use super::{Kernels, WIDTH};
use crate::simd::{Simd, TileKernel};
use std::marker::PhantomData;

/// `out[r, v] = sum_{i < n[0], j < n[1]} a[r a_row + i a_steps[0] + j a_steps[1]] b[i b_steps[0] +
/// j b_steps[1] + v]` for `rows` rows r (of `out_row` numbers each) and `columns` columns v.
///
/// | | r | i, j | a | b |
/// |---|---|---|---|---|
/// | convolution | pixel | kernel's rows; its columns and channels | image | weights |
/// | product over channels | pixel | channel | activations | weights |
/// | gradient at weights | tap, or channel in | pixel | image or activations | gradient at the output |
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub rows: usize,
    /// Whole groups of [`WIDTH`].
    pub columns: usize,
    pub n: [usize; 2],
    pub a_row: usize,
    pub a_steps: [usize; 2],
    pub b_steps: [usize; 2],
    pub out_row: usize,
    /// Add to what is there.
    pub add: bool,
}

pub(super) type Run = unsafe fn(&Shape, *mut f32, *const f32, *const f32);

struct Tile<'a, S> {
    shape: &'a Shape,
    out: *mut f32,
    a: *const f32,
    b: *const f32,
    of: PhantomData<S>,
}

impl<S: Simd<T = f32>> TileKernel for Tile<'_, S> {
    type T = f32;

    #[inline(always)]
    unsafe fn tile<I: Simd<T = f32>, const MR: usize, const NV: usize>(&self, m: usize) {
        let s = self.shape;
        // SAFETY: `Kernels::products` checked the last element of each side; rows beyond the last
        // repeat it and are not stored.
        unsafe {
            let mut rows = [self.a; MR];
            let mut acc = [[I::splat(0.0); NV]; MR];
            for r in 0..MR {
                let row = r.min(m - 1);
                rows[r] = self.a.add(row * s.a_row);
                for v in 0..NV {
                    if s.add {
                        acc[r][v] = I::load(self.out.add(row * s.out_row + v * I::LANES));
                    }
                }
            }
            for i in 0..s.n[0] {
                let mut b = self.b.add(i * s.b_steps[0]);
                let mut at = i * s.a_steps[0];
                for _ in 0..s.n[1] {
                    let mut columns = [I::splat(0.0); NV];
                    for v in 0..NV {
                        columns[v] = I::load(b.add(v * I::LANES));
                    }
                    for r in 0..MR {
                        let x = I::splat(*rows[r].add(at));
                        for v in 0..NV {
                            acc[r][v] = I::fma(x, columns[v], acc[r][v]);
                        }
                    }
                    b = b.wrapping_add(s.b_steps[1]);
                    at += s.a_steps[1];
                }
            }
            for r in 0..MR {
                if r < m {
                    for v in 0..NV {
                        I::store(self.out.add(r * s.out_row + v * I::LANES), acc[r][v]);
                    }
                }
            }
        }
    }
}

pub(super) unsafe fn run<S: Simd<T = f32>>(shape: &Shape, out: *mut f32, a: *const f32, b: *const f32) {
    let vectors = shape.columns / S::LANES;
    let mut v = 0;
    while v < vectors {
        let (nv, most) = block::<S>(vectors - v);
        // Tiles of about the same height: a last one of a single row would cost as much as a whole
        // one.
        let height = shape.rows.div_ceil(shape.rows.div_ceil(most));
        for r in (0..shape.rows).step_by(height) {
            // SAFETY: rows and vectors of the shape, which the caller checked.
            unsafe {
                let kernel = Tile::<S> {
                    shape,
                    out: out.add(r * shape.out_row + v * S::LANES),
                    a: a.add(r * shape.a_row),
                    b: b.add(v * S::LANES),
                    of: PhantomData,
                };
                S::tile(&kernel, height.min(shape.rows - r), nv);
            }
        }
        v += nv;
    }
}

/// Vectors that a tile takes of some that are left, and its most rows. A vector by itself is worth
/// little where registers are many: of an odd number three are taken at once.
fn block<S: Simd>(left: usize) -> (usize, usize) {
    const LANES_OF_AVX512: usize = 16;
    match (S::LANES, left) {
        (LANES_OF_AVX512, n) if n > 1 && n % 2 == 1 => (3, 8),
        _ if left >= S::NV => (S::NV, S::MR),
        _ => (1, S::MR),
    }
}

impl Kernels {
    /// The sums of a [`Shape`].
    ///
    /// # Panics
    /// When `columns` is no whole number of groups, nothing is summed, or a slice is too short.
    pub fn products(&self, shape: &Shape, out: &mut [f32], a: &[f32], b: &[f32]) {
        let s = shape;
        assert!(s.rows > 0 && s.columns > 0 && s.columns.is_multiple_of(WIDTH) && s.n[0] > 0 && s.n[1] > 0);
        let last = |steps: [usize; 2]| (s.n[0] - 1) * steps[0] + (s.n[1] - 1) * steps[1];
        assert!((s.rows - 1) * s.a_row + last(s.a_steps) < a.len(), "numbers of {s:?}");
        assert!(last(s.b_steps) + s.columns <= b.len(), "rows of {s:?}");
        assert!((s.rows - 1) * s.out_row + s.columns <= out.len(), "sums of {s:?}");
        // SAFETY: the table holds only functions of sets that the machine has; sizes were checked.
        unsafe { (self.products)(shape, out.as_mut_ptr(), a.as_ptr(), b.as_ptr()) }
    }
}
