//! Ridge regression on several feature spaces, each with a penalty of its own.

use crate::encoding::fitted::{Features, FoldKernels, by_folds, fitted_on};
use crate::encoding::folds::{Fold, Leakage, Rows};
use crate::encoding::gammas::Gammas;
use crate::encoding::kernel_ridge::{check, linear_kernel};
use crate::encoding::options::{AlphaReport, Alphas, RidgeOptions, TargetState};
use crate::encoding::ridge::noted;
use crate::encoding::search::SearchState;
use crate::encoding::solver::{Prepared, Work, inside, multiply};
use crate::encoding::spectrum::Source;
use crate::error::{Error, Result};
use ndarray::{Array1, Array2, Array3, ArrayView1, ArrayView2, Axis};
use rayon::prelude::*;

/// Candidates that are decomposed at a time, so that threads have work.
const AT_A_TIME: usize = 4;

/// What a candidate's score must exceed the best one by: the spacing of 32-bit numbers at 1
/// (himalaya's), in units of the score.
const BETTER: f64 = f32::EPSILON as f64;

/// Banded ridge regression by random search (himalaya's `MultipleKernelRidgeCV` with
/// `solver="random_search"`): kernels of the spaces are added with weights gamma, ridge is solved
/// with the sum, and every target keeps the candidate and penalty that score best.
///
/// Penalties are those of the options, without extensions: the search over gammas covers their
/// scale. Relative ones follow the mean eigenvalue of equal weights. Spaces are taken at their own
/// scale: give all of them the same (total) variance unless one should be favoured.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BandedRidgeCv {
    /// Penalties, score, intercept, memory.
    pub options: RidgeOptions,
    /// Candidates.
    pub gammas: Gammas,
}

/// A search over candidates for some targets.
pub struct BandedSearch {
    pub(super) options: RidgeOptions,
    pub(super) kernels: Vec<Array2<f64>>,
    /// Kernels of every fold, where features learn; none where those of the refit serve all folds.
    by_fold: Vec<FoldKernels>,
    pub(super) rows: Rows,
    folds: Vec<Fold>,
    pub(super) candidates: Array2<f64>,
}

/// Fitted dual weights.
#[derive(Debug, Clone, PartialEq)]
pub struct BandedFit {
    /// Training rows x targets: predictions are `sum_s gamma_s k_s dual + intercept`.
    pub dual: Array2<f32>,
    /// Spaces x targets: the weights of each target's best candidate.
    pub gammas: Array2<f64>,
    /// Best penalties; NaN where there is nothing to fit.
    pub alphas: Vec<f64>,
    /// Scores of the search, averaged over the folds: maxima, never test scores.
    pub cv_scores: Vec<f64>,
    /// Targets; 0 where none is fitted.
    pub intercept: Vec<f64>,
    /// Whether there is anything to fit.
    pub states: Vec<TargetState>,
    /// Where best penalties lie in the grid.
    pub report: AlphaReport,
    /// Means of each space's training kernel, spaces x training rows: what kernels of new rows are
    /// centred with.
    pub(super) means: Array2<f64>,
}

impl BandedRidgeCv {
    /// Checks kernels and candidates; notes what will be fitted.
    ///
    /// # Shapes
    /// `kernels`: of each space, training rows x training rows
    /// ([`crate::encoding::linear_kernel`]).
    ///
    /// # Errors
    /// [`Error::Invalid`] for no space, kernels that are none, penalties or candidates that are
    /// none.
    pub fn prepare(
        &self,
        kernels: Vec<Array2<f64>>,
        rows: &Rows,
        folds: &[Fold],
        leakage: &mut Leakage,
    ) -> Result<BandedSearch> {
        kernels.iter().try_for_each(|kernel| check(kernel, rows))?;
        for fold in folds {
            inside(&fold.train, rows)?;
            inside(&fold.test, rows)?;
        }
        let candidates = self.gammas.candidates(kernels.len())?;
        let equal = mixed(&kernels, Array1::from_elem(kernels.len(), 1.0 / kernels.len() as f64).view());
        let mean_eigenvalue = Source::Kernel(equal).mean_eigenvalue(self.options.fit_intercept);
        let grid = self.options.alphas.grid(mean_eigenvalue)?;
        if folds.is_empty() {
            return Err(Error::invalid("folds", "some, to choose among feature spaces", "none", ""));
        }
        noted(&self.options, rows, leakage);
        leakage.fitted("weights of feature spaces, by inner folds", rows);
        let options = RidgeOptions { alphas: Alphas::Absolute(grid), max_extensions: 0, ..self.options.clone() };
        let (rows, folds) = (rows.clone(), folds.to_vec());
        Ok(BandedSearch { options, kernels, by_fold: vec![], rows, folds, candidates })
    }

