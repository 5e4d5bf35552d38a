//! Jobs: config -> checked plan -> independent items -> run directory -> results -> figures ->
//! report.
//!
//! Jobs never call each other; files are the only hand-over. A job is one folder that implements
//! [`Job`], and one row of [`JOBS`].

pub mod adversarial;
mod brain;
pub mod compress;
pub mod configuration;
pub mod distill;
pub mod drive;
pub mod fit;
pub mod fitted;
#[cfg(feature = "cli")]
pub mod flags;
pub mod group;
pub mod inputs;
mod limits;
pub mod machine;
pub mod manifest;
pub mod map;
pub mod maximize;
pub mod model;
mod named;
pub mod orthogonalize;
pub mod predict;
pub mod rdm;
pub mod run_dir;
pub mod session;
pub mod shard;
mod shell;

pub use configuration::Given;
pub use manifest::{Manifest, Status};
pub use named::Named;
pub use run_dir::RunDir;
pub use session::Session;
#[cfg(feature = "cli")]
pub use shell::Flags;
pub use shell::{Checked, Entry, Finished, Job, Outcome, run};

use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// All jobs, in the order of the command line's help.
pub static JOBS: [Entry; 11] = [
    Entry::of::<orthogonalize::Orthogonalize>(),
    Entry::of::<maximize::Maximize>(),
    Entry::of::<adversarial::Adversarial>(),
    Entry {
        name: "controversial",
        about: "Images that one model likes and another does not (maximize with --against)",
        requires: Some(("against", "a second model", "`network.model` likes the images, `against` does not")),
        ..Entry::of::<maximize::Maximize>()
    },
    Entry::of::<rdm::LayerRdms>(),
    Entry::of::<fit::FitModels>(),
    Entry::of::<predict::Predict>(),
    Entry::of::<compress::Compress>(),
    Entry::of::<distill::Distill>(),
    Entry::of::<map::Map>(),
    Entry::of::<group::Group>(),
];

/// The job that a configuration's `command` names.
///
/// # Errors
/// [`Error::Invalid`] with the names that there are.
pub fn of_command(command: &str, at: &str) -> Result<&'static Entry> {
    let own = |entry: &&Entry| entry.name == command && entry.name == entry.command;
    JOBS.iter().find(own).ok_or_else(|| {
        let names: Vec<&str> = JOBS.iter().filter(|e| e.name == e.command).map(|e| e.name).collect();
        Error::invalid(at, format!("command {}", names.join(", ")), format!("`{command}`"), "")
    })
}

/// Writes `report.html` of a run directory again, from its manifest, configuration and figures;
/// returns its path.
///
/// # Errors
/// [`Error::Io`] when the manifest cannot be read or the page not written, [`Error::Corrupt`] when
/// it is no manifest.
pub fn report(dir: &Path) -> Result<PathBuf> {
    run_dir::settle(dir)?;
    let manifest = Manifest::read(&dir.join("manifest.json"))?;
    if manifest.results.is_null() {
        return crate::report::write(dir, &format!("orthoscope {}", manifest.command), |page, _| {
            page.note("The manifest holds no results.");
        });
    }
    let entry = of_command(&manifest.command, &dir.join("manifest.json").display().to_string())?;
    (entry.report)(manifest.results, dir)
}
