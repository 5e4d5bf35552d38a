//! Kendall's tau-a of one RDM with many fingerprints: the brain's RDM is sorted once.

use orthoscope_kernels::ranks::Ranker;

/// Ranks from 0 in which equal values share one and the next value has the next.
pub fn dense_ranks(x: &[f64]) -> Vec<u32> {
    let mut sorted: Vec<f64> = x.iter().map(|v| v + 0.0).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.dedup();
    x.iter().map(|v| sorted.partition_point(|s| s < v) as u32).collect()
}

/// (concordant - discordant) / (n (n - 1) / 2) with each of the fingerprints; pairs tied on either
/// side count 0.
///
/// # Source
/// Knight, J. Am. Stat. Assoc. 61:436 (1966).
pub fn tau_a(rdm: &[f32], fingerprints: &[Vec<u32>], ranker: &mut Ranker, out: &mut [f64]) {
    let order: Vec<(u32, usize)> = ranker.order(rdm).collect();
    let all = (rdm.len() * (rdm.len() - 1) / 2) as f64;
    let pairs = |n: usize| (n * (n - 1) / 2) as i64;
    let tied = |values: &[u32]| -> i64 { values.chunk_by(|a, b| a == b).map(|g| pairs(g.len())).sum() };
    let tied_brain: i64 = order.chunk_by(|a, b| a.0 == b.0).map(|g| pairs(g.len())).sum();
    for (tau, ranks) in out.iter_mut().zip(fingerprints) {
        let mut values: Vec<u32> = order.iter().map(|&(_, i)| ranks[i]).collect();
        let mut tied_both = 0;
        let mut start = 0;
        for group in order.chunk_by(|a, b| a.0 == b.0) {
            let own = &mut values[start..start + group.len()];
            own.sort_unstable();
            tied_both += tied(own);
            start += group.len();
        }
        let discordant = inversions(&mut values);
        let concordant = all as i64 - tied_brain - tied(&values) + tied_both - discordant;
        *tau = (concordant - discordant) as f64 / all;
    }
}

/// Sorts by merging; the number of pairs that were in descending order.
fn inversions(x: &mut Vec<u32>) -> i64 {
    let mut other = x.clone();
    let mut count = 0;
    let mut width = 1;
    while width < x.len() {
        for (run, out) in x.chunks(2 * width).zip(other.chunks_mut(2 * width)) {
            let (left, right) = run.split_at(width.min(run.len()));
            let (mut i, mut j) = (0, 0);
            for slot in out {
                let take_left = j == right.len() || (i < left.len() && left[i] <= right[j]);
                *slot = if take_left { left[i] } else { right[j] };
                count += if take_left { 0 } else { (left.len() - i) as i64 };
                i += usize::from(take_left);
                j += usize::from(!take_left);
            }
        }
        std::mem::swap(x, &mut other);
        width *= 2;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::stats;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tau_is_that_of_the_vectors(pairs in prop::collection::vec((0i8..9, 0i8..6), 3..60)) {
            let brain: Vec<f32> = pairs.iter().map(|p| f32::from(p.0)).collect();
            let model: Vec<f64> = pairs.iter().map(|p| f64::from(p.1)).collect();
            let wide: Vec<f64> = brain.iter().map(|&v| f64::from(v)).collect();
            let mut out = [0.0];
            tau_a(&brain, &[dense_ranks(&model)], &mut Ranker::default(), &mut out);
            prop_assert!((out[0] - stats::kendall_tau_a(&wide, &model)).abs() < 1e-12);
        }
    }
}
