//! Properties of every decomposition, in both widths. Values of other programs:
//! `tests/all/linalg.rs` of the package above.

use crate::{Failure, Real, Triangle};

/// What the tests need beyond [`Real`].
trait Tested: Real + std::fmt::Debug {
    /// Of the arithmetic.
    const EPSILON: f64;
    fn of(v: f64) -> Self;
    fn f64(self) -> f64;
}

impl Tested for f32 {
    const EPSILON: f64 = f32::EPSILON as f64;
    fn of(v: f64) -> Self {
        v as f32
    }
    fn f64(self) -> f64 {
        f64::from(self)
    }
}

impl Tested for f64 {
    const EPSILON: f64 = f64::EPSILON;
    fn of(v: f64) -> Self {
        v
    }
    fn f64(self) -> f64 {
        self
    }
}

/// Row-major product of m x k and k x n.
fn product(a: &[f64], b: &[f64], (m, k, n): (usize, usize, usize)) -> Vec<f64> {
    let at = |i: usize, j: usize| (0..k).map(|l| a[i * k + l] * b[l * n + j]).sum();
    (0..m).flat_map(|i| (0..n).map(move |j| (i, j))).map(|(i, j)| at(i, j)).collect()
}

fn transposed(a: &[f64], (m, n): (usize, usize)) -> Vec<f64> {
    (0..n).flat_map(|j| (0..m).map(move |i| a[i * n + j])).collect()
}

fn wide<T: Tested>(a: &[T]) -> Vec<f64> {
    a.iter().map(|v| v.f64()).collect()
}

fn narrow<T: Tested>(a: &[f64]) -> Vec<T> {
    a.iter().map(|&v| T::of(v)).collect()
}

/// Largest absolute value; NaN when there is one.
fn largest(a: &[f64]) -> f64 {
    a.iter().fold(0.0, |m: f64, v| if v.abs() <= m { m } else { v.abs() })
}

/// Largest difference, relative to the largest entry of `b` (or 1e-300).
fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let difference: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    largest(&difference) / largest(b).max(1e-300)
}

/// |Q' Q - I| of orthonormal columns.
fn skew(q: &[f64], (m, k): (usize, usize)) -> f64 {
    let mut gram = product(&transposed(q, (m, k)), q, (k, m, k));
    (0..k).for_each(|i| gram[i * k + i] -= 1.0);
    largest(&gram)
}

fn random(n: usize, seed: u32) -> Vec<f64> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 8) / f64::from(1 << 23) - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// B B' of a random n x rank matrix.
fn gram(n: usize, rank: usize, seed: u32) -> Vec<f64> {
    let b = random(n * rank, seed);
    product(&b, &transposed(&b, (n, rank)), (n, rank, n))
}

fn diagonal(values: &[f64]) -> Vec<f64> {
    let n = values.len();
    (0..n * n).map(|at| if at.is_multiple_of(n + 1) { values[at / (n + 1)] } else { 0.0 }).collect()
}

/// Symmetric matrices with their size: full, deficient, zero, equal and graded eigenvalues, extreme
/// scales.
fn symmetric_cases() -> Vec<(&'static str, Vec<f64>, usize)> {
    let hilbert = (0..100).map(|at| 1.0 / f64::from(at / 10 + at % 10 + 1)).collect();
    let graded: Vec<f64> = (0..12).map(|i| 10f64.powi(-2 * i)).collect();
    let scaled = |by: f64| gram(9, 9, 3).iter().map(|v| v * by).collect::<Vec<f64>>();
    vec![
        ("empty", vec![], 0),
        ("one number", vec![-3.0], 1),
        ("zero", vec![0.0; 25], 5),
        ("identity", diagonal(&[1.0; 40]), 40),
        ("two values", diagonal(&[2.0, 5.0, 2.0, 5.0, 2.0, 5.0]), 6),
        ("all ones", vec![1.0; 30 * 30], 30),
        ("random", gram(65, 65, 1), 65),
        ("rank 7 of 50", gram(50, 7, 2), 50),
        ("hilbert", hilbert, 10),
        ("graded", diagonal(&graded), 12),
        ("large", scaled(1e18), 9),
        ("small", scaled(1e-18), 9),
    ]
}

