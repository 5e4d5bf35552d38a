//! Distillation: a small network is taught the responses of a large one.
//!
//! | step | module |
//! |---|---|
//! | a student: a few layers, a readout for one neuron or for many | [`student`] |
//! | what it sees: images, mirrored and cropped | [`views`] |
//! | training on a teacher's responses, kernels smoothed, the best weights kept | [`teach`] |
//! | one neuron of a shared student; outputs in a teacher's units | [`readout`] |
//!
//! The student of the V4 models of Cowley et al. (2023) is five layers of 100 filters; each
//! neuron's is then pruned ([`super::importance::LayerwiseVariance`]), rebuilt and trained again.

pub mod readout;
mod smooth;
pub mod student;
pub mod teach;
pub mod views;

pub use smooth::Smoother;
pub use student::{Reading, Student};
pub use teach::{Epoch, History, Lessons, Settings, Teaching};
pub use views::{View, ViewOptions};
