//! ONNX operators without windows: activations, arithmetic with constants, sums, concatenation.

use super::constant::{self, Beside, Constant};
use super::{Call, Import, Laid, Value};
use crate::error::Result;
use crate::network::op::Op;
use ndarray::{ArrayD, IxDyn};

impl Import {
    pub(super) fn plain(&mut self, call: &Call<'_>) -> Result<Value> {
        match call.kind.as_str() {
            "Relu" => self.each(call, Op::Relu),
            "LeakyRelu" => self.each(call, Op::LeakyRelu { slope: call.float("alpha", 0.01) }),
            "Sigmoid" => self.each(call, Op::Sigmoid),
            "Tanh" => self.each(call, Op::Tanh),
            "Clip" => self.clip(call),
            "Softmax" => self.softmax(call),
            "Dropout" | "Identity" | "Cast" => self.identity(call),
            "Constant" => self.literal(call),
            "Concat" => self.concat(call),
            "Add" | "Sub" | "Mul" | "Div" | "Sum" => self.arithmetic(call),
            kind => Err(self.net.unsupported(
                &call.name,
                kind,
                "export the network up to an earlier layer, or rewrite that layer",
            )),
        }
    }

    fn each(&mut self, call: &Call<'_>, op: Op) -> Result<Value> {
        let (x, laid) = self.any_tensor(call, 0)?;
        self.push_as(call, op, &[x], laid)
    }

    fn identity(&mut self, call: &Call<'_>) -> Result<Value> {
        if call.kind == "Cast" && !matches!(call.int("to", 0), 1 | 10 | 11 | 16) {
            return Err(self.refuse(call, "to whole numbers"));
        }
        match self.value(call, 0)? {
            Some(Value::Constant(c)) => match &*c {
                Constant::Ints { values } if call.kind == "Cast" => {
                    let floats: Vec<f32> = values.iter().map(|&v| v as f32).collect();
                    if values.len() != 1 {
                        return Err(self.refuse(call, "of a list of whole numbers"));
                    }
                    Ok(Value::Constant(Constant::Floats(ArrayD::from_elem(IxDyn(&[]), floats[0])).into()))
                }
                _ => Ok(Value::Constant(c)),
            },
            _ => self.each(call, Op::Identity),
        }
    }

    /// Only `max(x, 0)`.
    fn clip(&mut self, call: &Call<'_>) -> Result<Value> {
        let bound = |i: usize, name: &str, default: f32| -> Result<f32> {
            Ok(match self.constant(call, i)?.as_deref() {
                Some(Constant::Floats(v)) => v.iter().copied().next().unwrap_or(default),
                _ => call.float(name, default),
            })
        };
        let (low, high) = (bound(1, "min", f32::MIN)?, bound(2, "max", f32::MAX)?);
        if low == 0.0 && high >= f32::MAX {
            return self.each(call, Op::Relu);
        }
        Err(self.refuse(call, &format!("to {low}..{high}")))
    }

    fn softmax(&mut self, call: &Call<'_>) -> Result<Value> {
        let (x, laid) = self.any_tensor(call, 0)?;
        let axis = call.int("axis", if self.opset < 13 { 1 } else { -1 });
        let axis = if axis < 0 { axis + laid.rank as i64 } else { axis };
        // Before operator set 13 all axes from `axis` on were one.
        let many = self.opset < 13 && !self.net.shape(x).is_flat() && !laid.last;
        if axis != laid.axis() as i64 || many {
            return Err(self.refuse(call, &format!("over axis {axis}")));
        }
        self.push_as(call, Op::Softmax, &[x], laid)
    }

    fn literal(&mut self, call: &Call<'_>) -> Result<Value> {
        let constant = if let Some(tensor) = call.attribute("value").and_then(|a| a.t.as_ref()) {
            constant::read(tensor, &mut Beside::new(self.net.file()))?
        } else if let Some(a) = call.attribute("value_float") {
            Constant::Floats(ArrayD::from_elem(IxDyn(&[]), a.f.unwrap_or(0.0)))
        } else if let Some(a) = call.attribute("value_floats") {
            Constant::Floats(ArrayD::from_shape_vec(IxDyn(&[a.floats.len()]), a.floats.clone()).expect("one axis"))
        } else if let Some(a) = call.attribute("value_int") {
            Constant::Ints { values: vec![a.i.unwrap_or(0)] }
        } else if let Some(a) = call.attribute("value_ints") {
            Constant::Ints { values: a.ints.clone() }
        } else {
            return Err(self.refuse(call, "of text or a sparse tensor"));
        };
        Ok(Value::Constant(constant.into()))
    }

