//! `map`: which layer each place of the brain resembles.
//!
//! Betas (or time series) and fingerprints in, maps out: searchlight or regions, raw or residual fingerprints, significance within the
//! subject, layer assignment and overlap.

mod config;
mod draw;
mod fingerprints;
#[cfg(feature = "cli")]
mod flags;
mod inputs;
mod output;
mod page;
mod parts;
mod places;
mod plan;
mod regions;
mod results;
mod run;
mod series;
mod settle;
mod simulate;
mod summary;
mod tested;

pub use config::{
    BetasConfig, BoldConfig, Config, Estimate, FingerprintConfig, MapsConfig, PlaceCorrection, RegionConfig, Shard,
    SimulationConfig, TestConfig,
};
pub use results::Results;
pub use run::Map;
