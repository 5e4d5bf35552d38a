//! Patterns of responses: samples (one a condition, run and repeat) x voxels.

use super::names::natural_order;
use super::volume::HALF_A_STEP;
use crate::error::{Error, Result};
use ndarray::{Array2, ArrayView2, Axis};
use std::collections::{HashMap, HashSet};

/// Response estimates with the condition and the run of each sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Betas {
    patterns: Array2<f32>,
    conditions: Vec<usize>,
    condition_names: Vec<String>,
    runs: Vec<usize>,
    run_names: Vec<String>,
    weights: Vec<f64>,
}

/// The place of each name among all.
fn places(all: &[String], names: &[String]) -> Vec<usize> {
    let of: HashMap<&str, usize> = all.iter().enumerate().map(|(i, name)| (name.as_str(), i)).collect();
    names.iter().map(|name| of[name.as_str()]).collect()
}

/// Where a sample comes from: values of one file are equal where their stored numbers are, those of
/// several files where they are to within the rounding.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Origin {
    /// Number of the file.
    pub file: usize,
    /// The distance of the values that its stored integers can have; 0 for floating-point numbers.
    pub step: f64,
}

/// Fewest samples of a run that say that a voxel holds nothing there: two or three rounded numbers
/// may be equal by chance.
const LEAST_SAMPLES: usize = 4;

/// Which voxels vary.
#[derive(Debug, Clone, PartialEq)]
pub struct Variation {
    /// In every run of `LEAST_SAMPLES` samples or more, or where there is none over all samples.
    pub voxels: Vec<bool>,
    /// Voxels that vary in some run and not in another.
    pub n_in_part: usize,
}

