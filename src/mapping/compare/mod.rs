//! Comparisons of a brain RDM with many fingerprints at once.
//!
//! Every comparison but Kendall's tau is an inner product in some space: of centred values
//! (Pearson), centred ranks (Spearman), values (cosine), or second-moment matrices (the whitened
//! ones). A brain RDM is brought there once; what the layers want from it is then a few dot
//! products.
//!
//! | file | what |
//! |---|---|
//! | `statistic` | the comparisons and their spaces |
//! | `second_moments` | the space of the whitened ones |
//! | `prepare` | fingerprints checked |
//! | `combination` | from inner products to the layers' values |
//! | `reduced` | the test of a layer beside others |
//! | `pair` | two RDMs of the brain |

mod combination;
mod pair;
mod prepare;
mod reduced;
mod second_moments;
mod statistic;

pub(super) use combination::Combination;
pub use pair::{PairComparison, PairScratch};
pub(super) use reduced::{Prepared, Reduced};
pub use statistic::Statistic;

use super::dissimilarity::Condensed;
use super::kendall;
use super::residual::{self, Collinearity, Residual};
use crate::error::{Error, Result};
use crate::math::{condensed, stats};
use crate::rdm::Rdm;
use ndarray::Array2;
use orthoscope_kernels::gram::Kernels;
use orthoscope_kernels::ranks::Ranker;
use statistic::{Space, in_space, take_off_mean};

/// Fingerprints made ready for one comparison.
pub struct Comparator {
    layers: Vec<String>,
    n_conditions: usize,
    combination: Combination,
    collinearity: Collinearity,
    /// n_rows x n_pairs: what b is multiplied with, the combination's rows.
    rows: Vec<f32>,
    n_rows: usize,
    /// Ranks of the entries of each fingerprint, equal ones equal, for Kendall's tau.
    dense_ranks: Vec<Vec<u32>>,
    /// Where layers are tested beside others.
    reduced: Option<Reduced>,
    kernels: Kernels,
}

/// Memory of one thread.
pub struct Scratch {
    ranker: Ranker,
    /// The RDM in the comparison's space.
    pub(in crate::mapping) space: Vec<f32>,
    rows: Vec<f64>,
    dots: Vec<f64>,
}

impl Comparator {
    /// Prepares fingerprints.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there are none, they differ in the number of conditions, one does
    /// not vary or is undefined somewhere, or the residual method does not go with the comparison.
    pub fn new(fingerprints: &[(String, Rdm)], statistic: Statistic, residual: Residual) -> Result<Self> {
        let Some((_, first)) = fingerprints.first() else {
            return Err(Error::invalid("fingerprints", "at least one", "none", "give an rdms.npz or RDM files"));
        };
        let n_conditions = first.n_conditions();
        prepare::check(fingerprints, n_conditions, statistic, residual)?;
        let layers: Vec<String> = fingerprints.iter().map(|(name, _)| name.clone()).collect();
        let space = statistic.space();
        let vectors: Vec<Vec<f64>> = fingerprints.iter().map(|(_, rdm)| in_space(rdm.values(), space)).collect();
        let duals: Vec<Vec<f64>> = match space {
            Space::Whitened(_) => vectors.iter().map(|v| second_moments::dual(v, n_conditions)).collect(),
            _ => vectors.clone(),
        };
        let n = layers.len();
        let mut gram = Array2::from_shape_fn((n, n), |(i, j)| stats::dot(&duals[i], &vectors[j]));
        if let Some(l) = (0..n).find(|&l| gram[[l, l]] <= 0.0) {
            let found = format!("`{}`, which does not vary", layers[l]);
            let hint = "a layer that treats all images alike cannot be mapped: leave it out";
            return Err(Error::invalid("fingerprints", "RDMs with different entries", found, hint));
        }
        let norms: Vec<f64> = (0..n).map(|l| gram[[l, l]].sqrt()).collect();
        gram.indexed_iter_mut().for_each(|((i, j), g)| *g /= norms[i] * norms[j]);
        let collinearity = residual::collinearity(&gram, residual)?;
        let combination = Combination::new(gram, statistic, residual)?;
        let weights = &combination.weights;
        let n_pairs = condensed::n_pairs(n_conditions);
        let mut rows = vec![0.0f32; weights.nrows() * n_pairs];
        for (row, weights) in rows.chunks_exact_mut(n_pairs).zip(weights.rows()) {
            for (k, x) in row.iter_mut().enumerate() {
                *x = (0..n).map(|l| weights[l] / norms[l] * duals[l][k]).sum::<f64>() as f32;
            }
        }
        let dense_ranks = match statistic {
            Statistic::KendallTauA => fingerprints.iter().map(|(_, rdm)| kendall::dense_ranks(rdm.values())).collect(),
            _ => vec![],
        };
        let kernels =
            Kernels::chosen().map_err(|e| Error::invalid("instruction set", "one of them", e.to_string(), ""))?;
        let n_rows = weights.nrows();
        let reduced = Reduced::new(fingerprints, statistic, residual)?;
        Ok(Self { layers, n_conditions, combination, collinearity, rows, n_rows, dense_ranks, reduced, kernels })
    }

    /// Names of the layers.
    pub fn layers(&self) -> &[String] {
        &self.layers
    }

    /// Number of conditions.
    pub fn n_conditions(&self) -> usize {
        self.n_conditions
    }

    /// The comparison.
    pub fn statistic(&self) -> Statistic {
        self.combination.statistic
    }

