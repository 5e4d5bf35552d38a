//! Does a network run? Finite activations, a gradient that reaches the pixels, and the activations
//! that its card promises.

use super::burn_executor::BurnExecutor;
use super::executor::{Executor, TapGrad, TapRequest, TapValue};
use super::graph::{Graph, NodeId};
use crate::data::shown::line;
use crate::error::{Error, Result};
use crate::tensor::{Device, Precision, Tensor, array, tensor_from_vec};
use serde::{Deserialize, Serialize};

/// The one recipe for probe images.
pub const WAVES: &str = "waves-1";

/// Activations to a known image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// How the image is made: `waves-1`, see [`waves`].
    pub input: String,
    /// Largest difference allowed, relative to the tap's largest absolute activation.
    pub tolerance: f32,
    #[serde(rename = "tap")]
    pub taps: Vec<GoldenTap>,
}

/// Some activations of one tap.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenTap {
    pub name: String,
    /// Flat indices in C, H, W order.
    pub indices: Vec<usize>,
    pub values: Vec<f32>,
    /// Largest absolute activation of the tap.
    pub max: f32,
}

/// What the probe saw at one tap.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TapProbe {
    pub tap: String,
    pub mean: f64,
    pub max: f64,
    pub finite: bool,
    /// Root mean square over pixels of the gradient of sum(activation^2) / 2.
    pub gradient_rms: f64,
    /// Largest difference from the card's activations, relative to the tap's maximum.
    pub golden_error: Option<f64>,
    pub passed: bool,
}

/// The whole probe.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    pub model: String,
    pub executor: String,
    pub passed: bool,
    pub taps: Vec<TapProbe>,
    /// Taps that were left out, evenly, because there are too many: see [`probe`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<usize>,
}

impl Report {
    /// The table for people.
    pub fn text(&self) -> String {
        let mut text = format!("{} on {}\n", line(&self.model), self.executor);
        let width = self.taps.iter().map(|t| line(&t.tap).chars().count()).max().unwrap_or(0);
        for t in &self.taps {
            let golden = t.golden_error.map_or("-".into(), |e| format!("{e:.1e}"));
            text += &format!(
                "{:<width$}  {}  max {:.4e}  gradient rms {:.4e}  golden error {golden}\n",
                line(&t.tap),
                if t.passed { "ok    " } else { "FAILED" },
                t.max,
                t.gradient_rms,
            );
        }
        if let Some(n) = self.left_out {
            text += &format!("{n} more taps were left out, evenly: each takes a run of its own\n");
        }
        text
    }
}

/// The probe image, 1 x 3 x H x W in [0, 1]:
/// `p[c, y, x] = 0.5 + 0.3 sin(2 pi (x (c+1)/32 + y/48)) + 0.1 cos(2 pi y (c+1)/19)`.
pub fn waves(height: usize, width: usize, device: &Device) -> Tensor<4> {
    let tau = std::f64::consts::TAU;
    let mut values = Vec::with_capacity(3 * height * width);
    for c in 1..=3 {
        for y in 0..height {
            for x in 0..width {
                let (c, x, y) = (c as f64, x as f64, y as f64);
                let v = 0.5 + 0.3 * (tau * (x * c / 32.0 + y / 48.0)).sin() + 0.1 * (tau * y * c / 19.0).cos();
                values.push(v as f32);
            }
        }
    }
    tensor_from_vec(values, [1, 3, height, width], device)
}

/// The nodes of all presets, the card's golden taps and the output.
fn probed(graph: &Graph, golden: Option<&Golden>) -> Result<Vec<NodeId>> {
    let mut names: Vec<String> = graph.presets.keys().cloned().collect();
    names.push("default".into());
    names.push(graph.node(graph.output()).name.clone());
    names.extend(golden.iter().flat_map(|g| &g.taps).map(|t| t.name.clone()));
    graph.resolve_taps(&names)
}

/// Nodes that are run in all, most of them many times: each tap runs what it depends on.
const RUNS: usize = 150_000;

/// At most `most` of `nodes`, evenly, with the last.
fn spread(nodes: Vec<NodeId>, most: usize) -> Vec<NodeId> {
    let n = nodes.len();
    if n <= most {
        return nodes;
    }
    (1..=most).map(|i| nodes[i * n / most - 1]).collect()
}

/// Probes a network on the reference executor: every tap of its presets, or so many of them that
/// no more than 150,000 nodes are run.
///
/// A tap passes when its activations are finite, the gradient of half its summed squares at the
/// pixels is finite and not zero everywhere, and it agrees with the card's golden activations.
///
/// # Errors
/// [`Error::Invalid`] for a golden recipe that this version does not know.
pub fn probe(graph: &Graph, golden: Option<&Golden>, device: &Device) -> Result<Report> {
    if let Some(g) = golden.filter(|g| g.input != WAVES) {
        let at = format!("{}: [golden] input", graph.name);
        return Err(Error::invalid(
            at,
            format!("`{WAVES}`"),
            format!("`{}`", g.input),
            "use the version that wrote the card",
        ));
    }
    let all = probed(graph, golden)?;
    let n_all = all.len();
    let nodes = spread(all, (RUNS / graph.nodes().len()).max(1));
    let left_out = (nodes.len() < n_all).then(|| n_all - nodes.len());
    let images = waves(graph.input.height, graph.input.width, device);
    let mut taps = Vec::with_capacity(nodes.len());
    let mut executor = String::new();
    for &node in &nodes {
        // One tap at a time: a tap whose gradient vanishes must not hide behind the others.
        let mut run = BurnExecutor::new(graph, &[TapRequest::Activations(node)], Precision::F32, device)?;
        executor = run.describe();
        let TapValue::Activations(value) = run.forward(&images)?.remove(0) else {
            return Err(Error::invalid("probe", "activations", "moments", "report this as a bug"));
        };
        let gradient = run.backward(&[TapGrad::Activations(value.clone())])?;
        taps.push(judge(&graph.node(node).name, &value, &gradient, golden));
    }
    let passed = taps.iter().all(|t| t.passed);
    Ok(Report { model: graph.name.clone(), executor, passed, taps, left_out })
}

