//! Channels judged and removed, with a checkpoint after every round.

use super::config::{By, Config};
use super::judge::Side;
use super::plan::Plan;
use super::sets::Truth;
use crate::compression::importance::{
    Ablated, ActivationVariance, Importance, L1, LayerwiseVariance, Network, Random, Taylor,
};
use crate::compression::{Course, Pruner, Rounds, Until, originals};
use crate::error::{Error, Result};
use crate::io::sealed;
use crate::job::{RunDir, Session};
use crate::math::stats;
use crate::tensor::{Var, constant, tensor_from_vec};
use burn_tensor::activation::log_softmax;
use ndarray::{Array2, Axis, Slice};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

/// What the whole network's channels are worth.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct First {
    /// Of each channel of every pruned group, by its name.
    pub importance: BTreeMap<String, Vec<f64>>,
    /// Scores without single channels, of car and rar.
    pub ablated: BTreeMap<String, Ablated>,
}

/// What was found and done.
pub struct Pruned {
    pub first: First,
    pub course: Course,
    /// How channels were judged, in words.
    pub by: String,
}

/// Judges and removes channels, or goes on from what an earlier process did.
///
/// # Errors
/// As judging says; [`Error::Interrupted`] after a checkpoint.
pub fn prune(plan: &Plan, side: &Side<'_>, session: &Session, run: &RunDir) -> Result<Option<Pruned>> {
    let Some(by) = plan.config.prune.by else { return Ok(None) };
    let first = judge_first(plan, side, by, run)?;
    let path = run.checkpoint().join("course.checkpoint");
    let mut course: Course = read(&path)?.unwrap_or_default();
    let mut each = |course: &Course| write(&path, course);
    let pruner = Pruner {
        keep: plan.subject.keep.clone(),
        layers: plan.config.prune.layers.clone(),
        minimum: plan.config.prune.minimum,
        cancel: session.cancel.clone(),
        progress: session.progress.clone(),
        ..Pruner::new(&plan.subject.graph)
    };
    let loss = loss(side);
    if by == By::LayerwiseVariance {
        let rule = rule(&plan.config, side, false);
        pruner.layer_by_layer(&rule, &mut course, &mut each)?;
        let by = format!("{}; {} of it is left", rule.describe(), rule.share);
        return Ok(Some(Pruned { first, course, by }));
    }
    let importance = importance(plan, side, by, loss.as_ref(), false);
    let mut noted = Noted { importance, first: &first, n_channels: plan.groups.all().iter().map(|g| g.width()).sum() };
    let judge = |graph: &crate::network::Graph| side.score(graph).map(|scored| scored.score);
    let rounds = Rounds { scope: plan.config.prune.scope, at_once: plan.at_once() };
    let keep = plan.config.prune.keep.map(|keep| keep.of(plan.n_channels()));
    let until = Until { keep, max_drop: plan.config.prune.max_drop };
    pruner.in_rounds(&mut noted, Some(&judge), rounds, until, &mut course, &mut each)?;
    let by = noted.describe();
    drop(noted);
    Ok(Some(Pruned { first, course, by }))
}

/// Judges the channels of the whole network: those of a group after the other, each with a
/// checkpoint, where that takes long (ablation); else all in one pass.
fn judge_first(plan: &Plan, side: &Side<'_>, by: By, run: &RunDir) -> Result<First> {
    let path = run.checkpoint().join("channels.checkpoint");
    let mut first: First = read(&path)?.unwrap_or_default();
    let (graph, groups) = (&plan.subject.graph, &plan.groups);
    let original = originals(groups);
    let network = Network { graph, groups, original: &original };
    let left: Vec<usize> =
        plan.pruned.iter().copied().filter(|&g| !first.importance.contains_key(&groups.group(g).name)).collect();
    let name = |g: usize| groups.group(g).name.clone();
    if matches!(by, By::Car | By::Rar) {
        for g in left {
            let found = side.ablation(true).ablate(network, g)?;
            first.importance.insert(name(g), found.drops());
            first.ablated.insert(name(g), found);
            write(&path, &first)?;
        }
    } else if !left.is_empty() {
        let loss = loss(side);
        let scores = importance(plan, side, by, loss.as_ref(), true).scores(network, &left)?;
        first.importance.extend(left.into_iter().map(name).zip(scores));
        write(&path, &first)?;
    }
    Ok(first)
}

/// An importance that is known of the whole network.
struct Noted<'a> {
    importance: Box<dyn Importance + 'a>,
    first: &'a First,
    n_channels: usize,
}

