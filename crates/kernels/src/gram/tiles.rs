//! Products of all pairs of conditions, in tiles that fit the registers.

use super::{Into, WIDTH};
use crate::simd::{Body, Simd};

/// Voxels whose products are summed in registers before they are added to the result; bounds the
/// rounding of 32-bit sums.
const BLOCK: usize = 256;

/// A tile of `MR` rows x `NV` vectors of products, held in registers over [`BLOCK`] voxels.
struct Tile<'a, S: Simd, const MR: usize, const NV: usize> {
    out: *mut f32,
    a: *const f32,
    b: *const f32,
    /// Numbers between a panel and the next.
    panel: usize,
    n_k: usize,
    stride: usize,
    into: Into,
    of: std::marker::PhantomData<&'a S>,
}

impl<S: Simd<T = f32>, const MR: usize, const NV: usize> Body for Tile<'_, S, MR, NV> {
    type Out = ();
    #[inline(always)]
    fn call(self) {
        let per_panel = WIDTH / S::LANES;
        // SAFETY: `gram` makes tiles that lie inside `out` and reads `n_k` lines of panels that
        // exist.
        unsafe {
            let mut sums = [[S::splat(0.0); NV]; MR];
            let mut b = [self.b; NV];
            for v in 0..NV {
                b[v] = self.b.add(v / per_panel * self.panel + v % per_panel * S::LANES);
            }
            let mut a = self.a;
            for _ in 0..self.n_k {
                let mut columns = [S::splat(0.0); NV];
                for v in 0..NV {
                    columns[v] = S::load(b[v]);
                    b[v] = b[v].add(WIDTH);
                }
                for r in 0..MR {
                    let x = S::splat(*a.add(r));
                    for v in 0..NV {
                        sums[r][v] = S::fma(x, columns[v], sums[r][v]);
                    }
                }
                a = a.add(WIDTH);
            }
            for r in 0..MR {
                for v in 0..NV {
                    let to = self.out.add(r * self.stride + v * S::LANES);
                    let sum = match self.into {
                        Into::Set => sums[r][v],
                        Into::Add => S::add(S::load(to), sums[r][v]),
                        Into::Subtract => S::fma(sums[r][v], S::splat(-1.0), S::load(to)),
                    };
                    S::store(to, sum);
                }
            }
        }
    }
}

/// Panels side by side in a tile: as many as the registers hold.
const fn panels_of_tile(lanes: usize) -> usize {
    if lanes == WIDTH { 3 } else { 1 }
}

pub(super) unsafe fn gram<S: Simd<T = f32>>(
    out: &mut [f32],
    a: &[f32],
    b: &[f32],
    n_k: usize,
    stride: usize,
    upper: bool,
    into: Into,
) {
    // 8 rows where a panel is one vector (24 sums for three panels), 4 where it is two or four.
    let rows = if S::LANES == WIDTH { 8 } else { 4 };
    let n_panels = stride / WIDTH;
    let panel = n_k * WIDTH;
    for start in (0..n_k.max(1)).step_by(BLOCK) {
        let len = BLOCK.min(n_k - start);
        for i in (0..stride).step_by(rows) {
            let mut j = if upper { i / WIDTH } else { 0 };
            while j < n_panels {
                let wide = panels_of_tile(S::LANES).min(n_panels - j);
                let a = &a[i / WIDTH * panel + start * WIDTH + i % WIDTH..];
                let b = &b[j * panel + start * WIDTH..];
                let to = &mut out[i * stride + j * WIDTH..];
                let (out, a, b) = (to.as_mut_ptr(), a.as_ptr(), b.as_ptr());
                let into = if start > 0 && into == Into::Set { Into::Add } else { into };
                macro_rules! tile {
                    ($mr:literal, $nv:literal) => {
                        S::vectorize(Tile::<S, $mr, $nv> {
                            out,
                            a,
                            b,
                            panel,
                            n_k: len,
                            stride,
                            into,
                            of: std::marker::PhantomData,
                        })
                    };
                }
                match (S::LANES, wide) {
                    (16, 3) => tile!(8, 3),
                    (16, 2) => tile!(8, 2),
                    (16, _) => tile!(8, 1),
                    (8, _) => tile!(4, 2),
                    _ => tile!(4, 4),
                }
                j += wide;
            }
        }
    }
}
