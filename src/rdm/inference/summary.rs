//! What is told of models that explain the RDMs of several subjects: each against zero and the
//! noise ceiling, all against each other.

use super::variance::root;
use super::{ModelComparison, ModelTests, Resampling};
use crate::error::{Error, Result};
use crate::io::json::or_nan;
use crate::math::stats;
use crate::rdm::{Comparison, Rdm};
use crate::stats::correction::{benjamini_hochberg, holm};
use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

/// How models are compared.
///
/// | name | default | purpose |
/// |---|---|---|
/// | `comparison` | Spearman | similarity of a model's RDM and a subject's |
/// | `resampling` | dual | what the conclusions are to hold for beyond the data; none: t tests over subjects, these images |
/// | `n_bootstraps` | 1000 | resamples |
/// | `level` | 0.95 | coverage of the intervals |
/// | `seed` | 0 | of the resamples |
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    pub comparison: Comparison,
    pub resampling: Option<Resampling>,
    pub n_bootstraps: usize,
    pub level: f64,
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            comparison: Comparison::default(),
            resampling: Some(Resampling::default()),
            n_bootstraps: 1000,
            level: 0.95,
            seed: 0,
        }
    }
}

/// A similarity and how sure it is. Undefined numbers are NaN (`null` in JSON).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Of the data as they are: the mean over subjects.
    #[serde(deserialize_with = "or_nan")]
    pub similarity: f64,
    /// Mean over the resamples, which the tests are about; the similarity without them.
    #[serde(deserialize_with = "or_nan")]
    pub mean: f64,
    /// Standard error of the mean.
    #[serde(deserialize_with = "or_nan")]
    pub sem: f64,
    /// Confidence interval, mean -+ t sem.
    #[serde(deserialize_with = "or_nan")]
    pub low: f64,
    #[serde(deserialize_with = "or_nan")]
    pub high: f64,
}

/// Bounds of what any model could reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ceilings {
    /// Mean similarity of each subject with the pooled RDM of the others.
    pub lower: Estimate,
    /// Mean similarity of each subject with the pooled RDM of all.
    pub upper: Estimate,
}

/// One model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelSummary {
    pub model: String,
    #[serde(flatten)]
    pub estimate: Estimate,
    /// p of a similarity of zero or less, one-sided.
    #[serde(deserialize_with = "or_nan")]
    pub p_zero: f64,
    /// `p_zero` by Holm over the models.
    #[serde(deserialize_with = "or_nan")]
    pub p_zero_fwe: f64,
    /// `p_zero` by Benjamini and Hochberg over the models.
    #[serde(deserialize_with = "or_nan")]
    pub q_zero: f64,
    /// p of equality with the lower noise ceiling, two-sided.
    #[serde(deserialize_with = "or_nan")]
    pub p_ceiling: f64,
    #[serde(deserialize_with = "or_nan")]
    pub p_ceiling_fwe: f64,
    #[serde(deserialize_with = "or_nan")]
    pub q_ceiling: f64,
}

/// Two models, `a` before `b` in the order given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    pub a: String,
    pub b: String,
    /// Mean of `a` less mean of `b`.
    #[serde(deserialize_with = "or_nan")]
    pub difference: f64,
    #[serde(deserialize_with = "or_nan")]
    pub sem: f64,
    #[serde(deserialize_with = "or_nan")]
    pub low: f64,
    #[serde(deserialize_with = "or_nan")]
    pub high: f64,
    /// p of equality, two-sided.
    #[serde(deserialize_with = "or_nan")]
    pub p: f64,
    /// By Holm over all pairs.
    #[serde(deserialize_with = "or_nan")]
    pub p_fwe: f64,
    /// By Benjamini and Hochberg over all pairs.
    #[serde(deserialize_with = "or_nan")]
    pub q: f64,
}

/// Models against the RDMs of several subjects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub n_subjects: usize,
    pub n_images: usize,
    pub comparison: Comparison,
    /// Resamples that could be used; 0 without a bootstrap.
    pub n_bootstraps: usize,
    /// Degrees of freedom of the tests and intervals.
    #[serde(deserialize_with = "or_nan")]
    pub dof: f64,
    #[serde(deserialize_with = "or_nan")]
    pub level: f64,
    pub noise_ceiling: Ceilings,
    pub models: Vec<ModelSummary>,
    pub pairs: Vec<Pair>,
}

