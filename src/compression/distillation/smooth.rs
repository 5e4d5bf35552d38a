//! Kernels smoothed while a student learns.

use crate::image::smooth::Gaussian;
use crate::network::{FlattenOrder, Graph, Op};
use std::collections::BTreeMap;

/// How a weight's numbers are planes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Planes {
    /// Rows x columns, one after the other.
    Plain { height: usize, width: usize },
    /// Rows x columns x channels.
    ChannelsLast { height: usize, width: usize, channels: usize },
}

/// Smooths the kernels of single channels, and linear readouts of maps, over their two spatial axes
/// with a Gaussian (reflected edges, as SciPy's `gaussian_filter`); kernels that mix channels, such
/// as those of the first layer, stay.
///
/// # Source
/// Cowley et al. (2023), published code: sigma 0.5 after each block of images.
#[derive(Debug, Clone)]
pub struct Smoother {
    gaussian: Gaussian,
    weights: BTreeMap<String, Planes>,
}

impl Smoother {
    /// For the weights of a graph; `sigma` in pixels, 0 changes nothing.
    pub fn new(graph: &Graph, sigma: f64) -> Self {
        let planes = |node: &crate::network::Node| match &node.op {
            Op::Conv2d { weight, groups, .. } if *groups > 1 => {
                let shape = graph.weight(weight).shape();
                let (height, width) = (shape[2], shape[3]);
                (shape[1] == 1 && height * width > 1).then(|| (weight.clone(), Planes::Plain { height, width }))
            }
            Op::Linear { weight, .. } => {
                let flat = graph.node(node.inputs[0]);
                let Op::Flatten { order } = &flat.op else { return None };
                let of = graph.node(flat.inputs[0]).shape;
                let (height, width, channels) = (of.height, of.width, of.channels);
                let planes = match order {
                    FlattenOrder::Chw => Planes::Plain { height, width },
                    FlattenOrder::Hwc => Planes::ChannelsLast { height, width, channels },
                };
                Some((weight.clone(), planes))
            }
            _ => None,
        };
        Self { gaussian: Gaussian::new(sigma), weights: graph.nodes().iter().filter_map(planes).collect() }
    }

    /// Smooths a weight in place, when it is one of those.
    pub fn apply(&self, name: &str, values: &mut [f32]) {
        match self.weights.get(name) {
            None => {}
            Some(&Planes::Plain { height, width }) => {
                values.chunks_exact_mut(height * width).for_each(|plane| self.gaussian.apply(plane, height, width));
            }
            Some(&Planes::ChannelsLast { height, width, channels }) => {
                let mut plane = vec![0.0; height * width];
                for row in values.chunks_exact_mut(height * width * channels) {
                    for c in 0..channels {
                        let own = row[c..].iter().step_by(channels);
                        plane.iter_mut().zip(own).for_each(|(p, v)| *p = *v);
                        self.gaussian.apply(&mut plane, height, width);
                        let own = row[c..].iter_mut().step_by(channels);
                        own.zip(&plane).for_each(|(v, p)| *v = *p);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Reading, Student};
    use super::*;
    use crate::network::InputSpec;

    /// SciPy 1.17: `gaussian_filter` of a 5 x 5 impulse in the middle with sigma 0.5, its middle
    /// row.
    #[test]
    fn an_impulse_spreads_as_scipys_and_the_first_layer_stays() {
        let input = InputSpec::preset("v4", 16, 16).unwrap();
        let graph = Student { widths: vec![3, 2], reading: Reading::Own, n_outputs: 1, input }.build("s", 0).unwrap();
        let smoother = Smoother::new(&graph, 0.5);
        let mut kernels = vec![0.0; 3 * 25];
        kernels[25 + 12] = 1.0;
        smoother.apply("layer1_conv.depthwise.weight", &mut kernels);
        let row = [2.075_485_5e-4, 0.083_731_06, 0.618_693_5, 0.083_731_06, 2.075_485_5e-4];
        assert!(kernels[25 + 10..25 + 15].iter().zip(row).all(|(a, b)| (a - b).abs() < 1e-6), "{kernels:?}");
        assert!(kernels[..25].iter().chain(&kernels[50..]).all(|v| *v == 0.0));
        // The readout: channel 1 of pixel (3, 3) spreads over pixels, not over channels.
        let mut beta = vec![0.0; 8 * 8 * 2];
        beta[(3 * 8 + 3) * 2 + 1] = 1.0;
        smoother.apply("Beta.weight", &mut beta);
        assert!((beta[(3 * 8 + 4) * 2 + 1] - 0.083_731_06).abs() < 1e-6 && beta.iter().step_by(2).all(|v| *v == 0.0));
        for name in ["layer0_conv.weight", "layer1_conv.weight", "Beta.bias"] {
            let mut values: Vec<f32> = graph.weight(name).iter().copied().collect();
            let before = values.clone();
            smoother.apply(name, &mut values);
            assert_eq!(values, before, "{name}");
        }
    }
}
