//! Draws what robustness costs: mean |R| on the written images against the worst of the three
//! disturbances, one point per run.
//!
//! ```text
//! cargo run --release --example tradeoff -- STEM LABEL=RUN_DIR [LABEL=RUN_DIR ...]
//! ```
//! writes STEM.png and STEM.svg. Runs come from `orthoscope orthogonalize`.

use orthoscope::error::{Error, Result};
use orthoscope::job::Manifest;
use orthoscope::report::figures::{Point, ScatterOptions, scatter};
use std::path::Path;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage =
        || Error::invalid("tradeoff", "STEM LABEL=RUN_DIR ...", "too few arguments", "see the file's first lines");
    let stem = arguments.next().ok_or_else(usage)?;
    let mut points = Vec::new();
    let mut chance = None;
    for argument in arguments {
        let (label, dir) = argument.split_once('=').ok_or_else(usage)?;
        let results = Manifest::read(&Path::new(dir).join("manifest.json"))?.results;
        let at = |stage: &str| results[stage]["mean_abs_r"].as_f64();
        let (Some(x), Some(y)) = (at("exported"), at("robust")) else {
            return Err(Error::invalid(dir, "a complete run of orthogonalize", "no scores", "let it finish first"));
        };
        chance = chance.or(results["chance_mean_abs_r"].as_f64());
        let group = results["taps"].as_array().map_or_else(String::new, |taps| format!("{} layers", taps.len()));
        points.push(Point { label: label.into(), group, x, y });
    }
    let reference: Vec<(String, f64)> = chance.map(|c| ("chance".to_owned(), c)).into_iter().collect();
    let options = ScatterOptions {
        x_label: "mean |R| on the written images".into(),
        y_label: "mean |R|, worst of shift, blur and rescale".into(),
        x_references: reference.clone(),
        y_references: reference,
        ..ScatterOptions::default()
    };
    scatter(&points, Path::new(&stem), &options)
}
