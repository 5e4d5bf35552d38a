//! The model that is kept: everything that predictions of new stimuli need, in one file.

use super::config::Estimator;
use super::fitting::Bench;
use super::plan::Plan;
use super::rounds::Round;
use super::run::Outcome;
use super::sources::Source;
use super::spaces::{Learnt, SideBySide, Space};
use super::tables::Tables;
use super::units;
use crate::encoding::features::{Combined, Components};
use crate::encoding::folds::Leakage;
use crate::encoding::model::{
    EncodingModel, ModelNetwork, ModelSpace, Readout, ReadoutWeights, SpaceFrom, TrainingStimulus, write_streamed,
};
use crate::encoding::readout::FactorizedFit;
use crate::encoding::receptive_fields::RfFit;
use crate::encoding::ridge::RidgePrepared;
use crate::encoding::{Alphas, RidgeCv, RidgeOptions};
use crate::error::Result;
use ndarray::{Array2, Axis};
use std::collections::BTreeMap;
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
    let ended =
        chosen.iter().map(|&m| Ok((m, Ended::of(plan, bench, tables, m)?))).collect::<Result<BTreeMap<_, _>>>()?;
    let mut readouts: Vec<Readout> = chosen.iter().map(|&m| readout(plan, outcome, &ended[&m], (m, &places))).collect();
    let mut weights = Weights { plan, bench, tables, round, current: None };
    let learnt = learnt(plan, tables, &places)?;
    let of = &mut |r: usize, readout: &Readout| weights.of(chosen[r], readout, 0..readout.targets.len());
    let spaces = match units::on_units(plan, bench, (&places, &learnt), &mut readouts, of)? {
        Some(spaces) => spaces,
        None => spaces(plan, bench, learnt, (&places, &ended))?,
    };
    let head = EncodingModel {
        network: network(plan, &places)?,
        spaces,
        readouts,
        targets: plan.samples.targets.clone(),
        delays: plan.config.time.delays.clone(),
        stimuli: stimuli(plan, round),
    };
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

/// A fit of all targets that its checkpoint holds whole; a model of one set of features, and the model's
/// number is the set's.
enum Ended {
    Windows(Box<RfFit>),
    Maps(Box<FactorizedFit>),
    /// Weights are fitted range by range.
    No,
}

impl Ended {
    fn of(plan: &Plan, bench: &Bench<'_>, tables: &Tables<'_>, m: usize) -> Result<Self> {
        let (round, how, stem) = (plan.rounds.last().expect("a round"), plan.how(), stem(plan, m));
        let space = || tables.spaces(&plan.models[m], round, &how);
        Ok(match plan.config.estimator {
            Estimator::GaussianRf => Self::Windows(Box::new(bench.window_fit(&stem, round, &space()?[0])?)),
            Estimator::Factorized => Self::Maps(Box::new(bench.factorized_fit(&stem, round, &space()?[0])?)),
            Estimator::Ridge | Estimator::Banded => Self::No,
        })
    }
}

fn readout(plan: &Plan, outcome: &Outcome, ended: &Ended, (m, places): (usize, &[usize])) -> Readout {
    let last = &outcome.models[m].last;
    let targets: Vec<usize> = (0..outcome.best.len()).filter(|&t| outcome.best[t] == Some(m)).collect();
    let own = |values: &[f64]| targets.iter().map(|&t| values[t]).collect();
    let place = |s: &usize| places.binary_search(s).expect("collected from all models");
    let weights = match ended {
        Ended::Windows(fit) => ReadoutWeights::Windows {
            windows: targets.iter().map(|&t| fit.windows[t]).collect(),
            weights: fit.weights.select(Axis(1), &targets),
        },
        Ended::Maps(fit) => ReadoutWeights::Factorized {
            maps: fit.maps.select(Axis(1), &targets),
            channels: fit.channels.select(Axis(1), &targets),
            output: fit.output,
        },
        Ended::No => ReadoutWeights::Dense(Array2::zeros((last.widths.iter().sum(), 0))),
    };
    Readout {
        spaces: plan.models[m].spaces.iter().map(place).collect(),
        intercept: own(&last.intercept),
        alphas: own(&last.alphas),
        weights,
        targets,
    }
}

/// What the checkpoints of a model in the last round are called.
fn stem(plan: &Plan, m: usize) -> String {
    format!("fit-{m:03}-{:03}", plan.rounds.len() - 1)
}

