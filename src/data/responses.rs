//! Responses of targets (voxels, neurons, channels) to stimuli, with a name for each of both.

use super::betas::Betas;
use crate::error::{Error, Result};
use ndarray::{Array2, Array3, ArrayView3, Axis};
use std::collections::HashSet;

/// Responses of every target to every stimulus, repeat by repeat.
///
/// A stimulus may have fewer repeats than others: what was not measured is NaN, and every target
/// has at least one response to every stimulus.
#[derive(Debug, Clone, PartialEq)]
pub struct Responses {
    values: Array3<f32>,
    targets: Vec<String>,
    stimuli: Vec<String>,
}

impl Responses {
    /// Takes responses and the names of both axes.
    ///
    /// # Shapes
    /// `values`: n_targets x n_stimuli x n_repeats, in any unit, NaN where a repeat is missing;
    /// `targets`: n_targets; `stimuli`: n_stimuli.
    ///
    /// # Errors
    /// [`Error::Invalid`] when an axis is empty or its number of names is another, a name is empty
    /// or there twice, a value is infinite, or a target has no response to a stimulus.
    pub fn new(values: Array3<f32>, targets: Vec<String>, stimuli: Vec<String>) -> Result<Self> {
        let (n_targets, n_stimuli, n_repeats) = values.dim();
        let bad = |expected: &str, found: String, hint: &str| Err(Error::invalid("responses", expected, found, hint));
        if values.is_empty() {
            let found = format!("{n_targets} x {n_stimuli} x {n_repeats}");
            return bad("n_targets x n_stimuli x n_repeats", found, "none of them may be 0");
        }
        for (axis, names, n) in [("target", &targets, n_targets), ("stimulus", &stimuli, n_stimuli)] {
            if names.len() != n {
                return bad(&format!("{n} names, one a {axis}"), names.len().to_string(), "");
            }
            let mut seen = HashSet::new();
            if let Some(name) = names.iter().find(|name| name.is_empty() || !seen.insert(name.as_str())) {
                let found = if name.is_empty() { "an empty name".into() } else { format!("`{name}` twice") };
                return bad(&format!("a name of its own for every {axis}"), found, "rename one of them");
            }
        }
        for ((t, s), repeats) in targets.iter().flat_map(|t| stimuli.iter().map(move |s| (t, s))).zip(values.rows()) {
            if repeats.iter().any(|v| v.is_infinite()) {
                return bad("numbers", format!("infinity in `{t}` at `{s}`"), "");
            }
            if repeats.iter().all(|v| v.is_nan()) {
                let hint = "leave the target or the stimulus out";
                return bad("a response of every target to every stimulus", format!("none of `{t}` to `{s}`"), hint);
            }
        }
        Ok(Self { values: values.as_standard_layout().into_owned(), targets, stimuli })
    }

    /// Responses in single samples: the conditions are the stimuli, a condition's samples in their
    /// order its repeats, and the voxels, called `targets`, the targets.
    ///
    /// # Shapes
    /// `targets`: n_voxels.
    ///
    /// # Errors
    /// As [`Responses::new`].
    pub fn of_betas(betas: &Betas, targets: Vec<String>) -> Result<Self> {
        let mut n_seen = vec![0usize; betas.n_conditions()];
        betas.conditions().iter().for_each(|&c| n_seen[c] += 1);
        let n_repeats = n_seen.iter().copied().max().unwrap_or(0);
        let mut values = Array3::from_elem((betas.n_voxels(), betas.n_conditions(), n_repeats), f32::NAN);
        n_seen.fill(0);
        for (row, &c) in betas.patterns().axis_iter(Axis(0)).zip(betas.conditions()) {
            values.index_axis_mut(Axis(2), n_seen[c]).index_axis_mut(Axis(1), c).assign(&row);
            n_seen[c] += 1;
        }
        Self::new(values, targets, betas.condition_names().to_vec())
    }

