//! Dense linear algebra for matrices of some thousands of rows, in 32 and 64 bits.
//!
//! The algorithms are faer's; this crate hides its types behind functions on row-major slices. faer
//! is generic and would be compiled in whatever crate calls it, at that crate's optimisation level;
//! here it is compiled once, for [`f32`] and [`f64`]. Names and conventions are SciPy's
//! (`scipy.linalg`).
//!
//! Everything runs on the calling thread: who has many problems spreads them over threads, and the
//! bits of a result do not depend on how many there are.
//!
//! ```
//! use orthoscope_linalg::Real;
//! let a = [2.0, 1.0, 1.0, 2.0];
//! let found = f64::eigh(&a, 2).unwrap();
//! assert!((found.values[0] - 1.0).abs() < 1e-15 && (found.values[1] - 3.0).abs() < 1e-15);
//! ```
//!
//! # Panics
//! Every function panics when a slice does not hold as many numbers as its shape says.

#![forbid(unsafe_code)]

mod banded;
mod cholesky;
mod dense;
mod eigen;
mod least_squares;
mod qr;
mod singular;
#[cfg(test)]
mod tests;
mod triangular;

use std::fmt;

pub use banded::Banded;

/// Rows and columns of a row-major matrix.
pub type Shape = (usize, usize);

/// Why there is no decomposition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The matrix holds NaN or infinity.
    NotFinite,
    /// The iteration did not converge (LAPACK's `info > 0`).
    NoConvergence,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFinite => "the matrix holds NaN or infinity",
            Self::NoConvergence => "the iteration did not converge",
        })
    }
}

impl std::error::Error for Failure {}

/// A = V diag(values) V'.
#[derive(Debug, Clone, PartialEq)]
pub struct Eigh<T> {
    /// n, ascending.
    pub values: Vec<T>,
    /// V, n x n: eigenvectors in the columns, orthonormal, each of arbitrary sign.
    pub vectors: Vec<T>,
}

/// A = U diag(s) V', thin: k = min(n_rows, n_cols).
#[derive(Debug, Clone, PartialEq)]
pub struct Svd<T> {
    /// U, n_rows x k, orthonormal columns.
    pub u: Vec<T>,
    /// k, descending.
    pub s: Vec<T>,
    /// V', k x n_cols, orthonormal rows.
    pub vt: Vec<T>,
}

/// A = Q R, thin: k = min(n_rows, n_cols).
#[derive(Debug, Clone, PartialEq)]
pub struct Qr<T> {
    /// Q, n_rows x k, orthonormal columns.
    pub q: Vec<T>,
    /// R, k x n_cols, upper triangular, its diagonal not negative. R_jj is the length of what
    /// column j of A holds beyond the columns before it, up to and including the first column that
    /// is their combination (where it is rounding error); R has echelon form from there. Without
    /// such a column Q and R are those of Gram and Schmidt.
    pub r: Vec<T>,
}

/// A P = Q R with the columns of A in an order of falling |R_jj|.
#[derive(Debug, Clone, PartialEq)]
pub struct PivotedQr<T> {
    /// As in [`Qr`].
    pub q: Vec<T>,
    /// As in [`Qr`].
    pub r: Vec<T>,
    /// Column j of A P is column `order[j]` of A; n_cols.
    pub order: Vec<usize>,
    /// Diagonal entries of R above `tolerance` times the first: the rank of A, as far as pivoting
    /// tells it.
    pub rank: usize,
}

/// The x of least norm among those that minimise |A x - b|.
#[derive(Debug, Clone, PartialEq)]
pub struct Lstsq<T> {
    /// n_cols x (right-hand sides).
    pub x: Vec<T>,
    /// Singular values above `tolerance` times the largest.
    pub rank: usize,
    /// Singular values of A, descending.
    pub s: Vec<T>,
}

/// Which triangle of a matrix is solved with; the rest of the matrix is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Triangle {
    /// L x = b.
    Lower,
    /// U x = b.
    Upper,
    /// L' x = b, L given.
    LowerTransposed,
    /// U' x = b, U given.
    UpperTransposed,
}

/// A decomposition in 32 bits of one that was made in 64.
pub fn banded_narrow(of: &Banded<f64>) -> Banded<f32> {
    banded::narrow(of)
}

macro_rules! real {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ident: $kind:ty),*) $(-> $result:ty)? = $at:path;)*) => {
        /// The two widths of real numbers, and what can be done with matrices of them.
        pub trait Real: Copy + PartialOrd + Send + Sync + 'static {
            $($(#[$doc])* fn $name($($argument: $kind),*) $(-> $result)?;)*
        }

        impl Real for f32 {
            $(fn $name($($argument: $kind),*) $(-> $result)? { $at($($argument),*) })*
        }

        impl Real for f64 {
            $(fn $name($($argument: $kind),*) $(-> $result)? { $at($($argument),*) })*
        }
    };
}

