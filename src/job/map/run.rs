//! The job from its plan to its results.

use super::config::{Config, Correction};
use super::inputs::Data;
use super::parts::Part;
use super::plan::{Brain, Plan};
use super::regions::{RegionRdms, RegionResult, of_subjects};
use super::summary::Summary;
use super::{draw, output, parts, simulate};
use crate::data::{Betas, Mask};
use crate::error::{Error, Result};
use crate::job::brain::layers::Layers;
use crate::job::common::{Common, peak_rss_mb};
use crate::job::interrupt;
use crate::job::progress::Progress;
use crate::job::run_dir::{self, RunDir};
use crate::mapping::ceiling::{self, Reliability};
use crate::mapping::image_bootstrap::Intervals;
use crate::mapping::null::Null;
use crate::mapping::searchlight::{Maps, Places};
use crate::mapping::stats::correction::benjamini_hochberg;
use crate::mapping::{Neighbourhoods, Patterns};
use crate::math::permutation::Tail;
use crate::warning::Warning;
use ndarray::{Array2, Axis, Slice};
use serde_json::{Value, json};
use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

/// Maps with their test.
pub struct Tested {
    pub maps: Maps,
    /// Uncorrected p and the extremes of the relabelled maps.
    pub null: Option<Null>,
    /// Corrected p, n_values x n_places.
    pub corrected: Option<Array2<f64>>,
    pub reliability: Option<Reliability>,
    /// Of every value, over images; n_values x n_places each.
    pub intervals: Option<Intervals>,
}

/// Runs `orthoscope map`; returns the `results` object, or the plan for a dry run.
///
/// # Errors
/// Bad input before anything is written; whatever writing says.
pub fn run(config: Config, common: &Common) -> Result<Value> {
    interrupt::install();
    if config.simulation.is_some() {
        return simulate::run(config, common);
    }
    let began = Instant::now();
    let plan = Plan::new(config)?;
    if common.dry_run {
        return plan.describe();
    }
    run_dir::run(common, ("map", &plan.config, plan.config.seed), &plan.inputs, |run| {
        run.manifest.device = format!("cpu, {} threads", rayon::current_num_threads());
        plan.warnings.iter().for_each(|w| run.warn(w.clone()));
        execute(&plan, common, run, began)
    })
}

/// Says so when the user has asked to stop.
pub fn stop() -> Result<()> {
    if interrupt::requested() { Err(Error::Interrupted { dir: std::path::PathBuf::new() }) } else { Ok(()) }
}

fn execute(plan: &Plan, common: &Common, run: &mut RunDir, began: Instant) -> Result<Value> {
    let mut results = match &plan.brain {
        Brain::Searchlight(data) => volume(plan, data, common, run)?,
        Brain::Regions(data) => regions(plan, data, common, run)?,
        Brain::Rdms(rdms) => given_rdms(plan, rdms, run)?,
    };
    results["seconds"] = Value::from((began.elapsed().as_secs_f64() * 1e3).round() / 1e3);
    results["peak_rss_mb"] = peak_rss_mb().map_or(Value::Null, |mb| Value::from(mb.round()));
    run.complete(results.clone())?;
    crate::report::write(run.path())?;
    Ok(results)
}

