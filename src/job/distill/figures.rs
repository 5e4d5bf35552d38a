//! Figures of `distill`.

use super::RunDir;
use super::lessons::Taught;
use super::output::predicted;
use super::plan::Plan;
use super::results::{Network, Results};
use super::run::{Found, Learnt, Made};
use crate::error::Result;
use crate::math::stats;
use crate::report::figures::{self, BarOptions, BarSeries, CurveOptions, CurveSeries, Point, ScatterOptions};

/// Units that have a curve or a cloud of their own.
const SHOWN: usize = 6;

/// Points of a unit in the scatter.
const POINTS: usize = 300;

/// Draws what there is to draw.
///
/// # Errors
/// As drawing says.
pub fn draw(plan: &Plan, run: &RunDir, taught: &Taught, found: &Found, results: &Results) -> Result<()> {
    training(plan, run, found)?;
    kernels(plan, run, results)?;
    scatter(plan, run, taught, found)?;
    recorded(run, results)
}

/// Held-out r over epochs.
fn training(plan: &Plan, run: &RunDir, found: &Found) -> Result<()> {
    let curve = |name: String, learnt: &Learnt| CurveSeries {
        name,
        points: learnt.history.epochs.iter().enumerate().map(|(i, e)| ((i + 1) as f64, e.r)).collect(),
        band: None,
    };
    let mut series: Vec<CurveSeries> = found.shared.iter().map(|core| curve("shared core".into(), core)).collect();
    for (name, made) in plan.teacher.names.iter().zip(&found.units).take(SHOWN) {
        if found.shared.is_none() {
            series.push(curve(name.clone(), &made.unpruned));
        }
        series.extend(made.pruned.iter().map(|(_, learnt)| curve(format!("{name}, pruned"), learnt)));
    }
    series.retain(|s| !s.points.is_empty());
    if series.is_empty() {
        return Ok(());
    }
    let options = CurveOptions {
        title: "Training".into(),
        x_label: "epoch".into(),
        y_label: "r with the teacher, held-out images".into(),
        ..CurveOptions::default()
    };
    figures::curves(&series, &run.file("figures/training"), &options)
}

/// Filters of each layer before and after pruning, medians over units.
fn kernels(plan: &Plan, run: &RunDir, results: &Results) -> Result<()> {
    let n = plan.config.student.widths.len();
    let groups: Vec<String> = (0..n).map(|i| format!("layer {i}")).collect();
    let medians = |networks: Vec<&Network>| -> Vec<f64> {
        let of = |i: usize| stats::median(&networks.iter().map(|net| net.filters[i] as f64).collect::<Vec<_>>());
        (0..n).map(of).collect()
    };
    let bar = |name: &str, values| BarSeries { name: name.into(), values, errors: None };
    let mut series = vec![bar("before", medians(results.students.iter().map(|s| &s.unpruned).collect()))];
    if plan.config.prunes() {
        series.push(bar("after", medians(results.students.iter().filter_map(|s| s.pruned.as_ref()).collect())));
    }
    let options = BarOptions {
        title: "Filters of each layer".into(),
        y_label: "filters, median over units".into(),
        ..BarOptions::default()
    };
    figures::bars(&groups, &series, &run.file("figures/filters"), &options)
}

/// What became of a unit's student in the end.
fn last(made: &Made) -> Option<&Learnt> {
    Some(made.pruned.as_ref().map_or(&made.unpruned, |p| &p.1))
}

/// Students against the teacher on the held-out images.
fn scatter(plan: &Plan, run: &RunDir, taught: &Taught, found: &Found) -> Result<()> {
    let own = predicted(plan, taught, found, last)?;
    let mut points = Vec::new();
    for (unit, name) in plan.teacher.names.iter().enumerate().take(SHOWN) {
        for (x, y) in taught.held_raw.mean.column(unit).iter().zip(own.column(unit)).take(POINTS) {
            let z = |v: &f64| (v - taught.means[unit]) / taught.sds[unit];
            points.push(Point { label: String::new(), group: name.clone(), x: z(x), y: z(y) });
        }
    }
    let options = ScatterOptions {
        title: "Students and teacher".into(),
        x_label: "teacher, standardised".into(),
        y_label: "student, standardised".into(),
        diagonal: true,
        ..ScatterOptions::default()
    };
    figures::scatter(&points, &run.file("figures/scatter"), &options)
}

/// Scores on recorded responses: students over the teacher's.
fn recorded(run: &RunDir, results: &Results) -> Result<()> {
    let mut points = Vec::new();
    for row in &results.students {
        let Some(teacher) = row.teacher else { continue };
        for (group, network) in [("unpruned", Some(&row.unpruned)), ("pruned", row.pruned.as_ref())] {
            if let Some(own) = network.and_then(|n| n.recorded) {
                points.push(Point { label: String::new(), group: group.into(), x: teacher.r, y: own.r });
            }
        }
    }
    if points.is_empty() {
        return Ok(());
    }
    let options = ScatterOptions {
        title: "Recorded responses".into(),
        x_label: "r of the teacher".into(),
        y_label: "r of the student".into(),
        diagonal: true,
        ..ScatterOptions::default()
    };
    figures::scatter(&points, &run.file("figures/recorded"), &options)
}
