//! What the report says about the results of each command.

use super::html::Page;
use super::run::Figures;
use serde_json::{Map, Value};

type Results = Map<String, Value>;

/// The sets of images that `orthogonalize` scores, with the words for them.
const SCORED: [(&str, &str); 5] = [
    ("start", "start of the optimisation"),
    ("final", "end of the optimisation"),
    ("exported", "exported 8-bit images"),
    ("robust", "exported, worst of shift, blur and rescale"),
    ("baseline", "baseline images"),
];

pub(super) fn orthogonalize(page: &mut Page, results: &Results, figures: &mut Figures) {
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
    figures.show(page, "fingerprints", FINGERPRINTS);
    page.section("Second-order correlations");
    figures.show(page, "second_order", SECOND_ORDER);
    page.section("Optimisation");
    figures.show(page, "trace", "The score over the optimisation steps.");
    let shown = SCORED.map(|s| s.0);
    let rest = |k: &str| !shown.contains(&k) && !known.contains(&k) && k != "chance_mean_abs_r";
    values(page, "More results", results.iter().filter(|(k, _)| rest(k)));
}

pub(super) fn rdm(page: &mut Page, results: &Results, figures: &mut Figures) {
    values(page, "Results", results.iter().filter(|(key, _)| *key != "models"));
    models(page, results, figures);
    for stem in ["comparison", "comparisons", "bars"] {
        if figures.has(stem) {
            page.section("Comparison with the references");
            figures.show(page, stem, "Correlation of each layer's RDM with the reference RDMs.");
        }
    }
    page.section("Fingerprints");
    figures.show(page, "fingerprints", FINGERPRINTS);
    page.section("Second-order correlations");
    figures.show(page, "second_order", SECOND_ORDER);
    if figures.has("images") {
        page.section("Images");
        figures.show(page, "images", "The images.");
    }
}

/// The layers as models of several subjects' RDMs.
fn models(page: &mut Page, results: &Results, figures: &mut Figures) {
    let references = results.get("models").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for (i, found) in references.iter().filter_map(Value::as_object).enumerate() {
        let reference = found.get("reference").and_then(Value::as_str).unwrap_or("");
        let title = format!("Layers as models of subjects: {reference}");
        values(page, &title, found.iter().filter(|(key, _)| *key != "reference"));
        figures.show(page, &format!("models_{}", i + 1), MODELS);
    }
}

pub(super) fn generic(page: &mut Page, results: &Results) {
    values(page, "Results", results.iter());
}

const FINGERPRINTS: &str = "One matrix per layer: the similarity (or dissimilarity) of the layer's responses to each pair of images, in the order of the images. All on one colour scale; the diagonal is left out.";
const MODELS: &str = "Similarity of each layer's RDM with the subjects', mean and confidence interval. Between the dashed lines lies the best that any model could reach: what the subjects share (lower) and what fits them best (upper).";
const SECOND_ORDER: &str =
    "How much the fingerprints of two layers resemble each other: the correlation of their condensed matrices.";

/// Plain values in one table; tables for lists of objects and for objects of objects.
pub(super) fn values<'a>(page: &mut Page, title: &str, entries: impl Iterator<Item = (&'a String, &'a Value)>) {
    let (nested, plain): (Vec<_>, Vec<_>) = entries.partition(|(_, v)| is_nested(v));
    if plain.is_empty() && nested.is_empty() {
        return;
    }
    page.section(title);
    page.facts(plain.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (words(k), text_of(v))).collect());
    for (key, value) in nested {
        page.text(sentence(&words(key)));
        match value {
            Value::Array(items) => records(page, "", items.iter().map(|v| (None, v))),
            Value::Object(map) if map.values().any(Value::is_object) => {
                records(page, "name", map.iter().map(|(k, v)| (Some(k.as_str()), v)));
            }
            Value::Object(map) => {
                page.facts(map.iter().map(|(k, v)| (words(k), text_of(v))).collect());
            }
            _ => {}
        }
    }
}

fn is_nested(value: &Value) -> bool {
    match value {
        Value::Object(_) => true,
        Value::Array(items) => items.iter().any(Value::is_object),
        _ => false,
    }
}

/// One row per object, one column per key.
fn records<'a>(page: &mut Page, corner: &str, items: impl Iterator<Item = (Option<&'a str>, &'a Value)>) {
    let items: Vec<_> = items.collect();
    let mut keys: Vec<&str> = Vec::new();
    for (_, value) in &items {
        for key in value.as_object().into_iter().flat_map(Map::keys) {
            if !keys.contains(&key.as_str()) {
                keys.push(key);
            }
        }
    }
    let named = items.iter().any(|(name, _)| name.is_some());
    let headers: Vec<String> =
        named.then(|| corner.to_string()).into_iter().chain(keys.iter().map(|k| words(k))).collect();
    let rows: Vec<Vec<String>> = items
        .iter()
        .map(|(name, value)| {
            let cells = keys.iter().map(|k| value.get(*k).map_or_else(|| "–".to_string(), text_of));
            named.then(|| name.unwrap_or("").to_string()).into_iter().chain(cells).collect()
        })
        .collect();
    page.table(&headers.iter().map(String::as_str).collect::<Vec<_>>(), &rows);
}

/// A key in words; counts and units spelled out.
pub(super) fn words(key: &str) -> String {
    match key {
        "peak_rss_mb" => "peak memory (MB)".into(),
        "p" | "p_value" => "p".into(),
        _ => key
            .strip_prefix("n_")
            .map_or_else(|| key.replace('_', " "), |rest| format!("number of {}", rest.replace('_', " "))),
    }
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |c| format!("{}{}:", c.to_uppercase(), chars.as_str()))
}

/// A JSON value for a reader: four significant digits, lists with commas, yes and no.
pub(super) fn text_of(value: &Value) -> String {
    match value {
        Value::Null => "–".into(),
        Value::Bool(b) => if *b { "yes" } else { "no" }.into(),
        Value::String(s) => s.clone(),
        Value::Number(n) if n.is_f64() => significant(n.as_f64().unwrap_or(f64::NAN)),
        Value::Number(n) => n.to_string(),
        Value::Array(items) if items.iter().all(|v| !v.is_object() && !v.is_array()) => {
            items.iter().map(text_of).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

fn significant(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let exponent = value.abs().log10().floor() as i32;
    if !(-4..9).contains(&exponent) {
        return format!("{value:.3e}");
    }
    let text = format!("{value:.*}", (3 - exponent).max(0) as usize);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
}

/// A number with fixed decimals; anything else as it is.
fn rounded(value: &Value, decimals: usize) -> String {
    value.as_f64().map_or_else(|| text_of(value), |v| format!("{v:.decimals$}"))
}
