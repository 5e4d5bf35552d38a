//! `orthogonalize`: N images whose layer RSMs are mutually uncorrelated, or as designed.

pub mod checkpoint;
mod config;
#[cfg(feature = "cli")]
mod flags;
mod item;
mod output;
mod page;
mod plan;
mod results;
mod run;
mod score;

pub use config::{Config, ImageConfig, InitKind, ObjectiveConfig, OptimizerConfig, ParamKind, RobustConfig};
pub use plan::Plan;
pub use results::Results;
pub use run::Orthogonalize;
pub use score::{Fingerprints, Score, chance_mean_abs_r};
