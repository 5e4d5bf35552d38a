//! The first-order change of a loss.

use super::{Data, Importance, Network};
use crate::compression::reads::{Read, reads};
use crate::data::image_source::batches;
use crate::error::{Error, Result};
use crate::network::NodeId;
use crate::network::burn_ops::{BurnWeights, apply, preprocess};
use crate::progress::Progress;
use crate::tensor::{AutoBackend, Precision, Tensor, Var, array_f64, cast, constant, leaf, tensor};
use burn_tensor::DType;
use ndarray::Array2;
use std::collections::BTreeMap;
use std::ops::Range;

/// A loss of each image: from the taps (N x C x H x W) of the images in the range, N numbers.
pub type Loss<'a> = dyn Fn(&[Var<4>], Range<usize>) -> Result<Var<1>> + 'a;

/// Squared first-order change of a loss when a channel is set to 0,
///
/// ```text
/// mean over images n of (sum over positions of a dL_n/da)^2
/// ```
///
/// with a the channel's activations where they are read; of a channel that is read in several
/// places, or is many features of a flattened layer, the sum is over all of them.
///
/// # Errors
/// [`Error::Invalid`] for a loss that does not give one number per image, or is NaN or infinite.
///
/// # Source
/// Molchanov, Tyree, Karras, Aila and Kautz, "Pruning convolutional neural networks for resource
/// efficient inference", ICLR 2017, equation 8 (there the absolute value); squared as in their
/// "Importance estimation for neural network pruning", CVPR 2019, equation 8.
///
/// # Example
/// ```
/// use ndarray::Array4;
/// use orthoscope::compression::importance::{Data, Importance, Network, Taylor};
/// use orthoscope::compression::{Groups, originals};
/// use orthoscope::network::zoo::{LoadOptions, load_model};
///
/// let graph = load_model("mini-inception", &LoadOptions::default())?.graph;
/// let groups = Groups::of(&graph, &[])?;
/// let original = originals(&groups);
/// let images = Array4::from_shape_fn((2, 3, 96, 96), |(n, c, y, x)| ((n + c) * (x + y) % 7) as f32 / 6.0);
/// let taps = [graph.scores()];
/// // How far the scores move: half their square.
/// let loss = |taps: &[orthoscope::tensor::Var<4>], _: std::ops::Range<usize>| {
///     let [n, c, ..] = taps[0].dims();
///     Ok((taps[0].clone().square().reshape([n, c]).sum_dim(1) * 0.5).reshape([n]))
/// };
/// let mut taylor = Taylor::new(Data::new(&images), &taps, &loss);
/// let network = Network { graph: &graph, groups: &groups, original: &original };
/// let last = groups.named("inception_5b/1x1")?;
/// assert!(taylor.scores(network, &[last])?[0].iter().any(|v| *v > 0.0));
/// # Ok::<(), orthoscope::Error>(())
/// ```
pub struct Taylor<'a> {
    pub data: Data<'a>,
    /// What the loss is a function of.
    pub taps: Vec<NodeId>,
    pub loss: &'a Loss<'a>,
    pub precision: Precision,
}

impl<'a> Taylor<'a> {
    /// In 32 bits.
    pub fn new(data: Data<'a>, taps: &[NodeId], loss: &'a Loss<'a>) -> Self {
        Self { data, taps: taps.to_vec(), loss, precision: Precision::F32 }
    }

    /// The taps, with a factor for each channel of some nodes, which every reader that mixes
    /// channels, and a tap, multiplies the channel with.
    fn forward(
        &self,
        Network { graph, groups, .. }: Network<'_>,
        factors: &BTreeMap<NodeId, Var<4>>,
        weights: &BurnWeights<AutoBackend>,
        images: Tensor<4>,
    ) -> Vec<Var<4>> {
        let needed = graph.needed(&self.taps);
        let mut values: Vec<Option<Var<4>>> = vec![None; needed.len()];
        let seen = |values: &[Option<Var<4>>], id: NodeId, scaled: bool| {
            let value = values[id].clone().expect("inputs come first");
            match factors.get(&id).filter(|_| scaled) {
                Some(factor) => value * factor.clone(),
                None => value,
            }
        };
        for (id, node) in graph.nodes().iter().enumerate().filter(|(id, _)| needed[*id]) {
            values[id] = Some(match id {
                0 => preprocess(constant(images.clone()), &graph.input, weights),
                _ => {
                    let scaled = groups.mixes(graph, id);
                    let inputs: Vec<_> = node.inputs.iter().map(|&i| seen(&values, i, scaled)).collect();
                    apply(&node.op, &inputs, weights)
                }
            });
        }
        self.taps.iter().map(|&t| seen(&values, t, true)).collect()
    }

