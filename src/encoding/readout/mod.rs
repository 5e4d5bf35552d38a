//! Readouts that say separately where a target looks and what it looks for.
//!
//! ```text
//! u[n, t] = sum_cyx f[c, t] m[y, x, t] (a[n, c, y, x] - mean[c]) / scale[c] + b[t]
//! ```
//!
//! with a map m (height x width) and a weight f of every channel for each target: C + P numbers
//! instead of the C P of a regression on all units. Maps and channels are found together by Adam,
//! from the best such form of a regression, and stopped early on inner validation rows.
//!
//! | module | what |
//! |---|---|
//! | `loss` | the loss and its penalties, differentiated by burn |
//! | `start` | a regression's weights, and the map and channels nearest to them |
//! | `data` | means of channels, scales of targets, predictions |
//! | [`training`] | epochs, early stopping, refit |
//! | `state` | a training's state as a file |

mod data;
mod loss;
mod start;
mod state;
#[cfg(test)]
mod tests;
pub mod training;

use crate::encoding::folds::{Fold, Leakage, Rows};
use crate::encoding::model::{Output, ReadoutWeights};
use crate::encoding::options::TargetState;
use crate::encoding::solver::Work;
use crate::error::{Error, Result};
use crate::network::Shape;
use data::Scales;
use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};
pub use training::ReadoutTraining;

/// What predictions are judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadoutLoss {
    /// `mean_n (z - u)^2` of responses z that are z-scored over the rows that are fitted on (ddof 0);
    /// the prediction is u in the units of the responses.
    #[default]
    Mse,
    /// `mean_n (r - y log r)` of counts or rates y >= 0, with the rate `r = 1 + elu(u)`.
    Poisson,
}

impl ReadoutLoss {
    /// What is made of u.
    pub fn output(self) -> Output {
        match self {
            Self::Mse => Output::Identity,
            Self::Poisson => Output::Rate,
        }
    }
}

/// The regression that the first maps and channels are made of: of its weights W (channels x places) the
/// first singular vectors, `f = sqrt(s) u`, `m = sqrt(s) v`, scaled together to fit the responses best.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadoutStart {
    /// Ridge regression with a penalty of so many mean eigenvalues of the kernel.
    Ridge { alpha: f64 },
    /// Covariances of units and responses: ridge regression with an endless penalty.
    Covariance,
}

impl Default for ReadoutStart {
    /// One mean eigenvalue.
    fn default() -> Self {
        Self::Ridge { alpha: 1.0 }
    }
}

/// What a factorised readout can be told. Penalties are of a target's own map m and channels f, at the
/// scale of the training: channels (and, for [`ReadoutLoss::Mse`], responses) of variance 1, map and
/// channels of one length at the start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReadoutOptions {
    /// What predictions are judged by, in training and on the validation rows.
    pub loss: ReadoutLoss,
    /// First maps and channels.
    pub start: ReadoutStart,
    /// times `sum m^2`.
    pub l2_map: f64,
    /// times `sum f^2`.
    pub l2_channels: f64,
    /// times `sum (L m)^2`, L the Laplacian: for each place the sum over its neighbours (up to 4) of
    /// their difference to it.
    pub smoothness: f64,
    /// times `(sum |f|)^2 / sum f^2`, Hoyer's square: between 1 (one channel) and n_channels (all
    /// alike), whatever the length of f.
    pub hoyer: f64,
    /// Maps of no negative weights: those are set to 0 after every step.
    pub nonnegative_map: bool,
    /// Adam's rate in the first epoch; it falls to 0 along half a cosine over all `epochs`.
    pub rate: f64,
    /// Rows of a step.
    pub batch: usize,
    /// Passes over the training rows, at most.
    pub epochs: usize,
    /// A target ends after so many epochs without a smaller loss on the validation rows.
    pub patience: usize,
    /// Whether each target is fitted again on training and validation rows together, for as many epochs as
    /// were best for it.
    pub refit: bool,
    /// Draws the order of rows.
    pub seed: u64,
}

