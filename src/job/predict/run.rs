//! The work of `predict`.

use super::output;
use super::plan::Plan;
use super::results::Results;
use super::scores::{identified, score};
use super::{RunDir, Session, figures};
use crate::encoding::model::PredictOptions;
use crate::encoding::solver::Work;
use crate::error::Result;
use crate::job::machine::peak_rss_mb;
use crate::job::model::executor;
use crate::network::Executor;
use ndarray::{Array2, ArrayView2};

/// Nothing of this job is worth a checkpoint: predictions are made again in seconds or minutes.
pub fn execute(plan: &Plan, session: &Session, run: &mut RunDir) -> Result<Results> {
    session.cancel.check()?;
    let predictions = predict(plan, session, run)?;
    session.cancel.check()?;
    output::arrays(plan, run, &predictions)?;
    let recorded = plan.recorded.as_ref();
    let table =
        recorded.map(|found| score(&predictions, found, &plan.model.targets, plan.config.n_best)).transpose()?;
    if let Some(table) = &table {
        output::scores(plan, run, table)?;
    }
    session.cancel.check()?;
    figures::draw(plan, run, &predictions, table.as_ref())?;
    let fitted: usize = plan.model.readouts.iter().map(|readout| readout.targets.len()).sum();
    Ok(Results {
        model: plan.file.display().to_string(),
        n_stimuli: plan.n_stimuli(),
        n_targets: plan.model.targets.len(),
        n_unfitted: plan.model.targets.len() - fitted,
        n_trained: plan.n_trained(),
        identification: table.as_ref().and_then(identified),
        scores: table.map(|table| table.summary),
        seconds: session.seconds(),
        peak_rss_mb: peak_rss_mb(),
    })
}

fn predict(plan: &Plan, session: &Session, run: &mut RunDir) -> Result<Array2<f32>> {
    let given: Vec<ArrayView2<'_, f32>> = plan.given.iter().map(|array| array.view()).collect();
    let (Some(network), Some(images)) = (&plan.model.network, &plan.images) else {
        return plan.model.predict_features(&given, None);
    };
    let work = Work { cancel: session.cancel.clone(), progress: session.progress.clone() };
    let (batch, device) = (plan.config.batch, plan.device.clone());
    let options = PredictOptions { batch, device, work, map: None, runs: None, given: &given };
    let mut make = |taps: &[crate::network::TapRequest]| -> Result<Box<dyn Executor>> {
        let made = executor(&network.graph, taps, &plan.device)?;
        run.computes_on(made.describe())?;
        Ok(made)
    };
    plan.model.predict_images(images, &mut make, &options)
}
