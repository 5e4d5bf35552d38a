//! Confidence intervals: bootstraps over subjects, and of proportions.

use crate::error::{Error, Result};
use crate::io::json::or_nan;
use crate::math::stats;
use crate::rng;
use crate::stats::distributions::norm_isf;
use ndarray::{Array1, Array2, ArrayView2, Axis, Slice};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Voxels that one task takes at a time.
const BLOCK: usize = 64;

/// Percentile interval of resampled statistics: their quantiles at (1 - level) / 2 and 1 - (1 -
/// level) / 2.
pub fn percentile(resampled: &[f64], level: f64) -> (f64, f64) {
    let cut = (1.0 - level) / 2.0;
    (stats::quantile(resampled, cut), stats::quantile(resampled, 1.0 - cut))
}

/// How often every subject comes in bootstrap sample b, n_bootstraps x n_subjects: n_subjects draws
/// with replacement from `rng::stream(seed, "bootstrap subjects", b)`.
pub fn resampled_counts(n_subjects: usize, n_bootstraps: usize, seed: u64) -> Array2<f64> {
    let mut counts = Array2::zeros((n_bootstraps, n_subjects));
    for (b, mut row) in counts.outer_iter_mut().enumerate() {
        let mut stream = rng::stream(seed, "bootstrap subjects", b as u64);
        (0..n_subjects).for_each(|_| row[stream.below(n_subjects)] += 1.0);
    }
    counts
}

/// Confidence interval of the mean map over subjects: percentiles of the mean of resampled
/// subjects.
///
/// A subject without a value (NaN) is left out of that voxel's means; a voxel that fewer than 2
/// subjects have is NaN.
///
/// # Shapes
/// `maps`: n_subjects x n_voxels; the result: (low, high), each n_voxels.
///
/// # Errors
/// [`Error::Invalid`] for fewer than 2 subjects, no resample, or a level outside 0..1.
///
/// # Source
/// Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
pub fn mean_interval(
    maps: ArrayView2<'_, f64>,
    n_bootstraps: usize,
    level: f64,
    seed: u64,
) -> Result<(Vec<f64>, Vec<f64>)> {
    let (n_subjects, n_voxels) = maps.dim();
    if n_subjects < 2 || n_bootstraps == 0 || !(level > 0.0 && level < 1.0) {
        let found = format!("{n_subjects} subjects, {n_bootstraps} resamples, level {level}");
        let expected = "2 subjects or more, a resample or more, and a level between 0 and 1";
        return Err(Error::invalid("bootstrap interval", expected, found, "0.95 and 10000 resamples are usual"));
    }
    let counts = resampled_counts(n_subjects, n_bootstraps, seed);
    let starts: Vec<usize> = (0..n_voxels).step_by(BLOCK).collect();
    let intervals: Vec<Vec<(f64, f64)>> = starts
        .par_iter()
        .map(|&start| {
            let block = maps.slice_axis(Axis(1), Slice::from(start..(start + BLOCK).min(n_voxels)));
            block_intervals(block, &counts, level)
        })
        .collect();
    Ok(intervals.into_iter().flatten().unzip())
}

fn block_intervals(block: ArrayView2<'_, f64>, counts: &Array2<f64>, level: f64) -> Vec<(f64, f64)> {
    let present = block.mapv(|v| f64::from(u8::from(!v.is_nan())));
    let sums = counts.dot(&block.mapv(|v| if v.is_nan() { 0.0 } else { v }));
    let n = counts.dot(&present);
    let interval = |v: usize| {
        if present.column(v).sum() < 2.0 {
            return (f64::NAN, f64::NAN);
        }
        // A resample may hold none of the subjects that have a value here.
        let (sums, n) = (sums.column(v), n.column(v));
        let means = sums.iter().zip(n).filter(|(_, n)| **n > 0.0).map(|(sum, n)| sum / n);
        percentile(&means.collect::<Vec<_>>(), level)
    };
    (0..block.ncols()).map(interval).collect()
}

