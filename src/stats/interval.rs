//! Confidence intervals: of means over subjects, of resampled statistics, and of proportions.

use crate::error::{Error, Result};
use crate::io::json::or_nan;
use crate::math::stats;
use crate::stats::distributions::{norm_isf, t_isf};
use ndarray::{ArrayView1, ArrayView2, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Percentile interval of resampled statistics: their quantiles at (1 - level) / 2 and 1 - (1 -
/// level) / 2.
pub fn percentile(resampled: &[f64], level: f64) -> (f64, f64) {
    let cut = (1.0 - level) / 2.0;
    (stats::quantile(resampled, cut), stats::quantile(resampled, 1.0 - cut))
}

/// Confidence interval of the mean map over subjects, `mean -+ t(n - 1) sd / sqrt(n)`: exact where
/// values are normal. Percentiles of resampled means are too narrow for few subjects (nominal 95 %
/// cover the mean in 84 % of cases of five).
///
/// A subject without a value (NaN) is left out of that voxel's mean; a voxel that fewer than 2
/// subjects have is NaN.
///
/// # Shapes
/// `maps`: n_subjects x n_voxels; the result: (low, high), each n_voxels.
///
/// # Errors
/// [`Error::Invalid`] for fewer than 2 subjects, or a level outside 0..1.
///
/// # Source
/// Student, Biometrika 6:1 (1908).
pub fn mean_interval(maps: ArrayView2<'_, f64>, level: f64) -> Result<(Vec<f64>, Vec<f64>)> {
    let n_subjects = maps.nrows();
    if n_subjects < 2 || !(level > 0.0 && level < 1.0) {
        let found = format!("{n_subjects} subjects, level {level}");
        let expected = "2 subjects or more, and a level between 0 and 1";
        return Err(Error::invalid("interval of the mean", expected, found, "0.95 is usual"));
    }
    let quantiles: Vec<f64> = (0..n_subjects).map(|dof| quantile(dof, level)).collect();
    let one = |values: ArrayView1<'_, f64>| {
        let present: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
        student(&present, |dof| quantiles[dof])
    };
    Ok(maps.axis_iter(Axis(1)).into_par_iter().map(one).unzip())
}

/// What Student's t with so many degrees of freedom does not exceed at that level, either way.
fn quantile(dof: usize, level: f64) -> f64 {
    if dof == 0 { f64::NAN } else { t_isf((1.0 - level) / 2.0, dof as f64) }
}

fn student(values: &[f64], quantile: impl Fn(usize) -> f64) -> (f64, f64) {
    if values.len() < 2 {
        return (f64::NAN, f64::NAN);
    }
    let half = quantile(values.len() - 1) * stats::sd(values, 1) / (values.len() as f64).sqrt();
    let mean = stats::mean(values);
    (mean - half, mean + half)
}

/// Difference of a number of every subject between two conditions (synthesised and natural images,
/// for example).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Mean of a - b.
    #[serde(deserialize_with = "or_nan")]
    pub mean: f64,
    /// Student's interval of the mean over subjects.
    #[serde(deserialize_with = "or_nan")]
    pub low: f64,
    #[serde(deserialize_with = "or_nan")]
    pub high: f64,
    /// Cohen's d of the differences, mean / sd.
    #[serde(deserialize_with = "or_nan")]
    pub d: f64,
    /// Subjects with both numbers.
    pub n_subjects: usize,
}

/// Compares a number (mean Dice, fraction of voxels with one layer, prediction accuracy, ...) of
/// the same subjects under two conditions.
///
/// Subjects for whom either number is NaN are left out; with fewer than 2 left everything is NaN.
///
/// # Shapes
/// `a`, `b`: n_subjects.
pub fn paired_difference(a: &[f64], b: &[f64], level: f64) -> Difference {
    let (a, b) = stats::complete_pairs(a, b);
    let differences: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
    let n = differences.len();
    if n < 2 {
        return Difference { mean: f64::NAN, low: f64::NAN, high: f64::NAN, d: f64::NAN, n_subjects: n };
    }
    let (low, high) = student(&differences, |dof| quantile(dof, level));
    let mean = stats::mean(&differences);
    Difference { mean, low, high, d: mean / stats::sd(&differences, 1), n_subjects: n }
}

