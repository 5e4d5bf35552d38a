//! Where features come from: layers of a network that sees the stimuli, or arrays.

use super::config::Config;
use super::movies;
use super::samples::{Samples, copies};
use crate::data::StimulusSource;
use crate::encoding::features::{Extraction, FrameMap, Limits, PcaOptions, Projection, Reduction, TapMap, spaces};
use crate::encoding::model::pixels_hash;
use crate::error::{Error, Result};
use crate::image::Resized;
use crate::job::inputs::targets::{Recording, Targets};
use crate::job::model;
use crate::network::zoo::Model;
use crate::network::{Graph, NodeId};
use crate::warning::Warning;
use ndarray::{Array2, Array3, Array4, Axis};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

/// Where features come from.
pub enum Source {
    Layers(Box<Layers>),
    /// Names and features of the samples, n_samples x n_features.
    Given(Vec<(String, Array2<f32>)>),
}

/// Layers of a network that sees the stimuli.
pub struct Layers {
    pub graph: Graph,
    pub blake3: String,
    pub taps: Vec<NodeId>,
    pub images: Chosen,
    /// Hash of all images and of which of them are samples.
    pub hash: String,
    /// The frames of the samples, of movies.
    pub map: Option<FrameMap>,
}

/// Some images of a set, in its order.
pub struct Chosen {
    set: Resized,
    places: Vec<usize>,
    /// Of the pixels of every image of the set.
    hashes: Vec<String>,
}

impl Chosen {
    /// Hash of an image's pixels, as in its file.
    pub fn hash(&self, i: usize) -> &str {
        &self.hashes[self.places[i]]
    }
}

impl StimulusSource for Chosen {
    fn n_images(&self) -> usize {
        self.places.len()
    }

    fn read(&self, range: Range<usize>) -> Result<Array4<f32>> {
        let places = &self.places[range];
        let mut parts = Vec::new();
        for run in places.chunk_by(|a, b| a + 1 == *b) {
            parts.push(self.set.read(run[0]..run[run.len() - 1] + 1)?);
        }
        let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
        Ok(ndarray::concatenate(Axis(0), &views).expect("images of one size"))
    }
}

/// What a plan has read.
pub struct Read {
    pub source: Source,
    pub samples: Samples,
    /// Names and hashes of what is known as a whole.
    pub sets: BTreeMap<String, String>,
    pub warnings: Vec<Warning>,
}

/// Reads stimuli and targets and matches them.
///
/// # Errors
/// Whatever is wrong with them.
pub fn read(config: &Config, targets: &Targets) -> Result<Read> {
    let stimuli = &config.stimuli;
    match (&stimuli.images, stimuli.movies.is_empty()) {
        (Some(path), _) => of_images(config, targets, path),
        (None, false) => of_movies(config, targets),
        (None, true) => of_arrays(config, targets),
    }
}

fn network(config: &Config) -> Result<(Model, Vec<NodeId>)> {
    let found = config.network.load()?;
    let taps = match config.stimuli.taps.as_slice() {
        [] => found.graph.resolve_taps(&["default".into()])?,
        taps => found.graph.resolve_taps(taps)?,
    };
    Ok((found, taps))
}

fn of_movies(config: &Config, targets: &Targets) -> Result<Read> {
    let Recording::Series(series) = &targets.recorded else {
        let hint = "targets.rows = \"time\"; images that were shown one by one are `stimuli.images`";
        return Err(Error::invalid("stimuli.movies", "time series to predict", "responses to stimuli", hint));
    };
    let samples = Samples::of_series(config, targets, series)?;
    let (found, taps) = network(config)?;
    let (joined, map) = movies::open(config, &samples)?;
    let (set, hash, said) = model::hashed(Box::new(joined), &found.graph, config.stimuli.resize, &mut |_, _| {})?;
    let mut warnings = found.warnings;
    warnings.extend(said);
    let sets = BTreeMap::from([("model".to_owned(), found.blake3.clone()), ("movies".to_owned(), hash.clone())]);
    let images = Chosen { places: (0..set.names().len()).collect(), set, hashes: vec![] };
    let layers = Layers { graph: found.graph, blake3: found.blake3, taps, images, hash, map: Some(map) };
    Ok(Read { source: Source::Layers(Box::new(layers)), samples, sets, warnings })
}

fn of_images(config: &Config, targets: &Targets, path: &Path) -> Result<Read> {
    let stimuli = &config.stimuli;
    let (found, taps) = network(config)?;
    let mut warnings = found.warnings;
    let mut hashes = Vec::new();
    let mut seen = |_: &str, pixels: &Array3<u8>| hashes.push(pixels_hash(pixels));
    let (set, hash, said) = model::open_images_seen(path, &found.graph, stimuli.resize, &mut seen)?;
    warnings.extend(said);
    let names = set.names().to_vec();
    let (mut samples, places) = Samples::of_stimuli(config, targets, &names, &mut warnings)?;
    samples.copies = copies(&samples.names, places.iter().map(|&i| hashes[i].as_str()), &mut warnings);
    let sets = BTreeMap::from([("model".to_owned(), found.blake3.clone()), ("images".to_owned(), hash.clone())]);
    let hash = if places.len() == names.len() { hash } else { format!("{hash} {places:?}") };
    let images = Chosen { set, places, hashes };
    let layers = Layers { graph: found.graph, blake3: found.blake3, taps, images, hash, map: None };
    Ok(Read { source: Source::Layers(Box::new(layers)), samples, sets, warnings })
}

