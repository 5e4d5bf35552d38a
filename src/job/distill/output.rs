//! Files of `distill`.

use super::MODELS;
use super::RunDir;
use super::lessons::Taught;
use super::plan::Plan;
use super::results::{Network, Results};
use super::run::{Found, Learnt};
use crate::compression::distillation::readout;
use crate::compression::distillation::teach::outputs;
use crate::error::Result;
use crate::io::npz::NpzWriter;
use crate::io::tsv::{self, Table, field};
use crate::io::weights::Storage;
use crate::network::card::{self, About};
use ndarray::{Array2, Axis};

/// Writes the model directories and the tables.
///
/// # Errors
/// As writing says.
pub fn write(plan: &Plan, run: &RunDir, taught: &Taught, found: &Found, results: &Results) -> Result<()> {
    if let (Some(core), Some(network)) = (&found.shared, &results.shared) {
        let all: Vec<usize> = (0..found.units.len()).collect();
        model(plan, run, taught, core, network, &all, &["shared core"])?;
    }
    for (unit, (made, row)) in found.units.iter().zip(&results.students).enumerate() {
        let first = if found.shared.is_some() { "readout of a shared core" } else { "distillation" };
        model(plan, run, taught, &made.unpruned, &row.unpruned, &[unit], &[first])?;
        if let (Some((_, learnt)), Some(network)) = (&made.pruned, &row.pruned) {
            let pruned = format!("layerwise variance, {} left", plan.config.prune.share);
            model(plan, run, taught, learnt, network, &[unit], &[first, &pruned, "distillation again"])?;
        }
    }
    images(plan, run, taught)?;
    students(run, results)?;
    curves(plan, run, found)?;
    pruned(plan, run, found)?;
    responses(plan, run, taught, found)
}

