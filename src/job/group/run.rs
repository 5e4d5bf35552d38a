//! The job from its configuration to its results.

use super::config::Config;
use super::inputs::{self, Data};
use super::output;
use super::test::{Tested, options, test};
use crate::error::Result;
use crate::job::brain::figures::Picture;
use crate::job::brain::layers::Layers;
use crate::job::common::{Common, peak_rss_mb};
use crate::job::interrupt;
use crate::job::run_dir::{self, RunDir};
use crate::stats::correction::extremeness;
use crate::stats::group::check;
use crate::stats::neighbours::Neighbours;
use crate::warning::Warning;
use ndarray::Array2;
use serde_json::{Value, json};
use std::time::Instant;

/// Fewer subjects than this cannot reach p <= 0.05 by sign flips.
const FEW: usize = 5;

/// Runs `orthoscope group`; returns the `results` object, or the plan for a dry run.
///
/// # Errors
/// Bad input before anything is written; whatever writing says.
pub fn run(config: Config, common: &Common) -> Result<Value> {
    interrupt::install();
    let began = Instant::now();
    config.check()?;
    let data = inputs::read(&config)?;
    let neighbours = Neighbours::of_mask(&data.mask, config.test.connectivity);
    // Nothing of the statistics may be refused after the directory was made.
    data.maps.iter().try_for_each(|maps| check(maps.view(), Some(&neighbours), &options(&config)))?;
    if common.dry_run {
        return Ok(describe(&config, &data));
    }
    run_dir::run(common, ("group", &config, config.seed), &data.inputs, |run| {
        run.manifest.device = format!("cpu, {} threads", rayon::current_num_threads());
        data.warnings.iter().cloned().chain(few(&data)).for_each(|w| run.warn(w));
        execute(&config, &data, &neighbours, common, run, began)
    })
}

fn few(data: &Data) -> Option<Warning> {
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
    let all = 1usize.checked_shl(n as u32).filter(|all| *all <= config.test.n_permutations);
    json!({
        "dry_run": true,
        "layers": data.names,
        "n_subjects": n,
        "n_voxels": data.mask.n_voxels(),
        "fisher_z": data.fisher_z,
        "tail": config.tail(),
        "n_permutations": all.unwrap_or(config.test.n_permutations),
        "exhaustive": all.is_some(),
        "memory_mb": (data.maps.iter().map(Array2::len).sum::<usize>() as f64 * 8.0 * 2.0 / 1e6).round(),
    })
}

fn execute(
    config: &Config,
    data: &Data,
    neighbours: &Neighbours,
    common: &Common,
    run: &mut RunDir,
    began: Instant,
) -> Result<Value> {
    let tested = test(config, data, neighbours, common)?;
    data.names.iter().zip(&tested).filter_map(|(name, own)| agreeing(name, own, data)).for_each(|w| run.warn(w));
    let rows = |of: &dyn Fn(&Tested) -> Vec<f64>| {
        let values: Vec<f64> = tested.iter().flat_map(of).collect();
        Array2::from_shape_vec((tested.len(), data.mask.n_voxels()), values).expect("one value a voxel")
    };
    let corrected = rows(&|t| t.corrected(config.test.correction));
    let layers = Layers::new(rows(&|t| t.test.mean.clone()), Some(&corrected), config.test.alpha)?;
    output::write(run, config, data, &tested, &layers, neighbours)?;
    let flat = flat(data);
    let picture = Picture {
        folder: run.file("figures"),
        names: &data.names,
        layers: &layers,
        places: &data.mask,
        background: data.background.as_ref().unwrap_or(&flat),
        inside: &data.mask,
    };
    let t = rows(&|t| t.test.t.clone());
    // The other tail may reach further and says nothing.
    let limit = t.iter().map(|&t| extremeness(t, config.tail())).filter(|t| t.is_finite()).fold(1e-6, f64::max);
    picture.maps(t.view(), "t", Some(limit))?;
    picture.overlap()?;
    let mut results = output::results(config, data, &tested, &layers);
    results["seconds"] = Value::from((began.elapsed().as_secs_f64() * 1e3).round() / 1e3);
    results["peak_rss_mb"] = peak_rss_mb().map_or(Value::Null, |mb| Value::from(mb.round()));
    run.complete(results.clone())?;
    crate::report::write(run.path())?;
    Ok(results)
}

/// The mask itself, where no image of the brain is given: maps say nothing of anatomy.
fn flat(data: &Data) -> crate::data::Volume {
    data.mask.unmask(&vec![1.0; data.mask.n_voxels()], 0.0)
}
