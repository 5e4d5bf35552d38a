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
use ndarray::{Array2, Array3, ArrayView2, Axis};
use rayon::prelude::*;

/// Candidates that are decomposed at a time, so that threads have work.
const AT_A_TIME: usize = 4;

/// What a candidate's score must exceed the best one by: the spacing of 32-bit numbers at 1
/// (himalaya's).
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
    options: RidgeOptions,
    kernels: Vec<Array2<f64>>,
    /// Kernels of every fold, where features learn; none where those of the refit serve all folds.
    by_fold: Vec<FoldKernels>,
    rows: Rows,
    folds: Vec<Fold>,
    candidates: Array2<f64>,
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
    means: Array2<f64>,
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
        let equal = mixed(&kernels, &vec![1.0 / kernels.len() as f64; kernels.len()]);
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

fn mixed(kernels: &[Array2<f64>], gamma: &[f64]) -> Array2<f64> {
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
        for (i, prepared) in range.zip(prepared) {
            let found = prepared.select_any(y, work)?;
            let fitted: Vec<usize> =
                (0..found.states.len()).filter(|&t| found.states[t] == TargetState::Varies).collect();
            let mean = |of: &[f64]| fitted.iter().map(|&t| of[t]).sum::<f64>() / fitted.len().max(1) as f64;
            let all = mean(&found.cv_scores) > mean(&next.best_scores) + BETTER;
            for &t in &fitted {
                let better =
                    if self.options.per_target { found.cv_scores[t] > next.best_scores[t] + BETTER } else { all };
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
        let gamma: Vec<f64> = self.candidates.row(candidate).to_vec();
        let source = Source::Kernel(mixed(&self.kernels, &gamma));
        if self.by_fold.is_empty() {
            return Prepared::new(source, &self.rows, &self.folds, &self.options);
        }
        Prepared::of_folds(source, &self.rows, &self.folds, &self.options, |_| {
            let own = |fold: &FoldKernels| {
                let source = Source::Kernel(mixed(&fold.kernels, &gamma));
                source.fold(&fold.train, &fold.test, self.options.fit_intercept)
            };
            self.by_fold.par_iter().map(own).collect()
        })
    }

    /// Refits every target once, at its best candidate and penalty.
    ///
    /// # Errors
    /// As [`BandedSearch::step`].
    pub fn finish(&self, state: &SearchState, y: ArrayView2<'_, f32>, work: &Work) -> Result<BandedFit> {
        let n = y.ncols();
        let targets = self.fixed(0)?.targets(y)?;
        let means = self.means();
        let mut fit = BandedFit {
            dual: Array2::zeros((self.rows.len(), n)),
            gammas: Array2::zeros((self.kernels.len(), n)),
            alphas: vec![f64::NAN; n],
            cv_scores: vec![0.0; n],
            intercept: targets.means,
            report: self.edges(state, &targets.states),
            states: targets.states,
            means,
        };
        let groups =
            self.of_candidates(|t| (fit.states[t] == TargetState::Varies).then_some(state.best_candidates[t]), n);
        let refitted = |(candidate, chosen): &(usize, Vec<usize>)| {
            let alphas: Vec<f64> = chosen.iter().map(|&t| state.best_alphas[t]).collect();
            self.fixed(*candidate)?.refit(y.select(Axis(1), chosen).view(), &alphas, work)
        };
        let duals = groups.par_iter().map(refitted).collect::<Result<Vec<_>>>()?;
        for ((candidate, chosen), dual) in groups.into_iter().zip(duals) {
            let gamma = self.candidates.row(candidate);
            let mean = gamma.dot(&fit.means);
            for (i, &t) in chosen.iter().enumerate() {
                fit.dual.column_mut(t).assign(&dual.column(i));
                fit.gammas.column_mut(t).assign(&gamma);
                fit.alphas[t] = state.best_alphas[t];
                fit.cv_scores[t] = state.best_scores[t];
                fit.intercept[t] -= mean.iter().zip(dual.column(i)).map(|(m, &c)| m * f64::from(c)).sum::<f64>();
            }
        }
        Ok(fit)
    }

    /// Weights of each space's features at every target's best candidate and penalty: predictions
    /// are `sum_s x_s weights_s` and an intercept. Better than [`BandedFit::weights`] where
    /// penalties are small: no dual weights in between.
    ///
    /// # Shapes
    /// `xs`: of each space, training rows x features; the result: of each space, features x targets.
    ///
    /// # Errors
    /// As [`BandedSearch::step`].
    pub fn weights(
        &self,
        state: &SearchState,
        xs: &[ArrayView2<'_, f32>],
        y: ArrayView2<'_, f32>,
        work: &Work,
    ) -> Result<Vec<Array2<f32>>> {
        let mut weights: Vec<Array2<f32>> = xs.iter().map(|x| Array2::zeros((x.ncols(), y.ncols()))).collect();
        let of = |t: usize| (!state.best_alphas[t].is_nan()).then_some(state.best_candidates[t]);
        let groups = self.of_candidates(of, y.ncols());
        let solved = |(candidate, chosen): &(usize, Vec<usize>)| {
            let alphas: Vec<f64> = chosen.iter().map(|&t| state.best_alphas[t]).collect();
            let (own, fixed) = (y.select(Axis(1), chosen), self.fixed(*candidate)?);
            xs.iter().map(|x| fixed.solve(&fixed.of_features(*x)?, own.view(), &alphas, work)).collect()
        };
        let all = groups.par_iter().map(solved).collect::<Result<Vec<Vec<Array2<f32>>>>>()?;
        for ((candidate, chosen), solved) in groups.iter().zip(all) {
            for ((found, to), &gamma) in solved.into_iter().zip(&mut weights).zip(self.candidates.row(*candidate)) {
                for (i, &t) in chosen.iter().enumerate() {
                    to.column_mut(t).assign(&found.column(i).mapv(|w| (f64::from(w) * gamma) as f32));
                }
            }
        }
        Ok(weights)
    }

    /// The targets of every candidate that has some.
    fn of_candidates(&self, best: impl Fn(usize) -> Option<usize>, n_targets: usize) -> Vec<(usize, Vec<usize>)> {
        let mut groups = vec![Vec::new(); self.candidates.nrows()];
        (0..n_targets).filter_map(|t| Some((best(t)?, t))).for_each(|(candidate, t)| groups[candidate].push(t));
        groups.into_iter().enumerate().filter(|(_, chosen)| !chosen.is_empty()).collect()
    }

    /// A candidate's problem without folds.
    fn fixed(&self, candidate: usize) -> Result<Prepared> {
        let gamma = self.candidates.row(candidate).to_vec();
        let options = RidgeOptions { alphas: Alphas::Absolute(vec![1.0]), ..self.options.clone() };
        Prepared::new(Source::Kernel(mixed(&self.kernels, &gamma)), &self.rows, &[], &options)
    }

    fn means(&self) -> Array2<f64> {
        let mut means = Array2::zeros((self.kernels.len(), self.rows.len()));
        if self.options.fit_intercept {
            for (mut row, kernel) in means.rows_mut().into_iter().zip(&self.kernels) {
                row.assign(&kernel.mean_axis(Axis(0)).expect("some rows"));
            }
        }
        means
    }

    fn edges(&self, state: &SearchState, states: &[TargetState]) -> AlphaReport {
        let Alphas::Absolute(grid) = &self.options.alphas else { return AlphaReport::default() };
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
