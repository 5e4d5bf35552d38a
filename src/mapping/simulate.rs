//! A brain whose layers are known: how long to scan before a map can be believed.
//!
//! Every region carries the geometry of one layer: its patterns are P = S^(1/2) Z, S the layer's
//! similarity matrix (RSM) and Z random with orthonormal, centred rows, so that the correlations of
//! the noiseless patterns are S exactly. Each presentation adds independent noise. What comes back
//! is told by whatever judges the regions' RDMs: raw fingerprints, residual ones, another
//! comparison.

use crate::error::{Error, Result};
use crate::math::linalg::{eigh, qr};
use crate::math::stats;
use crate::rdm::{Measure, Rdm, measure};
use crate::rng::{self, Stream};
use crate::stats::interval::wilson;
use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// What of S may be lost by clipping negative eigenvalues, as the largest change of a similarity.
const MAX_CLIPPED: f64 = 0.05;
/// Coverage of the intervals of a recovery.
const LEVEL: f64 = 0.95;

/// A simulated experiment.
///
/// | name | default | purpose |
/// |---|---|---|
/// | `n_voxels` | 100 | voxels a region |
/// | `n_regions` | 50 | regions a layer |
/// | `n_runs` | 8 | runs; the presentations are spread over them |
/// | `snr` | 0.05 | variance of a voxel's pattern over images / noise variance of one presentation |
/// | `seed` | 0 | of patterns and noise |
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimulationOptions {
    pub n_voxels: usize,
    pub n_regions: usize,
    pub n_runs: usize,
    pub snr: f64,
    pub seed: u64,
}

impl Default for SimulationOptions {
    fn default() -> Self {
        Self { n_voxels: 100, n_regions: 50, n_runs: 8, snr: 0.05, seed: 0 }
    }
}

/// Patterns with the geometry of one layer.
#[derive(Debug, Clone)]
pub struct PatternSource {
    /// S^(1/2), n_conditions x n_conditions.
    root: Array2<f64>,
}

impl PatternSource {
    /// From a fingerprint of correlations or cosines: S = 1 - RDM.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another measure, an undefined dissimilarity, or an S that no patterns
    /// have (eigenvalues so negative that setting them to 0 changes a similarity by more than
    /// 0.05).
    pub fn new(fingerprint: &Rdm) -> Result<Self> {
        let hint = "simulate from fingerprints of correlation or cosine distances";
        let invalid = |expected: &str, found: String| Err(Error::invalid("simulation", expected, found, hint));
        if !matches!(fingerprint.measure(), Measure::Correlation | Measure::Cosine | Measure::Given) {
            return invalid("1 - similarity", fingerprint.measure().to_string());
        }
        if fingerprint.values().iter().any(|v| !(0.0..=2.0).contains(v)) {
            return invalid("dissimilarities from 0 to 2", "others, or undefined ones".into());
        }
        let similarity = fingerprint.square().mapv(|d| 1.0 - d);
        let (values, vectors) = eigh(similarity.view())?;
        let scaled = Array2::from_shape_fn(vectors.dim(), |(i, k)| vectors[[i, k]] * values[k].max(0.0).sqrt());
        // Clipping changes the diagonal too: rows are brought back to unit norm.
        let norms: Vec<f64> = scaled.outer_iter().map(|row| row.dot(&row).sqrt()).collect();
        let root = Array2::from_shape_fn(scaled.dim(), |(i, k)| scaled[[i, k]] / norms[i]);
        let lost = (&root.dot(&root.t()) - &similarity).iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        if lost.is_nan() || lost > MAX_CLIPPED {
            return invalid(
                "similarities that patterns can have",
                format!("a matrix that is {lost:.3} from the nearest"),
            );
        }
        Ok(Self { root })
    }

    /// Number of images.
    pub fn n_conditions(&self) -> usize {
        self.root.nrows()
    }

    /// Patterns of one region, n_conditions x n_voxels, unit variance over voxels. Their
    /// correlations are S exactly when there are more voxels than images, else in expectation.
    pub fn draw(&self, n_voxels: usize, stream: &mut Stream) -> Array2<f64> {
        let n = self.n_conditions();
        let mut z = Array2::from_shape_simple_fn((n, n_voxels), || stream.normal());
        if n_voxels > n {
            z = orthonormal_rows(z) * (n_voxels as f64).sqrt();
        }
        self.root.dot(&z)
    }
}

/// Centres the rows and makes them orthonormal, each from those before it.
fn orthonormal_rows(mut z: Array2<f64>) -> Array2<f64> {
    z.rows_mut().into_iter().for_each(|mut row| row -= row.sum() / row.len() as f64);
    qr(z.t()).0.reversed_axes()
}

