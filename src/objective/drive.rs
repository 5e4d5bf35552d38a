//! Objectives of single images: a unit's response, a response held at a level, a classifier's
//! margin, and likeness between images.

use super::{Goal, Metrics, Objective, Scene, TapVar};
use crate::error::{Error, Result};
use crate::tensor::{Tensor, Var, array_f64, constant, precision, tensor_f64};
use ndarray::{Array1, Array2};

/// A unit as the executor's taps show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnitTap {
    /// Index into the executor's taps, which must be activations.
    pub tap: usize,
    pub channel: usize,
    /// Row and column; `None`: the channel's mean over all positions.
    pub at: Option<[usize; 2]>,
}

/// What each image should do to each unit. Rows are images, columns units.
#[derive(Debug, Clone, PartialEq)]
pub struct Drive {
    pub units: Vec<UnitTap>,
    /// Weight of the response itself.
    pub linear: Array2<f64>,
    /// Weight of the squared distance from `target`, subtracted.
    pub hold: Array2<f64>,
    pub target: Array2<f64>,
    /// What this is for, in words.
    pub words: String,
}

/// `sum_u linear[n,u] r_u(x_n) - sum_u hold[n,u] (r_u(x_n) - target[n,u])^2`, one value per image.
///
/// Notes `response` (of the first unit) and `response.1`, `response.2`, ... of the others.
pub fn drive(drive: Drive) -> Goal {
    Goal::new(drive)
}

fn activations<'a>(scene: &'a Scene<'_>, tap: usize) -> Result<&'a Var<4>> {
    match scene.taps.get(tap) {
        Some(TapVar::Activations(a)) => Ok(a),
        Some(TapVar::Moments { .. }) => {
            Err(Error::invalid(format!("tap {tap}"), "activations", "moments", "request the tap as activations"))
        }
        None => Err(Error::invalid(format!("tap {tap}"), "one of the executor's taps", "no such tap", "")),
    }
}

/// One number per image as a constant of the expression.
fn per_image(values: Array1<f64>, like: &Var<1>) -> Var<1> {
    constant(tensor_f64::<1, _>(values.view(), precision(&like.clone().inner()), &like.device()))
}

impl UnitTap {
    fn response(self, scene: &Scene<'_>) -> Result<Var<1>> {
        let a = activations(scene, self.tap)?;
        let [n, channels, height, width] = a.dims();
        let inside = self.at.is_none_or(|[y, x]| y < height && x < width);
        if self.channel >= channels || !inside {
            let found = format!("channel {} at {:?}", self.channel, self.at);
            return Err(Error::invalid("unit", format!("one of {channels} x {height} x {width}"), found, ""));
        }
        let plane = a.clone().narrow(1, self.channel, 1);
        Ok(match self.at {
            Some([y, x]) => plane.narrow(2, y, 1).narrow(3, x, 1).reshape([n]),
            None => plane.reshape([n, height * width]).mean_dim(1).reshape([n]),
        })
    }
}

impl Objective for Drive {
    fn value(&self, scene: &Scene<'_>, metrics: &mut Metrics) -> Result<Var<1>> {
        let mut value: Option<Var<1>> = None;
        for (u, unit) in self.units.iter().enumerate() {
            let response = unit.response(scene)?;
            let name = if u == 0 { "response".to_owned() } else { format!("response.{u}") };
            metrics.insert(name, array_f64(&response.clone().inner()).into_iter().collect());
            let of = |table: &Array2<f64>| scene.items.iter().map(|&i| table[(i, u)]).collect::<Array1<f64>>();
            let (linear, hold) = (of(&self.linear), of(&self.hold));
            let mut term = response.clone() * per_image(linear, &response);
            if hold.iter().any(|&w| w != 0.0) {
                let off = response.clone() - per_image(of(&self.target), &response);
                term = term - off.square() * per_image(hold, &response);
            }
            value = Some(match value {
                Some(sum) => sum + term,
                None => term,
            });
        }
        value.ok_or_else(|| Error::invalid("objective", "at least one unit", "none", ""))
    }

