//! What the flags of several jobs share. A job's flags are a partial configuration: a field is
//! called as its key is, and nests as its section does; what was not given is absent.

use clap::Args;
use serde::Serialize;
use serde::de::value::{Error as ValueError, StrDeserializer};
use serde::de::{Deserialize, IntoDeserializer};

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
