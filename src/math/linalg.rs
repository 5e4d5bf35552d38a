//! Dense linear algebra on ndarray, in 32 and 64 bits: [`orthoscope_linalg`]'s, with arrays for
//! slices.
//!
//! Names and conventions are NumPy's and SciPy's. Everything runs on the calling thread.

use crate::error::{Error, Result};
use ndarray::{Array1, Array2, ArrayView2, Axis, Slice};
use orthoscope_linalg::{Failure, Shape};

pub use orthoscope_linalg::{Real, Triangle};

/// Eigenvalues (n, ascending) and eigenvectors (n x n, orthonormal columns, each of arbitrary sign)
/// of a symmetric matrix, of which the lower triangle is read.
///
/// # Errors
/// [`Error::Invalid`] when the matrix holds NaN or infinity.
pub fn eigh<T: Real>(a: ArrayView2<'_, T>) -> Result<(Array1<T>, Array2<T>)> {
    let n = side(&a);
    let found = T::eigh(&values(a), n).map_err(|f| failed("eigenvalues", n, n, f))?;
    Ok((found.values.into(), matrix(found.vectors, (n, n))))
}

/// Eigenvalues alone, ascending.
///
/// # Errors
/// As [`eigh`].
pub fn eigvalsh<T: Real>(a: ArrayView2<'_, T>) -> Result<Array1<T>> {
    let n = side(&a);
    Ok(T::eigvalsh(&values(a), n).map_err(|f| failed("eigenvalues", n, n, f))?.into())
}

/// A symmetric matrix as Q B Q', Q orthogonal and B block tridiagonal: for (A + shift)^-1 at many
/// shifts, in a fraction of the time of eigenvectors.
#[derive(Debug, Clone)]
pub struct Banded<T> {
    n: usize,
    found: orthoscope_linalg::Banded<T>,
}

impl<T: Real> Banded<T> {
    /// Of a matrix, of which the lower triangle is read.
    ///
    /// # Errors
    /// As [`eigh`].
    pub fn new(a: ArrayView2<'_, T>) -> Result<Self> {
        let n = side(&a);
        let found = T::banded(&values(a), n).map_err(|f| failed("a banded form", n, n, f))?;
        Ok(Self { n, found })
    }

    /// Q' b.
    ///
    /// # Panics
    /// Here and below, when `b` is not n x n_rhs.
    pub fn rotate(&self, b: ArrayView2<'_, T>) -> Array2<T> {
        self.changed(b, |b, n_rhs| T::banded_rotate(&self.found, b, n_rhs))
    }

    /// Q b.
    pub fn rotate_back(&self, b: ArrayView2<'_, T>) -> Array2<T> {
        self.changed(b, |b, n_rhs| T::banded_rotate_back(&self.found, b, n_rhs))
    }

    /// (B + shift)^-1 b; `None` when B + shift is not positive definite.
    pub fn solve(&self, shift: T, b: ArrayView2<'_, T>) -> Option<Array2<T>> {
        let mut solved = false;
        let x = self.changed(b, |b, n_rhs| solved = T::banded_solve(&self.found, shift, b, n_rhs));
        solved.then_some(x)
    }

    fn changed(&self, b: ArrayView2<'_, T>, change: impl FnOnce(&mut [T], usize)) -> Array2<T> {
        assert_eq!(b.nrows(), self.n, "rows of a right-hand side");
        let (mut x, n_rhs) = (values(b), b.ncols());
        change(&mut x, n_rhs);
        matrix(x, (self.n, n_rhs))
    }
}

impl Banded<f64> {
    /// Q in 32 bits, n x n, in a third of the time of 64.
    pub fn q_f32(&self) -> Array2<f32> {
        matrix(f32::banded_q(&orthoscope_linalg::banded_narrow(&self.found)), (self.n, self.n))
    }
}

/// A = U diag(s) V', thin.
#[derive(Debug, Clone, PartialEq)]
pub struct Svd<T> {
    /// n_rows x k, k = min(n_rows, n_cols).
    pub u: Array2<T>,
    /// k, descending.
    pub s: Array1<T>,
    /// k x n_cols.
    pub vt: Array2<T>,
}

/// Thin singular value decomposition.
///
/// # Errors
/// As [`eigh`].
pub fn svd<T: Real>(a: ArrayView2<'_, T>) -> Result<Svd<T>> {
    let (m, n) = a.dim();
    let found = T::svd(&values(a), (m, n)).map_err(|f| failed("singular values", m, n, f))?;
    let k = m.min(n);
    Ok(Svd { u: matrix(found.u, (m, k)), s: found.s.into(), vt: matrix(found.vt, (k, n)) })
}

