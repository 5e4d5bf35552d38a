//! Objectives of a whole image set: fingerprints that are orthogonal, visible, or as designed.

use super::penalty::{Penalty, second_order_value};
use super::rsm::{PatternSimilarity, Rsms, first_order, second_order};
use super::{Goal, Metrics, Objective, Scene, moments_at};
use crate::error::Result;
use crate::tensor::{self, Var, array_f64, constant, tensor_f64};
use ndarray::{Array2, Array3};

/// Which taps' RSMs, by which measure. The taps must be moments.
#[derive(Debug, Clone, PartialEq)]
pub struct RsmTaps {
    taps: Vec<usize>,
    measure: PatternSimilarity,
}

impl RsmTaps {
    /// Indices into the executor's taps.
    pub fn new(taps: impl IntoIterator<Item = usize>, measure: PatternSimilarity) -> Self {
        Self { taps: taps.into_iter().collect(), measure }
    }

    /// The differentiable RSMs of a scene.
    fn rsms(&self, scene: &Scene<'_>) -> Result<Rsms> {
        let mut grams = Vec::with_capacity(self.taps.len());
        let mut sums = Vec::with_capacity(self.taps.len());
        let mut n_units = Vec::with_capacity(self.taps.len());
        for &tap in &self.taps {
            let (gram, sum, units) = moments_at(scene, tap)?;
            let [n, _] = gram.dims();
            grams.push(gram.clone().reshape([1, n, n]));
            sums.push(sum.clone().reshape([1, n]));
            n_units.push(units);
        }
        Ok(first_order(Var::cat(grams, 0), Var::cat(sums, 0), &n_units, self.measure))
    }

    fn describe(&self) -> String {
        let taps: Vec<String> = self.taps.iter().map(usize::to_string).collect();
        format!("({}) of taps {}", self.measure.name(), taps.join(", "))
    }
}

/// Similarity between the layers' RSMs, to be **subtracted**: see [`Penalty`]. `target` (L x L) is
/// what R should be; zero by default.
///
/// Notes `mean_abs_r`, `max_abs_r` and `rsm_sd_min` for the trace.
///
/// # Source
/// Reconstruction of "minimizes the similarity of image representational similarity matrices across
/// model layers" (bioRxiv 2025.11.25.689428, abstract); even in R, because orthogonal is not the
/// same as anticorrelated.
pub fn second_order_penalty(taps: RsmTaps, penalty: Penalty, target: Option<Array2<f64>>) -> Goal {
    Goal::new(SecondOrder { taps, penalty, target })
}

struct SecondOrder {
    taps: RsmTaps,
    penalty: Penalty,
    target: Option<Array2<f64>>,
}

impl Objective for SecondOrder {
    fn value(&self, scene: &Scene<'_>, metrics: &mut Metrics) -> Result<Var<1>> {
        let (r, sd) = second_order(&self.taps.rsms(scene)?);
        note(&r, &sd, metrics);
        Ok(second_order_value(r, self.penalty, self.target.as_ref()))
    }

    fn describe(&self) -> String {
        let target = if self.target.is_some() { " against the target" } else { "" };
        format!("{}{target} between the RSMs {}", self.penalty.describe(), self.taps.describe())
    }
}

fn note(r: &Var<2>, sd: &Var<1>, metrics: &mut Metrics) {
    let r = array_f64(&r.clone().inner());
    let n_layers = r.shape()[0];
    let off: Vec<f64> =
        (0..n_layers).flat_map(|l| (l + 1..n_layers).map(move |m| [l, m])).map(|lm| r[&lm[..]].abs()).collect();
    metrics.insert("mean_abs_r".into(), vec![off.iter().sum::<f64>() / off.len().max(1) as f64]);
    metrics.insert("max_abs_r".into(), vec![off.iter().copied().fold(0.0, f64::max)]);
    let sd = array_f64(&sd.clone().inner());
    metrics.insert("rsm_sd_min".into(), vec![sd.iter().copied().fold(f64::INFINITY, f64::min)]);
}

/// `sum_l max(0, floor - sd(v_l))^2` over the layers' condensed RSMs v_l, to be **subtracted**.
///
/// R has no scale: without this guard the optimiser may flatten a layer's fingerprint until noise
/// decides R.
pub fn flat_fingerprints(taps: RsmTaps, floor: f64) -> Goal {
    Goal::new(FlatFingerprints { taps, floor })
}

struct FlatFingerprints {
    taps: RsmTaps,
    floor: f64,
}

impl Objective for FlatFingerprints {
    fn value(&self, scene: &Scene<'_>, _: &mut Metrics) -> Result<Var<1>> {
        let (_, sd) = second_order(&self.taps.rsms(scene)?);
        Ok(sd.neg().add_scalar(self.floor).clamp_min(0.0).square().sum())
    }

    fn describe(&self) -> String {
        format!("RSM standard deviation below {}, squared", self.floor)
    }
}

/// `sum over layers and chosen pairs of (RSM_l[i,j] - target[l,i,j])^2 / number of chosen pairs`,
/// to be **subtracted**.
///
/// `target` is L x N x N; NaN marks pairs that are free, and only the upper triangle is read.
///
/// # Source
/// Wammes, Norman and Turk-Browne (2022), eLife 68344, "Stimulus synthesis": squared deviation from
/// an intended r.
pub fn target_rsm_error(taps: RsmTaps, target: Array3<f64>) -> Goal {
    Goal::new(TargetRsm { taps, target })
}

struct TargetRsm {
    taps: RsmTaps,
    target: Array3<f64>,
}

impl Objective for TargetRsm {
    fn value(&self, scene: &Scene<'_>, metrics: &mut Metrics) -> Result<Var<1>> {
        let rsms = self.taps.rsms(scene)?;
        let width = tensor::precision(&rsms.upper);
        let device = rsms.upper.device();
        let chosen = Array3::from_shape_fn(self.target.dim(), |(l, i, j)| {
            f64::from(u8::from(j > i && !self.target[[l, i, j]].is_nan()))
        });
        let n_chosen = chosen.sum().max(1.0);
        let wanted = self.target.mapv(|t| if t.is_nan() { 0.0 } else { t });
        let error = (rsms.matrices - constant(tensor_f64::<3, _>(wanted.view(), width, &device)))
            * constant(tensor_f64::<3, _>(chosen.view(), width, &device));
        let value = error.square().sum().div_scalar(n_chosen);
        metrics.insert("target_rms_error".into(), vec![tensor::scalar(&value.clone().inner()).sqrt()]);
        Ok(value)
    }

    fn describe(&self) -> String {
        format!("squared deviation from the intended RSMs {}", self.taps.describe())
    }
}
