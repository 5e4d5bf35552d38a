//! Comparisons of a brain RDM with many fingerprints at once.
//!
//! Every comparison but Kendall's tau is an inner product in some space: of centred values (Pearson), centred ranks
//! (Spearman), values (cosine), or second-moment matrices (the whitened ones). A brain RDM is brought there once; what the
//! layers want from it is then a few dot products.
//!
//! | file | what |
//! |---|---|
//! | `statistic` | the comparisons and their spaces |
//! | `second_moments` | the space of the whitened ones |
//! | `prepare` | fingerprints checked and combined |
//! | `pair` | two RDMs of the brain |

mod pair;
mod prepare;
mod second_moments;
mod statistic;

pub use pair::{PairComparison, PairScratch};
pub use statistic::Statistic;

use super::dissimilarity::Condensed;
use super::kendall;
use super::nnls::nnls;
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
    statistic: Statistic,
    residual: Residual,
    layers: Vec<String>,
    n_conditions: usize,
    /// Inner products of the fingerprints in the comparison's space, divided by their norms.
    gram: Array2<f64>,
    collinearity: Collinearity,
    /// n_rows x n_pairs: what b is multiplied with. Layers first, then (where R^2 is wanted) an orthonormal basis of them.
    rows: Vec<f32>,
    n_rows: usize,
    /// Standard deviation that is left of each layer; 0 where its map is undefined.
    kept: Vec<f64>,
    /// Ranks of the entries of each fingerprint, equal ones equal, for Kendall's tau.
    dense_ranks: Vec<Vec<u32>>,
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

/// Less than this of a fingerprint is rounding.
const NOTHING: f64 = 1e-6;

impl Comparator {
    /// Prepares fingerprints.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there are none, they differ in the number of conditions, one does not vary or is undefined
    /// somewhere, or the residual method does not go with the comparison.
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
        let (weights, kept) = prepare::weights(&gram, statistic, residual)?;
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
        Ok(Self {
            statistic,
            residual,
            layers,
            n_conditions,
            gram,
            collinearity,
            rows,
            n_rows,
            kept,
            dense_ranks,
            kernels,
        })
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
        self.statistic
    }

    /// The residual method.
    pub fn residual(&self) -> Residual {
        self.residual
    }

    /// n_layers x n_layers similarities of the fingerprints in the comparison's space.
    pub fn similarities(&self) -> &Array2<f64> {
        &self.gram
    }

    /// How much the fingerprints share.
    pub fn collinearity(&self) -> &Collinearity {
        &self.collinearity
    }

    /// Whether R^2 of all layers together follows the layers' values.
    pub fn has_r2(&self) -> bool {
        matches!(self.statistic, Statistic::Ols | Statistic::Nnls) || self.residual == Residual::UniqueVariance
    }

    /// Numbers that [`Comparator::evaluate`] gives: one a layer, and R^2 where there is one.
    pub fn n_values(&self) -> usize {
        self.layers.len() + usize::from(self.has_r2())
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
        if self.statistic == Statistic::KendallTauA {
            // The centred ranks have the RDM's order, and its ties.
            return kendall::tau_a(&scratch.space, &self.dense_ranks, &mut scratch.ranker, out);
        }
        self.kernels.products(&scratch.space, &self.rows, rdm.len(), &mut scratch.dots);
        self.finish(&scratch.dots, norm, out);
    }

    /// Brings an RDM to the comparison's space (`scratch.space`); its norm there, 0 when it does not vary.
    pub(in crate::mapping) fn to_space(&self, rdm: Condensed<'_>, scratch: &mut Scratch) -> f64 {
        let out = &mut scratch.space;
        let space = self.statistic.space();
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

    /// Rows that a brain RDM is multiplied with, n_rows x n_pairs.
    pub(in crate::mapping) fn rows(&self) -> (&[f32], usize) {
        (&self.rows, self.n_rows)
    }

    /// From products with the rows to the layers' values.
    pub(in crate::mapping) fn finish(&self, dots: &[f64], norm: f64, out: &mut [f64]) {
        let n = self.layers.len();
        let unit = 1.0 / norm;
        let layer = |l: usize| if self.kept[l] > NOTHING { dots[l] * unit } else { f64::NAN };
        let r2 = || dots[n..].iter().map(|d| (d * unit) * (d * unit)).sum::<f64>().clamp(0.0, 1.0);
        match (self.statistic, self.residual) {
            (Statistic::Nnls, Residual::UniqueVariance) => self.unique_nnls(dots, unit, out),
            (Statistic::Nnls, _) => {
                let cross: Vec<f64> = dots[..n].iter().map(|d| d * unit).collect();
                let weights = nnls(&self.gram, &cross);
                out[n] = explained(&self.gram, &cross, &weights);
                out[..n].copy_from_slice(&weights);
            }
            (_, Residual::UniqueVariance) => {
                (0..n).for_each(|l| out[l] = layer(l) * layer(l));
                out[n] = r2();
            }
            (Statistic::Ols, _) => {
                (0..n).for_each(|l| out[l] = layer(l) / self.kept[l]);
                out[n] = r2();
            }
            (_, Residual::Partial) => {
                let r2 = r2();
                for (l, out) in out[..n].iter_mut().enumerate() {
                    let semi = layer(l);
                    *out = (semi / (1.0 - (r2 - semi * semi)).max(semi * semi).sqrt()).clamp(-1.0, 1.0);
                }
            }
            _ => (0..n).for_each(|l| out[l] = layer(l).clamp(-1.0, 1.0)),
        }
    }

    fn unique_nnls(&self, dots: &[f64], unit: f64, out: &mut [f64]) {
        let n = self.layers.len();
        let cross: Vec<f64> = dots[..n].iter().map(|d| d * unit).collect();
        let fit = |which: &[usize]| {
            let gram = Array2::from_shape_fn((which.len(), which.len()), |(i, j)| self.gram[[which[i], which[j]]]);
            let cross: Vec<f64> = which.iter().map(|&l| cross[l]).collect();
            explained(&gram, &cross, &nnls(&gram, &cross))
        };
        let all: Vec<usize> = (0..n).collect();
        out[n] = fit(&all);
        for l in 0..n {
            let others: Vec<usize> = (0..n).filter(|&m| m != l).collect();
            out[l] = (out[n] - fit(&others)).max(0.0);
        }
    }
}

/// 2 w.c - w' K w: R^2 of standardised variables.
fn explained(gram: &Array2<f64>, cross: &[f64], weights: &[f64]) -> f64 {
    let n = cross.len();
    let fitted: f64 = (0..n).map(|i| (0..n).map(|j| weights[i] * gram[[i, j]] * weights[j]).sum::<f64>()).sum();
    (2.0 * stats::dot(weights, cross) - fitted).clamp(0.0, 1.0)
}
