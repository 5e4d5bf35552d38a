//! The smallest weights set to zero.

use super::connections;
use crate::error::{Error, Result};
use crate::network::{Graph, GraphBuilder};
use serde::{Deserialize, Serialize};

/// Which weights are compared with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// Those of a layer.
    #[default]
    Layer,
    /// Those of all layers.
    Global,
}

/// How many weights go.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Amount {
    /// This share of the weights, rounded down; of equal ones the first.
    Share(f64),
    /// Those whose magnitude is below so many standard deviations of the weights.
    Deviations(f64),
}

/// The graph with its smallest weights of convolutions and linear layers set to 0, smallest
/// magnitude first; biases and batch norms stay.
///
/// # Errors
/// [`Error::Invalid`] for a share outside 0..=1, or a number of deviations that is negative or
/// none.
///
/// # Source
/// Han, Pool, Tran and Dally, "Learning both weights and connections for efficient neural
/// networks", NeurIPS 2015 (the threshold is a quality parameter times a layer's standard
/// deviation).
///
/// # Example
/// ```
/// use orthoscope::compression::connections::{Amount, Reach, prune};
/// use orthoscope::network::zoo::{LoadOptions, load_model};
///
/// let graph = load_model("mini-inception", &LoadOptions::default())?.graph;
/// let sparse = prune(&graph, Amount::Share(0.5), Reach::Layer)?;
/// let zeros = |name: &str| sparse.weight(name).iter().filter(|w| **w == 0.0).count();
/// assert_eq!(zeros("conv2/3x3.weight"), sparse.weight("conv2/3x3.weight").len() / 2);
/// assert_eq!(sparse.weight("conv2/3x3.bias"), graph.weight("conv2/3x3.bias"));
/// # Ok::<(), orthoscope::Error>(())
/// ```
pub fn prune(graph: &Graph, amount: Amount, reach: Reach) -> Result<Graph> {
    let usable = match amount {
        Amount::Share(share) => (0.0..=1.0).contains(&share),
        Amount::Deviations(s) => s >= 0.0,
    };
    if !usable {
        let expected = "a share of 0 to 1, or standard deviations of at least 0";
        return Err(Error::invalid("pruning of connections", expected, format!("{amount:?}"), ""));
    }
    let names: Vec<&str> = connections(graph).into_iter().map(|(name, _)| name).collect();
    let mut weights: Vec<Vec<f32>> = names.iter().map(|name| graph.weight(name).iter().copied().collect()).collect();
    match reach {
        Reach::Layer => weights.iter_mut().for_each(|layer| zero(&mut [layer], amount)),
        Reach::Global => zero(&mut weights.iter_mut().collect::<Vec<_>>(), amount),
    }
    let mut builder = GraphBuilder::from_graph(graph.clone());
    for (name, values) in names.into_iter().zip(weights) {
        let shape = graph.weight(name).raw_dim();
        builder.add_weight(name, ndarray::ArrayD::from_shape_vec(shape, values).expect("as many numbers as before"));
    }
    builder.finish()
}

/// Sets the smallest numbers of some layers together to 0.
fn zero(layers: &mut [&mut Vec<f32>], amount: Amount) {
    let n: usize = layers.iter().map(|l| l.len()).sum();
    match amount {
        Amount::Share(share) => {
            let gone = ((share * n as f64) as usize).min(n);
            let magnitudes = layers.iter().enumerate();
            let mut all: Vec<(f32, usize, usize)> =
                magnitudes.flat_map(|(l, layer)| layer.iter().enumerate().map(move |(i, w)| (w.abs(), l, i))).collect();
            if gone > 0 {
                let order = |a: &(f32, usize, usize), b: &(f32, usize, usize)| {
                    a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2)))
                };
                all.select_nth_unstable_by(gone - 1, order);
            }
            all[..gone].iter().for_each(|&(_, l, i)| layers[l][i] = 0.0);
        }
        Amount::Deviations(s) => {
            let numbers = || layers.iter().flat_map(|l| l.iter().map(|&w| f64::from(w)));
            let mean = numbers().sum::<f64>() / n as f64;
            let sd = (numbers().map(|w| (w - mean).powi(2)).sum::<f64>() / n as f64).sqrt();
            let small = |w: &&mut f32| f64::from(w.abs()) < s * sd;
            layers.iter_mut().flat_map(|l| l.iter_mut()).filter(small).for_each(|w| *w = 0.0);
        }
    }
}
