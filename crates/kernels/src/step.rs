//! A program's steps, and how one instruction set runs them.

use crate::conv::Conv;
use crate::depthwise::Depthwise;
use crate::epilogue::{Store, ZeroBorder, pixel_mut};
use crate::lrn::{LrnBackward, LrnForward};
use crate::mem::{Layout, Mem};
use crate::moments::{GramBody, MomentBackward, MomentBody};
pub use crate::pixels::{Export, Import, Out};
use crate::pointwise::{Flatten, Map, SoftmaxBackward, SoftmaxForward};
use crate::pool::{PoolBackward, PoolForward};
use crate::real::Real;
use crate::rolling::Rolling;
use crate::simd::{Body, Simd};
use crate::strip::Strip;
use crate::strip_gradient::StripGradient;
use crate::thin::Thin;
use crate::winograd::{POINTS, Winograd};
use std::ops::Range;

/// `g (+)= gradient handed in at a plain tap`, from `n x c x h x w`. Work unit: a row.
#[derive(Debug, Clone)]
pub struct TapIn<T> {
    /// Which plain tap.
    pub tap: usize,
    /// Gradient at the tensor.
    pub g: Layout,
    /// How to store.
    pub store: Store<T>,
}

/// One step.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum Step<T> {
    Import(Import<T>),
    Export(Export<T>),
    Conv(Conv<T>),
    Depthwise(Depthwise<T>),
    Winograd(Winograd<T>),
    Thin(Thin<T>),
    Strip(Strip<T>),
    StripGradient(StripGradient<T>),
    Rolling(Rolling<T>),
    PoolForward(PoolForward<T>),
    PoolBackward(PoolBackward<T>),
    LrnForward(LrnForward<T>),
    LrnBackward(LrnBackward<T>),
    Map(Map<T>),
    SoftmaxForward(SoftmaxForward),
    SoftmaxBackward(SoftmaxBackward<T>),
    Flatten(Flatten<T>),
    ZeroBorder(ZeroBorder),
    TapIn(TapIn<T>),
    MomentBackward(MomentBackward<T>),
}

/// What comes from outside, and where the result goes.
#[derive(Debug, Default)]
pub struct External<'a, T> {
    /// `n x planes x h x w`.
    pub pixels: &'a [T],
    /// Gradient at the pixels, as `pixels`.
    pub out: Out<T>,
    /// Per plain tap: `n x c x h x w`, or nothing.
    pub gradients: Vec<Option<&'a [T]>>,
    /// Per moment tap: `G + G^T` (n x n) and `s` (n), zeros when there is nothing.
    pub moments: Vec<(Vec<T>, Vec<T>)>,
}

impl<T: Real> Step<T> {
    /// True when a step needs all images at once.
    pub fn whole_batch(&self) -> bool {
        match self {
            Step::Conv(conv) => conv.batch,
            Step::MomentBackward(_) => true,
            _ => false,
        }
    }

