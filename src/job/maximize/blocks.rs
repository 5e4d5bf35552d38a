//! Greedy block images: rectangles of one colour, each added because it raises the objective more
//! than the other candidates.

use super::plan::Plan;
use crate::error::Result;
use crate::network::Executor;
use crate::objective::{Goal, Metrics, Scene, TapVar};
use crate::rng;
use crate::synthesis::{Batch, Leave};
use crate::tensor::{Device, array_f64, constant, tensor};
use ndarray::{Array2, Array4, Axis};
use std::time::Instant;

/// The search of one batch.
pub struct Blocks {
    pub executor: Box<dyn Executor>,
    pub goal: Goal,
    pub steps: usize,
    pub candidates: usize,
    pub grey: bool,
    pub seed: u64,
    pub device: Device,
    size: (usize, usize),
    n_items: usize,
}

/// A rectangle of one colour.
struct Block {
    top: usize,
    left: usize,
    height: usize,
    width: usize,
    colour: [f32; 3],
}

/// Smallest side of a block, and the largest as a share of the image's side.
const SMALLEST: usize = 3;
const LARGEST: f64 = 0.4;

impl Blocks {
    /// A search that starts from even mid-grey.
    pub fn new(plan: &Plan, executor: Box<dyn Executor>, goal: Goal, seed: u64) -> Self {
        Self {
            executor,
            goal,
            steps: plan.config.steps,
            candidates: plan.config.search.candidates,
            grey: plan.config.image.grey,
            seed,
            device: plan.device.clone(),
            size: plan.population.size(),
            n_items: plan.n_items(),
        }
    }

    /// Mid-grey images, not yet evaluated.
    pub fn start(&self) -> Batch {
        let n_values = 3 * self.size.0 * self.size.1;
        Batch::new(vec![Array2::from_elem((self.n_items, n_values), 0.5f32)])
    }

    /// Tries candidates on every image and adds the best one where it raises the objective.
    ///
    /// # Errors
    /// As the executor.
    pub fn step(&mut self, batch: &mut Batch, leave: &Leave) -> Result<()> {
        let began = Instant::now();
        if batch.step == 0 {
            let images = batch.active.clone();
            let values = self.evaluate(&batch.leaves[0], &images)?;
            for (row, (value, response)) in batch.rows.iter_mut().zip(values) {
                row.values.push(value);
                row.responses.push(response);
                (row.kept_value, row.kept_response) = (value, response);
            }
        }
        for r in 0..batch.active.len() {
            self.grow(batch, r)?;
        }
        batch.step += 1;
        let over = batch.step >= self.steps;
        for &image in &batch.active {
            let row = &mut batch.rows[image];
            row.converged = leave.at_value.get(image).is_some_and(|wanted| row.kept_value >= *wanted);
            row.done = over || row.converged;
        }
        let stay: Vec<usize> = (0..batch.active.len()).filter(|&r| !batch.rows[batch.active[r]].done).collect();
        batch.leaves[0] = batch.leaves[0].select(Axis(0), &stay);
        batch.active = stay.iter().map(|&r| batch.active[r]).collect();
        batch.seconds += began.elapsed().as_secs_f64();
        Ok(())
    }

    fn grow(&mut self, batch: &mut Batch, r: usize) -> Result<()> {
        let image = batch.active[r];
        let blocks = self.draw(image, batch.step);
        let canvas = batch.leaves[0].row(r).to_owned();
        let mut tried = Array2::zeros((blocks.len(), canvas.len()));
        for (mut slot, block) in tried.outer_iter_mut().zip(&blocks) {
            slot.assign(&canvas);
            block.paint(slot.as_slice_mut().expect("rows are contiguous"), self.size);
        }
        let values = self.evaluate(&tried, &vec![image; blocks.len()])?;
        let best = (0..values.len()).max_by(|&a, &b| values[a].0.total_cmp(&values[b].0)).unwrap_or(0);
        let row = &mut batch.rows[image];
        if values[best].0 > row.kept_value {
            (row.kept_value, row.kept_response) = values[best];
            row.kept_step = batch.step + 1;
            row.kept = vec![tried.row(best).to_owned()];
            batch.leaves[0].row_mut(r).assign(&tried.row(best));
        }
        row.values.push(row.kept_value);
        row.responses.push(row.kept_response);
        Ok(())
    }

    /// Candidates of an image at a step: position and size uniform, colours black, white or
    /// uniform.
    fn draw(&self, image: usize, step: usize) -> Vec<Block> {
        let mut draws = rng::stream(self.seed, "blocks", (image as u64) << 32 | step as u64);
        let (rows, columns) = self.size;
        let mut side = |n: usize| {
            let largest = ((LARGEST * n as f64) as usize).max(SMALLEST + 1);
            let length = (SMALLEST + draws.below(largest - SMALLEST)).min(n);
            (draws.below(n - length + 1), length, draws.uniform(), draws.uniform(), draws.uniform())
        };
        (0..self.candidates)
            .map(|_| {
                let (top, height, red, green, _) = side(rows);
                let (left, width, blue, kind, level) = side(columns);
                let colour = match kind {
                    k if k < 0.25 => [0.0; 3],
                    k if k < 0.5 => [1.0; 3],
                    _ if self.grey => [level as f32; 3],
                    _ => [red as f32, green as f32, blue as f32],
                };
                Block { top, left, height, width, colour }
            })
            .collect()
    }

    /// The objective and the response of each row; `images[r]` is the image of the objective that
    /// row `r` belongs to.
    fn evaluate(&mut self, rows: &Array2<f32>, images: &[usize]) -> Result<Vec<(f64, f64)>> {
        let (height, width) = self.size;
        let pixels = Array4::from_shape_vec((images.len(), 3, height, width), rows.iter().copied().collect());
        let pixels = tensor::<4, _>(pixels.expect("three values per pixel").view(), &self.device);
        let taps: Vec<TapVar> = self
            .executor
            .infer(&pixels)?
            .into_iter()
            .map(|value| match value {
                crate::network::TapValue::Activations(a) => TapVar::Activations(constant(a)),
                crate::network::TapValue::Moments(m) => {
                    TapVar::Moments { gram: constant(m.gram), sums: constant(m.sums), n_units: m.n_units }
                }
            })
            .collect();
        let mut metrics = Metrics::new();
        let shown = constant(pixels);
        let value = self.goal.value(&Scene { images: &shown, taps: &taps, items: images }, &mut metrics)?;
        let values: Vec<f64> = array_f64(&value.inner()).into_iter().collect();
        let responses = metrics.remove("response").unwrap_or_else(|| values.clone());
        Ok(values.into_iter().zip(responses).collect())
    }
}

impl Block {
    fn paint(&self, image: &mut [f32], (height, width): (usize, usize)) {
        for (channel, &level) in self.colour.iter().enumerate() {
            for y in self.top..self.top + self.height {
                let start = (channel * height + y) * width + self.left;
                image[start..start + self.width].fill(level);
            }
        }
    }
}