impl Betas {
    /// Takes patterns and the labels of their rows; conditions are numbered in natural order of
    /// their names, runs in order of appearance.
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
        let mut seen = HashSet::new();
        let run_names: Vec<String> = runs.iter().filter(|run| seen.insert(run.as_str())).cloned().collect();
        let conditions = places(&condition_names, conditions);
        let runs = places(&run_names, runs);
        Ok(Self { patterns, conditions, condition_names, runs, run_names, weights: vec![1.0; n_samples] })
    }

    /// The same samples, each counted by how much it knows: the reciprocal of its variance, up to a
    /// factor.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another number of weights, or one that is not a positive number.
    pub fn weighted(self, weights: Vec<f64>) -> Result<Self> {
        if weights.len() != self.runs.len() || weights.iter().any(|w| !(w.is_finite() && *w > 0.0)) {
            let expected = format!("{} positive weights, one a sample", self.runs.len());
            return Err(Error::invalid("betas", expected, format!("{} of them, or others", weights.len()), ""));
        }
        Ok(Self { weights, ..self })
    }

    /// The weight of each sample; 1 where nothing else was said.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// Sums of the weights of each condition's samples in each run: n_runs x n_conditions.
    pub fn weight_sums(&self) -> Array2<f64> {
        let mut sums = Array2::zeros((self.n_runs(), self.n_conditions()));
        let samples = self.runs.iter().zip(&self.conditions).zip(&self.weights);
        samples.for_each(|((&r, &c), w)| sums[[r, c]] += w);
        sums
    }

    /// The same samples with other values, made of the sample's and the voxel's number and the
    /// value.
    pub fn mapped(&self, value: impl Fn(usize, usize, f64) -> f64) -> Self {
        let patterns =
            Array2::from_shape_fn(self.patterns.dim(), |(s, v)| value(s, v, f64::from(self.patterns[[s, v]])) as f32);
        Self { patterns, ..self.clone() }
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

    /// Which voxels carry something. One that does not vary over the samples of a run, to within
    /// the rounding of the files, holds what its file has outside of the brain: 0, or whatever
    /// became of it.
    ///
    /// # Shapes
    /// `origins`: n_samples.
    pub fn variation(&self, origins: &[Origin]) -> Variation {
        let rows_of = |run: usize| (0..self.runs.len()).filter(|&s| self.runs[s] == run).collect::<Vec<_>>();
        let runs: Vec<Vec<usize>> = (0..self.n_runs()).map(rows_of).collect();
        let all: Vec<usize> = (0..self.runs.len()).collect();
        let mut voxels = self.varies(&all, origins);
        let mut somewhere = vec![runs.iter().all(|rows| rows.len() < 2); self.n_voxels()];
        let mut everywhere = vec![true; self.n_voxels()];
        for rows in runs.iter().filter(|rows| rows.len() > 1) {
            let own = self.varies(rows, origins);
            somewhere.iter_mut().zip(&own).for_each(|(some, own)| *some |= own);
            if rows.len() >= LEAST_SAMPLES {
                everywhere.iter_mut().zip(&own).for_each(|(every, own)| *every &= own);
            }
        }
        voxels.iter_mut().zip(somewhere).for_each(|(voxel, some)| *voxel &= some);
        let n_in_part = voxels.iter().zip(&everywhere).filter(|(some, every)| **some && !**every).count();
        voxels.iter_mut().zip(everywhere).for_each(|(voxel, every)| *voxel &= every);
        Variation { voxels, n_in_part }
    }

    /// Which voxels are not explained by one number: a file's values must be equal, and the
    /// intervals that the rounded values of all files stand for must have a number in common.
    fn varies(&self, rows: &[usize], origins: &[Origin]) -> Vec<bool> {
        let n = self.n_voxels();
        let mut varies = vec![false; n];
        let (mut low, mut high) = (vec![f64::NEG_INFINITY; n], vec![f64::INFINITY; n]);
        for same in rows.chunk_by(|&a, &b| origins[a].file == origins[b].file) {
            let first = self.patterns.row(same[0]);
            for &s in &same[1..] {
                let row = self.patterns.row(s);
                varies.iter_mut().zip(row.iter().zip(first)).for_each(|(varies, (x, first))| *varies |= x != first);
            }
            let half = HALF_A_STEP * origins[same[0]].step;
            for (v, &x) in first.iter().enumerate() {
                low[v] = low[v].max(f64::from(x) - half);
                high[v] = high[v].min(f64::from(x) + half);
            }
        }
        varies.iter().zip(low.iter().zip(&high)).map(|(varies, (low, high))| *varies || low > high).collect()
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
    /// Formula: M[c, v] = sum_s 1[condition_s = c] w_s x[s, v] / sum_s 1[condition_s = c] w_s,
    /// summed in 64 bits.
    ///
    /// # Shapes
    /// n_conditions x n_voxels; a condition without such a sample is NaN.
    pub fn condition_means(&self, take: impl Fn(usize) -> bool) -> Array2<f64> {
        let (n, p) = (self.n_conditions(), self.n_voxels());
        let mut sums = Array2::<f64>::zeros((n, p));
        let mut totals = vec![0.0; n];
        for (s, &c) in self.conditions.iter().enumerate().filter(|(s, _)| take(*s)) {
            let weight = self.weights[s];
            totals[c] += weight;
            sums.row_mut(c).iter_mut().zip(self.patterns.row(s)).for_each(|(sum, &v)| *sum += weight * f64::from(v));
        }
        for (mut row, &total) in sums.axis_iter_mut(Axis(0)).zip(&totals) {
            row.mapv_inplace(|v| if total > 0.0 { v / total } else { f64::NAN });
        }
        sums
    }

    /// Every voxel's mean over the conditions' patterns taken off.
    pub fn without_mean_pattern(&self) -> Self {
        let mean = self.condition_means(|_| true).mean_axis(Axis(0)).expect("there are conditions");
        self.mapped(|_, v, x| x - mean[v])
    }

    /// Every voxel's mean over the samples of a run taken off, so that runs of different baseline
    /// can be averaged.
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

    #[test]
    fn what_does_not_vary_carries_nothing() {
        // Voxels: a signal; 0; a stored 0 of two files of another scaling (half of 0.2 and of 0.02
        // away); a constant of another value in each run; a signal in the first run only; one step
        // of the first file; a signal in the second.
        let a = [1.0f32, 0.0, 0.09, 5.0, 1.0, 0.2, 0.0];
        let b = [3.0f32, 0.0, -0.009, 6.0, 0.0, 0.0, 1.0];
        let run = |base: [f32; 7], moves: [f32; 7]| {
            (0..4).map(move |s| std::array::from_fn::<f32, 7, _>(|v| base[v] + s as f32 * moves[v])).collect::<Vec<_>>()
        };
        let mut rows = run(a, [0.5, 0.0, 0.0, 0.0, 0.7, 0.2, 0.0]);
        rows.extend(run(b, [0.5, 0.0, 0.0, 0.0, 0.0, 0.02, 0.3]));
        let patterns = Array2::from_shape_fn((8, 7), |(s, v)| rows[s][v]);
        let conditions = names(&["a", "b", "c", "d", "a", "b", "c", "d"]);
        let runs = names(&["1", "1", "1", "1", "2", "2", "2", "2"]);
        let origins: Vec<Origin> =
            (0..8).map(|s| Origin { file: s / 4, step: if s < 4 { 0.2 } else { 0.02 } }).collect();
        let found = Betas::new(patterns.clone(), &conditions, &runs).unwrap().variation(&origins);
        assert_eq!(found.voxels, [true, false, false, false, false, true, false]);
        assert_eq!(found.n_in_part, 2);
        // One sample a run (single images): what does not vary over all of them, to within the
        // rounding.
        let single: Vec<Origin> = (0..8).map(|s| Origin { file: s, ..origins[s] }).collect();
        let each: Vec<String> = (0..8).map(|s| s.to_string()).collect();
        let found = Betas::new(patterns.clone(), &conditions, &each).unwrap().variation(&single);
        assert_eq!(found.voxels, [true, false, false, true, true, true, true]);
        // Floating-point numbers are as they are.
        let exact: Vec<Origin> = single.iter().map(|o| Origin { step: 0.0, ..*o }).collect();
        let found = Betas::new(patterns, &conditions, &each).unwrap().variation(&exact);
        assert_eq!(found.voxels, [true, false, true, true, true, true, true]);
    }
}