    /// [`BandedRidgeCv::prepare`] for spaces some of which learn: the kernels of an inner fold are
    /// those of features fitted on the rows that the fold fits on, the refit's of features fitted on
    /// all `rows`. Where nothing learns, this is [`BandedRidgeCv::prepare`].
    ///
    /// All kernels are kept: spaces x (folds + 1) x n^2 x 8 bytes. Predictions are made with
    /// kernels, or weights, of [`Features::fitted_on`] `rows`.
    ///
    /// # Errors
    /// As [`BandedRidgeCv::prepare`]; also features that were fitted on a row that their fold tests.
    pub fn prepare_on(
        &self,
        spaces: &[&dyn Features],
        rows: &Rows,
        folds: &[Fold],
        leakage: &mut Leakage,
    ) -> Result<BandedSearch> {
        let own = |space: &&dyn Features| linear_kernel(fitted_on(*space, rows, leakage)?.view(), rows);
        let kernels = spaces.iter().map(own).collect::<Result<Vec<_>>>()?;
        let mut search = self.prepare(kernels, rows, folds, leakage)?;
        if spaces.iter().any(|space| space.learns()) {
            let bytes = spaces.iter().map(|s| s.n_samples()).max().unwrap_or(0) * rows.len() * size_of::<f64>();
            search.by_fold = by_folds(folds, bytes, self.options.memory_mb, leakage, |fold| {
                FoldKernels::new(spaces, &search.kernels, rows, fold)
            })?;
        }
        Ok(search)
    }
}

pub(super) fn mixed(kernels: &[Array2<f64>], gamma: ArrayView1<'_, f64>) -> Array2<f64> {
    let mut sum = Array2::zeros(kernels[0].dim());
    for (kernel, &weight) in kernels.iter().zip(gamma) {
        sum.scaled_add(weight, kernel);
    }
    sum
}

impl BandedSearch {
    /// Candidates x spaces.
    pub fn candidates(&self) -> &Array2<f64> {
        &self.candidates
    }

    /// Tries the next candidates, a few at a time; false when none is left. A unit of work: the
    /// state can be kept, and the bytes of the end do not depend on where it was.
    ///
    /// # Shapes
    /// `y`: all samples x targets.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another number of samples or targets; [`Error::Interrupted`], the
    /// state being as before.
    pub fn step(&self, state: &mut SearchState, y: ArrayView2<'_, f32>, work: &Work) -> Result<bool> {
        if state.best_scores.len() != y.ncols() {
            let found = format!("{} targets", y.ncols());
            return Err(Error::invalid("banded ridge", format!("{} targets", state.best_scores.len()), found, ""));
        }
        let range = state.n_done..self.candidates.nrows().min(state.n_done + AT_A_TIME);
        if range.is_empty() {
            return Ok(false);
        }
        let prepared = range.clone().into_par_iter().map(|i| self.prepared(i)).collect::<Result<Vec<_>>>()?;
        let mut next = state.clone();
        let units = prepared[0].units(y);
        for (i, prepared) in range.zip(prepared) {
            let found = prepared.select_any(y, work)?;
            let fitted: Vec<usize> =
                (0..found.states.len()).filter(|&t| found.states[t] == TargetState::Varies).collect();
            let mean = |of: &[f64]| fitted.iter().map(|&t| of[t]).sum::<f64>() / fitted.len().max(1) as f64;
            let all = mean(&found.cv_scores) > mean(&next.best_scores) + BETTER * mean(&units);
            for &t in &fitted {
                let better = if self.options.per_target {
                    found.cv_scores[t] > next.best_scores[t] + BETTER * units[t]
                } else {
                    all
                };
                if better {
                    next.best_scores[t] = found.cv_scores[t];
                    next.best_candidates[t] = i;
                    next.best_alphas[t] = found.alphas[t];
                }
            }
            next.trace.push(mean(&found.cv_scores));
            next.n_done = i + 1;
        }
        *state = next;
        Ok(true)
    }

