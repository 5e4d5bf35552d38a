//! What the report says about maps of the brain.

use super::html::Page;
use super::run::Figures;
use super::sections::{text_of, values, words};
use serde_json::{Map, Value};

type Results = Map<String, Value>;

/// Results that have a table of their own.
const PLACED: [&str; 9] =
    ["layers", "rois", "overlap", "reliability", "glm", "sets", "brain", "gradient", "overlap_difference"];

fn table(page: &mut Page, rows: &[Value], columns: &[&str]) {
    let present: Vec<&&str> = columns.iter().filter(|c| rows.iter().any(|r| !r[**c].is_null())).collect();
    let header: Vec<String> = present.iter().map(|c| words(c)).collect();
    let cells: Vec<Vec<String>> = rows.iter().map(|row| present.iter().map(|c| text_of(&row[**c])).collect()).collect();
    page.table(&header.iter().map(String::as_str).collect::<Vec<_>>(), &cells);
}

fn list<'a>(results: &'a Results, key: &str) -> &'a [Value] {
    results.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

pub(super) fn map(page: &mut Page, results: &Results, figures: &mut Figures) {
    values(page, "Run", results.iter().filter(|(k, v)| !PLACED.contains(&k.as_str()) && !v.is_null()));
    if results.contains_key("shard") {
        page.text("A slice of the centres: its values are put together with those of the other shards by --shards.");
        return;
    }
    if results.contains_key("simulated") {
        return simulated(page, results, figures);
    }
    if !list(results, "glm").is_empty() {
        page.section("Time series");
        let columns = ["run", "tr_s", "n_volumes", "n_regressors", "dof", "mean_r2", "max_r2"];
        table(page, list(results, "glm"), &columns);
    }
    page.section("Layers");
    if results.get("residual").and_then(Value::as_str).is_some_and(|r| r != "none") {
        page.text("The published description of the residual method is one sentence; this variant is a reconstruction from it. \"kept sd\" is the share of a fingerprint's standard deviation that the variant leaves.");
    }
    let columns = ["name", "max", "mean", "n_significant", "n_clusters", "peak_mm", "vif", "residual_sd", "kept_sd"];
    table(page, list(results, "layers"), &columns);
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
        table(page, list(results, "rois"), &columns);
        figures.show_all(page, "region_", "Comparison of the region's RDM with each layer. Bars: mean over subjects and its standard error; dashed: noise ceiling.");
        figures.show(page, "regions", "All regions and layers.");
    }
    gradient(page, results);
    matrices(page, figures);
}

fn gradient(page: &mut Page, results: &Results) {
    let Some(along) = results.get("gradient").and_then(Value::as_object) else { return };
    page.section("Along the axes");
    page.text("Correlation of the winning layer's place in the network with the position, over the places that have a winner, and its slope in layers per mm; along y, posterior to anterior, a visual hierarchy rises.");
    let cells: Vec<Vec<String>> = along
        .iter()
        .map(|(axis, v)| {
            let numbers = ["pearson", "spearman", "slope", "n_voxels"].map(|key| text_of(&v[key]));
            std::iter::once(axis.clone()).chain(numbers).collect()
        })
        .collect();
    page.table(&["axis", "pearson", "spearman", "layers per mm", "places"], &cells);
}

/// Slices, glass brains and the winning layers.
fn maps(page: &mut Page, figures: &mut Figures, what: &str) {
    if figures.has_prefix("slices") {
        page.section("Maps");
        figures.show_all(page, "slices", &format!("{what}; left is left. Where there is a test, places that are not significant are pale, and significant ones have an edge."));
        figures.show_all(
            page,
            "glass",
            "The value furthest from zero along each line of sight; of significant places only, where there are any.",
        );
    }
    if figures.has("winner") {
        page.section("Which layer is where");
        figures.show(page, "winner", "The layer with the largest value among the significant ones.");
        figures.show(
            page,
            "layers_per_voxel",
            "How many layers are significant at a place: a selective mapping has one.",
        );
    }
}

fn matrices(page: &mut Page, figures: &mut Figures) {
    for (stem, caption) in [
        ("map_correlation", "Correlation over voxels of the unthresholded maps of two layers."),
        ("dice", "Dice overlap of the significant voxels of two layers."),
        (
            "fingerprint_similarity",
            "Similarity of the fingerprints themselves: what the maps cannot tell apart if it is high.",
        ),
    ] {
        if figures.has(stem) {
            figures.show(page, stem, caption);
        }
    }
}

pub(super) fn group(page: &mut Page, results: &Results, figures: &mut Figures) {
    values(page, "Run", results.iter().filter(|(k, v)| !PLACED.contains(&k.as_str()) && !v.is_null()));
    page.section("Layers");
    let columns = ["name", "peak_t", "peak_mm", "peak_p", "n_significant", "n_clusters", "mean", "max", "n_left_out"];
    table(page, list(results, "layers"), &columns);
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

fn simulated(page: &mut Page, results: &Results, figures: &mut Figures) {
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
        table(page, rows, &["n_repeats", "minutes", "exact", "accuracy", "hits", "false_layers"]);
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
