//! In which order channels go: ranked once, one by one, or layer by layer.
//!
//! | way | function |
//! |---|---|
//! | judged once; each layer loses the same share, or channels of all layers compete | [`Pruner::rank`], [`Pruner::first`] |
//! | the least important goes, the rest is judged again | [`Pruner::greedy`] |
//! | the same by a score, while its drop stays within bounds | [`Pruner::iterative_ablate`] |
//! | some of the least important go, layers losing the same share or not, the rest is judged again | [`Pruner::in_rounds`] |
//! | from the last layer to the first, each by what the next one loses | [`Pruner::layer_by_layer`] |
//!
//! What was done so far is a [`Course`], a plain value: it can be written after every step and gone
//! on from, and ends the same. Channels are counted in the network before anything was removed.

use super::groups::{Group, Groups, originals};
use super::importance::{Ablation, Importance, LayerwiseVariance, Network};
use super::surgery::{Removed, remove};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::network::{Graph, NodeId};
use crate::progress::{Progress, Sink};
use serde::{Deserialize, Serialize};

/// Which channels compete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Those of a layer: every layer loses the same share. A channel's rank is the share of its
    /// layer's channels below it.
    #[default]
    Layer,
    /// All, by their importance as it is.
    Global,
    /// Those of layers of one topology (the same operations and kernels around them), after each
    /// layer's importances are divided by their mean; kinds of layers lose the same share.
    Isomorphic,
}

/// A channel in the order of removal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ranked {
    pub group: String,
    pub channel: usize,
    pub importance: f64,
}

/// One step: what went, and the score without it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub removed: Removed,
    pub score: Option<f64>,
}

/// What was removed so far, step by step.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Course {
    /// Score of the network before the first step.
    pub whole: Option<f64>,
    pub steps: Vec<Step>,
    /// Nothing more is to be removed.
    pub done: bool,
}

impl Course {
    /// All that was removed.
    pub fn removed(&self) -> Removed {
        let mut all = Removed::new();
        for step in &self.steps {
            for (group, channels) in &step.removed {
                all.entry(group.clone()).or_default().extend(channels);
            }
        }
        all
    }
}

/// Scores a smaller network; larger is better.
pub type Judge<'a> = dyn Fn(&Graph) -> Result<f64> + 'a;

/// When to stop.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Until {
    /// Channels of all layers that are pruned, together, that stay.
    pub keep: Option<usize>,
    /// The score's largest drop from that of the whole network.
    pub max_drop: Option<f64>,
}

/// A network that is being pruned.
///
/// # Example
/// ```
/// use orthoscope::compression::importance::L1;
/// use orthoscope::compression::{Course, Groups, Pruner, Scope, Until, remove};
/// use orthoscope::network::zoo::{LoadOptions, load_model};
///
/// let graph = load_model("mini-inception", &LoadOptions::default())?.graph;
/// let groups = Groups::of(&graph, &[])?;
/// // A hundred channels at once, every layer losing about the same share.
/// let pruner = Pruner { minimum: 2, ..Pruner::new(&graph) };
/// let order = pruner.rank(&mut L1, Scope::Layer)?;
/// let smaller = remove(&graph, &groups, &pruner.first(&order, 100)?, 2)?;
/// assert!(smaller.n_parameters() < graph.n_parameters());
///
/// // One by one from a single layer, until ten are left; what was done can be written at any time.
/// let pruner = Pruner { layers: vec!["conv1/7x7_s2".into()], ..Pruner::new(&graph) };
/// let until = Until { keep: Some(10), max_drop: None };
/// let mut course = Course::default();
/// pruner.greedy(&mut L1, None, until, &mut course, &mut |_| Ok(()))?;
/// let left = groups.without(&course.removed())?;
/// assert_eq!(left.group(left.named("conv1/7x7_s2")?).width(), 10);
/// # Ok::<(), orthoscope::Error>(())
/// ```
#[derive(Clone)]
pub struct Pruner<'a> {
    pub graph: &'a Graph,
    /// Tensors whose channels stay, beside the output.
    pub keep: Vec<NodeId>,
    /// Groups that are pruned; all where there are none.
    pub layers: Vec<String>,
    /// Channels that each layer keeps at least.
    pub minimum: usize,
    /// Asked between steps.
    pub cancel: Cancel,
    /// Told of every step.
    pub progress: Sink,
}

