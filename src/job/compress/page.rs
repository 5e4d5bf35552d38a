//! What is said about the results: lines for a terminal, sections for the report.

use super::results::{Results, Stage};
use crate::report::values::{number, values};
use crate::report::{Figures, Page};
use serde_json::Value;

/// The results in a few lines.
pub fn summary(results: &Results) -> String {
    let stage = |stage: &Stage| {
        format!(
            "{:<20} {:>12} parameters  {:>6} filters  {:>13} MACs  {:>11} bytes  {:>8.2} ms  score {}",
            stage.stage,
            stage.params,
            stage.filters,
            stage.macs,
            stage.bytes,
            stage.latency_ms,
            number(stage.score)
        )
    };
    let mut lines: Vec<String> = results.stages.iter().map(stage).collect();
    lines.push(format!(
        "{:.2} times fewer parameters, {:.2} times fewer bytes; the score is the {} on {} images that nothing was chosen on",
        results.ratio.params, results.ratio.bytes, results.score, results.n_test_images
    ));
    lines.join("\n")
}

const CURVE: &str = "Score against parameters as channels go. Nothing was chosen on the test images; where the two curves come apart, channels were kept for what they do on the images that they were judged on.";
const KERNELS: &str = "Output channels of each layer before and after.";
const SIMILARITY: &str = "Linear CKA of each layer's activations in the original and the compressed network, on up to 128 test images: 1 is the same up to a rotation and a scale. With fewer images than units it is biased towards 1.";
const FILTERS: &str = "Filters that can be looked at, layer by layer, in the order in which they would go. In each layer all share one scale. Filters of colours are grey where they are 0; of one plane, red is positive and blue negative; readout maps excite where they are red.";
const CHANNELS: &str = "Channels of each layer of the whole network, sorted.";
const CLASSES: &str =
    "What the accuracy of each class loses without each of the most important channels: blue cells gain.";

/// Sections of the report.
pub fn page(results: &Results, page: &mut Page, figures: &mut Figures) {
    page.section("Before and after");
    page.text(format!(
        "Score: {} on {} images. {}. Channels were judged on {} images.",
        results.score,
        results.n_test_images,
        sentence(&results.split),
        results.n_images
    ));
    let rows: Vec<Vec<String>> = results.stages.iter().map(row).collect();
    let headers =
        ["", "parameters", "not 0", "filters", "kernels", "MACs", "bytes", "ms an image", "score", "on judged images"];
    page.table(&headers, &rows);
    page.text(format!("What was done, in this order: {}.", results.operators.join("; ")));
    for (stem, title, caption) in [
        ("curve", "The compression curve", CURVE),
        ("kernels", "Filters of each layer", KERNELS),
        ("similarity", "Similarity of layers", SIMILARITY),
        ("filters", "All filters", FILTERS),
        ("channels", "Single channels", CHANNELS),
        ("classes", "Classes", CLASSES),
    ] {
        if figures.has(stem) {
            page.section(title);
            figures.show(page, stem, caption);
        }
    }
    let value = serde_json::to_value(results).expect("results have only string keys");
    let map = value.as_object().expect("an object");
    let shown = ["ratio", "layers", "similarity", "seconds", "peak_rss_mb"];
    values(page, "Numbers", map.iter().filter(|(key, _): &(&String, &Value)| shown.contains(&key.as_str())));
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |c| format!("{}{}", c.to_uppercase(), chars.as_str()))
}

fn row(stage: &Stage) -> Vec<String> {
    vec![
        stage.stage.clone(),
        stage.params.to_string(),
        stage.nonzero.to_string(),
        stage.filters.to_string(),
        stage.kernels.to_string(),
        stage.macs.to_string(),
        stage.bytes.to_string(),
        format!("{:.2}", stage.latency_ms),
        number(stage.score),
        number(stage.judged_score),
    ]
}