fn eigen_of<T: Tested>() {
    for (name, a, n) in symmetric_cases() {
        let (a, found) = (wide(&narrow::<T>(&a)), T::eigh(&narrow::<T>(&a), n).unwrap());
        let (values, v) = (wide(&found.values), wide(&found.vectors));
        let tolerance = 40.0 * T::EPSILON * (n as f64).sqrt().max(1.0);
        assert!(values.is_sorted(), "{name}");
        assert!(skew(&v, (n, n)) < tolerance, "{name}: orthonormal");
        let scaled = product(&v, &diagonal(&values), (n, n, n));
        assert!(distance(&product(&a, &v, (n, n, n)), &scaled) < tolerance, "{name}: A V = V diag");
        assert!(distance(&product(&scaled, &transposed(&v, (n, n)), (n, n, n)), &a) < tolerance, "{name}: rebuilt");
        let only = wide(&T::eigvalsh(&narrow::<T>(&a), n).unwrap());
        assert!(n == 0 || distance(&only, &values) < tolerance, "{name}: values alone");
    }
    let lower = T::eigh(&narrow(&[2.0, 99.0, 1.0, 2.0]), 2).unwrap();
    assert!(distance(&wide(&lower.values), &[1.0, 3.0]) < 4.0 * T::EPSILON, "the upper triangle is not read");
    for bad in [f64::NAN, f64::INFINITY] {
        assert_eq!(T::eigh(&narrow(&[1.0, 0.0, bad, 1.0]), 2), Err(Failure::NotFinite));
        assert_eq!(T::eigvalsh(&narrow(&[1.0, 0.0, bad, 1.0]), 2), Err(Failure::NotFinite));
        assert_eq!(T::svd(&narrow(&[1.0, bad]), (2, 1)), Err(Failure::NotFinite));
        assert_eq!(T::lstsq(&narrow(&[1.0]), (1, 1), &narrow(&[bad]), 1, T::of(0.0)), Err(Failure::NotFinite));
        assert_eq!(T::cholesky(&narrow(&[bad]), 1), None);
    }
}

#[test]
fn eigenvectors_rebuild_their_matrix() {
    eigen_of::<f32>();
    eigen_of::<f64>();
}

/// Rectangular matrices: tall, wide, square, deficient, without rows or columns.
/// Q is orthogonal, B = Q' A Q is block tridiagonal, systems with shifts are solved, in either width.
fn banded_of<T: Tested>() {
    let mut cases = symmetric_cases();
    cases.extend([(1, 33), (2, 64), (3, 65), (4, 97), (5, 130)].map(|(seed, n)| ("some blocks", gram(n, n, seed), n)));
    cases.push(("rank 5 of 130", gram(130, 5, 8), 130));
    for (name, a, n) in cases {
        let a: Vec<T> = narrow(&a);
        let found = T::banded(&a, n).unwrap();
        let (q, a) = (wide(&T::banded_q(&found)), wide(&a));
        let tolerance = 40.0 * T::EPSILON;
        assert!(skew(&q, (n, n)) < tolerance, "{name} {n}");
        let mut turned: Vec<T> = narrow(&a);
        T::banded_rotate(&found, &mut turned, n);
        let expected = product(&transposed(&q, (n, n)), &a, (n, n, n));
        assert!(distance(&wide(&turned), &expected) < tolerance, "{name} {n}: Q' A");
        let b = product(&expected, &q, (n, n, n));
        let far = (0..n * n).filter(|at| (at / n / 32).abs_diff(at % n / 32) > 1).map(|at| b[at]);
        assert!(largest(&far.collect::<Vec<_>>()) <= tolerance * largest(&a), "{name} {n}: beyond the blocks");
        T::banded_rotate_back(&found, &mut turned, n);
        assert!(distance(&wide(&turned), &a) < tolerance, "{name} {n}: there and back");
        let scale = largest(&a);
        let shift = 1.5 * n as f64 * if scale > 0.0 { scale } else { 1.0 };
        let mut x: Vec<T> = narrow(&random(n * 3, 9));
        let y = wide(&x);
        assert!(T::banded_solve(&found, T::of(shift), &mut x, 3), "{name} {n}");
        let mut again = product(&b, &wide(&x), (n, n, 3));
        again.iter_mut().zip(&x).for_each(|(v, x)| *v += shift * x.f64());
        assert!(distance(&again, &y) < 2.0 * tolerance, "{name} {n}: {}", distance(&again, &y));
    }
    let indefinite = T::banded(&narrow::<T>(&diagonal(&[1.0, -2.0])), 2).unwrap();
    assert!(!T::banded_solve(&indefinite, T::of(1.0), &mut [T::of(1.0); 2], 1));
    assert_eq!(T::banded(&[T::of(f64::NAN)], 1).unwrap_err(), Failure::NotFinite);
}

