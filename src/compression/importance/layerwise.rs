//! How much of the next layer's output varies with a channel.

use super::moments::{Reader, readers};
use super::{Data, Importance, Network};
use crate::error::{Error, Result};
use crate::tensor::into_vec_f32;
use ndarray::{Array2, Axis, Slice};
use orthoscope_kernels::gram::Kernels;

/// The rule by which compact models of V4 neurons were made small: filters are ordered by how much
/// the *next* layer's output varies with them, and the least ones are removed together while a
/// share of that variance is left.
///
/// What channel j contributes to output k of an operation that reads it is `D_jk` (a kernel times
/// its channel; over all features of a flattened layer). Over images n and positions p,
///
/// ```text
/// importance_j = sum_k sum_{n,p} (D_jk - mean_n D_jk)^2
/// left(S) = 1 - sum_k sum_{n,p} (D_Sk - mean_{n,p} D_Sk)^2 / sum_k sum_{n,p} (Y_k - mean_{n,p} Y_k)^2
/// ```
///
/// with `D_S` the sum over removed channels and Y the whole output, before bias and batch norm. The
/// largest number of least important channels is removed for which `left >= share`, found by
/// bisection, but `minimum` stay.
///
/// Where a linear layer that makes the network's output reads the channels (the readout of a
/// neuron's model), its responses are what counts: channels go, least important first, while
/// `r^2(response, teacher) > share r^2(response of all, teacher)`, and the first failure stops.
/// Without a teacher the network's own responses are it; several outputs count by their mean r^2. (Outputs
/// times squared channels beyond 30 million, classifiers of many classes, are judged by variance like any
/// layer; with a teacher they are an error.)
///
/// Where several operations read the channels, sums are over all of them. A local response
/// normalisation on the way is taken as part of the activations.
///
/// # Source
/// Cowley et al., "Compact deep neural network models of visual cortex", 2023, published code,
/// steps 1 and 2, threshold 0.9, at least 3 filters, 5,000 images. The method is described there
/// for chains of separable convolutions, whose contributions `D_jk = C_j W_jk` make importance `sum
/// (C_j - mean_n C_j)^2 sum_k W_jk^2`; other operations are the generalisation of this program.
///
/// # Example
/// ```
/// use ndarray::Array4;
/// use orthoscope::compression::importance::{Data, LayerwiseVariance, Network};
/// use orthoscope::compression::{Groups, originals};
/// use orthoscope::network::zoo::{LoadOptions, load_model};
///
/// let graph = load_model("mini-inception", &LoadOptions::default())?.graph;
/// let groups = Groups::of(&graph, &[])?;
/// let original = originals(&groups);
/// let images = Array4::from_shape_fn((4, 3, 96, 96), |(n, c, y, x)| ((n + c) * (x + y) % 7) as f32 / 6.0);
/// let network = Network { graph: &graph, groups: &groups, original: &original };
/// let rule = LayerwiseVariance { share: 0.9, ..LayerwiseVariance::new(Data::new(&images)) };
/// let judged = rule.judge(network, groups.named("inception_3a/5x5_reduce")?)?;
/// assert!(judged.left[judged.removable] >= 0.9 && judged.left[0] == 1.0);
/// # Ok::<(), orthoscope::Error>(())
/// ```
pub struct LayerwiseVariance<'a> {
    pub data: Data<'a>,
    /// Share of the variance, or of r^2, that is to be left.
    pub share: f64,
    /// Channels that stay at least.
    pub minimum: usize,
    /// Responses that the outputs are compared with, n_images x outputs.
    pub teacher: Option<Array2<f64>>,
}

/// A group of channels, judged by [`LayerwiseVariance`].
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Judged {
    pub importance: Vec<f64>,
    /// Channels from the least important to the most.
    pub order: Vec<usize>,
    /// For each k from 0 to one less than all: share left when the first k of `order` are gone.
    pub left: Vec<f64>,
    /// How many of the first of `order` may go.
    pub removable: usize,
}

impl<'a> LayerwiseVariance<'a> {
    /// As published: 0.9, at least 3 channels, no teacher.
    pub fn new(data: Data<'a>) -> Self {
        Self { data, share: 0.9, minimum: 3, teacher: None }
    }

