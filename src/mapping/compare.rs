//! Comparisons of a brain RDM with many fingerprints at once.
//!
//! Every comparison but Kendall's tau is an inner product in some space: of centred values (Pearson), centred ranks
//! (Spearman), values (cosine), or second-moment matrices (the whitened ones). A brain RDM is brought there once; what the
//! layers want from it is then a few dot products.

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
use serde::{Deserialize, Serialize};
use std::fmt;

/// How a brain RDM b is compared with fingerprints v.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Statistic {
    /// Pearson's r.
    Pearson,
    /// Pearson's r of ranks, ties averaged.
    #[default]
    Spearman,
    /// (concordant - discordant) / all pairs of entries.
    KendallTauA,
    /// b.v / (|b| |v|).
    Cosine,
    /// Pearson's r in the space where the entries of an RDM are uncorrelated (rsatoolbox's `corr_cov`).
    CorrCov,
    /// Cosine in that space (rsatoolbox's `cosine_cov`).
    CosineCov,
    /// Standardised weights of all layers in one least-squares regression, and its R^2.
    Ols,
    /// The same with weights that are not negative.
    Nnls,
}

impl fmt::Display for Statistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pearson => "pearson",
            Self::Spearman => "spearman",
            Self::KendallTauA => "kendall_tau_a",
            Self::Cosine => "cosine",
            Self::CorrCov => "corr_cov",
            Self::CosineCov => "cosine_cov",
            Self::Ols => "ols",
            Self::Nnls => "nnls",
        })
    }
}

/// The space of the inner products.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Space {
    Centred,
    Ranked,
    Plain,
    /// Second moments; whether the mean entry is taken off first.
    Whitened(bool),
}

impl Statistic {
    fn space(self) -> Space {
        match self {
            Self::Pearson | Self::Ols | Self::Nnls => Space::Centred,
            Self::Spearman | Self::KendallTauA => Space::Ranked,
            Self::Cosine => Space::Plain,
            Self::CorrCov => Space::Whitened(true),
            Self::CosineCov => Space::Whitened(false),
        }
    }

