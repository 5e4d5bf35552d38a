//! What is said about the results: lines for a terminal, sections for the report.

use crate::report::values::{ROWS, list, table, text_of, values};
use crate::report::{Figures, Page};
use serde_json::{Map, Value};

/// One line per radius.
pub fn summary(results: &Value) -> String {
    let number = |v: &Value| v.as_f64().map_or_else(|| "–".into(), |v| format!("{v:.3}"));
    let mut lines = vec![format!(
        "{} units, {} images; mean change from the base, in {}",
        results["n_units"],
        results["n_images"],
        results["summary"]["unit_of_change"].as_str().unwrap_or("response")
    )];
    let columns = ["epsilon", "mean_up", "mean_down", "mean_random", "mean_cross_up", "mean_cross_down", "mean_ssim"];
    lines.push(columns.map(|c| format!("{:>16}", c.replace('_', " "))).join(""));
    for row in results["summary"]["per_epsilon"].as_array().into_iter().flatten() {
        lines.push(columns.map(|c| format!("{:>16}", number(&row[c]))).join(""));
    }
    if let Some(rates) = results["success"]["rate"].as_array() {
        lines.push(format!("another answer: {}", rates.iter().map(number).collect::<Vec<_>>().join(", ")));
    }
    lines.join("\n")
}

pub fn page(page: &mut Page, results: &Map<String, Value>, figures: &mut Figures) {
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
    table(page, rows, &columns, ROWS);
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
    table(page, list(results, "pairs"), &columns, ROWS);
}
