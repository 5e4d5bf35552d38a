//! How much activations vary.

use super::{Data, Importance, Network};
use crate::compression::reads::{Read, reads};
use crate::error::Result;
use crate::tensor::vec_f32;
use std::collections::BTreeMap;

/// Variance of a channel's activations over images and positions,
/// `mean (a - mean a)^2`, where they are read (behind batch norm, activation and pool); of tensors that
/// different layers read, the mean of the variances.
///
/// # Example
/// ```
/// use ndarray::Array4;
/// use orthoscope::compression::importance::{ActivationVariance, Data, Importance, Network};
/// use orthoscope::compression::{Groups, originals};
/// use orthoscope::network::zoo::{LoadOptions, load_model};
///
/// let graph = load_model("mini-inception", &LoadOptions::default())?.graph;
/// let groups = Groups::of(&graph, &[])?;
/// let original = originals(&groups);
/// let images = Array4::from_shape_fn((4, 3, 96, 96), |(n, c, y, x)| ((n + c) * (x + y) % 7) as f32 / 6.0);
/// let network = Network { graph: &graph, groups: &groups, original: &original };
/// let scores = ActivationVariance(Data::new(&images)).scores(network, &[0, 1])?;
/// assert_eq!(scores[0].len(), groups.group(0).width());
/// assert!(scores[0].iter().all(|v| *v >= 0.0));
/// # Ok::<(), orthoscope::Error>(())
/// ```
pub struct ActivationVariance<'a>(pub Data<'a>);

/// Sums over images and positions, with the first number taken off.
#[derive(Clone, Copy, Default)]
struct Sums {
    shift: f64,
    n: f64,
    sum: f64,
    squares: f64,
}

impl Sums {
    fn add(&mut self, values: &[f32]) {
        if self.n == 0.0 {
            self.shift = values.first().map_or(0.0, |&v| f64::from(v));
        }
        self.n += values.len() as f64;
        for &v in values {
            let d = f64::from(v) - self.shift;
            self.sum += d;
            self.squares += d * d;
        }
    }

    fn variance(self) -> f64 {
        (self.squares / self.n - (self.sum / self.n).powi(2)).max(0.0)
    }
}

impl Importance for ActivationVariance<'_> {
    fn describe(&self) -> String {
        format!("variance of activations over {} images", self.0.images.n_images())
    }

    fn scores(&mut self, network: Network<'_>, groups: &[usize]) -> Result<Vec<Vec<f64>>> {
        let found: Vec<Vec<Read>> = groups.iter().map(|&g| reads(network.graph, network.groups, g, &[])).collect();
        let mut nodes: Vec<usize> = found.iter().flatten().map(|r| r.node).collect();
        nodes.sort_unstable();
        nodes.dedup();
        if nodes.is_empty() {
            return Ok(vec![]);
        }
        let channels = |&n: &usize| network.graph.node(n).shape.channels;
        let mut sums: BTreeMap<usize, Vec<Sums>> =
            nodes.iter().map(|n| (*n, vec![Sums::default(); channels(n)])).collect();
        self.0.activations("activations", network.graph, &nodes, &mut |_, values| {
            for (node, value) in nodes.iter().zip(values) {
                let [_, c, h, w] = value.dims();
                let sums = sums.get_mut(node).expect("one for each node");
                let numbers = vec_f32(&value);
                numbers.chunks(h * w).enumerate().for_each(|(i, plane)| sums[i % c].add(plane));
            }
            Ok(())
        })?;
        let of = |(&group, reads): (&usize, &Vec<Read>)| {
            let mut out = vec![(0.0, 0.0); network.groups.group(group).width()];
            for read in reads {
                for &(at, channel) in &read.channels {
                    out[channel].0 += sums[&read.node][at].variance();
                    out[channel].1 += 1.0;
                }
            }
            out.into_iter().map(|(sum, n)| if n > 0.0 { sum / n } else { 0.0 }).collect()
        };
        Ok(groups.iter().zip(&found).map(of).collect())
    }
}
