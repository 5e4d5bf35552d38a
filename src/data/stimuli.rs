//! A set of images, ready for a network.

use crate::error::{Error, Result};
use ndarray::{Array4, ArrayView3, ArrayView4, Axis};

/// Images of one size with a name each.
#[derive(Debug, Clone, PartialEq)]
pub struct Stimuli {
    names: Vec<String>,
    images: Array4<f32>,
}

impl Stimuli {
    /// Takes images and their names.
    ///
    /// # Shapes
    /// `images`: n_images x 3 x height x width, RGB, 0..1 (8-bit value / 255, no gamma).
    ///
    /// # Errors
    /// [`Error::Invalid`] when there are no images, their number is not that of the names, two
    /// names are equal, there are not 3 channels, or a pixel is not finite. Values outside 0..1 are
    /// allowed: an image under optimisation may have them.
    pub fn new(names: Vec<String>, images: Array4<f32>) -> Result<Self> {
        let (n_images, n_channels, height, width) = images.dim();
        let shape = format!("{n_images} x {n_channels} x {height} x {width}");
        let bad = |expected: &str, found: String, hint: &str| Err(Error::invalid("stimuli", expected, found, hint));
        if n_channels != 3 || images.is_empty() {
            return bad("n_images x 3 x height x width", shape, "channels come before height and width");
        }
        if names.len() != n_images {
            return bad(&format!("{n_images} names"), names.len().to_string(), "one name an image");
        }
        check_names(&names)?;
        if let Some(i) = images.axis_iter(Axis(0)).position(|image| image.iter().any(|v| !v.is_finite())) {
            return bad("finite pixels", format!("NaN or infinity in `{}`", names[i]), "");
        }
        Ok(Self { names, images: images.as_standard_layout().into_owned() })
    }

    /// Names in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// n_images x 3 x height x width, RGB, 0..1, row-major.
    pub fn images(&self) -> ArrayView4<'_, f32> {
        self.images.view()
    }

    /// One image, 3 x height x width.
    pub fn image(&self, index: usize) -> ArrayView3<'_, f32> {
        self.images.index_axis(Axis(0), index)
    }

    /// How many images.
    pub fn n_images(&self) -> usize {
        self.names.len()
    }

    /// Height and width in pixels.
    pub fn size(&self) -> (usize, usize) {
        (self.images.dim().2, self.images.dim().3)
    }

    /// The parts: names, images.
    pub fn into_parts(self) -> (Vec<String>, Array4<f32>) {
        (self.names, self.images)
    }
}

/// Refuses two images of one name.
///
/// # Errors
/// [`Error::Invalid`] naming it.
pub fn check_names(names: &[String]) -> Result<()> {
    let mut seen = std::collections::HashSet::new();
    match names.iter().find(|name| !seen.insert(name.as_str())) {
        Some(twice) => {
            Err(Error::invalid("stimuli", "one image a name", format!("`{twice}` twice"), "rename one of them"))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inconsistent_sets_are_refused() {
        let names = |n: usize| (0..n).map(|i| i.to_string()).collect::<Vec<_>>();
        assert!(Stimuli::new(names(2), Array4::zeros((2, 3, 4, 5))).is_ok());
        for (names, images) in [
            (names(1), Array4::zeros((2, 3, 4, 5))),
            (names(2), Array4::zeros((2, 4, 5, 3))),
            (names(0), Array4::zeros((0, 3, 4, 5))),
            (vec!["a".into(), "a".into()], Array4::zeros((2, 3, 4, 5))),
            (names(1), Array4::from_elem((1, 3, 1, 1), f32::NAN)),
        ] {
            assert!(Stimuli::new(names, images).is_err());
        }
    }

    #[test]
    fn memory_is_row_major_whatever_came_in() {
        let last = Array4::from_shape_fn((2, 4, 5, 3), |(n, i, j, k)| (n + 2 * i + 3 * j + 4 * k) as f32);
        let stimuli = Stimuli::new(vec!["a".into(), "b".into()], last.clone().permuted_axes([0, 3, 1, 2])).unwrap();
        assert!(stimuli.images().is_standard_layout());
        assert_eq!(stimuli.image(1)[[2, 3, 4]], last[[1, 3, 4, 2]]);
        assert_eq!(stimuli.size(), (4, 5));
    }
}
