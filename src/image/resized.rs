//! Images that do not fit in memory, at a network's input size.

use super::resize::{Resize, ready, show, size_of, target};
use crate::data::image_source::{ImageSource, StimulusSource, batches};
use crate::data::stimuli::check_names;
use crate::error::{Error, Result};
use crate::warning::Warning;
use ndarray::{Array3, Array4};
use std::ops::Range;

/// A set of images as [`stimuli`](super::resize::stimuli) makes it ready, read and resized batch by
/// batch: memory is that of one batch.
pub struct Resized {
    source: Box<dyn ImageSource>,
    sizes: Vec<(usize, usize)>,
    target: (usize, usize),
    how: Resize,
}

/// Images that are decoded at once while a set is looked through.
const LOOKED_AT: usize = 32;

impl Resized {
    /// Looks through a set: every image is read and decoded once, so that a damaged one is an error
    /// at once, and handed to `seen` with its name, in order, with the pixels of its file.
    ///
    /// # Errors
    /// As [`stimuli`](super::resize::stimuli); whatever the source or `seen` says.
    pub fn new(
        source: Box<dyn ImageSource>,
        size: Option<(usize, usize)>,
        how: Resize,
        mut seen: impl FnMut(&str, &Array3<u8>) -> Result<()>,
    ) -> Result<(Self, Vec<Warning>)> {
        check_names(source.names())?;
        let mut sizes = Vec::with_capacity(source.n_images());
        for range in batches(source.n_images(), LOOKED_AT) {
            for (pixels, name) in source.read(range.clone())?.iter().zip(&source.names()[range]) {
                seen(name, pixels)?;
                sizes.push(size_of(pixels));
            }
        }
        let (target, resized) = target(source.names(), &sizes, size, how)?;
        let mut warnings = source.warnings().to_vec();
        warnings.extend(resized);
        Ok((Self { source, sizes, target, how }, warnings))
    }

    /// Names in order.
    pub fn names(&self) -> &[String] {
        self.source.names()
    }
}

impl StimulusSource for Resized {
    fn n_images(&self) -> usize {
        self.sizes.len()
    }

    fn read(&self, range: Range<usize>) -> Result<Array4<f32>> {
        let pixels = self.source.read(range.clone())?;
        if let Some(i) = range.clone().find(|&i| size_of(&pixels[i - range.start]) != self.sizes[i]) {
            let (name, found) = (&self.names()[i], size_of(&pixels[i - range.start]));
            let hint = "the file changed while it was used: leave the images alone until the run has ended";
            return Err(Error::invalid(format!("image `{name}`"), show(self.sizes[i]), show(found), hint));
        }
        Ok(ready(&pixels, self.target, self.how))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::resize::stimuli;
    use crate::io::images::ImageSet;

    fn set(sizes: &[(usize, usize)]) -> ImageSet {
        let picture = |(i, &(h, w)): (usize, &(usize, usize))| {
            Array3::from_shape_fn((h, w, 3), |(y, x, c)| (90 * i + 40 * y + 7 * x + c) as u8)
        };
        let names = (0..sizes.len()).map(|i| format!("image{i}")).collect();
        ImageSet { names, pixels: sizes.iter().enumerate().map(picture).collect(), warnings: vec![] }
    }

    #[test]
    fn batches_are_the_set_loaded_at_once_with_the_same_warnings() {
        let sizes: Vec<(usize, usize)> = (0..40).map(|i| (4 + i % 3, 5)).collect();
        for (size, how) in [(Some((5, 5)), Resize::Pad), (Some((7, 3)), Resize::Stretch), (Some((4, 5)), Resize::Crop)]
        {
            let (all, warnings) = stimuli(set(&sizes), size, how).unwrap();
            let mut seen = Vec::new();
            let see = |name: &str, pixels: &Array3<u8>| {
                seen.push((name.to_owned(), pixels.clone()));
                Ok(())
            };
            let (resized, same) = Resized::new(Box::new(set(&sizes)), size, how, see).unwrap();
            assert_eq!(same, warnings);
            assert_eq!(seen, set(&sizes).names.into_iter().zip(set(&sizes).pixels).collect::<Vec<_>>());
            for range in batches(40, 7) {
                let part = resized.read(range.clone()).unwrap();
                assert_eq!(part, all.images().slice_axis(ndarray::Axis(0), ndarray::Slice::from(range)));
            }
        }
    }

    #[test]
    fn what_a_loaded_set_may_not_be_is_refused_here_too() {
        let see = |_: &str, _: &Array3<u8>| Ok(());
        let open = |set: ImageSet, size| Resized::new(Box::new(set), size, Resize::Stretch, see).map(|_| ());
        assert!(open(set(&[(5, 6), (6, 5)]), None).unwrap_err().to_string().contains("6 x 5 px for `image1`"));
        assert!(open(set(&[]), Some((4, 4))).is_err());
        let mut twice = set(&[(5, 6), (5, 6)]);
        twice.names[1] = "image0".into();
        assert!(open(twice, Some((4, 4))).unwrap_err().to_string().contains("`image0` twice"));
    }

    #[test]
    fn a_file_that_changes_its_size_meanwhile_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let write = |h| crate::io::png::write(&dir.path().join("a.png"), Array3::zeros((h, 4, 3)).view()).unwrap();
        write(4);
        let source = crate::io::images::open(dir.path()).unwrap();
        let (resized, _) = Resized::new(source, Some((4, 4)), Resize::Stretch, |_, _| Ok(())).unwrap();
        assert!(resized.read(0..1).is_ok());
        write(5);
        let error = resized.read(0..1).unwrap_err().to_string();
        assert!(error.contains("`a`") && error.contains("5 x 4 px"), "{error}");
    }

    #[test]
    fn the_look_through_ends_where_its_visitor_says_so() {
        let mut n = 0;
        let see = |_: &str, _: &Array3<u8>| {
            n += 1;
            if n == 3 { Err(Error::Interrupted { dir: std::path::PathBuf::new() }) } else { Ok(()) }
        };
        let stopped = Resized::new(Box::new(set(&[(4, 4); 9])), None, Resize::Stretch, see);
        assert!(matches!(stopped, Err(Error::Interrupted { .. })));
        assert_eq!(n, 3);
    }
}
