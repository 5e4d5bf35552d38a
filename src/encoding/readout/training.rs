//! The training of factorised readouts: an epoch at a time, with its state as a file.
//!
//! First on the train side of the inner fold, each target until its validation loss has not fallen for
//! some epochs; then, with [`ReadoutOptions::refit`], from a new start on all rows, each target for as many
//! epochs as were best. The loss is a sum over targets and Adam works number by number, so that no target
//! depends on which others are trained with it (but for rounding).

use super::data::{Scales, Target, sums};
use super::loss::{Batch, Leaves, total};
use super::start::{Layer, start};
use super::{FactorizedFit, ReadoutLoss, ReadoutOptions, output};
use crate::encoding::folds::{Fold, Rows};
use crate::encoding::model::Output;
use crate::encoding::options::TargetState;
use crate::encoding::solver::Work;
use crate::encoding::standardize::finite;
use crate::error::{Error, Result};
use crate::network::Shape;
use crate::rng;
use crate::tensor::{Device, Var, leaf, scalar, tensor, tensor_from_vec, vec_f32};
use crate::training::optimizer::{Method, Rule};
use crate::training::schedule::Schedule;
use ndarray::{Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

/// The smallest rate that an intercept stands for.
const LOWEST_RATE: f64 = 1e-6;

const AT: &str = "factorized readout";

/// A training that goes on by epochs. Memory is that of the units of a batch, and four to six times the
/// maps and channels of all targets.
pub struct ReadoutTraining<'a> {
    pub(super) options: ReadoutOptions,
    x: ArrayView2<'a, f32>,
    y: ArrayView2<'a, f32>,
    pub(super) shape: Shape,
    pub(super) rows: Rows,
    pub(super) inner: Fold,
    states: Vec<TargetState>,
    /// Targets that vary.
    pub(super) trained: Vec<usize>,
    /// What the first phase found, once it has ended and there is a second.
    pub(super) chosen: Option<Best>,
    pub(super) course: Option<Course>,
}

/// The best epoch of each target that is trained, and its validation loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Best {
    pub epochs: Vec<usize>,
    pub losses: Vec<f64>,
}

/// A training on some rows.
#[derive(Clone)]
pub(super) struct Course {
    rows: Rows,
    scales: Scales,
    targets: Vec<Target>,
    /// Map, channels and intercept of all targets that are trained.
    pub values: Vec<Array2<f32>>,
    pub rule: Rule,
    pub epoch: usize,
    pub best: Best,
    pub best_values: Vec<Array2<f32>>,
}

