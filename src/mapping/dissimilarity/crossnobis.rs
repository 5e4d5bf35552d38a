//! Which samples are held against which in
//! [`Dissimilarity::Crossnobis`](super::Dissimilarity::Crossnobis).

use super::{Folds, Patterns};
use crate::data::Betas;
use crate::error::{Error, Result};
use crate::math::condensed;
use ndarray::{Array2, Axis};

/// How runs are held against each other; refuses what cannot be cross-validated. `noisy`: whether
/// patterns are whitened by noise of the runs that are not held out.
pub(super) fn folds(betas: &Betas, wanted: Folds, noisy: bool) -> Result<Folds> {
    let counts = betas.counts();
    let names = betas.condition_names();
    let n_runs = betas.n_runs();
    let runs_of = |c: usize| counts.column(c).iter().filter(|&&n| n > 0).count();
    if let Some(c) = (0..names.len()).find(|&c| runs_of(c) < 2) {
        let found = format!("`{}` in {} of {n_runs} runs", names[c], runs_of(c));
        let hint = "cross-validation holds runs against each other: use mahalanobis, or leave the condition out";
        return Err(Error::invalid("crossnobis", "every condition in at least 2 runs", found, hint));
    }
    let meet = |i: usize, j: usize| (0..n_runs).any(|run| counts[[run, i]] > 0 && counts[[run, j]] > 0);
    let apart = condensed::pairs(names.len()).find(|&(i, j)| !meet(i, j));
    match (wanted, apart) {
        (Folds::Auto | Folds::Runs, None) => Ok(Folds::Runs),
        (Folds::Runs, Some((i, j))) => {
            let found = format!("`{}` and `{}` in no run together", names[i], names[j]);
            let hint = "use `folds` pairs, which takes unbalanced designs";
            Err(Error::invalid("crossnobis", "every pair of conditions in some run", found, hint))
        }
        (Folds::Auto | Folds::Pairs, _) if noisy => {
            let found = match apart {
                Some((i, j)) => format!("`{}` and `{}` in no run together", names[i], names[j]),
                None => "`folds` pairs".into(),
            };
            let expected = "runs held out one by one, for noise that is estimated without them";
            let hint = "say `noise_from` all, whose estimate has seen what is held out (distances come out too large), or `noise` identity";
            Err(Error::invalid("crossnobis", expected, found, hint))
        }
        _ => Ok(Folds::Pairs),
    }
}

impl Patterns {
    /// Each run against the mean of all samples of the others; a pair of conditions in the runs that
    /// have both.
    pub(super) fn hold_out_runs(&mut self, betas: &Betas, scales: &[Vec<f64>]) {
        let runs = betas.runs();
        let means = |own: bool| -> Vec<Array2<f64>> {
            let of = |run: usize| betas.condition_means(|s| (runs[s] == run) == own);
            // What a run lacks is 0 in products that do not count.
            (0..betas.n_runs()).map(|run| of(run).mapv_into(|v| if v.is_nan() { 0.0 } else { v })).collect()
        };
        self.n_folds = betas.n_runs();
        let counts = betas.counts();
        self.present = counts.iter().any(|&n| n == 0).then(|| counts.mapv(|n| n > 0));
        self.train = self.laid_out(&means(false), scales);
        self.test = Some(self.laid_out(&means(true), scales));
    }

    /// sum over runs r != s of S_r' S_s = T' T - sum_r S_r' S_r, with S_r the sums of a run and T
    /// those of all.
    pub(super) fn pair_samples(&mut self, betas: &Betas, scales: &[Vec<f64>]) {
        let runs = betas.runs();
        let counted = betas.weight_sums();
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
