//! Statistics of channels and targets, and predictions.

use super::ReadoutLoss;
use crate::encoding::folds::Rows;
use crate::encoding::options::TargetState;
use crate::encoding::solver::multiply;
use crate::math::stats::divisor;
use crate::network::Shape;
use ndarray::{Array2, ArrayView1, ArrayView2, Axis, Slice};
use rayon::prelude::*;

/// Rows whose channels are pooled at a time.
const AT_A_TIME: usize = 64;

/// Mean and scale of every channel.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scales {
    pub mean: Vec<f64>,
    pub scale: Vec<f64>,
}

impl Scales {
    /// Over some rows and all places (ddof 0).
    pub fn of_channels(x: ArrayView2<'_, f32>, rows: &Rows, shape: Shape) -> Self {
        let places = shape.height * shape.width;
        let of = |c: usize| {
            let units = Slice::from(c * places..(c + 1) * places);
            let over = |term: &dyn Fn(f64) -> f64| -> f64 {
                let row = |&n: &usize| -> f64 {
                    x.row(n).slice_axis(Axis(0), units).iter().map(|&v| term(f64::from(v))).sum()
                };
                rows.indices().iter().map(row).sum()
            };
            let n = (rows.len() * places) as f64;
            let mean = over(&|v| v) / n;
            (mean, divisor(over(&|v| (v - mean).powi(2)) / n, mean))
        };
        let (mean, scale) = (0..shape.channels).into_par_iter().map(of).unzip();
        Self { mean, scale }
    }
}

/// Mean and scale of a target over the rows that are fitted on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Target {
    pub state: TargetState,
    pub mean: f64,
    pub scale: f64,
}

impl Target {
    /// `rows` are the values of some rows, `fitted` those of them that are fitted on: a number that is not
    /// finite counts in any, what varies must do so where it is fitted.
    pub fn new(rows: impl Iterator<Item = f32>, fitted: impl Iterator<Item = f32> + Clone) -> Self {
        if rows.into_iter().any(|v| !v.is_finite()) {
            return Self { state: TargetState::NotFinite, mean: 0.0, scale: 1.0 };
        }
        let wide = || fitted.clone().map(f64::from);
        let n = wide().count() as f64;
        let mean = wide().sum::<f64>() / n;
        let first = wide().next();
        let state = match wide().all(|v| Some(v) == first) {
            true => TargetState::Constant,
            false => TargetState::Varies,
        };
        Self { state, mean, scale: divisor(wide().map(|v| (v - mean).powi(2)).sum::<f64>() / n, mean) }
    }

    /// A response as the training has it.
    pub fn scaled(&self, y: f32, loss: ReadoutLoss) -> f64 {
        match loss {
            ReadoutLoss::Mse => (f64::from(y) - self.mean) / self.scale,
            ReadoutLoss::Poisson => f64::from(y),
        }
    }
}

/// `sum_cyx f[c] m[y, x] (a[c, y, x] - mean[c]) / scale[c]` of every row, rows x targets.
pub(super) fn sums(
    x: ArrayView2<'_, f32>,
    shape: Shape,
    scales: &Scales,
    maps: ArrayView2<'_, f32>,
    channels: ArrayView2<'_, f32>,
) -> Array2<f64> {
    assert_eq!(x.ncols(), shape.len(), "units of the layer");
    let (c, places, n_targets) = (shape.channels, shape.height * shape.width, maps.ncols());
    let weights = Array2::from_shape_fn((c, n_targets), |(c, t)| f64::from(channels[(c, t)]) / scales.scale[c]);
    let whole: Vec<f64> = maps.columns().into_iter().map(|m| m.iter().map(|&v| f64::from(v)).sum()).collect();
    let mean = ArrayView1::from(&scales.mean);
    let offset: Vec<f64> = weights.columns().into_iter().zip(&whole).map(|(f, whole)| f.dot(&mean) * whole).collect();
    let mut out = Array2::zeros((x.nrows(), n_targets));
    let parts = out.axis_chunks_iter_mut(Axis(0), AT_A_TIME).zip(x.axis_chunks_iter(Axis(0), AT_A_TIME));
    for (mut out, x) in parts {
        let units: Vec<f32> = x.iter().copied().collect();
        let maps_of_rows = Array2::from_shape_vec((x.nrows() * c, places), units).expect("channels of every row");
        let pooled = multiply(maps_of_rows.view(), maps);
        for (mut out, pooled) in out.rows_mut().into_iter().zip(pooled.axis_chunks_iter(Axis(0), c)) {
            for (pooled, weights) in pooled.rows().into_iter().zip(weights.rows()) {
                out.iter_mut().zip(pooled).zip(weights).for_each(|((o, &p), w)| *o += w * f64::from(p));
            }
            out.iter_mut().zip(&offset).for_each(|(o, offset)| *o -= offset);
        }
    }
    out
}
