//! Figures of a run.

use super::plan::Plan;
use super::results::{Fit, Scored};
use super::run::Outcome;
use super::score::Ceilings;
use super::sources::Source;
use super::summarize::{identifying, patterns, regions};
use crate::encoding::features::Reduction;
use crate::encoding::identification::pattern_correlations;
use crate::error::Result;
use crate::job::RunDir;
use crate::report::figures::{
    self, AlphaOptions, BarOptions, BarSeries, DensityOptions, HistogramOptions, MatrixOptions, Point, RfGroup,
    RfOptions, ScatterOptions, StackedOptions,
};
use std::path::PathBuf;

/// Stimuli of an identification matrix: more cannot be told apart.
const MOST_STIMULI: usize = 400;
/// Targets of the scatter of predictions: that of the best score, the upper quartile, the median.
const QUANTILES: [f64; 3] = [0.0, 0.25, 0.5];
/// Regions of a layer profile: as many colours as there are besides that of all targets.
const MOST_REGIONS: usize = 6;
/// Points of each of them.
const MOST_POINTS: usize = 400;

/// All figures that the results have something for.
///
/// # Errors
/// What drawing says.
pub fn all(plan: &Plan, outcome: &Outcome, fit: &Fit, ceilings: Option<&Ceilings>, run: &RunDir) -> Result<()> {
    let at = |name: &str| run.file("figures").join(name);
    alphas(plan, outcome, at("alphas"))?;
    layers(plan, fit, &at)?;
    fields(plan, outcome, fit, &at)?;
    if outcome.scores.is_some() {
        scores(outcome, fit, ceilings, &at)?;
        scatter(plan, outcome, at("scatter"))?;
        identification(plan, outcome, at("identification"))?;
    }
    Ok(())
}

fn error_bars(scored: &[Option<Scored>]) -> Vec<[f64; 2]> {
    scored.iter().map(|s| s.map_or([f64::NAN; 2], |s| [s.interval.low, s.interval.high])).collect()
}

fn medians(scored: &[Option<Scored>]) -> Vec<f64> {
    scored.iter().map(|s| s.map_or(f64::NAN, |s| s.median)).collect()
}

fn scores(outcome: &Outcome, fit: &Fit, ceilings: Option<&Ceilings>, at: &dyn Fn(&str) -> PathBuf) -> Result<()> {
    let (Some(own), Some(summary)) = (&outcome.scores, &fit.scores) else { return Ok(()) };
    let options = HistogramOptions { x_label: "held-out r".into(), y_label: "targets".into(), ..Default::default() };
    figures::histogram(&own.r.values, &at("scores"), &options)?;
    if !summary.by_roi.is_empty() {
        let names: Vec<String> = summary.by_roi.iter().map(|roi| roi.roi.clone()).collect();
        let r: Vec<Option<Scored>> = summary.by_roi.iter().map(|roi| roi.scores.r).collect();
        let series = [BarSeries { name: "median r".into(), values: medians(&r), errors: Some(error_bars(&r)) }];
        let options = BarOptions { y_label: "median r".into(), short_names: false, ..BarOptions::default() };
        figures::bars(&names, &series, &at("rois"), &options)?;
    }
    if let Some(ceilings) = ceilings {
        let points: Vec<(f64, f64)> = ceilings.r.iter().copied().zip(own.r.values.iter().copied()).collect();
        let options = DensityOptions {
            x_label: "largest r that the repeats allow".into(),
            y_label: "held-out r".into(),
            diagonal: true,
            ..Default::default()
        };
        figures::density(&points, &at("ceilings"), &options)?;
    }
    Ok(())
}

