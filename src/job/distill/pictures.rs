//! Sets of images as teacher and students see them.

use crate::compression::distillation::{View, ViewOptions};
use crate::data::ImageSource;
use crate::data::image_source::batches;
use crate::error::{Error, Result};
use crate::image::resize::Resize;
use crate::io::images;
use crate::io::png::unit;
use crate::warning::Warning;
use ndarray::{Array3, Array4, Axis};
use rayon::prelude::*;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Several sets as one, each image decoded when it is asked for.
pub struct Pictures {
    sets: Vec<Box<dyn ImageSource>>,
    /// Set and place in it.
    places: Vec<(usize, usize)>,
    pub names: Vec<String>,
    /// Of names and pixels of all images.
    pub hash: String,
    how: Resize,
}

/// Images that are decoded at once while sets are looked through.
const LOOKED_AT: usize = 64;

/// What an image is known by.
pub type PixelHash = [u8; 32];

impl Pictures {
    /// Opens sets and looks through them: every image is decoded once. Images whose pixels are in
    /// `without`, or were seen before, are left out and counted.
    ///
    /// # Errors
    /// As reading says.
    pub fn open(
        paths: &[PathBuf],
        how: Resize,
        without: &HashSet<PixelHash>,
    ) -> Result<(Self, HashSet<PixelHash>, Vec<Warning>)> {
        let mut all = Self { sets: vec![], places: vec![], names: vec![], hash: String::new(), how };
        let (mut seen, mut warnings, mut hasher) = (HashSet::new(), vec![], blake3::Hasher::new());
        let (mut n_tested, mut n_again) = (0, 0);
        for (s, path) in paths.iter().enumerate() {
            let set = images::open(path)?;
            warnings.extend(set.warnings().iter().cloned());
            for range in batches(set.n_images(), LOOKED_AT) {
                for (place, pixels) in range.clone().zip(set.read(range)?) {
                    let own = hash(&pixels);
                    hasher.update(set.names()[place].as_bytes()).update(&own);
                    if without.contains(&own) {
                        n_tested += 1;
                    } else if seen.insert(own) {
                        all.places.push((s, place));
                        all.names.push(called(path, &set.names()[place], paths.len()));
                    } else {
                        n_again += 1;
                    }
                }
            }
            all.sets.push(set);
        }
        all.hash = hasher.finalize().to_hex().to_string();
        let note = |n: usize, text: &str| (n > 0).then(|| Warning::Note { text: format!("{n} images {text}") });
        warnings.extend(note(n_tested, "are among the test images and are not learnt from"));
        warnings.extend(note(n_again, "are in the sets twice and count once"));
        Ok((all, seen, warnings))
    }

    pub fn n(&self) -> usize {
        self.places.len()
    }

    /// A view of some images at a size: n x 3 x height x width in [0, 1].
    ///
    /// # Errors
    /// As reading says.
    pub fn read(&self, images: &[usize], views: &[View], size: (usize, usize)) -> Result<Array4<f32>> {
        let mut out = Array4::zeros((images.len(), 3, size.0, size.1));
        let slots = out.axis_iter_mut(Axis(0)).into_par_iter().zip(images.par_iter().zip(views));
        let read: Vec<Result<()>> = slots
            .map(|(mut slot, (&image, view))| {
                let (set, place) = self.places[image];
                let pixels = self.sets[set].read(place..place + 1)?.remove(0);
                slot.assign(&unit(view.of(pixels.view(), size, self.how).view()));
                Ok(())
            })
            .collect();
        read.into_iter().collect::<Result<()>>()?;
        Ok(out)
    }

    /// Views of a number of some images.
    pub fn views(options: &ViewOptions, seed: u64, number: usize, images: &[usize]) -> Vec<View> {
        images.iter().map(|&i| View::draw(options, seed, number, i)).collect()
    }
}

fn hash(pixels: &Array3<u8>) -> PixelHash {
    let mut hasher = blake3::Hasher::new();
    let (h, w, _) = pixels.dim();
    hasher.update(&(h as u64).to_le_bytes()).update(&(w as u64).to_le_bytes());
    hasher.update(pixels.as_standard_layout().as_slice().expect("laid out row by row"));
    *hasher.finalize().as_bytes()
}

/// An image's name, after its set where there are several.
fn called(path: &Path, name: &str, n_sets: usize) -> String {
    let set = path.file_stem().unwrap_or_default().to_string_lossy();
    if n_sets > 1 { format!("{set}/{name}") } else { name.to_owned() }
}

/// Refuses too few images.
///
/// # Errors
/// [`Error::Invalid`].
pub fn enough(n: usize, least: usize, why: &str) -> Result<()> {
    if n >= least {
        return Ok(());
    }
    let hint = "give more images, or hold fewer back (`n_held`) and take smaller batches (`training.batch`)";
    Err(Error::invalid("images", format!("at least {least} images: {why}"), n.to_string(), hint))
}
