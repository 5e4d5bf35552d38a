//! Small dense linear algebra (L x L with L the number of layers).

use ndarray::Array2;

/// `log det A` and `A^-1` of a symmetric positive definite matrix, by Cholesky; `None` when it is not.
pub fn log_det_inverse(a: &Array2<f64>) -> Option<(f64, Array2<f64>)> {
    let n = a.nrows();
    let mut factor = Array2::<f64>::zeros((n, n));
    for j in 0..n {
        for i in j..n {
            let dot: f64 = (0..j).map(|k| factor[[i, k]] * factor[[j, k]]).sum();
            let rest = a[[i, j]] - dot;
            factor[[i, j]] = if i > j {
                rest / factor[[j, j]]
            } else if rest > 0.0 {
                rest.sqrt()
            } else {
                return None;
            };
        }
    }
    let log_det = 2.0 * factor.diag().iter().map(|d| d.ln()).sum::<f64>();
    let mut inverse = Array2::<f64>::eye(n);
    for mut column in inverse.columns_mut() {
        for i in 0..n {
            let dot: f64 = (0..i).map(|k| factor[[i, k]] * column[k]).sum();
            column[i] = (column[i] - dot) / factor[[i, i]];
        }
        for i in (0..n).rev() {
            let dot: f64 = (i + 1..n).map(|k| factor[[k, i]] * column[k]).sum();
            column[i] = (column[i] - dot) / factor[[i, i]];
        }
    }
    Some((log_det, inverse))
}

/// Eigenvalues (ascending) and eigenvectors (columns) of a symmetric matrix, by Jacobi's rotations.
///
/// # Source
/// Golub and Van Loan, Matrix Computations, 8.5 (cyclic Jacobi).
pub fn symmetric_eigen(a: &Array2<f64>) -> (Vec<f64>, Array2<f64>) {
    let n = a.nrows();
    let mut a = a.clone();
    let mut vectors = Array2::<f64>::eye(n);
    for _ in 0..MOST_SWEEPS {
        let off: f64 = (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).map(|at| a[at] * a[at]).sum();
        let scale: f64 = a.diag().iter().map(|d| d * d).sum();
        if off <= 1e-30 * scale {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut a, &mut vectors, p, q);
            }
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| a[[i, i]].total_cmp(&a[[j, j]]));
    (order.iter().map(|&i| a[[i, i]]).collect(), vectors.select(ndarray::Axis(1), &order))
}

/// Jacobi converges quadratically: a dozen sweeps are plenty for matrices of layers.
const MOST_SWEEPS: usize = 60;

/// Makes a[p, q] zero.
fn rotate(a: &mut Array2<f64>, vectors: &mut Array2<f64>, p: usize, q: usize) {
    if a[[p, q]] == 0.0 {
        return;
    }
    let theta = (a[[q, q]] - a[[p, p]]) / (2.0 * a[[p, q]]);
    let sign = if theta < 0.0 { -1.0 } else { 1.0 };
    let t = sign / (theta.abs() + (theta * theta + 1.0).sqrt());
    let c = 1.0 / (t * t + 1.0).sqrt();
    let s = t * c;
    let turn = |x: f64, y: f64| (c * x - s * y, s * x + c * y);
    for k in 0..a.nrows() {
        (a[[k, p]], a[[k, q]]) = turn(a[[k, p]], a[[k, q]]);
    }
    for k in 0..a.nrows() {
        (a[[p, k]], a[[q, k]]) = turn(a[[p, k]], a[[q, k]]);
        (vectors[[k, p]], vectors[[k, q]]) = turn(vectors[[k, p]], vectors[[k, q]]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn inverse_and_determinant_of_a_known_matrix() {
        let a = array![[4.0, 2.0, 0.6], [2.0, 5.0, 1.0], [0.6, 1.0, 3.0]];
        let (log_det, inverse) = log_det_inverse(&a).unwrap();
        // det = 4 (15 - 1) - 2 (6 - 0.6) + 0.6 (2 - 3) = 56 - 10.8 - 0.6
        assert!((log_det - 44.6f64.ln()).abs() < 1e-12);
        let product = a.dot(&inverse);
        assert!((&product - &Array2::<f64>::eye(3)).iter().all(|d| d.abs() < 1e-12));
        assert!(log_det_inverse(&array![[1.0, 2.0], [2.0, 1.0]]).is_none());
    }

    #[test]
    fn eigenvectors_rebuild_their_matrix() {
        let a = array![[4.0, 2.0, 0.6], [2.0, 5.0, 1.0], [0.6, 1.0, 3.0]];
        let (values, vectors) = symmetric_eigen(&a);
        let back = vectors.dot(&Array2::from_diag(&ndarray::arr1(&values))).dot(&vectors.t());
        assert!((&back - &a).iter().all(|d| d.abs() < 1e-12));
        assert!(values.is_sorted() && (values.iter().sum::<f64>() - 12.0).abs() < 1e-12, "the trace");
    }
}
