//! Non-negative least squares on normal equations.

use crate::math::linalg::Cholesky;
use ndarray::Array2;

/// A gradient below this is zero: layers of unit norm.
const FLAT: f64 = 1e-12;

/// argmin over w >= 0 of w' K w - 2 w.c.
///
/// # Shapes
/// `gram`: n x n, symmetric, positive semi-definite; `cross`, result: n.
///
/// # Source
/// Lawson and Hanson, Solving Least Squares Problems (1974), chapter 23.
pub fn nnls(gram: &Array2<f64>, cross: &[f64]) -> Vec<f64> {
    let n = cross.len();
    let mut weights = vec![0.0; n];
    let mut passive: Vec<usize> = Vec::new();
    for _ in 0..3 * n + 10 {
        let gradient = |l: usize| cross[l] - (0..n).map(|m| gram[[l, m]] * weights[m]).sum::<f64>();
        let free = (0..n).filter(|l| !passive.contains(l)).map(|l| (l, gradient(l)));
        let Some((best, _)) = free.filter(|(_, g)| *g > FLAT).max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)))
        else {
            break;
        };
        passive.push(best);
        passive.sort_unstable();
        let Some(mut solution) = solve(gram, cross, &passive) else {
            // The layer is a combination of those already in: it adds nothing.
            break;
        };
        while solution.iter().any(|&s| s <= 0.0) {
            let step = passive
                .iter()
                .zip(&solution)
                .filter(|(_, s)| **s <= 0.0)
                .map(|(&l, s)| weights[l] / (weights[l] - s))
                .fold(f64::INFINITY, f64::min);
            passive.iter().zip(&solution).for_each(|(&l, s)| weights[l] += step * (s - weights[l]));
            passive.retain(|&l| weights[l] > FLAT);
            (0..n).filter(|l| !passive.contains(l)).for_each(|l| weights[l] = 0.0);
            solution = solve(gram, cross, &passive).unwrap_or_default();
        }
        weights.fill(0.0);
        passive.iter().zip(&solution).for_each(|(&l, &s)| weights[l] = s);
    }
    weights
}

fn solve(gram: &Array2<f64>, cross: &[f64], which: &[usize]) -> Option<Vec<f64>> {
    if which.is_empty() {
        return Some(vec![]);
    }
    let n = which.len();
    let block = Array2::from_shape_fn((n, n), |(i, j)| gram[[which[i], which[j]]]);
    let right: Vec<f64> = which.iter().map(|&l| cross[l]).collect();
    Some(Cholesky::new(block.view())?.solve_vector(&right))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use proptest::prelude::*;

    #[test]
    fn a_negative_weight_becomes_zero() {
        let gram = array![[1.0, 0.9], [0.9, 1.0]];
        let weights = nnls(&gram, &[0.8, 0.5]);
        assert_eq!(weights, [0.8, 0.0], "least squares would give -1.16 to the second");
        assert_eq!(nnls(&gram, &[-0.3, -0.2]), [0.0, 0.0]);
    }

    proptest! {
        #[test]
        fn the_optimality_conditions_hold(values in prop::collection::vec(-1.0f64..1.0, 48), target in prop::collection::vec(-1.0f64..1.0, 8)) {
            let v = Array2::from_shape_vec((6, 8), values).unwrap();
            let gram = v.dot(&v.t());
            let cross = v.dot(&ndarray::arr1(&target)).to_vec();
            let weights = nnls(&gram, &cross);
            for l in 0..6 {
                let gradient = cross[l] - gram.row(l).dot(&ndarray::arr1(&weights));
                prop_assert!(weights[l] >= 0.0);
                prop_assert!(if weights[l] > 0.0 { gradient.abs() < 1e-7 } else { gradient < 1e-7 }, "{gradient}");
            }
        }
    }
}