    /// `sum over positions of a dL_n/da` of each channel of some nodes, n_images x n_channels each:
    /// the gradient at a factor of 1.
    fn gradients(
        &self,
        network: Network<'_>,
        nodes: &[NodeId],
        weights: &BurnWeights<AutoBackend>,
        range: Range<usize>,
    ) -> Result<Vec<Array2<f64>>> {
        let pixels = self.data.images.read(range.clone())?;
        let images: Tensor<4> = cast(tensor(pixels.view(), &self.data.device), self.precision);
        let (n, channels) = (range.len(), |id: NodeId| network.graph.node(id).shape.channels);
        let ones = |id: NodeId| cast(Tensor::ones([n, channels(id), 1, 1], &self.data.device), self.precision);
        let factors: BTreeMap<NodeId, Var<4>> = nodes.iter().map(|&id| (id, leaf(ones(id)))).collect();
        let loss = (self.loss)(&self.forward(network, &factors, weights, images), range)?;
        let numbers = array_f64(&loss.clone().inner());
        if numbers.len() != n || numbers.iter().any(|v| !v.is_finite()) {
            let found = format!("{} numbers for {n} images, the first {:?}", numbers.len(), numbers.first());
            return Err(Error::invalid("the loss of Taylor's importance", "one finite number per image", found, ""));
        }
        let grads = loss.sum().backward();
        let of = |id: &NodeId| {
            let factor = &factors[id];
            let gradient = factor.grad(&grads).unwrap_or_else(|| factor.clone().inner().zeros_like());
            let values = array_f64(&gradient).into_iter().collect();
            Array2::from_shape_vec((n, channels(*id)), values).expect("one number per channel")
        };
        Ok(nodes.iter().map(of).collect())
    }
}

impl Importance for Taylor<'_> {
    fn describe(&self) -> String {
        format!("squared first-order change of the loss over {} images", self.data.images.n_images())
    }

    fn scores(&mut self, network: Network<'_>, groups: &[usize]) -> Result<Vec<Vec<f64>>> {
        self.data.check()?;
        let graph = network.graph;
        let found: Vec<Vec<Read>> = groups.iter().map(|&g| reads(graph, network.groups, g, &self.taps)).collect();
        let mut nodes: Vec<NodeId> = found.iter().flatten().map(|r| r.node).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let width = if self.precision == Precision::F64 { DType::F64 } else { DType::F32 };
        let weights = BurnWeights::new(graph, &self.data.device, width);
        let ranges: Vec<_> = batches(self.data.images.n_images(), self.data.batch).collect();
        let mut progress = Progress::new(&self.data.progress, "gradients", ranges.len() as u64, 0);
        let mut out: Vec<Vec<f64>> = groups.iter().map(|&g| vec![0.0; network.groups.group(g).width()]).collect();
        for range in ranges {
            self.data.cancel.check()?;
            let n = range.len();
            let gradients = self.gradients(network, &nodes, &weights, range)?;
            for (scores, reads) in out.iter_mut().zip(&found) {
                let mut terms = Array2::<f64>::zeros((n, scores.len()));
                for read in reads {
                    let gradient = &gradients[nodes.binary_search(&read.node).expect("one for each node")];
                    for &(at, channel) in &read.channels {
                        terms.column_mut(channel).scaled_add(1.0, &gradient.column(at));
                    }
                }
                scores.iter_mut().zip(terms.columns()).for_each(|(s, t)| *s += t.dot(&t));
            }
            progress.tick(String::new);
        }
        progress.finish();
        let n = self.data.images.n_images() as f64;
        out.iter_mut().flatten().for_each(|s| *s /= n);
        Ok(out)
    }
}
