//! How well predictions match held-out responses, a number a target.
//!
//! Names and definitions are himalaya's. A target that is constant or not finite in the tested rows
//! scores 0 and is counted: scores are maps, and a map has a number everywhere.

use crate::error::{Error, Result};
use ndarray::{Array2, ArrayView2, ArrayView3, Axis};
use serde::{Deserialize, Serialize};

/// A score of every target.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Scores {
    /// n_targets.
    pub values: Vec<f64>,
    /// Targets that are one value in the tested rows: their score is 0.
    pub n_constant: usize,
    /// Targets with NaN or infinity, in responses or predictions: their score is 0.
    pub n_not_finite: usize,
}

/// The fewest samples that a correlation says something of: two always lie on a line.
pub const FEWEST: usize = 3;

impl Scores {
    /// No value for any target, where there are fewer than so many samples; else as they are.
    pub fn of_enough(self, n_samples: usize, least: usize) -> Self {
        if n_samples >= least { self } else { Self { values: vec![f64::NAN; self.values.len()], ..self } }
    }
}

/// Sums over samples of every target, each in 64 bits.
struct Moments {
    n: f64,
    y_mean: Vec<f64>,
    p_mean: Vec<f64>,
    /// Squared deviations from the mean, and their products.
    yy: Vec<f64>,
    pp: Vec<f64>,
    yp: Vec<f64>,
    /// Squared errors.
    error: Vec<f64>,
    finite: Vec<bool>,
}

impl Moments {
    fn of(y: ArrayView2<'_, f32>, p: ArrayView2<'_, f32>) -> Result<Self> {
        if y.dim() != p.dim() || y.nrows() == 0 {
            let (expected, found) = (format!("{:?} predictions, some", y.dim()), format!("{:?}", p.dim()));
            return Err(Error::invalid("scores", expected, found, "a prediction for every response"));
        }
        let (n, t) = (y.nrows() as f64, y.ncols());
        let mut m = Self {
            n,
            y_mean: vec![0.0; t],
            p_mean: vec![0.0; t],
            yy: vec![0.0; t],
            pp: vec![0.0; t],
            yp: vec![0.0; t],
            error: vec![0.0; t],
            finite: vec![true; t],
        };
        for (y, p) in y.rows().into_iter().zip(p.rows()) {
            for (i, (&y, &p)) in y.iter().zip(p).enumerate() {
                m.y_mean[i] += f64::from(y);
                m.p_mean[i] += f64::from(p);
            }
        }
        for i in 0..t {
            m.finite[i] = m.y_mean[i].is_finite() && m.p_mean[i].is_finite();
            m.y_mean[i] /= n;
            m.p_mean[i] /= n;
        }
        for (y, p) in y.rows().into_iter().zip(p.rows()) {
            for (i, (&y, &p)) in y.iter().zip(p).enumerate() {
                let (y, p) = (f64::from(y), f64::from(p));
                let (dy, dp) = (y - m.y_mean[i], p - m.p_mean[i]);
                m.yy[i] += dy * dy;
                m.pp[i] += dp * dp;
                m.yp[i] += dy * dp;
                m.error[i] += (y - p) * (y - p);
            }
        }
        Ok(m)
    }

    /// Whether squared deviations are what the rounding of a constant's mean leaves.
    fn constant(&self, squares: f64, mean: f64) -> bool {
        squares <= 1e-24 * self.n * mean * mean
    }

    fn scores(&self, score: impl Fn(usize) -> f64) -> Scores {
        let mut found = Scores { values: vec![0.0; self.yy.len()], ..Scores::default() };
        for i in 0..self.yy.len() {
            if !self.finite[i] {
                found.n_not_finite += 1;
            } else if self.constant(self.yy[i], self.y_mean[i]) {
                found.n_constant += 1;
            } else {
                found.values[i] = score(i);
            }
        }
        found
    }
}

/// Pearson's correlation of every target (himalaya's `correlation_score`); 0 where predictions do
/// not vary.
///
/// # Shapes
/// `y`, `predictions`: n_samples x n_targets.
///
/// # Errors
/// [`Error::Invalid`] for no samples or other shapes.
pub fn pearson(y: ArrayView2<'_, f32>, predictions: ArrayView2<'_, f32>) -> Result<Scores> {
    let m = Moments::of(y, predictions)?;
    Ok(m.scores(|i| match m.constant(m.pp[i], m.p_mean[i]) {
        true => 0.0,
        false => (m.yp[i] / (m.yy[i] * m.pp[i]).sqrt()).clamp(-1.0, 1.0),
    }))
}

/// `R2 = 1 - sum (y - p)^2 / sum (y - mean y)^2` of every target (himalaya's `r2_score`); negative
/// where the mean of the tested rows is the better prediction.
///
/// # Errors
/// As [`pearson`].
pub fn r2(y: ArrayView2<'_, f32>, predictions: ArrayView2<'_, f32>) -> Result<Scores> {
    let m = Moments::of(y, predictions)?;
    Ok(m.scores(|i| 1.0 - m.error[i] / m.yy[i]))
}

/// What each feature space adds to R2, by the product measure (himalaya's `r2_score_split`): with
/// p the sum of the spaces' predictions p_s, `sum_i (2 y p_s - p_s p) / sum_i y^2`. Sums over spaces
/// to the R2 of p where y has zero mean; y and every p_s have their own mean of the tested rows
/// taken off, when `centre`.
///
/// # Shapes
/// `y`: n_samples x n_targets; `parts`: n_spaces x n_samples x n_targets; the result: n_spaces x
/// n_targets.
///
/// # Errors
/// As [`pearson`].
pub fn r2_split(y: ArrayView2<'_, f32>, parts: ArrayView3<'_, f32>, centre: bool) -> Result<Array2<f64>> {
    split(y, parts, centre, |i, sums| {
        let total: f64 = sums.cross.iter().sum();
        (sums.yy > 0.0 && total.is_finite()).then(|| (2.0 * sums.yp[i] - sums.cross[i]) / sums.yy)
    })
}

