//! Runs programs: a planned network ([`Engine`]) and the memory of one batch ([`Session`]).
//!
//! Steps between two that need the whole batch are run image by image, one image per thread, so
//! that an image's tensors stay in cache from step to step. Images that do not fill all threads are
//! run step by step, each step's units spread over the threads. Units compute disjoint outputs in a
//! fixed order of operations: any split gives the same bytes.

use crate::isa::Isa;
use crate::lower::{Program, Sizes, Tap, plan};
use crate::mem::{Aligned, Layout, Mem};
use crate::pass::{Pass, Workers, take};
use crate::real::Real;
use crate::spec::{Net, SpecError};
use crate::step::{External, Out, Step};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Mutex;

/// A planned network with packed weights.
#[derive(Debug, Clone)]
pub struct Engine<T> {
    pub(crate) program: Program<T>,
    pub(crate) isa: Isa<T>,
}

/// Raw second moments of a tensor across images; see [`crate::moments`].
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    /// `n x n`, row-major.
    pub gram: Vec<f64>,
    /// `n`.
    pub sums: Vec<f64>,
    /// Elements per image.
    pub n_units: usize,
}

/// Gradient of a scalar at a tap.
#[derive(Debug, Clone, Copy)]
pub enum TapGradient<'a, T> {
    /// Zero.
    None,
    /// `n x c x h x w`, for a plain tap.
    Plain(&'a [T]),
    /// At the Gram matrix (`n x n`) and the sums (`n`), for a moment tap.
    Moments(&'a [f64], &'a [f64]),
}

/// What a program costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Multiply-accumulates of one image forward (convolutions and linear layers); the backward
    /// pass costs as many again.
    pub macs_per_image: u64,
    /// Bytes kept for each image.
    pub bytes_per_image: usize,
    /// Bytes for each thread.
    pub bytes_per_thread: usize,
    /// Bytes of packed weights.
    pub weight_bytes: usize,
}

impl Cost {
    fn of<T>(sizes: Sizes) -> Self {
        Cost {
            macs_per_image: sizes.macs,
            bytes_per_image: stride::<T>(sizes.image_len) * size_of::<T>() + sizes.bytes_len,
            bytes_per_thread: (sizes.worker_len + sizes.scratch_len) * size_of::<T>(),
            weight_bytes: sizes.weights_len * size_of::<T>(),
        }
    }
}

impl<T: Real> Engine<T> {
    /// Plans `net` for `taps`, with or without the way back to the pixels.
    ///
    /// # Errors
    /// No taps, or taps that do not exist.
    pub fn new(net: &Net, taps: &[Tap], gradient: bool, isa: Isa<T>) -> Result<Self, SpecError> {
        Ok(Engine { program: plan(net, taps, gradient, &isa)?.build(), isa })
    }
    /// What the engine would cost, without packing its weights.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn estimate(net: &Net, taps: &[Tap], gradient: bool, isa: Isa<T>) -> Result<Cost, SpecError> {
        Ok(Cost::of::<T>(plan(net, taps, gradient, &isa)?.sizes()))
    }
    /// Name of the instruction set.
    pub fn isa(&self) -> &'static str {
        self.isa.name
    }
    /// The program.
    pub fn program(&self) -> &Program<T> {
        &self.program
    }
    /// What it costs.
    pub fn cost(&self) -> Cost {
        Cost::of::<T>(self.program.sizes)
    }
    /// Memory for `n_images`, zeroed. The session runs on all threads of the rayon pool that calls
    /// it.
    pub fn session(&self, n_images: usize) -> Session<T> {
        self.session_on(n_images, rayon::current_num_threads().clamp(1, n_images.max(1)), true)
    }
    /// As [`session`](Self::session), but the session never leaves the thread that calls it: for
    /// many small networks, each on a thread of its own.
    pub fn session_on_one_thread(&self, n_images: usize) -> Session<T> {
        self.session_on(n_images, 1, false)
    }
    fn session_on(&self, n_images: usize, n_workers: usize, parallel: bool) -> Session<T> {
        let stride = stride::<T>(self.program.sizes.image_len);
        Session {
            n_images,
            parallel,
            stride,
            images: Aligned::zeros(stride * n_images),
            bytes: vec![0; self.program.sizes.bytes_len * n_images],
            workers: Mutex::new((0..n_workers).map(|_| Aligned::zeros(self.program.sizes.worker_len)).collect()),
        }
    }
}

