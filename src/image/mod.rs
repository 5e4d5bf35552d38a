//! Images: what is optimised and how it is shown, what is held equal, and what disturbs them on the way to the eye.
//!
//! render ([`param::ImageParam`]) -> equal luminance and contrast ([`constraint::Constraint`]) -> shared disturbances
//! ([`transform::Transform`]) -> network. Given images reach the network's input size by [`resize`].

pub mod aperture;
pub mod colour;
pub mod constraint;
mod custom;
mod equalize;
pub mod fourier;
pub mod hygiene;
pub mod kernel;
pub mod laplacian;
pub mod param;
pub mod pixels;
pub mod quantize;
pub mod resize;
pub mod spectrum;
pub mod transform;

#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod testing;