/// The network with what is left of it.
pub(super) struct Left {
    pub graph: Graph,
    pub groups: Groups,
    pub original: Vec<Vec<usize>>,
}

impl Left {
    fn network(&self) -> Network<'_> {
        Network { graph: &self.graph, groups: &self.groups, original: &self.original }
    }

    pub fn removed(&self, group: usize, channels: impl IntoIterator<Item = usize>) -> Removed {
        let own = channels.into_iter().map(|c| self.original[group][c]).collect();
        Removed::from([(self.groups.group(group).name.clone(), own)])
    }
}

impl<'a> Pruner<'a> {
    /// Prunes all layers, down to one channel.
    pub fn new(graph: &'a Graph) -> Self {
        let (cancel, progress) = (Cancel::default(), Sink::default());
        Self { graph, keep: vec![], layers: vec![], minimum: 1, cancel, progress }
    }

    /// The network without some channels.
    pub(super) fn left(&self, removed: &Removed) -> Result<Left> {
        let groups = Groups::of(self.graph, &self.keep)?;
        self.layers.iter().try_for_each(|name| groups.named(name).map(drop))?;
        let graph = remove(self.graph, &groups, removed, self.minimum)?;
        let (gone, mut original) = (groups.gone(removed)?, originals(&groups));
        original.iter_mut().zip(&gone).for_each(|(channels, gone)| channels.retain(|c| !gone.contains(c)));
        // A group of which only channels that stay are left is no group any more.
        original.retain(|channels| !channels.is_empty());
        Ok(Left { graph, groups: groups.without(removed)?, original })
    }

    /// Indices of the groups that are pruned.
    pub(super) fn pruned(&self, groups: &Groups) -> Vec<usize> {
        let all = 0..groups.all().len();
        if self.layers.is_empty() {
            return all.collect();
        }
        // By index: a layer may have two names, and its group may be gone.
        let named: Vec<usize> = self.layers.iter().filter_map(|name| groups.named(name).ok()).collect();
        all.filter(|g| named.contains(g)).collect()
    }

    /// How many channels of a group may go yet.
    pub(super) fn spare(&self, graph: &Graph, group: &Group) -> usize {
        let of = |layer: &NodeId| {
            let channels = group.channels.iter().flatten().filter(|(l, _)| l == layer).count();
            let each = (channels / group.width().max(1)).max(1);
            graph.node(*layer).shape.channels.saturating_sub(self.minimum.max(1)) / each
        };
        group.layers.iter().map(of).min().unwrap_or(0).min(group.width())
    }

    /// All channels in the order in which they should go, least important first; every one is
    /// judged once, in the whole network.
    ///
    /// # Errors
    /// Whatever the importance says; [`Error::Invalid`] for layers that do not exist or importances
    /// that are not numbers.
    pub fn rank(&self, importance: &mut dyn Importance, scope: Scope) -> Result<Vec<Ranked>> {
        let left = self.left(&Removed::new())?;
        let pruned = self.pruned(&left.groups);
        let scores = judged(importance, &left, &pruned)?;
        let ranked = |(group, channel, importance): (usize, usize, f64)| Ranked {
            group: left.groups.group(group).name.clone(),
            channel,
            importance,
        };
        Ok(self.ordered(&left, &pruned, &scores, scope)?.into_iter().map(ranked).collect())
    }