/// Elements from one image's block to the next: whole cache lines, and not a multiple of a page, so
/// that the same element of all images does not fall into the same cache set.
fn stride<T>(len: usize) -> usize {
    let line = 64 / size_of::<T>();
    let page = 4096 / size_of::<T>();
    len.next_multiple_of(page) + 5 * line
}

/// The memory of one batch.
#[derive(Debug)]
pub struct Session<T> {
    n_images: usize,
    parallel: bool,
    stride: usize,
    images: Aligned<T>,
    bytes: Vec<u8>,
    workers: Workers<T>,
}

impl<T: Real> Session<T> {
    /// Images.
    pub fn n_images(&self) -> usize {
        self.n_images
    }

    /// Runs to the deepest tap.
    ///
    /// # Shapes
    /// `pixels`: `n x planes x h x w`.
    ///
    /// # Errors
    /// Another number of pixels.
    pub fn forward(&mut self, engine: &Engine<T>, pixels: &[T]) -> Result<(), SpecError> {
        let (planes, h, w) = engine.program.pixels;
        expect("pixels", self.n_images * planes * h * w, pixels.len())?;
        let external = External { pixels, out: Out::default(), gradients: vec![], moments: vec![] };
        self.run(engine, &engine.program.forward, &external);
        Ok(())
    }

