//! What is said about the results: lines for a terminal, sections for the report.

use crate::report::values::{ROWS, list, table, text_of, values, words};
use crate::report::{Figures, Page};
use serde_json::{Map, Value};

/// Most rows of the summary.
const LINES: usize = 24;

/// One line per unit and direction.
pub fn summary(results: &Value) -> String {
    let number = |row: &Value, key: &str| row[key].as_f64().map_or_else(|| "–".into(), |v| format!("{v:.3}"));
    let mut lines = vec![format!(
        "{} units, {} images optimised, {:.1} a second",
        results["n_units"],
        results["n_images_optimised"],
        results["images_per_second"].as_f64().unwrap_or(f64::NAN)
    )];
    for (key, found) in results["summary"].as_object().into_iter().flatten() {
        lines.push(format!("{}: {} of {}", key.replace('_', " "), found["n"], found["of"]));
    }
    let columns = ["start", "final", "exported", "natural_min", "natural_max", "percentile"];
    let header = columns.map(|c| format!("{:>12}", c.replace('_', " "))).join("");
    lines.push(format!("{:<34} {:<6}{header}", "unit", ""));
    let rows = results["units"].as_array().map_or(&[][..], Vec::as_slice);
    for row in rows.iter().take(LINES) {
        let text = |key: &str| row[key].as_str().unwrap_or("").to_owned();
        let numbers = columns.map(|c| format!("{:>12}", number(row, c))).join("");
        lines.push(format!("{:<34} {:<6}{numbers}", text("unit"), text("direction")));
    }
    if rows.len() > LINES {
        lines.push(format!("... and {} more in manifest.json", rows.len() - LINES));
    }
    lines.join("\n")
}

pub fn page(page: &mut Page, results: &Map<String, Value>, figures: &mut Figures) {
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
    table(page, list(results, "units"), &columns, ROWS);
}
