//! Values of any results on a page, in words.

use super::html::Page;
use serde_json::{Map, Value};

/// Plain values in one table; tables for lists of objects and for objects of objects.
pub fn values<'a>(page: &mut Page, title: &str, entries: impl Iterator<Item = (&'a String, &'a Value)>) {
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
            Value::Object(map) if map.values().any(is_nested) => {
                let (tables, facts): (Vec<_>, Vec<_>) = map.iter().partition(|(_, v)| v.is_object());
                let (lists, facts): (Vec<_>, Vec<_>) = facts.into_iter().partition(|(_, v)| is_nested(v));
                page.facts(facts.into_iter().map(|(k, v)| (words(k), text_of(v))).collect());
                records(page, "name", tables.into_iter().map(|(k, v)| (Some(k.as_str()), v)));
                for (key, list) in lists {
                    page.text(sentence(&words(key)));
                    records(page, "", list.as_array().into_iter().flatten().map(|v| (None, v)));
                }
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

/// Three decimals; a dash for what is undefined, as [`text_of`].
pub fn number(value: impl Into<Option<f64>>) -> String {
    value.into().filter(|v| !v.is_nan()).map_or_else(|| "–".into(), |v| format!("{v:.3}"))
}

/// As [`number`]; a p is never 0, so one below the last decimal is said to be below it.
pub fn p_value(p: impl Into<Option<f64>>) -> String {
    let p = p.into();
    if p.is_some_and(|p| p < 0.001) { "<0.001".into() } else { number(p) }
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
pub fn words(key: &str) -> String {
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
pub fn text_of(value: &Value) -> String {
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
pub fn rounded(value: &Value, decimals: usize) -> String {
    value.as_f64().map_or_else(|| text_of(value), |v| format!("{v:.decimals$}"))
}

/// A table with these columns of a list of objects, those that no row has left out; rows beyond
/// `most` stay in the manifest.
pub fn table(page: &mut Page, rows: &[Value], columns: &[&str], most: usize) {
    let present: Vec<&&str> = columns.iter().filter(|c| rows.iter().any(|r| !r[**c].is_null())).collect();
    let header: Vec<String> = present.iter().map(|c| words(c)).collect();
    let cells: Vec<Vec<String>> =
        rows.iter().take(most).map(|r| present.iter().map(|c| text_of(&r[**c])).collect()).collect();
    page.table(&header.iter().map(String::as_str).collect::<Vec<_>>(), &cells);
    if rows.len() > most {
        page.note(format!("{} more rows are in manifest.json.", rows.len() - most));
    }
}

/// Rows of a table before the rest is left to the manifest.
pub const ROWS: usize = 60;

/// Captions of figures that more than one job draws.
pub mod captions {
    pub const FINGERPRINTS: &str = "One matrix per layer: the similarity (or dissimilarity) of the layer's responses to each pair of images, in the order of the images. All on one colour scale; the diagonal is left out.";
    pub const SECOND_ORDER: &str =
        "How much the fingerprints of two layers resemble each other: the correlation of their condensed matrices.";
}

/// Any results as keys and values.
pub fn entries(results: &impl serde::Serialize) -> Map<String, Value> {
    match serde_json::to_value(results) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

/// Rows of any type as objects, for [`table`].
pub fn rows(rows: &[impl serde::Serialize]) -> Vec<Value> {
    rows.iter().map(|row| Value::Object(entries(row))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_p_is_never_shown_as_zero() {
        assert_eq!([0.0004, 0.001, 0.25, f64::NAN].map(p_value), ["<0.001", "0.001", "0.250", "–"]);
        assert_eq!((p_value(None), number(0.0004), number(None)), ("–".into(), "0.000".into(), "–".into()));
    }
}
