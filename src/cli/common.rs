//! Flags that every job has, and how results reach the user.

use crate::error::{Error, Result};
use crate::job::common::{Common, read_config, set_threads};
use crate::job::model::NetworkConfig;
use crate::job::{Manifest, ProgressStyle};
use clap::Args;
use serde::Deserialize;
use serde::de::value::{Error as ValueError, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Flags that every job has.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Run")]
pub struct CommonArgs {
    /// Run directory to create.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Threads; default: SLURM_CPUS_PER_TASK, else all cores.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// Check everything and print the plan; write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Continue DIR if it holds an unfinished run of the same configuration.
    #[arg(long, conflicts_with = "force")]
    pub resume: bool,
    /// Replace an earlier run in DIR.
    #[arg(long)]
    pub force: bool,
    /// auto, bar, lines or none.
    #[arg(long, value_name = "STYLE", default_value = "auto", value_parser = choice::<ProgressStyle>)]
    pub progress: ProgressStyle,
    /// No progress and no summary.
    #[arg(long, short)]
    pub quiet: bool,
    /// Print the results object to standard output.
    #[arg(long)]
    pub json: bool,
}

/// Flags that name a network.
#[derive(Debug, Clone, Default, Args)]
pub struct NetworkArgs {
    /// Network: a name, a model directory, or a file to import [default: mini-inception].
    #[arg(long)]
    pub model: Option<String>,
    /// Architecture of a PyTorch state dict.
    #[arg(long)]
    pub arch: Option<String>,
    /// Preprocessing of a bare file: caffe, keras-caffe, torchvision, lucid, v4, unit or raw.
    #[arg(long)]
    pub preprocess: Option<String>,
}

impl NetworkArgs {
    /// Overrides what was given.
    pub fn apply(self, config: &mut NetworkConfig) {
        set(&mut config.model, self.model);
        config.arch = self.arch.or(config.arch.take());
        config.preprocess = self.preprocess.or(config.preprocess.take());
    }
}

/// Overrides a field when its flag was given.
pub fn set<T>(slot: &mut T, given: Option<T>) {
    if let Some(value) = given {
        *slot = value;
    }
}

/// Overrides a list when its flag was given at least once.
pub fn set_list<T>(slot: &mut Vec<T>, given: Vec<T>) {
    if !given.is_empty() {
        *slot = given;
    }
}

/// The configuration that `--config` names, or the defaults.
///
/// # Errors
/// As [`read_config`].
pub fn config_or_default<T: DeserializeOwned + Default>(path: Option<&PathBuf>) -> Result<T> {
    path.map_or_else(|| Ok(T::default()), |path| read_config(path))
}

impl CommonArgs {
    /// As the jobs take them; `default_out` names the directory when `--out` does not.
    pub fn common(&self, default_out: &str) -> Common {
        set_threads(self.threads.map(usize::from));
        Common {
            out: self.out.clone().unwrap_or_else(|| Path::new("outputs").join(default_out)),
            dry_run: self.dry_run,
            resume: self.resume,
            force: self.force,
            progress: if self.quiet { ProgressStyle::None } else { self.progress },
            quiet: self.quiet,
            json: self.json,
        }
    }
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

/// Prints a job's results: JSON to standard output when asked for, else a summary and the warnings to standard error.
///
/// # Errors
/// [`Error::Io`] when standard output is closed.
pub fn show(common: &Common, results: &Value, summary: &str) -> Result<()> {
    if common.json {
        print_json(results)?;
    }
    if common.quiet {
        return Ok(());
    }
    if common.dry_run {
        if !common.json {
            print_json(results)?;
        }
        return Ok(());
    }
    eprintln!("{summary}");
    if let Ok(manifest) = Manifest::read(&common.out.join("manifest.json")) {
        for text in &manifest.warning_texts {
            eprintln!("warning: {text}");
        }
    }
    eprintln!("report: {}", common.out.join("report.html").display());
    Ok(())
}

/// One JSON value, indented, to standard output.
///
/// # Errors
/// [`Error::Io`] when standard output is closed.
pub fn print_json(value: &Value) -> Result<()> {
    use std::io::Write;
    let text = serde_json::to_string_pretty(value).expect("a JSON value can be written");
    writeln!(std::io::stdout(), "{text}").map_err(Error::io("standard output", "write"))
}
