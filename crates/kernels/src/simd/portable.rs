//! Plain Rust lanes: every machine, `f32` and `f64`.

use super::{Body, Simd, TileKernel, choose_tile};
use crate::real::Real;
use std::marker::PhantomData;

/// Eight lanes of `T` in an array; the compiler vectorises them for the baseline instruction set.
#[derive(Clone, Copy)]
pub struct Portable<T>(PhantomData<T>);

const N: usize = 8;

#[inline(always)]
fn zip<T: Real>(a: [T; N], b: [T; N], f: impl Fn(T, T) -> T) -> [T; N] {
    std::array::from_fn(|i| f(a[i], b[i]))
}

impl<T: Real> Simd for Portable<T> {
    type T = T;
    type V = [T; N];
    const LANES: usize = N;
    const NV: usize = 1;
    const MR: usize = 4;

    #[inline(always)]
    unsafe fn splat(x: T) -> [T; N] {
        [x; N]
    }
    #[inline(always)]
    unsafe fn load(p: *const T) -> [T; N] {
        // SAFETY: the caller promises LANES readable elements.
        unsafe { p.cast::<[T; N]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(p: *mut T, v: [T; N]) {
        // SAFETY: the caller promises LANES writable elements.
        unsafe { p.cast::<[T; N]>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn fma(a: [T; N], b: [T; N], c: [T; N]) -> [T; N] {
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    unsafe fn add(a: [T; N], b: [T; N]) -> [T; N] {
        zip(a, b, |x, y| x + y)
    }
    #[inline(always)]
    unsafe fn mul(a: [T; N], b: [T; N]) -> [T; N] {
        zip(a, b, |x, y| x * y)
    }
    #[inline(always)]
    unsafe fn max(a: [T; N], b: [T; N]) -> [T; N] {
        zip(a, b, |x, y| if x > y { x } else { y })
    }
    #[inline(always)]
    unsafe fn positive(y: [T; N], a: [T; N], b: [T; N]) -> [T; N] {
        std::array::from_fn(|i| if y[i] > T::ZERO { a[i] } else { b[i] })
    }
    #[inline(always)]
    fn vectorize<B: Body>(body: B) -> B::Out {
        body.call()
    }
    unsafe fn tile<K: TileKernel<T = T>>(kernel: &K, m: usize, nv: usize) {
        choose_tile!(Self, kernel, m, nv; (1, 1), (2, 1), (4, 1));
    }
}
