//! The map and channels that training begins with.

use super::data::{Scales, sums};
use super::{ReadoutLoss, ReadoutStart};
use crate::encoding::folds::{Leakage, Rows};
use crate::encoding::kernel_ridge::KernelRidgeCv;
use crate::encoding::options::{Alphas, RidgeOptions};
use crate::encoding::solver::{Work, multiply};
use crate::encoding::spectrum::kernel;
use crate::error::Result;
use crate::network::Shape;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, Slice};
use rayon::prelude::*;

/// Targets whose regression weights are in memory at a time.
const TARGETS: usize = 32;
/// Units that are scaled at a time, about.
const UNITS: usize = 1 << 14;
/// Rounds of the power method, at most, and the change of a vector of length 1 that ends it.
const ROUNDS: usize = 300;
const STILL: f64 = 1e-7;

/// Map (places x targets), channels (channels x targets) and intercepts.
pub(super) struct Start {
    pub map: Array2<f32>,
    pub channels: Array2<f32>,
    pub intercept: Vec<f64>,
}

/// Some rows of a layer.
#[derive(Clone, Copy)]
pub(super) struct Layer<'a> {
    pub x: ArrayView2<'a, f32>,
    pub shape: Shape,
    pub scales: &'a Scales,
}

impl Layer<'_> {
    /// Groups of channels, their units scaled: the first unit, rows x units.
    fn scaled(&self) -> impl Iterator<Item = (usize, Array2<f32>)> + '_ {
        let places = self.shape.height * self.shape.width;
        let group = (UNITS / places).max(1) * places;
        (0..self.shape.len()).step_by(group).map(move |first| {
            let units = Slice::from(first..(first + group).min(self.shape.len()));
            let mut part = self.x.slice_axis(Axis(1), units).to_owned();
            for mut row in part.rows_mut() {
                for (u, v) in row.iter_mut().enumerate() {
                    let c = (first + u) / places;
                    *v = ((f64::from(*v) - self.scales.mean[c]) / self.scales.scale[c]) as f32;
                }
            }
            (first, part)
        })
    }
}

/// The first map and channels of some targets, whose `responses` are rows x targets as the training has
/// them.
pub(super) fn start(
    layer: Layer<'_>,
    responses: &Array2<f64>,
    how: ReadoutStart,
    loss: ReadoutLoss,
    work: &Work,
) -> Result<Start> {
    let (shape, n_targets) = (layer.shape, responses.ncols());
    let dual = dual(layer, responses, how, work)?;
    let mut map = Array2::zeros((shape.height * shape.width, n_targets));
    let mut channels = Array2::zeros((shape.channels, n_targets));
    for first in (0..n_targets).step_by(TARGETS) {
        work.cancel.check()?;
        let targets = Slice::from(first..(first + TARGETS).min(n_targets));
        let found = rank_one_of(layer, dual.slice_axis(Axis(1), targets));
        for (t, (f, m)) in found.into_iter().enumerate() {
            channels.column_mut(first + t).assign(&f);
            map.column_mut(first + t).assign(&m);
        }
    }
    let sums = sums(layer.x, shape, layer.scales, map.view(), channels.view());
    let mut intercept = vec![0.0; n_targets];
    for (t, intercept) in intercept.iter_mut().enumerate() {
        let (length, at) = line(sums.column(t), responses.column(t), loss);
        let root = length.abs().sqrt();
        map.column_mut(t).mapv_inplace(|v| (f64::from(v) * root) as f32);
        channels.column_mut(t).mapv_inplace(|v| (f64::from(v) * root * length.signum()) as f32);
        *intercept = at;
    }
    Ok(Start { map, channels, intercept })
}

