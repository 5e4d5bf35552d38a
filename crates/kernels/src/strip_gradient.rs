//! The gradient of a [`crate::strip`] convolution at its image.
//!
//! `gx[y, x, c] = sum over taps, outputs o of w[o, c, ky, kx] gy[y + pad - ky, x + pad - kx, o]`.
//! Down the columns this is F(4, 5) of the flipped kernel, as forward. Along the rows, a column of
//! `gy` reaches `width` columns of `gx`: per point, one product (columns x outputs) (outputs x (tap
//! column, channel)) fills vectors with what each column sends to its neighbours, and these are
//! added up in a line, column by column.
//!
//! Work unit: a strip. Every element is computed by the same operations in the same order wherever
//! the units run.

use crate::mem::{Aligned, Layout, Mem, Space, with_scratch};
use crate::real::Real;
use crate::simd::{Body, Simd};
use crate::strip::{POINTS, ROWS, input_line, output_line};
use crate::winograd::Product;
use std::ops::Range;

/// Most elements of a vector.
const MOST_LANES: usize = 16;

/// The step.
#[derive(Debug, Clone)]
pub struct StripGradient<T> {
    /// Channels of the convolution's output.
    pub n_outputs: usize,
    /// Columns of taps.
    pub width: usize,
    /// Columns of padding to the left.
    pub left: usize,
    /// Block of the gradient at the output.
    pub space: Space,
    /// Its element at the first column of the first row that reaches the first strip, may be before
    /// its own first.
    pub at: isize,
    /// Elements between its rows.
    pub pitch: usize,
    /// Elements between its pixels.
    pub cs: usize,
    /// Its columns.
    pub columns: usize,
    /// Columns that are transformed together.
    pub chunk: usize,
    /// Gradient at the image.
    pub gx: Layout,
    /// Add to what is there.
    pub accumulate: bool,
    /// Per block of vectors that a register tile holds: point, output, (tap column, channel) padded
    /// to vectors.
    pub weights: Aligned<T>,
}

/// Elements of scratch memory of a task; see [`StripGradient::scratch`].
#[derive(Debug, Clone, Copy)]
pub struct Scratch {
    inputs: usize,
    outputs: usize,
    line: usize,
}

impl Scratch {
    /// For lines of `columns`, transformed `chunk` at a time, that send `width` tap columns of
    /// `n_channels`.
    pub fn new(n_outputs: usize, columns: usize, chunk: usize, width: usize, n_channels: usize) -> Self {
        let lines = |len: usize| (len.div_ceil(16) | 1) * 16;
        Scratch {
            inputs: lines(chunk * n_outputs.next_multiple_of(MOST_LANES)),
            outputs: lines(chunk * (width * n_channels).next_multiple_of(MOST_LANES)),
            line: lines((columns + width) * n_channels + MOST_LANES),
        }
    }
    /// All of it.
    pub fn elements(self) -> usize {
        POINTS * (self.inputs + self.outputs) + ROWS * self.line
    }
}

struct GradientBody<'a, 'b, S: Simd> {
    step: &'a StripGradient<S::T>,
    mem: &'a Mem<S::T>,
    strip: usize,
    columns: Range<usize>,
    scratch: &'b mut [S::T],
}

/// Transforms the input rows of a chunk of columns.
struct InputBody<'a, 'b, S: Simd>(GradientBody<'a, 'b, S>);

/// Adds what a chunk of columns sends to the lines.
struct OutputBody<'a, 'b, S: Simd>(GradientBody<'a, 'b, S>);

impl<S: Simd> Body for InputBody<'_, '_, S> {
    type Out = ();
    #[inline(always)]
    fn call(self) {
        let GradientBody { step, mem, strip, columns, scratch } = self.0;
        let (base, total) = mem.block(step.space);
        let (row, stride) = (step.n_outputs.next_multiple_of(S::LANES), step.scratch().inputs);
        let at = step.at + (strip * ROWS * step.pitch + columns.start * step.cs) as isize;
        let far = (POINTS - 1) * step.pitch + (columns.len() - 1) * step.cs + step.n_outputs;
        debug_assert!(
            at >= mem.first(step.space) as isize && at as usize + far <= total,
            "strip {at}+{far} of {total}"
        );
        for t in 0..columns.len() {
            for v in (0..row).step_by(S::LANES) {
                // SAFETY: the rows lie inside the block (checked above in debug builds), which has
                // slack for the last vector; scratch memory has a row for each column of a chunk
                // and each point.
                unsafe {
                    let from = base.wrapping_offset(at).add(t * step.cs + v);
                    let to = scratch.as_mut_ptr().add(t * row + v);
                    let mut rows = [S::splat(S::T::ZERO); POINTS];
                    for (y, row) in rows.iter_mut().enumerate() {
                        *row = S::load(from.add(y * step.pitch));
                    }
                    for (p, &value) in input_line::<S>(rows).iter().enumerate() {
                        S::store(to.add(p * stride), value);
                    }
                }
            }
        }
    }
}

