//! Models that take one Gaussian window a target: all targets at once, kept after every few
//! candidates.

use super::fitting::Bench;
use super::part::Part;
use super::rounds::Round;
use super::searches::{numbers, whole, whole_numbers};
use super::spaces::Space;
use crate::encoding::features::Table;
use crate::encoding::folds::{Leakage, Rows};
use crate::encoding::receptive_fields::{GaussianRf, RfFit, RfSearch, RfState};
use crate::encoding::{RidgeOptions, Scaling};
use crate::error::{Error, Result};
use crate::io::{npz, sealed};
use ndarray::{Array1, ArrayView2, Axis};
use std::path::Path;

impl Bench<'_> {
    /// Windows, penalties and predictions of all targets.
    ///
    /// # Errors
    /// What the estimator says.
    pub(super) fn windows(&self, stem: &str, round: &Round, space: &Space<'_>, leakage: &mut Leakage) -> Result<Part> {
        let (start, n) = (self.targets.start, self.targets.len());
        let path = self.path(stem, start);
        let n_tested = round.test.as_ref().map_or(0, Rows::len);
        let search = self.rf_search(round, space, leakage)?;
        if let Some(part) = Part::kept(&path, start, n, n_tested)? {
            return Ok(part);
        }
        let fit = self.rf_fit(stem, &search)?;
        let tested = round.test.as_ref().map_or(&[][..], Rows::indices);
        let predictions = fit.predict(features(space)?.select(Axis(0), tested).view());
        let part = Part {
            start,
            alphas: fit.alphas,
            cv_scores: fit.cv_scores,
            states: fit.states,
            intercept: fit.intercept,
            report: fit.report,
            predictions,
            shares: None,
            windows: Some(fit.windows),
            gammas: None,
            widths: vec![features(space)?.ncols()],
            grid: vec![],
        };
        part.keep(&path)?;
        Ok(part)
    }

    /// The fit of a round that was searched for before.
    ///
    /// # Errors
    /// What the estimator says.
    pub(super) fn window_fit(&self, stem: &str, round: &Round, space: &Space<'_>) -> Result<RfFit> {
        let search = self.rf_search(round, space, &mut Leakage::default())?;
        self.rf_fit(stem, &search)
    }

    /// Checks what is given, and notes what will be fitted.
    pub(super) fn rf_search<'s>(
        &self,
        round: &Round,
        space: &'s Space<'_>,
        leakage: &mut Leakage,
    ) -> Result<RfSearch<'s>> {
        let options = RidgeOptions { max_extensions: 0, ..self.config.ridge() };
        let scaling = match space.how.given {
            Scaling::None => Scaling::None,
            Scaling::ZScore { ddof } => Scaling::ZScore { ddof },
            // Channels under one window are compared with those under another.
            Scaling::Centre => Scaling::ZScore { ddof: 0 },
        };
        let x = features(space)?;
        GaussianRf { options, scaling }.prepare(x, space.shape.channels, &round.train, &round.inner, leakage)
    }

    fn rf_fit(&self, stem: &str, search: &RfSearch<'_>) -> Result<RfFit> {
        let path = self.folder.join(format!("search-{stem}-{:08}.checkpoint", self.targets.start));
        let n_candidates = search.n_candidates();
        let mut state =
            read_state(&path, self.targets.len(), n_candidates)?.unwrap_or_else(|| RfState::new(self.targets.len()));
        let mut progress = self.progress("receptive fields", n_candidates, state.n_done);
        let y = self.columns(&self.targets);
        loop {
            let before = state.n_done;
            if !search.step(&mut state, y, &self.work)? {
                break;
            }
            (before..state.n_done).for_each(|_| progress.tick(String::new));
            sealed::write(&path, &archive(&state).bytes(&path)?)?;
        }
        progress.finish();
        search.finish(&state, y, &self.work)
    }
}

/// Features under all windows.
fn features<'s>(space: &'s Space<'_>) -> Result<ArrayView2<'s, f32>> {
    match space.table.as_ref() {
        Table::Features(x) => Ok(x.view()),
        Table::Gram(_) => Err(Error::invalid(space.name, "features under windows", "inner products", "")),
    }
}

fn archive(state: &RfState) -> npz::NpzWriter {
    npz::NpzWriter::new()
        .add("n_done", &whole(&[state.n_done]))
        .add("best_scores", &Array1::from(state.best_scores.clone()))
        .add("best_windows", &whole(&state.best_windows))
        .add("best_alphas", &Array1::from(state.best_alphas.clone()))
        .add("trace", &Array1::from(state.trace.clone()))
}

fn read_state(path: &Path, n_targets: usize, n_candidates: usize) -> Result<Option<RfState>> {
    let Some(bytes) = sealed::read(path)? else { return Ok(None) };
    let file = npz::decode(&bytes, path)?;
    let state = RfState {
        n_done: whole_numbers(&file, "n_done")?.first().copied().unwrap_or(usize::MAX),
        best_scores: numbers(&file, "best_scores")?,
        best_windows: whole_numbers(&file, "best_windows")?,
        best_alphas: numbers(&file, "best_alphas")?,
        trace: numbers(&file, "trace")?,
    };
    let sizes = [state.best_scores.len(), state.best_windows.len(), state.best_alphas.len()];
    let fits = sizes == [n_targets; 3]
        && state.n_done <= n_candidates
        && state.trace.len() == state.n_done
        && state.best_windows.iter().all(|&w| w < n_candidates);
    if fits {
        return Ok(Some(state));
    }
    let found = format!("{} candidates of {} targets", state.n_done, state.best_scores.len());
    let hint = "remove it: the search begins again";
    Err(Error::corrupt(path, format!("a search over {n_candidates} candidates"), found, hint))
}
