//! Variance partitioning: how much of R2 feature spaces explain alone and together.

use crate::error::{Error, Result};

/// Shares of R2 by which spaces explain them, one target or mean at a time.
///
/// `r2[set]` is the R2 of a model of the spaces in `set` (bit s for space s), fitted on its own and
/// tested on the same rows; `r2[0]` is not read and counts as 0. Entry `set` of the result is what
/// exactly those spaces explain in common, by inclusion and exclusion:
///
/// ```text
/// share(S) = sum over A within S of (-1)^(|A| + 1) R2(A and all that is not in S)
/// ```
///
/// Entries add up to the R2 of all spaces; the first bits alone are the unique shares. Shares of
/// held-out R2 may be negative: they are differences of noisy numbers.
///
/// # Errors
/// [`Error::Invalid`] when the number of models is no power of 2, or beyond 2^12.
///
/// # Source
/// de Heer et al., J. Neurosci. 37:6539 (2017); Lescroart et al., Front. Comput. Neurosci. 9:135
/// (2015); commonality analysis.
pub fn partition(r2: &[f64]) -> Result<Vec<f64>> {
    let n = r2.len();
    if !n.is_power_of_two() || !(2..=1 << 12).contains(&n) {
        let expected = "an R2 for every set of 1 to 12 feature spaces, 2^spaces in all";
        return Err(Error::invalid("variance partitioning", expected, format!("{n} of them"), ""));
    }
    let of = |set: usize| if set == 0 { 0.0 } else { r2[set] };
    let all = n - 1;
    let share = |set: usize| {
        let rest = all & !set;
        let mut sum = 0.0;
        // All subsets of `set`, down to the empty one.
        let mut within = set;
        loop {
            let sign = if within.count_ones() % 2 == 1 { 1.0 } else { -1.0 };
            sum += sign * of(within | rest);
            if within == 0 {
                break sum;
            }
            within = (within - 1) & set;
        }
    };
    Ok((0..n).map(|set| if set == 0 { 0.0 } else { share(set) }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn three_spaces_are_the_areas_of_their_circles() {
        // Areas: A alone 1, B 2, C 4, AB 8, AC 16, BC 32, ABC 64, in units of 1/200.
        let areas = [0.0, 1.0, 2.0, 8.0, 4.0, 16.0, 32.0, 64.0].map(|v| v / 200.0);
        let union = |set: usize| (1..8).filter(|area| area & set != 0).map(|area| areas[area]).sum::<f64>();
        let found = partition(&(0..8).map(union).collect::<Vec<_>>()).unwrap();
        for (found, expected) in found.iter().zip(areas) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
        assert!(partition(&[0.0; 6]).is_err() && partition(&[0.0]).is_err());
    }

    proptest! {
        #[test]
        fn shares_add_up(r2 in prop::collection::vec(-0.2f64..0.9, 16)) {
            let found = partition(&r2).unwrap();
            prop_assert!((found.iter().sum::<f64>() - r2[15]).abs() < 1e-9);
            // What one space adds to all others is its own.
            prop_assert!((found[1] - (r2[15] - r2[14])).abs() < 1e-9);
        }
    }
}
