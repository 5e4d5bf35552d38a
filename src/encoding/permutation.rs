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
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Shuffle {
    /// Blocks of `length` samples (the last one shorter) in another order: for time series whose
    /// correlation in time is shorter than that; 1 for samples that are independent.
    Blocks { length: usize },
    /// All samples by one distance, round the end: at least `min_shift` from where they were.
    Circular { min_shift: usize },
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
    /// Different shifts that there are, where fewer than the permutations asked for: all are used.
    pub n_permutations: usize,
}

impl Shuffle {
    /// The permutations of n samples: `rng::stream(seed, "permute samples", i)` for permutation i;
    /// every circular shift once where there are no more than asked for.
    fn orders(self, n: usize, n_permutations: usize, seed: u64) -> Result<Vec<Vec<usize>>> {
        let refused = |found: String| {
            let expected = "2 blocks or more, or a shift that leaves a place to go, and a permutation or more";
            Err(Error::invalid("permutation test", expected, found, "use shorter blocks or shifts, or more samples"))
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
                let order =
                    |i| stream(i).permutation(blocks.len()).into_iter().flat_map(|b| blocks[b].clone()).collect();
                Ok((0..n_permutations).map(order).collect())
            }
            Self::Circular { min_shift } => {
                let first = min_shift.max(1);
                if 2 * first > n {
                    return refused(format!("shifts of {min_shift} or more of {n} samples"));
                }
                let n_shifts = n - 2 * first + 1;
                let shift = |by: usize| (0..n).map(|i| (i + by) % n).collect();
                Ok(if n_shifts <= n_permutations {
                    (first..=n - first).map(shift).collect()
                } else {
                    (0..n_permutations).map(|i| shift(first + stream(i).below(n_shifts))).collect()
                })
            }
        }
    }
}

/// Tests Pearson's correlation of every target against predictions moved in time, the same for all
/// targets; larger is better.
///
/// # Shapes
/// `y`, `predictions`: n_samples x n_targets.
///
/// # Errors
/// [`Error::Invalid`] for other shapes, too long blocks or shifts, no permutations;
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
    let defined: Vec<bool> = reached.concat().iter().zip(&r).map(|(_, &r)| r != 0.0).collect();
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

    #[test]
    fn slow_noise_is_not_significant_where_the_shuffle_keeps_it_slow() {
        // Random walks correlate by chance; 200 of them with unrelated predictions.
        let walks = |purpose: &str| {
            let mut y = Array2::zeros((120, 200));
            for (t, mut column) in y.columns_mut().into_iter().enumerate() {
                let mut stream = rng::stream(1, purpose, t as u64);
                let mut at = 0.0;
                column.iter_mut().for_each(|v| {
                    at = 0.9 * at + stream.normal();
                    *v = at as f32;
                });
            }
            y
        };
        let (y, predictions) = (walks("responses"), walks("predictions"));
        let share = |shuffle| {
            let found = test(y.view(), predictions.view(), shuffle, 400, 1, &Work::default()).unwrap();
            found.p.iter().filter(|&&p| p <= 0.05).count() as f64 / 200.0
        };
        let (single, slow) = (share(Shuffle::Blocks { length: 1 }), share(Shuffle::Circular { min_shift: 10 }));
        assert!(single > 0.2 && slow < 0.1, "{single} {slow}");
    }

    #[test]
    fn p_counts_permutations() {
        let y = Array2::from_shape_fn((12, 3), |(i, t)| if t == 2 { 5.0 } else { ((i * 7 + t) % 12) as f32 });
        let found = test(y.view(), y.view(), Shuffle::Circular { min_shift: 1 }, 1000, 1, &Work::default()).unwrap();
        assert_eq!(found.n_permutations, 11, "there are no more shifts");
        assert_eq!(found.p, [1.0 / 12.0, 1.0 / 12.0, 1.0]);
        assert_eq!(found.q, [1.0 / 12.0, 1.0 / 12.0, 1.0]);
        for shuffle in
            [Shuffle::Blocks { length: 12 }, Shuffle::Blocks { length: 0 }, Shuffle::Circular { min_shift: 7 }]
        {
            assert!(test(y.view(), y.view(), shuffle, 10, 1, &Work::default()).is_err());
        }
        assert!(test(y.view(), y.view(), Shuffle::Blocks { length: 2 }, 0, 1, &Work::default()).is_err());
    }
}