/// A searchlight, written as volumes.
fn volume(plan: &Plan, data: &Data, common: &Common, run: &mut RunDir) -> Result<Value> {
    let mask = data.mask.as_ref().expect("images have a mask");
    let spheres = Neighbourhoods::new(mask, data.centres.as_ref(), plan.config.sphere)?;
    if plan.config.shard.is_some() {
        return shard(plan, &spheres, common, run);
    }
    let tested = tested(plan, &data.betas, &spheres, common, run)?;
    if tested.maps.n_undefined > 0 {
        run.warn(Warning::Note {
            text: format!(
                "{} of {} centres have no RDM (a pattern without variation there) and are NaN in the maps",
                tested.maps.n_undefined,
                spheres.len()
            ),
        });
    }
    let n = plan.comparator.layers().len();
    let first = |a: &Array2<f64>| a.slice_axis(Axis(0), Slice::from(..n)).to_owned();
    let values = first(&tested.maps.values.mapv(f64::from));
    let layers = Layers::new(values, tested.corrected.as_ref().map(first).as_ref(), plan.config.test.alpha)?;
    let places = Mask::from_fn(*mask.grid(), |v| spheres.centres().binary_search(&(v as u32)).is_ok())?;
    let summary = Summary::of_volume(&layers, &places, plan);
    output::fitted(run, plan, data)?;
    output::volume(run, plan, data, &places, &tested, &layers, &summary)?;
    draw::volume(run, plan, data, &places, &layers)?;
    Ok(summary.results(plan, Some((data, &spheres, &tested))))
}

/// One slice of the centres: its parts stay in `arrays/`, for `--shards`.
fn shard(plan: &Plan, spheres: &Neighbourhoods<'_>, common: &Common, run: &mut RunDir) -> Result<Value> {
    let range = parts::range(plan.config.shard, spheres.len());
    let n = range.len();
    measured(plan, spheres, range, &run.file("arrays"), common)?;
    Ok(json!({ "shard": plan.config.shard, "job": parts::job_hash(&plan.config), "n_centres": n }))
}

/// Values and null distributions of the places in `range`.
fn measured<P: Places>(
    plan: &Plan,
    places: &P,
    range: Range<usize>,
    folder: &Path,
    common: &Common,
) -> Result<Vec<Part>> {
    let patterns = plan.patterns.as_ref().expect("there are betas");
    let n = plan.n_permutations();
    let total = range.len() * (1 + usize::from(n > 0));
    let progress = Mutex::new(Progress::new(common.progress, "map", total as u64, 0));
    let done = |count: usize| {
        if let Ok(mut progress) = progress.lock() {
            (0..count).for_each(|_| progress.tick(|| "centres".into()));
        }
        !interrupt::requested()
    };
    let found = parts::measure((patterns, &plan.comparator), places, range, (n, plan.config.seed), folder, &done);
    progress.into_inner().map(|p| p.finish()).ok();
    found
}

/// Searchlight or regions: values, test, ceiling.
fn tested<P: Places>(plan: &Plan, betas: &Betas, places: &P, common: &Common, run: &mut RunDir) -> Result<Tested> {
    let patterns = plan.patterns.as_ref().expect("there are betas");
    let parts = match plan.config.shards.is_empty() {
        true => measured(plan, places, 0..places.len(), &run.file("checkpoint"), common)?,
        false => parts::of_shards(&plan.config, &plan.inputs)?,
    };
    let (maps, null) = parts::join(parts, places.len())?;
    if plan.n_permutations() == 0 && plan.config.test.n_permutations > 0 {
        run.warn(Warning::Note { text: "Kendall's tau-a maps are not tested: use spearman for significance".into() });
    }
    let corrected = null.as_ref().map(|null| correct(&maps, null, plan.config.test.correction));
    let reliability = if plan.config.maps.ceiling { reliability(plan, patterns, betas, places, run)? } else { None };
    let intervals = intervals(plan, patterns, places, common)?;
    Ok(Tested { maps, null, corrected, reliability, intervals })
}

/// Intervals over images, where they are asked for.
fn intervals<P: Places>(plan: &Plan, patterns: &Patterns, places: &P, common: &Common) -> Result<Option<Intervals>> {
    let Some(bootstrap) = &plan.bootstrap else { return Ok(None) };
    let progress = Mutex::new(Progress::new(common.progress, "resample images", places.len() as u64, 0));
    let done = |count: usize| {
        if let Ok(mut progress) = progress.lock() {
            (0..count).for_each(|_| progress.tick(|| "centres".into()));
        }
        !interrupt::requested()
    };
    let found = bootstrap.places(patterns, places, plan.resampling(), &done);
    progress.into_inner().map(|p| p.finish()).ok();
    found.map(Some)
}