/// Wilson's interval of a proportion `p` of `n` cases, at coverage `level`.
///
/// # Source
/// Wilson, J. Am. Stat. Assoc. 22:209 (1927).
pub fn wilson(p: f64, n: f64, level: f64) -> (f64, f64) {
    let z = norm_isf((1.0 - level) / 2.0);
    let centre = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let half = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    (centre - half, centre + half)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng;
    use ndarray::{Array2, Slice};

    /// Nominal 95 % of 4,000 voxels whose true mean is 1, from five subjects on: within four standard
    /// errors (0.34 % each).
    #[test]
    fn intervals_cover_the_truth_as_often_as_announced() {
        for n in [5, 8, 12, 20] {
            let mut rng = rng::stream(4, "interval test", n as u64);
            let maps = Array2::from_shape_simple_fn((n, 4000), || 1.0 + rng.normal());
            let (low, high) = mean_interval(maps.view(), 0.95).unwrap();
            let covered = (0..4000).filter(|&v| low[v] < 1.0 && 1.0 < high[v]).count();
            assert!((3745..=3855).contains(&covered), "{covered} of 4000 with {n} subjects");
        }
    }

    const THREE: f64 = -0.484_137_711_750_330_3;
    const TWO: f64 = -3.313_751_514_675_044_7;

    /// scipy 1.17.1, t.interval(0.95, 2, loc=2, scale=1 / sqrt(3)), and t.interval(0.9, 1, loc=3, scale=1).
    #[test]
    fn missing_values_are_left_out() {
        let nan = f64::NAN;
        let maps = ndarray::array![[1.0, 2.0, nan], [3.0, nan, nan], [2.0, 4.0, 5.0]];
        let (low, high) = mean_interval(maps.view(), 0.95).unwrap();
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(near(low[0], THREE) && near(high[0], 4.0 - THREE), "{} {}", low[0], high[0]);
        let (low, high) = mean_interval(maps.view(), 0.9).unwrap();
        assert!(near(low[1], TWO) && near(high[1], 6.0 - TWO), "{} {}", low[1], high[1]);
        assert!(low[2].is_nan() && high[2].is_nan());
        assert!(mean_interval(maps.slice_axis(Axis(0), Slice::from(..1)), 0.9).is_err());
        assert!(mean_interval(maps.view(), 1.0).is_err() && mean_interval(maps.view(), 0.0).is_err());
        assert_eq!(percentile(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.5), (2.0, 4.0));
    }

    #[test]
    fn differences_come_with_their_uncertainty() {
        let a = [0.5, 0.6, 0.7, 0.4, 0.9, f64::NAN];
        let b = [0.3, 0.5, 0.5, 0.3, 0.6, 0.1];
        let found = paired_difference(&a, &b, 0.95);
        assert!((found.mean - 0.18).abs() < 1e-12 && found.n_subjects == 5);
        assert!(found.low > 0.0 && found.low < found.mean && found.mean < found.high && found.d > 1.0);
        assert!(paired_difference(&a[..1], &b[..1], 0.95).mean.is_nan());
    }

    /// statsmodels 0.15.0, proportion_confint(7, 50, method="wilson"), and of 0 of 10, and 50 of 50
    /// at alpha 0.1.
    #[test]
    fn proportions_equal_statsmodels() {
        for (p, n, level, expected) in [
            (7.0 / 50.0, 50.0, 0.95, (0.069_508_334_270_162_88, 0.261_861_937_105_857_35)),
            (0.0, 10.0, 0.95, (0.0, 0.277_532_799_862_889_26)),
            (1.0, 50.0, 0.9, (0.948_666_814_213_729_8, 1.0)),
        ] {
            let (low, high) = wilson(p, n, level);
            assert!((low - expected.0).abs() < 1e-14 && (high - expected.1).abs() < 1e-14, "{low} {high}");
        }
    }
}
