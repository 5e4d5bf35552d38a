//! Sign flips: under the null hypothesis a subject's value is as likely as its negative.

use crate::rng;
use ndarray::{Array2, Axis};

/// Rows of +1 and -1, one a flip, one column a subject.
#[derive(Debug, Clone)]
pub struct Flips {
    n_subjects: usize,
    n_flips: usize,
    seed: u64,
    /// Whether they are all there are.
    pub exhaustive: bool,
}

impl Flips {
    /// `n_permutations` random flips; when 2^n_subjects is not larger, all that there are.
    pub fn new(n_subjects: usize, n_permutations: usize, seed: u64) -> Self {
        let all =
            u32::try_from(n_subjects).ok().and_then(|n| 1usize.checked_shl(n)).filter(|all| *all <= n_permutations);
        Self { n_subjects, n_flips: all.unwrap_or(n_permutations), seed, exhaustive: all.is_some() }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.n_flips
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.n_flips == 0
    }

    /// Some of them, n x n_subjects. Random flip k: bit s % 64 of draw s / 64 of `rng::stream(seed,
    /// "sign flip", k)` for subject s. Exhaustive: bit s of k.
    pub fn block(&self, range: std::ops::Range<usize>) -> Array2<f64> {
        let mut signs = Array2::zeros((range.len(), self.n_subjects));
        for (mut row, k) in signs.axis_iter_mut(Axis(0)).zip(range) {
            let mut stream = rng::stream(self.seed, "sign flip", k as u64);
            let mut bits = 0;
            for (s, sign) in row.iter_mut().enumerate() {
                if s % 64 == 0 {
                    bits = if self.exhaustive { k as u64 } else { stream.bits() };
                }
                *sign = if bits >> (s % 64) & 1 == 0 { 1.0 } else { -1.0 };
            }
        }
        signs
    }
}
