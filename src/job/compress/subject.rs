//! What is compressed: a network, or a fitted encoding model as a network that ends in its targets.

use super::config::Config;
use crate::encoding::model::ModelFile;
use crate::error::{Error, Result};
use crate::io::tsv;
use crate::job::fitted::{self, own_preprocessing, select};
use crate::job::manifest::hash_file;
use crate::network::card::About;
use crate::network::{Graph, GraphBuilder, NodeId, Op};
use crate::warning::Warning;
use std::collections::HashSet;
use std::path::Path;

/// A network to be compressed.
pub struct Subject {
    pub graph: Graph,
    pub about: About,
    pub origin: String,
    pub blake3: String,
    /// Nodes whose channels stay, beside the output's.
    pub keep: Vec<NodeId>,
    /// Of a fitted model.
    pub fitted: Option<FittedModel>,
    pub warnings: Vec<Warning>,
}

/// What only a fitted model has.
pub struct FittedModel {
    /// Names of the outputs, in their order.
    pub targets: Vec<String>,
    /// Hashes of the pictures that it was fitted on; empty where it does not know.
    pub trained: HashSet<String>,
    /// Names of the images that its fit kept for its test, where the run directory tells.
    pub tested: HashSet<String>,
}

impl Subject {
    /// Finds and reads it.
    ///
    /// # Errors
    /// As the readers say.
    pub fn load(config: &Config) -> Result<Self> {
        let Some(file) = fitted::file(&config.network.model) else {
            let model = config.network.load()?;
            let (graph, about, warnings) = (model.graph, model.about, model.warnings);
            let (origin, blake3) = (model.origin, model.blake3);
            return Ok(Self { graph, about, origin, blake3, keep: vec![], fitted: None, warnings });
        };
        own_preprocessing(&config.network)?;
        Self::fitted(&file, &config.outputs)
    }

    /// A fitted model as a network that ends in the targets that are asked for; all where none are.
    fn fitted(file: &Path, asked: &[String]) -> Result<Self> {
        let opened = ModelFile::open(file)?;
        let (usable, mut warnings) = usable(&opened, asked)?;
        warnings.extend(fitted::delay_note(&opened.head().delays, &fitted::name(file)));
        let model = opened.some(&usable)?;
        let made = model.to_graph()?;
        let units: Vec<(NodeId, usize)> =
            made.units.iter().map(|unit| unit.expect("usable targets have readouts")).collect();
        let (graph, order) = ending_in(made.graph, &units)?;
        let keep = of_readouts(&graph, model.network.as_ref().map_or(0, |n| n.graph.nodes().len()));
        let fitted = FittedModel {
            targets: order.into_iter().map(|t| model.targets[t].clone()).collect(),
            trained: model.stimuli.iter().map(|s| s.hash.clone()).filter(|hash| !hash.is_empty()).collect(),
            tested: tested(file)?,
        };
        let source = model.network.as_ref().map(|n| n.source_blake3.clone()).unwrap_or_default();
        let description = format!("an encoding model of {} targets", fitted.targets.len());
        let source = format!("fitted on layers of the network {source}");
        let about = About { description, source, ..About::default() };
        let (origin, blake3) = (file.display().to_string(), hash_file(file)?);
        Ok(Self { graph, about, origin, blake3, keep, fitted: Some(fitted), warnings })
    }
}

/// The targets that are asked for and were fitted.
fn usable(opened: &ModelFile, asked: &[String]) -> Result<(Vec<usize>, Vec<Warning>)> {
    let head = opened.head();
    let mut there = vec![false; head.targets.len()];
    head.readouts.iter().flat_map(|readout| &readout.targets).for_each(|&t| there[t] = true);
    let all = ["all".to_owned()];
    let chosen = select(&head.targets, if asked.is_empty() { &all } else { asked })?;
    let (usable, left): (Vec<usize>, Vec<usize>) = chosen.into_iter().partition(|&t| there[t]);
    if usable.is_empty() {
        let hint = "its responses were constant or not finite";
        return Err(Error::invalid("outputs", "targets that could be fitted", "none", hint));
    }
    let note = left.first().map(|&first| {
        let (n, name) = (left.len(), &head.targets[first]);
        Warning::Note { text: format!("{n} targets that could not be fitted are left out, `{name}` the first") }
    });
    Ok((usable, note.into_iter().collect()))
}

/// What readouts made of layers: nodes from `first` on, but those that only pass a layer's channels
/// on.
fn of_readouts(graph: &Graph, first: NodeId) -> Vec<NodeId> {
    let passes = |id: &NodeId| matches!(graph.node(*id).op, Op::Flatten { .. } | Op::GlobalAvgPool);
    (first..graph.nodes().len()).filter(|id| !passes(id)).collect()
}

/// A graph that ends in one node which holds all units, and the unit that each of its channels is.
fn ending_in(graph: Graph, units: &[(NodeId, usize)]) -> Result<(Graph, Vec<usize>)> {
    let mut nodes: Vec<NodeId> = units.iter().map(|(node, _)| *node).collect();
    nodes.sort_unstable();
    nodes.dedup();
    let starts: Vec<usize> = nodes
        .iter()
        .scan(0, |at, &node| {
            let start = *at;
            *at += graph.node(node).shape.channels;
            Some(start)
        })
        .collect();
    let place = |(node, channel): (NodeId, usize)| starts[nodes.binary_search(&node).expect("one of them")] + channel;
    let mut order: Vec<usize> = (0..units.len()).collect();
    order.sort_by_key(|&t| place(units[t]));
    if nodes.len() == 1 {
        return Ok((graph, order));
    }
    let mut name = "targets".to_owned();
    while graph.find(&name).is_some() {
        name.push('_');
    }
    let mut builder = GraphBuilder::from_graph(graph);
    builder.push(name, Op::Concat, &nodes)?;
    Ok((builder.finish()?, order))
}

/// Stimuli that the run directory around a model says were held out.
fn tested(file: &Path) -> Result<HashSet<String>> {
    let table = file.with_file_name("predictions.tsv");
    if !file.ends_with(fitted::FILE) || !table.is_file() {
        return Ok(HashSet::new());
    }
    let table = tsv::read(&table)?;
    Ok(table.column("stimulus").unwrap_or_default().into_iter().map(String::from).collect())
}
