//! The model that is kept: everything that predictions of new stimuli need, in one file.

use super::config::Estimator;
use super::fitting::Bench;
use super::plan::Plan;
use super::rounds::Round;
use super::run::Outcome;
use super::sources::Source;
use super::spaces::{Learnt, SideBySide, Space};
use super::tables::Tables;
use crate::encoding::features::{Components, components};
use crate::encoding::folds::Leakage;
use crate::encoding::model::{
    EncodingModel, ModelNetwork, ModelSpace, Readout, ReadoutWeights, SpaceFrom, TrainingStimulus, write_streamed,
};
use crate::encoding::ridge::RidgePrepared;
use crate::encoding::{Alphas, RidgeCv, RidgeOptions};
use crate::error::Result;
use crate::job::model;
use crate::network::TapRequest;
use ndarray::{Array2, Axis};
use std::ops::Range;
use std::path::Path;

/// Writes the best models of all targets, as the last round fitted them.
///
/// # Errors
/// As fitting; [`crate::Error::Io`].
pub fn model(plan: &Plan, bench: &Bench<'_>, tables: &Tables<'_>, outcome: &Outcome, path: &Path) -> Result<()> {
    let round = plan.rounds.last().expect("a round");
    let chosen: Vec<usize> = (0..plan.models.len()).filter(|&m| outcome.best.contains(&Some(m))).collect();
    let mut places: Vec<usize> = chosen.iter().flat_map(|&m| plan.models[m].spaces.clone()).collect();
    places.sort_unstable();
    places.dedup();
    let head = EncodingModel {
        network: network(plan, &places)?,
        spaces: spaces(plan, bench, tables, &places)?,
        readouts: chosen
            .iter()
            .map(|&m| readout(plan, bench, tables, outcome, (m, &places)))
            .collect::<Result<Vec<_>>>()?,
        targets: plan.samples.targets.clone(),
        delays: plan.config.time.delays.clone(),
        stimuli: stimuli(plan, round),
    };
    let mut weights = Weights { plan, bench, tables, round, current: None };
    write_streamed(path, &head, &mut |r, range| weights.of(chosen[r], &head.readouts[r], range))
}

/// The network below the taps that are used.
fn network(plan: &Plan, places: &[usize]) -> Result<Option<ModelNetwork>> {
    let Source::Layers(layers) = &plan.source else { return Ok(None) };
    let taps: Vec<usize> = places.iter().map(|&s| layers.taps[s]).collect();
    if taps.is_empty() {
        return Ok(None);
    }
    Ok(Some(ModelNetwork {
        graph: layers.graph.up_to(&taps)?,
        source_blake3: layers.blake3.clone(),
        resize: plan.config.stimuli.resize,
    }))
}

fn stimuli(plan: &Plan, round: &Round) -> Vec<TrainingStimulus> {
    if plan.samples.time.is_some() {
        return vec![];
    }
    let hash = |i: usize| match &plan.source {
        Source::Layers(layers) => layers.images.hash(i).to_owned(),
        Source::Given(_) => String::new(),
    };
    let stimulus = |&i: &usize| TrainingStimulus { name: plan.samples.names[i].clone(), hash: hash(i) };
    round.train.indices().iter().map(stimulus).collect()
}

fn readout(
    plan: &Plan,
    bench: &Bench<'_>,
    tables: &Tables<'_>,
    outcome: &Outcome,
    (m, places): (usize, &[usize]),
) -> Result<Readout> {
    let last = &outcome.models[m].last;
    let targets: Vec<usize> = (0..outcome.best.len()).filter(|&t| outcome.best[t] == Some(m)).collect();
    let own = |values: &[f64]| targets.iter().map(|&t| values[t]).collect();
    let place = |s: &usize| places.binary_search(s).expect("collected from all models");
    let weights = match (&last.windows, plan.config.estimator) {
        (Some(windows), _) => ReadoutWeights::Windows {
            windows: targets.iter().map(|&t| windows[t]).collect(),
            weights: Array2::zeros((n_channels(plan, &plan.models[m].spaces), 0)),
        },
        (None, Estimator::Factorized) => {
            let (round, how) = (plan.rounds.last().expect("a round"), plan.how());
            let spaces = tables.spaces(&plan.models[m], round, &how)?;
            let fit = bench.factorized_fit(&stem(plan, m), round, &spaces[0])?;
            let maps = fit.maps.select(Axis(1), &targets);
            ReadoutWeights::Factorized { maps, channels: fit.channels.select(Axis(1), &targets), output: fit.output }
        }
        (None, _) => ReadoutWeights::Dense(Array2::zeros((last.widths.iter().sum(), 0))),
    };
    Ok(Readout {
        spaces: plan.models[m].spaces.iter().map(place).collect(),
        intercept: own(&last.intercept),
        alphas: own(&last.alphas),
        weights,
        targets,
    })
}

/// What the checkpoints of a model in the last round are called.
fn stem(plan: &Plan, m: usize) -> String {
    format!("fit-{m:03}-{:03}", plan.rounds.len() - 1)
}

fn n_channels(plan: &Plan, spaces: &[usize]) -> usize {
    match &plan.source {
        Source::Layers(layers) => layers.graph.node(layers.taps[spaces[0]]).shape.channels,
        Source::Given(_) => 0,
    }
}

