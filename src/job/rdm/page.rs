//! What is said about the results: lines for a terminal, sections for the report.

use super::{Models, Results};
use crate::data::shown::line;
use crate::report::values::{captions, entries, number, p_value, values};
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
    for row in &results.comparisons {
        let [spearman, pearson, tau] = [row.spearman, row.pearson, row.kendall_tau_a].map(number);
        let p = p_value(row.p_permutation);
        lines.push(format!(
            "{:<28} {:<28} {spearman:>8} {pearson:>8} {tau:>8} {p:>8}",
            line(&row.layer),
            line(&row.reference)
        ));
    }
    lines.extend(results.models.iter().flat_map(model_lines));
    lines.join("\n")
}

/// The models of one reference, and what any could reach.
fn model_lines(models: &Models) -> Vec<String> {
    let own = &models.summary;
    let ceiling = &own.noise_ceiling;
    let mut lines = vec![format!(
        "{}, {} subjects: noise ceiling {} to {}",
        line(&models.reference),
        own.n_subjects,
        number(ceiling.lower.mean),
        number(ceiling.upper.mean)
    )];
    lines.extend(own.models.iter().map(|row| {
        let [mean, low, high] = [row.estimate.mean, row.estimate.low, row.estimate.high].map(number);
        let [zero, best] = [row.p_zero_fwe, row.p_ceiling_fwe].map(p_value);
        format!("{:<28} {mean:>8} ({low} to {high}), p {zero}, against the ceiling {best}", line(&row.model))
    }));
    lines
}

const MODELS: &str = "Similarity of each layer's RDM with the subjects', mean and confidence interval. Between the dashed lines lies the best that any model could reach: what the subjects share (lower) and what fits them best (upper).";

/// Sections of the report.
pub fn page(page: &mut Page, results: &Results, figures: &mut Figures) {
    values(page, "Results", entries(results).iter().filter(|(key, _)| *key != "models"));
    for (i, found) in results.models.iter().enumerate() {
        let title = format!("Layers as models of subjects: {}", found.reference);
        values(page, &title, entries(found).iter().filter(|(key, _)| *key != "reference"));
        figures.show(page, &format!("models_{}", i + 1), MODELS);
    }
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
