//! Statistics of vectors, all in 64 bits.
//!
//! NaN policy: a NaN anywhere makes the result NaN, it is never skipped in silence;
//! [`complete_pairs`] takes them out where a caller wants that. A statistic that is undefined (no
//! variation, too few values) is NaN too. Two vectors of different length are a mistake of the
//! program: the functions of two vectors panic.

/// Arithmetic mean; NaN of nothing.
pub fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

/// Variance, sum((x - mean)^2) / (n - ddof), two passes; NaN when n <= ddof. numpy.var has
/// ddof = 0.
pub fn variance(x: &[f64], ddof: usize) -> f64 {
    if x.len() <= ddof {
        return f64::NAN;
    }
    let m = mean(x);
    x.iter().map(|v| (v - m) * (v - m)).sum::<f64>() / (x.len() - ddof) as f64
}

/// Standard deviation: square root of [`variance`].
pub fn sd(x: &[f64], ddof: usize) -> f64 {
    variance(x, ddof).sqrt()
}

/// Whether 32-bit numbers of that variance about that mean vary, by more than what rounding leaves of
/// numbers that are all the mean: `sd > 2^-23 |mean|`, and not less than the smallest normal 32-bit
/// number, about 1.2e-38.
pub fn varies(variance: f64, mean: f64) -> bool {
    let sd = variance.sqrt();
    sd > f64::from(f32::EPSILON) * mean.abs() && sd >= f64::from(f32::MIN_POSITIVE)
}

/// What 32-bit numbers of that variance about that mean are divided by to be z-scored: the root of the
/// variance, or 1 where they do not vary ([`varies`]).
///
/// ```
/// use orthoscope::math::stats::divisor;
///
/// assert_eq!(divisor(9.0, 5.0), 3.0);
/// assert_eq!(divisor(1e-24, 0.0), 1e-12);
/// assert_eq!([divisor(1e-24, 1.0), divisor(1e-80, 0.0)], [1.0, 1.0]);
/// ```
pub fn divisor(variance: f64, mean: f64) -> f64 {
    if varies(variance, mean) { variance.sqrt() } else { 1.0 }
}

/// Quantile at `q` in 0..1 with linear interpolation between order statistics (NumPy's default
/// method).
pub fn quantile(x: &[f64], q: f64) -> f64 {
    if x.is_empty() || x.iter().any(|v| v.is_nan()) || !(0.0..=1.0).contains(&q) {
        return f64::NAN;
    }
    let mut sorted = x.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let at = q * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    if low == high { low } else { low + (high - low) * at.fract() }
}

/// Median: [`quantile`] at one half.
pub fn median(x: &[f64]) -> f64 {
    quantile(x, 0.5)
}

/// x - mean, divided by its Euclidean norm; `None` when `x` does not vary, has a NaN, or fewer than
/// two values. The dot product of two such vectors is Pearson's r.
pub fn standardized(x: &[f64]) -> Option<Vec<f64>> {
    let first = *x.first()?;
    if x.iter().all(|&v| v == first) || x.iter().any(|v| !v.is_finite()) {
        return None;
    }
    let m = mean(x);
    let norm = x.iter().map(|v| (v - m) * (v - m)).sum::<f64>().sqrt();
    (norm > 0.0).then(|| x.iter().map(|v| (v - m) / norm).collect())
}

/// Sum of products.
pub fn dot(x: &[f64], y: &[f64]) -> f64 {
    assert_eq!(x.len(), y.len(), "two vectors of one length");
    x.iter().zip(y).map(|(a, b)| a * b).sum()
}

/// Pearson's correlation, sum((x - mx)(y - my)) / sqrt(sum((x - mx)^2) sum((y - my)^2)), in -1..1.
/// NaN when either vector does not vary.
pub fn pearson(x: &[f64], y: &[f64]) -> f64 {
    assert_eq!(x.len(), y.len(), "two vectors of one length");
    match (standardized(x), standardized(y)) {
        (Some(x), Some(y)) => dot(&x, &y).clamp(-1.0, 1.0),
        _ => f64::NAN,
    }
}

