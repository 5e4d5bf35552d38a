//! How alike two RDMs are, and whether that is more than chance.
//!
//! NaN policy: pairs of conditions that are undefined in either RDM are left out of that comparison
//! (and announced by [`Rdm::warning`]); a comparison without variation is NaN.

use super::Rdm;
use crate::error::{Error, Result};
use crate::math::permutation::{Tail, p_value, permute_condensed};
use crate::math::stats;
use crate::rng;
use ndarray::Array2;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Similarity of two condensed RDMs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// Pearson's r.
    Pearson,
    /// Pearson's r of ranks, ties averaged.
    #[default]
    Spearman,
    /// (concordant - discordant) / all pairs of entries: the fair choice when a model predicts
    /// ties.
    KendallTauA,
    /// x.y / (|x| |y|), without centring.
    Cosine,
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pearson => "pearson",
            Self::Spearman => "spearman",
            Self::KendallTauA => "kendall_tau_a",
            Self::Cosine => "cosine",
        })
    }
}

impl Comparison {
    fn of(self, x: &[f64], y: &[f64]) -> f64 {
        match self {
            Self::Pearson => stats::pearson(x, y),
            Self::Spearman => stats::spearman(x, y),
            Self::KendallTauA => stats::kendall_tau_a(x, y),
            Self::Cosine => stats::cosine(x, y),
        }
    }
}

/// Compares two RDMs of the same conditions.
///
/// # Errors
/// [`Error::Invalid`] when they differ in the number of conditions. Labels are not compared:
/// recordings seldom have them.
pub fn compare(a: &Rdm, b: &Rdm, how: Comparison) -> Result<f64> {
    check_sizes(a, b)?;
    Ok(complete(a.values(), b.values(), how))
}

fn check_sizes(a: &Rdm, b: &Rdm) -> Result<()> {
    let (n, m) = (a.n_conditions(), b.n_conditions());
    if n == m {
        return Ok(());
    }
    let hint = "both RDMs must be of the same images in the same order";
    Err(Error::invalid(
        "comparison of RDMs",
        format!("two RDMs of {n} conditions"),
        format!("one of {n} and one of {m}"),
        hint,
    ))
}

fn complete(x: &[f64], y: &[f64], how: Comparison) -> f64 {
    let (x, y) = stats::complete_pairs(x, y);
    how.of(&x, &y)
}

/// The matrix of all comparisons between RDMs, n x n, ones on the diagonal (NaN where an RDM has no
/// variation).
///
/// With [`Comparison::Pearson`] and no undefined entries this is numpy.corrcoef of the condensed
/// RDMs.
///
/// # Errors
/// As [`compare`].
pub fn second_order(rdms: &[&Rdm], how: Comparison) -> Result<Array2<f64>> {
    let mut matrix = Array2::from_elem((rdms.len(), rdms.len()), 1.0);
    for (i, a) in rdms.iter().enumerate() {
        for (j, b) in rdms.iter().enumerate().skip(i) {
            let value = compare(a, b, how)?;
            let value = if i == j && !value.is_nan() && how != Comparison::KendallTauA { 1.0 } else { value };
            matrix[[i, j]] = value;
            matrix[[j, i]] = value;
        }
    }
    Ok(matrix)
}

/// Result of [`permutation_test`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PermutationTest {
    /// The comparison of the two RDMs as they are.
    pub statistic: f64,
    /// (1 + permutations at least as extreme) / (1 + n_permutations).
    pub p: f64,
    /// How many relabellings were drawn.
    pub n_permutations: usize,
}

/// Random relabellings of n conditions: permutation k comes from
/// `rng::stream(seed, "permutation", k)`.
pub fn relabellings(n_conditions: usize, n_permutations: usize, seed: u64) -> Vec<Vec<usize>> {
    (0..n_permutations as u64).map(|k| rng::stream(seed, "permutation", k).permutation(n_conditions)).collect()
}

/// Tests a comparison against relabelled conditions: rows and columns of `b` move together (Mantel
/// test).
///
/// `orders` are [`relabellings`] of the conditions; the same orders may serve many tests.
///
/// # Errors
/// As [`compare`].
///
/// # Source
/// Mantel, Cancer Res. 27:209 (1967); Kriegeskorte et al., Front. Syst. Neurosci. 2:4 (2008).
pub fn permutation_test(
    a: &Rdm,
    b: &Rdm,
    how: Comparison,
    tail: Tail,
    orders: &[Vec<usize>],
) -> Result<PermutationTest> {
    check_sizes(a, b)?;
    if let Some(order) = orders.iter().find(|order| order.len() != a.n_conditions()) {
        let found = format!("one of {}", order.len());
        return Err(Error::invalid(
            "permutation test",
            format!("orders of {} conditions", a.n_conditions()),
            found,
            "",
        ));
    }
    let statistic = complete(a.values(), b.values(), how);
    let null: Vec<f64> = match prepared(a, b, how) {
        Some((x, y)) => orders.iter().map(|order| stats::dot(&x, &permute_condensed(&y, order))).collect(),
        None => orders.iter().map(|order| complete(a.values(), &permute_condensed(b.values(), order), how)).collect(),
    };
    Ok(PermutationTest { statistic, p: p_value(statistic, &null, tail), n_permutations: orders.len() })
}

/// Vectors whose dot product is the statistic under every relabelling: a permutation changes
/// neither ranks nor norms. `None` where entries are missing (what is left out then depends on the
/// permutation) or for Kendall's tau.
fn prepared(a: &Rdm, b: &Rdm, how: Comparison) -> Option<(Vec<f64>, Vec<f64>)> {
    if a.n_undefined() + b.n_undefined() > 0 {
        return None;
    }
    let prepare = |rdm: &Rdm| match how {
        Comparison::Pearson => stats::standardized(rdm.values()),
        Comparison::Spearman => stats::standardized(&stats::ranks(rdm.values())),
        Comparison::Cosine => {
            let norm = stats::dot(rdm.values(), rdm.values()).sqrt();
            (norm > 0.0).then(|| rdm.values().iter().map(|v| v / norm).collect())
        }
        Comparison::KendallTauA => None,
    };
    Some((prepare(a)?, prepare(b)?))
}
