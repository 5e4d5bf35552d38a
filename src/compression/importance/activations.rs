//! How much activations vary.

use super::{Data, Importance, Network};
use crate::compression::reads::{Read, reads};
use crate::error::Result;
use crate::tensor::vec_f32;

/// Variance of a channel's activations over images and positions, `mean (a - mean a)^2`, where they
/// are read (behind batch norm, activation and pool; all features of a flattened channel are its
/// positions); of tensors that different layers read, the mean of the variances.
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
        // For each group, each tensor, each channel.
        let mut sums: Vec<Vec<Vec<Sums>>> = groups
            .iter()
            .zip(&found)
            .map(|(&g, reads)| vec![vec![Sums::default(); network.groups.group(g).width()]; reads.len()])
            .collect();
        self.0.activations("activations", network.graph, &nodes, &mut |range, values| {
            let values: Vec<(Vec<f32>, usize)> =
                values.iter().map(|v| (vec_f32(v), v.dims()[2] * v.dims()[3])).collect();
            for (reads, sums) in found.iter().zip(&mut sums) {
                for (read, sums) in reads.iter().zip(sums) {
                    let (numbers, plane) = &values[nodes.binary_search(&read.node).expect("one for each node")];
                    for image in numbers.chunks(numbers.len() / range.len()) {
                        let own = |at: usize| &image[at * plane..(at + 1) * plane];
                        read.channels.iter().for_each(|&(at, channel)| sums[channel].add(own(at)));
                    }
                }
            }
            Ok(())
        })?;
        let mean = |(&group, sums): (&usize, &Vec<Vec<Sums>>)| -> Vec<f64> {
            let width = network.groups.group(group).width();
            let of = |c: usize| {
                let read: Vec<f64> = sums.iter().filter(|s| s[c].n > 0.0).map(|s| s[c].variance()).collect();
                if read.is_empty() { 0.0 } else { read.iter().sum::<f64>() / read.len() as f64 }
            };
            (0..width).map(of).collect()
        };
        Ok(groups.iter().zip(&sums).map(mean).collect())
    }
}
