//! A search over candidates that share nothing but the targets: weights of feature spaces, windows.

use serde::{Deserialize, Serialize};

/// A search, which can be stopped after any candidate and gone on with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchState {
    /// Candidates that were tried.
    pub n_done: usize,
    /// Score of the best candidate and penalty of each target; minus infinity before the first, and
    /// where there is nothing to fit.
    pub best_scores: Vec<f64>,
    /// The candidate.
    pub best_candidates: Vec<usize>,
    /// The penalty; NaN where there is nothing to fit.
    pub best_alphas: Vec<f64>,
    /// Mean over targets of the score of every candidate at its best penalties: how the search
    /// went. Minus infinity where nothing varies in a candidate.
    pub trace: Vec<f64>,
}

impl SearchState {
    /// Nothing tried yet.
    pub fn new(n_targets: usize) -> Self {
        Self {
            n_done: 0,
            best_scores: vec![f64::NEG_INFINITY; n_targets],
            best_candidates: vec![0; n_targets],
            best_alphas: vec![f64::NAN; n_targets],
            trace: Vec::new(),
        }
    }
}
