//! A = L L' of a positive definite matrix.

use crate::dense::{Number, lower, rows, view, view_mut};
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt;
use faer::linalg::triangular_solve::{solve_lower_triangular_in_place, solve_upper_triangular_in_place};
use faer::{Mat, Par, Side};

pub fn factor<T: Number>(a: &[T], n: usize) -> Option<Vec<T>> {
    let l = rows(lower(a, n).llt(Side::Lower).ok()?.L());
    // A pivot that is NaN or infinite is no failure to faer.
    l.iter().all(|v| v.finite()).then_some(l)
}

pub fn solve<T: Number>(l: &[T], n: usize, b: &mut [T], n_rhs: usize) {
    let l = view(l, (n, n));
    solve_lower_triangular_in_place(l, view_mut(b, (n, n_rhs)), Par::Seq);
    solve_upper_triangular_in_place(l.transpose(), view_mut(b, (n, n_rhs)), Par::Seq);
}

pub fn log_det<T: Number>(l: &[T], n: usize) -> T {
    let l = view(l, (n, n));
    (0..n).fold(T::zero(), |sum, i| sum + l[(i, i)].log() + l[(i, i)].log())
}

pub fn inverse<T: Number>(l: &[T], n: usize) -> Vec<T> {
    let mut out = Mat::zeros(n, n);
    let mut memory = MemBuffer::new(llt::inverse::inverse_scratch::<T>(n, Par::Seq));
    llt::inverse::inverse(out.as_mut(), view(l, (n, n)), Par::Seq, MemStack::new(&mut memory));
    // Only the lower triangle was computed.
    rows(Mat::from_fn(n, n, |i, j| out[(i.max(j), i.min(j))]).as_ref())
}
