//! Whether predictions are better than chance: responses against predictions of other times.

use crate::encoding::scores::pearson;
use crate::encoding::solver::Work;
use crate::error::{Error, Result};
use crate::math::permutation::Tail;
use crate::rng;
use crate::stats::correction::{benjamini_hochberg, extremeness, reaches};
use ndarray::{Array2, ArrayView2, Axis, Slice};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Targets that one task takes at a time.
const BLOCK: usize = 64;

/// How predictions are moved against responses; neighbours in time stay neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by", deny_unknown_fields)]
pub enum Shuffle {
    /// Blocks of `length` samples (the last one shorter) in another order: for time series whose
    /// correlation in time is shorter than that; 1 for samples that are independent.
    Blocks { length: usize },
    /// All samples by one distance, round the end. Every distance counts: were those near 0 left out,
    /// the predictions as they stand would not be one of equals, and p too small where neighbours are
    /// alike.
    // Braces, so that serde refuses keys beside `by`.
    Circular {},
}

/// Correlations of every target, tested.
#[derive(Debug, Clone, PartialEq)]
pub struct Tested {
    /// Pearson's correlation; 0 where undefined.
    pub r: Vec<f64>,
    /// One-sided p, `(1 + permutations that reach r) / (1 + permutations)`; 1 where r is undefined.
    pub p: Vec<f64>,
    /// p adjusted by Benjamini and Hochberg over the targets where r is defined; 1 elsewhere.
    pub q: Vec<f64>,
    /// Permutations that were used: fewer than were asked for where there are no more shifts, or orders
    /// of the blocks.
    pub n_permutations: usize,
}

impl Tested {
    /// The smallest p that there can be: `1 / (1 + n_permutations)`.
    pub fn smallest_p(&self) -> f64 {
        1.0 / (1 + self.n_permutations) as f64
    }
}

impl Shuffle {
    /// The permutations of n samples: `rng::stream(seed, "permute samples", i)` for permutation i; every
    /// one but the order as it stands, once, where there are no more than asked for.
    fn orders(self, n: usize, n_permutations: usize, seed: u64) -> Result<Vec<Vec<usize>>> {
        let refused = |found: String| {
            let expected = "2 blocks or more, or samples to shift by, and a permutation or more";
            Err(Error::invalid("permutation test", expected, found, "use shorter blocks, or more samples"))
        };
        let stream = |i: usize| rng::stream(seed, "permute samples", i as u64);
        match self {
            _ if n_permutations == 0 => refused("no permutations".into()),
            Self::Blocks { length } if length == 0 || n <= length => {
                refused(format!("blocks of {length} of {n} samples"))
            }
            Self::Blocks { length } => {
                let blocks: Vec<Vec<usize>> =
                    (0..n).step_by(length).map(|start| (start..n.min(start + length)).collect()).collect();
                let samples = |order: Vec<usize>| order.into_iter().flat_map(|b| blocks[b].clone()).collect();
                Ok(match all_orders(blocks.len(), n_permutations) {
                    Some(all) => all.into_iter().map(samples).collect(),
                    None => (0..n_permutations).map(|i| samples(stream(i).permutation(blocks.len()))).collect(),
                })
            }
            Self::Circular {} if n < 2 => refused(format!("{n} samples to shift")),
            Self::Circular {} => {
                let shift = |by: usize| (0..n).map(|i| (i + by) % n).collect();
                Ok(if n - 1 <= n_permutations {
                    (1..n).map(shift).collect()
                } else {
                    (0..n_permutations).map(|i| shift(1 + stream(i).below(n - 1))).collect()
                })
            }
        }
    }
}

/// All orders of n things but the first, in the order of dictionaries; none where they are more than
/// `most`.
fn all_orders(n: usize, most: usize) -> Option<Vec<Vec<usize>>> {
    let total = (1..=n).try_fold(1usize, |product, k| product.checked_mul(k))?;
    if total - 1 > most {
        return None;
    }
    let mut all = Vec::with_capacity(total - 1);
    let mut order: Vec<usize> = (0..n).collect();
    while let Some(at) = order.windows(2).rposition(|pair| pair[0] < pair[1]) {
        let next = order.iter().rposition(|&v| v > order[at]).expect("the one behind it at least");
        order.swap(at, next);
        order[at + 1..].reverse();
        all.push(order.clone());
    }
    Some(all)
}

