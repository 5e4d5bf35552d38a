//! Flags of `orthoscope compress`.

use super::config::{Amount, By, Norms};
use crate::compression::Scope;
use crate::compression::connections::{Clustering, Reach};
use crate::image::resize::Resize;
use crate::job::flags::{MachineFlags, NetworkFlags, choice};
use crate::job::inputs::targets::{Axis, Matching};
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;

/// A partial configuration.
#[derive(Debug, Default, Args, Serialize)]
pub struct Flags {
    #[command(flatten)]
    network: NetworkFlags,
    /// Images that the network is judged on: a folder for each class, a folder, zip, npy or
    /// stimuli.tsv.
    #[arg(long, value_name = "IMAGES")]
    images: Option<PathBuf>,
    /// Images that the reported scores are on, like --images [default: a share of --images].
    #[arg(long, value_name = "IMAGES")]
    test_images: Option<PathBuf>,
    /// Share of the images, of each class, that is kept for the reported scores.
    #[arg(long, value_name = "SHARE")]
    test_share: Option<f64>,
    /// Table with the class of each image: its name, or the number of the output.
    #[arg(long, value_name = "TSV")]
    labels: Option<PathBuf>,
    /// Names of the network's outputs: text, one a line.
    #[arg(long, value_name = "FILE")]
    classes: Option<PathBuf>,
    /// How images are brought to the input size: stretch, crop or pad.
    #[arg(long, value_parser = choice::<Resize>)]
    resize: Option<Resize>,
    #[command(flatten)]
    targets: TargetFlags,
    /// Targets that the outputs are, in their order, separated by commas: names, numbers.
    #[arg(long, value_name = "TARGETS", value_delimiter = ',')]
    outputs: Option<Vec<String>>,
    #[command(flatten)]
    prune: PruneFlags,
    #[command(flatten)]
    fine_tune: FineTuneFlags,
    #[command(flatten)]
    connections: ConnectionFlags,
    #[command(flatten)]
    codebook: CodebookFlags,
    /// Images in one batch.
    #[arg(long, value_name = "N", help_heading = "Options")]
    batch: Option<usize>,
    /// Seed of the split, of random importance and of the order of images.
    #[arg(long, help_heading = "Options")]
    seed: Option<u64>,
    #[command(flatten)]
    machine: MachineFlags,
}

#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Recorded responses")]
struct TargetFlags {
    /// Responses that the outputs are compared with: npy, npz, HDF5, NIfTI, GIFTI, CIFTI-2, csv or
    /// tsv; may be repeated.
    #[arg(long = "targets", value_name = "FILE")]
    files: Option<Vec<PathBuf>>,
    /// Axes of an array, separated by commas: targets, rows, repeats.
    #[arg(long, value_delimiter = ',', value_parser = choice::<Axis>)]
    axes: Option<Vec<Axis>>,
    /// The stimulus of each of their rows: text, one a line, or a table.
    #[arg(long, value_name = "TABLE")]
    ids: Option<PathBuf>,
    /// How rows and stimuli find each other: ids or order.
    #[arg(id = "match", long = "match", value_name = "HOW", value_parser = choice::<Matching>)]
    #[serde(rename = "match")]
    matching: Option<Matching>,
    /// Names of the targets.
    #[arg(id = "targets.names", long = "target-names", value_name = "FILE")]
    names: Option<PathBuf>,
}

#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Channels")]
struct PruneFlags {
    /// By what channels are judged: car, rar, l1, taylor, variance, random or layerwise-variance.
    #[arg(long, value_parser = choice::<By>)]
    by: Option<By>,
    /// Layers that are pruned, separated by commas [default: all].
    #[arg(long, value_delimiter = ',', value_name = "LAYERS")]
    layers: Option<Vec<String>>,
    /// Which channels compete: layer (all layers lose the same share), global or isomorphic.
    #[arg(long, value_parser = choice::<Scope>)]
    scope: Option<Scope>,
    /// Channels of the pruned layers that stay: a number, or a share with a point (0.5).
    #[arg(long, value_name = "N|SHARE", value_parser = amount)]
    keep: Option<Amount>,
    /// Largest drop of the score, on the images that channels are judged on.
    #[arg(long, value_name = "DROP", allow_negative_numbers = true)]
    max_drop: Option<f64>,
    /// Channels that go between two judgements: a number, or a share [default: 1 for car and rar,
    /// else 0.05].
    #[arg(long, value_name = "N|SHARE", value_parser = amount)]
    at_once: Option<Amount>,
    /// Channels that each layer keeps at least.
    #[arg(long, value_name = "N")]
    minimum: Option<usize>,
    /// Share of the next layer's variance that layerwise-variance leaves.
    #[arg(long, value_name = "SHARE")]
    share: Option<f64>,
}

#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Fine-tuning")]
struct FineTuneFlags {
    /// Passes through the images that channels were judged on.
    #[arg(long = "fine-tune", value_name = "EPOCHS")]
    epochs: Option<usize>,
    /// Learning rate of the first step.
    #[arg(long)]
    rate: Option<f64>,
    /// Images of a step.
    #[arg(id = "fine_tune.batch", long = "tune-batch", value_name = "N")]
    batch: Option<usize>,
    /// What batch norms normalise with: stored or batch.
    #[arg(long, value_parser = choice::<Norms>)]
    normalisation: Option<Norms>,
}

#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Connections")]
struct ConnectionFlags {
    /// Share of the weights of convolutions and linear layers that become 0, the smallest first.
    #[arg(id = "connections.share", long = "connections", value_name = "SHARE")]
    share: Option<f64>,
    /// Which weights are compared with each other: layer or global.
    #[arg(long, value_parser = choice::<Reach>)]
    reach: Option<Reach>,
}

#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Connections")]
struct CodebookFlags {
    /// Bits of a weight: each layer has 2^BITS different ones, which are Huffman-coded.
    #[arg(long = "codebook", value_name = "BITS")]
    bits: Option<u32>,
    /// Bits of the number of zeros between two weights.
    #[arg(long, value_name = "BITS")]
    index_bits: Option<u32>,
    /// How weights are clustered: linear (as published) or exact.
    #[arg(long, value_parser = choice::<Clustering>)]
    clustering: Option<Clustering>,
}

/// A whole number, or a share where there is a point.
fn amount(text: &str) -> Result<Amount, String> {
    let wrong = || "expected a number of channels (20) or a share of them (0.5)".to_owned();
    match text.contains('.') {
        true => text.parse().map(Amount::Share).map_err(|_| wrong()),
        false => text.parse().map(Amount::Number).map_err(|_| wrong()),
    }
}
