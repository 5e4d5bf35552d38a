//! `report.html` of a run directory.

use super::html::Page;
use super::values::{self, text_of};
use crate::error::{Error, Result};
use crate::warning::Warning;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// Keys of the manifest that have a place of their own on the page.
const PLACED: [&str; 4] = ["results", "warnings", "command", "status"];

/// Entries with more values than this are folded away.
const MAX_ROWS: usize = 8;

/// A run to write about.
pub struct Run<'a> {
    /// Holds `config.toml` and `figures/*.png`, and is given `report.html`.
    pub folder: &'a Path,
    /// The run directory, after which the page is called.
    pub name: &'a Path,
    pub manifest: &'a Map<String, Value>,
}

/// Writes `report.html` of a run directory from `manifest.json`, `config.toml` and
/// `figures/*.png`; returns its path.
///
/// # Errors
/// As [`write_of`]; [`Error::Io`] when the manifest cannot be read, [`Error::Corrupt`] when it is
/// not a JSON object.
pub fn write(run_dir: &Path, title: &str, fill: impl FnOnce(&mut Page, &mut Figures)) -> Result<PathBuf> {
    let manifest = read_manifest(&run_dir.join("manifest.json"))?;
    write_of(&Run { folder: run_dir, name: run_dir, manifest: &manifest }, title, fill)
}

/// Writes the page about a run; returns its path.
///
/// `fill` says what there is to say about the results. Figures and configuration that are not there
/// are left out, with a note.
///
/// # Errors
/// [`Error::Io`] when the page cannot be written.
pub fn write_of(run: &Run<'_>, title: &str, fill: impl FnOnce(&mut Page, &mut Figures)) -> Result<PathBuf> {
    let mut page = Page::new(title, subtitle(run.manifest, run.name));
    status(&mut page, run.manifest);
    page.warnings(warnings(run.manifest));
    let mut figures = Figures::of(run.folder)?;
    fill(&mut page, &mut figures);
    figures.rest(&mut page);
    configuration(&mut page, &run.folder.join("config.toml"));
    provenance(&mut page, run.manifest);
    let path = run.folder.join("report.html");
    page.write(&path)?;
    Ok(path)
}

fn read_manifest(path: &Path) -> Result<Map<String, Value>> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path, "read"))?;
    let hint = "run the job again, or restore the file";
    match serde_json::from_str(&text) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(other) => Err(Error::corrupt(path, "a JSON object", text_of(&other), hint)),
        Err(e) => Err(Error::corrupt(path, "JSON", e.to_string(), hint)),
    }
}

fn subtitle(manifest: &Map<String, Value>, run_dir: &Path) -> String {
    let name = run_dir.canonicalize().unwrap_or_else(|_| run_dir.to_path_buf());
    let name = name.file_name().map(|n| n.to_string_lossy().into_owned());
    let text = |key: &str| manifest.get(key).and_then(Value::as_str);
    let program = format!("orthoscope {} {}", text("version").unwrap_or(""), text("command").unwrap_or(""));
    let commit = text("git_commit").map(|c| format!("commit {}", c.chars().take(12).collect::<String>()));
    let facts = [Some(program), commit, text("device").map(str::to_string)].into_iter().flatten();
    name.into_iter().map(|n| format!("Run {n}")).chain(facts).collect::<Vec<_>>().join(" · ")
}

fn status(page: &mut Page, manifest: &Map<String, Value>) {
    match manifest.get("status").map(text_of).as_deref() {
        Some("complete") => {}
        Some("interrupted") => {
            page.banner("This run was interrupted: the numbers are those of its last checkpoint. \"orthoscope resume\" continues it.");
        }
        Some(other) => {
            page.banner(format!("The status of this run is: {other}."));
        }
        None => {
            page.banner("The manifest does not say whether this run is complete.");
        }
    }
}

/// Warnings in words; one that this version does not know is shown as it is.
fn warnings(manifest: &Map<String, Value>) -> Vec<String> {
    let list = manifest.get("warnings").and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .map(|w| serde_json::from_value::<Warning>(w.clone()).map_or_else(|_| text_of(w), |w| w.to_string()))
        .collect()
}