/// Cosine of the angle between two vectors, x.y / (|x| |y|); NaN when either is zero.
pub fn cosine(x: &[f64], y: &[f64]) -> f64 {
    let norms = (dot(x, x) * dot(y, y)).sqrt();
    if norms > 0.0 { (dot(x, y) / norms).clamp(-1.0, 1.0) } else { f64::NAN }
}

/// Ranks from 1; equal values share the average of their ranks (scipy.stats.rankdata). All NaN when
/// a value is NaN.
pub fn ranks(x: &[f64]) -> Vec<f64> {
    if x.iter().any(|v| v.is_nan()) {
        return vec![f64::NAN; x.len()];
    }
    let mut order: Vec<usize> = (0..x.len()).collect();
    order.sort_unstable_by(|&a, &b| x[a].total_cmp(&x[b]));
    let mut ranks = vec![0.0; x.len()];
    let mut start = 0;
    // By ==, not by the sort's total order: -0 and 0 are one value.
    for group in order.chunk_by(|&a, &b| x[a] == x[b]) {
        let shared = start as f64 + (group.len() as f64 + 1.0) / 2.0;
        group.iter().for_each(|&i| ranks[i] = shared);
        start += group.len();
    }
    ranks
}

/// Spearman's correlation: [`pearson`] of the [`ranks`].
pub fn spearman(x: &[f64], y: &[f64]) -> f64 {
    pearson(&ranks(x), &ranks(y))
}

/// Kendall's tau-a, (concordant - discordant) / (n (n - 1) / 2); pairs tied in x or y count 0. O(n
/// log n).
///
/// # Source
/// Knight, J. Am. Stat. Assoc. 61:436 (1966); the variant that Nili et al., PLoS Comput. Biol.
/// 10:e1003553 (2014) advise for comparing RDMs with models that predict ties.
pub fn kendall_tau_a(x: &[f64], y: &[f64]) -> f64 {
    assert_eq!(x.len(), y.len(), "two vectors of one length");
    if x.len() < 2 || x.iter().chain(y).any(|v| v.is_nan()) {
        return f64::NAN;
    }
    // Adding 0 turns -0 into 0, so that the total order agrees with ==.
    let mut pairs: Vec<(f64, f64)> = x.iter().zip(y).map(|(a, b)| (a + 0.0, b + 0.0)).collect();
    pairs.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let tied_x = n_tied(pairs.chunk_by(|a, b| a.0 == b.0));
    let tied_both = n_tied(pairs.chunk_by(|a, b| a == b));
    let mut by_y: Vec<f64> = pairs.into_iter().map(|p| p.1).collect();
    let discordant = sort_counting_inversions(&mut by_y);
    let tied_y = n_tied(by_y.chunk_by(|a, b| a == b));
    let all = (x.len() as i64) * (x.len() as i64 - 1) / 2;
    (all - tied_x - tied_y + tied_both - 2 * discordant) as f64 / all as f64
}

fn n_tied<'a, T: 'a>(groups: impl Iterator<Item = &'a [T]>) -> i64 {
    groups.map(|g| g.len() as i64 * (g.len() as i64 - 1) / 2).sum()
}

/// Sorts by merging and counts the pairs that stood in strictly descending order.
fn sort_counting_inversions(x: &mut [f64]) -> i64 {
    let mut buffer = x.to_vec();
    let mut n_inversions = 0;
    let mut width = 1;
    while width < x.len() {
        for (run, out) in x.chunks(2 * width).zip(buffer.chunks_mut(2 * width)) {
            let (left, right) = run.split_at(width.min(run.len()));
            let (mut i, mut j) = (0, 0);
            for slot in out {
                if j == right.len() || (i < left.len() && left[i] <= right[j]) {
                    *slot = left[i];
                    i += 1;
                } else {
                    *slot = right[j];
                    j += 1;
                    n_inversions += (left.len() - i) as i64;
                }
            }
        }
        x.copy_from_slice(&buffer);
        width *= 2;
    }
    n_inversions
}

