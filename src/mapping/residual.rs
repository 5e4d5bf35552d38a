//! Fingerprints of natural images resemble each other. The residual method takes out of each
//! layer's fingerprint what other layers share with it.
//!
//! The method's published description is one sentence ("an alternative residual method"); the
//! variants here are reconstructions, and the default, semi-partial, is inferred: it is the
//! analogue of fingerprints that were orthogonal from the start.
//!
//! Everything is a combination of fingerprints, so the matrix of their inner products K (n_layers x
//! n_layers) is all that is needed, whatever the space: centred values, centred ranks, or whitened
//! values.

use crate::error::{Error, Result};
use crate::math::linalg::{Cholesky, eigh, eigvalsh};
use crate::warning::Warning;
use ndarray::{Array2, Axis};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What is compared with the brain instead of the fingerprints v_l themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Residual {
    /// The fingerprints as they are.
    #[default]
    None,
    /// e_l = v_l - V_-l V_-l^+ v_l, V_-l all other layers: corr(b, e_l).
    SemiPartial,
    /// corr(b - V_-l V_-l^+ b, e_l): the brain's RDM is cleaned as well.
    Partial,
    /// R^2 of all layers less R^2 of all but l: the variance that l alone explains.
    UniqueVariance,
    /// Only earlier layers are taken out (Gram-Schmidt in the order of the fingerprints).
    Ordered,
    /// Only the layers next before and next after are taken out.
    Adjacent,
    /// The RDMs of what a layer's activations hold beyond the layer before (they are computed from
    /// activations: [`super::activation`]); compared as they are.
    ActivationLevel,
    /// E = V (V' V)^-1/2 (Loewdin): the orthonormal set nearest to all layers; needs no order.
    Symmetric,
}

impl fmt::Display for Residual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::SemiPartial => "semi_partial",
            Self::Partial => "partial",
            Self::UniqueVariance => "unique_variance",
            Self::Ordered => "ordered",
            Self::Adjacent => "adjacent",
            Self::ActivationLevel => "activation_level",
            Self::Symmetric => "symmetric",
        })
    }
}

/// Collinearity of the fingerprints.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Collinearity {
    /// VIF_l = 1 / (1 - R^2_l), R^2_l of layer l on all others.
    pub vif: Vec<f64>,
    /// sqrt(1 - R^2_l): the share of a fingerprint's standard deviation that the others do not
    /// explain.
    pub residual_sd: Vec<f64>,
    /// The share of each fingerprint's standard deviation that the chosen variant leaves.
    pub kept_sd: Vec<f64>,
    /// Largest over smallest singular value of the unit-norm fingerprints (square root of the
    /// eigenvalues' ratio).
    pub condition_number: f64,
}

/// Eigenvalues below this share of the largest are zero: such layers are combinations of others.
const RANK: f64 = 1e-10;
/// Where less than this share of a fingerprint's standard deviation is left, the user is warned.
pub const LITTLE: f64 = 0.2;

/// The combinations of fingerprints that a variant compares: row l holds the weights of e_l.
///
/// # Shapes
/// `gram`, result: n_layers x n_layers.
///
/// # Errors
/// [`Error::Invalid`] for [`Residual::Symmetric`] with fingerprints that depend on each other.
pub fn combinations(gram: &Array2<f64>, residual: Residual) -> Result<Array2<f64>> {
    let n = gram.nrows();
    let others = |l: usize| -> Vec<usize> {
        match residual {
            Residual::SemiPartial | Residual::Partial | Residual::UniqueVariance => {
                (0..n).filter(|&m| m != l).collect()
            }
            Residual::Ordered => (0..l).collect(),
            Residual::Adjacent => [l.wrapping_sub(1), l + 1].into_iter().filter(|&m| m < n).collect(),
            Residual::None | Residual::ActivationLevel | Residual::Symmetric => vec![],
        }
    };
    if residual == Residual::Symmetric {
        return loewdin(gram);
    }
    let mut weights = Array2::eye(n);
    for l in 0..n {
        let others = others(l);
        let cross: Vec<f64> = others.iter().map(|&m| gram[[m, l]]).collect();
        for (&m, w) in others.iter().zip(project(&block(gram, &others), &cross)?) {
            weights[[l, m]] = -w;
        }
    }
    Ok(weights)
}

