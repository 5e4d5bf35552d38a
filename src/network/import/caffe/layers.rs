//! Caffe's layer types as operations of the graph.

use super::Import;
use super::proto::{BlobProto, LayerParameter};
use crate::error::{Error, Result};
use crate::network::graph::NodeId;
use crate::network::op::{FlattenOrder, Op};
use ndarray::{ArrayD, IxDyn};

impl Import {
    /// Adds a layer's node, called `name`.
    pub(super) fn layer(&mut self, layer: &LayerParameter, name: &str) -> Result<()> {
        let mut inputs = Vec::with_capacity(layer.bottom.len());
        for bottom in &layer.bottom {
            let found = self.blobs.get(bottom).copied();
            inputs.push(found.ok_or_else(|| self.damaged(layer, format!("a blob `{bottom}` before it"), "none"))?);
        }
        let Some(&x) = inputs.first() else {
            return Err(self.refuse(layer, "without input"));
        };
        let id = match kind(layer) {
            "Split" => x,
            "InnerProduct" => self.inner_product(layer, name, x)?,
            "Concat" | "Eltwise" => {
                let op = self.merge(layer)?;
                self.net.push(name, op, &inputs)?
            }
            _ if inputs.len() > 1 => return Err(self.refuse(layer, "of several inputs")),
            _ => {
                let op = self.single(layer, x)?;
                self.net.push(name, op, &[x])?
            }
        };
        for top in &layer.top {
            self.blobs.insert(top.clone(), id);
        }
        let own = layer.name.as_deref().unwrap_or(name);
        if own != name && !layer.top.iter().any(|t| t == own) && kind(layer) != "Split" {
            self.net.alias(own, name);
        }
        Ok(())
    }

    fn single(&mut self, layer: &LayerParameter, x: NodeId) -> Result<Op> {
        Ok(match kind(layer) {
            "Convolution" => self.convolution(layer)?,
            "Pooling" => self.pooling(layer)?,
            "LRN" => self.lrn(layer)?,
            "BatchNorm" => self.batch_norm(layer)?,
            "Scale" | "Power" => self.scale(layer, x)?,
            "ReLU" => match layer.relu.as_ref().and_then(|r| r.negative_slope).unwrap_or(0.0) {
                0.0 => Op::Relu,
                slope => Op::LeakyRelu { slope },
            },
            "Sigmoid" => Op::Sigmoid,
            "TanH" => Op::Tanh,
            "Softmax" if layer.softmax.as_ref().and_then(|s| s.axis).unwrap_or(1) == 1 => Op::Softmax,
            "Flatten" => Op::Flatten { order: FlattenOrder::Chw },
            "Dropout" => Op::Identity,
            _ => return Err(self.refuse(layer, "")),
        })
    }

    fn merge(&self, layer: &LayerParameter) -> Result<Op> {
        if let Some(concat) = &layer.concat {
            let axis = concat.axis.or(concat.concat_dim.map(|d| d as i32)).unwrap_or(1);
            if axis != 1 {
                return Err(self.refuse(layer, &format!("along axis {axis}")));
            }
        }
        if let Some(e) = &layer.eltwise
            && (e.operation.unwrap_or(1) != 1 || e.coeff.iter().any(|&c| c != 1.0))
        {
            return Err(self.refuse(layer, "other than a plain sum"));
        }
        Ok(if kind(layer) == "Concat" { Op::Concat } else { Op::Add })
    }

    fn convolution(&mut self, layer: &LayerParameter) -> Result<Op> {
        let p = layer.convolution.clone().unwrap_or_default();
        let stride = pair(&p.stride, p.stride_h, p.stride_w, 1);
        let [pad_h, pad_w] = pair(&p.pad, p.pad_h, p.pad_w, 0);
        let dilation = pair(&p.dilation, None, None, 1);
        let weight = self.blob(layer, 0, "weight", 4)?;
        let bias = if p.bias_term.unwrap_or(true) { Some(self.blob(layer, 1, "bias", 1)?) } else { None };
        let groups = p.group.unwrap_or(1) as usize;
        Ok(Op::Conv2d { weight, bias, stride, padding: [pad_h, pad_w, pad_h, pad_w], dilation, groups })
    }

