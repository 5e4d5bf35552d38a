//! The small vector abstraction that all instruction sets share.
//!
//! A kernel is written once, generic over [`Simd`], and marked `inline(always)`. [`Simd::vectorize`] runs it inside a
//! function that has the instruction set switched on, so that everything inlined into it is compiled for that set.

#[cfg(target_arch = "x86_64")]
pub mod avx2;
#[cfg(target_arch = "x86_64")]
pub mod avx512;
#[cfg(target_arch = "aarch64")]
pub mod neon;
pub mod portable;

use crate::conv::Tile;
use crate::real::Real;

/// A piece of work to be compiled for an instruction set; `call` must be `inline(always)`.
pub trait Body {
    /// What the work returns.
    type Out;
    /// Does the work.
    fn call(self) -> Self::Out;
}

/// Vectors of `LANES` elements and the register tile that suits the instruction set.
///
/// # Safety
/// A type that implements this trait may only be used where its instruction set exists: [`crate::isa`] checks that
/// before it hands out function pointers. `load` and `store` need `LANES` readable or writable elements.
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
    /// Runs `body` with the instruction set switched on.
    fn vectorize<B: Body>(body: B) -> B::Out;
    /// Runs the smallest compiled tile with at least `m` pixels and exactly `nv` vectors.
    ///
    /// # Safety
    /// See [`crate::conv::tile`].
    unsafe fn tile(tile: &Tile<'_, Self::T>, m: usize, nv: usize);

    /// Sum of the lanes, in lane order.
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

/// Writes the choice of compiled tile sizes: `(pixels, vectors)`, ascending in pixels for each number of vectors.
macro_rules! choose_tile {
    ($s:ty, $tile:expr, $m:expr, $nv:expr; $(($mr:literal, $v:literal)),+ $(,)?) => {
        $(if $nv == $v && $m <= $mr {
            return <$s>::vectorize($crate::conv::TileBody::<$s, $mr, $v> { tile: $tile, m: $m });
        })+
        unreachable!("no tile of {} pixels and {} vectors", $m, $nv);
    };
}
pub(crate) use choose_tile;
