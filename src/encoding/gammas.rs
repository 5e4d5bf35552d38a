//! Weights of feature spaces to try.

use crate::error::{Error, Result};
use crate::rng::{self, Stream};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

/// Candidates: weights of the feature spaces that add up to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gammas {
    /// `n_iter` draws: equal weights first, then Dirichlet's distribution with each concentration in
    /// turn (himalaya's `n_iter=100, concentration=[0.1, 1.0]`), draw i from
    /// `rng::stream(seed, "gammas", i)`.
    Random { n_iter: usize, concentration: Vec<f64>, seed: u64 },
    /// These, one row a candidate (himalaya's array for `n_iter`): its own draws give its numbers.
    Given(Vec<Vec<f64>>),
}

impl Default for Gammas {
    fn default() -> Self {
        Self::Random { n_iter: 100, concentration: vec![0.1, 1.0], seed: 0 }
    }
}

impl Gammas {
    /// Candidates x spaces.
    ///
    /// # Errors
    /// [`Error::Invalid`] for no candidate, rows of another length, weights that are negative, no
    /// numbers or all zero, concentrations that are not positive.
    pub fn candidates(&self, n_spaces: usize) -> Result<Array2<f64>> {
        let rows = match self {
            Self::Given(rows) => rows.clone(),
            Self::Random { n_iter, concentration, seed } => {
                if concentration.is_empty() || concentration.iter().any(|c| c.is_nan() || *c <= 0.0) {
                    let found = format!("{concentration:?}");
                    return Err(Error::invalid("concentration", "positive numbers", found, "0.1 and 1 are usual"));
                }
                let draw = |i: usize| match i {
                    0 => vec![1.0 / n_spaces as f64; n_spaces],
                    _ => {
                        let mut stream = rng::stream(*seed, "gammas", i as u64);
                        dirichlet(concentration[i % concentration.len()], n_spaces, &mut stream)
                    }
                };
                (0..*n_iter).map(draw).collect()
            }
        };
        let usable = |row: &Vec<f64>| {
            row.len() == n_spaces && row.iter().all(|v| v.is_finite() && *v >= 0.0) && row.iter().any(|v| *v > 0.0)
        };
        if rows.is_empty() || n_spaces == 0 || !rows.iter().all(usable) {
            let bad = rows.iter().position(|row| !usable(row));
            let found = bad.map_or("none".into(), |row| format!("candidate {row}: {:?}", rows[row]));
            let expected = format!("candidates of {n_spaces} weights each, not negative and not all zero");
            return Err(Error::invalid("gammas", expected, found, "one row a candidate, one column a feature space"));
        }
        let flat = rows.concat();
        Ok(Array2::from_shape_vec((rows.len(), n_spaces), flat).expect("rows of one length"))
    }
}

/// Gamma variates of one shape, divided by their sum; in logarithms, since those of small shapes
/// underflow.
fn dirichlet(concentration: f64, n: usize, stream: &mut Stream) -> Vec<f64> {
    if concentration.is_infinite() {
        return vec![1.0 / n as f64; n];
    }
    let logs: Vec<f64> = (0..n).map(|_| ln_gamma_variate(concentration, stream)).collect();
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logs.iter().map(|l| (l - largest).exp()).sum();
    logs.iter().map(|l| (l - largest).exp() / sum).collect()
}

/// Logarithm of a gamma variate: Marsaglia and Tsang, ACM Trans. Math. Softw. 26:363 (2000); shapes
/// below 1 through shape + 1.
fn ln_gamma_variate(shape: f64, stream: &mut Stream) -> f64 {
    if shape < 1.0 {
        let boost = (1.0 - stream.uniform()).ln() / shape;
        return ln_gamma_variate(shape + 1.0, stream) + boost;
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let z = stream.normal();
        let v = (1.0 + c * z).powi(3);
        if v > 0.0 && (1.0 - stream.uniform()).ln() < 0.5 * z * z + d - d * v + d * v.ln() {
            return d.ln() + v.ln();
        }
    }
}