fn layers(plan: &Plan, fit: &Fit, at: &dyn Fn(&str) -> PathBuf) -> Result<()> {
    // Names that users gave stay as they are.
    let short_names = matches!(plan.source, Source::Layers(_));
    let names: Vec<String> = fit.layers.iter().map(|layer| layer.name.clone()).collect();
    let sets: Vec<usize> = (0..names.len()).filter(|&i| names[i] != "together").collect();
    if sets.len() < 2 {
        return Ok(());
    }
    let rois: Vec<String> =
        fit.scores.as_ref().map(|s| s.by_roi.iter().map(|roi| roi.roi.clone()).collect()).unwrap_or_default();
    profile(fit, &names, &rois, short_names, at("layer_profile"))?;
    let count = |i: usize| fit.layers[i].n_best as f64;
    if fit.layers.iter().any(|layer| layer.n_best > 0) && names.len() > 1 {
        let all = [BarSeries { name: "targets".into(), values: (0..names.len()).map(count).collect(), errors: None }];
        let options =
            BarOptions { y_label: "targets whose best layer it is".into(), short_names, ..BarOptions::default() };
        figures::bars(&names, &all, &at("best_layer"), &options)?;
    }
    let shares = |of: &dyn Fn(usize) -> Option<f64>| -> Option<Vec<f64>> { sets.iter().map(|&i| of(i)).collect() };
    let mut groups = Vec::new();
    groups.extend(shares(&|i| fit.layers[i].contribution).map(|own| ("all".to_owned(), own)));
    for (r, roi) in rois.iter().enumerate() {
        groups.extend(shares(&|i| fit.layers[i].roi_contribution[r]).map(|own| (roi.clone(), own)));
    }
    if groups.is_empty() {
        return Ok(());
    }
    let own: Vec<String> = sets.iter().map(|&i| names[i].clone()).collect();
    let (groups, values): (Vec<String>, Vec<Vec<f64>>) = groups.into_iter().unzip();
    let options = StackedOptions { y_label: "share of r".into(), ..Default::default() };
    figures::stacked_bars(&groups, &own, &values, &at("contributions"), &options)
}

/// Windows as circles, a panel a region, and their mean sizes.
fn fields(plan: &Plan, outcome: &Outcome, fit: &Fit, at: &dyn Fn(&str) -> PathBuf) -> Result<()> {
    let Reduction::RfPooled(grid) = &plan.config.stimuli.reduction else { return Ok(()) };
    let candidates = grid.candidates()?;
    let window = |t: usize| {
        let windows = outcome.models[outcome.best[t]?].last.windows.as_ref()?;
        let w = candidates[windows[t]];
        Some([w.x_deg, w.y_deg, w.sd_deg])
    };
    let mut sets: Vec<(String, Vec<usize>)> = regions(plan, &(0..outcome.best.len()).collect::<Vec<_>>());
    if sets.is_empty() {
        sets.push(("all".into(), (0..outcome.best.len()).collect()));
    }
    let groups: Vec<RfGroup> = sets
        .into_iter()
        .map(|(name, targets)| RfGroup { name, fields: targets.into_iter().filter_map(window).collect() })
        .filter(|group| !group.fields.is_empty())
        .collect();
    if groups.is_empty() {
        return Ok(());
    }
    let options = RfOptions { image_deg: Some(grid.image_deg()), ..RfOptions::default() };
    figures::receptive_fields(&groups, &at("receptive_fields"), &options)?;
    let own: Vec<_> = fit.receptive_fields.iter().filter(|own| own.roi != "all" || groups.len() == 1).collect();
    let names: Vec<String> = own.iter().map(|own| own.roi.clone()).collect();
    let series = [
        BarSeries { name: "size".into(), values: own.iter().map(|own| own.fields.size_deg).collect(), errors: None },
        BarSeries {
            name: "eccentricity".into(),
            values: own.iter().map(|own| own.fields.eccentricity_deg).collect(),
            errors: None,
        },
    ];
    let options = BarOptions { y_label: "degrees".into(), short_names: false, ..BarOptions::default() };
    figures::bars(&names, &series, &at("size_eccentricity"), &options)
}

/// Median r over layers, a curve a region.
fn profile(fit: &Fit, names: &[String], rois: &[String], short_names: bool, stem: PathBuf) -> Result<()> {
    let Some(scores) = &fit.scores else { return Ok(()) };
    let own: Vec<_> = scores.by_layer.iter().filter(|layer| names.contains(&layer.layer)).collect();
    let layers: Vec<String> = own.iter().map(|layer| layer.layer.clone()).collect();
    if layers.len() < 2 {
        return Ok(());
    }
    let all: Vec<f64> = medians(&own.iter().map(|layer| layer.scores.r).collect::<Vec<_>>());
    let mut series = vec![BarSeries { name: "all".into(), values: all, errors: None }];
    for (r, roi) in rois.iter().enumerate().take(MOST_REGIONS) {
        let values = own.iter().map(|layer| layer.roi_r[r].unwrap_or(f64::NAN)).collect();
        series.push(BarSeries { name: roi.clone(), values, errors: None });
    }
    let title = match rois.len() {
        n if n > MOST_REGIONS => format!("The first {MOST_REGIONS} of {n} regions"),
        _ => String::new(),
    };
    let options = BarOptions { title, y_label: "median r".into(), short_names, ..BarOptions::default() };
    figures::bars(&layers, &series, &stem, &options)
}

