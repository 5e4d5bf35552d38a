//! Checked containers: what leaves a constructor here is consistent.

pub mod stimuli;

pub use stimuli::Stimuli;
