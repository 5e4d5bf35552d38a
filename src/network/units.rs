//! Names of units: which numbers of a network are to be driven.

use super::graph::{Graph, NodeId};
use super::op::Op;
use crate::error::{Error, Result};

/// One unit of a network: a channel's mean over positions, or one position of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unit {
    pub node: NodeId,
    pub channel: usize,
    /// Row and column.
    pub at: Option<[usize; 2]>,
    /// What the user called it.
    pub name: String,
}

impl Graph {
    /// The units that names stand for, in the order given, each once.
    ///
    /// | name | units |
    /// |---|---|
    /// | `7` | output 7 of the network's last layer (before a final softmax), from 0 |
    /// | `0-8` | outputs 0 to 8, both included |
    /// | `all` | every output |
    /// | `TAP:5` | channel 5 of a layer, its mean over positions |
    /// | `TAP:0-8`, `TAP:all` | channels 0 to 8; all |
    /// | `TAP:5:3:4` | channel 5 at row 3, column 4 |
    ///
    /// # Errors
    /// [`Error::UnknownTap`]; [`Error::Invalid`] for a channel or position that the layer does not
    /// have, or a name of no such form.
    pub fn units(&self, names: &[String]) -> Result<Vec<Unit>> {
        let mut out: Vec<Unit> = Vec::new();
        for name in names {
            for unit in self.units_named(name)? {
                if !out.iter().any(|u| (u.node, u.channel, u.at) == (unit.node, unit.channel, unit.at)) {
                    out.push(unit);
                }
            }
        }
        if out.is_empty() {
            return Err(Error::invalid(
                "units",
                "at least one unit",
                "none",
                "name outputs (0, 3-7, all) or TAP:CHANNEL",
            ));
        }
        Ok(out)
    }

    /// The last layer, before a final softmax.
    pub fn scores(&self) -> NodeId {
        let last = self.node(self.output());
        if matches!(last.op, Op::Softmax) { last.inputs[0] } else { self.output() }
    }

    fn units_named(&self, name: &str) -> Result<Vec<Unit>> {
        let wrong = |found: &str| {
            let expected = "an output (7), a range (0-8), `all`, TAP:CHANNEL or TAP:CHANNEL:ROW:COLUMN";
            Error::invalid("units", expected, format!("`{found}`"), "`orthoscope models inspect MODEL` lists the taps")
        };
        let Some((tap, rest)) = name.split_once(':') else {
            let node = self.scores();
            let channels = channels(name, self.node(node).shape.channels).ok_or_else(|| wrong(name))?;
            let unit = |channel: usize| Unit { node, channel, at: None, name: channel.to_string() };
            return self.within(channels, node, name).map(|c| c.into_iter().map(unit).collect());
        };
        let node = self.tap(tap)?;
        let parts: Vec<&str> = rest.split(':').collect();
        let shape = self.node(node).shape;
        let channels = channels(parts[0], shape.channels).ok_or_else(|| wrong(name))?;
        let channels = self.within(channels, node, name)?;
        let at = match parts[1..] {
            [] => None,
            [y, x] => {
                let number = |t: &str| t.parse::<usize>().map_err(|_| wrong(name));
                let (y, x) = (number(y)?, number(x)?);
                if y >= shape.height || x >= shape.width {
                    let expected = format!("a position of {} x {}", shape.height, shape.width);
                    return Err(Error::invalid(
                        "units",
                        expected,
                        format!("`{name}`"),
                        "rows and columns count from 0",
                    ));
                }
                Some([y, x])
            }
            _ => return Err(wrong(name)),
        };
        let suffix = at.map_or_else(String::new, |[y, x]| format!(":{y}:{x}"));
        let unit = |channel: usize| Unit { node, channel, at, name: format!("{tap}:{channel}{suffix}") };
        Ok(channels.into_iter().map(unit).collect())
    }

    fn within(&self, channels: Vec<usize>, node: NodeId, name: &str) -> Result<Vec<usize>> {
        let n = self.node(node).shape.channels;
        if channels.iter().all(|&c| c < n) {
            return Ok(channels);
        }
        let expected = format!("a channel of 0 to {} in `{}`", n - 1, self.node(node).name);
        Err(Error::invalid("units", expected, format!("`{name}`"), "channels and outputs count from 0"))
    }
}

/// `7`, `0-8` or `all` of `n`; `None` for anything else. May exceed `n`.
pub fn channels(text: &str, n: usize) -> Option<Vec<usize>> {
    if text == "all" {
        return Some((0..n).collect());
    }
    match text.split_once('-') {
        None => text.parse().ok().map(|c| vec![c]),
        Some((first, last)) => {
            let (first, last) = (first.parse::<usize>().ok()?, last.parse::<usize>().ok()?);
            (first <= last && last - first < 1_000_000).then(|| (first..=last).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::zoo::{LoadOptions, load_model};

    fn graph() -> Graph {
        load_model("mini-inception", &LoadOptions::default()).expect("the embedded network").graph
    }

    #[test]
    fn names_of_every_form() {
        let graph = graph();
        let units = |name: &str| graph.units(&[name.to_owned()]);
        let n = graph.node(graph.scores()).shape.channels;
        assert_eq!(units("all").unwrap().len(), n);
        assert_eq!(units("2-4").unwrap().iter().map(|u| u.channel).collect::<Vec<_>>(), [2, 3, 4]);
        let tap = graph.resolve_taps(&["default".into()]).unwrap()[1];
        let name = graph.node(tap).name.clone();
        let unit = &units(&format!("{name}:3:1:2")).unwrap()[0];
        assert_eq!((unit.node, unit.channel, unit.at), (tap, 3, Some([1, 2])));
        for bad in ["x", "4-2", "99999", "nosuchtap:1", "1:2:3:4:5"] {
            assert!(units(bad).is_err(), "{bad}");
        }
        assert!(units(&format!("{name}:3:1")).is_err() && units(&format!("{name}:3:999:0")).is_err());
    }
}
