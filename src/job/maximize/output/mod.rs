//! What a run leaves: images with sidecars, arrays, and the results' rows.

mod results;

pub use results::{summary, units, warn};

use super::batch::Finished;
use super::plan::Plan;
use crate::error::Result;
use crate::image::dequantize;
use crate::image::quantize;
use crate::io::filename::{Part, distinct};
use crate::io::{npz, tsv};
use crate::job::drive::record::{statistics, write_image, write_sidecar};
use crate::job::drive::{Natural, Towards};
use crate::job::maximize::results::KeptImage;
use crate::job::run_dir::RunDir;
use ndarray::{Array2, Array3, Array4, Axis, stack};
use serde_json::{Value, json};

/// An image that was kept.
pub struct Kept {
    pub batch: usize,
    pub towards: Towards,
    /// Number within its set, from 0.
    pub number: usize,
    /// Place in its batch; the image's index among the natural ones for `method = "natural"`.
    pub item: usize,
    /// 3 x h x w.
    pub image: Array3<u8>,
    /// `NAME` of `images/NAME.png`.
    pub name: String,
}

/// Kept images as they were written, and what models say about them.
pub struct Measured {
    pub kept: Vec<Kept>,
    /// n_images x n_units of the population.
    pub own: Array2<f64>,
    /// Name, n_images x n_units of that model, and its natural responses.
    pub checks: Vec<(String, Array2<f64>, Option<Natural>)>,
}

fn kept(plan: &Plan, batch: usize, towards: Towards, number: usize, item: usize, image: Array3<u8>) -> Kept {
    let mut name = format!("{}_{}", plan.batches[batch].file, towards.name());
    if plan.config.n_images > 1 {
        name.push_str(&format!("_{:02}", number + 1));
    }
    Kept { batch, towards, number, item, image, name }
}

/// Of each unit and direction the restart whose set has the highest mean objective.
pub fn best(plan: &Plan, finished: &[Finished]) -> Vec<Kept> {
    let (restarts, n_images) = (plan.config.restarts, plan.config.n_images);
    let mut out = Vec::new();
    for (batch, done) in finished.iter().enumerate() {
        let bytes = quantize(&done.images);
        for (d, &towards) in plan.towards.iter().enumerate() {
            let first = |restart: usize| (d * restarts + restart) * n_images;
            let score = |r: usize| -> f64 { (0..n_images).map(|k| done.batch.rows[first(r) + k].kept_value).sum() };
            let best = (0..restarts).max_by(|&a, &b| score(a).total_cmp(&score(b)).then(b.cmp(&a))).unwrap_or(0);
            for k in 0..n_images {
                let item = first(best) + k;
                let image = bytes.index_axis(Axis(0), item).to_owned();
                out.push(kept(plan, batch, towards, k, item, image));
            }
        }
    }
    out
}

/// The strongest (or weakest) natural images of each unit.
pub fn natural_images(plan: &Plan, natural: &Natural) -> Vec<Kept> {
    let mut out = Vec::new();
    for (batch, own) in plan.batches.iter().enumerate() {
        let column = natural.responses.column(own.units[0]);
        let mut order: Vec<usize> = (0..column.len()).collect();
        order.sort_by(|&a, &b| column[b].total_cmp(&column[a]).then(a.cmp(&b)));
        for &towards in &plan.towards {
            for k in 0..plan.config.n_images.min(order.len()) {
                let item = if towards == Towards::Min { order[order.len() - 1 - k] } else { order[k] };
                let image = natural.image(item).to_owned().insert_axis(Axis(0));
                out.push(kept(plan, batch, towards, k, item, quantize(&image).index_axis_move(Axis(0), 0)));
            }
        }
    }
    out
}

/// Writes every image and takes back what the file holds.
///
/// # Errors
/// As [`write_image`].
pub fn write_images(run: &RunDir, kept: Vec<Kept>) -> Result<Vec<Kept>> {
    kept.into_iter()
        .map(|k| {
            let path = run.file("images").join(format!("{}.png", k.name));
            let image = write_image(&path, k.image.view())?;
            Ok(Kept { image, ..k })
        })
        .collect()
}

/// The written images, in [0, 1].
pub fn shown(plan: &Plan, kept: &[Kept]) -> Array4<f32> {
    let (height, width) = plan.population.size();
    let views: Vec<_> = kept.iter().map(|k| k.image.view()).collect();
    let all = stack(Axis(0), &views).unwrap_or_else(|_| Array4::zeros((0, 3, height, width)));
    dequantize(&all)
}

/// Writes the sidecar of every image.
///
/// # Errors
/// [`crate::Error::Io`].
pub fn sidecars(
    plan: &Plan,
    run: &RunDir,
    finished: &[Finished],
    rows: &[KeptImage],
    measured: &Measured,
) -> Result<()> {
    for (kept, row) in measured.kept.iter().zip(rows) {
        let planned = &plan.batches[kept.batch];
        let members: Vec<Value> = planned
            .units
            .iter()
            .map(|&u| {
                let unit = &plan.population.units[u];
                let member = &plan.population.members[unit.member];
                let layer = &member.graph.node(unit.unit.node).name;
                json!({ "unit": unit.name, "model": member.name, "model_blake3": member.blake3, "layer": layer,
                        "channel": unit.unit.channel, "position": unit.unit.at })
            })
            .collect();
        let done = finished.get(kept.batch);
        let shown = dequantize(&kept.image);
        let sidecar = json!({
            "schema": 1,
            "program": concat!("orthoscope ", env!("CARGO_PKG_VERSION")),
            "git_commit": env!("ORTHOSCOPE_GIT"),
            "method": plan.config.method,
            "units": members,
            "objective": done.map_or("a natural image, as it is", |d| d.objectives[direction(plan, kept)].as_str()),
            "direction": kept.towards.name(),
            "parametrisation": done.map(|d| d.parametrisation.as_str()),
            "constraints": constraints(plan, done),
            "seed": plan.config.seed,
            "item": kept.item,
            "responses": row,
            "achieved": statistics(shown.view()),
        });
        write_sidecar(&run.file("images").join(format!("{}.png", kept.name)), &sidecar)?;
    }
    Ok(())
}