/// Compares models with the RDMs of several subjects and with each other.
///
/// # Shapes
/// `subjects`: condensed RDMs, n_subjects x n_pairs, of the models' images.
///
/// # Errors
/// [`Error::Invalid`] for models of different images, a level outside 0..1, or as
/// [`ModelComparison::new`] and the tests.
///
/// # Source
/// Schuett et al., eLife 12:e82566 (2023); rsatoolbox's `eval_fixed`, `eval_bootstrap_rdm`,
/// `eval_bootstrap_pattern` and `eval_dual_bootstrap`, whose t tests and intervals these are.
pub fn summarize(models: &[(String, Rdm)], subjects: ArrayView2<'_, f64>, options: &Options) -> Result<Summary> {
    let n_pairs = subjects.ncols();
    if let Some((name, rdm)) = models.iter().find(|(_, rdm)| rdm.values().len() != n_pairs) {
        let found = format!("{} in `{name}`", rdm.values().len());
        return Err(Error::invalid("model comparison", format!("models of {n_pairs} pairs"), found, ""));
    }
    if !(options.level > 0.0 && options.level < 1.0) {
        let found = options.level.to_string();
        return Err(Error::invalid("inference.level", "a coverage between 0 and 1", found, "0.95 is usual"));
    }
    let values = Array2::from_shape_fn((models.len(), n_pairs), |(m, p)| models[m].1.values()[p]);
    let comparison = ModelComparison::new(values.view(), subjects, options.comparison)?;
    let fixed = comparison.fixed();
    let (tests, n_bootstraps) = match options.resampling {
        None => (fixed.tests()?, 0),
        Some(resampling) => {
            let found = comparison.bootstrap(resampling, options.n_bootstraps, options.seed)?;
            (found.tests()?, found.n_usable())
        }
    };
    let estimate = |similarity: f64, mean: f64, variance: f64| {
        let sem = root(variance);
        let (low, high) = tests.around(mean, sem, options.level);
        Estimate { similarity, mean, sem, low, high }
    };
    let similarities: Vec<f64> = fixed.similarities.outer_iter().map(|row| stats::mean(&row.to_vec())).collect();
    let estimates = (0..models.len()).map(|m| estimate(similarities[m], tests.mean[m], tests.variance[m])).collect();
    let names: Vec<&str> = models.iter().map(|(name, _)| name.as_str()).collect();
    Ok(Summary {
        n_subjects: subjects.nrows(),
        n_images: models.first().map_or(0, |(_, rdm)| rdm.n_conditions()),
        comparison: options.comparison,
        n_bootstraps,
        dof: tests.dof,
        level: options.level,
        noise_ceiling: Ceilings {
            lower: estimate(fixed.noise_ceiling.0, tests.noise_ceiling.0, tests.bound_variance.0),
            upper: estimate(fixed.noise_ceiling.1, tests.noise_ceiling.1, tests.bound_variance.1),
        },
        models: each(&names, estimates, &tests),
        pairs: pairs(&names, &tests, options.level),
    })
}

fn each(names: &[&str], estimates: Vec<Estimate>, tests: &ModelTests) -> Vec<ModelSummary> {
    let (zero, ceiling) = (&tests.p_zero, &tests.p_noise);
    let corrected = [holm(zero), benjamini_hochberg(zero), holm(ceiling), benjamini_hochberg(ceiling)];
    let one = |(m, estimate): (usize, Estimate)| ModelSummary {
        model: names[m].to_owned(),
        estimate,
        p_zero: zero[m],
        p_zero_fwe: corrected[0][m],
        q_zero: corrected[1][m],
        p_ceiling: ceiling[m],
        p_ceiling_fwe: corrected[2][m],
        q_ceiling: corrected[3][m],
    };
    estimates.into_iter().enumerate().map(one).collect()
}

fn pairs(names: &[&str], tests: &ModelTests, level: f64) -> Vec<Pair> {
    let n = names.len();
    let places: Vec<(usize, usize)> = (0..n).flat_map(|a| (a + 1..n).map(move |b| (a, b))).collect();
    let p: Vec<f64> = places.iter().map(|&at| tests.p_pairwise[at]).collect();
    let (p_fwe, q) = (holm(&p), benjamini_hochberg(&p));
    let one = |(i, &(a, b)): (usize, &(usize, usize))| {
        let (difference, sem) = (tests.mean[a] - tests.mean[b], root(tests.difference_variance[[a, b]]));
        let (low, high) = tests.around(difference, sem, level);
        let (a, b) = (names[a].to_owned(), names[b].to_owned());
        Pair { a, b, difference, sem, low, high, p: p[i], p_fwe: p_fwe[i], q: q[i] }
    };
    places.iter().enumerate().map(one).collect()
}
