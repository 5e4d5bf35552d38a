//! Products of all pairs of rows that were gathered voxel by voxel: the arithmetic of a
//! searchlight.
//!
//! Patterns lie in panels of [`WIDTH`] conditions: element `(k, i)` of `n_k` voxels x `n`
//! conditions is at `(i / WIDTH * n_k + k) * WIDTH + i % WIDTH`. A panel is read from front to
//! back, one cache line a voxel.
//!
//! [`Kernels`] checks what it is given and calls the functions of one instruction set, which lie in
//! `gather` (voxels into panels), `tiles` (products of all pairs), `distances` (products to
//! dissimilarities) and `dots` (comparison with rows).

mod distances;
mod dots;
mod gather;
#[cfg(test)]
mod tests;
mod tiles;

use crate::simd::Simd;

/// Conditions of a panel: one line of the cache.
pub const WIDTH: usize = 16;

/// Conditions with the padding that panels need.
pub const fn padded(n: usize) -> usize {
    n.div_ceil(WIDTH) * WIDTH
}

// Functions of one instruction set: callable only where the processor has it.
type GramFn = unsafe fn(&mut [f32], &[f32], &[f32], usize, usize, bool, Into);
type GatherFn = unsafe fn(&mut [f32], &[f32], &mut [f32], &[f32], &[u32], f32);
type DistancesFn = unsafe fn(&mut [f32], &[f32], usize, [&[f32]; 2], Form);

/// The element types that have a table of functions here; the choice of instruction set is
/// [`crate::isa::chosen`]'s.
#[derive(Clone, Copy)]
pub struct Kernels {
    /// `avx512`, `avx2`, `neon` or `portable`.
    pub name: &'static str,
    gram: GramFn,
    means: unsafe fn(&mut [f32], &[f32], &[u32]),
    products: unsafe fn(&[f32], &[f32], usize, &mut [f64]),
    gather: GatherFn,
    distances: DistancesFn,
}

/// What products do to the numbers that they meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Into {
    /// Replace them.
    Set,
    /// Are added to them.
    Add,
    /// Are subtracted from them.
    Subtract,
}

/// How a dissimilarity follows from products; s is the vector that is given beside them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Form {
    /// `offset + t_i t_j - g_ij s_i s_j`, t the second vector.
    Normalised { offset: f32 },
    /// `(s_i + s_j - 2 g_ij) scale`.
    Squared { scale: f32 },
    /// `(s_i + s_j - g_ij - g_ji) scale`, for products that are not symmetric.
    Crossed { scale: f32 },
}

fn table<S: Simd<T = f32>>(name: &'static str) -> Kernels {
    Kernels {
        name,
        gram: tiles::gram::<S>,
        means: gather::means::<S>,
        products: dots::products::<S>,
        gather: gather::gather::<S>,
        distances: distances::distances::<S>,
    }
}

impl Kernels {
    crate::isa::choice!(table);

    /// Means over the rows `voxels` of a voxel-major matrix of `means.len()` columns.
    ///
    /// # Panics
    /// When a voxel does not exist.
    pub fn means(&self, means: &mut [f32], matrix: &[f32], voxels: &[u32]) {
        check_voxels(voxels, matrix, means.len());
        // SAFETY: the table holds only functions of sets that the machine has; the voxels exist.
        unsafe { (self.means)(means, matrix, voxels) }
    }

    /// Copies the rows `voxels` of a voxel-major matrix into panels, `offset` taken off each; adds
    /// `sign` times their sums to `sums`.
    ///
    /// # Panics
    /// When `offset` and `sums` are not of one length, a multiple of [`WIDTH`] (the matrix'
    /// columns), `panels` does not hold that many numbers for each voxel, or a voxel does not
    /// exist.
    pub fn gather(
        &self,
        panels: &mut [f32],
        offset: &[f32],
        sums: &mut [f32],
        matrix: &[f32],
        voxels: &[u32],
        sign: f32,
    ) {
        let stride = offset.len();
        assert!(stride.is_multiple_of(WIDTH) && sums.len() == stride && panels.len() == voxels.len() * stride);
        check_voxels(voxels, matrix, stride);
        // SAFETY: as in `means`.
        unsafe { (self.gather)(panels, offset, sums, matrix, voxels, sign) }
    }

    /// `out[i, j] = sum_k a[k, i] b[k, j]`, row-major `stride` x `stride`.
    ///
    /// With `upper`, only the panels on and above the diagonal are computed (`j >= i` is right, the
    /// rest is not): enough where a and b are the same.
    ///
    /// # Panics
    /// When `a` or `b` does not hold `n_k * stride` numbers, or `out` not `stride * stride`.
    pub fn gram(&self, out: &mut [f32], [a, b]: [&[f32]; 2], n_k: usize, stride: usize, upper: bool, into: Into) {
        assert!(stride.is_multiple_of(WIDTH));
        assert!(a.len() == n_k * stride && b.len() == n_k * stride && out.len() == stride * stride);
        // SAFETY: as in `means`.
        unsafe { (self.gram)(out, a, b, n_k, stride, upper, into) }
    }

    /// The upper triangle of `n` x `n` products as dissimilarities, condensed row by row.
    ///
    /// # Panics
    /// When `out` does not hold `n (n - 1) / 2` numbers, the vectors s and t not `n`, or `gram` is
    /// smaller than n rows of `stride`.
    pub fn distances(&self, out: &mut [f32], gram: &[f32], stride: usize, [s, t]: [&[f32]; 2], form: Form) {
        let n = s.len();
        assert!(t.len() == n && n <= stride && gram.len() >= n * stride && out.len() == n * n.saturating_sub(1) / 2);
        // SAFETY: as in `means`.
        unsafe { (self.distances)(out, gram, stride, [s, t], form) }
    }

    /// `out[x, z] = sum_i xs[x, i] zs[z, i]`: all dot products between the rows of two matrices of
    /// `len` columns, in 32-bit blocks of 1,024 that are added in 64 bits.
    ///
    /// # Panics
    /// When the lengths are not multiples of `len`, or `out` has another size.
    pub fn products(&self, xs: &[f32], zs: &[f32], len: usize, out: &mut [f64]) {
        assert!(len > 0 && xs.len().is_multiple_of(len) && zs.len().is_multiple_of(len));
        assert_eq!(out.len(), xs.len() / len * (zs.len() / len));
        // SAFETY: as in `means`.
        unsafe { (self.products)(xs, zs, len, out) }
    }
}

fn check_voxels(voxels: &[u32], matrix: &[f32], stride: usize) {
    let n_rows = matrix.len() / stride;
    assert!(voxels.iter().all(|&v| (v as usize) < n_rows), "every voxel has a row");
}
