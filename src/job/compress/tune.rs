//! What is left, trained on: against labels, or against the outputs of the whole network.

use super::config::Norms;
use super::judge::Side;
use super::plan::Plan;
use super::prune::Scale;
use super::sets::Truth;
use crate::error::Result;
use crate::job::{RunDir, Session};
use crate::network::Graph;
use crate::progress::Progress;
use crate::rng::stream;
use crate::tensor::{Var, constant, tensor, tensor_from_vec};
use crate::training::loss::cross_entropy;
use crate::training::{Method, Normalisation, Options, Schedule, Trainer, checkpoint};
use ndarray::{Array4, Axis, concatenate};
use serde::{Deserialize, Serialize};

/// What a batch's moments count for in the stored ones (PyTorch's momentum of 0.1).
const KEEP: f64 = 0.9;

/// What was seen so far.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct History {
    /// Mean loss of every pass.
    losses: Vec<f64>,
}

/// A network after fine-tuning, and the mean loss of every pass.
pub struct Tuned {
    pub graph: Graph,
    pub losses: Vec<f64>,
}

/// Trains a smaller network on the images that its channels were judged on, with Adam and a rate
/// that falls to 0 along a cosine; a checkpoint after every pass.
///
/// # Errors
/// As training says; [`crate::Error::Interrupted`]: what was done in this pass is done again.
pub fn tune(plan: &Plan, graph: Graph, side: &Side<'_>, session: &Session, run: &RunDir) -> Result<Tuned> {
    let config = &plan.config.fine_tune;
    let normalisation = match config.normalisation {
        Norms::Stored => Normalisation::Stored,
        Norms::Batch => Normalisation::Batch { keep: KEEP },
    };
    let options = Options { method: Method::default(), normalisation, clip: None };
    let output = graph.scores();
    let mut trainer = Trainer::new(graph, &[output], options, &|_| true, &plan.device)?;
    let path = run.checkpoint().join("tuning.checkpoint");
    let mut history: History = checkpoint::resume(&path, &mut trainer, config)?.unwrap_or_default();
    let n = side.images.n_images();
    let per_epoch = n.div_ceil(config.batch);
    let steps = config.epochs * per_epoch;
    let schedule = Schedule { peak: config.rate, warmup: 0.0, horizon: steps, steps, cooldown: 0 };
    let scale = Scale::of(&side.outputs);
    let done = history.losses.len() * per_epoch;
    let mut progress = Progress::new(&session.progress, "fine-tuning", steps as u64, done as u64);
    for epoch in history.losses.len()..config.epochs {
        let order = stream(plan.config.seed, "order of fine-tuning", epoch as u64).permutation(n);
        let mut sum = 0.0;
        for (k, places) in order.chunks(config.batch).enumerate() {
            session.cancel.check()?;
            let parts = places.iter().map(|&i| side.images.read(i..i + 1)).collect::<Result<Vec<Array4<f32>>>>()?;
            let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
            let images = concatenate(Axis(0), &views).expect("all are of one size");
            let rate = schedule.rate(epoch * per_epoch + k);
            let outcome = trainer.step(tensor(images.view(), &plan.device), rate, &|_, _| 0.0, |outputs| {
                loss(&outputs[0], side, &scale, places)
            })?;
            sum += outcome.loss * places.len() as f64;
            progress.tick(|| format!("loss {:.4}", outcome.loss));
        }
        history.losses.push(sum / n as f64);
        checkpoint::save(&path, &trainer, config, &history)?;
    }
    progress.finish();
    Ok(Tuned { graph: trainer.graph()?, losses: history.losses })
}

/// Cross-entropy with the labels; else the mean squared distance from the whole network's outputs,
/// in their standard deviations.
fn loss(outputs: &Var<4>, side: &Side<'_>, scale: &Scale, places: &[usize]) -> Result<Var<1>> {
    if let Truth::Labels(labels) = side.truth {
        let own: Vec<usize> = places.iter().map(|&i| labels[i]).collect();
        return cross_entropy(outputs, &own, 0.0);
    }
    let (n, units, device) = (places.len(), side.outputs.ncols(), outputs.device());
    let wanted = constant(tensor_from_vec(scale.apply(&side.outputs, places), [n, units], &device));
    let weight = constant(tensor_from_vec(scale.weights.clone(), [1, units], &device));
    let mean = constant(tensor_from_vec(scale.means.clone(), [1, units], &device));
    let found = (outputs.clone().reshape([n, units]) - mean) * weight;
    Ok((found - wanted).square().mean())
}