/// Tests Pearson's correlation of every target against predictions moved in time, the same for all
/// targets; larger is better. With m permutations no p is below `1 / (1 + m)` ([`Tested::smallest_p`]).
///
/// # Shapes
/// `y`, `predictions`: n_samples x n_targets.
///
/// # Errors
/// [`Error::Invalid`] for other shapes, too long blocks, too few samples, no permutations;
/// [`Error::Interrupted`].
///
/// # Source
/// p as Phipson and Smyth, Stat. Appl. Genet. Mol. Biol. 9:39 (2010).
pub fn test(
    y: ArrayView2<'_, f32>,
    predictions: ArrayView2<'_, f32>,
    shuffle: Shuffle,
    n_permutations: usize,
    seed: u64,
    work: &Work,
) -> Result<Tested> {
    let r = pearson(y, predictions)?.values;
    let orders = shuffle.orders(y.nrows(), n_permutations, seed)?;
    let starts: Vec<usize> = (0..y.ncols()).step_by(BLOCK).collect();
    let reached: Vec<Vec<usize>> = starts
        .par_iter()
        .map(|&start| {
            work.cancel.check()?;
            let range = Slice::from(start..y.ncols().min(start + BLOCK));
            let block = |from: ArrayView2<'_, f32>| standardized(from.slice_axis(Axis(1), range));
            Ok(count(&block(y), &block(predictions), &orders))
        })
        .collect::<Result<_>>()?;
    let n = orders.len();
    let defined: Vec<bool> = r.iter().map(|&r| r != 0.0).collect();
    let p: Vec<f64> = reached.concat().iter().map(|&c| (1 + c) as f64 / (1 + n) as f64).collect();
    let only = |values: &[f64], other: f64| -> Vec<f64> {
        values.iter().zip(&defined).map(|(&v, &d)| if d { v } else { other }).collect()
    };
    let q = benjamini_hochberg(&only(&p, f64::NAN));
    Ok(Tested { p: only(&p, 1.0), q: only(&q, 1.0), r, n_permutations: n })
}

/// Columns with zero mean and unit length; zeros where they do not vary or are not finite.
fn standardized(block: ArrayView2<'_, f32>) -> Array2<f64> {
    let mut out = Array2::zeros(block.dim());
    for (mut to, column) in out.columns_mut().into_iter().zip(block.columns()) {
        let values: Vec<f64> = column.iter().map(|&v| f64::from(v)).collect();
        if let Some(values) = crate::math::stats::standardized(&values) {
            to.iter_mut().zip(values).for_each(|(to, v)| *to = v);
        }
    }
    out
}

