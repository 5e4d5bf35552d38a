//! The comparisons, and the space in which each is an inner product.

use crate::math::stats;
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
    /// Pearson's r in the space where the entries of an RDM are uncorrelated (rsatoolbox's
    /// `corr_cov`).
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
pub(super) enum Space {
    Centred,
    Ranked,
    Plain,
    /// Second moments; whether the mean entry is taken off first.
    Whitened(bool),
}

impl Statistic {
    pub(super) fn space(self) -> Space {
        match self {
            Self::Pearson | Self::Ols | Self::Nnls => Space::Centred,
            Self::Spearman | Self::KendallTauA => Space::Ranked,
            Self::Cosine => Space::Plain,
            Self::CorrCov => Space::Whitened(true),
            Self::CosineCov => Space::Whitened(false),
        }
    }

    /// Whether a relabelled RDM has a value of 0 on average: the mean entry is taken off both sides,
    /// and either sign counts.
    pub fn is_centred(self) -> bool {
        let centred = matches!(self.space(), Space::Centred | Space::Ranked | Space::Whitened(true));
        centred && self != Self::Nnls
    }

    /// Whether adding a number to every entry of an RDM changes nothing.
    pub fn ignores_offset(self) -> bool {
        matches!(self.space(), Space::Centred | Space::Ranked)
    }
}

/// Copies, with the mean taken off where wanted; whether the values differ.
pub(super) fn take_off_mean<T: Copy + PartialEq>(
    x: &[T],
    wide: impl Fn(T) -> f64,
    centred: bool,
    out: &mut [f32],
) -> bool {
    let mean = if centred { x.iter().map(|&v| wide(v)).sum::<f64>() / x.len() as f64 } else { 0.0 };
    out.iter_mut().zip(x).for_each(|(o, &v)| *o = (wide(v) - mean) as f32);
    x.iter().any(|&v| v != x[0])
}

/// A fingerprint in a space; zero where a centred one does not vary.
pub(super) fn in_space(values: &[f64], space: Space) -> Vec<f64> {
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
