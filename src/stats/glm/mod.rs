//! One beta for every condition, voxel and run: the general linear model of a BOLD time series.
//!
//! [`hrf`] the haemodynamic response, [`design`] the design matrix of a run, [`mod@fit`] least
//! squares with white or AR(1) noise. Names, defaults and numbers are those of nilearn 0.14's
//! `FirstLevelModel`.

pub mod design;
pub mod fit;
pub mod hrf;

pub use design::{Condition, Design, DesignOptions, Event, MIN_ONSET_S};
pub use fit::{Fit, NoiseModel, fit};
pub use hrf::Hrf;

#[cfg(test)]
mod tests;