/// Difference of a number of every subject between two conditions (synthesised and natural images,
/// for example).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Mean of a - b.
    #[serde(deserialize_with = "or_nan")]
    pub mean: f64,
    /// Bootstrap confidence interval over subjects.
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
pub fn paired_difference(a: &[f64], b: &[f64], n_bootstraps: usize, level: f64, seed: u64) -> Difference {
    let (a, b) = stats::complete_pairs(a, b);
    let differences: Array1<f64> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
    let n = differences.len();
    if n < 2 {
        return Difference { mean: f64::NAN, low: f64::NAN, high: f64::NAN, d: f64::NAN, n_subjects: n };
    }
    let means = resampled_counts(n, n_bootstraps, seed).dot(&differences) / n as f64;
    let (low, high) = percentile(&means.to_vec(), level);
    let values = differences.to_vec();
    let mean = stats::mean(&values);
    Difference { mean, low, high, d: mean / stats::sd(&values, 1), n_subjects: n }
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

    /// 400 voxels of 25 subjects whose true mean is 1: a 90 % percentile interval holds it in
    /// somewhat fewer than 90 % of cases (it is too narrow by about sqrt(24/25) and by the normal
    /// in place of t: 88 %; standard deviation 1.6 %).
    #[test]
    fn intervals_cover_the_truth_as_often_as_announced() {
        let mut rng = rng::stream(4, "interval test", 0);
        let maps = Array2::from_shape_simple_fn((25, 400), || 1.0 + rng.normal());
        let (low, high) = mean_interval(maps.view(), 1000, 0.9, 7).unwrap();
        let covered = (0..400).filter(|&v| low[v] < 1.0 && 1.0 < high[v]).count();
        assert!((332..=372).contains(&covered), "{covered} of 400");
        let (wide_low, wide_high) = mean_interval(maps.view(), 1000, 0.99, 7).unwrap();
        assert!((0..400).all(|v| wide_low[v] <= low[v] && high[v] <= wide_high[v]));
        let (a, _) = mean_interval(maps.view(), 1000, 0.9, 8).unwrap();
        assert_ne!(a, low, "another seed draws other subjects");
    }

    #[test]
    fn missing_values_are_left_out() {
        let nan = f64::NAN;
        let maps = ndarray::array![[1.0, 2.0, nan], [3.0, nan, nan], [2.0, 4.0, 5.0]];
        let (low, high) = mean_interval(maps.view(), 500, 0.95, 1).unwrap();
        assert!(low[0] >= 1.0 && high[0] <= 3.0 && low[1] >= 2.0 && high[1] <= 4.0);
        assert!(low[2].is_nan() && high[2].is_nan());
        assert!(mean_interval(maps.slice_axis(Axis(0), Slice::from(..1)), 9, 0.9, 1).is_err());
        assert!(mean_interval(maps.view(), 9, 1.0, 1).is_err() && mean_interval(maps.view(), 0, 0.9, 1).is_err());
    }

    #[test]
    fn every_resample_has_as_many_subjects() {
        let counts = resampled_counts(6, 40, 2);
        assert!(counts.outer_iter().all(|row| row.sum() == 6.0));
        assert_eq!(percentile(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.5), (2.0, 4.0));
    }

    #[test]
    fn differences_come_with_their_uncertainty() {
        let a = [0.5, 0.6, 0.7, 0.4, 0.9, f64::NAN];
        let b = [0.3, 0.5, 0.5, 0.3, 0.6, 0.1];
        let found = paired_difference(&a, &b, 2000, 0.95, 3);
        assert!((found.mean - 0.18).abs() < 1e-12 && found.n_subjects == 5);
        assert!(found.low > 0.0 && found.low < found.mean && found.mean < found.high && found.d > 1.0);
        assert!(paired_difference(&a[..1], &b[..1], 10, 0.95, 3).mean.is_nan());
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
