//! The penalty of every target.

use crate::encoding::options::{AlphaReport, Score, TargetState};
use crate::encoding::solver::{Prepared, Work};
use crate::error::Result;
use ndarray::{Array2, ArrayView2, Axis};

/// Penalties that a grid is extended by at a time.
const STEP: usize = 5;

/// A tie goes to the larger penalty: what is added to a score, times the penalty's logarithm
/// (himalaya's), in units of the score.
const TIE: f64 = 1e-10;

/// The penalty of every target of a range, and how it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    /// Best penalties; NaN where there is nothing to fit.
    pub alphas: Vec<f64>,
    /// Scores at the best penalty, averaged over the folds; 0 where there is nothing to fit. A
    /// maximum over penalties: never a test score.
    pub cv_scores: Vec<f64>,
    /// Whether there is anything to fit.
    pub states: Vec<TargetState>,
    /// Where best penalties lie in the grid.
    pub report: AlphaReport,
}

/// Grid and scores of the targets at hand: rows are added at either end.
struct Tried<'a> {
    alphas: Vec<f64>,
    scores: Array2<f64>,
    /// The unit of each target's score.
    units: &'a [f64],
}

impl Tried<'_> {
    /// The score that penalties are compared by; below all others where predictions are no numbers.
    fn value(&self, a: usize, t: usize) -> f64 {
        let score = self.scores[(a, t)];
        if score.is_nan() { f64::NEG_INFINITY } else { score + TIE * self.units[t] * self.alphas[a].ln() }
    }

    /// The best penalty of each target; the largest of equals.
    fn best(&self) -> Vec<usize> {
        let of =
            |t: usize| (0..self.alphas.len()).fold(0, |b, a| if self.value(a, t) >= self.value(b, t) { a } else { b });
        (0..self.scores.ncols()).map(of).collect()
    }
}

/// The next penalties beyond one end of a grid, ascending.
fn beyond(grid: &[f64], upper: bool, extension: usize) -> Vec<f64> {
    let (first, last) = (grid[0], grid[grid.len() - 1]);
    let ratio = (last / first).powf(1.0 / (grid.len() - 1) as f64);
    let step = |i: usize| ratio.powi((extension * STEP + i) as i32);
    if upper {
        (1..=STEP).map(|i| last * step(i)).collect()
    } else {
        (1..=STEP).rev().map(|i| first / step(i)).collect()
    }
}

impl Prepared {
    /// The best penalty of every target, by the mean score over the folds; the grid is extended
    /// for targets whose best penalty is its last one.
    ///
    /// # Shapes
    /// `y`: all samples x targets.
    ///
    /// # Errors
    /// As [`Prepared::cv_scores`].
    pub fn select(&self, y: ArrayView2<'_, f32>, work: &Work) -> Result<Selection> {
        self.select_of(&self.targets(y)?.states, y, work)
    }

    /// [`Prepared::select`] where it is known which targets vary.
    pub(super) fn select_of(&self, states: &[TargetState], y: ArrayView2<'_, f32>, work: &Work) -> Result<Selection> {
        let grid = self.alphas();
        let n = y.ncols();
        let mut found = Selection {
            alphas: vec![f64::NAN; n],
            cv_scores: vec![0.0; n],
            states: states.to_vec(),
            report: AlphaReport::default(),
        };
        let fitted: Vec<usize> = (0..n).filter(|&t| found.states[t] == TargetState::Varies).collect();
        if let ([only], true) = (grid, self.n_folds() == 0) {
            fitted.iter().for_each(|&t| found.alphas[t] = *only);
            return Ok(found);
        }
        let scores = self.cv_scores(grid, y, work)?;
        let units = self.units(y);
        let tried = Tried { alphas: grid.to_vec(), scores, units: &units };
        let mut left: Vec<(usize, usize)> = tried.best().into_iter().enumerate().collect();
        left.retain(|&(t, _)| found.states[t] == TargetState::Varies);
        let n_grid = grid.len();
        let (mut lower, mut upper) = (Vec::new(), Vec::new());
        for (t, a) in left {
            let value = tried.value(a, t);
            found.alphas[t] = grid[a];
            found.cv_scores[t] = tried.scores[(a, t)];
            match a {
                _ if n_grid == 1 => {}
                0 => lower.push((t, value)),
                _ if a + 1 == n_grid => upper.push((t, value)),
                _ => {}
            }
        }
        found.report.at_lower_edge = self.extend(&mut found, (lower, &units), false, y, work)?;
        found.report.at_upper_edge = self.extend(&mut found, (upper, &units), true, y, work)?;
        let (first, last) = (grid[0], grid[n_grid - 1]);
        found.report.extended = fitted.iter().filter(|&&t| found.alphas[t] < first || found.alphas[t] > last).count();
        Ok(found)
    }

