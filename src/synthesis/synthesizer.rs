//! The only loop. One [`Synthesizer`] moves one item (a set of images that share an objective); items are independent.

use super::converge::verdict;
use super::optimizer::OptimizerKind;
use super::state::State;
use crate::error::{Error, Result};
use crate::image::{Constraint, ImageParam, JitterOptions, Transform};
use crate::network::{Executor, TapGrad, TapValue};
use crate::objective::{Goal, Metrics, Scene, TapVar};
use crate::rng;
use crate::tensor::{Device, SMALL, Tensor, Var, array, cast, constant, leaf, precision, scalar, tensor};
use ndarray::{Array2, Array4};
use std::time::Instant;

/// How the images are looked at while they are optimised: each step draws one random view, shared by all images of the set.
#[derive(Debug, Clone)]
pub struct Views {
    pub jitter: JitterOptions,
    /// Key of the random stream, with the item and the step.
    pub seed: u64,
}

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
pub struct Synthesizer {
    pub param: Box<dyn ImageParam>,
    pub constraint: Option<Constraint>,
    pub views: Option<Views>,
    pub executor: Box<dyn Executor>,
    /// To be maximised.
    pub goal: Goal,
    pub optimizer: OptimizerKind,
    pub learning_rate: f64,
    /// The learning rate falls to 0 along a quarter cosine over the last `anneal` share of `steps`.
    pub steps: usize,
    pub anneal: f64,
    /// An item that has converged by this much (see [`verdict`]) before the learning rate falls goes on to the fall at once; 0: never.
    pub tolerance: f64,
    /// Number of this item, for its random streams.
    pub item: u64,
    pub device: Device,
}

impl Synthesizer {
    /// A fresh start from the parametrisation's initial values.
    pub fn start(&self) -> State {
        State::new(self.param.leaves(), self.steps)
    }

    /// The images as they would be shown: rendered and constrained, before any view. N x 3 x H x W, RGB in [0, 1].
    pub fn images(&self, state: &State) -> Array4<f32> {
        let rendered = array(&self.render(&self.leaf_vars(state)).inner());
        rendered.into_dimensionality().expect("a rendering has four axes")
    }

    fn leaf_vars(&self, state: &State) -> Vec<Var<2>> {
        state.leaves.iter().map(|l| leaf(tensor::<2, _>(l.view(), &self.device))).collect()
    }

    fn render(&self, leaves: &[Var<2>]) -> Var<4> {
        let rendered = self.param.render(leaves);
        match &self.constraint {
            Some(c) => c.apply(rendered),
            None => rendered,
        }
    }

    /// Steps over which the learning rate falls.
    fn fall(&self) -> usize {
        ((self.anneal * self.steps as f64).round() as usize).clamp(1, self.steps)
    }

    /// Learning rate at a step: constant, then a quarter cosine down to 0 at the state's horizon.
    fn rate(&self, state: &State) -> f64 {
        let fall = self.fall();
        let into = (state.step + fall).saturating_sub(state.horizon) as f64 / fall as f64;
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

    /// One step: evaluates the objective at the state's leaves, moves them uphill, and notes the numbers in the trace.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the objective is not finite (the state is then unchanged), or taps and objective do not fit.
    pub fn step(&mut self, state: &mut State) -> Result<StepReport> {
        let began = Instant::now();
        let leaves = self.leaf_vars(state);
        let rendered = self.render(&leaves);
        let seen = match self.view(state.step) {
            Some(view) => view.apply(rendered),
            None => rendered,
        };
        let images = seen.clone().inner();
        let forward = Instant::now();
        let taps = self.executor.forward(&images)?;
        let mut executor_seconds = forward.elapsed().as_secs_f64();
        let mut metrics = Metrics::new();
        let (value, tap_grads, image_grad) = evaluate(&self.goal, images, taps, &mut metrics)?;
        if !value.is_finite() {
            return Err(Error::invalid(
                format!("step {}", state.step),
                "a finite objective",
                format!("{value}"),
                "lower the learning rate, or start from noise",
            ));
        }
        let backward = Instant::now();
        let mut pixels = self.executor.backward(&tap_grads)?;
        executor_seconds += backward.elapsed().as_secs_f64();
        if let Some(g) = image_grad {
            pixels = pixels + cast(g, precision(&seen.clone().inner()));
        }
        // <image, gradient at the image> has the same gradient at the leaves as the objective.
        let grads = (seen * constant(pixels)).sum().backward();
        let gradients =
            leaves.iter().map(|l| l.grad(&grads).unwrap_or_else(|| l.clone().inner().zeros_like())).collect();
        self.update(state, value, self.param.condition(gradients));
        metrics.insert("objective".into(), value);
        state.trace.push(&metrics);
        state.step += 1;
        self.shorten(state);
        Ok(StepReport { value, metrics, executor_seconds, seconds: began.elapsed().as_secs_f64() })
    }

    fn view(&self, step: usize) -> Option<Transform> {
        let views = self.views.as_ref()?;
        let mut stream = rng::stream(views.seed, "views", self.item << 32 | step as u64);
        Some(Transform::draw(&mut stream, &views.jitter))
    }

    fn update(&self, state: &mut State, value: f64, gradients: Vec<Tensor<2>>) {
        let gradients: Vec<Vec<f32>> = gradients.iter().map(crate::tensor::vec_f32).collect();
        let mut flat: Vec<Vec<f32>> = state.leaves.iter().map(|l| l.iter().copied().collect()).collect();
        let mut optimizer = self.optimizer.build(state.leaves[0].nrows());
        optimizer.restore(&state.optimizer);
        optimizer.step(&mut flat, value, &gradients, self.rate(state));
        state.optimizer = optimizer.save();
        let moved = state.leaves.iter().zip(flat).map(|(old, new)| {
            let new = Array2::from_shape_vec(old.raw_dim(), new).expect("an update keeps a leaf's length");
            tensor::<2, _>(new.view(), &self.device)
        });
        let projected = self.param.project(moved.collect());
        state.leaves = projected
            .iter()
            .map(|t| array(t).into_dimensionality().expect("a projection keeps a leaf's two axes"))
            .collect();
    }
}

/// The objective's value, its gradient at each tap, and at the images when it looks at them.
fn evaluate(
    goal: &Goal,
    images: Tensor<4>,
    taps: Vec<TapValue>,
    metrics: &mut Metrics,
) -> Result<(f64, Vec<TapGrad>, Option<Tensor<4>>)> {
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
    let value = goal.value(&Scene { images: &image_leaf, taps: &vars }, metrics)?;
    let number = scalar(&value.clone().inner());
    let grads = value.backward();
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
    Ok((number, tap_grads, image_leaf.grad(&grads)))
}