/// Betas of every run: the patterns and noise of variance n_runs / (snr n_repeats), what is left of
/// that of single presentations after averaging a run's n_repeats / n_runs.
///
/// # Shapes
/// `patterns`: n_conditions x n_voxels; the result: n_runs of the same.
pub fn betas(
    patterns: &Array2<f64>,
    n_repeats: usize,
    options: &SimulationOptions,
    stream: &mut Stream,
) -> Vec<Array2<f32>> {
    let sd = (options.n_runs as f64 / (options.snr * n_repeats as f64)).sqrt();
    (0..options.n_runs).map(|_| patterns.mapv(|p| (p + sd * stream.normal()) as f32)).collect()
}

/// What a judge says of one region and one layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judgement {
    /// How much the region resembles the layer.
    pub value: f64,
    /// Whether that is more than chance.
    pub significant: bool,
}

/// What came back at one number of presentations.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recovery {
    /// Presentations of each image.
    pub n_repeats: usize,
    /// Regions judged.
    pub n_regions: usize,
    /// Fraction of the regions whose layer got the largest value; chance is 1 / n_layers.
    pub accuracy: f64,
    /// Wilson's 95 % interval of the accuracy.
    pub interval: (f64, f64),
    /// Fraction of the regions whose own layer was significant.
    pub hits: f64,
    /// Mean number of other layers that were significant: how much maps would overlap.
    pub false_layers: f64,
    /// Fraction of the regions where the own layer, and no other, was significant.
    pub exact: f64,
    /// Wilson's 95 % interval of that fraction.
    pub exact_interval: (f64, f64),
    /// Regions by true (row) and by winning layer.
    pub confusion: Vec<Vec<usize>>,
}

/// Simulates `n_regions` regions of every layer for every number of presentations and lets a judge
/// assign layers.
///
/// Region r of all layers is `rng::stream(seed, "simulated region", r)`, so that two judges, two
/// sets of fingerprints and all numbers of presentations see the same draws: differences between
/// them are not differences of luck.
///
/// # Shapes
/// `judge` gets the condensed correlation RDM of a region's mean betas and gives one verdict a
/// layer.
///
/// # Errors
/// [`Error::Invalid`] for no layer, fingerprints of different images or that no patterns have, or
/// options that are not positive.
pub fn recovery(
    fingerprints: &[Rdm],
    n_repeats: &[usize],
    options: &SimulationOptions,
    judge: &(dyn Fn(&[f64]) -> Vec<Judgement> + Sync),
) -> Result<Vec<Recovery>> {
    let sources = sources(fingerprints, options)?;
    let n_regions = sources.len() * options.n_regions;
    let simulate = |n_repeats: usize| -> Result<Recovery> {
        let judged: Vec<Result<(usize, Vec<Judgement>)>> = (0..n_regions)
            .into_par_iter()
            .map(|region| {
                let layer = region / options.n_regions;
                let mut stream = rng::stream(options.seed, "simulated region", region as u64);
                let patterns = sources[layer].draw(options.n_voxels, &mut stream);
                let runs = betas(&patterns, n_repeats, options, &mut stream);
                Ok((layer, judge(&mean_rdm(&runs)?)))
            })
            .collect();
        Ok(Recovery::of(n_repeats, sources.len(), &judged.into_iter().collect::<Result<Vec<_>>>()?))
    };
    if let Some(zero) = n_repeats.iter().find(|n| **n == 0) {
        return Err(Error::invalid("simulation", "a presentation or more", zero.to_string(), ""));
    }
    n_repeats.iter().map(|&n| simulate(n)).collect()
}

fn sources(fingerprints: &[Rdm], options: &SimulationOptions) -> Result<Vec<PatternSource>> {
    let positive = options.n_voxels > 1 && options.n_regions > 0 && options.n_runs > 0;
    if !(positive && options.snr > 0.0 && options.snr.is_finite()) {
        return Err(Error::invalid(
            "simulation",
            "2 voxels or more, a region, a run and an SNR",
            format!("{options:?}"),
            "",
        ));
    }
    let n = fingerprints.first().map(Rdm::n_conditions);
    if n.is_none() || fingerprints.iter().any(|f| Some(f.n_conditions()) != n) {
        let found = format!("{:?}", fingerprints.iter().map(Rdm::n_conditions).collect::<Vec<_>>());
        return Err(Error::invalid("simulation", "fingerprints of the same images", found, ""));
    }
    fingerprints.iter().map(PatternSource::new).collect()
}

fn mean_rdm(runs: &[Array2<f32>]) -> Result<Vec<f64>> {
    let mut mean = Array2::<f32>::zeros(runs[0].dim());
    runs.iter().for_each(|run| mean += run);
    mean /= runs.len() as f32;
    Ok(measure::rdm(mean.view(), Measure::Correlation, Rdm::default_labels(mean.nrows()))?.values().to_vec())
}

