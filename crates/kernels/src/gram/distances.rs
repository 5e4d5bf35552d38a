//! Products as dissimilarities.

use super::Form;
use crate::simd::{Body, Simd};

struct Distances<'a> {
    out: &'a mut [f32],
    gram: &'a [f32],
    stride: usize,
    s: &'a [f32],
    t: &'a [f32],
    form: Form,
}

impl Body for Distances<'_> {
    type Out = ();
    #[inline(always)]
    fn call(self) {
        let n = self.s.len();
        let mut rest = self.out;
        for i in 0..n {
            let (row, after) = rest.split_at_mut(n - i - 1);
            rest = after;
            let products = &self.gram[i * self.stride..][i + 1..n];
            let (others, shifts) = (&self.s[i + 1..], &self.t[i + 1..]);
            let (own, shift) = (self.s[i], self.t[i]);
            match self.form {
                Form::Normalised { offset } => {
                    for j in 0..row.len() {
                        row[j] = (offset + shift * shifts[j]) - products[j] * (own * others[j]);
                    }
                }
                Form::Squared { scale } => {
                    for j in 0..row.len() {
                        row[j] = ((own + others[j]) - 2.0 * products[j]) * scale;
                    }
                }
                Form::Crossed { scale } => {
                    for j in 0..row.len() {
                        let back = self.gram[(i + 1 + j) * self.stride + i];
                        row[j] = ((own + others[j]) - (products[j] + back)) * scale;
                    }
                }
            }
        }
    }
}

pub(super) unsafe fn distances<S: Simd<T = f32>>(
    out: &mut [f32],
    gram: &[f32],
    stride: usize,
    [s, t]: [&[f32]; 2],
    form: Form,
) {
    S::vectorize(Distances { out, gram, stride, s, t, form });
}
