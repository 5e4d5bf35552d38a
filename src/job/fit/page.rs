//! What is said about the results: lines for a terminal, sections for the report.

use super::results::{Fit, Found, LayerScores, Results, ScoreSummary};
use crate::data::shown::line;
use crate::report::values::{entries, number, rows, table, values};
use crate::report::{Figures, Page};

/// The fit in a few lines.
pub fn summary(results: &Results) -> String {
    match &results.found {
        Found::Fit(fit) => fitted(fit, results.seconds),
        Found::Shard(own) => {
            let shard = String::from(own.shard);
            format!("shard {shard}: {} targets; put all of them together with --shards", own.n_targets_fitted)
        }
    }
}

fn fitted(fit: &Fit, seconds: f64) -> String {
    let mut lines = vec![format!(
        "{} targets, {} samples fitted, {} held out; {seconds} s",
        fit.n_targets, fit.n_train, fit.n_test
    )];
    let Some(scores) = &fit.scores else { return lines.join("\n") };
    lines.push(format!("{:<28} {:>8} {:>8} {:>8} {:>8} {:>8}", "", "targets", "r", "R2", "r2_ER", "FEVE"));
    lines.push(score_line("best of each target", &scores.all));
    lines.extend(scores.by_roi.iter().map(|roi| score_line(&roi.roi, &roi.scores)));
    let several = scores.by_layer.len() > 1;
    lines.extend(scores.by_layer.iter().filter(|_| several).map(|own| score_line(&own.layer, &own.scores)));
    if let Some(found) = &fit.identification {
        lines.push(format!(
            "identification of {} stimuli by {} targets: {} (chance {}), pairwise {}",
            found.all.n_stimuli,
            found.all.n_targets,
            number(found.all.of_measured),
            number(found.all.chance),
            number(found.all.pairwise)
        ));
    }
    lines.join("\n")
}

fn score_line(name: &str, scores: &ScoreSummary) -> String {
    let median = |scored: Option<super::results::Scored>| number(scored.map(|s| s.median));
    let [r, r2, er, feve] = [scores.r, scores.r2, scores.r2_er, scores.feve].map(median);
    format!("{:<28} {:>8} {r:>8} {r2:>8} {er:>8} {feve:>8}", line(name), scores.n_targets)
}

/// What has a place of its own.
const PLACED: [&str; 5] = ["scores", "identification", "layers", "leakage", "receptive_fields"];

/// Sections of the report.
pub fn page(page: &mut Page, results: &Results, figures: &mut Figures) {
    values(page, "Run", entries(results).iter().filter(|(k, v)| !PLACED.contains(&k.as_str()) && !v.is_null()));
    let Found::Fit(fit) = &results.found else {
        page.text("A slice of the targets: its fits are put together with those of the other shards by --shards.");
        return;
    };
    if let Some(scores) = &fit.scores {
        scores_page(page, fit, scores, figures);
    }
    layers_page(page, fit, figures);
    if !fit.receptive_fields.is_empty() {
        page.section("Receptive fields");
        table(page, &rows(&fit.receptive_fields), &["roi", "n_targets", "size_deg", "eccentricity_deg"], 100);
        figures.show(page, "receptive_fields", "Windows of the targets: circles of one standard deviation.");
        figures.show(page, "size_eccentricity", "Mean size and eccentricity of the windows.");
    }
    page.section("Penalties");
    figures.show(
        page,
        "alphas",
        "Targets over the penalties that their inner folds chose. Many at an edge would say that the grid is too short.",
    );
    page.section("What was fitted on what");
    page.text(
        "Nothing below was fitted on a sample that its round tests; rows count from 0. Penalties, windows and layers were chosen by inner folds of the training rows.",
    );
    table(page, &rows(&fit.leakage), &["round", "what", "n_rows", "rows", "tested"], 200);
}

fn scores_page(page: &mut Page, fit: &Fit, scores: &super::results::ScoresResult, figures: &mut Figures) {
    page.section("Scores on held-out samples");
    page.text(
        "Medians over targets, with the interval of the median over resampled targets. Every target is predicted by the model that inner folds of its training rows prefer; the maximum over models of the held-out scores would be too good.",
    );
    let mut all = vec![score_row("all targets", &scores.all)];
    all.extend(scores.by_roi.iter().map(|roi| score_row(&roi.roi, &roi.scores)));
    page.table(&["targets", "n", "r", "R2", "r2_ER", "FEVE", "ceiling of r", "significant"], &all);
    figures.show(page, "scores", "Scores of all targets.");
    figures.show(page, "rois", "Scores of every region.");
    figures.show(page, "ceilings", "Scores against the largest that the repeats allow.");
    figures.show(
        page,
        "scatter",
        "Predictions and held-out responses of three targets: with the best r, at the upper quartile, at the median.",
    );
    if let Some(found) = &fit.identification {
        page.section("Identification");
        values(page, "Among all stimuli", entries(&found.all).iter());
        if let Some(within) = &found.within_category {
            values(page, "Within categories", entries(within).iter());
        }
        figures.show(
            page,
            "identification",
            "Correlations of predicted patterns (rows) with measured ones (columns): the diagonal is the right stimulus.",
        );
    }
}

fn score_row(name: &str, scores: &ScoreSummary) -> Vec<String> {
    let cell = |scored: Option<super::results::Scored>| match scored {
        Some(s) => format!("{} [{}, {}]", number(s.median), number(s.interval.low), number(s.interval.high)),
        None => "–".into(),
    };
    let mut row = vec![name.to_owned(), scores.n_targets.to_string()];
    row.extend([scores.r, scores.r2, scores.r2_er, scores.feve, scores.ceiling_r].map(cell));
    row.push(scores.n_significant.map_or_else(|| "–".into(), |n| n.to_string()));
    row
}

fn layers_page(page: &mut Page, fit: &Fit, figures: &mut Figures) {
    if fit.layers.len() < 2 {
        return;
    }
    page.section("Layers");
    let scores = fit.scores.as_ref().map(|scores| scores.by_layer.as_slice()).unwrap_or_default();
    let cells = |name: &str| scores.iter().find(|own| own.layer == name);
    let row = |layer: &super::results::LayerResult| {
        let own = cells(&layer.name);
        let median =
            |of: fn(&LayerScores) -> Option<super::results::Scored>| number(own.and_then(of).map(|s| s.median));
        vec![
            layer.name.clone(),
            layer.n_features.to_string(),
            median(|own| own.scores.r),
            median(|own| own.scores.r2_er),
            layer.n_best.to_string(),
            number(layer.contribution),
            number(layer.r2_share),
        ]
    };
    let rows: Vec<Vec<String>> = fit.layers.iter().map(row).collect();
    page.table(&["features", "n", "median r", "median r2_ER", "best of", "share of r", "R2 added"], &rows);
    page.note(
        "`best of`: targets whose inner folds prefer it. `share of r` and `R2 added`: what it adds to the model of all sets together.",
    );
    figures.show(page, "layer_profile", "Median r by layer.");
    figures.show(page, "best_layer", "Targets by their best layer.");
    figures.show(page, "contributions", "What each layer adds to the predictions of all layers together.");
}
