//! What `distill` can be asked for.

use crate::compression::distillation::{Settings, ViewOptions};
use crate::error::{Error, Result};
use crate::image::resize::Resize;
use crate::job::inputs::TargetsConfig;
use crate::job::limits::{NUMBER, within};
use crate::job::machine::Machine;
use crate::job::model::NetworkConfig;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Configuration of `orthoscope distill`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Always `distill`.
    pub command: String,
    pub teacher: TeacherConfig,
    /// Units of the teacher that are taught.
    pub units: Vec<String>,
    /// Leave out models of a folder that cannot be read.
    pub skip_bad: bool,
    /// The models of a folder are one teacher: their mean.
    pub ensemble: bool,
    /// Sets of images that students learn from.
    pub images: Vec<PathBuf>,
    /// How images are brought to size.
    pub resize: Resize,
    /// Images that students never learn from, drawn from all.
    pub n_held: usize,
    pub views: ViewOptions,
    /// Images of the recorded responses.
    pub test_images: Option<PathBuf>,
    /// Recorded responses that teacher and students are compared with.
    pub targets: TargetsConfig,
    pub student: StudentConfig,
    pub training: Settings,
    pub prune: PruneConfig,
    #[serde(deserialize_with = "retraining")]
    pub retraining: Settings,
    pub seed: u64,
    pub machine: Machine,
}

/// `[student]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StudentConfig {
    /// Filters of each layer.
    pub widths: Vec<usize>,
    /// Rows and columns of the images.
    pub size: [usize; 2],
    /// Preprocessing of the images.
    pub preprocess: String,
    /// One core for all units first; each unit's student begins as that core with its readout.
    pub shared: bool,
}

/// `[prune]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PruneConfig {
    /// Share of a layer's output (or, at the readout, of r^2) that is left; 1: nothing is pruned.
    pub share: f64,
    /// Filters that a layer keeps at least.
    pub minimum: usize,
    /// Images that filters are judged by.
    pub n_images: usize,
}

/// The given keys over the defaults of training again, which are not those of training.
fn retraining<'de, D: serde::Deserializer<'de>>(given: D) -> std::result::Result<Settings, D::Error> {
    let given = toml::Table::deserialize(given)?;
    let mut whole = toml::Table::try_from(Config::default().retraining).map_err(serde::de::Error::custom)?;
    whole.extend(given);
    whole.try_into().map_err(serde::de::Error::custom)
}

/// Who teaches; nobody unless somebody is named.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TeacherConfig {
    /// A network as for other jobs, a fitted model, or a folder of models.
    pub model: String,
    /// Architecture of a bare PyTorch state dict.
    pub arch: Option<String>,
    /// Preprocessing of a bare file.
    pub preprocess: Option<String>,
}

impl TeacherConfig {
    pub fn network(&self) -> NetworkConfig {
        let Self { model, arch, preprocess } = self.clone();
        NetworkConfig { model, arch, preprocess }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            command: "distill".into(),
            teacher: TeacherConfig::default(),
            units: vec!["all".into()],
            skip_bad: false,
            ensemble: false,
            images: vec![],
            resize: Resize::default(),
            n_held: 500,
            views: ViewOptions::default(),
            test_images: None,
            targets: TargetsConfig::default(),
            student: StudentConfig::default(),
            training: Settings::default(),
            prune: PruneConfig::default(),
            retraining: Settings { epochs: 10, ..Settings::default() },
            seed: 1,
            machine: Machine::default(),
        }
    }
}

impl Default for StudentConfig {
    fn default() -> Self {
        Self { widths: vec![100; 5], size: [112, 112], preprocess: "v4".into(), shared: false }
    }
}

impl Default for PruneConfig {
    /// As published, but for the number of images (5,000 there).
    fn default() -> Self {
        Self { share: 0.9, minimum: 3, n_images: 2000 }
    }
}

impl Config {
    /// Checks what can be checked without reading anything.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the option.
    pub fn check(&self) -> Result<()> {
        let given = |key: &str, expected: &str, missing: bool, hint: &str| {
            if missing { Err(Error::invalid(key, expected, "none", hint)) } else { Ok(()) }
        };
        let teacher = "a network, a fitted model, or a folder of models";
        given("teacher.model", teacher, self.teacher.model.is_empty(), "say who teaches")?;
        given("images", "at least one set of images", self.images.is_empty(), "say what students learn from")?;
        let recorded = !self.targets.files.is_empty();
        let hint = "the images that the responses are to";
        given("test_images", "images beside `targets`", recorded && self.test_images.is_none(), hint)?;
        within("n_held", self.n_held, 10, 1_000_000)?;
        within("prune.share", self.prune.share, 0.0, 1.0)?;
        within("prune.minimum", self.prune.minimum, 1, 1024)?;
        within("prune.n_images", self.prune.n_images, 10, 1_000_000)?;
        self.views.check()?;
        for (key, s) in [("training", &self.training), ("retraining", &self.retraining)] {
            within(&format!("{key}.epochs"), s.epochs, 0, 1_000_000)?;
            within(&format!("{key}.batch"), s.batch, 2, 4096)?;
            within(&format!("{key}.rate"), s.rate, 0.0, NUMBER)?;
            within(&format!("{key}.smooth"), s.smooth, 0.0, 100.0)?;
            within(&format!("{key}.smooth_every"), s.smooth_every, 1, usize::MAX)?;
        }
        Ok(())
    }

    /// Whether students are made smaller.
    pub fn prunes(&self) -> bool {
        self.prune.share < 1.0
    }
}
