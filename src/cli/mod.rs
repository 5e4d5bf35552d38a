//! The command line: one file per subcommand. Clap's types end here.

mod adversarial;
mod common;
mod group;
mod map;
mod map_summary;
mod maximize;
pub mod models;
mod orthogonalize;
mod rdm;
mod report;
mod run;

use crate::error::Result;
use clap::{Parser, Subcommand};

/// From a network to a scanner-ready stimulus set, and from recordings back to the network.
#[derive(Debug, Parser)]
#[command(name = "orthoscope", version, max_term_width = 110, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Networks: list, inspect, import, check.
    Models(models::ModelsArgs),
    /// N images whose layer RDMs are mutually uncorrelated (or follow target RDMs).
    Orthogonalize(Box<orthogonalize::OrthogonalizeArgs>),
    /// Images that drive units or neuron models up, down or to a level.
    Maximize(Box<maximize::MaximizeArgs>),
    /// Bounded perturbations of given images that drive a response up and down.
    Adversarial(Box<adversarial::AdversarialArgs>),
    /// Images that one model likes and another does not (maximize with --against).
    Controversial(Box<maximize::MaximizeArgs>),
    /// Layer RDMs (fingerprints) of any set of images, compared with brain RDMs.
    Rdm(Box<rdm::RdmArgs>),
    /// Which layer each place of the brain resembles: searchlight or regions, raw or residual fingerprints.
    Map(Box<map::MapArgs>),
    /// What the maps of several subjects have in common: t, clusters, TFCE, or the difference of two sets of maps.
    Group(Box<group::GroupArgs>),
    /// (Re)write report.html of a run directory.
    Report(report::ReportArgs),
    /// Run a job from its TOML file.
    Run(run::RunArgs),
    /// Continue an interrupted run.
    Resume(run::ResumeArgs),
}

/// Runs what was asked for.
///
/// # Errors
/// The job's.
pub fn run(cli: Cli) -> Result<()> {
    match cli.command {
        Command::Models(args) => models::run(args),
        Command::Orthogonalize(args) => orthogonalize::run(*args),
        Command::Maximize(args) => maximize::run(*args),
        Command::Adversarial(args) => adversarial::run(*args),
        Command::Controversial(args) => maximize::run_controversial(*args),
        Command::Rdm(args) => rdm::run(*args),
        Command::Map(args) => map::run(*args),
        Command::Group(args) => group::run(*args),
        Command::Report(args) => report::run(&args),
        Command::Run(args) => run::run(args),
        Command::Resume(args) => run::resume(args),
    }
}
