//! A fitted model as a network that ends in its targets.

use super::{EncodingModel, ModelSpace, Output, Readout, ReadoutWeights, SpaceFrom};
use crate::encoding::features::{PcaOptions, Projection, Reduction, TapMap};
use crate::error::{Error, Result};
use crate::network::{Graph, GraphBuilder, NodeId, Op};
use ndarray::{Array2, ArrayD, ArrayView2, Axis, IxDyn, Slice};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Weights of all targets on units: 512 MiB.
const MOST: usize = 1 << 27;

/// Weights, units x targets, by node and whether they are of its channels' means.
type Layers = BTreeMap<(NodeId, bool), Array2<f64>>;

/// A network with its targets as units.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// The network below the taps, and a node for every readout.
    pub graph: Graph,
    /// Node and channel of every target; none of one that could not be fitted.
    pub units: Vec<Option<(NodeId, usize)>>,
}

impl EncodingModel {
    /// The network with every readout as a node of its own (n_targets x 1 x 1): scaling,
    /// components, projection, windows and maps are folded, in 64 bits, into one linear layer on
    /// the layer's units, or on its channels' means where those are the features. Values are those
    /// of [`predict_images`](Self::predict_images), gradients reach the pixels.
    ///
    /// With delays, weights are summed over them: the response to an image that stays.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a model of ready features, and for targets whose weights on all units
    /// are too many.
    pub fn to_graph(&self) -> Result<Fitted> {
        self.check()?;
        let network = self.network.as_ref().filter(|_| !self.needs_features()).ok_or_else(|| {
            let hint = "only what is fitted on layers of a network can be driven by an image";
            Error::invalid("encoding model", "features of a network's layers", "ready features", hint)
        })?;
        let mut builder = GraphBuilder::from_graph(network.graph.clone());
        let mut units = vec![None; self.targets.len()];
        let mut left = MOST;
        for (r, readout) in self.readouts.iter().enumerate() {
            let name = if self.readouts.len() == 1 { "fitted".to_owned() } else { format!("fitted.{r}") };
            let node = self.append(&mut builder, &network.graph, readout, &name, &mut left)?;
            readout.targets.iter().enumerate().for_each(|(channel, &t)| units[t] = Some((node, channel)));
        }
        Ok(Fitted { graph: builder.finish()?, units })
    }

    /// One readout's nodes.
    fn append(
        &self,
        builder: &mut GraphBuilder,
        graph: &Graph,
        readout: &Readout,
        name: &str,
        left: &mut usize,
    ) -> Result<NodeId> {
        let (layers, bias) = self.layers(graph, readout, left)?;
        let rate = matches!(readout.weights, ReadoutWeights::Factorized { output: Output::Rate, .. });
        let single = layers.len() == 1 && !rate;
        let mut nodes = Vec::with_capacity(layers.len());
        for (i, ((node, means), units)) in layers.into_iter().enumerate() {
            let input = input_of(builder, node, means)?;
            let name = if single { name.to_owned() } else { format!("{name}.part{i}") };
            nodes.push(linear(builder, &name, input, &units, (i == 0).then_some(&bias[..]))?);
        }
        let sum = match nodes[..] {
            [only] => only,
            _ => {
                let name = free(builder, name);
                builder.push(name, Op::Add, &nodes)?
            }
        };
        if rate { positive(builder, name, sum) } else { Ok(sum) }
    }

    /// Weights of a readout on units, or on channels' means, of every layer that it reads; and what
    /// does not depend on the image.
    fn layers(&self, graph: &Graph, readout: &Readout, left: &mut usize) -> Result<(Layers, Vec<f64>)> {
        let mut layers = Layers::new();
        let mut bias = readout.intercept.clone();
        let mut row = 0;
        for &s in &readout.spaces {
            let space = &self.spaces[s];
            let Some((_, node)) = self.node_of(space)? else { continue };
            let (n_units, means) = size_of(space, graph, node);
            let n = readout.targets.len();
            if n_units.saturating_mul(n) > *left {
                let hint = "choose fewer targets (`units`)";
                let found = format!("{n} targets on {n_units} units of `{}`", graph.node(node).name);
                return Err(Error::invalid("encoding model", format!("at most {MOST} weights in all"), found, hint));
            }
            *left -= n_units * n;
            let features = self.on_features(readout, space, graph, node, &mut row);
            let units = on_units(space, graph, node, features, &mut bias)?;
            // Spaces of one layer share its weights.
            match layers.entry((node, means)) {
                Entry::Vacant(free) => {
                    free.insert(units);
                }
                Entry::Occupied(mut taken) => *taken.get_mut() += &units,
            }
        }
        Ok((layers, bias))
    }

