//! Runs programs: a planned network ([`Engine`]) and the memory of one batch ([`Session`]).
//!
//! Steps between two that need the whole batch are run image by image, one image per thread, so that an image's tensors
//! stay in cache from step to step. Images that do not fill all threads are run step by step, each step's units spread
//! over the threads. Units compute disjoint outputs in a fixed order of operations: any split gives the same bytes.

use crate::isa::Isa;
use crate::lower::{Program, Tap, plan};
use crate::mem::{Aligned, Layout, Mem};
use crate::real::Real;
use crate::spec::{Net, SpecError};
use crate::step::{External, Out, Step};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Mutex;

/// A planned network with packed weights.
#[derive(Debug, Clone)]
pub struct Engine<T> {
    program: Program<T>,
    isa: Isa<T>,
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
    /// Multiply-accumulates of one image forward (convolutions and linear layers); the backward pass costs as many again.
    pub macs_per_image: u64,
    /// Bytes kept for each image.
    pub bytes_per_image: usize,
    /// Bytes for each thread.
    pub bytes_per_thread: usize,
    /// Bytes of packed weights.
    pub weight_bytes: usize,
}

impl<T: Real> Engine<T> {
    /// Plans `net` for `taps`, with or without the way back to the pixels.
    ///
    /// # Errors
    /// No taps, or taps that do not exist.
    pub fn new(net: &Net, taps: &[Tap], gradient: bool, isa: Isa<T>) -> Result<Self, SpecError> {
        Ok(Engine { program: plan(net, taps, gradient, &isa)?, isa })
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
        Cost {
            macs_per_image: self.program.macs,
            bytes_per_image: stride::<T>(self.program.image_len) * size_of::<T>() + self.program.bytes_len,
            bytes_per_thread: self.program.worker_len * size_of::<T>(),
            weight_bytes: self.program.weight_bytes,
        }
    }
    /// Memory for `n_images`, zeroed.
    pub fn session(&self, n_images: usize) -> Session<T> {
        let stride = stride::<T>(self.program.image_len);
        let n_workers = rayon::current_num_threads().clamp(1, n_images.max(1));
        Session {
            n_images,
            stride,
            images: Aligned::zeros(stride * n_images),
            bytes: vec![0; self.program.bytes_len * n_images],
            workers: Mutex::new((0..n_workers).map(|_| Aligned::zeros(self.program.worker_len)).collect()),
        }
    }
}

/// Elements from one image's block to the next: whole cache lines, and not a multiple of a page, so that the same
/// element of all images does not fall into the same cache set.
fn stride<T>(len: usize) -> usize {
    let line = 64 / size_of::<T>();
    let page = 4096 / size_of::<T>();
    len.next_multiple_of(page) + 5 * line
}

/// The memory of one batch.
#[derive(Debug)]
pub struct Session<T> {
    n_images: usize,
    stride: usize,
    images: Aligned<T>,
    bytes: Vec<u8>,
    workers: Mutex<Vec<Aligned<T>>>,
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
    /// Lengths that do not fit, a gradient of another kind than its tap, or a program without the way back.
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
        out.par_chunks_mut((size * layout.c).max(1)).enumerate().for_each(|(i, out)| {
            let image = &images[i * self.stride..(i + 1) * self.stride];
            for y in 0..layout.h {
                for x in 0..layout.w {
                    let pixel = &image[layout.pixel(y as isize, x as isize)..][..layout.c];
                    for (c, &v) in pixel.iter().enumerate() {
                        out[c * size + y * layout.w + x] = v;
                    }
                }
            }
        });
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
        let parts: Vec<(Vec<f64>, Vec<f64>)> = chunks
            .into_par_iter()
            .map(|rows| {
                let (mut gram, mut sums) = (vec![0.0; n * n], vec![0.0; n]);
                // SAFETY: the tap's layout lies in each image's block, and nothing writes to it now.
                unsafe { (engine.isa.gram)(layout, &mem, rows, &mut gram, &mut sums) };
                (gram, sums)
            })
            .collect();
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