fn block(gram: &Array2<f64>, which: &[usize]) -> Array2<f64> {
    gram.select(Axis(0), which).select(Axis(1), which)
}

/// K^+ c: the least-squares weights, of least norm where layers depend on each other.
fn project(gram: &Array2<f64>, cross: &[f64]) -> Result<Vec<f64>> {
    let n = cross.len();
    let (values, vectors) = eigh(gram.view())?;
    let largest = values.iter().fold(0.0f64, |m, v| m.max(*v));
    let mut out = vec![0.0; n];
    for (k, &value) in values.iter().enumerate().filter(|(_, v)| **v > RANK * largest) {
        let along: f64 = (0..n).map(|i| vectors[[i, k]] * cross[i]).sum::<f64>() / value;
        (0..n).for_each(|i| out[i] += along * vectors[[i, k]]);
    }
    Ok(out)
}

/// K^-1/2 of the unit-norm fingerprints, with their norms taken out.
fn loewdin(gram: &Array2<f64>) -> Result<Array2<f64>> {
    let n = gram.nrows();
    let norms: Vec<f64> = (0..n).map(|l| gram[[l, l]].sqrt()).collect();
    let (values, vectors) = eigh(correlations(gram).view())?;
    let largest = values.iter().fold(0.0f64, |m, v| m.max(*v));
    if values.iter().any(|&v| v <= RANK * largest) {
        let hint = "leave one of the equal layers out, or use `residual` semi_partial";
        return Err(Error::invalid("residual", "independent fingerprints", "layers that determine another", hint));
    }
    Ok(Array2::from_shape_fn((n, n), |(i, j)| {
        (0..n).map(|k| vectors[[i, k]] * vectors[[j, k]] / values[k].sqrt()).sum::<f64>() / norms[j]
    }))
}

fn correlations(gram: &Array2<f64>) -> Array2<f64> {
    Array2::from_shape_fn(gram.dim(), |(i, j)| gram[[i, j]] / (gram[[i, i]] * gram[[j, j]]).sqrt())
}

/// An orthonormal basis of all fingerprints as combinations of them: rows of weights, as many as
/// are independent.
///
/// # Errors
/// As [`eigh`].
pub(super) fn orthonormal(gram: &Array2<f64>) -> Result<Array2<f64>> {
    let (values, vectors) = eigh(gram.view())?;
    let largest = values.iter().fold(0.0f64, |m, v| m.max(*v));
    let kept: Vec<usize> = (0..values.len()).filter(|&k| values[k] > RANK * largest).collect();
    Ok(Array2::from_shape_fn((kept.len(), gram.nrows()), |(r, l)| vectors[[l, kept[r]]] / values[kept[r]].sqrt()))
}

/// How much the fingerprints share, and what a variant leaves of each.
///
/// # Shapes
/// `gram`: inner products, n_layers x n_layers.
///
/// # Errors
/// As [`combinations`].
pub fn collinearity(gram: &Array2<f64>, residual: Residual) -> Result<Collinearity> {
    let n = gram.nrows();
    let correlations = correlations(gram);
    let unexplained = |l: usize| -> Result<f64> {
        // The diagonal of the inverse is the VIF; where there is none, another layer holds
        // everything.
        let others: Vec<usize> = (0..n).filter(|&m| m != l).collect();
        let cross: Vec<f64> = others.iter().map(|&m| correlations[[m, l]]).collect();
        let weights = project(&block(&correlations, &others), &cross)?;
        Ok((1.0 - weights.iter().zip(&cross).map(|(w, c)| w * c).sum::<f64>()).max(0.0))
    };
    let exact = Cholesky::new(correlations.view()).map(|factor| factor.inverse());
    let left: Vec<f64> = (0..n)
        .map(|l| match &exact {
            Some(inverse) => Ok((1.0 / inverse[[l, l]]).clamp(0.0, 1.0)),
            None => unexplained(l),
        })
        .collect::<Result<_>>()?;
    let weights = combinations(gram, residual)?;
    let kept = |l: usize| {
        if residual == Residual::Symmetric {
            // corr(e_l, v_l): how near the new fingerprint is to its layer.
            let row = weights.row(l);
            return row.dot(&gram.column(l)) / gram[[l, l]].sqrt();
        }
        let row = weights.row(l);
        (row.dot(&gram.dot(&row)).max(0.0) / gram[[l, l]]).sqrt()
    };
    let values = eigvalsh(correlations.view())?;
    let (low, high) = values.iter().fold((f64::INFINITY, 0.0f64), |(l, h), &v| (l.min(v), h.max(v)));
    Ok(Collinearity {
        vif: left.iter().map(|l| 1.0 / l).collect(),
        residual_sd: left.iter().map(|l| l.sqrt()).collect(),
        kept_sd: (0..n).map(kept).collect(),
        condition_number: (high / low.max(0.0)).sqrt(),
    })
}