    /// The first `n` of an order that can go: channels of a layer that has no more than `minimum`
    /// left are passed over.
    ///
    /// # Errors
    /// [`Error::Invalid`] where fewer than `n` can go.
    pub fn first(&self, order: &[Ranked], n: usize) -> Result<Removed> {
        let groups = Groups::of(self.graph, &self.keep)?;
        let mut spare: Vec<usize> = groups.all().iter().map(|g| self.spare(self.graph, g)).collect();
        let (mut removed, mut gone) = (Removed::new(), 0);
        for ranked in order {
            let group = groups.named(&ranked.group)?;
            if gone < n && spare[group] > 0 && removed.entry(ranked.group.clone()).or_default().insert(ranked.channel) {
                spare[group] -= 1;
                gone += 1;
            }
        }
        removed.retain(|_, channels| !channels.is_empty());
        if gone == n {
            return Ok(removed);
        }
        let expected = format!("at most {gone} channels, so that each layer keeps {}", self.minimum.max(1));
        Err(Error::invalid("channels to remove", expected, n.to_string(), "remove fewer, or prune more layers"))
    }

    /// Removes the least important channel, judges those that are left in the smaller network, and
    /// so on; of equal ones the first goes. Goes on from `course`, and shows it to `each` after
    /// every step.
    ///
    /// `judge` scores the smaller network of every step; without it, steps have no score and
    /// nothing stops a drop.
    ///
    /// # Errors
    /// Whatever the importance, `judge` or `each` says; [`Error::Invalid`] for a largest drop
    /// without a judge; [`Error::Interrupted`] when stopped: the course holds what was done.
    pub fn greedy(
        &self,
        importance: &mut dyn Importance,
        judge: Option<&Judge<'_>>,
        until: Until,
        course: &mut Course,
        each: &mut dyn FnMut(&Course) -> Result<()>,
    ) -> Result<()> {
        if until.max_drop.is_some() && judge.is_none() {
            let hint = "say what the network is worth";
            return Err(Error::invalid("pruning", "a score whose drop is bounded", "none", hint));
        }
        let mut left = self.left(&course.removed())?;
        if course.whole.is_none() && course.steps.is_empty() {
            course.whole = judge.map(|judge| judge(&left.graph)).transpose()?;
        }
        let (total, skipped) = (self.room(&until)?, course.steps.len());
        let mut progress = Progress::new(&self.progress, "removing channels", total as u64, skipped as u64);
        while !course.done {
            self.cancel.check()?;
            let Some((step, next)) = self.next(importance, judge, until, course, &left)? else {
                course.done = true;
                break;
            };
            progress.tick(|| step.removed.iter().map(|(name, c)| format!("{name} {c:?}")).collect());
            course.steps.push(step);
            left = next;
            each(course)?;
        }
        progress.finish();
        each(course)
    }

    /// The least important channel and what is left without it; `None` where no more may go.
    fn next(
        &self,
        importance: &mut dyn Importance,
        judge: Option<&Judge<'_>>,
        until: Until,
        course: &Course,
        left: &Left,
    ) -> Result<Option<(Step, Left)>> {
        let pruned = self.pruned(&left.groups);
        let n: usize = pruned.iter().map(|&g| left.groups.group(g).width()).sum();
        let open: Vec<usize> =
            pruned.into_iter().filter(|&g| self.spare(&left.graph, left.groups.group(g)) > 0).collect();
        if open.is_empty() || until.keep.is_some_and(|keep| n <= keep) {
            return Ok(None);
        }
        let scores = judged(importance, left, &open)?;
        let places = open.iter().zip(&scores).flat_map(|(&g, s)| s.iter().enumerate().map(move |(c, &s)| (s, g, c)));
        let least = places.min_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        let (_, group, channel) = least.expect("one is open");
        let mut step = Step { removed: left.removed(group, [channel]), score: None };
        let mut removed = course.removed();
        step.removed.iter().for_each(|(name, c)| removed.entry(name.clone()).or_default().extend(c));
        let next = self.left(&removed)?;
        step.score = judge.map(|judge| judge(&next.graph)).transpose()?;
        let beyond = match (course.whole, step.score, until.max_drop) {
            (Some(whole), Some(score), Some(most)) => whole - score > most,
            _ => false,
        };
        Ok((!beyond).then_some((step, next)))
    }

