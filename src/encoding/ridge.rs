//! Ridge regression with the penalty chosen by cross-validation.

use crate::encoding::fitted::{Features, FoldFeatures, by_folds, fitted_on};
use crate::encoding::folds::{Fold, Leakage, Rows};
use crate::encoding::options::{Form, RidgeOptions};
use crate::encoding::select::Selection;
use crate::encoding::solver::{Prepared, Refit, Work, made_once, multiply};
use crate::encoding::spectrum::{Source, kernel};
use crate::encoding::standardize::finite;
use crate::error::Result;
use ndarray::{Array2, ArrayView2, Axis, Slice};
use std::sync::OnceLock;

/// Ridge regression of many targets on features, `w = argmin ||y - b - X w||^2 + alpha ||w||^2`.
///
/// himalaya's `RidgeCV` and `KernelRidgeCV` (linear kernel) in one: which of the two equal problems
/// is solved is decided by the shape. Differences: an intercept by default, a grid that follows the
/// scale of the features and is extended where its edge is best, decompositions in 64 bits.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RidgeCv {
    /// What it is told.
    pub options: RidgeOptions,
}

/// Fitted weights of a range of targets.
#[derive(Debug, Clone, PartialEq)]
pub struct RidgeFit {
    /// Features x targets: predictions are `x weights + intercept`.
    pub weights: Array2<f32>,
    /// Targets; 0 where none is fitted.
    pub intercept: Vec<f64>,
    /// Penalties and how they were found.
    pub selection: Selection,
}

impl RidgeFit {
    /// Predictions of the rows of `x`.
    ///
    /// # Panics
    /// When `x` has other features.
    pub fn predict(&self, x: ArrayView2<'_, f32>) -> Array2<f32> {
        let mut out = multiply(x, self.weights.view());
        for mut row in out.rows_mut() {
            row.iter_mut().zip(&self.intercept).for_each(|(v, b)| *v = (f64::from(*v) + b) as f32);
        }
        out
    }
}

/// A ridge problem whose decompositions are made: it is solved for any range of targets.
pub struct RidgePrepared {
    prepared: Prepared,
    /// Training rows.
    x: Array2<f32>,
    means: Vec<f64>,
    /// What makes weights in the kernel form.
    weights: OnceLock<Refit>,
}

impl RidgeCv {
    /// Decomposes the training rows and those of every fold; no other row is read.
    ///
    /// # Shapes
    /// `x`: all samples x features; `folds`: of the training rows; none where there is one penalty.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] for another number of samples, NaN or infinity in a training row,
    /// folds with other rows, penalties that are none.
    pub fn prepare(
        &self,
        x: ArrayView2<'_, f32>,
        rows: &Rows,
        folds: &[Fold],
        leakage: &mut Leakage,
    ) -> Result<RidgePrepared> {
        let x = trained(x, rows)?;
        let prepared = Prepared::new(self.source(&x), rows, folds, &self.options)?;
        Ok(self.prepared(prepared, x, rows, leakage))
    }

    /// [`RidgeCv::prepare`] for features that learn: those of an inner fold are fitted on the rows
    /// that the fold fits on, those of the refit on all `rows` (scikit-learn's `Pipeline` inside
    /// `GridSearchCV`). The number of features may differ from fold to fold. Where nothing learns,
    /// this is [`RidgeCv::prepare`].
    ///
    /// The refit's features are what predictions are made with: `fit.predict(x)`, x being
    /// [`Features::fitted_on`] `rows`. The features of as many folds are in memory at a time as fit
    /// half of the budget, one at least. Every fold has its lines in `leakage`, folds counted from 0.
    ///
    /// # Errors
    /// As [`RidgeCv::prepare`]; also features that were fitted on a row that their fold tests.
    pub fn prepare_on(
        &self,
        features: &dyn Features,
        rows: &Rows,
        folds: &[Fold],
        leakage: &mut Leakage,
    ) -> Result<RidgePrepared> {
        let x = trained(fitted_on(features, rows, leakage)?.view(), rows)?;
        let prepared = if features.learns() {
            Prepared::of_folds(self.source(&x), rows, folds, &self.options, |_| {
                let bytes = features.n_samples() * x.ncols() * size_of::<f32>();
                by_folds(folds, bytes, self.options.memory_mb, leakage, |fold| {
                    let own = FoldFeatures::new(features, fold)?;
                    let spectrum = self.source(&own.x).fold(&own.train, &own.test, self.options.fit_intercept)?;
                    Ok((spectrum.into(), own.leakage))
                })
            })?
        } else {
            Prepared::new(self.source(&x), rows, folds, &self.options)?
        };
        Ok(self.prepared(prepared, x, rows, leakage))
    }

    /// The penalties for some features, ascending.
    ///
    /// # Errors
    /// As [`RidgeCv::prepare`].
    pub(super) fn grid(&self, x: ArrayView2<'_, f32>, rows: &Rows) -> Result<Vec<f64>> {
        let source = self.source(&trained(x, rows)?);
        self.options.alphas.grid(source.mean_eigenvalue(self.options.fit_intercept))
    }

    /// Of the smaller of two equal problems, unless one is asked for.
    fn source(&self, x: &Array2<f32>) -> Source {
        let primal = match self.options.form {
            Form::Auto => x.ncols() < x.nrows(),
            Form::Primal => true,
            Form::Kernel => false,
        };
        if primal { Source::Features(x.clone()) } else { Source::Kernel(kernel(x.view())) }
    }

