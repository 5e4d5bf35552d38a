//! Names of taps: exact names, aliases, presets, and what to suggest when there is no such tap;
//! what is read there.

use super::graph::{Graph, NodeId};
use super::op::Op;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// What a layer's pattern is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SpatialPooling {
    /// Every unit: channels x pixels.
    #[default]
    Full,
    /// Channel means over pixels (global average pooling): [`Graph::with_gap`].
    Gap,
}

/// How often an alias may stand for another one: they might go in a circle.
const CHAIN: usize = 16;

impl Graph {
    /// The node that a name or an alias stands for.
    ///
    /// Case and the separators `/ . _ -` and space make no difference when nothing matches exactly,
    /// so that `mixed4a`, `inception_4a/output` and `inception4a` can be one tap.
    ///
    /// # Errors
    /// [`Error::UnknownTap`] with the nearest names.
    pub fn tap(&self, name: &str) -> Result<NodeId> {
        if let Some(id) = self.lookup(name) {
            return Ok(id);
        }
        let plain = simplified(name);
        let names = || self.nodes().iter().map(|n| n.name.as_str()).chain(self.aliases.keys().map(String::as_str));
        let mut same: Vec<NodeId> = names().filter(|n| simplified(n) == plain).filter_map(|n| self.lookup(n)).collect();
        same.sort_unstable();
        same.dedup();
        if let [only] = same[..] {
            return Ok(only);
        }
        let mut near: Vec<(usize, &str)> = names().map(|n| (distance(&plain, &simplified(n)), n)).collect();
        near.sort();
        let nearest = near.into_iter().take(3).map(|(_, n)| n.to_owned()).collect();
        Err(Error::UnknownTap { network: self.name.clone(), name: name.into(), nearest })
    }

    /// The node of a name, or of an alias of it, or of an alias of that, [`CHAIN`] times.
    pub(super) fn lookup(&self, name: &str) -> Option<NodeId> {
        let mut name = name;
        for _ in 0..CHAIN {
            match self.find(name) {
                Some(id) => return Some(id),
                None => name = self.aliases.get(name)?,
            }
        }
        None
    }

    /// The taps that a list of names, aliases and presets stands for, in the order given, each
    /// once.
    ///
    /// Presets that every network has: `all-conv` (each convolution, after its activation when it
    /// has one of its own) and `default` (the card's own list, else `all-conv`).
    ///
    /// # Errors
    /// [`Error::UnknownTap`]; [`Error::Invalid`] for an empty list.
    pub fn resolve_taps(&self, names: &[String]) -> Result<Vec<NodeId>> {
        let mut ids = Vec::new();
        for name in names {
            let found = match self.presets.get(name.as_str()) {
                Some(list) => list.iter().map(|n| self.tap(n)).collect::<Result<Vec<_>>>()?,
                None if name == "all-conv" || name == "default" => self.all_conv(),
                None => vec![self.tap(name)?],
            };
            ids.extend(found);
        }
        let mut seen = std::collections::BTreeSet::new();
        ids.retain(|id| seen.insert(*id));
        if ids.is_empty() {
            return Err(Error::invalid(
                "taps",
                "at least one tap",
                "none",
                "name layers, or a preset such as all-conv",
            ));
        }
        Ok(ids)
    }

    /// Each convolution's output, after batch norm and activation when nothing else reads what lies
    /// between.
    fn all_conv(&self) -> Vec<NodeId> {
        let mut readers: Vec<Vec<NodeId>> = vec![vec![]; self.nodes().len()];
        for (id, node) in self.nodes().iter().enumerate() {
            for &input in &node.inputs {
                if readers[input].last() != Some(&id) {
                    readers[input].push(id);
                }
            }
        }
        let settle = |mut id: NodeId| loop {
            match readers[id][..] {
                [next] if self.node(next).op.is_activation() || matches!(self.node(next).op, Op::BatchNorm { .. }) => {
                    id = next
                }
                _ => return id,
            }
        };
        (0..self.nodes().len()).filter(|&id| matches!(self.node(id).op, Op::Conv2d { .. })).map(settle).collect()
    }
}

/// Characters of two names that are compared: hostile names may be endless.
const COMPARED: usize = 64;

fn simplified(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '/' | '.' | '_' | '-' | ' ')).collect::<String>().to_lowercase()
}

/// Levenshtein's edit distance; of names that differ along more than [`COMPARED`] characters, that
/// of the first ones.
pub(super) fn distance(a: &str, b: &str) -> usize {
    let alike = a.chars().zip(b.chars()).take_while(|(x, y)| x == y).count();
    let rest = |name: &str| name.chars().skip(alike).take(COMPARED).collect::<Vec<char>>();
    let (a, b) = (rest(a), rest(b));
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn edit_distance() {
        assert_eq!(distance("conv1", "conv1"), 0);
        assert_eq!(distance("mixed4f", "mixed4e"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance(&"a".repeat(1_000_000), &"b".repeat(1_000_000)), 64);
    }
}
