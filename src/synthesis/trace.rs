//! What happened at each step, by name.

use crate::objective::Metrics;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One value per step and name; names that appear late are filled with NaN before.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    columns: BTreeMap<String, Vec<f64>>,
    n_steps: usize,
}

impl Trace {
    /// Adds one step.
    pub fn push(&mut self, metrics: &Metrics) {
        for name in metrics.keys() {
            self.columns.entry(name.clone()).or_insert_with(|| vec![f64::NAN; self.n_steps]);
        }
        for (name, column) in &mut self.columns {
            column.push(metrics.get(name).and_then(|values| values.first()).copied().unwrap_or(f64::NAN));
        }
        self.n_steps += 1;
    }

    /// Steps so far.
    pub fn len(&self) -> usize {
        self.n_steps
    }

    pub fn is_empty(&self) -> bool {
        self.n_steps == 0
    }

    /// A column by name; empty when there is none.
    pub fn column(&self, name: &str) -> &[f64] {
        self.columns.get(name).map_or(&[], Vec::as_slice)
    }

    /// All columns in order of their names.
    pub fn columns(&self) -> impl Iterator<Item = (&str, &[f64])> {
        self.columns.iter().map(|(n, v)| (n.as_str(), v.as_slice()))
    }

    /// Rebuilds a trace from its columns, which must be equally long.
    pub fn from_columns(columns: BTreeMap<String, Vec<f64>>) -> Self {
        let n_steps = columns.values().map(Vec::len).max().unwrap_or(0);
        Self { columns, n_steps }
    }
}
