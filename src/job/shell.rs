//! What every job is, and what is done around each of them once: plan, dry run, run directory,
//! warnings, report.

use super::configuration::Given;
use super::manifest::hashes;
use super::run_dir::{Opened, RunDir};
use super::session::Session;
use crate::error::{Error, Result};
use crate::io::source;
use crate::report::{self, Figures, Page};
use crate::warning::Warning;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A job: configuration -> checked plan -> work in a run directory -> results -> a few lines and a
/// page.
///
/// A folder under `job/` implements it, and one row of [`super::JOBS`] makes it a subcommand, a
/// `command` of configuration files and a page of reports. CONTRIBUTING.md shows a whole one.
pub trait Job: 'static {
    /// The subcommand, and `command` in configurations and manifests.
    const NAME: &'static str;
    /// One line for the list of subcommands.
    const ABOUT: &'static str;
    /// Heading of the report.
    const TITLE: &'static str;

    /// Everything that changes results; every key has a default.
    type Config: Serialize + DeserializeOwned + Default;
    /// A configuration with everything that it names read and checked.
    type Plan;
    /// What `manifest.json` holds under `results`.
    type Results: Serialize + DeserializeOwned;
    /// Flags: a partial configuration, nested as the configuration is.
    #[cfg(feature = "cli")]
    type Flags: clap::Args + Serialize + Default;

    /// What help shows as defaults: sections that are off by default are on in it.
    fn explained() -> Self::Config {
        Self::Config::default()
    }

    /// Writes out what a file or flags say in short, each by itself; see [`Given::resolve`].
    ///
    /// # Errors
    /// [`Error::Invalid`].
    fn settle(_given: &mut toml::Table) -> Result<()> {
        Ok(())
    }

    /// Reads and checks everything that a configuration names; writes nothing.
    ///
    /// # Errors
    /// Whatever is wrong with it.
    fn plan(config: Self::Config) -> Result<Self::Plan>;

    /// What the run directory must know of a plan.
    fn checked(plan: &Self::Plan) -> Checked<'_, Self::Config>;

    /// What `--dry-run` prints.
    ///
    /// # Errors
    /// What sizing the work says.
    fn describe(plan: &Self::Plan) -> Result<Value>;

    /// Does the work, or what an earlier process left of it.
    ///
    /// # Errors
    /// [`Error::Interrupted`] after a checkpoint; whatever computing and writing say.
    fn execute(plan: &Self::Plan, session: &Session, run: &mut RunDir) -> Result<Self::Results>;

    /// The results in a few lines for a terminal.
    fn summary(results: &Self::Results) -> String;

    /// The results on the report's page.
    fn page(results: &Self::Results, page: &mut Page, figures: &mut Figures);
}

/// What the run directory must know of a plan.
pub struct Checked<'a, C> {
    /// Written to `config.toml`; its hash decides whether a directory may be resumed.
    pub config: &'a C,
    /// Names and hashes of what is known as a whole: networks, sets of images. Files that the plan
    /// read are known without being named, see [`crate::io::source`].
    pub sets: BTreeMap<String, String>,
    pub warnings: Vec<Warning>,
}

/// What a run came to.
#[derive(Debug)]
pub enum Outcome<R> {
    /// Of a dry run.
    Plan(Value),
    Results(R),
}

/// Runs a job in its directory: opened or resumed, worked in unless it is complete already, its end
/// written down.
///
/// ```
/// use orthoscope::job::{self, Outcome, Session, orthogonalize::{Config, Orthogonalize}};
/// let config = Config { n_images: 4, steps: 2, ..Config::default() };
/// let session = Session { dry_run: true, ..Session::new("never-made") };
/// let Outcome::Plan(plan) = job::run::<Orthogonalize>(config, &session)? else { panic!("a dry run") };
/// assert_eq!(plan["input"][0], 4);
/// # Ok::<(), orthoscope::Error>(())
/// ```
///
/// # Errors
/// Bad input before anything is written; [`Error::Interrupted`] and whatever the work says, noted
/// in the manifest.
pub fn run<J: Job>(config: J::Config, session: &Session) -> Result<Outcome<J::Results>> {
    let (plan, files) = source::recorded(|| J::plan(config));
    let plan = plan?;
    if session.dry_run {
        return J::describe(&plan).map(Outcome::Plan);
    }
    let checked = J::checked(&plan);
    let mut inputs = hashes(&files)?;
    inputs.extend(checked.sets);
    let (mut run, mut opened) = RunDir::open(session, J::NAME, checked.config)?;
    match run.check_inputs(&inputs, opened) {
        // With both, what cannot be continued is replaced.
        Err(Error::RunDir { .. }) if session.force => {
            drop(run);
            let replacing = Session { resume: false, ..session.clone() };
            (run, opened) = RunDir::open(&replacing, J::NAME, checked.config)?;
        }
        seen => seen?,
    }
    if opened == Opened::Complete {
        let results = run.manifest.results.take();
        run.release();
        return typed::<J>(results, run.path()).map(Outcome::Results);
    }
    let mut warnings = checked.warnings;
    warnings.extend(run.manifest.continued_otherwise());
    let worked = run.begin(inputs, warnings).and_then(|()| work::<J>(&plan, session, &mut run));
    match worked {
        Ok(results) => Ok(Outcome::Results(results)),
        Err(Error::Interrupted { .. }) => Err(run.interrupted()),
        Err(e) => {
            run.failed(&e);
            Err(e)
        }
    }
}

