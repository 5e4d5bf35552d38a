//! The implicit matrix product in coordinates, before addresses: rows, columns and channels instead
//! of elements.

use super::buffers::{Buf, Buffers};
use super::{Lower, Pending, Pull};
use crate::conv::{Block, Conv, Dest, Run, Segment, Table};
use crate::epilogue::Act;
use crate::isa::Isa;
use crate::mem::Aligned;
use crate::real::Real;
use crate::spec::Activation;
use crate::step::Step;

/// A tensor and the pixel that belongs to output pixel `(i, j)`: `at + (i, j) step`.
#[derive(Debug, Clone, Copy)]
pub struct Pixels {
    pub buf: Buf,
    pub at: (isize, isize),
    pub step: (usize, usize),
}

/// `len` channels from `c0` of the pixel `(dy, dx)` away, of source `src`.
#[derive(Debug, Clone, Copy)]
pub struct TapAt {
    pub src: usize,
    pub dy: isize,
    pub dx: isize,
    pub c0: usize,
    pub len: usize,
}

/// Some output channels: `matrix` is (sum of the taps' lengths) x `n`.
pub struct Part<'a> {
    pub taps: Vec<TapAt>,
    /// Called when weights are packed.
    pub matrix: Box<dyn FnOnce() -> Vec<f32> + Send + 'a>,
    pub n: usize,
    pub bias: &'a [f32],
    pub dest: usize,
    pub c0: usize,
}

/// A tensor that is written.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    pub pixels: Pixels,
    pub act: Activation,
    pub store: Pull,
}

/// The product.
pub struct Gemm<'a> {
    pub grid: (usize, usize),
    pub sources: Vec<Pixels>,
    pub targets: Vec<Target>,
    pub parts: Vec<Part<'a>>,
}

impl Part<'_> {
    /// Elements of packed weights and biases.
    fn packed(&self, lanes: usize) -> (usize, usize) {
        let rows: usize = self.taps.iter().map(|t| t.len).sum();
        let columns = self.n.next_multiple_of(lanes);
        (rows * columns, columns)
    }
}

