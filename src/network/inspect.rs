//! What there is to know about a network before running it: the table behind `models inspect`.

use super::graph::Graph;
use super::input::InputSpec;
use super::op::Op;
use super::receptive::{ReceptiveField, receptive_fields};
use super::zoo::{LoadOptions, Model, load_model};
use crate::data::shown::line;
use crate::error::Result;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A network's description.
#[derive(Debug, Clone, Serialize)]
pub struct Inspection {
    pub model: String,
    pub origin: String,
    pub blake3: String,
    pub input: InputSpec,
    pub parameters: usize,
    /// Multiply-accumulates of one image through the whole network.
    pub macs: u64,
    pub nodes: Vec<NodeRow>,
    /// Names of the taps in each preset.
    pub presets: BTreeMap<String, Vec<String>>,
}

/// One node: a tap of that name.
#[derive(Debug, Clone, Serialize)]
pub struct NodeRow {
    pub name: String,
    pub op: &'static str,
    /// Channels, rows, columns.
    pub shape: [usize; 3],
    pub parameters: usize,
    pub macs: u64,
    pub receptive_field: ReceptiveField,
    pub aliases: Vec<String>,
    pub presets: Vec<String>,
}

/// Describes a network.
pub fn inspect(model: &Model) -> Inspection {
    let graph = &model.graph;
    let mut presets = graph.presets.clone();
    for builtin in ["default", "all-conv"] {
        if let (Ok(ids), false) = (graph.resolve_taps(&[builtin.to_owned()]), presets.contains_key(builtin)) {
            presets.insert(builtin.to_owned(), ids.into_iter().map(|id| graph.node(id).name.clone()).collect());
        }
    }
    let mut rows: Vec<NodeRow> =
        receptive_fields(graph).into_iter().enumerate().map(|(id, field)| row(graph, id, field)).collect();
    for alias in graph.aliases.keys() {
        if let Ok(id) = graph.tap(alias) {
            rows[id].aliases.push(alias.clone());
        }
    }
    for (name, taps) in &presets {
        for id in taps.iter().filter_map(|tap| graph.find(tap)).collect::<BTreeSet<_>>() {
            rows[id].presets.push(name.clone());
        }
    }
    Inspection {
        model: graph.name.clone(),
        origin: model.origin.clone(),
        blake3: model.blake3.clone(),
        input: graph.input.clone(),
        parameters: graph.n_parameters(),
        macs: graph.n_macs(graph.output()),
        nodes: rows,
        presets,
    }
}

fn row(graph: &Graph, id: usize, field: ReceptiveField) -> NodeRow {
    let node = graph.node(id);
    let used: BTreeSet<&str> = node.op.weights().into_iter().collect();
    let macs = match &node.op {
        Op::Conv2d { weight, .. } | Op::Linear { weight, .. } => {
            graph.weight(weight).len() as u64 * (node.shape.height * node.shape.width) as u64
        }
        _ => 0,
    };
    NodeRow {
        name: node.name.clone(),
        op: node.op.kind(),
        shape: [node.shape.channels, node.shape.height, node.shape.width],
        parameters: used.into_iter().map(|name| graph.weight(name).len()).sum(),
        macs,
        receptive_field: field,
        aliases: vec![],
        presets: vec![],
    }
}

/// One line of `models list`.
#[derive(Debug, Clone, Serialize)]
pub struct Listed {
    pub name: String,
    pub origin: String,
    pub description: String,
    pub licence: String,
    /// Rows and columns of the input.
    pub input: [usize; 2],
    pub parameters: usize,
    /// Why a model could not be read.
    pub error: Option<String>,
}

/// All known models; one that cannot be read is listed with the reason.
pub fn list(options: &LoadOptions) -> Vec<Listed> {
    super::zoo::known_names(options).into_iter().map(|name| listed(name, options)).collect()
}

fn listed(name: String, options: &LoadOptions) -> Listed {
    let read: Result<Model> = load_model(&name, options);
    match read {
        Ok(model) => Listed {
            name,
            origin: model.origin,
            description: model.about.description,
            licence: model.about.licence,
            input: [model.graph.input.height, model.graph.input.width],
            parameters: model.graph.n_parameters(),
            error: None,
        },
        Err(e) => Listed {
            name,
            origin: String::new(),
            description: String::new(),
            licence: String::new(),
            input: [0, 0],
            parameters: 0,
            error: Some(e.to_string()),
        },
    }
}

/// The table for people.
pub fn table(inspection: &Inspection) -> String {
    let i = inspection;
    let mut text = format!(
        "{} ({}): {} parameters, {:.2} GMAC, input {} x {} {:?}, range {}, mean {:?}, std {:?}\n",
        line(&i.model),
        line(&i.origin),
        i.parameters,
        i.macs as f64 / 1e9,
        i.input.height,
        i.input.width,
        i.input.order,
        i.input.range,
        i.input.mean,
        i.input.std
    );
    let width = i.nodes.iter().map(|n| line(&n.name).chars().count()).max().unwrap_or(0).max(4);
    text += &format!(
        "{:<width$}  {:<15} {:>15} {:>10} {:>10}  {:>9} {:>6} {:>7}  {}\n",
        "tap", "op", "shape", "params", "MMAC", "field px", "stride", "centre", "also called; in presets"
    );
    for n in &i.nodes {
        let [c, h, w] = n.shape;
        let (rows, columns) = (n.receptive_field.rows, n.receptive_field.columns);
        let field =
            if rows.size == columns.size { rows.size.to_string() } else { format!("{}x{}", rows.size, columns.size) };
        let mut also = n.aliases.join(", ");
        if !n.presets.is_empty() {
            also += &format!(" [{}]", n.presets.join(", "));
        }
        let row = format!(
            "{:<width$}  {:<15} {:>15} {:>10} {:>10.2}  {:>9} {:>6} {:>7.1}  {}",
            line(&n.name),
            n.op,
            format!("{c} x {h} x {w}"),
            n.parameters,
            n.macs as f64 / 1e6,
            field,
            rows.stride,
            rows.centre,
            line(also.trim())
        );
        text += row.trim_end();
        text.push('\n');
    }
    for (name, taps) in &i.presets {
        text += &format!("preset {}: {}\n", line(name), line(&taps.join(", ")));
    }
    text
}
