//! What `maximize` can be asked for. `DIR/config.toml` of a run is this, completely resolved.

use crate::error::{Error, Result};
use crate::image::resize::Resize;
use crate::image::warp::PoseOptions;
use crate::job::limits::{self, within};
use crate::job::machine::Machine;
use crate::job::model::NetworkConfig;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Configuration of `orthoscope maximize`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Always `maximize`.
    pub command: String,
    /// A network, or a folder of network files: each one a model of a neuron.
    pub network: NetworkConfig,
    /// Units of the network, or files of the folder.
    pub units: Vec<String>,
    /// Leave out files of the folder that cannot be read.
    pub skip_bad: bool,
    pub direction: Direction,
    /// Drive to this percentile of the natural responses instead of the extreme.
    pub to_percentile: Option<f64>,
    /// One objective over several units (TOML): drive, hold, suppress.
    pub population: Option<PathBuf>,
    /// Another model, MODEL or MODEL=UNIT: its response is to go the other way (controversial
    /// images).
    pub against: Option<String>,
    pub method: Method,
    /// Images to start from instead of noise (`cowley` and `adam`).
    pub init_images: Option<PathBuf>,
    pub steps: usize,
    /// Independent starts for each unit and direction; the best is kept.
    pub restarts: usize,
    /// Images kept for each unit and direction.
    pub n_images: usize,
    /// Weight of the mean correlation between those images, subtracted; in standard deviations of
    /// the natural responses when there are any.
    pub diversity: f64,
    /// Layer whose activations should differ; pixels when not given.
    pub diversity_tap: Option<String>,
    pub seed: u64,
    /// Steps between two checkpoints of a batch.
    pub checkpoint_every: usize,
    /// Natural images: the reference distribution of every unit.
    pub natural: Option<PathBuf>,
    /// Other models that the images are shown to: MODEL or MODEL=UNITS.
    pub check: Vec<String>,
    pub resize: Resize,
    pub image: ImageConfig,
    pub search: SearchConfig,
    pub machine: Machine,
}

/// Which end of the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    #[default]
    Max,
    Min,
    Both,
}

/// How images are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Gradient of unit root mean square, smoothed, on pixels (Cowley et al., Nature 2026).
    #[default]
    Cowley,
    /// Adam on Fourier coefficients or pixels, with a random view of every image at every step.
    Adam,
    /// Adam on phases; the amplitude spectrum is the mean of the natural images.
    PhaseOnly,
    /// Blocks of one colour, added one by one where they raise the objective most.
    Blocks,
    /// The best and the worst natural images; nothing is synthesised.
    Natural,
}

/// `[image]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImageConfig {
    pub grey: bool,
    /// Hold mean luminance and RMS contrast of every image.
    pub equalise: bool,
    /// Mean and standard deviation of the luminance, pixel values in [0, 1].
    pub luminance: f64,
    pub contrast: f64,
    pub mask: MaskKind,
    /// Diameter and centre of a given mask, pixels from the image's centre, or degrees with
    /// `px_per_degree`.
    pub mask_diameter: f64,
    pub mask_centre: [f64; 2],
    pub px_per_degree: Option<f64>,
    /// Width of the mask's soft edge, pixels.
    pub mask_edge: f64,
    /// Parametrisation of `method = "adam"`.
    pub param: ParamKind,
    /// Fourier only: cycles per pixel above which the spectrum is rolled off, 0 for no limit;
    /// exponent of the 1/f scaling.
    pub band_limit: f64,
    pub decay: f64,
}

/// A window onto even grey.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MaskKind {
    #[default]
    None,
    /// A disc at the unit's receptive field, from the energy of its gradient.
    Rf,
    /// The disc of `mask_diameter` at `mask_centre`.
    Disc,
}

/// Parametrisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ParamKind {
    #[default]
    Fourier,
    Pixels,
}

/// `[search]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SearchConfig {
    /// Step: levels of 0..255 for `cowley` (0: 10), Adam's rate otherwise (0: 0.05).
    pub learning_rate: f64,
    /// An image whose objective gains less than this share of its range leaves early; 0: never.
    pub tolerance: f64,
    /// `cowley`: standard deviation of the smoothing of gradients and images, pixels, and steps
    /// between two blurs of the image.
    pub smooth: f64,
    pub blur_every: usize,
    /// `adam` and `phase-only`: random view of each image at each step.
    pub views: PoseOptions,
    /// `blocks`: candidates tried for each block.
    pub candidates: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            command: "maximize".into(),
            network: NetworkConfig::default(),
            units: vec!["all".into()],
            skip_bad: false,
            direction: Direction::default(),
            to_percentile: None,
            population: None,
            against: None,
            init_images: None,
            method: Method::default(),
            steps: 100,
            restarts: 9,
            n_images: 1,
            diversity: 0.0,
            diversity_tap: None,
            seed: 1,
            checkpoint_every: 100,
            natural: None,
            check: vec![],
            resize: Resize::default(),
            image: ImageConfig::default(),
            search: SearchConfig::default(),
            machine: Machine::default(),
        }
    }
}

impl Default for ImageConfig {
    fn default() -> Self {
        Self {
            grey: false,
            equalise: false,
            luminance: 0.5,
            contrast: 0.2,
            mask: MaskKind::None,
            mask_diameter: 0.0,
            mask_centre: [0.0, 0.0],
            px_per_degree: None,
            mask_edge: 6.0,
            param: ParamKind::Fourier,
            band_limit: 0.25,
            decay: 1.0,
        }
    }
}

