//! The only loop. One [`Synthesizer`] moves one item (a set of images that share an objective);
//! items are independent.

use super::converge::verdict;
use super::optimizer::OptimizerKind;
use super::state::State;
use super::views::Views;
use crate::error::{Error, Result};
use crate::image::{Aperture, Constraint, ImageParam, backward_from};
use crate::network::{Executor, TapGrad, TapValue};
use crate::objective::{Goal, Metrics, Scene, TapVar};
use crate::tensor::{
    Device, SMALL, Tensor, Var, array, array_f64, cast, leaf, precision, tensor, tensor_from_vec, vec_f32,
};
use ndarray::{Array2, Array4};
use std::time::Instant;

/// Steps between two looks at whether an item has converged.
const VERDICT_EVERY: usize = 50;

/// What one step did.
#[derive(Debug, Clone)]
pub struct StepReport {
    /// The objective at the leaves before the step.
    pub value: f64,
    pub metrics: Metrics,
    /// Seconds inside the executor, and in all.
    pub executor_seconds: f64,
    pub seconds: f64,
}

/// Everything that stays fixed during an optimisation.
///
/// Images that share an objective go through [`start`](Self::start) and [`step`](Self::step);
/// images that are each for themselves through [`start_batch`](Self::start_batch) and
/// [`step_batch`](Self::step_batch), where each converges, is kept and leaves on its own.
///
/// ```
/// use ndarray::arr2;
/// use orthoscope::image::{Canvas, Fourier, FourierOptions, Init};
/// use orthoscope::network::zoo::{LoadOptions, load_model};
/// use orthoscope::network::{CpuEngine, TapRequest};
/// use orthoscope::objective::{Drive, UnitTap, drive};
/// use orthoscope::synthesis::{Leave, Synthesizer};
///
/// // Two images for channel 7 of a layer: one drives its mean up, the other down.
/// let graph = load_model("mini-inception", &LoadOptions::default())?.graph;
/// let layer = TapRequest::Activations(graph.tap("inception_3a/output")?);
/// let engine = CpuEngine::new(&graph, &[layer])?;
/// let units = vec![UnitTap { tap: 0, channel: 7, at: None }];
/// let zero = arr2(&[[0.0], [0.0]]);
/// let goal = drive(Drive {
///     units,
///     linear: arr2(&[[1.0], [-1.0]]),
///     hold: zero.clone(),
///     target: zero,
///     words: "response up | response down".into(),
/// });
/// let canvas = Canvas { n_images: 2, height: 96, width: 96, grey: false };
/// let start = Init::Noise { sd: 0.1, seed: 1, item: 0 };
/// let images = Fourier::new(canvas, FourierOptions::default(), &start)?;
///
/// let mut synthesizer = Synthesizer::new(images, engine, goal, 12);
/// let mut batch = synthesizer.start_batch();
/// while !batch.is_done() {
///     synthesizer.step_batch(&mut batch, &Leave::default())?;
/// }
/// let [up, down] = [&batch.rows[0], &batch.rows[1]];
/// assert!(up.kept_response > up.responses[0] && down.kept_response <= down.responses[0]);
/// # Ok::<(), orthoscope::Error>(())
/// ```
pub struct Synthesizer {
    pub param: Box<dyn ImageParam>,
    pub constraint: Option<Constraint>,
    /// A window onto an even background, where no constraint has its own.
    pub mask: Option<Aperture>,
    pub views: Option<Views>,
    pub executor: Box<dyn Executor>,
    /// To be maximised.
    pub goal: Goal,
    pub optimizer: OptimizerKind,
    pub learning_rate: f64,
    /// The learning rate falls to 0 along a quarter cosine over the last `anneal` share of `steps`.
    pub steps: usize,
    pub anneal: f64,
    /// An item that has converged by this much (see [`verdict`]) before the learning rate falls
    /// goes on to the fall at once; 0: never.
    pub tolerance: f64,
    /// Number of this item, for its random streams.
    pub item: u64,
    pub device: Device,
}

/// Share of the steps over which the learning rate falls, where nothing else is said.
const ANNEAL: f64 = 0.3;

