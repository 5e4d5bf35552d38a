//! ONNX operators without windows: activations, arithmetic with constants, sums, concatenation, reshaping.

use super::constant::{self, Constant};
use super::{Call, Import, Value};
use crate::error::Result;
use crate::network::op::{FlattenOrder, Op};
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
            "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" => self.reshape(call),
            kind => Err(self.net.unsupported(
                &call.name,
                kind,
                "export the network up to an earlier layer, or rewrite that layer",
            )),
        }
    }

    fn each(&mut self, call: &Call<'_>, op: Op) -> Result<Value> {
        let (x, rank) = self.tensor(call, 0)?;
        self.push(call, op, &[x], rank)
    }

    fn identity(&mut self, call: &Call<'_>) -> Result<Value> {
        if call.kind == "Cast" && !matches!(call.int("to", 0), 1 | 10 | 11) {
            return Err(self.refuse(call, "to whole numbers"));
        }
        match self.value(call, 0)? {
            Some(Value::Constant(c)) => Ok(Value::Constant(c)),
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
        let (x, rank) = self.tensor(call, 0)?;
        let axis = call.int("axis", if self.opset < 13 { 1 } else { -1 });
        let axis = if axis < 0 { axis + rank as i64 } else { axis };
        // Before operator set 13 all axes from `axis` on were one.
        if axis != 1 || (self.opset < 13 && !self.net.shape(x).is_flat()) {
            return Err(self.refuse(call, &format!("over axis {axis}")));
        }
        self.push(call, Op::Softmax, &[x], rank)
    }

    fn literal(&mut self, call: &Call<'_>) -> Result<Value> {
        let constant = if let Some(tensor) = call.attribute("value").and_then(|a| a.t.as_ref()) {
            constant::read(tensor, self.net.file())?
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
        let inputs = (0..call.proto.input.len()).map(|i| self.tensor(call, i)).collect::<Result<Vec<_>>>()?;
        let rank = inputs.first().map_or(4, |i| i.1);
        let axis = call.int("axis", 1);
        let axis = if axis < 0 { axis + rank as i64 } else { axis };
        if axis != 1 || inputs.iter().any(|i| i.1 != rank) {
            return Err(self.refuse(call, &format!("along axis {axis}")));
        }
        let ids: Vec<_> = inputs.into_iter().map(|i| i.0).collect();
        self.push(call, Op::Concat, &ids, rank)
    }

    fn arithmetic(&mut self, call: &Call<'_>) -> Result<Value> {
        let n = call.proto.input.len();
        let values = (0..n).map(|i| self.value(call, i)).collect::<Result<Option<Vec<_>>>>()?.unwrap_or_default();
        match (call.kind.as_str(), &values[..]) {
            ("Add" | "Sum", many) if many.len() == n && many.iter().all(|v| matches!(v, Value::Node { .. })) => {
                let inputs = (0..n).map(|i| self.tensor(call, i)).collect::<Result<Vec<_>>>()?;
                let ids: Vec<_> = inputs.iter().map(|i| i.0).collect();
                self.push(call, Op::Add, &ids, inputs[0].1)
            }
            (kind, [Value::Node { id, rank }, Value::Constant(c)]) => {
                let channels = self.net.shape(*id).channels;
                let v = self.channels_of(call, c, channels, *rank)?;
                let ones = vec![1.0; channels];
                let (scale, shift) = match kind {
                    "Add" | "Sum" => (ones, v),
                    "Sub" => (ones, v.iter().map(|v| -v).collect()),
                    "Mul" => (v, vec![0.0; channels]),
                    _ => (v.iter().map(|v| 1.0 / v).collect(), vec![0.0; channels]),
                };
                self.affine(call, *id, *rank, scale, shift)
            }
            (kind @ ("Add" | "Sub" | "Mul" | "Sum"), [Value::Constant(c), Value::Node { id, rank }]) => {
                let channels = self.net.shape(*id).channels;
                let v = self.channels_of(call, c, channels, *rank)?;
                let (scale, shift) = match kind {
                    "Mul" => (v, vec![0.0; channels]),
                    "Sub" => (vec![-1.0; channels], v),
                    _ => (vec![1.0; channels], v),
                };
                self.affine(call, *id, *rank, scale, shift)
            }
            _ => Err(self.refuse(call, "of these inputs")),
        }
    }

    fn affine(&mut self, call: &Call<'_>, x: usize, rank: usize, scale: Vec<f32>, shift: Vec<f32>) -> Result<Value> {
        let scale = self.net.vector(format!("{}.scale", call.output), scale);
        let shift = self.net.vector(format!("{}.shift", call.output), shift);
        self.push(call, Op::ChannelAffine { scale, shift }, &[x], rank)
    }

    /// A constant as one value per channel of a tensor of `rank` axes, by numpy's broadcasting.
    pub(super) fn channels_of(&self, call: &Call<'_>, c: &Constant, channels: usize, rank: usize) -> Result<Vec<f32>> {
        let Constant::Floats(array) = c else {
            return Err(self.refuse(call, "with whole numbers"));
        };
        let mut full = vec![1; rank.saturating_sub(array.ndim())];
        full.extend(array.shape());
        let per_channel =
            full.len() == rank && full.iter().enumerate().all(|(axis, &d)| d == 1 || (axis == 1 && d == channels));
        match (array.len(), per_channel) {
            (1, true) => Ok(vec![array.iter().copied().next().expect("one value"); channels]),
            (_, true) => Ok(array.iter().copied().collect()),
            _ => Err(self.refuse(call, &format!("with a constant of shape {:?}", array.shape()))),
        }
    }

    /// To features, or nothing but a change of notation.
    fn reshape(&mut self, call: &Call<'_>) -> Result<Value> {
        if let Some(Value::Constant(c)) = self.value(call, 0)? {
            return if call.kind == "Flatten" {
                Err(self.refuse(call, "of a constant"))
            } else {
                self.reshaped(call, &c)
            };
        }
        let (x, rank) = self.tensor(call, 0)?;
        let shape = self.net.shape(x);
        let new_rank = match call.kind.as_str() {
            "Flatten" if call.int("axis", 1) == 1 || call.int("axis", 1) == 1 - rank as i64 => 2,
            "Reshape" => self.reshape_rank(call, x)?,
            "Squeeze" if shape.is_flat() => {
                let axes = self.ints(call, "axes", 1)?.unwrap_or_else(|| vec![2, 3]);
                let mut axes: Vec<i64> = axes.iter().map(|a| if *a < 0 { a + 4 } else { *a }).collect();
                axes.sort_unstable();
                if axes == [2, 3] && rank == 4 { 2 } else { 0 }
            }
            "Unsqueeze" if rank == 2 => {
                let axes = self.ints(call, "axes", 1)?.unwrap_or_default();
                if matches!(axes[..], [2, 3] | [-2, -1] | [3, 2] | [-1, -2]) { 4 } else { 0 }
            }
            _ => 0,
        };
        match new_rank {
            0 => Err(self.refuse(call, "that does not end in one feature axis")),
            r if shape.is_flat() => self.push(call, Op::Identity, &[x], r),
            r => self.push(call, Op::Flatten { order: FlattenOrder::Chw }, &[x], r),
        }
    }

    /// 2 or 4 when the target shape is batch x features (x 1 x 1), 0 otherwise.
    fn reshape_rank(&self, call: &Call<'_>, x: usize) -> Result<usize> {
        let target = match self.constant(call, 1)?.as_deref() {
            Some(Constant::Ints { values, .. }) => values.clone(),
            _ => return Ok(0),
        };
        let shape = self.net.shape(x);
        let n = shape.len() as i64;
        let now = [-1, shape.channels as i64, shape.height as i64, shape.width as i64];
        // 0 copies an axis; a batch of 1 or -1 stands for any batch, because images never mix.
        let meant: Vec<i64> = target
            .iter()
            .enumerate()
            .map(|(i, &d)| if d == 0 { now.get(i).copied().unwrap_or(0) } else { d })
            .collect();
        let features = |d: i64, batch: i64| d == n || (d == -1 && batch != -1);
        Ok(match meant[..] {
            [b, f] if (b == 1 || b == -1) && (features(f, target[0])) => 2,
            [b, f, 1, 1] if (b == 1 || b == -1) && features(f, target[0]) => 4,
            _ => 0,
        })
    }

    /// A constant in another shape.
    fn reshaped(&mut self, call: &Call<'_>, c: &Constant) -> Result<Value> {
        let Constant::Floats(array) = c else {
            return Err(self.refuse(call, "of whole numbers"));
        };
        let mut dims: Vec<i64> = array.shape().iter().map(|&d| d as i64).collect();
        match call.kind.as_str() {
            "Reshape" => dims = self.ints(call, "shape", 1)?.unwrap_or_default(),
            "Unsqueeze" => {
                let mut axes = self.ints(call, "axes", 1)?.unwrap_or_default();
                let rank = (dims.len() + axes.len()) as i64;
                axes.iter_mut().filter(|a| **a < 0).for_each(|a| *a += rank);
                axes.sort_unstable();
                axes.iter()
                    .filter(|a| (0..rank).contains(*a))
                    .for_each(|&a| dims.insert((a as usize).min(dims.len()), 1));
            }
            _ => dims.retain(|&d| d != 1),
        }
        let known: i64 = dims.iter().filter(|d| **d != -1).product();
        let dims: Vec<usize> =
            dims.iter().map(|&d| if d == -1 { array.len() as i64 / known.max(1) } else { d } as usize).collect();
        match array.clone().into_shape_with_order(IxDyn(&dims)) {
            Ok(a) => Ok(Value::Constant(Constant::Floats(a).into())),
            Err(_) => Err(self.refuse(call, &format!("of a constant to {dims:?}"))),
        }
    }
}
