//! `orthoscope orthogonalize`

use super::common::{CommonArgs, NetworkArgs, choice, config_or_default, pair, set, show};
use crate::error::Result;
use crate::image::resize::Resize;
use crate::job::common::Common;
use crate::job::orthogonalize::{self as job, Config, InitKind, ParamKind};
use crate::network::SpatialPooling;
use crate::objective::{PatternSimilarity, Penalty};
use crate::synthesis::OptimizerKind;
use clap::Args;
use serde_json::Value;
use std::path::PathBuf;

/// Flags of `orthogonalize`; each one overrides the configuration file.
#[derive(Debug, Args)]
pub struct OrthogonalizeArgs {
    /// Configuration file (TOML); DIR/config.toml of any run is a complete example.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    network: NetworkArgs,
    /// Layers, aliases or presets, separated by commas [default: the model's own list].
    #[arg(long, value_delimiter = ',')]
    taps: Option<Vec<String>>,
    /// Images in the set [default: 16].
    #[arg(long, short)]
    n_images: Option<usize>,
    /// Optimisation steps [default: 1000].
    #[arg(long)]
    steps: Option<usize>,
    /// Independent seeds; the best by the score of the written images is kept [default: 1].
    #[arg(long)]
    restarts: Option<usize>,
    /// Seed of every random draw [default: 1].
    #[arg(long)]
    seed: Option<u64>,
    /// Steps between two checkpoints [default: 50].
    #[arg(long, value_name = "STEPS")]
    checkpoint_every: Option<usize>,
    /// Natural images to compare with: folder, zip or npy.
    #[arg(long, value_name = "IMAGES")]
    baseline: Option<PathBuf>,
    /// How images are brought to the input size: stretch, crop or pad [default: stretch].
    #[arg(long, value_parser = choice::<Resize>)]
    resize: Option<Resize>,
    /// cpu, or cuda[:N] in a build with that feature.
    #[arg(long)]
    device: Option<String>,
    #[command(flatten)]
    objective: ObjectiveArgs,
    #[command(flatten)]
    image: ImageArgs,
    #[command(flatten)]
    search: SearchArgs,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Objective")]
struct ObjectiveArgs {
    /// First-order similarity: pearson, cosine or euclidean-kernel.
    #[arg(long, value_parser = choice::<PatternSimilarity>)]
    measure: Option<PatternSimilarity>,
    /// Patterns over all units (full) or channel means (gap).
    #[arg(long, value_parser = choice::<SpatialPooling>)]
    patterns: Option<SpatialPooling>,
    /// Penalty on R: mean-square, mean-abs, log-sum-exp or log-det.
    #[arg(long, value_parser = choice::<Penalty>)]
    penalty: Option<Penalty>,
    /// Standard deviation that every layer's RSM should keep [default: 0.08].
    #[arg(long, value_name = "SD")]
    min_sd: Option<f64>,
    /// Weight of the hinge on it [default: 10].
    #[arg(long, value_name = "W")]
    sd_weight: Option<f64>,
    /// Second-order matrix to reach instead of zero (npy, L x L).
    #[arg(long, value_name = "NPY")]
    target: Option<PathBuf>,
    /// RSMs to reach per layer (npy, L x N x N, NaN where free).
    #[arg(long, value_name = "NPY")]
    target_rsms: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Images")]
struct ImageArgs {
    /// What is optimised: fourier or pixels.
    #[arg(long, value_parser = choice::<ParamKind>)]
    param: Option<ParamKind>,
    /// Grey images.
    #[arg(long)]
    grey: bool,
    /// Cycles per pixel above which the spectrum is rolled off; 0: no limit [default: 0.18].
    #[arg(long, value_name = "CPP")]
    band_limit: Option<f64>,
    /// Exponent of the 1/f scaling of the spectrum [default: 1].
    #[arg(long)]
    decay: Option<f64>,
    /// Start: noise, grey or natural (with --init-images).
    #[arg(long, value_parser = choice::<InitKind>)]
    init: Option<InitKind>,
    /// Images to start from: folder, zip or npy.
    #[arg(long, value_name = "IMAGES")]
    init_images: Option<PathBuf>,
    /// Standard deviation of the initial noise.
    #[arg(long, value_name = "SD")]
    init_sd: Option<f64>,
    /// Let luminance and contrast differ between images.
    #[arg(long)]
    no_equalise: bool,
    /// Mean luminance of every image, 0..1 [default: 0.5].
    #[arg(long)]
    luminance: Option<f64>,
    /// RMS contrast of every image [default: 0.2].
    #[arg(long)]
    contrast: Option<f64>,
    /// Circular aperture with a soft edge.
    #[arg(long)]
    aperture: bool,
    /// Enlargements by 1.4 (pixels only) [default: 1, none].
    #[arg(long)]
    octaves: Option<usize>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Search")]
struct SearchArgs {
    /// adam, normalized-gradient or lbfgs.
    #[arg(long, value_parser = choice::<OptimizerKind>)]
    optimizer: Option<OptimizerKind>,
    /// Learning rate; 0 takes the optimizer's own.
    #[arg(long, value_name = "RATE")]
    learning_rate: Option<f64>,
    /// Share of the steps over which the learning rate falls to zero [default: 0.3].
    #[arg(long, value_name = "SHARE")]
    anneal: Option<f64>,
    /// Relative gain below which an item goes on to its last steps early; 0: never.
    #[arg(long)]
    tolerance: Option<f64>,
    /// No random views: what the network sees is exactly what is rendered, at every spatial frequency.
    #[arg(long, conflicts_with_all = ["jitter", "blur", "scale"])]
    plain: bool,
    /// Largest random shift in the loop, pixels [default: 2].
    #[arg(long, value_name = "PX")]
    jitter: Option<f64>,
    /// Largest random Gaussian blur in the loop, standard deviation in pixels [default: 1.3].
    #[arg(long, value_name = "PX")]
    blur: Option<f64>,
    /// Smallest and largest random zoom in the loop [default: 0.94,1.04].
    #[arg(long, value_name = "LOW,HIGH", value_parser = pair)]
    scale: Option<[f64; 2]>,
}

/// Runs the subcommand.
///
/// # Errors
/// The job's.
pub fn run(args: OrthogonalizeArgs) -> Result<()> {
    let mut config: Config = config_or_default(args.config.as_ref())?;
    let common = args.common.common("orthogonalize");
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

fn apply(args: OrthogonalizeArgs, config: &mut Config) {
    args.network.apply(&mut config.network);
    set(&mut config.taps, args.taps);
    set(&mut config.n_images, args.n_images);
    set(&mut config.steps, args.steps);
    set(&mut config.restarts, args.restarts);
    set(&mut config.seed, args.seed);
    set(&mut config.checkpoint_every, args.checkpoint_every);
    config.baseline = args.baseline.or(config.baseline.take());
    set(&mut config.resize, args.resize);
    set(&mut config.machine.device, args.device);
    let (o, from) = (&mut config.objective, args.objective);
    set(&mut o.measure, from.measure);
    set(&mut o.patterns, from.patterns);
    set(&mut o.penalty, from.penalty);
    set(&mut o.min_sd, from.min_sd);
    set(&mut o.sd_weight, from.sd_weight);
    o.target = from.target.or(o.target.take());
    o.target_rsms = from.target_rsms.or(o.target_rsms.take());
    apply_image(args.image, config);
    apply_search(args.search, config);
}

fn apply_image(from: ImageArgs, config: &mut Config) {
    let i = &mut config.image;
    set(&mut i.param, from.param);
    i.grey |= from.grey;
    set(&mut i.band_limit, from.band_limit);
    set(&mut i.decay, from.decay);
    set(&mut i.init, from.init);
    i.init_images = from.init_images.or(i.init_images.take());
    set(&mut i.init_sd, from.init_sd);
    i.equalise &= !from.no_equalise;
    set(&mut i.luminance, from.luminance);
    set(&mut i.contrast, from.contrast);
    i.aperture |= from.aperture;
    set(&mut i.octaves, from.octaves);
}

fn apply_search(from: SearchArgs, config: &mut Config) {
    let o = &mut config.optimizer;
    set(&mut o.kind, from.optimizer);
    set(&mut o.learning_rate, from.learning_rate);
    set(&mut o.anneal, from.anneal);
    set(&mut o.tolerance, from.tolerance);
    let r = &mut config.robust;
    r.enabled &= !from.plain;
    set(&mut r.jitter, from.jitter);
    set(&mut r.blur, from.blur);
    set(&mut r.scale, from.scale);
    if from.plain && config.image.band_limit == Config::default().image.band_limit {
        config.image.band_limit = 0.0;
    }
}

/// The headline numbers in a few lines.
fn summary(results: &Value) -> String {
    let number = |stage: &str, key: &str| results[stage][key].as_f64();
    let mut lines = vec![format!(
        "{} images, {} layers, {} steps; chance level of mean |R| {:.3}",
        results["n_images"],
        results["taps"].as_array().map_or(0, Vec::len),
        results["steps"],
        results["chance_mean_abs_r"].as_f64().unwrap_or(f64::NAN)
    )];
    lines.push(format!("{:<10} {:>8} {:>8} {:>11}", "", "mean |R|", "max |R|", "min RSM sd"));
    for stage in ["baseline", "start", "final", "exported", "robust"] {
        let numbers = ["mean_abs_r", "max_abs_r", "rsm_sd_min"].map(|key| number(stage, key));
        if let [Some(mean), Some(max), Some(sd)] = numbers {
            lines.push(format!("{stage:<10} {mean:>8.3} {max:>8.3} {sd:>11.3}"));
        }
    }
    lines.join("\n")
}
