//! Flags of `orthoscope predict`.

use crate::image::resize::Resize;
use crate::job::flags::{MachineFlags, choice};
use crate::job::inputs::targets::{Axis, Matching};
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;

/// A partial configuration.
#[derive(Debug, Default, Args, Serialize)]
pub struct Flags {
    /// The fitted model: a run directory of fit, or a file model.safetensors.
    #[arg(long)]
    model: Option<String>,
    /// Targets, separated by commas: names (* stands for anything), numbers (7, 0-8), all.
    #[arg(long = "unit", value_name = "UNITS", value_delimiter = ',')]
    units: Option<Vec<String>>,
    /// Images: folder, zip, npy or stimuli.tsv.
    #[arg(long, value_name = "IMAGES")]
    images: Option<PathBuf>,
    /// How images are brought to the input size: stretch, crop or pad [default: as for the fit].
    #[arg(long, value_parser = choice::<Resize>)]
    resize: Option<Resize>,
    /// Ready features of the stimuli: .npy or .npz; may be repeated.
    #[arg(long, value_name = "FILE")]
    features: Option<Vec<PathBuf>>,
    /// Table with the stimulus of each of their rows.
    #[arg(long, value_name = "TABLE")]
    feature_rows: Option<PathBuf>,
    #[command(flatten)]
    targets: TargetFlags,
    /// Targets in the figures.
    #[arg(long, value_name = "N")]
    n_best: Option<usize>,
    /// Images of each in the mosaic.
    #[arg(long, value_name = "N")]
    n_top: Option<usize>,
    /// Images in one batch.
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    #[command(flatten)]
    machine: MachineFlags,
}

#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Recorded responses")]
struct TargetFlags {
    /// Responses to compare with: npy, npz, HDF5, NIfTI, GIFTI, CIFTI-2, csv or tsv; may be
    /// repeated.
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
}
