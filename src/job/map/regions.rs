//! Regions: given RDMs of several subjects, or patterns.

use super::config::Config;
use super::plan::Plan;
use super::results::Margin;
use crate::data::names::twice;
use crate::error::{Error, Result};
use crate::job::inputs::fingerprints::Fingerprints;
use crate::mapping::ceiling::Ceiling;
use crate::mapping::subjects::compare_subjects;
use crate::rdm::Rdm;
use crate::rdm::files::load_rdms;
use ndarray::Array2;

/// The RDMs of one region, one a subject.
pub struct RegionRdms {
    pub name: String,
    pub subjects: Vec<Rdm>,
}

/// One file a region.
pub fn read_rdms(config: &Config, fingerprints: &Fingerprints) -> Result<Vec<RegionRdms>> {
    let Some((_, first)) = fingerprints.layers.first() else {
        return Err(Error::invalid("fingerprints.files", "RDMs of layers", "none", ""));
    };
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
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        regions.push(RegionRdms { name, subjects });
    }
    if let Some(name) = twice(regions.iter().map(|region| region.name.as_str())) {
        let hint = "regions are called by their files: rename one of them";
        return Err(Error::invalid("regions.rdms", "one file a region", format!("`{name}` twice"), hint));
    }
    Ok(regions)
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
    /// Of the best layer over the next, where intervals of betas are asked for.
    pub margin: Option<Margin>,
    /// Comparison of the RDMs of two halves of the data.
    pub split_half: Option<f64>,
    pub ceiling: Option<Ceiling>,
}

/// A region's comparison with the layers, with what the plan asks for.
pub fn of_subjects(region: &RegionRdms, plan: &Plan) -> Result<RegionResult> {
    let found = compare_subjects(&region.subjects, &plan.comparator, &plan.relabellings())?;
    let intervals = match &plan.bootstrap {
        Some(bootstrap) => {
            let n_pairs = region.subjects[0].values().len();
            let of = |(s, k): (usize, usize)| region.subjects[s].values()[k];
            let rdms = Array2::from_shape_fn((region.subjects.len(), n_pairs), of);
            bootstrap.rdms(rdms.view(), plan.resampling())?
        }
        None => vec![],
    };
    Ok(RegionResult {
        name: region.name.clone(),
        n: region.subjects.len(),
        values: found.values,
        errors: found.errors,
        p: found.p,
        intervals,
        margin: None,
        split_half: None,
        ceiling: found.ceiling,
    })
}
