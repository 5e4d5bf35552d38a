//! Keras's layer classes as operations of the graph.

use super::{Import, Layer};
use crate::error::{Error, Result};
use crate::network::graph::NodeId;
use crate::network::op::{FlattenOrder, Op, Padding, same_padding};
use ndarray::{ArrayD, IxDyn};
use serde_json::Value;

impl Import {
    /// Adds a layer and gives its output's node.
    pub(super) fn add(&mut self, layer: &Layer<'_>, before: NodeId, sequential: bool) -> Result<NodeId> {
        let inputs = match layer.inputs() {
            _ if layer.class == "InputLayer" => vec![0],
            _ if sequential => vec![before],
            None => return Err(self.refuse(layer, "used more than once")),
            Some(names) => {
                let find = |n: &&str| self.nodes.get(*n).copied();
                let ids: Option<Vec<NodeId>> = names.iter().map(find).collect();
                ids.ok_or_else(|| {
                    let absent = names.iter().find(|n| !self.nodes.contains_key(**n)).copied().unwrap_or_default();
                    let there: Vec<&String> = self.nodes.keys().collect();
                    let hint =
                        "a layer reads one that comes after it or is inside another model: export the model to ONNX";
                    self.net.missing(
                        &format!("inputs of layer `{}`", layer.name),
                        absent,
                        &there,
                        "no layer before it",
                        hint,
                    )
                })?
            }
        };
        if layer.config["data_format"].as_str() == Some("channels_first") {
            return Err(self.refuse(layer, "with channels first"));
        }
        let id = self.layer(layer, &inputs)?;
        self.nodes.insert(layer.name.to_owned(), id);
        Ok(id)
    }

    fn layer(&mut self, layer: &Layer<'_>, inputs: &[NodeId]) -> Result<NodeId> {
        match (layer.class, inputs) {
            ("InputLayer", _) => Ok(0),
            ("Add" | "Concatenate", [_, ..]) => {
                let axis = layer.config["axis"].as_i64().unwrap_or(-1);
                if layer.class == "Concatenate" && axis != -1 && axis != 3 {
                    return Err(self.refuse(layer, &format!("along axis {axis}")));
                }
                let op = if layer.class == "Add" { Op::Add } else { Op::Concat };
                self.net.push(layer.name, op, inputs)
            }
            (class, &[x]) => match class {
                "Conv2D" | "DepthwiseConv2D" | "SeparableConv2D" | "Dense" => self.weighted(layer, x),
                _ => {
                    let op = self.plain(layer, x)?;
                    self.net.push(layer.name, op, &[x])
                }
            },
            _ => Err(self.refuse(layer, &format!("of {} inputs", inputs.len()))),
        }
    }

    fn plain(&mut self, layer: &Layer<'_>, x: NodeId) -> Result<Op> {
        let c = layer.config;
        Ok(match layer.class {
            "Activation" => self.activation(layer, layer.activation())?.unwrap_or(Op::Identity),
            "ReLU" => {
                if !c["max_value"].is_null() || self.number(layer, "threshold", 0.0)? != 0.0 {
                    return Err(self.refuse(layer, "with a maximum or threshold"));
                }
                match self.number(layer, "negative_slope", 0.0)? {
                    0.0 => Op::Relu,
                    slope => Op::LeakyRelu { slope },
                }
            }
            "LeakyReLU" => {
                let old = self.number(layer, "alpha", 0.3)?;
                Op::LeakyRelu { slope: self.number(layer, "negative_slope", old)? }
            }
            "Softmax" if matches!(c["axis"].as_i64(), None | Some(-1 | 3)) => Op::Softmax,
            "BatchNormalization" => self.batch_norm(layer, x)?,
            "Rescaling" => self.rescaling(layer, x)?,
            "Normalization" => self.normalization(layer, x)?,
            "MaxPooling2D" | "AveragePooling2D" => self.pooling(layer, x)?,
            "GlobalAveragePooling2D" => Op::GlobalAvgPool,
            "GlobalMaxPooling2D" => {
                let shape = self.net.shape(x);
                Op::MaxPool { kernel: [shape.height, shape.width], stride: [1, 1], padding: [0; 4], ceil: false }
            }
            "ZeroPadding2D" => {
                let side = |i: usize, j: usize| c["padding"][i][j].as_u64().map(|v| v as usize);
                match (side(0, 0), side(1, 0), side(0, 1), side(1, 1)) {
                    (Some(t), Some(l), Some(b), Some(r)) => Op::Pad { padding: [t, l, b, r] },
                    _ => return Err(self.refuse(layer, &format!("with padding {}", c["padding"]))),
                }
            }
            "Flatten" => Op::Flatten { order: FlattenOrder::Hwc },
            "Dropout" | "SpatialDropout2D" | "GaussianNoise" | "GaussianDropout" => Op::Identity,
            _ => return Err(self.refuse(layer, "")),
        })
    }

