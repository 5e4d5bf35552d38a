//! Convolutions of stride 1 in Winograd's form: 36 products of small matrices instead of one large
//! one.
//!
//! An output tile of `m x m` pixels of an `r x r` kernel (`m + r = 7`: F(4x4, 3x3) and F(2x2, 5x5))
//! depends on 6 x 6 input pixels. `Y = A^T [(G w G^T) * (B^T d B)] A`, the product taken point by
//! point and summed over channels: for each of the 36 points one product (tiles x channels)
//! (channels x outputs). 3x3 kernels take 36 multiplications where the direct form takes 144, 5x5
//! kernels 36 of 100.
//!
//! Interpolation points are 0, +-1/sqrt 2, +-sqrt 2 and infinity, whose rounding errors are a
//! quarter of those of the textbook's 0, +-1, +-2: about 2e-6 of a layer's maximum in f32, against
//! 2e-7 of the direct form. (Lavin and Gray 2016; Barabasz et al. 2020 for the choice of points.)
//!
//! Work unit: (chunk of tiles, block of output channels), chunk-major. A task transforms the input
//! of a chunk once for all its blocks, into scratch memory of its thread. Every output is computed
//! by the same operations in the same order wherever the units run.

use crate::epilogue::{Act, Store, Vector};
use crate::mem::{Aligned, Layout, Mem, Space, with_scratch};
use crate::real::Real;
use crate::simd::{Body, Simd, TileKernel};
use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};
use std::ops::Range;

/// Points along one side.
pub const SIDE: usize = 6;
/// Points.
pub const POINTS: usize = SIDE * SIDE;

/// The step.
#[derive(Debug, Clone)]
pub struct Winograd<T> {
    /// Output pixels per side of a tile: 4 or 2.
    pub m: usize,
    /// Output channels per block: what a register tile holds.
    pub width: usize,
    /// Rows and columns of tiles.
    pub tiles: (usize, usize),
    /// Tiles per unit.
    pub chunk: usize,
    /// Block of the source.
    pub space: Space,
    /// Element of the source under the first point of the first tile, may be before the tensor's
    /// own first.
    pub at: isize,
    /// Elements between rows of the source.
    pub pitch: usize,
    /// Elements between pixels of the source.
    pub cs: usize,
    /// Input channels.
    pub n_inputs: usize,
    /// Output.
    pub out: Layout,
    /// Forward activation.
    pub act: Act<T>,
    /// Backward store.
    pub store: Store<T>,
    /// Per block of output channels: point, input channel, output channel padded to vectors.
    pub weights: Aligned<T>,
    /// Padded to vectors.
    pub biases: Aligned<T>,
}

/// `G` of `Y = A^T [(G w G^T) * (B^T d B)] A` for a kernel of `r` taps: SIDE x r, row-major.
pub fn kernel_transform(r: usize) -> Vec<f64> {
    let points = [0.0, FRAC_1_SQRT_2, -FRAC_1_SQRT_2, SQRT_2, -SQRT_2];
    let mut g = vec![0.0; SIDE * r];
    for (i, p) in points.iter().enumerate() {
        let others: f64 = points.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, q)| p - q).product();
        (0..r).for_each(|k| g[i * r + k] = p.powi(k as i32) / others);
    }
    g[SIDE * r - 1] = 1.0;
    g
}

/// `B^T d`.
#[inline(always)]
unsafe fn input_line<S: Simd>(d: [S::V; SIDE]) -> [S::V; SIDE] {
    // SAFETY: arithmetic only.
    unsafe {
        let c = |x: f64| S::splat(S::T::from_f64(x));
        let (even, odd) = (S::fma(c(-2.0), d[2], d[4]), S::fma(c(-2.0), d[1], d[3]));
        let (even2, odd2) = (S::fma(c(-0.5), d[2], d[4]), S::fma(c(-0.5), d[1], d[3]));
        [
            S::fma(c(-2.5), d[2], S::add(d[0], d[4])),
            S::fma(c(FRAC_1_SQRT_2), odd, even),
            S::fma(c(-FRAC_1_SQRT_2), odd, even),
            S::fma(c(SQRT_2), odd2, even2),
            S::fma(c(-SQRT_2), odd2, even2),
            S::fma(c(-2.5), d[3], S::add(d[1], d[5])),
        ]
    }
}

