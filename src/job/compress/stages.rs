//! The network at every stage, measured.

use super::judge::Side;
use super::plan::Plan;
use super::results::Stage;
use crate::compression::Cost;
use crate::compression::connections::{self, Amount, LayerBits, Sharing};
use crate::compression::importance::Scored;
use crate::error::Result;
use crate::io::weights::Storage;
use crate::job::model::executor;
use crate::math::stats;
use crate::network::{Graph, TapRequest};
use crate::tensor::tensor;
use std::time::Instant;

/// A network that some operator made.
pub struct Made {
    pub name: &'static str,
    pub graph: Graph,
    /// Bytes as it is stored.
    pub bytes: u64,
    /// Its weights as a coded stream, where they are shared.
    pub stream: Option<Vec<u8>>,
}

impl Made {
    /// Stored as it is.
    ///
    /// # Errors
    /// As counting says.
    pub fn plain(name: &'static str, graph: Graph) -> Result<Self> {
        let bytes = Cost::of(&graph, Storage::F32)?.bytes;
        Ok(Self { name, graph, bytes, stream: None })
    }
}

/// Connections pruned and weights shared, as far as they are asked for.
///
/// # Errors
/// As the operators say.
pub fn connections(plan: &Plan, stages: &mut Vec<Made>) -> Result<()> {
    let before = |stages: &[Made]| stages.last().expect("the network itself").graph.clone();
    if let Some(share) = plan.config.connections.share {
        let graph = connections::prune(&before(stages), Amount::Share(share), plan.config.connections.reach)?;
        stages.push(Made::plain("connections pruned", graph)?);
    }
    if let Some(bits) = plan.config.codebook.bits {
        let bits = LayerBits { weight: bits, index: plan.config.codebook.index_bits };
        let sharing = Sharing { convolutions: bits, linear: bits, clustering: plan.config.codebook.clustering };
        let coded = connections::encode(&before(stages), &sharing)?;
        let (graph, bytes) = (coded.graph, coded.bytes.len() as u64);
        stages.push(Made { name: "weights shared", graph, bytes, stream: Some(coded.bytes) });
    }
    Ok(())
}

/// Costs and scores of all stages; and what the scores on the test images are made of.
///
/// # Errors
/// As running says.
pub fn measure(
    plan: &Plan,
    stages: &[Made],
    judged: &Side<'_>,
    tested: &Side<'_>,
) -> Result<(Vec<Stage>, Vec<Scored>)> {
    let latencies = latencies(plan, stages, tested)?;
    let (mut rows, mut scores) = (Vec::new(), Vec::new());
    for (made, latency_ms) in stages.iter().zip(latencies) {
        let cost = Cost::of(&made.graph, Storage::F32)?;
        let used =
            made.graph.nodes().iter().flat_map(|node| node.op.weights()).collect::<std::collections::BTreeSet<_>>();
        let nonzero = used.iter().map(|name| made.graph.weight(name).iter().filter(|w| **w != 0.0).count()).sum();
        let scored = tested.score(&made.graph)?;
        rows.push(Stage {
            stage: made.name.into(),
            params: cost.parameters,
            nonzero,
            filters: cost.filters,
            kernels: cost.layers.iter().map(|layer| layer.kernels).sum(),
            macs: cost.macs,
            bytes: made.bytes,
            latency_ms,
            score: scored.score,
            judged_score: judged.score(&made.graph)?.score,
        });
        scores.push(scored);
    }
    Ok((rows, scores))
}

/// Passes whose median is the latency.
const PASSES: usize = 9;

/// Milliseconds that one image takes, the median of nine passes; the networks take turns, so that
/// what else the machine does touches them alike.
fn latencies(plan: &Plan, stages: &[Made], side: &Side<'_>) -> Result<Vec<f64>> {
    let image = tensor(side.images.read(0..1)?.view(), &plan.device);
    let made = |stage: &Made| executor(&stage.graph, &[TapRequest::Activations(stage.graph.output())], &plan.device);
    let mut executors = stages.iter().map(made).collect::<Result<Vec<_>>>()?;
    let mut times = vec![Vec::with_capacity(PASSES); stages.len()];
    // The first pass plans and takes memory.
    for pass in 0..=PASSES {
        for (run, times) in executors.iter_mut().zip(&mut times) {
            let start = Instant::now();
            run.infer(&image)?;
            if pass > 0 {
                times.push(start.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
    Ok(times.iter().map(|times| stats::median(times)).collect())
}