#[test]
fn banded_matrices_are_rebuilt_and_solved() {
    banded_of::<f32>();
    banded_of::<f64>();
}

fn rectangular_cases() -> Vec<(&'static str, Vec<f64>, (usize, usize))> {
    let low = product(&random(40 * 3, 4), &random(3 * 20, 5), (40, 3, 20));
    vec![
        ("tall", random(90 * 30, 1), (90, 30)),
        ("wide", random(12 * 50, 2), (12, 50)),
        ("square", random(33 * 33, 3), (33, 33)),
        ("rank 3", low.clone(), (40, 20)),
        ("rank 3, wide", transposed(&low, (40, 20)), (20, 40)),
        ("zero", vec![0.0; 12], (4, 3)),
        ("one number", vec![-2.0], (1, 1)),
        ("no rows", vec![], (0, 3)),
        ("no columns", vec![], (3, 0)),
    ]
}

fn rectangular_of<T: Tested>() {
    for (name, a, (m, n)) in rectangular_cases() {
        let (given, k) = (narrow::<T>(&a), m.min(n));
        let a = wide(&given);
        let tolerance = 60.0 * T::EPSILON * (m.max(n) as f64).sqrt().max(1.0);
        let found = T::svd(&given, (m, n)).unwrap();
        let (u, s, vt) = (wide(&found.u), wide(&found.s), wide(&found.vt));
        assert!(s.iter().rev().is_sorted() && s.iter().all(|s| *s >= 0.0), "{name}");
        assert!(skew(&u, (m, k)) < tolerance && skew(&transposed(&vt, (k, n)), (n, k)) < tolerance, "{name}");
        let back = product(&product(&u, &diagonal(&s), (m, k, k)), &vt, (m, k, n));
        assert!(distance(&back, &a) < tolerance, "{name}: U S V'");
        let plain = T::qr(&given, (m, n));
        let pivoted = T::qr_pivoted(&given, (m, n), T::of(1e-5));
        let permuted: Vec<f64> = (0..m * n).map(|at| a[at / n * n + pivoted.order[at % n]]).collect();
        for (q, r, original) in [(&plain.q, &plain.r, &a), (&pivoted.q, &pivoted.r, &permuted)] {
            let (q, r) = (wide(q), wide(r));
            assert!(skew(&q, (m, k)) < tolerance, "{name}: Q");
            assert!(distance(&product(&q, &r, (m, k, n)), original) < tolerance, "{name}: Q R");
            assert!((0..k).all(|i| r[i * n + i] >= 0.0 && (0..i).all(|j| r[i * n + j] == 0.0)), "{name}: R");
        }
        let rank = if name.starts_with("rank 3") {
            3
        } else if name == "zero" {
            0
        } else {
            k
        };
        assert_eq!(pivoted.rank, rank, "{name}");
        least_squares(name, &given, (m, n), rank, tolerance);
    }
}

