//! A student's training on responses.

use super::smooth::Smoother;
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::math::stats;
use crate::network::executor::frozen;
use crate::network::{Graph, TapRequest, TapValue, Weights};
use crate::progress::{Progress, Sink};
use crate::rng::stream;
use crate::tensor::{Device, constant, into_vec_f32, tensor, tensor_from_vec};
use crate::training::{Method, Normalisation, Options, Schedule, Trainer, checkpoint};
use ndarray::{Array2, Array4, ArrayView2, Axis, Slice};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// How much of the stored moments stays at a step (Keras's default momentum).
const KEEP: f64 = 0.99;

/// How a student is trained.
///
/// | field | meaning | default |
/// |---|---|---|
/// | `epochs` | passes over the images | 20 |
/// | `batch` | images of a step | 64 |
/// | `rate` | Adam's learning rate at the beginning; a cosine takes it to 0 at the end | 0.0001 |
/// | `smooth` | standard deviation of the Gaussian that kernels are smoothed with, pixels; 0 for none | 0.5 |
/// | `smooth_every` | images between two smoothings | 100,000 |
/// | `patience` | epochs without a better held-out score after which training ends; 0: never | 0 |
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    pub epochs: usize,
    pub batch: usize,
    pub rate: f64,
    pub smooth: f64,
    pub smooth_every: usize,
    pub patience: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { epochs: 20, batch: 64, rate: 1e-4, smooth: 0.5, smooth_every: 100_000, patience: 0 }
    }
}

/// What a student learns from.
pub trait Lessons: Sync {
    /// Images of an epoch.
    fn n_images(&self) -> usize;

    /// Some images as they are seen in an epoch, n x 3 x height x width in [0, 1], and the
    /// responses to them, n x outputs.
    ///
    /// # Errors
    /// Whatever reading images says.
    fn read(&self, epoch: usize, images: &[usize]) -> Result<(Array4<f32>, Array2<f32>)>;

    /// Images that a student never learns from, and the responses to them.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn held_out(&self) -> Result<(Array4<f32>, Array2<f32>)>;
}

/// An epoch, looked back upon.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Mean squared error of the steps.
    pub loss: f64,
    /// Mean over outputs of Pearson's r with the held-out responses.
    pub r: f64,
}

/// What was seen so far.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct History {
    pub epochs: Vec<Epoch>,
    /// The epoch whose weights are kept.
    pub best: usize,
    /// Nothing more is to be done.
    pub done: bool,
}

/// A training: `min mean (student(image) - response)^2` by Adam, moments of batch norms followed.
///
/// Epochs go through the images in random orders of their own; images that do not fill a last batch
/// wait for the next epoch. After every epoch the student is scored on the held-out images, and
/// what it needs to go on is written. The weights of the best epoch are the result.
///
/// A step of Adam moves every weight by about the rate, and an output of a linear readout by the rate
/// times the sum of all that it reads: with thousands of inputs, rates much above the default (which is
/// that of Cowley et al.) throw it off.
pub struct Teaching<'a> {
    pub lessons: &'a dyn Lessons,
    pub settings: Settings,
    pub seed: u64,
    pub device: Device,
    pub cancel: Cancel,
    pub progress: Sink,
}

/// What a checkpoint must agree with.
#[derive(Serialize)]
struct Agreed<'a> {
    seed: u64,
    settings: &'a Settings,
    n_images: usize,
}

