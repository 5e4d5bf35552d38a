//! A run's numbers in summary.

use super::config::Estimator;
use super::plan::Plan;
use super::results::{
    Fit, Identified, LayerResult, LayerScores, Permutations, RegionField, RegionScores, ScoresResult,
};
use super::rounds::Round;
use super::run::{ModelOutcome, Outcome, State};
use super::score::Ceilings;
use super::sources::Source;
use crate::encoding::features::Reduction;
use crate::encoding::identification::{Identification, identify as identify_all, usable_targets};
use crate::encoding::receptive_fields::size_and_eccentricity;
use crate::encoding::{AlphaReport, Rows};
use crate::error::Result;
use crate::math::stats;
use ndarray::{Array2, ArrayView2, Axis};

/// The results of a fit.
///
/// # Errors
/// As identification.
pub fn fit(plan: &Plan, outcome: &Outcome, ceilings: Option<&Ceilings>) -> Result<Fit> {
    let samples = &plan.samples;
    let last = plan.rounds.last().expect("a round");
    let count = |state: State| outcome.states.iter().filter(|&&s| s == state).count();
    let counted = counted(plan, ceilings);
    let left_out = |r: &Round| if r.test.is_some() { r.n_left_out } else { 0 };
    Ok(Fit {
        n_samples: samples.n_samples(),
        n_train: last.train.len(),
        n_test: plan.n_tested(),
        n_left_out: plan.rounds.iter().map(left_out).sum(),
        n_targets: samples.n_targets(),
        n_constant: count(State::Constant),
        n_constant_tested: count(State::ConstantTested),
        n_not_finite: count(State::NotFinite),
        n_low_snr: samples.n_targets() - counted.len(),
        estimator: name(plan.config.estimator).into(),
        scores: scores(plan, outcome, &counted, ceilings),
        identification: identification(plan, outcome)?,
        alphas: alphas(outcome),
        layers: layers(plan, outcome, &counted),
        receptive_fields: fields(plan, outcome, &counted),
        leakage: outcome.leakage.clone(),
        model: "arrays/model.safetensors".into(),
    })
}

/// As configurations write it.
pub fn name(estimator: Estimator) -> &'static str {
    match estimator {
        Estimator::Ridge => "ridge",
        Estimator::Banded => "banded",
        Estimator::GaussianRf => "gaussian_rf",
        Estimator::Factorized => "factorized",
    }
}

/// Targets that summaries are over.
pub fn counted(plan: &Plan, ceilings: Option<&Ceilings>) -> Vec<usize> {
    let least = plan.config.scores.min_snr;
    let enough = |t: &usize| match (least, ceilings) {
        // A target without a signal-to-noise ratio has none that is enough.
        (Some(least), Some(ceilings)) => ceilings.snr[*t] >= least,
        _ => true,
    };
    (0..plan.samples.n_targets()).filter(enough).collect()
}

/// The targets of each region that summaries are over.
pub fn regions(plan: &Plan, counted: &[usize]) -> Vec<(String, Vec<usize>)> {
    let own = |targets: &Vec<u32>| {
        let inside: Vec<usize> = targets.iter().map(|&t| t as usize).collect();
        inside.into_iter().filter(|t| counted.binary_search(t).is_ok()).collect()
    };
    plan.samples.regions.iter().map(|(name, targets)| (name.clone(), own(targets))).collect()
}

fn scores(plan: &Plan, outcome: &Outcome, counted: &[usize], ceilings: Option<&Ceilings>) -> Option<ScoresResult> {
    let own = outcome.scores.as_ref()?;
    let regions = regions(plan, counted);
    let by_roi = regions
        .iter()
        .map(|(roi, targets)| RegionScores { roi: roi.clone(), scores: own.summary(&plan.config, targets, ceilings) })
        .collect();
    let by_layer = plan.models.iter().zip(&outcome.models).filter_map(|(model, found)| {
        let scores = found.scores.as_ref()?;
        let median = |targets: &Vec<usize>| {
            let values: Vec<f64> = targets.iter().map(|&t| scores.r.values[t]).filter(|r| !r.is_nan()).collect();
            (!values.is_empty()).then(|| stats::median(&values))
        };
        Some(LayerScores {
            layer: model.name.clone(),
            scores: scores.summary(&plan.config, counted, None),
            roi_r: regions.iter().map(|(_, targets)| median(targets)).collect(),
            identification: found.identification.clone(),
        })
    });
    let tested = own.tested.as_ref();
    Some(ScoresResult {
        all: own.summary(&plan.config, counted, ceilings),
        by_roi,
        by_layer: by_layer.collect(),
        permutations: tested.map(|own| Permutations { n: own.n_permutations, smallest_p: own.smallest_p() }),
    })
}

