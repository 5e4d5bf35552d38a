//! What of a map is no measurement, though it is a number.

use super::volume::{Grid, HALF_A_STEP};

/// A map of fewer different values, half of them more than once, is one of levels: counts, labels,
/// thresholds.
const FEW_VALUES: usize = 256;
/// Share of the grid that holds exactly one value where this is a background other than 0.
const SHARE: f64 = 0.05;
/// Fewest voxels of such a background.
const LEAST: usize = 8;

/// What is around the measurements of a map.
#[derive(Debug, Clone, PartialEq)]
pub struct Background {
    /// Voxels that hold no measurement although they hold a number.
    pub voxels: Vec<bool>,
    /// Nothing but one value, or NaN.
    pub empty: bool,
    /// Levels rather than measurements, of which 0 is one: nothing is background.
    pub levels: bool,
}

impl Background {
    /// Programs write 0 where there is no value, or one other number. Measurements hardly ever
    /// repeat, so that what repeats is no measurement: every 0 of floating-point numbers; of scaled
    /// integers, which are rounded to multiples of `step`, values within half a step of 0 beside
    /// another such; and any value that fills a twentieth of the grid.
    ///
    /// # Shapes
    /// `values`: `grid.n_voxels()`, i fastest; NaN where there are none.
    pub fn of(values: &[f64], grid: &Grid, step: f64) -> Self {
        let zero: Vec<bool> = values.iter().map(|x| x.abs() <= HALF_A_STEP * step).collect();
        let common =
            most_common(values.iter().zip(&zero).filter(|(x, zero)| x.is_finite() && !**zero).map(|(x, _)| *x));
        let least = (SHARE * values.len() as f64).max(LEAST as f64) as usize;
        let filling = common.filter(|(_, n)| *n >= least).map(|(x, _)| x);
        let rest = |v: usize| values[v].is_finite() && !zero[v] && Some(values[v]) != filling;
        let mut measured: Vec<f64> = (0..values.len()).filter(|&v| rest(v)).map(|v| values[v]).collect();
        let n = measured.len();
        measured.sort_by(f64::total_cmp);
        let whole = step == 0.0 && measured.iter().all(|x| x.fract() == 0.0);
        measured.dedup();
        let n_values = measured.len() + usize::from(filling.is_some());
        let levels = n > 0 && (whole || (n_values < FEW_VALUES && 2 * n_values <= n));
        let alone = |v: usize| step > 0.0 && !neighbours(grid, v).any(|u| zero[u]);
        let background = |v: usize| !levels && ((zero[v] && !alone(v)) || Some(values[v]) == filling);
        let one_value = n == 0 || (n_values == 1 && !zero.contains(&true));
        Self { voxels: (0..values.len()).map(background).collect(), empty: one_value, levels }
    }
}

/// The value that comes most often (the smallest of several), and how often.
fn most_common(values: impl Iterator<Item = f64>) -> Option<(f64, usize)> {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let runs = sorted.chunk_by(|a, b| a == b).map(|same| (same[0], same.len()));
    runs.reduce(|best, own| if own.1 > best.1 { own } else { best })
}

/// The up to six voxels that share a face with one.
fn neighbours(grid: &Grid, v: usize) -> impl Iterator<Item = usize> {
    let (grid, at) = (*grid, grid.voxel(v));
    (0..6).filter_map(move |face| {
        let (axis, mut other) = (face / 2, at);
        other[axis] = if face % 2 == 0 { at[axis].checked_sub(1)? } else { at[axis] + 1 };
        (other[axis] < grid.shape[axis]).then(|| grid.index(other))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Affine;

    /// 10 x 10 x 2; `of` gives the value at i, j, k.
    fn found(step: f64, of: impl Fn([usize; 3]) -> f64) -> Background {
        let grid = Grid { shape: [10, 10, 2], affine: Affine::scaling([1.0; 3]) };
        let values: Vec<f64> = (0..200).map(|v| of(grid.voxel(v))).collect();
        Background::of(&values, &grid, step)
    }

    fn measured([i, j, k]: [usize; 3]) -> f64 {
        ((i * 37 + j * 11 + k * 5) as f64 * 0.7).sin() + 0.1
    }

    fn count(found: &Background) -> usize {
        found.voxels.iter().filter(|b| **b).count()
    }

    #[test]
    fn what_repeats_is_no_measurement() {
        let around = |value: f64| move |at: [usize; 3]| if at[0] < 3 { value } else { measured(at) };
        for value in [0.0, -3.25] {
            let background = found(0.0, around(value));
            assert_eq!((count(&background), background.empty, background.levels), (60, false, false), "{value}");
            assert!(background.voxels[2] && !background.voxels[3]);
        }
        // NaN needs no help; a value that comes a few times is a measurement.
        assert_eq!(count(&found(0.0, around(f64::NAN))), 0);
        assert_eq!(count(&found(0.0, |at| if at == [4, 4, 0] || at == [8, 1, 1] { 0.5 } else { measured(at) })), 0);
        // A single 0 of floating-point numbers is none; of integers in steps of 0.01 it happens by
        // chance.
        let single = |at: [usize; 3]| if at == [5, 5, 1] { 0.0 } else { measured(at) };
        assert_eq!(count(&found(0.0, single)), 1);
        let rounded = |x: f64| (x / 0.01).round() * 0.01 + 0.004;
        assert_eq!(count(&found(0.01, |at| rounded(single(at)))), 0);
        assert_eq!(count(&found(0.01, |at| rounded(around(0.0)(at)))), 60);
    }

    #[test]
    fn counts_have_zeros_and_empty_maps_nothing_else() {
        let background = found(0.0, |[i, j, _]| (i * j % 4) as f64);
        assert!(background.levels && count(&background) == 0 && !background.empty);
        let background = found(0.0, |[i, j, _]| (i * j % 4) as f64 / 8.0);
        assert!(background.levels && count(&background) == 0 && !background.empty, "fractions of eight trials");
        for value in [0.0, 7.0, f64::NAN] {
            assert!(found(0.0, |_| value).empty, "{value}");
        }
        assert!(found(0.0, |at| if at[0] == 0 { f64::NAN } else { 0.0 }).empty);
        assert!(found(0.01, |_| 0.004).empty);
    }
}