/// A student whose outputs are in the teacher's units, as a model directory.
fn model(
    plan: &Plan,
    run: &RunDir,
    taught: &Taught,
    learnt: &Learnt,
    network: &Network,
    units: &[usize],
    operators: &[&str],
) -> Result<()> {
    let pick = |all: &[f64]| units.iter().map(|&u| all[u]).collect::<Vec<f64>>();
    let mut graph = readout::scaled(&learnt.graph, &pick(&taught.sds), &pick(&taught.means))?;
    let names: Vec<&str> = units.iter().map(|&u| plan.teacher.names[u].as_str()).collect();
    graph.name = if let [only] = names[..] { only.to_owned() } else { "shared".into() };
    let text = |value: &str| toml::Value::String(value.to_owned());
    let integer = |n: u64| toml::Value::Integer(i64::try_from(n).unwrap_or(i64::MAX));
    let members: Vec<toml::Value> =
        plan.teacher.population.members.iter().map(|m| text(&format!("{} (blake3 {})", m.origin, m.blake3))).collect();
    let cost = [
        ("params", network.parameters as u64),
        ("kernels", network.kernels as u64),
        ("macs", network.macs),
        ("bytes", network.bytes),
    ];
    let table = [
        ("ancestors", toml::Value::Array(members)),
        ("outputs", toml::Value::Array(names.iter().map(|n| text(n)).collect())),
        ("operators", toml::Value::Array(operators.iter().map(|o| text(o)).collect())),
        ("images", integer(plan.taught.len() as u64)),
        ("views", integer(plan.config.views.n as u64)),
        ("epochs", integer(network.epochs as u64)),
        ("cost", toml::Value::Table(cost.map(|(key, n)| (key.to_owned(), integer(n))).into_iter().collect())),
    ];
    let table = table.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let accuracy =
        [("r_with_teacher", toml::Value::Float(network.r)), ("held_out_images", integer(plan.held.len() as u64))];
    let about = About {
        description: format!("student of {} for {}: {}", plan.config.teacher.model, graph.name, operators.join("; ")),
        source: format!("distilled from {}", plan.config.teacher.model),
        licence: "that of the teacher".into(),
        training: Some(toml::Table::from_iter([("distillation".to_owned(), toml::Value::Table(table))])),
        accuracy: Some(accuracy.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        golden: None,
    };
    card::write(&run.file(&network.model), &graph, &about, Storage::F32, true)?;
    debug_assert!(network.model.starts_with(MODELS));
    Ok(())
}

/// Which images were used for what; of an ensemble, how much its members disagree on the held-out
/// ones.
fn images(plan: &Plan, run: &RunDir, taught: &Taught) -> Result<()> {
    let mut table = Table::new(["image", "role", "disagreement"]);
    let mut roles = vec!["learnt"; plan.pictures.n()];
    plan.held.iter().for_each(|&i| roles[i] = "held out");
    let told = |image: usize| {
        let at = plan.held.binary_search(&image).ok()?;
        let sds = taught.held_raw.disagreement.as_ref()?.row(at).to_vec();
        Some(sds.iter().zip(&taught.sds).map(|(own, scale)| own / scale).sum::<f64>() / sds.len() as f64)
    };
    for (image, name) in plan.pictures.names.iter().enumerate() {
        table.push([name.clone(), roles[image].to_owned(), field(told(image).unwrap_or(f64::NAN))]);
    }
    tsv::write(&run.file("arrays/images.tsv"), &table)
}

/// One row a network.
fn students(run: &RunDir, results: &Results) -> Result<()> {
    let header =
        ["unit", "stage", "filters", "parameters", "kernels", "macs", "bytes", "r", "recorded_r", "recorded_r2_er"];
    let mut table = Table::new(header);
    for row in &results.students {
        let recorded = |r: Option<f64>, er: Option<f64>| [field(r.unwrap_or(f64::NAN)), field(er.unwrap_or(f64::NAN))];
        let none = || "n/a".to_owned();
        if let Some(teacher) = row.teacher {
            let start = [row.unit.clone(), "teacher".into(), none(), none(), none(), none(), none(), none()];
            table.push(start.into_iter().chain(recorded(Some(teacher.r), teacher.r2_er)));
        }
        for (stage, network) in [("unpruned", Some(&row.unpruned)), ("pruned", row.pruned.as_ref())] {
            let Some(n) = network else { continue };
            let filters: Vec<String> = n.filters.iter().map(ToString::to_string).collect();
            let start = [
                row.unit.clone(),
                stage.to_owned(),
                filters.join(","),
                n.parameters.to_string(),
                n.kernels.to_string(),
                n.macs.to_string(),
                n.bytes.to_string(),
                field(n.r),
            ];
            table.push(start.into_iter().chain(recorded(n.recorded.map(|s| s.r), n.recorded.and_then(|s| s.r2_er))));
        }
    }
    tsv::write(&run.file("arrays/students.tsv"), &table)
}

/// Every epoch of every training.
fn curves(plan: &Plan, run: &RunDir, found: &Found) -> Result<()> {
    let mut table = Table::new(["unit", "training", "epoch", "loss", "r"]);
    let mut add = |unit: &str, training: &str, learnt: &Learnt| {
        for (epoch, e) in learnt.history.epochs.iter().enumerate() {
            table.push([unit.to_owned(), training.to_owned(), (epoch + 1).to_string(), field(e.loss), field(e.r)]);
        }
    };
    if let Some(core) = &found.shared {
        add("all", "shared", core);
    }
    for (name, made) in plan.teacher.names.iter().zip(&found.units) {
        if found.shared.is_none() {
            add(name, "unpruned", &made.unpruned);
        }
        if let Some((_, learnt)) = &made.pruned {
            add(name, "pruned", learnt);
        }
    }
    tsv::write(&run.file("arrays/curves.tsv"), &table)
}

/// What went from each layer, in the order in which layers were judged.
fn pruned(plan: &Plan, run: &RunDir, found: &Found) -> Result<()> {
    if !plan.config.prunes() {
        return Ok(());
    }
    let mut table = Table::new(["unit", "layer", "n_removed", "share_left"]);
    for (name, made) in plan.teacher.names.iter().zip(&found.units) {
        let Some((course, _)) = &made.pruned else { continue };
        for step in &course.steps {
            for (layer, channels) in &step.removed {
                let share = field(step.score.unwrap_or(f64::NAN));
                table.push([name.clone(), layer.clone(), channels.len().to_string(), share]);
            }
        }
    }
    tsv::write(&run.file("arrays/pruned.tsv"), &table)
}

/// Responses to the held-out images, in the teacher's units: teacher, unpruned and pruned.
fn responses(plan: &Plan, run: &RunDir, taught: &Taught, found: &Found) -> Result<()> {
    let mut writer = NpzWriter::new().add("teacher", &taught.held_raw.mean);
    writer = writer.add("unpruned", &predicted(plan, taught, found, |made| Some(&made.unpruned))?);
    if plan.config.prunes() {
        writer = writer.add("pruned", &predicted(plan, taught, found, |made| made.pruned.as_ref().map(|p| &p.1))?);
    }
    writer.write(&run.file("arrays/held_out.npz"))
}

/// Students' responses to the held-out images, images x units, in the teacher's units.
///
/// # Errors
/// As running them.
pub fn predicted<'a>(
    plan: &Plan,
    taught: &Taught,
    found: &'a Found,
    of: impl Fn(&'a super::run::Made) -> Option<&'a Learnt>,
) -> Result<Array2<f64>> {
    let mut all = Array2::zeros((plan.held.len(), found.units.len()));
    for (unit, made) in found.units.iter().enumerate() {
        let Some(learnt) = of(made) else { continue };
        let own = outputs(&learnt.graph, taught.held_images(), &plan.device)?;
        let scaled = own.index_axis(Axis(1), 0).mapv(|v| f64::from(v) * taught.sds[unit] + taught.means[unit]);
        all.column_mut(unit).assign(&scaled);
    }
    Ok(all)
}
