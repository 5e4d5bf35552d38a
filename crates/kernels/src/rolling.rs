//! Two steps as one, row by row: a tensor that only the next step reads exists only as a window of
//! its rows.
//!
//! The first layer of a small network makes the largest tensor by far. Written whole, it leaves the
//! cache before it is read again; here, bands of its rows are made in memory of the thread, read,
//! and overwritten. What the backward pass needs of it is one bit per element: whether it is
//! positive.
//!
//! Work unit: one of the consumer's. A task makes the rows that its units read, some of which its
//! neighbours make, too: the same values by the same operations.

use crate::epilogue::Act;
use crate::mem::{Layout, Mem, with_window};
use crate::real::Real;
use crate::simd::{Body, Simd};
use crate::step::{External, Step};
use std::ops::Range;

/// Elements that are read past the last row.
const SLACK: usize = 64;

/// What the bits of the tensor's signs are for.
#[derive(Debug, Clone, Copy)]
pub enum Signs<T> {
    /// Not needed.
    None,
    /// Forward: kept from this byte on.
    Keep(usize),
    /// Backward: kept from this byte on, the gradient is multiplied by the activation's derivative.
    Pull(usize, Act<T>),
}

/// The step.
#[derive(Debug, Clone)]
pub struct Rolling<T> {
    /// Unit `i` of every producer makes (part of) the rows from `makes i` to `makes (i + 1)`.
    pub producers: Vec<Step<T>>,
    /// Rows per unit of the producers.
    pub makes: usize,
    /// Reads the tensor.
    pub consumer: Box<Step<T>>,
    /// First row that the consumer's first unit reads, may be in the border.
    pub at: isize,
    /// Rows from what a unit reads to what the next one does.
    pub step: usize,
    /// Rows that a unit reads.
    pub reads: usize,
    /// The tensor, as if all of it existed.
    pub tensor: Layout,
    /// Zeros around it: top, left, bottom, right.
    pub border: [usize; 4],
    /// Units of the consumer for which rows are made at once.
    pub band: usize,
    /// Signs of its elements.
    pub signs: Signs<T>,
}

/// Rows of the tensor that are in the window.
#[derive(Debug, Clone, Copy)]
struct Window<T> {
    memory: *mut T,
    /// First row, may be in the border.
    first: isize,
    /// Rows before this one are made.
    made: usize,
}

impl<T: Real> Rolling<T> {
    /// Number of work units.
    pub fn units(&self) -> usize {
        self.consumer.units(1)
    }

    /// Consumer's units for which a window of `bytes` has room, at least one; `step`, `reads`,
    /// `makes`: see the fields.
    pub fn band_for(bytes: usize, pitch: usize, (step, reads, makes): (usize, usize, usize)) -> usize {
        ((bytes / (pitch * size_of::<T>())).saturating_sub(reads + makes) / step).max(1)
    }

    /// Rows that a window must hold at most.
    fn rows(band: usize, (step, reads, makes): (usize, usize, usize)) -> usize {
        (band - 1) * step + reads + 2 * makes
    }

    /// Elements of a window.
    pub fn window_for(band: usize, pitch: usize, rows: (usize, usize, usize)) -> usize {
        Self::rows(band, rows) * pitch + SLACK
    }

    /// Elements of the window.
    fn window_len(&self) -> usize {
        Self::window_for(self.band, self.tensor.pitch, (self.step, self.reads, self.makes))
    }

    /// Rows that units read.
    fn needs(&self, units: &Range<usize>) -> Range<isize> {
        let first = self.at + (units.start * self.step) as isize;
        first..self.at + ((units.end - 1) * self.step + self.reads) as isize
    }

    /// Bytes of the signs of a row.
    fn sign_bytes(&self) -> usize {
        self.tensor.w * self.tensor.cs / 8
    }

    /// Runs units.
    ///
    /// # Safety
    /// As for the producers and the consumer, whose tensor lies in the window; the rest of the
    /// units' outputs belongs to the caller.
    pub unsafe fn run<S: Simd<T = T>>(&self, mem: &Mem<T>, external: &External<'_, T>, units: Range<usize>) {
        if units.is_empty() {
            return;
        }
        let h = self.tensor.h;
        let first_own = |unit: usize| (self.at + (unit * self.step) as isize).clamp(0, h as isize) as usize;
        // Of the rows that two tasks make, one keeps the signs.
        let own = if units.start == 0 { 0 } else { first_own(units.start) };
        let own = own..if units.end == self.units() { h } else { first_own(units.end) };
        with_window(self.window_len(), |memory| {
            let made = self.needs(&units).start.clamp(0, h as isize) as usize / self.makes * self.makes;
            let first = self.needs(&units).start.min(made as isize);
            let mut window = Window { memory: memory.as_mut_ptr(), first, made };
            for start in units.clone().step_by(self.band) {
                let band = start..(start + self.band).min(units.end);
                // SAFETY: the window has room for the rows of a band.
                unsafe {
                    self.advance::<S>(&mut window, mem, external, &band, &own);
                    crate::step::run::<S>(&self.consumer, &self.view(mem, &window), external, band);
                }
            }
        });
    }

    /// The memory as the steps see it: the window where the tensor's rows would lie.
    fn view(&self, mem: &Mem<T>, window: &Window<T>) -> Mem<T> {
        let before = (window.first + self.border[0] as isize) as usize * self.tensor.pitch;
        mem.with_window(window.memory, before, self.window_len())
    }

