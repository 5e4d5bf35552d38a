//! Flags of `orthoscope distill`.

use crate::image::resize::Resize;
use crate::job::flags::{MachineFlags, UnitFlags, choice};
use crate::job::inputs::targets::{Axis, Matching};
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;

/// A partial configuration.
#[derive(Debug, Default, Args, Serialize)]
pub struct Flags {
    #[command(flatten)]
    teacher: TeacherFlags,
    #[command(flatten)]
    #[serde(flatten)]
    units: UnitFlags,
    /// The models of a folder are one teacher: their mean.
    #[arg(long, num_args = 0, default_missing_value = "true", hide_possible_values = true)]
    ensemble: Option<bool>,
    /// Images that students learn from: folder, zip, npy or stimuli.tsv; may be repeated.
    #[arg(long, value_name = "IMAGES", num_args = 1..)]
    images: Option<Vec<PathBuf>>,
    /// How images are brought to size: stretch, crop or pad.
    #[arg(long, value_parser = choice::<Resize>)]
    resize: Option<Resize>,
    /// Images that students never learn from, drawn from all.
    #[arg(long, value_name = "N")]
    n_held: Option<usize>,
    #[command(flatten)]
    views: ViewFlags,
    /// Images of the recorded responses; students do not learn from them.
    #[arg(long, value_name = "IMAGES")]
    test_images: Option<PathBuf>,
    #[command(flatten)]
    targets: TargetFlags,
    #[command(flatten)]
    student: StudentFlags,
    #[command(flatten)]
    training: TrainingFlags,
    #[command(flatten)]
    prune: PruneFlags,
    #[command(flatten)]
    retraining: RetrainingFlags,
    /// Seed of every random draw.
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    machine: MachineFlags,
}

#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Teacher")]
struct TeacherFlags {
    /// Who teaches: a network, a fitted model (the run directory of a fit, or its file), or a
    /// folder of models.
    #[arg(id = "teacher.model", long = "teacher", value_name = "MODEL")]
    model: Option<String>,
    /// Architecture of a PyTorch state dict.
    #[arg(id = "teacher.arch", long = "arch", value_name = "ARCH")]
    arch: Option<String>,
    /// Preprocessing of a bare file: caffe, keras-caffe, torchvision, lucid, v4, unit or raw.
    #[arg(id = "teacher.preprocess", long = "preprocess", value_name = "PREPROCESS")]
    preprocess: Option<String>,
}

#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Views")]
struct ViewFlags {
    /// Views of every image: the image itself, and mirrored crops.
    #[arg(id = "views.n", long = "views", value_name = "N")]
    n: Option<usize>,
    /// Least side of a crop, as a share of the image's.
    #[arg(id = "views.zoom", long = "zoom", value_name = "SHARE")]
    zoom: Option<f64>,
    /// Mirror half of the crops (true or false).
    #[arg(id = "views.mirror", long = "mirror", value_name = "BOOL")]
    mirror: Option<bool>,
}

#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Recorded responses")]
struct TargetFlags {
    /// Responses to the test images: npy, npz, HDF5, NIfTI, GIFTI, CIFTI-2, csv or tsv; may be
    /// repeated.
    #[arg(id = "targets.files", long = "targets", value_name = "FILE")]
    files: Option<Vec<PathBuf>>,
    /// Axes of an array, separated by commas: targets, rows, repeats.
    #[arg(id = "targets.axes", long = "axes", value_delimiter = ',', value_parser = choice::<Axis>)]
    axes: Option<Vec<Axis>>,
    /// The stimulus of each row: text, one a line, or a table.
    #[arg(id = "targets.ids", long = "ids", value_name = "FILE")]
    ids: Option<PathBuf>,
    /// How rows and stimuli find each other: ids or order.
    #[arg(id = "targets.match", long = "match", value_name = "HOW", value_parser = choice::<Matching>)]
    #[serde(rename = "match")]
    matching: Option<Matching>,
    /// Names of the targets: those of the units.
    #[arg(id = "targets.names", long = "target-names", value_name = "FILE")]
    names: Option<PathBuf>,
}

#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Student")]
struct StudentFlags {
    /// Filters of each layer, separated by commas.
    #[arg(id = "student.widths", long = "widths", value_name = "N,N,...", value_delimiter = ',')]
    widths: Option<Vec<usize>>,
    /// One core for all units first; each unit's student begins as that core with its readout.
    #[arg(
        id = "student.shared",
        long = "shared",
        num_args = 0,
        default_missing_value = "true",
        hide_possible_values = true
    )]
    shared: Option<bool>,
}

#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Training")]
struct TrainingFlags {
    /// Passes over the images.
    #[arg(id = "training.epochs", long = "epochs", value_name = "N")]
    epochs: Option<usize>,
    /// Images of a step.
    #[arg(id = "training.batch", long = "batch", value_name = "N")]
    batch: Option<usize>,
    /// Learning rate at the beginning; a cosine takes it to 0.
    #[arg(id = "training.rate", long = "rate", value_name = "R")]
    rate: Option<f64>,
    /// Epochs without a better held-out score after which training ends; 0: never.
    #[arg(id = "training.patience", long = "patience", value_name = "N")]
    patience: Option<usize>,
}

#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Pruning")]
struct PruneFlags {
    /// Share of a layer's output that pruning leaves; 1: nothing is pruned.
    #[arg(id = "prune.share", long = "prune", value_name = "SHARE")]
    share: Option<f64>,
    /// Filters that a layer keeps at least.
    #[arg(id = "prune.minimum", long = "minimum", value_name = "N")]
    minimum: Option<usize>,
}

#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Pruning")]
struct RetrainingFlags {
    /// Passes over the images after pruning.
    #[arg(id = "retraining.epochs", long = "retrain", value_name = "N")]
    epochs: Option<usize>,
    /// Learning rate then.
    #[arg(id = "retraining.rate", long = "retrain-rate", value_name = "R")]
    rate: Option<f64>,
}
