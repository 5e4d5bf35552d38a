//! What `orthogonalize` can be asked for. `DIR/config.toml` of a run is this, completely resolved.

use crate::error::{Error, Result};
use crate::image::JitterOptions;
use crate::image::resize::Resize;
use crate::job::limits::{self, within};
use crate::job::machine::Machine;
use crate::job::model::NetworkConfig;
use crate::network::SpatialPooling;
use crate::objective::{PatternSimilarity, Penalty};
use crate::synthesis::OptimizerKind;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Configuration of `orthoscope orthogonalize`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Always `orthogonalize`: how `orthoscope run FILE` knows what to do.
    pub command: String,
    pub network: NetworkConfig,
    /// Layers, aliases or presets.
    pub taps: Vec<String>,
    pub n_images: usize,
    pub seed: u64,
    /// Independent seeds; the best by the score of the written images is kept.
    pub restarts: usize,
    pub steps: usize,
    /// Steps between two checkpoints.
    pub checkpoint_every: usize,
    /// Natural images to compare with: folder, zip or npy.
    pub baseline: Option<PathBuf>,
    /// How baseline and initial images are brought to the input size.
    pub resize: Resize,
    pub objective: ObjectiveConfig,
    pub image: ImageConfig,
    pub optimizer: OptimizerConfig,
    pub robust: RobustConfig,
    pub machine: Machine,
}

/// `[objective]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ObjectiveConfig {
    /// First-order similarity.
    pub measure: PatternSimilarity,
    /// Patterns: every unit of a layer, or its channel means.
    pub patterns: SpatialPooling,
    pub penalty: Penalty,
    /// Hinge on each RSM's standard deviation.
    pub min_sd: f64,
    pub sd_weight: f64,
    /// Second-order matrix to reach instead of zero: npy, L x L.
    pub target: Option<PathBuf>,
    /// RSMs to reach per layer instead of orthogonality: npy, L x N x N, NaN where free (the pairs
    /// mode of eLife 68344).
    pub target_rsms: Option<PathBuf>,
}

/// `[image]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImageConfig {
    pub param: ParamKind,
    pub grey: bool,
    /// Cycles per pixel above which the Fourier spectrum is rolled off; 0 means no limit.
    pub band_limit: f64,
    /// Exponent of the 1/f scaling.
    pub decay: f64,
    pub init: InitKind,
    /// Images for `init = "natural"`.
    pub init_images: Option<PathBuf>,
    /// Standard deviation of the initial noise, in units of the parameter.
    pub init_sd: f64,
    /// Hold mean luminance and RMS contrast equal across the set.
    pub equalise: bool,
    /// Mean luminance and RMS contrast of every image, pixel values in [0, 1].
    pub luminance: f64,
    pub contrast: f64,
    /// Circular aperture with a soft edge on grey.
    pub aperture: bool,
    /// Pixels only: enlargements by 1.4 during the run (1 = none).
    pub octaves: usize,
}

/// Parametrisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ParamKind {
    #[default]
    Fourier,
    Pixels,
}

/// Where images start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InitKind {
    #[default]
    Noise,
    Grey,
    Natural,
}

/// `[optimizer]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerConfig {
    pub kind: OptimizerKind,
    /// 0 takes the optimizer's own default.
    pub learning_rate: f64,
    /// Share of the steps over which the learning rate falls to zero.
    pub anneal: f64,
    /// An item whose objective gains less than this share of its range over a tenth of its steps
    /// goes on to its last, annealed steps at once; 0 always runs all steps.
    pub tolerance: f64,
}

/// `[robust]`: random views inside the loop, one per step, shared by all images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RobustConfig {
    /// False is `--plain`: what the network sees is exactly what is rendered.
    pub enabled: bool,
    /// Largest shift, pixels.
    pub jitter: f64,
    /// Largest Gaussian blur, standard deviation in pixels.
    pub blur: f64,
    /// Smallest and largest zoom.
    pub scale: [f64; 2],
}

impl Default for Config {
    fn default() -> Self {
        Self {
            command: "orthogonalize".into(),
            network: NetworkConfig::default(),
            taps: vec!["default".into()],
            n_images: 16,
            seed: 1,
            restarts: 1,
            steps: 1000,
            checkpoint_every: 50,
            baseline: None,
            resize: Resize::default(),
            objective: ObjectiveConfig::default(),
            image: ImageConfig::default(),
            optimizer: OptimizerConfig::default(),
            robust: RobustConfig::default(),
            machine: Machine::default(),
        }
    }
}

impl Default for ObjectiveConfig {
    fn default() -> Self {
        Self {
            measure: PatternSimilarity::Pearson,
            patterns: SpatialPooling::Full,
            penalty: Penalty::MeanSquare,
            min_sd: 0.08,
            sd_weight: 10.0,
            target: None,
            target_rsms: None,
        }
    }
}

impl Default for ImageConfig {
    fn default() -> Self {
        Self {
            param: ParamKind::Fourier,
            grey: false,
            band_limit: 0.18,
            decay: 1.0,
            init: InitKind::Noise,
            init_images: None,
            init_sd: 0.5,
            equalise: true,
            luminance: 0.5,
            contrast: 0.2,
            aperture: false,
            octaves: 1,
        }
    }
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self { kind: OptimizerKind::Adam, learning_rate: 0.0, anneal: 0.3, tolerance: 0.0 }
    }
}