impl Default for SearchConfig {
    fn default() -> Self {
        Self {
            learning_rate: 0.0,
            tolerance: 0.0,
            smooth: 1.0,
            blur_every: 50,
            views: PoseOptions::default(),
            candidates: 64,
        }
    }
}

/// Step of the published method, levels of 0..255.
const COWLEY_STEP: f64 = 10.0;
/// Lucid's rate.
const ADAM_RATE: f64 = 0.05;

impl Config {
    /// Checks what can be checked without the network.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the option.
    pub fn check(&self) -> Result<()> {
        let bad = |option: &str, expected: &str, found: String| {
            Err(Error::invalid(option, expected, found, "see `orthoscope maximize --help`"))
        };
        if self.command != "maximize" {
            return bad("command", "`maximize`", format!("`{}`", self.command));
        }
        let counts = [self.steps, self.restarts, self.n_images, self.checkpoint_every, self.search.candidates];
        if counts.contains(&0) {
            return bad(
                "steps, restarts, n_images, checkpoint_every, search.candidates",
                "at least 1",
                format!("{counts:?}"),
            );
        }
        within("steps", self.steps, 1, limits::STEPS)?;
        within("restarts", self.restarts, 1, limits::RESTARTS)?;
        within("n_images", self.n_images, 1, limits::IMAGES)?;
        within("search.candidates", self.search.candidates, 1, limits::RESTARTS)?;
        if self.init_images.is_some() && !matches!(self.method, Method::Cowley | Method::Adam) {
            return bad("init_images", "`method` cowley or adam with it", format!("{:?}", self.method));
        }
        if self.against.is_some() && (self.population.is_some() || self.to_percentile.is_some()) {
            return bad("against", "no `population` and no `to_percentile` with it", "both".into());
        }
        let needs_natural = self.to_percentile.is_some()
            || self.population.is_some()
            || self.against.is_some()
            || matches!(self.method, Method::Natural | Method::PhaseOnly);
        if needs_natural && self.natural.is_none() {
            let what = "--natural IMAGES with --to-percentile, --population, --against, --method natural and --method phase-only";
            return bad("natural", what, "none".into());
        }
        if self.to_percentile.is_some_and(|p| !(0.0..=100.0).contains(&p)) {
            return bad("to_percentile", "0 to 100", format!("{:?}", self.to_percentile));
        }
        if self.to_percentile.is_some() && (self.population.is_some() || self.method == Method::Natural) {
            return bad("to_percentile", "no `population` and no `method` natural with it", "both".into());
        }
        if !(self.diversity >= 0.0 && self.diversity.is_finite()) || (self.diversity > 0.0 && self.n_images < 2) {
            return bad(
                "diversity",
                "at least 0, and above 0 only with `n_images` 2 or more",
                self.diversity.to_string(),
            );
        }
        within("diversity", self.diversity, 0.0, limits::NUMBER)?;
        self.check_image().and_then(|()| self.check_search())
    }

    fn check_image(&self) -> Result<()> {
        let i = &self.image;
        let bad = |option: &str, expected: &str, found: String| Err(Error::invalid(option, expected, found, ""));
        if i.mask == MaskKind::Disc && i.mask_diameter <= 0.0 || !(i.mask_diameter >= 0.0 && i.mask_edge >= 0.0) {
            let found = format!("{} and {}", i.mask_diameter, i.mask_edge);
            return bad(
                "image.mask_diameter, image.mask_edge",
                "above 0 with `image.mask` disc; an edge of at least 0",
                found,
            );
        }
        if i.px_per_degree.is_some_and(|p| !(p > 0.0 && p.is_finite())) {
            return bad("image.px_per_degree", "above 0", format!("{:?}", i.px_per_degree));
        }
        if !(0.0..=0.5).contains(&i.band_limit) || !(0.0..=3.0).contains(&i.decay) {
            return bad(
                "image.band_limit, image.decay",
                "0..0.5 cycles per pixel, 0..3",
                format!("{}, {}", i.band_limit, i.decay),
            );
        }
        within("image.mask_diameter", i.mask_diameter, 0.0, limits::NUMBER)?;
        within("image.mask_edge", i.mask_edge, 0.0, limits::NUMBER)?;
        for offset in i.mask_centre {
            within("image.mask_centre", offset, -limits::NUMBER, limits::NUMBER)?;
        }
        within("image.px_per_degree", i.px_per_degree.unwrap_or(1.0), 0.0, limits::NUMBER)
    }

    fn check_search(&self) -> Result<()> {
        let s = &self.search;
        s.views.check()?;
        let good = s.learning_rate >= 0.0
            && s.learning_rate.is_finite()
            && s.tolerance >= 0.0
            && (0.0..=16.0).contains(&s.smooth);
        if good {
            within("search.learning_rate", s.learning_rate, 0.0, limits::NUMBER)?;
            return within("search.tolerance", s.tolerance, 0.0, 1.0);
        }
        let found = format!("{}, {} and {}", s.learning_rate, s.tolerance, s.smooth);
        Err(Error::invalid(
            "search.learning_rate, search.tolerance, search.smooth",
            "at least 0; smoothing at most 16 px",
            found,
            "",
        ))
    }

    /// Step or rate in force: of pixel values in [0, 1] for `cowley`, of leaves otherwise.
    pub fn learning_rate(&self) -> f64 {
        let own = self.search.learning_rate;
        match self.method {
            Method::Cowley => (if own > 0.0 { own } else { COWLEY_STEP }) / crate::image::ball::LEVELS,
            _ if own > 0.0 => own,
            _ => ADAM_RATE,
        }
    }
}