    fn concat(&mut self, call: &Call<'_>) -> Result<Value> {
        let (ids, laid) = self.alike(call)?;
        let axis = call.int("axis", 1);
        let axis = if axis < 0 { axis + laid.rank as i64 } else { axis };
        if axis != laid.axis() as i64 {
            return Err(self.refuse(call, &format!("along axis {axis}")));
        }
        self.push_as(call, Op::Concat, &ids, laid)
    }

    /// All inputs, which the network computes and which lie alike.
    fn alike(&self, call: &Call<'_>) -> Result<(Vec<usize>, Laid)> {
        let inputs = (0..call.proto.input.len()).map(|i| self.any_tensor(call, i)).collect::<Result<Vec<_>>>()?;
        let Some(&(_, laid)) = inputs.first() else {
            return Err(self.refuse(call, "of nothing"));
        };
        if inputs.iter().any(|i| i.1 != laid) {
            return Err(self.refuse(call, "of tensors with different axes"));
        }
        Ok((inputs.into_iter().map(|i| i.0).collect(), laid))
    }

    fn arithmetic(&mut self, call: &Call<'_>) -> Result<Value> {
        let n = call.proto.input.len();
        let values = (0..n).map(|i| self.value(call, i)).collect::<Result<Option<Vec<_>>>>()?.unwrap_or_default();
        match (call.kind.as_str(), &values[..]) {
            ("Add" | "Sum", many) if many.len() == n && many.iter().all(|v| matches!(v, Value::Node { .. })) => {
                let (ids, laid) = self.alike(call)?;
                self.push_as(call, Op::Add, &ids, laid)
            }
            (kind, [Value::Node { id, rank, last }, Value::Constant(c)]) => {
                let (channels, laid) = (self.net.shape(*id).channels, Laid { rank: *rank, last: *last });
                let v = self.channels_of(call, c, channels, laid)?;
                let ones = vec![1.0; channels];
                let (scale, shift) = match kind {
                    "Add" | "Sum" => (ones, v),
                    "Sub" => (ones, v.iter().map(|v| -v).collect()),
                    "Mul" => (v, vec![0.0; channels]),
                    _ => (v.iter().map(|v| 1.0 / v).collect(), vec![0.0; channels]),
                };
                self.affine(call, *id, laid, scale, shift)
            }
            (kind @ ("Add" | "Sub" | "Mul" | "Sum"), [Value::Constant(c), Value::Node { id, rank, last }]) => {
                let (channels, laid) = (self.net.shape(*id).channels, Laid { rank: *rank, last: *last });
                let v = self.channels_of(call, c, channels, laid)?;
                let (scale, shift) = match kind {
                    "Mul" => (v, vec![0.0; channels]),
                    "Sub" => (vec![-1.0; channels], v),
                    _ => (vec![1.0; channels], v),
                };
                self.affine(call, *id, laid, scale, shift)
            }
            _ => Err(self.refuse(call, "of these inputs")),
        }
    }

    fn affine(&mut self, call: &Call<'_>, x: usize, laid: Laid, scale: Vec<f32>, shift: Vec<f32>) -> Result<Value> {
        let scale = self.net.vector(format!("{}.scale", call.output), scale)?;
        let shift = self.net.vector(format!("{}.shift", call.output), shift)?;
        self.push_as(call, Op::ChannelAffine { scale, shift }, &[x], laid)
    }

    /// A constant as one value per channel of a tensor, by numpy's broadcasting.
    pub(super) fn channels_of(&self, call: &Call<'_>, c: &Constant, channels: usize, laid: Laid) -> Result<Vec<f32>> {
        let rank = laid.rank;
        let Constant::Floats(array) = c else {
            return Err(self.refuse(call, "with whole numbers"));
        };
        let mut full = vec![1; rank.saturating_sub(array.ndim())];
        full.extend(array.shape());
        let per_channel = full.len() == rank
            && full.iter().enumerate().all(|(axis, &d)| d == 1 || (axis == laid.axis() && d == channels));
        match (array.len(), per_channel) {
            (1, true) => Ok(vec![array.iter().copied().next().expect("one value"); channels]),
            (_, true) => Ok(array.iter().copied().collect()),
            _ => Err(self.refuse(call, &format!("with a constant of shape {:?}", array.shape()))),
        }
    }
}