/// The residual is orthogonal to the columns, the solution to what they do not reach.
fn least_squares<T: Tested>(name: &str, a: &[T], (m, n): (usize, usize), rank: usize, tolerance: f64) {
    let b = narrow::<T>(&random(m * 2, 9));
    let found = T::lstsq(a, (m, n), &b, 2, T::of(1e-5)).unwrap();
    assert_eq!(found.rank, rank, "{name}");
    let (a, x) = (wide(a), wide(&found.x));
    let fitted = product(&a, &x, (m, n, 2));
    let residual: Vec<f64> = b.iter().zip(&fitted).map(|(b, f)| b.f64() - f).collect();
    let normal = product(&transposed(&a, (m, n)), &residual, (n, m, 2));
    assert!(largest(&normal) < 10.0 * tolerance * largest(&a).max(1.0) * (m + 1) as f64, "{name}: A'(b - A x) = 0");
    // x lies in the row space: projecting it there changes nothing.
    let rows = T::svd(&narrow(&a), (m, n)).unwrap();
    let vt = wide(&rows.vt)[..rank * n].to_vec();
    let projected = product(&transposed(&vt, (rank, n)), &product(&vt, &x, (rank, n, 2)), (n, rank, 2));
    assert!(distance(&projected, &x) < 10.0 * tolerance, "{name}: least norm");
}

#[test]
fn rectangular_matrices_are_rebuilt() {
    rectangular_of::<f32>();
    rectangular_of::<f64>();
}

fn positive_definite_of<T: Tested>() {
    for n in [0, 1, 2, 7, 64, 130] {
        let mut a = gram(n, n + 5, 7);
        (0..n).for_each(|i| a[i * n + i] += 1.0);
        let given = narrow::<T>(&a);
        let a = wide(&given);
        let l = T::cholesky(&given, n).unwrap();
        let factor = wide(&l);
        let tolerance = 100.0 * T::EPSILON * (n as f64).max(1.0);
        assert!(distance(&product(&factor, &transposed(&factor, (n, n)), (n, n, n)), &a) < tolerance);
        assert!((0..n).all(|i| (i + 1..n).all(|j| factor[i * n + j] == 0.0)));
        let values = T::eigvalsh(&given, n).unwrap();
        let log_det: f64 = values.iter().map(|v| v.f64().ln()).sum();
        assert!((T::cho_log_det(&l, n).f64() - log_det).abs() < tolerance * log_det.abs().max(1.0));
        let b = narrow::<T>(&random(n * 3, 8));
        let mut x = b.clone();
        T::cho_solve(&l, n, &mut x, 3);
        let condition = values.last().map_or(1.0, |v| v.f64() / values[0].f64());
        assert!(distance(&product(&a, &wide(&x), (n, n, 3)), &wide(&b)) < tolerance * condition);
        let inverse = wide(&T::cho_inverse(&l, n));
        assert_eq!(inverse, transposed(&inverse, (n, n)));
        assert!(distance(&product(&a, &inverse, (n, n, n)), &diagonal(&vec![1.0; n])) < tolerance * condition);
        triangles::<T>(&l, n);
    }
    for (name, a, n) in symmetric_cases() {
        let definite = ["empty", "identity", "two values", "random", "graded", "large", "small", "hilbert"];
        let found = T::cholesky(&narrow::<T>(&a), n);
        if !definite.contains(&name) && name != "all ones" {
            assert!(found.is_none() || name.starts_with("rank"), "{name}");
        } else if !["hilbert", "all ones", "graded"].contains(&name) {
            assert!(found.is_some(), "{name}");
        }
    }
}

fn triangles<T: Tested>(l: &[T], n: usize) {
    let (lower, b) = (wide(l), narrow::<T>(&random(n * 2, 3)));
    let upper = transposed(&lower, (n, n));
    for (which, given, system) in [
        (Triangle::Lower, &lower, &lower),
        (Triangle::LowerTransposed, &lower, &upper),
        (Triangle::Upper, &upper, &upper),
        (Triangle::UpperTransposed, &upper, &lower),
    ] {
        let mut x = b.clone();
        T::solve_triangular(&narrow::<T>(given), n, which, &mut x, 2);
        let back = product(system, &wide(&x), (n, n, 2));
        assert!(distance(&back, &wide(&b)) < 1e3 * T::EPSILON * (n as f64).max(1.0), "{which:?} of {n}");
    }
}

#[test]
fn positive_definite_systems_are_solved() {
    positive_definite_of::<f32>();
    positive_definite_of::<f64>();
}

#[test]
#[should_panic(expected = "numbers of a 3 x 2 matrix")]
fn another_number_of_numbers_is_refused() {
    let _ = f64::svd(&[0.0; 5], (3, 2));
}