    /// What the step is, and for products its size.
    pub fn describe(&self) -> String {
        match self {
            Step::Import(_) => "import".into(),
            Step::Export(_) => "export".into(),
            Step::Conv(s) => {
                let block = &s.blocks[0];
                let k: u32 = s.runs[block.runs.clone()]
                    .iter()
                    .flat_map(|r| &s.segments[r.segments.clone()])
                    .map(|g| g.len)
                    .sum();
                let n: usize = s.blocks.iter().map(|b| b.valid).sum();
                format!("product {} x {k} x {n}{}", s.n_pixels, if s.batch { " (batch)" } else { "" })
            }
            Step::Depthwise(s) => {
                format!("depthwise {} x {} x {}, {}x{}", s.n_rows, s.n_cols, s.n_channels, s.taps.0, s.taps.1)
            }
            Step::Winograd(s) => {
                let n_weights = s.weights.as_slice().len() / POINTS;
                format!("winograd {} x {} x {n_weights}, {}x{}", s.out.h, s.out.w, s.m, s.m)
            }
            Step::Thin(s) => format!("image gradient {} phases, {} x {}", s.phases.len(), s.n_outputs, s.n_channels),
            Step::Strip(s) => {
                format!("strips {} x {} x {}, {} x {}", s.out.h, s.out.w, s.out.c, s.width, s.n_channels)
            }
            Step::StripGradient(s) => {
                format!("strips gradient {} x {} x {}, {} outputs", s.gx.h, s.gx.w, s.gx.c, s.n_outputs)
            }
            Step::Rolling(s) => {
                let (first, more) = (s.producers[0].describe(), s.producers.len() - 1);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                format!("[{first}{more}] into [{}]", s.consumer.describe())
            }
            Step::PoolForward(s) => format!("pool {} x {} x {}", s.y.h, s.y.w, s.y.c),
            Step::PoolBackward(s) => format!("pool gradient {} x {} x {}", s.gx.h, s.gx.w, s.gx.c),
            Step::LrnForward(s) => format!("lrn {} x {} x {}", s.y.h, s.y.w, s.y.c),
            Step::LrnBackward(s) => format!("lrn gradient {} x {} x {}", s.gx.h, s.gx.w, s.gx.c),
            Step::Map(s) => format!("map of {} to {} x {} x {}", s.inputs.len(), s.out.h, s.out.w, s.out.c),
            Step::SoftmaxForward(_) => "softmax".into(),
            Step::SoftmaxBackward(_) => "softmax gradient".into(),
            Step::Flatten(_) => "flatten".into(),
            Step::ZeroBorder(_) => "border".into(),
            Step::TapIn(_) => "gradient in".into(),
            Step::MomentBackward(s) => format!("moments gradient {} x {} x {} (batch)", s.gx.h, s.gx.w, s.gx.c),
        }
    }

    /// Roughly how many multiply-adds the step takes, for one image or, for a step over the whole
    /// batch, for all.
    pub fn work(&self, n_images: usize) -> usize {
        /// What an element of a pool or a map costs with its loads and stores.
        const ELEMENT: usize = 16;
        let elements = |l: &Layout| ELEMENT * l.h * l.w * l.c;
        match self {
            Step::Import(s) => elements(&s.x),
            Step::Export(s) => elements(&s.g),
            Step::Conv(s) => s.weights.as_slice().len() * s.pixels(n_images),
            Step::Depthwise(s) => s.weights.as_slice().len() * s.n_rows * s.n_cols,
            Step::Winograd(s) => s.weights.as_slice().len() * s.tiles.0 * s.tiles.1,
            Step::Thin(s) => {
                let pixels = s.phases.iter().map(|p| p.size.0 * p.size.1 * p.taps.len()).sum::<usize>();
                pixels * s.n_outputs * s.n_channels
            }
            Step::Strip(s) => s.weights.as_slice().len() * s.out.w * s.units(),
            Step::StripGradient(s) => s.weights.as_slice().len() * s.columns * s.units(),
            Step::Rolling(s) => s.producers.iter().chain([&*s.consumer]).map(|step| step.work(n_images)).sum(),
            Step::PoolForward(s) => elements(&s.x),
            Step::PoolBackward(s) => elements(&s.gx),
            Step::LrnForward(s) => elements(&s.y),
            Step::LrnBackward(s) => elements(&s.gx),
            Step::Map(s) => elements(&s.out),
            Step::SoftmaxForward(s) => elements(&s.y),
            Step::SoftmaxBackward(s) => elements(&s.gx),
            Step::Flatten(s) => elements(&s.whole),
            Step::ZeroBorder(_) => 0,
            Step::TapIn(s) => elements(&s.g),
            Step::MomentBackward(s) => elements(&s.gx) * n_images,
        }
    }

    /// Number of work units, for one image or, for a step over the whole batch, for all.
    pub fn units(&self, n_images: usize) -> usize {
        match self {
            Step::Import(s) => s.x.h,
            Step::Export(s) => s.g.h,
            Step::Conv(s) => s.units(n_images),
            Step::Depthwise(s) => s.n_rows,
            Step::Winograd(s) => s.units(),
            Step::Thin(s) => s.units(),
            Step::Strip(s) => s.units(),
            Step::StripGradient(s) => s.units(),
            Step::Rolling(s) => s.units(),
            Step::PoolForward(s) => s.y.h,
            Step::PoolBackward(s) => s.gx.h,
            Step::LrnForward(s) => s.y.h,
            Step::LrnBackward(s) => s.gx.h,
            Step::Map(s) => s.out.h,
            Step::SoftmaxForward(s) => s.y.h,
            Step::SoftmaxBackward(s) => s.gx.h,
            Step::Flatten(s) => s.whole.h,
            Step::ZeroBorder(_) => 1,
            Step::TapIn(s) => s.g.h,
            Step::MomentBackward(s) => s.gx.h,
        }
    }
}

