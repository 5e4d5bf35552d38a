//! Objectives: scalars to **maximise**, given rendered images and activations.
//!
//! An objective is a value: `a + b`, `a - b` and `0.5 * a` are objectives that describe themselves
//! in words. Penalties are written as what they are, positive numbers, and enter with a minus sign
//! that the reader sees:
//!
//! ```
//! use orthoscope::objective::{PatternSimilarity, Penalty, RsmTaps, flat_fingerprints, second_order_penalty, target_rsm_error};
//!
//! let taps = RsmTaps::new(0..3, PatternSimilarity::Pearson);
//! let goal = -second_order_penalty(taps.clone(), Penalty::MeanSquare, None) - 2.0 * flat_fingerprints(taps, 0.08);
//! assert_eq!(goal.describe(), "- mean R^2 between the RSMs (pearson) of taps 0, 1, 2 - 2 x RSM standard deviation below 0.08, squared");
//! ```

mod drive;
mod penalty;
mod rsm;
mod set;

pub use drive::{Drive, Similar, UnitTap, drive, margin, similarity};
pub use penalty::{Penalty, second_order_value};
pub use rsm::{PatternSimilarity, Rsms, first_order, second_order};
pub use set::{RsmTaps, flat_fingerprints, second_order_penalty, target_rsm_error};

use crate::error::{Error, Result};
use crate::tensor::Var;
use std::collections::BTreeMap;
use std::ops::{Add, Mul, Neg, Sub};

/// A tap's value inside a differentiated expression.
#[derive(Debug, Clone)]
pub enum TapVar {
    /// N x C x H x W.
    Activations(Var<4>),
    /// Raw second moments across the N images; see [`crate::network::Moments`].
    Moments { gram: Var<2>, sums: Var<1>, n_units: usize },
}

/// What an objective may look at.
#[derive(Debug)]
pub struct Scene<'a> {
    /// Rendered images as the network saw them, N x 3 x H x W, RGB in [0, 1].
    pub images: &'a Var<4>,
    /// One per tap of the executor.
    pub taps: &'a [TapVar],
    /// Which image of the objective each row is: images that are done have left.
    pub items: &'a [usize],
}

/// Numbers worth a line in the trace, by name: one for the whole set, or one per row.
pub type Metrics = BTreeMap<String, Vec<f64>>;

/// A scalar function of a [`Scene`].
pub trait Objective: Send + Sync {
    /// The value, larger is better: one number for a set of images, or one per row when every image
    /// is for itself. What is differentiated is the sum. May note numbers for the trace.
    ///
    /// # Errors
    /// [`Error::Invalid`] when a tap is missing or of the wrong kind.
    fn value(&self, scene: &Scene<'_>, metrics: &mut Metrics) -> Result<Var<1>>;

    /// In words.
    fn describe(&self) -> String;
}

/// An [`Objective`] that composes.
pub struct Goal(Box<dyn Objective>);

impl Goal {
    pub fn new(objective: impl Objective + 'static) -> Self {
        Self(Box::new(objective))
    }

    /// See [`Objective::value`].
    ///
    /// # Errors
    /// As there.
    pub fn value(&self, scene: &Scene<'_>, metrics: &mut Metrics) -> Result<Var<1>> {
        self.0.value(scene, metrics)
    }

    /// See [`Objective::describe`].
    pub fn describe(&self) -> String {
        self.0.describe()
    }
}

struct Sum(Goal, Goal);
struct Scaled(f64, Goal);

impl Objective for Sum {
    fn value(&self, scene: &Scene<'_>, metrics: &mut Metrics) -> Result<Var<1>> {
        Ok(self.0.value(scene, metrics)? + self.1.value(scene, metrics)?)
    }

    fn describe(&self) -> String {
        let right = self.1.describe();
        let sign = if right.starts_with("- ") { " " } else { " + " };
        format!("{}{sign}{right}", self.0.describe())
    }
}

impl Objective for Scaled {
    fn value(&self, scene: &Scene<'_>, metrics: &mut Metrics) -> Result<Var<1>> {
        Ok(self.1.value(scene, metrics)?.mul_scalar(self.0))
    }

    fn describe(&self) -> String {
        let sign = if self.0 < 0.0 { "- " } else { "" };
        match self.0.abs() {
            1.0 => format!("{sign}{}", self.1.describe()),
            factor => format!("{sign}{factor} x {}", self.1.describe()),
        }
    }
}

impl Add for Goal {
    type Output = Goal;
    fn add(self, other: Goal) -> Goal {
        Goal::new(Sum(self, other))
    }
}

impl Sub for Goal {
    type Output = Goal;
    fn sub(self, other: Goal) -> Goal {
        Goal::new(Sum(self, -other))
    }
}

impl Neg for Goal {
    type Output = Goal;
    fn neg(self) -> Goal {
        -1.0 * self
    }
}

impl Mul<Goal> for f64 {
    type Output = Goal;
    fn mul(self, goal: Goal) -> Goal {
        Goal::new(Scaled(self, goal))
    }
}

/// A tap that must be moments.
pub(crate) fn moments_at<'a>(scene: &'a Scene<'_>, index: usize) -> Result<(&'a Var<2>, &'a Var<1>, usize)> {
    match scene.taps.get(index) {
        Some(TapVar::Moments { gram, sums, n_units }) => Ok((gram, sums, *n_units)),
        Some(TapVar::Activations(_)) => {
            Err(Error::invalid(format!("tap {index}"), "moments", "activations", "request the tap as moments"))
        }
        None => Err(Error::invalid(format!("tap {index}"), "one of the executor's taps", "no such tap", "")),
    }
}
