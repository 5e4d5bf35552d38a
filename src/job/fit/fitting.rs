//! One model fitted in one round, range of targets by range: penalties, predictions of tested rows.

use super::config::{Config, Estimator};
use super::part::Part;
use super::rounds::Round;
use super::spaces::{Joined, SideBySide, Space};
use crate::encoding::RidgeCv;
use crate::encoding::folds::{Leakage, Rows};
use crate::encoding::ridge::RidgePrepared;
use crate::encoding::scores::{correlation_split, r2_split};
use crate::encoding::solver::Work;
use crate::error::{Error, Result};
use crate::progress::Progress;
use ndarray::{Array2, Array3, ArrayView2, Axis, Slice};
use std::ops::Range;
use std::path::PathBuf;

/// A model that is fitted: on which sets of features.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// A set's name, or `together`.
    pub name: String,
    pub spaces: Vec<usize>,
}

/// What fitting needs besides a model and its features.
pub struct Bench<'a> {
    pub config: &'a Config,
    /// All samples x all targets, as the round that is at hand sees them.
    pub y: ArrayView2<'a, f32>,
    /// The targets of this run: all, or a shard's.
    pub targets: Range<usize>,
    pub gammas: Option<Vec<Vec<f64>>>,
    /// Folder of checkpoints.
    pub folder: PathBuf,
    pub work: Work,
}

/// A part takes about so many targets, so that little is lost when a run is interrupted.
const PART: usize = 4608;

