//! Centring and scaling with the statistics of training rows.

use crate::encoding::folds::{Leakage, Rows};
use crate::error::{Error, Result};
use crate::math::stats::varies;
use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// What is done to a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    /// Nothing.
    None,
    /// Its mean is taken off. The usual choice: scaling makes rare features (one-hot codes) as
    /// large as common ones.
    #[default]
    Centre,
    /// Its mean is taken off and it is divided by its standard deviation with `ddof` degrees of
    /// freedom taken off (scikit-learn's `StandardScaler` has 0, MATLAB's `zscore` 1). A column that
    /// does not vary is divided by 1, as is one that varies by less than 1e-18 of what the one with the
    /// largest deviation does.
    ZScore { ddof: usize },
}

/// Mean and scale of every column, fitted on training rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Standardizer {
    mean: Vec<f64>,
    scale: Vec<f64>,
    n_constant: usize,
}

impl Standardizer {
    /// Fits on the training rows of a matrix and notes it; no other row is read.
    ///
    /// A column is constant where it varies by no more than rounding ([`varies`]).
    ///
    /// # Errors
    /// [`Error::Invalid`] when the matrix, called `what`, has another number of samples, or NaN or
    /// infinity in a training row.
    pub fn fit(
        x: ArrayView2<'_, f32>,
        rows: &Rows,
        scaling: Scaling,
        what: &str,
        leakage: &mut Leakage,
    ) -> Result<Self> {
        rows.check(x.nrows(), what)?;
        finite(x, rows, what)?;
        let (n, p) = (rows.len() as f64, x.ncols());
        if scaling == Scaling::None {
            return Ok(Self { mean: vec![0.0; p], scale: vec![1.0; p], n_constant: 0 });
        }
        let mean = sums(x, rows, |_, v| f64::from(v)).into_iter().map(|sum| sum / n).collect::<Vec<_>>();
        let squares = sums(x, rows, |j, v| (f64::from(v) - mean[j]).powi(2));
        let nothing = NOTHING * squares.iter().copied().fold(0.0, f64::max).sqrt();
        let constant = |j: usize| !varies(squares[j] / n, mean[j]);
        let scale = |j: usize| match scaling {
            Scaling::ZScore { ddof } if !constant(j) && n > ddof as f64 && squares[j].sqrt() > nothing => {
                (squares[j] / (n - ddof as f64)).sqrt()
            }
            _ => 1.0,
        };
        leakage.fitted(
            format!("{} of {what}", if scaling == Scaling::Centre { "means" } else { "means and scales" }),
            rows,
        );
        let n_constant = (0..p).filter(|&j| constant(j)).count();
        Ok(Self { scale: (0..p).map(scale).collect(), n_constant, mean })
    }

    /// (x - mean) / scale of all rows.
    ///
    /// # Panics
    /// When `x` has other columns than the matrix that was fitted.
    pub fn apply(&self, x: ArrayView2<'_, f32>) -> Array2<f32> {
        assert_eq!(x.ncols(), self.mean.len(), "columns as fitted");
        let mut out = x.as_standard_layout().into_owned();
        out.axis_iter_mut(Axis(0)).into_par_iter().for_each(|mut row| {
            for ((v, mean), scale) in row.iter_mut().zip(&self.mean).zip(&self.scale) {
                *v = ((f64::from(*v) - mean) / scale) as f32;
            }
        });
        out
    }

    /// Means of the training rows.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// What columns are divided by.
    pub fn scale(&self) -> &[f64] {
        &self.scale
    }

    /// Columns that do not vary over the training rows.
    pub fn n_constant(&self) -> usize {
        self.n_constant
    }
}

/// Share of the largest deviation of a set of columns below which one is not divided by its own: where such
/// a column wakes up in another row, its square would be no 32-bit number any more.
const NOTHING: f64 = 1e-18;