    /// Judges one group's channels.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a share outside 0..=1, a teacher of other images or outputs, or an
    /// operation with more than about 5,000 inputs; whatever reading images and running the
    /// network says.
    pub fn judge(&self, network: Network<'_>, group: usize) -> Result<Judged> {
        if !(0.0..=1.0).contains(&self.share) {
            return Err(Error::invalid("share of variance", "0 to 1", self.share.to_string(), "0.9 is usual"));
        }
        let (graph, width) = (network.graph, network.groups.group(group).width());
        let responds = |r: &Reader| r.node == graph.scores() && graph.node(r.node).op.kind() == "linear";
        let mut found = readers(graph, network.groups, group, self.teacher.is_some())?;
        let last = found.len() == 1 && responds(&found[0]) && found[0].by_output();
        let teacher = self.teacher.as_ref().filter(|_| last).map(|t| self.centred(t, &found[0])).transpose()?;
        let nodes: Vec<usize> = found.iter().map(|r| r.input).collect();
        let kernels = Kernels::chosen().map_err(|e| Error::invalid("instruction set", "one", e.to_string(), ""))?;
        let task = format!("what {} contributes", network.groups.group(group).name);
        self.data.activations(&task, graph, &nodes, &mut |range, values| {
            for (reader, value) in found.iter_mut().zip(values) {
                let rows = teacher.as_ref().map(|t| t.slice_axis(Axis(0), Slice::from(range.clone())));
                reader.add(&into_vec_f32(value), range.len(), rows, &kernels);
            }
            Ok(())
        })?;
        let (mut importance, mut pairs, mut whole) = (vec![0.0; width], Array2::zeros((width, width)), 0.0);
        for block in found.iter().flat_map(|r| &r.blocks) {
            whole += block.contributions(&mut importance, &mut pairs);
        }
        let mut order: Vec<usize> = (0..width).collect();
        order.sort_by(|&a, &b| importance[a].total_cmp(&importance[b]).then(a.cmp(&b)));
        let most = width.saturating_sub(self.minimum.max(1));
        let (left, removable) = if last {
            let left = responses(&found[0], &order, teacher.as_ref());
            let removable = (1..=most).take_while(|&k| left[k] > self.share).count();
            (left, removable)
        } else {
            let left = variances(&pairs, &order, whole);
            let removable = bisect(most, |k| left[k] >= self.share);
            (left, removable)
        };
        Ok(Judged { importance, order, left, removable })
    }

    /// The teacher's responses about their means.
    fn centred(&self, teacher: &Array2<f64>, reader: &Reader) -> Result<Array2<f64>> {
        let expected = (self.data.images.n_images(), reader.blocks.len());
        if teacher.dim() != expected || teacher.iter().any(|v| !v.is_finite()) {
            let words = format!("{} x {} finite responses, images x outputs", expected.0, expected.1);
            let found = format!("{} x {}", teacher.nrows(), teacher.ncols());
            return Err(Error::invalid("responses of the teacher", words, found, "give them for the same images"));
        }
        let means = teacher.mean_axis(Axis(0)).expect("there are images");
        Ok(teacher - &means)
    }
}

impl Importance for LayerwiseVariance<'_> {
    fn describe(&self) -> String {
        format!("variance that channels contribute to the next layer, over {} images", self.data.images.n_images())
    }

    fn scores(&mut self, network: Network<'_>, groups: &[usize]) -> Result<Vec<Vec<f64>>> {
        groups.iter().map(|&g| self.judge(network, g).map(|j| j.importance)).collect()
    }
}

/// Share of the variance left without the first k channels of an order, for each k.
fn variances(pairs: &Array2<f64>, order: &[usize], whole: f64) -> Vec<f64> {
    let mut gone = 0.0;
    let mut left = vec![1.0];
    for (k, &j) in order.iter().enumerate().take(order.len() - 1) {
        gone += pairs[[j, j]] + order[..k].iter().map(|&i| pairs[[i, j]] + pairs[[j, i]]).sum::<f64>();
        left.push(if whole > 0.0 { 1.0 - gone / whole } else { 1.0 });
    }
    left
}

/// r^2 of the responses without the first k channels of an order, relative to that with all: the
/// mean over outputs.
fn responses(reader: &Reader, order: &[usize], teacher: Option<&Array2<f64>>) -> Vec<f64> {
    let mut left = vec![0.0; order.len()];
    let mut all = 0.0;
    for (k, block) in reader.blocks.iter().enumerate() {
        let moments = block.centred();
        let (cross, variance) = match teacher {
            Some(t) => (block.cross.clone(), t.column(k).dot(&t.column(k))),
            None => (moments.sum_axis(Axis(1)).to_vec(), moments.sum()),
        };
        let r2 = |own: f64, with: f64| if own > 0.0 && variance > 0.0 { with * with / (own * variance) } else { 0.0 };
        let (mut own, mut with) = (moments.sum(), cross.iter().sum::<f64>());
        all += r2(own, with);
        let mut kept = vec![true; cross.len()];
        for (gone, left) in left.iter_mut().enumerate() {
            *left += r2(own, with);
            let Some(&j) = order.get(gone) else { break };
            let others: f64 =
                (0..kept.len()).filter(|&i| kept[i] && i != j).map(|i| moments[[i, j]] + moments[[j, i]]).sum();
            own -= moments[[j, j]] + others;
            with -= cross[j];
            kept[j] = false;
        }
    }
    left.iter().map(|l| if all > 0.0 { l / all } else { 1.0 }).collect()
}

/// The largest k up to `most` that `holds`, by bisection: where it does not hold at once for all k
/// below, one that holds next to one that does not.
fn bisect(most: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, most + 1);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if holds(middle) { low = middle } else { high = middle }
    }
    low
}