impl Bench<'_> {
    /// The same with responses as a round sees them; `part` is what progress calls the work.
    pub fn on<'b>(&'b self, y: ArrayView2<'b, f32>, part: &str) -> Bench<'b> {
        let (config, targets, gammas) = (self.config, self.targets.clone(), self.gammas.clone());
        let work = Work { cancel: self.work.cancel.clone(), progress: self.work.progress.within(part) };
        Bench { config, y, targets, gammas, folder: self.folder.clone(), work }
    }

    /// Fits a model in a round; what was kept of it is not fitted again.
    ///
    /// # Errors
    /// What the estimators say.
    pub fn fit(
        &self,
        (number, model): (usize, &Model),
        (r, round): (usize, &Round),
        spaces: &[Space<'_>],
        leakage: &mut Leakage,
    ) -> Result<Part> {
        let stem = format!("fit-{number:03}-{r:03}");
        let found = match self.config.estimator {
            Estimator::Ridge => self.ridge(&stem, model, round, spaces, leakage),
            Estimator::Banded => self.banded(&stem, round, spaces, leakage),
            Estimator::GaussianRf => self.windows(&stem, round, &spaces[0], leakage),
            Estimator::Factorized => self.factorized(&stem, round, &spaces[0], leakage),
        };
        found.map_err(|error| of_sets(error, spaces))
    }

    /// Notes what a fit in a round learns, without fitting.
    ///
    /// # Errors
    /// What the estimators say.
    pub fn learn(&self, round: &Round, spaces: &[Space<'_>], leakage: &mut Leakage) -> Result<()> {
        let learnt = match self.config.estimator {
            Estimator::Ridge => {
                let cv = RidgeCv { options: self.config.ridge() };
                cv.prepare_on(&SideBySide(spaces), &round.train, &round.inner, leakage).map(drop)
            }
            Estimator::Banded => self.band_search(round, spaces, leakage).map(drop),
            Estimator::GaussianRf => self.rf_search(round, &spaces[0], leakage).map(drop),
            Estimator::Factorized => self.training(round, &spaces[0], leakage).map(drop),
        };
        learnt.map_err(|error| of_sets(error, spaces))
    }

    pub(super) fn progress(&self, task: &str, total: usize, done: usize) -> Progress {
        Progress::new(&self.work.progress, task, total as u64, done as u64)
    }

    fn ranges(&self, size: usize) -> Vec<Range<usize>> {
        let Range { start, end } = self.targets;
        (start..end).step_by(size).map(|from| from..end.min(from + size)).collect()
    }

    pub(super) fn path(&self, stem: &str, start: usize) -> PathBuf {
        self.folder.join(format!("{stem}-{start:08}.checkpoint"))
    }

    /// Where a search or a training of all targets is kept.
    pub(super) fn search_path(&self, stem: &str) -> PathBuf {
        self.path(&format!("search-{stem}"), self.targets.start)
    }

    pub(super) fn columns(&self, range: &Range<usize>) -> ArrayView2<'_, f32> {
        self.y.slice_axis(Axis(1), Slice::from(range.clone()))
    }

    fn ridge(
        &self,
        stem: &str,
        model: &Model,
        round: &Round,
        spaces: &[Space<'_>],
        leakage: &mut Leakage,
    ) -> Result<Part> {
        let features = SideBySide(spaces);
        let cv = RidgeCv { options: self.config.ridge() };
        // Prepared even where everything was kept: what it learns is part of the report.
        let prepared = cv.prepare_on(&features, &round.train, &round.inner, leakage)?;
        let ranges = self.ranges(prepared.targets_at_a_time().min(PART));
        let n_tested = round.test.as_ref().map_or(0, Rows::len);
        let shared = self.shared_alpha(&prepared, &ranges)?;
        let mut tested = None;
        let mut parts = Vec::new();
        for range in ranges {
            let path = self.path(stem, range.start);
            if let Some(part) = Part::kept(&path, range.start, range.len(), n_tested)? {
                parts.push(part);
                continue;
            }
            let Joined { x, widths, .. } = match &tested {
                Some(made) => made,
                None => tested.insert(tested_rows(&features, round)?),
            };
            let y = self.columns(&range);
            let selection = match shared {
                Some(alpha) => prepared.prepared().select_at(alpha, y, &self.work)?,
                None => prepared.prepared().select(y, &self.work)?,
            };
            let fit = prepared.refit(y, selection, &self.work)?;
            let shares = match (&round.test, model.spaces.len()) {
                (Some(test), 2..) => Some(shares(test, y, parts_of(x.view(), fit.weights.view(), widths))?),
                _ => None,
            };
            let part = Part {
                start: range.start,
                predictions: fit.predict(x.view()),
                alphas: fit.selection.alphas,
                intercept: fit.intercept,
                cv_scores: fit.selection.cv_scores,
                states: fit.selection.states,
                report: fit.selection.report,
                shares,
                windows: None,
                gammas: None,
                widths: widths.clone(),
                grid: prepared.prepared().alphas().to_vec(),
            };
            part.keep(&path)?;
            parts.push(part);
        }
        Ok(Part::joined(&parts))
    }

    /// The penalty of all targets, where they share one.
    fn shared_alpha(&self, prepared: &RidgePrepared, ranges: &[Range<usize>]) -> Result<Option<f64>> {
        if self.config.ridge.per_target {
            return Ok(None);
        }
        let (mut sums, mut n) = (vec![0.0; prepared.prepared().alphas().len()], 0);
        for range in ranges {
            let (own, fitted) = prepared.prepared().score_sums(self.columns(range), &self.work)?;
            sums.iter_mut().zip(own).for_each(|(sum, v)| *sum += v);
            n += fitted;
        }
        Ok(Some(prepared.prepared().shared(&sums, n)))
    }
}

/// An error of an estimator about its features, with the names of the sets: estimators know none.
fn of_sets(error: Error, spaces: &[Space<'_>]) -> Error {
    match error {
        Error::Invalid { at, expected, found, hint } if at == "features" || at.starts_with("channels under window") => {
            let names: Vec<String> = spaces.iter().map(|space| format!("`{}`", space.name)).collect();
            Error::Invalid { at: format!("{at} of {}", names.join(" and ")), expected, found, hint }
        }
        other => other,
    }
}

/// Features of the tested rows.
fn tested_rows(features: &SideBySide<'_>, round: &Round) -> Result<Joined> {
    let joined = features.joined(&round.train, &mut Leakage::default())?;
    let rows = round.test.as_ref().map_or(&[][..], Rows::indices);
    Ok(Joined { x: joined.x.select(Axis(0), rows), ..joined })
}

/// What each set of features, in columns that stand side by side, predicts.
fn parts_of(x: ArrayView2<'_, f32>, weights: ArrayView2<'_, f32>, widths: &[usize]) -> Array3<f32> {
    let mut parts = Array3::zeros((widths.len(), x.nrows(), weights.ncols()));
    let mut start = 0;
    for (width, mut part) in widths.iter().zip(parts.outer_iter_mut()) {
        let columns = Slice::from(start..start + width);
        part.assign(&x.slice_axis(Axis(1), columns).dot(&weights.slice_axis(Axis(0), columns)));
        start += width;
    }
    parts
}

/// What each set adds to the tested r, and to R2.
pub(super) fn shares(test: &Rows, y: ArrayView2<'_, f32>, parts: Array3<f32>) -> Result<[Array2<f64>; 2]> {
    let y = test.take(y, "targets")?;
    Ok([correlation_split(y.view(), parts.view())?, r2_split(y.view(), parts.view(), true)?])
}
