//! What is said about the results: lines for a terminal, sections for the report.

use super::results::Results;
use crate::data::shown::line;
use crate::report::values::{ROWS, entries, number, rows, table, values, words};
use crate::report::{Figures, Page};

/// Most rows of the summary.
const LINES: usize = 24;

/// One line per unit and direction.
pub fn summary(results: &Results) -> String {
    let mut lines = vec![format!(
        "{} units, {} images optimised, {:.1} a second",
        results.n_units, results.n_images_optimised, results.images_per_second
    )];
    lines.extend(results.summary.iter().map(|(key, found)| {
        let what = key.replace('_', " ");
        format!("{what}: {} of {}", found.n, found.of)
    }));
    let columns = ["start", "final", "exported", "natural min", "natural max", "percentile"];
    lines.push(format!("{:<34} {:<6}{}", "unit", "", columns.map(|c| format!("{c:>12}")).concat()));
    for row in results.units.iter().take(LINES) {
        let (search, natural) = (row.search.as_ref(), row.natural.as_ref());
        let numbers = [
            search.map(|s| s.start),
            search.map(|s| s.last),
            Some(row.exported),
            natural.map(|n| n.natural_min),
            natural.map(|n| n.natural_max),
            natural.map(|n| n.percentile),
        ];
        let numbers = numbers.map(|v| format!("{:>12}", number(v))).concat();
        lines.push(format!("{:<34} {:<6}{numbers}", line(&row.unit), row.direction));
    }
    if results.units.len() > LINES {
        lines.push(format!("... and {} more in manifest.json", results.units.len() - LINES));
    }
    lines.join("\n")
}

/// Sections of the report.
pub fn page(page: &mut Page, results: &Results, figures: &mut Figures) {
    let plain = |k: &str| !["units", "summary"].contains(&k);
    values(page, "Run", entries(results).iter().filter(|(k, _)| plain(k)));
    for (key, found) in results.summary.iter() {
        page.text(format!("{}: {} of {}.", words(key), found.n, found.of));
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
    table(page, &rows(&results.units), &columns, ROWS);
}
