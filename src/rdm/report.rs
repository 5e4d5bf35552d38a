//! The table of a comparison: every layer against every reference (brain, behaviour, model).

use super::Rdm;
use super::compare::{self, Comparison};
use crate::error::Result;
use crate::io::json::or_nan;
use crate::math::permutation::Tail;
use crate::warning::Warning;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// What a table is made with.
///
/// | name | default | purpose |
/// |---|---|---|
/// | `statistic` | Spearman | which comparison `p_permutation` is of |
/// | `tail` | greater | what counts as more extreme than chance |
/// | `n_permutations` | 1000 | relabellings; 0 gives p = 1 |
/// | `seed` | 0 | of the relabellings |
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Options {
    pub statistic: Comparison,
    pub tail: Tail,
    pub n_permutations: usize,
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { statistic: Comparison::default(), tail: Tail::default(), n_permutations: 1000, seed: 0 }
    }
}

/// One layer against one reference. Undefined numbers are NaN (`null` in JSON).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub layer: String,
    pub reference: String,
    #[serde(deserialize_with = "or_nan")]
    pub spearman: f64,
    #[serde(deserialize_with = "or_nan")]
    pub pearson: f64,
    #[serde(deserialize_with = "or_nan")]
    pub kendall_tau_a: f64,
    /// Permutation p of [`Options::statistic`].
    #[serde(deserialize_with = "or_nan")]
    pub p_permutation: f64,
    pub n_permutations: usize,
}

/// Compares every layer with every reference; rows by reference, then by layer, in the order given.
///
/// All tests share the same relabellings, drawn from `rng::stream(seed, "permutation", k)`: the
/// numbers depend neither on the thread count nor on which other layers are in the table.
///
/// # Errors
/// [`crate::Error::Invalid`] when two RDMs differ in the number of conditions.
pub fn table(
    layers: &[(String, Rdm)],
    references: &[(String, Rdm)],
    options: &Options,
) -> Result<(Vec<Row>, Vec<Warning>)> {
    let n_conditions = layers.first().map_or(0, |(_, rdm)| rdm.n_conditions());
    let orders = compare::relabellings(n_conditions, options.n_permutations, options.seed);
    let pairs: Vec<_> = references.iter().flat_map(|r| layers.iter().map(move |l| (l, r))).collect();
    let rows = pairs
        .par_iter()
        .map(|((layer, a), (reference, b))| {
            let test = compare::permutation_test(a, b, options.statistic, options.tail, &orders)?;
            Ok(Row {
                layer: layer.clone(),
                reference: reference.clone(),
                spearman: compare::compare(a, b, Comparison::Spearman)?,
                pearson: compare::compare(a, b, Comparison::Pearson)?,
                kendall_tau_a: compare::compare(a, b, Comparison::KendallTauA)?,
                p_permutation: test.p,
                n_permutations: test.n_permutations,
            })
        })
        .collect::<Result<_>>()?;
    let warnings = layers.iter().chain(references).filter_map(|(name, rdm)| rdm.warning(name)).collect();
    Ok((rows, warnings))
}
