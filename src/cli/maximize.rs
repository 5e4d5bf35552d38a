//! `orthoscope maximize`

use super::common::{CommonArgs, NetworkArgs, choice, config_or_default, pair, set, set_list, show};
use crate::error::{Error, Result};
use crate::image::resize::Resize;
use crate::job::common::Common;
use crate::job::maximize::{self as job, Config, Direction, MaskKind, Method, ParamKind};
use clap::Args;
use serde_json::Value;
use std::path::PathBuf;

/// Flags of `maximize`; each one overrides the configuration file.
#[derive(Debug, Args)]
pub struct MaximizeArgs {
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
    /// max, min or both [default: max].
    #[arg(long, value_parser = choice::<Direction>)]
    direction: Option<Direction>,
    /// Drive to this percentile of the natural responses instead of the extreme.
    #[arg(long, value_name = "P")]
    to_percentile: Option<f64>,
    /// One objective over several units (TOML with [[drive]], [[hold]] and [[suppress]]).
    #[arg(long, value_name = "FILE")]
    population: Option<PathBuf>,
    /// Another model whose response should go the other way, MODEL or MODEL=UNIT+UNIT: images that one likes and the other does not.
    #[arg(long, value_name = "MODEL")]
    against: Option<String>,
    /// Images to start from instead of noise: folder, zip or npy; one per restart.
    #[arg(long, value_name = "IMAGES")]
    init_images: Option<PathBuf>,
    /// cowley, adam, phase-only, blocks or natural [default: cowley].
    #[arg(long, value_parser = choice::<Method>)]
    method: Option<Method>,
    /// Optimisation steps [default: 100].
    #[arg(long)]
    steps: Option<usize>,
    /// Independent starts per unit and direction; the best is kept [default: 9].
    #[arg(long)]
    restarts: Option<usize>,
    /// Images kept per unit and direction [default: 1].
    #[arg(long, short)]
    n_images: Option<usize>,
    /// Weight of the likeness between them, subtracted, in standard deviations of the response.
    #[arg(long, value_name = "W")]
    diversity: Option<f64>,
    /// Layer whose activations should differ; pixels by default.
    #[arg(long, value_name = "TAP")]
    diversity_tap: Option<String>,
    /// Seed of every random draw [default: 1].
    #[arg(long)]
    seed: Option<u64>,
    /// Steps between two checkpoints of a batch [default: 100].
    #[arg(long, value_name = "STEPS")]
    checkpoint_every: Option<usize>,
    /// Natural images, the scale that responses are measured on: folder, zip or npy.
    #[arg(long, value_name = "IMAGES")]
    natural: Option<PathBuf>,
    /// Another model to show the images to; MODEL or MODEL=UNIT+UNIT...; may be repeated.
    #[arg(long, value_name = "MODEL")]
    check: Vec<String>,
    /// How natural images are brought to the input size: stretch, crop or pad [default: stretch].
    #[arg(long, value_parser = choice::<Resize>)]
    resize: Option<Resize>,
    /// cpu, or cuda[:N] in a build with that feature.
    #[arg(long)]
    device: Option<String>,
    #[command(flatten)]
    image: ImageArgs,
    #[command(flatten)]
    search: SearchArgs,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Images")]
struct ImageArgs {
    /// Grey images.
    #[arg(long)]
    grey: bool,
    /// Hold the mean luminance and RMS contrast of every image (--luminance, --contrast).
    #[arg(long)]
    equalise: bool,
    /// Mean luminance, 0..1 [default: 0.5].
    #[arg(long)]
    luminance: Option<f64>,
    /// RMS contrast [default: 0.2].
    #[arg(long)]
    contrast: Option<f64>,
    /// Window onto even grey: none, rf (the unit's receptive field) or disc.
    #[arg(long, value_parser = choice::<MaskKind>)]
    mask: Option<MaskKind>,
    /// Diameter of --mask disc: pixels, or degrees with --px-per-degree.
    #[arg(long, value_name = "SIZE")]
    mask_diameter: Option<f64>,
    /// Its centre, down and to the right of the image's centre.
    #[arg(long, value_name = "DOWN,RIGHT", value_parser = pair, allow_hyphen_values = true)]
    mask_centre: Option<[f64; 2]>,
    /// Width of the mask's soft edge, pixels [default: 6].
    #[arg(long, value_name = "PX")]
    mask_edge: Option<f64>,
    /// Pixels per degree of visual angle: sizes and places are then in degrees.
    #[arg(long, value_name = "PX")]
    px_per_degree: Option<f64>,
    /// What --method adam optimises: fourier or pixels.
    #[arg(long, value_parser = choice::<ParamKind>)]
    param: Option<ParamKind>,
    /// Cycles per pixel above which the Fourier spectrum is rolled off; 0: no limit [default: 0.25].
    #[arg(long, value_name = "CPP")]
    band_limit: Option<f64>,
    /// Exponent of the 1/f scaling of the Fourier spectrum [default: 1].
    #[arg(long)]
    decay: Option<f64>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Search")]
struct SearchArgs {
    /// Step: levels of 0..255 for cowley [default: 10], Adam's rate otherwise [default: 0.05].
    #[arg(long, value_name = "RATE")]
    learning_rate: Option<f64>,
    /// Relative gain below which an image leaves the batch early; 0: never [default: 0].
    #[arg(long)]
    tolerance: Option<f64>,
    /// cowley: smoothing of gradients and images, standard deviation in pixels [default: 1].
    #[arg(long, value_name = "PX")]
    smooth: Option<f64>,
    /// cowley: steps between two blurs of the image; 0: never [default: 50].
    #[arg(long, value_name = "STEPS")]
    blur_every: Option<usize>,
    /// Largest random shift of each image at each step, pixels (adam, phase-only) [default: 4].
    #[arg(long, value_name = "PX")]
    jitter: Option<f64>,
    /// Smallest and largest random zoom [default: 0.95,1.05].
    #[arg(long, value_name = "LOW,HIGH", value_parser = pair)]
    scale: Option<[f64; 2]>,
    /// Largest random rotation, degrees [default: 5].
    #[arg(long, value_name = "DEG")]
    rotate: Option<f64>,
    /// Largest random blur, standard deviation in pixels [default: 0].
    #[arg(long, value_name = "PX")]
    blur: Option<f64>,
    /// blocks: candidates tried for each block [default: 64].
    #[arg(long, value_name = "N")]
    candidates: Option<usize>,
}

/// Runs the subcommand.
///
/// # Errors
/// The job's.
pub fn run(args: MaximizeArgs) -> Result<()> {
    let mut config: Config = config_or_default(args.config.as_ref())?;
    let common = args.common.common("maximize");
    apply(args, &mut config);
    run_config(config, &common)
}

/// Runs `controversial`: the same job, with two models.
///
/// # Errors
/// The job's; [`Error::Invalid`] without a second model.
pub fn run_controversial(args: MaximizeArgs) -> Result<()> {
    if args.against.is_none() && args.config.is_none() {
        return Err(Error::invalid(
            "--against",
            "a second model",
            "none",
            "--model likes the images, --against does not",
        ));
    }
    run(args)
}

/// Runs a configuration and shows its results.
///
/// # Errors
/// The job's.
pub fn run_config(config: Config, common: &Common) -> Result<()> {
    let results = job::run(config, common)?;
    show(common, &results, &summary(&results))
}

fn apply(args: MaximizeArgs, config: &mut Config) {
    args.network.apply(&mut config.network);
    set(&mut config.units, args.unit);
    config.skip_bad |= args.skip_bad;
    set(&mut config.direction, args.direction);
    config.to_percentile = args.to_percentile.or(config.to_percentile);
    config.population = args.population.or(config.population.take());
    config.against = args.against.or(config.against.take());
    config.init_images = args.init_images.or(config.init_images.take());
    set(&mut config.method, args.method);
    set(&mut config.steps, args.steps);
    set(&mut config.restarts, args.restarts);
    set(&mut config.n_images, args.n_images);
    set(&mut config.diversity, args.diversity);
    config.diversity_tap = args.diversity_tap.or(config.diversity_tap.take());
    set(&mut config.seed, args.seed);
    set(&mut config.checkpoint_every, args.checkpoint_every);
    config.natural = args.natural.or(config.natural.take());
    set_list(&mut config.check, args.check);
    set(&mut config.resize, args.resize);
    set(&mut config.machine.device, args.device);
    let (i, from) = (&mut config.image, args.image);
    i.grey |= from.grey;
    i.equalise |= from.equalise;
    set(&mut i.luminance, from.luminance);
    set(&mut i.contrast, from.contrast);
    set(&mut i.mask, from.mask);
    set(&mut i.mask_diameter, from.mask_diameter);
    set(&mut i.mask_centre, from.mask_centre);
    set(&mut i.mask_edge, from.mask_edge);
    i.px_per_degree = from.px_per_degree.or(i.px_per_degree);
    set(&mut i.param, from.param);
    set(&mut i.band_limit, from.band_limit);
    set(&mut i.decay, from.decay);
    let (s, from) = (&mut config.search, args.search);
    set(&mut s.learning_rate, from.learning_rate);
    set(&mut s.tolerance, from.tolerance);
    set(&mut s.smooth, from.smooth);
    set(&mut s.blur_every, from.blur_every);
    set(&mut s.views.jitter, from.jitter);
    set(&mut s.views.scale, from.scale);
    set(&mut s.views.rotate, from.rotate);
    set(&mut s.views.blur, from.blur);
    set(&mut s.candidates, from.candidates);
}

/// Most rows of the summary.
const ROWS: usize = 24;

/// One line per unit and direction.
fn summary(results: &Value) -> String {
    let number = |row: &Value, key: &str| row[key].as_f64().map_or_else(|| "–".into(), |v| format!("{v:.3}"));
    let mut lines = vec![format!(
        "{} units, {} images optimised, {:.1} a second",
        results["n_units"],
        results["n_images_optimised"],
        results["images_per_second"].as_f64().unwrap_or(f64::NAN)
    )];
    for (key, found) in results["summary"].as_object().into_iter().flatten() {
        lines.push(format!("{}: {} of {}", key.replace('_', " "), found["n"], found["of"]));
    }
    let columns = ["start", "final", "exported", "natural_min", "natural_max", "percentile"];
    let header = columns.map(|c| format!("{:>12}", c.replace('_', " "))).join("");
    lines.push(format!("{:<34} {:<6}{header}", "unit", ""));
    let rows = results["units"].as_array().map_or(&[][..], Vec::as_slice);
    for row in rows.iter().take(ROWS) {
        let text = |key: &str| row[key].as_str().unwrap_or("").to_owned();
        let numbers = columns.map(|c| format!("{:>12}", number(row, c))).join("");
        lines.push(format!("{:<34} {:<6}{numbers}", text("unit"), text("direction")));
    }
    if rows.len() > ROWS {
        lines.push(format!("... and {} more in manifest.json", rows.len() - ROWS));
    }
    lines.join("\n")
}
