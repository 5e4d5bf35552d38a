//! The training loop: fresh images at every step, cosine schedule, checkpoints to resume from.

use crate::net;
use crate::scenes;
use anyhow::{Context, Result};
use orthoscope::network::{BurnExecutor, Executor, Graph, TapRequest, TapValue};
use orthoscope::tensor::{Device, Precision, Tensor, tensor_from_vec};
use orthoscope::training::loss::{cross_entropy, n_right};
use orthoscope::training::{Method, Normalisation, Options, Schedule, Trainer, checkpoint};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Instant;

/// Everything that the result depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    pub seed: u64,
    pub steps: usize,
    pub batch: usize,
    /// Peak learning rate of Adam: linear warm-up over the first 5 % of `horizon`, a cosine to zero
    /// at `horizon`.
    pub rate: f64,
    pub horizon: usize,
    /// The last steps, over which the rate also falls linearly to zero.
    pub cooldown: usize,
    /// Decoupled weight decay of kernels, per unit of learning rate.
    pub decay: f64,
    /// The same for the first layer from step `settle` on: by then the layers above know what they
    /// want of it, and what is left of its random start should go.
    pub first_decay: f64,
    pub settle: usize,
}

/// What a run has seen so far.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct History {
    /// Steps done.
    pub step: usize,
    pub seconds: f64,
    /// (step, mean loss, fraction right) over the batches since the entry before.
    pub training: Vec<(usize, f64, f64)>,
    /// (step, fraction right on held-out images).
    pub held_out: Vec<(usize, f64)>,
}

const OPTIONS: Options = Options {
    method: Method::AdamW { beta1: 0.9, beta2: 0.99, epsilon: 1e-8 },
    normalisation: Normalisation::Batch { keep: 0.97 },
    clip: None,
};
/// What labels are smoothed by.
const SMOOTHING: f64 = 0.05;
const REPORT_EVERY: usize = 20;
const CHECKPOINT_EVERY: usize = 200;

/// The scenes' seed for training, and the one for testing: their images never coincide.
pub fn seeds(seed: u64) -> (u64, u64) {
    (2 * seed, 2 * seed + 1)
}

/// Images `range` of the sequence [`scenes::sample`]: N x 3 x H x W, and their classes.
pub fn images(seed: u64, range: std::ops::Range<u64>, device: &Device) -> (Tensor<4>, Vec<usize>) {
    let n = (range.end - range.start) as usize;
    let drawn: Vec<_> = range.into_par_iter().map(|i| scenes::sample(seed, i, net::SIZE)).collect();
    let labels = drawn.iter().map(|(class, _)| *class).collect();
    let values = drawn.iter().flat_map(|(_, image)| image.iter().copied()).collect();
    (tensor_from_vec(values, [n, 3, net::SIZE, net::SIZE], device), labels)
}

/// A step's images: the sequence in which classes take turns, shuffled by blocks of one image per
/// class.
fn batch(settings: &Settings, step: usize, device: &Device) -> (Tensor<4>, Vec<usize>) {
    let n_classes = scenes::CLASSES.len() as u64;
    let (seed, n) = (seeds(settings.seed).0, settings.batch);
    let drawn: Vec<_> = ((step * n) as u64..((step + 1) * n) as u64)
        .into_par_iter()
        .map(|i| {
            let order =
                orthoscope::rng::stream(settings.seed, "class order", i / n_classes).permutation(n_classes as usize);
            let class = order[(i % n_classes) as usize];
            (class, scenes::draw(class, seed, i / n_classes, net::SIZE))
        })
        .collect();
    let labels = drawn.iter().map(|(class, _)| *class).collect();
    let values = drawn.iter().flat_map(|(_, image)| image.iter().copied()).collect();
    (tensor_from_vec(values, [n, 3, net::SIZE, net::SIZE], device), labels)
}

