//! Products of all pairs of rows that were gathered voxel by voxel: the arithmetic of a searchlight.
//!
//! Patterns lie in panels of [`WIDTH`] conditions: element `(k, i)` of `n_k` voxels x `n` conditions is at
//! `(i / WIDTH * n_k + k) * WIDTH + i % WIDTH`. A panel is read from front to back, one cache line a voxel.

use crate::simd::{Body, Simd};

/// Conditions of a panel: one line of the cache.
pub const WIDTH: usize = 16;
/// Voxels whose products are summed in registers before they are added to the result; bounds the rounding of 32-bit sums.
const BLOCK: usize = 256;

/// Conditions with the padding that panels need.
pub const fn padded(n: usize) -> usize {
    n.div_ceil(WIDTH) * WIDTH
}

// Functions of one instruction set: callable only where the processor has it.
type GramFn = unsafe fn(&mut [f32], &[f32], &[f32], usize, usize, bool, Into);
type GatherFn = unsafe fn(&mut [f32], &[f32], &mut [f32], &[f32], &[u32], f32);
type DistancesFn = unsafe fn(&mut [f32], &[f32], usize, [&[f32]; 2], Form);

/// The element types that have a table of functions here; the choice of instruction set is [`crate::isa::chosen`]'s.
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
        gram: gram::<S>,
        means: means::<S>,
        products: products::<S>,
        gather: gather::<S>,
        distances: distances::<S>,
    }
}

impl Kernels {
    /// The table of an instruction set; [`crate::isa::available`] says which this machine has.
    ///
    /// # Errors
    /// A name that is none, or a set that this machine does not have.
    pub fn named(name: &str) -> Result<Self, crate::SpecError> {
        let set = crate::isa::named(name)?;
        Ok(match set.name {
            #[cfg(target_arch = "x86_64")]
            "avx512" => table::<crate::simd::avx512::Avx512>("avx512"),
            #[cfg(target_arch = "x86_64")]
            "avx2" => table::<crate::simd::avx2::Avx2>("avx2"),
            #[cfg(target_arch = "aarch64")]
            "neon" => table::<crate::simd::neon::Neon>("neon"),
            _ => table::<crate::simd::portable::Portable<f32>>("portable"),
        })
    }

    /// The set named by the environment, else the best of this machine.
    ///
    /// # Errors
    /// As [`Kernels::named`].
    pub fn chosen() -> Result<Self, crate::SpecError> {
        Self::named(crate::isa::chosen()?.name)
    }

    /// Means over the rows `voxels` of a voxel-major matrix of `means.len()` columns.
    ///
    /// # Panics
    /// When a voxel does not exist.
    pub fn means(&self, means: &mut [f32], matrix: &[f32], voxels: &[u32]) {
        check_voxels(voxels, matrix, means.len());
        // SAFETY: the table holds only functions of sets that the machine has; the voxels exist.
        unsafe { (self.means)(means, matrix, voxels) }
    }

    /// Copies the rows `voxels` of a voxel-major matrix into panels, `offset` taken off each; adds `sign` times their sums to
    /// `sums`.
    ///
    /// # Panics
    /// When `offset` and `sums` are not of one length, a multiple of [`WIDTH`] (the matrix' columns), `panels` does not hold
    /// that many numbers for each voxel, or a voxel does not exist.
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
    /// With `upper`, only the panels on and above the diagonal are computed (`j >= i` is right, the rest is not): enough
    /// where a and b are the same.
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
    /// When `out` does not hold `n (n - 1) / 2` numbers, the vectors s and t not `n`, or `gram` is smaller than n rows of
    /// `stride`.
    pub fn distances(&self, out: &mut [f32], gram: &[f32], stride: usize, [s, t]: [&[f32]; 2], form: Form) {
        let n = s.len();
        assert!(t.len() == n && n <= stride && gram.len() >= n * stride && out.len() == n * n.saturating_sub(1) / 2);
        // SAFETY: as in `means`.
        unsafe { (self.distances)(out, gram, stride, [s, t], form) }
    }

    /// `out[x, z] = sum_i xs[x, i] zs[z, i]`: all dot products between the rows of two matrices of `len` columns, in 32-bit
    /// blocks of 1,024 that are added in 64 bits.
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

struct Means<'a> {
    means: &'a mut [f32],
    matrix: &'a [f32],
    voxels: &'a [u32],
}

