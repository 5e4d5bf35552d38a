//! The small vector abstraction that all instruction sets share.
//!
//! A kernel is written once, generic over [`Simd`], and marked `inline(always)`.
//! [`Simd::vectorize`] runs it inside a function that has the instruction set switched on, so that
//! everything inlined into it is compiled for that set. Closures may stay functions of their own,
//! without the instruction set: no vector may pass through one (also not through
//! `std::array::from_fn`) where speed matters.

#[cfg(target_arch = "x86_64")]
pub mod avx2;
#[cfg(target_arch = "x86_64")]
pub mod avx512;
#[cfg(target_arch = "aarch64")]
pub mod neon;
pub mod portable;

use crate::real::Real;
use std::marker::PhantomData;

/// A piece of work to be compiled for an instruction set; `call` must be `inline(always)`.
pub trait Body {
    /// What the work returns.
    type Out;
    /// Does the work.
    fn call(self) -> Self::Out;
}

/// Work on a register tile of pixels and vectors of channels; `tile` must be `inline(always)`.
pub trait TileKernel {
    /// Element.
    type T: Real;
    /// Computes `m <= MR` pixels times NV vectors.
    ///
    /// # Safety
    /// Called inside `S::vectorize`, and what the kernel itself asks for.
    unsafe fn tile<S: Simd<T = Self::T>, const MR: usize, const NV: usize>(&self, m: usize);
}

/// A tile as a [`Body`].
pub struct TileBody<'a, K, S, const MR: usize, const NV: usize>(&'a K, usize, PhantomData<S>);

impl<'a, K, S, const MR: usize, const NV: usize> TileBody<'a, K, S, MR, NV> {
    /// `m <= MR` pixels of a kernel.
    ///
    /// # Safety
    /// As [`TileKernel::tile`].
    pub unsafe fn new(kernel: &'a K, m: usize) -> Self {
        TileBody(kernel, m, PhantomData)
    }
}

impl<S: Simd, K: TileKernel<T = S::T>, const MR: usize, const NV: usize> Body for TileBody<'_, K, S, MR, NV> {
    type Out = ();
    #[inline(always)]
    fn call(self) {
        // SAFETY: promised to `new`.
        unsafe { self.0.tile::<S, MR, NV>(self.1) }
    }
}