fn judge(name: &str, value: &Tensor<4>, gradient: &Tensor<4>, golden: Option<&Golden>) -> TapProbe {
    let (value, gradient) = (array(value), array(gradient));
    let n = value.len() as f64;
    let max = value.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    let finite = value.iter().all(|v| v.is_finite());
    let square_mean = gradient.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>() / gradient.len() as f64;
    let rms = square_mean.sqrt();
    let promised = golden.and_then(|g| g.taps.iter().find(|t| t.name == name).map(|t| (t, g.tolerance)));
    let flat: Vec<f32> = value.iter().copied().collect();
    let error = promised.map(|(tap, _)| difference(tap, &flat));
    let agrees = promised.zip(error).is_none_or(|((_, tolerance), e)| e <= f64::from(tolerance));
    TapProbe {
        tap: name.into(),
        mean: value.iter().map(|&v| f64::from(v)).sum::<f64>() / n,
        max: f64::from(max),
        finite,
        gradient_rms: rms,
        golden_error: error,
        passed: finite && rms.is_finite() && rms > 0.0 && agrees,
    }
}

/// Largest difference relative to the tap's maximum; infinite when the tap has no such unit.
fn difference(tap: &GoldenTap, values: &[f32]) -> f64 {
    let scale = f64::from(tap.max.abs()).max(f64::MIN_POSITIVE);
    if tap.indices.len() != tap.values.len() {
        return f64::INFINITY;
    }
    let error = |(&i, &v): (&usize, &f32)| values.get(i).map_or(f64::INFINITY, |x| f64::from(x - v).abs() / scale);
    // NaN agrees with nothing, and `f64::max` would drop it.
    let errors = tap.indices.iter().zip(&tap.values).map(error);
    errors.fold(0.0, |worst, e| if e.is_nan() { f64::INFINITY } else { worst.max(e) })
}

/// Records activations at the taps of all presets and at the output, see [`record`].
///
/// # Errors
/// As [`record`].
pub fn record_presets(graph: &Graph, device: &Device) -> Result<Golden> {
    record(graph, &probed(graph, None)?, TOLERANCE, device)
}

/// Largest difference between executors and machines, relative to a tap's maximum: 100 times what
/// two of them showed on GoogLeNet.
const TOLERANCE: f32 = 1e-4;

/// Records activations of the given nodes for a card: 12 units each, evenly spread, and the
/// largest.
///
/// # Errors
/// As the executor's.
pub fn record(graph: &Graph, nodes: &[NodeId], tolerance: f32, device: &Device) -> Result<Golden> {
    let requests: Vec<TapRequest> = nodes.iter().map(|&n| TapRequest::Activations(n)).collect();
    let mut executor = BurnExecutor::new(graph, &requests, Precision::F32, device)?;
    let values = executor.infer(&waves(graph.input.height, graph.input.width, device))?;
    let tap = |(&node, value): (&NodeId, TapValue)| {
        let flat: Vec<f32> = match &value {
            TapValue::Activations(v) => array(v).iter().copied().collect(),
            TapValue::Moments(_) => vec![],
        };
        let largest = (0..flat.len()).max_by(|&a, &b| flat[a].abs().total_cmp(&flat[b].abs())).unwrap_or(0);
        let mut indices: Vec<usize> = (0..12).map(|i| i * flat.len() / 12).chain([largest]).collect();
        indices.sort_unstable();
        indices.dedup();
        GoldenTap {
            name: graph.node(node).name.clone(),
            values: indices.iter().map(|&i| flat[i]).collect(),
            indices,
            max: flat.get(largest).map_or(0.0, |v| v.abs()),
        }
    };
    Ok(Golden { input: WAVES.into(), tolerance, taps: nodes.iter().zip(values).map(tap).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taps_are_left_out_evenly_and_the_output_stays() {
        assert_eq!(spread((0..10).collect(), 10), (0..10).collect::<Vec<_>>());
        assert_eq!(spread((0..10).collect(), 4), [1, 4, 6, 9]);
        assert_eq!(spread((0..10).collect(), 1), [9]);
    }

    #[test]
    fn a_golden_value_that_is_no_number_agrees_with_nothing() {
        let tap = |values: &[f32]| GoldenTap {
            name: "t".into(),
            indices: (0..values.len()).collect(),
            values: values.to_vec(),
            max: 1.0,
        };
        assert_eq!(difference(&tap(&[1.0, 2.5]), &[1.0, 2.0]), 0.5);
        assert_eq!(difference(&tap(&[f32::NAN, 2.0]), &[1.0, 2.0]), f64::INFINITY);
        assert_eq!(difference(&tap(&[1.0, 2.0, 3.0]), &[1.0, 2.0]), f64::INFINITY);
    }
}