/// A = Q R, thin: `q` n_rows x k with orthonormal columns, `r` k x n_cols upper triangular with a
/// diagonal that is not negative, k = min(n_rows, n_cols). R_jj is about 0 at the first column that
/// is a combination of those before it. NaN gives NaN.
pub fn qr<T: Real>(a: ArrayView2<'_, T>) -> (Array2<T>, Array2<T>) {
    let (m, n) = a.dim();
    let found = T::qr(&values(a), (m, n));
    let k = m.min(n);
    (matrix(found.q, (m, k)), matrix(found.r, (k, n)))
}

/// An orthonormal basis of the columns of a matrix, n_rows x rank: QR with pivoted columns,
/// diagonal entries up to `tolerance` times the first being zero.
pub fn column_basis<T: Real>(a: ArrayView2<'_, T>, tolerance: T) -> Array2<T> {
    let (m, n) = a.dim();
    let found = T::qr_pivoted(&values(a), (m, n), tolerance);
    let rank = found.rank;
    let mut basis = matrix(found.q, (m, m.min(n)));
    basis.slice_axis_inplace(Axis(1), Slice::from(..rank));
    basis
}

/// The X of least norm that minimises |A X - B|, and the rank of A: singular values up to
/// `tolerance` times the largest are zero.
///
/// # Shapes
/// `a`: n_rows x n_cols; `b`: n_rows x n_rhs; X: n_cols x n_rhs.
///
/// # Errors
/// As [`eigh`]; also when the numbers of rows differ.
pub fn lstsq<T: Real>(a: ArrayView2<'_, T>, b: ArrayView2<'_, T>, tolerance: T) -> Result<(Array2<T>, usize)> {
    let ((m, n), n_rhs) = (a.dim(), b.ncols());
    if b.nrows() != m {
        let found = format!("{m} and {}", b.nrows());
        return Err(Error::invalid("least squares", "as many rows left and right", found, ""));
    }
    let found = T::lstsq(&values(a), (m, n), &values(b), n_rhs, tolerance);
    let found = found.map_err(|f| failed("least squares", m, n, f))?;
    Ok((matrix(found.x, (n, n_rhs)), found.rank))
}

/// Solves a triangular system with many right-hand sides.
///
/// # Panics
/// When `a` is not n x n or `b` not n x n_rhs.
pub fn solve_triangular<T: Real>(a: ArrayView2<'_, T>, which: Triangle, b: ArrayView2<'_, T>) -> Array2<T> {
    let (n, n_rhs) = b.dim();
    let mut x = values(b);
    T::solve_triangular(&values(a), n, which, &mut x, n_rhs);
    matrix(x, (n, n_rhs))
}

/// A = L L' of a symmetric positive definite matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct Cholesky<T> {
    n: usize,
    l: Vec<T>,
}

impl<T: Real> Cholesky<T> {
    /// `None` when the matrix, of which the lower triangle is read, is not positive definite.
    pub fn new(a: ArrayView2<'_, T>) -> Option<Self> {
        let n = side(&a);
        Some(Self { n, l: T::cholesky(&values(a), n)? })
    }

    /// log det A.
    pub fn log_det(&self) -> T {
        T::cho_log_det(&self.l, self.n)
    }

    /// A^-1 B.
    ///
    /// # Panics
    /// When B has another number of rows.
    pub fn solve(&self, b: ArrayView2<'_, T>) -> Array2<T> {
        let (shape, mut x) = (b.dim(), values(b));
        T::cho_solve(&self.l, self.n, &mut x, shape.1);
        matrix(x, shape)
    }

    /// A^-1 b.
    ///
    /// # Panics
    /// When b has another length.
    pub fn solve_vector(&self, b: &[T]) -> Vec<T> {
        let mut x = b.to_vec();
        T::cho_solve(&self.l, self.n, &mut x, 1);
        x
    }

    /// A^-1, where its entries themselves are wanted.
    pub fn inverse(&self) -> Array2<T> {
        matrix(T::cho_inverse(&self.l, self.n), (self.n, self.n))
    }

    /// L.
    pub fn lower(&self) -> ArrayView2<'_, T> {
        ArrayView2::from_shape((self.n, self.n), &self.l).expect("n x n numbers")
    }
}

/// Row by row.
fn values<T: Real>(a: ArrayView2<'_, T>) -> Vec<T> {
    a.iter().copied().collect()
}

fn matrix<T>(values: Vec<T>, shape: Shape) -> Array2<T> {
    Array2::from_shape_vec(shape, values).expect("as many numbers as the shape says")
}

fn side<T>(a: &ArrayView2<'_, T>) -> usize {
    assert_eq!(a.nrows(), a.ncols(), "rows and columns of a symmetric matrix");
    a.nrows()
}

fn failed(what: &str, n_rows: usize, n_cols: usize, failure: Failure) -> Error {
    let found = format!("a {n_rows} x {n_cols} matrix where {failure}");
    Error::invalid(what, "a matrix that can be decomposed", found, "check the input for values that are not numbers")
}
