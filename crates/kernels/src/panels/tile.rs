//! Products of a group of rows with a few panels, in registers.

use super::{ROWS, WIDTH};
use crate::simd::{Body, Simd};
use std::marker::PhantomData;

/// Rows of the targets whose products are summed in registers before they are added to the tile: a
/// panel's part of this length stays in the second-level cache, and 32-bit sums stay short.
pub(super) const BLOCK: usize = 512;

/// Panels side by side in a tile.
pub(super) const MOST: usize = 3;

/// Numbers from a row of a tile to the next.
pub(super) const STRIDE: usize = MOST * WIDTH;

/// Where the products of a tile go.
pub(super) type Tile = [f32; ROWS * STRIDE];

/// `MR` rows times `NV` vectors of targets.
struct Product<S: Simd, const MR: usize, const NV: usize> {
    out: *mut f32,
    a: *const f32,
    b: *const f32,
    /// Numbers between a panel and the next.
    panel: usize,
    n_k: usize,
    add: bool,
    of: PhantomData<S>,
}

impl<S: Simd<T = f32>, const MR: usize, const NV: usize> Body for Product<S, MR, NV> {
    type Out = ();
    #[inline(always)]
    fn call(self) {
        let per_panel = WIDTH / S::LANES;
        // SAFETY: `tile` hands over `n_k` lines of panels and of a group that exist, and a tile of
        // ROWS rows.
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
                a = a.add(ROWS);
            }
            for r in 0..MR {
                for v in 0..NV {
                    let to = self.out.add(r * STRIDE + v * S::LANES);
                    S::store(to, if self.add { S::add(S::load(to), sums[r][v]) } else { sums[r][v] });
                }
            }
        }
    }
}

/// Panels that a tile of this instruction set takes at a time.
pub(super) const fn wide<S: Simd>() -> usize {
    if S::LANES == WIDTH { MOST } else { 1 }
}

/// The products of a group of rows with `n_panels <= wide()` panels over `n_k` rows, stored or
/// added.
///
/// # Safety
/// The CPU has the instruction set; `a` is valid for `n_k` lines of a group, `b` for as many of each
/// panel, `panel` numbers apart.
#[inline(always)]
pub(super) unsafe fn tile<S: Simd<T = f32>>(
    out: &mut Tile,
    a: *const f32,
    b: *const f32,
    panel: usize,
    n_k: usize,
    n_panels: usize,
    add: bool,
) {
    debug_assert!(n_panels > 0 && n_panels <= wide::<S>());
    macro_rules! product {
        ($mr:literal, $nv:literal, $first:expr) => {
            S::vectorize(Product::<S, $mr, $nv> {
                out: out[$first * STRIDE..].as_mut_ptr(),
                // SAFETY: within the first line of the group.
                a: unsafe { a.add($first) },
                b,
                panel,
                n_k,
                add,
                of: PhantomData,
            })
        };
    }
    match (S::LANES, n_panels) {
        (16, 3) => product!(8, 3, 0),
        (16, 2) => product!(8, 2, 0),
        (16, _) => product!(8, 1, 0),
        (8, _) => {
            product!(4, 2, 0);
            product!(4, 2, 4);
        }
        _ => {
            product!(4, 4, 0);
            product!(4, 4, 4);
        }
    }
}

pub(super) unsafe fn product<S: Simd<T = f32>>(
    out: &mut [f32],
    left: &[f32],
    targets: &[f32],
    n_rows: usize,
    n_k: usize,
) {
    let n_panels = targets.len() / (n_k * WIDTH);
    let mut products = [0.0; ROWS * STRIDE];
    for (g, group) in left.chunks_exact(ROWS * n_k).enumerate() {
        let rows = ROWS.min(n_rows - g * ROWS);
        let mut p = 0;
        while p < n_panels {
            let panels = wide::<S>().min(n_panels - p);
            for start in (0..n_k).step_by(BLOCK) {
                let (a, b) = (&group[start * ROWS..], &targets[(p * n_k + start) * WIDTH..]);
                let len = BLOCK.min(n_k - start);
                // SAFETY: `len` lines from `start` on are in the group and in each of the panels.
                unsafe { tile::<S>(&mut products, a.as_ptr(), b.as_ptr(), n_k * WIDTH, len, panels, start > 0) }
            }
            for q in 0..panels {
                for r in 0..rows {
                    let to = ((p + q) * n_rows + g * ROWS + r) * WIDTH;
                    out[to..to + WIDTH].copy_from_slice(&products[r * STRIDE + q * WIDTH..][..WIDTH]);
                }
            }
            p += panels;
        }
    }
}
