//! The command line. A job's flags are in its own folder; here is what is done with them, and the
//! few subcommands that are no jobs.

mod common;
mod jobs;
mod keys;
pub mod models;
mod progress;
mod report;
mod signals;
mod threads;

use self::keys::in_common_flags;
use crate::error::Result;
use crate::job::JOBS;
use clap::{ArgMatches, Args, Command, FromArgMatches};

/// The program's whole command line.
pub fn command() -> Command {
    let jobs = JOBS.iter().map(jobs::command);
    Command::new("orthoscope")
        .about("From a network to a scanner-ready stimulus set, and from recordings back to the network")
        .version(env!("CARGO_PKG_VERSION"))
        .max_term_width(110)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(of::<models::ModelsArgs>("models", "Networks: list, inspect, import, check"))
        .subcommands(jobs)
        .subcommand(of::<report::ReportArgs>("report", "(Re)write report.html of a run directory"))
        .subcommand(of::<jobs::RunArgs>("run", "Run a job from its TOML file"))
        .subcommand(of::<jobs::ResumeArgs>("resume", "Continue an interrupted run"))
}

/// A line for the user. Standard error may be gone with its terminal: that stops nothing.
pub fn say(text: impl std::fmt::Display) {
    use std::io::Write;
    writeln!(std::io::stderr(), "{text}").ok();
}

fn of<A: Args>(name: &'static str, about: &'static str) -> Command {
    A::augment_args(Command::new(name)).about(about).long_about(None)
}

/// Runs what was asked for.
///
/// # Errors
/// The job's.
pub fn run(matches: &ArgMatches) -> Result<()> {
    threads::settle();
    let (name, own) = matches.subcommand().expect("clap requires a subcommand");
    match name {
        "models" => models::run(read(own)).map_err(|e| in_common_flags(e, &["arch", "preprocess", "name"])),
        "report" => report::run(&read(own)),
        "run" => jobs::run_file(read(own)),
        "resume" => jobs::resume(read(own)),
        _ => {
            let entry = JOBS.iter().find(|entry| entry.name == name);
            jobs::run(entry.expect("the other subcommands are the table's"), own)
        }
    }
}

fn read<A: FromArgMatches>(matches: &ArgMatches) -> A {
    A::from_arg_matches(matches).expect("clap has checked the flags of its own subcommand")
}
