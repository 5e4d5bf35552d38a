//! Differences between runs, told apart from the conditions' patterns.

use super::Betas;
use crate::error::Result;
use crate::math::linalg::lstsq;
use ndarray::{Array2, Axis};

/// Singular values up to this share of the largest are 0: the mean of connected runs, which no
/// condition pattern fixes.
const TOLERANCE: f64 = 1e-10;
/// Shares of a run's samples that differ by less are equal.
const SAME: f64 = 1e-9;

/// What every run adds to all of its samples, by least squares together with the conditions'
/// patterns:
///
/// x_s = a_c(s) + b_r(s) + e_s, the weighted sum of e_s^2 least.
///
/// Where conditions are spread over runs unevenly, the plain mean of a condition's samples has the
/// differences of its runs in it, and taking every run's mean off takes patterns off that are in
/// that mean. Only differences within connected conditions can be told: those that share a run, or
/// a chain of runs.
#[derive(Debug, Clone, PartialEq)]
pub struct RunEffects {
    /// b, n_runs x n_voxels; of connected runs the mean over their samples is 0.
    pub effects: Array2<f64>,
    /// Group of connected conditions that each condition is in, n_conditions, from 0.
    pub groups: Vec<usize>,
}

impl RunEffects {
    /// Fits them.
    ///
    /// # Errors
    /// As [`lstsq`].
    ///
    /// # Source
    /// The additive two-way layout; Searle, Linear Models (1971), chapter 7, for connectedness.
    ///
    /// ```
    /// use ndarray::array;
    /// use orthoscope::data::{Betas, RunEffects};
    ///
    /// // Patterns 1, 2, 4 of one voxel; run `b` adds 10. Condition y is in both runs.
    /// let names = |all: &[&str]| all.iter().map(|s| s.to_string()).collect::<Vec<_>>();
    /// let betas = Betas::new(array![[1.0], [2.0], [12.0], [14.0]], &names(&["x", "y", "y", "z"]), &names(&["a", "a", "b", "b"]))?;
    /// let found = RunEffects::of(&betas)?;
    /// assert!((found.effects[[1, 0]] - found.effects[[0, 0]] - 10.0).abs() < 1e-9);
    /// let means = found.taken_off(&betas).condition_means(|_| true);
    /// assert!((means[[1, 0]] - means[[0, 0]] - 1.0).abs() < 1e-6 && (means[[2, 0]] - means[[0, 0]] - 3.0).abs() < 1e-6);
    /// # Ok::<(), orthoscope::Error>(())
    /// ```
    pub fn of(betas: &Betas) -> Result<Self> {
        let n = betas.weight_sums();
        let (n_runs, n_voxels) = (n.nrows(), betas.n_voxels());
        let of_conditions = n.sum_axis(Axis(0));
        let of_runs = n.sum_axis(Axis(1));
        // b = S^+ (sums of the runs less what their conditions' means give), S = D_r - N D_c^-1 N'.
        let shares = &n / &of_conditions;
        let system = Array2::from_diag(&of_runs) - n.dot(&shares.t());
        let means = betas.condition_means(|_| true);
        let mut sums = Array2::<f64>::zeros((n_runs, n_voxels));
        for (s, &run) in betas.runs().iter().enumerate() {
            let (weight, mean) = (betas.weights()[s], means.row(betas.conditions()[s]));
            let row = betas.patterns().row(s).to_owned();
            sums.row_mut(run)
                .iter_mut()
                .zip(&row)
                .zip(mean)
                .for_each(|((sum, &x), m)| *sum += weight * (f64::from(x) - m));
        }
        let (mut effects, _) = lstsq(system.view(), sums.view(), TOLERANCE)?;
        let (groups, runs) = connected(&n);
        for group in 0..groups.iter().max().map_or(0, |g| g + 1) {
            let own: Vec<usize> = (0..n_runs).filter(|&r| runs[r] == group).collect();
            let total: f64 = own.iter().map(|&r| of_runs[r]).sum();
            let mut mean = ndarray::Array1::<f64>::zeros(n_voxels);
            own.iter().for_each(|&r| mean.scaled_add(of_runs[r] / total, &effects.row(r)));
            own.iter().for_each(|&r| effects.row_mut(r).scaled_add(-1.0, &mean));
        }
        Ok(Self { effects, groups })
    }

    /// Groups of connected conditions; 1 where all can be compared.
    pub fn n_groups(&self) -> usize {
        self.groups.iter().max().map_or(0, |g| g + 1)
    }

    /// The samples without what their runs add.
    pub fn taken_off(&self, betas: &Betas) -> Betas {
        betas.mapped(|s, v, x| x - self.effects[[betas.runs()[s], v]])
    }
}

/// Whether every run has the same shares of the conditions: plain means then differ by the
/// conditions alone.
pub fn is_proportional(betas: &Betas) -> bool {
    let n = betas.weight_sums();
    let of_runs = n.sum_axis(Axis(1));
    let share = |r: usize, c: usize| n[[r, c]] / of_runs[r];
    (0..n.nrows()).all(|r| (0..n.ncols()).all(|c| (share(r, c) - share(0, c)).abs() < SAME))
}

