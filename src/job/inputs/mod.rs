//! What jobs on brains read, whichever job it is: betas and their labels, time series, masks,
//! regions, fingerprints.
//!
//! | section of a configuration | module |
//! |---|---|
//! | `[betas]`, `[regions]` | [`betas`], [`regions`] |
//! | `[bold]` | [`series`] |
//! | `[fingerprints]` | [`fingerprints`] |
//! | `[targets]` | [`targets`] |
//!
//! Everything is read and checked before a run directory is made, and comes with the hashes of its
//! files.

pub mod betas;
mod config;
pub mod fingerprints;
pub mod regions;
pub mod series;
pub mod targets;

pub use config::{BetasConfig, BoldConfig, Estimate, FingerprintConfig, Recorded, RegionConfig, SignalScale};
pub use targets::TargetsConfig;
