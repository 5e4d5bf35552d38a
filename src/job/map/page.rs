//! What is said about the results: lines for a terminal, sections for the report.

use super::results::{Found, Mapped, Results, Simulated};
use crate::data::shown::line;
use crate::job::brain::page::{PLACED, gradient, maps, matrices, overlap};
use crate::mapping::Residual;
use crate::report::values::{entries, number, rows, table, values};
use crate::report::{Figures, Page};

/// The layers in a few lines.
pub fn summary(results: &Results) -> String {
    match &results.found {
        Found::Map(map) => mapped(map, results.seconds),
        Found::Simulation(simulation) => simulated(simulation),
        Found::Shard(own) => {
            let shard = String::from(own.shard);
            format!("shard {shard}: {} centres; put all of them together with --shards", own.n_centres)
        }
    }
}

fn mapped(map: &Mapped, seconds: f64) -> String {
    let mut lines = Vec::new();
    let rois = map.rois.as_deref().unwrap_or_default();
    if rois.is_empty() {
        let overlap = map.overlap.as_ref();
        lines.push(format!(
            "{} centres, {} conditions, {} layers; mean correlation of two layers' maps {}, mean Dice {}; {seconds} s",
            map.n_centres,
            map.n_conditions,
            map.n_layers,
            number(overlap.map_or(f64::NAN, |o| o.mean_map_correlation)),
            number(overlap.and_then(|o| o.mean_dice).unwrap_or(f64::NAN)),
        ));
    }
    for roi in rois {
        let ends = roi.ceiling.map_or([f64::NAN; 2], |c| [c.lower, c.upper]).map(number);
        let best = line(roi.best_layer.as_deref().unwrap_or("–"));
        lines.push(format!("{}: best layer {best}, ceiling {} .. {}", line(&roi.name), ends[0], ends[1]));
    }
    lines.push(format!("{:<28} {:>8} {:>8} {:>12} {:>8}", "layer", "max", "mean", "significant", "kept sd"));
    for layer in &map.layers {
        let significant = layer.n_significant.map_or_else(|| "–".into(), |n| n.to_string());
        let [max, mean, kept] = [layer.max, layer.mean, layer.kept_sd].map(number);
        lines.push(format!("{:<28} {max:>8} {mean:>8} {significant:>12} {kept:>8}", line(&layer.name)));
    }
    lines.join("\n")
}

/// One line a set, judge and number of presentations.
fn simulated(simulation: &Simulated) -> String {
    let header = format!(
        "{:<24} {:<16} {:>13} {:>8} {:>9} {:>7} {:>13}",
        "images", "fingerprints", "presentations", "exact", "accuracy", "hits", "false layers"
    );
    let mut lines = vec![header];
    for set in &simulation.sets {
        for row in &set.recovery {
            let [exact, accuracy, hits, false_layers] =
                [row.exact, row.accuracy, row.hits, row.false_layers].map(number);
            lines.push(format!(
                "{:<24} {:<16} {:>13} {exact:>8} {accuracy:>9} {hits:>7} {false_layers:>13}",
                line(&set.images),
                set.fingerprints.to_string(),
                row.n_repeats
            ));
        }
    }
    lines.join("\n")
}

/// Sections of the report.
pub fn page(page: &mut Page, results: &Results, figures: &mut Figures) {
    values(page, "Run", entries(results).iter().filter(|(k, v)| !PLACED.contains(&k.as_str()) && !v.is_null()));
    match &results.found {
        Found::Map(map) => mapped_page(page, map, figures),
        Found::Simulation(simulation) => simulated_page(page, simulation, figures),
        Found::Shard(_) => {
            page.text(
                "A slice of the centres: its values are put together with those of the other shards by --shards.",
            );
        }
    }
}

fn mapped_page(page: &mut Page, map: &Mapped, figures: &mut Figures) {
    let glm = map.volume.as_ref().map(|volume| rows(&volume.glm)).unwrap_or_default();
    if !glm.is_empty() {
        page.section("Time series");
        let columns = ["run", "tr_s", "n_volumes", "n_regressors", "dof", "mean_r2", "max_r2"];
        table(page, &glm, &columns, usize::MAX);
    }
    page.section("Layers");
    if map.residual != Residual::None {
        page.text("The published description of the residual method is one sentence; this variant is a reconstruction from it. \"kept sd\" is the share of a fingerprint's standard deviation that the variant leaves.");
    }
    let columns = ["name", "max", "mean", "n_significant", "n_clusters", "peak_mm", "vif", "residual_sd", "kept_sd"];
    table(page, &rows(&map.layers), &columns, usize::MAX);
    maps(
        page,
        figures,
        "Comparison of the RDM around each voxel with each layer's fingerprint, over the mean of the betas (or the background image)",
    );
    let rois = rows(map.rois.as_deref().unwrap_or_default());
    if rois.is_empty() {
        overlap(page, map.overlap.as_ref());
    } else {
        page.section("Regions");
        let columns = ["name", "best_layer", "voxels", "subjects", "ceiling"];
        table(page, &rois, &columns, usize::MAX);
        figures.show_all(page, "region_", "Comparison of the region's RDM with each layer. Bars: mean over subjects and its standard error; dashed: noise ceiling.");
        figures.show(page, "regions", "All regions and layers.");
    }
    gradient(page, map.gradient.as_ref());
    matrices(page, figures);
}

fn simulated_page(page: &mut Page, simulation: &Simulated, figures: &mut Figures) {
    values(page, "Simulated brain", entries(&simulation.brain).iter());
    page.section("How long to scan");
    page.text("Every region carries the geometry of one layer. Exact: the region's own layer is significant and no other. Accuracy: it has the largest value. Presentations are of each image, over all runs.");
    for set in &simulation.sets {
        page.text(format!("{} ({} images), fingerprints: {}", set.images, set.n_images, set.fingerprints));
        let columns = ["n_repeats", "minutes", "exact", "accuracy", "hits", "false_layers"];
        table(page, &rows(&set.recovery), &columns, usize::MAX);
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
