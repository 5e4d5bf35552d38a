//! Two RDMs of the brain held against each other: for noise ceilings.

use super::statistic::Space;
use super::{Comparator, Scratch, Statistic, second_moments};
use crate::error::Result;
use crate::mapping::dissimilarity::Condensed;
use crate::mapping::residual::Residual;
use crate::math::{condensed, stats};
use crate::rdm::Rdm;

/// Comparison of two RDMs of the brain with each other.
pub struct PairComparison {
    statistic: Statistic,
    n_conditions: usize,
    /// A comparator is tied to fingerprints; this one brings RDMs to its space only.
    carrier: Comparator,
}

/// Memory of one thread.
pub struct PairScratch {
    own: Scratch,
    other: Vec<f32>,
}

impl PairComparison {
    /// For RDMs of `n_conditions`.
    ///
    /// # Errors
    /// As [`Comparator::new`].
    pub fn new(statistic: Statistic, n_conditions: usize) -> Result<Self> {
        let any: Vec<f64> = (0..condensed::n_pairs(n_conditions)).map(|k| k as f64).collect();
        let rdm = Rdm::new(crate::rdm::Measure::Given, any, Rdm::default_labels(n_conditions))?;
        let carrier = Comparator::new(&[("any".into(), rdm)], statistic, Residual::None)?;
        Ok(Self { statistic, n_conditions, carrier })
    }

    /// Memory for a thread.
    pub fn scratch(&self) -> PairScratch {
        let own = self.carrier.scratch();
        PairScratch { other: own.space.clone(), own }
    }

    /// The comparison of a and b; NaN when one does not vary.
    pub fn compare(&self, a: Condensed<'_>, b: Condensed<'_>, scratch: &mut PairScratch) -> f64 {
        if self.statistic == Statistic::KendallTauA {
            return stats::kendall_tau_a(&a.to_vec(), &b.to_vec());
        }
        let norm_a = self.carrier.to_space(a, &mut scratch.own);
        scratch.other.copy_from_slice(&scratch.own.space);
        let norm_b = self.carrier.to_space(b, &mut scratch.own);
        if norm_a.is_nan() || norm_b.is_nan() || norm_a <= 0.0 || norm_b <= 0.0 {
            return f64::NAN;
        }
        let dot = match self.statistic.space() {
            Space::Whitened(_) => second_moments::dot(&scratch.other, &scratch.own.space, self.n_conditions),
            _ => {
                let mut dot = [0.0];
                self.carrier.kernels.products(&scratch.other, &scratch.own.space, a.len(), &mut dot);
                dot[0]
            }
        };
        (dot / (norm_a * norm_b)).clamp(-1.0, 1.0)
    }
}