/// Place of an image's direction among the run's.
fn direction(plan: &Plan, kept: &Kept) -> usize {
    plan.towards.iter().position(|t| *t == kept.towards).unwrap_or(0)
}

fn constraints(plan: &Plan, done: Option<&Finished>) -> Vec<String> {
    let mut out = vec!["pixels in [0, 1], 8 bits".to_owned()];
    if plan.config.image.grey {
        out.push("grey".into());
    }
    out.extend(plan.constraint().map(|c| c.describe()));
    out.extend(done.and_then(|d| d.mask).map(|m| {
        format!(
            "disc of {:.3} of the shorter side, offset {:.1}, {:.1} px, edge {} px",
            m.diameter, m.offset_px.0, m.offset_px.1, m.edge_px
        )
    }));
    out
}

/// Writes `arrays/responses.npz` (exported, natural, checks), `arrays/traces.npz`, and the tables
/// that name rows and columns.
///
/// # Errors
/// [`crate::Error::Io`].
pub fn arrays(
    plan: &Plan,
    run: &RunDir,
    finished: &[Finished],
    measured: &Measured,
    natural: Option<&Natural>,
) -> Result<()> {
    let mut file = npz::NpzWriter::new().add("exported", &measured.own);
    if let Some(natural) = natural {
        file = file.add("natural", &natural.responses);
    }
    let names: Vec<String> =
        measured.checks.iter().flat_map(|(n, ..)| [format!("check.{n}"), format!("check.{n}.natural")]).collect();
    for ((_, table, reference), keys) in measured.checks.iter().zip(distinct(Part::Key, &names).chunks(2)) {
        file = file.add(&keys[0], table);
        if let Some(reference) = reference {
            file = file.add(&keys[1], &reference.responses);
        }
    }
    file.write(&run.file("arrays/responses.npz"))?;
    let mut traces = npz::NpzWriter::new();
    for (planned, done) in plan.batches.iter().zip(finished) {
        traces = traces.add(&planned.key, &trace(done));
    }
    if !finished.is_empty() {
        traces.write(&run.file("arrays/traces.npz"))?;
    }
    let mut images = tsv::Table::new(["row", "filename", "unit", "direction", "trace"]);
    for (i, kept) in measured.kept.iter().enumerate() {
        let batch = &plan.batches[kept.batch];
        let key = if finished.is_empty() { "n/a".into() } else { batch.key.clone() };
        let file = format!("images/{}.png", kept.name);
        images.push([i.to_string(), file, batch.name.clone(), kept.towards.name(), key]);
    }
    tsv::write(&run.file("arrays/images.tsv"), &images)?;
    let mut units = tsv::Table::new(["column", "unit", "model"]);
    for (u, unit) in plan.population.units.iter().enumerate() {
        units.push([u.to_string(), unit.name.clone(), plan.population.members[unit.member].name.clone()]);
    }
    tsv::write(&run.file("arrays/units.tsv"), &units)
}

/// Responses before each step and after the last, n_items x steps, NaN where an image had left.
pub fn trace(done: &Finished) -> Array2<f64> {
    let longest = done.batch.rows.iter().map(|r| r.responses.len()).max().unwrap_or(0);
    let mut out = Array2::from_elem((done.batch.rows.len(), longest), f64::NAN);
    for (mut line, row) in out.outer_iter_mut().zip(&done.batch.rows) {
        line.iter_mut().zip(&row.responses).for_each(|(slot, &v)| *slot = v);
    }
    out
}

/// What a run would do.
///
/// # Errors
/// As the executor's constructor.
pub fn describe(plan: &Plan) -> Result<Value> {
    let macs: u64 = plan
        .batches
        .iter()
        .flat_map(|g| &g.units)
        .map(|&u| {
            let unit = &plan.population.units[u];
            plan.population.members[unit.member].graph.n_macs(unit.unit.node)
        })
        .sum();
    let (height, width) = plan.population.size();
    let (executor, _) = plan.population.executor(&plan.batches[0].units, &plan.device)?;
    let images = plan.batches.len() * plan.n_items();
    Ok(json!({
        "dry_run": true,
        "models": plan.population.members.iter().map(|m| m.name.as_str()).take(8).collect::<Vec<_>>(),
        "n_models": plan.population.members.len(),
        "n_units": plan.population.units.len(),
        "executor": executor.describe(),
        "input": [plan.n_items(), 3, height, width],
        "batches": plan.batches.len(),
        "images_optimised": images,
        "images_kept": plan.batches.len() * plan.towards.len() * plan.config.n_images,
        "steps": plan.config.steps,
        // forward and the gradient at the pixels: one product each per weight
        "tflop": 4.0 * macs as f64 * (plan.n_items() * plan.config.steps) as f64 / 1e12,
        "natural_images": plan.natural.as_ref().map(|(s, _)| s.n_images()),
        "checks": plan.checks.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(),
    }))
}
