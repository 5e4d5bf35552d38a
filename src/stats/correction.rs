//! Which of many tests may be called significant.

use crate::math::permutation::Tail;
use serde::{Deserialize, Serialize};

/// Which tests are corrected for together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// The places of all layers: what a winner among layers, or their overlap, asks for.
    #[default]
    All,
    /// The places of each layer. With twelve layers and nothing there, something is significant in
    /// some layer in two of five data sets.
    Layer,
}

/// Two statistics closer than this, relative to their size, are one value: equal sums may differ in
/// their last bits.
const SAME: f64 = 1e-9;

/// How far a statistic is out, the larger the further: the value, its negative, or its absolute
/// value.
pub fn extremeness(value: f64, tail: Tail) -> f64 {
    match tail {
        Tail::Greater => value,
        Tail::Less => -value,
        Tail::TwoSided => value.abs(),
    }
}

/// Whether a permuted statistic is at least as far out as the observed one; undefined permuted
/// statistics count.
pub fn reaches(permuted: f64, observed: f64) -> bool {
    reaches_within(permuted, observed, SAME)
}

/// [`reaches`] for statistics that are one value when closer than `same`, relative above 1.
pub fn reaches_within(permuted: f64, observed: f64, same: f64) -> bool {
    permuted.is_nan() || permuted >= observed - same * observed.abs().max(1.0)
}

/// The largest [`extremeness`] over all tests, one value a permutation: corrects for the
/// family-wise error.
///
/// # Source
/// Nichols and Holmes, Hum. Brain Mapp. 15:1 (2002); Westfall and Young (1993).
#[derive(Debug, Clone, PartialEq)]
pub struct MaxNull {
    sorted: Vec<f64>,
    includes_observed: bool,
    /// Statistics closer than this are one value.
    same: f64,
}

impl MaxNull {
    /// From the maxima of random permutations, the observed labelling not among them.
    pub fn random(maxima: Vec<f64>) -> Self {
        Self::new(maxima, false)
    }

    /// From the maxima of all permutations there are, the observed labelling among them.
    pub fn exhaustive(maxima: Vec<f64>) -> Self {
        Self::new(maxima, true)
    }

    /// From the most extreme statistic of every random permutation, with its sign: minima for
    /// [`Tail::Less`].
    pub fn of_extremes(extremes: impl IntoIterator<Item = f64>, tail: Tail) -> Self {
        Self::random(extremes.into_iter().map(|e| extremeness(e, tail)).collect())
    }

    fn new(mut maxima: Vec<f64>, includes_observed: bool) -> Self {
        // An undefined maximum counts as exceeding everything.
        maxima.iter_mut().filter(|m| m.is_nan()).for_each(|m| *m = f64::INFINITY);
        maxima.sort_unstable_by(f64::total_cmp);
        Self { sorted: maxima, includes_observed, same: SAME }
    }

    /// For statistics of lower precision: those closer than `same` (relative above 1) are one
    /// value.
    pub fn within(self, same: f64) -> Self {
        Self { same, ..self }
    }

    /// The maxima in ascending order.
    pub fn maxima(&self) -> &[f64] {
        &self.sorted
    }

    /// Family-wise corrected p of an observed [`extremeness`]: (1 + maxima that reach it) / (1 +
    /// n), without the ones when the observed labelling is among the permutations. NaN for NaN.
    pub fn p(&self, observed: f64) -> f64 {
        if observed.is_nan() {
            return f64::NAN;
        }
        let n_below = self.sorted.partition_point(|&m| !reaches_within(m, observed, self.same));
        let own = usize::from(!self.includes_observed);
        let n = self.sorted.len() + own;
        if n == 0 { 1.0 } else { (self.sorted.len() - n_below + own) as f64 / n as f64 }
    }

    /// The corrected p of every entry of a map.
    pub fn p_map(&self, map: &[f64], tail: Tail) -> Vec<f64> {
        map.iter().map(|&v| self.p(extremeness(v, tail))).collect()
    }

    /// The smallest of the maxima whose corrected p is at most `alpha`: what an observed
    /// extremeness must reach to be significant. Infinite when no value could be.
    pub fn critical(&self, alpha: f64) -> f64 {
        let at = self.sorted.partition_point(|&m| self.p(m) > alpha);
        self.sorted.get(at).copied().unwrap_or(f64::INFINITY)
    }
}

