//! `orthoscope group`

use super::common::{CommonArgs, choice, config_or_default, set, set_list, show};
use crate::error::Result;
use crate::job::common::Common;
use crate::job::group::{self as job, Config, Correction, Zeros};
use crate::math::permutation::Tail;
use crate::stats::neighbours::Connectivity;
use clap::Args;
use serde_json::Value;
use std::path::PathBuf;

/// Flags of `group`; each one overrides the configuration file.
#[derive(Debug, Args)]
pub struct GroupArgs {
    /// Configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Maps, one entry a subject: run directories of `map` (all layers), or 3-D NIfTI files; or one 4-D NIfTI.
    #[arg(long, value_name = "MAPS", num_args = 1..)]
    maps: Vec<PathBuf>,
    /// The same subjects in the same order under another condition: their differences (maps - against) are tested.
    #[arg(long, value_name = "MAPS", num_args = 1..)]
    against: Vec<PathBuf>,
    /// Which maps of run directories: spearman, r2, splithalf, ... [default: the comparison of `map`].
    #[arg(long, value_name = "NAME")]
    stat: Option<String>,
    /// Layers of run directories, separated by commas [default: all].
    #[arg(long, value_delimiter = ',')]
    layers: Option<Vec<String>>,
    /// What maps given as files are called [default: effect].
    #[arg(long)]
    name: Option<String>,
    /// Fisher's z of the maps first [default: of correlations in run directories].
    #[arg(long, overrides_with = "no_fisher_z")]
    fisher_z: bool,
    /// Maps as they are.
    #[arg(long)]
    no_fisher_z: bool,
    /// Voxels that take part [default: those where enough subjects have a value].
    #[arg(long, value_name = "NIFTI")]
    mask: Option<PathBuf>,
    /// Fewest subjects with a value at a voxel [default: all].
    #[arg(long, value_name = "N")]
    min_subjects: Option<usize>,
    /// What 0 is where other subjects have a value: missing or data [default: missing; data for run directories].
    #[arg(long, value_parser = choice::<Zeros>)]
    zeros: Option<Zeros>,
    /// Image behind the maps in figures.
    #[arg(long, value_name = "NIFTI")]
    background: Option<PathBuf>,
    /// Beginning of the maps' names, as in task-images_space-MNI152NLin2009cAsym.
    #[arg(long)]
    prefix: Option<String>,
    #[command(flatten)]
    test: TestArgs,
    /// Seed of sign flips and resamples [default: 1].
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    common: CommonArgs,
}

/// How the group is tested.
#[derive(Debug, Args)]
#[command(next_help_heading = "Test")]
struct TestArgs {
    /// greater, less or two_sided [default: greater; two_sided with --against].
    #[arg(long, value_parser = choice::<Tail>)]
    tail: Option<Tail>,
    /// Sign flips; all 2^n where that is not more [default: 5000].
    #[arg(long, value_name = "N")]
    permutations: Option<usize>,
    /// What significant means: tfce, max_t, cluster_mass, cluster_size, fdr or none; all maps are written [default: tfce].
    #[arg(long, value_parser = choice::<Correction>)]
    correction: Option<Correction>,
    /// What is called significant [default: 0.05].
    #[arg(long)]
    alpha: Option<f64>,
    /// Cluster-forming threshold as the p of one voxel [default: 0.001].
    #[arg(long, value_name = "P")]
    cluster_p: Option<f64>,
    /// Voxels that touch: faces (6), edges (18) or corners (26) [default: faces].
    #[arg(long, value_parser = choice::<Connectivity>)]
    connectivity: Option<Connectivity>,
    /// Resamples of the subjects for the interval of the mean; 0 for none [default: 2000].
    #[arg(long, value_name = "N")]
    bootstraps: Option<usize>,
}

/// Runs the subcommand.
///
/// # Errors
/// The job's.
pub fn run(args: GroupArgs) -> Result<()> {
    let mut config: Config = config_or_default(args.config.as_ref())?;
    let common = args.common.common("group");
    apply(args, &mut config);
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

fn apply(args: GroupArgs, config: &mut Config) {
    let maps = &mut config.maps;
    set_list(&mut maps.subjects, args.maps);
    set_list(&mut maps.against, args.against);
    maps.stat = args.stat.or(maps.stat.take());
    set(&mut maps.layers, args.layers);
    maps.name = args.name.or(maps.name.take());
    if args.fisher_z || args.no_fisher_z {
        maps.fisher_z = Some(args.fisher_z);
    }
    maps.mask = args.mask.or(maps.mask.take());
    maps.min_subjects = args.min_subjects.or(maps.min_subjects);
    maps.zeros = args.zeros.or(maps.zeros);
    maps.background = args.background.or(maps.background.take());
    set(&mut maps.prefix, args.prefix);
    let test = &mut config.test;
    test.tail = args.test.tail.or(test.tail);
    set(&mut test.n_permutations, args.test.permutations);
    set(&mut test.correction, args.test.correction);
    set(&mut test.alpha, args.test.alpha);
    set(&mut test.cluster_p, args.test.cluster_p);
    set(&mut test.connectivity, args.test.connectivity);
    set(&mut test.n_bootstraps, args.test.bootstraps);
    set(&mut config.seed, args.seed);
}

/// The layers in a few lines.
fn summary(results: &Value) -> String {
    let number = |v: &Value| v.as_f64().map_or_else(|| "n/a".into(), |v| format!("{v:.3}"));
    let mm = |v: &Value| {
        let numbers = v.as_array().map(|a| a.iter().map(|x| format!("{:.0}", x.as_f64().unwrap_or(f64::NAN))));
        numbers.map_or_else(|| "n/a".into(), |n| n.collect::<Vec<_>>().join(", "))
    };
    let all = if results["exhaustive"] == true { "all " } else { "" };
    let mut lines = vec![format!(
        "{} subjects, {} voxels; {all}{} sign flips, {}, p <= {} by {}; {} s",
        results["n_subjects"],
        results["n_voxels"],
        results["n_permutations"],
        results["tail"].as_str().unwrap_or(""),
        results["alpha"],
        results["correction"].as_str().unwrap_or(""),
        results["seconds"],
    )];
    lines.push(format!(
        "{:<28} {:>8} {:>18} {:>10} {:>12} {:>9}",
        "layer", "peak t", "at (mm)", "p there", "significant", "clusters"
    ));
    for layer in results["layers"].as_array().map_or(&[][..], Vec::as_slice) {
        lines.push(format!(
            "{:<28} {:>8} {:>18} {:>10} {:>12} {:>9}",
            layer["name"].as_str().unwrap_or(""),
            number(&layer["peak_t"]),
            mm(&layer["peak_mm"]),
            number(&layer["peak_p"]),
            layer["n_significant"].as_u64().unwrap_or(0),
            layer["n_clusters"].as_u64().unwrap_or(0)
        ));
    }
    lines.join("\n")
}
