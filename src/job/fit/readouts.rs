//! Models with a map and a weight of every channel for each target, trained by epochs.

use super::fitting::Bench;
use super::part::Part;
use super::rounds::Round;
use super::spaces::Space;
use crate::encoding::folds::{Leakage, Rows};
use crate::encoding::readout::{FactorizedFit, FactorizedReadout, ReadoutTraining};
use crate::encoding::{AlphaReport, TargetState};
use crate::error::Result;
use ndarray::Axis;

impl Bench<'_> {
    /// Readouts and predictions of all targets. What layers are compared by is minus the loss on the
    /// validation rows; there are no penalties to choose.
    ///
    /// # Errors
    /// What the estimator says.
    pub(super) fn factorized(
        &self,
        stem: &str,
        round: &Round,
        space: &Space<'_>,
        leakage: &mut Leakage,
    ) -> Result<Part> {
        let (start, n) = (self.targets.start, self.targets.len());
        let path = self.path(stem, start);
        let n_tested = round.test.as_ref().map_or(0, Rows::len);
        let training = self.training(round, space, leakage)?;
        if let Some(part) = Part::kept(&path, start, n, n_tested)? {
            return Ok(part);
        }
        let fit = self.trained(stem, training)?;
        let tested = round.test.as_ref().map_or(&[][..], Rows::indices);
        let predictions = fit.predict(space.features()?.select(Axis(0), tested).view());
        let fitted =
            |t: usize, value: f64, other: f64| if fit.states[t] == TargetState::Varies { value } else { other };
        let part = Part {
            start,
            alphas: vec![f64::NAN; n],
            cv_scores: fit.validation_loss.iter().enumerate().map(|(t, loss)| fitted(t, -loss, 0.0)).collect(),
            intercept: fit.intercept.clone(),
            report: AlphaReport::default(),
            predictions,
            shares: None,
            windows: None,
            gammas: None,
            widths: vec![space.features()?.ncols()],
            grid: vec![],
            states: fit.states,
        };
        part.keep(&path)?;
        Ok(part)
    }

    /// The fit of a round that was trained before.
    ///
    /// # Errors
    /// What the estimator says.
    pub(super) fn factorized_fit(&self, stem: &str, round: &Round, space: &Space<'_>) -> Result<FactorizedFit> {
        let training = self.training(round, space, &mut Leakage::default())?;
        self.trained(stem, training)
    }

    /// Checks what is given, and notes what will be fitted.
    pub(super) fn training<'s>(
        &'s self,
        round: &Round,
        space: &'s Space<'_>,
        leakage: &mut Leakage,
    ) -> Result<ReadoutTraining<'s>> {
        let readout = FactorizedReadout { options: self.config.readout.clone() };
        let (xy, inner) = ([space.features()?, self.columns(&self.targets)], &round.inner[0]);
        readout.training(xy, space.shape, &round.train, inner, leakage)
    }

    fn trained(&self, stem: &str, mut training: ReadoutTraining<'_>) -> Result<FactorizedFit> {
        let path = self.search_path(stem);
        training.resume(&path)?;
        while training.epoch(&self.work)? {
            training.save(&path)?;
        }
        training.save(&path)?;
        training.finish()
    }
}