impl Default for ReadoutOptions {
    fn default() -> Self {
        Self {
            loss: ReadoutLoss::default(),
            start: ReadoutStart::default(),
            l2_map: 0.01,
            l2_channels: 0.01,
            smoothness: 0.01,
            hoyer: 0.0,
            nonnegative_map: false,
            rate: 1e-3,
            batch: 64,
            epochs: 100,
            patience: 10,
            refit: true,
            seed: 0,
        }
    }
}

impl ReadoutOptions {
    /// # Errors
    /// [`Error::Invalid`] for penalties or rates that are negative or not finite, and no rows, epochs
    /// or patience.
    pub fn check(&self) -> Result<()> {
        let alpha = match self.start {
            ReadoutStart::Ridge { alpha } => alpha,
            ReadoutStart::Covariance => 1.0,
        };
        let penalties = [self.l2_map, self.l2_channels, self.smoothness, self.hoyer];
        let found = if penalties.iter().any(|p| !(p.is_finite() && *p >= 0.0)) {
            format!("penalties {penalties:?}")
        } else if !(self.rate.is_finite() && self.rate > 0.0 && alpha.is_finite() && alpha > 0.0) {
            format!("a rate of {} and an alpha of {alpha}", self.rate)
        } else if self.batch == 0 || self.epochs == 0 || self.patience == 0 {
            format!("{} rows a step, {} epochs, a patience of {}", self.batch, self.epochs, self.patience)
        } else {
            return Ok(());
        };
        let expected = "penalties of 0 or more, positive rates and alphas, and 1 row, epoch and patience or more";
        Err(Error::invalid("factorized readout", expected, found, ""))
    }
}

/// A readout with a map and a weight of every channel for each target (Cowley et al.'s factorised
/// mapping; the readout of minimodels).
///
/// # Source
/// Klindt et al. 2017 (what and where); Cowley et al., "Compact deep neural network models of visual
/// cortex" (start from the first singular vectors of ridge weights); Du et al., "Towards a simplified
/// model of primary visual cortex" (Hoyer's square on channels, maps without negative weights).
///
/// ```
/// use ndarray::Array2;
/// use orthoscope::encoding::readout::{FactorizedReadout, ReadoutOptions};
/// use orthoscope::encoding::{Labels, Leakage, Rows, Split, Work, folds};
/// use orthoscope::network::Shape;
///
/// // A neuron that takes the second of two channels on the left half of a 2 x 2 map.
/// let shape = Shape::new(2, 2, 2);
/// let x = Array2::from_shape_fn((90, 8), |(n, u)| ((n * 37 + u * 11 + n * u) % 19) as f32 / 19.0);
/// let y = Array2::from_shape_fn((90, 1), |(n, _)| 3.0 * (x[(n, 4)] + x[(n, 6)]) + 1.0);
/// let rows = Rows::new((0..60).collect(), 90)?;
/// let inner = folds(&rows, &Labels::default(), Split::Random { n_folds: 4, seed: 1 }, 0)?.remove(0);
/// let options = ReadoutOptions { l2_map: 0.0, l2_channels: 0.0, smoothness: 0.0, ..Default::default() };
/// let mut leakage = Leakage::default();
/// let readout = FactorizedReadout { options };
/// let fit = readout.fit([x.view(), y.view()], shape, &rows, &inner, &mut leakage, &Work::default())?;
/// let predicted = fit.predict(x.view());
/// assert!((60..90).all(|n| (predicted[(n, 0)] - y[(n, 0)]).abs() < 0.2));
/// leakage.check(&Rows::new((60..90).collect(), 90)?)?;
/// # Ok::<(), orthoscope::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FactorizedReadout {
    /// What it is told.
    pub options: ReadoutOptions,
}

