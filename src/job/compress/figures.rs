//! Figures of `compress`.

use super::RunDir;
use super::config::By;
use super::judge::describe;
use super::kernels::{Turns, rows};
use super::plan::Plan;
use super::results::Stage;
use super::run::Found;
use super::sets::Truth;
use crate::compression::Cost;
use crate::error::Result;
use crate::io::weights::Storage;
use crate::report::figures::{
    self, BarOptions, BarSeries, CurveOptions, CurveSeries, FilterPageOptions, MatrixOptions,
};
use ndarray::Array2;

/// Channels and classes that the figure of classes has room for.
const CHANNELS: usize = 40;
const CLASSES: usize = 120;

/// Draws what there is to draw.
pub fn draw(plan: &Plan, run: &RunDir, found: &Found, stages: &[Stage]) -> Result<()> {
    curve(plan, run, found, stages)?;
    kernels(plan, run, found)?;
    similarity(run, found)?;
    let page = rows(plan, &Turns::of(plan, found.pruned.as_ref()));
    if !page.is_empty() {
        let note = match &found.pruned {
            Some(_) => {
                "In the order in which they would go, the first to go first; crossed out: gone. Numbers are channels."
            }
            None => "Numbers are channels.",
        };
        let options = FilterPageOptions { title: format!("Filters of {}", plan.subject.graph.name), note: note.into() };
        figures::filter_page(&page, &run.file("figures/filters"), &options)?;
    }
    channels(plan, run, found)?;
    classes(plan, run, found)
}

/// The compression curve: score against parameters, on both sides' images, and what the later
/// operators made.
fn curve(plan: &Plan, run: &RunDir, found: &Found, stages: &[Stage]) -> Result<()> {
    if found.points.len() < 2 {
        return Ok(());
    }
    let thousands = |params: usize| params as f64 / 1e3;
    let line = |name: &str, points: Vec<(f64, f64)>| CurveSeries { name: name.into(), points, band: None };
    let mut series = vec![line("test images", found.points.iter().map(|p| (thousands(p.params), p.score)).collect())];
    let judged: Vec<(f64, f64)> = found.points.iter().filter_map(|p| Some((thousands(p.params), p.judged?))).collect();
    if judged.len() > 1 {
        series.push(line("images that channels were judged on", judged));
    }
    if let Some(stage) = stages.iter().find(|stage| stage.stage == "fine-tuned") {
        series.push(line("fine-tuned, test images", vec![(thousands(stage.params), stage.score)]));
    }
    let mut references = vec![("original".to_owned(), stages[0].score)];
    if let Truth::Labels(_) = plan.tested.truth {
        references.push(("chance".into(), 1.0 / plan.outputs.len() as f64));
    }
    let options = CurveOptions {
        title: "What is left as channels go".into(),
        x_label: "parameters (thousands)".into(),
        y_label: short(plan).into(),
        references,
        ..CurveOptions::default()
    };
    figures::curves(&series, &run.file("figures/curve"), &options)
}

/// The score in few words.
fn short(plan: &Plan) -> &'static str {
    match describe(plan) {
        "classification accuracy" => "accuracy",
        _ => "mean correlation",
    }
}

/// Filters of every layer before and after.
fn kernels(plan: &Plan, run: &RunDir, found: &Found) -> Result<()> {
    let before = Cost::of(&plan.subject.graph, Storage::F32)?;
    let after = Cost::of(&found.stages.last().expect("at least one").graph, Storage::F32)?;
    // The outputs stay, and a depthwise layer has the channels of the layer before.
    let changes = |i: &usize| before.layers[*i].kernels > 0 || before.layers[*i].filters != after.layers[*i].filters;
    let layers: Vec<usize> = (0..before.layers.len()).filter(changes).collect();
    if layers.is_empty() {
        return Ok(());
    }
    let name = |i: &usize| before.layers[*i].name.trim_end_matches(".pre_relu").to_owned();
    let series = [("before", &before), ("after", &after)].map(|(name, cost)| BarSeries {
        name: name.into(),
        values: layers.iter().map(|&i| cost.layers[i].filters as f64).collect(),
        errors: None,
    });
    let names: Vec<String> = layers.iter().map(name).collect();
    let options =
        BarOptions { title: "Filters of each layer".into(), y_label: "filters".into(), ..BarOptions::default() };
    figures::bars(&names, &series, &run.file("figures/kernels"), &options)
}

