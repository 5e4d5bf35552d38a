//! Images that channels are judged on, and others that the reported scores are on.

use super::config::Config;
use super::labels::{self, Labelled};
use crate::data::StimulusSource;
use crate::data::image_source::{batches, check_range};
use crate::encoding::model::pixels_hash;
use crate::error::{Error, Result};
use crate::image::Resized;
use crate::job::model::hashed;
use crate::network::Graph;
use crate::rng::stream;
use crate::warning::Warning;
use ndarray::{Array2, Array4, Axis, Slice, concatenate};
use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

/// Images that are decoded once and kept: 1 GiB.
const KEPT_BYTES: usize = 1 << 30;

/// Some images of a set, with what is known of them.
pub struct Set {
    pub images: Chosen,
    pub truth: Truth,
}

/// What is known of images.
#[derive(Debug, Clone, PartialEq)]
pub enum Truth {
    /// For each, the output that should be largest.
    Labels(Vec<usize>),
    /// Recorded responses, n_images x n_outputs.
    Responses(Array2<f64>),
    /// Nothing: the network's own outputs are what counts.
    Nothing,
}

/// Images of a larger set, in some order.
#[derive(Clone)]
pub struct Chosen {
    whole: Arc<Resized>,
    places: Vec<usize>,
}

impl Chosen {
    /// Their names.
    pub fn names(&self) -> Vec<String> {
        self.places.iter().map(|&i| self.whole.names()[i].clone()).collect()
    }

    /// Their places in the whole set.
    pub fn places(&self) -> &[usize] {
        &self.places
    }

    /// Names of the whole set.
    pub fn all_names(&self) -> Vec<String> {
        self.whole.names().to_vec()
    }

    /// Decoded and in memory, where they fit into it; else as they are.
    ///
    /// # Errors
    /// As reading.
    pub fn kept(&self, graph: &Graph) -> Result<Box<dyn StimulusSource>> {
        let bytes = 12usize.saturating_mul(self.places.len()).saturating_mul(graph.input.height * graph.input.width);
        if bytes > KEPT_BYTES {
            return Ok(Box::new(self.clone()));
        }
        let (n, height, width) = (self.places.len(), graph.input.height, graph.input.width);
        let mut all = Array4::zeros((n, 3, height, width));
        for range in batches(n, 64) {
            all.slice_axis_mut(Axis(0), Slice::from(range.clone())).assign(&self.read(range)?);
        }
        Ok(Box::new(all))
    }
}

impl StimulusSource for Chosen {
    fn n_images(&self) -> usize {
        self.places.len()
    }

    fn read(&self, range: Range<usize>) -> Result<Array4<f32>> {
        check_range(&range, self.places.len())?;
        // Neighbours are read together.
        let mut parts = Vec::new();
        let mut from = range.start;
        while from < range.end {
            let mut to = from + 1;
            while to < range.end && self.places[to] == self.places[to - 1] + 1 {
                to += 1;
            }
            parts.push(self.whole.read(self.places[from]..self.places[to - 1] + 1)?);
            from = to;
        }
        let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
        if views.is_empty() {
            return self.whole.read(0..0);
        }
        Ok(concatenate(Axis(0), &views).expect("all are of the network's size"))
    }
}

/// A set of images with hashes of their pixels.
pub struct Opened {
    pub images: Arc<Resized>,
    /// The class of each in words, where it is known.
    pub classes: Option<Vec<String>>,
    pub hashes: Vec<String>,
}

impl Opened {
    /// Some of its images.
    pub fn some(&self, places: Vec<usize>) -> Chosen {
        Chosen { whole: self.images.clone(), places }
    }

    pub fn n(&self) -> usize {
        self.hashes.len()
    }
}

/// Opens a set of images: every one is decoded once.
///
/// # Errors
/// As the readers say; see [`labels::open`].
pub fn open(
    path: &std::path::Path,
    config: &Config,
    graph: &Graph,
    name: &str,
    sets: &mut BTreeMap<String, String>,
    warnings: &mut Vec<Warning>,
) -> Result<Opened> {
    let Labelled { images, classes } = labels::open(path, config.labels.as_deref())?;
    let mut hashes = Vec::with_capacity(images.n_images());
    let (resized, hash, noted) = hashed(images, graph, config.resize, &mut |_, pixels| {
        hashes.push(pixels_hash(pixels));
    })?;
    sets.insert(name.into(), hash);
    warnings.extend(noted);
    Ok(Opened { images: Arc::new(resized), classes, hashes })
}

/// Refuses images that both sets hold: what is chosen on an image says nothing about it.
///
/// # Errors
/// [`Error::Invalid`] naming one.
pub fn apart(judged: &Opened, tested: &Opened) -> Result<()> {
    let known: HashSet<&String> = judged.hashes.iter().collect();
    let names = tested.images.names();
    match tested.hashes.iter().position(|hash| known.contains(hash)) {
        None => Ok(()),
        Some(at) => {
            let hint = "scores on images that channels were chosen on say nothing: take them out of one set";
            let found = format!("the picture of `{}` in both", names[at]);
            Err(Error::invalid("test_images", "other images than `images`", found, hint))
        }
    }
}

/// Splits images at random: a share of each class for the test, at least one of every class of two
/// or more. Copies of a picture stay on one side.
///
/// The order on either side is that of the set; the draw is that of the seed and the class.
pub fn split(opened: &Opened, share: f64, seed: u64) -> (Vec<usize>, Vec<usize>) {
    let mut kinds: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for i in 0..opened.n() {
        kinds.entry(opened.classes.as_ref().map_or("", |c| c[i].as_str())).or_default().push(i);
    }
    let mut first: BTreeMap<&String, bool> = BTreeMap::new();
    let mut tested = vec![false; opened.n()];
    for (kind, places) in kinds {
        let n = places.len();
        let wanted = ((share * n as f64).round() as usize).clamp(usize::from(n > 1), n.saturating_sub(1));
        let order = stream(seed, &format!("test images {kind}"), 0).permutation(n);
        for (k, place) in order.into_iter().map(|k| places[k]).enumerate() {
            tested[place] = *first.entry(&opened.hashes[place]).or_insert(k < wanted);
        }
    }
    let side = |test: bool| (0..tested.len()).filter(|&i| tested[i] == test).collect();
    (side(false), side(true))
}
