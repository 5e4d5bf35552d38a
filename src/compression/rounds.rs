//! Channels that go in rounds: all are judged, the least important go, what is left is judged
//! again.

use super::groups::Groups;
use super::importance::Importance;
use super::rank::{Course, Judge, Left, Pruner, Scope, Step, Until, judged};
use super::surgery::Removed;
use super::topology::topology;
use crate::error::{Error, Result};
use crate::progress::Progress;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How channels go in rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rounds {
    /// Which channels compete.
    pub scope: Scope,
    /// Channels that go between two judgements: one is greedy, very many is a single ranking.
    pub at_once: usize,
}

impl Pruner<'_> {
    /// Places of channels in the order in which they should go, with their importances: the share
    /// of their kind (layer, topology, or all) that has gone when it is their turn, counted from
    /// the whole network. `groups` are indices in `left`, `scores` their channels' importances.
    pub(super) fn ordered(
        &self,
        left: &Left,
        groups: &[usize],
        scores: &[Vec<f64>],
        scope: Scope,
    ) -> Result<Vec<(usize, usize, f64)>> {
        let whole = Groups::of(self.graph, &self.keep)?;
        let kind = |all: &Groups, graph, g: usize| match scope {
            Scope::Layer => all.group(g).name.clone(),
            Scope::Global => String::new(),
            Scope::Isomorphic => topology(graph, all, g),
        };
        let mut widths: BTreeMap<String, usize> = BTreeMap::new();
        for g in self.pruned(&whole) {
            *widths.entry(kind(&whole, self.graph, g)).or_default() += whole.group(g).width();
        }
        // Importance as it is compared, group, channel, importance.
        let mut competing: BTreeMap<String, Vec<(f64, usize, usize, f64)>> = BTreeMap::new();
        for (&g, scores) in groups.iter().zip(scores) {
            let mean = scores.iter().sum::<f64>() / scores.len() as f64;
            let scale = if scope == Scope::Isomorphic && mean > 0.0 { mean } else { 1.0 };
            let own = scores.iter().enumerate().map(|(c, &s)| (s / scale, g, c, s));
            // A name of the whole network: a smaller one may look like another kind.
            let name = whole.named(&left.groups.group(g).name)?;
            competing.entry(kind(&whole, self.graph, name)).or_default().extend(own);
        }
        let mut order: Vec<(f64, usize, usize, f64)> = Vec::new();
        for (kind, mut some) in competing {
            some.sort_by(by_first);
            let (n, gone) = (widths[&kind] as f64, (widths[&kind] - some.len()) as f64);
            let turn = |(i, (_, g, c, s))| ((gone + i as f64 + 0.5) / n, g, c, s);
            order.extend(some.into_iter().enumerate().map(turn));
        }
        order.sort_by(by_first);
        Ok(order.into_iter().map(|(_, g, c, s)| (g, c, s)).collect())
    }

    /// Removes the least important channels, `rounds.at_once` at a time, and judges those that are
    /// left in the smaller network before the next go. One at a time with [`Scope::Global`] is
    /// [`greedy`](Self::greedy). Goes on from `course`, and shows it to `each` after every round.
    ///
    /// A round that would lower the score too far is tried again with half as many channels, down
    /// to one.
    ///
    /// # Errors
    /// As [`greedy`](Self::greedy); [`Error::Invalid`] for rounds of no channel.
    ///
    /// # Example
    /// ```
    /// use orthoscope::compression::importance::L1;
    /// use orthoscope::compression::{Course, Groups, Pruner, Rounds, Scope, Until};
    /// use orthoscope::network::zoo::{LoadOptions, load_model};
    ///
    /// let graph = load_model("mini-inception", &LoadOptions::default())?.graph;
    /// let pruner = Pruner { layers: vec!["conv1/7x7_s2".into(), "conv2/3x3".into()], ..Pruner::new(&graph) };
    /// let rounds = Rounds { scope: Scope::Layer, at_once: 10 };
    /// let until = Until { keep: Some(46), max_drop: None };
    /// let mut course = Course::default();
    /// pruner.in_rounds(&mut L1, None, rounds, until, &mut course, &mut |_| Ok(()))?;
    /// // Both layers have lost the same share.
    /// let groups = Groups::of(&graph, &[])?;
    /// for (name, gone) in course.removed() {
    ///     assert!((gone.len() as f64 / groups.group(groups.named(&name)?).width() as f64 - 0.36).abs() < 0.05);
    /// }
    /// # Ok::<(), orthoscope::Error>(())
    /// ```
    pub fn in_rounds(
        &self,
        importance: &mut dyn Importance,
        judge: Option<&Judge<'_>>,
        rounds: Rounds,
        until: Until,
        course: &mut Course,
        each: &mut dyn FnMut(&Course) -> Result<()>,
    ) -> Result<()> {
        if rounds.at_once == 0 {
            return Err(Error::invalid("pruning", "rounds of at least 1 channel", "0", "1 is greedy"));
        }
        if until.max_drop.is_some() && judge.is_none() {
            let hint = "say what the network is worth";
            return Err(Error::invalid("pruning", "a score whose drop is bounded", "none", hint));
        }
        let mut left = self.left(&course.removed())?;
        if course.whole.is_none() && course.steps.is_empty() {
            course.whole = judge.map(|judge| judge(&left.graph)).transpose()?;
        }
        let done: usize = course.removed().values().map(|channels| channels.len()).sum();
        let (total, rounded) = (self.room(&until)?, |n: usize| n.div_ceil(rounds.at_once) as u64);
        let mut progress = Progress::new(&self.progress, "removing channels", rounded(total), rounded(done.min(total)));
        while !course.done {
            self.cancel.check()?;
            let Some((step, next)) = self.round(importance, judge, rounds, until, course, &left)? else {
                course.done = true;
                break;
            };
            let score = step.score.map_or(String::new(), |s| format!(", score {s:.3}"));
            let n: usize = step.removed.values().map(|channels| channels.len()).sum();
            progress.tick(|| format!("{n} channels{score}"));
            course.steps.push(step);
            left = next;
            each(course)?;
        }
        progress.finish();
        each(course)
    }

    /// The next round and what is left after it; `None` where no more may go.
    fn round(
        &self,
        importance: &mut dyn Importance,
        judge: Option<&Judge<'_>>,
        rounds: Rounds,
        until: Until,
        course: &Course,
        left: &Left,
    ) -> Result<Option<(Step, Left)>> {
        let pruned = self.pruned(&left.groups);
        let width: usize = pruned.iter().map(|&g| left.groups.group(g).width()).sum();
        let mut most = rounds.at_once.min(width - until.keep.unwrap_or(0).min(width));
        let scores = judged(importance, left, &pruned)?;
        let order = self.ordered(left, &pruned, &scores, rounds.scope)?;
        loop {
            let chosen = self.chosen(left, &order, most);
            if chosen.is_empty() {
                return Ok(None);
            }
            let mut removed = course.removed();
            chosen.iter().for_each(|(name, c)| removed.entry(name.clone()).or_default().extend(c));
            let next = self.left(&removed)?;
            let score = judge.map(|judge| judge(&next.graph)).transpose()?;
            let beyond = match (course.whole, score, until.max_drop) {
                (Some(whole), Some(score), Some(drop)) => whole - score > drop,
                _ => false,
            };
            if !beyond {
                return Ok(Some((Step { removed: chosen, score }, next)));
            }
            most = chosen.values().map(|channels| channels.len()).sum::<usize>() / 2;
        }
    }

    /// The first channels of an order that may go, `most` of them.
    fn chosen(&self, left: &Left, order: &[(usize, usize, f64)], most: usize) -> Removed {
        let mut spare: BTreeMap<usize, usize> = BTreeMap::new();
        let mut chosen = Removed::new();
        let mut n = 0;
        for &(group, channel, _) in order {
            let own = left.groups.group(group);
            let spare = spare.entry(group).or_insert_with(|| self.spare(&left.graph, own));
            if n < most && *spare > 0 {
                chosen.entry(own.name.clone()).or_default().insert(left.original[group][channel]);
                (n, *spare) = (n + 1, *spare - 1);
            }
        }
        chosen
    }
}

