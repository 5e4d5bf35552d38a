//! Flags that every job has, and how results reach the user.

use super::progress::Style;
use super::{signals, threads};
use crate::cancel::Cancel;
use crate::data::shown;
use crate::error::{Error, Result};
use crate::job::flags::choice;
use crate::job::{Finished, Manifest, Session};
use clap::Args;
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Flags that every job has.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Run")]
pub struct CommonArgs {
    /// Run directory to create.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Threads, at most 4 for each core; default: SLURM_CPUS_PER_TASK, else all cores.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// Check everything and print the plan; write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Continue DIR if it holds an unfinished run of the same configuration.
    #[arg(long)]
    pub resume: bool,
    /// Replace an earlier run in DIR when the new one is complete.
    #[arg(long)]
    pub force: bool,
    /// auto, bar, lines or none.
    #[arg(long, value_name = "STYLE", default_value = "auto", value_parser = choice::<Style>)]
    pub progress: Style,
    /// No progress and no summary.
    #[arg(long, short)]
    pub quiet: bool,
    /// Print the results object to standard output.
    #[arg(long)]
    pub json: bool,
}

impl CommonArgs {
    /// Runs `work` in a session on as many threads as were asked for, listening to signals, and
    /// shows what came of it. `default_out` names the directory below `outputs/` when `--out` does
    /// not.
    ///
    /// # Errors
    /// As `work`; [`Error::Invalid`] when the threads cannot be made; [`Error::Io`] when standard
    /// output is closed.
    pub fn run(&self, default_out: &str, work: impl FnOnce(&Session) -> Result<Finished> + Send) -> Result<()> {
        let session = Session {
            out: self.out.clone().unwrap_or_else(|| Path::new("outputs").join(default_out)),
            dry_run: self.dry_run,
            resume: self.resume,
            force: self.force,
            cancel: Cancel::default(),
            progress: if self.quiet { Style::None } else { self.progress }.sink(),
            began: Instant::now(),
        };
        signals::listen(&session.cancel);
        let finished = threads::on(self.threads.map(usize::from), || work(&session))??;
        self.show(&session, &finished)
    }

    /// JSON to standard output when asked for, else a summary and the warnings to standard error.
    fn show(&self, session: &Session, finished: &Finished) -> Result<()> {
        if self.json || self.dry_run && !self.quiet {
            print_json(&finished.results)?;
        }
        if self.quiet || self.dry_run {
            return Ok(());
        }
        super::say_lines(&finished.summary);
        if let Ok(manifest) = Manifest::read(&session.out.join("manifest.json")) {
            for text in &manifest.warning_texts {
                super::say(format_args!("warning: {text}"));
            }
        }
        super::say(format_args!("report: {}", session.out.join("report.html").display()));
        Ok(())
    }
}

/// One JSON value, indented, to standard output.
///
/// # Errors
/// [`Error::Io`] when standard output is closed.
pub fn print_json(value: &Value) -> Result<()> {
    let text = serde_json::to_string_pretty(value).expect("a JSON value can be written");
    writeln!(std::io::stdout(), "{}", shown::json(&text)).map_err(Error::io("standard output", "write"))
}
