//! What is said about the results: lines for a terminal, sections for the report.

use crate::report::values::{captions, values};
use crate::report::{Figures, Page};
use serde_json::{Map, Value};

/// The comparisons in a few lines.
pub fn summary(results: &Value) -> String {
    let mut lines = vec![format!(
        "{} images, {} layers; mean |R| between layers {:.3}, max {:.3}",
        results["n_images"],
        results["taps"].as_array().map_or(0, Vec::len),
        results["mean_abs_r"].as_f64().unwrap_or(f64::NAN),
        results["max_abs_r"].as_f64().unwrap_or(f64::NAN)
    )];
    let rows = results["comparisons"].as_array().map_or(&[][..], Vec::as_slice);
    if !rows.is_empty() {
        lines.push(format!(
            "{:<28} {:<28} {:>8} {:>8} {:>8} {:>8}",
            "layer", "reference", "spearman", "pearson", "tau-a", "p"
        ));
    }
    for row in rows {
        let text = |key: &str| row[key].as_str().unwrap_or("").to_owned();
        let number = |key: &str| row[key].as_f64().map_or_else(|| "n/a".into(), |v| format!("{v:.3}"));
        lines.push(format!(
            "{:<28} {:<28} {:>8} {:>8} {:>8} {:>8}",
            text("layer"),
            text("reference"),
            number("spearman"),
            number("pearson"),
            number("kendall_tau_a"),
            number("p_permutation")
        ));
    }
    lines.join("\n")
}

pub fn page(page: &mut Page, results: &Map<String, Value>, figures: &mut Figures) {
    values(page, "Results", results.iter());
    for stem in ["comparison", "comparisons", "bars"] {
        if figures.has(stem) {
            page.section("Comparison with the references");
            figures.show(page, stem, "Correlation of each layer's RDM with the reference RDMs.");
        }
    }
    page.section("Fingerprints");
    figures.show(page, "fingerprints", captions::FINGERPRINTS);
    page.section("Second-order correlations");
    figures.show(page, "second_order", captions::SECOND_ORDER);
    if figures.has("images") {
        page.section("Images");
        figures.show(page, "images", "The images.");
    }
}
