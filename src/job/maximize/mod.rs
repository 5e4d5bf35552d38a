//! `maximize`: images that drive units of a network, or a population of neuron models, up, down or
//! to a level.

mod aims;
mod batch;
mod blocks;
mod config;
mod figures;
#[cfg(feature = "cli")]
mod flags;
mod output;
mod page;
mod plan;
mod results;
mod run;

pub use config::{Config, Direction, ImageConfig, MaskKind, Method, ParamKind, SearchConfig};
pub use plan::Plan;
pub use results::Results;
pub use run::Maximize;
