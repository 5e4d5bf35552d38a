//! How well held-out responses were predicted, target by target and in summary.

use super::config::{Config, ScoresConfig};
use super::results::{Interval, ScoreSummary, Scored};
use super::samples::Samples;
use crate::encoding::Rows;
use crate::encoding::permutation::{self, Shuffle};
use crate::encoding::reliability::{Repeats, feve, r2_er};
use crate::encoding::scores::{Scores, pearson, r2};
use crate::encoding::solver::Work;
use crate::error::Result;
use crate::math::stats;
use crate::rng;
use crate::stats::interval::percentile;
use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

/// Scores of every target on the tested rows.
pub struct TargetScores {
    pub r: Scores,
    pub r2: Scores,
    /// Corrected for noise, where stimuli were repeated: r2_ER and FEVE.
    pub corrected: Option<[Vec<f64>; 2]>,
    /// p and q of r, where they were asked for.
    pub tested: Option<[Vec<f64>; 2]>,
}

/// What repeats say of every target: over the tested stimuli, so that they can be compared with
/// scores, except for the signal-to-noise ratio, which is of all stimuli, since targets are chosen by it.
pub struct Ceilings {
    /// Largest r with the mean over repeats.
    pub r: Vec<f64>,
    /// Split-half reliability of the mean over repeats.
    pub reliability: Vec<f64>,
    pub snr: Vec<f64>,
    pub fev: Vec<f64>,
}

/// Scores predictions of the tested rows.
///
/// # Shapes
/// `predictions`: tested rows x targets of `range`.
///
/// # Errors
/// As [`pearson`].
pub fn score(
    samples: &Samples,
    test: &Rows,
    predictions: ArrayView2<'_, f32>,
    targets: &std::ops::Range<usize>,
) -> Result<TargetScores> {
    let y = test.take(samples.y.slice_axis(Axis(1), targets.clone().into()), "targets")?;
    let corrected = samples.responses.as_ref().filter(|responses| responses.n_repeats() > 1).map(|responses| {
        let values = responses.values();
        let of = |t: usize| {
            let repeats = values.index_axis(Axis(0), targets.start + t).select(Axis(0), test.indices());
            let (repeats, model) = (Repeats::of(repeats.view()), wide(predictions, t));
            [r2_er(&model, &repeats), feve(&model, &repeats)]
        };
        let both: Vec<[f64; 2]> = (0..targets.len()).into_par_iter().map(of).collect();
        [0, 1].map(|i| both.iter().map(|pair| pair[i]).collect())
    });
    Ok(TargetScores { r: pearson(y.view(), predictions)?, r2: r2(y.view(), predictions)?, corrected, tested: None })
}

fn wide(matrix: ArrayView2<'_, f32>, column: usize) -> Vec<f64> {
    matrix.column(column).iter().map(|&v| f64::from(v)).collect()
}

/// Tests r of every target by permutations, as the configuration says.
///
/// # Errors
/// As [`permutation::test`].
pub fn test(
    config: &Config,
    samples: &Samples,
    test: &Rows,
    predictions: ArrayView2<'_, f32>,
    targets: &std::ops::Range<usize>,
    work: &Work,
) -> Result<Option<[Vec<f64>; 2]>> {
    let ScoresConfig { n_permutations, shuffle, .. } = config.scores;
    if n_permutations == 0 {
        return Ok(None);
    }
    let shuffle = shuffle.unwrap_or(match &samples.time {
        // Ten samples away, or what few samples allow, a response has decayed.
        Some(_) => Shuffle::Circular { min_shift: 10.min(test.len() / 4).max(1) },
        None => Shuffle::Blocks { length: 1 },
    });
    let y = test.take(samples.y.slice_axis(Axis(1), targets.clone().into()), "targets")?;
    let tested = permutation::test(y.view(), predictions, shuffle, n_permutations, config.seed, work)?;
    Ok(Some([tested.p, tested.q]))
}

