//! Flags of `orthoscope maximize`.

use super::{Direction, MaskKind, Method, ParamKind};
use crate::image::resize::Resize;
use crate::job::flags::{MachineFlags, NetworkFlags, UnitFlags, choice, pair};
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;

/// A partial configuration.
#[derive(Debug, Default, Args, Serialize)]
pub struct Flags {
    #[command(flatten)]
    network: NetworkFlags,
    #[command(flatten)]
    #[serde(flatten)]
    units: UnitFlags,
    /// max, min or both.
    #[arg(long, value_parser = choice::<Direction>)]
    direction: Option<Direction>,
    /// Drive to this percentile of the natural responses instead of the extreme.
    #[arg(long, value_name = "P")]
    to_percentile: Option<f64>,
    /// One objective over several units (TOML with [[drive]], [[hold]] and [[suppress]]).
    #[arg(long, value_name = "FILE")]
    population: Option<PathBuf>,
    /// Another model whose response should go the other way, MODEL or MODEL=UNIT+UNIT: images that
    /// one likes and the other does not.
    #[arg(long, value_name = "MODEL")]
    against: Option<String>,
    /// Images to start from instead of noise: folder, zip or npy; one per restart.
    #[arg(long, value_name = "IMAGES")]
    init_images: Option<PathBuf>,
    /// cowley, adam, phase-only, blocks or natural.
    #[arg(long, value_parser = choice::<Method>)]
    method: Option<Method>,
    /// Optimisation steps.
    #[arg(long)]
    steps: Option<usize>,
    /// Independent starts per unit and direction; the best is kept.
    #[arg(long)]
    restarts: Option<usize>,
    /// Images kept per unit and direction.
    #[arg(long, short)]
    n_images: Option<usize>,
    /// Weight of the likeness between them, subtracted, in standard deviations of the response.
    #[arg(long, value_name = "W")]
    diversity: Option<f64>,
    /// Layer whose activations should differ; pixels by default.
    #[arg(long, value_name = "TAP")]
    diversity_tap: Option<String>,
    /// Seed of every random draw.
    #[arg(long)]
    seed: Option<u64>,
    /// Steps between two checkpoints of a batch.
    #[arg(long, value_name = "STEPS")]
    checkpoint_every: Option<usize>,
    /// Natural images, the scale that responses are measured on: folder, zip or npy.
    #[arg(long, value_name = "IMAGES")]
    natural: Option<PathBuf>,
    /// Another model to show the images to; MODEL or MODEL=UNIT+UNIT...; may be repeated.
    #[arg(long, value_name = "MODEL")]
    check: Option<Vec<String>>,
    /// How natural images are brought to the input size: stretch, crop or pad.
    #[arg(long, value_parser = choice::<Resize>)]
    resize: Option<Resize>,
    #[command(flatten)]
    machine: MachineFlags,
    #[command(flatten)]
    image: ImageFlags,
    #[command(flatten)]
    search: SearchFlags,
}

#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Images")]
struct ImageFlags {
    /// Grey images.
    #[arg(long, num_args = 0, default_missing_value = "true", hide_possible_values = true)]
    grey: Option<bool>,
    /// Hold the mean luminance and RMS contrast of every image (--luminance, --contrast).
    #[arg(long, num_args = 0, default_missing_value = "true", hide_possible_values = true)]
    equalise: Option<bool>,
    /// Mean luminance, 0..1.
    #[arg(long)]
    luminance: Option<f64>,
    /// RMS contrast.
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
    /// Width of the mask's soft edge, pixels.
    #[arg(long, value_name = "PX")]
    mask_edge: Option<f64>,
    /// Pixels per degree of visual angle: sizes and places are then in degrees.
    #[arg(long, value_name = "PX")]
    px_per_degree: Option<f64>,
    /// What --method adam optimises: fourier or pixels.
    #[arg(long, value_parser = choice::<ParamKind>)]
    param: Option<ParamKind>,
    /// Cycles per pixel above which the Fourier spectrum is rolled off; 0: no limit.
    #[arg(long, value_name = "CPP")]
    band_limit: Option<f64>,
    /// Exponent of the 1/f scaling of the Fourier spectrum.
    #[arg(long)]
    decay: Option<f64>,
}

#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Search")]
struct SearchFlags {
    /// Step: levels of 0..255 for cowley [default: 10], Adam's rate otherwise [default: 0.05].
    #[arg(long, value_name = "RATE")]
    learning_rate: Option<f64>,
    /// Relative gain below which an image leaves the batch early; 0: never.
    #[arg(long)]
    tolerance: Option<f64>,
    /// cowley: smoothing of gradients and images, standard deviation in pixels.
    #[arg(long, value_name = "PX")]
    smooth: Option<f64>,
    /// cowley: steps between two blurs of the image; 0: never.
    #[arg(long, value_name = "STEPS")]
    blur_every: Option<usize>,
    #[command(flatten)]
    views: ViewFlags,
    /// blocks: candidates tried for each block.
    #[arg(long, value_name = "N")]
    candidates: Option<usize>,
}

#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Search")]
struct ViewFlags {
    /// Largest random shift of each image at each step, pixels (adam, phase-only).
    #[arg(long, value_name = "PX")]
    jitter: Option<f64>,
    /// Smallest and largest random zoom.
    #[arg(long, value_name = "LOW,HIGH", value_parser = pair)]
    scale: Option<[f64; 2]>,
    /// Largest random rotation, degrees.
    #[arg(long, value_name = "DEG")]
    rotate: Option<f64>,
    /// Largest random blur, standard deviation in pixels.
    #[arg(long, value_name = "PX")]
    blur: Option<f64>,
}
