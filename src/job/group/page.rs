//! What is said about the results: lines for a terminal, sections for the report.

use super::Generalise;
use super::results::{Corrected, Results};
use crate::data::shown::line;
use crate::job::brain::page::{PLACED, gradient, maps, matrices, overlap};
use crate::report::values::{entries, number, p_value, rows, table, text_of, values, words};
use crate::report::{Figures, Page};
use serde_json::{Value, json};

/// The layers in a few lines.
pub fn summary(results: &Results) -> String {
    let mm = |at: Option<[f64; 3]>| at.map_or_else(|| "–".into(), |at| at.map(|x| format!("{x:.0}")).join(", "));
    let word = |v: Value| text_of(&v);
    let mut lines = vec![format!(
        "{} subjects, {} voxels; {}{} {}, {}, p <= {} by {}; {} s",
        results.n_subjects,
        results.n_voxels,
        if results.exhaustive { "all " } else { "" },
        results.n_permutations,
        if results.generalise == Generalise::Subjects { "sign flips" } else { "relabellings" },
        word(json!(results.tail)),
        results.alpha,
        word(json!(results.correction)),
        results.seconds,
    )];
    lines.push(format!(
        "{:<28} {:>8} {:>18} {:>10} {:>12} {:>9}",
        "layer", "peak t", "at (mm)", "p there", "significant", "clusters"
    ));
    for layer in &results.layers {
        lines.push(format!(
            "{:<28} {:>8} {:>18} {:>10} {:>12} {:>9}",
            line(&layer.name),
            number(layer.peak_t),
            mm(layer.peak_mm),
            p_value(layer.peak_p),
            layer.n_significant.unwrap_or(0),
            layer.n_clusters
        ));
    }
    lines.push(results.claim.clone());
    lines.join("\n")
}

/// Sections of the report.
pub fn page(page: &mut Page, results: &Results, figures: &mut Figures) {
    let own = |k: &str| !PLACED.contains(&k) && k != "claim";
    values(page, "Run", entries(results).iter().filter(|(k, v)| own(k) && !v.is_null()));
    page.section("Layers");
    page.text(format!("What a significant result says: {}", results.claim));
    let columns =
        ["name", "peak_t", "peak_z", "peak_mm", "peak_p", "n_significant", "n_clusters", "mean", "max", "n_left_out"];
    table(page, &rows(&results.layers), &columns, usize::MAX);
    page.section("By correction");
    page.text("Voxels with corrected p at or below alpha, and the smallest corrected p, for every correction; the maps of all of them are in arrays/.");
    for layer in &results.layers {
        let row = |(name, by): (&str, &Corrected)| {
            vec![words(name), by.n_significant.to_string(), text_of(&Value::from(by.smallest_p))]
        };
        page.text(layer.name.as_str());
        let cells: Vec<Vec<String>> = layer.by_correction.iter().map(row).collect();
        page.table(&["correction", "significant voxels", "smallest p"], &cells);
    }
    let subjects = results.generalise == Generalise::Subjects;
    maps(page, figures, if subjects { "t over subjects" } else { "z of the mean over subjects" });
    overlap(page, results.overlap.as_ref());
    if let Some(all) = results.overlap_difference.as_ref().map(entries).filter(|all| !all.is_empty()) {
        page.section("Do the subjects' layers overlap less?");
        page.text("Each subject's own maps, first set less second, with a bootstrap interval over subjects.");
        let keys = ["mean", "low", "high", "d", "n_subjects"];
        let row = |(name, v): (&String, &Value)| {
            std::iter::once(words(name)).chain(keys.map(|key| text_of(&v[key]))).collect::<Vec<String>>()
        };
        page.table(&["", "mean difference", "low", "high", "d", "subjects"], &all.iter().map(row).collect::<Vec<_>>());
    }
    gradient(page, results.gradient.as_ref());
    matrices(page, figures);
}