impl Body for Means<'_> {
    type Out = ();
    #[inline(always)]
    fn call(self) {
        let stride = self.means.len();
        self.means.fill(0.0);
        for &v in self.voxels {
            let row = &self.matrix[v as usize * stride..][..stride];
            self.means.iter_mut().zip(row).for_each(|(m, x)| *m += x);
        }
        let inverse = 1.0 / self.voxels.len() as f32;
        self.means.iter_mut().for_each(|m| *m *= inverse);
    }
}

unsafe fn means<S: Simd<T = f32>>(means: &mut [f32], matrix: &[f32], voxels: &[u32]) {
    S::vectorize(Means { means, matrix, voxels });
}

struct Gather<'a> {
    panels: &'a mut [f32],
    offset: &'a [f32],
    sums: &'a mut [f32],
    matrix: &'a [f32],
    voxels: &'a [u32],
    sign: f32,
}

impl Body for Gather<'_> {
    type Out = ();
    #[inline(always)]
    fn call(self) {
        let (n_k, stride) = (self.voxels.len(), self.offset.len());
        for p in 0..stride / WIDTH {
            let at = p * WIDTH;
            let offset: [f32; WIDTH] = self.offset[at..at + WIDTH].try_into().expect("a panel");
            let mut sums = [0.0f32; WIDTH];
            let panel = &mut self.panels[at * n_k..][..n_k * WIDTH];
            for (line, &v) in panel.as_chunks_mut::<WIDTH>().0.iter_mut().zip(self.voxels) {
                let from: &[f32; WIDTH] = self.matrix[v as usize * stride + at..][..WIDTH].try_into().expect("a panel");
                for i in 0..WIDTH {
                    line[i] = from[i] - offset[i];
                    sums[i] += line[i];
                }
            }
            for i in 0..WIDTH {
                self.sums[at + i] += self.sign * sums[i];
            }
        }
    }
}

unsafe fn gather<S: Simd<T = f32>>(
    panels: &mut [f32],
    offset: &[f32],
    sums: &mut [f32],
    matrix: &[f32],
    voxels: &[u32],
    sign: f32,
) {
    S::vectorize(Gather { panels, offset, sums, matrix, voxels, sign });
}

struct Distances<'a> {
    out: &'a mut [f32],
    gram: &'a [f32],
    stride: usize,
    s: &'a [f32],
    t: &'a [f32],
    form: Form,
}

impl Body for Distances<'_> {
    type Out = ();
    #[inline(always)]
    fn call(self) {
        let n = self.s.len();
        let mut rest = self.out;
        for i in 0..n {
            let (row, after) = rest.split_at_mut(n - i - 1);
            rest = after;
            let products = &self.gram[i * self.stride..][i + 1..n];
            let (others, shifts) = (&self.s[i + 1..], &self.t[i + 1..]);
            let (own, shift) = (self.s[i], self.t[i]);
            match self.form {
                Form::Normalised { offset } => {
                    for j in 0..row.len() {
                        row[j] = (offset + shift * shifts[j]) - products[j] * (own * others[j]);
                    }
                }
                Form::Squared { scale } => {
                    for j in 0..row.len() {
                        row[j] = ((own + others[j]) - 2.0 * products[j]) * scale;
                    }
                }
                Form::Crossed { scale } => {
                    for j in 0..row.len() {
                        let back = self.gram[(i + 1 + j) * self.stride + i];
                        row[j] = ((own + others[j]) - (products[j] + back)) * scale;
                    }
                }
            }
        }
    }
}

unsafe fn distances<S: Simd<T = f32>>(out: &mut [f32], gram: &[f32], stride: usize, [s, t]: [&[f32]; 2], form: Form) {
    S::vectorize(Distances { out, gram, stride, s, t, form });
}

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
        // SAFETY: `gram` makes tiles that lie inside `out` and reads `n_k` lines of panels that exist.
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