fn of_arrays(config: &Config, targets: &Targets) -> Result<Read> {
    let stimuli = &config.stimuli;
    if stimuli.reduction.pca().is_none() && stimuli.reduction != Reduction::Flat {
        let hint = "ready features can have a PCA, or stay as they are (`flat`)";
        let found = stimuli.reduction.describe();
        return Err(Error::invalid("stimuli.reduction", "`flat` or `pca` with ready features", found, hint));
    }
    let mut read = Vec::new();
    for path in &stimuli.features {
        read.extend(spaces::read(path, stimuli.feature_rows.as_deref())?);
    }
    let names: Vec<&str> = read.iter().map(|space| space.name.as_str()).collect();
    if let Some(name) = crate::data::names::twice(names) {
        let hint = "rename one of the files or arrays";
        return Err(Error::invalid("stimuli.features", "a name of its own for each", format!("`{name}` twice"), hint));
    }
    let mut warnings = Vec::new();
    if let Recording::Series(series) = &targets.recorded {
        let samples = Samples::of_series(config, targets, series)?;
        if stimuli.feature_rows.is_some() {
            let hint = "features of a time series have one row a sample, in the order of time";
            return Err(Error::invalid("stimuli.feature_rows", "no names with rows = \"time\"", "a table", hint));
        }
        let given = read.into_iter().map(|space| in_time(space, &samples)).collect::<Result<Vec<_>>>()?;
        return Ok(Read { source: Source::Given(given), samples, sets: BTreeMap::new(), warnings });
    }
    let rows = match &read[0].rows {
        Some(rows) => rows.clone(),
        None => Samples::unnamed(config, targets)?,
    };
    let (samples, places) = Samples::of_stimuli(config, targets, &rows, &mut warnings)?;
    let mut given = Vec::new();
    for space in read {
        let (values, said) = space.of(&rows)?;
        warnings.extend(said);
        given.push((space.name, values.select(Axis(0), &places)));
    }
    Ok(Read { source: Source::Given(given), samples, sets: BTreeMap::new(), warnings })
}

/// A space with one row a sample of a time series.
fn in_time(space: spaces::FeatureSpace, samples: &Samples) -> Result<(String, Array2<f32>)> {
    let (n, found) = (samples.n_samples(), space.values.nrows());
    if n == found {
        return Ok((space.name, space.values));
    }
    let expected = format!("{n} rows, one for each sample of all runs");
    let hint = "features are sampled at the times of the responses, run after run";
    Err(Error::invalid(format!("features `{}`", space.name), expected, found.to_string(), hint))
}

impl Source {
    /// Names of the sets of features.
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Layers(layers) => layers.taps.iter().map(|&t| layers.graph.node(t).name.clone()).collect(),
            Self::Given(given) => given.iter().map(|(name, _)| name.clone()).collect(),
        }
    }
}

impl Layers {
    /// What is extracted of some of the layers, planned.
    ///
    /// # Errors
    /// As [`Extraction::new`].
    pub fn extraction(&self, wanted: &[usize], config: &Config, n_train: usize) -> Result<Extraction<'_>> {
        let taps: Vec<(NodeId, Reduction)> =
            wanted.iter().map(|&i| (self.taps[i], config.stimuli.reduction.clone())).collect();
        let limits = Limits { memory: (config.memory_mb as u64) << 20, ..Limits::default() };
        match &self.map {
            None => Extraction::new(&self.graph, &taps, self.images.n_images(), n_train, limits),
            Some(map) => Extraction::movie(&self.graph, &taps, map.clone(), n_train, limits),
        }
    }

    /// What is kept of a layer, a projection's number of vectors written out: it depends on the number
    /// of images.
    ///
    /// # Errors
    /// As [`Projection::size`].
    pub fn reduction_of(&self, layer: usize, config: &Config) -> Result<Reduction> {
        let n_units = self.graph.node(self.taps[layer]).shape.len();
        let whole = |projection: &Projection| -> Result<Projection> {
            Ok(Projection { n_components: Some(projection.size(n_units, self.n_rows())?), ..*projection })
        };
        Ok(match &config.stimuli.reduction {
            Reduction::SparseRandomProjection(own) => Reduction::SparseRandomProjection(whole(own)?),
            Reduction::Pca(pca) => {
                Reduction::Pca(PcaOptions { project: pca.project.as_ref().map(whole).transpose()?, ..*pca })
            }
            other => other.clone(),
        })
    }

    /// How many windows lie on a layer's map, of how many; none without receptive fields.
    ///
    /// # Errors
    /// As [`TapMap::new`].
    pub fn windows_on(&self, layer: usize, config: &Config) -> Result<Option<[usize; 2]>> {
        let Reduction::RfPooled(grid) = &config.stimuli.reduction else { return Ok(None) };
        let on = TapMap::new(&self.graph, self.taps[layer])?.on_map(grid)?;
        Ok(Some([on.iter().filter(|on| **on).count(), on.len()]))
    }

    /// Rows of the features: images, or samples of movies.
    fn n_rows(&self) -> usize {
        self.map.as_ref().map_or(self.images.n_images(), FrameMap::n_samples)
    }

    /// All layers.
    pub fn all(&self) -> Vec<usize> {
        (0..self.taps.len()).collect()
    }
}
