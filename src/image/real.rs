//! The two widths of numbers that pixel functions are written for.

use crate::tensor::{Device, Tensor, into_vec_f32, into_vec_f64, tensor_from_vec, tensor_from_vec_f64};
use ndarray::LinalgScalar;
use std::ops::{AddAssign, Neg};

/// 32 or 64 bits.
pub(super) trait Real: LinalgScalar + PartialOrd + Neg<Output = Self> + AddAssign + Send + Sync {
    fn from_f64(v: f64) -> Self;
    fn to_f64(self) -> f64;
    /// `self` brought into [low, high]; NaN stays.
    fn within(self, low: Self, high: Self) -> Self;
    fn magnitude(self) -> Self;
    /// `1 / (1 + exp(-self))`
    fn sigmoid(self) -> Self;
    /// The numbers of a tensor of this width, without a copy where the tensor is their only owner.
    fn take<const D: usize>(tensor: Tensor<D>) -> Vec<Self>;
    /// A row-major vector as a tensor, without a copy.
    fn tensor<const D: usize>(values: Vec<Self>, shape: [usize; D], device: &Device) -> Tensor<D>;
}

impl Real for f32 {
    #[inline(always)]
    fn from_f64(v: f64) -> Self {
        v as f32
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn within(self, low: Self, high: Self) -> Self {
        self.clamp(low, high)
    }
    #[inline(always)]
    fn magnitude(self) -> Self {
        self.abs()
    }
    #[inline(always)]
    fn sigmoid(self) -> Self {
        1.0 / (1.0 + exp(-self))
    }
    fn take<const D: usize>(tensor: Tensor<D>) -> Vec<Self> {
        into_vec_f32(tensor)
    }
    fn tensor<const D: usize>(values: Vec<Self>, shape: [usize; D], device: &Device) -> Tensor<D> {
        tensor_from_vec(values, shape, device)
    }
}

impl Real for f64 {
    #[inline(always)]
    fn from_f64(v: f64) -> Self {
        v
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }
    #[inline(always)]
    fn within(self, low: Self, high: Self) -> Self {
        self.clamp(low, high)
    }
    #[inline(always)]
    fn magnitude(self) -> Self {
        self.abs()
    }
    #[inline(always)]
    fn sigmoid(self) -> Self {
        1.0 / (1.0 + (-self).exp())
    }
    fn take<const D: usize>(tensor: Tensor<D>) -> Vec<Self> {
        into_vec_f64(tensor)
    }
    fn tensor<const D: usize>(values: Vec<Self>, shape: [usize; D], device: &Device) -> Tensor<D> {
        tensor_from_vec_f64(values, shape, device)
    }
}

/// `exp(x)` in 32 bits to within 2e-7 of itself, for loops over pixels: no branch and no call. `x`
/// is cut to [-87, 87]; NaN stays.
///
/// `exp(x) = 2^n exp(r)`, `n = round(x / ln 2)`, `|r| <= ln(2) / 2`, and `exp(r)` by the polynomial
/// of Cephes' `expf`.
#[inline(always)]
fn exp(x: f32) -> f32 {
    /// 1.5 x 2^23: adding it rounds to a whole number, which is then in the low bits.
    const SHIFT: f32 = 12_582_912.0;
    /// ln 2 in two parts; products of the first with whole numbers are exact.
    const LN2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    const TERMS: [f32; 6] = [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];
    let x = x.clamp(-87.0, 87.0);
    let shifted = x * std::f32::consts::LOG2_E + SHIFT;
    let n = shifted - SHIFT;
    let r = x - n * LN2[0] - n * LN2[1];
    let mut p = TERMS[0];
    for term in &TERMS[1..] {
        p = p * r + term;
    }
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    (p * r * r + r + 1.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_exponential_is_exact_to_the_last_bits() {
        let mut worst = 0.0f64;
        for i in -870_000..=870_000i32 {
            let x = i as f32 * 1e-4;
            let wanted = f64::from(x).exp();
            worst = worst.max((f64::from(exp(x)) / wanted - 1.0).abs());
        }
        assert!(worst < 2e-7, "{worst}");
        assert!(exp(f32::NAN).is_nan() && exp(f32::INFINITY).is_finite() && exp(f32::NEG_INFINITY) > 0.0);
    }

    #[test]
    fn sigmoids_of_both_widths_agree() {
        assert_eq!(0.0f32.sigmoid(), 0.5);
        for i in -2000..=2000i32 {
            let x = i as f32 * 0.01;
            assert!((f64::from(x.sigmoid()) - f64::from(x).sigmoid()).abs() < 1.5e-7, "{x}");
        }
    }
}
