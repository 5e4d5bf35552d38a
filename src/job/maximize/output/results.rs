//! What the results say of each kept image, and what the user should know.

use super::Measured;
use crate::job::drive::natural::Reference;
use crate::job::drive::{Natural, Towards};
use crate::job::maximize::batch::Finished;
use crate::job::maximize::config::Method;
use crate::job::maximize::plan::Plan;
use crate::job::run_dir::RunDir;
use crate::synthesis::Row;
use crate::warning::Warning;
use serde_json::{Map, Value, json};

/// One row per kept image.
pub fn units(plan: &Plan, finished: &[Finished], measured: &Measured, natural: Option<&Natural>) -> Vec<Value> {
    (0..measured.kept.len()).map(|i| unit(plan, finished, measured, natural, i)).collect()
}

fn unit(plan: &Plan, finished: &[Finished], measured: &Measured, natural: Option<&Natural>, i: usize) -> Value {
    let kept = &measured.kept[i];
    let planned = &plan.batches[kept.batch];
    let unit = planned.units[0];
    let exported = measured.own[(i, unit)];
    let mut row = Map::new();
    let mut put = |key: &str, value: Value| row.insert(key.into(), value);
    put("unit", json!(planned.name));
    put("direction", json!(kept.towards.name()));
    put("image", json!(format!("images/{}.png", kept.name)));
    put("number", json!(kept.number + 1));
    if let Some(done) = finished.get(kept.batch) {
        let own = &done.batch.rows[kept.item];
        put("start", json!(done.start[kept.item]));
        put("final", json!(own.kept_response));
        put("steps", json!(own.values.len().saturating_sub(1)));
        put("best_step", json!(own.kept_step));
        put("converged", json!(own.converged));
        let direction = plan.place(kept.item).0;
        let restarts = (0..plan.n_items()).filter(|&item| plan.place(item).0 == direction);
        put("restarts", json!(restarts.map(|item| done.batch.rows[item].kept_response).collect::<Vec<_>>()));
    }
    put("exported", json!(exported));
    if let Some(natural) = natural {
        let reference = natural.reference(unit);
        put("natural_max", json!(reference.max()));
        put("natural_min", json!(reference.min()));
        put("natural_mean", json!(reference.mean));
        put("natural_sd", json!(reference.sd));
        put("natural_best", json!(natural.stimuli.names()[reference.best]));
        put("natural_worst", json!(natural.stimuli.names()[reference.worst]));
        put("percentile", json!(reference.percentile(exported)));
        put("z", json!(reference.z(exported)));
        put("beyond_natural", json!(beyond(kept.towards, exported, &reference)));
        if plan.population.units.len() > 1 {
            put("off_target", off_target(plan, measured, natural, i, &planned.units));
        }
    }
    if planned.units.len() > 1 {
        let of = |&u: &usize| {
            let z = natural.map(|n| n.reference(u).z(measured.own[(i, u)]));
            json!({ "unit": plan.population.units[u].name, "response": measured.own[(i, u)], "z": z })
        };
        put("units", planned.units.iter().map(of).collect());
    }
    put("checks", checks(plan, measured, i, unit));
    Value::Object(row)
}

/// Whether a response lies outside the natural range on the wanted side; nothing to say for levels and objectives.
fn beyond(towards: Towards, response: f64, reference: &Reference) -> Option<bool> {
    match towards {
        Towards::Max => Some(response > reference.max()),
        Towards::Min => Some(response < reference.min()),
        _ => None,
    }
}

