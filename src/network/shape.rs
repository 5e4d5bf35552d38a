//! Shapes of one image's tensors, worked out before anything runs.

use super::bounds::SIDE;
use super::graph::Weights;
use super::op::{Op, Padding};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Largest number in an operation's formula: beyond 2^63 a power panics in burn.
const LARGEST: f32 = 1e9;

/// Channels, rows and columns of one image's tensor; flat features are C x 1 x 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
}

impl Shape {
    pub fn new(channels: usize, height: usize, width: usize) -> Self {
        Self { channels, height, width }
    }

    /// Number of units.
    pub fn len(&self) -> usize {
        self.channels * self.height * self.width
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn is_flat(&self) -> bool {
        self.height == 1 && self.width == 1
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {} x {}", self.channels, self.height, self.width)
    }
}

/// Output length of a sliding window along one axis, or `None` when the window does not fit.
///
/// Rounded down: `(size + before + after - extent) / stride + 1`. Rounded up (`ceil`), with the
/// last window left out when it would start beyond `size + before` (PyTorch, Caffe and ONNX agree
/// on this).
pub fn window_len(size: usize, extent: usize, stride: usize, before: usize, after: usize, ceil: bool) -> Option<usize> {
    let room = (size + before + after).checked_sub(extent)?;
    if !ceil {
        return Some(room / stride + 1);
    }
    let n = room.div_ceil(stride) + 1;
    Some(if (n - 1) * stride >= size + before { n - 1 } else { n })
}

/// The shape of a node's output.
///
/// # Errors
/// [`Error::Invalid`] naming the node when inputs or weights do not fit.
pub fn infer(node: &str, op: &Op, inputs: &[Shape], weights: &Weights) -> Result<Shape> {
    let check = Checker { node, op };
    check.attributes()?;
    match op {
        Op::Input => Err(check.wrong("a single input node, the first", "a second one")),
        Op::Concat | Op::Add => check.merge(inputs),
        _ => {
            let [x] = inputs else {
                return Err(check.wrong("one input", format!("{}", inputs.len())));
            };
            check.single(*x, weights)
        }
    }
}

struct Checker<'a> {
    node: &'a str,
    op: &'a Op,
}

