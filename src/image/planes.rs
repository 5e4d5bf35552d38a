//! Linear maps of image planes with their transposes, as one differentiable step each: cheap where
//! the matrices are banded.

use super::custom::with_gradient;
use super::param::precision_of;
use super::real::Real;
use crate::tensor::{Precision, Tensor, Var};
use ndarray::{Array2, Axis};
use orthoscope_kernels::dense::fast;
use orthoscope_kernels::simd::Body;
use rayon::prelude::*;

/// Pixels of a row that are computed side by side.
const LANES: usize = 16;

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
    #[inline(always)]
    fn row(&self, r: usize) -> (usize, &[T]) {
        let (first, begin, end) = self.rows[r];
        (first, &self.weights[begin..end])
    }

    /// Row `r` of `matrix x plane`, whose rows have the length of `out`.
    #[inline(always)]
    fn row_times(&self, r: usize, plane: &[T], out: &mut [T]) {
        let (width, (first, weights)) = (out.len(), self.row(r));
        let plane = &plane[first * width..][..weights.len() * width];
        let row = |k: usize| &plane[k * width..][..width];
        out.fill(T::zero());
        let (fours, rest) = weights.as_chunks::<4>();
        for (k, &[a, b, c, d]) in fours.iter().enumerate() {
            let from = row(4 * k).iter().zip(row(4 * k + 1)).zip(row(4 * k + 2)).zip(row(4 * k + 3));
            for (slot, (((&va, &vb), &vc), &vd)) in out.iter_mut().zip(from) {
                *slot += a * va + b * vb + (c * vc + d * vd);
            }
        }
        for (k, &weight) in rest.iter().enumerate() {
            for (slot, &v) in out.iter_mut().zip(row(4 * fours.len() + k)) {
                *slot += weight * v;
            }
        }
    }
}

/// A matrix in blocks of [`LANES`] rows, each stored by diagonals:
/// `out[i] = sum_d weight[d][i] row[i + d]` reads a row in one piece.
#[derive(Debug, Clone)]
struct Diagonals<T> {
    n_columns: usize,
    n_rows: usize,
    /// First diagonal of each block, counted in a row with [`LANES`] zeros before it, and where its
    /// weights begin and end.
    blocks: Vec<(usize, usize, usize)>,
    weights: Vec<[T; LANES]>,
}

impl<T: Real> Diagonals<T> {
    fn new(matrix: &Array2<f64>) -> Self {
        let mut out = Self { n_columns: matrix.ncols(), n_rows: matrix.nrows(), blocks: vec![], weights: vec![] };
        for rows in matrix.axis_chunks_iter(Axis(0), LANES) {
            // Columns counted from the lane's own place, with the zeros before.
            let cell = |((i, k), &v): ((usize, usize), &f64)| (v != 0.0).then_some((k + LANES - i, i, v));
            let cells: Vec<_> = rows.indexed_iter().filter_map(cell).collect();
            let first = cells.iter().map(|c| c.0).min().unwrap_or(LANES);
            let end = cells.iter().map(|c| c.0 + 1).max().unwrap_or(first);
            let begin = out.weights.len();
            out.weights.resize(begin + end - first, [T::zero(); LANES]);
            cells.iter().for_each(|&(d, i, v)| out.weights[begin + d - first][i] = T::from_f64(v));
            out.blocks.push((first, begin, out.weights.len()));
        }
        out
    }

    /// A row with room for its zeros.
    fn padded(&self) -> Vec<T> {
        vec![T::zero(); self.n_columns + 2 * LANES]
    }

    /// `matrix x row`, of a padded row.
    #[inline(always)]
    fn times(&self, row: &[T], out: &mut [T]) {
        for (out, &(first, begin, end)) in out.chunks_mut(LANES).zip(&self.blocks) {
            let mut sum = [T::zero(); LANES];
            for (d, weights) in self.weights[begin..end].iter().enumerate() {
                let values = &row[first + d..][..LANES];
                for i in 0..LANES {
                    sum[i] += weights[i] * values[i];
                }
            }
            out.copy_from_slice(&sum[..out.len()]);
        }
    }
}

/// `down X across^T`, row by row.
struct Separable<T> {
    down: Banded<T>,
    across: Diagonals<T>,
}

impl<T: Real> Separable<T> {
    fn new(down: &Array2<f64>, across: &Array2<f64>) -> Self {
        Self { down: Banded::new(down), across: Diagonals::new(across) }
    }

    /// All planes of `images`, which become `shape`.
    fn apply_all(&self, images: Tensor<4>, shape: [usize; 4]) -> Tensor<4> {
        let (device, values) = (images.device(), T::take(images));
        let mut out = vec![T::zero(); shape.iter().product()];
        let planes = values.par_chunks_exact(self.down.n_columns * self.across.n_columns);
        out.par_chunks_exact_mut(shape[2] * shape[3])
            .zip(planes)
            .for_each_init(|| self.across.padded(), |row, (out, plane)| fast(OnePlane { map: self, plane, out, row }));
        T::tensor(out, shape, &device)
    }
}

struct OnePlane<'a, T> {
    map: &'a Separable<T>,
    plane: &'a [T],
    out: &'a mut [T],
    /// Padded.
    row: &'a mut [T],
}

impl<T: Real> Body for OnePlane<'_, T> {
    type Out = ();
    #[inline(always)]
    fn call(self) {
        let Separable { down, across } = self.map;
        for (y, out) in self.out.chunks_exact_mut(across.n_rows).enumerate() {
            down.row_times(y, self.plane, &mut self.row[LANES..LANES + across.n_columns]);
            across.times(self.row, out);
        }
    }
}

/// `A_h X A_w^T` of each plane of n x channels x h x w images, differentiable; the matrices may
/// change the size.
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
