//! Models and images as jobs take them: found, checked, hashed.

use super::fitted;
use crate::data::{ImageSource, Stimuli};
use crate::error::Result;
use crate::image::Resized;
use crate::image::resize::{self, Resize};
use crate::io::images;
use crate::network::Graph;
pub use crate::network::executor::frozen as executor;
use crate::network::zoo::{LoadOptions, Model, load_model};
use crate::warning::Warning;
use ndarray::Array3;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// `[network]`: which network, for every job that needs one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkConfig {
    /// A name, a model directory, a file to import, or a fitted encoding model.
    pub model: String,
    /// Architecture of a bare PyTorch state dict.
    pub arch: Option<String>,
    /// Preprocessing of a bare file.
    pub preprocess: Option<String>,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self { model: "mini-inception".into(), arch: None, preprocess: None }
    }
}

impl NetworkConfig {
    /// As it applies to this model where `others` are beside it: a fitted model has an architecture and a
    /// preprocessing of its own, and those that are given are then the others'.
    pub fn beside(&self, others: bool) -> Self {
        match others && fitted::file(&self.model).is_some() {
            true => Self { arch: None, preprocess: None, ..self.clone() },
            false => self.clone(),
        }
    }

    /// Finds and reads the network.
    ///
    /// # Errors
    /// As [`load_model`].
    pub fn load(&self) -> Result<Model> {
        self.load_other(&self.model)
    }

    /// Finds and reads another network with the same architecture and preprocessing.
    ///
    /// # Errors
    /// As [`load_model`].
    pub fn load_other(&self, model: &str) -> Result<Model> {
        if let Some(file) = fitted::file(model) {
            return fitted::network(&file, self);
        }
        let options = LoadOptions { arch: self.arch.clone(), preprocess: self.preprocess.clone(), models_dir: None };
        load_model(model, &options)
    }
}

/// Images brought to a network's input size, with the hash of their pixels as they were in the
/// files.
///
/// # Errors
/// [`crate::Error::Corrupt`] for a damaged file, [`crate::Error::Invalid`] when there are none.
pub fn load_images(path: &Path, graph: &Graph, how: Resize) -> Result<(Stimuli, String, Vec<Warning>)> {
    let set = images::load(path)?;
    let mut hasher = blake3::Hasher::new();
    set.names.iter().zip(&set.pixels).for_each(|(name, pixels)| add(&mut hasher, name, pixels));
    let (stimuli, warnings) = resize::stimuli(set, Some((graph.input.height, graph.input.width)), how)?;
    Ok((stimuli, hasher.finalize().to_hex().to_string(), warnings))
}

/// As [`load_images`], but read and resized batch by batch when they are needed; every image is
/// decoded once here.
///
/// # Errors
/// As [`load_images`].
pub fn open_images(path: &Path, graph: &Graph, how: Resize) -> Result<(Resized, String, Vec<Warning>)> {
    open_images_seen(path, graph, how, &mut |_, _| {})
}

/// As [`open_images`]; `seen` is shown every image's name and the pixels of its file, in order.
///
/// # Errors
/// As [`load_images`].
pub fn open_images_seen(
    path: &Path,
    graph: &Graph,
    how: Resize,
    seen: &mut dyn FnMut(&str, &Array3<u8>),
) -> Result<(Resized, String, Vec<Warning>)> {
    hashed(images::open(path)?, graph, how, seen)
}

/// As [`open_images_seen`], of a set that is open already.
///
/// # Errors
/// As [`load_images`].
pub fn hashed(
    source: Box<dyn ImageSource>,
    graph: &Graph,
    how: Resize,
    seen: &mut dyn FnMut(&str, &Array3<u8>),
) -> Result<(Resized, String, Vec<Warning>)> {
    let mut hasher = blake3::Hasher::new();
    let size = Some((graph.input.height, graph.input.width));
    let (resized, warnings) = Resized::new(source, size, how, |name, pixels| {
        add(&mut hasher, name, pixels);
        seen(name, pixels);
        Ok(())
    })?;
    Ok((resized, hasher.finalize().to_hex().to_string(), warnings))
}

/// An image's part of the hash of a set: its name, then its pixels in row-major order.
fn add(hasher: &mut blake3::Hasher, name: &str, pixels: &Array3<u8>) {
    hasher.update(name.as_bytes());
    hasher.update(pixels.as_standard_layout().as_slice().expect("laid out row by row"));
}
