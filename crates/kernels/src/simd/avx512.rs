//! AVX-512F: 16 lanes, tile of 14 pixels x 32 channels (28 of the 32 registers are accumulators).

use super::{Body, Simd, TileKernel, choose_tile};
use std::arch::x86_64::*;

/// `f32` on AVX-512F.
#[derive(Clone, Copy)]
pub struct Avx512;

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn enabled<B: Body>(body: B) -> B::Out {
    body.call()
}

// SAFETY of every block below: the instruction set exists (contract of `Simd`); pointers are the
// caller's.
impl Simd for Avx512 {
    type T = f32;
    type V = __m512;
    const LANES: usize = 16;
    const NV: usize = 2;
    const MR: usize = 14;

    #[inline(always)]
    unsafe fn splat(x: f32) -> __m512 {
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> __m512 {
        unsafe { _mm512_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: __m512) {
        unsafe { _mm512_storeu_ps(p, v) }
    }
    #[inline(always)]
    unsafe fn fma(a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn max(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_max_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn positive(y: __m512, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(y, _mm512_setzero_ps()), b, a) }
    }
    #[inline(always)]
    unsafe fn signs(y: __m512) -> u16 {
        unsafe { _mm512_cmp_ps_mask::<_CMP_GT_OQ>(y, _mm512_setzero_ps()) }
    }
    #[inline(always)]
    unsafe fn choose(bits: u16, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_mask_blend_ps(bits, b, a) }
    }
    #[inline(always)]
    unsafe fn load_first(p: *const f32, n: usize) -> __m512 {
        unsafe { _mm512_maskz_loadu_ps(((1u32 << n) - 1) as u16, p) }
    }
    #[inline(always)]
    unsafe fn store_first(p: *mut f32, n: usize, v: __m512) {
        unsafe { _mm512_mask_storeu_ps(p, ((1u32 << n) - 1) as u16, v) }
    }
    #[inline(always)]
    unsafe fn sum(v: __m512) -> f32 {
        unsafe { _mm512_reduce_add_ps(v) }
    }
    #[inline(always)]
    fn vectorize<B: Body>(body: B) -> B::Out {
        unsafe { enabled(body) }
    }
    unsafe fn tile<K: TileKernel<T = f32>>(kernel: &K, m: usize, nv: usize) {
        choose_tile!(Self, kernel, m, nv;
            (1, 1), (4, 1), (8, 1), (14, 1), (1, 3), (4, 3), (8, 3), (1, 2), (4, 2), (7, 2), (8, 2), (10, 2), (12, 2), (14, 2));
    }
}