    /// The residual method.
    pub fn residual(&self) -> Residual {
        self.combination.residual
    }

    /// n_layers x n_layers similarities of the fingerprints in the comparison's space.
    pub fn similarities(&self) -> &Array2<f64> {
        &self.combination.gram
    }

    /// How much the fingerprints share.
    pub fn collinearity(&self) -> &Collinearity {
        &self.collinearity
    }

    /// Whether R^2 of all layers together follows the layers' values.
    pub fn has_r2(&self) -> bool {
        self.combination.has_r2()
    }

    /// Whether the mean of a value over all relabellings of the conditions is 0, so that 0 is what
    /// chance gives: of correlations and regression weights of either sign. Cosines, weights that
    /// are not negative and shares of variance have means above 0, which differ from place to place
    /// ([`super::null::Null::mean`]). The last value is R^2 where there is one.
    pub fn is_centred(&self, value: usize) -> bool {
        value < self.layers.len() && self.combination.is_centred()
    }

    /// Whether a layer's p is of what other layers do not explain of the RDM, relabelled, rather
    /// than of the whole RDM: of residual methods and least-squares weights.
    ///
    /// # Source
    /// Freedman and Lane, J. Bus. Econ. Stat. 1:292 (1983); Dekker, Krackhardt and Snijders,
    /// Psychometrika 72:563 (2007), for matrices of pairs.
    pub fn tests_beside_others(&self) -> bool {
        self.reduced.is_some()
    }

    /// Numbers that [`Comparator::evaluate`] gives: one a layer, and R^2 where there is one.
    pub fn n_values(&self) -> usize {
        self.combination.n_values()
    }

    /// Memory for a thread.
    pub fn scratch(&self) -> Scratch {
        let n_pairs = condensed::n_pairs(self.n_conditions);
        Scratch {
            ranker: Ranker::new(n_pairs),
            space: vec![0.0; n_pairs],
            rows: vec![0.0; self.n_conditions],
            dots: vec![0.0; self.n_rows],
        }
    }

    /// Compares one condensed RDM with all fingerprints; NaN everywhere when it does not vary.
    ///
    /// # Shapes
    /// `rdm`: n_pairs, finite; `out`: [`Comparator::n_values`].
    pub fn evaluate(&self, rdm: Condensed<'_>, scratch: &mut Scratch, out: &mut [f64]) {
        let norm = self.to_space(rdm, scratch);
        if norm <= 0.0 || norm.is_nan() {
            return out.fill(f64::NAN);
        }
        if self.statistic() == Statistic::KendallTauA {
            // The centred ranks have the RDM's order, and its ties.
            return kendall::tau_a(&scratch.space, &self.dense_ranks, &mut scratch.ranker, out);
        }
        self.kernels.products(&scratch.space, &self.rows, rdm.len(), &mut scratch.dots);
        self.combination.finish(&scratch.dots, norm, out);
    }

    /// Brings an RDM to the comparison's space (`scratch.space`); its norm there, 0 when it does
    /// not vary.
    pub(in crate::mapping) fn to_space(&self, rdm: Condensed<'_>, scratch: &mut Scratch) -> f64 {
        self.brought(self.statistic().space(), rdm, scratch)
    }

    fn brought(&self, space: Space, rdm: Condensed<'_>, scratch: &mut Scratch) -> f64 {
        let out = &mut scratch.space;
        if space == Space::Ranked {
            return match rdm {
                Condensed::F32(values) => scratch.ranker.centred_ranks(values, out).sqrt(),
                Condensed::F64(values) => scratch.ranker.centred_ranks_64(values, out).sqrt(),
            };
        }
        let centred = matches!(space, Space::Centred | Space::Whitened(true));
        let varies = match rdm {
            Condensed::F32(values) => take_off_mean(values, f64::from, centred, out),
            Condensed::F64(values) => take_off_mean(values, |v| v, centred, out),
        };
        match space {
            Space::Whitened(_) => second_moments::norm(out, self.n_conditions, &mut scratch.rows),
            Space::Centred if !varies => 0.0,
            _ => self.norm(out),
        }
    }

    fn norm(&self, x: &[f32]) -> f64 {
        let mut square = [0.0];
        self.kernels.products(x, x, x.len(), &mut square);
        square[0].sqrt()
    }

    /// From products with the rows to the layers' values.
    pub(in crate::mapping) fn finish(&self, dots: &[f64], norm: f64, out: &mut [f64]) {
        self.combination.finish(dots, norm, out);
    }

    /// What the layers beside others are tested on, where they are; `scratch.space` is overwritten.
    pub(in crate::mapping) fn prepare(&self, rdm: Condensed<'_>, scratch: &mut Scratch) -> Option<Prepared> {
        let reduced = self.reduced.as_ref()?;
        let norm = self.brought(reduced.space, rdm, scratch);
        Some(reduced.prepare(&scratch.space, norm, &mut scratch.ranker, &self.kernels))
    }

    /// The test of layers beside others.
    pub(in crate::mapping) fn reduced(&self) -> Option<(&Reduced, &Kernels)> {
        self.reduced.as_ref().map(|reduced| (reduced, &self.kernels))
    }

    /// Rows that a brain RDM is multiplied with, n_rows x n_pairs.
    pub(in crate::mapping) fn rows(&self) -> (&[f32], usize) {
        (&self.rows, self.n_rows)
    }
}
