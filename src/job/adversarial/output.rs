//! What a run leaves: results, the table of pairs, sidecars.

use super::batch::{answer, margin_of};
use super::config::Aim;
use super::measured::Measured;
use super::plan::Plan;
use super::results::{Answers, Checked, Pair, PerEpsilon, Smallest, Success, Summary};
use crate::error::Result;
use crate::image::dequantize;
use crate::io::{png, tsv};
use crate::job::drive::record::{statistics, write_sidecar};
use crate::job::drive::{Natural, Towards};
use crate::job::run_dir::RunDir;
use crate::math::stats;
use crate::report::values::rows;
use ndarray::Array2;
use serde_json::{Value, json};

fn unit_name(plan: &Plan, unit: usize) -> String {
    if plan.config.aim == Aim::Margin { "margin".into() } else { plan.population.units[unit].name.clone() }
}

/// Response of a unit to a base image; the margin of the base's own answer is not above 0.
pub fn base_value(plan: &Plan, base: &Array2<f64>, image: usize, unit: usize) -> f64 {
    if plan.config.aim == Aim::Response {
        return base[(image, unit)];
    }
    margin_of(base, image, answer(base, image))
}

/// One row per base image, unit and radius: up and down together.
pub fn pairs(plan: &Plan, measured: &[Measured], base: &Array2<f64>, natural: Option<&Natural>) -> Vec<Pair> {
    let ups = measured.iter().filter(|m| m.made.item.towards == Towards::Max);
    ups.map(|up| {
        let same = |m: &&Measured| {
            let (a, b) = (&m.made, &up.made);
            a.unit == b.unit && a.item.base == b.item.base && a.item.epsilon == b.item.epsilon
        };
        let down = measured.iter().filter(same).find(|m| m.made.item.towards == Towards::Min);
        pair(plan, up, down, base, natural)
    })
    .collect()
}

fn pair(plan: &Plan, up: &Measured, down: Option<&Measured>, base: &Array2<f64>, natural: Option<&Natural>) -> Pair {
    let (image, unit) = (up.made.item.base, up.made.unit);
    let checks = plan.checks.iter().enumerate().map(|(k, check)| {
        let (before, after) = up.checks[k];
        (check.name.clone(), Checked { base: before, up: after, down: down.map(|d| d.checks[k].1) })
    });
    let file = |m: &Measured| m.made.file.to_string_lossy().into_owned();
    Pair {
        image: plan.bases.names()[image].clone(),
        unit: unit_name(plan, unit),
        file_up: file(up),
        file_down: down.map(file),
        epsilon: up.made.epsilon,
        base: base_value(plan, base, image, unit),
        up: up.made.found,
        down: down.map(|d| d.made.found),
        random_up: up.random.map(|r| r.mean),
        random_sd: up.random.map(|r| r.sd),
        random_achieved: up.random.map(|r| r.achieved),
        exported_up: up.exported,
        exported_down: down.map(|d| d.exported),
        cross_up: up.cross,
        cross_down: down.and_then(|d| d.cross),
        epsilon_achieved: up.made.achieved,
        epsilon_achieved_down: down.map(|d| d.made.achieved),
        ssim: up.ssim,
        ssim_down: down.map(|d| d.ssim),
        smallest: up.made.reached.map(|reached| Smallest {
            epsilon_down: down.map(|d| d.made.epsilon),
            reached,
            reached_down: down.and_then(|d| d.made.reached),
        }),
        answers: up.answer.map(|after| {
            let before = answer(base, image);
            let name = |unit: usize| plan.population.units[unit].name.clone();
            Answers { answer_before: name(before), answer_after: name(after), success: after != before }
        }),
        natural_sd: natural.filter(|_| up.answer.is_none()).map(|natural| natural.reference(unit).sd),
        checks: checks.collect(),
    }
}

/// Changes of the response from the base: in natural standard deviations where there are any, else
/// as they are.
pub fn changes(plan: &Plan, m: &Measured, base: &Array2<f64>, natural: Option<&Natural>) -> [Option<f64>; 3] {
    let before = base_value(plan, base, m.made.item.base, m.made.unit);
    let sd = if plan.config.aim == Aim::Margin { None } else { plan.spread(natural, m.made.unit) };
    let scale = sd.filter(|s| *s > 0.0).unwrap_or(1.0);
    let change = |after: f64| (after - before) / scale;
    [Some(change(m.exported)), m.random.map(|r| change(r.mean)), m.cross.map(change)]
}

/// Means over all pairs, per radius.
pub fn summary(plan: &Plan, measured: &[Measured], base: &Array2<f64>, natural: Option<&Natural>) -> Summary {
    let mut rows = Vec::new();
    for e in 0..plan.n_epsilon() {
        let of = |towards: Towards, which: usize| -> Option<f64> {
            let chosen = measured.iter().filter(|m| m.made.item.epsilon == e && m.made.item.towards == towards);
            let values: Vec<f64> = chosen.filter_map(|m| changes(plan, m, base, natural)[which]).collect();
            (!values.is_empty()).then(|| stats::mean(&values))
        };
        let here: Vec<&Measured> = measured.iter().filter(|m| m.made.item.epsilon == e).collect();
        let mean = |f: &dyn Fn(&Measured) -> f64| stats::mean(&here.iter().map(|m| f(m)).collect::<Vec<_>>());
        rows.push(PerEpsilon {
            epsilon: if plan.goal.is_some() { mean(&|m| m.made.epsilon) } else { plan.config.epsilon[e] },
            mean_up: of(Towards::Max, 0),
            mean_down: of(Towards::Min, 0),
            mean_random: of(Towards::Max, 1),
            mean_cross_up: of(Towards::Max, 2),
            mean_cross_down: of(Towards::Min, 2),
            mean_ssim: mean(&|m| m.ssim),
            largest_achieved: here.iter().map(|m| m.made.achieved).fold(0.0, f64::max),
        });
    }
    let unit =
        if natural.is_some() && plan.config.aim == Aim::Response { "natural standard deviations" } else { "response" };
    Summary { unit_of_change: unit.into(), per_epsilon: rows }
}