    /// Goes on beyond one end for the targets whose best penalty, of that value, is the last one
    /// there (beside the units of all targets' scores); returns how many are still there in the end.
    fn extend(
        &self,
        found: &mut Selection,
        (mut there, units): (Vec<(usize, f64)>, &[f64]),
        upper: bool,
        y: ArrayView2<'_, f32>,
        work: &Work,
    ) -> Result<usize> {
        for extension in 0..self.options().max_extensions {
            if there.is_empty() {
                break;
            }
            let alphas = beyond(self.alphas(), upper, extension);
            let columns: Vec<usize> = there.iter().map(|&(t, _)| t).collect();
            let scores = self.cv_scores(&alphas, y.select(Axis(1), &columns).view(), work)?;
            let own: Vec<f64> = columns.iter().map(|&t| units[t]).collect();
            let tried = Tried { alphas, scores, units: &own };
            let best = tried.best();
            let mut still = Vec::new();
            for (i, ((t, value), a)) in there.into_iter().zip(best).enumerate() {
                let score = tried.scores[(a, i)];
                if tried.value(a, i) <= value {
                    continue;
                }
                found.alphas[t] = tried.alphas[a];
                found.cv_scores[t] = score;
                if a == if upper { STEP - 1 } else { 0 } {
                    still.push((t, tried.value(a, i)));
                }
            }
            there = still;
        }
        Ok(there.len())
    }

    /// The penalties of all targets as the options say: one each, or one for all of them.
    ///
    /// # Errors
    /// As [`Prepared::cv_scores`].
    pub(super) fn select_any(&self, y: ArrayView2<'_, f32>, work: &Work) -> Result<Selection> {
        if self.options().per_target || self.alphas().len() == 1 {
            return self.select(y, work);
        }
        let (sums, n) = self.score_sums(y, work)?;
        self.select_at(self.shared(&sums, n), y, work)
    }

    /// One penalty for all targets, by the mean score over folds and targets: `sums` and `n` are
    /// [`Prepared::score_sums`] of the grid, added over ranges.
    pub fn shared(&self, sums: &[f64], n: usize) -> f64 {
        let unit = match self.options().score {
            // The least mean squared error is about the targets' variance, or below.
            Score::NegativeMse => sums.iter().map(|sum| sum.abs()).fold(f64::INFINITY, f64::min) / n.max(1) as f64,
            Score::R2 | Score::Pearson => 1.0,
        };
        let mean = |a: usize| match sums[a] / n.max(1) as f64 {
            sum if sum.is_nan() => f64::NEG_INFINITY,
            sum => sum + TIE * unit * self.alphas()[a].ln(),
        };
        let best = (0..sums.len()).fold(0, |best, a| if mean(a) >= mean(best) { a } else { best });
        self.alphas()[best]
    }

    /// Sums over the targets of a range of their scores at every penalty of the grid, and how many
    /// targets there are anything to fit for.
    ///
    /// # Errors
    /// As [`Prepared::cv_scores`].
    pub fn score_sums(&self, y: ArrayView2<'_, f32>, work: &Work) -> Result<(Vec<f64>, usize)> {
        let states = self.targets(y)?.states;
        let scores = self.cv_scores(self.alphas(), y, work)?;
        let fitted: Vec<usize> = (0..states.len()).filter(|&t| states[t] == TargetState::Varies).collect();
        let sum = |row: ndarray::ArrayView1<'_, f64>| fitted.iter().map(|&t| row[t]).sum();
        Ok((scores.rows().into_iter().map(sum).collect(), fitted.len()))
    }

    /// [`Selection`] of a range at one penalty for all.
    ///
    /// # Errors
    /// As [`Prepared::cv_scores`].
    pub fn select_at(&self, alpha: f64, y: ArrayView2<'_, f32>, work: &Work) -> Result<Selection> {
        let states = self.targets(y)?.states;
        let scores =
            if self.n_folds() > 0 { self.cv_scores(&[alpha], y, work)? } else { Array2::zeros((1, y.ncols())) };
        let mut report = AlphaReport::default();
        let grid = self.alphas();
        let n_fitted = states.iter().filter(|&&state| state == TargetState::Varies).count();
        if grid.len() > 1 && alpha == grid[0] {
            report.at_lower_edge = n_fitted;
        } else if grid.len() > 1 && alpha == grid[grid.len() - 1] {
            report.at_upper_edge = n_fitted;
        }
        let varies = |t: usize| states[t] == TargetState::Varies;
        let n = states.len();
        Ok(Selection {
            alphas: (0..n).map(|t| if varies(t) { alpha } else { f64::NAN }).collect(),
            cv_scores: (0..n).map(|t| if varies(t) { scores[(0, t)] } else { 0.0 }).collect(),
            states,
            report,
        })
    }
}
