//! One batch: all directions, restarts and images of one unit (or one objective), from its start or
//! checkpoint to its end.

use super::blocks::Blocks;
use super::config::{MaskKind, Method, ParamKind};
use super::plan::{BatchPlan, Plan};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::image::ball::LEVELS;
use crate::image::{
    Amplitude, Aperture, Canvas, Fourier, FourierOptions, GradientRule, ImageParam, Init, PhaseOnly, Pixels, Relax,
};
use crate::job::RunDir;
use crate::job::drive::population::Wired;
use crate::job::drive::receptive::{disc, gradient_energy};
use crate::job::drive::{Natural, Towards, batch_file};
use crate::network::Executor;
use crate::objective::{Drive, Goal, Similar, UnitTap, drive, similarity};
use crate::progress::Progress;
use crate::rng;
use crate::synthesis::{Batch, Leave, OptimizerKind, Synthesizer, Views};
use ndarray::{Array2, Array4, Axis};
use std::sync::Mutex;

/// What all batches share.
pub struct Shared<'a> {
    pub plan: &'a Plan,
    pub natural: Option<&'a Natural>,
    pub amplitude: Option<&'a Amplitude>,
    pub run: &'a RunDir,
    pub cancel: &'a Cancel,
    pub progress: &'a Mutex<Progress>,
}

/// A batch after its last step.
pub struct Finished {
    pub batch: Batch,
    /// Responses to the images of the start, as they are shown.
    pub start: Vec<f64>,
    /// The kept images of all rows, n_items x 3 x h x w, unquantized.
    pub images: Array4<f32>,
    /// What was maximised, in words, for each direction.
    pub objectives: Vec<String>,
    pub parametrisation: String,
    pub mask: Option<Aperture>,
}

/// How a batch goes on.
enum Search {
    Gradient(Box<Synthesizer>),
    Blocks(Box<Blocks>),
}

/// Uniform noise that the published method starts from, levels of 0..255.
const COWLEY_START: [f64; 2] = [128.0, 178.0];
/// Standard deviation of Fourier coefficients at the start.
const FOURIER_SD: f64 = 0.1;
/// Distance from the wanted level at which an image is done, standard deviations of the natural
/// responses.
const NEAR: f64 = 0.01;
/// Images whose gradients tell where a unit looks.
const MASK_IMAGES: usize = 16;

/// Runs a batch to its end, writing a checkpoint every `checkpoint_every` steps and when a signal
/// arrives.
///
/// # Errors
/// [`Error::Interrupted`] after the checkpoint was written; whatever a step or a write says.
pub fn run_batch(shared: &Shared<'_>, index: usize) -> Result<Finished> {
    let (plan, planned) = (shared.plan, &shared.plan.batches[index]);
    let path = batch_file::path(&shared.run.checkpoint(), index);
    let (mut search, mask) = shared.search(planned)?;
    let levels = plan.towards.iter().any(|t| matches!(t, Towards::Percentile(_)));
    let leave = Leave { at_value: if levels { vec![-NEAR * NEAR; plan.n_items()] } else { vec![] } };
    let mut batch = batch_file::resume(&path, search.start())?;
    while !batch.is_done() {
        if shared.cancel.requested() {
            batch_file::write(&path, &batch)?;
            return Err(Error::Interrupted { dir: shared.run.path().to_path_buf() });
        }
        search.step(&mut batch, &leave)?;
        let tick = |p: &mut Progress| p.tick(|| planned.name.clone());
        tick(&mut shared.progress.lock().expect("no worker panics while it reports"));
        if batch.step.is_multiple_of(plan.config.checkpoint_every) || batch.is_done() {
            batch_file::write(&path, &batch)?;
        }
    }
    let objectives = plan.towards.iter().map(|t| shared.words(*t, planned)).collect::<Result<_>>()?;
    let parametrisation = search.describe();
    let start = search.settle(&mut batch)?;
    Ok(Finished { start, images: search.show(&batch.kept(), plan), objectives, parametrisation, mask, batch })
}

impl Search {
    fn start(&self) -> Batch {
        match self {
            Self::Gradient(s) => s.start_batch(),
            Self::Blocks(b) => b.start(),
        }
    }

    fn step(&mut self, batch: &mut Batch, leave: &Leave) -> Result<()> {
        match self {
            Self::Gradient(s) => s.step_batch(batch, leave),
            Self::Blocks(b) => b.step(batch, leave),
        }
    }

