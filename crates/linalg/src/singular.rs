//! Singular values.

use crate::dense::{Number, all_finite, rows, view};
use crate::{Failure, Shape, Svd};

pub fn svd<T: Number>(a: &[T], shape: Shape) -> Result<Svd<T>, Failure> {
    let matrix = view(a, shape);
    all_finite(a)?;
    let found = matrix.thin_svd().map_err(|_| Failure::NoConvergence)?;
    let s = found.S().column_vector();
    Ok(Svd { u: rows(found.U()), s: (0..s.nrows()).map(|i| s[i]).collect(), vt: rows(found.V().transpose()) })
}