/// Identifies tested stimuli by some targets, in every round among those of its test: a prediction of
/// another round was fitted on the stimulus in question. Patterns are scaled by the targets' means and
/// standard deviations over the round's training rows. `None` where there are too few stimuli or
/// targets.
///
/// # Errors
/// As [`identify_all`].
pub fn identify(
    plan: &Plan,
    test: &Rows,
    predictions: &Array2<f32>,
    usable: &[bool],
    categories: Option<&[usize]>,
) -> Result<Option<Identification>> {
    let targets: Vec<usize> = (0..usable.len()).filter(|&t| usable[t]).collect();
    let mut found: Vec<Identification> = Vec::new();
    for round in plan.rounds.iter().filter(|_| targets.len() > 1) {
        let Some(own) = &round.test else { continue };
        let of: Option<Vec<usize>> = categories.map(|all| own.indices().iter().map(|&row| all[row]).collect());
        let alone = |i: usize| of.as_ref().is_some_and(|of| of.iter().filter(|&&c| c == of[i]).count() < 2);
        if own.len() < 2 || (0..own.len()).all(alone) {
            continue;
        }
        let [predicted, measured] = patterns(plan, round, test, predictions.view(), &targets)?;
        if usable_targets(predicted.view(), measured.view()).len() > 1 {
            found.push(identify_all(predicted.view(), measured.view(), of.as_deref())?);
        }
    }
    Ok(over_rounds(&found))
}

/// Shares over all stimuli that were asked for.
fn over_rounds(found: &[Identification]) -> Option<Identification> {
    let n: usize = found.iter().map(|own| own.n_stimuli).sum();
    let share =
        |of: fn(&Identification) -> f64| found.iter().map(|own| of(own) * own.n_stimuli as f64).sum::<f64>() / n as f64;
    Some(Identification {
        of_measured: share(|own| own.of_measured),
        of_predicted: share(|own| own.of_predicted),
        pairwise: share(|own| own.pairwise),
        chance: share(|own| own.chance),
        n_stimuli: n,
        n_targets: found.first()?.n_targets,
    })
}

/// Predicted and measured patterns of a round's tested stimuli, scaled.
///
/// # Shapes
/// `predictions`: rows of `test` x all targets; the result: the round's tested rows x `targets`.
///
/// # Errors
/// Never for rows of the samples.
pub fn patterns(
    plan: &Plan,
    round: &Round,
    test: &Rows,
    predictions: ArrayView2<'_, f32>,
    targets: &[usize],
) -> Result<[Array2<f32>; 2]> {
    let own = round.test.as_ref().unwrap_or(test);
    let places = own.within(test).expect("the rows of a round are tested");
    let y = plan.samples.of_round(&round.train).select(Axis(1), targets);
    let mut measured = own.take(y.view(), "targets")?;
    let mut predicted = predictions.select(Axis(0), &places).select(Axis(1), targets);
    for (t, column) in y.columns().into_iter().enumerate() {
        let fitted: Vec<f64> = round.train.indices().iter().map(|&row| f64::from(column[row])).collect();
        let mean = stats::mean(&fitted);
        let sd = stats::divisor(stats::variance(&fitted, 0), mean);
        for matrix in [&mut measured, &mut predicted] {
            matrix.column_mut(t).mapv_inplace(|v| ((f64::from(v) - mean) / sd) as f32);
        }
    }
    Ok([predicted, measured])
}

/// Targets that stimuli are identified by: those that inner folds predict best.
pub fn identifying(plan: &Plan, outcome: &Outcome) -> Vec<bool> {
    let mut order: Vec<usize> = (0..outcome.best.len()).filter(|&t| outcome.best[t].is_some()).collect();
    if let Some(most) = plan.config.scores.identify_by {
        // Standardised first, as squared errors are in the targets' own units.
        let relative = relative_cv(plan, outcome);
        order.sort_by(|&a, &b| relative[b].total_cmp(&relative[a]));
        order.truncate(most);
    }
    let mut usable = vec![false; outcome.best.len()];
    order.into_iter().for_each(|t| usable[t] = true);
    usable
}

/// Inner folds' scores, squared errors divided by the target's variance over the training rows.
fn relative_cv(plan: &Plan, outcome: &Outcome) -> Vec<f64> {
    let train = &plan.rounds.last().expect("a round").train;
    let y = plan.samples.of_round(train);
    let is_error = plan.config.ridge.score == crate::encoding::Score::NegativeMse;
    let of = |t: usize| {
        let own: Vec<f64> = train.indices().iter().map(|&row| f64::from(y[(row, t)])).collect();
        let scale = if is_error { stats::variance(&own, 0) } else { 1.0 };
        outcome.cv_scores[t] / scale
    };
    (0..outcome.best.len()).map(of).collect()
}

