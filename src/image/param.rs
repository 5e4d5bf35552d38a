//! What is optimised, and how it becomes images: the trait, and how both parametrisations start.

use crate::error::{Error, Result};
use crate::tensor::{Precision, Var, constant, tensor};
use ndarray::{Array2, Array4, ArrayView4};

/// A parametrisation: arrays to optimise (leaves), and a differentiable function from them to
/// images.
///
/// Every leaf is `n_images` x `n_values`: row `i` holds what image `i` is made of, so that
/// optimizers, checkpoints and early exits of single images need to know nothing else.
pub trait ImageParam: Send {
    /// `[n_images, 3, height, width]` of what [`render`](Self::render) gives.
    fn shape(&self) -> [usize; 4];

    /// Initial values, one array per leaf.
    fn leaves(&self) -> Vec<Array2<f32>>;

    /// The images, `n_images` x 3 x `height` x `width`, displayed RGB in [0, 1], before constraint
    /// and transforms.
    ///
    /// Runs in the width (32 or 64 bits) of the leaves, and takes any number of rows up to
    /// `n_images`.
    fn render(&self, leaves: &[Var<2>]) -> Var<4>;

    /// True when the one leaf is the image, pixel for pixel, with a gradient of 1: rendering can
    /// then be left out.
    fn is_pixels(&self) -> bool {
        false
    }

    /// Turns the raw gradients (same order and shapes as the leaves) into the direction to ascend;
    /// `images` as for [`project`](Self::project).
    fn condition(&self, _gradients: &mut [Array2<f32>], _images: &[usize]) {}

    /// Moves the leaves back into their domain after step number `step` (from 1). `images[row]` is
    /// the image that a row makes: images that are done have left the leaves.
    fn project(&self, _leaves: &mut [Array2<f32>], _images: &[usize], _step: usize) {}

    /// Changes the leaves for another reason than the objective after step number `step` (from 1)
    /// was scored; false when it did not.
    fn relax(&self, _leaves: &mut [Array2<f32>], _step: usize) -> bool {
        false
    }

    /// In words, for manifests and reports.
    fn describe(&self) -> String;
}

/// Size and kind of the images to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Canvas {
    pub n_images: usize,
    /// Rows, pixels.
    pub height: usize,
    /// Columns, pixels.
    pub width: usize,
    /// One luminance channel, repeated on R, G and B.
    pub grey: bool,
}

impl Canvas {
    /// Channels that are optimised: 1 if grey, else 3.
    pub fn n_channels(&self) -> usize {
        if self.grey { 1 } else { 3 }
    }

    /// `[n_images, 3, height, width]`.
    pub fn shape(&self) -> [usize; 4] {
        [self.n_images, 3, self.height, self.width]
    }

    /// # Errors
    /// [`Error::Invalid`] when there is no pixel to optimise.
    pub fn check(&self, at: &str) -> Result<()> {
        if self.n_images == 0 || self.height < 2 || self.width < 2 {
            return Err(Error::invalid(
                at,
                "at least one image of at least 2 x 2 pixels",
                format!("{} images of {} x {}", self.n_images, self.height, self.width),
                "raise `n_images` or the size",
            ));
        }
        Ok(())
    }
}

/// Where the optimisation starts.
#[derive(Debug, Clone)]
pub enum Init<'a> {
    /// Independent normal noise of standard deviation `sd` on what is optimised; image `i` of item
    /// `item` has the random stream (`seed`, "image-init", `item * n_images + i`).
    Noise { sd: f64, seed: u64, item: u64 },
    /// Given images, `n_images` x 3 x `height` x `width`, RGB in [0, 1].
    Images(ArrayView4<'a, f32>),
    /// Every pixel 0.5.
    Grey,
    /// Independent uniform noise in [low, high) on each pixel (parametrisations of pixels only);
    /// streams as for `Noise`.
    Uniform { low: f64, high: f64, seed: u64, item: u64 },
}

impl Init<'_> {
    /// # Errors
    /// [`Error::Invalid`] when given images do not fit the canvas or are not finite, or `sd` is not
    /// a finite number >= 0.
    pub fn check(&self, canvas: &Canvas, at: &str) -> Result<()> {
        match self {
            Self::Noise { sd, .. } if !(sd.is_finite() && *sd >= 0.0) => {
                Err(Error::invalid(at, "a standard deviation of the noise, at least 0", format!("{sd}"), ""))
            }
            Self::Uniform { low, high, .. } if !(low < high && low.is_finite() && high.is_finite()) => {
                Err(Error::invalid(at, "finite bounds of the noise, the lower first", format!("{low}, {high}"), ""))
            }
            Self::Images(images) if images.shape() != canvas.shape() => Err(Error::invalid(
                at,
                format!("images of shape {:?}", canvas.shape()),
                format!("{:?}", images.shape()),
                "give as many initial images as are made, at their size",
            )),
            Self::Images(images) if images.iter().any(|v| !v.is_finite()) => {
                Err(Error::invalid(at, "finite pixel values in [0, 1]", "NaN or infinity", "check the image files"))
            }
            _ => Ok(()),
        }
    }

    /// In words.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Noise { sd, seed, item } => format!("noise (sd {sd}, seed {seed}, item {item})"),
            Self::Images(_) => "given images".into(),
            Self::Grey => "mid-grey".into(),
            Self::Uniform { low, high, seed, item } => {
                format!("uniform noise ({low:.3} to {high:.3}, seed {seed}, item {item})")
            }
        }
    }
}

/// The width of a variable's numbers.
pub(super) fn precision_of<const D: usize>(x: &Var<D>) -> Precision {
    if x.dtype() == burn_tensor::DType::F64 { Precision::F64 } else { Precision::F32 }
}

/// Renders leaves on plain arrays, 32 bits: what [`ImageParam::render`] gives, without a gradient.
pub fn render_array(param: &dyn ImageParam, leaves: &[Array2<f32>]) -> Array4<f32> {
    let device = Default::default();
    let leaves: Vec<Var<2>> = leaves.iter().map(|leaf| constant(tensor(leaf.view(), &device))).collect();
    let images = crate::tensor::array(&param.render(&leaves).inner());
    images.into_dimensionality().expect("rendered images have four axes")
}
