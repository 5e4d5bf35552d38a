//! The training loop: fresh images at every step, cosine schedule, checkpoints to resume from.

use crate::net;
use crate::step::{Parameter, Trainer, right};
use anyhow::{Context, Result};
use orthoscope::image::scenes;
use orthoscope::io::atomic;
use orthoscope::network::{BurnExecutor, Executor, Graph, GraphBuilder, TapRequest, TapValue};
use orthoscope::tensor::{Device, Precision, Tensor, tensor_from_vec, vec_f32};
use rayon::prelude::*;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Instant;

/// Everything that the result depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    pub seed: u64,
    pub steps: usize,
    pub batch: usize,
    /// Peak learning rate of Adam: linear warm-up over the first 5 % of `horizon`, a cosine to zero at `horizon`.
    pub rate: f64,
    pub horizon: usize,
    /// The last steps, over which the rate also falls linearly to zero.
    pub cooldown: usize,
    /// Decoupled weight decay of kernels, per unit of learning rate.
    pub decay: f64,
    /// The same for the first layer from step `settle` on: by then the layers above know what they want of it, and what is
    /// left of its random start should go.
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

/// A step's images: the sequence in which classes take turns, shuffled by blocks of one image per class.
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

fn rate(settings: &Settings, step: usize) -> f64 {
    let (t, horizon) = (step as f64, settings.horizon as f64);
    let warm = (horizon * 0.05).max(1.0);
    if t < warm {
        return settings.rate * (t + 1.0) / warm;
    }
    let progress = ((t - warm) / (horizon - warm).max(1.0)).min(1.0);
    let cool = ((settings.steps - step) as f64 / settings.cooldown.max(1) as f64).min(1.0);
    settings.rate * (0.5 + 0.5 * (std::f64::consts::PI * progress).cos()) * cool
}

/// Weight decay of a kernel at a step.
fn decay(settings: &Settings, step: usize, name: &str) -> f64 {
    if name.starts_with("conv1/") && step >= settings.settle { settings.first_decay } else { settings.decay }
}

/// Trains, or goes on from the checkpoint; returns the trained graph and the history.
pub fn train(settings: &Settings, checkpoint: &Path) -> Result<(Graph, History)> {
    let device = Device::default();
    let mut trainer = Trainer::new(net::training_graph(settings.seed)?, &device);
    let mut history = History::default();
    if checkpoint.exists() {
        history = load(&mut trainer, settings, checkpoint, &device)?;
        eprintln!("going on from step {} of {}", history.step, settings.steps);
    }
    let before = history.seconds;
    let start = Instant::now();
    let first = history.step;
    let (mut loss, mut n_right) = (0.0, 0);
    for step in first..settings.steps {
        let (images, labels) = batch(settings, step, &device);
        let outcome = trainer.step(images, &labels, rate(settings, step), |name| decay(settings, step, name), step);
        loss += outcome.loss;
        n_right += outcome.n_right;
        history.step = step + 1;
        history.seconds = before + start.elapsed().as_secs_f64();
        if history.step % REPORT_EVERY == 0 {
            let (mean, accuracy) =
                (loss / REPORT_EVERY as f64, n_right as f64 / (REPORT_EVERY * settings.batch) as f64);
            history.training.push((history.step, mean, accuracy));
            (loss, n_right) = (0.0, 0);
            let per_step = start.elapsed().as_secs_f64() / (history.step - first) as f64;
            let left = per_step * (settings.steps - history.step) as f64 / 60.0;
            eprintln!(
                "step {:5}/{}  loss {mean:.3}  right {accuracy:.3}  {per_step:.2} s/step  {left:.1} min left",
                history.step, settings.steps
            );
        }
        if history.step % CHECKPOINT_EVERY == 0 || history.step == settings.steps {
            let graph = trained(&trainer)?;
            let result = accuracy(&graph, seeds(settings.seed).1, 3 * scenes::CLASSES.len())?;
            let held_out = result.iter().sum::<usize>() as f64 / (3 * scenes::CLASSES.len()) as f64;
            history.held_out.push((history.step, held_out));
            eprintln!("held out: {held_out:.3} right");
            save(&trainer, settings, &history, checkpoint)?;
        }
    }
    Ok((trained(&trainer)?, history))
}