/// How alike each layer stayed.
fn similarity(run: &RunDir, found: &Found) -> Result<()> {
    let names: Vec<String> = found.similarity.iter().map(|layer| layer.tap.clone()).collect();
    if names.is_empty() {
        return Ok(());
    }
    let values = found.similarity.iter().map(|layer| layer.cka.unwrap_or(f64::NAN)).collect();
    let series = [BarSeries { name: "linear CKA".into(), values, errors: None }];
    let options = BarOptions {
        title: "How alike each layer is before and after".into(),
        y_label: "linear CKA".into(),
        references: vec![("the same".into(), 1.0)],
        ..BarOptions::default()
    };
    figures::bars(&names, &series, &run.file("figures/similarity"), &options)
}

/// What the whole network loses with each single channel, layer by layer. Other importances are not
/// in the units of a score, and not the same from layer to layer: they are shares of the layer's
/// largest.
fn channels(plan: &Plan, run: &RunDir, found: &Found) -> Result<()> {
    let Some(pruned) = &found.pruned else { return Ok(()) };
    let ablated = matches!(plan.config.prune.by, Some(By::Car | By::Rar));
    let curve = |&g: &usize| {
        let name = &plan.groups.group(g).name;
        let mut scores = pruned.first.importance.get(name)?.clone();
        scores.sort_by(f64::total_cmp);
        let largest = scores.last().copied().filter(|v| *v > 0.0 && !ablated).unwrap_or(1.0);
        let n = scores.len() as f64;
        let points = scores.into_iter().enumerate();
        let points = points.map(|(i, s)| ((i as f64 + 0.5) / n * 100.0, s / largest)).collect();
        let name = name.trim_end_matches(".pre_relu").to_owned();
        Some(CurveSeries { name, points, band: None })
    };
    let series: Vec<CurveSeries> = plan.pruned.iter().filter_map(curve).collect();
    if series.is_empty() {
        return Ok(());
    }
    let (title, y_label) = match ablated {
        true => ("What is lost with each single channel", format!("drop of {}", short(plan))),
        false => ("Importance of each channel", "importance, share of the layer's largest".into()),
    };
    let options = CurveOptions {
        title: title.into(),
        x_label: "channels of a layer, the least important first (%)".into(),
        y_label,
        ..CurveOptions::default()
    };
    figures::curves(&series, &run.file("figures/channels"), &options)
}

/// What each class loses with the most important channels.
fn classes(plan: &Plan, run: &RunDir, found: &Found) -> Result<()> {
    let (Some(pruned), Truth::Labels(_)) = (&found.pruned, &plan.judged.truth) else { return Ok(()) };
    let mut rows: Vec<(String, f64, Vec<Option<f64>>)> = Vec::new();
    for (name, ablated) in &pruned.first.ablated {
        let drops = ablated.drops();
        let row =
            |c: usize| (format!("{}:{c}", name.trim_end_matches(".pre_relu")), drops[c], ablated.drops_of_parts(c));
        rows.extend((0..drops.len()).map(row));
    }
    rows.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    rows.truncate(CHANNELS);
    let known: Vec<usize> =
        (0..plan.outputs.len()).filter(|&k| rows.first().is_some_and(|row| row.2[k].is_some())).collect();
    if known.is_empty() || known.len() > CLASSES {
        return Ok(());
    }
    let values = Array2::from_shape_fn((rows.len(), known.len()), |(i, j)| rows[i].2[known[j]].unwrap_or(f64::NAN));
    let names: Vec<String> = rows.iter().map(|row| row.0.clone()).collect();
    let columns: Vec<String> = known.iter().map(|&k| plan.outputs[k].clone()).collect();
    let options = MatrixOptions {
        title: "Which classes the most important channels serve".into(),
        bar_label: "drop of the class's accuracy".into(),
        row_title: "channel".into(),
        column_title: "class".into(),
        ..MatrixOptions::default()
    };
    figures::matrix(values.view(), &names, &columns, &run.file("figures/classes"), &options)
}
