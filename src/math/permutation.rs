//! Permutation tests on matrices of pairs (Mantel tests): conditions are relabelled, so rows and
//! columns move together.

use super::condensed;
use serde::{Deserialize, Serialize};

/// Which deviations from chance count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tail {
    /// Larger than chance: the usual question, whether a model explains a recording.
    #[default]
    Greater,
    /// Smaller than chance.
    Less,
    /// Further from zero than chance.
    TwoSided,
}

/// Two statistics closer than this are one value: a permutation that changes nothing may differ in
/// its last bits.
const SAME: f64 = 1e-12;

/// Relabels the conditions of a condensed matrix: entry `(i, j)` of the result is entry
/// `(order[i], order[j])` of `values`.
///
/// # Shapes
/// `values`: n (n - 1) / 2; `order`: a permutation of 0..n.
pub fn permute_condensed(values: &[f64], order: &[usize]) -> Vec<f64> {
    let n = order.len();
    condensed::pairs(n).map(|(i, j)| values[condensed::index(order[i], order[j], n)]).collect()
}

/// p = (1 + number of permutations at least as extreme as the observed value) / (1 +
/// n_permutations).
///
/// NaN in `null` (an undefined permuted statistic) counts as extreme; NaN observed gives NaN.
///
/// # Source
/// Phipson and Smyth, Stat. Appl. Genet. Mol. Biol. 9:39 (2010): the observed labelling is one of
/// the permutations, so that p is never 0.
pub fn p_value(observed: f64, null: &[f64], tail: Tail) -> f64 {
    if observed.is_nan() {
        return f64::NAN;
    }
    let extreme = |&&v: &&f64| {
        v.is_nan()
            || match tail {
                Tail::Greater => v >= observed - SAME,
                Tail::Less => v <= observed + SAME,
                Tail::TwoSided => v.abs() >= observed.abs() - SAME,
            }
    };
    (1 + null.iter().filter(extreme).count()) as f64 / (1 + null.len()) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn p_counts_the_observed_labelling() {
        let null = [0.1, 0.5, -0.7, 0.2];
        assert_eq!(p_value(0.5, &null, Tail::Greater), 2.0 / 5.0);
        assert_eq!(p_value(0.5, &null, Tail::TwoSided), 3.0 / 5.0);
        assert_eq!(p_value(-0.8, &null, Tail::Less), 1.0 / 5.0);
        assert_eq!(p_value(0.9, &[], Tail::Greater), 1.0);
        assert!(p_value(f64::NAN, &null, Tail::Greater).is_nan());
    }

    #[test]
    fn rows_and_columns_move_together() {
        // (0,1) (0,2) (1,2) -> labels 2, 0, 1: entry (0,1) of the result is (2,0) = (0,2) of the
        // input.
        assert_eq!(permute_condensed(&[1.0, 2.0, 3.0], &[2, 0, 1]), [2.0, 3.0, 1.0]);
    }

    proptest! {
        #[test]
        fn the_inverse_order_undoes_a_permutation(n in 2usize..9, seed in any::<u64>()) {
            let order = crate::rng::stream(seed, "permutation test", 0).permutation(n);
            let mut inverse = vec![0; n];
            order.iter().enumerate().for_each(|(i, &o)| inverse[o] = i);
            let values: Vec<f64> = (0..condensed::n_pairs(n)).map(|v| v as f64).collect();
            prop_assert_eq!(permute_condensed(&permute_condensed(&values, &order), &inverse), values);
        }
    }
}