impl FactorizedReadout {
    /// Begins the training of some targets, and notes what will be fitted on which rows.
    ///
    /// # Shapes
    /// `x`: all samples x units ([`Reduction::Flat`](crate::encoding::features::Reduction::Flat): column `(c height + y) width + x`) of a layer of this
    /// shape; `y`: all samples x targets. Only the rows of `rows` are read. `inner`: a fold of `rows`, whose
    /// test side says when a target is stopped.
    ///
    /// # Errors
    /// [`Error::Invalid`] for options, shapes or rows that do not fit, NaN or infinity in a training row of
    /// `x`, and negative responses for a Poisson loss.
    pub fn training<'a>(
        &self,
        [x, y]: [ArrayView2<'a, f32>; 2],
        shape: Shape,
        rows: &Rows,
        inner: &Fold,
        leakage: &mut Leakage,
    ) -> Result<ReadoutTraining<'a>> {
        let training = ReadoutTraining::new(&self.options, [x, y], shape, rows, inner)?;
        let fitted = if self.options.refit { rows } else { &inner.train };
        leakage.fitted("means and scales of channels and targets", fitted);
        leakage.fitted("maps and channels", fitted);
        leakage.fitted("epochs of each target, by an inner fold", rows);
        Ok(training)
    }

    /// [`FactorizedReadout::training`], all epochs, and what came of them.
    ///
    /// # Errors
    /// As that and [`ReadoutTraining::epoch`].
    pub fn fit(
        &self,
        xy: [ArrayView2<'_, f32>; 2],
        shape: Shape,
        rows: &Rows,
        inner: &Fold,
        leakage: &mut Leakage,
        work: &Work,
    ) -> Result<FactorizedFit> {
        let mut training = self.training(xy, shape, rows, inner, leakage)?;
        while training.epoch(work)? {}
        training.finish()
    }
}

/// Fitted maps and channels.
#[derive(Debug, Clone, PartialEq)]
pub struct FactorizedFit {
    /// Of the layer.
    pub shape: Shape,
    /// height width x targets; each of length 1 and a sum of 0 or more, or all 0 where there is nothing to
    /// fit.
    pub maps: Array2<f32>,
    /// n_channels x targets, of scaled channels.
    pub channels: Array2<f32>,
    /// Targets.
    pub intercept: Vec<f64>,
    /// What is made of the sum.
    pub output: Output,
    /// Of every channel, over training rows and places.
    pub mean: Vec<f64>,
    /// As well (ddof 0); 1 where a channel does not vary.
    pub scale: Vec<f64>,
    /// Whether there is anything to fit.
    pub states: Vec<TargetState>,
    /// Epochs that were best for each target on the validation rows; 0 is the start.
    pub epochs: Vec<usize>,
    /// The loss there, without penalties: the smallest of many, never a test score.
    pub validation_loss: Vec<f64>,
}

impl FactorizedFit {
    /// Predictions of the rows of `x` (units as [`FactorizedReadout::training`] has them).
    ///
    /// # Panics
    /// When `x` has other units.
    pub fn predict(&self, x: ArrayView2<'_, f32>) -> Array2<f32> {
        let scales = Scales { mean: self.mean.clone(), scale: self.scale.clone() };
        let mut out = data::sums(x, self.shape, &scales, self.maps.view(), self.channels.view());
        for mut row in out.rows_mut() {
            row.iter_mut().zip(&self.intercept).for_each(|(v, b)| *v = output(self.output, *v + b));
        }
        out.mapv(|v| v as f32)
    }

    /// As an [`EncodingModel`](crate::encoding::EncodingModel) has them.
    pub fn weights(&self) -> ReadoutWeights {
        let (maps, channels) = (self.maps.clone(), self.channels.clone());
        ReadoutWeights::Factorized { maps, channels, output: self.output }
    }

    /// Mean and scale of every unit: of a [`ModelSpace`](crate::encoding::model::ModelSpace) of all
    /// units ([`Reduction::Flat`](crate::encoding::features::Reduction::Flat)).
    pub fn scaling_of_units(&self) -> (Vec<f64>, Vec<f64>) {
        let places = self.shape.height * self.shape.width;
        let units = |of: &[f64]| of.iter().flat_map(|&v| std::iter::repeat_n(v, places)).collect();
        (units(&self.mean), units(&self.scale))
    }
}

/// What is made of a sum and its intercept.
fn output(output: Output, u: f64) -> f64 {
    match output {
        Output::Identity => u,
        Output::Rate if u > 0.0 => 1.0 + u,
        Output::Rate => u.exp(),
    }
}
