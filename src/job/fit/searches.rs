//! Models that are searched for, all targets at once: weights of sets of features.
//!
//! A search is kept after every few candidates.

use super::fitting::{Bench, shares};
use super::part::Part;
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
        let path = self.folder.join(format!("search-{stem}-{:08}.checkpoint", self.targets.start));
        let n_candidates = search.candidates().nrows();
        let mut state = read_state(&path, self.targets.len(), n_candidates)?
            .unwrap_or_else(|| SearchState::new(self.targets.len()));
        let mut progress = self.progress("feature spaces", n_candidates, state.n_done);
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
        Ok(Banded { search, state, xs })
    }
}

/// Whole numbers as an archive holds them.
pub(super) fn whole(values: &[usize]) -> Array1<f64> {
    values.iter().map(|&v| v as f64).collect()
}

/// An array of an archive.
pub(super) fn numbers(file: &npz::Npz, name: &str) -> Result<Vec<f64>> {
    Ok(file.get::<f64>(name)?.iter().copied().collect())
}

/// [`whole`], read; what is none becomes a number that is too large.
pub(super) fn whole_numbers(file: &npz::Npz, name: &str) -> Result<Vec<usize>> {
    let of = |v: f64| if v >= 0.0 && v.fract() == 0.0 { v as usize } else { usize::MAX };
    Ok(numbers(file, name)?.into_iter().map(of).collect())
}

fn archive(state: &SearchState) -> npz::NpzWriter {
    npz::NpzWriter::new()
        .add("n_done", &whole(&[state.n_done]))
        .add("best_scores", &Array1::from(state.best_scores.clone()))
        .add("best_gammas", &whole(&state.best_gammas))
        .add("best_alphas", &Array1::from(state.best_alphas.clone()))
        .add("trace", &Array1::from(state.trace.clone()))
}

fn read_state(path: &Path, n_targets: usize, n_candidates: usize) -> Result<Option<SearchState>> {
    let Some(bytes) = sealed::read(path)? else { return Ok(None) };
    let file = npz::decode(&bytes, path)?;
    let state = SearchState {
        n_done: whole_numbers(&file, "n_done")?.first().copied().unwrap_or(usize::MAX),
        best_scores: numbers(&file, "best_scores")?,
        best_gammas: whole_numbers(&file, "best_gammas")?,
        best_alphas: numbers(&file, "best_alphas")?,
        trace: numbers(&file, "trace")?,
    };
    let sizes = [state.best_scores.len(), state.best_gammas.len(), state.best_alphas.len()];
    let fits = sizes == [n_targets; 3]
        && state.n_done <= n_candidates
        && state.trace.len() == state.n_done
        && state.best_gammas.iter().all(|&g| g < n_candidates);
    if fits {
        return Ok(Some(state));
    }
    let found = format!("{} candidates of {} targets", state.n_done, state.best_scores.len());
    let hint = "remove it: the search begins again";
    Err(Error::corrupt(path, format!("a search over {n_candidates} candidates"), found, hint))
}
