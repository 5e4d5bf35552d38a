//! Models and images as jobs take them: found, checked, hashed.

use crate::data::Stimuli;
use crate::error::Result;
use crate::image::resize::{self, Resize};
use crate::io::images;
use crate::job::manifest::hash;
use crate::network::zoo::{LoadOptions, Model, load_model};
use crate::network::{BurnExecutor, CpuEngine, Executor, Graph, TapRequest};
use crate::tensor::{Device, Precision};
use crate::warning::Warning;
use std::path::Path;

/// Finds and reads the network that `--model`, `--arch` and `--preprocess` name.
///
/// # Errors
/// As [`load_model`].
pub fn load(model: &str, arch: Option<&str>, preprocess: Option<&str>) -> Result<Model> {
    let options =
        LoadOptions { arch: arch.map(str::to_owned), preprocess: preprocess.map(str::to_owned), models_dir: None };
    load_model(model, &options)
}

/// Images brought to a network's input size, with the hash of their pixels as they were in the files.
///
/// # Errors
/// [`crate::Error::Corrupt`] for a damaged file, [`crate::Error::Invalid`] when there are none.
pub fn load_images(path: &Path, graph: &Graph, how: Resize) -> Result<(Stimuli, String, Vec<Warning>)> {
    let set = images::load(path)?;
    let mut bytes = Vec::new();
    for (name, pixels) in set.names.iter().zip(&set.pixels) {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend(pixels.iter());
    }
    let (stimuli, warnings) = resize::stimuli(set, Some((graph.input.height, graph.input.width)), how)?;
    Ok((stimuli, hash(&bytes), warnings))
}

/// The executor that this build uses for frozen networks.
///
/// # Errors
/// [`crate::Error::Invalid`] without taps.
pub fn executor(graph: &Graph, taps: &[TapRequest], device: &Device) -> Result<Box<dyn Executor>> {
    if cfg!(any(feature = "cuda", feature = "wgpu")) {
        return Ok(Box::new(BurnExecutor::new(graph, taps, Precision::F32, device)?));
    }
    Ok(Box::new(CpuEngine::new(graph, taps)?))
}
