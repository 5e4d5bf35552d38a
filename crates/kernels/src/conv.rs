//! Convolution as an implicit matrix product over segments.
//!
//! `out[p, n] = b[n] + sum over segments s, k < len_s of src_s[pixel(p) + off_s + k] w[s, k, n]`
//!
//! Activations are padded `height x width x channels`, so a window is a set of constant offsets
//! from its first pixel: a segment is a run of contiguous elements (the channels of one kernel tap,
//! or of a row of taps). Several sources may be reduced together: the gradient at a tensor that
//! several convolutions read is one product. The same tile serves forward and backward, any stride,
//! dilation, padding and groups; only tables differ.
//!
//! Work unit: (chunk of pixels, block of output channels), chunk-major, so that the input of a
//! chunk stays in the second-level cache while the weights stream. Each output element is one chain
//! of fused multiply-adds in a fixed order: the result does not depend on how units are spread over
//! threads.

use crate::epilogue::Act;
use crate::mem::{Aligned, Mem, Space};
use crate::real::Real;
use crate::simd::{Simd, TileKernel};
use std::mem::MaybeUninit;
use std::ops::Range;

/// A run of `len` elements at `off` from the pixel.
#[derive(Debug, Clone, Copy)]
pub struct Segment {
    /// Elements from the pixel's first.
    pub off: i32,
    /// Elements.
    pub len: u32,
}

/// Consecutive segments that read the same source.
#[derive(Debug, Clone)]
pub struct Run {
    /// Index of the source.
    pub src: usize,
    /// Its segments.
    pub segments: Range<usize>,
}

/// A tensor and the element at which each output pixel finds (or puts) its own.
#[derive(Debug, Clone)]
pub struct Table {
    /// Block.
    pub space: Space,
    /// Element for each output pixel.
    pub pixel: Vec<i32>,
}

/// A tensor that receives results.
#[derive(Debug, Clone)]
pub struct Dest<T> {
    /// Where.
    pub table: Table,
    /// Applied after the bias (forward).
    pub act: Act<T>,
    /// Add to what is there (backward).
    pub accumulate: bool,
    /// Multiply by the derivative of this activation of these values (backward).
    pub pull: Option<(Act<T>, Table)>,
}

/// A block of output channels: at most as many as a tile holds.
#[derive(Debug, Clone)]
pub struct Block {
    /// Reduction.
    pub runs: Range<usize>,
    /// First packed weight.
    pub weight: usize,
    /// First packed bias.
    pub bias: usize,
    /// Vectors.
    pub nv: usize,
    /// Channels that exist.
    pub valid: usize,
    /// Channels that may be written.
    pub room: usize,
    /// Index of the destination.
    pub dest: usize,
    /// Element of the first channel from the destination pixel.
    pub channel: u32,
}

/// The step.
#[derive(Debug, Clone)]
pub struct Conv<T> {
    /// Output pixels per image.
    pub n_pixels: usize,
    /// Pixels per work unit.
    pub chunk: usize,
    /// One output pixel per image, tiles run over the images.
    pub batch: bool,
    /// Tensors read.
    pub sources: Vec<Table>,
    /// Runs of segments.
    pub runs: Vec<Run>,
    /// Segments.
    pub segments: Vec<Segment>,
    /// Blocks of output channels.
    pub blocks: Vec<Block>,
    /// Tensors written.
    pub dests: Vec<Dest<T>>,
    /// Packed weights: per block, reduction-major.
    pub weights: Aligned<T>,
    /// Packed biases.
    pub biases: Aligned<T>,
}

