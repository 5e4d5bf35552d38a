//! The operations that a network is made of. Everything is image-wise: no operation mixes images.

use serde::{Deserialize, Serialize};

/// Zero (or, for maxima, minus-infinity) border in pixels: top, left, bottom, right.
pub type Padding = [usize; 4];

/// Order in which channels, rows and columns become one feature axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FlattenOrder {
    /// Channel slowest: PyTorch, Caffe, ONNX.
    #[default]
    Chw,
    /// Channel fastest: TensorFlow, Keras.
    Hwc,
}

fn ones() -> [usize; 2] {
    [1, 1]
}

fn one() -> usize {
    1
}

fn yes() -> bool {
    true
}

/// One operation. Weight fields are names in [`super::Weights`]. Arrays of two are rows, columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Op {
    /// The preprocessed image; see [`super::InputSpec`]. Always node 0.
    Input,
    /// `y[o] = bias[o] + sum_{i,r,s} weight[o,i,r,s] x[i, stride*y + dilation*r - pad_top, ...]`;
    /// weight is O x I/groups x KH x KW.
    Conv2d {
        weight: String,
        #[serde(default)]
        bias: Option<String>,
        #[serde(default = "ones")]
        stride: [usize; 2],
        #[serde(default)]
        padding: Padding,
        #[serde(default = "ones")]
        dilation: [usize; 2],
        #[serde(default = "one")]
        groups: usize,
    },
    /// `y[c] = scale[c] (x[c] - mean[c]) / sqrt(var[c] + epsilon) + shift[c]`; scale and shift
    /// default to 1 and 0.
    BatchNorm {
        #[serde(default)]
        scale: Option<String>,
        #[serde(default)]
        shift: Option<String>,
        mean: String,
        var: String,
        epsilon: f32,
    },
    /// `y[c] = scale[c] x[c] + shift[c]` (Caffe's Scale, torchvision's `transform_input`).
    ChannelAffine {
        scale: String,
        shift: String,
    },
    /// `max(x, 0)`.
    Relu,
    /// `x` where positive, `slope x` elsewhere.
    LeakyRelu {
        slope: f32,
    },
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    Tanh,
    /// Maximum over windows; padding never wins. With `ceil`, the output size is rounded up, and a
    /// last window that would start beyond the image and its leading padding is left out.
    MaxPool {
        kernel: [usize; 2],
        stride: [usize; 2],
        #[serde(default)]
        padding: Padding,
        #[serde(default)]
        ceil: bool,
    },
    /// Mean over windows. With `count_include_pad` the divisor counts padding (but never what
    /// `ceil` adds beyond it).
    AvgPool {
        kernel: [usize; 2],
        stride: [usize; 2],
        #[serde(default)]
        padding: Padding,
        #[serde(default)]
        ceil: bool,
        #[serde(default = "yes")]
        count_include_pad: bool,
    },
    /// Mean over all pixels of a channel: C x 1 x 1.
    GlobalAvgPool,
    /// `y[c] = x[c] / (k + alpha/size * sum_{|c'-c| <= size/2} x[c']^2)^beta` (Krizhevsky et al.
    /// 2012; alpha divided by size).
    Lrn {
        size: usize,
        alpha: f32,
        beta: f32,
        k: f32,
    },
    /// Channels of several inputs, one after the other.
    Concat,
    /// Sum of inputs of equal shape.
    Add,
    /// C x H x W to (C H W) x 1 x 1.
    Flatten {
        #[serde(default)]
        order: FlattenOrder,
    },
    /// `y = weight x + bias`; weight is out x in, the input is flat.
    Linear {
        weight: String,
        #[serde(default)]
        bias: Option<String>,
    },
    /// Over channels, at each pixel.
    Softmax,
    /// Dropout at test time, and whatever else does nothing.
    Identity,
    /// Zeros around the image.
    Pad {
        padding: Padding,
    },
}

impl Op {
    /// The kind's name, as in a model card.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Conv2d { .. } => "conv2d",
            Self::BatchNorm { .. } => "batch-norm",
            Self::ChannelAffine { .. } => "channel-affine",
            Self::Relu => "relu",
            Self::LeakyRelu { .. } => "leaky-relu",
            Self::Sigmoid => "sigmoid",
            Self::Tanh => "tanh",
            Self::MaxPool { .. } => "max-pool",
            Self::AvgPool { .. } => "avg-pool",
            Self::GlobalAvgPool => "global-avg-pool",
            Self::Lrn { .. } => "lrn",
            Self::Concat => "concat",
            Self::Add => "add",
            Self::Flatten { .. } => "flatten",
            Self::Linear { .. } => "linear",
            Self::Softmax => "softmax",
            Self::Identity => "identity",
            Self::Pad { .. } => "pad",
        }
    }

    /// Names of the weights that the operation reads.
    pub fn weights(&self) -> Vec<&str> {
        let names: Vec<Option<&String>> = match self {
            Self::Conv2d { weight, bias, .. } | Self::Linear { weight, bias } => vec![Some(weight), bias.as_ref()],
            Self::BatchNorm { scale, shift, mean, var, .. } => {
                vec![scale.as_ref(), shift.as_ref(), Some(mean), Some(var)]
            }
            Self::ChannelAffine { scale, shift } => vec![Some(scale), Some(shift)],
            _ => vec![],
        };
        names.into_iter().flatten().map(String::as_str).collect()
    }

    /// True for operations that act on each number alone, in place.
    pub fn is_activation(&self) -> bool {
        matches!(self, Self::Relu | Self::LeakyRelu { .. } | Self::Sigmoid | Self::Tanh)
    }
}

/// TensorFlow's 'same' padding for one axis: (before, after), output `ceil(size / stride)`.
///
/// For stride 2 on an even size with a 5-wide kernel: 1 before, 2 after.
pub fn same_padding(size: usize, kernel: usize, stride: usize) -> (usize, usize) {
    let out = size.div_ceil(stride);
    let total = ((out - 1) * stride + kernel).saturating_sub(size);
    (total / 2, total - total / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_padding_is_tensorflows() {
        assert_eq!(same_padding(112, 5, 1), (2, 2));
        assert_eq!(same_padding(112, 5, 2), (1, 2));
        assert_eq!(same_padding(7, 3, 2), (1, 1));
        assert_eq!(same_padding(8, 1, 2), (0, 0));
    }
}