/// `A^T y`, for tiles of M outputs.
#[inline(always)]
unsafe fn output_line<S: Simd, const M: usize>(y: [S::V; SIDE]) -> [S::V; M] {
    // SAFETY: arithmetic only.
    unsafe {
        let c = |x: f64| S::splat(S::T::from_f64(x));
        let (sum, difference) = (S::add(y[1], y[2]), S::fma(c(-1.0), y[2], y[1]));
        let (sum2, difference2) = (S::add(y[3], y[4]), S::fma(c(-1.0), y[4], y[3]));
        let mut out = [S::add(y[0], S::add(sum, sum2)); M];
        out[1] = S::fma(c(SQRT_2), difference2, S::mul(c(FRAC_1_SQRT_2), difference));
        if M == 4 {
            out[2] = S::fma(c(2.0), sum2, S::mul(c(0.5), sum));
            out[3] = S::fma(c(2.0 * SQRT_2), difference2, S::mul(c(0.5 * FRAC_1_SQRT_2), difference));
        }
        out[M - 1] = S::add(out[M - 1], y[5]);
        out
    }
}

impl<T: Real> Winograd<T> {
    fn n_tiles(&self) -> usize {
        self.tiles.0 * self.tiles.1
    }
    /// Output channels, padded to vectors.
    fn padded(&self) -> usize {
        self.biases.as_slice().len()
    }
    /// Blocks of output channels.
    fn blocks(&self) -> usize {
        self.padded().div_ceil(self.width)
    }
    /// Number of work units.
    pub fn units(&self) -> usize {
        self.n_tiles().div_ceil(self.chunk) * self.blocks()
    }
    /// Runs the units.
    ///
    /// # Safety
    /// The 6 x 6 pixels under every tile and all output pixels lie inside `mem`; the units' outputs
    /// belong to the caller.
    pub unsafe fn run<S: Simd<T = T>>(&self, mem: &Mem<T>, units: Range<usize>) {
        if units.is_empty() {
            return;
        }
        let n_blocks = self.blocks();
        for chunk in units.start / n_blocks..=(units.end - 1) / n_blocks {
            let first = chunk * n_blocks;
            let blocks = units.start.saturating_sub(first)..(units.end - first).min(n_blocks);
            let tiles = chunk * self.chunk..((chunk + 1) * self.chunk).min(self.n_tiles());
            with_scratch(scratch_len(self.chunk, self.n_inputs, self.padded()), |scratch| {
                let row = self.n_inputs.next_multiple_of(S::LANES);
                let (inputs, outputs) = scratch.split_at_mut(POINTS * point_stride(self.chunk * row));
                let work = Chunk { step: self, mem, tiles, blocks, inputs, outputs, row };
                // SAFETY: passed on.
                unsafe { work.run::<S>() };
            });
        }
    }
}

/// Elements of scratch memory that a chunk of tiles takes, when vectors have at most 16 elements.
pub fn scratch_len(chunk: usize, n_inputs: usize, padded: usize) -> usize {
    POINTS * (point_stride(chunk * n_inputs.next_multiple_of(16)) + point_stride(chunk * padded))
}

/// Elements from the data of a point to those of the next: whole cache lines, an odd number of
/// them, so that the points of one tile do not fall into the same cache set.
fn point_stride(len: usize) -> usize {
    (len.div_ceil(16) | 1) * 16
}

/// Some tiles, some blocks of output channels.
struct Chunk<'a, T> {
    step: &'a Winograd<T>,
    mem: &'a Mem<T>,
    tiles: Range<usize>,
    blocks: Range<usize>,
    /// Point, tile, input channel padded to vectors.
    inputs: &'a mut [T],
    /// Point, tile, output channel padded to vectors.
    outputs: &'a mut [T],
    row: usize,
}