/// How many targets have which penalty, in the model that most targets prefer.
fn alphas(plan: &Plan, outcome: &Outcome, stem: PathBuf) -> Result<()> {
    let n_best = |m: usize| outcome.best.iter().filter(|best| **best == Some(m)).count();
    let Some(m) = (0..plan.models.len()).rev().max_by_key(|&m| n_best(m)) else { return Ok(()) };
    let last = &outcome.models[m].last;
    let (Some(&first), Some(&end)) = (last.grid.first(), last.grid.last()) else { return Ok(()) };
    let mut values = last.grid.clone();
    values.extend(last.alphas.iter().filter(|a| **a < first || **a > end));
    values.sort_unstable_by(f64::total_cmp);
    values.dedup();
    if values.len() < 2 {
        return Ok(());
    }
    let counts: Vec<usize> = values.iter().map(|v| last.alphas.iter().filter(|a| *a == v).count()).collect();
    let title = if plan.models.len() > 1 { format!("Penalties on {}", plan.models[m].name) } else { String::new() };
    let given = Some((first, end));
    figures::alphas(&values, &counts, None, &stem, &AlphaOptions { title, given, ..AlphaOptions::default() })
}

/// Predictions against responses of targets with the best, a good and a middling score.
fn scatter(plan: &Plan, outcome: &Outcome, stem: PathBuf) -> Result<()> {
    let (Some(test), Some(scores)) = (&outcome.tested, &outcome.scores) else { return Ok(()) };
    let mut order: Vec<usize> = (0..outcome.best.len()).filter(|&t| outcome.best[t].is_some()).collect();
    order.sort_by(|&a, &b| scores.r.values[b].total_cmp(&scores.r.values[a]));
    let mut places: Vec<usize> =
        QUANTILES.iter().map(|q| (q * order.len().saturating_sub(1) as f64) as usize).collect();
    places.dedup();
    let step = test.len().div_ceil(MOST_POINTS).max(1);
    let mut points = Vec::new();
    for t in places.into_iter().filter_map(|place| order.get(place).copied()) {
        for (i, &row) in test.indices().iter().enumerate().step_by(step) {
            points.push(Point {
                label: String::new(),
                group: format!("{} (r = {:.2})", plan.samples.targets[t], scores.r.values[t]),
                x: f64::from(outcome.predictions[(i, t)]),
                y: f64::from(plan.samples.y[(row, t)]),
            });
        }
    }
    if points.is_empty() {
        return Ok(());
    }
    let options = ScatterOptions {
        x_label: "prediction".into(),
        y_label: "response".into(),
        diagonal: true,
        ..ScatterOptions::default()
    };
    figures::scatter(&points, &stem, &options)
}

fn identification(plan: &Plan, outcome: &Outcome, stem: PathBuf) -> Result<()> {
    // Of several rounds there would be a matrix each.
    let (Some(test), [round]) = (&outcome.tested, plan.rounds.as_slice()) else { return Ok(()) };
    let usable = identifying(plan, outcome);
    let targets: Vec<usize> = (0..usable.len()).filter(|&t| usable[t]).collect();
    if targets.len() < 2 || !(2..=MOST_STIMULI).contains(&test.len()) {
        return Ok(());
    }
    let [predicted, measured] = patterns(plan, round, test, outcome.predictions.view(), &targets)?;
    let (r, _) = pattern_correlations(predicted.view(), measured.view())?;
    let names: Vec<String> = test.indices().iter().map(|&i| plan.samples.names[i].clone()).collect();
    let options = MatrixOptions {
        bar_label: "correlation over targets".into(),
        row_title: "predicted".into(),
        column_title: "measured".into(),
        ..MatrixOptions::default()
    };
    figures::matrix(r.view(), &names, &names, &stem, &options)
}
