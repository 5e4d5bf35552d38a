//! Symmetric matrices as Q B Q', Q orthogonal and B block tridiagonal: what systems with many shifts
//! need, in a fraction of the time of eigenvectors, since most of the work is products of matrices.
//!
//! Panels of columns are taken in turn: what lies more than one block below the diagonal is
//! reflected away (Householder, in the compact form I - V S V'), and the rest of the matrix takes
//! the reflection from both sides as one update of twice the panel's rank (the first stage of
//! Bischof, Lang and Sun, 2000).

use crate::Failure;
use crate::dense::{Number, finite_lower, rows, view_mut};
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::linalg::qr::no_pivoting::factor;
use faer::linalg::triangular_solve::{solve_lower_triangular_in_place, solve_upper_triangular_in_place};
use faer::prelude::{Reborrow, ReborrowMut};
use faer::{Accum, Mat, MatMut, MatRef, Par, Side};

/// Rows of a block: panels wide enough for products, blocks small enough to be solved with.
const WIDTH: usize = 32;

/// A = Q B Q' of [`crate::Real::banded`].
#[derive(Debug, Clone)]
pub struct Banded<T> {
    n: usize,
    /// B's blocks on the diagonal: lower triangles.
    diagonal: Vec<Mat<T>>,
    /// B's blocks below the diagonal.
    below: Vec<Mat<T>>,
    /// Q = H_0 H_1 ...
    reflections: Vec<Reflection<T>>,
}

/// H = I - V S V' on the rows from `first`.
#[derive(Debug, Clone)]
struct Reflection<T> {
    first: usize,
    v: Mat<T>,
    s: Mat<T>,
}

/// `to = a b`.
fn product<T: Number>(a: MatRef<'_, T>, b: MatRef<'_, T>) -> Mat<T> {
    let mut out = Mat::zeros(a.nrows(), b.ncols());
    matmul(out.as_mut(), Accum::Replace, a, b, T::one(), Par::Seq);
    out
}

/// `from -= a b`.
fn subtract<T: Number>(from: MatMut<'_, T>, a: MatRef<'_, T>, b: MatRef<'_, T>) {
    matmul(from, Accum::Add, a, b, -T::one(), Par::Seq);
}

/// A B, A symmetric and known by its lower triangle.
fn symmetric_product<T: Number>(a: MatRef<'_, T>, b: MatRef<'_, T>) -> Mat<T> {
    let mut out = Mat::zeros(a.nrows(), b.ncols());
    let all = BlockStructure::Rectangular;
    let halves = [(a, BlockStructure::TriangularLower), (a.transpose(), BlockStructure::StrictTriangularUpper)];
    for (half, which) in halves {
        triangular::matmul(out.as_mut(), all, Accum::Add, half, which, b, all, T::one(), Par::Seq);
    }
    out
}

pub fn banded<T: Number>(a: &[T], n: usize) -> Result<Banded<T>, Failure> {
    let mut a = finite_lower(a, n)?;
    let starts = (0..n).step_by(WIDTH);
    let mut found = Banded { n, diagonal: Vec::new(), below: Vec::new(), reflections: Vec::new() };
    for start in starts {
        let (end, width) = (n.min(start + WIDTH), WIDTH.min(n - start));
        found.diagonal.push(a.submatrix(start, start, width, width).to_owned());
        if end == n {
            break;
        }
        let mut panel = a.submatrix(end, start, n - end, width).to_owned();
        if n - end > WIDTH {
            let reflection = reflect(&mut panel, end);
            reflection.both_sides(a.submatrix_mut(end, end, n - end, n - end));
            found.reflections.push(reflection);
        }
        found.below.push(panel);
    }
    Ok(found)
}

/// The reflection that makes a panel upper triangular; the panel becomes that triangle.
fn reflect<T: Number>(panel: &mut Mat<T>, first: usize) -> Reflection<T> {
    let (m, b) = panel.shape();
    let mut t = Mat::zeros(b, b);
    let scratch = factor::qr_in_place_scratch::<T>(m, b, b, Par::Seq, Default::default());
    let mut memory = MemBuffer::new(scratch);
    factor::qr_in_place(panel.as_mut(), t.as_mut(), Par::Seq, MemStack::new(&mut memory), Default::default());
    let v = Mat::from_fn(m, b, |i, j| match i.cmp(&j) {
        std::cmp::Ordering::Less => T::zero(),
        std::cmp::Ordering::Equal => T::one(),
        std::cmp::Ordering::Greater => panel[(i, j)],
    });
    *panel = Mat::from_fn(b, b, |i, j| if i <= j { panel[(i, j)] } else { T::zero() });
    Reflection { first, v, s: inverse_upper(t.as_ref()) }
}

/// T^-1 of an upper triangular T; an infinite diagonal entry stands for no reflection, and gives 0.
fn inverse_upper<T: Number>(t: MatRef<'_, T>) -> Mat<T> {
    let b = t.nrows();
    let mut s = Mat::<T>::zeros(b, b);
    for j in (0..b).filter(|&j| t[(j, j)].finite()) {
        s[(j, j)] = T::one() / t[(j, j)];
        for i in (0..j).rev().filter(|&i| t[(i, i)].finite()) {
            let sum = (i + 1..=j).fold(T::zero(), |sum, k| sum + t[(i, k)] * s[(k, j)]);
            s[(i, j)] = -sum / t[(i, i)];
        }
    }
    s
}