/// Weights of rows, of which `X' dual` are those of units.
fn dual(layer: Layer<'_>, responses: &Array2<f64>, how: ReadoutStart, work: &Work) -> Result<Array2<f32>> {
    let y = responses.mapv(|v| v as f32);
    let n = y.nrows();
    match how {
        ReadoutStart::Covariance => {
            let mean = responses.mean_axis(Axis(0)).expect("some rows");
            Ok((responses - &mean).mapv(|v| (v / n as f64) as f32))
        }
        ReadoutStart::Ridge { alpha } => {
            let mut sum = Array2::zeros((n, n));
            for (_, part) in layer.scaled() {
                work.cancel.check()?;
                sum += &kernel(part.view());
            }
            let alphas = Alphas::Relative { low: alpha, high: alpha, n: 1 };
            let ridge = KernelRidgeCv { options: RidgeOptions { alphas, max_extensions: 0, ..Default::default() } };
            // Who trains notes the rows.
            let prepared = ridge.prepare(sum, &Rows::all(n)?, &[], &mut Leakage::default())?;
            Ok(prepared.fit(y.view(), &Work { cancel: work.cancel.clone(), ..Default::default() })?.dual)
        }
    }
}

/// For each target the first singular vectors of its weights of units, channels x places, each times the
/// root of the singular value.
fn rank_one_of(layer: Layer<'_>, dual: ArrayView2<'_, f32>) -> Vec<(Array1<f32>, Array1<f32>)> {
    let (c, places) = (layer.shape.channels, layer.shape.height * layer.shape.width);
    let mut weights = Array2::<f32>::zeros((layer.shape.len(), dual.ncols()));
    for (first, part) in layer.scaled() {
        let found = multiply(part.t(), dual);
        weights.slice_axis_mut(Axis(0), Slice::from(first..first + found.nrows())).assign(&found);
    }
    let one = |t: usize| {
        let own: Vec<f64> = weights.column(t).iter().map(|&v| f64::from(v)).collect();
        let (f, m) = rank_one(Array2::from_shape_vec((c, places), own).expect("all units").view());
        (f.mapv(|v| v as f32), m.mapv(|v| v as f32))
    };
    (0..dual.ncols()).into_par_iter().map(one).collect()
}

/// `sqrt(s) u` and `sqrt(s) v` of the largest singular value of a matrix by the power method from its
/// row of the largest length, v with a sum of 0 or more.
pub(super) fn rank_one(w: ArrayView2<'_, f64>) -> (Array1<f64>, Array1<f64>) {
    let squares = |row: ArrayView1<'_, f64>| row.dot(&row);
    let unit = |v: Array1<f64>| {
        let length = squares(v.view()).sqrt();
        (if length > 0.0 { v / length } else { v }, length)
    };
    let longest = (0..w.nrows()).max_by(|&a, &b| squares(w.row(a)).total_cmp(&squares(w.row(b)))).expect("channels");
    let (mut v, _) = unit(w.row(longest).to_owned());
    let (mut u, mut s) = unit(w.dot(&v));
    for _ in 0..ROUNDS {
        let (next, _) = unit(w.t().dot(&u));
        let moved = squares((&next - &v).view()).sqrt();
        v = next;
        (u, s) = unit(w.dot(&v));
        if moved < STILL {
            break;
        }
    }
    let sign = if v.sum() < 0.0 { -s.sqrt() } else { s.sqrt() };
    (u * sign, v * sign)
}

/// Slope and intercept of the line from predictions to responses (of rates above 1, u + 1, for a Poisson
/// loss).
fn line(p: ArrayView1<'_, f64>, y: ArrayView1<'_, f64>, loss: ReadoutLoss) -> (f64, f64) {
    let n = p.len() as f64;
    let (mp, my) = (p.sum() / n, y.sum() / n);
    let (mut both, mut own) = (0.0, 0.0);
    for (p, y) in p.iter().zip(y) {
        both += (p - mp) * (y - my);
        own += (p - mp).powi(2);
    }
    let slope = if own > 0.0 { both / own } else { 0.0 };
    let target = match loss {
        ReadoutLoss::Mse => my,
        ReadoutLoss::Poisson => my - 1.0,
    };
    (slope, target - slope * mp)
}