    /// `x`: training rows.
    fn prepared(&self, prepared: Prepared, x: Array2<f32>, rows: &Rows, leakage: &mut Leakage) -> RidgePrepared {
        noted(&self.options, rows, leakage);
        let mut means = vec![0.0; x.ncols()];
        for row in x.rows().into_iter().filter(|_| self.options.fit_intercept) {
            means.iter_mut().zip(row).for_each(|(m, &v)| *m += f64::from(v));
        }
        means.iter_mut().for_each(|m| *m /= x.nrows() as f64);
        RidgePrepared { prepared, x, means, weights: OnceLock::new() }
    }

    /// [`RidgeCv::prepare`], and [`RidgePrepared::fit`] of all targets.
    ///
    /// # Errors
    /// As those.
    pub fn fit(
        &self,
        [x, y]: [ArrayView2<'_, f32>; 2],
        rows: &Rows,
        folds: &[Fold],
        leakage: &mut Leakage,
        work: &Work,
    ) -> Result<RidgeFit> {
        self.prepare(x, rows, folds, leakage)?.fit(y, work)
    }
}

/// The training rows of features.
fn trained(x: ArrayView2<'_, f32>, rows: &Rows) -> Result<Array2<f32>> {
    rows.check(x.nrows(), "features")?;
    finite(x, rows, "features")?;
    rows.take(x, "features")
}

/// What a ridge estimator fits.
pub(super) fn noted(options: &RidgeOptions, rows: &Rows, leakage: &mut Leakage) {
    if options.fit_intercept {
        leakage.fitted("means of features and targets", rows);
    }
    leakage.fitted("penalties, by inner folds", rows);
    leakage.fitted("weights", rows);
}

impl RidgePrepared {
    /// The problem in spectral coordinates: scores at any penalty, selection.
    pub fn prepared(&self) -> &Prepared {
        &self.prepared
    }

    /// Targets that the budget allows at a time, a multiple of what a task takes.
    pub fn targets_at_a_time(&self) -> usize {
        self.prepared.targets_at_a_time(self.x.ncols())
    }

    /// Penalties and weights of a range of targets: a unit of work. With a penalty per target, the
    /// bytes do not depend on how targets are cut into ranges.
    ///
    /// # Shapes
    /// `y`: all samples x targets; rows that are not trained on are not read.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] for another number of samples; [`crate::Error::Interrupted`].
    pub fn fit(&self, y: ArrayView2<'_, f32>, work: &Work) -> Result<RidgeFit> {
        let selection = self.prepared.select_any(y, work)?;
        self.refit(y, selection, work)
    }

    /// Weights of a range of targets at the penalties of a selection; see [`RidgePrepared::fit`].
    ///
    /// # Errors
    /// As there.
    pub fn refit(&self, y: ArrayView2<'_, f32>, selection: Selection, work: &Work) -> Result<RidgeFit> {
        let (n_targets, n_features) = (y.ncols(), self.x.ncols());
        let mut weights = Array2::zeros((n_features, n_targets));
        let step = self.targets_at_a_time();
        for start in (0..n_targets).step_by(step) {
            let end = n_targets.min(start + step);
            let range = Slice::from(start..end);
            let found = self.weights(y.slice_axis(Axis(1), range), &selection.alphas[start..end], work)?;
            weights.slice_axis_mut(Axis(1), range).assign(&found);
        }
        let intercept = self.intercepts(y, weights.view())?;
        Ok(RidgeFit { weights, intercept, selection })
    }

    /// What goes with weights: `mean y - mean x w` over the training rows; 0 without an intercept.
    pub(super) fn intercepts(&self, y: ArrayView2<'_, f32>, weights: ArrayView2<'_, f32>) -> Result<Vec<f64>> {
        let mut intercept = self.prepared.targets(y)?.means;
        if self.prepared.options().fit_intercept {
            for (row, mean) in weights.rows().into_iter().zip(&self.means) {
                intercept.iter_mut().zip(row).for_each(|(b, &w)| *b -= mean * f64::from(w));
            }
        }
        Ok(intercept)
    }

    /// Weights at given penalties, features x targets.
    ///
    /// # Errors
    /// As [`RidgePrepared::fit`].
    pub fn weights(&self, y: ArrayView2<'_, f32>, alphas: &[f64], work: &Work) -> Result<Array2<f32>> {
        if self.prepared.is_kernel() {
            let refit = made_once(&self.weights, || self.prepared.of_features(self.x.view()))?;
            self.prepared.solve(refit, y, alphas, work)
        } else {
            self.prepared.refit(y, alphas, work)
        }
    }

    /// Dual weights at given penalties, training rows x targets: weights are their combinations of
    /// the training rows, `w = X' c`.
    ///
    /// # Errors
    /// As [`RidgePrepared::fit`].
    pub fn dual_weights(&self, y: ArrayView2<'_, f32>, alphas: &[f64], work: &Work) -> Result<Array2<f32>> {
        let found = self.prepared.refit(y, alphas, work)?;
        if self.prepared.is_kernel() {
            return Ok(found);
        }
        // (X'X + alpha) w = X'y, so that c = (y - X w) / alpha has X'c = w.
        let means = self.prepared.targets(y)?.means;
        let predicted = multiply(self.x.view(), found.view());
        let offset: Vec<f64> = found
            .columns()
            .into_iter()
            .map(|w| w.iter().zip(&self.means).map(|(&w, mean)| f64::from(w) * mean).sum())
            .collect();
        let mut dual = y.select(Axis(0), self.prepared.rows().indices());
        for ((i, t), v) in dual.indexed_iter_mut() {
            let residual = f64::from(*v) - means[t] - (f64::from(predicted[(i, t)]) - offset[t]);
            *v = if alphas[t].is_nan() { 0.0 } else { (residual / alphas[t]) as f32 };
        }
        Ok(dual)
    }
}
