//! `orthoscope adversarial`

use super::common::{CommonArgs, NetworkArgs, choice, config_or_default, set, set_list, show};
use crate::error::Result;
use crate::image::resize::Resize;
use crate::image::{Equal, Norm};
use crate::job::adversarial::{self as job, Aim, Config, Method};
use crate::job::common::Common;
use clap::Args;
use serde_json::Value;
use std::path::PathBuf;

/// Flags of `adversarial`; each one overrides the configuration file.
#[derive(Debug, Args)]
pub struct AdversarialArgs {
    /// Configuration file (TOML); DIR/config.toml of any run is a complete example.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    network: NetworkArgs,
    /// Units, separated by commas: outputs (7, 0-8, all), TAP:CHANNEL, TAP:CHANNEL:ROW:COLUMN; for a folder of models their
    /// numbers or names (* stands for anything) [default: all].
    #[arg(long, value_name = "UNITS", value_delimiter = ',')]
    unit: Option<Vec<String>>,
    /// Leave out models of a folder that cannot be read.
    #[arg(long)]
    skip_bad: bool,
    /// Base images: folder, zip or npy.
    #[arg(long, value_name = "IMAGES")]
    images: Option<PathBuf>,
    /// Bring base images of another size to the network's: stretch, crop or pad; an error without.
    #[arg(long, value_parser = choice::<Resize>)]
    resize: Option<Resize>,
    /// Only the first so many base images; 0: all.
    #[arg(long, short)]
    n_images: Option<usize>,
    /// response (up and down), or margin (a classifier's answer) [default: response].
    #[arg(long, value_parser = choice::<Aim>)]
    aim: Option<Aim>,
    /// l1-mean, l2 or linf [default: l1-mean].
    #[arg(long, value_parser = choice::<Norm>)]
    norm: Option<Norm>,
    /// Radii, separated by commas, in levels of 0..255 [default: 10].
    #[arg(long, value_name = "LEVELS", value_delimiter = ',')]
    epsilon: Option<Vec<f64>>,
    /// Smallest radius that reaches a response (2.5), natural standard deviations (1sd) or another answer (other).
    #[arg(long, value_name = "TARGET")]
    minimal: Option<String>,
    /// pgd, fgsm or adam [default: pgd].
    #[arg(long, value_parser = choice::<Method>)]
    method: Option<Method>,
    /// Steps [default: 50].
    #[arg(long)]
    steps: Option<usize>,
    /// Step as a share of the radius [default: 2.5 / steps]; adam: levels of 0..255 [default: 2].
    #[arg(long, value_name = "RATE")]
    learning_rate: Option<f64>,
    /// Smoothing of gradients, standard deviation in pixels [default: 0].
    #[arg(long, value_name = "PX")]
    smooth: Option<f64>,
    /// Hold of the base image: nothing, luminance or contrast (both) [default: nothing].
    #[arg(long, value_parser = choice::<Equal>)]
    equal: Option<Equal>,
    /// Random perturbations of equal size for each image [default: 3].
    #[arg(long, value_name = "N")]
    n_random: Option<usize>,
    /// Natural images, whose responses give the scale of changes: folder, zip or npy.
    #[arg(long, value_name = "IMAGES")]
    natural: Option<PathBuf>,
    /// Another model to show the images to; MODEL or MODEL=UNIT+UNIT...; may be repeated.
    #[arg(long, value_name = "MODEL")]
    check: Vec<String>,
    /// Seed of every random draw [default: 1].
    #[arg(long)]
    seed: Option<u64>,
    /// Images in one batch [default: 16].
    #[arg(long)]
    batch: Option<usize>,
    /// cpu, or cuda[:N] in a build with that feature.
    #[arg(long)]
    device: Option<String>,
    #[command(flatten)]
    common: CommonArgs,
}

/// Runs the subcommand.
///
/// # Errors
/// The job's.
pub fn run(args: AdversarialArgs) -> Result<()> {
    let mut config: Config = config_or_default(args.config.as_ref())?;
    let common = args.common.common("adversarial");
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

fn apply(args: AdversarialArgs, config: &mut Config) {
    args.network.apply(&mut config.network);
    set(&mut config.units, args.unit);
    config.skip_bad |= args.skip_bad;
    set(&mut config.images, args.images);
    config.resize = args.resize.or(config.resize);
    set(&mut config.n_images, args.n_images);
    set(&mut config.aim, args.aim);
    set(&mut config.norm, args.norm);
    set(&mut config.epsilon, args.epsilon);
    config.minimal = args.minimal.or(config.minimal.take());
    set(&mut config.method, args.method);
    set(&mut config.steps, args.steps);
    set(&mut config.learning_rate, args.learning_rate);
    set(&mut config.smooth, args.smooth);
    set(&mut config.equal, args.equal);
    set(&mut config.n_random, args.n_random);
    config.natural = args.natural.or(config.natural.take());
    set_list(&mut config.check, args.check);
    set(&mut config.seed, args.seed);
    set(&mut config.batch, args.batch);
    set(&mut config.machine.device, args.device);
}

/// One line per radius.
fn summary(results: &Value) -> String {
    let number = |v: &Value| v.as_f64().map_or_else(|| "–".into(), |v| format!("{v:.3}"));
    let mut lines = vec![format!(
        "{} units, {} images; mean change from the base, in {}",
        results["n_units"],
        results["n_images"],
        results["summary"]["unit_of_change"].as_str().unwrap_or("response")
    )];
    let columns = ["epsilon", "mean_up", "mean_down", "mean_random", "mean_cross_up", "mean_cross_down", "mean_ssim"];
    lines.push(columns.map(|c| format!("{:>16}", c.replace('_', " "))).join(""));
    for row in results["summary"]["per_epsilon"].as_array().into_iter().flatten() {
        lines.push(columns.map(|c| format!("{:>16}", number(&row[c]))).join(""));
    }
    if let Some(rates) = results["success"]["rate"].as_array() {
        lines.push(format!("another answer: {}", rates.iter().map(number).collect::<Vec<_>>().join(", ")));
    }
    lines.join("\n")
}
