//! Flags of `orthoscope rdm`.

use super::Bootstrap;
use crate::image::resize::Resize;
use crate::job::flags::{MachineFlags, NetworkFlags, choice};
use crate::network::SpatialPooling;
use crate::rdm::{Comparison, Measure};
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
    /// Images: folder, zip, npy or stimuli.tsv.
    #[arg(long, value_name = "IMAGES")]
    images: Option<PathBuf>,
    /// How images are brought to the input size: stretch, crop or pad.
    #[arg(long, value_parser = choice::<Resize>)]
    resize: Option<Resize>,
    /// correlation, cosine, euclidean or squared_euclidean.
    #[arg(long, value_parser = choice::<Measure>)]
    measure: Option<Measure>,
    /// Patterns over all units (full) or channel means (gap).
    #[arg(long, value_parser = choice::<SpatialPooling>)]
    patterns: Option<SpatialPooling>,
    /// RDMs to compare with: npy or npz, square or condensed, one or many; may be repeated.
    #[arg(long, value_name = "RDM")]
    compare: Option<Vec<PathBuf>>,
    /// What the permutation p is of: spearman, pearson, kendall_tau_a or cosine.
    #[arg(long, value_parser = choice::<Comparison>)]
    statistic: Option<Comparison>,
    /// Relabellings of the images.
    #[arg(long, value_name = "N")]
    n_permutations: Option<usize>,
    /// Seed of the relabellings.
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    inference: InferenceFlags,
    #[command(flatten)]
    machine: MachineFlags,
}

#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Subjects")]
struct InferenceFlags {
    /// Take each --compare array of several RDMs as subjects and test the layers as models of them,
    /// for other subjects, other images or both: none, subjects, images or both [default: no such
    /// test].
    #[arg(long, value_name = "WHAT", value_parser = choice::<Bootstrap>)]
    bootstrap: Option<Bootstrap>,
    /// Resamples of that test.
    #[arg(long, value_name = "N")]
    n_bootstraps: Option<usize>,
    /// Coverage of its intervals.
    #[arg(long, value_name = "SHARE")]
    level: Option<f64>,
}
