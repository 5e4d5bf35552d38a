//! Representational dissimilarity matrices: how they are measured, stored, and compared (the array
//! side, in 64 bits).

pub mod compare;
pub mod files;
pub mod inference;
pub mod measure;
pub mod report;

pub use compare::{Comparison, PermutationTest};
pub use measure::Measure;

use crate::error::{Error, Result};
use crate::math::condensed;
use crate::warning::Warning;
use ndarray::{Array2, ArrayView2};

/// Dissimilarities of all pairs of conditions: the condensed upper triangle, the measure, and the
/// conditions' labels.
///
/// The order is numpy.triu_indices(n, k=1)'s; an undefined dissimilarity (a constant pattern) is
/// NaN.
///
/// ```
/// use ndarray::arr2;
/// use orthoscope::math::permutation::Tail;
/// use orthoscope::rdm::compare::{compare, permutation_test, relabellings};
/// use orthoscope::rdm::{Comparison, Measure, Rdm, measure::rdm};
///
/// // Four images, three units.
/// let patterns = arr2(&[[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [3.0, 2.0, 1.0], [1.0, 3.0, 1.0f32]]);
/// let names = ["face", "house", "cat", "chair"].map(String::from).to_vec();
/// let layer = rdm(patterns.view(), Measure::Correlation, names.clone())?;
/// // face-house, face-cat, face-chair, house-cat, house-chair, cat-chair
/// let expected = [0.0, 2.0, 1.0, 2.0, 1.0, 1.0];
/// assert!(layer.values().iter().zip(expected).all(|(d, e)| (d - e).abs() < 1e-12));
///
/// let brain = Rdm::new(Measure::Given, vec![0.1, 0.9, 0.6, 0.8, 0.5, 0.4], names)?;
/// assert!(compare(&layer, &brain, Comparison::Spearman)? > 0.8);
/// let orders = relabellings(4, 99, 1);
/// let test = permutation_test(&layer, &brain, Comparison::Spearman, Tail::Greater, &orders)?;
/// assert!(test.p > 0.01, "four images have few labellings");
/// # Ok::<(), orthoscope::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Rdm {
    measure: Measure,
    values: Vec<f64>,
    labels: Vec<String>,
}

impl Rdm {
    /// Takes a condensed triangle.
    ///
    /// # Shapes
    /// `values`: n_conditions (n_conditions - 1) / 2; `labels`: n_conditions.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the lengths do not fit, or there are fewer than 2 conditions.
    pub fn new(measure: Measure, values: Vec<f64>, labels: Vec<String>) -> Result<Self> {
        if labels.len() < 2 || values.len() != condensed::n_pairs(labels.len()) {
            let expected = match condensed::n_conditions(values.len()) {
                Some(n) => format!("{n} labels for {} dissimilarities", values.len()),
                None => "n (n - 1) / 2 dissimilarities of n >= 2 conditions".into(),
            };
            let found = format!("{} dissimilarities and {} labels", values.len(), labels.len());
            return Err(Error::invalid("RDM", expected, found, "one label a condition"));
        }
        Ok(Self { measure, values, labels })
    }

    /// Takes the upper triangle of a square matrix; symmetry is the caller's claim
    /// ([`files::load_rdms`] checks it).
    ///
    /// # Errors
    /// As [`Rdm::new`]; also when the matrix is not square.
    pub fn from_square(measure: Measure, square: ArrayView2<'_, f64>, labels: Vec<String>) -> Result<Self> {
        let (n, m) = square.dim();
        if n != m {
            return Err(Error::invalid("RDM", "a square matrix", format!("{n} x {m}"), ""));
        }
        Self::new(measure, condensed::pairs(n).map(|(i, j)| square[[i, j]]).collect(), labels)
    }

    /// Labels `condition001`, ... for conditions without names.
    pub fn default_labels(n_conditions: usize) -> Vec<String> {
        (1..=n_conditions).map(|i| format!("condition{i:03}")).collect()
    }

    /// The condensed upper triangle.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The conditions' labels.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// How the dissimilarities were measured.
    pub fn measure(&self) -> Measure {
        self.measure
    }

    /// Number of conditions (images).
    pub fn n_conditions(&self) -> usize {
        self.labels.len()
    }

    /// The symmetric n_conditions x n_conditions matrix with a zero diagonal.
    pub fn square(&self) -> Array2<f64> {
        let n = self.n_conditions();
        Array2::from_shape_fn((n, n), |(i, j)| if i == j { 0.0 } else { self.values[condensed::index(i, j, n)] })
    }

    /// The RDM of some of the conditions, in the order given.
    ///
    /// # Errors
    /// [`Error::Invalid`] when an index does not exist or comes twice, or there are fewer than 2.
    pub fn subset(&self, conditions: &[usize]) -> Result<Self> {
        let n = self.n_conditions();
        let mut seen = vec![false; n];
        for &c in conditions {
            if c >= n || std::mem::replace(&mut seen[c], true) {
                let found = format!("{c}{}", if c < n { " twice" } else { "" });
                return Err(Error::invalid("RDM", format!("different conditions below {n}"), found, ""));
            }
        }
        let pairs = condensed::pairs(conditions.len());
        let values = pairs.map(|(i, j)| self.values[condensed::index(conditions[i], conditions[j], n)]).collect();
        Self::new(self.measure, values, conditions.iter().map(|&c| self.labels[c].clone()).collect())
    }

    /// Number of undefined (NaN) dissimilarities.
    pub fn n_undefined(&self) -> usize {
        self.values.iter().filter(|v| v.is_nan()).count()
    }

    /// What to tell the user about undefined dissimilarities, if there are any.
    pub fn warning(&self, name: &str) -> Option<Warning> {
        let n_undefined = self.n_undefined();
        (n_undefined > 0).then(|| Warning::UndefinedRdm { name: name.to_string(), n_undefined })
    }
}

#[cfg(test)]
mod tests;
