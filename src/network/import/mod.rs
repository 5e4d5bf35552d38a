//! Networks from the files that their authors publish: one module per format, all to the same
//! [`Graph`].
//!
//! Nothing in a file is ever executed. What an importer does not understand is an error that names
//! the layer and its type.

mod assembly;
pub mod caffe;
pub mod keras;
mod names;
pub mod onnx;
mod pixels;
mod protobuf;
pub mod pytorch;

pub use pixels::{Pixels, Says, choose};

use crate::error::{Error, Result};
use crate::network::graph::Graph;
use crate::warning::Warning;
use std::path::Path;

/// What a file holds.
#[derive(Debug, Clone)]
pub struct Imported {
    /// Its preprocessing is a placeholder: see [`crate::network::zoo::load_model`], which knows or
    /// asks.
    pub graph: Graph,
    /// What the file says about the pixels that the network takes, if it says anything.
    pub pixels: Option<Pixels>,
    pub warnings: Vec<Warning>,
}

/// Reads a network from a file by its extension; `arch` names the architecture of a PyTorch state
/// dict.
///
/// # Errors
/// [`Error::Invalid`] for another extension; whatever the reader says.
pub fn read(path: &Path, arch: Option<&str>) -> Result<Imported> {
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    match extension.as_str() {
        "onnx" => onnx::read(path),
        "pt" | "pth" => pytorch::read(path, arch),
        "keras" | "h5" => keras::read(path),
        "caffemodel" => caffe::read(path),
        _ => Err(Error::invalid(
            path.display().to_string(),
            format!("a file that ends in {}", crate::network::zoo::EXTENSIONS.join(", ")),
            format!("`.{extension}`"),
            "convert the network to ONNX",
        )),
    }
}

/// The file's name without folder and extension: what a network is called when nobody says
/// otherwise.
pub(crate) fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(|| "network".into(), |s| s.to_string_lossy().into_owned())
}

/// A whole file.
pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    crate::io::source::read(path)
}
