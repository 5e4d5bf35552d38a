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
}
