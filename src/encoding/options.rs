//! What ridge estimators can be told.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Penalties to choose from: `||y - X w||^2 + alpha ||w||^2`, squared errors summed over samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alphas {
    /// These numbers (himalaya's and scikit-learn's `alphas`).
    Absolute(Vec<f64>),
    /// `n` numbers from `low` to `high` times the mean eigenvalue of the training rows' kernel,
    /// equally far apart in logarithms: the same grid whatever the scale and number of features.
    Relative { low: f64, high: f64, n: usize },
}

impl Default for Alphas {
    /// Twenty, from 1e-4 to 1e5 mean eigenvalues.
    fn default() -> Self {
        Self::Relative { low: 1e-4, high: 1e5, n: 20 }
    }
}

impl Alphas {
    /// The grid, ascending, where the mean eigenvalue is known.
    ///
    /// # Errors
    /// [`Error::Invalid`] for no penalty, penalties that are not positive numbers or come twice, and
    /// relative ones of features that do not vary.
    pub fn grid(&self, mean_eigenvalue: f64) -> Result<Vec<f64>> {
        let mut grid = match self {
            Self::Absolute(alphas) => alphas.clone(),
            Self::Relative { low, high, n } if mean_eigenvalue > 0.0 && mean_eigenvalue.is_finite() => {
                let step = (high / low).powf(1.0 / (n.saturating_sub(1).max(1)) as f64);
                (0..*n).map(|i| mean_eigenvalue * low * step.powi(i as i32)).collect()
            }
            Self::Relative { .. } => {
                let (expected, found, hint) = match mean_eigenvalue == 0.0 {
                    true => {
                        ("some that vary over the training rows", "none".to_owned(), "is it the right file or layer?")
                    }
                    false => {
                        let found = format!("a mean eigenvalue of {mean_eigenvalue}");
                        ("numbers whose squares can be added", found, "bring the features to a smaller scale")
                    }
                };
                return Err(Error::invalid("features", expected, found, hint));
            }
        };
        grid.sort_unstable_by(f64::total_cmp);
        let bad = grid.iter().find(|a| !(a.is_finite() && **a > 0.0));
        let twice = grid.windows(2).find(|pair| pair[0] == pair[1]);
        match (bad, twice) {
            (None, None) if !grid.is_empty() => Ok(grid),
            (bad, twice) => {
                let found = match (bad, twice) {
                    (Some(bad), _) => bad.to_string(),
                    (_, Some(pair)) => format!("{} twice", pair[0]),
                    _ => "none".into(),
                };
                Err(Error::invalid(
                    "alphas",
                    "positive numbers, each once",
                    found,
                    "leave them out for a grid that suits the features",
                ))
            }
        }
    }
}

/// What an inner fold's predictions are judged by, as himalaya defines it; scores are averaged over
/// folds in 64 bits, and of equal scores the larger penalty's is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Score {
    /// `-sum (y - p)^2 / n` (`l2_neg_loss`, himalaya's default).
    #[default]
    NegativeMse,
    /// `1 - sum (y - p)^2 / sum (y - mean y)^2`, the mean of the tested rows; 0 where those do not
    /// vary (`r2_score`).
    R2,
    /// Pearson's correlation; 0 where either does not vary (`correlation_score`).
    Pearson,
}

/// Which of two equal problems is solved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// The smaller one: primal where there are fewer features than samples.
    #[default]
    Auto,
    /// p x p.
    Primal,
    /// n x n.
    Kernel,
}

/// What ridge estimators can be told; the defaults are himalaya's where it has them, except that an
/// intercept is fitted and that penalties follow the scale of the features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RidgeOptions {
    /// Penalties.
    pub alphas: Alphas,
    /// A penalty for each target (himalaya's `local_alpha`), or one for all.
    pub per_target: bool,
    /// An intercept, which is never penalised: features and targets are centred with the means of
    /// the rows that are fitted on, in every fold.
    pub fit_intercept: bool,
    /// What penalties are chosen by.
    pub score: Score,
    /// How many times the grid is extended at either end, by five penalties at the grid's own
    /// distance, for targets whose best penalty is the last one there.
    pub max_extensions: usize,
    /// Primal or kernel.
    pub form: Form,
    /// Megabytes for everything but features, targets and weights.
    pub memory_mb: usize,
}

impl Default for RidgeOptions {
    fn default() -> Self {
        Self {
            alphas: Alphas::default(),
            per_target: true,
            fit_intercept: true,
            score: Score::default(),
            max_extensions: 3,
            form: Form::Auto,
            memory_mb: 4096,
        }
    }
}

/// Where best penalties lie in the grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AlphaReport {
    /// Targets whose best penalty is the smallest that was tried, after all extensions.
    pub at_lower_edge: usize,
    /// Targets whose best penalty is the largest that was tried.
    pub at_upper_edge: usize,
    /// Targets whose best penalty lies outside the grid as given.
    pub extended: usize,
}

impl std::ops::AddAssign for AlphaReport {
    fn add_assign(&mut self, other: Self) {
        self.at_lower_edge += other.at_lower_edge;
        self.at_upper_edge += other.at_upper_edge;
        self.extended += other.extended;
    }
}

/// Whether there is anything to fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetState {
    /// It varies over the training rows.
    Varies,
    /// One value in all training rows.
    Constant,
    /// NaN or infinity in a training row.
    NotFinite,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_are_relative_or_given() {
        let grid = Alphas::Relative { low: 0.01, high: 100.0, n: 5 }.grid(3.0).unwrap();
        for (found, expected) in grid.iter().zip([0.03, 0.3, 3.0, 30.0, 300.0]) {
            assert!((found / expected - 1.0).abs() < 1e-12);
        }
        assert_eq!(Alphas::Absolute(vec![3.0, 1.0]).grid(f64::NAN).unwrap(), [1.0, 3.0]);
        for alphas in [vec![], vec![0.0], vec![-1.0], vec![f64::NAN], vec![1.0, 1.0], vec![f64::INFINITY]] {
            assert_eq!(Alphas::Absolute(alphas).grid(1.0).unwrap_err().exit_code(), 2);
        }
        assert!(
            Alphas::default().grid(0.0).is_err() && Alphas::Relative { low: 1.0, high: 2.0, n: 0 }.grid(1.0).is_err()
        );
    }
}