real! {
    /// Eigenvalues and eigenvectors of a symmetric matrix; only its lower triangle is read.
    ///
    /// # Shapes
    /// `a`: n x n.
    ///
    /// # Errors
    /// [`Failure`].
    fn eigh(a: &[Self], n: usize) -> Result<Eigh<Self>, Failure> = eigen::eigh;
    /// Eigenvalues of a symmetric matrix, ascending; a third of the time of [`Real::eigh`].
    ///
    /// # Errors
    /// [`Failure`].
    fn eigvalsh(a: &[Self], n: usize) -> Result<Vec<Self>, Failure> = eigen::eigvalsh;
    /// A symmetric matrix as Q B Q', Q orthogonal and B block tridiagonal: for (A + shift)^-1 at
    /// many shifts, since Q serves all of them. Only the lower triangle is read.
    ///
    /// # Errors
    /// [`Failure::NotFinite`].
    fn banded(a: &[Self], n: usize) -> Result<Banded<Self>, Failure> = banded::banded;
    /// Replaces b, n x n_rhs, by Q' b.
    fn banded_rotate(of: &Banded<Self>, b: &mut [Self], n_rhs: usize) = banded::rotate;
    /// Replaces b, n x n_rhs, by (B + shift)^-1 b; false, and b is of no use, when B + shift is not
    /// positive definite in this arithmetic.
    fn banded_solve(of: &Banded<Self>, shift: Self, b: &mut [Self], n_rhs: usize) -> bool = banded::solve;
    /// Replaces b, n x n_rhs, by Q b.
    fn banded_rotate_back(of: &Banded<Self>, b: &mut [Self], n_rhs: usize) = banded::rotate_back;
    /// Q, n x n.
    fn banded_q(of: &Banded<Self>) -> Vec<Self> = banded::q;
    /// Thin singular value decomposition.
    ///
    /// # Shapes
    /// `a`: n_rows x n_cols.
    ///
    /// # Errors
    /// [`Failure`].
    fn svd(a: &[Self], shape: Shape) -> Result<Svd<Self>, Failure> = singular::svd;
    /// L of A = L L', n x n with zeros above the diagonal; `None` when A is not positive definite
    /// in this arithmetic. Only the lower triangle is read.
    fn cholesky(a: &[Self], n: usize) -> Option<Vec<Self>> = cholesky::factor;
    /// Replaces b by A^-1 b, A = L L'.
    ///
    /// # Shapes
    /// `l`: n x n of [`Real::cholesky`]; `b`: n x n_rhs.
    fn cho_solve(l: &[Self], n: usize, b: &mut [Self], n_rhs: usize) = cholesky::solve;
    /// log det A = 2 sum log L_ii.
    fn cho_log_det(l: &[Self], n: usize) -> Self = cholesky::log_det;
    /// A^-1, n x n, symmetric to the bit. Systems are better solved by [`Real::cho_solve`].
    fn cho_inverse(l: &[Self], n: usize) -> Vec<Self> = cholesky::inverse;
    /// Thin QR decomposition by Householder's reflections. NaN gives NaN.
    ///
    /// # Shapes
    /// `a`: n_rows x n_cols.
    fn qr(a: &[Self], shape: Shape) -> Qr<Self> = qr::qr;
    /// Thin QR decomposition with pivoted columns, which shows the rank. NaN gives NaN.
    fn qr_pivoted(a: &[Self], shape: Shape, tolerance: Self) -> PivotedQr<Self> = qr::qr_pivoted;
    /// Replaces b by the solution of a triangular system; a zero on the diagonal gives infinities.
    ///
    /// # Shapes
    /// `a`: n x n; `b`: n x n_rhs.
    fn solve_triangular(a: &[Self], n: usize, which: Triangle, b: &mut [Self], n_rhs: usize) = triangular::solve;
    /// Least squares by the singular value decomposition: singular values up to `tolerance` times
    /// the largest are zero (`numpy.linalg.lstsq`'s `rcond`).
    ///
    /// # Shapes
    /// `a`: n_rows x n_cols; `b`: n_rows x n_rhs.
    ///
    /// # Errors
    /// [`Failure`].
    fn lstsq(a: &[Self], shape: Shape, b: &[Self], n_rhs: usize, tolerance: Self) -> Result<Lstsq<Self>, Failure>
        = least_squares::lstsq;
}
