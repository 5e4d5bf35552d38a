//! Targets over time: one row a sample, in runs.

use super::place::Place;
use super::responses::{Usable, check_names};
use crate::error::{Error, Result};
use ndarray::{Array2, ArrayView2, Axis};

/// Samples of targets at even steps of time within each run.
#[derive(Debug, Clone, PartialEq)]
pub struct TimeSeries {
    values: Array2<f32>,
    targets: Vec<String>,
    runs: Vec<usize>,
    run_names: Vec<String>,
    tr_s: f64,
    usable: Vec<Usable>,
    place: Place,
}

impl TimeSeries {
    /// Takes samples in the order of time; runs are numbered in order of appearance.
    ///
    /// # Shapes
    /// `values`: n_samples x n_targets; `targets`: n_targets; `runs`: n_samples, the name of each
    /// sample's run; `tr_s`: seconds from one sample to the next.
    ///
    /// # Errors
    /// [`Error::Invalid`] when an axis is empty or its number of names is another, a target's name
    /// is empty or there twice, a run comes back after another one, `tr_s` is no positive number,
    /// the number of places is not that of the targets, or no target has a number at some sample.
    pub fn new(values: Array2<f32>, targets: Vec<String>, runs: &[String], tr_s: f64, place: Place) -> Result<Self> {
        let (n_samples, n_targets) = values.dim();
        let bad = |expected: &str, found: String, hint: &str| Err(Error::invalid("time series", expected, found, hint));
        if values.is_empty() || runs.len() != n_samples {
            return bad("n_samples x n_targets, a run each", format!("{n_samples} x {n_targets}, {}", runs.len()), "");
        }
        check_names("time series", "target", &targets, n_targets)?;
        if !(tr_s > 0.0 && tr_s.is_finite()) {
            return bad("seconds between two samples", tr_s.to_string(), "");
        }
        if place.n_places().is_some_and(|n| n != n_targets) {
            return bad(&format!("places of {n_targets} targets"), format!("{:?} places", place.n_places()), "");
        }
        let mut run_names: Vec<String> = vec![];
        let mut numbers = Vec::with_capacity(n_samples);
        for run in runs {
            if run_names.last() != Some(run) {
                if run_names.contains(run) {
                    let hint = "samples are in the order of time, and those of a run stand together";
                    return bad("every run in one piece", format!("`{run}` again after another one"), hint);
                }
                run_names.push(run.clone());
            }
            numbers.push(run_names.len() - 1);
        }
        if let Some(t) = values.rows().into_iter().position(|row| row.iter().all(|v| v.is_nan())) {
            let hint = "was the scan stopped? cut the series before it";
            return bad("a number in every sample", format!("NaN in all of sample {t} (counted from 0)"), hint);
        }
        let usable = values.axis_iter(Axis(1)).map(|column| Usable::of(column.insert_axis(Axis(1)))).collect();
        let values = if values.is_standard_layout() { values } else { values.as_standard_layout().into_owned() };
        Ok(Self { values, targets, runs: numbers, run_names, tr_s, usable, place })
    }

    /// n_samples x n_targets, row-major.
    pub fn values(&self) -> ArrayView2<'_, f32> {
        self.values.view()
    }

    /// Names of the targets.
    pub fn targets(&self) -> &[String] {
        &self.targets
    }

    /// The run of each sample.
    pub fn runs(&self) -> &[usize] {
        &self.runs
    }

    /// Names of the runs.
    pub fn run_names(&self) -> &[String] {
        &self.run_names
    }

    /// Seconds from one sample to the next.
    pub fn tr_s(&self) -> f64 {
        self.tr_s
    }

    /// Number of samples.
    pub fn n_samples(&self) -> usize {
        self.values.nrows()
    }

    /// Number of targets.
    pub fn n_targets(&self) -> usize {
        self.values.ncols()
    }

    /// Number of samples of each run.
    pub fn run_lengths(&self) -> Vec<usize> {
        let mut lengths = vec![0; self.run_names.len()];
        self.runs.iter().for_each(|&r| lengths[r] += 1);
        lengths
    }

    /// What each target allows: one that lacks a number in some sample cannot be used.
    pub fn usable(&self) -> &[Usable] {
        &self.usable
    }

    /// How many targets are of a kind.
    pub fn count(&self, kind: Usable) -> usize {
        self.usable.iter().filter(|u| **u == kind).count()
    }

    /// Where the targets are.
    pub fn place(&self) -> &Place {
        &self.place
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|s| s.to_string()).collect()
    }

    #[test]
    fn runs_stand_together_and_unusable_targets_are_counted() {
        let values = array![[1.0, 5.0, f32::NAN], [2.0, 5.0, 1.0], [3.0, 5.0, 2.0]];
        let new = |runs: &[&str], tr_s: f64| {
            TimeSeries::new(values.clone(), names(&["a", "b", "c"]), &names(runs), tr_s, Place::Nowhere)
        };
        let found = new(&["b", "a", "a"], 2.0).unwrap();
        assert_eq!((found.run_names(), found.runs()), (&names(&["b", "a"])[..], &[0, 1, 1][..]));
        assert_eq!(found.run_lengths(), [1, 2]);
        assert_eq!(found.usable(), [Usable::Yes, Usable::Constant, Usable::NotFinite]);
        assert!(new(&["a", "b", "a"], 2.0).unwrap_err().to_string().contains("`a` again"));
        assert!(new(&["a"; 3], 0.0).unwrap_err().to_string().contains("seconds"));
        assert!(new(&["a"; 2], 1.0).is_err());
        let empty = array![[1.0], [f32::NAN]];
        let text = TimeSeries::new(empty, names(&["a"]), &names(&["1", "1"]), 1.0, Place::Nowhere).unwrap_err();
        assert!(text.to_string().contains("all of sample 1"), "{text}");
    }
}
