//! What is said about the results: lines for a terminal, sections for the report.

use crate::report::values::{captions, rounded, text_of, values, words};
use crate::report::{Figures, Page};
use serde_json::{Map, Value};

/// The headline numbers in a few lines.
pub fn summary(results: &Value) -> String {
    let number = |stage: &str, key: &str| results[stage][key].as_f64();
    let mut lines = vec![format!(
        "{} images, {} layers, {} steps; chance level of mean |R| {:.3}",
        results["n_images"],
        results["taps"].as_array().map_or(0, Vec::len),
        results["steps"],
        results["chance_mean_abs_r"].as_f64().unwrap_or(f64::NAN)
    )];
    lines.push(format!("{:<10} {:>8} {:>8} {:>11}", "", "mean |R|", "max |R|", "min RSM sd"));
    for stage in ["baseline", "start", "final", "exported", "robust"] {
        let numbers = ["mean_abs_r", "max_abs_r", "rsm_sd_min"].map(|key| number(stage, key));
        if let [Some(mean), Some(max), Some(sd)] = numbers {
            lines.push(format!("{stage:<10} {mean:>8.3} {max:>8.3} {sd:>11.3}"));
        }
    }
    lines.join("\n")
}

/// The sets of images that `orthogonalize` scores, with the words for them.
const SCORED: [(&str, &str); 5] = [
    ("start", "start of the optimisation"),
    ("final", "end of the optimisation"),
    ("exported", "exported 8-bit images"),
    ("robust", "exported, worst of shift, blur and rescale"),
    ("baseline", "baseline images"),
];

pub fn page(page: &mut Page, results: &Map<String, Value>, figures: &mut Figures) {
    page.section("Scores");
    let rows: Vec<Vec<String>> = SCORED
        .iter()
        .filter_map(|(key, name)| {
            let score = results.get(*key)?.as_object()?;
            let cell = |k: &str| score.get(k).map_or_else(|| "–".into(), |v| rounded(v, 3));
            Some(vec![(*name).to_string(), cell("mean_abs_r"), cell("max_abs_r"), cell("rsm_sd_min")])
        })
        .collect();
    if rows.is_empty() {
        page.note("The manifest holds no scores.");
    }
    page.table(&["images", "mean |R|", "max |R|", "smallest sd of an RSM"], &rows);
    if let Some(chance) = results.get("chance_mean_abs_r") {
        page.text(format!(
            "R is the Pearson correlation between the condensed RSMs of two layers; mean and maximum go over all pairs of layers. \
             Random RSMs of this size give a mean |R| of {}.",
            rounded(chance, 3)
        ));
    }
    let known = ["steps", "converged", "n_images", "taps", "seconds_per_step", "peak_rss_mb"];
    page.facts(known.iter().filter_map(|k| results.get(*k).map(|v| (words(k), text_of(v)))).collect());
    page.section("Images");
    figures.show(page, "images", "The images as exported.");
    page.section("Fingerprints");
    figures.show(page, "fingerprints", captions::FINGERPRINTS);
    page.section("Second-order correlations");
    figures.show(page, "second_order", captions::SECOND_ORDER);
    page.section("Optimisation");
    figures.show(page, "trace", "The score over the optimisation steps.");
    let shown = SCORED.map(|s| s.0);
    let rest = |k: &str| !shown.contains(&k) && !known.contains(&k) && k != "chance_mean_abs_r";
    values(page, "More results", results.iter().filter(|(k, _)| rest(k)));
}
