//! Linear maps of image planes with their transposes, as one differentiable step each: cheap where the matrices are banded.

use super::custom::with_gradient;
use super::param::precision_of;
use super::smooth::Pixel;
use crate::tensor::{Precision, Tensor, Var, array_f64, precision, tensor_f64, tensor_from_vec, vec_f32};
use ndarray::{Array1, Array2};
use rayon::prelude::*;
use std::sync::Arc;

/// A matrix of which only a run of each row is stored.
#[derive(Debug, Clone)]
struct Banded {
    n_columns: usize,
    /// First column of each row's run, and where its weights begin.
    rows: Vec<(usize, usize)>,
    weights: Vec<f64>,
}

impl Banded {
    fn new(matrix: &Array2<f64>) -> Self {
        let mut out = Self { n_columns: matrix.ncols(), rows: vec![], weights: vec![] };
        for row in matrix.rows() {
            let first = row.iter().position(|&v| v != 0.0).unwrap_or(0);
            let end = row.iter().rposition(|&v| v != 0.0).map_or(first, |last| last + 1);
            out.rows.push((first, out.weights.len()));
            out.weights.extend(row.iter().skip(first).take(end - first));
        }
        out
    }

    /// `matrix x plane`: rows of `width` are combined.
    fn times<T: Pixel>(&self, plane: &[T], width: usize) -> Vec<T> {
        let mut out = vec![T::from_f64(0.0); self.rows.len() * width];
        for (r, slot) in out.chunks_exact_mut(width).enumerate() {
            let (first, begin) = self.rows[r];
            let end = self.rows.get(r + 1).map_or(self.weights.len(), |next| next.1);
            for (k, &weight) in self.weights[begin..end].iter().enumerate() {
                let (weight, from) = (T::from_f64(weight), &plane[(first + k) * width..][..width]);
                slot.iter_mut().zip(from).for_each(|(s, &v)| *s += weight * v);
            }
        }
        out
    }
}

/// Rows and columns turned.
fn transposed<T: Pixel>(plane: &[T], height: usize, width: usize) -> Vec<T> {
    /// Square tiles stay in the first-level cache.
    const TILE: usize = 16;
    let mut out = vec![T::from_f64(0.0); plane.len()];
    for y0 in (0..height).step_by(TILE) {
        for x0 in (0..width).step_by(TILE) {
            for y in y0..(y0 + TILE).min(height) {
                for x in x0..(x0 + TILE).min(width) {
                    out[x * height + y] = plane[y * width + x];
                }
            }
        }
    }
    out
}

/// `A_h X A_w^T` and its transpose `A_h^T Y A_w`.
struct Separable {
    down: Banded,
    across: Banded,
    down_back: Banded,
    across_back: Banded,
}

fn both<T: Pixel>(plane: &[T], down: &Banded, across: &Banded) -> Vec<T> {
    let width = across.n_columns;
    let tall = down.times(plane, width);
    let height = down.rows.len();
    let wide = across.times(&transposed(&tall, height, width), height);
    transposed(&wide, across.rows.len(), height)
}

/// Planes of `size` values, each mapped; in order.
fn each<T: Pixel + Send + Sync>(values: &[T], size: usize, map: impl Fn(&[T]) -> Vec<T> + Send + Sync) -> Vec<T> {
    let planes: Vec<Vec<T>> = values.par_chunks_exact(size).map(map).collect();
    planes.concat()
}

/// `A_h X A_w^T` of each plane of n x channels x h x w images, differentiable; the matrices may change the size.
pub(super) fn separable(images: Var<4>, ah: &Array2<f64>, aw: &Array2<f64>) -> Var<4> {
    let [n, channels, height, width] = images.dims();
    let (rows, columns) = (ah.nrows(), aw.nrows());
    let map = Arc::new(Separable {
        down: Banded::new(ah),
        across: Banded::new(aw),
        down_back: Banded::new(&ah.t().to_owned()),
        across_back: Banded::new(&aw.t().to_owned()),
    });
    let (shape, device) = ([n, channels, rows, columns], images.device());
    let inner = images.clone().inner();
    let seen: Tensor<4> = match precision_of(&images) {
        Precision::F32 => {
            let out = each(&vec_f32(&inner), height * width, |p| both(p, &map.down, &map.across));
            tensor_from_vec(out, shape, &device)
        }
        Precision::F64 => {
            let values = array_f64(&inner).into_raw_vec_and_offset().0;
            wide(each(&values, height * width, |p| both(p, &map.down, &map.across)), shape, &device)
        }
    };
    with_gradient(images, seen, move |gradient: Tensor<4>| back(&map, gradient, [n, channels, height, width]))
}

fn wide(values: Vec<f64>, shape: [usize; 4], device: &crate::tensor::Device) -> Tensor<4> {
    tensor_f64::<1, _>(Array1::from_vec(values).view(), Precision::F64, device).reshape(shape)
}

fn back(map: &Separable, gradient: Tensor<4>, shape: [usize; 4]) -> Tensor<4> {
    let device = gradient.device();
    let size = map.down.rows.len() * map.across.rows.len();
    match precision(&gradient) {
        Precision::F32 => {
            let out = each(&vec_f32(&gradient), size, |p| both(p, &map.down_back, &map.across_back));
            tensor_from_vec(out, shape, &device)
        }
        Precision::F64 => {
            let values = array_f64(&gradient).into_raw_vec_and_offset().0;
            wide(each(&values, size, |p| both(p, &map.down_back, &map.across_back)), shape, &device)
        }
    }
}
