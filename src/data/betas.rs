//! Patterns of responses: samples (one a condition, run and repeat) x voxels.

use super::names::natural_order;
use crate::error::{Error, Result};
use ndarray::{Array2, ArrayView2, Axis};

/// Response estimates with the condition and the run of each sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Betas {
    patterns: Array2<f32>,
    conditions: Vec<usize>,
    condition_names: Vec<String>,
    runs: Vec<usize>,
    run_names: Vec<String>,
}

impl Betas {
    /// Takes patterns and the labels of their rows; conditions are numbered in natural order of their names, runs in order
    /// of appearance.
    ///
    /// # Shapes
    /// `patterns`: n_samples x n_voxels; `conditions`, `runs`: n_samples.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the lengths differ, or there are no samples or voxels.
    pub fn new(patterns: Array2<f32>, conditions: &[String], runs: &[String]) -> Result<Self> {
        let (n_samples, n_voxels) = patterns.dim();
        if n_samples == 0 || n_voxels == 0 || conditions.len() != n_samples || runs.len() != n_samples {
            let found = format!("{n_samples} x {n_voxels}, {} conditions, {} runs", conditions.len(), runs.len());
            return Err(Error::invalid("betas", "n_samples x n_voxels, a condition and a run each", found, ""));
        }
        let mut condition_names = conditions.to_vec();
        condition_names.sort_by(|a, b| natural_order(a, b));
        condition_names.dedup();
        let mut run_names: Vec<String> = Vec::new();
        runs.iter().for_each(|run| {
            if !run_names.contains(run) {
                run_names.push(run.clone());
            }
        });
        let place = |names: &[String], name: &String| names.iter().position(|n| n == name).expect("collected above");
        let conditions = conditions.iter().map(|c| place(&condition_names, c)).collect();
        let runs = runs.iter().map(|r| place(&run_names, r)).collect();
        Ok(Self { patterns, conditions, condition_names, runs, run_names })
    }

    /// n_samples x n_voxels.
    pub fn patterns(&self) -> ArrayView2<'_, f32> {
        self.patterns.view()
    }

    /// The condition of each sample.
    pub fn conditions(&self) -> &[usize] {
        &self.conditions
    }

    /// Names of the conditions, in natural order.
    pub fn condition_names(&self) -> &[String] {
        &self.condition_names
    }

    /// The run of each sample.
    pub fn runs(&self) -> &[usize] {
        &self.runs
    }

    /// Names of the runs.
    pub fn run_names(&self) -> &[String] {
        &self.run_names
    }

    /// Number of different conditions.
    pub fn n_conditions(&self) -> usize {
        self.condition_names.len()
    }

    /// Number of runs.
    pub fn n_runs(&self) -> usize {
        self.run_names.len()
    }

    /// Number of voxels.
    pub fn n_voxels(&self) -> usize {
        self.patterns.ncols()
    }

    /// Samples of each condition in each run: n_runs x n_conditions.
    pub fn counts(&self) -> Array2<usize> {
        let mut counts = Array2::zeros((self.n_runs(), self.n_conditions()));
        self.runs.iter().zip(&self.conditions).for_each(|(&r, &c)| counts[[r, c]] += 1);
        counts
    }

    /// Which voxels hold a finite number in every sample.
    pub fn finite_voxels(&self) -> Vec<bool> {
        let mut finite = vec![true; self.n_voxels()];
        for row in self.patterns.axis_iter(Axis(0)) {
            finite.iter_mut().zip(row).for_each(|(f, v)| *f &= v.is_finite());
        }
        finite
    }

    /// The same samples with some of the voxels.
    ///
    /// # Errors
    /// [`Error::Invalid`] when none is kept.
    pub fn keep_voxels(&self, keep: &[bool]) -> Result<Self> {
        let voxels: Vec<usize> = (0..self.n_voxels()).filter(|&v| keep[v]).collect();
        if voxels.is_empty() {
            return Err(Error::invalid("betas", "at least one voxel with numbers", "none", "check the mask"));
        }
        Ok(Self { patterns: self.patterns.select(Axis(1), &voxels), ..self.clone() })
    }

    /// Means over the samples of a condition that `take` (of the sample's number) accepts.
    ///
    /// Formula: M[c, v] = sum_s 1[condition_s = c] x[s, v] / n_c, summed in 64 bits.
    ///
    /// # Shapes
    /// n_conditions x n_voxels; a condition without such a sample is NaN.
    pub fn condition_means(&self, take: impl Fn(usize) -> bool) -> Array2<f64> {
        let (n, p) = (self.n_conditions(), self.n_voxels());
        let mut sums = Array2::<f64>::zeros((n, p));
        let mut counts = vec![0usize; n];
        for (s, &c) in self.conditions.iter().enumerate().filter(|(s, _)| take(*s)) {
            counts[c] += 1;
            sums.row_mut(c).iter_mut().zip(self.patterns.row(s)).for_each(|(sum, &v)| *sum += f64::from(v));
        }
        for (mut row, &count) in sums.axis_iter_mut(Axis(0)).zip(&counts) {
            row.mapv_inplace(|v| if count > 0 { v / count as f64 } else { f64::NAN });
        }
        sums
    }

    /// Every voxel's mean over the samples of a run taken off, so that runs of different baseline can be averaged.
    pub fn centred_within_runs(&self) -> Self {
        let mut patterns = self.patterns.clone();
        for run in 0..self.n_runs() {
            let rows: Vec<usize> = (0..self.runs.len()).filter(|&s| self.runs[s] == run).collect();
            let mut mean = vec![0.0f64; self.n_voxels()];
            for &s in &rows {
                mean.iter_mut().zip(self.patterns.row(s)).for_each(|(m, &v)| *m += f64::from(v) / rows.len() as f64);
            }
            for &s in &rows {
                patterns.row_mut(s).iter_mut().zip(&mean).for_each(|(v, m)| *v = (f64::from(*v) - m) as f32);
            }
        }
        Self { patterns, ..self.clone() }
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
    fn means_counts_and_centring() {
        let patterns = array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [10.0, f32::NAN]];
        let betas =
            Betas::new(patterns, &names(&["im10", "im2", "im2", "im10"]), &names(&["b", "b", "a", "a"])).unwrap();
        assert_eq!(betas.condition_names(), ["im2", "im10"]);
        assert_eq!(betas.run_names(), ["b", "a"]);
        assert_eq!(betas.counts(), array![[1, 1], [1, 1]]);
        assert_eq!(betas.finite_voxels(), [true, false]);
        let betas = betas.keep_voxels(&[true, false]).unwrap();
        assert_eq!(betas.condition_means(|_| true), array![[4.0], [5.5]]);
        assert_eq!(betas.centred_within_runs().patterns(), array![[-1.0], [1.0], [-2.5], [2.5]]);
        assert!(betas.condition_means(|s| s == 0)[[0, 0]].is_nan());
    }
}
