//! From products of a brain RDM with the fingerprints to the layers' values.
//!
//! The inner products of the fingerprints are all that is needed: residual fingerprints, partial
//! correlations and regressions are combinations of fingerprints. A resample of the images has
//! inner products, and so combinations, of its own.

use super::Statistic;
use crate::error::Result;
use crate::mapping::nnls::nnls;
use crate::mapping::residual::{self, Residual};
use crate::math::stats;
use ndarray::Array2;

/// Less than this of a fingerprint is rounding.
const NOTHING: f64 = 1e-6;

/// What a statistic and a residual method make of fingerprints.
#[derive(Debug, Clone)]
pub(in crate::mapping) struct Combination {
    pub(super) statistic: Statistic,
    pub(super) residual: Residual,
    /// Inner products of the fingerprints, each divided by its norm: n_layers x n_layers.
    pub(super) gram: Array2<f64>,
    /// n_rows x n_layers: unit-norm combinations of unit-norm fingerprints. Layers first, then
    /// (where R^2 is wanted) an orthonormal basis of them.
    pub(in crate::mapping) weights: Array2<f64>,
    /// Standard deviation that is left of each layer; 0 where its map is undefined.
    kept: Vec<f64>,
}

impl Combination {
    /// From the inner products of unit-norm fingerprints.
    ///
    /// # Errors
    /// As [`residual::combinations`].
    pub(in crate::mapping) fn new(gram: Array2<f64>, statistic: Statistic, residual: Residual) -> Result<Self> {
        let (weights, kept) = weights(&gram, statistic, residual)?;
        Ok(Self { statistic, residual, gram, weights, kept })
    }

    /// Whether R^2 of all layers together follows the layers' values.
    pub(super) fn has_r2(&self) -> bool {
        matches!(self.statistic, Statistic::Ols | Statistic::Nnls) || self.residual == Residual::UniqueVariance
    }

    /// Whether layers' values are 0 on average when conditions are relabelled.
    pub(super) fn is_centred(&self) -> bool {
        self.statistic.is_centred() && self.residual != Residual::UniqueVariance
    }

    /// One value a layer, and R^2 where there is one.
    pub(in crate::mapping) fn n_values(&self) -> usize {
        self.gram.nrows() + usize::from(self.has_r2())
    }

    /// From products of a brain RDM of norm `norm` with the rows of combinations to the layers'
    /// values.
    pub(in crate::mapping) fn finish(&self, dots: &[f64], norm: f64, out: &mut [f64]) {
        let n = self.gram.nrows();
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
        let n = self.gram.nrows();
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
        weights.append(ndarray::Axis(0), residual::orthonormal(gram)?.view()).expect("as many columns");
    }
    Ok((weights, kept))
}
