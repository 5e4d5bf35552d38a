//! What `orthoscope map` says on the terminal.

use serde_json::Value;

/// The layers in a few lines.
pub(super) fn summary(results: &Value) -> String {
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