unsafe fn gram<S: Simd<T = f32>>(
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
        // SAFETY: all slices have one length (their maker cuts them so), and whole vectors below it are read.
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

unsafe fn products<S: Simd<T = f32>>(xs: &[f32], zs: &[f32], len: usize, out: &mut [f64]) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..n).map(|_| next()).collect()
    }

    fn sets() -> Vec<Kernels> {
        crate::isa::available().iter().map(|set| Kernels::named(set.name).unwrap()).collect()
    }

    #[test]
    fn gram_is_its_definition_on_every_instruction_set() {
        for kernels in sets() {
            for (n, n_k) in [(5, 3), (16, 40), (33, 300), (92, 515)] {
                let stride = padded(n);
                let matrix = numbers(600 * stride, 7);
                let voxels: Vec<u32> = (0..n_k as u32).map(|k| (k * 7) % 600).collect();
                let (mut panels, mut means) = (vec![0.0; n_k * stride], vec![0.0; stride]);
                let mut sums = vec![0.0; stride];
                kernels.means(&mut means, &matrix, &voxels);
                kernels.gather(&mut panels, &means, &mut sums, &matrix, &voxels, 1.0);
                assert!(sums.iter().all(|s| s.abs() < 1e-4), "nothing is left of the means");
                let at = |k: usize, i: usize| f64::from(matrix[voxels[k] as usize * stride + i]);
                let mean = |i: usize| (0..n_k).map(|k| at(k, i)).sum::<f64>() / n_k as f64;
                let expected = |i: usize, j: usize| {
                    let (mi, mj) = (mean(i), mean(j));
                    (0..n_k).map(|k| (at(k, i) - mi) * (at(k, j) - mj)).sum::<f64>()
                };
                for upper in [true, false] {
                    let mut out = vec![f32::NAN; stride * stride];
                    kernels.gram(&mut out, [&panels, &panels], n_k, stride, upper, Into::Set);
                    kernels.gram(&mut out, [&panels, &panels], n_k, stride, upper, Into::Add);
                    kernels.gram(&mut out, [&panels, &panels], n_k, stride, upper, Into::Subtract);
                    for (i, j) in [(0, 0), (1, n - 1), (n / 2, n / 2), (n - 2, n - 1), (n / 3, n / 2)] {
                        let found = f64::from(out[i * stride + j]);
                        let wrong = (found - expected(i, j)).abs();
                        assert!(wrong < 1e-4, "{} {n} {n_k} ({i}, {j}): {found}", kernels.name);
                    }
                }
            }
        }
    }

    #[test]
    fn distances_are_condensed_row_by_row() {
        for kernels in sets() {
            let (n, stride) = (5, 16);
            let gram = numbers(stride * stride, 3);
            let (scale, shift) = (numbers(n, 4), numbers(n, 5));
            let mut out = vec![0.0; 10];
            let pairs: Vec<(usize, usize)> = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j))).collect();
            let g = |i: usize, j: usize| gram[i * stride + j];
            for form in [Form::Normalised { offset: 1.0 }, Form::Squared { scale: 0.5 }, Form::Crossed { scale: 0.1 }] {
                kernels.distances(&mut out, &gram, stride, [&scale, &shift], form);
                for (&(i, j), &found) in pairs.iter().zip(&out) {
                    let (s, t) = (scale[i], scale[j]);
                    let expected = match form {
                        Form::Normalised { offset } => offset + shift[i] * shift[j] - g(i, j) * s * t,
                        Form::Squared { scale } => (s + t - 2.0 * g(i, j)) * scale,
                        Form::Crossed { scale } => (s + t - g(i, j) - g(j, i)) * scale,
                    };
                    assert!((found - expected).abs() < 1e-6, "{form:?} ({i}, {j})");
                }
            }
        }
    }

    #[test]
    fn products_are_dot_products() {
        for kernels in sets() {
            for (n_x, n_z, len) in [(1, 1, 5), (5, 9, 2500), (4, 3, 16), (2, 8, 1024)] {
                let (xs, zs) = (numbers(n_x * len, 1), numbers(n_z * len, 2));
                let mut out = vec![0.0; n_x * n_z];
                kernels.products(&xs, &zs, len, &mut out);
                for r in 0..n_x {
                    for c in 0..n_z {
                        let dot: f64 = (0..len).map(|i| f64::from(xs[r * len + i]) * f64::from(zs[c * len + i])).sum();
                        assert!((out[r * n_z + c] - dot).abs() < 1e-4, "{} {r} {c}", kernels.name);
                    }
                }
            }
        }
    }
}