impl Recovery {
    /// Counts what judges said: for every region its layer (from 0) and one verdict a layer.
    pub fn of(n_repeats: usize, n_layers: usize, judged: &[(usize, Vec<Judgement>)]) -> Self {
        let mut confusion = vec![vec![0; n_layers]; n_layers];
        let (mut hits, mut n_false, mut exact) = (0, 0, 0);
        for (layer, verdicts) in judged {
            let best = (0..n_layers).fold(0, |b, l| if verdicts[l].value > verdicts[b].value { l } else { b });
            confusion[*layer][best] += 1;
            let others = (0..n_layers).filter(|l| l != layer && verdicts[*l].significant).count();
            n_false += others;
            hits += usize::from(verdicts[*layer].significant);
            exact += usize::from(verdicts[*layer].significant && others == 0);
        }
        let n = judged.len() as f64;
        let accuracy = (0..n_layers).map(|l| confusion[l][l]).sum::<usize>() as f64 / n;
        Self {
            n_repeats,
            n_regions: judged.len(),
            accuracy,
            interval: wilson(accuracy, n, LEVEL),
            hits: hits as f64 / n,
            false_layers: n_false as f64 / n,
            exact: exact as f64 / n,
            exact_interval: wilson(exact as f64 / n, n, LEVEL),
            confusion,
        }
    }
}

/// Regions of about equal size along an axis: voxels in the order of their position, cut into
/// `n_regions` parts, from 1.
///
/// # Shapes
/// `position`: n_voxels (posterior to anterior, say).
pub fn slabs(position: &[f64], n_regions: usize) -> Vec<u32> {
    let n = position.len().max(1);
    // Voxels of one position belong to one region: by rank, the mean of ties.
    stats::ranks(position)
        .iter()
        .map(|rank| ((rank - 0.5) / n as f64 * n_regions as f64) as u32)
        .map(|r| r.min(n_regions.saturating_sub(1) as u32) + 1)
        .collect()
}

/// Betas of a whole brain of which every voxel's layer is known.
#[derive(Debug, Clone, PartialEq)]
pub struct SimulatedBrain {
    /// n_runs n_conditions x n_voxels; run by run, conditions in the fingerprints' order.
    pub betas: Array2<f32>,
    /// Layer of every voxel, from 1; 0: noise only.
    pub layers: Vec<u32>,
}

/// Simulates a brain: region r (from 1) of `region` carries layer `layer_of_region[r - 1]` (from
/// 1), region 0 only noise.
///
/// # Shapes
/// `region`: n_voxels.
///
/// # Errors
/// As [`recovery`]; also for a region or a layer that does not exist.
pub fn brain(
    fingerprints: &[Rdm],
    region: &[u32],
    layer_of_region: &[u32],
    n_repeats: usize,
    options: &SimulationOptions,
) -> Result<SimulatedBrain> {
    let sources = sources(fingerprints, options)?;
    let exists = |r: &u32| *r as usize <= layer_of_region.len();
    let layers_exist = layer_of_region.iter().all(|l| (1..=sources.len()).contains(&(*l as usize)));
    if n_repeats == 0 || region.is_empty() || !region.iter().all(exists) || !layers_exist {
        let expected = format!("voxels in regions 0..{}, layers 1..{}", layer_of_region.len(), sources.len());
        return Err(Error::invalid(
            "simulation",
            expected,
            format!("{n_repeats} repeats, {} voxels, others", region.len()),
            "",
        ));
    }
    let n = sources[0].n_conditions();
    let mut patterns = Array2::zeros((n, region.len()));
    for (r, &layer) in layer_of_region.iter().enumerate() {
        let voxels: Vec<usize> = (0..region.len()).filter(|&v| region[v] as usize == r + 1).collect();
        let mut stream = rng::stream(options.seed, "simulated patterns", r as u64);
        let own = sources[layer as usize - 1].draw(voxels.len(), &mut stream);
        voxels.iter().enumerate().for_each(|(i, &v)| patterns.column_mut(v).assign(&own.column(i)));
    }
    let runs =
        betas(&patterns, n_repeats, options, &mut rng::stream(options.seed, "simulated noise", n_repeats as u64));
    let views: Vec<ArrayView2<'_, f32>> = runs.iter().map(|run| run.view()).collect();
    let betas = ndarray::concatenate(Axis(0), &views).expect("runs of one shape");
    let layers = region.iter().map(|&r| (r as usize).checked_sub(1).map_or(0, |r| layer_of_region[r])).collect();
    Ok(SimulatedBrain { betas, layers })
}

/// Of the voxels that carry a layer, the fraction whose winning layer is theirs; NaN when there are
/// none.
///
/// # Shapes
/// `winner`, `truth`: n_voxels, layers from 1, 0 for none.
pub fn assignment_accuracy(winner: &[u32], truth: &[u32]) -> f64 {
    let own: Vec<f64> =
        winner.iter().zip(truth).filter(|(_, t)| **t > 0).map(|(w, t)| f64::from(u8::from(w == t))).collect();
    stats::mean(&own)
}

#[cfg(test)]
#[path = "simulate_tests.rs"]
mod tests;
