//! One figure of several runs of `compress`: score against channels removed (or parameters), on
//! images that nothing was chosen on.
//!
//! ```text
//! cargo run --release --example compression_curves -- --out outputs/curves car=outputs/car l1=outputs/l1
//! ```
#![deny(unsafe_code)]

use anyhow::{Context, bail};
use clap::Parser;
use orthoscope::io::tsv;
use orthoscope::report::figures::{CurveOptions, CurveSeries, curves};
use std::path::{Path, PathBuf};

/// Draws compression curves.
#[derive(Parser)]
struct Args {
    /// NAME=DIR for each curve; several runs of one NAME are averaged, with a band from the least to
    /// the largest.
    #[arg(required = true)]
    runs: Vec<String>,
    /// Figure without its ending.
    #[arg(long, default_value = "outputs/curves")]
    out: PathBuf,
    #[arg(long, default_value = "")]
    title: String,
    /// Over parameters instead of channels.
    #[arg(long)]
    parameters: bool,
    #[arg(long, default_value = "accuracy")]
    score: String,
    /// A dashed line, such as chance=0.014.
    #[arg(long)]
    reference: Vec<String>,
}

/// (x, score) of a run.
fn read(run: &Path, column: &str) -> anyhow::Result<Vec<(f64, f64)>> {
    let path = run.join("arrays/curve.tsv");
    let table = tsv::read(&path)?;
    let numbers = |name: &str| -> anyhow::Result<Vec<f64>> {
        let fields = table.column(name).with_context(|| format!("{} has no column {name}", path.display()))?;
        Ok(fields.iter().map(|field| field.parse()).collect::<Result<_, _>>()?)
    };
    Ok(numbers(column)?.into_iter().zip(numbers("score")?).collect())
}

fn pair(text: &str) -> anyhow::Result<(&str, &str)> {
    text.split_once('=').with_context(|| format!("`{text}`: expected NAME=VALUE"))
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let (column, unit) = if args.parameters { ("params", 1e-3) } else { ("n_removed", 1.0) };
    let mut names: Vec<&str> = Vec::new();
    let mut all: Vec<Vec<Vec<(f64, f64)>>> = Vec::new();
    for run in &args.runs {
        let (name, dir) = pair(run)?;
        let points = read(Path::new(dir), column)?;
        match names.iter().position(|known| *known == name) {
            Some(at) => all[at].push(points),
            None => {
                names.push(name);
                all.push(vec![points]);
            }
        }
    }
    let mut series = Vec::new();
    for (name, runs) in names.iter().zip(&all) {
        if runs.iter().any(|run| run.iter().map(|p| p.0).ne(runs[0].iter().map(|p| p.0))) {
            bail!("runs of `{name}` were tested after other numbers of channels");
        }
        let scores = |k: usize| runs.iter().map(move |run| run[k].1);
        let mean = |k: usize| scores(k).sum::<f64>() / runs.len() as f64;
        let ends = |k: usize| (scores(k).fold(f64::MAX, f64::min), scores(k).fold(f64::MIN, f64::max));
        let n = runs[0].len();
        series.push(CurveSeries {
            name: name.to_string(),
            points: (0..n).map(|k| (unit * runs[0][k].0, mean(k))).collect(),
            band: (runs.len() > 1).then(|| (0..n).map(ends).collect()),
        });
    }
    let references = args.reference.iter().map(|text| {
        let (name, value) = pair(text)?;
        Ok((name.to_owned(), value.parse()?))
    });
    let options = CurveOptions {
        title: args.title,
        x_label: if args.parameters { "parameters (thousands)" } else { "channels removed" }.into(),
        y_label: args.score,
        references: references.collect::<anyhow::Result<_>>()?,
        ..CurveOptions::default()
    };
    curves(&series, &args.out, &options)?;
    Ok(())
}