impl Default for RobustConfig {
    fn default() -> Self {
        let JitterOptions { jitter_px: jitter, blur_px: blur, scale } = JitterOptions::default();
        Self { enabled: true, jitter, blur, scale: scale.into() }
    }
}

impl Config {
    /// Checks what can be checked without the network.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the option.
    pub fn check(&self) -> Result<()> {
        let bad = |option: &str, expected: &str, found: String| {
            Err(Error::invalid(option, expected, found, "see `orthoscope orthogonalize --help`"))
        };
        if self.command != "orthogonalize" {
            return bad("command", "`orthogonalize`", format!("`{}`", self.command));
        }
        if self.n_images < 3 {
            let hint = "the RSM of two images has a single number: no two layers can be told apart";
            return Err(Error::invalid("n_images", "at least 3", self.n_images.to_string(), hint));
        }
        if self.steps == 0 || self.restarts == 0 || self.checkpoint_every == 0 {
            let found = format!("{}, {} and {}", self.steps, self.restarts, self.checkpoint_every);
            return bad("steps, restarts, checkpoint_every", "at least 1", found);
        }
        within("n_images", self.n_images, 3, limits::IMAGES)?;
        within("steps", self.steps, 1, limits::STEPS)?;
        within("restarts", self.restarts, 1, limits::RESTARTS)?;
        let o = &self.objective;
        if o.target.is_some() && (o.target_rsms.is_some() || o.penalty == Penalty::LogDet) {
            return bad(
                "objective.target",
                "no `objective.target_rsms` and a penalty other than log-det",
                "both".into(),
            );
        }
        if !(o.min_sd >= 0.0 && o.sd_weight >= 0.0) {
            return bad(
                "objective.min_sd, objective.sd_weight",
                "numbers of at least 0",
                format!("{} and {}", o.min_sd, o.sd_weight),
            );
        }
        within("objective.min_sd", o.min_sd, 0.0, 1.0)?;
        within("objective.sd_weight", o.sd_weight, 0.0, limits::NUMBER)?;
        self.check_image().and_then(|()| self.check_numbers())
    }

    fn check_image(&self) -> Result<()> {
        let i = &self.image;
        let bad = |option: &str, expected: &str, found: String| Err(Error::invalid(option, expected, found, ""));
        if i.equalise && !(i.luminance > 0.0 && i.luminance < 1.0 && i.contrast > 0.0 && i.contrast < 0.5) {
            let found = format!("{} and {}", i.luminance, i.contrast);
            return bad("image.luminance, image.contrast", "luminance in (0, 1), RMS contrast in (0, 0.5)", found);
        }
        if i.aperture && !i.equalise {
            return bad("image.aperture", "equal luminance and contrast with it", "both".into());
        }
        if (i.init == InitKind::Natural) != i.init_images.is_some() {
            return bad(
                "image.init",
                "natural with `image.init_images`, and only with it",
                format!("{:?}", i.init_images),
            );
        }
        if i.octaves == 0 || i.octaves > 6 || (i.octaves > 1 && i.param != ParamKind::Pixels) {
            return bad("image.octaves", "1 to 6, more than 1 only with `image.param` pixels", i.octaves.to_string());
        }
        if !(0.0..=0.75).contains(&i.band_limit)
            || !(0.0..=3.0).contains(&i.decay)
            || i.init_sd.is_nan()
            || i.init_sd < 0.0
        {
            let found = format!("{}, {} and {}", i.band_limit, i.decay, i.init_sd);
            return bad(
                "image.band_limit, image.decay, image.init_sd",
                "0..0.75 cycles per pixel, 0..3, at least 0",
                found,
            );
        }
        within("image.init_sd", i.init_sd, 0.0, 100.0)
    }

    fn check_numbers(&self) -> Result<()> {
        let (o, r) = (&self.optimizer, &self.robust);
        let bad = |option: &str, expected: &str, found: String| Err(Error::invalid(option, expected, found, ""));
        if !(o.learning_rate >= 0.0
            && o.learning_rate.is_finite()
            && (0.0..=1.0).contains(&o.anneal)
            && o.tolerance >= 0.0)
        {
            let found = format!("{}, {} and {}", o.learning_rate, o.anneal, o.tolerance);
            return bad(
                "optimizer.learning_rate, optimizer.anneal, optimizer.tolerance",
                "at least 0; anneal at most 1",
                found,
            );
        }
        within("optimizer.learning_rate", o.learning_rate, 0.0, limits::NUMBER)?;
        within("optimizer.tolerance", o.tolerance, 0.0, 1.0)?;
        let scale_ok = 0.5 <= r.scale[0] && r.scale[0] <= r.scale[1] && r.scale[1] <= 2.0;
        if !(scale_ok && (0.0..=32.0).contains(&r.jitter) && (0.0..=8.0).contains(&r.blur)) {
            let found = format!("{}, {} and {:?}", r.jitter, r.blur, r.scale);
            return bad(
                "robust.jitter, robust.blur, robust.scale",
                "0..32 px, 0..8 px, and 0.5 <= low <= high <= 2",
                found,
            );
        }
        Ok(())
    }

    /// The learning rate in force.
    pub fn learning_rate(&self) -> f64 {
        if self.optimizer.learning_rate > 0.0 {
            self.optimizer.learning_rate
        } else {
            self.optimizer.kind.default_rate()
        }
    }
}
