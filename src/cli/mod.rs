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
use crate::data::shown;
use crate::error::Result;
use crate::job::JOBS;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use std::borrow::Cow;

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

/// A line for the user, whatever is in the names that it speaks of. Standard error may be gone with
/// its terminal: that stops nothing.
pub fn say(text: impl std::fmt::Display) {
    write(&shown::line(&text.to_string()));
}

/// Lines for the user, whose names are single lines already.
fn say_lines(text: &str) {
    write(&shown::lines(text));
}

fn write(text: &str) {
    use std::io::Write;
    writeln!(std::io::stderr(), "{text}").ok();
}

/// The command line as it was given, or what clap has to say of it, without what acts on a terminal
/// in the arguments that it repeats (names of files, by a shell's `*`).
pub fn matches() -> ArgMatches {
    command().try_get_matches().unwrap_or_else(|error| {
        let text = error.render().to_string();
        if let Cow::Owned(shown) = shown::lines(&text) {
            write(shown.trim_end());
            std::process::exit(error.exit_code());
        }
        error.exit()
    })
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