impl<T: Number> Reflection<T> {
    /// A becomes H' A H, lower triangles: with Y = A V S and W = Y - V (S' V' Y) / 2 it is
    /// A - V W' - W V'.
    fn both_sides(&self, mut a: MatMut<'_, T>) {
        let mut w = product(symmetric_product(a.rb(), self.v.as_ref()).as_ref(), self.s.as_ref());
        let m = product(self.s.transpose(), product(self.v.transpose(), w.as_ref()).as_ref());
        matmul(w.as_mut(), Accum::Add, self.v.as_ref(), m.as_ref(), -(T::one() / (T::one() + T::one())), Par::Seq);
        let all = BlockStructure::Rectangular;
        for (left, right) in [(&self.v, &w), (&w, &self.v)] {
            let lower = BlockStructure::TriangularLower;
            let (left, right) = (left.as_ref(), right.transpose());
            triangular::matmul(a.rb_mut(), lower, Accum::Add, left, all, right, all, -T::one(), Par::Seq);
        }
    }

    /// B becomes H B, or H' B.
    fn apply(&self, mut b: MatMut<'_, T>, transposed: bool) {
        let n_rows = b.nrows() - self.first;
        self.apply_to(b.rb_mut().subrows_mut(self.first, n_rows), transposed);
    }

    /// [`Reflection::apply`] to the rows from `first` alone.
    fn apply_to(&self, rows: MatMut<'_, T>, transposed: bool) {
        let s = if transposed { self.s.transpose() } else { self.s.as_ref() };
        let inner = product(s, product(self.v.transpose(), rows.rb()).as_ref());
        subtract(rows, self.v.as_ref(), inner.as_ref());
    }
}

/// Replaces b by Q' b.
pub fn rotate<T: Number>(of: &Banded<T>, b: &mut [T], n_rhs: usize) {
    let mut b = view_mut(b, (of.n, n_rhs));
    for reflection in &of.reflections {
        reflection.apply(b.rb_mut(), true);
    }
}

/// Replaces b by Q b.
pub fn rotate_back<T: Number>(of: &Banded<T>, b: &mut [T], n_rhs: usize) {
    let mut b = view_mut(b, (of.n, n_rhs));
    for reflection in of.reflections.iter().rev() {
        reflection.apply(b.rb_mut(), false);
    }
}

/// Q, row by row.
pub fn q<T: Number>(of: &Banded<T>) -> Vec<T> {
    let mut q = Mat::<T>::identity(of.n, of.n);
    for reflection in of.reflections.iter().rev() {
        // Rows and columns before a reflection's are still those of the identity.
        let (first, n) = (reflection.first, of.n);
        let own = q.submatrix_mut(first, first, n - first, n - first);
        reflection.apply_to(own, false);
    }
    rows(q.as_ref())
}

/// Replaces b by (B + shift)^-1 b; false, and b is lost, when that is not positive definite.
pub fn solve<T: Number>(of: &Banded<T>, shift: T, b: &mut [T], n_rhs: usize) -> bool {
    let mut b = view_mut(b, (of.n, n_rhs));
    let Some((diagonal, below)) = factored(of, shift) else { return false };
    let n_blocks = diagonal.len();
    let height = |i: usize| WIDTH.min(of.n - i * WIDTH);
    for i in 0..n_blocks {
        let (above, mut own) = b.rb_mut().split_at_row_mut(i * WIDTH);
        let mut own = own.rb_mut().subrows_mut(0, height(i));
        if i > 0 {
            subtract(own.rb_mut(), below[i - 1].as_ref(), above.rb().subrows((i - 1) * WIDTH, WIDTH));
        }
        solve_lower_triangular_in_place(diagonal[i].as_ref(), own, Par::Seq);
    }
    for i in (0..n_blocks).rev() {
        let (mut own, under) = b.rb_mut().split_at_row_mut(i * WIDTH + height(i));
        let mut own = own.rb_mut().subrows_mut(i * WIDTH, height(i));
        if i + 1 < n_blocks {
            subtract(own.rb_mut(), below[i].transpose(), under.rb().subrows(0, height(i + 1)));
        }
        solve_upper_triangular_in_place(diagonal[i].transpose(), own, Par::Seq);
    }
    true
}

/// Blocks of L, B + shift = L L'.
#[allow(clippy::type_complexity)]
fn factored<T: Number>(of: &Banded<T>, shift: T) -> Option<(Vec<Mat<T>>, Vec<Mat<T>>)> {
    let (mut diagonal, mut below) = (Vec::<Mat<T>>::new(), Vec::<Mat<T>>::new());
    for (i, block) in of.diagonal.iter().enumerate() {
        let mut own = block.clone();
        (0..own.nrows()).for_each(|j| own[(j, j)] += shift);
        if i > 0 {
            // F = E L^-T, so that F' = L^-1 E'.
            let mut f = of.below[i - 1].transpose().to_owned();
            solve_lower_triangular_in_place(diagonal[i - 1].as_ref(), f.as_mut(), Par::Seq);
            let f = f.transpose().to_owned();
            subtract(own.as_mut(), f.as_ref(), f.transpose());
            below.push(f);
        }
        let l = own.llt(Side::Lower).ok()?.L().to_owned();
        if (0..l.nrows()).any(|j| !l[(j, j)].finite()) {
            return None;
        }
        diagonal.push(l);
    }
    Some((diagonal, below))
}

/// In 32 bits.
pub fn narrow(of: &Banded<f64>) -> Banded<f32> {
    let each = |blocks: &[Mat<f64>]| blocks.iter().map(single).collect();
    let reflection = |r: &Reflection<f64>| Reflection { first: r.first, v: single(&r.v), s: single(&r.s) };
    Banded {
        n: of.n,
        diagonal: each(&of.diagonal),
        below: each(&of.below),
        reflections: of.reflections.iter().map(reflection).collect(),
    }
}

fn single(a: &Mat<f64>) -> Mat<f32> {
    Mat::from_fn(a.nrows(), a.ncols(), |i, j| a[(i, j)] as f32)
}
