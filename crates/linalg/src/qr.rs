//! Orthogonal times triangular.

use crate::dense::{Number, rows, view};
use crate::{PivotedQr, Qr, Shape};
use faer::{Mat, MatRef};

pub fn qr<T: Number>(a: &[T], shape: Shape) -> Qr<T> {
    let found = view(a, shape).qr();
    let (q, r) = positive(found.compute_thin_Q(), found.thin_R());
    Qr { q, r }
}

pub fn qr_pivoted<T: Number>(a: &[T], shape: Shape, tolerance: T) -> PivotedQr<T> {
    if a.iter().all(|v| *v == T::zero()) {
        // faer divides by the longest column.
        let Qr { q, r } = qr(a, shape);
        return PivotedQr { q, r, order: (0..shape.1).collect(), rank: 0 };
    }
    let found = view(a, shape).col_piv_qr();
    let (q, r) = positive(found.compute_thin_Q(), found.thin_R());
    let (k, n_cols) = (shape.0.min(shape.1), shape.1);
    let diagonal = |i: usize| r[i * n_cols + i];
    let rank = (0..k).take_while(|&i| diagonal(i) > tolerance * diagonal(0)).count();
    PivotedQr { order: found.P().arrays().0.to_vec(), rank, q, r }
}

/// Turns columns of Q and rows of R round so that R's diagonal is not negative; both row by row.
fn positive<T: Number>(mut q: Mat<T>, r: MatRef<'_, T>) -> (Vec<T>, Vec<T>) {
    let (k, n) = r.shape();
    let sign: Vec<T> = (0..k).map(|i| if r[(i, i)] < T::zero() { -T::one() } else { T::one() }).collect();
    for (j, &sign) in sign.iter().enumerate() {
        q.col_mut(j).iter_mut().for_each(|v| *v *= sign);
    }
    // Below the diagonal faer keeps zeros of either sign.
    let r = Mat::from_fn(k, n, |i, j| if i <= j { sign[i] * r[(i, j)] } else { T::zero() });
    (rows(q.as_ref()), rows(r.as_ref()))
}