/// By the first number, then by place.
fn by_first(a: &(f64, usize, usize, f64), b: &(f64, usize, usize, f64)) -> std::cmp::Ordering {
    a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compression::importance::{L1, Random};
    use crate::compression::testing::{inception, residual};

    fn run(graph: &crate::network::Graph, rounds: Rounds, until: Until, judge: Option<&Judge<'_>>) -> Course {
        let mut course = Course::default();
        let pruner = Pruner::new(graph);
        pruner.in_rounds(&mut L1, judge, rounds, until, &mut course, &mut |_| Ok(())).unwrap();
        course
    }

    #[test]
    fn one_of_all_at_a_time_is_greedy() {
        let graph = residual();
        let until = Until { keep: Some(12), max_drop: None };
        let mut greedy = Course::default();
        Pruner::new(&graph).greedy(&mut L1, None, until, &mut greedy, &mut |_| Ok(())).unwrap();
        assert_eq!(run(&graph, Rounds { scope: Scope::Global, at_once: 1 }, until, None), greedy);
    }

    #[test]
    fn one_round_is_a_ranking() {
        let graph = inception();
        for scope in [Scope::Layer, Scope::Global, Scope::Isomorphic] {
            let course = run(&graph, Rounds { scope, at_once: 9 }, Until { keep: Some(24), max_drop: None }, None);
            let pruner = Pruner::new(&graph);
            assert_eq!(course.steps.len(), 1);
            assert_eq!(course.removed(), pruner.first(&pruner.rank(&mut L1, scope).unwrap(), 9).unwrap());
        }
    }

    /// However many go at once, layers lose the same share.
    #[test]
    fn rounds_within_layers_lose_the_same_share() {
        let graph = inception();
        for at_once in [1, 4, 16] {
            let mut course = Course::default();
            let rounds = Rounds { scope: Scope::Layer, at_once };
            let until = Until { keep: Some(17), max_drop: None };
            let mut random = Random { seed: 3 };
            Pruner::new(&graph).in_rounds(&mut random, None, rounds, until, &mut course, &mut |_| Ok(())).unwrap();
            let groups = Groups::of(&graph, &[]).unwrap();
            for (name, gone) in course.removed() {
                let width = groups.group(groups.named(&name).unwrap()).width();
                assert!(
                    (gone.len() as f64 - width as f64 / 2.0).abs() <= 1.0,
                    "{at_once}, {name}: {gone:?} of {width}"
                );
            }
        }
    }

    /// A score that falls by 1 with every channel: exactly as many go as it may fall. Of 33 channels 27
    /// can go, six layers keep one each: the largest rounds are 27, 13, 6.
    #[test]
    fn a_round_that_is_too_large_is_halved() {
        let graph = inception();
        let judge =
            |g: &crate::network::Graph| Ok(Groups::of(g, &[])?.all().iter().map(|group| group.width() as f64).sum());
        for (at_once, sizes) in [(4, vec![4, 4, 2]), (1, vec![1; 10]), (32, vec![6, 2, 2])] {
            let rounds = Rounds { scope: Scope::Global, at_once };
            let course = run(&graph, rounds, Until { keep: None, max_drop: Some(10.0) }, Some(&judge));
            let n = |s: &Step| s.removed.values().map(|c| c.len()).sum::<usize>();
            assert_eq!(course.steps.iter().map(n).collect::<Vec<_>>(), sizes);
            assert!(course.done && course.whole == Some(33.0));
        }
        let none = Rounds { scope: Scope::Layer, at_once: 0 };
        let mut course = Course::default();
        let error = Pruner::new(&graph).in_rounds(&mut L1, None, none, Until::default(), &mut course, &mut |_| Ok(()));
        assert_eq!(error.unwrap_err().exit_code(), 2);
    }
}