    /// Weights of a space's scaled features, summed over delays: n_features x targets. `row` is
    /// where the space begins in dense weights.
    fn on_features(
        &self,
        readout: &Readout,
        space: &ModelSpace,
        graph: &Graph,
        node: NodeId,
        row: &mut usize,
    ) -> Array2<f64> {
        let (p, shape) = (space.mean.len(), graph.node(node).shape);
        let mut out = Array2::zeros((p, readout.targets.len()));
        match &readout.weights {
            ReadoutWeights::Dense(weights) => {
                for _ in 0..self.delays.len().max(1) {
                    let part = weights.slice_axis(Axis(0), Slice::from(*row..*row + p));
                    out.zip_mut_with(&part, |to, &w| *to += f64::from(w));
                    *row += p;
                }
            }
            ReadoutWeights::Windows { windows, weights } => {
                for (t, &window) in windows.iter().enumerate() {
                    for (c, &w) in weights.column(t).iter().enumerate() {
                        out[(window * shape.channels + c, t)] = f64::from(w);
                    }
                }
            }
            ReadoutWeights::Factorized { maps, channels, .. } => {
                let n_places = shape.height * shape.width;
                for ((unit, t), to) in out.indexed_iter_mut() {
                    *to = f64::from(channels[(unit / n_places, t)]) * f64::from(maps[(unit % n_places, t)]);
                }
            }
        }
        out
    }
}

/// Numbers that a space is linear in, and whether these are the channels' means.
fn size_of(space: &ModelSpace, graph: &Graph, node: NodeId) -> (usize, bool) {
    let shape = graph.node(node).shape;
    match &space.from {
        SpaceFrom::Tap { reduction: Reduction::SpatialMean, .. } => (shape.channels, true),
        _ => (shape.len(), false),
    }
}

/// From weights of scaled features to those of units (or of channels' means); what does not depend
/// on the image goes into the bias.
fn on_units(
    space: &ModelSpace,
    graph: &Graph,
    node: NodeId,
    mut weights: Array2<f64>,
    bias: &mut [f64],
) -> Result<Array2<f64>> {
    unscale(&mut weights, &space.mean, &space.scale, bias);
    if let Some(found) = &space.components {
        weights = found.components.mapv(f64::from).dot(&weights);
        unscale(&mut weights, &found.mean, &found.scale, bias);
    }
    let SpaceFrom::Tap { reduction, .. } = &space.from else { return Ok(weights) };
    let (shape, name) = (graph.node(node).shape, &graph.node(node).name);
    let projected = |projection: &Projection, weights: Array2<f64>| {
        let k = weights.nrows();
        if k == shape.len() {
            return Ok(weights);
        }
        Ok(projection.matrix(name, shape.len(), k)?.transposed(weights.view()))
    };
    match reduction {
        Reduction::SparseRandomProjection(projection)
        | Reduction::Pca(PcaOptions { project: Some(projection), .. }) => projected(projection, weights),
        Reduction::RfPooled(grid) => {
            let masks = TapMap::new(graph, node)?.masks(grid)?.mapv(f64::from);
            Ok(under_masks(masks.view(), weights.view(), shape.channels))
        }
        Reduction::Flat | Reduction::SpatialMean | Reduction::Pca(_) => Ok(weights),
    }
}

/// `w / scale` for `(x - mean) / scale`, and `- sum mean w / scale` into the bias.
fn unscale(weights: &mut Array2<f64>, mean: &[f64], scale: &[f64], bias: &mut [f64]) {
    for ((mut row, mean), scale) in weights.rows_mut().into_iter().zip(mean).zip(scale) {
        row.mapv_inplace(|w| w / scale);
        bias.iter_mut().zip(&row).for_each(|(b, w)| *b -= mean * w);
    }
}

/// Weights of every channel's means under windows as weights of its units:
/// `w[c, yx] = sum_g m_g[yx] v[g n_channels + c]`.
fn under_masks(masks: ArrayView2<'_, f64>, weights: ArrayView2<'_, f64>, n_channels: usize) -> Array2<f64> {
    let (n_places, n_windows) = masks.dim();
    let mut out = Array2::zeros((n_channels * n_places, weights.ncols()));
    for window in 0..n_windows {
        for c in 0..n_channels {
            let from = weights.row(window * n_channels + c);
            if from.iter().all(|w| *w == 0.0) {
                continue;
            }
            for (place, &mask) in masks.column(window).iter().enumerate() {
                out.row_mut(c * n_places + place).scaled_add(mask, &from);
            }
        }
    }
    out
}

