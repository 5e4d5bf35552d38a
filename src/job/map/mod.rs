//! `map`: which layer each place of the brain resembles.
//!
//! Betas (or time series) and fingerprints in, maps out: searchlight or regions, raw or residual
//! fingerprints, significance within the subject, layer assignment and overlap.

mod config;
mod draw;
#[cfg(feature = "cli")]
mod flags;
mod kept;
mod output;
mod page;
pub mod parts;
mod plan;
mod regions;
mod results;
mod run;
mod settle;
mod simulate;
mod summary;
mod tested;
mod watched;

pub use crate::job::inputs::{BetasConfig, BoldConfig, Estimate, FingerprintConfig, RegionConfig, SignalScale};
pub use crate::job::shard::Shard;
pub use crate::mapping::PlaceCorrection;
pub use config::{Config, MapsConfig, SimulationConfig, TestConfig};
pub use results::Results;
pub use run::Map;
