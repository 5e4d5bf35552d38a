//! What the report says about driven units: `maximize` and `adversarial`.

use super::html::Page;
use super::run::Figures;
use super::sections::{text_of, values, words};
use serde_json::{Map, Value};

type Results = Map<String, Value>;

/// Rows of a table before the rest is left to the manifest.
const ROWS: usize = 60;

/// A table with these columns of a list of objects.
fn table(page: &mut Page, rows: &[Value], columns: &[&str]) {
    let present: Vec<&&str> = columns.iter().filter(|c| rows.iter().any(|r| !r[**c].is_null())).collect();
    let header: Vec<String> = present.iter().map(|c| words(c)).collect();
    let cells: Vec<Vec<String>> =
        rows.iter().take(ROWS).map(|r| present.iter().map(|c| text_of(&r[**c])).collect()).collect();
    page.table(&header.iter().map(String::as_str).collect::<Vec<_>>(), &cells);
    if rows.len() > ROWS {
        page.note(format!("{} more rows are in manifest.json.", rows.len() - ROWS));
    }
}

fn list<'a>(results: &'a Results, key: &str) -> &'a [Value] {
    results.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

pub(super) fn maximize(page: &mut Page, results: &Results, figures: &mut Figures) {
    let plain = |k: &str| !["units", "summary"].contains(&k);
    values(page, "Run", results.iter().filter(|(k, _)| plain(k)));
    for (key, found) in results.get("summary").and_then(Value::as_object).into_iter().flatten() {
        page.text(format!("{}: {} of {}.", words(key), text_of(&found["n"]), text_of(&found["of"])));
    }
    page.section("Images");
    figures.show_all(page, "mosaic", "Each unit's strongest and weakest natural images and the images that were made for it, with the unit's responses to what is in the files.");
    if figures.has("responses") {
        page.section("Responses");
        figures.show(page, "responses", "Responses to the written images, in standard deviations of the natural responses: line from the smallest to the largest natural response, box between the quartiles.");
    }
    if figures.has_prefix("specificity") {
        page.section("Specificity");
        figures.show_all(page, "specificity", "How every unit responds to the images made for each unit. A strong diagonal on a pale field is a specific image.");
    }
    if figures.has("trace") {
        page.section("Optimisation");
        figures.show(page, "trace", "Responses over the steps.");
    }
    page.section("Units");
    let columns = [
        "unit",
        "direction",
        "start",
        "final",
        "exported",
        "natural_min",
        "natural_max",
        "percentile",
        "z",
        "converged",
    ];
    table(page, list(results, "units"), &columns);
}

pub(super) fn adversarial(page: &mut Page, results: &Results, figures: &mut Figures) {
    let plain = |k: &str| !["pairs", "summary", "success"].contains(&k);
    values(page, "Run", results.iter().filter(|(k, _)| plain(k)));
    page.section("Change of the response");
    if let Some(unit) = results.get("summary").map(|s| text_of(&s["unit_of_change"])) {
        page.text(format!("Means over images and units, in {unit}."));
    }
    let rows = results.get("summary").and_then(|s| s["per_epsilon"].as_array()).map_or(&[][..], Vec::as_slice);
    let columns = [
        "epsilon",
        "mean_up",
        "mean_down",
        "mean_random",
        "mean_cross_up",
        "mean_cross_down",
        "mean_ssim",
        "largest_achieved",
    ];
    table(page, rows, &columns);
    if figures.has("epsilon") {
        figures.show(page, "epsilon", "Median and quartiles over images and units.");
    }
    page.section("Images");
    figures.show_all(
        page,
        "tiles",
        "Base images, perturbed up and down, and ten times the differences, with responses to what is in the files.",
    );
    if figures.has("success") {
        page.section("Answers of the classifier");
        figures.show(page, "success", "Above zero the classifier gives another answer than for the base image.");
    }
    page.section("Pairs");
    let columns = [
        "image",
        "unit",
        "epsilon",
        "base",
        "exported_up",
        "exported_down",
        "random_up",
        "cross_up",
        "epsilon_achieved",
        "ssim",
        "answer_after",
    ];
    table(page, list(results, "pairs"), &columns);
}
