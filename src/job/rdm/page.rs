//! What is said about the results: lines for a terminal, sections for the report.

use super::Results;
use crate::report::values::{captions, entries, values};
use crate::report::{Figures, Page};

/// The comparisons in a few lines.
pub fn summary(results: &Results) -> String {
    let mut lines = vec![format!(
        "{} images, {} layers; mean |R| between layers {:.3}, max {:.3}",
        results.n_images,
        results.taps.len(),
        results.mean_abs_r,
        results.max_abs_r
    )];
    let header = ["spearman", "pearson", "tau-a", "p"].map(|h| format!(" {h:>8}")).concat();
    if !results.comparisons.is_empty() {
        lines.push(format!("{:<28} {:<28}{header}", "layer", "reference"));
    }
    let number = |v: f64| if v.is_nan() { format!(" {:>8}", "n/a") } else { format!(" {v:>8.3}") };
    for row in &results.comparisons {
        let numbers = [row.spearman, row.pearson, row.kendall_tau_a, row.p_permutation].map(number).concat();
        lines.push(format!("{:<28} {:<28}{numbers}", row.layer, row.reference));
    }
    lines.join("\n")
}

/// Sections of the report.
pub fn page(page: &mut Page, results: &Results, figures: &mut Figures) {
    values(page, "Results", entries(results).iter());
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