    fn prepared(&self, candidate: usize) -> Result<Prepared> {
        let gamma = self.candidates.row(candidate);
        let source = Source::Kernel(mixed(&self.kernels, gamma));
        let (centre, smallest) = (self.options.fit_intercept, self.grid()[0]);
        Prepared::of_folds(source, &self.rows, &self.folds, &self.options, |source| {
            if self.by_fold.is_empty() {
                let own = |fold: &Fold| {
                    let (train, test) = (inside(&fold.train, &self.rows)?, inside(&fold.test, &self.rows)?);
                    source.reduced(&train, &test, centre, smallest)
                };
                return self.folds.par_iter().map(own).collect();
            }
            let own = |fold: &FoldKernels| {
                let source = Source::Kernel(mixed(&fold.kernels, gamma));
                source.reduced(&fold.train, &fold.test, centre, smallest)
            };
            self.by_fold.par_iter().map(own).collect()
        })
    }

    /// Penalties, ascending.
    fn grid(&self) -> &[f64] {
        let Alphas::Absolute(grid) = &self.options.alphas else { unreachable!("made absolute when prepared") };
        grid
    }

    pub(super) fn edges(&self, state: &SearchState, states: &[TargetState]) -> AlphaReport {
        let grid = self.grid();
        let at = |edge: f64| {
            let there = |t: &usize| states[*t] == TargetState::Varies && state.best_alphas[*t] == edge;
            if grid.len() > 1 { (0..states.len()).filter(there).count() } else { 0 }
        };
        AlphaReport { at_lower_edge: at(grid[0]), at_upper_edge: at(grid[grid.len() - 1]), extended: 0 }
    }

    /// All steps, and [`BandedSearch::finish`].
    ///
    /// # Errors
    /// As those.
    pub fn fit(&self, y: ArrayView2<'_, f32>, work: &Work) -> Result<BandedFit> {
        let mut state = SearchState::new(y.ncols());
        while self.step(&mut state, y, work)? {}
        self.finish(&state, y, work)
    }
}

impl BandedFit {
    /// What each space predicts for new rows, without the intercept: spaces x rows x targets; what
    /// [`crate::encoding::scores::r2_split`] takes.
    ///
    /// # Shapes
    /// `kernels`: of each space, between the new rows and the training rows.
    ///
    /// # Panics
    /// When there are other spaces or training rows.
    pub fn predict_parts(&self, kernels: &[ArrayView2<'_, f32>]) -> Array3<f32> {
        assert_eq!(kernels.len(), self.gammas.nrows(), "a kernel of every space");
        let n = kernels.first().map_or(0, |k| k.nrows());
        let mut parts = Array3::zeros((kernels.len(), n, self.dual.ncols()));
        for (s, (kernel, mut part)) in kernels.iter().zip(parts.outer_iter_mut()).enumerate() {
            let means = self.means.row(s);
            let offset: Vec<f64> = self
                .dual
                .columns()
                .into_iter()
                .map(|c| c.iter().zip(means).map(|(&c, m)| f64::from(c) * m).sum())
                .collect();
            part.assign(&multiply(*kernel, self.dual.view()));
            for mut row in part.rows_mut() {
                for (t, v) in row.iter_mut().enumerate() {
                    *v = (self.gammas[(s, t)] * (f64::from(*v) - offset[t])) as f32;
                }
            }
        }
        parts
    }

    /// Predictions for new rows.
    ///
    /// # Panics
    /// As [`BandedFit::predict_parts`].
    pub fn predict(&self, kernels: &[ArrayView2<'_, f32>]) -> Array2<f32> {
        let mut sum = self.predict_parts(kernels).sum_axis(Axis(0));
        // The parts are centred: what is left is the mean of the training targets.
        let means = self.gammas.t().dot(&self.means);
        for mut row in sum.rows_mut() {
            for (t, v) in row.iter_mut().enumerate() {
                let moved = means.row(t).iter().zip(self.dual.column(t)).map(|(m, &c)| m * f64::from(c)).sum::<f64>();
                *v = (f64::from(*v) + self.intercept[t] + moved) as f32;
            }
        }
        sum
    }

    /// Weights of one space's features: predictions are `sum_s x_s weights_s + intercept`.
    ///
    /// # Shapes
    /// `x`: training rows x features of the space; the result: features x targets.
    ///
    /// # Panics
    /// When there are other training rows or no such space.
    pub fn weights(&self, space: usize, x: ArrayView2<'_, f32>) -> Array2<f32> {
        let mut weights = multiply(x.t(), self.dual.view());
        let gamma = self.gammas.row(space).mapv(|g| g as f32);
        weights *= &gamma;
        weights
    }
}