fn schedule(settings: &Settings) -> Schedule {
    let warmup = (settings.horizon as f64 * 0.05).max(1.0);
    let Settings { rate: peak, horizon, steps, cooldown, .. } = *settings;
    Schedule { peak, warmup, horizon, steps, cooldown }
}

/// Weight decay at a step: of kernels, not of scales, shifts and biases.
fn decay(settings: &Settings, step: usize, name: &str, shape: &[usize]) -> f64 {
    match shape.len() {
        1 => 0.0,
        _ if name.starts_with("conv1/") && step >= settings.settle => settings.first_decay,
        _ => settings.decay,
    }
}

/// Trains, or goes on from the checkpoint; returns the trained graph and the history.
pub fn train(settings: &Settings, path: &Path) -> Result<(Graph, History)> {
    let device = Device::default();
    let graph = net::training_graph(settings.seed)?;
    let logits = graph.output();
    let mut trainer = Trainer::new(graph, &[logits], OPTIONS, &|_| true, &device)?;
    let mut history: History = checkpoint::resume(path, &mut trainer, settings)?.unwrap_or_default();
    if history.step > 0 {
        eprintln!("going on from step {} of {}", history.step, settings.steps);
    }
    let (before, start, first) = (history.seconds, Instant::now(), history.step);
    let (mut loss, mut right) = (0.0, 0);
    for step in first..settings.steps {
        let (images, labels) = batch(settings, step, &device);
        let decay = |name: &str, shape: &[usize]| decay(settings, step, name, shape);
        let outcome = trainer.step(images, schedule(settings).rate(step), &decay, |outputs| {
            right += n_right(&outputs[0].clone().inner(), &labels);
            cross_entropy(&outputs[0], &labels, SMOOTHING)
        })?;
        loss += outcome.loss;
        history.step = step + 1;
        history.seconds = before + start.elapsed().as_secs_f64();
        if history.step.is_multiple_of(REPORT_EVERY) {
            let (mean, accuracy) = (loss / REPORT_EVERY as f64, right as f64 / (REPORT_EVERY * settings.batch) as f64);
            history.training.push((history.step, mean, accuracy));
            (loss, right) = (0.0, 0);
            let per_step = start.elapsed().as_secs_f64() / (history.step - first) as f64;
            let left = per_step * (settings.steps - history.step) as f64 / 60.0;
            eprintln!(
                "step {:5}/{}  loss {mean:.3}  right {accuracy:.3}  {per_step:.2} s/step  {left:.1} min left",
                history.step, settings.steps
            );
        }
        if history.step.is_multiple_of(CHECKPOINT_EVERY) || history.step == settings.steps {
            let result = accuracy(&trainer.graph()?, seeds(settings.seed).1, 3 * scenes::CLASSES.len())?;
            let held_out = result.iter().sum::<usize>() as f64 / (3 * scenes::CLASSES.len()) as f64;
            history.held_out.push((history.step, held_out));
            eprintln!("held out: {held_out:.3} right");
            checkpoint::save(path, &trainer, settings, &history)?;
        }
    }
    Ok((trainer.graph()?, history))
}

/// Number of images recognised, per class, among the first `n` of the sequence [`scenes::sample`]
/// of a seed.
pub fn accuracy(graph: &Graph, seed: u64, n: usize) -> Result<Vec<usize>> {
    let device = Device::default();
    let logits = graph.find("loss3/classifier").context("the graph has a classifier")?;
    let mut executor = BurnExecutor::new(graph, &[TapRequest::Activations(logits)], Precision::F32, &device)?;
    let mut right = vec![0; scenes::CLASSES.len()];
    for from in (0..n).step_by(scenes::CLASSES.len()) {
        let to = (from + scenes::CLASSES.len()).min(n);
        let (images, labels) = images(seed, from as u64..to as u64, &device);
        let TapValue::Activations(values) = executor.infer(&images)?.remove(0) else { continue };
        for (i, &label) in labels.iter().enumerate() {
            right[label] += n_right(&values.clone().narrow(0, i, 1), &[label]);
        }
    }
    Ok(right)
}
