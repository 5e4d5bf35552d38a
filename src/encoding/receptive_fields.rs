//! Receptive fields of targets: ridge regression on what one of many Gaussian windows lets through,
//! the window and the penalty chosen by inner cross-validation.
//!
//! This is the feature-weighted receptive field (fwRF) of St-Yves & Naselaris, and the
//! receptive-field compression (RC) of Kamali et al.: of a layer with C channels and G candidate
//! windows, a target keeps C weights and one window instead of C weights at every place.
//!
//! fwRF's code z-scores features with the means and scales of all samples, those that it holds out
//! to choose penalty and window included, and penalises the intercept as a weight of its own. Here
//! every inner fold has the statistics of what it fits on, and the intercept is never penalised.

use crate::encoding::features::GaussianWindow;
use crate::encoding::fitted::{Features, Standardized};
use crate::encoding::folds::{Fold, Leakage, Rows};
use crate::encoding::options::{AlphaReport, Alphas, RidgeOptions, TargetState};
use crate::encoding::ridge::{RidgeCv, RidgePrepared, noted};
use crate::encoding::search::SearchState;
use crate::encoding::solver::{Targets, Work, multiply, targets};
use crate::encoding::standardize::{Scaling, Standardizer, finite};
use crate::error::{Error, Result};
use ndarray::{Array2, ArrayView2, Axis, Slice};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Candidates that are decomposed at a time, so that threads have work.
const AT_A_TIME: usize = 8;

/// Ridge regression on the channels of a layer under one Gaussian window, chosen among candidates.
///
/// With `phi_g` (n_samples x n_channels) the means of a layer's maps under window g
/// ([`crate::encoding::features::Reduction::RfPooled`]), z-scored with the rows that are fitted on,
///
/// ```text
/// g, alpha = argmax over candidates and penalties of the mean score over inner folds
/// w        = argmin ||y - b - phi_g w||^2 + alpha ||w||^2     on all training rows
/// ```
///
/// Of equal scores the window met first and the larger penalty are kept. Penalties are each target's
/// own; a relative grid follows each candidate's mean eigenvalue. The grid is not extended: of
/// z-scored channels the mean eigenvalue is nearly the same under every window, and the usual grid
/// reaches 1e5 times it; who ends at its edge is counted in the report.
///
/// # Cost
/// Features are read, never computed again. With n samples in K folds, C < n channels and T targets,
/// a candidate costs about `T C n (1 + J / K)` multiply-adds a fold, J some 10 for 20 penalties; all
/// else is small from some hundred targets on.
///
/// # Source
/// St-Yves & Naselaris, NeuroImage 180:188 (2018); Kamali et al., receptive-field compression.
#[derive(Debug, Clone, PartialEq)]
pub struct GaussianRf {
    /// Penalties, score, intercept, memory; `per_target` must be set.
    pub options: RidgeOptions,
    /// What is done to features with the statistics of the rows that are fitted on.
    pub scaling: Scaling,
}

impl Default for GaussianRf {
    /// Channels are z-scored: under small windows they vary more than under large ones.
    fn default() -> Self {
        Self { options: RidgeOptions::default(), scaling: Scaling::ZScore { ddof: 0 } }
    }
}

/// A search over windows.
pub struct RfSearch<'a> {
    ridge: RidgeCv,
    scaling: Scaling,
    x: ArrayView2<'a, f32>,
    n_channels: usize,
    /// Whether any channel varies under a window.
    varies: Vec<bool>,
    rows: Rows,
    folds: Vec<Fold>,
}

/// Fitted windows and weights.
#[derive(Debug, Clone, PartialEq)]
pub struct RfFit {
    /// Candidate of each target; 0 where there is nothing to fit.
    pub windows: Vec<usize>,
    /// n_channels x targets, of scaled features:
    /// `prediction = ((x - mean) / scale) weights + intercept` on the columns of the window.
    pub weights: Array2<f32>,
    /// Means of all columns over the training rows; 0 where features are not scaled.
    pub mean: Vec<f64>,
    /// What all columns are divided by; 1 where they are not scaled, or do not vary.
    pub scale: Vec<f64>,
    /// Targets; the mean of the training rows where nothing else is fitted.
    pub intercept: Vec<f64>,
    /// Best penalties; NaN where there is nothing to fit.
    pub alphas: Vec<f64>,
    /// Scores of the search, averaged over the folds: maxima, never test scores.
    pub cv_scores: Vec<f64>,
    /// Whether there is anything to fit.
    pub states: Vec<TargetState>,
    /// Where best penalties lie in the grid of the best candidate.
    pub report: AlphaReport,
}

