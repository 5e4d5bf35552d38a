//! From the stored coefficients of [`Fourier`](super::Fourier) to shown planes, and back: one differentiable step.

use super::custom::with_gradient;
use super::param::precision_of;
use crate::tensor::{Device, Precision, Tensor, Var, array_f64, tensor_f64, tensor_from_vec, vec_f32};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, LinalgScalar};
use rayon::prelude::*;
use std::sync::Arc;

/// 32 or 64 bits.
pub(super) trait Real: LinalgScalar + Send + Sync {
    fn from_f64(v: f64) -> Self;
    /// `1 / (1 + exp(-self))`
    fn sigmoid(self) -> Self;
}

impl Real for f32 {
    fn from_f64(v: f64) -> Self {
        v as f32
    }
    fn sigmoid(self) -> Self {
        1.0 / (1.0 + (-self).exp())
    }
}

impl Real for f64 {
    fn from_f64(v: f64) -> Self {
        v
    }
    fn sigmoid(self) -> Self {
        1.0 / (1.0 + (-self).exp())
    }
}

/// The tables of a band.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tables<'a> {
    /// rows x columns.
    pub gain: &'a Array2<f64>,
    /// channels x channels.
    pub mixing: &'a Array2<f64>,
    /// (2 h) x (2 rows), see [`super::fourier`].
    pub along_rows: &'a Array2<f64>,
    /// (2 columns) x w.
    pub along_columns: &'a Array2<f64>,
}

struct Map<T> {
    gain: Array2<T>,
    mixing: Array2<T>,
    along_rows: Array2<T>,
    along_columns: Array2<T>,
}

impl<T: Real> Map<T> {
    fn new(tables: Tables<'_>) -> Self {
        let of = |a: &Array2<f64>| a.mapv(T::from_f64);
        Self {
            gain: of(tables.gain),
            mixing: of(tables.mixing),
            along_rows: of(tables.along_rows),
            along_columns: of(tables.along_columns),
        }
    }

    fn channels(&self) -> usize {
        self.mixing.nrows()
    }

    /// Height and width of a plane.
    fn size(&self) -> (usize, usize) {
        (self.along_rows.nrows() / 2, self.along_columns.ncols())
    }

    /// Numbers of one image's leaf.
    fn n_values(&self) -> usize {
        2 * self.channels() * self.gain.len()
    }

    /// `sum_k factor(c, k) (values of channel k)`, each (2 rows) x columns.
    fn mixed(&self, c: usize, values: &[T], factor: impl Fn(usize, usize) -> T) -> Array2<T> {
        let (rows, columns) = self.gain.dim();
        let mut out = Array2::zeros((2 * rows, columns));
        for k in 0..self.channels() {
            let part = ArrayView2::from_shape((2 * rows, columns), &values[k * out.len()..][..out.len()]);
            out.scaled_add(factor(c, k), &part.expect("a channel has as many coefficients"));
        }
        out
    }

    /// Shown planes of one image's leaf, channels x h x w.
    fn shown(&self, leaf: &[T]) -> Vec<T> {
        let gain = ArrayView1::from(self.gain.as_slice().expect("row-major"));
        let scaled: Vec<T> =
            leaf.chunks_exact(gain.len()).flat_map(|part| (&ArrayView1::from(part) * &gain).to_vec()).collect();
        let (height, _) = self.size();
        let plane = |c: usize| {
            let spectrum = self.mixed(c, &scaled, |c, k| self.mixing[(c, k)]);
            let half = self.along_rows.dot(&spectrum);
            let half = half.to_shape((height, half.len() / height)).expect("two parts a row").to_owned();
            half.dot(&self.along_columns).into_iter().map(T::sigmoid)
        };
        (0..self.channels()).flat_map(plane).collect()
    }

    /// Gradient at the leaf from the gradient at the shown planes.
    fn pullback(&self, shown: &[T], gradient: &[T]) -> Vec<T> {
        let ((height, width), (rows, columns)) = (self.size(), self.gain.dim());
        let size = height * width;
        let mut spectra: Vec<T> = Vec::with_capacity(self.n_values());
        for (s, g) in shown.chunks_exact(size).zip(gradient.chunks_exact(size)) {
            let slope: Vec<T> = s.iter().zip(g).map(|(&s, &g)| g * s * (T::one() - s)).collect();
            let slope = Array2::from_shape_vec((height, width), slope).expect("one number per pixel");
            let half = slope.dot(&self.along_columns.t());
            let half = half.to_shape((2 * height, columns)).expect("two parts a row").to_owned();
            spectra.extend(self.along_rows.t().dot(&half));
        }
        let gain = self.gain.as_slice().expect("row-major");
        let channel = |k: usize| {
            let spectrum = self.mixed(k, &spectra, |k, c| self.mixing[(c, k)]);
            let scaled: Vec<T> = spectrum.iter().enumerate().map(|(i, &v)| v * gain[i % (rows * columns)]).collect();
            scaled
        };
        (0..self.channels()).flat_map(channel).collect()
    }
}

fn each<T: Copy + Send + Sync>(n: usize, map: impl Fn(usize) -> Vec<T> + Send + Sync) -> Vec<T> {
    let parts: Vec<Vec<T>> = (0..n).into_par_iter().map(map).collect();
    parts.concat()
}

/// Shown planes (n x channels x h x w) of a leaf (n x values), differentiable.
pub(super) fn planes(leaf: Var<2>, tables: Tables<'_>) -> Var<4> {
    let inner = leaf.clone().inner();
    match precision_of(&leaf) {
        Precision::F32 => run(leaf, vec_f32(&inner), tables, vec_f32, tensor_from_vec, tensor_from_vec),
        Precision::F64 => {
            let values = array_f64(&inner).into_raw_vec_and_offset().0;
            run(leaf, values, tables, |g| array_f64(g).into_raw_vec_and_offset().0, wide, wide)
        }
    }
}

fn wide<const D: usize>(values: Vec<f64>, shape: [usize; D], device: &Device) -> Tensor<D> {
    tensor_f64::<1, _>(Array1::from_vec(values).view(), Precision::F64, device).reshape(shape)
}

fn run<T: Real>(
    leaf: Var<2>,
    values: Vec<T>,
    tables: Tables<'_>,
    read: fn(&Tensor<4>) -> Vec<T>,
    images: fn(Vec<T>, [usize; 4], &Device) -> Tensor<4>,
    leaves: fn(Vec<T>, [usize; 2], &Device) -> Tensor<2>,
) -> Var<4> {
    let map = Arc::new(Map::<T>::new(tables));
    let ([n, n_values], (height, width)) = (leaf.dims(), map.size());
    let shown = Arc::new(each(n, |i| map.shown(&values[i * n_values..][..n_values])));
    let device = leaf.device();
    let out = images(shown.to_vec(), [n, map.channels(), height, width], &device);
    with_gradient(leaf, out, move |gradient: Tensor<4>| {
        let (device, gradient) = (gradient.device(), read(&gradient));
        let size = gradient.len() / n;
        let back = each(n, |i| map.pullback(&shown[i * size..][..size], &gradient[i * size..][..size]));
        leaves(back, [n, n_values], &device)
    })
}