impl Gemm<'_> {
    /// Elements of packed weights and biases.
    fn packed(&self, lanes: usize) -> (usize, usize) {
        let each = self.parts.iter().map(|p| p.packed(lanes));
        each.fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1))
    }

    fn reaches(&self, buffers: &mut Buffers) {
        let mut reach = |p: &Pixels, (y0, y1): (isize, isize), (x0, x1): (isize, isize)| {
            let last = (((self.grid.0 - 1) * p.step.0) as isize, ((self.grid.1 - 1) * p.step.1) as isize);
            buffers.reach(p.buf, (p.at.0 + y0, p.at.0 + last.0 + y1), (p.at.1 + x0, p.at.1 + last.1 + x1));
        };
        for part in &self.parts {
            for tap in &part.taps {
                reach(&self.sources[tap.src], (tap.dy, tap.dy), (tap.dx, tap.dx));
            }
            let target = &self.targets[part.dest].pixels;
            reach(target, (0, 0), (0, 0));
        }
    }

    /// Addresses, packed weights, blocks.
    fn build<T: Real>(self, buffers: &Buffers, isa: &Isa<T>) -> Conv<T> {
        let table = |p: &Pixels| {
            let l = buffers.layout(p.buf);
            let cells = (0..self.grid.0).flat_map(|i| (0..self.grid.1).map(move |j| (i, j)));
            let at = |(i, j): (usize, usize)| {
                let (y, x) = (p.at.0 + (i * p.step.0) as isize, p.at.1 + (j * p.step.1) as isize);
                (l.at as isize + y * l.pitch as isize + x * l.cs as isize) as i32
            };
            Table { space: l.space, pixel: cells.map(at).collect() }
        };
        let mut conv = Conv {
            n_pixels: self.grid.0 * self.grid.1,
            chunk: 0,
            batch: self.grid == (1, 1),
            sources: self.sources.iter().map(&table).collect(),
            runs: Vec::new(),
            segments: Vec::new(),
            blocks: Vec::new(),
            dests: Vec::new(),
            weights: Aligned::zeros(0),
            biases: Aligned::zeros(0),
        };
        for t in &self.targets {
            let pull = t.store.pull.map(|(act, buf)| (Act::from(act), table(&Pixels { buf, ..t.pixels })));
            conv.dests.push(Dest {
                table: table(&t.pixels),
                act: Act::from(t.act),
                accumulate: t.store.accumulate,
                pull,
            });
        }
        conv.chunk = self.chunk(buffers, isa);
        let (n_weights, n_biases) = self.packed(isa.lanes);
        conv.weights = Aligned::zeros(n_weights);
        conv.biases = Aligned::zeros(n_biases);
        let mut filled = (0, 0);
        for part in self.parts {
            let runs = segments(&self.sources, &part, buffers, &mut conv);
            let layout = buffers.layout(self.targets[part.dest].pixels.buf);
            let matrix = (part.matrix)();
            for first in (0..part.n).step_by(isa.lanes * isa.nv) {
                let valid = (part.n - first).min(isa.lanes * isa.nv);
                let nv = valid.div_ceil(isa.lanes);
                let end = first + valid == part.n && part.c0 + part.n == layout.c;
                conv.blocks.push(Block {
                    runs: runs.clone(),
                    weight: filled.0,
                    bias: filled.1,
                    nv,
                    valid,
                    room: if end { layout.room - part.c0 - first } else { valid },
                    dest: part.dest,
                    channel: (part.c0 + first) as u32,
                });
                let (rows, columns) = (matrix.chunks_exact(part.n), first..first + valid);
                for (row, to) in rows.zip(conv.weights.as_mut_slice()[filled.0..].chunks_mut(nv * isa.lanes)) {
                    to.iter_mut().zip(&row[columns.clone()]).for_each(|(t, &f)| *t = T::from_f32(f));
                }
                let biases = part.bias.iter().skip(first).take(valid);
                conv.biases.as_mut_slice()[filled.1..].iter_mut().zip(biases).for_each(|(t, &f)| *t = T::from_f32(f));
                filled.0 += matrix.len() / part.n * nv * isa.lanes;
                filled.1 += nv * isa.lanes;
            }
        }
        conv
    }

    /// Pixels per unit: what is read for them should fit into half of a small second-level cache.
    fn chunk<T: Real>(&self, buffers: &Buffers, isa: &Isa<T>) -> usize {
        const BYTES: usize = 128 * 1024;
        if self.grid == (1, 1) {
            return 8 * isa.mr;
        }
        let per_pixel: usize =
            self.sources.iter().map(|s| s.step.0 * s.step.1 * buffers.shape(s.buf).c * size_of::<T>()).sum();
        let n = self.grid.0 * self.grid.1;
        let most = (BYTES / per_pixel.max(1)).max(4 * isa.mr);
        let n_chunks = n.div_ceil(most);
        n.div_ceil(n_chunks).next_multiple_of(isa.mr)
    }
}

/// Segments of a part, contiguous ones joined.
fn segments<T: Real>(
    sources: &[Pixels],
    part: &Part<'_>,
    buffers: &Buffers,
    conv: &mut Conv<T>,
) -> std::ops::Range<usize> {
    let first_run = conv.runs.len();
    let mut last: Option<usize> = None;
    for tap in &part.taps {
        let l = buffers.layout(sources[tap.src].buf);
        let off = (tap.dy * l.pitch as isize + tap.dx * l.cs as isize + tap.c0 as isize) as i32;
        if last != Some(tap.src) {
            let n = conv.segments.len();
            conv.runs.push(Run { src: tap.src, segments: n..n });
            last = Some(tap.src);
        }
        let run = conv.runs.last_mut().expect("a run was just made");
        match conv.segments[run.segments.clone()].last_mut() {
            Some(s) if s.off + s.len as i32 == off => s.len += tap.len as u32,
            _ => {
                conv.segments.push(Segment { off, len: tap.len as u32 });
                run.segments.end += 1;
            }
        }
    }
    first_run..conv.runs.len()
}

impl<'a, T: Real> Lower<'a, T> {
    /// Adds the product to the program.
    pub(super) fn push_gemm(&mut self, gemm: Gemm<'a>) {
        gemm.reaches(&mut self.buffers);
        let reads =
            gemm.sources.iter().map(|s| s.buf).chain(gemm.targets.iter().filter_map(|t| t.store.pull.map(|p| p.1)));
        let isa = *self.isa;
        let (n_weights, n_biases) = gemm.packed(isa.lanes);
        self.list.push(Pending {
            reads: reads.collect(),
            writes: gemm.targets.iter().map(|t| t.pixels.buf).collect(),
            batch: gemm.grid == (1, 1),
            weights: n_weights + n_biases,
            scratch: 0,
            window: None,
            build: Box::new(move |buffers| Step::Conv(gemm.build(buffers, &isa))),
        });
    }
}