impl GaussianRf {
    /// Checks what is given, and notes what will be fitted.
    ///
    /// # Shapes
    /// `x`: all samples x (n_candidates n_channels), channel c under candidate g in column
    /// `g n_channels + c`; `folds`: of the training rows.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another number of samples or of columns, NaN or infinity in a training
    /// row, features that do not vary, one penalty for all targets, and no folds.
    pub fn prepare<'a>(
        &self,
        x: ArrayView2<'a, f32>,
        n_channels: usize,
        rows: &Rows,
        folds: &[Fold],
        leakage: &mut Leakage,
    ) -> Result<RfSearch<'a>> {
        rows.check(x.nrows(), WHAT)?;
        let bad = |expected: &str, found: String, hint: &str| Err(Error::invalid(WHAT, expected, found, hint));
        if n_channels == 0 || x.ncols() == 0 || !x.ncols().is_multiple_of(n_channels) {
            let hint = "column g n_channels + c holds channel c under window g";
            return bad("the channels of every window", format!("{} columns of {n_channels}", x.ncols()), hint);
        }
        if !self.options.per_target {
            return bad("a penalty for each target", "per_target = false".into(), "windows are chosen for each target");
        }
        if folds.is_empty() {
            return bad("folds, to choose among windows", "none".into(), "");
        }
        finite(x, rows, WHAT)?;
        let varies: Vec<bool> = x.axis_chunks_iter(Axis(1), n_channels).map(|x| varies(x, rows)).collect();
        if !varies.contains(&true) {
            return bad("channels that vary over the training rows", "none".into(), "check the images and the layer");
        }
        self.note(rows, folds, leakage);
        let options = RidgeOptions { max_extensions: 0, ..self.options.clone() };
        let (ridge, rows, folds) = (RidgeCv { options }, rows.clone(), folds.to_vec());
        Ok(RfSearch { ridge, scaling: self.scaling, x, n_channels, varies, rows, folds })
    }

    fn note(&self, rows: &Rows, folds: &[Fold], leakage: &mut Leakage) {
        let learnt = match self.scaling {
            Scaling::None => None,
            Scaling::Centre => Some(format!("means of {WHAT}")),
            Scaling::ZScore { .. } => Some(format!("means and scales of {WHAT}")),
        };
        if let Some(what) = learnt {
            leakage.fitted(what.clone(), rows);
            for (k, fold) in folds.iter().enumerate() {
                leakage.fitted(format!("fold {k}: {what}"), &fold.train);
            }
        }
        noted(&self.options, rows, leakage);
        leakage.fitted("windows, by inner folds", rows);
    }
}

/// What features are called.
const WHAT: &str = "channels under windows";

fn varies(x: ArrayView2<'_, f32>, rows: &Rows) -> bool {
    let first = x.row(rows.indices()[0]);
    rows.indices().iter().any(|&row| x.row(row) != first)
}

