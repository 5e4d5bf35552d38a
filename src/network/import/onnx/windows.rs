//! ONNX operators that slide or average over pixels, and the padding attributes that they share
//! with convolutions.

use super::constant::Constant;
use super::{Call, Import, Laid, Value};
use crate::error::Result;
use crate::network::graph::NodeId;
use crate::network::op::{Op, Padding, same_padding};

impl Import {
    pub(super) fn window(&mut self, call: &Call<'_>) -> Result<Value> {
        let (any, laid) = self.any_tensor(call, 0)?;
        if laid.rank != 4 {
            return Err(self.refuse(call, "of a flat tensor"));
        }
        match call.kind.as_str() {
            "ReduceMean" => return self.mean(call, any, laid),
            "Pad" => return self.pad(call, any, laid),
            _ => {}
        }
        let (x, _) = self.tensor(call, 0)?;
        match call.kind.as_str() {
            "GlobalAveragePool" => self.push(call, Op::GlobalAvgPool, &[x], 4),
            "GlobalMaxPool" => {
                let shape = self.net.shape(x);
                let kernel = [shape.height, shape.width];
                self.push(call, Op::MaxPool { kernel, stride: [1, 1], padding: [0; 4], ceil: false }, &[x], 4)
            }
            _ => self.pool(call, x),
        }
    }

    fn pool(&mut self, call: &Call<'_>, x: NodeId) -> Result<Value> {
        if self.pair(call, "dilations", 1)? != [1, 1] {
            return Err(self.refuse(call, "with dilation"));
        }
        let kernel = self.pair(call, "kernel_shape", 0)?;
        let stride = self.pair(call, "strides", 1)?;
        let padding = self.padding(call, x, kernel, stride, [1, 1])?;
        let ceil = call.int("ceil_mode", 0) != 0;
        let op = if call.kind == "MaxPool" {
            Op::MaxPool { kernel, stride, padding, ceil }
        } else {
            let count_include_pad = call.int("count_include_pad", 0) != 0;
            Op::AvgPool { kernel, stride, padding, ceil, count_include_pad }
        };
        self.push(call, op, &[x], 4)
    }

    /// The mean over rows and columns.
    fn mean(&mut self, call: &Call<'_>, x: NodeId, laid: Laid) -> Result<Value> {
        let mut axes = self.ints(call, "axes", 1)?.unwrap_or_default();
        axes.iter_mut().filter(|a| **a < 0).for_each(|a| *a += 4);
        axes.sort_unstable();
        if axes != if laid.last { [1, 2] } else { [2, 3] } {
            return Err(self.refuse(call, &format!("over axes {axes:?}")));
        }
        let laid = if call.int("keepdims", 1) != 0 { laid } else { Laid { rank: 2, last: false } };
        self.push_as(call, Op::GlobalAvgPool, &[x], laid)
    }

    fn pad(&mut self, call: &Call<'_>, x: NodeId, laid: Laid) -> Result<Value> {
        let mode = call.text("mode").unwrap_or_else(|| "constant".into());
        let value = match self.constant(call, 2)?.as_deref() {
            Some(Constant::Floats(v)) => v.iter().copied().next().unwrap_or(0.0),
            Some(Constant::Ints { values, .. }) => values.first().copied().unwrap_or(0) as f32,
            None => call.float("value", 0.0),
        };
        if mode != "constant" || value != 0.0 || self.constant(call, 3)?.is_some() {
            return Err(self.refuse(call, &format!("with mode {mode}, value {value}")));
        }
        let pads = self.ints(call, "pads", 1)?.unwrap_or_default();
        let sides = match pads[..] {
            [0, 0, t, l, 0, 0, b, r] if !laid.last => [t, l, b, r],
            [0, t, l, 0, 0, b, r, 0] if laid.last => [t, l, b, r],
            _ => return Err(self.refuse(call, &format!("with pads {pads:?}"))),
        };
        let padding = self.sizes(call, sides)?;
        self.push_as(call, Op::Pad { padding }, &[x], laid)
    }

    /// Rows and columns from an attribute; absent means `default` for both.
    pub(super) fn pair(&self, call: &Call<'_>, name: &str, default: i64) -> Result<[usize; 2]> {
        match call.attribute(name).map_or(&[default, default][..], |a| &a.ints) {
            &[rows, columns] => self.sizes(call, [rows, columns]),
            other => Err(self.refuse(call, &format!("with {name} {other:?}"))),
        }
    }

    fn sizes<const N: usize>(&self, call: &Call<'_>, values: [i64; N]) -> Result<[usize; N]> {
        if values.iter().any(|v| !(0..1 << 16).contains(v)) {
            return Err(self.refuse(call, &format!("with sizes {values:?}")));
        }
        Ok(values.map(|v| v as usize))
    }

    /// `pads` or `auto_pad` as top, left, bottom, right.
    pub(super) fn padding(
        &self,
        call: &Call<'_>,
        x: NodeId,
        kernel: [usize; 2],
        stride: [usize; 2],
        dilation: [usize; 2],
    ) -> Result<Padding> {
        let auto = call.text("auto_pad").unwrap_or_else(|| "NOTSET".into());
        let upper = match auto.as_str() {
            "NOTSET" | "" => {
                let pads = call.attribute("pads").map_or(vec![0; 4], |a| a.ints.clone());
                let [t, l, b, r] = pads[..] else {
                    return Err(self.refuse(call, &format!("with pads {pads:?}")));
                };
                return self.sizes(call, [t, l, b, r]);
            }
            "VALID" => return Ok([0; 4]),
            "SAME_UPPER" => true,
            "SAME_LOWER" => false,
            _ => return Err(self.refuse(call, &format!("with auto_pad {auto}"))),
        };
        let shape = self.net.shape(x);
        if stride.contains(&0) || kernel.contains(&0) {
            return Err(self.refuse(call, "with a window or stride of 0"));
        }
        let same = |size: usize, axis: usize| {
            let (small, large) = same_padding(size, dilation[axis] * (kernel[axis] - 1) + 1, stride[axis]);
            if upper { (small, large) } else { (large, small) }
        };
        let ((t, b), (l, r)) = (same(shape.height, 0), same(shape.width, 1));
        Ok([t, l, b, r])
    }
}