    /// [`greedy`](Self::greedy) by the drop of a score, which also bounds it: the channel that the
    /// score loses least without goes, as long as the score of what is left stays within
    /// `until.max_drop` of the whole network's.
    ///
    /// # Errors
    /// As [`greedy`](Self::greedy).
    ///
    /// # Source
    /// Abbasi-Asl and Yu 2021, algorithm 1: the filter of least CAR is removed, the index computed
    /// anew.
    pub fn iterative_ablate(
        &self,
        ablation: &mut Ablation<'_>,
        until: Until,
        course: &mut Course,
        each: &mut dyn FnMut(&Course) -> Result<()>,
    ) -> Result<()> {
        let of_its_own = Ablation { data: ablation.data.clone(), taps: ablation.taps.clone(), ..*ablation };
        let judge = |graph: &Graph| of_its_own.whole(graph).map(|s| s.score);
        self.greedy(ablation, Some(&judge), until, course, each)
    }

    /// From the last layer to the first, removes at once what [`LayerwiseVariance`] says can go;
    /// each layer is judged by what remains of the next. A step is a layer; its score is the share
    /// of the variance (or of r^2) left.
    ///
    /// # Errors
    /// Whatever the rule or `each` says; [`Error::Interrupted`] when stopped: the course holds what
    /// was done.
    pub fn layer_by_layer(
        &self,
        rule: &LayerwiseVariance<'_>,
        course: &mut Course,
        each: &mut dyn FnMut(&Course) -> Result<()>,
    ) -> Result<()> {
        let mut left = self.left(&course.removed())?;
        let whole = Groups::of(self.graph, &self.keep)?;
        let order: Vec<&str> = self.pruned(&whole).into_iter().rev().map(|g| whole.group(g).name.as_str()).collect();
        let mut progress =
            Progress::new(&self.progress, "pruning layers", order.len() as u64, course.steps.len() as u64);
        for &name in &order[course.steps.len().min(order.len())..] {
            self.cancel.check()?;
            let group = left.groups.named(name)?;
            let judged = rule.judge(left.network(), group)?;
            let n = judged.removable.min(self.spare(&left.graph, left.groups.group(group)));
            let removed = left.removed(group, judged.order[..n].iter().copied());
            course.steps.push(Step { removed, score: Some(judged.left[n]) });
            left = self.left(&course.removed())?;
            progress.tick(|| format!("{name}: {n} fewer"));
            each(course)?;
        }
        course.done = true;
        progress.finish();
        each(course)
    }

    /// How many channels of all layers together may go.
    ///
    /// # Errors
    /// [`Error::Invalid`] for layers that do not exist.
    pub fn removable(&self) -> Result<usize> {
        let groups = Groups::of(self.graph, &self.keep)?;
        self.layers.iter().try_for_each(|name| groups.named(name).map(drop))?;
        Ok(self.pruned(&groups).iter().map(|&g| self.spare(self.graph, groups.group(g))).sum())
    }

    /// How many steps there may be.
    pub(super) fn room(&self, until: &Until) -> Result<usize> {
        let groups = Groups::of(self.graph, &self.keep)?;
        let pruned = self.pruned(&groups);
        let width: usize = pruned.iter().map(|&g| groups.group(g).width()).sum();
        let spare: usize = pruned.iter().map(|&g| self.spare(self.graph, groups.group(g))).sum();
        Ok(spare.min(width - until.keep.unwrap_or(0).min(width)))
    }
}

/// Importances, checked.
pub(super) fn judged(importance: &mut dyn Importance, left: &Left, groups: &[usize]) -> Result<Vec<Vec<f64>>> {
    let scores = importance.scores(left.network(), groups)?;
    for (&group, scores) in groups.iter().zip(&scores) {
        if let Some(odd) = scores.iter().find(|s| !s.is_finite()) {
            let at = format!("importance of channels of {}", left.groups.group(group).name);
            return Err(Error::invalid(at, "finite numbers", odd.to_string(), ""));
        }
    }
    Ok(scores)
}

#[cfg(test)]
#[path = "rank_tests.rs"]
mod tests;