fn identification(plan: &Plan, outcome: &Outcome) -> Result<Option<Identified>> {
    let Some(test) = &outcome.tested else { return Ok(None) };
    let usable = identifying(plan, outcome);
    let Some(all) = identify(plan, test, &outcome.predictions, &usable, None)? else { return Ok(None) };
    let within_category = match &plan.samples.categories {
        Some((numbers, _)) => identify(plan, test, &outcome.predictions, &usable, Some(numbers))?,
        None => None,
    };
    Ok(Some(Identified { all, within_category }))
}

/// Where the penalties of the models in the file lie, over all of them.
fn alphas(outcome: &Outcome) -> AlphaReport {
    let mut report = AlphaReport::default();
    outcome.models.iter().for_each(|model| report += model.last.report);
    report
}

fn layers(plan: &Plan, outcome: &Outcome, counted: &[usize]) -> Vec<LayerResult> {
    let regions = regions(plan, counted);
    let windows = |s: usize| match &plan.source {
        // What a plan could not count it has refused.
        Source::Layers(layers) => layers.windows_on(s, &plan.config).ok().flatten().map(|[on, _]| on),
        Source::Given(_) => None,
    };
    let together = outcome.models.iter().find_map(|model| model.shares.as_ref().map(|shares| (model, shares)));
    let mut all: Vec<LayerResult> = Vec::new();
    for (s, name) in plan.source.names().into_iter().enumerate() {
        let alone = plan.models.iter().position(|model| model.spaces == [s]);
        let own = layer(outcome, (s, alone), (name, together), counted, &regions);
        all.push(LayerResult { n_windows: windows(s), ..own });
    }
    if let Some(m) = plan.models.iter().position(|model| model.spaces.len() > 1) {
        let mut own = layer(outcome, (usize::MAX, Some(m)), ("together".into(), None), counted, &regions);
        own.n_features = outcome.models[m].n_features;
        all.push(own);
    }
    all
}

/// The model of all sets together, and what each of them adds to it.
type Together<'a> = Option<(&'a ModelOutcome, &'a [Array2<f64>; 2])>;

fn layer(
    outcome: &Outcome,
    (space, model): (usize, Option<usize>),
    (name, together): (String, Together<'_>),
    counted: &[usize],
    regions: &[(String, Vec<usize>)],
) -> LayerResult {
    let best = |targets: &[usize]| match model {
        Some(m) => targets.iter().filter(|&&t| outcome.best[t] == Some(m)).count(),
        None => 0,
    };
    let contribution = |targets: &[usize]| together.and_then(|(_, shares)| contribution(&shares[0], space, targets));
    let width = |m: usize| outcome.models[m].n_features;
    LayerResult {
        n_features: match (model, together) {
            (Some(m), _) => width(m),
            (None, Some((found, _))) => found.last.widths[space],
            (None, None) => 0,
        },
        name,
        n_windows: None,
        n_best: best(counted),
        roi_n_best: regions.iter().map(|(_, targets)| best(targets)).collect(),
        contribution: contribution(counted),
        roi_contribution: regions.iter().map(|(_, targets)| contribution(targets)).collect(),
        r2_share: together.map(|(_, shares)| {
            let own: Vec<f64> = counted.iter().map(|&t| shares[1][(space, t)]).collect();
            stats::mean(&own)
        }),
    }
}

/// What a set adds to r, over what all sets add, both summed over the targets.
fn contribution(shares: &Array2<f64>, space: usize, targets: &[usize]) -> Option<f64> {
    let of = |space: usize| targets.iter().map(|&t| shares[(space, t)]).sum::<f64>();
    let all: f64 = (0..shares.nrows()).map(of).sum();
    (all > 0.0).then(|| of(space) / all)
}

fn fields(plan: &Plan, outcome: &Outcome, counted: &[usize]) -> Vec<RegionField> {
    let Reduction::RfPooled(grid) = &plan.config.stimuli.reduction else { return vec![] };
    let Ok(candidates) = grid.candidates() else { return vec![] };
    let window = |t: usize| Some(outcome.models[outcome.best[t]?].last.windows.as_ref()?[t]);
    let windows: Vec<Option<usize>> = (0..outcome.best.len()).map(window).collect();
    let placed: Vec<usize> = windows.iter().map(|w| w.unwrap_or(0)).collect();
    let mut sets = regions(plan, counted);
    sets.insert(0, ("all".into(), counted.to_vec()));
    let field = |(roi, targets): (String, Vec<usize>)| {
        let own: Vec<usize> = targets.into_iter().filter(|&t| windows[t].is_some()).collect();
        size_and_eccentricity(&candidates, &placed, &own).map(|fields| RegionField { roi, fields })
    };
    sets.into_iter().filter_map(field).collect()
}
