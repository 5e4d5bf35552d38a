//! What the flags of several jobs share. A job's flags are a partial configuration: a field is
//! called as its key is, and nests as its section does; what was not given is absent.

use crate::job::inputs::targets::{Axis, MaskOrder, Matching, Repeats, Rows};
use clap::Args;
use serde::Serialize;
use serde::de::value::{Error as ValueError, StrDeserializer};
use serde::de::{Deserialize, IntoDeserializer};
use std::path::PathBuf;

/// Flags that name a network.
#[derive(Debug, Default, Args, Serialize)]
pub struct NetworkFlags {
    /// Network: a name, a model directory, a file to import, or a fitted model (the run directory of
    /// a fit, or its file).
    #[arg(long)]
    model: Option<String>,
    /// Architecture of a PyTorch state dict.
    #[arg(long)]
    arch: Option<String>,
    /// Preprocessing of a bare file: caffe, keras-caffe, torchvision, lucid, v4, unit or raw.
    #[arg(long)]
    preprocess: Option<String>,
}

/// Flags that name single units; their keys lie at the top of a configuration.
#[derive(Debug, Default, Args, Serialize)]
pub struct UnitFlags {
    /// Units, separated by commas: outputs (7, 0-8, all), TAP:CHANNEL, TAP:CHANNEL:ROW:COLUMN; for
    /// a folder of models or the targets of a fitted one their numbers or names (* stands for
    /// anything).
    #[arg(long = "unit", value_name = "UNITS", value_delimiter = ',')]
    units: Option<Vec<String>>,
    /// Leave out models of a folder that cannot be read.
    #[arg(long, num_args = 0, default_missing_value = "true", hide_possible_values = true)]
    skip_bad: Option<bool>,
}

/// Flags that name a device.
#[derive(Debug, Default, Args, Serialize)]
pub struct MachineFlags {
    /// cpu, or cuda[:N] in a build with that feature.
    #[arg(long)]
    device: Option<String>,
}

/// Reads one of an enum's names as it is written in configuration files.
///
/// # Errors
/// The names that there are.
pub fn choice<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, String> {
    let source: StrDeserializer<'_, ValueError> = text.into_deserializer();
    T::deserialize(source).map_err(|e| e.to_string())
}

/// Two numbers separated by a comma.
///
/// # Errors
/// What was expected.
pub fn pair(text: &str) -> Result<[f64; 2], String> {
    let numbers: Option<Vec<f64>> = text.split(',').map(|part| part.trim().parse().ok()).collect();
    numbers.and_then(|n| n.try_into().ok()).ok_or_else(|| "expected two numbers, as in 0.94,1.04".into())
}

/// Flags that say what is to be predicted: the section `[targets]`.
#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Targets")]
pub struct TargetsFlags {
    /// Responses or time series: npy, npz, HDF5 or MATLAB 7.3, NIfTI, GIFTI, CIFTI, csv or tsv; may
    /// be repeated.
    #[arg(id = "targets.files", long = "targets", value_name = "FILE", num_args = 1..)]
    files: Option<Vec<PathBuf>>,
    /// Array of an npz, or dataset of an HDF5 file.
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
    /// Axes of an array, separated by commas: targets, rows, repeats.
    #[arg(long, value_delimiter = ',', value_parser = choice::<Axis>)]
    axes: Option<Vec<Axis>>,
    /// What a row is: stimuli, trials or time.
    #[arg(long, value_parser = choice::<Rows>)]
    rows: Option<Rows>,
    /// Several responses to one stimulus: keep or average.
    #[arg(long, value_parser = choice::<Repeats>)]
    repeats: Option<Repeats>,
    /// The stimulus of each row: text, one name a line, or a table.
    #[arg(long, value_name = "FILE")]
    ids: Option<PathBuf>,
    /// Its column.
    #[arg(long, value_name = "NAME")]
    ids_column: Option<String>,
    /// How rows and stimuli find each other: ids or order.
    #[arg(id = "targets.match", long = "match", value_parser = choice::<Matching>)]
    #[serde(rename = "match")]
    matching: Option<Matching>,
    /// Table with one row a trial or sample.
    #[arg(long, value_name = "TSV")]
    trials: Option<PathBuf>,
    /// Its column of stimuli.
    #[arg(long, value_name = "NAME")]
    condition_column: Option<String>,
    /// Its column of runs.
    #[arg(long, value_name = "NAME")]
    run_column: Option<String>,
    /// Seconds between samples [default: the header's].
    #[arg(long = "tr", value_name = "SECONDS")]
    tr_s: Option<f64>,
    /// NIfTI mask of the targets.
    #[arg(long, value_name = "NIFTI")]
    mask: Option<PathBuf>,
    /// Order of a mask's voxels in an array: numpy or matlab.
    #[arg(long, value_parser = choice::<MaskOrder>)]
    mask_order: Option<MaskOrder>,
    /// Regions: a table, a label image, GIFTI or CIFTI labels, or an HDF5 file; may be repeated.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    rois: Option<Vec<PathBuf>>,
    /// Group of masks in that HDF5 file.
    #[arg(long, value_name = "NAME")]
    rois_group: Option<String>,
    /// Names of the numbers of a label image.
    #[arg(long, value_name = "TSV")]
    roi_names: Option<PathBuf>,
    /// Names of the targets.
    #[arg(id = "targets.names", long = "target-names", value_name = "FILE")]
    names: Option<PathBuf>,
}
