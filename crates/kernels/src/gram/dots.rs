//! Dot products between the rows of two matrices.

use crate::simd::{Body, Simd};

/// Numbers of a 32-bit sum in [`products`].
const PRODUCT_BLOCK: usize = 1024;

/// Dot products of `MR` rows with `MC` others over one block.
struct Dots<'a, S: Simd, const MR: usize, const MC: usize> {
    xs: [&'a [f32]; MR],
    zs: [&'a [f32]; MC],
    of: std::marker::PhantomData<S>,
}

impl<S: Simd<T = f32>, const MR: usize, const MC: usize> Body for Dots<'_, S, MR, MC> {
    type Out = [[f32; MC]; MR];
    #[inline(always)]
    fn call(self) -> Self::Out {
        let len = self.xs[0].len();
        let whole = len / S::LANES * S::LANES;
        let mut out = [[0.0; MC]; MR];
        // SAFETY: all slices have one length (their maker cuts them so), and whole vectors below it
        // are read.
        unsafe {
            let mut sums = [[S::splat(0.0); MC]; MR];
            for at in (0..whole).step_by(S::LANES) {
                let mut z = [S::splat(0.0); MC];
                for c in 0..MC {
                    z[c] = S::load(self.zs[c].as_ptr().add(at));
                }
                for r in 0..MR {
                    let x = S::load(self.xs[r].as_ptr().add(at));
                    for c in 0..MC {
                        sums[r][c] = S::fma(x, z[c], sums[r][c]);
                    }
                }
            }
            for r in 0..MR {
                for c in 0..MC {
                    out[r][c] = S::sum(sums[r][c]);
                }
            }
        }
        for at in whole..len {
            for r in 0..MR {
                for c in 0..MC {
                    out[r][c] += self.xs[r][at] * self.zs[c][at];
                }
            }
        }
        out
    }
}

pub(super) unsafe fn products<S: Simd<T = f32>>(xs: &[f32], zs: &[f32], len: usize, out: &mut [f64]) {
    let (n_x, n_z) = (xs.len() / len, zs.len() / len);
    out.fill(0.0);
    for start in (0..len).step_by(PRODUCT_BLOCK) {
        let end = (start + PRODUCT_BLOCK).min(len);
        let x = |r: usize| &xs[r * len + start..r * len + end];
        let z = |c: usize| &zs[c * len + start..c * len + end];
        let mut r = 0;
        while r < n_x {
            let rows = if n_x - r >= 4 { 4 } else { 1 };
            let mut c = 0;
            while c < n_z {
                let columns = if n_z - c >= 4 { 4 } else { 1 };
                macro_rules! dots {
                    ($mr:literal, $mc:literal) => {{
                        let body = Dots::<S, $mr, $mc> {
                            xs: std::array::from_fn(|i| x(r + i)),
                            zs: std::array::from_fn(|i| z(c + i)),
                            of: std::marker::PhantomData,
                        };
                        for (i, row) in S::vectorize(body).iter().enumerate() {
                            for (j, &sum) in row.iter().enumerate() {
                                out[(r + i) * n_z + c + j] += f64::from(sum);
                            }
                        }
                    }};
                }
                match (rows, columns) {
                    (4, 4) => dots!(4, 4),
                    (4, _) => dots!(4, 1),
                    (_, 4) => dots!(1, 4),
                    _ => dots!(1, 1),
                }
                c += columns;
            }
            r += rows;
        }
    }
}