fn work<J: Job>(plan: &J::Plan, session: &Session, run: &mut RunDir) -> Result<J::Results> {
    let results = J::execute(plan, session, run)?;
    let value = serde_json::to_value(&results).expect("results have only string keys");
    run.complete(value, |folder, run, manifest| {
        let about = report::Run { folder, name: run, manifest };
        report::write_of(&about, J::TITLE, |page, figures| J::page(&results, page, figures))
    })?;
    Ok(results)
}

fn typed<J: Job>(results: Value, dir: &Path) -> Result<J::Results> {
    serde_json::from_value(results).map_err(|e| {
        let expected = format!("results of `{}`", J::NAME);
        let hint = "was it written by another version of this program?";
        Error::corrupt(dir.join("manifest.json"), expected, e.to_string(), hint)
    })
}

/// A job's results and the lines about them, whichever job it is.
#[derive(Debug)]
pub struct Finished {
    pub results: Value,
    /// Empty for a dry run.
    pub summary: String,
}

/// A row of the table of jobs: a [`Job`] with its types taken away.
pub struct Entry {
    /// The subcommand.
    pub name: &'static str,
    pub about: &'static str,
    /// `command` in configurations; a subcommand may be another one's with something required.
    pub command: &'static str,
    /// A key that must be given, with what is expected there and what to do.
    pub requires: Option<(&'static str, &'static str, &'static str)>,
    /// Keys and values of [`Job::explained`].
    pub defaults: fn() -> Value,
    /// The whole configuration that something given stands for.
    pub resolved: fn(Given) -> Result<Value>,
    pub run: fn(Given, &Session) -> Result<Finished>,
    pub report: fn(Value, &Path) -> Result<PathBuf>,
    #[cfg(feature = "cli")]
    pub flags: Flags,
}

/// A job's flags with their type taken away.
#[cfg(feature = "cli")]
pub struct Flags {
    /// Adds them to a subcommand.
    pub augment: fn(clap::Command) -> clap::Command,
    /// Those that were given, as a partial configuration.
    pub given: fn(&clap::ArgMatches) -> Result<toml::Table>,
    /// All of them, as a partial configuration of nothing: its leaves are the keys, in the order of
    /// the flags.
    pub keys: fn() -> Value,
}

impl Entry {
    /// The row of a job.
    pub const fn of<J: Job>() -> Self {
        Self {
            name: J::NAME,
            about: J::ABOUT,
            command: J::NAME,
            requires: None,
            defaults: || serde_json::to_value(J::explained()).expect("configurations have only string keys"),
            resolved: |given| {
                let config: J::Config = given.resolve(J::NAME, J::settle)?;
                Ok(serde_json::to_value(config).expect("configurations have only string keys"))
            },
            run: |given, session| {
                let config = given.resolve(J::NAME, J::settle)?;
                Ok(match run::<J>(config, session)? {
                    Outcome::Plan(plan) => Finished { results: plan, summary: String::new() },
                    Outcome::Results(results) => Finished {
                        summary: J::summary(&results),
                        results: serde_json::to_value(&results).expect("results have only string keys"),
                    },
                })
            },
            report: |results, dir| {
                let results = typed::<J>(results, dir)?;
                crate::report::write(dir, J::TITLE, |page, figures| J::page(&results, page, figures))
            },
            #[cfg(feature = "cli")]
            flags: Flags {
                augment: <J::Flags as clap::Args>::augment_args,
                given: |matches| {
                    let flags = <J::Flags as clap::FromArgMatches>::from_arg_matches(matches)
                        .map_err(|e| Error::invalid("command line", "flags of this job", e.to_string(), ""))?;
                    super::configuration::partial(&flags)
                },
                keys: || serde_json::to_value(J::Flags::default()).expect("flags have only string keys"),
            },
        }
    }
}
