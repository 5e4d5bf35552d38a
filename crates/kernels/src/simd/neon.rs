//! NEON: 4 lanes, tile of 6 pixels x 16 channels (24 of the 32 registers are accumulators).

use super::{Body, Simd, TileKernel, choose_tile};
use std::arch::aarch64::*;

/// `f32` on NEON, which every aarch64 machine has.
#[derive(Clone, Copy)]
pub struct Neon;

// SAFETY of every block below: NEON is part of the baseline of aarch64; pointers are the caller's.
impl Simd for Neon {
    type T = f32;
    type V = float32x4_t;
    const LANES: usize = 4;
    const NV: usize = 4;
    const MR: usize = 6;

    #[inline(always)]
    unsafe fn splat(x: f32) -> float32x4_t {
        unsafe { vdupq_n_f32(x) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> float32x4_t {
        unsafe { vld1q_f32(p) }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: float32x4_t) {
        unsafe { vst1q_f32(p, v) }
    }
    #[inline(always)]
    unsafe fn fma(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        unsafe { vfmaq_f32(c, a, b) }
    }
    #[inline(always)]
    unsafe fn add(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vaddq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vmulq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn max(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vmaxq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn positive(y: float32x4_t, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vbslq_f32(vcgtzq_f32(y), a, b) }
    }
    #[inline(always)]
    fn vectorize<B: Body>(body: B) -> B::Out {
        body.call()
    }
    unsafe fn tile<K: TileKernel<T = f32>>(kernel: &K, m: usize, nv: usize) {
        choose_tile!(Self, kernel, m, nv;
            (1, 1), (6, 1), (1, 2), (6, 2), (1, 3), (6, 3), (1, 4), (2, 4), (4, 4), (6, 4));
    }
}
