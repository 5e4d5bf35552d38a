//! Flags of `orthoscope adversarial`.

use super::{Aim, Method};
use crate::image::resize::Resize;
use crate::image::{Equal, Norm};
use crate::job::flags::{MachineFlags, NetworkFlags, UnitFlags, choice};
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
    /// Base images: folder, zip or npy.
    #[arg(long, value_name = "IMAGES")]
    images: Option<PathBuf>,
    /// Bring base images of another size to the network's: stretch, crop or pad; an error without.
    #[arg(long, value_parser = choice::<Resize>)]
    resize: Option<Resize>,
    /// Only the first so many base images; 0: all.
    #[arg(long, short)]
    n_images: Option<usize>,
    /// response (up and down), or margin (a classifier's answer).
    #[arg(long, value_parser = choice::<Aim>)]
    aim: Option<Aim>,
    /// l1-mean, l2 or linf.
    #[arg(long, value_parser = choice::<Norm>)]
    norm: Option<Norm>,
    /// Radii, separated by commas, in levels of 0..255.
    #[arg(long, value_name = "LEVELS", value_delimiter = ',')]
    epsilon: Option<Vec<f64>>,
    /// Smallest radius that reaches a response (2.5), natural standard deviations (1sd) or another
    /// answer (other).
    #[arg(long, value_name = "TARGET")]
    minimal: Option<String>,
    /// pgd, fgsm or adam.
    #[arg(long, value_parser = choice::<Method>)]
    method: Option<Method>,
    /// Steps.
    #[arg(long)]
    steps: Option<usize>,
    /// Step as a share of the radius [default: 2.5 / steps]; adam: levels of 0..255 [default: 2].
    #[arg(long, value_name = "RATE")]
    learning_rate: Option<f64>,
    /// Smoothing of gradients, standard deviation in pixels.
    #[arg(long, value_name = "PX")]
    smooth: Option<f64>,
    /// Hold of the base image: nothing, luminance or contrast (both).
    #[arg(long, value_parser = choice::<Equal>)]
    equal: Option<Equal>,
    /// Random perturbations of equal size for each image.
    #[arg(long, value_name = "N")]
    n_random: Option<usize>,
    /// Natural images, whose responses give the scale of changes: folder, zip or npy.
    #[arg(long, value_name = "IMAGES")]
    natural: Option<PathBuf>,
    /// Another model to show the images to; MODEL or MODEL=UNIT+UNIT...; may be repeated.
    #[arg(long, value_name = "MODEL")]
    check: Option<Vec<String>>,
    /// Seed of every random draw.
    #[arg(long)]
    seed: Option<u64>,
    /// Images in one batch.
    #[arg(long)]
    batch: Option<usize>,
    #[command(flatten)]
    machine: MachineFlags,
}
