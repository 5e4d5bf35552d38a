//! Linear maps of image planes with their transposes, as one differentiable step each: cheap where the matrices are banded.

use super::custom::with_gradient;
use super::param::precision_of;
use super::real::Real;
use crate::tensor::{Precision, Tensor, Var};
use ndarray::Array2;
use rayon::prelude::*;

/// Rows of a plane that are turned into columns together.
const STRIP: usize = 16;

/// A matrix of which only a run of each row is stored.
#[derive(Debug, Clone)]
struct Banded<T> {
    n_columns: usize,
    /// First column of each row's run, and where its weights begin and end.
    rows: Vec<(usize, usize, usize)>,
    weights: Vec<T>,
}

impl<T: Real> Banded<T> {
    fn new(matrix: &Array2<f64>) -> Self {
        let mut out = Self { n_columns: matrix.ncols(), rows: vec![], weights: vec![] };
        for row in matrix.rows() {
            let first = row.iter().position(|&v| v != 0.0).unwrap_or(0);
            let end = row.iter().rposition(|&v| v != 0.0).map_or(first, |last| last + 1);
            let begin = out.weights.len();
            out.weights.extend(row.iter().skip(first).take(end - first).map(|&v| T::from_f64(v)));
            out.rows.push((first, begin, out.weights.len()));
        }
        out
    }

    /// First column and weights of row `r`.
    fn row(&self, r: usize) -> (usize, &[T]) {
        let (first, begin, end) = self.rows[r];
        (first, &self.weights[begin..end])
    }

    /// Row `r` of `matrix x plane`, whose rows have the length of `out`.
    fn row_times(&self, r: usize, plane: &[T], out: &mut [T]) {
        let (width, (first, weights)) = (out.len(), self.row(r));
        let row = |k: usize| &plane[(first + k) * width..][..width];
        out.fill(T::zero());
        let (fours, rest) = weights.as_chunks::<4>();
        for (k, &[a, b, c, d]) in fours.iter().enumerate() {
            let from = row(4 * k).iter().zip(row(4 * k + 1)).zip(row(4 * k + 2)).zip(row(4 * k + 3));
            for (slot, (((&va, &vb), &vc), &vd)) in out.iter_mut().zip(from) {
                *slot += a * va + b * vb + (c * vc + d * vd);
            }
        }
        for (k, &weight) in rest.iter().enumerate() {
            out.iter_mut().zip(row(4 * fours.len() + k)).for_each(|(slot, &v)| *slot += weight * v);
        }
    }

    /// `matrix x columns`, the columns of a strip side by side.
    fn times_strip(&self, strip: &[[T; STRIP]], out: &mut [[T; STRIP]]) {
        for (r, slot) in out.iter_mut().enumerate() {
            let (first, weights) = self.row(r);
            let mut sum = [T::zero(); STRIP];
            for (&weight, values) in weights.iter().zip(&strip[first..]) {
                for i in 0..STRIP {
                    sum[i] += weight * values[i];
                }
            }
            *slot = sum;
        }
    }
}

/// `down X across^T`, strip by strip.
struct Separable<T> {
    down: Banded<T>,
    across: Banded<T>,
}

/// A strip as rows, as columns, and as columns of the result.
struct Scratch<T> {
    rows: Vec<T>,
    columns: Vec<[T; STRIP]>,
    out: Vec<[T; STRIP]>,
}

impl<T: Real> Separable<T> {
    fn new(down: &Array2<f64>, across: &Array2<f64>) -> Self {
        Self { down: Banded::new(down), across: Banded::new(across) }
    }

    fn scratch(&self) -> Scratch<T> {
        let (width, columns) = (self.across.n_columns, self.across.rows.len());
        let zeros = |n: usize| vec![[T::zero(); STRIP]; n];
        Scratch { rows: vec![T::zero(); STRIP * width], columns: zeros(width), out: zeros(columns) }
    }

    fn apply(&self, plane: &[T], out: &mut [T], scratch: &mut Scratch<T>) {
        let (width, columns) = (self.across.n_columns, self.across.rows.len());
        for (i, out) in out.chunks_mut(STRIP * columns).enumerate() {
            for (r, row) in scratch.rows.chunks_exact_mut(width).take(out.len() / columns).enumerate() {
                self.down.row_times(i * STRIP + r, plane, row);
            }
            for (x, column) in scratch.columns.iter_mut().enumerate() {
                for (r, slot) in column.iter_mut().enumerate() {
                    *slot = scratch.rows[r * width + x];
                }
            }
            self.across.times_strip(&scratch.columns, &mut scratch.out);
            for (r, row) in out.chunks_exact_mut(columns).enumerate() {
                row.iter_mut().zip(&scratch.out).for_each(|(slot, column)| *slot = column[r]);
            }
        }
    }

    /// All planes of `images`, which become `shape`.
    fn apply_all(&self, images: Tensor<4>, shape: [usize; 4]) -> Tensor<4> {
        let (device, values) = (images.device(), T::take(images));
        let mut out = vec![T::zero(); shape.iter().product()];
        let planes = values.par_chunks_exact(self.down.n_columns * self.across.n_columns);
        out.par_chunks_exact_mut(shape[2] * shape[3])
            .zip(planes)
            .for_each_init(|| self.scratch(), |scratch, (out, plane)| self.apply(plane, out, scratch));
        T::tensor(out, shape, &device)
    }
}

/// `A_h X A_w^T` of each plane of n x channels x h x w images, differentiable; the matrices may change the size.
pub(super) fn separable(images: Var<4>, ah: &Array2<f64>, aw: &Array2<f64>) -> Var<4> {
    match precision_of(&images) {
        Precision::F32 => run::<f32>(images, ah, aw),
        Precision::F64 => run::<f64>(images, ah, aw),
    }
}

fn run<T: Real>(images: Var<4>, ah: &Array2<f64>, aw: &Array2<f64>) -> Var<4> {
    let there = Separable::<T>::new(ah, aw);
    let back = Separable::<T>::new(&ah.t().to_owned(), &aw.t().to_owned());
    with_gradient(images, |images| {
        let shape = images.dims();
        let seen = there.apply_all(images, [shape[0], shape[1], ah.nrows(), aw.nrows()]);
        (seen, move |gradient: Tensor<4>| back.apply_all(gradient, shape))
    })
}