impl<T: Real> Conv<T> {
    /// Output pixels, of one image or, for a step over the whole batch, of all.
    pub fn pixels(&self, n_images: usize) -> usize {
        if self.batch { n_images } else { self.n_pixels }
    }
    /// Number of work units.
    pub fn units(&self, n_images: usize) -> usize {
        self.pixels(n_images).div_ceil(self.chunk) * self.blocks.len()
    }
    /// Runs the units.
    ///
    /// # Safety
    /// Tables and blocks lie inside `mem`; the units' outputs belong to the caller.
    pub unsafe fn run<S: Simd<T = T>>(&self, mem: &Mem<T>, units: Range<usize>) {
        let n_pixels = self.pixels(mem.n_images);
        for unit in units {
            let (chunk, block) = (unit / self.blocks.len(), &self.blocks[unit % self.blocks.len()]);
            let end = ((chunk + 1) * self.chunk).min(n_pixels);
            let mut first = chunk * self.chunk;
            while first < end {
                let m = (end - first).min(S::MR);
                let tile = Tile { conv: self, block, mem, first };
                #[cfg(debug_assertions)]
                tile.check(m, S::LANES);
                // SAFETY: checked above in debug builds, the planner's contract otherwise.
                unsafe { S::tile(&tile, m, block.nv) };
                first += m;
            }
        }
    }
}

/// A tile of output pixels and channels: what [`tile`] computes.
pub struct Tile<'a, T> {
    conv: &'a Conv<T>,
    block: &'a Block,
    mem: &'a Mem<T>,
    first: usize,
}

impl<T: Real> Tile<'_, T> {
    /// Element for the output pixel `p`.
    #[inline(always)]
    fn element(&self, table: &Table, p: usize) -> isize {
        if self.conv.batch { (p * self.mem.stride) as isize + table.pixel[0] as isize } else { table.pixel[p] as isize }
    }

    #[cfg(debug_assertions)]
    fn check(&self, m: usize, lanes: usize) {
        let (conv, block) = (self.conv, self.block);
        let mut reduction = 0;
        for run in &conv.runs[block.runs.clone()] {
            let table = &conv.sources[run.src];
            let total = self.mem.block(table.space).1 as isize;
            for s in &conv.segments[run.segments.clone()] {
                reduction += s.len as usize;
                for p in self.first..self.first + m {
                    let at = self.element(table, p) + s.off as isize;
                    assert!(at >= 0 && at + s.len as isize <= total, "segment {at}+{} of {total}", s.len);
                }
            }
        }
        assert!(block.weight + reduction * block.nv * lanes <= conv.weights.as_slice().len());
        assert!(block.bias + block.nv * lanes <= conv.biases.as_slice().len());
        let table = &conv.dests[block.dest].table;
        let total = self.mem.block(table.space).1;
        let extent = block.room.min(block.nv * lanes);
        for p in self.first..self.first + m {
            let at = self.element(table, p) + block.channel as isize;
            assert!(at >= 0 && at as usize + extent <= total, "store {at}+{extent} of {total}");
        }
    }
}

impl<T: Real> TileKernel for Tile<'_, T> {
    type T = T;
    #[inline(always)]
    unsafe fn tile<S: Simd<T = T>, const MR: usize, const NV: usize>(&self, m: usize) {
        // SAFETY: `Conv::run` checked the tile.
        unsafe { tile::<S, MR, NV>(self, m) }
    }
}

