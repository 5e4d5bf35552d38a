//! The job from its plan to its results.

use super::config::{Config, SimulationConfig};
use super::page;
use super::plan::{Brain, Plan as Recorded};
use super::regions::{RegionRdms, RegionResult, of_subjects};
use super::results::{Found, Margin, Results, Sliced};
use super::summary::Summary;
use super::tested::tested;
use super::{draw, kept, output, parts, settle, simulate};
use crate::data::Mask;
use crate::error::Result;
use crate::job::RunDir;
use crate::job::Session;
use crate::job::brain::layers::Layers;
use crate::job::inputs::betas::Data;
use crate::job::machine::peak_rss_mb;
use crate::job::shard::Shard;
use crate::job::{Checked, Job};
use crate::mapping::Neighbourhoods;
use crate::mapping::ceiling::Ceiling;
use crate::mapping::image_bootstrap::Margins;
use crate::mapping::searchlight::Places;
use crate::report::{Figures, Page};
use crate::warning::Warning;
use ndarray::{Array2, Axis, Slice};
use serde_json::Value;
use std::collections::BTreeMap;

/// A checked run, of recordings or of a made-up brain.
pub enum Plan {
    Recorded(Box<super::plan::Plan>),
    Simulated(Box<simulate::Plan>),
}

/// The job.
pub struct Map;

impl Job for Map {
    const NAME: &'static str = "map";
    const ABOUT: &'static str =
        "Which layer each place of the brain resembles: searchlight or regions, raw or residual fingerprints";
    const TITLE: &'static str = "Layers in the brain";

    type Config = Config;
    type Plan = Plan;
    type Results = Results;
    #[cfg(feature = "cli")]
    type Flags = super::flags::Flags;

    fn explained() -> Config {
        Config { simulation: Some(SimulationConfig::default()), ..Config::default() }
    }

    fn settle(given: &mut toml::Table) -> Result<()> {
        settle::settle(given)
    }

    fn plan(config: Config) -> Result<Plan> {
        if config.simulation.is_some() {
            return simulate::Plan::new(config).map(|plan| Plan::Simulated(Box::new(plan)));
        }
        super::plan::Plan::new(config).map(|plan| Plan::Recorded(Box::new(plan)))
    }

    fn checked(plan: &Plan) -> Checked<'_, Config> {
        match plan {
            Plan::Recorded(p) => Checked { config: &p.config, sets: BTreeMap::new(), warnings: p.warnings.clone() },
            Plan::Simulated(p) => Checked { config: &p.config, sets: BTreeMap::new(), warnings: vec![] },
        }
    }

    fn describe(plan: &Plan) -> Result<Value> {
        match plan {
            Plan::Recorded(plan) => plan.describe(),
            Plan::Simulated(plan) => Ok(plan.describe()),
        }
    }

    fn execute(plan: &Plan, session: &Session, run: &mut RunDir) -> Result<Results> {
        let found = match plan {
            Plan::Recorded(plan) => execute(plan, session, run)?,
            Plan::Simulated(plan) => Found::Simulation(simulate::execute(plan, session, run)?),
        };
        Ok(Results { found, seconds: session.seconds(), peak_rss_mb: peak_rss_mb().map(f64::round) })
    }

    fn summary(results: &Results) -> String {
        page::summary(results)
    }

    fn page(results: &Results, page: &mut Page, figures: &mut Figures) {
        page::page(page, results, figures);
    }
}

fn execute(plan: &Recorded, session: &Session, run: &mut RunDir) -> Result<Found> {
    match &plan.brain {
        Brain::Searchlight(data) => volume(plan, data, session, run),
        Brain::Regions(data) => regions(plan, data, session, run),
        Brain::Rdms(rdms) => given_rdms(plan, rdms, session, run),
    }
}

/// A searchlight, written as volumes.
fn volume(plan: &Recorded, data: &Data, session: &Session, run: &mut RunDir) -> Result<Found> {
    let mask = data.mask.as_ref().expect("images have a mask");
    let spheres = Neighbourhoods::new(mask, data.centres.as_ref(), plan.config.sphere)?;
    if let Some(own) = plan.config.shard {
        return shard(plan, own, &spheres, session, run);
    }
    let tested = tested(plan, &data.betas, &spheres, session, run)?;
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
    kept::write(run, plan, &places)?;
    draw::volume(run, plan, data, &places, &layers)?;
    Ok(Found::Map(Box::new(summary.results(plan, Some((data, &spheres, &tested))))))
}

/// One slice of the centres: its parts are its outputs, for `--shards`.
fn shard(
    plan: &Recorded,
    shard: Shard,
    spheres: &Neighbourhoods<'_>,
    session: &Session,
    run: &mut RunDir,
) -> Result<Found> {
    let n_centres = parts::shard(plan, shard, spheres, run, session)?;
    Ok(Found::Shard(Sliced { shard, job: parts::job_hash(&plan.config), n_centres }))
}

/// Patterns of regions.
fn regions(plan: &Recorded, data: &Data, session: &Session, run: &mut RunDir) -> Result<Found> {
    let regions = data.regions.as_ref().expect("regions were read");
    let tested = tested(plan, &data.betas, regions, session, run)?;
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
            margin: tested.intervals.as_ref().and_then(|ends| margin(&ends.margin, r, plan.comparator.layers())),
            split_half: tested.reliability.as_ref().map(|own| f64::from(own.split_half[r])),
            ceiling: tested
                .reliability
                .as_ref()
                .and_then(|own| own.ceiling.as_ref())
                .map(|[lower, upper]| Ceiling { lower: f64::from(lower[r]), upper: f64::from(upper[r]) }),
        })
        .collect();
    finish_regions(plan, &results, run, "voxels")
}

/// The margin of one region; `None` where fewer than two layers have a value.
fn margin(all: &Margins, region: usize, layers: &[String]) -> Option<Margin> {
    let second = all.second[region].checked_sub(1)?;
    let [value, low, high] = [&all.value, &all.low, &all.high].map(|of| f64::from(of[region]));
    Some(Margin { second_layer: layers[second as usize].clone(), value, low, high })
}

/// RDMs of regions, one a subject.
fn given_rdms(plan: &Recorded, rdms: &[RegionRdms], session: &Session, run: &mut RunDir) -> Result<Found> {
    let results = rdms
        .iter()
        .map(|region| {
            let found = of_subjects(region, plan)?;
            session.cancel.check().map(|()| found)
        })
        .collect::<Result<Vec<_>>>()?;
    finish_regions(plan, &results, run, "subjects")
}

fn finish_regions(plan: &Recorded, results: &[RegionResult], run: &mut RunDir, unit: &str) -> Result<Found> {
    let summary = Summary::of_regions(results, plan, unit);
    output::regions(run, plan, results, unit)?;
    draw::regions(run, plan, results)?;
    Ok(Found::Map(Box::new(summary.results(plan, None))))
}
