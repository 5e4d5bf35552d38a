//! Symmetric eigenvalue problems.

use crate::dense::{Number, finite_lower, rows};
use crate::{Eigh, Failure};
use faer::Side;

pub fn eigh<T: Number>(a: &[T], n: usize) -> Result<Eigh<T>, Failure> {
    let a = finite_lower(a, n)?;
    let found = a.self_adjoint_eigen(Side::Lower).map_err(|_| Failure::NoConvergence)?;
    let values = found.S().column_vector();
    Ok(Eigh { values: (0..n).map(|i| values[i]).collect(), vectors: rows(found.U()) })
}

pub fn eigvalsh<T: Number>(a: &[T], n: usize) -> Result<Vec<T>, Failure> {
    finite_lower(a, n)?.self_adjoint_eigenvalues(Side::Lower).map_err(|_| Failure::NoConvergence)
}