impl Checker<'_> {
    fn wrong(&self, expected: impl Into<String>, found: impl Into<String>) -> Error {
        Error::invalid(
            format!("node `{}` ({})", self.node, self.op.kind()),
            expected,
            found,
            "the graph and its weights do not belong together, or the importer read the file wrongly",
        )
    }

    /// Sizes that can be added up, and numbers that are numbers.
    fn attributes(&self) -> Result<()> {
        let sizes: Vec<usize> = match self.op {
            Op::Conv2d { stride, padding, dilation, .. } => [&stride[..], padding, dilation].concat(),
            Op::MaxPool { kernel, stride, padding, .. } | Op::AvgPool { kernel, stride, padding, .. } => {
                [&kernel[..], stride, padding].concat()
            }
            Op::Lrn { size, .. } => vec![*size],
            Op::Pad { padding } => padding.to_vec(),
            _ => vec![],
        };
        if let Some(large) = sizes.iter().find(|s| **s > SIDE) {
            return Err(self.wrong(format!("windows, strides and padding of at most {SIDE}"), large.to_string()));
        }
        let numbers = match *self.op {
            Op::Lrn { alpha, beta, k, .. } => vec![alpha, beta, k],
            Op::LeakyRelu { slope } => vec![slope],
            Op::BatchNorm { epsilon, .. } => vec![epsilon],
            _ => vec![],
        };
        match numbers.iter().find(|v| v.is_nan() || v.abs() > LARGEST) {
            Some(odd) => Err(self.wrong(format!("numbers of at most {LARGEST} for its formula"), odd.to_string())),
            None => Ok(()),
        }
    }

    fn merge(&self, inputs: &[Shape]) -> Result<Shape> {
        let Some(&first) = inputs.first() else {
            return Err(self.wrong("at least one input", "none"));
        };
        let mut out = first;
        for s in &inputs[1..] {
            let fits = (s.height, s.width) == (first.height, first.width);
            if *self.op == Op::Concat && fits {
                out.channels = out.channels.saturating_add(s.channels);
            } else if !(fits && s.channels == first.channels) {
                return Err(self.wrong(format!("inputs that fit {first}"), format!("{s}")));
            }
        }
        Ok(out)
    }

    fn single(&self, x: Shape, weights: &Weights) -> Result<Shape> {
        match self.op {
            Op::Conv2d { weight, bias, stride, padding, dilation, groups } => {
                let w = self.dims(weights, weight, 4)?;
                if *groups == 0
                    || w[1].checked_mul(*groups) != Some(x.channels)
                    || w[0] % groups != 0
                    || w[2] * w[3] == 0
                {
                    return Err(self.wrong(
                        format!("a kernel of O x {} x KH x KW for {groups} group(s)", x.channels / (*groups).max(1)),
                        format!("{w:?}"),
                    ));
                }
                self.vectors(weights, bias.as_slice(), w[0])?;
                if dilation.contains(&0) || w[2..].iter().any(|&side| side > SIDE) {
                    let expected = format!("dilation of at least 1 and a kernel of at most {SIDE}");
                    return Err(self.wrong(expected, format!("dilation {dilation:?}, kernel {w:?}")));
                }
                let extent = [dilation[0] * (w[2] - 1) + 1, dilation[1] * (w[3] - 1) + 1];
                let [h, w_out] = self.windows(x, extent, *stride, *padding, false)?;
                Ok(Shape::new(w[0], h, w_out))
            }
            Op::MaxPool { kernel, stride, padding, ceil } | Op::AvgPool { kernel, stride, padding, ceil, .. } => {
                if (0..4).any(|i| padding[i] >= kernel[i % 2].max(1)) {
                    return Err(self.wrong("padding smaller than the window", format!("{padding:?} for {kernel:?}")));
                }
                let [h, w] = self.windows(x, *kernel, *stride, *padding, *ceil)?;
                Ok(Shape::new(x.channels, h, w))
            }
            Op::BatchNorm { scale, shift, mean, var, epsilon } => {
                let names = [scale.as_ref(), shift.as_ref(), Some(mean), Some(var)];
                for name in names.into_iter().flatten() {
                    self.vectors(weights, std::slice::from_ref(name), x.channels)?;
                }
                if let Some(odd) = weights[var].iter().map(|v| v + epsilon).find(|v| v.is_nan() || *v <= 0.0) {
                    return Err(self.wrong("variance + epsilon above 0", odd.to_string()));
                }
                Ok(x)
            }
            Op::ChannelAffine { scale, shift } => {
                self.vectors(weights, &[scale.clone(), shift.clone()], x.channels)?;
                Ok(x)
            }
            Op::Linear { weight, bias } => {
                let w = self.dims(weights, weight, 2)?;
                if !x.is_flat() || w[1] != x.channels {
                    return Err(self.wrong(format!("flat input of {} features", w[1]), format!("{x}")));
                }
                self.vectors(weights, bias.as_slice(), w[0])?;
                Ok(Shape::new(w[0], 1, 1))
            }
            Op::Lrn { size, .. } if size % 2 == 0 => Err(self.wrong("an odd number of channels", format!("{size}"))),
            Op::GlobalAvgPool => Ok(Shape::new(x.channels, 1, 1)),
            Op::Flatten { .. } => Ok(Shape::new(x.len(), 1, 1)),
            Op::Pad { padding: [t, l, b, r] } => Ok(Shape::new(x.channels, x.height + t + b, x.width + l + r)),
            _ => Ok(x),
        }
    }

    fn windows(
        &self,
        x: Shape,
        extent: [usize; 2],
        stride: [usize; 2],
        pad: Padding,
        ceil: bool,
    ) -> Result<[usize; 2]> {
        if stride.contains(&0) || extent.contains(&0) {
            return Err(self.wrong("stride and window of at least 1", format!("stride {stride:?}, window {extent:?}")));
        }
        let rows = window_len(x.height, extent[0], stride[0], pad[0], pad[2], ceil);
        let columns = window_len(x.width, extent[1], stride[1], pad[1], pad[3], ceil);
        match (rows, columns) {
            (Some(h), Some(w)) => Ok([h, w]),
            _ => Err(self.wrong(format!("an image of at least {} x {}", extent[0], extent[1]), format!("{x}"))),
        }
    }

    fn dims<'w>(&self, weights: &'w Weights, name: &str, rank: usize) -> Result<&'w [usize]> {
        let array = weights
            .get(name)
            .ok_or_else(|| self.wrong(format!("the weight `{name}`"), "no such tensor in the weights"))?;
        if array.ndim() != rank || array.is_empty() {
            let found = match array.ndim() {
                0..=8 => format!("{:?}", array.shape()),
                many => format!("{many} axes"),
            };
            return Err(self.wrong(format!("`{name}` with {rank} axes and some numbers"), found));
        }
        Ok(array.shape())
    }

    fn vectors(&self, weights: &Weights, names: &[String], n: usize) -> Result<()> {
        for name in names {
            let dims = self.dims(weights, name, 1)?;
            if dims != [n] {
                return Err(self.wrong(format!("`{name}` of {n} values"), format!("{dims:?}")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{ArrayD, IxDyn};

    #[test]
    fn attributes_that_make_no_sense_are_refused() {
        let x = [Shape::new(2, 8, 8)];
        let vector = |values: Vec<f32>| ArrayD::from_shape_vec(IxDyn(&[values.len()]), values).unwrap();
        let weights = Weights::from([
            ("k".to_owned(), ArrayD::ones(IxDyn(&[4, 2, 3, 3]))),
            ("empty".to_owned(), ArrayD::ones(IxDyn(&[4, 2, 0, 3]))),
            ("flat".to_owned(), ArrayD::ones(IxDyn(&[]))),
            ("v".to_owned(), vector(vec![1.0; 2])),
            ("odd".to_owned(), vector(vec![1.0, f32::NAN])),
        ]);
        let conv = |weight: &str, stride, padding, dilation, groups| Op::Conv2d {
            weight: weight.into(),
            bias: None,
            stride,
            padding,
            dilation,
            groups,
        };
        let lrn = |size, alpha, beta, k| Op::Lrn { size, alpha, beta, k };
        let pool = |kernel, stride, padding| Op::MaxPool { kernel, stride, padding, ceil: true };
        let norm =
            |var: &str, epsilon| Op::BatchNorm { scale: None, shift: None, mean: "v".into(), var: var.into(), epsilon };
        let (one, none) = ([1, 1], [0; 4]);
        infer("n", &conv("k", one, none, one, 1), &x, &weights).unwrap();
        infer("n", &norm("v", 1e-3), &x, &weights).unwrap();
        let wrong = [
            conv("k", [0, 1], none, one, 1),
            conv("k", [usize::MAX, 1], none, one, 1),
            conv("k", one, [0, usize::MAX, 0, 0], one, 1),
            conv("k", one, none, [0, 1], 1),
            conv("k", one, none, [usize::MAX; 2], 1),
            conv("k", one, none, one, 0),
            conv("k", one, none, one, (1 << 63) + 1),
            conv("empty", one, none, one, 1),
            conv("flat", one, none, one, 1),
            conv("none", one, none, one, 1),
            pool([9, 9], one, none),
            pool([0, 2], one, none),
            pool([2, 2], [0, 1], none),
            pool([2, 2], one, [2, 0, 0, 0]),
            pool([usize::MAX; 2], one, [usize::MAX - 1; 4]),
            lrn(4, 1.0, 1.0, 1.0),
            lrn(3, 1.0, -2.5e38, 1.0),
            lrn(usize::MAX, 1.0, 1.0, 1.0),
            lrn(5, f32::NAN, 1.0, 1.0),
            lrn(5, 1.0, f32::INFINITY, 1.0),
            lrn(5, 1.0, 1.0, f32::NEG_INFINITY),
            norm("v", f32::NAN),
            norm("v", -1.0),
            norm("odd", 1e-3),
            Op::LeakyRelu { slope: f32::NAN },
            Op::Pad { padding: [usize::MAX; 4] },
            Op::Input,
        ];
        for op in wrong {
            assert!(infer("n", &op, &x, &weights).is_err(), "{op:?}");
        }
        assert!(infer("n", &Op::Concat, &[], &weights).is_err());
        assert!(infer("n", &Op::Relu, &[x[0], x[0]], &weights).is_err());
    }

    #[test]
    fn ceil_mode_counts_windows_as_caffe() {
        assert_eq!(window_len(112, 3, 2, 0, 0, true), Some(56));
        assert_eq!(window_len(112, 3, 2, 0, 0, false), Some(55));
        assert_eq!(window_len(28, 3, 1, 1, 1, false), Some(28));
        assert_eq!(window_len(2, 1, 2, 0, 0, true), Some(1), "a window beyond the image is left out");
        assert_eq!(window_len(2, 3, 1, 0, 0, false), None);
    }
}
