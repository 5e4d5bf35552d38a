//! `orthoscope report`

use crate::error::Result;
use clap::Args;
use std::path::PathBuf;

/// Flags of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Run directory.
    dir: PathBuf,
    /// Say nothing but errors.
    #[arg(short, long)]
    quiet: bool,
}

/// Runs the subcommand.
///
/// # Errors
/// [`crate::Error::Io`] or [`crate::Error::Corrupt`] when DIR is not a run.
pub fn run(args: &ReportArgs) -> Result<()> {
    let page = crate::job::report(&args.dir)?;
    if !args.quiet {
        super::say(format_args!("report: {}", page.display()));
    }
    Ok(())
}
