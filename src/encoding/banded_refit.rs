//! Banded ridge after its search: weights of every target at its best candidate and penalty.

use crate::encoding::banded::{BandedFit, BandedSearch, mixed};
use crate::encoding::options::{Alphas, RidgeOptions, TargetState};
use crate::encoding::reduced::Duals;
use crate::encoding::search::SearchState;
use crate::encoding::solver::{Prepared, Targets, Work, targets};
use crate::encoding::spectrum::Source;
use crate::error::Result;
use crate::progress::Sink;
use ndarray::{Array1, Array2, ArrayView2, Axis};

/// Targets that are solved for at a time.
const AT_A_TIME: usize = 1024;

/// Features that are widened to 64 bits at a time.
const WIDENED: usize = 512;

/// Targets with the same best candidate.
struct Batch {
    candidate: usize,
    targets: Vec<usize>,
    alphas: Vec<f64>,
}

impl BandedSearch {
    /// Refits every target once, at its best candidate and penalty.
    ///
    /// # Errors
    /// As [`BandedSearch::step`].
    pub fn finish(&self, state: &SearchState, y: ArrayView2<'_, f32>, work: &Work) -> Result<BandedFit> {
        let n = y.ncols();
        let targets = self.targets(y)?;
        let mut fit = BandedFit {
            dual: Array2::zeros((self.rows.len(), n)),
            gammas: Array2::zeros((self.kernels.len(), n)),
            alphas: vec![f64::NAN; n],
            cv_scores: vec![0.0; n],
            report: self.edges(state, &targets.states),
            intercept: targets.means,
            states: targets.states,
            means: self.means(),
        };
        let quiet = quiet(work);
        let batches = self.batches(state, |t| fit.states[t] == TargetState::Varies);
        let duals = work.blocks("weights", batches.len(), |i| {
            let batch = &batches[i];
            match self.duals(batch, &fit.intercept, y)? {
                Some(dual) => Ok(dual.mapv(|v| v as f32)),
                None => self.fixed(batch.candidate)?.refit(batch.of(y).view(), &batch.alphas, &quiet),
            }
        })?;
        for (batch, dual) in batches.into_iter().zip(duals) {
            let gamma = self.candidates.row(batch.candidate);
            let mean = gamma.dot(&fit.means);
            for (i, &t) in batch.targets.iter().enumerate() {
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
    /// penalties are small: no 32-bit dual weights in between.
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
        let means = self.targets(y)?.means;
        let quiet = quiet(work);
        let batches = self.batches(state, |_| true);
        let all = work.blocks("weights", batches.len(), |i| {
            let batch = &batches[i];
            if let Some(dual) = self.duals(batch, &means, y)? {
                return Ok(xs.iter().map(|x| of_features(*x, &dual)).collect());
            }
            let (own, fixed) = (batch.of(y), self.fixed(batch.candidate)?);
            xs.iter().map(|x| fixed.solve(&fixed.of_features(*x)?, own.view(), &batch.alphas, &quiet)).collect()
        })?;
        for (batch, solved) in batches.iter().zip::<Vec<Vec<Array2<f32>>>>(all) {
            let gammas = self.candidates.row(batch.candidate);
            for ((found, to), &gamma) in solved.into_iter().zip(&mut weights).zip(gammas) {
                for (i, &t) in batch.targets.iter().enumerate() {
                    to.column_mut(t).assign(&found.column(i).mapv(|w| (f64::from(w) * gamma) as f32));
                }
            }
        }
        Ok(weights)
    }

    /// The targets that have a best candidate, candidate by candidate.
    fn batches(&self, state: &SearchState, wanted: impl Fn(usize) -> bool) -> Vec<Batch> {
        let mut groups = vec![Vec::new(); self.candidates.nrows()];
        (0..state.best_candidates.len())
            .filter(|&t| wanted(t) && !state.best_alphas[t].is_nan())
            .for_each(|t| groups[state.best_candidates[t]].push(t));
        let mut batches = Vec::new();
        for (candidate, group) in groups.iter().enumerate() {
            batches.extend(group.chunks(AT_A_TIME).map(|targets| Batch {
                candidate,
                targets: targets.to_vec(),
                alphas: targets.iter().map(|&t| state.best_alphas[t]).collect(),
            }));
        }
        batches
    }

    /// Dual weights of a batch in 64 bits, where the penalties allow it.
    fn duals(&self, batch: &Batch, means: &[f64], y: ArrayView2<'_, f32>) -> Result<Option<Array2<f64>>> {
        let smallest = batch.alphas.iter().copied().fold(f64::INFINITY, f64::min);
        let kernel = mixed(&self.kernels, self.candidates.row(batch.candidate));
        let Some(duals) = Duals::new(kernel, smallest, self.options.fit_intercept)? else { return Ok(None) };
        let means: Array1<f64> = batch.targets.iter().map(|&t| means[t]).collect();
        let centred = y.select(Axis(0), self.rows.indices()).select(Axis(1), &batch.targets).mapv(f64::from) - means;
        Ok(Some(duals.solve(centred.view(), &batch.alphas)))
    }

    fn targets(&self, y: ArrayView2<'_, f32>) -> Result<Targets> {
        self.rows.check(y.nrows(), "targets")?;
        Ok(targets(y, &self.rows, self.options.fit_intercept))
    }

    /// A candidate's problem without folds.
    fn fixed(&self, candidate: usize) -> Result<Prepared> {
        let options = RidgeOptions { alphas: Alphas::Absolute(vec![1.0]), ..self.options.clone() };
        let kernel = mixed(&self.kernels, self.candidates.row(candidate));
        Prepared::new(Source::Kernel(kernel), &self.rows, &[], &options)
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
}

impl Batch {
    fn of(&self, y: ArrayView2<'_, f32>) -> Array2<f32> {
        y.select(Axis(1), &self.targets)
    }
}

/// For what is done within a batch, of which alone is told.
fn quiet(work: &Work) -> Work {
    Work { cancel: work.cancel.clone(), progress: Sink::default() }
}

/// X' dual for training rows x features.
fn of_features(x: ArrayView2<'_, f32>, dual: &Array2<f64>) -> Array2<f32> {
    let mut weights = Array2::zeros((x.ncols(), dual.ncols()));
    for (columns, mut to) in x.axis_chunks_iter(Axis(1), WIDENED).zip(weights.axis_chunks_iter_mut(Axis(0), WIDENED)) {
        to.assign(&columns.mapv(f64::from).t().dot(dual).mapv(|w| w as f32));
    }
    weights
}