    fn pooling(&mut self, layer: &LayerParameter) -> Result<Op> {
        let p = layer.pooling.clone().unwrap_or_default();
        let mean = match p.pool.unwrap_or(0) {
            0 => false,
            1 => true,
            _ => return Err(self.refuse(layer, "of random choice")),
        };
        if p.global_pooling.unwrap_or(false) {
            return if mean { Ok(Op::GlobalAvgPool) } else { Err(self.refuse(layer, "of a global maximum")) };
        }
        let one = |size: Option<u32>| size.map_or_else(Vec::new, |s| vec![s]);
        let kernel = pair(&one(p.kernel_size), p.kernel_h, p.kernel_w, 0);
        let stride = pair(&one(p.stride), p.stride_h, p.stride_w, 1);
        let [pad_h, pad_w] = pair(&one(p.pad), p.pad_h, p.pad_w, 0);
        let padding = [pad_h, pad_w, pad_h, pad_w];
        let ceil = p.round_mode.unwrap_or(0) == 0;
        Ok(match mean {
            true => Op::AvgPool { kernel, stride, padding, ceil, count_include_pad: true },
            false => Op::MaxPool { kernel, stride, padding, ceil },
        })
    }

    fn lrn(&self, layer: &LayerParameter) -> Result<Op> {
        let p = layer.lrn.clone().unwrap_or_default();
        if p.norm_region.unwrap_or(0) != 0 {
            return Err(self.refuse(layer, "within channels"));
        }
        let size = p.local_size.unwrap_or(5) as usize;
        Ok(Op::Lrn { size, alpha: p.alpha.unwrap_or(1.0), beta: p.beta.unwrap_or(0.75), k: p.k.unwrap_or(1.0) })
    }

    /// Running sums and the factor that they are divided by.
    fn batch_norm(&mut self, layer: &LayerParameter) -> Result<Op> {
        let factor = layer.blobs.get(2).map_or(1.0, |b| values(b).first().copied().unwrap_or(1.0));
        let inverse = if factor == 0.0 { 0.0 } else { 1.0 / factor };
        let mut normal = |i: usize, what: &str| -> Result<String> {
            let blob = layer.blobs.get(i).ok_or_else(|| self.damaged(layer, format!("its {what}"), "none"))?;
            let scaled = values(blob).into_iter().map(|v| v * inverse).collect();
            Ok(self.net.vector(format!("{}.{what}", own_name(layer)), scaled))
        };
        let (mean, var) = (normal(0, "mean")?, normal(1, "var")?);
        let epsilon = layer.batch_norm.as_ref().and_then(|b| b.eps).unwrap_or(1e-5);
        Ok(Op::BatchNorm { scale: None, shift: None, mean, var, epsilon })
    }

    fn scale(&mut self, layer: &LayerParameter, x: NodeId) -> Result<Op> {
        let n = self.net.shape(x).channels;
        let name = own_name(layer);
        if kind(layer) == "Power" {
            let p = layer.power.clone().unwrap_or_default();
            if p.power.unwrap_or(1.0) != 1.0 {
                return Err(self.refuse(layer, "with an exponent"));
            }
            let scale = self.net.vector(format!("{name}.scale"), vec![p.scale.unwrap_or(1.0); n]);
            let shift = self.net.vector(format!("{name}.shift"), vec![p.shift.unwrap_or(0.0); n]);
            return Ok(Op::ChannelAffine { scale, shift });
        }
        if layer.scale.as_ref().and_then(|s| s.axis).unwrap_or(1) != 1 || layer.blobs.is_empty() {
            return Err(self.refuse(layer, "other than by channel"));
        }
        let scale = self.blob(layer, 0, "scale", 1)?;
        let shift = if layer.blobs.len() > 1 {
            self.blob(layer, 1, "shift", 1)?
        } else {
            self.net.vector(format!("{name}.shift"), vec![0.0; n])
        };
        Ok(Op::ChannelAffine { scale, shift })
    }

