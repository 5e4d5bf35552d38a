//! What is measured between two conditions' patterns, and how.

use crate::mapping::noise::{NoiseCovariance, NoiseFrom};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Dissimilarity of two conditions' patterns x and y over n_voxels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dissimilarity {
    /// 1 - Pearson's r of the mean patterns.
    #[default]
    Correlation,
    /// 1 - x.y / (|x| |y|).
    Cosine,
    /// |x - y|^2 / n_voxels (rsatoolbox's `euclidean`).
    Euclidean,
    /// (x - y)' S^-1 (x - y) / n_voxels, S the noise covariance (rsatoolbox's `mahalanobis`).
    Mahalanobis,
    /// (x_A - y_A)' S^-1 (x_B - y_B) / n_voxels, A and B of different runs: mean zero where x and y
    /// do not differ (rsatoolbox's `crossnobis`).
    Crossnobis,
}

impl fmt::Display for Dissimilarity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Correlation => "correlation",
            Self::Cosine => "cosine",
            Self::Euclidean => "euclidean",
            Self::Mahalanobis => "mahalanobis",
            Self::Crossnobis => "crossnobis",
        })
    }
}

/// How runs are held against each other in [`Dissimilarity::Crossnobis`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Folds {
    /// `runs` where every pair of conditions shares a run, `pairs` otherwise.
    #[default]
    Auto,
    /// Each run against the mean of all samples of the other runs, averaged over the runs that have
    /// both conditions (rsatoolbox's `calc_rdm`, which knows complete designs only).
    Runs,
    /// All pairs of samples of different runs, each with the same weight (rsatoolbox's
    /// `calc_rdm_unbalanced`). Noise is estimated from all samples ([`NoiseFrom::All`]) or not at all.
    Pairs,
}

/// How patterns become RDMs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Measurement {
    pub dissimilarity: Dissimilarity,
    /// Of [`Dissimilarity::Mahalanobis`] and [`Dissimilarity::Crossnobis`].
    pub noise: NoiseCovariance,
    /// Of [`Dissimilarity::Crossnobis`]; with [`Folds::Pairs`] that of all, and no other.
    pub noise_from: NoiseFrom,
    pub folds: Folds,
}
