//! The null distributions: what the permuted maps reach, at every voxel and at most.

use super::{ClusterTest, GroupOptions, GroupTest, Sample, TfceTest};
use crate::math::permutation::Tail;
use crate::stats::clusters::{self, Cluster};
use crate::stats::correction::{self, MaxNull, extremeness};
use crate::stats::neighbours::Neighbours;
use crate::stats::tfce::Enhancer;
use rayon::prelude::*;

/// The extremes of one permuted map.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extremes {
    t: f64,
    size: f64,
    mass: f64,
    tfce: f64,
}

/// Null distributions of the largest values.
struct Nulls {
    t: MaxNull,
    size: MaxNull,
    mass: MaxNull,
    tfce: MaxNull,
}

impl Nulls {
    fn of(extremes: &[Extremes], exhaustive: bool, same: f64) -> Self {
        let max_null = |of: fn(&Extremes) -> f64| {
            let all = extremes.iter().map(of).collect();
            let null = if exhaustive { MaxNull::exhaustive(all) } else { MaxNull::random(all) };
            null.within(same)
        };
        Self {
            t: max_null(|e| e.t),
            size: max_null(|e| e.size),
            mass: max_null(|e| e.mass),
            tfce: max_null(|e| e.tfce),
        }
    }

    /// p of clusters by size and by mass.
    fn clusters(&self, clusters: &[Cluster]) -> (Vec<f64>, Vec<f64>) {
        clusters.iter().map(|c| (self.size.p(c.size as f64), self.mass.p(c.mass))).unzip()
    }
}

/// Corrects for all tests together: those of several layers, of the same subjects and by the same
/// permutations. The extremes of each are then the largest over the tests, and the false discovery
/// rate is of the voxels of them all.
///
/// # Panics
/// When the tests are of different permutations.
pub fn over_all(tests: &mut [GroupTest], tail: Tail) {
    let Some(first) = tests.first() else { return };
    let mut extremes = first.extremes.clone();
    for test in &tests[1..] {
        assert_eq!(test.extremes.len(), extremes.len(), "the same permutations");
        for (all, own) in extremes.iter_mut().zip(&test.extremes) {
            *all = Extremes {
                t: all.t.max(own.t),
                size: all.size.max(own.size),
                mass: all.mass.max(own.mass),
                tfce: all.tfce.max(own.tfce),
            };
        }
    }
    let nulls = Nulls::of(&extremes, first.exhaustive, first.same);
    let mut q = correction::benjamini_hochberg(&tests.iter().flat_map(|t| t.p.clone()).collect::<Vec<_>>()).into_iter();
    for test in tests {
        test.q = q.by_ref().take(test.p.len()).collect();
        test.p_fwe = nulls.t.p_map(test.statistic(), tail);
        test.null = nulls.t.clone();
        if let Some(own) = &mut test.clusters {
            (own.p_size, own.p_mass) = nulls.clusters(&own.clusters);
        }
        if let Some(own) = &mut test.tfce {
            own.p_fwe = nulls.tfce.p_map(&own.values, tail);
        }
    }
}

/// What permuted maps are looked at for.
pub(super) struct Looked<'a> {
    /// The statistic as it was observed.
    pub observed: Vec<f64>,
    pub threshold: Option<f64>,
    pub neighbours: Option<&'a Neighbours>,
    pub options: &'a GroupOptions,
    /// Voxels that set no heights of TFCE.
    pub outlying: &'a [usize],
    /// Statistics closer than this, relative above 1, are one value.
    pub same: f64,
}

/// The null distributions so far.
pub(super) struct Null {
    n_reached: Vec<u32>,
    extremes: Vec<Extremes>,
}

impl Null {
    pub(super) fn new(n_voxels: usize) -> Self {
        Self { n_reached: vec![0; n_voxels], extremes: vec![] }
    }

    /// Counts the statistics of some permutations.
    pub(super) fn add(&mut self, maps: &[Vec<f64>], looked: &Looked<'_>) {
        let tail = looked.options.tail;
        let enhancer = || {
            let parts = looked.neighbours.zip(looked.options.tfce);
            parts.map(|(near, tfce)| Enhancer::new(near, tfce).without_heights_of(looked.outlying))
        };
        let extremes: Vec<Extremes> = maps
            .par_iter()
            .map_init(enhancer, |enhancer, map| {
                let largest = |values: &[f64]| {
                    values.iter().filter(|v| !v.is_nan()).fold(0.0, |m: f64, &v| m.max(extremeness(v, tail)))
                };
                let parts = looked.threshold.zip(looked.neighbours);
                let found = parts.map(|(h, near)| clusters::clusters(map, h, tail, near).1).unwrap_or_default();
                Extremes {
                    t: map.iter().fold(f64::NEG_INFINITY, |m, &v| m.max(extremeness(v, tail))),
                    size: found.first().map_or(0.0, |c| c.size as f64),
                    mass: found.iter().fold(0.0, |m, c| m.max(c.mass)),
                    tfce: enhancer.as_mut().map_or(0.0, |e| largest(&e.enhance(map, tail))),
                }
            })
            .collect();
        self.extremes.extend(extremes);
        self.n_reached.par_iter_mut().enumerate().for_each(|(v, n)| {
            let own = extremeness(looked.observed[v], tail);
            let reached = |map: &&Vec<f64>| correction::reaches_within(extremeness(map[v], tail), own, looked.same);
            *n += maps.iter().filter(reached).count() as u32;
        });
    }

    /// The test; `exhaustive`: the permutations are all there are, the observed one among them.
    pub(super) fn finish(self, sample: &Sample, t: Vec<f64>, looked: Looked<'_>, exhaustive: bool) -> GroupTest {
        let (options, statistic) = (looked.options, looked.observed);
        let n = self.extremes.len();
        let nulls = Nulls::of(&self.extremes, exhaustive, looked.same);
        let own = usize::from(!exhaustive);
        let p_of = |(reached, value): (&u32, &f64)| match value.is_nan() {
            true => f64::NAN,
            false => (*reached as usize + own) as f64 / (n + own).max(1) as f64,
        };
        let p: Vec<f64> = self.n_reached.iter().zip(&statistic).map(p_of).collect();
        let cluster_test = looked.threshold.zip(looked.neighbours).map(|(threshold, near)| {
            let (labels, clusters) = clusters::clusters(&statistic, threshold, options.tail, near);
            let (p_size, p_mass) = nulls.clusters(&clusters);
            ClusterTest { threshold, labels, clusters, p_size, p_mass }
        });
        let tfce = options.tfce.zip(looked.neighbours).map(|(tfce, near)| {
            let mut enhancer = Enhancer::new(near, tfce).without_heights_of(looked.outlying);
            let values = enhancer.enhance(&statistic, options.tail);
            let p_fwe = nulls.tfce.p_map(&values, options.tail);
            TfceTest { values, p_fwe }
        });
        GroupTest {
            mean: sample.means(),
            p_parametric: sample.p_parametric(&t, options.tail),
            p_fwe: nulls.t.p_map(&statistic, options.tail),
            q: correction::benjamini_hochberg(&p),
            outlying: looked.outlying.to_vec(),
            n_left_out: sample.n.iter().filter(|n| **n == 0.0).count(),
            p,
            z: None,
            t,
            null: nulls.t,
            extremes: self.extremes,
            clusters: cluster_test,
            tfce,
            n_permutations: n,
            exhaustive,
            same: looked.same,
        }
    }
}
