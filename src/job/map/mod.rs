//! `map`: which layer each place of the brain resembles.
//!
//! Betas and fingerprints in, maps out: searchlight or regions, raw or residual fingerprints, significance within the
//! subject, layer assignment and overlap.

mod config;
mod draw;
mod fingerprints;
mod inputs;
mod output;
mod plan;
mod regions;
mod run;
mod summary;

pub use config::{BetasConfig, Config, Correction, FingerprintConfig, MapsConfig, RegionConfig, TestConfig};
pub use run::run;
