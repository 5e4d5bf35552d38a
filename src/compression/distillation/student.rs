//! Students before they have learnt anything.

use crate::error::{Error, Result};
use crate::network::op::same_padding;
use crate::network::{FlattenOrder, Graph, GraphBuilder, InputSpec, NodeId, Op, Weights, architectures};
use crate::rng::stream;
use ndarray::{ArrayD, IxDyn};
use serde::{Deserialize, Serialize};

/// Epsilon of every batch norm (Keras's default, and that of the published models).
const EPSILON: f32 = 1e-3;

/// Side of every kernel, pixels.
const KERNEL: usize = 5;

/// What reads the last layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reading {
    /// A weight for each pixel, channel and output: a model of one neuron.
    Own,
    /// Channels mixed for each output, then a weight for each pixel: a core shared by many neurons.
    Factorised,
}

/// The compact model of a V4 neuron, with widths of one's own.
///
/// ```text
/// image -> conv 5x5, BN, ReLU -> separable 5x5 stride 2, BN, ReLU (twice) -> separable 5x5, BN, ReLU (...) -> readout
/// ```
///
/// A separable convolution is a 5 x 5 kernel for each channel without bias, then 1 x 1 with bias.
/// Padding is TensorFlow's `same` (1 before and 2 after an even side at stride 2). Nodes are called
/// as in the published files (`layer0_conv`, ..., `Beta`; `mixing_stage`, `spatial_pool_stage` of
/// the shared ones): jobs read students as they read those.
///
/// # Source
/// Cowley, Stan, Pillow & Smith (2023), published code; initial weights as Keras documents for its
/// layers (Glorot & Bengio 2010: uniform within `sqrt(6 / (fan_in + fan_out))`, biases 0, gains 1).
///
/// # Example
/// ```
/// use orthoscope::compression::distillation::{Reading, Student};
/// use orthoscope::network::InputSpec;
///
/// let input = InputSpec::preset("v4", 112, 112)?;
/// let student = Student { widths: vec![100; 5], reading: Reading::Own, n_outputs: 1, input };
/// // Trainable parameters and the moments of the norms.
/// assert_eq!(student.build("compact", 1)?.n_parameters(), 138_401);
/// # Ok::<(), orthoscope::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Student {
    /// Filters of each layer.
    pub widths: Vec<usize>,
    pub reading: Reading,
    pub n_outputs: usize,
    pub input: InputSpec,
}

/// Layers of the network and their weights, so far.
struct Builder {
    net: GraphBuilder,
    seed: u64,
}

impl Student {
    /// # Errors
    /// [`Error::Invalid`] for other than 1 to 8 layers of 1 to 1024 filters.
    pub fn check(&self) -> Result<()> {
        let right = (1..=8).contains(&self.widths.len()) && self.widths.iter().all(|w| (1..=1024).contains(w));
        if right && self.n_outputs > 0 {
            return Ok(());
        }
        let found = format!("{:?} and {} outputs", self.widths, self.n_outputs);
        Err(Error::invalid(
            "student.widths",
            "1 to 8 layers of 1 to 1024 filters, and an output",
            found,
            "five of 100 are usual",
        ))
    }

    /// The network with its initial weights, drawn for the seed.
    ///
    /// # Errors
    /// As [`check`](Self::check), and [`Error::Invalid`] for an input that is too small.
    pub fn build(&self, name: &str, seed: u64) -> Result<Graph> {
        self.check()?;
        let mut b = Builder { net: GraphBuilder::new(name, self.input.clone(), Weights::new())?, seed };
        let mut x = 0;
        for (i, &width) in self.widths.iter().enumerate() {
            // Two layers halve the size.
            let stride = if i == 1 || i == 2 { 2 } else { 1 };
            x = b.layer(i, x, width, stride)?;
        }
        match self.reading {
            Reading::Own => b.own(x, self.n_outputs)?,
            Reading::Factorised => b.factorised(x, self.n_outputs)?,
        }
        let mut graph = b.net.finish()?;
        architectures::annotate(&mut graph);
        Ok(graph)
    }
}

impl Builder {
    /// Glorot's uniform weights.
    fn draw(&mut self, name: &str, shape: &[usize], fans: usize) {
        let (limit, mut rng) = ((6.0 / fans as f64).sqrt(), stream(self.seed, &format!("init {name}"), 0));
        let values = ArrayD::from_shape_fn(IxDyn(shape), |_| rng.uniform_in(-limit, limit) as f32);
        self.net.add_weight(name, values);
    }

    fn fill(&mut self, name: &str, n: usize, value: f32) {
        self.net.add_weight(name, ArrayD::from_elem(IxDyn(&[n]), value));
    }

    /// A kernel for each channel, `same`.
    fn depthwise(&mut self, name: &str, x: NodeId, stride: usize) -> Result<NodeId> {
        let shape = self.net.shape(x);
        let (c, weight) = (shape.channels, format!("{name}.weight"));
        self.draw(&weight, &[c, 1, KERNEL, KERNEL], KERNEL * KERNEL * (c + 1));
        let (top, bottom) = same_padding(shape.height, KERNEL, stride);
        let (left, right) = same_padding(shape.width, KERNEL, stride);
        let padding = [top, left, bottom, right];
        let op = Op::Conv2d { weight, bias: None, stride: [stride; 2], padding, dilation: [1; 2], groups: c };
        self.net.push(name, op, &[x])
    }

