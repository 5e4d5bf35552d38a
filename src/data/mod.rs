//! Checked containers: what leaves a constructor here is consistent.

pub mod affine;
pub mod betas;
pub mod mask;
pub mod names;
pub mod responses;
pub mod stimuli;
pub mod volume;

pub use affine::Affine;
pub use betas::Betas;
pub use mask::Mask;
pub use responses::Responses;
pub use stimuli::Stimuli;
pub use volume::{Grid, Volume};