impl Collinearity {
    /// Warnings for layers of which a residual method leaves too little to be seen in a recording.
    pub fn warnings(&self, layers: &[String], residual: Residual) -> Vec<Warning> {
        if residual == Residual::None {
            return vec![];
        }
        let little = layers.iter().zip(&self.kept_sd).filter(|(_, kept)| **kept < LITTLE);
        little.map(|(layer, &share)| Warning::LittleLeft { layer: layer.clone(), share, wanted: LITTLE }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    /// Three fingerprints of four values.
    fn sample() -> (Array2<f64>, Array2<f64>) {
        let v = array![[1.0, -1.0, 2.0, 0.5], [0.8, -0.5, 2.5, 0.1], [-1.0, 0.3, 0.2, 2.0]];
        (v.clone(), v.dot(&v.t()))
    }

    #[test]
    fn residuals_are_orthogonal_to_what_was_taken_out() {
        let (v, gram) = sample();
        let e = combinations(&gram, Residual::SemiPartial).unwrap().dot(&v);
        for l in 0..3 {
            for m in (0..3).filter(|&m| m != l) {
                assert!(e.row(l).dot(&v.row(m)).abs() < 1e-12);
            }
        }
        let e = combinations(&gram, Residual::Ordered).unwrap().dot(&v);
        let products = e.dot(&e.t());
        assert!((0..3).all(|i| (0..i).all(|j| products[[i, j]].abs() < 1e-12)), "Gram-Schmidt");
        let e = combinations(&gram, Residual::Symmetric).unwrap().dot(&v);
        assert!((&e.dot(&e.t()) - &Array2::<f64>::eye(3)).iter().all(|d| d.abs() < 1e-12));
        let q = orthonormal(&gram).unwrap().dot(&v);
        assert!((&q.dot(&q.t()) - &Array2::<f64>::eye(3)).iter().all(|d| d.abs() < 1e-12));
    }

    #[test]
    fn collinearity_of_equal_layers_is_infinite() {
        let (_, gram) = sample();
        let found = collinearity(&gram, Residual::SemiPartial).unwrap();
        for l in 0..3 {
            assert!((found.vif[l] - found.residual_sd[l].powi(-2)).abs() < 1e-9);
            assert!((found.kept_sd[l] - found.residual_sd[l]).abs() < 1e-9);
        }
        let v = array![[1.0, 2.0, -3.0], [1.0, 2.0, -3.0], [0.0, 1.0, -1.0]];
        let gram = v.dot(&v.t());
        let found = collinearity(&gram, Residual::SemiPartial).unwrap();
        assert!(found.vif[0] > 1e9 && found.kept_sd[0] < 1e-4, "{found:?}");
        let names: Vec<String> = ["a", "b", "c"].map(String::from).to_vec();
        assert_eq!(found.warnings(&names, Residual::SemiPartial).len(), 2 + usize::from(found.kept_sd[2] < LITTLE));
        assert!(combinations(&gram, Residual::Symmetric).is_err());
    }
}