/// What each feature space adds to Pearson's correlation (himalaya's `correlation_score_split`):
/// `cov(y, p_s) / (sd y sd p)`; sums over spaces to the correlation of their sum. Divided by that
/// sum it is the contribution of layers of Kamali et al. and of fwRF.
///
/// # Shapes
/// As [`r2_split`].
///
/// # Errors
/// As [`pearson`].
pub fn correlation_split(y: ArrayView2<'_, f32>, parts: ArrayView3<'_, f32>) -> Result<Array2<f64>> {
    split(y, parts, true, |i, sums| {
        let scale = (sums.yy * sums.cross.iter().sum::<f64>()).sqrt();
        (scale > 0.0).then(|| sums.yp[i] / scale)
    })
}

/// Sums over samples of one target.
struct Parts {
    yy: f64,
    /// y p_s.
    yp: Vec<f64>,
    /// p_s times the sum of all p.
    cross: Vec<f64>,
}

fn split(
    y: ArrayView2<'_, f32>,
    parts: ArrayView3<'_, f32>,
    centre: bool,
    score: impl Fn(usize, &Parts) -> Option<f64>,
) -> Result<Array2<f64>> {
    let (n_spaces, n, t) = parts.dim();
    if (n, t) != y.dim() || n == 0 {
        let (expected, found) = (format!("{:?} predictions of every space, some", y.dim()), format!("{:?}", (n, t)));
        return Err(Error::invalid("scores", expected, found, "a prediction for every response and space"));
    }
    let column = |values: ndarray::ArrayView1<'_, f32>| -> Vec<f64> {
        let mean = if centre { values.iter().map(|&v| f64::from(v)).sum::<f64>() / n as f64 } else { 0.0 };
        values.iter().map(|&v| f64::from(v) - mean).collect()
    };
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut found = Array2::zeros((n_spaces, t));
    for target in 0..t {
        let own = column(y.column(target));
        let of: Vec<Vec<f64>> = parts.outer_iter().map(|part| column(part.column(target))).collect();
        let mut total = vec![0.0; n];
        of.iter().for_each(|part| total.iter_mut().zip(part).for_each(|(sum, v)| *sum += v));
        let sums = Parts {
            yy: dot(&own, &own),
            yp: of.iter().map(|part| dot(&own, part)).collect(),
            cross: of.iter().map(|part| dot(part, &total)).collect(),
        };
        for space in 0..n_spaces {
            found[(space, target)] = score(space, &sums).unwrap_or(0.0);
        }
    }
    Ok(found)
}

/// Contributions of layers: a [`correlation_split`] divided by its sum, so that they add up to 1;
/// 0 where nothing is predicted.
pub fn contributions(split: ArrayView2<'_, f64>) -> Array2<f64> {
    let mut found = split.to_owned();
    for mut column in found.axis_iter_mut(Axis(1)) {
        let sum = column.sum();
        column.mapv_inplace(|v| if sum == 0.0 { 0.0 } else { v / sum });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn constant_and_missing_targets_score_zero_and_are_counted() {
        let y = array![[1.0, 0.1, f32::NAN, 1.0], [2.0, 0.1, 1.0, 2.0], [4.0, 0.1, 2.0, 3.0]];
        let p = array![[1.0, 1.0, 1.0, 5.0], [2.0, 2.0, 2.0, 5.0], [3.0, 3.0, 3.0, 5.0]];
        let r = pearson(y.view(), p.view()).unwrap();
        // By hand: deviations -4/3, -1/3, 5/3 and -1, 0, 1: 3 / sqrt(14/3 * 2).
        assert!((r.values[0] - 3.0 / (28f64 / 3.0).sqrt()).abs() < 1e-12);
        assert_eq!((&r.values[1..], r.n_constant, r.n_not_finite), (&[0.0; 3][..], 1, 1));
        let r2 = r2(y.view(), p.view()).unwrap();
        assert!((r2.values[0] - (1.0 - 3.0 / 14.0)).abs() < 1e-12 && (r2.values[3] + 13.5).abs() < 1e-12);
        assert!(
            pearson(y.view(), p.t()).is_err()
                && pearson(y.slice_axis(Axis(0), (0..0).into()), p.slice_axis(Axis(0), (0..0).into())).is_err()
        );
    }

    #[test]
    fn splits_add_up() {
        let mut stream = crate::rng::stream(3, "scores", 0);
        let mut draw =
            |shape: (usize, usize, usize)| ndarray::Array3::from_shape_simple_fn(shape, || stream.normal() as f32);
        let parts = draw((3, 50, 4));
        let y = draw((1, 50, 4)).index_axis_move(Axis(0), 0) + parts.index_axis(Axis(0), 0);
        let centred = |a: ArrayView2<'_, f32>| &a - &a.mean_axis(Axis(0)).unwrap();
        let (own, sum) = (centred(y.view()), centred(parts.sum_axis(Axis(0)).view()));
        let split = r2_split(y.view(), parts.view(), true).unwrap().sum_axis(Axis(0));
        let whole = r2(own.view(), sum.view()).unwrap();
        let r_split = correlation_split(y.view(), parts.view()).unwrap();
        let r = pearson(own.view(), sum.view()).unwrap();
        for t in 0..4 {
            assert!((split[t] - whole.values[t]).abs() < 1e-5);
            assert!((r_split.column(t).sum() - r.values[t]).abs() < 1e-6);
            assert!((contributions(r_split.view()).column(t).sum() - 1.0).abs() < 1e-12);
        }
    }
}
