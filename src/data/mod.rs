//! Checked containers: what leaves a constructor here is consistent.

pub mod affine;
pub mod betas;
pub mod image_source;
pub mod mask;
pub mod names;
pub mod stimuli;
pub mod volume;

pub use affine::Affine;
pub use betas::Betas;
pub use image_source::{ImageSource, StimulusSource};
pub use mask::Mask;
pub use stimuli::Stimuli;
pub use volume::{Grid, Volume};
