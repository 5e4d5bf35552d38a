//! `orthoscope rdm`

use super::common::{CommonArgs, NetworkArgs, choice, config_or_default, set, set_list, show};
use crate::error::{Error, Result};
use crate::image::resize::Resize;
use crate::job::common::Common;
use crate::job::orthogonalize::Patterns;
use crate::job::rdm::{self as job, Bootstrap, Config};
use crate::rdm::{Comparison, Measure};
use clap::Args;
use serde_json::Value;
use std::path::PathBuf;

/// Flags of `rdm`; each one overrides the configuration file.
#[derive(Debug, Args)]
pub struct RdmArgs {
    /// Configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    network: NetworkArgs,
    /// Layers, aliases or presets, separated by commas [default: the model's own list].
    #[arg(long, value_delimiter = ',')]
    taps: Option<Vec<String>>,
    /// Images: folder, zip, npy or stimuli.tsv.
    #[arg(long, value_name = "IMAGES")]
    images: Option<PathBuf>,
    /// How images are brought to the input size: stretch, crop or pad [default: stretch].
    #[arg(long, value_parser = choice::<Resize>)]
    resize: Option<Resize>,
    /// correlation, cosine, euclidean or squared_euclidean [default: correlation].
    #[arg(long, value_parser = choice::<Measure>)]
    measure: Option<Measure>,
    /// Patterns over all units (full) or channel means (gap).
    #[arg(long, value_parser = choice::<Patterns>)]
    patterns: Option<Patterns>,
    /// RDMs to compare with: npy or npz, square or condensed, one or many; may be repeated.
    #[arg(long, value_name = "RDM")]
    compare: Vec<PathBuf>,
    /// What the permutation p is of: spearman, pearson, kendall_tau_a or cosine [default: spearman].
    #[arg(long, value_parser = choice::<Comparison>)]
    statistic: Option<Comparison>,
    /// Relabellings of the images [default: 1000].
    #[arg(long, value_name = "N")]
    n_permutations: Option<usize>,
    /// Take each --compare array of several RDMs as subjects and test the layers as models of them, for other subjects, other
    /// images or both: none, subjects, images or both.
    #[arg(long, value_name = "WHAT", value_parser = choice::<Bootstrap>)]
    bootstrap: Option<Bootstrap>,
    /// Resamples of that test [default: 1000].
    #[arg(long, value_name = "N")]
    n_bootstraps: Option<usize>,
    /// Coverage of its intervals [default: 0.95].
    #[arg(long, value_name = "SHARE")]
    level: Option<f64>,
    /// Seed of the relabellings [default: 1].
    #[arg(long)]
    seed: Option<u64>,
    /// cpu, or cuda[:N] in a build with that feature.
    #[arg(long)]
    device: Option<String>,
    #[command(flatten)]
    common: CommonArgs,
}

/// Runs the subcommand.
///
/// # Errors
/// The job's; [`Error::Invalid`] without images.
pub fn run(args: RdmArgs) -> Result<()> {
    let mut config: Config = config_or_default(args.config.as_ref())?;
    let common = args.common.common("rdm");
    apply(args, &mut config);
    if config.images.as_os_str().is_empty() {
        return Err(Error::invalid(
            "--images",
            "a folder, zip or npy of images",
            "none",
            "say which images to look at",
        ));
    }
    run_config(config, &common)
}

/// Runs a configuration and shows its results.
///
/// # Errors
/// The job's.
pub fn run_config(config: Config, common: &Common) -> Result<()> {
    let results = job::run(config, common)?;
    show(common, &results, &summary(&results))
}

fn apply(args: RdmArgs, config: &mut Config) {
    args.network.apply(&mut config.network);
    set(&mut config.machine.device, args.device);
    set(&mut config.taps, args.taps);
    set(&mut config.images, args.images);
    set(&mut config.resize, args.resize);
    set(&mut config.measure, args.measure);
    set(&mut config.patterns, args.patterns);
    set(&mut config.statistic, args.statistic);
    set(&mut config.n_permutations, args.n_permutations);
    set(&mut config.seed, args.seed);
    set_list(&mut config.compare, args.compare);
    if args.bootstrap.is_some() || args.n_bootstraps.is_some() || args.level.is_some() {
        let inference = config.inference.get_or_insert_default();
        set(&mut inference.bootstrap, args.bootstrap);
        set(&mut inference.n_bootstraps, args.n_bootstraps);
        set(&mut inference.level, args.level);
    }
}

/// The comparisons in a few lines.
fn summary(results: &Value) -> String {
    let mut lines = vec![format!(
        "{} images, {} layers; mean |R| between layers {:.3}, max {:.3}",
        results["n_images"],
        results["taps"].as_array().map_or(0, Vec::len),
        results["mean_abs_r"].as_f64().unwrap_or(f64::NAN),
        results["max_abs_r"].as_f64().unwrap_or(f64::NAN)
    )];
    let rows = results["comparisons"].as_array().map_or(&[][..], Vec::as_slice);
    if !rows.is_empty() {
        lines.push(format!(
            "{:<28} {:<28} {:>8} {:>8} {:>8} {:>8}",
            "layer", "reference", "spearman", "pearson", "tau-a", "p"
        ));
    }
    for row in rows {
        let text = |key: &str| row[key].as_str().unwrap_or("").to_owned();
        let number = |key: &str| row[key].as_f64().map_or_else(|| "n/a".into(), |v| format!("{v:.3}"));
        lines.push(format!(
            "{:<28} {:<28} {:>8} {:>8} {:>8} {:>8}",
            text("layer"),
            text("reference"),
            number("spearman"),
            number("pearson"),
            number("kendall_tau_a"),
            number("p_permutation")
        ));
    }
    lines.extend(results["models"].as_array().into_iter().flatten().flat_map(model_lines));
    lines.join("\n")
}

/// The models of one reference, and what any could reach.
fn model_lines(models: &Value) -> Vec<String> {
    let number = |v: &Value| v.as_f64().map_or_else(|| "n/a".into(), |v| format!("{v:.3}"));
    let ceiling = |bound: &str| number(&models["noise_ceiling"][bound]["mean"]);
    let mut lines = vec![format!(
        "{}, {} subjects: noise ceiling {} to {}",
        models["reference"].as_str().unwrap_or(""),
        models["n_subjects"],
        ceiling("lower"),
        ceiling("upper")
    )];
    for row in models["models"].as_array().into_iter().flatten() {
        lines.push(format!(
            "{:<28} {:>8} ({} to {}), p {}, against the ceiling {}",
            row["model"].as_str().unwrap_or(""),
            number(&row["mean"]),
            number(&row["low"]),
            number(&row["high"]),
            number(&row["p_zero_fwe"]),
            number(&row["p_ceiling_fwe"])
        ));
    }
    lines
}