/// The training graph with the trainer's weights and running moments.
fn trained(trainer: &Trainer) -> Result<Graph> {
    let mut builder = GraphBuilder::from_graph(trainer.graph.clone());
    let values = trainer.parameters.iter().map(|(name, p)| (name, &p.value)).chain(&trainer.running);
    for (name, value) in values {
        let shape = trainer.graph.weight(name).raw_dim();
        builder.add_weight(name, ndarray::ArrayD::from_shape_vec(shape, vec_f32(value))?);
    }
    Ok(builder.finish()?)
}

/// Number of images recognised, per class, among the first `n` of the sequence [`scenes::sample`] of a seed.
pub fn accuracy(graph: &Graph, seed: u64, n: usize) -> Result<Vec<usize>> {
    let device = Device::default();
    let logits = graph.find("loss3/classifier").context("the graph has a classifier")?;
    let mut executor = BurnExecutor::new(graph, &[TapRequest::Activations(logits)], Precision::F32, &device)?;
    let mut n_right = vec![0; scenes::CLASSES.len()];
    for from in (0..n).step_by(69) {
        let (images, labels) = images(seed, from as u64..(from + 69).min(n) as u64, &device);
        let TapValue::Activations(values) = executor.infer(&images)?.remove(0) else { continue };
        let [n, n_classes, ..] = values.dims();
        for (i, &label) in labels.iter().enumerate() {
            let one = values.clone().narrow(0, i, 1).reshape([1, n_classes]);
            n_right[label] += right(&one, &[label]);
        }
        debug_assert_eq!(n, labels.len());
    }
    Ok(n_right)
}

fn save(trainer: &Trainer, settings: &Settings, history: &History, path: &Path) -> Result<()> {
    let mut arrays: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let bytes = |t: &Tensor<1>| vec_f32(t).iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    for (name, p) in &trainer.parameters {
        for (part, tensor) in [("value", &p.value), ("first", &p.first), ("second", &p.second)] {
            arrays.insert(format!("{part} {name}"), bytes(tensor));
        }
    }
    trainer.running.iter().for_each(|(name, tensor)| drop(arrays.insert(format!("running {name}"), bytes(tensor))));
    let views = arrays.iter().map(|(k, v)| Ok((k.as_str(), TensorView::new(Dtype::F32, vec![v.len() / 4], v)?)));
    let views: Vec<_> = views.collect::<Result<_, safetensors::SafeTensorError>>()?;
    let notes = HashMap::from([
        ("settings".to_owned(), serde_json::to_string(settings)?),
        ("history".to_owned(), serde_json::to_string(history)?),
    ]);
    atomic::write(path, &safetensors::serialize(views, Some(notes))?)?;
    Ok(())
}

fn load(trainer: &mut Trainer, settings: &Settings, path: &Path, device: &Device) -> Result<History> {
    let bytes = std::fs::read(path)?;
    let (_, metadata) = SafeTensors::read_metadata(&bytes)?;
    let notes = metadata.metadata().clone().context("a checkpoint has notes")?;
    let saved: Settings = serde_json::from_str(&notes["settings"])?;
    anyhow::ensure!(
        saved == *settings,
        "{}: expected {settings:?}, found {saved:?}; name another --out",
        path.display()
    );
    let file = SafeTensors::deserialize(&bytes)?;
    let read = |name: String| -> Result<Tensor<1>> {
        let values: Vec<f32> =
            file.tensor(&name)?.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        let n = values.len();
        Ok(tensor_from_vec(values, [n], device))
    };
    for (name, Parameter { value, first, second, .. }) in &mut trainer.parameters {
        (*value, *first, *second) =
            (read(format!("value {name}"))?, read(format!("first {name}"))?, read(format!("second {name}"))?);
    }
    for (name, tensor) in &mut trainer.running {
        *tensor = read(format!("running {name}"))?;
    }
    Ok(serde_json::from_str(&notes["history"])?)
}