/// A name that no node has yet, and no weight as `name/...`.
fn free(builder: &GraphBuilder, wanted: &str) -> String {
    let mut name = wanted.to_owned();
    let taken = |name: &str| {
        let inside = format!("{name}/");
        builder.find(name).is_some() || builder.weights().keys().any(|weight| weight.starts_with(&inside))
    };
    while taken(&name) {
        name.push('_');
    }
    name
}

/// The flat node that a linear layer reads: means of channels, or all units.
fn input_of(builder: &mut GraphBuilder, node: NodeId, means: bool) -> Result<NodeId> {
    if builder.shape(node).is_flat() {
        return Ok(node);
    }
    let op = if means { Op::GlobalAvgPool } else { Op::Flatten { order: crate::network::FlattenOrder::Chw } };
    if let Some(made) = builder.find_op(&op, node) {
        return Ok(made);
    }
    let name = free(builder, if means { "fitted.means" } else { "fitted.units" });
    builder.push(name, op, &[node])
}

fn linear(
    builder: &mut GraphBuilder,
    name: &str,
    input: NodeId,
    units: &Array2<f64>,
    bias: Option<&[f64]>,
) -> Result<NodeId> {
    let name = free(builder, name);
    let weight = format!("{name}/weight");
    let values: Vec<f32> = units.t().iter().map(|&w| w as f32).collect();
    builder.add_weight(&weight, array(&[units.ncols(), units.nrows()], values));
    let bias = bias.map(|bias| {
        let named = format!("{name}/bias");
        builder.add_weight(&named, array(&[bias.len()], bias.iter().map(|&b| b as f32).collect()));
        named
    });
    builder.push(name, Op::Linear { weight, bias }, &[input])
}

fn array(shape: &[usize], values: Vec<f32>) -> ArrayD<f32> {
    ArrayD::from_shape_vec(IxDyn(shape), values).expect("as many numbers as the shape has")
}

/// Where the exponential of a number at most 0 is taken: so far above it that the first share of
/// `softmax(x, LEVEL)` is `exp(x - LEVEL)` to 32 bits.
const LEVEL: f32 = 24.0;

/// `1 + elu(x) = max(x, 0) + exp(min(x, 0))` in operations that graphs have. With `m = max(-x, 0)`
/// of n targets, a softmax over n pairs `(-m, LEVEL)` gives `exp(-m - LEVEL) / n` for the first of
/// each.
fn positive(builder: &mut GraphBuilder, name: &str, x: NodeId) -> Result<NodeId> {
    let n = builder.shape(x).channels;
    let two = |even: f32, odd: f32| (0..2 * n).map(|i| if i % 2 == 0 { even } else { odd }).collect::<Vec<_>>();
    let conv = |weight: String, bias: Option<String>| Op::Conv2d {
        weight,
        bias,
        stride: [1, 1],
        padding: [0; 4],
        dilation: [1, 1],
        groups: n,
    };
    let node = free(builder, &format!("{name}.negative"));
    let (scale, shift) = (format!("{node}/scale"), format!("{node}/shift"));
    builder.add_weight(&scale, array(&[n], vec![-1.0; n]));
    builder.add_weight(&shift, array(&[n], vec![0.0; n]));
    let negative = builder.push(node, Op::ChannelAffine { scale, shift }, &[x])?;
    let node = free(builder, &format!("{name}.below"));
    let below = builder.push(node, Op::Relu, &[negative])?;
    let node = free(builder, &format!("{name}.pairs"));
    let (weight, bias) = (format!("{node}/weight"), format!("{node}/bias"));
    builder.add_weight(&weight, array(&[2 * n, 1, 1, 1], two(-1.0, 0.0)));
    builder.add_weight(&bias, array(&[2 * n], two(0.0, LEVEL)));
    let pairs = builder.push(node, conv(weight, Some(bias)), &[below])?;
    let node = free(builder, &format!("{name}.shares"));
    let shares = builder.push(node, Op::Softmax, &[pairs])?;
    let node = free(builder, &format!("{name}.exponential"));
    let weight = format!("{node}/weight");
    builder.add_weight(&weight, array(&[n, 2, 1, 1], two((f64::from(LEVEL).exp() * n as f64) as f32, 0.0)));
    let exponential = builder.push(node, conv(weight, None), &[shares])?;
    let node = free(builder, &format!("{name}.above"));
    let above = builder.push(node, Op::Relu, &[x])?;
    let node = free(builder, name);
    builder.push(node, Op::Add, &[above, exponential])
}
