//! What a network is worth on a side's images.

use super::plan::Plan;
use super::sets::{Set, Truth};
use crate::compression::importance::{Ablation, Accuracy, Correlation, Data, Score, Scored};
use crate::data::StimulusSource;
use crate::error::Result;
use crate::job::Session;
use crate::job::model::executor;
use crate::network::features::features;
use crate::network::{Graph, NodeId, TapRequest, TapValue};
use crate::progress::Sink;
use crate::tensor::{Device, into_vec_f32};
use ndarray::{Array2, ArrayView2, Axis, Slice};

/// Images that are ready, and the score on them.
pub struct Side<'p> {
    pub images: Box<dyn StimulusSource>,
    pub truth: &'p Truth,
    /// Outputs of the network before anything was removed, n_images x n_outputs.
    pub outputs: Array2<f32>,
    score: Box<dyn Score>,
    output: NodeId,
    device: Device,
    batch: usize,
    session: &'p Session,
}

impl<'p> Side<'p> {
    /// Decodes images and runs the whole network on them.
    ///
    /// # Errors
    /// As reading and running say.
    pub fn new(plan: &'p Plan, set: &'p Set, session: &'p Session) -> Result<Self> {
        let graph = &plan.subject.graph;
        let images = set.images.kept(graph)?;
        let outputs = outputs(graph, images.as_ref(), plan.config.batch, &plan.device, session)?;
        let score: Box<dyn Score> = match &set.truth {
            Truth::Labels(labels) => Box::new(Accuracy { labels: labels.clone() }),
            Truth::Responses(responses) => Box::new(Correlation { responses: responses.clone() }),
            Truth::Nothing => Box::new(Correlation { responses: outputs.mapv(f64::from) }),
        };
        let (device, output, batch) = (plan.device.clone(), graph.scores(), plan.config.batch);
        Ok(Self { images, truth: &set.truth, outputs, score, output, device, batch, session })
    }

    /// The images as importances take them; `shown` is told of every batch.
    pub fn data(&self, shown: bool) -> Data<'_> {
        let (device, cancel) = (self.device.clone(), self.session.cancel.clone());
        let progress = if shown { self.session.progress.clone() } else { Sink::default() };
        Data { images: self.images.as_ref(), batch: self.batch, device, cancel, progress }
    }

    /// The drop of the score without single channels.
    pub fn ablation(&self, shown: bool) -> Ablation<'_> {
        Ablation::new(self.data(shown), &[self.output], self.score.as_ref())
    }

    /// The score of a network with the same nodes.
    ///
    /// # Errors
    /// As running says.
    pub fn score(&self, graph: &Graph) -> Result<Scored> {
        self.ablation(false).whole(graph)
    }
}

/// Outputs of a network, n_images x n_outputs.
fn outputs(
    graph: &Graph,
    images: &dyn StimulusSource,
    batch: usize,
    device: &Device,
    session: &Session,
) -> Result<Array2<f32>> {
    let node = graph.scores();
    let mut run = executor(graph, &[TapRequest::Activations(node)], device)?;
    let mut out = Array2::zeros((images.n_images(), graph.node(node).shape.len()));
    features(run.as_mut(), images, batch, device, &mut |range, values| {
        session.cancel.check()?;
        let shape = (range.len(), out.ncols());
        for value in values {
            let TapValue::Activations(found) = value else { continue };
            let numbers = into_vec_f32(found);
            let rows = ArrayView2::from_shape(shape, &numbers).expect("as many units as the tap has");
            out.slice_axis_mut(Axis(0), Slice::from(range.clone())).assign(&rows);
        }
        Ok(())
    })?;
    Ok(out)
}

/// The score in words.
pub fn describe(plan: &Plan) -> &'static str {
    match (&plan.judged.truth, &plan.subject.fitted) {
        (Truth::Labels(_), _) => "classification accuracy",
        (Truth::Responses(_), None) => "mean correlation of the outputs with recorded responses",
        (Truth::Responses(_), Some(_)) => "mean correlation of predictions with recorded responses",
        (Truth::Nothing, _) => "mean correlation of the outputs with those of the whole network",
    }
}
