//! What is said about the results: lines for a terminal, sections for the report.

use crate::job::brain::page::{PLACED, gradient, maps, matrices};
use crate::report::values::{list, table, text_of, values, words};
use crate::report::{Figures, Page};
use serde_json::{Map, Value};

/// The layers in a few lines.
pub fn summary(results: &Value) -> String {
    let number = |v: &Value| v.as_f64().map_or_else(|| "n/a".into(), |v| format!("{v:.3}"));
    let mm = |v: &Value| {
        let numbers = v.as_array().map(|a| a.iter().map(|x| format!("{:.0}", x.as_f64().unwrap_or(f64::NAN))));
        numbers.map_or_else(|| "n/a".into(), |n| n.collect::<Vec<_>>().join(", "))
    };
    let all = if results["exhaustive"] == true { "all " } else { "" };
    let mut lines = vec![format!(
        "{} subjects, {} voxels; {all}{} sign flips, {}, p <= {} by {}; {} s",
        results["n_subjects"],
        results["n_voxels"],
        results["n_permutations"],
        results["tail"].as_str().unwrap_or(""),
        results["alpha"],
        results["correction"].as_str().unwrap_or(""),
        results["seconds"],
    )];
    lines.push(format!(
        "{:<28} {:>8} {:>18} {:>10} {:>12} {:>9}",
        "layer", "peak t", "at (mm)", "p there", "significant", "clusters"
    ));
    for layer in results["layers"].as_array().map_or(&[][..], Vec::as_slice) {
        lines.push(format!(
            "{:<28} {:>8} {:>18} {:>10} {:>12} {:>9}",
            layer["name"].as_str().unwrap_or(""),
            number(&layer["peak_t"]),
            mm(&layer["peak_mm"]),
            number(&layer["peak_p"]),
            layer["n_significant"].as_u64().unwrap_or(0),
            layer["n_clusters"].as_u64().unwrap_or(0)
        ));
    }
    lines.join("\n")
}

pub fn page(page: &mut Page, results: &Map<String, Value>, figures: &mut Figures) {
    values(page, "Run", results.iter().filter(|(k, v)| !PLACED.contains(&k.as_str()) && !v.is_null()));
    page.section("Layers");
    let columns = ["name", "peak_t", "peak_mm", "peak_p", "n_significant", "n_clusters", "mean", "max", "n_left_out"];
    table(page, list(results, "layers"), &columns, usize::MAX);
    page.section("By correction");
    page.text("Voxels with corrected p at or below alpha, and the smallest corrected p, for every correction; the maps of all of them are in arrays/.");
    for layer in list(results, "layers") {
        let Some(by) = layer["by_correction"].as_object() else { continue };
        let cells: Vec<Vec<String>> = by
            .iter()
            .map(|(name, v)| vec![words(name), text_of(&v["n_significant"]), text_of(&v["smallest_p"])])
            .collect();
        page.text(layer["name"].as_str().unwrap_or(""));
        page.table(&["correction", "significant voxels", "smallest p"], &cells);
    }
    maps(page, figures, "t over subjects");
    if let Some(overlap) = results.get("overlap").and_then(Value::as_object) {
        values(page, "Overlap", overlap.iter().filter(|(_, v)| !v.is_null()));
    }
    if let Some(all) = results.get("overlap_difference").and_then(Value::as_object).filter(|all| !all.is_empty()) {
        page.section("Do the subjects' layers overlap less?");
        page.text("Each subject's own maps, first set less second, with a bootstrap interval over subjects.");
        let keys = ["mean", "low", "high", "d", "n_subjects"];
        let row = |(name, v): (&String, &Value)| {
            std::iter::once(words(name)).chain(keys.map(|key| text_of(&v[key]))).collect::<Vec<String>>()
        };
        page.table(&["", "mean difference", "low", "high", "d", "subjects"], &all.iter().map(row).collect::<Vec<_>>());
    }
    gradient(page, results);
    matrices(page, figures);
}
