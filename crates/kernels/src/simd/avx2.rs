//! AVX2 with FMA: 8 lanes, tile of 6 pixels x 16 channels (12 accumulators, 2 weights, broadcasts
//! from memory).

use super::{Body, Simd, TileKernel, choose_tile};
use std::arch::x86_64::*;

/// `f32` on AVX2 and FMA.
#[derive(Clone, Copy)]
pub struct Avx2;

#[target_feature(enable = "avx2,fma")]
unsafe fn enabled<B: Body>(body: B) -> B::Out {
    body.call()
}

// SAFETY of every block below: the instruction set exists (contract of `Simd`); pointers are the
// caller's.
impl Simd for Avx2 {
    type T = f32;
    type V = __m256;
    const LANES: usize = 8;
    const NV: usize = 2;
    const MR: usize = 6;

    #[inline(always)]
    unsafe fn splat(x: f32) -> __m256 {
        unsafe { _mm256_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> __m256 {
        unsafe { _mm256_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: __m256) {
        unsafe { _mm256_storeu_ps(p, v) }
    }
    #[inline(always)]
    unsafe fn fma(a: __m256, b: __m256, c: __m256) -> __m256 {
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn add(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn max(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_max_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn positive(y: __m256, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_blendv_ps(b, a, _mm256_cmp_ps::<_CMP_GT_OQ>(y, _mm256_setzero_ps())) }
    }
    #[inline(always)]
    unsafe fn signs(y: __m256) -> u16 {
        unsafe { _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(y, _mm256_setzero_ps())) as u16 }
    }
    #[inline(always)]
    unsafe fn choose(bits: u16, a: __m256, b: __m256) -> __m256 {
        unsafe {
            let lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
            let set = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(i32::from(bits)), lane), lane);
            _mm256_blendv_ps(b, a, _mm256_castsi256_ps(set))
        }
    }
    #[inline(always)]
    unsafe fn sum(v: __m256) -> f32 {
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }
    #[inline(always)]
    fn vectorize<B: Body>(body: B) -> B::Out {
        unsafe { enabled(body) }
    }
    unsafe fn tile<K: TileKernel<T = f32>>(kernel: &K, m: usize, nv: usize) {
        choose_tile!(Self, kernel, m, nv; (1, 1), (2, 1), (4, 1), (6, 1), (1, 2), (2, 2), (4, 2), (6, 2));
    }
}
