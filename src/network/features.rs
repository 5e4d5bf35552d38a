//! Activations of any number of images: batches through an executor, in one pass.

use super::executor::{Executor, TapValue};
use crate::data::image_source::{StimulusSource, batches};
use crate::error::Result;
use crate::tensor::{Device, tensor};
use std::ops::Range;

/// Runs images through an executor, `batch` at a time and in order, and hands each batch's taps to
/// `visit`.
///
/// Memory is that of one batch, whatever the number of images: `batch` times
/// [`Executor::bytes_per_image`] and the values that `visit` keeps. Moments are of the batch alone;
/// of all images, see [`super::moments`]. What `visit` says ends the pass: that is how a caller
/// stops it.
///
/// # Errors
/// Whatever reading the images, [`Executor::infer`] or `visit` says.
pub fn features(
    executor: &mut dyn Executor,
    images: &dyn StimulusSource,
    batch: usize,
    device: &Device,
    visit: &mut dyn FnMut(Range<usize>, Vec<TapValue>) -> Result<()>,
) -> Result<()> {
    for range in batches(images.n_images(), batch) {
        let pixels = images.read(range.clone())?;
        let values = executor.infer(&tensor(pixels.view(), device))?;
        visit(range, values)?;
    }
    Ok(())
}
