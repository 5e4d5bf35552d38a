//! The job from its plan to its results.

use super::config::Config;
use super::inputs::Data;
use super::plan::{Brain, Plan};
use super::regions::{RegionRdms, RegionResult, of_subjects};
use super::summary::Summary;
use super::tested::tested;
use super::{draw, output, parts, simulate};
use crate::data::Mask;
use crate::error::Result;
use crate::job::brain::layers::Layers;
use crate::job::common::{Common, peak_rss_mb};
use crate::job::interrupt;
use crate::job::run_dir::{self, RunDir};
use crate::mapping::Neighbourhoods;
use crate::mapping::ceiling;
use crate::mapping::searchlight::Places;
use crate::warning::Warning;
use ndarray::{Array2, Axis, Slice};
use serde_json::{Value, json};
use std::time::Instant;

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
    let n = parts::shard(plan, spheres, &run.file("arrays"), common)?;
    Ok(json!({ "shard": plan.config.shard, "job": parts::job_hash(&plan.config), "n_centres": n }))
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
            let found = of_subjects(region, plan)?;
            interrupt::check().map(|()| found)
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