/// How the other units take an image: their responses in standard deviations of their natural ones.
fn off_target(plan: &Plan, measured: &Measured, natural: &Natural, i: usize, own: &[usize]) -> Value {
    let z = |u: usize| natural.reference(u).z(measured.own[(i, u)]);
    let others: Vec<(usize, f64)> =
        (0..plan.population.units.len()).filter(|u| !own.contains(u)).map(|u| (u, z(u))).collect();
    let finite: Vec<&(usize, f64)> = others.iter().filter(|(_, z)| z.is_finite()).collect();
    if finite.is_empty() {
        return Value::Null;
    }
    let strongest = finite.iter().max_by(|a, b| a.1.abs().total_cmp(&b.1.abs())).expect("not empty");
    let own_z = z(own[0]).abs();
    json!({
        "mean_abs_z": finite.iter().map(|(_, z)| z.abs()).sum::<f64>() / finite.len() as f64,
        "largest_z": strongest.1,
        "largest_unit": plan.population.units[strongest.0].name,
        "share_weaker": finite.iter().filter(|(_, z)| z.abs() < own_z).count() as f64 / finite.len() as f64,
    })
}

fn checks(plan: &Plan, measured: &Measured, i: usize, unit: usize) -> Value {
    let mut out = Map::new();
    for (check, (name, table, reference)) in plan.checks.iter().zip(&measured.checks) {
        let response = table[(i, check.units[unit])];
        let percentile = reference.as_ref().map(|n| n.reference(check.units[unit]).percentile(response));
        let there = &check.population.units[check.units[unit]].name;
        out.insert(name.clone(), json!({ "unit": there, "response": response, "percentile": percentile }));
    }
    Value::Object(out)
}

/// Numbers over all kept images.
pub fn summary(plan: &Plan, measured: &Measured, natural: Option<&Natural>) -> Value {
    let mut out = Map::new();
    let Some(natural) = natural else { return Value::Object(out) };
    for towards in [Towards::Max, Towards::Min] {
        let of: Vec<bool> = beyond_natural(plan, measured, natural, towards);
        if !of.is_empty() {
            let share = of.iter().filter(|b| **b).count();
            out.insert(format!("{}_beyond_natural", towards.name()), json!({ "n": share, "of": of.len() }));
        }
    }
    Value::Object(out)
}

fn beyond_natural(plan: &Plan, measured: &Measured, natural: &Natural, towards: Towards) -> Vec<bool> {
    let kept = measured.kept.iter().enumerate().filter(|(_, k)| k.towards == towards);
    kept.filter_map(|(i, k)| {
        let unit = plan.batches[k.batch].units[0];
        beyond(towards, measured.own[(i, unit)], &natural.reference(unit))
    })
    .collect()
}

/// Puts what the user should know into the manifest.
pub fn warn(plan: &Plan, run: &mut RunDir, finished: &[Finished], measured: &Measured, natural: Option<&Natural>) {
    for (planned, done) in plan.batches.iter().zip(finished) {
        for (d, towards) in plan.towards.iter().enumerate() {
            let rows = done.batch.rows.iter().enumerate().filter(|(item, _)| plan.place(*item).0 == d);
            let still = |row: &Row| row.responses.iter().all(|r| *r == row.responses[0]);
            if rows.into_iter().all(|(_, row)| still(row)) {
                run.warn(Warning::NoGradient { unit: planned.name.clone(), direction: towards.name() });
            }
        }
    }
    let (Some(natural), true) = (natural, plan.config.method != Method::Natural) else { return };
    let all: Vec<bool> =
        [Towards::Max, Towards::Min].into_iter().flat_map(|t| beyond_natural(plan, measured, natural, t)).collect();
    let short = all.iter().filter(|b| !**b).count();
    if short > 0 {
        run.warn(Warning::NotBeyondNatural { n_images: short, of: all.len() });
    }
    for (check, (name, table, reference)) in plan.checks.iter().zip(&measured.checks) {
        let Some(reference) = reference else { continue };
        let fooled = measured.kept.iter().enumerate().filter(|(i, k)| {
            let unit = check.units[plan.batches[k.batch].units[0]];
            let percentile = reference.reference(unit).percentile(table[(*i, unit)]);
            k.towards.sign() * (percentile - 50.0) < 0.0
        });
        let n_images = fooled.count();
        if n_images > 0 {
            run.warn(Warning::OnlyOwnModel { model: name.clone(), n_images, of: measured.kept.len() });
        }
    }
}
