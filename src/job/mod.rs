//! Jobs: config -> checked plan -> independent items -> run directory -> results -> figures -> report.
//!
//! Jobs never call each other; files are the only hand-over.

pub mod adversarial;
mod brain;
pub mod common;
mod drive;
pub mod group;
pub mod interrupt;
pub mod manifest;
pub mod map;
pub mod maximize;
pub mod model;
pub mod orthogonalize;
pub mod progress;
pub mod rdm;
pub mod run_dir;

pub use common::Common;
pub use manifest::{Manifest, Status};
pub use progress::{Progress, ProgressStyle};
pub use run_dir::RunDir;
