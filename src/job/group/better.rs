//! Is the winning layer better than the next one? Flips of the subjects' differences.

use super::config::Config;
use super::inputs::Data;
use super::test::options;
use crate::error::Result;
use crate::job::Session;
use crate::job::brain::layers::Layers;
use crate::math::permutation::Tail;
use crate::stats::group::{GroupOptions, one_sample, over_all};
use ndarray::Array2;

/// The next layer of every voxel with a winner, and p that the winner is no better.
pub struct Better {
    /// The layer with the largest mean beside the winner, from 1; 0 where no layer wins.
    pub second: Vec<u32>,
    /// NaN where no layer wins.
    pub p: Vec<f64>,
}

/// Tests every winner against the layer with the next mean: the subjects' differences of every pair
/// of layers, two-sided, corrected by the largest |t| over pairs and voxels, since which pair is
/// looked at where is told from the same maps. `None` for a single layer.
pub fn better(config: &Config, data: &Data, layers: &Layers, session: &Session) -> Result<Option<Better>> {
    let n = data.maps.len();
    if n < 2 {
        return Ok(None);
    }
    let how = GroupOptions { tail: Tail::TwoSided, cluster_p: None, tfce: None, ..options(config) };
    let pairs: Vec<(usize, usize)> = (0..n).flat_map(|a| (a + 1..n).map(move |b| (a, b))).collect();
    let mut tests = Vec::new();
    let mut defined = Vec::new();
    for &(a, b) in &pairs {
        let difference: Array2<f64> = &data.maps[a] - &data.maps[b];
        // Layers that are equal everywhere have no test.
        match one_sample(difference.view(), None, &how, |_| session.cancel.check()) {
            Ok(test) => {
                tests.push(test);
                defined.push((a, b));
            }
            Err(crate::error::Error::Invalid { .. }) => {}
            Err(e) => return Err(e),
        }
    }
    over_all(&mut tests, Tail::TwoSided);
    let n_voxels = data.mask.n_voxels();
    let mut found = Better { second: vec![0; n_voxels], p: vec![f64::NAN; n_voxels] };
    for (v, &winner) in layers.winner.iter().enumerate().filter(|(_, w)| **w > 0) {
        let winner = winner as usize - 1;
        let rest = (0..n).filter(|&l| l != winner && !layers.values[[l, v]].is_nan());
        let Some(second) = rest.max_by(|&a, &b| layers.values[[a, v]].total_cmp(&layers.values[[b, v]])) else {
            continue;
        };
        found.second[v] = second as u32 + 1;
        let pair = (winner.min(second), winner.max(second));
        found.p[v] = defined.iter().position(|own| *own == pair).map_or(1.0, |i| tests[i].p_fwe[v]);
    }
    Ok(Some(found))
}