    fn describe(&self) -> String {
        self.words.clone()
    }
}

/// `max_{j != label} z_j - z_label`, one value per image: above 0 the classifier says something
/// else. `labels` has one entry per image.
///
/// # Source
/// Carlini and Wagner, IEEE S&P 2017, objective f6.
pub fn margin(tap: usize, labels: Vec<usize>) -> Goal {
    Goal::new(Margin { tap, labels })
}

struct Margin {
    tap: usize,
    labels: Vec<usize>,
}

impl Objective for Margin {
    fn value(&self, scene: &Scene<'_>, metrics: &mut Metrics) -> Result<Var<1>> {
        let a = activations(scene, self.tap)?;
        let [n, channels, height, width] = a.dims();
        if height * width != 1 || channels < 2 || self.labels.iter().any(|&l| l >= channels) {
            let found = format!("{channels} x {height} x {width}");
            return Err(Error::invalid("margin", "the scores of at least two classes", found, "name the last layer"));
        }
        let scores = array_f64(&a.clone().inner());
        let scores = scores.to_shape((n, channels)).expect("one score per class").to_owned();
        let mut choice = Array2::<f64>::zeros((n, channels));
        for (r, row) in scores.outer_iter().enumerate() {
            let label = self.labels[scene.items[r]];
            let rival = (0..channels).filter(|&j| j != label).max_by(|&i, &j| row[i].total_cmp(&row[j]));
            choice[(r, rival.expect("at least two classes"))] = 1.0;
            choice[(r, label)] = -1.0;
        }
        let width = precision(&a.clone().inner());
        let choice: Tensor<2> = tensor_f64(choice.view(), width, &a.device());
        let value = (a.clone().reshape([n, channels]) * constant(choice)).sum_dim(1).reshape([n]);
        metrics.insert("response".into(), array_f64(&value.clone().inner()).into_iter().collect());
        Ok(value)
    }

    fn describe(&self) -> String {
        "margin of the strongest other class".into()
    }
}

/// What is compared between images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Similar {
    /// Pixels.
    Images,
    /// Activations of one of the executor's taps.
    Tap(usize),
}

/// Mean correlation of an image with the others of its set, one value per image, to be
/// **subtracted** for diversity. `sets` has one entry per image.
pub fn similarity(what: Similar, sets: Vec<usize>) -> Goal {
    Goal::new(Similarity { what, sets })
}

struct Similarity {
    what: Similar,
    sets: Vec<usize>,
}

/// Keeps the correlation of an even pattern finite.
const EPSILON: f64 = 1e-12;

impl Objective for Similarity {
    fn value(&self, scene: &Scene<'_>, metrics: &mut Metrics) -> Result<Var<1>> {
        let patterns = match self.what {
            Similar::Images => scene.images,
            Similar::Tap(tap) => activations(scene, tap)?,
        };
        let [n, c, h, w] = patterns.dims();
        let flat = patterns.clone().reshape([n, c * h * w]);
        let centred = flat.clone() - flat.mean_dim(1);
        let norm = centred.clone().square().sum_dim(1).add_scalar(EPSILON).sqrt();
        let unit = centred / norm;
        let correlation = unit.clone().matmul(unit.transpose());
        let set: Vec<usize> = scene.items.iter().map(|&i| self.sets[i]).collect();
        let weights = Array2::from_shape_fn((n, n), |(i, j)| {
            let others = set.iter().filter(|&&s| s == set[i]).count() - 1;
            if i != j && set[i] == set[j] { 1.0 / others as f64 } else { 0.0 }
        });
        let width = precision(&correlation.clone().inner());
        let weights: Tensor<2> = tensor_f64(weights.view(), width, &correlation.device());
        let value = (correlation * constant(weights)).sum_dim(1).reshape([n]);
        metrics.insert("similarity".into(), array_f64(&value.clone().inner()).into_iter().collect());
        Ok(value)
    }

    fn describe(&self) -> String {
        let what = if self.what == Similar::Images { "pixels" } else { "activations" };
        format!("mean correlation with the other images of the set ({what})")
    }
}