/// Benjamini and Hochberg's adjusted p: q_(i) = min over j >= i of p_(j) n / j, at most 1. NaN
/// stays NaN and is not counted.
///
/// q <= alpha controls the false discovery rate at alpha for independent and positively dependent
/// tests.
///
/// # Source
/// Benjamini and Hochberg, J. R. Stat. Soc. B 57:289 (1995); statsmodels'
/// `multipletests(method="fdr_bh")`.
pub fn benjamini_hochberg(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).filter(|&i| !p[i].is_nan()).collect();
    order.sort_unstable_by(|&a, &b| p[a].total_cmp(&p[b]));
    let n = order.len() as f64;
    let mut q = vec![f64::NAN; p.len()];
    let mut least: f64 = 1.0;
    for (rank, &i) in order.iter().enumerate().rev() {
        least = least.min(p[i] * n / (rank + 1) as f64);
        q[i] = least;
    }
    q
}

/// Holm's adjusted p: the running maximum of (n - i) p_(i), i from 0 in ascending order, at most 1.
/// NaN stays NaN and is not counted.
///
/// p_fwe <= alpha controls the family-wise error at alpha whatever the dependence of the tests;
/// never less powerful than Bonferroni's n p.
///
/// # Source
/// Holm, Scand. J. Stat. 6:65 (1979); statsmodels' `multipletests(method="holm")`.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).filter(|&i| !p[i].is_nan()).collect();
    order.sort_unstable_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut adjusted = vec![f64::NAN; p.len()];
    let mut most: f64 = 0.0;
    for (rank, &i) in order.iter().enumerate() {
        most = most.max((p[i] * (order.len() - rank) as f64).min(1.0));
        adjusted[i] = most;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corrected_p_counts_maxima() {
        let random = MaxNull::random(vec![3.0, 1.0, 2.0, 4.0]);
        assert_eq!([5.0, 4.0, 2.5, 1.0, 0.0].map(|v| random.p(v)), [0.2, 0.4, 0.6, 1.0, 1.0]);
        let all = MaxNull::exhaustive(vec![3.0, 1.0, 2.0, 4.0]);
        assert_eq!([4.0, 2.5, 1.0].map(|v| all.p(v)), [0.25, 0.5, 1.0]);
        assert!(all.p(f64::NAN).is_nan());
        assert_eq!((all.critical(0.25), all.critical(0.1), random.critical(0.5)), (4.0, f64::INFINITY, 4.0));
        assert_eq!(MaxNull::random(vec![]).p(3.0), 1.0);
        assert_eq!(MaxNull::random(vec![f64::NAN, 1.0]).p(9.0), 2.0 / 3.0, "an undefined maximum exceeds everything");
        assert_eq!(random.p_map(&[-5.0, 2.5], Tail::Less), [0.2, 1.0]);
        assert_eq!(MaxNull::of_extremes([-3.0, -1.0, -2.0, -4.0], Tail::Less), random);
    }

    /// statsmodels 0.15.0, multipletests([0.01, 0.04, 0.03, 0.005, 0.2], method="fdr_bh").
    #[test]
    fn adjusted_p_equal_statsmodels() {
        let q = benjamini_hochberg(&[0.01, 0.04, f64::NAN, 0.03, 0.005, 0.2]);
        for (found, expected) in q.iter().zip([0.025, 0.05, f64::NAN, 0.05, 0.025, 0.2]) {
            assert!((found - expected).abs() < 1e-15 || (found.is_nan() && expected.is_nan()), "{q:?}");
        }
        assert!(benjamini_hochberg(&[]).is_empty());
        // multipletests([0.01, 0.04, 0.03, 0.005, 0.2], method="holm")
        let p = holm(&[0.01, 0.04, f64::NAN, 0.03, 0.005, 0.2]);
        for (found, expected) in p.iter().zip([0.04, 0.09, f64::NAN, 0.09, 0.025, 0.2]) {
            assert!((found - expected).abs() < 1e-15 || (found.is_nan() && expected.is_nan()), "{p:?}");
        }
        assert_eq!((holm(&[]), holm(&[0.9, 0.9])), (vec![], vec![1.0, 1.0]));
        assert_eq!(benjamini_hochberg(&[0.9, 0.9]), [0.9, 0.9]);
    }
}