impl<T: Real> Chunk<'_, T> {
    unsafe fn run<S: Simd<T = T>>(mut self) {
        // SAFETY: the scratch memory has room for all points of all tiles of the chunk.
        unsafe {
            S::vectorize(InputBody::<S>(&mut self));
            self.products::<S>();
            match self.step.m {
                4 => S::vectorize(OutputBody::<S, 4>(&self)),
                _ => S::vectorize(OutputBody::<S, 2>(&self)),
            }
        }
    }

    fn strides(&self) -> (usize, usize) {
        (point_stride(self.step.chunk * self.row), point_stride(self.step.chunk * self.step.padded()))
    }

    unsafe fn products<S: Simd<T = T>>(&mut self) {
        let (step, width, n_tiles) = (self.step, self.step.width, self.tiles.len());
        let (input_stride, output_stride) = self.strides();
        let n_rows = n_tiles.div_ceil(n_tiles.div_ceil(S::MR));
        for point in 0..POINTS {
            for block in self.blocks.clone() {
                let channels = (step.padded() - block * width).min(width);
                let weights = POINTS * step.n_inputs * block * width + point * step.n_inputs * channels;
                for first in (0..n_tiles).step_by(n_rows) {
                    let product = Product {
                        a: self.inputs[point * input_stride + first * self.row..].as_ptr(),
                        a_row: self.row,
                        k: step.n_inputs,
                        b: step.weights.as_slice()[weights..].as_ptr(),
                        c: self.outputs[point * output_stride + first * step.padded() + block * width..].as_mut_ptr(),
                        c_row: step.padded(),
                    };
                    // SAFETY: rows of both scratch regions; weights hold `channels` for each input
                    // channel.
                    unsafe { S::tile(&product, (n_tiles - first).min(n_rows), channels / S::LANES) };
                }
            }
        }
    }
}

/// `c = a b` for some rows.
pub struct Product<T> {
    /// Rows x k.
    pub a: *const T,
    /// Elements between rows.
    pub a_row: usize,
    /// Reduction.
    pub k: usize,
    /// k x vectors.
    pub b: *const T,
    /// Rows x vectors.
    pub c: *mut T,
    /// Elements between rows.
    pub c_row: usize,
}

impl<T: Real> TileKernel for Product<T> {
    type T = T;
    #[inline(always)]
    unsafe fn tile<S: Simd<T = T>, const MR: usize, const NV: usize>(&self, m: usize) {
        // SAFETY: `m` rows of `a` and `c` exist; rows beyond repeat the last.
        unsafe {
            let mut acc = [[S::splat(T::ZERO); NV]; MR];
            let mut rows = [self.a; MR];
            for (i, row) in rows.iter_mut().enumerate() {
                *row = self.a.add(i.min(m - 1) * self.a_row);
            }
            let mut b = self.b;
            for k in 0..self.k {
                let mut w = [S::splat(T::ZERO); NV];
                for (v, w) in w.iter_mut().enumerate() {
                    *w = S::load(b.add(v * S::LANES));
                }
                for i in 0..MR {
                    let x = S::splat(*rows[i].add(k));
                    for v in 0..NV {
                        acc[i][v] = S::fma(x, w[v], acc[i][v]);
                    }
                }
                b = b.add(NV * S::LANES);
            }
            // Rows beyond the last overwrite it with the same values: no condition, accumulators
            // stay in registers.
            for i in 0..MR {
                let row = self.c.add(i.min(m - 1) * self.c_row);
                for v in 0..NV {
                    S::store(row.add(v * S::LANES), acc[i][v]);
                }
            }
        }
    }
}

struct InputBody<'a, 'b, S: Simd>(&'a mut Chunk<'b, S::T>);

