use super::write;
use crate::report::values;
use std::path::{Path, PathBuf};

/// A page of whatever results there are.
fn any(dir: &Path) -> crate::Result<PathBuf> {
    let text = std::fs::read_to_string(dir.join("manifest.json")).unwrap_or_default();
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    write(dir, "Any results", |page, figures| {
        values::values(page, "Results", values::entries(&manifest["results"]).iter());
        page.section("Optimisation");
        figures.show(page, "trace", "");
        figures.show(page, "images", "");
    })
}

fn manifest(command: &str) -> String {
    format!(
        r#"{{
  "schema": 1, "command": "{command}", "version": "0.1.0", "git_commit": "0123456789abcdef", "device": "cpu", "status": "complete",
  "seeds": {{"seed": 1}}, "inputs": {{"weights.safetensors": "af13"}},
  "outputs": {{"a": "1", "b": "2", "c": "3", "d": "4", "e": "5", "f": "6", "g": "7", "h": "8", "images/000.png": "9"}},
  "warnings": [
    {{"kind": "flat_fingerprint", "tap": "<conv1>", "sd": 0.031, "wanted": 0.05}},
    {{"kind": "something_newer", "text": "later"}}
  ],
  "results": {{
    "taps": ["conv1", "inception_3a/output"], "n_images": 16, "steps": 800, "converged": true, "seconds_per_step": 0.51234,
    "peak_rss_mb": 812, "start": {{"mean_abs_r": 0.5812, "max_abs_r": 0.94, "rsm_sd_min": 0.11}},
    "exported": {{"mean_abs_r": 0.0412, "max_abs_r": 0.1513, "rsm_sd_min": 0.0731}}, "baseline": null,
    "chance_mean_abs_r": 0.0722,
    "comparisons": [{{"tap": "conv1", "reference": "hIT", "spearman": 0.1234567, "p": 0.01}}, {{"tap": "3a", "reference": "hIT", "pearson": "NaN"}}]
  }}
}}"#
    )
}

fn report(dir: &Path, command: &str) -> String {
    std::fs::write(dir.join("manifest.json"), manifest(command)).unwrap();
    std::fs::read_to_string(any(dir).unwrap()).unwrap()
}

#[test]
fn a_run_without_figures_still_gives_a_report() {
    let dir = tempfile::tempdir().unwrap();
    let page = report(dir.path(), "orthogonalize");
    for wanted in [
        "0.041",
        "0.151",
        "0.073",
        "0.072",
        "figures/trace.png is not there",
        "config.toml is not there",
        "&lt;conv1&gt;: the RSM",
        "something_newer",
        "inputs / weights.safetensors",
        "outputs (9)",
        "9  images/000.png",
        "number of images",
        "peak memory (MB)",
    ] {
        assert!(page.contains(wanted), "{wanted}\n{page}");
    }
    assert!(!page.contains("baseline images"), "a null baseline has no row");
}

#[test]
fn figures_are_embedded_once_and_broken_ones_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let figures = dir.path().join("figures");
    std::fs::create_dir(&figures).unwrap();
    image::RgbImage::new(2, 2).save(figures.join("trace.png")).unwrap();
    image::RgbImage::new(2, 2).save(figures.join("extra_view.png")).unwrap();
    std::fs::write(figures.join("images.png"), b"not a picture").unwrap();
    std::fs::write(dir.path().join("config.toml"), "model = \"<x>\"\n").unwrap();
    let page = report(dir.path(), "orthogonalize");
    assert_eq!(page.matches("<img").count(), 2);
    assert!(page.contains("extra view") && page.contains("figures/images.png cannot be shown"));
    assert!(page.contains("model = &quot;&lt;x&gt;&quot;"));
}

#[test]
fn other_commands_show_all_their_results() {
    let dir = tempfile::tempdir().unwrap();
    for command in ["rdm", "fit"] {
        let page = report(dir.path(), command);
        for wanted in ["spearman", "0.1235", "hIT", "NaN", "seconds per step", "0.5123"] {
            assert!(page.contains(wanted), "{command}: {wanted}");
        }
    }
}

#[test]
fn a_damaged_manifest_is_named() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(any(dir.path()).unwrap_err().exit_code(), 2);
    for text in ["{\"results\": ", "[1, 2]"] {
        std::fs::write(dir.path().join("manifest.json"), text).unwrap();
        let message = any(dir.path()).unwrap_err().to_string();
        assert!(message.contains("manifest.json: expected") && !dir.path().join("report.html").exists(), "{message}");
    }
}