/// Corrects p for the number of places, within each value.
pub fn correct(maps: &Maps, null: &Null, correction: Correction) -> Array2<f64> {
    match correction {
        Correction::None => null.p.clone(),
        Correction::Fwe => null.family_wise(maps, Tail::Greater),
        Correction::Fdr => {
            let mut corrected = null.p.clone();
            for mut row in corrected.rows_mut() {
                let p = benjamini_hochberg(&row.to_vec());
                row.iter_mut().zip(p).for_each(|(r, p)| *r = p);
            }
            corrected
        }
    }
}

/// `None`, with a warning, where the data cannot be halved.
fn reliability<P: Places>(
    plan: &Plan,
    patterns: &Patterns,
    betas: &Betas,
    places: &P,
    run: &mut RunDir,
) -> Result<Option<Reliability>> {
    let found = ceiling::halves(betas)
        .and_then(|halves| ceiling::split_half(&halves, patterns.measurement(), plan.config.statistic, places));
    match found {
        Ok(reliability) => Ok(Some(reliability)),
        Err(e @ Error::Invalid { .. }) => {
            run.warn(Warning::Note { text: format!("no noise ceiling: {e}") });
            Ok(None)
        }
        Err(e) => Err(e),
    }
}

/// Patterns of regions.
fn regions(plan: &Plan, data: &Data, common: &Common, run: &mut RunDir) -> Result<Value> {
    let regions = data.regions.as_ref().expect("regions were read");
    let tested = tested(plan, &data.betas, regions, common, run)?;
    output::fitted(run, plan, data)?;
    let wide = |a: &Array2<f32>, r: usize| a.column(r).iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
    let results: Vec<RegionResult> = regions
        .regions
        .iter()
        .enumerate()
        .map(|(r, (name, voxels))| RegionResult {
            name: name.clone(),
            n: voxels.len(),
            values: wide(&tested.maps.values, r),
            errors: vec![],
            p: tested.null.as_ref().map_or_else(Vec::new, |null| null.p.column(r).to_vec()),
            intervals: tested
                .intervals
                .as_ref()
                .map_or_else(Vec::new, |ends| wide(&ends.low, r).into_iter().zip(wide(&ends.high, r)).collect()),
            ceiling: tested.reliability.as_ref().map(|own| {
                let upper = f64::from(own.ceiling[r]);
                ceiling::Ceiling { lower: f64::from(own.split_half[r]), upper }
            }),
        })
        .collect();
    finish_regions(plan, &results, run, "voxels")
}

/// RDMs of regions, one a subject.
fn given_rdms(plan: &Plan, rdms: &[RegionRdms], run: &mut RunDir) -> Result<Value> {
    let results = rdms
        .iter()
        .map(|region| {
            let mut found = of_subjects(region, &plan.comparator, plan.n_permutations(), plan.config.seed)?;
            if let Some(bootstrap) = &plan.bootstrap {
                let n_pairs = region.subjects[0].values().len();
                let rdms =
                    Array2::from_shape_fn((region.subjects.len(), n_pairs), |(s, k)| region.subjects[s].values()[k]);
                found.intervals = bootstrap.rdms(rdms.view(), plan.resampling())?;
            }
            stop().map(|()| found)
        })
        .collect::<Result<Vec<_>>>()?;
    finish_regions(plan, &results, run, "subjects")
}

fn finish_regions(plan: &Plan, results: &[RegionResult], run: &mut RunDir, unit: &str) -> Result<Value> {
    let summary = Summary::of_regions(results, plan, unit);
    output::regions(run, plan, results, unit)?;
    draw::regions(run, plan, results)?;
    Ok(summary.results(plan, None))
}