    /// A weight for each pixel of each channel: C x 1 x 1.
    fn pool(&mut self, name: &str, x: NodeId) -> Result<NodeId> {
        let shape = self.net.shape(x);
        let (c, weight, bias) = (shape.channels, format!("{name}.weight"), format!("{name}.bias"));
        self.draw(&weight, &[c, 1, shape.height, shape.width], shape.height * shape.width * (c + 1));
        self.fill(&bias, c, 0.0);
        let op = Op::Conv2d { weight, bias: Some(bias), stride: [1; 2], padding: [0; 4], dilation: [1; 2], groups: c };
        self.net.push(name, op, &[x])
    }

    /// A convolution of all channels.
    fn conv(&mut self, name: &str, x: NodeId, n: usize, kernel: usize) -> Result<NodeId> {
        let shape = self.net.shape(x);
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        self.draw(&weight, &[n, shape.channels, kernel, kernel], kernel * kernel * (shape.channels + n));
        self.fill(&bias, n, 0.0);
        // At stride 1 the border depends on the kernel alone.
        let (before, after) = same_padding(shape.height, kernel, 1);
        let padding = [before, before, after, after];
        let op = Op::Conv2d { weight, bias: Some(bias), stride: [1; 2], padding, dilation: [1; 2], groups: 1 };
        self.net.push(name, op, &[x])
    }

    fn layer(&mut self, i: usize, x: NodeId, width: usize, stride: usize) -> Result<NodeId> {
        let name = format!("layer{i}_conv");
        let x = match i {
            0 => self.conv(&name, x, width, KERNEL)?,
            _ => {
                let deep = self.depthwise(&format!("{name}.depthwise"), x, stride)?;
                self.conv(&name, deep, width, 1)?
            }
        };
        let part = |p: &str| format!("layer{i}_bn.{p}");
        for (p, value) in [("scale", 1.0), ("shift", 0.0), ("mean", 0.0), ("var", 1.0)] {
            self.fill(&part(p), width, value);
        }
        let norm = Op::BatchNorm {
            scale: Some(part("scale")),
            shift: Some(part("shift")),
            mean: part("mean"),
            var: part("var"),
            epsilon: EPSILON,
        };
        let x = self.net.push(format!("layer{i}_bn"), norm, &[x])?;
        self.net.push(format!("layer{i}_act"), Op::Relu, &[x])
    }

    fn own(&mut self, x: NodeId, n_outputs: usize) -> Result<()> {
        let x = self.net.push("embeddings", Op::Flatten { order: FlattenOrder::Hwc }, &[x])?;
        let n = self.net.shape(x).channels;
        let (weight, bias) = ("Beta.weight".to_owned(), "Beta.bias".to_owned());
        self.draw(&weight, &[n_outputs, n], n + n_outputs);
        self.fill(&bias, n_outputs, 0.0);
        self.net.push("Beta", Op::Linear { weight, bias: Some(bias) }, &[x])?;
        Ok(())
    }

    fn factorised(&mut self, x: NodeId, n_outputs: usize) -> Result<()> {
        let x = self.conv("mixing_stage", x, n_outputs, 1)?;
        self.pool("spatial_pool_stage", x)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::architectures::{Known, recognise};

    fn student(reading: Reading, n_outputs: usize) -> Student {
        Student { widths: vec![6, 5, 4, 3, 2], reading, n_outputs, input: InputSpec::preset("v4", 112, 112).unwrap() }
    }

    #[test]
    fn students_are_published_architectures() {
        let own = student(Reading::Own, 1).build("own", 3).unwrap();
        assert_eq!(recognise(&own), Some(Known::CompactV4));
        let layers =
            6 * 75 + 6 + (6 * 25 + 6 * 5 + 5) + (5 * 25 + 5 * 4 + 4) + (4 * 25 + 4 * 3 + 3) + (3 * 25 + 3 * 2 + 2);
        assert_eq!(own.n_parameters(), layers + 4 * 20 + 784 * 2 + 1);
        let shared = student(Reading::Factorised, 7).build("shared", 3).unwrap();
        assert_eq!(shared.node(shared.output()).shape.channels, 7);
        assert_eq!(shared.n_parameters(), layers + 4 * 20 + (2 * 7 + 7) + (784 * 7 + 7));
        assert!(shared.presets.contains_key("layers5"));
    }

    /// Uniform within Glorot's limit has a variance of a third of its square.
    #[test]
    fn weights_are_glorots_and_depend_on_the_seed() {
        let wide = Student { widths: vec![100; 5], ..student(Reading::Own, 1) };
        let (a, b) = (wide.build("a", 1).unwrap(), wide.build("b", 2).unwrap());
        let (a, b) = (a.weight("layer1_conv.weight"), b.weight("layer1_conv.weight"));
        let variance = a.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / a.len() as f64;
        assert!((variance / (6.0 / 200.0 / 3.0) - 1.0).abs() < 0.05, "{variance}");
        assert!(a.iter().all(|v| v.abs() <= (6.0f32 / 200.0).sqrt()) && a != b);
    }

    #[test]
    fn odd_widths_are_refused() {
        for widths in [vec![], vec![0], vec![3; 9], vec![5000]] {
            assert!(Student { widths, ..student(Reading::Own, 1) }.build("odd", 0).is_err());
        }
    }
}