    /// A layer with a kernel, and its activation.
    fn weighted(&mut self, layer: &Layer<'_>, x: NodeId) -> Result<NodeId> {
        let activation = self.activation(layer, layer.activation())?;
        let name = match &activation {
            Some(_) => format!("{}.pre_{}", layer.name, layer.activation()),
            None => layer.name.to_owned(),
        };
        let y = if layer.class == "Dense" { self.dense(layer, &name, x)? } else { self.convolution(layer, &name, x)? };
        match activation {
            Some(op) => self.net.push(layer.name, op, &[y]),
            None => Ok(y),
        }
    }

    fn activation(&self, layer: &Layer<'_>, name: &str) -> Result<Option<Op>> {
        Ok(match name {
            "linear" => None,
            "relu" => Some(Op::Relu),
            "sigmoid" => Some(Op::Sigmoid),
            "tanh" => Some(Op::Tanh),
            "softmax" => Some(Op::Softmax),
            other => return Err(self.refuse(layer, &format!("with activation {other}"))),
        })
    }

    fn convolution(&mut self, layer: &Layer<'_>, name: &str, x: NodeId) -> Result<NodeId> {
        let separable = layer.class == "SeparableConv2D";
        let mut names = if separable { vec![DEPTHWISE, POINTWISE] } else { vec![kernel_names(layer)] };
        let with_bias = layer.config["use_bias"].as_bool().unwrap_or(true);
        names.extend(with_bias.then_some(BIAS));
        let mut arrays = self.store.weights(layer.name, &names)?.into_iter();
        let mut next = || arrays.next().expect("one array per name");
        let first = next();
        let [rows, columns, _, _] = first.shape()[..] else {
            return Err(self
                .net
                .corrupt(format!("a kernel with four axes in `{}`", layer.name), format!("{:?}", first.shape())));
        };
        let stride = self.pair(layer, "strides", [1, 1])?;
        let dilation = self.pair(layer, "dilation_rate", [1, 1])?;
        let extent = [dilation[0] * (rows.max(1) - 1) + 1, dilation[1] * (columns.max(1) - 1) + 1];
        let padding = self.padding(layer, x, extent, stride)?;
        let channels = self.net.shape(x).channels;
        let depthwise = layer.class != "Conv2D";
        let groups = if depthwise { channels } else { layer.config["groups"].as_u64().unwrap_or(1) as usize };
        let deep = if separable { format!("{}.depthwise", layer.name) } else { name.to_owned() };
        let first = if depthwise { by_channel(first) } else { outputs_first(first) };
        let weight = self.net.weight(format!("{deep}.weight"), first)?;
        let point = separable.then(&mut next);
        let bias = with_bias.then(next).map(|b| self.net.weight(format!("{}.bias", layer.name), b)).transpose()?;
        let Some(point) = point else {
            return self.net.push(&deep, Op::Conv2d { weight, bias, stride, padding, dilation, groups }, &[x]);
        };
        let y = self.net.push(&deep, Op::Conv2d { weight, bias: None, stride, padding, dilation, groups }, &[x])?;
        if point.ndim() != 4 {
            return Err(self
                .net
                .corrupt(format!("a kernel with four axes in `{}`", layer.name), format!("{:?}", point.shape())));
        }
        let weight = self.net.weight(format!("{}.weight", layer.name), outputs_first(point))?;
        let op = Op::Conv2d { weight, bias, stride: [1, 1], padding: [0; 4], dilation: [1, 1], groups: 1 };
        self.net.push(name, op, &[y])
    }

    fn dense(&mut self, layer: &Layer<'_>, name: &str, x: NodeId) -> Result<NodeId> {
        let with_bias = layer.config["use_bias"].as_bool().unwrap_or(true);
        let mut arrays = self.store.weights(layer.name, if with_bias { &[KERNEL, BIAS] } else { &[KERNEL] })?;
        let bias = if with_bias { arrays.pop() } else { None };
        let kernel = arrays.pop().expect("one array per name").reversed_axes().as_standard_layout().into_owned();
        let weight = self.net.weight(format!("{}.weight", layer.name), kernel)?;
        let bias = bias.map(|b| self.net.weight(format!("{}.bias", layer.name), b)).transpose()?;
        self.net.push(name, Op::Linear { weight, bias }, &[x])
    }

