//! Bootstrap samples of subjects (RDMs) and of images (patterns).

use crate::rng;
use serde::{Deserialize, Serialize};

/// What is drawn anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resampling {
    /// Subjects: inference to other subjects with these images (rsatoolbox's `eval_bootstrap_rdm`).
    Rdms,
    /// Images: inference to other images with these subjects (`eval_bootstrap_pattern`).
    Patterns,
    /// Both together (`eval_bootstrap`): too wide, the noise of subjects and images is counted in
    /// each other.
    Both,
    /// All three with the same draws, combined to an unbiased variance (`eval_dual_bootstrap` of
    /// fixed models).
    #[default]
    Dual,
}

/// One bootstrap sample: the subjects and the images that were drawn, with repetitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resample {
    /// n_rdms indices.
    pub rdms: Vec<usize>,
    /// n_conditions indices.
    pub patterns: Vec<usize>,
}

impl Resample {
    /// Sample `item`, from `rng::stream(seed, "bootstrap rdms and patterns", item)`.
    pub fn draw(n_rdms: usize, n_conditions: usize, seed: u64, item: u64) -> Self {
        let mut stream = rng::stream(seed, "bootstrap rdms and patterns", item);
        let mut draw = |n: usize| (0..n).map(|_| stream.below(n)).collect();
        Self { rdms: draw(n_rdms), patterns: draw(n_conditions) }
    }

    /// Samples 0..n.
    pub fn draw_many(n_rdms: usize, n_conditions: usize, n: usize, seed: u64) -> Vec<Self> {
        (0..n as u64).map(|item| Self::draw(n_rdms, n_conditions, seed, item)).collect()
    }
}

/// How often each of 0..n was drawn.
pub fn counts(drawn: &[usize], n: usize) -> Vec<u32> {
    let mut counts = vec![0; n];
    drawn.iter().for_each(|&i| counts[i] += 1);
    counts
}
