//! What is said about the results: lines for a terminal, sections for the report.

use super::results::Results;
use super::score::Score;
use crate::report::values::{captions, entries, number, text_of, values, words};
use crate::report::{Figures, Page};

/// The scored sets of images, with their keys and the words for them.
fn scored(results: &Results) -> [(&'static str, &'static str, Option<Score>); 5] {
    [
        ("start", "start of the optimisation", Some(results.start)),
        ("final", "end of the optimisation", Some(results.last)),
        ("exported", "exported 8-bit images", Some(results.exported)),
        ("robust", "exported, worst of shift, blur and rescale", results.robust),
        ("baseline", "baseline images", results.baseline),
    ]
}

/// The headline numbers in a few lines.
pub fn summary(results: &Results) -> String {
    let mut lines = vec![format!(
        "{} images, {} layers, {} steps; chance level of mean |R| {:.3}",
        results.n_images,
        results.taps.len(),
        results.steps,
        results.chance_mean_abs_r
    )];
    lines.push(format!("{:<10} {:>8} {:>8} {:>11}", "", "mean |R|", "max |R|", "min RSM sd"));
    let [start, last, exported, robust, baseline] = scored(results);
    for (stage, _, score) in [baseline, start, last, exported, robust] {
        if let Some(s) = score {
            lines.push(format!("{stage:<10} {:>8.3} {:>8.3} {:>11.3}", s.mean_abs_r, s.max_abs_r, s.rsm_sd_min));
        }
    }
    lines.join("\n")
}

/// Plain facts beside the scores.
const FACTS: [&str; 6] = ["steps", "converged", "n_images", "taps", "seconds_per_step", "peak_rss_mb"];

/// Sections of the report.
pub fn page(page: &mut Page, results: &Results, figures: &mut Figures) {
    page.section("Scores");
    let scored = scored(results);
    let row = |(_, name, score): &(&str, &str, Option<Score>)| {
        score.map(|s| vec![(*name).to_string(), number(s.mean_abs_r), number(s.max_abs_r), number(s.rsm_sd_min)])
    };
    let rows: Vec<Vec<String>> = scored.iter().filter_map(row).collect();
    page.table(&["images", "mean |R|", "max |R|", "smallest sd of an RSM"], &rows);
    page.text(format!(
        "R is the Pearson correlation between the condensed RSMs of two layers; mean and maximum go over all pairs of layers. \
         Random RSMs of this size give a mean |R| of {}.",
        number(results.chance_mean_abs_r)
    ));
    let all = entries(results);
    page.facts(FACTS.iter().filter_map(|k| all.get(*k).map(|v| (words(k), text_of(v)))).collect());
    page.section("Images");
    figures.show(page, "images", "The images as exported.");
    page.section("Fingerprints");
    figures.show(page, "fingerprints", captions::FINGERPRINTS);
    page.section("Second-order correlations");
    figures.show(page, "second_order", captions::SECOND_ORDER);
    page.section("Optimisation");
    figures.show(page, "trace", "The score over the optimisation steps.");
    let shown = scored.map(|(key, _, _)| key);
    let rest = |k: &str| !shown.contains(&k) && !FACTS.contains(&k) && k != "chance_mean_abs_r";
    values(page, "More results", all.iter().filter(|(k, _)| rest(k)));
}
