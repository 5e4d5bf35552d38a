//! What the results say of each kept image, and what the user should know.

use super::Measured;
use crate::job::Named;
use crate::job::drive::natural::Reference;
use crate::job::drive::{Check, Natural, Towards};
use crate::job::maximize::batch::Finished;
use crate::job::maximize::config::Method;
use crate::job::maximize::plan::Plan;
use crate::job::maximize::results::{BesideNatural, Count, Driven, KeptImage, OffTarget, Response, Search};
use crate::job::run_dir::RunDir;
use crate::synthesis::Row;
use crate::warning::Warning;
use ndarray::Array2;

/// One row per kept image.
pub fn units(plan: &Plan, finished: &[Finished], measured: &Measured, natural: Option<&Natural>) -> Vec<KeptImage> {
    (0..measured.kept.len()).map(|i| unit(plan, finished, measured, natural, i)).collect()
}

fn unit(plan: &Plan, finished: &[Finished], measured: &Measured, natural: Option<&Natural>, i: usize) -> KeptImage {
    let kept = &measured.kept[i];
    let planned = &plan.batches[kept.batch];
    let unit = planned.units[0];
    let driven = |&u: &usize| Driven {
        unit: plan.population.units[u].name.clone(),
        response: measured.own[(i, u)],
        z: natural.map(|n| n.reference(u).z(measured.own[(i, u)])),
    };
    KeptImage {
        unit: planned.name.clone(),
        direction: kept.towards.name(),
        image: format!("images/{}.png", kept.name),
        number: kept.number + 1,
        search: finished.get(kept.batch).map(|done| search(plan, done, kept.item)),
        exported: measured.own[(i, unit)],
        natural: natural.map(|natural| beside(plan, measured, natural, i)),
        units: if planned.units.len() > 1 { planned.units.iter().map(driven).collect() } else { vec![] },
        checks: checks(plan, measured, i, unit),
    }
}

fn search(plan: &Plan, done: &Finished, item: usize) -> Search {
    let own = &done.batch.rows[item];
    let direction = plan.place(item).0;
    let restarts = (0..plan.n_items()).filter(|&item| plan.place(item).0 == direction);
    Search {
        start: done.start[item],
        last: own.kept_response,
        steps: own.values.len().saturating_sub(1),
        best_step: own.kept_step,
        converged: own.converged,
        restarts: restarts.map(|item| done.batch.rows[item].kept_response).collect(),
    }
}

fn beside(plan: &Plan, measured: &Measured, natural: &Natural, i: usize) -> BesideNatural {
    let kept = &measured.kept[i];
    let units = &plan.batches[kept.batch].units;
    let exported = measured.own[(i, units[0])];
    let reference = natural.reference(units[0]);
    let name = |image: usize| natural.stimuli.names()[image].clone();
    BesideNatural {
        natural_max: reference.max(),
        natural_min: reference.min(),
        natural_mean: reference.mean,
        natural_sd: reference.sd,
        natural_best: name(reference.best),
        natural_worst: name(reference.worst),
        percentile: reference.percentile(exported),
        z: reference.z(exported),
        beyond_natural: beyond(kept.towards, exported, &reference),
        off_target: (plan.population.units.len() > 1).then(|| off_target(plan, measured, natural, i, units)),
    }
}

/// Whether a response lies outside the natural range on the wanted side; nothing to say for levels
/// and objectives.
fn beyond(towards: Towards, response: f64, reference: &Reference) -> Option<bool> {
    match towards {
        Towards::Max => Some(response > reference.max()),
        Towards::Min => Some(response < reference.min()),
        _ => None,
    }
}

/// How the other units take an image: their responses in standard deviations of their natural ones.
fn off_target(plan: &Plan, measured: &Measured, natural: &Natural, i: usize, own: &[usize]) -> Option<OffTarget> {
    let z = |u: usize| natural.reference(u).z(measured.own[(i, u)]);
    let others: Vec<(usize, f64)> =
        (0..plan.population.units.len()).filter(|u| !own.contains(u)).map(|u| (u, z(u))).collect();
    let finite: Vec<&(usize, f64)> = others.iter().filter(|(_, z)| z.is_finite()).collect();
    let strongest = finite.iter().max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()))?;
    let own_z = z(own[0]).abs();
    Some(OffTarget {
        mean_abs_z: finite.iter().map(|(_, z)| z.abs()).sum::<f64>() / finite.len() as f64,
        largest_z: strongest.1,
        largest_unit: plan.population.units[strongest.0].name.clone(),
        share_weaker: finite.iter().filter(|(_, z)| z.abs() < own_z).count() as f64 / finite.len() as f64,
    })
}

fn checks(plan: &Plan, measured: &Measured, i: usize, unit: usize) -> Named<Response> {
    let of = |(check, (name, table, reference)): (&Check, &(String, Array2<f64>, Option<Natural>))| {
        let there = check.units[unit];
        let response = table[(i, there)];
        let percentile = reference.as_ref().map(|n| n.reference(there).percentile(response));
        (name.clone(), Response { unit: check.population.units[there].name.clone(), response, percentile })
    };
    plan.checks.iter().zip(&measured.checks).map(of).collect()
}

/// Numbers over all kept images.
pub fn summary(plan: &Plan, measured: &Measured, natural: Option<&Natural>) -> Named<Count> {
    let mut out = Named::default();
    let Some(natural) = natural else { return out };
    for towards in [Towards::Max, Towards::Min] {
        let of: Vec<bool> = beyond_natural(plan, measured, natural, towards);
        if !of.is_empty() {
            let share = of.iter().filter(|b| **b).count();
            out.put(format!("{}_beyond_natural", towards.name()), Count { n: share, of: of.len() });
        }
    }
    out
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