impl RfSearch<'_> {
    /// How many windows there are.
    pub fn n_candidates(&self) -> usize {
        self.varies.len()
    }

    /// The columns of a candidate.
    fn features(&self, candidate: usize) -> Standardized {
        let columns = Slice::from(candidate * self.n_channels..(candidate + 1) * self.n_channels);
        let x = self.x.slice_axis(Axis(1), columns).to_owned();
        Standardized { x, scaling: self.scaling, what: format!("channels under window {candidate}") }
    }

    /// Tries the next candidates, a few at a time; false when none is left. A unit of work: the
    /// state can be kept, and the bytes of the end do not depend on where it was, nor on how targets
    /// are cut into ranges.
    ///
    /// # Shapes
    /// `y`: all samples x targets.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another number of samples or targets; [`Error::Interrupted`], the
    /// state being as before.
    pub fn step(&self, state: &mut SearchState, y: ArrayView2<'_, f32>, work: &Work) -> Result<bool> {
        self.check(state, y)?;
        let range = state.n_done..self.n_candidates().min(state.n_done + AT_A_TIME);
        if range.is_empty() {
            return Ok(false);
        }
        let states = targets(y, &self.rows, self.ridge.options.fit_intercept).states;
        let prepared = range
            .into_par_iter()
            .map(|g| {
                let prepare = || {
                    work.cancel.check()?;
                    self.ridge.prepare_on(&self.features(g), &self.rows, &self.folds, &mut Leakage::default())
                };
                self.varies[g].then(prepare).transpose()
            })
            .collect::<Result<Vec<_>>>()?;
        let mut next = state.clone();
        for prepared in prepared {
            self.tried(&mut next, prepared, &states, y, work)?;
        }
        *state = next;
        Ok(true)
    }

    fn tried(
        &self,
        state: &mut SearchState,
        prepared: Option<RidgePrepared>,
        states: &[TargetState],
        y: ArrayView2<'_, f32>,
        work: &Work,
    ) -> Result<()> {
        let mut mean = f64::NEG_INFINITY;
        if let Some(prepared) = prepared {
            let found = prepared.prepared().select_of(states, y, work)?;
            for t in (0..states.len()).filter(|&t| states[t] == TargetState::Varies) {
                if found.cv_scores[t] > state.best_scores[t] {
                    state.best_scores[t] = found.cv_scores[t];
                    state.best_candidates[t] = state.n_done;
                    state.best_alphas[t] = found.alphas[t];
                }
            }
            let n = states.iter().filter(|&&state| state == TargetState::Varies).count();
            mean = found.cv_scores.iter().sum::<f64>() / n.max(1) as f64;
        }
        state.trace.push(mean);
        state.n_done += 1;
        Ok(())
    }

    fn check(&self, state: &SearchState, y: ArrayView2<'_, f32>) -> Result<()> {
        self.rows.check(y.nrows(), "targets")?;
        if state.best_scores.len() == y.ncols() {
            return Ok(());
        }
        let (expected, found) = (format!("{} targets", state.best_scores.len()), format!("{} targets", y.ncols()));
        Err(Error::invalid("receptive fields", expected, found, "the state is of other targets"))
    }

    /// Refits every target once, at its best window and penalty; other windows are not touched.
    ///
    /// # Errors
    /// As [`RfSearch::step`]; [`Error::Invalid`] when candidates are left.
    pub fn finish(&self, state: &SearchState, y: ArrayView2<'_, f32>, work: &Work) -> Result<RfFit> {
        self.check(state, y)?;
        if state.n_done < self.n_candidates() {
            let (expected, found) = (format!("{} candidates", self.n_candidates()), state.n_done.to_string());
            return Err(Error::invalid("receptive fields", expected, found, "call `step` until it says false"));
        }
        let Targets { states, means } = targets(y, &self.rows, self.ridge.options.fit_intercept);
        let (mean, scale) = self.scales()?;
        let n = y.ncols();
        let mut fit = RfFit {
            windows: vec![0; n],
            weights: Array2::zeros((self.n_channels, n)),
            mean,
            scale,
            intercept: means,
            alphas: vec![f64::NAN; n],
            cv_scores: vec![0.0; n],
            states,
            report: AlphaReport::default(),
        };
        for candidate in 0..self.n_candidates() {
            let of = |&t: &usize| !state.best_alphas[t].is_nan() && state.best_candidates[t] == candidate;
            let chosen: Vec<usize> = (0..n).filter(of).collect();
            if !chosen.is_empty() {
                self.refit(&mut fit, state, candidate, &chosen, y, work)?;
            }
        }
        Ok(fit)
    }

    /// Of all columns, window by window, as each is fitted.
    fn scales(&self) -> Result<(Vec<f64>, Vec<f64>)> {
        let (mut mean, mut scale) = (vec![], vec![]);
        for x in self.x.axis_chunks_iter(Axis(1), self.n_channels) {
            let own = Standardizer::fit(x, &self.rows, self.scaling, WHAT, &mut Leakage::default())?;
            mean.extend(own.mean());
            scale.extend(own.scale());
        }
        Ok((mean, scale))
    }

    fn refit(
        &self,
        fit: &mut RfFit,
        state: &SearchState,
        candidate: usize,
        chosen: &[usize],
        y: ArrayView2<'_, f32>,
        work: &Work,
    ) -> Result<()> {
        let options = RidgeOptions { alphas: Alphas::Absolute(vec![1.0]), ..self.ridge.options.clone() };
        let features = self.features(candidate).fitted_on(&self.rows, &mut Leakage::default())?;
        let grid = self.ridge.grid(features.view(), &self.rows)?;
        let prepared = RidgeCv { options }.prepare(features.view(), &self.rows, &[], &mut Leakage::default())?;
        for some in chosen.chunks(prepared.targets_at_a_time()) {
            let (own, alphas) =
                (y.select(Axis(1), some), some.iter().map(|&t| state.best_alphas[t]).collect::<Vec<_>>());
            let weights = prepared.weights(own.view(), &alphas, work)?;
            let intercepts = prepared.intercepts(own.view(), weights.view())?;
            for (i, &t) in some.iter().enumerate() {
                fit.weights.column_mut(t).assign(&weights.column(i));
                fit.windows[t] = candidate;
                fit.intercept[t] = intercepts[i];
                fit.alphas[t] = alphas[i];
                fit.cv_scores[t] = state.best_scores[t];
                if grid.len() > 1 {
                    fit.report.at_lower_edge += usize::from(alphas[i] == grid[0]);
                    fit.report.at_upper_edge += usize::from(alphas[i] == grid[grid.len() - 1]);
                }
            }
        }
        Ok(())
    }

    /// All steps, and [`RfSearch::finish`].
    ///
    /// # Errors
    /// As those.
    pub fn fit(&self, y: ArrayView2<'_, f32>, work: &Work) -> Result<RfFit> {
        let mut state = SearchState::new(y.ncols());
        while self.step(&mut state, y, work)? {}
        self.finish(&state, y, work)
    }
}

