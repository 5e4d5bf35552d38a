//! Regions: given RDMs of several subjects, or patterns.

use super::config::Config;
use super::fingerprints::Fingerprints;
use crate::error::{Error, Result};
use crate::job::manifest::hash_file;
use crate::mapping::ceiling::{Ceiling, across_subjects};
use crate::mapping::dissimilarity::Condensed;
use crate::mapping::{Comparator, Statistic};
use crate::math::permutation::{Tail, p_value, permute_condensed};
use crate::math::stats;
use crate::rdm::Rdm;
use crate::rdm::compare::relabellings;
use crate::rdm::files::load_rdms;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// The RDMs of one region, one a subject.
pub struct RegionRdms {
    pub name: String,
    pub subjects: Vec<Rdm>,
}

/// One file a region.
pub fn read_rdms(config: &Config, fingerprints: &Fingerprints) -> Result<(Vec<RegionRdms>, BTreeMap<String, String>)> {
    let Some((_, first)) = fingerprints.layers.first() else {
        return Err(Error::invalid("--fingerprints", "RDMs of layers", "none", ""));
    };
    let mut hashes = BTreeMap::new();
    let mut regions = Vec::new();
    for path in &config.regions.rdms {
        let subjects: Vec<Rdm> = load_rdms(path, Some(first.n_conditions()), Some(first.labels()))?
            .into_iter()
            .map(|(_, rdm)| rdm)
            .collect();
        if let Some(bad) = subjects.iter().position(|rdm| rdm.values().iter().any(|v| !v.is_finite())) {
            let found = format!("NaN in number {bad}");
            return Err(Error::corrupt(path, "RDMs without undefined entries", found, "leave that subject out"));
        }
        hashes.insert(format!("rdms {}", path.display()), hash_file(path)?);
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        regions.push(RegionRdms { name, subjects });
    }
    Ok((regions, hashes))
}

/// One region's comparison with all layers.
#[derive(Debug, Clone)]
pub struct RegionResult {
    pub name: String,
    /// Voxels, or subjects where RDMs were given.
    pub n: usize,
    /// Mean over subjects of each layer's value (and R^2).
    pub values: Vec<f64>,
    /// Standard error over subjects; empty for one.
    pub errors: Vec<f64>,
    /// p by relabelling the conditions; empty without a test.
    pub p: Vec<f64>,
    /// Of each value, over images; empty where they are not asked for.
    pub intervals: Vec<(f64, f64)>,
    pub ceiling: Option<Ceiling>,
}

/// Mean comparison of the subjects with the layers, and how often relabelled conditions reach it.
pub fn of_subjects(
    region: &RegionRdms,
    comparator: &Comparator,
    n_permutations: usize,
    seed: u64,
) -> Result<RegionResult> {
    let n_values = comparator.n_values();
    let mean_of = |rdms: &[Vec<f64>]| -> (Vec<f64>, Vec<Vec<f64>>) {
        let mut scratch = comparator.scratch();
        let each: Vec<Vec<f64>> = rdms
            .iter()
            .map(|rdm| {
                let mut out = vec![0.0; n_values];
                comparator.evaluate(Condensed::F64(rdm), &mut scratch, &mut out);
                out
            })
            .collect();
        let mean = (0..n_values).map(|v| each.iter().map(|e| e[v]).sum::<f64>() / each.len() as f64).collect();
        (mean, each)
    };
    let own: Vec<Vec<f64>> = region.subjects.iter().map(|rdm| rdm.values().to_vec()).collect();
    let (values, each) = mean_of(&own);
    let n = own.len();
    let error = |v: usize| stats::sd(&each.iter().map(|e| e[v]).collect::<Vec<_>>(), 1) / (n as f64).sqrt();
    let null: Vec<Vec<f64>> = relabellings(comparator.n_conditions(), n_permutations, seed)
        .par_iter()
        .map(|order| mean_of(&own.iter().map(|rdm| permute_condensed(rdm, order)).collect::<Vec<_>>()).0)
        .collect();
    let p = |v: usize| p_value(values[v], &null.iter().map(|row| row[v]).collect::<Vec<_>>(), Tail::Greater);
    let regression = matches!(comparator.statistic(), Statistic::Ols | Statistic::Nnls);
    Ok(RegionResult {
        name: region.name.clone(),
        n,
        errors: if n > 1 { (0..n_values).map(error).collect() } else { vec![] },
        intervals: vec![],
        p: if null.is_empty() { vec![] } else { (0..n_values).map(p).collect() },
        ceiling: if n > 1 && !regression {
            Some(across_subjects(&region.subjects, comparator.statistic())?)
        } else {
            None
        },
        values,
    })
}
