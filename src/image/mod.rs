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
pub mod scenes;
pub mod spectrum;

#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod testing;
pub mod transform;
pub mod upsampled;

pub use aperture::Aperture;
pub use constraint::Constraint;
pub use fourier::{Fourier, FourierOptions};
pub use laplacian::LaplacianGradient;
pub use param::{Canvas, ImageParam, Init, render_array};
pub use pixels::{Pixels, octave_sizes, resample_bilinear};
pub use quantize::{dequantize, quantize};
pub use transform::{JitterOptions, PROBES, Probe, Transform};
pub use upsampled::Upsampled;