impl Synthesizer {
    /// Adam at its own rate, which falls over the last 30 % of the steps; no constraint, mask or
    /// views, on the default device. The fields are public: set what should differ.
    pub fn new(param: impl ImageParam + 'static, executor: impl Executor + 'static, goal: Goal, steps: usize) -> Self {
        let optimizer = OptimizerKind::default();
        Self {
            param: Box::new(param),
            constraint: None,
            mask: None,
            views: None,
            executor: Box::new(executor),
            goal,
            optimizer,
            learning_rate: optimizer.default_rate(),
            steps,
            anneal: ANNEAL,
            tolerance: 0.0,
            item: 0,
            device: Device::default(),
        }
    }

    /// A fresh start from the parametrisation's initial values.
    pub fn start(&self) -> State {
        State::new(self.param.leaves(), self.steps)
    }

    /// The images as they would be shown: rendered and constrained, before any view. N x 3 x H x W,
    /// RGB in [0, 1].
    pub fn images(&self, state: &State) -> Array4<f32> {
        self.show(&state.leaves)
    }

    /// As [`images`](Self::images), of any leaves.
    pub fn show(&self, leaves: &[Array2<f32>]) -> Array4<f32> {
        let rendered = array(&self.render(&self.leaf_vars(leaves)).inner());
        rendered.into_dimensionality().expect("a rendering has four axes")
    }

    fn leaf_vars(&self, leaves: &[Array2<f32>]) -> Vec<Var<2>> {
        leaves.iter().map(|l| leaf(tensor::<2, _>(l.view(), &self.device))).collect()
    }

    fn render(&self, leaves: &[Var<2>]) -> Var<4> {
        let rendered = self.param.render(leaves);
        let rendered = match &self.constraint {
            Some(c) => c.apply(rendered),
            None => rendered,
        };
        match &self.mask {
            Some(mask) => mask.apply(rendered),
            None => rendered,
        }
    }

    /// Steps over which the learning rate falls.
    fn fall(&self) -> usize {
        ((self.anneal * self.steps as f64).round() as usize).clamp(1, self.steps)
    }

    /// Constant, then a quarter cosine down to 0 at the state's horizon.
    fn rate(&self, state: &State) -> f64 {
        self.rate_at(state.step, state.horizon)
    }

    /// Learning rate at a step of an item that ends at `horizon`.
    pub(super) fn rate_at(&self, step: usize, horizon: usize) -> f64 {
        let fall = self.fall();
        let into = (step + fall).saturating_sub(horizon) as f64 / fall as f64;
        self.learning_rate * (std::f64::consts::FRAC_PI_2 * into).cos().max(0.0)
    }

    /// Brings the horizon near when the objective has stopped growing.
    fn shorten(&self, state: &mut State) {
        let fall = self.fall();
        let due = self.tolerance > 0.0 && state.step.is_multiple_of(VERDICT_EVERY) && state.step + fall < state.horizon;
        if due && verdict(state.trace.column("objective"), self.tolerance).converged {
            state.horizon = state.step + fall;
        }
    }

    /// One step: evaluates the objective at the state's leaves, moves them uphill, and notes the
    /// numbers in the trace.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the objective is not finite (the state is then unchanged), or taps
    /// and objective do not fit.
    pub fn step(&mut self, state: &mut State) -> Result<StepReport> {
        let began = Instant::now();
        let items: Vec<usize> = (0..state.leaves[0].nrows()).collect();
        let mut found = self.evaluate(&state.leaves, &items, state.step)?;
        let value = found.values.iter().sum();
        self.param.condition(&mut found.gradients, &items);
        let mut optimizer = self.optimizer.build();
        optimizer.restore(std::mem::take(&mut state.optimizer));
        let rate = self.rate(state);
        optimizer.step(&mut state.leaves, value, &found.gradients, rate);
        state.optimizer = optimizer.save();
        self.param.project(&mut state.leaves, &items, state.step + 1);
        found.metrics.insert("objective".into(), vec![value]);
        state.trace.push(&found.metrics);
        state.step += 1;
        self.shorten(state);
        let (metrics, executor_seconds) = (found.metrics, found.executor_seconds);
        Ok(StepReport { value, metrics, executor_seconds, seconds: began.elapsed().as_secs_f64() })
    }

