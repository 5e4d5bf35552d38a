//! Every job of the table as a subcommand; `run FILE` and `resume DIR`.

use super::common::CommonArgs;
use super::keys::{in_common_flags, in_flags, with_defaults};
use crate::error::{Error, Result};
use crate::job::configuration::File;
use crate::job::{self, Entry, Given, Manifest, run_dir};
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, value_parser};
use std::path::PathBuf;

/// The subcommand of a job: `--config`, its own flags with their defaults, and those of every run.
pub fn command(entry: &Entry) -> Command {
    let config = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("Configuration file (TOML); DIR/config.toml of any run is a complete example");
    let flags = with_defaults((entry.flags.augment)(Command::new(entry.name).arg(config)), entry);
    // A negative number is a value that the job refuses by name, no flag.
    let flags = flags.mut_args(|arg| match arg.get_action().takes_values() {
        true => arg.allow_negative_numbers(true),
        false => arg,
    });
    // The structs of flags would put their own documentation there.
    CommonArgs::augment_args(flags).about(entry.about).long_about(None)
}

/// Runs a job from its flags.
///
/// # Errors
/// The job's, in words of its flags.
pub fn run(entry: &Entry, matches: &ArgMatches) -> Result<()> {
    let common = CommonArgs::from_arg_matches(matches).expect("the subcommand has these flags");
    let file = matches.get_one::<PathBuf>("config").map(|path| File::read(path)).transpose()?;
    let over = (entry.flags.given)(matches)?;
    if let Some((key, expected, hint)) = entry.requires
        && file.is_none()
        && !over.contains_key(key)
    {
        return Err(in_flags(entry, Error::invalid(key, expected, "none", hint)));
    }
    let given = Given { file, over };
    common.run(entry.command, |session| (entry.run)(given, session)).map_err(|e| in_flags(entry, e))
}

/// Flags of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Configuration (TOML) with its `command`.
    file: PathBuf,
    #[command(flatten)]
    common: CommonArgs,
}

/// Runs a job from its file.
///
/// # Errors
/// The job's; [`Error::Invalid`] for a file that names no job.
pub fn run_file(args: RunArgs) -> Result<()> {
    let stem = args.file.file_stem().map_or_else(|| "run".into(), |s| s.to_string_lossy().into_owned());
    let file = File::read(&args.file)?;
    let entry = job::of_command(file.command()?, file.at())?;
    let given = Given { file: Some(file), ..Given::default() };
    args.common.run(&stem, |session| (entry.run)(given, session)).map_err(|e| in_common_flags(e, &[]))
}

/// Flags of `resume`.
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// Run directory that was interrupted.
    dir: PathBuf,
    #[command(flatten)]
    common: CommonArgs,
}

/// Continues a run directory.
///
/// # Errors
/// The job's; [`Error::RunDir`] when DIR is not a run.
pub fn resume(args: ResumeArgs) -> Result<()> {
    let refuse = |found: &str, hint: &str| Error::RunDir {
        path: args.dir.clone(),
        expected: "a run directory with manifest.json and config.toml".into(),
        found: found.into(),
        hint: hint.into(),
    };
    let dir = std::path::absolute(&args.dir).map_err(Error::io(&args.dir, "find"))?;
    run_dir::settle(&dir)?;
    let Some(work) = run_dir::unfinished(&dir) else {
        return Err(refuse("none", "give the directory that --out named"));
    };
    let config = work.join("config.toml");
    if !config.exists() {
        let hint = "the run was stopped before it began: give its own command again, with --resume or --force";
        return Err(refuse("no config.toml", hint));
    }
    let file = File::read(&config)?;
    // Its relative paths are meant from where the run began.
    let began = Manifest::read(&work.join("manifest.json"))?.directory;
    if began.is_absolute() && began.is_dir() && std::env::current_dir().ok().as_ref() != Some(&began) {
        std::env::set_current_dir(&began).map_err(Error::io(&began, "go to"))?;
    }
    let common = CommonArgs { out: Some(dir), resume: true, force: false, ..args.common };
    let entry = job::of_command(file.command()?, file.at())?;
    let given = Given { file: Some(file), ..Given::default() };
    common.run("resume", |session| (entry.run)(given, session)).map_err(|e| in_common_flags(e, &[]))
}
