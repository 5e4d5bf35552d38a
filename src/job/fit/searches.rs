//! Searches over candidates, all targets at once and kept after every few of them; weights of sets of
//! features.

use super::fitting::{Bench, shares};
use super::part::{Part, numbers, whole, whole_numbers};
use super::rounds::Round;
use super::spaces::Space;
use crate::encoding::banded::BandedSearch;
use crate::encoding::folds::{Leakage, Rows};
use crate::encoding::{BandedRidgeCv, Features, SearchState};
use crate::error::{Error, Result};
use crate::io::{npz, sealed};
use ndarray::{Array1, Array2, Array3, ArrayView2, Axis};
use std::path::Path;

/// A finished search over weights of sets of features.
pub struct Banded {
    pub search: BandedSearch,
    pub state: SearchState,
    /// Features of every set over all samples.
    pub xs: Vec<Array2<f32>>,
}

impl Bench<'_> {
    /// Penalties and predictions of all targets by banded ridge.
    ///
    /// # Errors
    /// What the estimator says.
    pub(super) fn banded(
        &self,
        stem: &str,
        round: &Round,
        spaces: &[Space<'_>],
        leakage: &mut Leakage,
    ) -> Result<Part> {
        let (start, n) = (self.targets.start, self.targets.len());
        let path = self.path(stem, start);
        let n_tested = round.test.as_ref().map_or(0, Rows::len);
        let kept = Part::kept(&path, start, n, n_tested)?;
        let found = self.searched(stem, round, spaces, leakage)?;
        if let Some(part) = kept {
            return Ok(part);
        }
        let y = self.columns(&self.targets);
        let fit = found.search.finish(&found.state, y, &self.work)?;
        let weights = self.band_weights(&found, &round.train, y)?;
        let tested = round.test.as_ref().map_or(&[][..], Rows::indices);
        let mut parts = Array3::zeros((found.xs.len(), n_tested, n));
        for ((x, w), mut to) in found.xs.iter().zip(&weights).zip(parts.outer_iter_mut()) {
            to.assign(&x.select(Axis(0), tested).dot(w));
        }
        let mut predictions = parts.sum_axis(Axis(0));
        for mut row in predictions.rows_mut() {
            row.iter_mut().zip(&fit.intercept).for_each(|(v, b)| *v = (f64::from(*v) + b) as f32);
        }
        let shares = match &round.test {
            Some(test) if spaces.len() > 1 => Some(shares(test, y, parts)?),
            _ => None,
        };
        let part = Part {
            start,
            alphas: fit.alphas,
            intercept: fit.intercept,
            cv_scores: fit.cv_scores,
            states: fit.states,
            report: fit.report,
            predictions,
            shares,
            windows: None,
            gammas: Some(fit.gammas),
            widths: found.xs.iter().map(Array2::ncols).collect(),
            grid: vec![],
        };
        part.keep(&path)?;
        Ok(part)
    }

    /// Weights of every set of features, features x targets.
    pub(super) fn band_weights(
        &self,
        found: &Banded,
        train: &Rows,
        y: ArrayView2<'_, f32>,
    ) -> Result<Vec<Array2<f32>>> {
        let rows: Vec<Array2<f32>> = found.xs.iter().map(|x| x.select(Axis(0), train.indices())).collect();
        let views: Vec<_> = rows.iter().map(|part| part.view()).collect();
        found.search.weights(&found.state, &views, y, &self.work)
    }

    /// Checks what is given, and notes what will be fitted.
    pub(super) fn band_search(
        &self,
        round: &Round,
        spaces: &[Space<'_>],
        leakage: &mut Leakage,
    ) -> Result<BandedSearch> {
        let banded = BandedRidgeCv {
            options: self.config.ridge(),
            gammas: self.config.banded.gammas(self.config.seed, self.gammas.clone()),
        };
        let features: Vec<&dyn Features> = spaces.iter().map(|space| space as &dyn Features).collect();
        banded.prepare_on(&features, &round.train, &round.inner, leakage)
    }

    /// The search, from where it was left.
    pub(super) fn searched(
        &self,
        stem: &str,
        round: &Round,
        spaces: &[Space<'_>],
        leakage: &mut Leakage,
    ) -> Result<Banded> {
        let search = self.band_search(round, spaces, leakage)?;
        let quiet = &mut Leakage::default();
        let xs = spaces.iter().map(|space| space.fitted_on(&round.train, quiet)).collect::<Result<Vec<_>>>()?;
        let y = self.columns(&self.targets);
        let n_candidates = search.candidates().nrows();
        let state = self.resumed(stem, "feature spaces", n_candidates, |state| search.step(state, y, &self.work))?;
        Ok(Banded { search, state, xs })
    }

    /// A search to its end, from where it was left; kept after every step.
    ///
    /// # Errors
    /// What a step says; [`Error::Corrupt`] for the checkpoint of another search.
    pub(super) fn resumed(
        &self,
        stem: &str,
        task: &str,
        n_candidates: usize,
        mut step: impl FnMut(&mut SearchState) -> Result<bool>,
    ) -> Result<SearchState> {
        let (path, n_targets) = (self.search_path(stem), self.targets.len());
        let mut state = read_state(&path, n_targets, n_candidates)?.unwrap_or_else(|| SearchState::new(n_targets));
        let mut progress = self.progress(task, n_candidates, state.n_done);
        loop {
            let before = state.n_done;
            if !step(&mut state)? {
                break;
            }
            (before..state.n_done).for_each(|_| progress.tick(String::new));
            sealed::write(&path, &archive(&state).bytes(&path)?)?;
        }
        progress.finish();
        Ok(state)
    }
}

fn archive(state: &SearchState) -> npz::NpzWriter {
    npz::NpzWriter::new()
        .add("n_done", &whole(&[state.n_done]))
        .add("best_scores", &Array1::from(state.best_scores.clone()))
        .add("best_candidates", &whole(&state.best_candidates))
        .add("best_alphas", &Array1::from(state.best_alphas.clone()))
        .add("trace", &Array1::from(state.trace.clone()))
}

fn read_state(path: &Path, n_targets: usize, n_candidates: usize) -> Result<Option<SearchState>> {
    let Some(bytes) = sealed::read(path)? else { return Ok(None) };
    let file = npz::decode(&bytes, path)?;
    let state = SearchState {
        n_done: whole_numbers(&file, "n_done", path)?.first().copied().unwrap_or(usize::MAX),
        best_scores: numbers(&file, "best_scores")?,
        best_candidates: whole_numbers(&file, "best_candidates", path)?,
        best_alphas: numbers(&file, "best_alphas")?,
        trace: numbers(&file, "trace")?,
    };
    let sizes = [state.best_scores.len(), state.best_candidates.len(), state.best_alphas.len()];
    let fits = sizes == [n_targets; 3]
        && state.n_done <= n_candidates
        && state.trace.len() == state.n_done
        && state.best_candidates.iter().all(|&c| c < n_candidates);
    if fits {
        return Ok(Some(state));
    }
    let found = format!("{} candidates of {} targets", state.n_done, state.best_scores.len());
    let hint = "remove it: the search begins again";
    Err(Error::corrupt(path, format!("a search over {n_candidates} candidates"), found, hint))
}
