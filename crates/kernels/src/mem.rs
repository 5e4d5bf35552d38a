//! Memory of a session, and the raw view of it that steps work on.
//!
//! Every image has one block for tensors that live long and one for the winners of max pools; every
//! worker has one block for tensors that die within a run of steps. Steps read and write disjoint
//! parts of these blocks, and tasks of one step write disjoint parts of its outputs; the planner
//! guarantees both. Rust cannot see that, so a step gets raw pointers with lengths; in debug builds
//! every access is checked against the length.

use crate::real::Real;
use std::cell::RefCell;
use std::ops::Range;
use std::thread::LocalKey;

/// Which block a tensor lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Space {
    /// Kept for each image.
    Image,
    /// Per worker, overwritten.
    Worker,
    /// A window of a tensor's rows, per thread; see [`crate::rolling`].
    Window,
}

/// A zeroed buffer whose first element is aligned to 64 bytes.
#[derive(Debug, Clone)]
pub struct Aligned<T> {
    data: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Real> Aligned<T> {
    /// `len` zeros.
    pub fn zeros(len: usize) -> Self {
        let slack = 64 / size_of::<T>();
        let data = vec![T::ZERO; len + slack];
        let start = data.as_ptr().align_offset(64).min(slack);
        Aligned { data, start, len }
    }
    /// The elements.
    pub fn as_slice(&self) -> &[T] {
        &self.data[self.start..self.start + self.len]
    }
    /// The elements.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.data[self.start..self.start + self.len]
    }
}

/// A cache line.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line(#[allow(dead_code, reason = "only memory")] [u8; 64]);

thread_local! {
    static SCRATCH: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
    static WINDOW: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

/// Calls `work` with at least `len` elements of this thread's scratch memory, which is kept from
/// call to call and holds whatever was left there.
pub fn with_scratch<T: Real, R>(len: usize, work: impl FnOnce(&mut [T]) -> R) -> R {
    lend(&SCRATCH, len, work)
}

/// As [`with_scratch`], other memory.
pub fn with_window<T: Real, R>(len: usize, work: impl FnOnce(&mut [T]) -> R) -> R {
    lend(&WINDOW, len, work)
}

fn lend<T: Real, R>(memory: &'static LocalKey<RefCell<Vec<Line>>>, len: usize, work: impl FnOnce(&mut [T]) -> R) -> R {
    memory.with_borrow_mut(|lines| {
        let needed = (len * size_of::<T>()).div_ceil(64);
        if lines.len() < needed {
            lines.resize(needed, Line([0; 64]));
        }
        // SAFETY: initialised memory of the vector, aligned to 64 bytes; every bit pattern is an
        // f32 or f64.
        work(unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast::<T>(), len) })
    })
}

/// Raw view of the blocks for one image (or, for steps over the whole batch, for all images at a
/// fixed stride).
#[derive(Debug, Clone, Copy)]
pub struct Mem<T> {
    image: *mut T,
    image_len: usize,
    worker: *mut T,
    worker_len: usize,
    /// Where the first element of the windowed tensor would be, and its elements that exist.
    window: *mut T,
    window_range: (usize, usize),
    bytes: *mut u8,
    bytes_len: usize,
    /// Elements from one image's block to the next.
    pub stride: usize,
    /// Images that this view spans.
    pub n_images: usize,
    /// Index of the first of them.
    pub first_image: usize,
}

// SAFETY: a view is only a set of addresses; who may use which part at a time is the planner's
// contract (module doc).
unsafe impl<T> Send for Mem<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Mem<T> {}

impl<T: Real> Mem<T> {
    /// A view of the given blocks.
    pub fn new(image: &mut [T], worker: &mut [T], bytes: &mut [u8], stride: usize, images: Range<usize>) -> Self {
        Mem {
            image: image.as_mut_ptr(),
            image_len: image.len(),
            worker: worker.as_mut_ptr(),
            worker_len: worker.len(),
            window: std::ptr::null_mut(),
            window_range: (0, 0),
            bytes: bytes.as_mut_ptr(),
            bytes_len: bytes.len(),
            stride,
            n_images: images.len(),
            first_image: images.start,
        }
    }

    /// The view of one image out of a view of several.
    pub fn image(&self, i: usize) -> Self {
        debug_assert!(i < self.n_images);
        let at = (i * self.stride).min(self.image_len);
        let bytes_each = self.bytes_len / self.n_images;
        Mem {
            image: self.image.wrapping_add(at),
            image_len: self.stride.min(self.image_len - at),
            bytes: self.bytes.wrapping_add(i * bytes_each),
            bytes_len: bytes_each,
            n_images: 1,
            first_image: self.first_image + i,
            ..*self
        }
    }

