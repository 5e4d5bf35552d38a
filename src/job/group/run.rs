//! The job from its configuration to its results.

use super::better::better;
use super::config::Config;
use super::inputs::{self, Data};
use super::output;
use super::page;
use super::relabelled::Relabelled;
use super::results::Results;
use super::test::{Tested, options, test};
use crate::error::{Error, Result};
use crate::job::RunDir;
use crate::job::Session;
use crate::job::brain::figures::Picture;
use crate::job::brain::layers::Layers;
use crate::job::{Checked, Job};
use crate::mapping::null::smallest_p;
use crate::report::{Figures, Page};
use crate::stats::correction::extremeness;
use crate::stats::group::check;
use crate::stats::neighbours::Neighbours;
use crate::warning::Warning;
use ndarray::Array2;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Fewer subjects than this cannot reach p <= 0.05 by sign flips.
const FEW: usize = 5;

/// A checked run: the maps, read.
pub struct Plan {
    config: Config,
    data: Data,
    neighbours: Neighbours,
}

/// The job.
pub struct Group;

impl Job for Group {
    const NAME: &'static str = "group";
    const ABOUT: &'static str =
        "What the maps of several subjects have in common: t, clusters, TFCE, or the difference of two sets of maps";
    const TITLE: &'static str = "Maps of a group";

    type Config = Config;
    type Plan = Plan;
    type Results = Results;
    #[cfg(feature = "cli")]
    type Flags = super::flags::Flags;

    /// `maps.no_fisher_z` stands for `maps.fisher_z = false`.
    fn settle(given: &mut toml::Table) -> Result<()> {
        if let Some(maps) = given.get_mut("maps").and_then(toml::Value::as_table_mut)
            && maps.remove("no_fisher_z").is_some()
        {
            maps.insert("fisher_z".into(), false.into());
        }
        Ok(())
    }

    fn plan(config: Config) -> Result<Plan> {
        config.check()?;
        let data = inputs::read(&config)?;
        let neighbours = Neighbours::of_mask(&data.mask, config.test.connectivity);
        // Nothing of the statistics may be refused after the directory was made.
        data.maps.iter().try_for_each(|maps| check(maps.view(), Some(&neighbours), &options(&config)))?;
        data.relabelled.iter().try_for_each(|own| enough(own, config.test.alpha))?;
        Ok(Plan { config, data, neighbours })
    }

    fn checked(plan: &Plan) -> Checked<'_, Config> {
        let warnings = plan.data.warnings.iter().cloned().chain(few(&plan.data)).collect();
        Checked { config: &plan.config, sets: BTreeMap::new(), warnings }
    }

    fn describe(plan: &Plan) -> Result<Value> {
        Ok(describe(&plan.config, &plan.data))
    }

    fn execute(plan: &Plan, session: &Session, run: &mut RunDir) -> Result<Results> {
        execute(plan, session, run)
    }

    fn summary(results: &Results) -> String {
        page::summary(results)
    }

    fn page(results: &Results, page: &mut Page, figures: &mut Figures) {
        page::page(page, results, figures);
    }
}

/// Refuses relabellings of which no p reaches `alpha`.
fn enough(relabelled: &Relabelled, alpha: f64) -> Result<()> {
    let smallest = smallest_p(relabelled.n_conditions, relabelled.n);
    if smallest <= alpha {
        return Ok(());
    }
    let found = format!(
        "p of at least {smallest:.3} with {} conditions and {} relabellings",
        relabelled.n_conditions, relabelled.n
    );
    let hint = "map the subjects again with more `test.keep_relabellings`, or more conditions";
    Err(Error::invalid("test.generalise", format!("relabellings for p of {alpha}"), found, hint))
}

fn few(data: &Data) -> Option<Warning> {
    if data.relabelled.is_some() {
        return None;
    }
    let n = data.maps[0].nrows();
    let p = 1.0 / f64::from(1u32 << n.min(30));
    (n < FEW).then(|| Warning::Note { text: format!("with {n} subjects no p by sign flips is below {p:.3}") })
}

/// Voxels whose t says nothing of the size of an effect.
fn agreeing(name: &str, tested: &Tested, data: &Data) -> Option<Warning> {
    let (test, voxels) = (&tested.test, data.mask.voxels());
    let &first = test.outlying.first()?;
    let mm = data.mask.grid().mm(voxels[first] as usize).map(|x| format!("{x:.0}")).join(", ");
    let text = format!(
        "{name}: the subjects hardly differ in {} voxels (at {mm} mm t is {:.3e}): a constant rather than a measurement? They do not set the heights of TFCE",
        test.outlying.len(),
        test.t[first]
    );
    Some(Warning::Note { text })
}

fn describe(config: &Config, data: &Data) -> Value {
    let n = data.maps[0].nrows();
    let flips = 1usize.checked_shl(n as u32).filter(|all| *all <= config.test.n_permutations);
    let relabelled = data.relabelled.as_ref().map(|own| own.n);
    let all = flips.filter(|_| relabelled.is_none());
    json!({
        "dry_run": true,
        "layers": data.names,
        "n_subjects": n,
        "n_voxels": data.mask.n_voxels(),
        "fisher_z": data.fisher_z,
        "taken_off": data.chance,
        "tail": config.tail(),
        "generalise": config.test.generalise,
        "n_permutations": relabelled.or(all).unwrap_or(config.test.n_permutations),
        "exhaustive": all.is_some(),
        "memory_mb": (data.maps.iter().map(Array2::len).sum::<usize>() as f64 * 8.0 * 2.0 / 1e6).round(),
    })
}

fn execute(plan: &Plan, session: &Session, run: &mut RunDir) -> Result<Results> {
    let Plan { config, data, neighbours } = plan;
    let tested = test(config, data, neighbours, session)?;
    data.names.iter().zip(&tested).filter_map(|(name, own)| agreeing(name, own, data)).for_each(|w| run.warn(w));
    let rows = |of: &dyn Fn(&Tested) -> Vec<f64>| {
        let values: Vec<f64> = tested.iter().flat_map(of).collect();
        Array2::from_shape_vec((tested.len(), data.mask.n_voxels()), values).expect("one value a voxel")
    };
    let corrected = rows(&|t| t.corrected(config.test.correction));
    let layers = Layers::new(rows(&|t| t.test.mean.clone()), Some(&corrected), config.test.alpha)?;
    let better = better(config, data, &layers, session)?;
    output::write(run, config, data, &tested, (&layers, better.as_ref()), neighbours)?;
    let flat = flat(data);
    let picture = Picture {
        folder: run.file("figures"),
        names: &data.names,
        layers: &layers,
        places: &data.mask,
        background: data.background.as_ref().unwrap_or(&flat),
        inside: &data.mask,
    };
    let statistic = if data.relabelled.is_some() { "z" } else { "t" };
    let t = rows(&|t| t.test.statistic().to_vec());
    // The other tail may reach further and says nothing.
    let limit = t.iter().map(|&t| extremeness(t, config.tail())).filter(|t| t.is_finite()).fold(1e-6, f64::max);
    picture.maps(t.view(), statistic, Some(limit))?;
    picture.overlap()?;
    Ok(output::results(config, data, &tested, (&layers, better.as_ref()), session))
}

/// The mask itself, where no image of the brain is given: maps say nothing of anatomy.
fn flat(data: &Data) -> crate::data::Volume {
    data.mask.unmask(&vec![1.0; data.mask.n_voxels()], 0.0)
}
