//! Models that take one Gaussian window a target: all targets at once, kept after every few
//! candidates.

use super::fitting::Bench;
use super::part::Part;
use super::rounds::Round;
use super::spaces::Space;
use crate::encoding::folds::{Leakage, Rows};
use crate::encoding::receptive_fields::{GaussianRf, RfFit, RfSearch};
use crate::encoding::{RidgeOptions, Scaling, SearchState};
use crate::error::Result;
use ndarray::Axis;

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
        let predictions = fit.predict(space.features()?.select(Axis(0), tested).view());
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
            widths: vec![space.features()?.ncols()],
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
        let x = space.features()?;
        GaussianRf { options, scaling }.prepare(x, space.shape.channels, &round.train, &round.inner, leakage)
    }

    fn rf_fit(&self, stem: &str, search: &RfSearch<'_>) -> Result<RfFit> {
        let y = self.columns(&self.targets);
        let step = |state: &mut SearchState| search.step(state, y, &self.work);
        let state = self.resumed(stem, "receptive fields", search.n_candidates(), step)?;
        search.finish(&state, y, &self.work)
    }
}