impl<S: Simd> Body for InputBody<'_, '_, S> {
    type Out = ();
    #[inline(always)]
    fn call(self) {
        let chunk = self.0;
        let (step, stride) = (chunk.step, chunk.strides().0);
        let (block, total) = chunk.mem.block(step.space);
        for (t, tile) in chunk.tiles.clone().enumerate() {
            let (ty, tx) = (tile / step.tiles.1, tile % step.tiles.1);
            let at = step.at + (ty * step.m * step.pitch + tx * step.m * step.cs) as isize;
            let far = (SIDE - 1) * (step.pitch + step.cs) + chunk.row;
            debug_assert!(at >= 0 && at as usize + far <= total, "tile {at}+{far} of {total}");
            for v in (0..chunk.row).step_by(S::LANES) {
                // SAFETY: the pixels under the tile lie inside the source (checked above in debug
                // builds); the scratch region has POINTS times `stride` elements.
                unsafe {
                    let from = block.offset(at).add(v);
                    let to = chunk.inputs.as_mut_ptr().add(t * chunk.row + v);
                    let mut lines = [[S::splat(S::T::ZERO); SIDE]; SIDE];
                    for (x, line) in lines.iter_mut().enumerate() {
                        let mut column = [S::splat(S::T::ZERO); SIDE];
                        for (y, d) in column.iter_mut().enumerate() {
                            *d = S::load(from.add(x * step.cs + y * step.pitch));
                        }
                        *line = input_line::<S>(column);
                    }
                    for y in 0..SIDE {
                        let row = [lines[0][y], lines[1][y], lines[2][y], lines[3][y], lines[4][y], lines[5][y]];
                        for (x, &value) in input_line::<S>(row).iter().enumerate() {
                            S::store(to.add((y * SIDE + x) * stride), value);
                        }
                    }
                }
            }
        }
    }
}

struct OutputBody<'a, 'b, S: Simd, const M: usize>(&'a Chunk<'b, S::T>);

impl<S: Simd, const M: usize> Body for OutputBody<'_, '_, S, M> {
    type Out = ();
    #[inline(always)]
    fn call(self) {
        let chunk = self.0;
        let (step, width) = (chunk.step, chunk.step.width);
        for (t, tile) in chunk.tiles.clone().enumerate() {
            let (y, x) = (tile / step.tiles.1 * M, tile % step.tiles.1 * M);
            let channels = chunk.blocks.start * width..(chunk.blocks.end * width).min(step.padded());
            for channel in channels.step_by(S::LANES) {
                // SAFETY: one vector of a tile of this chunk.
                unsafe { self.vector(t, (y, x), channel) };
            }
        }
    }
}

impl<S: Simd, const M: usize> OutputBody<'_, '_, S, M> {
    #[inline(always)]
    unsafe fn vector(&self, t: usize, (y, x): (usize, usize), channel: usize) {
        let chunk = self.0;
        let (step, stride) = (chunk.step, chunk.strides().1);
        // SAFETY: the scratch region has POINTS times `stride` elements; output pixels lie inside
        // the output.
        unsafe {
            let from = chunk.outputs.as_ptr().add(t * step.padded() + channel);
            let mut lines = [[S::splat(S::T::ZERO); M]; SIDE];
            for (i, line) in lines.iter_mut().enumerate() {
                let mut row = [S::splat(S::T::ZERO); SIDE];
                for (j, z) in row.iter_mut().enumerate() {
                    *z = S::load(from.add((i * SIDE + j) * stride));
                }
                *line = output_line::<S, M>(row);
            }
            let bias = S::load(step.biases.as_slice().as_ptr().add(channel));
            let vector = Vector::new(&step.out, channel, S::LANES);
            for j in 0..M {
                let column = [lines[0][j], lines[1][j], lines[2][j], lines[3][j], lines[4][j], lines[5][j]];
                for (i, &z) in output_line::<S, M>(column).iter().enumerate() {
                    if y + i < step.out.h && x + j < step.out.w {
                        let z = step.act.value_vector::<S>(S::add(z, bias));
                        vector.store::<S>(chunk.mem, &step.store, (y + i, x + j), z);
                    }
                }
            }
        }
    }
}
