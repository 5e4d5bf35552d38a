//! Everything that the next step depends on: saved and restored bit for bit.

use super::optimizer;
use super::trace::Trace;
use ndarray::{Array2, ArrayD, IxDyn};
use std::collections::BTreeMap;

/// The state of one item between two steps.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Steps done.
    pub step: usize,
    /// Steps to do in all.
    pub horizon: usize,
    /// What is optimised: one array per leaf, n_images rows each.
    pub leaves: Vec<Array2<f32>>,
    /// The optimizer's own arrays.
    pub optimizer: Vec<(String, Vec<f32>)>,
    pub trace: Trace,
}

impl State {
    /// A fresh start of `horizon` steps.
    pub fn new(leaves: Vec<Array2<f32>>, horizon: usize) -> Self {
        Self { step: 0, horizon, leaves, optimizer: vec![], trace: Trace::default() }
    }

    /// Whether all steps are done.
    pub fn is_done(&self) -> bool {
        self.step >= self.horizon
    }

    /// As named arrays for a checkpoint file. Numbers other than f32 travel as bit patterns, so
    /// that nothing is rounded.
    pub fn to_arrays(&self) -> BTreeMap<String, ArrayD<f32>> {
        let mut out = BTreeMap::new();
        for (i, leaf) in self.leaves.iter().enumerate() {
            out.insert(format!("leaf.{i}"), leaf.clone().into_dyn());
        }
        for (name, values) in &self.optimizer {
            out.insert(format!("optimizer.{name}"), vector(values.clone()));
        }
        out
    }

    /// Whether this state, read from somewhere, can go on where `start` begins.
    pub fn continues(&self, start: &Self) -> bool {
        let shapes = |state: &Self| state.leaves.iter().map(Array2::dim).collect::<Vec<_>>();
        shapes(self) == shapes(start) && self.step <= self.horizon && optimizer::fits(&self.optimizer, &self.leaves)
    }

    /// The reverse of [`to_arrays`](Self::to_arrays); the rest comes from the checkpoint's text
    /// part.
    pub fn from_arrays(
        step: usize,
        horizon: usize,
        trace: Trace,
        arrays: &BTreeMap<String, ArrayD<f32>>,
    ) -> Option<Self> {
        let mut leaves = Vec::new();
        while let Some(leaf) = arrays.get(&format!("leaf.{}", leaves.len())) {
            leaves.push(leaf.clone().into_dimensionality().ok()?);
        }
        let optimizer = arrays
            .iter()
            .filter_map(|(name, a)| Some((name.strip_prefix("optimizer.")?.to_owned(), a.iter().copied().collect())))
            .collect();
        (!leaves.is_empty()).then_some(Self { step, horizon, leaves, optimizer, trace })
    }
}

fn vector(values: Vec<f32>) -> ArrayD<f32> {
    let n = values.len();
    ArrayD::from_shape_vec(IxDyn(&[n]), values).expect("one axis of n values")
}