/// For classifiers: whether each image gets another answer, radii x images.
pub fn success(plan: &Plan, measured: &[Measured]) -> Option<Success> {
    if plan.config.aim == Aim::Response {
        return None;
    }
    let at = |e: usize, image: usize| {
        let found = measured.iter().find(|m| m.made.item.epsilon == e && m.made.item.base == image);
        found.map(|m| m.exported > 0.0)
    };
    let rows: Vec<Vec<Option<bool>>> =
        (0..plan.n_epsilon()).map(|e| (0..plan.bases.n_images()).map(|i| at(e, i)).collect()).collect();
    let rate: Vec<f64> =
        rows.iter().map(|r| r.iter().filter(|s| **s == Some(true)).count() as f64 / r.len().max(1) as f64).collect();
    let (epsilon, images) = (plan.config.epsilon.clone(), plan.bases.names().to_vec());
    Some(Success { epsilon, images, matrix: rows, rate })
}

/// Writes `arrays/pairs.tsv`.
///
/// # Errors
/// [`crate::Error::Io`].
pub fn table(plan: &Plan, run: &RunDir, pairs: &[Pair]) -> Result<()> {
    let pairs = rows(pairs);
    let Some(first) = pairs.first().and_then(Value::as_object) else { return Ok(()) };
    let keys: Vec<&String> = first.iter().filter(|(_, v)| !v.is_object()).map(|(k, _)| k).collect();
    let names: Vec<String> =
        keys.iter().map(|k| (*k).clone()).chain(plan.checks.iter().map(|c| c.name.clone())).collect();
    // A model may be called as a key is.
    let column = |(c, name): (usize, &String)| {
        if names[..c].contains(name) { format!("check.{name}") } else { name.clone() }
    };
    let mut out = tsv::Table::new(names.iter().enumerate().map(column));
    for pair in &pairs {
        let cell = |v: &Value| match v {
            Value::Null => "n/a".to_owned(),
            Value::String(s) => s.clone(),
            other => other.to_string(),
        };
        let checks = plan.checks.iter().map(|c| cell(&pair["checks"][&c.name]["up"]));
        out.push(keys.iter().map(|k| cell(&pair[k.as_str()])).chain(checks).collect::<Vec<_>>());
    }
    tsv::write(&run.file("arrays/pairs.tsv"), &out)
}

/// Writes the sidecar of every image.
///
/// # Errors
/// [`crate::Error::Io`].
pub fn sidecars(plan: &Plan, run: &RunDir, measured: &[Measured], base: &Array2<f64>) -> Result<()> {
    for m in measured {
        let unit = &plan.population.units[m.made.unit];
        let member = &plan.population.members[unit.member];
        let path = run.file(&m.made.file);
        let shown = dequantize(&png::read(&path)?).permuted_axes([2, 0, 1]);
        let objective = match (plan.config.aim, m.made.item.towards) {
            (Aim::Margin, _) => "another answer of the classifier".to_owned(),
            (_, Towards::Max) => format!("response of {}", unit.name),
            _ => format!("- response of {}", unit.name),
        };
        let sidecar = json!({
            "schema": 1,
            "program": concat!("orthoscope ", env!("CARGO_PKG_VERSION")),
            "git_commit": env!("ORTHOSCOPE_GIT"),
            "method": plan.config.method,
            "model": member.name,
            "model_blake3": member.blake3,
            "layer": member.graph.node(unit.unit.node).name,
            "channel": (plan.config.aim == Aim::Response).then_some(unit.unit.channel),
            "objective": objective,
            "base_image": plan.bases.names()[m.made.item.base],
            "constraints": [format!("{} of at most {} levels of 0..255, also after rounding to 8 bits", plan.config.norm, m.made.epsilon), "pixels in 0..255".to_owned()],
            "epsilon_achieved": m.made.achieved,
            "seed": plan.config.seed,
            "steps": m.made.steps,
            "responses": { "base": base_value(plan, base, m.made.item.base, m.made.unit), "final": m.made.found, "exported": m.exported,
                "random": m.random.map(|r| r.mean), "cross": m.cross },
            "ssim": m.ssim,
            "achieved": statistics(shown.view()),
        });
        write_sidecar(&path, &sidecar)?;
    }
    Ok(())
}

/// What a run would do.
///
/// # Errors
/// As the executor's constructor.
pub fn describe(plan: &Plan) -> Result<Value> {
    let items: usize = plan.batches.iter().map(|g| g.items.len()).sum();
    let macs: u64 = plan
        .batches
        .iter()
        .map(|g| {
            let unit = &plan.population.units[g.unit];
            plan.population.members[unit.member].graph.n_macs(unit.unit.node) * g.items.len() as u64
        })
        .sum();
    Ok(json!({
        "dry_run": true,
        "executor": plan.population.executor(&[0], &plan.device)?.0.describe(),
        "n_units": plan.n_driven(),
        "base_images": plan.bases.n_images(),
        "norm": plan.config.norm,
        "epsilon": plan.config.epsilon,
        "perturbations": items,
        "batches": plan.batches.len(),
        "steps": plan.config.n_steps(),
        "tflop": 4.0 * macs as f64 * plan.config.n_steps() as f64 / 1e12,
        "checks": plan.checks.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(),
    }))
}
