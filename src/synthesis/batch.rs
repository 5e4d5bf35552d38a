//! Many images in one batch, each with an objective of its own: it converges, is kept and leaves
//! the batch for itself.

use super::converge::verdict;
use super::optimizer::fits;
use super::synthesizer::{Evaluation, Synthesizer};
use crate::error::Result;
use ndarray::{Array1, Array2, Axis};
use std::time::Instant;

/// One image of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The objective's value before each step, and after the last.
    pub values: Vec<f64>,
    /// The driven unit's response at the same moments.
    pub responses: Vec<f64>,
    /// What is kept: the leaves with the highest value so far or, where values are noisy, the
    /// latest.
    pub kept: Vec<Array1<f32>>,
    pub kept_value: f64,
    pub kept_response: f64,
    pub kept_step: usize,
    /// False while it is in the batch.
    pub done: bool,
    pub converged: bool,
}

/// Everything that the next step of a batch depends on.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    pub step: usize,
    /// Images still in the batch; row `r` of the leaves is image `active[r]`.
    pub active: Vec<usize>,
    pub leaves: Vec<Array2<f32>>,
    pub optimizer: Vec<(String, Vec<f32>)>,
    /// All images, also those that have left.
    pub rows: Vec<Row>,
    pub seconds: f64,
    pub executor_seconds: f64,
}

impl Batch {
    /// Whether this batch, read from somewhere, can go on where `start` begins.
    pub fn continues(&self, start: &Self) -> bool {
        let widths = |leaves: &[Array2<f32>]| leaves.iter().map(Array2::ncols).collect::<Vec<_>>();
        let kept = |row: &Row| row.kept.iter().map(Array1::len).collect::<Vec<_>>();
        let wanted = widths(&start.leaves);
        let open: Vec<usize> = (0..self.rows.len()).filter(|&r| !self.rows[r].done).collect();
        self.rows.len() == start.rows.len()
            && self.rows.iter().all(|row| kept(row) == wanted)
            && self.active == open
            && widths(&self.leaves) == wanted
            && self.leaves.iter().all(|l| l.nrows() == self.active.len())
            && fits(&self.optimizer, &self.leaves)
    }

    /// Images that have not been looked at yet: one per row of the leaves.
    pub fn new(leaves: Vec<Array2<f32>>) -> Self {
        let row = |r: usize| Row {
            values: vec![],
            responses: vec![],
            kept: leaves.iter().map(|l| l.row(r).to_owned()).collect(),
            kept_value: f64::NEG_INFINITY,
            kept_response: f64::NAN,
            kept_step: 0,
            done: false,
            converged: false,
        };
        let n_images = leaves[0].nrows();
        let (rows, active) = ((0..n_images).map(row).collect(), (0..n_images).collect());
        Self { step: 0, active, leaves, optimizer: vec![], rows, seconds: 0.0, executor_seconds: 0.0 }
    }

    /// Whether every image has left.
    pub fn is_done(&self) -> bool {
        self.active.is_empty()
    }

    /// The kept leaves of every image, in order.
    pub fn kept(&self) -> Vec<Array2<f32>> {
        let n_leaves = self.rows.first().map_or(0, |row| row.kept.len());
        let stack = |leaf: usize| {
            let rows: Vec<_> = self.rows.iter().map(|row| row.kept[leaf].view()).collect();
            ndarray::stack(Axis(0), &rows).expect("all rows of a leaf have one length")
        };
        (0..n_leaves).map(stack).collect()
    }
}

/// When an image leaves the batch before the last step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Leave {
    /// For each image the objective's value at which it is done; empty: none.
    pub at_value: Vec<f64>,
}

/// Values between two looks at whether an image has converged.
const VERDICT_EVERY: usize = 20;

impl Synthesizer {
    /// A fresh batch from the parametrisation's initial values.
    pub fn start_batch(&self) -> Batch {
        Batch::new(self.param.leaves())
    }

    /// One step of every image in the batch; the last step's images are evaluated once more, and
    /// all leave.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn step_batch(&mut self, batch: &mut Batch, leave: &Leave) -> Result<()> {
        let began = Instant::now();
        let mut found = self.evaluate(&batch.leaves, &batch.active, batch.step)?;
        batch.executor_seconds += found.executor_seconds;
        self.note(batch, &found, leave);
        // A blurred image is no candidate, but the next step's gradient is taken there.
        if batch.step < self.steps && self.param.relax(&mut batch.leaves, batch.step) {
            found = self.evaluate(&batch.leaves, &batch.active, batch.step)?;
            batch.executor_seconds += found.executor_seconds;
        }
        if batch.step >= self.steps {
            batch.active.iter().for_each(|&image| batch.rows[image].done = true);
        }
        let keep: Vec<bool> = batch.active.iter().map(|&image| !batch.rows[image].done).collect();
        let mut optimizer = self.optimizer.build();
        optimizer.restore(std::mem::take(&mut batch.optimizer));
        if keep.contains(&false) {
            let rows: Vec<usize> = (0..keep.len()).filter(|&r| keep[r]).collect();
            batch.leaves.iter_mut().for_each(|l| *l = l.select(Axis(0), &rows));
            found.gradients.iter_mut().for_each(|g| *g = g.select(Axis(0), &rows));
            optimizer.retain(&keep);
            batch.active = rows.iter().map(|&r| batch.active[r]).collect();
        }
        if !batch.is_done() {
            self.param.condition(&mut found.gradients, &batch.active);
            let value = found.values.iter().sum();
            optimizer.step(&mut batch.leaves, value, &found.gradients, self.rate_at(batch.step, self.steps));
            batch.optimizer = optimizer.save();
            self.param.project(&mut batch.leaves, &batch.active, batch.step + 1);
            batch.step += 1;
        }
        batch.seconds += began.elapsed().as_secs_f64();
        Ok(())
    }

    /// Values and responses of leaves as they are shown, without any random view; one row per image
    /// of the objective.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn measure(&mut self, leaves: &[Array2<f32>]) -> Result<Vec<(f64, f64)>> {
        let views = self.views.take();
        let items: Vec<usize> = (0..leaves[0].nrows()).collect();
        let found = self.evaluate(leaves, &items, 0);
        self.views = views;
        let found = found?;
        let responses = found.metrics.get("response").cloned().unwrap_or_else(|| found.values.clone());
        Ok(found.values.into_iter().zip(responses).collect())
    }

    /// Writes down what was found, and who is done.
    fn note(&self, batch: &mut Batch, found: &Evaluation, leave: &Leave) {
        let noisy = self.views.is_some();
        let responses = found.metrics.get("response");
        for (r, &image) in batch.active.iter().enumerate() {
            let row = &mut batch.rows[image];
            let value = found.values[r];
            let response = responses.and_then(|all| all.get(r)).copied().unwrap_or(value);
            row.values.push(value);
            row.responses.push(response);
            if noisy || value > row.kept_value {
                row.kept = batch.leaves.iter().map(|l| l.row(r).to_owned()).collect();
                (row.kept_value, row.kept_response, row.kept_step) = (value, response, batch.step);
            }
            let due = self.tolerance > 0.0 && row.values.len().is_multiple_of(VERDICT_EVERY);
            let settled = due && verdict(&row.values, self.tolerance).converged;
            let reached = leave.at_value.get(image).is_some_and(|wanted| value >= *wanted);
            row.converged = settled || reached;
            row.done = row.converged;
        }
    }
}
