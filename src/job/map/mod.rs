//! `map`: which layer each place of the brain resembles.
//!
//! Betas (or time series) and fingerprints in, maps out: searchlight or regions, raw or residual fingerprints, significance within the
//! subject, layer assignment and overlap.

mod config;
mod draw;
mod fingerprints;
mod inputs;
mod output;
mod parts;
mod places;
mod plan;
mod regions;
mod run;
mod series;
mod simulate;
mod summary;
mod tested;
mod watched;

pub use crate::mapping::PlaceCorrection;
pub use config::{
    BetasConfig, BoldConfig, Config, Estimate, FingerprintConfig, MapsConfig, RegionConfig, Shard, SimulationConfig,
    TestConfig,
};
pub use run::run;
