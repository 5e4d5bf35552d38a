//! What is said about the results: lines for a terminal, sections for the report.

use crate::job::brain::page::{PLACED, gradient, maps, matrices};
use crate::report::values::{list, table, text_of, values};
use crate::report::{Figures, Page};
use serde_json::{Map, Value};

/// The layers in a few lines.
pub fn summary(results: &Value) -> String {
    if results["simulated"] == true {
        return simulated(results);
    }
    if let Some(shard) = results["shard"].as_str() {
        return format!("shard {shard}: {} centres; put all of them together with --shards", results["n_centres"]);
    }
    let number = |v: &Value| v.as_f64().map_or_else(|| "n/a".into(), |v| format!("{v:.3}"));
    let mut lines = Vec::new();
    let rois = results["rois"].as_array().map_or(&[][..], Vec::as_slice);
    if rois.is_empty() {
        lines.push(format!(
            "{} centres, {} conditions, {} layers; mean correlation of two layers' maps {}, mean Dice {}; {} s",
            results["n_centres"],
            results["n_conditions"],
            results["n_layers"],
            number(&results["overlap"]["mean_map_correlation"]),
            number(&results["overlap"]["mean_dice"]),
            results["seconds"],
        ));
    }
    for roi in rois {
        let ceiling = &roi["ceiling"];
        lines.push(format!(
            "{}: best layer {}, ceiling {} .. {}",
            roi["name"].as_str().unwrap_or(""),
            roi["best_layer"].as_str().unwrap_or("n/a"),
            number(&ceiling["lower"]),
            number(&ceiling["upper"])
        ));
    }
    lines.push(format!("{:<28} {:>8} {:>8} {:>12} {:>8}", "layer", "max", "mean", "significant", "kept sd"));
    for layer in results["layers"].as_array().map_or(&[][..], Vec::as_slice) {
        lines.push(format!(
            "{:<28} {:>8} {:>8} {:>12} {:>8}",
            layer["name"].as_str().unwrap_or(""),
            number(&layer["max"]),
            number(&layer["mean"]),
            layer["n_significant"].as_u64().map_or_else(|| "n/a".into(), |n| n.to_string()),
            number(&layer["kept_sd"])
        ));
    }
    lines.join("\n")
}

/// One line a set, judge and number of presentations.
fn simulated(results: &Value) -> String {
    let number = |v: &Value| v.as_f64().map_or_else(|| "n/a".into(), |v| format!("{v:.3}"));
    let header = format!(
        "{:<24} {:<16} {:>13} {:>8} {:>9} {:>7} {:>13}",
        "images", "fingerprints", "presentations", "exact", "accuracy", "hits", "false layers"
    );
    let mut lines = vec![header];
    for set in results["sets"].as_array().map_or(&[][..], Vec::as_slice) {
        for row in set["recovery"].as_array().map_or(&[][..], Vec::as_slice) {
            lines.push(format!(
                "{:<24} {:<16} {:>13} {:>8} {:>9} {:>7} {:>13}",
                set["images"].as_str().unwrap_or(""),
                set["fingerprints"].as_str().unwrap_or(""),
                row["n_repeats"].as_u64().unwrap_or(0),
                number(&row["exact"]),
                number(&row["accuracy"]),
                number(&row["hits"]),
                number(&row["false_layers"])
            ));
        }
    }
    lines.join("\n")
}

pub fn page(page: &mut Page, results: &Map<String, Value>, figures: &mut Figures) {
    values(page, "Run", results.iter().filter(|(k, v)| !PLACED.contains(&k.as_str()) && !v.is_null()));
    if results.contains_key("shard") {
        page.text("A slice of the centres: its values are put together with those of the other shards by --shards.");
        return;
    }
    if results.contains_key("simulated") {
        return simulated_page(page, results, figures);
    }
    if !list(results, "glm").is_empty() {
        page.section("Time series");
        let columns = ["run", "tr_s", "n_volumes", "n_regressors", "dof", "mean_r2", "max_r2"];
        table(page, list(results, "glm"), &columns, usize::MAX);
    }
    page.section("Layers");
    if results.get("residual").and_then(Value::as_str).is_some_and(|r| r != "none") {
        page.text("The published description of the residual method is one sentence; this variant is a reconstruction from it. \"kept sd\" is the share of a fingerprint's standard deviation that the variant leaves.");
    }
    let columns = ["name", "max", "mean", "n_significant", "n_clusters", "peak_mm", "vif", "residual_sd", "kept_sd"];
    table(page, list(results, "layers"), &columns, usize::MAX);
    maps(
        page,
        figures,
        "Comparison of the RDM around each voxel with each layer's fingerprint, over the mean of the betas (or the background image)",
    );
    if list(results, "rois").is_empty() {
        if let Some(overlap) = results.get("overlap").and_then(Value::as_object) {
            values(page, "Overlap", overlap.iter().filter(|(_, v)| !v.is_null()));
        }
    } else {
        page.section("Regions");
        let columns = ["name", "best_layer", "voxels", "subjects", "ceiling"];
        table(page, list(results, "rois"), &columns, usize::MAX);
        figures.show_all(page, "region_", "Comparison of the region's RDM with each layer. Bars: mean over subjects and its standard error; dashed: noise ceiling.");
        figures.show(page, "regions", "All regions and layers.");
    }
    gradient(page, results);
    matrices(page, figures);
}

fn simulated_page(page: &mut Page, results: &Map<String, Value>, figures: &mut Figures) {
    if let Some(brain) = results.get("brain").and_then(Value::as_object) {
        values(page, "Simulated brain", brain.iter());
    }
    page.section("How long to scan");
    page.text("Every region carries the geometry of one layer. Exact: the region's own layer is significant and no other. Accuracy: it has the largest value. Presentations are of each image, over all runs.");
    for set in list(results, "sets") {
        let name = format!(
            "{} ({} images), fingerprints: {}",
            text_of(&set["images"]),
            text_of(&set["n_images"]),
            text_of(&set["fingerprints"])
        );
        page.text(&name);
        let rows = set["recovery"].as_array().map_or(&[][..], Vec::as_slice);
        table(page, rows, &["n_repeats", "minutes", "exact", "accuracy", "hits", "false_layers"], usize::MAX);
    }
    figures.show(page, "exact", "Share of regions whose own layer is significant and no other; bands: 95 % intervals.");
    figures.show(page, "accuracy", "Share of regions whose own layer has the largest value; bands: 95 % intervals.");
    figures.show(
        page,
        "false_layers",
        "Mean number of other layers that are significant in a region: how much maps would overlap.",
    );
    figures.show_all(page, "confusion_", "Layer of the region (rows) and layer that came back (columns).");
}
