//! Images that need not lie in memory: read when they are needed, a batch at a time.

use super::Stimuli;
use crate::error::{Error, Result};
use crate::warning::Warning;
use ndarray::{Array3, Array4, Axis, Slice};
use std::ops::Range;

/// Images as they are in their files, in order, each with a name.
pub trait ImageSource: Send + Sync {
    /// One name an image; for files, in natural order (`frame2` before `frame10`) unless a table
    /// says otherwise.
    fn names(&self) -> &[String];

    /// The pixels of some images, each height x width x 3, RGB, 0..255; sizes may differ between
    /// images.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the range does not lie within the images; [`Error::Io`] and
    /// [`Error::Corrupt`] naming the file.
    fn read(&self, range: Range<usize>) -> Result<Vec<Array3<u8>>>;

    /// What the user should know of how the images are read.
    fn warnings(&self) -> &[Warning] {
        &[]
    }

    /// How many images.
    fn n_images(&self) -> usize {
        self.names().len()
    }
}

/// Images ready for a network: all of one size, in the numbers that [`Stimuli`] holds.
pub trait StimulusSource: Sync {
    /// How many images.
    fn n_images(&self) -> usize;

    /// Some images, n x 3 x height x width, RGB, 0..1 (8-bit value / 255, no gamma).
    ///
    /// # Errors
    /// [`Error::Invalid`] when the range does not lie within the images; whatever reading them
    /// says.
    fn read(&self, range: Range<usize>) -> Result<Array4<f32>>;
}

impl StimulusSource for Array4<f32> {
    fn n_images(&self) -> usize {
        self.dim().0
    }

    fn read(&self, range: Range<usize>) -> Result<Array4<f32>> {
        check_range(&range, self.dim().0)?;
        Ok(self.slice_axis(Axis(0), Slice::from(range)).to_owned())
    }
}

impl StimulusSource for Stimuli {
    fn n_images(&self) -> usize {
        self.names().len()
    }

    fn read(&self, range: Range<usize>) -> Result<Array4<f32>> {
        check_range(&range, self.names().len())?;
        Ok(self.images().slice_axis(Axis(0), Slice::from(range)).to_owned())
    }
}

/// Refuses a range that does not lie within `n_images`.
///
/// # Errors
/// [`Error::Invalid`].
pub fn check_range(range: &Range<usize>, n_images: usize) -> Result<()> {
    if range.start <= range.end && range.end <= n_images {
        return Ok(());
    }
    Err(Error::invalid("images", format!("a range within 0..{n_images}"), format!("{range:?}"), ""))
}

/// The ranges of at most `batch` images that make up `n_images`, in order.
pub fn batches(n_images: usize, batch: usize) -> impl Iterator<Item = Range<usize>> {
    let batch = batch.max(1);
    (0..n_images).step_by(batch).map(move |start| start..(start + batch).min(n_images))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_cover_all_images_once() {
        assert_eq!(batches(7, 3).collect::<Vec<_>>(), [0..3, 3..6, 6..7]);
        assert_eq!(batches(2, 0).collect::<Vec<_>>(), [0..1, 1..2]);
        assert_eq!(batches(0, 3).count(), 0);
    }

    #[test]
    fn an_array_is_read_by_ranges_and_others_are_refused() {
        let images = Array4::from_shape_fn((3, 3, 2, 2), |(i, c, y, x)| (i * 100 + c * 10 + y * 2 + x) as f32);
        let part = StimulusSource::read(&images, 1..3).unwrap();
        assert_eq!(part, images.slice_axis(Axis(0), Slice::from(1..3)));
        for wrong in [0..4, 3..5, Range { start: 2, end: 1 }] {
            assert!(matches!(StimulusSource::read(&images, wrong), Err(Error::Invalid { .. })));
        }
    }
}