/// Groups of conditions and of runs that samples connect.
fn connected(n: &Array2<f64>) -> (Vec<usize>, Vec<usize>) {
    let (n_runs, n_conditions) = n.dim();
    let (mut conditions, mut runs) = (vec![usize::MAX; n_conditions], vec![usize::MAX; n_runs]);
    let mut group = 0;
    for first in 0..n_conditions {
        if conditions[first] != usize::MAX {
            continue;
        }
        let mut open = vec![first];
        conditions[first] = group;
        while let Some(c) = open.pop() {
            for r in (0..n_runs).filter(|&r| n[[r, c]] > 0.0) {
                runs[r] = group;
                for other in (0..n_conditions).filter(|&other| n[[r, other]] > 0.0) {
                    if conditions[other] == usize::MAX {
                        conditions[other] = group;
                        open.push(other);
                    }
                }
            }
        }
        group += 1;
    }
    (conditions, runs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng;

    /// Patterns, and samples of them in the runs that `has` says, with what runs add.
    fn design(has: impl Fn(usize, usize) -> usize) -> (Array2<f64>, Betas) {
        let mut draw = rng::stream(4, "run effects", 0);
        let patterns = Array2::from_shape_simple_fn((6, 20), || draw.normal());
        let runs = Array2::from_shape_simple_fn((3, 20), || 5.0 * draw.normal());
        let (mut rows, mut conditions, mut names) = (vec![], vec![], vec![]);
        for (r, c) in (0..3).flat_map(|r| (0..6).map(move |c| (r, c))) {
            for _ in 0..has(r, c) {
                rows.extend((&patterns.row(c) + &runs.row(r)).mapv(|x| x as f32));
                conditions.push(format!("c{c}"));
                names.push(format!("r{r}"));
            }
        }
        let samples = Array2::from_shape_vec((conditions.len(), 20), rows).unwrap();
        (patterns, Betas::new(samples, &conditions, &names).unwrap())
    }

    fn differences_are_right(patterns: &Array2<f64>, means: &Array2<f64>, pairs: &[(usize, usize)]) -> bool {
        let wrong = |&(i, j): &(usize, usize)| {
            let off = (&means.row(i) - &means.row(j)) - (&patterns.row(i) - &patterns.row(j));
            off.iter().fold(0.0f64, |m, d| m.max(d.abs()))
        };
        pairs.iter().map(wrong).fold(0.0, f64::max) < 1e-5
    }

    #[test]
    fn patterns_without_noise_come_back_from_any_connected_design() {
        // Run 0 has the first four, run 1 the last four, run 2 one of each, once or twice.
        let has = |r: usize, c: usize| {
            usize::from(c < 4) * usize::from(r == 0)
                + usize::from(c > 1) * usize::from(r == 1)
                + if r == 2 && c.is_multiple_of(5) { 2 } else { 0 }
        };
        let (patterns, betas) = design(has);
        let all: Vec<(usize, usize)> = (0..6).flat_map(|i| (0..i).map(move |j| (i, j))).collect();
        assert!(!is_proportional(&betas));
        assert!(!differences_are_right(&patterns, &betas.condition_means(|_| true), &all), "plain means are off");
        assert!(!differences_are_right(&patterns, &betas.centred_within_runs().condition_means(|_| true), &all));
        let found = RunEffects::of(&betas).unwrap();
        assert_eq!((found.n_groups(), &found.groups[..]), (1, &[0; 6][..]));
        assert!(differences_are_right(&patterns, &found.taken_off(&betas).condition_means(|_| true), &all));
    }

    #[test]
    fn what_no_run_connects_is_told() {
        let (patterns, betas) = design(|r, c| usize::from((r == 0) == (c < 3)));
        let found = RunEffects::of(&betas).unwrap();
        assert_eq!((found.n_groups(), &found.groups[..]), (2, &[0, 0, 0, 1, 1, 1][..]));
        let means = found.taken_off(&betas).condition_means(|_| true);
        assert!(differences_are_right(&patterns, &means, &[(0, 1), (1, 2), (3, 4), (4, 5)]));
        assert!(!differences_are_right(&patterns, &means, &[(0, 3)]));
    }

    #[test]
    fn balanced_runs_lose_their_means_and_weights_count() {
        let (patterns, betas) = design(|r, _| r + 1);
        assert!(is_proportional(&betas));
        let found = RunEffects::of(&betas).unwrap();
        let all: Vec<(usize, usize)> = (1..6).map(|i| (i, 0)).collect();
        assert!(differences_are_right(&patterns, &found.taken_off(&betas).condition_means(|_| true), &all));
        // A sample of three times the weight is three samples.
        let names = |all: &[&str]| all.iter().map(|s| s.to_string()).collect::<Vec<_>>();
        let one = Betas::new(ndarray::array![[1.0], [5.0], [2.0]], &names(&["x", "x", "y"]), &names(&["a", "b", "b"]))
            .unwrap();
        let weighted = one.weighted(vec![3.0, 1.0, 1.0]).unwrap();
        assert_eq!(weighted.condition_means(|_| true), ndarray::array![[2.0], [2.0]]);
        assert_eq!(weighted.weight_sums(), ndarray::array![[3.0, 0.0], [1.0, 1.0]]);
        assert!(weighted.clone().weighted(vec![1.0, 0.0, 1.0]).is_err() && weighted.weighted(vec![1.0]).is_err());
    }
}