    fn batch_norm(&mut self, layer: &Layer<'_>, x: NodeId) -> Result<Op> {
        let axis = layer.config["axis"].as_i64().or(layer.config["axis"][0].as_i64()).unwrap_or(-1);
        if axis != -1 && axis != 3 && !(axis == 1 && self.net.shape(x).is_flat()) {
            return Err(self.refuse(layer, &format!("along axis {axis}")));
        }
        let on = |key: &str| layer.config[key].as_bool().unwrap_or(true);
        let mut names = vec![];
        names.extend(on("scale").then_some("gamma"));
        names.extend(on("center").then_some("beta"));
        names.extend(["moving_mean", "moving_variance"]);
        let lists: Vec<&[&str]> = names.iter().map(std::slice::from_ref).collect();
        let arrays = self.store.weights(layer.name, &lists)?;
        let mut stored = std::collections::HashMap::new();
        for (what, array) in names.into_iter().zip(arrays) {
            stored.insert(what, self.net.weight(format!("{}.{what}", layer.name), array)?);
        }
        let mut take = |what: &str| stored.remove(what);
        Ok(Op::BatchNorm {
            scale: take("gamma"),
            shift: take("beta"),
            mean: take("moving_mean").expect("listed above"),
            var: take("moving_variance").expect("listed above"),
            epsilon: self.number(layer, "epsilon", 1e-3)?,
        })
    }

    /// `y = (x - mean) / max(sqrt(variance), 1e-7)` per channel, or its inverse; the statistics are
    /// given in the configuration or were adapted to data.
    fn normalization(&mut self, layer: &Layer<'_>, x: NodeId) -> Result<Op> {
        let n = self.net.shape(x).channels;
        let axis = &layer.config["axis"];
        let axes = axis.as_array().map_or_else(|| vec![axis], |list| list.iter().collect());
        if !axis.is_null() && !axes.iter().all(|a| matches!(a.as_i64(), Some(-1 | 3))) {
            return Err(self.refuse(layer, &format!("along axis {axis}")));
        }
        let (mean, variance) = match (&layer.config["mean"], &layer.config["variance"]) {
            (Value::Null, Value::Null) => {
                let mut arrays = self.store.weights(layer.name, &[&["mean"], &["variance"], &["count"]])?;
                let (_, variance, mean) = (arrays.pop(), arrays.pop(), arrays.pop());
                let values = |a: Option<ArrayD<f32>>| a.map_or_else(Vec::new, |a| a.iter().copied().collect());
                (values(mean), values(variance))
            }
            (mean, variance) => (self.list(layer, mean)?, self.list(layer, variance)?),
        };
        let per_channel = |values: Vec<f32>| match values.len() {
            1 => Ok(vec![values[0]; n]),
            len if len == n => Ok(values),
            len => Err(self.refuse(layer, &format!("of {len} values for {n} channels"))),
        };
        let (mean, variance) = (per_channel(mean)?, per_channel(variance)?);
        if let Some(odd) = variance.iter().find(|v| !(**v >= 0.0)) {
            return Err(self.refuse(layer, &format!("by a variance of {odd}")));
        }
        let std: Vec<f32> = variance.iter().map(|v| v.sqrt().max(1e-7)).collect();
        let inverse = layer.config["invert"].as_bool().unwrap_or(false);
        let scale = if inverse { std.clone() } else { std.iter().map(|s| 1.0 / s).collect() };
        let shift = if inverse { mean } else { mean.iter().zip(&std).map(|(m, s)| -m / s).collect() };
        let scale = self.net.vector(format!("{}.scale", layer.name), scale)?;
        let shift = self.net.vector(format!("{}.shift", layer.name), shift)?;
        Ok(Op::ChannelAffine { scale, shift })
    }

    fn rescaling(&mut self, layer: &Layer<'_>, x: NodeId) -> Result<Op> {
        let n = self.net.shape(x).channels;
        let values = |key: &str, default: f32| -> Result<Vec<f32>> {
            let given = &layer.config[key];
            let list = if given.is_null() { vec![default] } else { self.list(layer, given)? };
            Ok(if list.len() == 1 { vec![list[0]; n] } else { list })
        };
        let (scale, shift) = (values("scale", 1.0)?, values("offset", 0.0)?);
        let scale = self.net.vector(format!("{}.scale", layer.name), scale)?;
        let shift = self.net.vector(format!("{}.shift", layer.name), shift)?;
        Ok(Op::ChannelAffine { scale, shift })
    }

