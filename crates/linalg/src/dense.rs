//! Between slices and faer's matrices.

use crate::{Failure, Shape};
use faer::traits::RealField;
use faer::{Mat, MatMut, MatRef};

/// What the algorithms need of f32 and f64.
pub trait Number: RealField + Copy {
    fn finite(self) -> bool;
    fn log(self) -> Self;
}

impl Number for f32 {
    fn finite(self) -> bool {
        self.is_finite()
    }

    fn log(self) -> Self {
        self.ln()
    }
}

impl Number for f64 {
    fn finite(self) -> bool {
        self.is_finite()
    }

    fn log(self) -> Self {
        self.ln()
    }
}

pub fn view<T>(a: &[T], (n_rows, n_cols): Shape) -> MatRef<'_, T> {
    assert_eq!(a.len(), n_rows * n_cols, "numbers of a {n_rows} x {n_cols} matrix");
    MatRef::from_row_major_slice(a, n_rows, n_cols)
}

pub fn view_mut<T>(a: &mut [T], (n_rows, n_cols): Shape) -> MatMut<'_, T> {
    assert_eq!(a.len(), n_rows * n_cols, "numbers of a {n_rows} x {n_cols} matrix");
    MatMut::from_row_major_slice_mut(a, n_rows, n_cols)
}

/// Row by row.
pub fn rows<T: Copy>(a: MatRef<'_, T>) -> Vec<T> {
    (0..a.nrows()).flat_map(|i| (0..a.ncols()).map(move |j| a[(i, j)])).collect()
}

/// The lower triangle, with zeros above it.
pub fn lower<T: Number>(a: &[T], n: usize) -> Mat<T> {
    let a = view(a, (n, n));
    Mat::from_fn(n, n, |i, j| if j <= i { a[(i, j)] } else { T::zero() })
}

pub fn all_finite<T: Number>(a: &[T]) -> Result<(), Failure> {
    if a.iter().all(|v| v.finite()) { Ok(()) } else { Err(Failure::NotFinite) }
}

/// [`lower`], checked.
pub fn finite_lower<T: Number>(a: &[T], n: usize) -> Result<faer::Mat<T>, Failure> {
    let a = lower(a, n);
    let finite = (0..n).all(|j| (j..n).all(|i| a[(i, j)].finite()));
    if finite { Ok(a) } else { Err(Failure::NotFinite) }
}