    /// n_targets x n_stimuli x n_repeats, NaN where a repeat is missing; row-major.
    pub fn values(&self) -> ArrayView3<'_, f32> {
        self.values.view()
    }

    /// Names of the targets.
    pub fn targets(&self) -> &[String] {
        &self.targets
    }

    /// Names of the stimuli.
    pub fn stimuli(&self) -> &[String] {
        &self.stimuli
    }

    /// Number of targets.
    pub fn n_targets(&self) -> usize {
        self.targets.len()
    }

    /// Number of stimuli.
    pub fn n_stimuli(&self) -> usize {
        self.stimuli.len()
    }

    /// Largest number of repeats of a stimulus.
    pub fn n_repeats(&self) -> usize {
        self.values.dim().2
    }

    /// Mean over the repeats that were measured, summed in 64 bits in their order.
    ///
    /// Formula: M[t, s] = sum_r x[t, s, r] / n_ts over the n_ts repeats that are numbers.
    ///
    /// # Shapes
    /// n_targets x n_stimuli.
    pub fn mean(&self) -> Array2<f64> {
        self.values.map_axis(Axis(2), |repeats| {
            let measured = repeats.iter().filter(|v| !v.is_nan());
            let (sum, n) = measured.fold((0.0, 0usize), |(sum, n), &v| (sum + f64::from(v), n + 1));
            sum / n as f64
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|s| s.to_string()).collect()
    }

    /// By hand: (1 + 3) / 2, 2; (-1 + 2) / 2, 6.
    #[test]
    fn missing_repeats_are_left_out_of_the_mean() {
        let values = array![[[1.0, 3.0], [2.0, f32::NAN]], [[-1.0, 2.0], [f32::NAN, 6.0]]];
        let found = Responses::new(values, names(&["v1", "v2"]), names(&["face", "house"])).unwrap();
        assert_eq!((found.n_targets(), found.n_stimuli(), found.n_repeats()), (2, 2, 2));
        assert_eq!(found.mean(), array![[2.0, 2.0], [0.5, 6.0]]);
    }

    #[test]
    fn samples_of_a_condition_are_its_repeats() {
        let patterns = array![[1.0, 10.0], [2.0, 20.0], [3.0, 30.0], [5.0, 50.0], [4.0, 40.0]];
        let conditions = names(&["im10", "im2", "im10", "im10", "im2"]);
        let betas = Betas::new(patterns, &conditions, &names(&["1", "1", "2", "2", "2"])).unwrap();
        let found = Responses::of_betas(&betas, names(&["a", "b"])).unwrap();
        assert_eq!(found.stimuli(), ["im2", "im10"]);
        let repeats = |t, s| (0..3).map(|r| found.values()[[t, s, r]]).collect::<Vec<f32>>();
        assert_eq!(repeats(0, 1), [1.0, 3.0, 5.0]);
        assert_eq!(repeats(1, 0)[..2], [20.0, 40.0]);
        assert!(repeats(1, 0)[2].is_nan());
        assert_eq!(found.mean(), betas.condition_means(|_| true).t());
        assert!(Responses::of_betas(&betas, names(&["a"])).is_err());
    }

    #[test]
    fn memory_is_row_major_whatever_came_in() {
        let last = Array3::from_shape_fn((2, 3, 4), |(r, s, t)| (r + 10 * s + 100 * t) as f32);
        let values = last.clone().permuted_axes([2, 1, 0]);
        let found = Responses::new(values, names(&["a", "b", "c", "d"]), names(&["x", "y", "z"])).unwrap();
        assert!(found.values().is_standard_layout());
        assert_eq!(found.values()[[3, 2, 1]], last[[1, 2, 3]]);
    }

    #[test]
    fn what_is_inconsistent_is_refused_by_name() {
        let ok = array![[[1.0f32], [2.0]]];
        let message = |values: &Array3<f32>, targets: &[&str], stimuli: &[&str]| {
            Responses::new(values.clone(), names(targets), names(stimuli)).unwrap_err().to_string()
        };
        assert!(message(&ok, &["a", "b"], &["x", "y"]).contains("1 names, one a target"));
        assert!(message(&ok, &["a"], &["x"]).contains("2 names, one a stimulus"));
        assert!(message(&ok, &["a"], &["x", "x"]).contains("`x` twice"));
        assert!(message(&ok, &[""], &["x", "y"]).contains("an empty name"));
        assert!(message(&Array3::zeros((1, 2, 0)), &["a"], &["x", "y"]).contains("1 x 2 x 0"));
        assert!(message(&array![[[1.0], [f32::NAN]]], &["a"], &["x", "y"]).contains("none of `a` to `y`"));
        assert!(message(&array![[[f32::INFINITY], [1.0]]], &["a"], &["x", "y"]).contains("infinity in `a` at `x`"));
    }
}
