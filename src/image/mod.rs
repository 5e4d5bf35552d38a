//! Images: what is optimised and how it is shown, what is held equal, and what disturbs them on the
//! way to the eye.
//!
//! render ([`param::ImageParam`]) -> equal luminance and contrast ([`constraint::Constraint`]) ->
//! shared disturbances ([`transform::Transform`]) -> network. Given images reach the network's
//! input size by [`resize`].

pub mod aperture;
pub mod ball;
mod bounded;
pub mod colour;
pub mod constraint;
mod custom;
mod equalize;
pub mod fourier;
pub mod hygiene;
pub mod kernel;
pub mod laplacian;
pub mod param;
pub mod phase;
pub mod pixels;
mod pixelwise;
mod planes;
pub mod quantize;
mod real;
pub mod resize;
pub mod resized;
pub mod smooth;
mod spectral;
pub mod spectrum;
pub mod ssim;

#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod testing;
pub mod transform;
pub mod upsampled;
pub mod warp;

pub use aperture::Aperture;
pub use ball::Norm;
pub use bounded::{Ascent, Bounded, Equal};
pub use constraint::Constraint;
pub(crate) use custom::backward_from;
pub use fourier::{Fourier, FourierOptions};
pub use laplacian::LaplacianGradient;
pub use param::{Canvas, ImageParam, Init, render_array};
pub use phase::{Amplitude, PhaseOnly};
pub use pixels::{GradientRule, Pixels, Relax, octave_sizes, resample_bilinear};
pub use quantize::{dequantize, quantize};
pub use resized::Resized;
pub use smooth::Gaussian;
pub use ssim::ssim;
pub use transform::{JitterOptions, PROBES, Probe, Transform};
pub use upsampled::Upsampled;
