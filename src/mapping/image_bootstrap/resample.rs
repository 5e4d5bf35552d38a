//! One resample of the images: pairs with weights, the fingerprints and brain RDMs among them.

use super::MIN_IMAGES;
use crate::mapping::compare::{Combination, Statistic};
use crate::mapping::residual::Residual;
use crate::math::{condensed, stats};
use crate::rdm::inference::ranked::{Pairs, Ranked, SortedPairs, Tree};
use ndarray::{Array2, aview1};

/// How the entries of an RDM count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    Values { centred: bool },
    Ranks,
    Tau,
}

impl Space {
    /// `None` for the whitened comparisons.
    pub fn of(statistic: Statistic) -> Option<Self> {
        match statistic {
            Statistic::Pearson | Statistic::Ols | Statistic::Nnls => Some(Self::Values { centred: true }),
            Statistic::Cosine => Some(Self::Values { centred: false }),
            Statistic::Spearman => Some(Self::Ranks),
            Statistic::KendallTauA => Some(Self::Tau),
            Statistic::CorrCov | Statistic::CosineCov => None,
        }
    }
}

/// An RDM made ready for all resamples.
#[derive(Debug, Clone)]
pub enum Entries {
    /// The mean taken off where the comparison is centred: a resample, which takes its own off,
    /// then keeps all digits.
    Values(Vec<f64>),
    Sorted(SortedPairs),
}

impl Entries {
    pub fn new(rdm: &[f64], space: Space) -> Self {
        match space {
            Space::Values { centred } => {
                let mean = if centred { stats::mean(rdm) } else { 0.0 };
                Self::Values(rdm.iter().map(|v| v - mean).collect())
            }
            Space::Ranks | Space::Tau => Self::Sorted(SortedPairs::new(rdm)),
        }
    }
}

/// ndarray's, which keeps several sums: many times as fast as one sum after the other.
fn dot(x: &[f64], y: &[f64]) -> f64 {
    aview1(x).dot(&aview1(y))
}

/// A squared norm below this share of the one before centring is rounding: the entries are all
/// alike.
const CONSTANT: f64 = 1e-13;

/// The fingerprints in one resample.
pub struct Resample {
    space: Space,
    pairs: Pairs,
    /// Roots of the weights.
    roots: Vec<f64>,
    /// n_layers x entries: of unit norm, each entry times the root of its weight. Empty for
    /// Kendall's tau.
    rows: Array2<f64>,
    /// The same for Kendall's tau.
    ranked: Vec<Ranked>,
}

impl Resample {
    /// `None` where a fingerprint does not vary, or there are fewer than 3 different images.
    ///
    /// # Shapes
    /// `counts`: how often each image was drawn, n_conditions; `layers`: of the same images.
    pub fn new(layers: &[Entries], counts: &[u32], space: Space) -> Option<Self> {
        if counts.iter().filter(|&&c| c > 0).count() < MIN_IMAGES {
            return None;
        }
        let pairs = Pairs::new(condensed::pairs(counts.len()).map(|(i, j)| counts[i] * counts[j]).collect());
        let roots = pairs.weights.iter().map(|&w| f64::from(w).sqrt()).collect();
        let mut resample = Self { space, pairs, roots, rows: Array2::zeros((0, 0)), ranked: vec![] };
        if space == Space::Tau {
            resample.ranked = layers.iter().map(|layer| resample.ranked(layer)).collect();
            return resample.ranked.iter().all(|r| r.norm > 0.0).then_some(resample);
        }
        let mut rows = Array2::zeros((layers.len(), resample.roots.len()));
        for (norm, mut row) in resample.bring_all(layers, &mut rows).into_iter().zip(rows.rows_mut()) {
            row /= norm?;
        }
        resample.rows = rows;
        Some(resample)
    }

    /// What statistic and residual method make of the fingerprints in this resample; `None` where
    /// that is not defined.
    pub fn combination(&self, statistic: Statistic, residual: Residual) -> Option<Combination> {
        let n = self.rows.nrows().max(self.ranked.len());
        // Kendall's tau takes no combinations.
        let gram = if self.space == Space::Tau { Array2::eye(n) } else { self.rows.dot(&self.rows.t()) };
        Combination::new(gram, statistic, residual).ok()
    }

    fn ranked(&self, entries: &Entries) -> Ranked {
        match entries {
            Entries::Sorted(sorted) => self.pairs.ranked(sorted),
            Entries::Values(_) => unreachable!("comparisons of ranks keep orders"),
        }
    }

    /// Writes an RDM's entries, each times the root of its weight; their norm, or `None` when they
    /// do not vary.
    fn bring(&self, entries: &Entries, ranks: &mut [f64], out: &mut [f64]) -> Option<f64> {
        match entries {
            Entries::Sorted(sorted) => {
                self.pairs.twice_ranks(sorted, ranks);
                out.iter_mut().zip(&self.roots).zip(&*ranks).for_each(|((o, r), t)| *o = t * r);
            }
            Entries::Values(values) => {
                let pairs = self.pairs.pairs.iter().zip(&self.roots);
                out.iter_mut().zip(pairs).for_each(|(o, (&p, r))| *o = values[p as usize] * r);
            }
        }
        let before = dot(out, out);
        // Ranks are centred already.
        if self.space == (Space::Values { centred: true }) {
            let mean = dot(&self.roots, out) / self.pairs.total as f64;
            out.iter_mut().zip(&self.roots).for_each(|(o, r)| *o -= mean * r);
        }
        let square = dot(out, out);
        (square > CONSTANT * before).then(|| square.sqrt())
    }

    /// One RDM a row.
    fn bring_all(&self, all: &[Entries], rows: &mut Array2<f64>) -> Vec<Option<f64>> {
        let mut ranks = vec![0.0; self.roots.len() + 1];
        let rows = rows.as_slice_mut().expect("just made").chunks_exact_mut(self.roots.len());
        rows.zip(all).map(|(row, entries)| self.bring(entries, &mut ranks, row)).collect()
    }

    /// Compares RDMs with all fingerprints; NaN where one does not vary.
    ///
    /// # Shapes
    /// `out`: brains.len() x n_values, row by row.
    pub fn compare(&self, brains: &[Entries], combination: &Combination, out: &mut [f64]) {
        let n_values = combination.n_values();
        if self.space == Space::Tau {
            let mut tree = Tree::default();
            for (brain, out) in brains.iter().zip(out.chunks_exact_mut(n_values)) {
                let own = self.ranked(brain);
                let tau = |layer| if own.norm > 0.0 { self.pairs.tau_a(&own, layer, &mut tree) } else { f64::NAN };
                out.iter_mut().zip(self.ranked.iter().map(tau)).for_each(|(o, t)| *o = t);
            }
            return;
        }
        let mut brought = Array2::zeros((brains.len(), self.roots.len()));
        let norms = self.bring_all(brains, &mut brought);
        // n_brains x n_rows.
        let dots = brought.dot(&self.rows.t()).dot(&combination.weights.t());
        for ((row, norm), out) in dots.rows().into_iter().zip(norms).zip(out.chunks_exact_mut(n_values)) {
            match norm {
                Some(norm) => combination.finish(&row.to_vec(), norm, out),
                None => out.fill(f64::NAN),
            }
        }
    }
}
