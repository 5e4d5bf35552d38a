//! Flags of `orthoscope orthogonalize`.

use super::{InitKind, ParamKind};
use crate::image::resize::Resize;
use crate::job::flags::{MachineFlags, NetworkFlags, choice, pair};
use crate::network::SpatialPooling;
use crate::objective::{PatternSimilarity, Penalty};
use crate::synthesis::OptimizerKind;
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;

/// A partial configuration.
#[derive(Debug, Default, Args, Serialize)]
pub struct Flags {
    #[command(flatten)]
    network: NetworkFlags,
    /// Layers, aliases or presets, separated by commas [default: the model's own list].
    #[arg(long, value_delimiter = ',')]
    taps: Option<Vec<String>>,
    /// Images in the set.
    #[arg(long, short)]
    n_images: Option<usize>,
    /// Optimisation steps.
    #[arg(long)]
    steps: Option<usize>,
    /// Independent seeds; the best by the score of the written images is kept.
    #[arg(long)]
    restarts: Option<usize>,
    /// Seed of every random draw.
    #[arg(long)]
    seed: Option<u64>,
    /// Steps between two checkpoints.
    #[arg(long, value_name = "STEPS")]
    checkpoint_every: Option<usize>,
    /// Natural images to compare with: folder, zip or npy.
    #[arg(long, value_name = "IMAGES")]
    baseline: Option<PathBuf>,
    /// How images are brought to the input size: stretch, crop or pad.
    #[arg(long, value_parser = choice::<Resize>)]
    resize: Option<Resize>,
    #[command(flatten)]
    machine: MachineFlags,
    #[command(flatten)]
    objective: ObjectiveFlags,
    #[command(flatten)]
    image: ImageFlags,
    #[command(flatten)]
    optimizer: OptimizerFlags,
    #[command(flatten)]
    robust: RobustFlags,
}

#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Objective")]
struct ObjectiveFlags {
    /// First-order similarity: pearson, cosine or euclidean-kernel.
    #[arg(long, value_parser = choice::<PatternSimilarity>)]
    measure: Option<PatternSimilarity>,
    /// Patterns over all units (full) or channel means (gap).
    #[arg(long, value_parser = choice::<SpatialPooling>)]
    patterns: Option<SpatialPooling>,
    /// Penalty on R: mean-square, mean-abs, log-sum-exp or log-det.
    #[arg(long, value_parser = choice::<Penalty>)]
    penalty: Option<Penalty>,
    /// Standard deviation that every layer's RSM should keep.
    #[arg(long, value_name = "SD")]
    min_sd: Option<f64>,
    /// Weight of the hinge on it.
    #[arg(long, value_name = "W")]
    sd_weight: Option<f64>,
    /// Second-order matrix to reach instead of zero (npy, L x L).
    #[arg(long, value_name = "NPY")]
    target: Option<PathBuf>,
    /// RSMs to reach per layer (npy, L x N x N, NaN where free).
    #[arg(long, value_name = "NPY")]
    target_rsms: Option<PathBuf>,
}

#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Images")]
struct ImageFlags {
    /// What is optimised: fourier or pixels.
    #[arg(long, value_parser = choice::<ParamKind>)]
    param: Option<ParamKind>,
    /// Grey images.
    #[arg(long, num_args = 0, default_missing_value = "true", hide_possible_values = true)]
    grey: Option<bool>,
    /// Cycles per pixel above which the spectrum is rolled off; 0: no limit.
    #[arg(long, value_name = "CPP")]
    band_limit: Option<f64>,
    /// Exponent of the 1/f scaling of the spectrum.
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
    #[arg(long = "no-equalise", num_args = 0, default_missing_value = "false", hide_possible_values = true)]
    equalise: Option<bool>,
    /// Mean luminance of every image, 0..1.
    #[arg(long)]
    luminance: Option<f64>,
    /// RMS contrast of every image.
    #[arg(long)]
    contrast: Option<f64>,
    /// Circular aperture with a soft edge.
    #[arg(long, num_args = 0, default_missing_value = "true", hide_possible_values = true)]
    aperture: Option<bool>,
    /// Enlargements by 1.4 (pixels only) [default: 1, none].
    #[arg(long)]
    octaves: Option<usize>,
}

#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Search")]
struct OptimizerFlags {
    /// adam, normalized-gradient or lbfgs.
    #[arg(long = "optimizer", value_name = "OPTIMIZER", value_parser = choice::<OptimizerKind>)]
    kind: Option<OptimizerKind>,
    /// Learning rate; 0 takes the optimizer's own.
    #[arg(long, value_name = "RATE")]
    learning_rate: Option<f64>,
    /// Share of the steps over which the learning rate falls to zero.
    #[arg(long, value_name = "SHARE")]
    anneal: Option<f64>,
    /// Relative gain below which an item goes on to its last steps early; 0: never.
    #[arg(long)]
    tolerance: Option<f64>,
}

#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Search")]
struct RobustFlags {
    /// No random views: what the network sees is exactly what is rendered, at every spatial
    /// frequency.
    #[arg(long = "plain", conflicts_with_all = ["jitter", "blur", "scale"], num_args = 0, default_missing_value = "false", hide_possible_values = true)]
    enabled: Option<bool>,
    /// Largest random shift in the loop, pixels.
    #[arg(long, value_name = "PX")]
    jitter: Option<f64>,
    /// Largest random Gaussian blur in the loop, standard deviation in pixels.
    #[arg(long, value_name = "PX")]
    blur: Option<f64>,
    /// Smallest and largest random zoom in the loop.
    #[arg(long, value_name = "LOW,HIGH", value_parser = pair)]
    scale: Option<[f64; 2]>,
}