fn configuration(page: &mut Page, path: &Path) {
    page.section("Configuration");
    match std::fs::read_to_string(path) {
        Ok(text) => page.text("Running this again reproduces the run.").code("config.toml", text),
        Err(_) => page.note("config.toml is not there."),
    };
}

fn provenance(page: &mut Page, manifest: &Map<String, Value>) {
    let (mut rows, mut folded) = (Vec::new(), Vec::new());
    for (key, value) in manifest.iter().filter(|(k, _)| !PLACED.contains(&k.as_str())) {
        let mut own = Vec::new();
        flatten(&values::words(key), value, &mut own);
        if own.len() > MAX_ROWS { folded.push((values::words(key), own)) } else { rows.extend(own) }
    }
    page.section("Provenance").facts(rows);
    for (key, own) in folded {
        let prefix = format!("{key} / ");
        let lines = own.iter().map(|(k, v)| format!("{v}  {}", k.strip_prefix(&prefix).unwrap_or(k)));
        page.code(format!("{key} ({})", own.len()), lines.collect::<Vec<_>>().join("\n"));
    }
}

/// One row per leaf: `inputs / weights.safetensors`.
fn flatten(name: &str, value: &Value, rows: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(k, v)| flatten(&format!("{name} / {k}"), v, rows)),
        Value::Array(items) if items.iter().any(|v| v.is_object() || v.is_array()) => {
            items.iter().enumerate().for_each(|(i, v)| flatten(&format!("{name} / {}", i + 1), v, rows));
        }
        Value::Null => {}
        leaf => rows.push((name.to_string(), text_of(leaf))),
    }
}

/// The PNG files of a run, each shown once.
pub struct Figures {
    left: Vec<PathBuf>,
}

impl Figures {
    fn of(run_dir: &Path) -> Result<Self> {
        let folder = run_dir.join("figures");
        let mut left = Vec::new();
        if folder.is_dir() {
            for entry in std::fs::read_dir(&folder).map_err(Error::io(&folder, "read"))? {
                let path = entry.map_err(Error::io(&folder, "read"))?.path();
                if path.extension().is_some_and(|e| e == "png") {
                    left.push(path);
                }
            }
        }
        left.sort();
        Ok(Self { left })
    }

    /// Shows `figures/<stem>.png`, or says that it is not there.
    pub fn show(&mut self, page: &mut Page, stem: &str, caption: &str) {
        match self.left.iter().position(|p| p.file_stem().is_some_and(|s| s == stem)) {
            Some(i) => embed(page, &self.left.remove(i), caption),
            None => {
                page.note(format!("figures/{stem}.png is not there."));
            }
        }
    }

    /// Whether `figures/<stem>.png` is there and not shown yet.
    pub fn has(&self, stem: &str) -> bool {
        self.left.iter().any(|p| p.file_stem().is_some_and(|s| s == stem))
    }

    /// Whether a figure is there whose name begins so.
    pub fn has_prefix(&self, prefix: &str) -> bool {
        self.left.iter().any(|p| p.file_stem().is_some_and(|s| s.to_string_lossy().starts_with(prefix)))
    }

    /// Shows every figure whose name begins so; the caption once.
    pub fn show_all(&mut self, page: &mut Page, prefix: &str, caption: &str) {
        let begins = |p: &PathBuf| p.file_stem().is_some_and(|s| s.to_string_lossy().starts_with(prefix));
        let (chosen, left) = std::mem::take(&mut self.left).into_iter().partition(begins);
        self.left = left;
        let chosen: Vec<PathBuf> = chosen;
        for (i, path) in chosen.iter().enumerate() {
            embed(page, path, if i == 0 { caption } else { "" });
        }
    }

    fn rest(self, page: &mut Page) {
        if !self.left.is_empty() {
            page.section("More figures");
        }
        for path in &self.left {
            let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
            embed(page, path, &values::words(&stem));
        }
    }
}

fn embed(page: &mut Page, path: &Path, caption: &str) {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let alt = format!("Figure: {}", values::words(name.trim_end_matches(".png")));
    if let Err(error) = page.figure(path, alt, caption) {
        page.note(format!("figures/{name} cannot be shown ({error})."));
    }
}

#[cfg(test)]
mod tests;