    /// The same view with another worker's block.
    pub fn with_worker(self, worker: &mut [T]) -> Self {
        Mem { worker: worker.as_mut_ptr(), worker_len: worker.len(), ..self }
    }

    /// The same view with a window of `len` elements, whose first is element `before` of its
    /// tensor.
    pub fn with_window(self, memory: *mut T, before: usize, len: usize) -> Self {
        Mem { window: memory.wrapping_sub(before), window_range: (before, before + len), ..self }
    }

    /// Start and end of a block. A window starts before its memory: offsets from it must wrap.
    #[inline(always)]
    pub fn block(&self, space: Space) -> (*mut T, usize) {
        match space {
            Space::Image => (self.image, self.image_len),
            Space::Worker => (self.worker, self.worker_len),
            Space::Window => (self.window, self.window_range.1),
        }
    }

    /// First element of a block that exists.
    #[inline(always)]
    pub fn first(&self, space: Space) -> usize {
        if space == Space::Window { self.window_range.0 } else { 0 }
    }

    /// `len` elements to read.
    ///
    /// # Safety
    /// The range lies in the block and no other task writes to it meanwhile.
    #[inline(always)]
    pub unsafe fn read<'a>(&self, space: Space, at: usize, len: usize) -> &'a [T] {
        let (start, total) = self.block(space);
        debug_assert!(at >= self.first(space) && at + len <= total, "read {at}+{len} of {total}");
        // SAFETY: in range (checked in debug builds); not written meanwhile (contract).
        unsafe { std::slice::from_raw_parts(start.wrapping_add(at), len) }
    }

    /// `len` elements to write.
    ///
    /// # Safety
    /// The range lies in the block and no other task reads or writes it meanwhile.
    #[inline(always)]
    pub unsafe fn write<'a>(&self, space: Space, at: usize, len: usize) -> &'a mut [T] {
        let (start, total) = self.block(space);
        debug_assert!(at >= self.first(space) && at + len <= total, "write {at}+{len} of {total}");
        // SAFETY: in range (checked in debug builds); nobody else's meanwhile (contract).
        unsafe { std::slice::from_raw_parts_mut(start.wrapping_add(at), len) }
    }

    /// `len` winner bytes (or bytes of signs) to read.
    ///
    /// # Safety
    /// As [`Mem::read`].
    #[inline(always)]
    pub unsafe fn signs<'a>(&self, at: usize, len: usize) -> &'a [u8] {
        debug_assert!(at + len <= self.bytes_len, "signs {at}+{len} of {}", self.bytes_len);
        // SAFETY: in range (checked in debug builds); not written meanwhile (contract).
        unsafe { std::slice::from_raw_parts(self.bytes.add(at), len) }
    }

    /// `len` winner bytes to read or write.
    ///
    /// # Safety
    /// As [`Mem::write`].
    #[inline(always)]
    pub unsafe fn winners<'a>(&self, at: usize, len: usize) -> &'a mut [u8] {
        debug_assert!(at + len <= self.bytes_len, "winners {at}+{len} of {}", self.bytes_len);
        // SAFETY: in range (checked in debug builds); nobody else's meanwhile (contract).
        unsafe { std::slice::from_raw_parts_mut(self.bytes.add(at), len) }
    }
}

/// Where a tensor (or a slice of channels of one) lies in its block: padded
/// `height x width x n_channels`.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Block.
    pub space: Space,
    /// Element of row 0, column 0, channel 0.
    pub at: usize,
    /// Rows, without border.
    pub h: usize,
    /// Columns, without border.
    pub w: usize,
    /// Channels.
    pub c: usize,
    /// Elements from a pixel to the next.
    pub cs: usize,
    /// Elements from a row to the next.
    pub pitch: usize,
    /// Channels that may be written from channel 0 on without touching another tensor.
    pub room: usize,
}

impl Layout {
    /// Element of channel 0 at a pixel, which may lie in the border.
    #[inline(always)]
    pub fn pixel(&self, y: isize, x: isize) -> usize {
        (self.at as isize + y * self.pitch as isize + x * self.cs as isize) as usize
    }
    /// True when the channels of neighbouring pixels follow each other without a gap.
    pub fn dense(&self) -> bool {
        self.c == self.cs
    }
}
