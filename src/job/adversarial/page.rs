//! What is said about the results: lines for a terminal, sections for the report.

use super::results::Results;
use crate::report::values::{ROWS, entries, number, rows, table, values};
use crate::report::{Figures, Page};

/// One line per radius.
pub fn summary(results: &Results) -> String {
    let mut lines = vec![format!(
        "{} units, {} images; mean change from the base, in {}",
        results.n_units, results.n_images, results.summary.unit_of_change
    )];
    let columns = ["epsilon", "mean up", "mean down", "mean random", "mean cross up", "mean cross down", "mean ssim"];
    lines.push(columns.map(|c| format!("{c:>16}")).join(""));
    for row in &results.summary.per_epsilon {
        let numbers = [
            Some(row.epsilon),
            row.mean_up,
            row.mean_down,
            row.mean_random,
            row.mean_cross_up,
            row.mean_cross_down,
            Some(row.mean_ssim),
        ];
        lines.push(numbers.map(|v| format!("{:>16}", number(v))).join(""));
    }
    if let Some(success) = &results.success {
        let rates: Vec<String> = success.rate.iter().map(|rate| number(Some(*rate))).collect();
        lines.push(format!("another answer: {}", rates.join(", ")));
    }
    lines.join("\n")
}

/// Sections of the report.
pub fn page(page: &mut Page, results: &Results, figures: &mut Figures) {
    let plain = |k: &str| !["pairs", "summary", "success"].contains(&k);
    values(page, "Run", entries(results).iter().filter(|(k, _)| plain(k)));
    page.section("Change of the response");
    page.text(format!("Means over images and units, in {}.", results.summary.unit_of_change));
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
    table(page, &rows(&results.summary.per_epsilon), &columns, ROWS);
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
    table(page, &rows(&results.pairs), &columns, ROWS);
}