impl Teaching<'_> {
    /// Trains a student, or goes on from the file at `path`, which is written after every epoch.
    ///
    /// # Errors
    /// [`Error::Invalid`] for fewer images than a batch, and when a loss is not finite;
    /// [`Error::Interrupted`] when stopped: the epochs before are in the file; whatever reading
    /// says.
    pub fn train(&self, task: &str, student: Graph, path: &Path) -> Result<(Graph, History)> {
        let (settings, n) = (&self.settings, self.lessons.n_images());
        let batch = settings.batch.min(n);
        if batch < 2 {
            let hint = "moments of a batch need more than one image";
            return Err(Error::invalid("training", "2 images or more", n.to_string(), hint));
        }
        let per_epoch = n / batch;
        let options =
            Options { method: Method::default(), normalisation: Normalisation::Batch { keep: KEEP }, clip: None };
        let smoother = Smoother::new(&student, settings.smooth);
        let (output, original) = (student.output(), student.clone());
        let mut trainer = Trainer::new(student, &[output], options, &|_| true, &self.device)?;
        let agreed = Agreed { seed: self.seed, settings, n_images: n };
        let (mut history, mut best): (History, Weights) =
            checkpoint::resume_with(path, &mut trainer, &agreed)?.unwrap_or_default();
        let steps = settings.epochs * per_epoch;
        let schedule = Schedule { peak: settings.rate, warmup: 0.0, horizon: steps, steps, cooldown: 0 };
        let done = history.epochs.len() * per_epoch;
        let mut progress = Progress::new(&self.progress, task, steps as u64, done as u64);
        while history.epochs.len() < settings.epochs && !history.done {
            let epoch = history.epochs.len();
            let order = stream(self.seed, "order of images", epoch as u64).permutation(n);
            let mut loss = 0.0;
            for (k, chosen) in order.chunks_exact(batch).enumerate() {
                self.cancel.check()?;
                let step = epoch * per_epoch + k;
                let own = self.step(&mut trainer, epoch, chosen, schedule.rate(step))?;
                // Where a block of images ends.
                if (step + 1) * batch / settings.smooth_every.max(1) > step * batch / settings.smooth_every.max(1) {
                    trainer.change(|name, _, values| smoother.apply(name, values));
                }
                loss += own / per_epoch as f64;
                progress.tick(|| format!("loss {own:.3}"));
            }
            let graph = trainer.graph()?;
            let r = self.score(&graph)?;
            if history.epochs.is_empty() || r > history.epochs[history.best].r {
                history.best = epoch;
                best = graph.weights().clone();
            }
            history.epochs.push(Epoch { loss, r });
            history.done = settings.patience > 0 && epoch - history.best >= settings.patience;
            checkpoint::save_with(path, &trainer, &agreed, &history, &best)?;
        }
        progress.finish();
        let graph = if best.is_empty() { original } else { original.with_weights(best)? };
        Ok((graph, history))
    }

    fn step(&self, trainer: &mut Trainer, epoch: usize, chosen: &[usize], rate: f64) -> Result<f64> {
        let (images, responses) = self.lessons.read(epoch, chosen)?;
        let (n, k) = responses.dim();
        let wanted = tensor_from_vec(responses.iter().copied().collect(), [n, k, 1, 1], &self.device);
        let images = tensor(images.view(), &self.device);
        let outcome = trainer
            .step(images, rate, &|_, _| 0.0, |outputs| Ok((outputs[0].clone() - constant(wanted)).square().mean()))?;
        Ok(outcome.loss)
    }

    /// Mean r over outputs with the held-out responses.
    fn score(&self, graph: &Graph) -> Result<f64> {
        let (images, responses) = self.lessons.held_out()?;
        let found = outputs(graph, &images, &self.device)?;
        Ok(stats::mean(&correlations(found.view(), responses.view())))
    }
}

/// Images that go through a network at once.
const CHUNK: usize = 32;

/// A network's outputs for images (n x 3 x height x width in [0, 1]): n x outputs.
///
/// # Errors
/// As running the network says.
pub fn outputs(graph: &Graph, images: &Array4<f32>, device: &Device) -> Result<Array2<f32>> {
    let mut executor = frozen(graph, &[TapRequest::Activations(graph.output())], device)?;
    let (n, n_outputs) = (images.dim().0, graph.node(graph.output()).shape.channels);
    let mut values = Vec::with_capacity(n * n_outputs);
    for start in (0..n).step_by(CHUNK) {
        let chunk = images.slice_axis(Axis(0), Slice::from(start..(start + CHUNK).min(n)));
        match executor.infer(&tensor(chunk.view(), device))?.remove(0) {
            TapValue::Activations(a) => values.extend(into_vec_f32(a)),
            TapValue::Moments(_) => unreachable!("activations were asked for"),
        }
    }
    Ok(Array2::from_shape_vec((n, n_outputs), values).expect("an output is one number"))
}

/// Pearson's r of each column; 0 where one of the two does not vary.
pub fn correlations(a: ArrayView2<'_, f32>, b: ArrayView2<'_, f32>) -> Vec<f64> {
    let column = |m: &ArrayView2<'_, f32>, k: usize| m.column(k).iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
    (0..a.ncols())
        .map(|k| {
            let r = stats::pearson(&column(&a, k), &column(&b, k));
            if r.is_finite() { r } else { 0.0 }
        })
        .collect()
}
