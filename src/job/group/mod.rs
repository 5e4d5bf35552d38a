//! `group`: what the maps of several subjects have in common.
//!
//! Maps of subjects on one grid in, group maps out: one-sample or paired tests by sign flips,
//! corrected by the largest value, clusters or TFCE; bootstrap intervals over subjects; layer
//! assignment and overlap.

mod better;
mod chance;
mod config;
#[cfg(feature = "cli")]
mod flags;
mod inputs;
mod output;
mod page;
mod relabelled;
mod results;
mod rows;
mod run;
mod runs;
mod test;

pub use chance::Chance;
pub use config::{Config, Generalise, GroupCorrection, MapsConfig, TestConfig, Zeros};
pub use results::Results;
pub use run::Group;
