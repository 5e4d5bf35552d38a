//! What `adversarial` can be asked for. `DIR/config.toml` of a run is this, completely resolved.

use crate::error::{Error, Result};
use crate::image::resize::Resize;
use crate::image::{Equal, Norm};
use crate::job::limits::{self, within};
use crate::job::machine::Machine;
use crate::job::model::NetworkConfig;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Configuration of `orthoscope adversarial`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Always `adversarial`.
    pub command: String,
    /// A network, or a folder of network files: each one a model of a neuron.
    pub network: NetworkConfig,
    /// Units of the network, or files of the folder.
    pub units: Vec<String>,
    /// Leave out files of the folder that cannot be read.
    pub skip_bad: bool,
    /// Base images: folder, zip or npy.
    pub images: PathBuf,
    /// How base images of another size are brought to the network's; an error without.
    pub resize: Option<Resize>,
    /// Only the first so many base images; 0: all.
    pub n_images: usize,
    pub aim: Aim,
    pub norm: Norm,
    /// Radii, levels of 0..255 (see [`Norm`]).
    pub epsilon: Vec<f64>,
    /// Find the smallest radius (up to the largest of `epsilon`) that reaches this: a response
    /// (`2.5`), natural standard deviations from the base (`+1sd`), or another answer of the
    /// classifier (`other`).
    pub minimal: Option<String>,
    pub method: Method,
    pub steps: usize,
    /// Step as a share of the radius; 0 takes 2.5 / steps. `adam`: levels of 0..255, 0 takes 2.
    pub learning_rate: f64,
    /// Smoothing of gradients, standard deviation in pixels; 0: none.
    pub smooth: f64,
    pub equal: Equal,
    /// Random perturbations of equal size for each image and radius.
    pub n_random: usize,
    pub natural: Option<PathBuf>,
    /// Other models that the images are shown to: MODEL or MODEL=UNITS.
    pub check: Vec<String>,
    pub seed: u64,
    /// Images in one batch.
    pub batch: usize,
    pub machine: Machine,
}

/// What is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aim {
    /// The unit's response, up and down.
    #[default]
    Response,
    /// A classifier's margin: from the answer it gives for the base image to another one.
    Margin,
}

/// How.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Projected gradient ascent with steps scaled to the ball (Madry et al., ICLR 2018).
    #[default]
    Pgd,
    /// One signed step (Goodfellow et al., ICLR 2015).
    Fgsm,
    /// Adam with projection.
    Adam,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            command: "adversarial".into(),
            network: NetworkConfig::default(),
            units: vec!["all".into()],
            skip_bad: false,
            images: PathBuf::new(),
            resize: None,
            n_images: 0,
            aim: Aim::default(),
            norm: Norm::default(),
            epsilon: vec![10.0],
            minimal: None,
            method: Method::default(),
            steps: 50,
            learning_rate: 0.0,
            smooth: 0.0,
            equal: Equal::default(),
            n_random: 3,
            natural: None,
            check: vec![],
            seed: 1,
            batch: 16,
            machine: Machine::default(),
        }
    }
}

/// Madry's step: 2.5 radii over all steps.
const REACH: f64 = 2.5;
/// Adam's step, levels of 0..255.
const ADAM_LEVELS: f64 = 2.0;

impl Config {
    /// Checks what can be checked without network and images.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the option.
    pub fn check(&self) -> Result<()> {
        let bad = |option: &str, expected: &str, found: String| {
            Err(Error::invalid(option, expected, found, "see `orthoscope adversarial --help`"))
        };
        if self.command != "adversarial" {
            return bad("command", "`adversarial`", format!("`{}`", self.command));
        }
        if self.images.as_os_str().is_empty() {
            return bad("images", "the base images: folder, zip or npy", "none".into());
        }
        if self.steps == 0 || self.batch == 0 {
            return bad("steps, batch", "at least 1", format!("{} and {}", self.steps, self.batch));
        }
        if self.epsilon.is_empty() {
            return bad("epsilon", "at least one radius", "none".into());
        }
        within("steps", self.steps, 1, limits::STEPS)?;
        within("batch", self.batch, 1, limits::IMAGES)?;
        within("n_random", self.n_random, 0, limits::RESTARTS)?;
        within("learning_rate", self.learning_rate, 0.0, limits::NUMBER)?;
        if !(self.learning_rate >= 0.0 && self.learning_rate.is_finite() && (0.0..=16.0).contains(&self.smooth)) {
            let found = format!("{} and {}", self.learning_rate, self.smooth);
            return bad("learning_rate, smooth", "at least 0; smoothing at most 16 px", found);
        }
        Ok(())
    }

    /// Step of a leaf in force: a share of the radius, or levels / 255 for Adam.
    pub fn rate(&self) -> f64 {
        let own = self.learning_rate;
        match self.method {
            Method::Fgsm => 1.0,
            Method::Pgd if own > 0.0 => own,
            Method::Pgd => REACH / self.steps as f64,
            Method::Adam => (if own > 0.0 { own } else { ADAM_LEVELS }) / crate::image::ball::LEVELS,
        }
    }

    /// Steps in force.
    pub fn n_steps(&self) -> usize {
        if self.method == Method::Fgsm { 1 } else { self.steps }
    }
}