    fn pooling(&mut self, layer: &Layer<'_>, x: NodeId) -> Result<Op> {
        let kernel = self.pair(layer, "pool_size", [2, 2])?;
        let stride = self.pair(layer, "strides", kernel)?;
        let padding = self.padding(layer, x, kernel, stride)?;
        Ok(match layer.class {
            "MaxPooling2D" => Op::MaxPool { kernel, stride, padding, ceil: false },
            // TensorFlow's padding never counts.
            _ => Op::AvgPool { kernel, stride, padding, ceil: false, count_include_pad: false },
        })
    }

    fn padding(&self, layer: &Layer<'_>, x: NodeId, extent: [usize; 2], stride: [usize; 2]) -> Result<Padding> {
        match layer.config["padding"].as_str().unwrap_or("valid") {
            "valid" => Ok([0; 4]),
            "same" => {
                let shape = self.net.shape(x);
                let ((t, b), (l, r)) =
                    (same_padding(shape.height, extent[0], stride[0]), same_padding(shape.width, extent[1], stride[1]));
                Ok([t, l, b, r])
            }
            other => Err(self.refuse(layer, &format!("with padding {other}"))),
        }
    }

    /// Rows and columns of at least 1, given as a pair, one number, or not at all.
    fn pair(&self, layer: &Layer<'_>, key: &str, default: [usize; 2]) -> Result<[usize; 2]> {
        let value = &layer.config[key];
        let size = |v: &Value| v.as_u64().map(|v| v as usize).filter(|v| (1..1 << 16).contains(v));
        if value.is_null() {
            return Ok(default);
        }
        let rows = size(value).or_else(|| size(&value[0]));
        let columns = size(value).or_else(|| size(&value[1]));
        rows.zip(columns).map(|(r, c)| [r, c]).ok_or_else(|| self.refuse(layer, &format!("with {key} {value}")))
    }

    /// A number of the configuration, or `default` where the key is absent.
    fn number(&self, layer: &Layer<'_>, key: &str, default: f32) -> Result<f32> {
        match &layer.config[key] {
            Value::Null => Ok(default),
            value => match self.list(layer, value)?[..] {
                [one] => Ok(one),
                _ => Err(self.refuse(layer, &format!("with {key} {value}"))),
            },
        }
    }

    /// The numbers of a value of the configuration: one, a list, or lists in lists.
    fn list(&self, layer: &Layer<'_>, value: &Value) -> Result<Vec<f32>> {
        let refused = || self.refuse(layer, &format!("with {value} in the place of numbers"));
        match value {
            Value::Array(items) => Ok(items
                .iter()
                .map(|v| self.list(layer, v))
                .collect::<Result<Vec<_>>>()?
                .into_iter()
                .flatten()
                .collect()),
            Value::Number(n) => n.as_f64().map(|v| vec![v as f32]).ok_or_else(refused),
            _ => Err(refused()),
        }
    }

    fn refuse(&self, layer: &Layer<'_>, how: &str) -> Error {
        let op = format!("{} {how}", layer.class).trim().to_owned();
        self.net.unsupported(layer.name, op, "save the model up to an earlier layer, or export it to ONNX")
    }
}

const KERNEL: &[&str] = &["kernel"];
const BIAS: &[&str] = &["bias"];
const DEPTHWISE: &[&str] = &["depthwise_kernel"];
const POINTWISE: &[&str] = &["pointwise_kernel"];

/// A kernel's names in legacy files: Keras 3 calls a depthwise one as any other.
fn kernel_names(layer: &Layer<'_>) -> &'static [&'static str] {
    if layer.class == "DepthwiseConv2D" { &["depthwise_kernel", "kernel"] } else { KERNEL }
}

/// Rows, columns, inputs, outputs to outputs, inputs, rows, columns.
fn outputs_first(kernel: ArrayD<f32>) -> ArrayD<f32> {
    kernel.permuted_axes(IxDyn(&[3, 2, 0, 1])).as_standard_layout().into_owned()
}

/// Rows, columns, channels, multiplier to (channels x multiplier), 1, rows, columns.
fn by_channel(kernel: ArrayD<f32>) -> ArrayD<f32> {
    let [h, w, c, m] = kernel.shape()[..] else { return kernel };
    let permuted = kernel.permuted_axes(IxDyn(&[2, 3, 0, 1])).as_standard_layout().into_owned();
    permuted.into_shape_with_order(IxDyn(&[c * m, 1, h, w])).expect("as many numbers as before")
}