    /// Element of the window at the start of a row, with its border.
    fn row(&self, window: &Window<T>, y: isize) -> usize {
        (y - window.first) as usize * self.tensor.pitch
    }

    /// Moves the window on to what a band reads, and makes the rows that it does not have yet.
    unsafe fn advance<S: Simd<T = T>>(
        &self,
        window: &mut Window<T>,
        mem: &Mem<T>,
        external: &External<'_, T>,
        band: &Range<usize>,
        own: &Range<usize>,
    ) {
        let (h, needs, pitch) = (self.tensor.h as isize, self.needs(band), self.tensor.pitch);
        let first = needs.start.max(window.first).min(window.made as isize);
        let end = needs.end.clamp(0, h) as usize;
        let made = window.made;
        // SAFETY: kept rows lie in the window before and after; the window is as high as `rows`
        // says, and rows that are made lie within (a unit more than what is read at either end).
        unsafe {
            if first > window.first {
                let from = window.memory.add(self.row(window, first));
                std::ptr::copy(from, window.memory, (made as isize - first) as usize * pitch);
                window.first = first;
            }
            let blank = |rows: Range<isize>| {
                for y in rows {
                    std::slice::from_raw_parts_mut(window.memory.add(self.row(window, y)), pitch).fill(T::ZERO);
                }
            };
            blank(first..needs.end.min(0));
            blank(h.max(first)..needs.end);
            if end <= made {
                return;
            }
            let units = made / self.makes..end.div_ceil(self.makes);
            window.made = (units.end * self.makes).min(h as usize);
            debug_assert!(self.row(window, (window.made as isize).max(needs.end)) <= self.window_len() - SLACK);
            let [_, left, _, right] = self.border;
            for y in made..window.made {
                let row = window.memory.add(self.row(window, y as isize));
                std::slice::from_raw_parts_mut(row, left * self.tensor.cs).fill(T::ZERO);
                let row = row.add(pitch - right * self.tensor.cs);
                std::slice::from_raw_parts_mut(row, right * self.tensor.cs).fill(T::ZERO);
            }
            let view = self.view(mem, window);
            for step in &self.producers {
                let n = step.units(1);
                crate::step::run::<S>(step, &view, external, units.start.min(n)..units.end.min(n));
            }
            let rows = match self.signs {
                Signs::None => return,
                Signs::Keep(_) => made.max(own.start)..window.made.min(own.end),
                Signs::Pull(..) => made..window.made,
            };
            S::vectorize(SignBody::<S> { step: self, mem: &view, rows });
        }
    }
}

/// Keeps the signs of rows, or multiplies rows by a derivative that depends on kept signs.
struct SignBody<'a, S: Simd> {
    step: &'a Rolling<S::T>,
    mem: &'a Mem<S::T>,
    rows: Range<usize>,
}

impl<S: Simd> Body for SignBody<'_, S> {
    type Out = ();
    #[inline(always)]
    fn call(self) {
        let Layout { space, w, cs, .. } = self.step.tensor;
        let each = self.step.sign_bytes();
        for y in self.rows {
            // SAFETY: rows of the window, pixels without a gap, and the bytes of their signs, which
            // belong to the caller (forward) or are only read; rows have whole bytes.
            unsafe {
                let row = self.mem.write(space, self.step.tensor.pixel(y as isize, 0), w * cs);
                match self.step.signs {
                    Signs::None => {}
                    Signs::Keep(at) => keep::<S>(row, self.mem.winners(at + y * each, each)),
                    Signs::Pull(at, act) => pull::<S>(act, self.mem.signs(at + y * each, each), row),
                }
            }
        }
    }
}

/// Elements of a row that are looked at together: whole vectors and whole bytes.
const fn together(lanes: usize) -> usize {
    if lanes < 8 { 8 } else { lanes }
}

#[inline(always)]
unsafe fn keep<S: Simd>(row: &[S::T], signs: &mut [u8]) {
    let n = together(S::LANES);
    for (row, signs) in row.chunks_exact(n).zip(signs.chunks_exact_mut(n / 8)) {
        let mut bits = 0;
        for v in 0..n / S::LANES {
            // SAFETY: a vector of the chunk.
            bits |= unsafe { S::signs(S::load(row.as_ptr().add(v * S::LANES))) } << (v * S::LANES);
        }
        signs.copy_from_slice(&bits.to_le_bytes()[..n / 8]);
    }
}

#[inline(always)]
unsafe fn pull<S: Simd>(act: Act<S::T>, signs: &[u8], row: &mut [S::T]) {
    let n = together(S::LANES);
    for (row, signs) in row.chunks_exact_mut(n).zip(signs.chunks_exact(n / 8)) {
        let mut bytes = [0; 2];
        bytes[..n / 8].copy_from_slice(signs);
        let bits = u16::from_le_bytes(bytes);
        for v in 0..n / S::LANES {
            // SAFETY: a vector of the chunk.
            unsafe {
                let at = row.as_mut_ptr().add(v * S::LANES);
                let g = S::load(at);
                let slope = if let Act::Leaky(slope) = act { slope } else { S::T::ZERO };
                let other = if slope == S::T::ZERO { S::splat(S::T::ZERO) } else { S::mul(g, S::splat(slope)) };
                S::store(at, S::choose(bits >> (v * S::LANES), g, other));
            }
        }
    }
}
