//! What `predict` can be asked for.

use crate::error::{Error, Result};
use crate::image::resize::Resize;
use crate::job::inputs::TargetsConfig;
use crate::job::limits::{self, within};
use crate::job::machine::Machine;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Configuration of `orthoscope predict`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Always `predict`.
    pub command: String,
    /// A run directory of `fit`, or a file `model.safetensors`.
    pub model: String,
    /// Targets of the model that are predicted.
    pub units: Vec<String>,
    /// Folder, zip, npy, `stimuli.tsv` or one file, for models on layers of a network.
    pub images: Option<PathBuf>,
    /// How images are brought to the network's input size; as for the fit when left out.
    pub resize: Option<Resize>,
    /// Ready features of the stimuli, for models on such: `.npy` or `.npz`.
    pub features: Vec<PathBuf>,
    /// Table with the stimulus of each of their rows.
    pub feature_rows: Option<PathBuf>,
    /// Recorded responses that predictions are compared with.
    pub targets: TargetsConfig,
    /// Targets in the figures.
    pub n_best: usize,
    /// Images of each in the mosaic.
    pub n_top: usize,
    /// Images in one batch.
    pub batch: usize,
    pub machine: Machine,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            command: "predict".into(),
            model: String::new(),
            units: vec!["all".into()],
            images: None,
            resize: None,
            features: vec![],
            feature_rows: None,
            targets: TargetsConfig::default(),
            n_best: 6,
            n_top: 6,
            batch: 16,
            machine: Machine::default(),
        }
    }
}

/// Targets and images that one figure has room for.
const SHOWN: usize = 100;

impl Config {
    /// Checks what can be checked without the model.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the option.
    pub fn check(&self) -> Result<()> {
        if self.model.is_empty() {
            let hint = "say which model is to predict";
            return Err(Error::invalid("model", "a run directory of `fit`, or its model.safetensors", "none", hint));
        }
        if self.images.is_none() && self.features.is_empty() {
            let hint = "say to which stimuli";
            return Err(Error::invalid("images", "images, or ready `features`", "none", hint));
        }
        if self.feature_rows.is_some() && self.features.is_empty() {
            let hint = "the table names the rows of `features`";
            return Err(Error::invalid("feature_rows", "`features` whose rows it names", "none", hint));
        }
        within("n_best", self.n_best, 0, SHOWN)?;
        within("n_top", self.n_top, 0, SHOWN)?;
        within("batch", self.batch, 1, limits::IMAGES)
    }
}
