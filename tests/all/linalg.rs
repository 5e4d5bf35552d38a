//! Linear algebra against NumPy and SciPy (`tests/golden/linalg.py`), in 64 bits and in 32.

use crate::support::near;
use ndarray::{Array2, ArrayView2, Ix2, array};
use orthoscope::io::npz::{self, Npz};
use orthoscope::math::linalg::*;
use std::path::Path;

fn golden() -> Npz {
    npz::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/linalg.npz")).unwrap()
}

fn matrix(golden: &Npz, name: &str) -> Array2<f64> {
    golden.get::<f64>(name).unwrap().into_dimensionality::<Ix2>().unwrap()
}

fn vector(golden: &Npz, name: &str) -> Vec<f64> {
    golden.get::<f64>(name).unwrap().iter().copied().collect()
}

/// In 32 bits.
fn single(a: &Array2<f64>) -> Array2<f32> {
    a.mapv(|v| v as f32)
}

fn double(a: ArrayView2<'_, f32>) -> Array2<f64> {
    a.mapv(f64::from)
}

#[test]
fn eigenvalues_equal_numpy() {
    let golden = golden();
    for name in ["full", "indefinite", "hilbert", "deficient", "repeated"] {
        let a = matrix(&golden, &format!("eigh_{name}"));
        let expected = vector(&golden, &format!("eigh_{name}_values"));
        let (values, vectors) = eigh(a.view()).unwrap();
        near(values.iter().copied(), &expected, 1e-14, name);
        near(eigvalsh(a.view()).unwrap(), &expected, 1e-14, name);
        near(vectors.dot(&Array2::from_diag(&values)).dot(&vectors.t()), &a, 1e-14, name);
        let (narrow, _) = eigh(single(&a).view()).unwrap();
        near(narrow.iter().map(|&v| f64::from(v)), &expected, 1e-6, name);
        if name == "repeated" {
            let top = vectors.slice(ndarray::s![.., 5..]);
            near(top.dot(&top.t()), &matrix(&golden, "eigh_repeated_top"), 1e-14, "the space of equal eigenvalues");
        }
    }
}

#[test]
fn singular_values_and_least_squares_equal_numpy() {
    let golden = golden();
    for name in ["tall", "wide", "deficient", "ill"] {
        let get = |part: &str| matrix(&golden, &format!("svd_{name}{part}"));
        let (a, b, s) = (get(""), get("_b"), vector(&golden, &format!("svd_{name}_s")));
        let found = svd(a.view()).unwrap();
        near(found.s.iter().copied(), &s, 1e-14, name);
        near(found.u.dot(&Array2::from_diag(&found.s)).dot(&found.vt), &a, 1e-14, name);
        near(svd(single(&a).view()).unwrap().s.iter().map(|&v| f64::from(v)), &s, 1e-6, name);
        let rank = golden.get::<i64>(&format!("svd_{name}_rank")).unwrap().sum() as usize;
        let (x, found_rank) = lstsq(a.view(), b.view(), 1e-7).unwrap();
        assert_eq!(found_rank, rank, "{name}");
        // The condition number of what is kept, 1e6 for `ill`, times the rounding.
        near(x, &get("_x"), if name == "ill" { 1e-9 } else { 1e-13 }, name);
        if name != "ill" {
            let (x, found_rank) = lstsq(single(&a).view(), single(&b).view(), 1e-5).unwrap();
            assert_eq!(found_rank, rank, "{name} in 32 bits");
            near(double(x.view()), &get("_x"), 1e-5, name);
        }
    }
    let basis = column_basis(matrix(&golden, "svd_deficient").view(), 1e-7);
    assert_eq!(basis.dim(), (9, 3));
    near(basis.dot(&basis.t()), &matrix(&golden, "basis"), 1e-13, "column space");
    assert_eq!(column_basis(Array2::<f64>::zeros((4, 2)).view(), 1e-7).dim(), (4, 0));
}

#[test]
fn factors_and_solutions_equal_scipy() {
    let golden = golden();
    let (q, r) = qr(matrix(&golden, "svd_tall").view());
    near(q, &matrix(&golden, "qr_q"), 1e-14, "Q");
    near(r, &matrix(&golden, "qr_r"), 1e-14, "R");
    let (a, b) = (matrix(&golden, "eigh_full"), matrix(&golden, "cholesky_b"));
    let factor = Cholesky::new(a.view()).unwrap();
    near(factor.lower().iter().copied(), &matrix(&golden, "cholesky_lower"), 1e-14, "L");
    near([factor.log_det()], &vector(&golden, "cholesky_log_det"), 1e-14, "log det");
    near(factor.solve(b.view()), &matrix(&golden, "cholesky_solution"), 1e-12, "A^-1 B");
    let first = factor.solve_vector(&b.column(0).to_vec());
    near(first, matrix(&golden, "cholesky_solution").column(0), 1e-12, "A^-1 b");
    near(factor.inverse(), &matrix(&golden, "cholesky_inverse"), 1e-12, "A^-1");
    let narrow = Cholesky::new(single(&a).view()).unwrap().solve(single(&b).view());
    near(double(narrow.view()), &matrix(&golden, "cholesky_solution"), 1e-4, "A^-1 B in 32 bits");
    let (lower, upper) = (factor.lower().to_owned(), factor.lower().t().to_owned());
    for (of, which, name) in [
        (&lower, Triangle::Lower, "lower"),
        (&lower, Triangle::LowerTransposed, "lower_transposed"),
        (&upper, Triangle::Upper, "upper"),
        (&upper, Triangle::UpperTransposed, "upper_transposed"),
    ] {
        let found = solve_triangular(of.view(), which, b.view());
        near(found, &matrix(&golden, &format!("triangular_{name}")), 1e-12, name);
    }
}

/// By hand: det = 4 (15 - 1) - 2 (6 - 0.6) + 0.6 (2 - 3) = 44.6.
#[test]
fn a_matrix_that_cannot_be_decomposed_is_said() {
    let a = array![[4.0, 2.0, 0.6], [2.0, 5.0, 1.0], [0.6, 1.0, 3.0]];
    assert!((Cholesky::new(a.view()).unwrap().log_det() - 44.6f64.ln()).abs() < 1e-14);
    assert!(Cholesky::new(array![[1.0, 2.0], [2.0, 1.0]].view()).is_none());
    assert!(Cholesky::new(array![[f64::NAN]].view()).is_none());
    let message = eigh(array![[1.0, 0.0], [f64::NAN, 1.0]].view()).unwrap_err().to_string();
    assert!(message.contains("2 x 2") && message.contains("NaN"), "{message}");
    assert!(svd(array![[f32::INFINITY]].view()).is_err());
    assert!(lstsq(a.view(), array![[1.0]].view(), 0.0).unwrap_err().to_string().contains("3 and 1"));
}
