//! Least squares of least norm.

use crate::dense::{Number, all_finite, rows, view};
use crate::{Failure, Lstsq, Shape};

pub fn lstsq<T: Number>(a: &[T], shape: Shape, b: &[T], n_rhs: usize, tolerance: T) -> Result<Lstsq<T>, Failure> {
    let (matrix, right) = (view(a, shape), view(b, (shape.0, n_rhs)));
    all_finite(a)?;
    all_finite(b)?;
    let found = matrix.thin_svd().map_err(|_| Failure::NoConvergence)?;
    let s = found.S().column_vector();
    let rank = (0..s.nrows()).take_while(|&i| s[i] > T::zero() && s[i] > tolerance * s[0]).count();
    let mut weights = found.U().subcols(0, rank).transpose() * right;
    for i in 0..rank {
        (0..n_rhs).for_each(|j| weights[(i, j)] /= s[i]);
    }
    let x = found.V().subcols(0, rank) * weights;
    Ok(Lstsq { x: rows(x.as_ref()), rank, s: (0..s.nrows()).map(|i| s[i]).collect() })
}
