use super::*;
use crate::io::npz::{self, Npz};
use ndarray::{Array2, Ix2};
use std::path::Path;

fn golden() -> Npz {
    npz::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/stats_distributions.npz")).unwrap()
}

fn rows(golden: &Npz, name: &str) -> Array2<f64> {
    golden.get::<f64>(name).unwrap().into_dimensionality::<Ix2>().unwrap()
}

fn close(found: f64, expected: f64, relative: f64, what: &str) {
    assert!((found - expected).abs() <= relative * expected.abs(), "{what}: {found:e} against {expected:e}");
}

/// SciPy 1.17.1's (tests/golden/stats_distributions.py), down to probabilities of 1e-300.
#[test]
fn distributions_equal_scipy() {
    let golden = golden();
    for row in rows(&golden, "t").outer_iter() {
        // SciPy's own digits: it differs from its incomplete beta function by 2e-12 at 1e5 degrees
        // of freedom.
        close(t_sf(row[0], row[1]), row[2], 3e-12, &format!("t > {} with {}", row[0], row[1]));
        close(t_sf(-row[0], row[1]), 1.0 - row[2], 1e-12, &format!("t > -{} with {}", row[0], row[1]));
    }
    for row in rows(&golden, "f").outer_iter() {
        close(f_sf(row[0], (row[1], row[2])), row[3], 1e-11, &format!("F > {} with {}, {}", row[0], row[1], row[2]));
    }
    for row in rows(&golden, "normal").outer_iter() {
        // The rounding of z / sqrt(2) alone is z^2 eps of exp(-z^2 / 2).
        close(norm_sf(row[0]), row[1], 1e-12, &format!("z > {}", row[0]));
    }
    for row in rows(&golden, "ln_gamma").outer_iter() {
        close(ln_gamma(row[0]), row[1], 1e-14, &format!("ln Gamma({})", row[0]));
    }
    for row in rows(&golden, "gamma_pdf").outer_iter() {
        close(gamma_pdf(row[0], row[1], row[2]), row[3], 1e-13, &format!("gamma {} {} {}", row[0], row[1], row[2]));
    }
    for row in rows(&golden, "t_isf").outer_iter() {
        close(t_isf(row[0], row[1]), row[2], 1e-12, &format!("t of {:e} with {}", row[0], row[1]));
    }
    for row in rows(&golden, "norm_isf").outer_iter() {
        close(norm_isf(row[0]), row[1], 1e-13, &format!("z of {:e}", row[0]));
    }
}

/// Exact: t with 2 degrees of freedom is (1 - t / sqrt(2 + t^2)) / 2, with 1 degree 1/2 - atan(t) /
/// pi; F(1, n) is the square of t.
#[test]
fn closed_forms_hold() {
    for t in [1e-9, 1e-3, 0.7, 30.0, 1e8] {
        close(t_sf(t, 2.0), 1.0 / ((2.0 + t * t).sqrt() * ((2.0 + t * t).sqrt() + t)), 1e-13, "2 degrees of freedom");
        close(t_sf(t, 1.0), (1.0 / t).atan() / std::f64::consts::PI, 1e-13, "1 degree of freedom");
        close(f_sf(t * t, (1.0, 7.0)), 2.0 * t_sf(t, 7.0), 1e-13, "F(1, 7)");
    }
    // ln Gamma(1 - e) = gamma e + pi^2 / 12 e^2 + .., where SciPy's own loses digits.
    let e = 1.0 - 0.999_999;
    let expected = 0.577_215_664_901_532_9 * e + std::f64::consts::PI.powi(2) / 12.0 * e * e;
    close(ln_gamma(0.999_999), expected, 1e-11, "ln Gamma near its zero");
    close(t_sf(1.5, 1e9), norm_sf(1.5), 1e-8, "many degrees of freedom");
    assert_eq!(t_sf(1.5, f64::INFINITY), norm_sf(1.5));
}

#[test]
fn what_is_undefined_is_nan() {
    assert_eq!((t_sf(0.0, 4.0), t_sf(f64::INFINITY, 3.0), t_sf(f64::NEG_INFINITY, 3.0)), (0.5, 0.0, 1.0));
    assert_eq!((f_sf(0.0, (2.0, 3.0)), f_sf(-1.0, (2.0, 3.0)), f_sf(f64::INFINITY, (2.0, 3.0))), (1.0, 1.0, 0.0));
    assert!(t_isf(0.0, 3.0).is_nan() && t_isf(1.0, 3.0).is_nan() && t_isf(0.1, 0.0).is_nan() && norm_isf(0.0).is_nan());
    assert!(t_sf(f64::NAN, 3.0).is_nan() && t_sf(1.0, 0.0).is_nan() && f_sf(1.0, (0.0, 3.0)).is_nan());
    assert!(ln_gamma(-1.0).is_nan() && ln_gamma(f64::NAN).is_nan() && gamma_pdf(-1.0, 2.0, 1.0) == 0.0);
    close(t_isf(0.975, 7.0), -t_isf(0.025, 7.0), 1e-13, "the lower tail");
}
