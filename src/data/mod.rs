//! Checked containers: what leaves a constructor here is consistent.

pub mod affine;
pub mod background;
pub mod betas;
pub mod image_source;
pub mod mask;
pub mod names;
pub mod place;
pub mod responses;
pub mod run_effects;
pub mod shown;
pub mod stimuli;
pub mod time_series;
pub mod volume;

pub use affine::Affine;
pub use background::Background;
pub use betas::{Betas, Origin};
pub use image_source::{ImageSource, StimulusSource};
pub use mask::Mask;
pub use place::{Grayordinates, Part, Place, Places};
pub use responses::{Responses, Usable};
pub use run_effects::RunEffects;
pub use stimuli::Stimuli;
pub use time_series::TimeSeries;
pub use volume::{Grid, HALF_A_STEP, Volume};