impl<T: Real> TapIn<T> {
    #[inline(always)]
    unsafe fn run(&self, mem: &Mem<T>, external: &External<'_, T>, rows: Range<usize>) {
        let g = &self.g;
        let size = g.h * g.w;
        for y in rows {
            match external.gradients[self.tap] {
                Some(all) => {
                    let image = &all[mem.first_image * size * g.c..(mem.first_image + 1) * size * g.c];
                    for x in 0..g.w {
                        // SAFETY: a pixel of the caller's rows.
                        let out = unsafe { pixel_mut(mem, g, y as isize, x as isize) };
                        let values = image[y * g.w + x..].iter().step_by(size);
                        if self.store.accumulate {
                            out.iter_mut().zip(values).for_each(|(o, &v)| *o += v);
                        } else {
                            out.iter_mut().zip(values).for_each(|(o, &v)| *o = v);
                        }
                    }
                }
                None if self.store.accumulate => {}
                None => {
                    for x in 0..g.w {
                        // SAFETY: as above.
                        unsafe { pixel_mut(mem, g, y as isize, x as isize) }.fill(T::ZERO);
                    }
                }
            }
            // SAFETY: one of the caller's rows.
            unsafe { self.store.finish_row(mem, g, y) };
        }
    }
}

struct Rows<'a, S: Simd> {
    step: &'a Step<S::T>,
    mem: &'a Mem<S::T>,
    external: &'a External<'a, S::T>,
    units: Range<usize>,
}

impl<S: Simd> Body for Rows<'_, S> {
    type Out = ();
    #[inline(always)]
    fn call(self) {
        let (mem, units) = (self.mem, self.units);
        // SAFETY: passed on from `run`.
        unsafe {
            match self.step {
                Step::Import(s) => s.run(mem, self.external.pixels, units),
                Step::Export(s) => s.run(mem, self.external.out, units),
                Step::PoolForward(s) => s.run(mem, units),
                Step::PoolBackward(s) => s.run(mem, units),
                Step::LrnForward(s) => s.run(mem, units),
                Step::LrnBackward(s) => s.run(mem, units),
                Step::Map(s) => s.run(mem, units),
                Step::SoftmaxForward(s) => s.run(mem, units),
                Step::SoftmaxBackward(s) => s.run(mem, units),
                Step::Flatten(s) => s.run(mem, units),
                Step::TapIn(s) => s.run(mem, self.external, units),
                Step::ZeroBorder(s) => s.run(mem),
                _ => unreachable!("run has its own arm"),
            }
        }
    }
}

/// Runs some units of a step.
///
/// # Safety
/// The step's layouts and tables lie inside `mem`, and the units' outputs belong to the caller. The
/// instruction set of `S` exists.
pub unsafe fn run<S: Simd>(step: &Step<S::T>, mem: &Mem<S::T>, external: &External<'_, S::T>, units: Range<usize>) {
    // SAFETY: passed on.
    unsafe {
        match step {
            Step::Conv(s) => s.run::<S>(mem, units),
            Step::Depthwise(s) => s.run::<S>(mem, units),
            Step::Winograd(s) => s.run::<S>(mem, units),
            Step::Thin(s) => s.run::<S>(mem, units),
            Step::Rolling(s) => s.run::<S>(mem, external, units),
            Step::Strip(s) => s.run::<S>(mem, units),
            Step::StripGradient(s) => s.run::<S>(mem, units),
            Step::MomentBackward(s) => {
                let (matrix, offsets) = &external.moments[s.tap];
                S::vectorize(MomentBody::<S> { step: s, mem, matrix, offsets, rows: units });
            }
            _ => S::vectorize(Rows::<S> { step, mem, external, units }),
        }
    }
}

/// Adds the moments of rows of a tensor; see [`GramBody`].
///
/// # Safety
/// As [`run`], for reading.
pub unsafe fn gram<S: Simd>(x: Layout, mem: &Mem<S::T>, rows: Range<usize>, gram: &mut [f64], sums: &mut [f64]) {
    S::vectorize(GramBody::<S> { x, mem, rows, gram, sums });
}
