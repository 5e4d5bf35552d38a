//! ONNX operators with weights: convolution, batch norm, LRN, Gemm, MatMul.

use super::constant::Constant;
use super::{Call, Import, Laid, Value};
use crate::error::Result;
use crate::network::op::Op;
use ndarray::{ArrayD, Axis, Ix2, IxDyn};

impl Import {
    pub(super) fn layer(&mut self, call: &Call<'_>) -> Result<Value> {
        match call.kind.as_str() {
            "Conv" => self.conv(call),
            "BatchNormalization" => self.batch_norm(call),
            "LRN" => self.lrn(call),
            "Gemm" => self.gemm(call),
            _ => self.matmul(call),
        }
    }

    fn conv(&mut self, call: &Call<'_>) -> Result<Value> {
        let (x, rank) = self.tensor(call, 0)?;
        let (weight, dims) = self.weight(call, 1)?;
        if rank != 4 || dims.len() != 4 {
            return Err(self.refuse(call, "that is not two-dimensional"));
        }
        let kernel = [dims[2], dims[3]];
        let stride = self.pair(call, "strides", 1)?;
        let dilation = self.pair(call, "dilations", 1)?;
        let padding = self.padding(call, x, kernel, stride, dilation)?;
        let groups = usize::try_from(call.int("group", 1)).unwrap_or(0);
        let bias = match self.constant(call, 2)? {
            Some(_) => Some(self.vector(call, 2, dims[0])?),
            None => None,
        };
        self.push(call, Op::Conv2d { weight, bias, stride, padding, dilation, groups }, &[x], 4)
    }

    fn batch_norm(&mut self, call: &Call<'_>) -> Result<Value> {
        let (x, rank) = self.tensor(call, 0)?;
        if call.int("training_mode", 0) != 0 || call.int("spatial", 1) != 1 {
            return Err(self.refuse(call, "in training mode or per pixel"));
        }
        let n = self.net.shape(x).channels;
        let op = Op::BatchNorm {
            scale: Some(self.vector(call, 1, n)?),
            shift: Some(self.vector(call, 2, n)?),
            mean: self.vector(call, 3, n)?,
            var: self.vector(call, 4, n)?,
            epsilon: call.float("epsilon", 1e-5),
        };
        self.push(call, op, &[x], rank)
    }

    fn lrn(&mut self, call: &Call<'_>) -> Result<Value> {
        let (x, rank) = self.tensor(call, 0)?;
        let size = usize::try_from(call.int("size", 0)).unwrap_or(0);
        let op = Op::Lrn {
            size,
            alpha: call.float("alpha", 1e-4),
            beta: call.float("beta", 0.75),
            k: call.float("bias", 1.0),
        };
        self.push(call, op, &[x], rank)
    }

    /// `alpha x B' + beta C`.
    fn gemm(&mut self, call: &Call<'_>) -> Result<Value> {
        let (x, rank) = self.tensor(call, 0)?;
        if rank != 2 || call.int("transA", 0) != 0 {
            return Err(self.refuse(call, "of a transposed or unflattened input"));
        }
        let alpha = call.float("alpha", 1.0);
        let weight = self.matrix(call, call.int("transB", 0) == 0, alpha)?;
        let n = self.matrix_rows(call, call.int("transB", 0) == 0)?;
        let beta = call.float("beta", 1.0);
        let bias = match self.constant(call, 2)? {
            Some(c) => {
                let values = self.channels_of(call, &c, n, Laid { rank: 2, last: false })?;
                let name =
                    if beta == 1.0 { call.proto.input[2].clone() } else { format!("{}.beta", call.proto.input[2]) };
                Some(self.net.vector(name, values.into_iter().map(|v| beta * v).collect())?)
            }
            None => None,
        };
        self.push(call, Op::Linear { weight, bias }, &[x], 2)
    }

    fn matmul(&mut self, call: &Call<'_>) -> Result<Value> {
        let (x, rank) = self.tensor(call, 0)?;
        if rank != 2 {
            return Err(self.refuse(call, "of an unflattened input"));
        }
        let weight = self.matrix(call, true, 1.0)?;
        self.push(call, Op::Linear { weight, bias: None }, &[x], 2)
    }

    /// The second input as out x in, scaled.
    fn matrix(&mut self, call: &Call<'_>, transposed: bool, alpha: f32) -> Result<String> {
        let array = self.floats(call, 1)?;
        let Ok(matrix) = array.into_dimensionality::<Ix2>() else {
            return Err(self.refuse(call, "with a weight that is no matrix"));
        };
        let name = &call.proto.input[1];
        if !transposed && alpha == 1.0 {
            return self.net.weight(name, matrix.into_dyn());
        }
        let matrix = if transposed { matrix.reversed_axes() } else { matrix };
        let matrix = matrix.mapv(|v| alpha * v).as_standard_layout().into_owned();
        self.net.weight(format!("{name}.out_in"), matrix.into_dyn())
    }

    fn matrix_rows(&self, call: &Call<'_>, transposed: bool) -> Result<usize> {
        Ok(self.floats(call, 1)?.len_of(Axis(usize::from(transposed))))
    }

    /// The numbers of input `i`.
    pub(super) fn floats(&self, call: &Call<'_>, i: usize) -> Result<ArrayD<f32>> {
        match self.constant(call, i)?.as_deref() {
            Some(Constant::Floats(array)) => Ok(array.clone()),
            Some(Constant::Ints { .. }) => Err(self.refuse(call, "with whole-numbered weights")),
            None => Err(self.refuse(call, &format!("without its input {i}"))),
        }
    }

    /// Stores input `i` under its own name; name and dimensions.
    fn weight(&mut self, call: &Call<'_>, i: usize) -> Result<(String, Vec<usize>)> {
        let array = self.floats(call, i)?;
        let dims = array.shape().to_vec();
        Ok((self.net.weight(&call.proto.input[i], array)?, dims))
    }

    /// Stores input `i`, `n` values, under its own name.
    fn vector(&mut self, call: &Call<'_>, i: usize, n: usize) -> Result<String> {
        let array = self.floats(call, i)?;
        if array.len() != n {
            return Err(self.net.corrupt(
                format!("{n} values in `{}` for node `{}`", call.proto.input[i], call.name),
                format!("{}", array.len()),
            ));
        }
        let array = array.into_shape_with_order(IxDyn(&[n])).expect("n values on one axis");
        self.net.weight(&call.proto.input[i], array)
    }
}