/// What repeats say; `tested` are the stimuli that any round tests, none meaning all.
pub fn ceilings(
    config: &Config,
    samples: &Samples,
    tested: &[usize],
    targets: &std::ops::Range<usize>,
) -> Option<Ceilings> {
    let responses = samples.responses.as_ref().filter(|responses| responses.n_repeats() > 1)?;
    let values = responses.values();
    let of = |t: usize| {
        let all = values.index_axis(Axis(0), t);
        let whole = Repeats::of(all);
        let own = (!tested.is_empty()).then(|| Repeats::of(all.select(Axis(0), tested).view()));
        let own = own.as_ref().unwrap_or(&whole);
        [own.ceiling_r(), own.split_half(config.scores.n_splits, config.seed), whole.snr(), own.fev()]
    };
    let all: Vec<[f64; 4]> = targets.clone().into_par_iter().map(of).collect();
    let [r, reliability, snr, fev] = [0, 1, 2, 3].map(|i| all.iter().map(|row| row[i]).collect());
    Some(Ceilings { r, reliability, snr, fev })
}

/// A summary over some targets; those that are NaN are left out.
pub fn summary(config: &Config, values: &[f64], targets: &[usize]) -> Option<Scored> {
    let own: Vec<f64> = targets.iter().map(|&t| values[t]).filter(|v| !v.is_nan()).collect();
    if own.is_empty() {
        return None;
    }
    let ScoresConfig { n_bootstraps, level, .. } = config.scores;
    let resampled: Vec<f64> = (0..n_bootstraps)
        .into_par_iter()
        .map(|b| {
            let mut stream = rng::stream(config.seed, "bootstrap targets", b as u64);
            let mut drawn: Vec<f64> = (0..own.len()).map(|_| own[stream.below(own.len())]).collect();
            median(&mut drawn)
        })
        .collect();
    let (low, high) = percentile(&resampled, level);
    Some(Scored { mean: stats::mean(&own), median: stats::median(&own), interval: Interval { low, high } })
}

/// The median, without sorting everything.
fn median(values: &mut [f64]) -> f64 {
    let (n, half) = (values.len(), values.len() / 2);
    let (below, upper, _) = values.select_nth_unstable_by(half, f64::total_cmp);
    let upper = *upper;
    if n % 2 == 1 { upper } else { 0.5 * (upper + below.iter().copied().fold(f64::NEG_INFINITY, f64::max)) }
}

impl TargetScores {
    /// Over some targets.
    pub fn summary(&self, config: &Config, targets: &[usize], ceilings: Option<&Ceilings>) -> ScoreSummary {
        let of = |values: &[f64]| summary(config, values, targets);
        let significant =
            |tested: &[Vec<f64>; 2]| targets.iter().filter(|&&t| tested[1][t] <= config.scores.alpha).count();
        ScoreSummary {
            n_targets: targets.len(),
            r: of(&self.r.values),
            r2: of(&self.r2.values),
            r2_er: self.corrected.as_ref().and_then(|both| of(&both[0])),
            feve: self.corrected.as_ref().and_then(|both| of(&both[1])),
            ceiling_r: ceilings.and_then(|c| of(&c.r)),
            n_significant: self.tested.as_ref().map(significant),
        }
    }
}

/// The rows of a matrix over all samples that were tested.
pub fn rows_of(matrix: &Array2<f32>, rows: &Rows) -> Array2<f32> {
    matrix.select(Axis(0), rows.indices())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_those_of_sorted_numbers() {
        for n in [1, 2, 5, 8] {
            let values: Vec<f64> = (0..n).map(|i| ((i * 7) % 5) as f64 - 1.5).collect();
            assert_eq!(median(&mut values.clone()), stats::median(&values));
        }
    }

    #[test]
    fn what_has_no_score_is_left_out_of_a_summary() {
        let config = Config::default();
        let found = summary(&config, &[0.1, f64::NAN, 0.3, 9.0], &[0, 1, 2]).unwrap();
        assert!((found.mean - 0.2).abs() < 1e-12 && found.interval.low >= 0.1 && found.interval.high <= 0.3);
        assert!(summary(&config, &[f64::NAN], &[0]).is_none());
    }
}
