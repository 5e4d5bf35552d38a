//! Everything resolved and validated before the first minute of compute.

use super::config::{Config, InitKind, ParamKind};
use super::score::chance_mean_abs_r;
use crate::data::Stimuli;
use crate::error::{Error, Result};
use crate::image::{
    Aperture, Canvas, Constraint, Fourier, FourierOptions, GradientRule, ImageParam, Init, JitterOptions,
    LaplacianGradient, Pixels, Upsampled, octave_sizes,
};
use crate::io::npy;
use crate::job::limits::together;
use crate::job::model;
use crate::network::{Graph, NodeId, SpatialPooling, TapRequest};
use crate::objective::{Goal, RsmTaps, flat_fingerprints, second_order_penalty, target_rsm_error};
use crate::rdm::files::check_layers;
use crate::synthesis::{Synthesizer, Views};
use crate::tensor::Device;
use crate::warning::Warning;
use ndarray::{Array2, Array3, Array4, Axis, Slice};
use std::collections::BTreeMap;

/// A checked run: what will be computed, on what.
pub struct Plan {
    pub config: Config,
    /// The network, with channel means appended as taps when patterns are those.
    pub graph: Graph,
    pub model_origin: String,
    pub taps: Vec<NodeId>,
    pub tap_names: Vec<String>,
    pub device: Device,
    pub baseline: Option<Stimuli>,
    init_images: Option<Array4<f32>>,
    target: Option<Array2<f64>>,
    target_rsms: Option<Array3<f64>>,
    /// Canvas of each octave, rows and columns, smallest first.
    pub octaves: Vec<[usize; 2]>,
    /// Hashes of everything that was read.
    /// Hashes of the network and of the sets of images.
    pub sets: BTreeMap<String, String>,
    pub warnings: Vec<Warning>,
    pub chance: f64,
}

impl Plan {
    /// Reads and checks everything that the configuration names.
    ///
    /// # Errors
    /// Whatever is wrong with it, before any compute.
    pub fn new(config: Config) -> Result<Self> {
        config.check()?;
        let device = config.machine.device()?;
        let found = config.network.load()?;
        let mut graph = found.graph;
        let mut taps = graph.resolve_taps(&config.taps)?;
        let tap_names = taps.iter().map(|&t| graph.node(t).name.clone()).collect::<Vec<_>>();
        check_layers("taps", &tap_names)?;
        if taps.len() < 2 && config.objective.target_rsms.is_none() {
            let hint = "one layer has nothing to be orthogonal to; name more, or give `objective.target_rsms`";
            return Err(Error::invalid("taps", "at least 2 layers", "1", hint));
        }
        together("n_images", "images", &[config.n_images, 3, graph.input.height, graph.input.width])?;
        // Every layer's RSM, its gradient, and what stands between them.
        together("n_images", "4 x layers x images x images", &[4, taps.len(), config.n_images, config.n_images])?;
        if config.objective.patterns == SpatialPooling::Gap {
            (graph, taps) = graph.with_gap(&taps)?;
        }
        let mut plan = Self {
            octaves: octave_sizes(graph.input.height, graph.input.width, config.image.octaves, OCTAVE_FACTOR),
            chance: chance_mean_abs_r(config.n_images, taps.len().max(2)),
            sets: BTreeMap::from([("model".to_owned(), found.blake3)]),
            model_origin: found.origin,
            config,
            graph,
            taps,
            tap_names,
            device,
            baseline: None,
            init_images: None,
            target: None,
            target_rsms: None,
            warnings: found.warnings,
        };
        plan.read_targets()?;
        plan.read_images()?;
        plan.constraint().map_or(Ok(()), |c| c.check())?;
        // Building a parametrisation checks canvas and initial images.
        plan.param(0, 0, None)?;
        Ok(plan)
    }

    fn read_targets(&mut self) -> Result<()> {
        let (n_layers, n) = (self.taps.len(), self.config.n_images);
        if let Some(path) = self.config.objective.target.clone() {
            let array = npy::read::<f64>(&path)?;
            let found = format!("{:?}", array.shape());
            let target = array
                .into_dimensionality::<ndarray::Ix2>()
                .ok()
                .filter(|t| t.dim() == (n_layers, n_layers) && t.iter().all(|v| v.abs() <= 1.0) && *t == t.t());
            let expected = format!("a symmetric {n_layers} x {n_layers} matrix of values in [-1, 1]");
            self.target = Some(target.ok_or_else(|| {
                Error::invalid("objective.target", expected, found, "one row per tap, in their order")
            })?);
        }
        if let Some(path) = self.config.objective.target_rsms.clone() {
            let array = npy::read::<f64>(&path)?;
            let found = format!("{:?}", array.shape());
            let target = array
                .into_dimensionality::<ndarray::Ix3>()
                .ok()
                .filter(|t| t.dim() == (n_layers, n, n) && t.iter().all(|v| v.is_nan() || v.abs() <= 1.0));
            let expected = format!("a {n_layers} x {n} x {n} array of values in [-1, 1] or NaN");
            self.target_rsms = Some(target.ok_or_else(|| {
                Error::invalid("objective.target_rsms", expected, found, "one RSM per tap, in their order")
            })?);
        }
        Ok(())
    }