impl<'a> ReadoutTraining<'a> {
    pub(super) fn new(
        options: &ReadoutOptions,
        [x, y]: [ArrayView2<'a, f32>; 2],
        shape: Shape,
        rows: &Rows,
        inner: &Fold,
    ) -> Result<Self> {
        options.check()?;
        if x.ncols() != shape.len() || shape.is_empty() {
            let hint = "give all units of the layer, channels first";
            return Err(Error::invalid(
                AT,
                format!("the {} units of {shape}", shape.len()),
                x.ncols().to_string(),
                hint,
            ));
        }
        rows.check(x.nrows(), "features")?;
        rows.check(y.nrows(), "targets")?;
        finite(x, rows, "features")?;
        for side in [&inner.train, &inner.test] {
            if side.within(rows).is_none() {
                return Err(Error::invalid(AT, "an inner fold of the training side", format!("one of {side}"), ""));
            }
        }
        let states: Vec<TargetState> = targets(y, rows, &inner.train).iter().map(|t| t.state).collect();
        let trained: Vec<usize> = (0..states.len()).filter(|&t| states[t] == TargetState::Varies).collect();
        if options.loss == ReadoutLoss::Poisson {
            counts(y, rows, &trained)?;
        }
        let (options, rows, inner) = (options.clone(), rows.clone(), inner.clone());
        Ok(Self { options, x, y, shape, rows, inner, states, trained, chosen: None, course: None })
    }

    /// The next epoch (or the start of a phase); false when there is none left.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the loss is NaN or infinite; [`Error::Interrupted`]. The state is as before
    /// then.
    pub fn epoch(&mut self, work: &Work) -> Result<bool> {
        if self.trained.is_empty() {
            return Ok(false);
        }
        let course = match &self.course {
            None => self.begin(work)?,
            Some(course) if self.ended(course) => return Ok(self.next_phase()),
            Some(course) => self.next(course.clone(), work)?,
        };
        self.course = Some(course);
        Ok(true)
    }

    /// The rows that are fitted on now.
    fn rows(&self) -> &Rows {
        if self.chosen.is_some() { &self.rows } else { &self.inner.train }
    }

    fn begin(&self, work: &Work) -> Result<Course> {
        let mut course = self.blank();
        let x = self.x.select(Axis(0), course.rows.indices());
        let layer = Layer { x: x.view(), shape: self.shape, scales: &course.scales };
        let responses = self.responses(&course, course.rows.indices());
        let found = start(layer, &responses, self.options.start, self.options.loss, work)?;
        let intercept = Array2::from_shape_fn((1, self.trained.len()), |(_, t)| found.intercept[t] as f32);
        course.values = vec![found.map, found.channels, intercept];
        course.best_values = course.values.clone();
        self.judge(&mut course);
        Ok(course)
    }

    /// A course without numbers.
    pub(super) fn blank(&self) -> Course {
        let rows = self.rows().clone();
        let targets = targets(self.y, &rows, &rows);
        let n = self.trained.len();
        Course {
            scales: Scales::of_channels(self.x, &rows, self.shape),
            targets: self.trained.iter().map(|&t| targets[t]).collect(),
            rows,
            values: vec![],
            rule: Rule::new(Method::default()),
            epoch: 0,
            best: Best { epochs: vec![0; n], losses: vec![f64::MAX; n] },
            best_values: vec![],
        }
    }

    /// Responses of some samples as the training has them, of all targets that are trained.
    fn responses(&self, course: &Course, samples: &[usize]) -> Array2<f64> {
        Array2::from_shape_fn((samples.len(), self.trained.len()), |(n, t)| {
            course.targets[t].scaled(self.y[(samples[n], self.trained[t])], self.options.loss)
        })
    }

    pub(super) fn next(&self, mut course: Course, work: &Work) -> Result<Course> {
        let purpose = if self.chosen.is_some() { "readout refit" } else { "readout" };
        let order = rng::stream(self.options.seed, purpose, course.epoch as u64).permutation(course.rows.len());
        let epochs = self.options.epochs;
        let schedule = Schedule { peak: self.options.rate, warmup: 0.0, horizon: epochs, steps: epochs, cooldown: 0 };
        let rate = schedule.rate(course.epoch);
        for part in order.chunks(self.options.batch) {
            work.cancel.check()?;
            let samples: Vec<usize> = part.iter().map(|&i| course.rows.indices()[i]).collect();
            let gradients = self.gradients(&course, &samples)?;
            course.rule.step(&mut course.values, gradients, rate, &[0.0; 3]);
            if self.options.nonnegative_map {
                course.values[0].mapv_inplace(|v| v.max(0.0));
            }
        }
        course.epoch += 1;
        self.judge(&mut course);
        Ok(course)
    }

    fn gradients(&self, course: &Course, samples: &[usize]) -> Result<Vec<Array2<f32>>> {
        let (device, shape) = (Device::default(), self.shape);
        let (c, places) = (shape.channels, shape.height * shape.width);
        let units: Vec<f32> = samples.iter().flat_map(|&n| self.x.row(n).into_iter().copied()).collect();
        let narrow = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v as f32).collect::<Vec<f32>>();
        let responses = self.responses(course, samples);
        let batch = Batch {
            activations: tensor_from_vec(units, [samples.len() * c, places], &device),
            responses: tensor_from_vec(
                narrow(&mut responses.iter().copied()),
                [samples.len(), self.trained.len()],
                &device,
            ),
            mean: tensor_from_vec(narrow(&mut course.scales.mean.iter().copied()), [1, c, 1], &device),
            inverse_scale: tensor_from_vec(narrow(&mut course.scales.scale.iter().map(|s| 1.0 / s)), [c, 1], &device),
        };
        let [map, channels, intercept] = [0, 1, 2].map(|i| leaf(tensor(course.values[i].view(), &device)));
        let leaves = Leaves { map, channels, intercept };
        let loss = total(&leaves, &batch, (shape.height, shape.width), &self.options);
        let grads = loss.backward();
        let of = |variable: &Var<2>, value: &Array2<f32>| {
            let numbers = variable.grad(&grads).map_or_else(|| vec![0.0; value.len()], |g| vec_f32(&g));
            Array2::from_shape_vec(value.dim(), numbers).expect("a gradient has its variable's shape")
        };
        let variables = [&leaves.map, &leaves.channels, &leaves.intercept];
        let gradients: Vec<_> = variables.iter().zip(&course.values).map(|(v, value)| of(v, value)).collect();
        let value = scalar(&loss.inner());
        if value.is_finite() && gradients.iter().flatten().all(|g| g.is_finite()) {
            return Ok(gradients);
        }
        Err(Error::invalid(AT, "a finite loss and gradient", format!("a loss of {value}"), "lower the rate"))
    }

