//! `orthoscope run FILE` and `orthoscope resume DIR`: any job from its configuration.

use super::common::CommonArgs;
use super::{adversarial, group, map, maximize, orthogonalize, rdm};
use crate::error::{Error, Result};
use crate::job::common::{Common, parse_config};
use clap::Args;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Flags of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Configuration (TOML) with its `command`.
    file: PathBuf,
    #[command(flatten)]
    common: CommonArgs,
}

/// Flags of `resume`.
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// Run directory that was interrupted.
    dir: PathBuf,
    #[command(flatten)]
    common: CommonArgs,
}

/// The one field that all configurations share.
#[derive(Deserialize)]
struct Named {
    command: String,
}

/// Runs a job from its file.
///
/// # Errors
/// The job's; [`Error::Invalid`] for a file that names no job.
pub fn run(args: RunArgs) -> Result<()> {
    let stem = args.file.file_stem().map_or_else(|| "run".into(), |s| s.to_string_lossy().into_owned());
    let common = args.common.common(&stem);
    dispatch(&args.file, &common)
}

/// Continues a run directory.
///
/// # Errors
/// The job's; [`Error::RunDir`] when DIR is not a run.
pub fn resume(args: ResumeArgs) -> Result<()> {
    let config = args.dir.join("config.toml");
    if !config.exists() {
        return Err(Error::RunDir {
            path: args.dir,
            expected: "a run directory with config.toml".into(),
            found: "none".into(),
            hint: "give the directory that --out named".into(),
        });
    }
    let mut common = args.common.common("resume");
    common.out = args.dir;
    common.resume = true;
    common.force = false;
    dispatch(&config, &common)
}

fn dispatch(file: &Path, common: &Common) -> Result<()> {
    let text = std::fs::read_to_string(file).map_err(Error::io(file, "read"))?;
    let at = file.display().to_string();
    let table: toml::Table = parse_config(&text, &at)?;
    let named: Named = table
        .clone()
        .try_into()
        .map_err(|_| Error::invalid(&at, "a `command`", "none", "write `command = \"orthogonalize\"` into it"))?;
    match named.command.as_str() {
        "orthogonalize" => orthogonalize::run_config(parse_config(&text, &at)?, common),
        "rdm" => rdm::run_config(parse_config(&text, &at)?, common),
        "maximize" => maximize::run_config(parse_config(&text, &at)?, common),
        "adversarial" => adversarial::run_config(parse_config(&text, &at)?, common),
        "map" => map::run_config(parse_config(&text, &at)?, common),
        "group" => group::run_config(parse_config(&text, &at)?, common),
        other => Err(Error::invalid(
            &at,
            "command orthogonalize, maximize, adversarial, rdm, map or group",
            format!("`{other}`"),
            "",
        )),
    }
}