    fn inner_product(&mut self, layer: &LayerParameter, name: &str, x: NodeId) -> Result<NodeId> {
        let p = layer.inner_product.clone().unwrap_or_default();
        if p.axis.unwrap_or(1) != 1 || p.transpose.unwrap_or(false) {
            return Err(self.refuse(layer, "transposed or along another axis"));
        }
        let flat = match self.net.shape(x).is_flat() {
            true => x,
            false => self.net.push(&format!("{name}.flatten"), Op::Flatten { order: FlattenOrder::Chw }, &[x])?,
        };
        let weight = self.blob(layer, 0, "weight", 2)?;
        let bias = if p.bias_term.unwrap_or(true) { Some(self.blob(layer, 1, "bias", 1)?) } else { None };
        self.net.push(name, Op::Linear { weight, bias }, &[flat])
    }

    /// Stores blob `i` as `<layer>.<what>` with `rank` axes; old files have four axes, the first ones 1.
    fn blob(&mut self, layer: &LayerParameter, i: usize, what: &str, rank: usize) -> Result<String> {
        let blob = layer.blobs.get(i).ok_or_else(|| self.damaged(layer, format!("its {what}"), "none"))?;
        let old = [blob.num, blob.channels, blob.height, blob.width].map(|d| i64::from(d.unwrap_or(1)));
        let dims = blob.shape.as_ref().map_or_else(|| old.to_vec(), |s| s.dim.clone());
        let spare = dims.len().saturating_sub(rank);
        let fits = dims.len() >= rank
            && dims[..spare].iter().all(|&d| d == 1)
            && dims.iter().all(|d| (1..1 << 32).contains(d));
        let shape: Vec<usize> = dims.iter().skip(spare).map(|&d| d as usize).collect();
        let data = values(blob);
        let n = data.len();
        match ArrayD::from_shape_vec(IxDyn(&shape), data) {
            Ok(array) if fits => Ok(self.net.weight(format!("{}.{what}", own_name(layer)), array)),
            _ => Err(self.damaged(layer, format!("its {what} with {rank} axes"), &format!("{n} numbers for {dims:?}"))),
        }
    }

    fn damaged(&self, layer: &LayerParameter, expected: String, found: &str) -> Error {
        self.net.corrupt(format!("{expected} for layer `{}`", own_name(layer)), found)
    }

    fn refuse(&self, layer: &LayerParameter, how: &str) -> Error {
        let op = format!("{} {how}", kind(layer)).trim().to_owned();
        self.net.unsupported(own_name(layer), op, "save the network up to an earlier layer, or convert it to ONNX")
    }
}

fn kind(layer: &LayerParameter) -> &str {
    layer.kind.as_deref().unwrap_or_default()
}

fn own_name(layer: &LayerParameter) -> &str {
    layer.name.as_deref().or(layer.top.first().map(String::as_str)).unwrap_or_default()
}

fn values(blob: &BlobProto) -> Vec<f32> {
    if blob.data.is_empty() { blob.double_data.iter().map(|&v| v as f32).collect() } else { blob.data.clone() }
}

/// Rows and columns from a list of one or two, or from separate fields.
fn pair(list: &[u32], rows: Option<u32>, columns: Option<u32>, default: u32) -> [usize; 2] {
    let first = list.first().copied().unwrap_or(default);
    let second = list.get(1).copied().unwrap_or(first);
    [rows.unwrap_or(first) as usize, columns.unwrap_or(second) as usize]
}