    /// Replaces what single random views said about the kept images by what is shown; gives the
    /// responses of the start.
    fn settle(&mut self, batch: &mut Batch) -> Result<Vec<f64>> {
        if let Self::Gradient(s) = self
            && s.views.is_some()
        {
            let shown = s.measure(&batch.kept())?;
            for (row, (value, response)) in batch.rows.iter_mut().zip(shown) {
                (row.kept_value, row.kept_response) = (value, response);
            }
            return Ok(s.measure(&s.param.leaves())?.into_iter().map(|(_, response)| response).collect());
        }
        Ok(batch.rows.iter().map(|row| row.responses.first().copied().unwrap_or(f64::NAN)).collect())
    }

    fn show(&self, kept: &[Array2<f32>], plan: &Plan) -> Array4<f32> {
        match self {
            Self::Gradient(s) => s.show(kept),
            Self::Blocks(_) => {
                let (height, width) = plan.population.size();
                let shape = (kept[0].nrows(), 3, height, width);
                kept[0].to_shape(shape).expect("three values per pixel").to_owned()
            }
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Gradient(s) => s.param.describe(),
            Self::Blocks(b) => format!("blocks of one colour on mid-grey, {} candidates each", b.candidates),
        }
    }
}

impl Shared<'_> {
    fn search(&self, planned: &BatchPlan) -> Result<(Search, Option<Aperture>)> {
        let plan = self.plan;
        let seed = rng::seed_of(plan.config.seed, &planned.name);
        let Wired { mut executor, units: taps, layer } =
            plan.population.wire(&planned.units, planned.diversity, &plan.device)?;
        let mask = self.mask(executor.as_mut(), taps[0], seed)?;
        let goal = self.goal(planned, &taps, layer)?;
        if plan.config.method == Method::Blocks {
            return Ok((Search::Blocks(Box::new(Blocks::new(plan, executor, goal, seed))), None));
        }
        let search = self.synthesizer(executor, goal, mask, seed)?;
        Ok((Search::Gradient(Box::new(search)), mask))
    }

    fn synthesizer(
        &self,
        executor: Box<dyn Executor>,
        goal: Goal,
        mask: Option<Aperture>,
        seed: u64,
    ) -> Result<Synthesizer> {
        let (plan, config) = (self.plan, &self.plan.config);
        let views = match config.method {
            Method::Cowley => None,
            _ if config.search.views.is_off() => None,
            _ => Some(Views::Each { pose: config.search.views, seed }),
        };
        let mut constraint = plan.constraint();
        let mut window = mask;
        if let Some(c) = &mut constraint {
            c.aperture = mask;
            window = None;
        }
        Ok(Synthesizer {
            param: self.param(seed)?,
            constraint,
            mask: window,
            views,
            executor,
            goal,
            optimizer: if config.method == Method::Cowley { OptimizerKind::Gradient } else { OptimizerKind::Adam },
            learning_rate: config.learning_rate(),
            steps: config.steps,
            anneal: if config.method == Method::Cowley { 0.0 } else { ANNEAL },
            tolerance: config.search.tolerance,
            item: 0,
            device: plan.device.clone(),
        })
    }

    fn param(&self, seed: u64) -> Result<Box<dyn ImageParam>> {
        let (plan, config) = (self.plan, &self.plan.config);
        let (height, width) = plan.population.size();
        let canvas = Canvas { n_images: plan.n_items(), height, width, grey: config.image.grey };
        let noise = Init::Uniform { low: COWLEY_START[0] / LEVELS, high: COWLEY_START[1] / LEVELS, seed, item: 0 };
        let noise = match &plan.start {
            Some(images) => Init::Images(images.view()),
            None => noise,
        };
        let spectrum = match &plan.start {
            Some(images) => Init::Images(images.view()),
            None => Init::Noise { sd: FOURIER_SD, seed, item: 0 },
        };
        Ok(match (config.method, config.image.param) {
            (Method::PhaseOnly, _) => {
                let amplitude = self.amplitude.expect("the natural images were read for this method").clone();
                Box::new(PhaseOnly::new(canvas, amplitude, seed)?)
            }
            (Method::Adam, ParamKind::Fourier) => {
                let band_limit = (config.image.band_limit > 0.0).then_some(config.image.band_limit);
                let options = FourierOptions { decay: config.image.decay, band_limit };
                Box::new(Fourier::new(canvas, options, &spectrum)?)
            }
            (Method::Adam, ParamKind::Pixels) => Box::new(Pixels::new(canvas, GradientRule::Plain, &noise)?),
            _ => {
                let rule = GradientRule::Smooth { sigma: config.search.smooth };
                let relax = Relax { every: config.search.blur_every, sigma: config.search.smooth };
                Box::new(Pixels::new(canvas, rule, &noise)?.with_relax(relax))
            }
        })
    }

    /// The window of a batch: given, or from the unit's gradient on natural images (noise when
    /// there are none).
    fn mask(&self, executor: &mut dyn Executor, unit: UnitTap, seed: u64) -> Result<Option<Aperture>> {
        let (plan, image) = (self.plan, &self.plan.config.image);
        if image.mask != MaskKind::Rf {
            return Ok(plan.given_mask());
        }
        let (height, width) = plan.population.size();
        let mut draws = rng::stream(seed, "mask", 0);
        let probes = match self.natural {
            Some(natural) => {
                let n = natural.stimuli.n_images();
                let chosen: Vec<usize> = (0..MASK_IMAGES.min(n)).map(|_| draws.below(n)).collect();
                natural.images().select(Axis(0), &chosen)
            }
            None => Array4::from_shape_simple_fn((MASK_IMAGES, 3, height, width), || draws.uniform() as f32),
        };
        let energy = gradient_energy(executor, unit, &probes, &plan.device)?;
        let found = disc(&energy, image.mask_edge).ok_or_else(|| {
            let hint = "a unit that nothing moves has no receptive field; leave it out, or give `image.mask` disc";
            Error::invalid("image.mask", "a gradient at the pixels", "none", hint)
        })?;
        Ok(Some(Aperture { background: image.luminance, ..found }))
    }

    /// What each image of the batch maximises.
    fn goal(&self, planned: &BatchPlan, taps: &[UnitTap], layer: Option<usize>) -> Result<Goal> {
        let plan = self.plan;
        let shape = (plan.n_items(), taps.len());
        let (mut linear, mut hold, mut target) = (Array2::zeros(shape), Array2::zeros(shape), Array2::zeros(shape));
        let mut words = Vec::new();
        for item in 0..plan.n_items() {
            for u in 0..taps.len() {
                let (l, h, t) = self.aim(plan.towards[plan.place(item).0], planned, u)?;
                (linear[(item, u)], hold[(item, u)], target[(item, u)]) = (l, h, t);
            }
        }
        for towards in &plan.towards {
            words.push(self.words(*towards, planned)?);
        }
        let main = drive(Drive { units: taps.to_vec(), linear, hold, target, words: words.join(" | ") });
        if plan.config.diversity <= 0.0 {
            return Ok(main);
        }
        let sets = (0..plan.n_items()).map(|item| item / plan.config.n_images).collect();
        let scale = match (self.natural, &planned.aims) {
            (Some(natural), None) => natural.reference(planned.units[0]).sd,
            _ => 1.0,
        };
        let what = layer.map_or(Similar::Images, Similar::Tap);
        Ok(main - plan.config.diversity * scale * similarity(what, sets))
    }

    /// Weight of the response, weight of the squared distance, and level of a unit.
    fn aim(&self, towards: Towards, planned: &BatchPlan, u: usize) -> Result<(f64, f64, f64)> {
        Ok(match (towards, self.natural, &planned.aims) {
            (Towards::Percentile(p), Some(natural), _) => {
                let reference = natural.reference(planned.units[u]);
                let sd = if reference.sd > 0.0 { reference.sd } else { 1.0 };
                (0.0, 1.0 / (sd * sd), reference.at(p))
            }
            (towards, Some(natural), Some(aims)) => {
                let sign = if towards == Towards::Min { -1.0 } else { 1.0 };
                let (linear, hold, target) = aims.scaled(u, natural, &self.plan.population)?;
                (sign * linear, hold, target)
            }
            (towards, _, _) => (towards.sign(), 0.0, 0.0),
        })
    }

    fn words(&self, towards: Towards, planned: &BatchPlan) -> Result<String> {
        let name = &planned.name;
        let main = match (towards, &planned.aims) {
            (Towards::Min, Some(aims)) => format!("- ({})", aims.words),
            (Towards::Percentile(p), _) => {
                format!(
                    "- (response of {name} - {:.4})^2 / sd^2, the level of natural percentile {p}",
                    self.aim(towards, planned, 0)?.2
                )
            }
            (_, Some(aims)) => aims.words.clone(),
            (Towards::Min, None) => format!("- response of {name}"),
            (_, None) => format!("response of {name}"),
        };
        Ok(match self.plan.config.diversity {
            w if w > 0.0 => format!("{main} - {w} sd x mean correlation with the other images of the set"),
            _ => main,
        })
    }
}

/// Share of the steps over which Adam's rate falls to zero.
const ANNEAL: f64 = 0.3;