    fn read_images(&mut self) -> Result<()> {
        let n = self.config.n_images;
        if let Some(path) = self.config.baseline.clone() {
            let (stimuli, hash, warnings) = model::load_images(&path, &self.graph, self.config.resize)?;
            self.sets.insert("baseline".into(), hash);
            self.warnings.extend(warnings);
            self.baseline = Some(self.first(stimuli, "baseline", n)?);
        }
        if self.config.image.init == InitKind::Natural {
            let path = self.config.image.init_images.clone().unwrap_or_default();
            let (stimuli, hash, warnings) = model::load_images(&path, &self.graph, self.config.resize)?;
            self.sets.insert("init_images".into(), hash);
            self.warnings.extend(warnings);
            self.init_images = Some(self.first(stimuli, "image.init_images", n)?.into_parts().1);
        }
        Ok(())
    }

    /// The first N images: R depends on how many there are, so sets of equal size are compared.
    fn first(&mut self, stimuli: Stimuli, option: &str, n: usize) -> Result<Stimuli> {
        let found = stimuli.n_images();
        if found < n {
            let hint = "as many as `n_images` are compared";
            return Err(Error::invalid(option, format!("at least {n} images"), found.to_string(), hint));
        }
        if found == n {
            return Ok(stimuli);
        }
        self.warnings.push(Warning::Note { text: format!("{option}: the first {n} of {found} images are used") });
        let (mut names, images) = stimuli.into_parts();
        names.truncate(n);
        Stimuli::new(names, images.slice_axis(Axis(0), Slice::from(..n)).to_owned())
    }

    /// The executor's taps: moments of each layer.
    pub fn requests(&self) -> Vec<TapRequest> {
        self.taps.iter().map(|&t| TapRequest::Moments(t)).collect()
    }

    /// What is maximised.
    pub fn goal(&self) -> Goal {
        let o = &self.config.objective;
        let taps = || RsmTaps::new(0..self.taps.len(), o.measure);
        let goal = match &self.target_rsms {
            Some(target) => -target_rsm_error(taps(), target.clone()),
            None => -second_order_penalty(taps(), o.penalty, self.target.clone()),
        };
        if o.sd_weight > 0.0 && o.min_sd > 0.0 {
            goal - o.sd_weight * flat_fingerprints(taps(), o.min_sd)
        } else {
            goal
        }
    }

    /// The constraint inside the loop.
    pub fn constraint(&self) -> Option<Constraint> {
        let i = &self.config.image;
        let aperture = i.aperture.then(Aperture::default);
        let constraint =
            Constraint { mean_luminance: i.luminance, rms_contrast: i.contrast, aperture, ..Constraint::default() };
        i.equalise.then_some(constraint)
    }

    /// The parametrisation of an item at an octave, started from `images` (of that octave's size),
    /// else as configured.
    ///
    /// # Errors
    /// [`Error::Invalid`] for initial images of another size.
    pub fn param(&self, item: u64, octave: usize, images: Option<&Array4<f32>>) -> Result<Box<dyn ImageParam>> {
        let i = &self.config.image;
        let [height, width] = self.octaves[octave];
        let canvas = Canvas { n_images: self.config.n_images, height, width, grey: i.grey };
        let configured = self.init_images.as_ref().map(|all| crate::image::resample_bilinear(all, height, width));
        let init = match (images, i.init) {
            (Some(images), _) => Init::Images(images.view()),
            (None, InitKind::Grey) => Init::Grey,
            (None, InitKind::Natural) => {
                Init::Images(configured.as_ref().expect("natural initial images were read with the plan").view())
            }
            (None, InitKind::Noise) => Init::Noise { sd: i.init_sd, seed: self.config.seed, item },
        };
        match i.param {
            ParamKind::Fourier => {
                let band_limit = (i.band_limit > 0.0).then_some(i.band_limit);
                let options = FourierOptions { decay: i.decay, band_limit };
                Ok(Box::new(Fourier::new(canvas, options, &init)?))
            }
            ParamKind::Pixels => {
                Ok(Box::new(Pixels::new(canvas, GradientRule::Laplacian(LaplacianGradient::default()), &init)?))
            }
        }
    }

    /// The parametrisation at the network's size: a smaller canvas is enlarged on the way.
    fn full_param(&self, item: u64, octave: usize, images: Option<&Array4<f32>>) -> Result<Box<dyn ImageParam>> {
        let param = self.param(item, octave, images)?;
        let full = [self.graph.input.height, self.graph.input.width];
        if self.octaves[octave] == full { Ok(param) } else { Ok(Box::new(Upsampled::new(param, full))) }
    }

    /// Steps of one octave.
    pub fn steps_per_octave(&self) -> usize {
        self.config.steps.div_ceil(self.octaves.len())
    }

    /// The loop for an item at an octave.
    ///
    /// # Errors
    /// As [`Plan::param`] and the executor's constructor.
    pub fn synthesizer(&self, item: u64, octave: usize, images: Option<&Array4<f32>>) -> Result<Synthesizer> {
        let r = &self.config.robust;
        let jitter = JitterOptions { jitter_px: r.jitter, blur_px: r.blur, scale: (r.scale[0], r.scale[1]) };
        jitter.check()?;
        Ok(Synthesizer {
            param: self.full_param(item, octave, images)?,
            constraint: self.constraint(),
            mask: None,
            views: r.enabled.then_some(Views::Shared { jitter, seed: self.config.seed }),
            executor: model::executor(&self.graph, &self.requests(), &self.device)?,
            goal: self.goal(),
            optimizer: self.config.optimizer.kind,
            learning_rate: self.config.learning_rate(),
            steps: self.steps_per_octave(),
            anneal: self.config.optimizer.anneal,
            tolerance: self.config.optimizer.tolerance,
            item,
            device: self.device.clone(),
        })
    }
}

/// Each octave enlarges the image by 40 % (eLife 68344).
const OCTAVE_FACTOR: f64 = 1.4;
