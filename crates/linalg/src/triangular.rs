//! Triangular systems.

use crate::Triangle;
use crate::dense::{Number, view, view_mut};
use faer::Par;
use faer::linalg::triangular_solve::{solve_lower_triangular_in_place, solve_upper_triangular_in_place};

pub fn solve<T: Number>(a: &[T], n: usize, which: Triangle, b: &mut [T], n_rhs: usize) {
    let (a, b) = (view(a, (n, n)), view_mut(b, (n, n_rhs)));
    match which {
        Triangle::Lower => solve_lower_triangular_in_place(a, b, Par::Seq),
        Triangle::Upper => solve_upper_triangular_in_place(a, b, Par::Seq),
        Triangle::LowerTransposed => solve_upper_triangular_in_place(a.transpose(), b, Par::Seq),
        Triangle::UpperTransposed => solve_lower_triangular_in_place(a.transpose(), b, Par::Seq),
    }
}
