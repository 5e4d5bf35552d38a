//! What one image may take in a network.
//!
//! A file of a few bytes can describe layers that no memory holds or that run for years: a padding
//! of 60,000 pixels, a hundred concatenations that each double their input. Each node's output is
//! counted before anything is made of that size, with what is computed on the way (padded inputs,
//! squares of a normalisation), and its operations: multiplications, or numbers that a window reads.
//!
//! | limit | of | published networks |
//! |---|---|---|
//! | [`NODES`], [`EDGES`] | a graph | 1,000 and 4,000 in the deepest |
//! | [`NUMBERS`] | a node | 3.2 million (VGG at 224 x 224) |
//! | [`WINDOWS`] | all windows of a convolution | 29 million (VGG at 224 x 224) |
//! | [`ALL_NUMBERS`], or [`FOR_A_WEIGHT`] times the weights | all nodes | 5 to 40 for a weight |
//! | [`OPERATIONS`], or [`USES`] times the weights | all nodes | 100 to 1,000 for a weight |
//! | [`READS`], or twice the weights | weights that nodes read, each time counted | every weight once |

use super::graph::Weights;
use super::op::Op;
use super::shape::Shape;
use crate::error::{Error, Result};
use crate::size;

/// Nodes of a graph.
pub const NODES: usize = 1 << 13;
/// Inputs of all nodes of a graph.
pub const EDGES: usize = 1 << 16;
/// Numbers of one image at one node: 256 MiB.
pub const NUMBERS: usize = 1 << 26;
/// Numbers in all windows of a convolution, each counted as often as a window holds it: the way
/// back lays them out, 2 GiB.
pub const WINDOWS: usize = 1 << 29;
/// Numbers of one image at all nodes: 1 GiB.
pub const ALL_NUMBERS: u64 = 1 << 28;
/// The same for each weight, in networks with many.
pub const FOR_A_WEIGHT: u64 = 64;
/// Operations of one image: some seconds.
pub const OPERATIONS: u64 = 1 << 35;
/// Uses of each weight for one image, in networks with many.
pub const USES: u64 = 1 << 15;
/// Weights that all nodes read.
pub const READS: u64 = 1 << 28;
/// Pixels of an image: 2048 x 2048.
pub const PIXELS: usize = 1 << 22;
/// Longest side of a window, stride, dilation or padding.
pub const SIDE: usize = 1 << 16;
/// Bytes of a node's name.
pub const NAME: usize = 1024;

/// What a graph takes, node by node.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Load {
    pub edges: usize,
    pub numbers: u64,
    pub operations: u64,
    pub reads: u64,
    /// Weights that the graph holds.
    pub weights: u64,
}

impl Load {
    /// Counts a node.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is too large by itself, or where nodes read more weights than
    /// there are.
    pub fn add(&mut self, node: &str, op: &Op, inputs: &[Shape], out: Shape, weights: &Weights) -> Result<()> {
        let at = || format!("node `{node}` ({})", op.kind());
        let mut numbers = 0;
        for part in [on_the_way(op, inputs.first()), [out.channels, out.height, out.width]] {
            let count = size::product(part).filter(|n| *n <= NUMBERS).ok_or_else(|| {
                let found = format!("{} x {} x {}", part[0], part[1], part[2]);
                too_large(at(), format!("at most {NUMBERS} numbers of one image"), found)
            })?;
            numbers += count as u64;
        }
        if let Op::Conv2d { weight, .. } = op
            && let Some(&[_, _, rows, columns]) = weights.get(weight).map(|w| w.shape())
        {
            let channels = inputs.first().map_or(0, |x| x.channels);
            let all = size::product([channels, rows, columns, out.height, out.width]);
            if all.is_none_or(|n| n > WINDOWS && rows * columns > 1) {
                let found = format!("{} x {} windows of {channels} x {rows} x {columns}", out.height, out.width);
                return Err(too_large(at(), format!("at most {WINDOWS} numbers in all windows"), found));
            }
        }
        let reads: u64 = op.weights().iter().filter_map(|name| weights.get(*name)).map(|w| w.len() as u64).sum();
        self.edges = self.edges.saturating_add(inputs.len());
        if self.edges > EDGES {
            let found = format!("{} of the nodes up to this one", self.edges);
            return Err(too_large(at(), format!("at most {EDGES} inputs of all nodes"), found));
        }
        self.numbers = self.numbers.saturating_add(numbers);
        self.operations = self.operations.saturating_add(operations(op, inputs, out, weights));
        self.reads = self.reads.saturating_add(reads);
        let most = READS.max(self.weights.saturating_mul(2));
        if self.reads > most {
            let found = "nodes that read the same weights over and over".to_owned();
            return Err(too_large(at(), format!("at most {most} weights read by all nodes"), found));
        }
        Ok(())
    }