/// Computes `m <= MR` pixels times `NV` vectors of channels.
///
/// # Safety
/// Every segment of every pixel lies inside its source, every store inside its destination.
#[inline(always)]
pub unsafe fn tile<S: Simd, const MR: usize, const NV: usize>(t: &Tile<'_, S::T>, m: usize) {
    let (conv, block) = (t.conv, t.block);
    // SAFETY: see above; packed weights hold NV vectors for each reduction step, biases NV vectors.
    unsafe {
        let bias = conv.biases.as_slice().as_ptr().add(block.bias);
        let mut acc = [[S::splat(S::T::ZERO); NV]; MR];
        for i in 0..MR {
            for v in 0..NV {
                acc[i][v] = S::load(bias.add(v * S::LANES));
            }
        }
        let mut w = conv.weights.as_slice().as_ptr().add(block.weight);
        for run in &conv.runs[block.runs.clone()] {
            let table = &conv.sources[run.src];
            let base = t.mem.block(table.space).0;
            let mut pixels = [base.cast_const(); MR];
            for (i, p) in pixels.iter_mut().enumerate() {
                *p = base.wrapping_offset(t.element(table, t.first + i.min(m - 1)));
            }
            for s in &conv.segments[run.segments.clone()] {
                let mut at = pixels;
                for p in &mut at {
                    *p = p.wrapping_offset(s.off as isize);
                }
                for k in 0..s.len as usize {
                    let mut wv = [S::splat(S::T::ZERO); NV];
                    for (v, x) in wv.iter_mut().enumerate() {
                        *x = S::load(w.add(v * S::LANES));
                    }
                    for i in 0..MR {
                        let x = S::splat(*at[i].add(k));
                        for v in 0..NV {
                            acc[i][v] = S::fma(x, wv[v], acc[i][v]);
                        }
                    }
                    w = w.add(NV * S::LANES);
                }
            }
        }
        // Through memory: a reference to `acc` would keep the accumulators out of registers in the
        // loop above.
        let mut done = MaybeUninit::<[S::T; TILE_ELEMENTS]>::uninit();
        let done = done.as_mut_ptr().cast::<S::T>();
        for i in 0..MR {
            for v in 0..NV {
                S::store(done.add((i * NV + v) * S::LANES), acc[i][v]);
            }
        }
        if NV * S::LANES <= block.room {
            finish::<S, NV>(t, done, m);
        } else {
            finish_slowly::<S, NV>(t, done, m);
        }
    }
}

/// Elements of the largest tile: 14 x 32.
const TILE_ELEMENTS: usize = 448;

/// Stores whole vectors.
#[inline(always)]
unsafe fn finish<S: Simd, const NV: usize>(t: &Tile<'_, S::T>, done: *const S::T, m: usize) {
    let dest = &t.conv.dests[t.block.dest];
    // SAFETY: `room` allows NV whole vectors at each destination pixel; values have the
    // destination's channels and at least as much room (same tensor shape).
    unsafe {
        let base = t.mem.block(dest.table.space).0;
        for i in 0..m {
            let out = base.offset(t.element(&dest.table, t.first + i) + t.block.channel as isize);
            for v in 0..NV {
                let out = out.add(v * S::LANES);
                let mut z = dest.act.value_vector::<S>(S::load(done.add((i * NV + v) * S::LANES)));
                if dest.accumulate {
                    z = S::add(z, S::load(out));
                }
                if let Some((act, values)) = &dest.pull {
                    let at = t.element(values, t.first + i) + (t.block.channel as usize + v * S::LANES) as isize;
                    let y = t.mem.block(values.space).0.offset(at);
                    z = act.pull_vector::<S>(S::load(y), z);
                }
                S::store(out, z);
            }
        }
    }
}

/// Stores channel by channel: blocks that end inside a neighbour's channels.
#[inline(always)]
unsafe fn finish_slowly<S: Simd, const NV: usize>(t: &Tile<'_, S::T>, done: *const S::T, m: usize) {
    let (block, dest) = (t.block, &t.conv.dests[t.block.dest]);
    // SAFETY: elements of existing channels lie inside the destination.
    unsafe {
        let base = t.mem.block(dest.table.space).0;
        for i in 0..m {
            let pixel = t.element(&dest.table, t.first + i) + block.channel as isize;
            for n in 0..block.valid {
                let out = base.offset(pixel + n as isize);
                let mut z = dest.act.value(*done.add(i * NV * S::LANES + n));
                if dest.accumulate {
                    z += *out;
                }
                if let Some((act, values)) = &dest.pull {
                    let y = t.mem.block(values.space).0;
                    z = act.pull(*y.offset(t.element(values, t.first + i) + block.channel as isize + n as isize), z);
                }
                *out = z;
            }
        }
    }
}