    /// The gradient at the pixels for gradients at the taps, of the last forward pass.
    ///
    /// # Shapes
    /// `grads`: one for each tap; `out`: `n x planes x h x w`.
    ///
    /// # Errors
    /// Lengths that do not fit, a gradient of another kind than its tap, or a program without the
    /// way back.
    pub fn backward(
        &mut self,
        engine: &Engine<T>,
        grads: &[TapGradient<'_, T>],
        out: &mut [T],
    ) -> Result<(), SpecError> {
        let program = &engine.program;
        let (planes, h, w) = program.pixels;
        expect("gradients", program.taps.len(), grads.len())?;
        expect("pixel gradients", self.n_images * planes * h * w, out.len())?;
        if program.backward.is_empty() {
            return Err(SpecError("backward: expected a program planned with gradients, found one without".into()));
        }
        let mut external = External { pixels: &[], out: Out::new(out), gradients: vec![], moments: vec![] };
        let n = self.n_images;
        for ((tap, layout), grad) in program.taps.iter().zip(grads) {
            match (tap, grad) {
                (Tap::Plain(_), TapGradient::None) => external.gradients.push(None),
                (Tap::Plain(_), TapGradient::Plain(g)) => {
                    expect("gradient at a tap", n * layout.h * layout.w * layout.c, g.len())?;
                    external.gradients.push(Some(*g));
                }
                (Tap::Moments(_), TapGradient::None) => external.moments.push((vec![T::ZERO; n * n], vec![T::ZERO; n])),
                (Tap::Moments(_), TapGradient::Moments(gram, sums)) => {
                    expect("gradient at a Gram matrix", n * n, gram.len())?;
                    expect("gradient at sums", n, sums.len())?;
                    let both = |p: usize| T::from_f64(gram[p] + gram[p % n * n + p / n]);
                    external
                        .moments
                        .push(((0..n * n).map(both).collect(), sums.iter().map(|&s| T::from_f64(s)).collect()));
                }
                _ => return Err(SpecError("backward: expected a gradient of its tap's kind, found another".into())),
            }
        }
        self.run(engine, &program.backward, &external);
        Ok(())
    }

    /// Copies the tensor at a tap out.
    ///
    /// # Shapes
    /// `out`: `n x c x h x w`.
    ///
    /// # Errors
    /// Another length.
    pub fn tap(&self, engine: &Engine<T>, tap: usize, out: &mut [T]) -> Result<(), SpecError> {
        let layout = engine.program.taps[tap].1;
        let size = layout.h * layout.w;
        expect("tap", self.n_images * size * layout.c, out.len())?;
        let images = self.images.as_slice();
        let copy = |(i, out): (usize, &mut [T])| {
            let image = &images[i * self.stride..(i + 1) * self.stride];
            for y in 0..layout.h {
                for x in 0..layout.w {
                    let pixel = &image[layout.pixel(y as isize, x as isize)..][..layout.c];
                    for (c, &v) in pixel.iter().enumerate() {
                        out[c * size + y * layout.w + x] = v;
                    }
                }
            }
        };
        match self.parallel {
            true => out.par_chunks_mut((size * layout.c).max(1)).enumerate().for_each(copy),
            false => out.chunks_mut((size * layout.c).max(1)).enumerate().for_each(copy),
        }
        Ok(())
    }

    /// Moments of the tensor at a tap: fixed chunks of rows in parallel, added in order.
    pub fn moments(&mut self, engine: &Engine<T>, tap: usize) -> Moments {
        const CHUNKS: usize = 16;
        let layout: Layout = engine.program.taps[tap].1;
        let n = self.n_images;
        let rows = layout.h.div_ceil(CHUNKS).max(1);
        let chunks: Vec<Range<usize>> = (0..layout.h).step_by(rows).map(|y| y..(y + rows).min(layout.h)).collect();
        let (images, bytes) = (self.images.as_mut_slice(), &mut self.bytes[..]);
        let mem = Mem::new(images, &mut [], bytes, self.stride, 0..n);
        let part = |rows| {
            let (mut gram, mut sums) = (vec![0.0; n * n], vec![0.0; n]);
            // SAFETY: the tap's layout lies in each image's block, and nothing writes to it now.
            unsafe { (engine.isa.gram)(layout, &mem, rows, &mut gram, &mut sums) };
            (gram, sums)
        };
        let parts: Vec<(Vec<f64>, Vec<f64>)> = match self.parallel {
            true => chunks.into_par_iter().map(part).collect(),
            false => chunks.into_iter().map(part).collect(),
        };
        let (mut gram, mut sums) = (vec![0.0; n * n], vec![0.0; n]);
        for (g, s) in parts {
            gram.iter_mut().zip(g).for_each(|(a, b)| *a += b);
            sums.iter_mut().zip(s).for_each(|(a, b)| *a += b);
        }
        for i in 0..n {
            for j in 0..i {
                gram[i * n + j] = gram[j * n + i];
            }
        }
        Moments { gram, sums, n_units: layout.h * layout.w * layout.c }
    }

    /// Time of each step on one thread, all images together, in milliseconds: what it is, whether
    /// forward, how long. Gradients at taps are zero.
    pub fn profile(&mut self, engine: &Engine<T>, pixels: &[T]) -> Vec<(String, bool, f64)> {
        let mut out = vec![T::ZERO; pixels.len()];
        let n = self.n_images;
        let taps = &engine.program.taps;
        let count = |plain: bool| taps.iter().filter(|t| matches!(t.0, Tap::Plain(_)) == plain).count();
        let external = External {
            pixels,
            out: Out::new(&mut out),
            gradients: vec![None; count(true)],
            moments: vec![(vec![T::ZERO; n * n], vec![T::ZERO; n]); count(false)],
        };
        let mut worker = take(&self.workers, engine);
        let mem = Mem::new(self.images.as_mut_slice(), worker.as_mut_slice(), &mut self.bytes, self.stride, 0..n);
        let mut times = Vec::new();
        for (steps, forward) in [(&engine.program.forward, true), (&engine.program.backward, false)] {
            for run in steps.chunk_by(|a, b| !a.whole_batch() && !b.whole_batch()) {
                let views: Vec<Mem<T>> =
                    if run[0].whole_batch() { vec![mem] } else { (0..n).map(|i| mem.image(i)).collect() };
                let mut spent = vec![0.0; run.len()];
                for view in views {
                    for (step, spent) in run.iter().zip(&mut spent) {
                        let start = std::time::Instant::now();
                        // SAFETY: the planner laid the step out inside these blocks; this is the
                        // only task.
                        unsafe { (engine.isa.run)(step, &view, &external, 0..step.units(view.n_images)) };
                        *spent += start.elapsed().as_secs_f64() * 1e3;
                    }
                }
                times.extend(run.iter().zip(spent).map(|(step, ms)| (step.describe(), forward, ms)));
            }
        }
        times
    }

    fn run(&mut self, engine: &Engine<T>, steps: &[Step<T>], external: &External<'_, T>) {
        let n_threads = if self.parallel { rayon::current_num_threads() } else { 1 };
        let (images, bytes) = (self.images.as_mut_slice(), &mut self.bytes[..]);
        let mem = Mem::new(images, &mut [], bytes, self.stride, 0..self.n_images);
        Pass { engine, workers: &self.workers, external, mem, n_threads }.run(steps);
    }
}

fn expect(what: &str, expected: usize, found: usize) -> Result<(), SpecError> {
    if expected == found {
        return Ok(());
    }
    Err(SpecError(format!("{what}: expected {expected} values, found {found}")))
}