    /// Judges the whole graph, called `name`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is too large.
    pub fn check(&self, name: &str) -> Result<()> {
        let most = ALL_NUMBERS.max(self.weights.saturating_mul(FOR_A_WEIGHT));
        if self.numbers > most {
            let expected = format!("at most {most} numbers of one image at all nodes");
            return Err(too_large(name.to_owned(), expected, self.numbers.to_string()));
        }
        let most = OPERATIONS.max(self.weights.saturating_mul(USES));
        if self.operations > most {
            let expected = format!("at most {most} operations for one image");
            return Err(too_large(name.to_owned(), expected, self.operations.to_string()));
        }
        Ok(())
    }
}

/// A network that is too large.
pub(super) fn too_large(at: String, expected: String, found: String) -> Error {
    let hint = "is this the network that was meant? if it is, give it with a smaller input, or without the layers from here on";
    Error::invalid(at, expected, found, hint)
}

/// The largest array that is made beside the output.
fn on_the_way(op: &Op, input: Option<&Shape>) -> [usize; 3] {
    let Some(x) = input else { return [0; 3] };
    match op {
        Op::Conv2d { padding, .. }
        | Op::MaxPool { padding, .. }
        | Op::AvgPool { padding, .. }
        | Op::Pad { padding } => {
            let [t, l, b, r] = *padding;
            [x.channels, x.height.saturating_add(t).saturating_add(b), x.width.saturating_add(l).saturating_add(r)]
        }
        Op::Lrn { size, .. } => [x.channels.saturating_add(*size), x.height, x.width],
        // Scales and shifts that a reader makes up are kept, folded and copied.
        Op::ChannelAffine { .. } | Op::BatchNorm { .. } => [8, x.channels, 1],
        _ => [0; 3],
    }
}

fn operations(op: &Op, inputs: &[Shape], out: Shape, weights: &Weights) -> u64 {
    let times = |sizes: &[usize]| size::product(sizes.iter().copied()).map_or(u64::MAX, |n| n as u64);
    match op {
        Op::Conv2d { weight, .. } | Op::Linear { weight, .. } => {
            times(&[weights.get(weight).map_or(0, |w| w.len()), out.height, out.width])
        }
        // These take as long as so many multiplications, on the way back above all.
        Op::MaxPool { kernel, .. } | Op::AvgPool { kernel, .. } => times(&[32, out.len(), kernel[0], kernel[1]]),
        Op::Lrn { size, .. } => times(&[128, out.channels.saturating_add(*size), out.height, out.width, *size]),
        _ => times(&[out.len(), inputs.len()]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{ArrayD, IxDyn};

    fn add(load: &mut Load, op: Op, inputs: &[Shape], out: Shape) -> Result<()> {
        let weights = Weights::from([("w".to_owned(), ArrayD::zeros(IxDyn(&[1, 1, 1, 1000])))]);
        load.weights = 1000;
        load.add("n", &op, inputs, out, &weights)
    }

    #[test]
    fn a_node_is_counted_with_what_it_needs_on_the_way() {
        let x = Shape::new(1, 100, 100);
        let mut load = Load::default();
        let pool = Op::MaxPool { kernel: [9, 9], stride: [60_000; 2], padding: [5, 6, 7, 8], ceil: false };
        add(&mut load, pool, &[x], Shape::new(1, 1, 1)).unwrap();
        assert_eq!((load.numbers, load.operations, load.edges), (112 * 114 + 1, 32 * 81, 1));
        let wide = Op::Pad { padding: [60_000, 0, 0, 60_000] };
        let error = add(&mut load, wide, &[x], Shape::new(1, 1, 1)).unwrap_err();
        assert!(error.to_string().contains("1 x 60100 x 60100"), "{error}");
        let lrn = Op::Lrn { size: 10_001, alpha: 1.0, beta: 1.0, k: 1.0 };
        assert!(add(&mut load, lrn, &[x], x).is_err());
        assert!(add(&mut load, Op::Concat, &[x; 2], Shape::new(1 << 32, 1 << 32, 1)).is_err());
    }

    #[test]
    fn weights_pay_for_numbers_and_operations() {
        let mut load = Load { numbers: ALL_NUMBERS + 1, ..Load::default() };
        assert!(load.check("n").is_err());
        load.weights = ALL_NUMBERS / 32;
        load.check("n").unwrap();
        load.operations = OPERATIONS + load.weights * USES;
        assert!(load.check("n").unwrap_err().to_string().contains("operations"));
    }

    #[test]
    fn weights_that_are_read_over_and_over_are_noticed() {
        let conv =
            Op::Conv2d { weight: "w".into(), bias: None, stride: [1, 1], padding: [0; 4], dilation: [1, 1], groups: 1 };
        let x = Shape::new(1, 1, 1000);
        let mut load = Load { reads: READS - 1000, ..Load::default() };
        add(&mut load, conv.clone(), &[x], Shape::new(1, 1, 1)).unwrap();
        let windows = add(&mut Load::default(), conv.clone(), &[x], Shape::new(1, 1000, 1000)).unwrap_err();
        assert!(windows.to_string().contains("1000 x 1000 windows of 1 x 1 x 1000"), "{windows}");
        assert!(add(&mut load, conv, &[x], Shape::new(1, 1, 1)).is_err());
    }
}
