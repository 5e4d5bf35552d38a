//! What teacher and student see of an image: the image itself, or a mirrored crop of it.

use crate::error::{Error, Result};
use crate::image::resize::{Filter, Resize, resize};
use crate::rng::stream;
use ndarray::{Array3, ArrayView3, Axis, Slice};
use serde::{Deserialize, Serialize};

/// How views are drawn.
///
/// | field | meaning | default |
/// |---|---|---|
/// | `n` | views of every image; the first is the image itself | 4 |
/// | `zoom` | least side of a crop, as a share of the image's; its place is random | 0.85 |
/// | `mirror` | half of the crops are mirrored | yes |
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ViewOptions {
    pub n: usize,
    pub zoom: f64,
    pub mirror: bool,
}

impl Default for ViewOptions {
    fn default() -> Self {
        Self { n: 4, zoom: 0.85, mirror: true }
    }
}

impl ViewOptions {
    /// # Errors
    /// [`Error::Invalid`] for a number of views outside 1 to 1000, or a zoom outside 0.1 to 1.
    pub fn check(&self) -> Result<()> {
        if (1..=1000).contains(&self.n) && (0.1..=1.0).contains(&self.zoom) {
            return Ok(());
        }
        let found = format!("{} views and a zoom of {}", self.n, self.zoom);
        Err(Error::invalid("views", "1 to 1000 views and a zoom from 0.1 to 1", found, "one view is the image itself"))
    }
}

/// One view: a crop of the image as it is in its file, which is then brought to anybody's size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View {
    /// Side of the crop, as a share of the image's.
    pub zoom: f64,
    /// Where it lies between the first and the last possible place: 0..1 down, 0..1 to the right.
    pub at: [f64; 2],
    pub mirror: bool,
}

impl View {
    /// The image itself.
    pub const WHOLE: Self = Self { zoom: 1.0, at: [0.0; 2], mirror: false };

    /// View `number` of image `image`, for a seed; view 0 is the image itself.
    pub fn draw(options: &ViewOptions, seed: u64, number: usize, image: usize) -> Self {
        if number == 0 {
            return Self::WHOLE;
        }
        let mut rng = stream(seed, &format!("view {number}"), image as u64);
        let zoom = rng.uniform_in(options.zoom, 1.0);
        let at = [rng.uniform(), rng.uniform()];
        let mirror = rng.uniform() < 0.5;
        Self { zoom, at, mirror: mirror && options.mirror }
    }

    /// The view of an image at a size of rows and columns.
    ///
    /// # Shapes
    /// height x width x 3 -> `size` x 3.
    ///
    /// # Example
    /// ```
    /// use ndarray::Array3;
    /// use orthoscope::compression::distillation::View;
    /// use orthoscope::image::resize::Resize;
    ///
    /// let image = Array3::from_shape_fn((4, 4, 3), |(_, x, _)| 10 * x as u8);
    /// let view = View { zoom: 0.5, at: [0.0, 1.0], mirror: true };
    /// // The last two columns, the last one first.
    /// assert_eq!(view.of(image.view(), (2, 2), Resize::Stretch)[[0, 0, 0]], 30);
    /// ```
    pub fn of(&self, pixels: ArrayView3<'_, u8>, size: (usize, usize), how: Resize) -> Array3<u8> {
        let side = |n: usize| ((n as f64 * self.zoom).round() as usize).clamp(1, n);
        let start = |n: usize, at: f64| ((n - side(n)) as f64 * at).round() as usize;
        let (h, w, _) = pixels.dim();
        let (y, x) = (start(h, self.at[0]), start(w, self.at[1]));
        let mut crop = pixels;
        crop.slice_axis_inplace(Axis(0), Slice::from(y..y + side(h)));
        crop.slice_axis_inplace(Axis(1), Slice::from(x..x + side(w)));
        if self.mirror {
            crop.invert_axis(Axis(1));
        }
        // In the order of memory: bytes do not depend on how the view was laid out.
        let crop = crop.as_standard_layout();
        resize(crop.view(), size, how, Filter::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_are_drawn_within_the_image_and_the_first_is_whole() {
        let options = ViewOptions { n: 6, zoom: 0.5, mirror: true };
        let image = Array3::from_shape_fn((9, 7, 3), |(y, x, c)| (20 * y + 3 * x + c) as u8);
        let mut mirrored = 0;
        for i in 0..200 {
            let view = View::draw(&options, 3, 1 + i % 5, i);
            assert!((0.5..=1.0).contains(&view.zoom) && view == View::draw(&options, 3, 1 + i % 5, i));
            assert_eq!(view.of(image.view(), (5, 5), Resize::Stretch).dim(), (5, 5, 3));
            mirrored += usize::from(view.mirror);
        }
        assert!((70..130).contains(&mirrored), "{mirrored}");
        assert_eq!(View::draw(&options, 3, 0, 8).of(image.view(), (9, 7), Resize::Stretch), image);
        assert!(
            ViewOptions { n: 0, ..options }.check().is_err() && ViewOptions { zoom: 0.0, ..options }.check().is_err()
        );
    }
}
