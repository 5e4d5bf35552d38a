//! `adversarial`: bounded perturbations of given images that drive a response up and down, or a
//! classifier to another answer.

mod batch;
mod config;
mod control;
mod figures;
#[cfg(feature = "cli")]
mod flags;
mod measured;
mod output;
mod page;
mod plan;
mod results;
mod run;

pub use config::{Aim, Config, Method};
pub use plan::Plan;
pub use results::Results;
pub use run::Adversarial;