impl<S: Simd> Body for OutputBody<'_, '_, S> {
    type Out = ();
    #[inline(always)]
    fn call(self) {
        let GradientBody { step, columns, scratch, .. } = self.0;
        let Scratch { outputs, line, .. } = step.scratch();
        let sent = step.sent().next_multiple_of(S::LANES);
        let (from, lines) = scratch.split_at_mut(POINTS * outputs);
        for (t, x) in columns.enumerate() {
            for v in (0..sent).step_by(S::LANES) {
                // SAFETY: scratch memory has `outputs` elements for each point, and lines reach
                // past the last column.
                unsafe {
                    let mut points = [S::splat(S::T::ZERO); POINTS];
                    for (p, point) in points.iter_mut().enumerate() {
                        *point = S::load(from.as_ptr().add(p * outputs + t * sent + v));
                    }
                    for (i, &z) in output_line::<S>(points).iter().enumerate() {
                        let to = lines.as_mut_ptr().add(i * line + x * step.gx.c + v);
                        S::store(to, S::add(S::load(to), z));
                    }
                }
            }
        }
    }
}

impl<T: Real> StripGradient<T> {
    /// Number of work units.
    pub fn units(&self) -> usize {
        self.gx.h.div_ceil(ROWS)
    }

    /// Elements that a column of the gradient sends: tap columns times channels.
    pub fn sent(&self) -> usize {
        self.width * self.gx.c
    }

    /// Scratch memory.
    pub fn scratch(&self) -> Scratch {
        Scratch::new(self.n_outputs, self.columns, self.chunk, self.width, self.gx.c)
    }

    /// Runs strips.
    ///
    /// # Safety
    /// The eight rows that reach each strip lie inside their block, and the image's gradient in its
    /// own; the strips' rows belong to the caller.
    pub unsafe fn run<S: Simd<T = T>>(&self, mem: &Mem<T>, strips: Range<usize>) {
        let Scratch { inputs, outputs, line } = self.scratch();
        with_scratch(self.scratch().elements(), |scratch| {
            let (transformed, rest) = scratch.split_at_mut(POINTS * inputs);
            for strip in strips {
                rest[POINTS * outputs..].fill(T::ZERO);
                for first in (0..self.columns).step_by(self.chunk) {
                    let columns = first..(first + self.chunk).min(self.columns);
                    let (step, range) = (self, columns.clone());
                    S::vectorize(InputBody::<S>(GradientBody {
                        step,
                        mem,
                        strip,
                        columns: range.clone(),
                        scratch: transformed,
                    }));
                    // SAFETY: both regions have room for a chunk.
                    unsafe { self.products::<S>(transformed, rest, columns.len()) };
                    S::vectorize(OutputBody::<S>(GradientBody { step, mem, strip, columns: range, scratch: rest }));
                }
                for (i, from) in rest[POINTS * outputs..].chunks_exact(line).enumerate().take(self.gx.h - strip * ROWS)
                {
                    // SAFETY: a row of the caller's strips.
                    unsafe { self.store(mem, strip * ROWS + i, from) };
                }
            }
        });
    }

    unsafe fn products<S: Simd<T = T>>(&self, inputs: &[T], outputs: &mut [T], columns: usize) {
        let Scratch { inputs: input_stride, outputs: output_stride, .. } = self.scratch();
        let row = self.n_outputs.next_multiple_of(S::LANES);
        let sent = self.sent().next_multiple_of(S::LANES);
        for point in 0..POINTS {
            for block in (0..sent).step_by(S::LANES * S::NV) {
                let width = (sent - block).min(S::LANES * S::NV);
                let weights = POINTS * self.n_outputs * block + point * self.n_outputs * width;
                for first in (0..columns).step_by(S::MR) {
                    let product = Product {
                        a: inputs[point * input_stride + first * row..].as_ptr(),
                        a_row: row,
                        k: self.n_outputs,
                        b: self.weights.as_slice()[weights..].as_ptr(),
                        c: outputs[point * output_stride + first * sent + block..].as_mut_ptr(),
                        c_row: sent,
                    };
                    // SAFETY: rows of both regions; weights hold `width` for each output.
                    unsafe { S::tile(&product, (columns - first).min(S::MR), width / S::LANES) };
                }
            }
        }
    }

    /// A finished line to row `y` of the image's gradient.
    unsafe fn store(&self, mem: &Mem<T>, y: usize, line: &[T]) {
        let gx = &self.gx;
        for (x, from) in line[self.left * gx.c..].chunks_exact(gx.c).enumerate().take(gx.w) {
            // SAFETY: a pixel of the caller's rows.
            let to = unsafe { mem.write(gx.space, gx.pixel(y as isize, x as isize), gx.c) };
            if self.accumulate {
                to.iter_mut().zip(from).for_each(|(t, &f)| *t += f);
            } else {
                to.copy_from_slice(from);
            }
        }
    }
}