/// How many permutations reach the correlation of each column as it stands.
fn count(y: &Array2<f64>, predictions: &Array2<f64>, orders: &[Vec<usize>]) -> Vec<usize> {
    let mut sums = vec![0.0; y.ncols()];
    let mut correlate = |row_of: &dyn Fn(usize) -> usize| {
        sums.fill(0.0);
        for (i, y) in y.rows().into_iter().enumerate() {
            for ((sum, y), p) in sums.iter_mut().zip(y).zip(predictions.row(row_of(i))) {
                *sum += y * p;
            }
        }
        sums.clone()
    };
    let observed = correlate(&|i| i);
    let mut reached = vec![0; y.ncols()];
    for order in orders {
        for ((n, &permuted), &observed) in reached.iter_mut().zip(&correlate(&|i| order[i])).zip(&observed) {
            *n += usize::from(reaches(extremeness(permuted, Tail::Greater), observed));
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    /// First-order autoregressive series, a column each.
    fn slow(n: usize, n_series: usize, coefficient: f64, purpose: &str) -> Array2<f32> {
        let mut y = Array2::zeros((n, n_series));
        for (t, mut column) in y.columns_mut().into_iter().enumerate() {
            let mut stream = rng::stream(1, purpose, t as u64);
            let mut at = stream.normal() / (1.0 - coefficient * coefficient).sqrt();
            column.iter_mut().for_each(|v| {
                *v = at as f32;
                at = coefficient * at + stream.normal();
            });
        }
        y
    }

    fn p_of(y: &Array2<f32>, predictions: &Array2<f32>, shuffle: Shuffle, n_permutations: usize) -> Vec<f64> {
        test(y.view(), predictions.view(), shuffle, n_permutations, 1, &Work::default()).unwrap().p
    }

    fn share(p: &[f64], at: f64) -> f64 {
        p.iter().filter(|&&p| p <= at).count() as f64 / p.len() as f64
    }

    #[test]
    fn slow_noise_is_not_significant_where_the_shuffle_keeps_it_slow() {
        // Random walks correlate by chance; 200 of them with unrelated predictions.
        let (y, predictions) = (slow(120, 200, 0.9, "responses"), slow(120, 200, 0.9, "predictions"));
        let of = |shuffle| share(&p_of(&y, &predictions, shuffle, 400), 0.05);
        let (single, slow) = (of(Shuffle::Blocks { length: 1 }), of(Shuffle::Circular {}));
        assert!(single > 0.2 && slow < 0.1, "{single} {slow}");
    }

    /// 3,000 unrelated pairs of 75 samples, as of a run that is held out. With all 74 shifts p is a multiple of
    /// 1/75, nearly uniform: NumPy has P(p <= 0.05, 0.2, 0.5) = 0.044, 0.205, 0.495 over 40,000 pairs of its own
    /// (standard error 0.001 to 0.0025); without the shifts of less than 10 samples 0.095, 0.239, 0.495. Here the
    /// standard errors are 0.004, 0.007 and 0.009: a quarter of what is allowed.
    #[test]
    fn p_of_unrelated_slow_series_is_uniform() {
        let (y, predictions) = (slow(75, 3000, 0.8, "responses"), slow(75, 3000, 0.8, "predictions"));
        let p = p_of(&y, &predictions, Shuffle::Circular {}, 500);
        for (at, expected, within) in [(0.05, 0.044, 0.015), (0.2, 0.205, 0.029), (0.5, 0.495, 0.037)] {
            let rate = share(&p, at);
            assert!((rate - expected).abs() < within, "P(p <= {at}) = {rate}");
        }
    }

    #[test]
    fn p_counts_permutations() {
        let y = Array2::from_shape_fn((12, 3), |(i, t)| if t == 2 { 5.0 } else { ((i * 7 + t) % 12) as f32 });
        let found = test(y.view(), y.view(), Shuffle::Circular {}, 1000, 1, &Work::default()).unwrap();
        assert_eq!((found.n_permutations, found.smallest_p()), (11, 1.0 / 12.0), "there are no more shifts");
        assert_eq!(found.p, [1.0 / 12.0, 1.0 / 12.0, 1.0]);
        assert_eq!(found.q, [1.0 / 12.0, 1.0 / 12.0, 1.0]);
        // 4 blocks have 24 orders: the one as it stands is counted once.
        let found = test(y.view(), y.view(), Shuffle::Blocks { length: 3 }, 1000, 1, &Work::default()).unwrap();
        assert_eq!((found.n_permutations, found.p[0]), (23, 1.0 / 24.0), "there are no more orders");
        let fewer = test(y.view(), y.view(), Shuffle::Blocks { length: 3 }, 22, 1, &Work::default()).unwrap();
        assert_eq!(fewer.n_permutations, 22);
        for shuffle in [Shuffle::Blocks { length: 12 }, Shuffle::Blocks { length: 0 }] {
            assert!(test(y.view(), y.view(), shuffle, 10, 1, &Work::default()).is_err());
        }
        assert!(test(y.view(), y.view(), Shuffle::Blocks { length: 2 }, 0, 1, &Work::default()).is_err());
    }

    #[test]
    fn every_order_comes_once() {
        let all = all_orders(4, 23).unwrap();
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!((all.len(), distinct.len(), all.contains(&vec![0, 1, 2, 3])), (23, 23, false));
        assert_eq!((all_orders(4, 22), all_orders(40, usize::MAX), all_orders(1, 5)), (None, None, Some(vec![])));
    }
}
