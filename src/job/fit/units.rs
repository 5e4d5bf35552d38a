//! Weights on the units of layers themselves, where that is less than components and weights on
//! these: a few neurons need no principal components of a layer with a million units.

use super::config::Estimator;
use super::fitting::Bench;
use super::plan::Plan;
use super::sources::{Layers, Source};
use super::spaces::Learnt;
use crate::encoding::features::{Combined, Components, Limits, Pca, Reduction, components};
use crate::encoding::model::{ModelSpace, Readout, ReadoutWeights, SpaceFrom};
use crate::error::Result;
use crate::job::model;
use crate::network::TapRequest;
use ndarray::{Array2, ArrayView2, Axis, Slice, concatenate};

/// Rewrites readouts onto units: their weights, and intercepts that take up the means of scores. Sets of
/// features are then whole layers. None where components are fewer than the targets of some set, or
/// features are none of a layer's components.
///
/// `weights(r, readout)`: of all of a readout's targets on its (scaled) components.
///
/// # Errors
/// What fitting weights and the network say.
pub fn on_units(
    plan: &Plan,
    bench: &Bench<'_>,
    (places, learnt): (&[usize], &[Learnt]),
    readouts: &mut [Readout],
    weights: &mut dyn FnMut(usize, &Readout) -> Result<Array2<f32>>,
) -> Result<Option<Vec<ModelSpace>>> {
    let Source::Layers(layers) = &plan.source else { return Ok(None) };
    let pcas: Option<Vec<&Pca>> = learnt.iter().map(|l| l.pca.as_ref()).collect();
    let Some(pcas) = pcas.filter(|pcas| folds(plan, layers, pcas, readouts)) else { return Ok(None) };
    let mut onto: Vec<Array2<f64>> = pcas.iter().map(|pca| Array2::zeros((pca.n_components(), 0))).collect();
    // Which columns of each of its sets are a readout's.
    let mut columns = Vec::new();
    for (r, readout) in readouts.iter_mut().enumerate() {
        let own = weights(r, readout)?;
        let mut row = 0;
        let mut starts = Vec::new();
        for &space in &readout.spaces {
            let k = pcas[space].n_components();
            let part = own.slice_axis(Axis(0), Slice::from(row..row + k));
            let scaled = unscaled(&learnt[space], part, &mut readout.intercept);
            starts.push(onto[space].ncols());
            onto[space] = concatenate(Axis(1), &[onto[space].view(), scaled.view()]).expect("as many components");
            row += k;
        }
        columns.push(starts);
    }
    let wanted: Vec<Combined<'_>> =
        pcas.into_iter().zip(onto).map(|(pca, onto)| Combined { pca, onto: Some(onto) }).collect();
    let found = passed((plan, layers), bench, places, &wanted)?;
    for (readout, starts) in readouts.iter_mut().zip(columns) {
        let n = readout.targets.len();
        let part = |(&space, start): (&usize, usize)| {
            found[space].components.slice_axis(Axis(1), Slice::from(start..start + n))
        };
        let parts: Vec<_> = readout.spaces.iter().zip(starts).map(part).collect();
        readout.weights = ReadoutWeights::Dense(concatenate(Axis(0), &parts).expect("as many targets"));
    }
    let names = plan.source.names();
    let space = |(&s, own): (&usize, Components)| ModelSpace {
        name: names[s].clone(),
        from: SpaceFrom::Tap { tap: names[s].clone(), reduction: Reduction::Flat },
        components: None,
        mean: own.mean,
        scale: own.scale,
    };
    Ok(Some(places.iter().zip(found).map(space).collect()))
}

/// Components, or combinations of them, on the units of some of the layers: one pass for them all, and
/// none for none.
///
/// # Errors
/// As [`components`].
pub fn passed(
    (plan, layers): (&Plan, &Layers),
    bench: &Bench<'_>,
    places: &[usize],
    wanted: &[Combined<'_>],
) -> Result<Vec<Components>> {
    if wanted.is_empty() {
        return Ok(vec![]);
    }
    let taps: Vec<TapRequest> = places.iter().map(|&s| TapRequest::Activations(layers.taps[s])).collect();
    let mut executor = model::executor(&layers.graph, &taps, &plan.device)?;
    let batch = Limits::default().batch;
    components(wanted, executor.as_mut(), &layers.images, batch, &plan.device, &bench.work)
}

/// Whether weights on units are fewer numbers.
fn folds(plan: &Plan, layers: &Layers, pcas: &[&Pca], readouts: &[Readout]) -> bool {
    let of_all_units = plan.config.stimuli.reduction.pca().is_some_and(|pca| pca.project.is_none());
    let linear = matches!(plan.config.estimator, Estimator::Ridge | Estimator::Banded);
    let n_targets = |space: usize| -> usize {
        readouts.iter().filter(|r| r.spaces.contains(&space)).map(|r| r.targets.len()).sum()
    };
    let fewer = pcas.iter().enumerate().all(|(space, pca)| n_targets(space) < pca.n_components());
    let still = layers.map.is_none() && plan.config.time.delays.is_empty();
    of_all_units && linear && still && fewer && !pcas.is_empty()
}

/// Weights of scores from those of scaled scores; their means go to the intercepts.
fn unscaled(learnt: &Learnt, weights: ArrayView2<'_, f32>, intercept: &mut [f64]) -> Array2<f64> {
    let (mean, scale) = (learnt.standardizer.mean(), learnt.standardizer.scale());
    let mut out = weights.mapv(f64::from);
    for ((mut row, scale), mean) in out.rows_mut().into_iter().zip(scale).zip(mean) {
        row /= *scale;
        intercept.iter_mut().zip(&row).for_each(|(b, w)| *b -= mean * w);
    }
    out
}