/// Sums over the training rows, one a column.
fn sums(x: ArrayView2<'_, f32>, rows: &Rows, term: impl Fn(usize, f32) -> f64) -> Vec<f64> {
    let mut sums = vec![0.0; x.ncols()];
    for &row in rows.indices() {
        for (j, &v) in x.row(row).iter().enumerate() {
            sums[j] += term(j, v);
        }
    }
    sums
}

/// # Errors
/// [`Error::Invalid`] for NaN or infinity in a training row of `what`.
pub(super) fn finite(x: ArrayView2<'_, f32>, rows: &Rows, what: &str) -> Result<()> {
    for &row in rows.indices() {
        if let Some(column) = x.row(row).iter().position(|v| !v.is_finite()) {
            let found = format!("{} at sample {row}, column {column}", x[(row, column)]);
            return Err(Error::invalid(what, "numbers", found, "leave that sample or column out"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    /// By hand: -u, 0 and u have the deviation `u sqrt(2 / 3)`. That of a channel which is dead in the training
    /// rows, and steps of one unit in the last place about 1, are no scales; a small unit is.
    #[test]
    fn what_is_as_good_as_constant_is_not_divided_by_its_deviation() {
        let column = |unit: f32, mean: f32| [mean - unit, mean, mean + unit];
        let columns = [column(1.0, 0.0), column(1e-40, 0.0), column(1e-30, 0.0), column(6e-8, 1.0), column(1e-12, 0.0)];
        let x = Array2::from_shape_fn((4, 5), |(i, j)| if i < 3 { columns[j][i] } else { 1.0 });
        let rows = Rows::new(vec![0, 1, 2], 4).unwrap();
        let scaled = Standardizer::fit(x.view(), &rows, Scaling::ZScore { ddof: 0 }, "x", &mut Leakage::default());
        let scaled = scaled.unwrap();
        let sd = (2f64 / 3.0).sqrt();
        assert!((scaled.scale()[0] - sd).abs() < 1e-12 && (scaled.scale()[4] / sd - 1e-12).abs() < 1e-18);
        assert_eq!(scaled.scale()[1..4], [1.0; 3]);
        let z = scaled.apply(x.view());
        assert!(z.iter().all(|v| v.is_finite() && v.abs() < 1e13), "{z}");
    }

    #[test]
    fn training_rows_alone_count() {
        // By hand: rows 0, 1, 3 of column 0 are 1, 3, 8: mean 4, squares 9 + 1 + 16 = 26.
        let x = array![[1.0, 0.1], [3.0, 0.1], [f32::NAN, 1e30], [8.0, 0.1]];
        let rows = Rows::new(vec![0, 1, 3], 4).unwrap();
        let mut leakage = Leakage::default();
        let fit = |scaling, leakage: &mut Leakage| Standardizer::fit(x.view(), &rows, scaling, "features", leakage);
        let scaled = fit(Scaling::ZScore { ddof: 1 }, &mut leakage).unwrap();
        assert!((scaled.mean()[0] - 4.0).abs() < 1e-12 && (scaled.scale()[0] - 13f64.sqrt()).abs() < 1e-12);
        assert_eq!((scaled.scale()[1], scaled.n_constant()), (1.0, 1));
        assert_eq!(scaled.apply(x.view())[(3, 1)], 0.0);
        assert!(
            (fit(Scaling::ZScore { ddof: 0 }, &mut leakage).unwrap().scale()[0] - (26f64 / 3.0).sqrt()).abs() < 1e-12
        );
        assert_eq!(fit(Scaling::Centre, &mut leakage).unwrap().scale(), [1.0, 1.0]);
        assert_eq!(fit(Scaling::None, &mut leakage).unwrap().mean(), [0.0, 0.0]);
        assert_eq!(leakage.report().len(), 3, "nothing is fitted where nothing is done");
        let error = Standardizer::fit(x.view(), &Rows::all(4).unwrap(), Scaling::Centre, "features", &mut leakage);
        assert!(error.unwrap_err().to_string().contains("sample 2, column 0"));
        assert!(
            Standardizer::fit(x.view(), &Rows::all(5).unwrap(), Scaling::Centre, "features", &mut leakage).is_err()
        );
    }
}