/// Vectors of `LANES` elements and the register tile that suits the instruction set.
///
/// # Safety
/// A type that implements this trait may only be used where its instruction set exists:
/// [`crate::isa`] checks that before it hands out function pointers. `load` and `store` need
/// `LANES` readable or writable elements.
pub trait Simd: Copy + Send + Sync + 'static {
    /// Element.
    type T: Real;
    /// Vector register.
    type V: Copy;
    /// Elements per vector.
    const LANES: usize;
    /// Vectors per block of output channels.
    const NV: usize;
    /// Output pixels per full tile.
    const MR: usize;

    /// All lanes equal.
    ///
    /// # Safety
    /// The CPU has the instruction set.
    unsafe fn splat(x: Self::T) -> Self::V;
    /// Unaligned load.
    ///
    /// # Safety
    /// `p` is valid for reading `LANES` elements, and the CPU has the instruction set.
    unsafe fn load(p: *const Self::T) -> Self::V;
    /// Unaligned store.
    ///
    /// # Safety
    /// `p` is valid for writing `LANES` elements, and the CPU has the instruction set.
    unsafe fn store(p: *mut Self::T, v: Self::V);
    /// `a b + c`.
    ///
    /// # Safety
    /// The CPU has the instruction set.
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `a + b`.
    ///
    /// # Safety
    /// The CPU has the instruction set.
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    /// `a b`.
    ///
    /// # Safety
    /// The CPU has the instruction set.
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    /// `max(a, b)`.
    ///
    /// # Safety
    /// The CPU has the instruction set.
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    /// Per lane: `y > 0 ? a : b`.
    ///
    /// # Safety
    /// The CPU has the instruction set.
    unsafe fn positive(y: Self::V, a: Self::V, b: Self::V) -> Self::V;
    /// Bit per lane: `y > 0`.
    ///
    /// # Safety
    /// The CPU has the instruction set.
    #[inline(always)]
    unsafe fn signs(y: Self::V) -> u16 {
        let mut lanes = [Self::T::ZERO; 16];
        debug_assert!(Self::LANES <= 16);
        // SAFETY: `lanes` holds at least LANES elements.
        unsafe { Self::store(lanes.as_mut_ptr(), y) };
        lanes[..Self::LANES].iter().enumerate().fold(0, |bits, (i, &y)| bits | (u16::from(y > Self::T::ZERO) << i))
    }
    /// Per lane: `a` where the bit is set, else `b`.
    ///
    /// # Safety
    /// The CPU has the instruction set.
    #[inline(always)]
    unsafe fn choose(bits: u16, a: Self::V, b: Self::V) -> Self::V {
        let mut set = [Self::T::ZERO; 16];
        debug_assert!(Self::LANES <= 16);
        for (i, lane) in set.iter_mut().enumerate() {
            *lane = if bits >> i & 1 == 1 { Self::T::ONE } else { Self::T::ZERO };
        }
        // SAFETY: `set` holds at least LANES elements.
        unsafe { Self::positive(Self::load(set.as_ptr()), a, b) }
    }
    /// Runs `body` with the instruction set switched on.
    fn vectorize<B: Body>(body: B) -> B::Out;
    /// Runs the smallest compiled tile with at least `m` pixels and exactly `nv` vectors.
    ///
    /// # Safety
    /// What the kernel asks for.
    unsafe fn tile<K: TileKernel<T = Self::T>>(kernel: &K, m: usize, nv: usize);

    /// The first `n <= LANES` elements, zeros behind them.
    ///
    /// # Safety
    /// `p` is valid for reading `n` elements, and the CPU has the instruction set.
    #[inline(always)]
    unsafe fn load_first(p: *const Self::T, n: usize) -> Self::V {
        debug_assert!(n <= 16 && Self::LANES <= 16);
        let mut lanes = [Self::T::ZERO; 16];
        // SAFETY: `n` elements of both, then LANES of `lanes`.
        unsafe {
            for (i, lane) in lanes.iter_mut().enumerate().take(n) {
                *lane = *p.add(i);
            }
            Self::load(lanes.as_ptr())
        }
    }

    /// Stores the first `n <= LANES` lanes.
    ///
    /// # Safety
    /// `p` is valid for writing `n` elements, and the CPU has the instruction set.
    #[inline(always)]
    unsafe fn store_first(p: *mut Self::T, n: usize, v: Self::V) {
        debug_assert!(n <= 16 && Self::LANES <= 16);
        let mut lanes = [Self::T::ZERO; 16];
        // SAFETY: LANES elements of `lanes`, then `n` of both.
        unsafe {
            Self::store(lanes.as_mut_ptr(), v);
            for (i, lane) in lanes.iter().enumerate().take(n) {
                *p.add(i) = *lane;
            }
        }
    }

    /// Sum of the lanes, in an order of the instruction set's own.
    #[inline(always)]
    ///
    /// # Safety
    /// The CPU has the instruction set.
    unsafe fn sum(v: Self::V) -> Self::T {
        let mut lanes = [Self::T::ZERO; 16];
        debug_assert!(Self::LANES <= 16);
        // SAFETY: `lanes` holds at least LANES elements.
        unsafe { Self::store(lanes.as_mut_ptr(), v) };
        let mut total = Self::T::ZERO;
        for &lane in &lanes[..Self::LANES] {
            total += lane;
        }
        total
    }
}

/// Writes the choice of compiled tile sizes: `(pixels, vectors)`, ascending in pixels for each
/// number of vectors.
macro_rules! choose_tile {
    ($s:ty, $kernel:expr, $m:expr, $nv:expr; $(($mr:literal, $v:literal)),+ $(,)?) => {
        $(if $nv == $v && $m <= $mr {
            // SAFETY: promised by the caller of `tile`.
            return <$s>::vectorize(unsafe { $crate::simd::TileBody::<K, $s, $mr, $v>::new($kernel, $m) });
        })+
        unreachable!("no tile of {} pixels and {} vectors", $m, $nv);
    };
}
pub(crate) use choose_tile;
