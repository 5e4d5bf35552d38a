//! The door between pixels (`n x planes x h x w`) and the engine's layout. Work unit: a row.
//!
//! In: `x_c = sum_k gains[c][k] pixels_k + offset_c`. Out: `dL/dpixels_k = sum_c gains[c][k] g_c`.
//! The offset is added here, before zero padding, where the network's author adds it.

use crate::mem::{Layout, Mem};
use crate::real::Real;
use crate::spec::Prepare;
use std::ops::Range;

/// Per channel: offset, and the planes that enter with their gains.
type Mix<T> = Vec<(T, Vec<(usize, T)>)>;

fn mix<T: Real>(prepare: &[Prepare]) -> Mix<T> {
    let planes = |p: &Prepare| {
        let used = p.gains.iter().enumerate().filter(|(_, g)| **g != 0.0);
        used.map(|(k, &g)| (k, T::from_f32(g))).collect()
    };
    prepare.iter().map(|p| (T::from_f32(p.offset), planes(p))).collect()
}

/// Pixels to the network's input.
#[derive(Debug, Clone)]
pub struct Import<T> {
    /// The input.
    pub x: Layout,
    mix: Mix<T>,
    planes: usize,
}

impl<T: Real> Import<T> {
    /// For a place and a preparation.
    pub fn new(x: Layout, prepare: &[Prepare]) -> Self {
        Import { x, mix: mix(prepare), planes: prepare.first().map_or(0, |p| p.gains.len()) }
    }

    /// Runs rows.
    ///
    /// # Safety
    /// The layout lies inside `mem`; the rows belong to the caller.
    #[inline(always)]
    pub unsafe fn run(&self, mem: &Mem<T>, pixels: &[T], rows: Range<usize>) {
        let (l, size) = (&self.x, self.x.h * self.x.w);
        let image = &pixels[mem.first_image * self.planes * size..][..self.planes * size];
        for y in rows {
            // SAFETY: the caller's row; the last pixel has no gap behind it that would have to
            // exist.
            let row = unsafe { mem.write(l.space, l.pixel(y as isize, 0), (l.w - 1) * l.cs + l.c) };
            for (c, (offset, planes)) in self.mix.iter().enumerate() {
                let plane = |k: usize| &image[k * size + y * l.w..][..l.w];
                let out = row[c..].iter_mut().step_by(l.cs);
                // Mostly one plane goes into one channel: no sum to go through memory then.
                match planes[..] {
                    [(k, gain)] => out.zip(plane(k)).for_each(|(o, &v)| *o = *offset + gain * v),
                    _ => out.enumerate().for_each(|(x, o)| {
                        *o = planes.iter().fold(*offset, |sum, &(k, gain)| sum + gain * plane(k)[x]);
                    }),
                }
            }
        }
    }
}

/// Gradient at the network's input to gradient at the pixels.
#[derive(Debug, Clone)]
pub struct Export<T> {
    /// The gradient.
    pub g: Layout,
    mix: Mix<T>,
    planes: usize,
}

/// Memory of the caller that tasks fill image by image, row by row.
#[derive(Debug, Clone, Copy)]
pub struct Out<T>(*mut T, usize);

// SAFETY: tasks write disjoint rows (contract of `Export::run`).
unsafe impl<T: Send> Send for Out<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Out<T> {}

impl<T> Out<T> {
    /// A place for results.
    pub fn new(out: &mut [T]) -> Self {
        Out(out.as_mut_ptr(), out.len())
    }
}

impl<T> Default for Out<T> {
    fn default() -> Self {
        Out(std::ptr::null_mut(), 0)
    }
}

impl<T: Real> Export<T> {
    /// For a place and a preparation.
    pub fn new(g: Layout, prepare: &[Prepare]) -> Self {
        Export { g, mix: mix(prepare), planes: prepare.first().map_or(0, |p| p.gains.len()) }
    }

    /// Runs rows.
    ///
    /// # Safety
    /// The layout lies inside `mem`; the rows of `out` belong to the caller.
    #[inline(always)]
    pub unsafe fn run(&self, mem: &Mem<T>, out: Out<T>, rows: Range<usize>) {
        let (l, size) = (&self.g, self.g.h * self.g.w);
        for y in rows {
            for k in 0..self.planes {
                let first = (mem.first_image * self.planes + k) * size + y * l.w;
                assert!(first + l.w <= out.1, "pixel gradients: room for {} values is too little", out.1);
                // SAFETY: in range (just checked), a row of the caller.
                let row = unsafe { std::slice::from_raw_parts_mut(out.0.add(first), l.w) };
                row.fill(T::ZERO);
                for (c, (_, planes)) in self.mix.iter().enumerate() {
                    for &(_, gain) in planes.iter().filter(|p| p.0 == k) {
                        // SAFETY: a row of the gradient.
                        let from = unsafe { mem.read(l.space, l.pixel(y as isize, 0), (l.w - 1) * l.cs + l.c) };
                        row.iter_mut().zip(from[c..].iter().step_by(l.cs)).for_each(|(o, &g)| *o += gain * g);
                    }
                }
            }
        }
    }
}
