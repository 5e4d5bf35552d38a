//! Which samples are held against which in
//! [`Dissimilarity::Crossnobis`](super::Dissimilarity::Crossnobis).

use super::{Folds, Patterns};
use crate::data::Betas;
use crate::error::{Error, Result};
use ndarray::{Array2, Axis};

/// How runs are held against each other; refuses what cannot be cross-validated.
pub(super) fn folds(betas: &Betas, wanted: Folds) -> Result<Folds> {
    let counts = betas.counts();
    let names = betas.condition_names();
    let n_runs = betas.n_runs();
    let runs_of = |c: usize| counts.column(c).iter().filter(|&&n| n > 0).count();
    if let Some(c) = (0..names.len()).find(|&c| runs_of(c) < 2) {
        let found = format!("`{}` in {} of {n_runs} runs", names[c], runs_of(c));
        let hint = "cross-validation holds runs against each other: use mahalanobis, or leave the condition out";
        return Err(Error::invalid("crossnobis", "every condition in at least 2 runs", found, hint));
    }
    let missing = counts.indexed_iter().find(|(_, n)| **n == 0).map(|(at, _)| at);
    match (wanted, missing) {
        (Folds::Auto, None) => Ok(Folds::Runs),
        (Folds::Auto, Some(_)) => Ok(Folds::Pairs),
        (Folds::Runs, Some((run, c))) => {
            let found = format!("no `{}` in run {}", names[c], betas.run_names()[run]);
            let hint = "use `folds` pairs, which takes unbalanced designs";
            Err(Error::invalid("crossnobis", "every condition in every run", found, hint))
        }
        (folds, _) => Ok(folds),
    }
}

impl Patterns {
    /// Each run against the mean of all samples of the others.
    pub(super) fn hold_out_runs(&mut self, betas: &Betas, scales: &[Vec<f64>]) {
        let runs = betas.runs();
        let means = |own: bool| -> Vec<Array2<f64>> {
            (0..betas.n_runs()).map(|run| betas.condition_means(|s| (runs[s] == run) == own)).collect()
        };
        self.n_folds = betas.n_runs();
        self.train = self.laid_out(&means(false), scales);
        self.test = Some(self.laid_out(&means(true), scales));
    }

    /// sum over runs r != s of S_r' S_s = T' T - sum_r S_r' S_r, with S_r the sums of a run and T
    /// those of all.
    pub(super) fn pair_samples(&mut self, betas: &Betas, scales: &[Vec<f64>]) {
        let runs = betas.runs();
        let counted = betas.counts().mapv(|n| n as f64);
        let total = counted.sum_axis(Axis(0));
        let mut n_products = Array2::zeros((self.n_conditions, self.n_conditions));
        for ((i, j), n) in n_products.indexed_iter_mut() {
            *n = total[i] * total[j] - counted.column(i).dot(&counted.column(j));
        }
        let sums = |mut means: Array2<f64>, n: &dyn Fn(usize) -> f64| {
            for (c, mut row) in means.axis_iter_mut(Axis(0)).enumerate() {
                row.mapv_inplace(|v| if n(c) > 0.0 { v * n(c) } else { 0.0 });
            }
            means
        };
        let mut train = vec![sums(betas.condition_means(|_| true), &|c| total[c])];
        for run in 0..betas.n_runs() {
            train.push(sums(betas.condition_means(|s| runs[s] == run), &|c| counted[[run, c]]));
        }
        let mut test = train.clone();
        test[1..].iter_mut().for_each(|own| own.mapv_inplace(|v| -v));
        self.n_folds = train.len();
        self.n_products = Some(n_products);
        self.train = self.laid_out(&train, scales);
        self.test = Some(self.laid_out(&test, scales));
    }
}
