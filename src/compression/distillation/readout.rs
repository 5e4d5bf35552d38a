//! Readouts changed by hand: one output of a shared core, and outputs in other units.

use crate::error::{Error, Result};
use crate::network::{FlattenOrder, Graph, GraphBuilder, NodeId, Op, Weights, architectures};
use ndarray::{Array2, ArrayD, Axis, arr1};

/// The weight and bias of the last layer, which is linear in what it reads.
fn last(graph: &Graph) -> Result<(&str, &str)> {
    match &graph.node(graph.output()).op {
        Op::Linear { weight, bias: Some(bias) } | Op::Conv2d { weight, bias: Some(bias), .. } => {
            Ok((weight.as_str(), bias.as_str()))
        }
        other => Err(Error::invalid(
            format!("{}: the last layer", graph.name),
            "a linear layer or a convolution with a bias",
            other.kind(),
            "only students are read out in this way",
        )),
    }
}

/// The graph whose outputs are `scale[k] y[k] + offset[k]`: weights and biases of the last layer
/// are changed.
///
/// # Errors
/// [`Error::Invalid`] for another number of outputs, or a last layer that is not linear.
///
/// # Example
/// ```
/// use orthoscope::compression::distillation::{Reading, Student, readout};
/// use orthoscope::network::InputSpec;
///
/// let input = InputSpec::preset("v4", 16, 16)?;
/// let student = Student { widths: vec![3, 2], reading: Reading::Own, n_outputs: 1, input }.build("small", 0)?;
/// let in_spikes = readout::scaled(&student, &[2.0], &[5.0])?;
/// assert_eq!(in_spikes.weight("Beta.bias")[0], 5.0);
/// # Ok::<(), orthoscope::Error>(())
/// ```
pub fn scaled(graph: &Graph, scale: &[f64], offset: &[f64]) -> Result<Graph> {
    let (weight, bias) = last(graph)?;
    let n = graph.weight(bias).len();
    if scale.len() != n || offset.len() != n {
        let found = format!("{} scales and {} offsets", scale.len(), offset.len());
        return Err(Error::invalid(&graph.name, format!("a scale and an offset for each of {n} outputs"), found, ""));
    }
    let mut changed = graph.weight(weight).clone();
    for (mut row, scale) in changed.axis_iter_mut(Axis(0)).zip(scale) {
        row.mapv_inplace(|v| (f64::from(v) * scale) as f32);
    }
    let biases = graph.weight(bias).iter().zip(scale).zip(offset);
    let biases: Vec<f32> = biases.map(|((b, s), o)| (f64::from(*b) * s + o) as f32).collect();
    let mut weights = graph.weights().clone();
    let (weight, bias) = (weight.to_owned(), bias.to_owned());
    weights.insert(weight, changed);
    weights.insert(bias, arr1(&biases).into_dyn());
    graph.with_weights(weights)
}

/// One output of a student with a factorised readout, as a student of its own:
/// `beta[p, c] = pool[k, p] weight[k, c]`, `bias = pool_bias[k] + bias[k] sum_p pool[k, p]`.
///
/// # Errors
/// [`Error::Invalid`] for an output that is not there, or another kind of readout.
///
/// # Example
/// ```
/// use orthoscope::compression::distillation::{Reading, Student, readout};
/// use orthoscope::network::InputSpec;
///
/// let input = InputSpec::preset("v4", 16, 16)?;
/// let shared = Student { widths: vec![3, 2], reading: Reading::Factorised, n_outputs: 5, input }.build("core", 0)?;
/// let neuron = readout::of_output(&shared, 4)?;
/// assert_eq!(neuron.weight("Beta.weight").shape(), [1, 8 * 8 * 2]);
/// # Ok::<(), orthoscope::Error>(())
/// ```
pub fn of_output(shared: &Graph, output: usize) -> Result<Graph> {
    let parts = Parts::of(shared).filter(|p| output < p.weight.nrows()).ok_or_else(|| {
        let expected = format!("a factorised readout with an output {output}");
        let found = format!(
            "{} outputs of a `{}`",
            shared.node(shared.output()).shape.channels,
            shared.node(shared.output()).op.kind()
        );
        Error::invalid(&shared.name, expected, found, "outputs count from 0")
    })?;
    let core = shared.up_to(&[parts.core])?;
    let mut builder = GraphBuilder::from_graph(core);
    let mix = parts.weight.row(output);
    let pool = parts.pool.row(output);
    let beta: Vec<f32> = pool.iter().flat_map(|p| mix.iter().map(move |w| p * w)).collect();
    let total: f64 = pool.iter().map(|&p| f64::from(p)).sum();
    let bias = f64::from(parts.pool_bias[output]) + f64::from(parts.bias[output]) * total;
    let n = beta.len();
    builder.add_weight("Beta.weight", ArrayD::from_shape_vec(vec![1, n], beta).expect("a row"));
    builder.add_weight("Beta.bias", arr1(&[bias as f32]).into_dyn());
    let at = builder.find(&shared.node(parts.core).name).expect("the core ends there");
    let flat = builder.push("embeddings", Op::Flatten { order: FlattenOrder::Hwc }, &[at])?;
    let op = Op::Linear { weight: "Beta.weight".into(), bias: Some("Beta.bias".into()) };
    builder.push("Beta", op, &[flat])?;
    let mut graph = builder.finish()?;
    architectures::annotate(&mut graph);
    Ok(graph)
}

/// A factorised readout.
struct Parts {
    /// The layer that it reads.
    core: NodeId,
    /// Outputs x channels, outputs.
    weight: Array2<f32>,
    bias: Vec<f32>,
    /// Outputs x pixels, outputs.
    pool: Array2<f32>,
    pool_bias: Vec<f32>,
}

impl Parts {
    fn of(graph: &Graph) -> Option<Self> {
        let weights: &Weights = graph.weights();
        let conv = |id: NodeId| match &graph.node(id).op {
            Op::Conv2d { weight, bias: Some(bias), .. } => {
                Some((&weights[weight], weights[bias].iter().copied().collect()))
            }
            _ => None,
        };
        let rows = |w: &ArrayD<f32>| {
            let (n, all) = (w.shape()[0], w.iter().copied().collect::<Vec<f32>>());
            Array2::from_shape_vec((n, all.len() / n), all).expect("rows of one length")
        };
        let (pool, pool_bias) = conv(graph.output())?;
        let mixing = graph.node(graph.output()).inputs[0];
        let (weight, bias): (_, Vec<f32>) = conv(mixing)?;
        let core = graph.node(mixing).inputs[0];
        let size = graph.node(core).shape;
        let fits = pool.len() == bias.len() * size.height * size.width && weight.shape()[1..] == [size.channels, 1, 1];
        fits.then(|| Self { core, weight: rows(weight), bias, pool: rows(pool), pool_bias })
    }
}
