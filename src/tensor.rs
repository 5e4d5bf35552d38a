//! The one door between burn and the rest: the backend alias, the device, and conversions to and
//! from ndarray.
//!
//! The backend is chosen when the program is built (`flex` on the CPU by default, features `cuda`
//! and `wgpu`), so that no type of the library carries a backend parameter. Shapes are checked
//! before burn sees them: burn panics.

use burn_tensor::{DType, TensorData};
use ndarray::{ArrayD, Dimension, IxDyn};

/// Burn's backend: NVIDIA GPUs through CUDA.
#[cfg(feature = "cuda")]
pub type Backend = burn_cuda::Cuda;
/// Burn's backend: GPUs through WebGPU.
#[cfg(all(feature = "wgpu", not(feature = "cuda")))]
pub type Backend = burn_wgpu::Wgpu;
/// Burn's backend: the CPU, pure Rust.
#[cfg(not(any(feature = "cuda", feature = "wgpu")))]
pub type Backend = burn_flex::Flex;

/// The backend with reverse-mode automatic differentiation.
pub type AutoBackend = burn_autodiff::Autodiff<Backend>;
/// A plain tensor: no gradient is ever recorded.
pub type Tensor<const D: usize> = burn_tensor::Tensor<Backend, D>;
/// A tensor whose operations are recorded for the backward pass.
pub type Var<const D: usize> = burn_tensor::Tensor<AutoBackend, D>;
/// Where tensors live.
pub type Device = <Backend as burn_tensor::backend::BackendTypes>::Device;

/// Floating-point width of a computation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// 32 bits: what synthesis runs in.
    #[default]
    F32,
    /// 64 bits: tests by finite differences, and N x N algebra on the CPU.
    F64,
}

impl Precision {
    fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F64 => DType::F64,
        }
    }
}

/// The width that small N x N algebra is done in: 64 bits wherever the backend has them.
pub const SMALL: Precision =
    if cfg!(all(feature = "wgpu", not(feature = "cuda"))) { Precision::F32 } else { Precision::F64 };

/// An array of 32-bit numbers as a tensor. The rank of `array` must be `D`.
pub fn tensor<const D: usize, Dim: Dimension>(array: ndarray::ArrayView<'_, f32, Dim>, device: &Device) -> Tensor<D> {
    let values = array.to_slice().map_or_else(|| array.iter().copied().collect(), <[f32]>::to_vec);
    Tensor::from_data(TensorData::new(values, array.shape().to_vec()), (device, DType::F32))
}

/// A row-major vector as a tensor, without a copy. `values.len()` must be the product of `shape`.
pub fn tensor_from_vec<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), (device, DType::F32))
}

/// As [`tensor_from_vec`], 64 bits.
pub fn tensor_from_vec_f64<const D: usize>(values: Vec<f64>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), (device, DType::F64))
}

/// An array of 64-bit numbers as a tensor of the given width. The rank of `array` must be `D`.
pub fn tensor_f64<const D: usize, Dim: Dimension>(
    array: ndarray::ArrayView<'_, f64, Dim>,
    precision: Precision,
    device: &Device,
) -> Tensor<D> {
    let data = TensorData::new(array.iter().copied().collect::<Vec<f64>>(), array.shape().to_vec());
    Tensor::from_data(data.convert_dtype(precision.dtype()), (device, precision.dtype()))
}

/// The same numbers in the given width.
pub fn cast<const D: usize>(tensor: Tensor<D>, precision: Precision) -> Tensor<D> {
    tensor.cast(precision.dtype())
}

/// The width of a tensor's numbers (anything but 64 bits counts as 32).
pub fn precision<const D: usize>(tensor: &Tensor<D>) -> Precision {
    if tensor.dtype() == DType::F64 { Precision::F64 } else { Precision::F32 }
}

/// A tensor's numbers as an array of the same shape, 32 bits.
pub fn array<const D: usize>(tensor: &Tensor<D>) -> ArrayD<f32> {
    let shape = tensor.dims().to_vec();
    ArrayD::from_shape_vec(IxDyn(&shape), vec_f32(tensor))
        .expect("a tensor's data has as many numbers as its shape says")
}

/// A tensor's numbers as an array of the same shape, 64 bits.
pub fn array_f64<const D: usize>(tensor: &Tensor<D>) -> ArrayD<f64> {
    let shape = tensor.dims().to_vec();
    let data = tensor.to_data().convert::<f64>();
    let values = data.into_vec::<f64>().expect("converted to f64 above");
    ArrayD::from_shape_vec(IxDyn(&shape), values).expect("a tensor's data has as many numbers as its shape says")
}

/// A tensor's numbers in row-major order, 32 bits.
pub fn vec_f32<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    tensor.to_data().convert::<f32>().into_vec::<f32>().expect("converted to f32 above")
}

/// As [`vec_f32`], without a copy where nobody else holds the tensor's numbers.
pub fn into_vec_f32<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().into_vec::<f32>().expect("converted to f32 above")
}

/// As [`into_vec_f32`], 64 bits.
pub fn into_vec_f64<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().convert::<f64>().into_vec::<f64>().expect("converted to f64 above")
}

/// A scalar tensor's value.
pub fn scalar(tensor: &Tensor<1>) -> f64 {
    array_f64(tensor).iter().copied().next().unwrap_or(f64::NAN)
}

/// A constant in a differentiated expression: nothing flows back into it.
pub fn constant<const D: usize>(tensor: Tensor<D>) -> Var<D> {
    Var::from_inner(tensor)
}

/// A leaf of a differentiated expression.
pub fn leaf<const D: usize>(tensor: Tensor<D>) -> Var<D> {
    Var::from_inner(tensor).require_grad()
}