/// What was learnt of sets of features in the last round.
fn learnt(plan: &Plan, tables: &Tables<'_>, places: &[usize]) -> Result<Vec<Learnt>> {
    let (round, how) = (plan.rounds.last().expect("a round"), plan.how());
    let one = |&s: &usize| {
        let alone = super::fitting::Model { name: String::new(), spaces: vec![s] };
        tables.spaces(&alone, round, &how)?[0].learn(&round.train, &mut Leakage::default())
    };
    places.iter().map(one).collect()
}

/// Sets of features with what was learnt of them.
fn spaces(
    plan: &Plan,
    bench: &Bench<'_>,
    learnt: Vec<Learnt>,
    (places, ended): (&[usize], &BTreeMap<usize, Ended>),
) -> Result<Vec<ModelSpace>> {
    let (names, components) = (plan.source.names(), components_of(plan, bench, places, &learnt)?);
    let mut kept = Vec::new();
    for ((&s, learnt), components) in places.iter().zip(learnt).zip(components) {
        let (mean, scale) = match ended.get(&s) {
            Some(Ended::Windows(fit)) => (fit.mean.clone(), fit.scale.clone()),
            Some(Ended::Maps(fit)) => fit.scaling_of_units(),
            Some(Ended::No) | None => (learnt.standardizer.mean().to_vec(), learnt.standardizer.scale().to_vec()),
        };
        let from = match &plan.source {
            Source::Layers(layers) => {
                SpaceFrom::Tap { tap: names[s].clone(), reduction: layers.reduction_of(s, &plan.config)? }
            }
            Source::Given(given) => SpaceFrom::Given { n_features: given[s].1.ncols() },
        };
        kept.push(ModelSpace { name: names[s].clone(), from, components, mean, scale });
    }
    Ok(kept)
}

/// Components of sets of features: one more pass for all layers of which only inner products were kept.
fn components_of(
    plan: &Plan,
    bench: &Bench<'_>,
    places: &[usize],
    learnt: &[Learnt],
) -> Result<Vec<Option<Components>>> {
    let mut all: Vec<_> = learnt.iter().map(|l| l.pca.as_ref().and_then(Components::of_features)).collect();
    let lacks = |i: &usize| all[*i].is_none() && learnt[*i].pca.is_some();
    let missing: Vec<usize> = (0..places.len()).filter(lacks).collect();
    let wanted: Vec<Combined<'_>> = missing.iter().filter_map(|&i| learnt[i].pca.as_ref()).map(Into::into).collect();
    let Source::Layers(layers) = &plan.source else { return Ok(all) };
    let taps: Vec<usize> = missing.iter().map(|&i| places[i]).collect();
    let found = units::passed((plan, layers), bench, &taps, &wanted)?;
    missing.into_iter().zip(found).for_each(|(i, own)| all[i] = Some(own));
    Ok(all)
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
    /// And what every set of features was multiplied by: the file has features as they are.
    Ridge(Box<RidgePrepared>, Vec<(usize, f32)>),
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
            Ready::Ridge(prepared, sets) => {
                let y = self.bench.y.select(Axis(1), targets);
                let mut weights = prepared.weights(y.view(), &readout.alphas[range], &self.bench.work)?;
                let mut rows = weights.rows_mut().into_iter();
                for (width, factor) in sets {
                    rows.by_ref().take(*width).for_each(|mut row| row *= *factor);
                }
                Ok(weights)
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
                let features = SideBySide(&spaces);
                let sets = match spaces.len() {
                    1 => vec![],
                    _ => {
                        let joined = features.joined(&self.round.train, quiet)?;
                        joined.widths.into_iter().zip(joined.factors).collect()
                    }
                };
                let prepared = cv.prepare_on(&features, &self.round.train, &[], quiet)?;
                Ok(Ready::Ridge(Box::new(prepared), sets))
            }
            Estimator::Banded => {
                let found = self.bench.searched(&stem, self.round, &spaces, quiet)?;
                let weights = self.bench.band_weights(&found, &self.round.train, self.bench.y)?;
                let views: Vec<_> = weights.iter().map(|w| w.view()).collect();
                Ok(Ready::Whole(ndarray::concatenate(Axis(0), &views).expect("weights of the same targets")))
            }
            Estimator::GaussianRf | Estimator::Factorized => unreachable!("their weights are in the head"),
        }
    }
}