/// Sets of features with what was learnt of them in the last round.
fn spaces(plan: &Plan, bench: &Bench<'_>, tables: &Tables<'_>, places: &[usize]) -> Result<Vec<ModelSpace>> {
    let (round, how) = (plan.rounds.last().expect("a round"), plan.how());
    let mut kept = Vec::new();
    for &s in places {
        let alone = super::fitting::Model { name: String::new(), spaces: vec![s] };
        let own = tables.spaces(&alone, round, &how)?;
        let learnt = own[0].learn(&round.train, &mut Leakage::default())?;
        let (mean, scale) = match plan.config.estimator {
            // Each of these has a model on every set of features, in their order.
            Estimator::GaussianRf => {
                let fit = bench.window_fit(&stem(plan, s), round, &own[0])?;
                (fit.mean, fit.scale)
            }
            Estimator::Factorized => bench.factorized_fit(&stem(plan, s), round, &own[0])?.scaling_of_units(),
            _ => (learnt.standardizer.mean().to_vec(), learnt.standardizer.scale().to_vec()),
        };
        let from = match &plan.source {
            Source::Layers(layers) => {
                SpaceFrom::Tap { tap: own[0].name.to_owned(), reduction: layers.reduction_of(s, &plan.config)? }
            }
            Source::Given(given) => SpaceFrom::Given { n_features: given[s].1.ncols() },
        };
        let components = on_units(plan, bench, s, &learnt)?;
        kept.push(ModelSpace { name: own[0].name.to_owned(), from, components, mean, scale });
    }
    Ok(kept)
}

/// Components on the units of a layer: one more pass where only inner products were kept.
fn on_units(plan: &Plan, bench: &Bench<'_>, space: usize, learnt: &Learnt) -> Result<Option<Components>> {
    let Some(pca) = &learnt.pca else { return Ok(None) };
    if let Some((mean, scale, components)) = pca.units() {
        let components = components.to_owned();
        return Ok(Some(Components { mean: mean.to_vec(), scale: scale.to_vec(), components }));
    }
    let Source::Layers(layers) = &plan.source else { return Ok(None) };
    let request = [TapRequest::Activations(layers.taps[space])];
    let mut executor = model::executor(&layers.graph, &request, &plan.device)?;
    let batch = crate::encoding::features::Limits::default().batch;
    components(pca, executor.as_mut(), &layers.images, batch, &plan.device, &bench.work).map(Some)
}

/// Weights of the models in the file, range by range.
struct Weights<'a, 'b, 'c> {
    plan: &'a Plan,
    bench: &'a Bench<'b>,
    tables: &'a Tables<'c>,
    round: &'a Round,
    /// The model that is at hand.
    current: Option<(usize, Ready)>,
}

enum Ready {
    Ridge(Box<RidgePrepared>),
    /// All features x all targets of the run.
    Whole(Array2<f32>),
}

impl Weights<'_, '_, '_> {
    fn of(&mut self, m: usize, readout: &Readout, range: Range<usize>) -> Result<Array2<f32>> {
        if self.current.as_ref().is_none_or(|(at, _)| *at != m) {
            self.current = None;
            self.current = Some((m, self.ready(m)?));
        }
        let targets = &readout.targets[range.clone()];
        match &self.current.as_ref().expect("made above").1 {
            Ready::Ridge(prepared) => {
                let y = self.plan.samples.y.select(Axis(1), targets);
                prepared.weights(y.view(), &readout.alphas[range], &self.bench.work)
            }
            Ready::Whole(weights) => Ok(weights.select(Axis(1), targets)),
        }
    }

    fn ready(&self, m: usize) -> Result<Ready> {
        let how = self.plan.how();
        let spaces: Vec<Space<'_>> = self.tables.spaces(&self.plan.models[m], self.round, &how)?;
        let (quiet, stem) = (&mut Leakage::default(), stem(self.plan, m));
        match self.plan.config.estimator {
            Estimator::Ridge => {
                // Penalties are known: none is chosen.
                let alphas = Alphas::Absolute(vec![1.0]);
                let cv = RidgeCv { options: RidgeOptions { alphas, ..self.bench.config.ridge() } };
                cv.prepare_on(&SideBySide(&spaces), &self.round.train, &[], quiet)
                    .map(|made| Ready::Ridge(Box::new(made)))
            }
            Estimator::Banded => {
                let found = self.bench.searched(&stem, self.round, &spaces, quiet)?;
                let weights = self.bench.band_weights(&found, &self.round.train, self.bench.y)?;
                let views: Vec<_> = weights.iter().map(|w| w.view()).collect();
                Ok(Ready::Whole(ndarray::concatenate(Axis(0), &views).expect("weights of the same targets")))
            }
            Estimator::GaussianRf => {
                let fit = self.bench.window_fit(&stem, self.round, &spaces[0])?;
                Ok(Ready::Whole(fit.weights))
            }
            // Its weights are in the head of the file.
            Estimator::Factorized => Ok(Ready::Whole(Array2::zeros((0, self.plan.samples.n_targets())))),
        }
    }
}