    /// Keeps the numbers of targets that are at their best: by the validation rows, or by the epoch that
    /// was chosen.
    fn judge(&self, course: &mut Course) {
        let epoch = course.epoch;
        let better: Vec<usize> = match &self.chosen {
            Some(chosen) => {
                course.best.losses.clone_from(&chosen.losses);
                (0..self.trained.len()).filter(|&t| chosen.epochs[t] == epoch).collect()
            }
            None => {
                let losses = self.validation(course);
                let open = |t: usize| epoch - course.best.epochs[t] <= self.options.patience;
                let better = (0..losses.len()).filter(|&t| open(t) && losses[t] < course.best.losses[t]).collect();
                for &t in &better {
                    course.best.losses[t] = losses[t];
                }
                better
            }
        };
        for &t in &better {
            course.best.epochs[t] = epoch;
            for (best, now) in course.best_values.iter_mut().zip(&course.values) {
                best.column_mut(t).assign(&now.column(t));
            }
        }
    }

    /// Each target's loss over the validation rows, without penalties.
    fn validation(&self, course: &Course) -> Vec<f64> {
        let samples = self.inner.test.indices();
        let x = self.x.select(Axis(0), samples);
        let [map, channels] = [0, 1].map(|i| course.values[i].view());
        let sums = sums(x.view(), self.shape, &course.scales, map, channels);
        let responses = self.responses(course, samples);
        let out = self.options.loss.output();
        let one = |t: usize| {
            let intercept = f64::from(course.values[2][(0, t)]);
            let loss = |(u, y): (&f64, &f64)| match (self.options.loss, output(out, u + intercept)) {
                (ReadoutLoss::Mse, u) => (y - u).powi(2),
                (ReadoutLoss::Poisson, rate) => rate - y * rate.ln(),
            };
            sums.column(t).iter().zip(responses.column(t)).map(loss).sum::<f64>() / samples.len() as f64
        };
        (0..self.trained.len()).map(one).collect()
    }

    fn ended(&self, course: &Course) -> bool {
        match &self.chosen {
            Some(chosen) => chosen.epochs.iter().all(|&epoch| epoch <= course.epoch),
            None => {
                let stopped = |&best: &usize| course.epoch - best >= self.options.patience;
                course.epoch >= self.options.epochs || course.best.epochs.iter().all(stopped)
            }
        }
    }