    /// The objective and its gradient at the leaves; row `r` of the leaves is image `items[r]` of
    /// the objective.
    ///
    /// # Errors
    /// [`Error::Invalid`] when a value is not finite, or taps and objective do not fit.
    pub(super) fn evaluate(&mut self, leaves: &[Array2<f32>], items: &[usize], step: usize) -> Result<Evaluation> {
        let direct = self.param.is_pixels() && self.constraint.is_none() && self.views.is_none() && self.mask.is_none();
        let (shown, vars) = if direct {
            let [_, channels, height, width] = self.param.shape();
            let pixels = leaves[0].iter().copied().collect();
            (Shown::Pixels(tensor_from_vec(pixels, [items.len(), channels, height, width], &self.device)), vec![])
        } else {
            let vars = self.leaf_vars(leaves);
            let rendered = self.render(&vars);
            let seen = match &self.views {
                Some(views) => views.apply(rendered, self.item, items, step),
                None => rendered,
            };
            (Shown::Rendered(seen), vars)
        };
        let images = shown.images();
        let forward = Instant::now();
        let taps = self.executor.forward(&images)?;
        let mut executor_seconds = forward.elapsed().as_secs_f64();
        let mut metrics = Metrics::new();
        let (values, tap_grads, image_grad) = differentiate(&self.goal, images, taps, items, &mut metrics)?;
        if let Some(bad) = values.iter().find(|v| !v.is_finite()) {
            return Err(Error::invalid(
                format!("step {step}"),
                "a finite objective",
                format!("{bad}"),
                "lower the learning rate, or start from noise",
            ));
        }
        let backward = Instant::now();
        let mut pixels = self.executor.backward(&tap_grads)?;
        executor_seconds += backward.elapsed().as_secs_f64();
        if let Some(g) = image_grad {
            pixels = pixels.clone() + cast(g, precision(&pixels));
        }
        let gradients = match shown {
            Shown::Pixels(_) => {
                let values = vec_f32(&pixels);
                vec![Array2::from_shape_vec(leaves[0].raw_dim(), values).expect("as many values as pixels")]
            }
            Shown::Rendered(seen) => {
                let pixels = cast(pixels, precision(&seen.clone().inner()));
                let grads = backward_from(seen, pixels);
                let two = |l: &Var<2>| l.grad(&grads).unwrap_or_else(|| l.clone().inner().zeros_like());
                let array = |l| array(&two(l)).into_dimensionality().expect("a leaf's gradient has its two axes");
                vars.iter().map(array).collect()
            }
        };
        Ok(Evaluation { values, metrics, gradients, executor_seconds })
    }
}

/// What the network is shown.
enum Shown {
    /// The leaf itself.
    Pixels(Tensor<4>),
    Rendered(Var<4>),
}

impl Shown {
    fn images(&self) -> Tensor<4> {
        match self {
            Self::Pixels(images) => images.clone(),
            Self::Rendered(images) => images.clone().inner(),
        }
    }
}

/// The objective at some leaves.
pub(super) struct Evaluation {
    /// One per row, or one for the set.
    pub values: Vec<f64>,
    pub metrics: Metrics,
    /// One per leaf, of its shape.
    pub gradients: Vec<Array2<f32>>,
    pub executor_seconds: f64,
}

/// The objective's values, the gradient of their sum at each tap, and at the images when it looks
/// at them.
fn differentiate(
    goal: &Goal,
    images: Tensor<4>,
    taps: Vec<TapValue>,
    items: &[usize],
    metrics: &mut Metrics,
) -> Result<(Vec<f64>, Vec<TapGrad>, Option<Tensor<4>>)> {
    let image_leaf = leaf(images);
    let vars: Vec<TapVar> = taps
        .into_iter()
        .map(|tap| match tap {
            TapValue::Activations(a) => TapVar::Activations(leaf(a)),
            TapValue::Moments(m) => {
                TapVar::Moments { gram: leaf(cast(m.gram, SMALL)), sums: leaf(cast(m.sums, SMALL)), n_units: m.n_units }
            }
        })
        .collect();
    let value = goal.value(&Scene { images: &image_leaf, taps: &vars, items }, metrics)?;
    let numbers = array_f64(&value.clone().inner()).into_iter().collect();
    let grads = value.sum().backward();
    let tap_grads = vars
        .iter()
        .map(|var| match var {
            TapVar::Activations(a) => a.grad(&grads).map_or(TapGrad::None, TapGrad::Activations),
            TapVar::Moments { gram, sums, .. } => match (gram.grad(&grads), sums.grad(&grads)) {
                (None, None) => TapGrad::None,
                (g, s) => TapGrad::Moments {
                    gram: g.unwrap_or_else(|| gram.clone().inner().zeros_like()),
                    sums: s.unwrap_or_else(|| sums.clone().inner().zeros_like()),
                },
            },
        })
        .collect();
    Ok((numbers, tap_grads, image_leaf.grad(&grads)))
}