impl RfFit {
    /// Predictions of the rows of `x`, targets by their own windows.
    ///
    /// # Shapes
    /// `x`: rows x (n_candidates n_channels), as it was fitted.
    ///
    /// # Panics
    /// When `x` has other columns.
    pub fn predict(&self, x: ArrayView2<'_, f32>) -> Array2<f32> {
        assert_eq!(x.ncols(), self.mean.len(), "columns as fitted");
        let n_channels = self.weights.nrows();
        let mut out = Array2::zeros((x.nrows(), self.windows.len()));
        for mut row in out.rows_mut() {
            row.iter_mut().zip(&self.intercept).for_each(|(v, &b)| *v = b as f32);
        }
        let mut by_window = vec![Vec::new(); x.ncols() / n_channels];
        for t in (0..self.windows.len()).filter(|&t| !self.alphas[t].is_nan()) {
            by_window[self.windows[t]].push(t);
        }
        for (window, targets) in by_window.iter().enumerate().filter(|(_, targets)| !targets.is_empty()) {
            let columns = window * n_channels..(window + 1) * n_channels;
            let (mean, scale) = (&self.mean[columns.clone()], &self.scale[columns.clone()]);
            let mut z = x.slice_axis(Axis(1), Slice::from(columns)).to_owned();
            for mut row in z.rows_mut() {
                for ((v, mean), scale) in row.iter_mut().zip(mean).zip(scale) {
                    *v = ((f64::from(*v) - mean) / scale) as f32;
                }
            }
            let found = multiply(z.view(), self.weights.select(Axis(1), targets).view());
            for (&t, found) in targets.iter().zip(found.columns()) {
                let add = |v: &mut f32, &w: &f32| *v = (f64::from(w) + self.intercept[t]) as f32;
                out.column_mut(t).iter_mut().zip(found).for_each(|(v, w)| add(v, w));
            }
        }
        out
    }
}

/// Receptive fields of a region.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RfSummary {
    /// Targets that these are means of.
    pub n_targets: usize,
    /// Mean standard deviation of the windows, degrees.
    pub size_deg: f64,
    /// Mean distance of their centres from that of the image, degrees.
    pub eccentricity_deg: f64,
}

/// Mean size and eccentricity over some targets (a region's, those that are predicted well):
/// `mean s` and `mean sqrt(x^2 + y^2)`; `None` without any.
///
/// ```
/// use orthoscope::encoding::features::GaussianWindow;
/// use orthoscope::encoding::receptive_fields::size_and_eccentricity;
///
/// let candidates = [
///     GaussianWindow { x_deg: 3.0, y_deg: 4.0, sd_deg: 1.0 },
///     GaussianWindow { x_deg: 0.0, y_deg: -1.0, sd_deg: 2.0 },
/// ];
/// // Windows of three targets, of which the region has the first two.
/// let found = size_and_eccentricity(&candidates, &[0, 1, 1], &[0, 1]).unwrap();
/// assert_eq!((found.size_deg, found.eccentricity_deg), (1.5, 3.0));
/// ```
///
/// # Panics
/// When a target or its candidate does not exist.
///
/// # Source
/// Kamali et al.: means over the voxels of a region, their size and eccentricity figure.
pub fn size_and_eccentricity(candidates: &[GaussianWindow], windows: &[usize], targets: &[usize]) -> Option<RfSummary> {
    let n = targets.len();
    let mean =
        |of: fn(&GaussianWindow) -> f64| targets.iter().map(|&t| of(&candidates[windows[t]])).sum::<f64>() / n as f64;
    (n > 0).then(|| RfSummary {
        n_targets: n,
        size_deg: mean(|window| window.sd_deg),
        eccentricity_deg: mean(GaussianWindow::eccentricity_deg),
    })
}