    /// Goes on to the second phase, if there is one.
    fn next_phase(&mut self) -> bool {
        if self.chosen.is_some() || !self.options.refit {
            return false;
        }
        self.chosen = self.course.take().map(|course| course.best);
        true
    }

    /// What came of all epochs.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there are epochs left.
    pub fn finish(&self) -> Result<FactorizedFit> {
        let n = self.y.ncols();
        let mut fit = FactorizedFit {
            shape: self.shape,
            maps: Array2::zeros((self.shape.height * self.shape.width, n)),
            channels: Array2::zeros((self.shape.channels, n)),
            intercept: vec![0.0; n],
            output: self.options.loss.output(),
            mean: vec![0.0; self.shape.channels],
            scale: vec![1.0; self.shape.channels],
            states: self.states.clone(),
            epochs: vec![0; n],
            validation_loss: vec![0.0; n],
        };
        for (t, target) in targets(self.y, &self.rows, &self.inner.train).iter().enumerate() {
            fit.intercept[t] = before(fit.output, target.mean);
        }
        let last = self.chosen.is_some() || !self.options.refit;
        match &self.course {
            _ if self.trained.is_empty() => Ok(fit),
            Some(course) if last && self.ended(course) => {
                self.put(course, &mut fit);
                Ok(fit)
            }
            _ => Err(Error::invalid(AT, "a training that has ended", "epochs that are left", "")),
        }
    }

    /// Maps of length 1, channels and intercepts in the units of responses.
    fn put(&self, course: &Course, fit: &mut FactorizedFit) {
        (fit.mean, fit.scale) = (course.scales.mean.clone(), course.scales.scale.clone());
        let [map, channels, intercept] = [0, 1, 2].map(|i| &course.best_values[i]);
        for (i, &t) in self.trained.iter().enumerate() {
            let wide = map.column(i).mapv(f64::from);
            let length = wide.dot(&wide).sqrt().copysign(wide.sum());
            let (unit, at) = match self.options.loss {
                ReadoutLoss::Mse => (course.targets[i].scale, course.targets[i].mean),
                ReadoutLoss::Poisson => (1.0, 0.0),
            };
            if length != 0.0 {
                fit.maps.column_mut(t).assign(&wide.mapv(|v| (v / length) as f32));
                let scaled = channels.column(i).mapv(|v| (f64::from(v) * length * unit) as f32);
                fit.channels.column_mut(t).assign(&scaled);
            }
            fit.intercept[t] = f64::from(intercept[(0, i)]) * unit + at;
            fit.epochs[t] = course.best.epochs[i];
            fit.validation_loss[t] = course.best.losses[i];
        }
    }
}

/// Every target over some rows.
fn targets(y: ArrayView2<'_, f32>, rows: &Rows, fitted: &Rows) -> Vec<Target> {
    let of = |rows: &Rows, t: usize| rows.indices().to_vec().into_iter().map(move |n| y[(n, t)]);
    (0..y.ncols()).map(|t| Target::new(of(rows, t), of(fitted, t))).collect()
}

/// # Errors
/// [`Error::Invalid`] for a negative response among the rows.
fn counts(y: ArrayView2<'_, f32>, rows: &Rows, trained: &[usize]) -> Result<()> {
    for &t in trained {
        if let Some(&n) = rows.indices().iter().find(|&&n| y[(n, t)] < 0.0) {
            let found = format!("{} at sample {n}, target {t}", y[(n, t)]);
            let hint = "give counts or rates, not z-scores, or choose the loss `mse`";
            return Err(Error::invalid(AT, "responses of 0 or more for a Poisson loss", found, hint));
        }
    }
    Ok(())
}

/// The intercept of which `mean` is made.
fn before(output: Output, mean: f64) -> f64 {
    match output {
        Output::Identity => mean,
        Output::Rate if mean > 1.0 => mean - 1.0,
        Output::Rate => mean.max(LOWEST_RATE).ln(),
    }
}