impl Importance for Noted<'_> {
    fn describe(&self) -> String {
        self.importance.describe()
    }

    fn scores(&mut self, network: Network<'_>, groups: &[usize]) -> Result<Vec<Vec<f64>>> {
        if network.original.iter().map(Vec::len).sum::<usize>() < self.n_channels {
            return self.importance.scores(network, groups);
        }
        Ok(groups.iter().map(|&g| self.first.importance[&network.groups.group(g).name].clone()).collect())
    }
}

fn importance<'a>(
    plan: &Plan,
    side: &'a Side<'_>,
    by: By,
    loss: &'a Loss<'a>,
    shown: bool,
) -> Box<dyn Importance + 'a> {
    match by {
        By::Car | By::Rar => Box::new(side.ablation(shown)),
        By::L1 => Box::new(L1),
        By::Variance => Box::new(ActivationVariance(side.data(shown))),
        By::Random => Box::new(Random { seed: plan.config.seed }),
        By::Taylor => Box::new(Taylor::new(side.data(shown), &[plan.subject.graph.scores()], loss)),
        By::LayerwiseVariance => Box::new(rule(&plan.config, side, shown)),
    }
}

fn rule<'a>(config: &Config, side: &'a Side<'_>, shown: bool) -> LayerwiseVariance<'a> {
    let new = LayerwiseVariance::new(side.data(shown));
    LayerwiseVariance { share: config.prune.share, minimum: config.prune.minimum, ..new }
}

type Loss<'a> = dyn Fn(&[Var<4>], Range<usize>) -> Result<Var<1>> + 'a;

/// The loss of every image: cross-entropy with its label; without one, half the squared distance of
/// the outputs from their means, each in its standard deviations over the images.
fn loss<'a>(side: &'a Side<'_>) -> Box<Loss<'a>> {
    if let Truth::Labels(labels) = side.truth {
        return Box::new(move |taps, range| {
            let [n, c, ..] = taps[0].dims();
            let mut own = vec![0.0; n * c];
            labels[range].iter().enumerate().for_each(|(i, &label)| own[i * c + label] = 1.0);
            let own = constant(tensor_from_vec(own, [n, c], &taps[0].device()));
            let log_p = log_softmax(taps[0].clone().reshape([n, c]), 1);
            Ok((log_p * own).sum_dim(1).neg().reshape([n]))
        });
    }
    let scale = Scale::of(&side.outputs);
    Box::new(move |taps, range| {
        let (n, device) = (range.len(), taps[0].device());
        let [_, c, h, w] = taps[0].dims();
        let units = c * h * w;
        let weight = constant(tensor_from_vec(scale.weights.clone(), [1, units], &device));
        let mean = constant(tensor_from_vec(scale.means.clone(), [1, units], &device));
        let z = (taps[0].clone().reshape([n, units]) - mean) * weight;
        Ok((z.square().sum_dim(1) * 0.5).reshape([n]))
    })
}

/// Means of outputs and one over their standard deviations; 0 for those that never change.
pub struct Scale {
    pub means: Vec<f32>,
    pub weights: Vec<f32>,
}

impl Scale {
    /// Over images.
    pub fn of(outputs: &Array2<f32>) -> Self {
        let columns = outputs.axis_iter(Axis(1)).map(|c| c.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>());
        let of = |values: Vec<f64>| {
            let sd = stats::sd(&values, 0);
            (stats::mean(&values) as f32, if sd > 0.0 { (1.0 / sd) as f32 } else { 0.0 })
        };
        let (means, weights) = columns.map(of).unzip();
        Self { means, weights }
    }

    /// Outputs of some images in these numbers.
    pub fn apply(&self, outputs: &Array2<f32>, places: &[usize]) -> Vec<f32> {
        let row = |&i: &usize| {
            let row = outputs.slice_axis(Axis(0), Slice::from(i..i + 1));
            row.iter().zip(self.means.iter().zip(&self.weights)).map(|(v, (m, w))| (v - m) * w).collect::<Vec<f32>>()
        };
        places.iter().flat_map(row).collect()
    }
}

/// A sealed value; `None` where there is none.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let Some(bytes) = sealed::read(path)? else { return Ok(None) };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|e| Error::corrupt(path, "a checkpoint of this program", e.to_string(), "remove it to begin again"))
}

/// Seals a value.
pub fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    sealed::write(path, &serde_json::to_vec(value).expect("checkpoints have string keys"))
}