    /// Time of each step for one image on one thread, in milliseconds: what it is, whether forward, how long.
    /// Gradients at taps are zero.
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
            for step in steps {
                let start = std::time::Instant::now();
                let view = if step.whole_batch() { mem } else { mem.image(0) };
                // SAFETY: the planner laid the step out inside these blocks; this is the only task.
                unsafe { (engine.isa.run)(step, &view, &external, 0..step.units(view.n_images)) };
                times.push((step.describe(), forward, start.elapsed().as_secs_f64() * 1e3));
            }
        }
        times
    }

    fn run(&mut self, engine: &Engine<T>, steps: &[Step<T>], external: &External<'_, T>) {
        let mut rest = steps;
        while let Some(first) = rest.first() {
            if first.whole_batch() {
                self.run_batch(engine, first, external);
                rest = &rest[1..];
            } else {
                let n = rest.iter().position(Step::whole_batch).unwrap_or(rest.len());
                self.run_images(engine, &rest[..n], external);
                rest = &rest[n..];
            }
        }
    }

    /// A step over all images, its units spread over the threads.
    fn run_batch(&mut self, engine: &Engine<T>, step: &Step<T>, external: &External<'_, T>) {
        let mem = Mem::new(self.images.as_mut_slice(), &mut [], &mut self.bytes, self.stride, 0..self.n_images);
        spread(step.units(self.n_images), |units| {
            // SAFETY: the planner laid the step out inside these blocks; units are disjoint.
            unsafe { (engine.isa.run)(step, &mem, external, units) }
        });
    }

    /// Steps that look at one image at a time.
    fn run_images(&mut self, engine: &Engine<T>, steps: &[Step<T>], external: &External<'_, T>) {
        let n_threads = rayon::current_num_threads();
        let whole = if n_threads <= 1 { self.n_images } else { self.n_images / n_threads * n_threads };
        let (stride, n_bytes) = (self.stride, engine.program.bytes_len);
        let (images, tail) = self.images.as_mut_slice().split_at_mut(whole * stride);
        let (bytes, tail_bytes) = self.bytes.split_at_mut(whole * n_bytes);
        let workers = &self.workers;
        let bytes: Vec<&mut [u8]> = if n_bytes == 0 {
            (0..whole).map(|_| Default::default()).collect()
        } else {
            bytes.chunks_mut(n_bytes).collect()
        };
        images.par_chunks_mut(stride).zip(bytes).enumerate().with_max_len(1).for_each(|(i, (image, bytes))| {
            let mut worker = take(workers, engine);
            let mem = Mem::new(image, worker.as_mut_slice(), bytes, stride, i..i + 1);
            for step in steps {
                // SAFETY: these blocks belong to this task alone.
                unsafe { (engine.isa.run)(step, &mem, external, 0..step.units(1)) };
            }
            workers.lock().expect("no task panics while it holds the list").push(worker);
        });
        for i in whole..self.n_images {
            let at = i - whole;
            let mut worker = take(workers, engine);
            let image = &mut tail[at * stride..(at + 1) * stride];
            let bytes = &mut tail_bytes[at * n_bytes..(at + 1) * n_bytes];
            let mem = Mem::new(image, worker.as_mut_slice(), bytes, stride, i..i + 1);
            for step in steps {
                spread(step.units(1), |units| {
                    // SAFETY: the planner laid the step out inside these blocks; units are disjoint.
                    unsafe { (engine.isa.run)(step, &mem, external, units) }
                });
            }
            workers.lock().expect("no task panics while it holds the list").push(worker);
        }
    }
}

fn take<T: Real>(workers: &Mutex<Vec<Aligned<T>>>, engine: &Engine<T>) -> Aligned<T> {
    let free = workers.lock().expect("no task panics while it holds the list").pop();
    free.unwrap_or_else(|| Aligned::zeros(engine.program.worker_len))
}

/// Runs ranges of units on all threads.
fn spread(n_units: usize, run: impl Fn(Range<usize>) + Sync) {
    const TASKS_PER_THREAD: usize = 4;
    let n_threads = rayon::current_num_threads();
    let n_tasks = if n_threads <= 1 { 1 } else { (n_threads * TASKS_PER_THREAD).min(n_units) };
    if n_tasks <= 1 {
        return run(0..n_units);
    }
    (0..n_tasks).into_par_iter().for_each(|t| run(t * n_units / n_tasks..(t + 1) * n_units / n_tasks));
}

fn expect(what: &str, expected: usize, found: usize) -> Result<(), SpecError> {
    if expected == found {
        return Ok(());
    }
    Err(SpecError(format!("{what}: expected {expected} values, found {found}")))
}
