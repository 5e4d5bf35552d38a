//! Caffe's layer types as operations of the graph.

use super::proto::{BlobProto, LayerParameter};
use super::{Import, own_name};
use crate::error::{Error, Result};
use crate::network::graph::NodeId;
use crate::network::op::{FlattenOrder, Op};
use crate::size;
use crate::warning::Warning;
use ndarray::{ArrayD, IxDyn};

impl Import {
    /// Adds a layer's node, called `name`.
    pub(super) fn layer(&mut self, layer: &LayerParameter, name: &str) -> Result<()> {
        self.read.clear();
        let mut inputs = Vec::with_capacity(layer.bottom.len());
        for bottom in &layer.bottom {
            let found = self.blobs.get(bottom).copied();
            inputs.push(found.ok_or_else(|| {
                let there: Vec<&String> = self.blobs.keys().collect();
                let hint = "the layer that makes it is not in the file, or comes later: save the whole network again";
                self.net.missing(&format!("input of layer `{}`", own_name(layer)), bottom, &there, "no blob", hint)
            })?);
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
        self.all_read(layer)?;
        for top in &layer.top {
            self.blobs.insert(top.clone(), id);
        }
        let own = layer.name.as_deref().unwrap_or(name);
        let alias = own != name && !layer.top.iter().any(|t| t == own) && !self.shared.contains(own);
        if alias && kind(layer) != "Split" {
            self.net.alias(own, name);
        }
        Ok(())
    }

    /// Refuses a layer with more weights than were read.
    fn all_read(&self, layer: &LayerParameter) -> Result<()> {
        let (n, read) = (layer.blobs.len(), self.read.len());
        if n == read {
            return Ok(());
        }
        let left: Vec<String> = (0..n).filter(|i| !self.read.contains(i)).map(|i| (i + 1).to_string()).collect();
        Err(Error::invalid(
            format!("{}: layer `{}` ({})", self.net.file().display(), own_name(layer), kind(layer)),
            format!("{read} arrays of weights, which such a layer has"),
            format!("{n}; nothing reads number {}", left.join(", ")),
            "a variant of Caffe wrote the layer: convert the network to ONNX with the tools of that variant",
        ))
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

    /// Running sums, the factor that they are divided by and, where NVIDIA's Caffe wrote the layer,
    /// scale and shift.
    ///
    /// A factor of 0 stands for "no statistics yet": mean and variance are 0 then. NVIDIA's Caffe
    /// writes 0 beside the mean and the variance themselves, which are taken as they are, and said.
    fn batch_norm(&mut self, layer: &LayerParameter) -> Result<Op> {
        let stored = |i: usize| layer.blobs.get(i).map(values).unwrap_or_default();
        let statistics = [stored(0), stored(1)];
        let factor = if layer.blobs.len() > 2 { stored(2).first().copied().unwrap_or(1.0) } else { 1.0 };
        let inverse = match factor {
            0.0 if statistics.iter().flatten().any(|v| *v != 0.0) => {
                let what =
                    format!("the batch norm `{}` has a factor of 0 beside statistics that are not 0", own_name(layer));
                let taken =
                    "they were taken as mean and variance, as NVIDIA's Caffe writes them (BVLC's takes 0 for both)";
                let model = self.net.file().display().to_string();
                self.warnings.push(Warning::OddWeights { model, what, taken: taken.into() });
                1.0
            }
            0.0 => 0.0,
            factor => 1.0 / factor,
        };
        if !inverse.is_finite() {
            return Err(self.damaged(layer, "a finite factor of its statistics".into(), &factor.to_string()));
        }
        self.read.insert(2);
        let mut normal = |i: usize, what: &str| -> Result<String> {
            let found = layer.blobs.get(i).map(values).ok_or_else(|| self.unweighted(layer, what))?;
            self.read.insert(i);
            let scaled = found.into_iter().map(|v| v * inverse).collect();
            self.net.vector(format!("{}.{what}", own_name(layer)), scaled)
        };
        let (mean, var) = (normal(0, "mean")?, normal(1, "var")?);
        let (mut scale, mut shift) = (None, None);
        if layer.blobs.len() == 5 {
            scale = Some(self.blob(layer, 3, "scale", 1)?);
            shift = Some(self.blob(layer, 4, "shift", 1)?);
        }
        self.read.retain(|i| *i < layer.blobs.len());
        let epsilon = layer.batch_norm.as_ref().and_then(|b| b.eps).unwrap_or(1e-5);
        Ok(Op::BatchNorm { scale, shift, mean, var, epsilon })
    }

    fn scale(&mut self, layer: &LayerParameter, x: NodeId) -> Result<Op> {
        let n = self.net.shape(x).channels;
        let name = own_name(layer);
        if kind(layer) == "Power" {
            let p = layer.power.clone().unwrap_or_default();
            if p.power.unwrap_or(1.0) != 1.0 {
                return Err(self.refuse(layer, "with an exponent"));
            }
            let scale = self.net.vector(format!("{name}.scale"), vec![p.scale.unwrap_or(1.0); n])?;
            let shift = self.net.vector(format!("{name}.shift"), vec![p.shift.unwrap_or(0.0); n])?;
            return Ok(Op::ChannelAffine { scale, shift });
        }
        if layer.scale.as_ref().and_then(|s| s.axis).unwrap_or(1) != 1 || layer.blobs.is_empty() {
            return Err(self.refuse(layer, "other than by channel"));
        }
        let scale = self.blob(layer, 0, "scale", 1)?;
        let shift = if layer.blobs.len() > 1 {
            self.blob(layer, 1, "shift", 1)?
        } else {
            self.net.vector(format!("{name}.shift"), vec![0.0; n])?
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

    /// Stores blob `i` as `<layer>.<what>` with `rank` axes; old files have four axes, the first
    /// ones 1.
    fn blob(&mut self, layer: &LayerParameter, i: usize, what: &str, rank: usize) -> Result<String> {
        let blob = layer.blobs.get(i).ok_or_else(|| self.unweighted(layer, what))?;
        self.read.insert(i);
        let old = [blob.num, blob.channels, blob.height, blob.width].map(|d| i64::from(d.unwrap_or(1)));
        let dims = blob.shape.as_ref().map_or_else(|| old.to_vec(), |s| s.dim.clone());
        let spare = dims.len().saturating_sub(rank);
        let fits = dims.len() >= rank
            && dims[..spare].iter().all(|&d| d == 1)
            && dims.iter().all(|d| (1..1 << 32).contains(d));
        let shape: Vec<usize> = dims.iter().skip(spare).map(|&d| d as usize).collect();
        let data = values(blob);
        if !fits || size::product(shape.iter().copied()) != Some(data.len()) {
            let found = format!("{} numbers for {:?}", data.len(), &dims[..dims.len().min(8)]);
            return Err(self.damaged(layer, format!("its {what} with {rank} axes"), &found));
        }
        let array = ArrayD::from_shape_vec(IxDyn(&shape), data).expect("as many numbers as the sides say");
        self.net.weight(format!("{}.{what}", own_name(layer)), array)
    }

    /// A layer that lacks an array of weights.
    fn unweighted(&self, layer: &LayerParameter, what: &str) -> Error {
        Error::invalid(
            format!("{}: layer `{}` ({})", self.net.file().display(), own_name(layer), kind(layer)),
            format!("its {what}"),
            format!("{} arrays of weights", layer.blobs.len()),
            "the network was saved without them, or the layer shares those of another: save it with the weights of every layer",
        )
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

fn values(blob: &BlobProto) -> Vec<f32> {
    fn each<const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        bytes.as_chunks::<N>().0.iter().map(|&b| read(b)).collect()
    }
    match (&blob.raw_data, blob.raw_data_type) {
        _ if !blob.data.is_empty() => blob.data.clone(),
        (Some(raw), Some(0)) => each(raw, |b| f64::from_le_bytes(b) as f32),
        (Some(raw), Some(1)) => each(raw, f32::from_le_bytes),
        (Some(raw), Some(2)) => each(raw, |b| half::f16::from_le_bytes(b).to_f32()),
        _ => blob.double_data.iter().map(|&v| v as f32).collect(),
    }
}

/// Rows and columns from a list of one or two, or from separate fields.
fn pair(list: &[u32], rows: Option<u32>, columns: Option<u32>, default: u32) -> [usize; 2] {
    let first = list.first().copied().unwrap_or(default);
    let second = list.get(1).copied().unwrap_or(first);
    [rows.unwrap_or(first) as usize, columns.unwrap_or(second) as usize]
}