/// The entries where neither vector is NaN.
pub fn complete_pairs(x: &[f64], y: &[f64]) -> (Vec<f64>, Vec<f64>) {
    assert_eq!(x.len(), y.len(), "two vectors of one length");
    x.iter().zip(y).filter(|(a, b)| !a.is_nan() && !b.is_nan()).unzip()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tau_by_definition(x: &[f64], y: &[f64]) -> f64 {
        let sign = |d: f64| {
            if d > 0.0 {
                1.0
            } else if d < 0.0 {
                -1.0
            } else {
                0.0
            }
        };
        let pairs: Vec<_> = crate::math::condensed::pairs(x.len()).collect();
        pairs.iter().map(|&(i, j)| sign(x[i] - x[j]) * sign(y[i] - y[j])).sum::<f64>() / pairs.len() as f64
    }

    #[test]
    fn undefined_is_nan_and_nan_is_not_skipped() {
        assert!(pearson(&[1.0, 1.0, 1.0], &[1.0, 2.0, 3.0]).is_nan());
        assert!(pearson(&[0.1; 7], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]).is_nan(), "whatever the mean rounds to");
        assert!(pearson(&[1.0], &[1.0]).is_nan());
        assert!(mean(&[]).is_nan() && variance(&[1.0], 1).is_nan() && quantile(&[], 0.5).is_nan());
        assert!(cosine(&[0.0, 0.0], &[1.0, 2.0]).is_nan());
        let holed = [1.0, f64::NAN, 3.0, 2.0];
        let whole = [1.0, 2.0, 4.0, 3.0];
        for statistic in [pearson, spearman, kendall_tau_a, cosine] {
            assert!(statistic(&holed, &whole).is_nan());
            let (x, y) = complete_pairs(&holed, &whole);
            assert!(statistic(&x, &y) > 0.9);
        }
    }

    #[test]
    fn ties_share_their_ranks() {
        assert_eq!(ranks(&[10.0, 20.0, 10.0, 5.0, -0.0, 0.0]), [4.5, 6.0, 4.5, 3.0, 1.5, 1.5]);
        assert_eq!(kendall_tau_a(&[1.0, 1.0, 2.0], &[1.0, 2.0, 3.0]), 2.0 / 3.0);
        assert_eq!(kendall_tau_a(&[0.0, -0.0], &[1.0, 2.0]), 0.0);
    }

    #[test]
    fn quantiles_interpolate() {
        assert_eq!(quantile(&[4.0, 1.0, 3.0, 2.0], 0.25), 1.75);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(quantile(&[f64::INFINITY, 1.0, f64::INFINITY], 0.9), f64::INFINITY);
    }

    proptest! {
        #[test]
        fn tau_a_is_its_definition(pairs in prop::collection::vec((0i8..6, 0i8..6), 2..40)) {
            let (x, y): (Vec<f64>, Vec<f64>) = pairs.iter().map(|&(a, b)| (f64::from(a), f64::from(b))).unzip();
            prop_assert!((kendall_tau_a(&x, &y) - tau_by_definition(&x, &y)).abs() < 1e-12);
        }

        #[test]
        fn pearson_ignores_scale_and_shift(
            pairs in prop::collection::vec((-10f64..10.0, -10f64..10.0), 3..30), scale in 0.1f64..10.0, shift in -100f64..100.0,
        ) {
            let (x, y): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let moved: Vec<f64> = x.iter().map(|v| scale * v + shift).collect();
            let (r, moved) = (pearson(&x, &y), pearson(&moved, &y));
            prop_assert!((r.is_nan() && moved.is_nan()) || (r - moved).abs() < 1e-9);
        }
    }
}
