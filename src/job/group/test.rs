//! The test of every layer.

use super::config::{Config, Generalise, GroupCorrection};
use super::inputs::Data;
use super::relabelled::Relabelled;
use crate::error::Result;
use crate::job::Session;
use crate::progress::Progress;
use crate::stats::correction::Family;
use crate::stats::group::{Generalised, GroupOptions, GroupTest, one_sample, over_all, relabelled};
use crate::stats::interval::mean_interval;
use crate::stats::neighbours::Neighbours;
use ndarray::Array2;

/// One layer's test and the interval of its mean.
pub struct Tested {
    pub test: GroupTest,
    /// Low and high end, each n_voxels.
    pub interval: (Vec<f64>, Vec<f64>),
}

impl Tested {
    /// p corrected for the number of voxels.
    pub fn corrected(&self, correction: GroupCorrection) -> Vec<f64> {
        let clusters = self.test.clusters.as_ref();
        match correction {
            GroupCorrection::None => self.test.p.clone(),
            GroupCorrection::Fdr => self.test.q.clone(),
            GroupCorrection::MaxT => self.test.p_fwe.clone(),
            GroupCorrection::ClusterSize => clusters.map(|c| c.p_map(&c.p_size)).unwrap_or_default(),
            GroupCorrection::ClusterMass => clusters.map(|c| c.p_map(&c.p_mass)).unwrap_or_default(),
            GroupCorrection::Tfce => self.test.tfce.as_ref().map(|t| t.p_fwe.clone()).unwrap_or_default(),
        }
    }
}

/// The options of the statistics.
pub fn options(config: &Config) -> GroupOptions {
    GroupOptions {
        tail: config.tail(),
        n_permutations: config.test.n_permutations,
        seed: config.seed,
        cluster_p: Some(config.test.cluster_p),
        tfce: Some(config.test.tfce),
        min_subjects: config.maps.min_subjects,
    }
}

/// What relabelling generalises to; nothing for sign flips.
fn over(generalise: Generalise) -> Option<Generalised> {
    match generalise {
        Generalise::Subjects => None,
        Generalise::Images => Some(Generalised::Images),
        Generalise::Both => Some(Generalised::Both),
    }
}

/// Tests every layer with the same sign flips, or the same relabellings.
pub fn test(config: &Config, data: &Data, neighbours: &Neighbours, session: &Session) -> Result<Vec<Tested>> {
    let options = options(config);
    let n = data.maps[0].nrows();
    let n_flips = 1usize.checked_shl(n as u32).unwrap_or(usize::MAX).min(options.n_permutations);
    // Relabelled maps are read twice.
    let n_steps = data.relabelled.as_ref().map_or(n_flips, |own| 2 * own.n);
    let mut readers = data.relabelled.as_ref().map_or(Ok(vec![]), Relabelled::readers)?;
    let mut progress = Progress::new(&session.progress, "group", (data.maps.len() * n_steps) as u64, 0);
    let mut tests = Vec::new();
    for (l, (name, maps)) in data.names.iter().zip(&data.maps).enumerate() {
        let mut done = 0;
        let on_block = |n: usize| {
            (done..n).for_each(|_| progress.tick(|| name.clone()));
            done = n;
            session.cancel.check()
        };
        tests.push(match (&data.relabelled, over(config.test.generalise)) {
            (Some(own), Some(over)) => {
                let mut relabel = |k: usize| own.maps(l, k, &mut readers);
                relabelled(maps.view(), (over, own.n), &mut relabel, Some(neighbours), &options, on_block)?
            }
            _ => one_sample(maps.view(), Some(neighbours), &options, on_block)?,
        });
    }
    progress.finish();
    if config.test.family == Family::All {
        over_all(&mut tests, options.tail);
    }
    let interval = |maps: &Array2<f64>| mean_interval(maps.view(), config.test.level);
    let tested = tests.into_iter().zip(&data.maps);
    tested.map(|(test, maps)| Ok(Tested { test, interval: interval(maps)? })).collect()
}