    /// Whether adding a number to every entry of an RDM changes nothing.
    pub fn ignores_offset(self) -> bool {
        matches!(self.space(), Space::Centred | Space::Ranked)
    }
}

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
    pub(super) space: Vec<f32>,
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
        check(fingerprints, n_conditions, statistic, residual)?;
        let layers: Vec<String> = fingerprints.iter().map(|(name, _)| name.clone()).collect();
        let space = statistic.space();
        let vectors: Vec<Vec<f64>> = fingerprints.iter().map(|(_, rdm)| in_space(rdm.values(), space)).collect();
        let duals: Vec<Vec<f64>> = match space {
            Space::Whitened(_) => vectors.iter().map(|v| second_moment_dual(v, n_conditions)).collect(),
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
        let (weights, kept) = weights(&gram, statistic, residual)?;
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
    pub(super) fn to_space(&self, rdm: Condensed<'_>, scratch: &mut Scratch) -> f64 {
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
            Space::Whitened(_) => second_moment_norm(out, self.n_conditions, &mut scratch.rows),
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
    pub(super) fn rows(&self) -> (&[f32], usize) {
        (&self.rows, self.n_rows)
    }

    /// From products with the rows to the layers' values.
    pub(super) fn finish(&self, dots: &[f64], norm: f64, out: &mut [f64]) {
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

fn check(fingerprints: &[(String, Rdm)], n: usize, statistic: Statistic, residual: Residual) -> Result<()> {
    if n < 3 {
        let hint = "an RDM of two conditions has a single number, which correlates with nothing";
        return Err(Error::invalid("fingerprints", "at least 3 conditions", n.to_string(), hint));
    }
    for (name, rdm) in fingerprints {
        if rdm.n_conditions() != n {
            let found = format!("{} in `{name}`", rdm.n_conditions());
            return Err(Error::invalid(
                "fingerprints",
                format!("RDMs of {n} conditions"),
                found,
                "all of the same images",
            ));
        }
        if rdm.values().iter().any(|v| !v.is_finite()) {
            let found = format!("{} undefined entries in `{name}`", rdm.n_undefined());
            let hint = "a layer whose response to an image is constant has no correlation distance: leave it out";
            return Err(Error::invalid("fingerprints", "RDMs without undefined entries", found, hint));
        }
    }
    let combined = !matches!(residual, Residual::None | Residual::ActivationLevel);
    let refused = match statistic {
        Statistic::KendallTauA => combined,
        Statistic::Ols => combined && residual != Residual::UniqueVariance,
        Statistic::Nnls => combined && residual != Residual::UniqueVariance,
        _ => false,
    };
    if refused {
        let expected = "a comparison that residual fingerprints have";
        let hint =
            "regressions hold the layers against each other already; tau has no residuals: use pearson or spearman";
        return Err(Error::invalid("--residual", expected, format!("{residual} with {statistic}"), hint));
    }
    Ok(())
}

/// Rows of weights of unit-norm fingerprints, made unit-norm again; and the norms before.
fn weights(gram: &Array2<f64>, statistic: Statistic, residual: Residual) -> Result<(Array2<f64>, Vec<f64>)> {
    let n = gram.nrows();
    let variant = match statistic {
        Statistic::Ols => Residual::SemiPartial,
        Statistic::Nnls => Residual::None,
        _ => residual,
    };
    let mut weights = residual::combinations(gram, variant)?;
    let mut kept = Vec::with_capacity(n);
    for mut row in weights.rows_mut() {
        let norm = row.dot(&gram.dot(&row)).max(0.0).sqrt();
        row.mapv_inplace(|w| if norm > NOTHING { w / norm } else { 0.0 });
        kept.push(norm);
    }
    let wants_r2 = statistic == Statistic::Ols
        || matches!(residual, Residual::Partial | Residual::UniqueVariance) && statistic != Statistic::Nnls;
    if wants_r2 {
        weights.append(ndarray::Axis(0), residual::orthonormal(gram).view()).expect("as many columns");
    }
    Ok((weights, kept))
}

/// Copies, with the mean taken off where wanted; whether the values differ.
fn take_off_mean<T: Copy + PartialEq>(x: &[T], wide: impl Fn(T) -> f64, centred: bool, out: &mut [f32]) -> bool {
    let mean = if centred { x.iter().map(|&v| wide(v)).sum::<f64>() / x.len() as f64 } else { 0.0 };
    out.iter_mut().zip(x).for_each(|(o, &v)| *o = (wide(v) - mean) as f32);
    x.iter().any(|&v| v != x[0])
}

fn in_space(values: &[f64], space: Space) -> Vec<f64> {
    let centred = |x: &[f64]| {
        let mean = stats::mean(x);
        let same = x.iter().all(|&v| v == x[0]);
        x.iter().map(|v| if same { 0.0 } else { v - mean }).collect()
    };
    match space {
        Space::Centred | Space::Whitened(true) => centred(values),
        Space::Ranked => centred(&stats::ranks(values)),
        Space::Plain | Space::Whitened(false) => values.to_vec(),
    }
}

/// |G|_F of the second-moment matrix G = -H D H / 2 of an RDM D, H = 1 - 11'/n:
/// |G|^2 = (|D|^2 - 2/n |D 1|^2 + (1' D 1)^2 / n^2) / 4.
///
/// # Source
/// Diedrichsen, Berlot, Mur, Schuett, Shahbazi, Kriegeskorte, Comparing representational geometries using whitened
/// unbiased-distance-matrix similarity, Neurons Behav. Data Anal. Theory 5 (2021): for a noise covariance that is the
/// identity, whitening the RDM is comparing second moments (linear CKA).
fn second_moment_norm(d: &[f32], n: usize, rows: &mut [f64]) -> f64 {
    rows.fill(0.0);
    let mut squares = 0.0;
    for ((i, j), &d) in condensed::pairs(n).zip(d) {
        let d = f64::from(d);
        rows[i] += d;
        rows[j] += d;
        squares += d * d;
    }
    let total: f64 = rows.iter().sum();
    let of_rows: f64 = rows.iter().map(|r| r * r).sum();
    let n = n as f64;
    ((2.0 * squares - 2.0 / n * of_rows + total * total / (n * n)) / 4.0).max(0.0).sqrt()
}

/// The vector w with <G(b), G(v)>_F = b.w for every RDM b: w_ij = (H V H)_ij / 2.
fn second_moment_dual(v: &[f64], n: usize) -> Vec<f64> {
    let mut rows = vec![0.0; n];
    for ((i, j), d) in condensed::pairs(n).zip(v) {
        rows[i] += d;
        rows[j] += d;
    }
    let total: f64 = rows.iter().sum();
    let n_f = n as f64;
    condensed::pairs(n).zip(v).map(|((i, j), d)| (d - (rows[i] + rows[j]) / n_f + total / (n_f * n_f)) / 2.0).collect()
}

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
            Space::Whitened(_) => second_moment_dot(&scratch.other, &scratch.own.space, self.n_conditions),
            _ => {
                let mut dot = [0.0];
                self.carrier.kernels.products(&scratch.other, &scratch.own.space, a.len(), &mut dot);
                dot[0]
            }
        };
        (dot / (norm_a * norm_b)).clamp(-1.0, 1.0)
    }
}

/// <G(a), G(b)>_F of two RDMs' second-moment matrices.
fn second_moment_dot(a: &[f32], b: &[f32], n: usize) -> f64 {
    let wide: Vec<f64> = b.iter().map(|&v| f64::from(v)).collect();
    second_moment_dual(&wide, n).iter().zip(a).map(|(w, &a)| w * f64::from(a)).sum()
}
