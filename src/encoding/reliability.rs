//! What repeats of the same stimuli say about how well a response can be predicted at all.
//!
//! Repeats of one target are n_stimuli x n_repeats, padded with NaN where a stimulus was shown less
//! often. The scores that correct for noise differ: [`r2_er`] ignores gain and offset of the model,
//! [`feve`] does not.

use crate::error::{Error, Result};
use crate::math::stats;
use crate::rng;
use ndarray::{ArrayView2, ArrayView3, Axis};

/// One target's repeats, summed up.
#[derive(Debug, Clone, PartialEq)]
pub struct Repeats {
    /// The repeats of every stimulus that has some.
    trials: Vec<Vec<f64>>,
    /// Which stimuli these are.
    pub stimuli: Vec<usize>,
    /// Their means over repeats.
    pub means: Vec<f64>,
    /// Mean over stimuli with 2 repeats or more of the variance over repeats (ddof 1); NaN without.
    pub noise: f64,
    /// Median number of repeats.
    pub n_repeats: f64,
}

impl Repeats {
    /// Stimuli without any repeat are left out.
    pub fn of(repeats: ArrayView2<'_, f32>) -> Self {
        let of = |row: ndarray::ArrayView1<'_, f32>| -> Vec<f64> {
            row.iter().filter(|v| !v.is_nan()).map(|&v| f64::from(v)).collect()
        };
        let all: Vec<(usize, Vec<f64>)> =
            repeats.rows().into_iter().map(of).enumerate().filter(|(_, t)| !t.is_empty()).collect();
        let (stimuli, trials): (Vec<usize>, Vec<Vec<f64>>) = all.into_iter().unzip();
        let variances: Vec<f64> = trials.iter().filter(|t| t.len() > 1).map(|t| stats::variance(t, 1)).collect();
        let counts: Vec<f64> = trials.iter().map(|t| t.len() as f64).collect();
        Self {
            means: trials.iter().map(|t| stats::mean(t)).collect(),
            noise: stats::mean(&variances),
            n_repeats: stats::median(&counts),
            trials,
            stimuli,
        }
    }

    /// A model's numbers of the stimuli that have repeats.
    fn model(&self, model: &[f64]) -> Vec<f64> {
        self.stimuli.iter().map(|&i| model[i]).collect()
    }

    /// Signal and noise of the mean over repeats: `var(means) - noise / n` (ddof 1), and noise / n.
    fn signal(&self) -> (f64, f64) {
        let noise = self.noise / self.n_repeats;
        (stats::variance(&self.means, 1) - noise, noise)
    }

    /// `SNR = (var(means) - (m - 1)/m noise / n) / noise`, var with ddof 0 over m stimuli; NaN with
    /// fewer than two repeats. Cowley et al. keep neurons with 0.15 or more.
    pub fn snr(&self) -> f64 {
        let m = self.means.len() as f64;
        (stats::variance(&self.means, 0) - (m - 1.0) / m * self.noise / self.n_repeats) / self.noise
    }

    /// Fraction of explainable variance, `(V_total - V_noise) / V_total`: V_total over all trials
    /// (ddof 1), V_noise the mean over stimuli of the variance over repeats (ddof 1).
    pub fn fev(&self) -> f64 {
        let total = stats::variance(&self.trials.concat(), 1);
        (total - self.noise) / total
    }

    /// Largest R2 with the mean over repeats that a perfect model can be expected to have:
    /// signal / (signal + noise / n), not below 0.
    pub fn ceiling_r2(&self) -> f64 {
        let (signal, noise) = self.signal();
        if signal.is_nan() { f64::NAN } else { signal.max(0.0) / (signal.max(0.0) + noise) }
    }

    /// Largest correlation with the mean over repeats that a perfect model can be expected to
    /// have: the square root of [`Repeats::ceiling_r2`].
    pub fn ceiling_r(&self) -> f64 {
        self.ceiling_r2().sqrt()
    }

    /// Reliability of the mean over repeats: the correlation of two random halves of every
    /// stimulus' repeats, averaged over `n_splits` splits, and stepped up to the full number by
    /// Spearman and Brown, `2 r / (1 + r)`. Stimuli with one repeat are left out.
    ///
    /// Split i is drawn from `rng::stream(seed, "split halves", i)`.
    pub fn split_half(&self, n_splits: usize, seed: u64) -> f64 {
        let twice: Vec<&Vec<f64>> = self.trials.iter().filter(|t| t.len() > 1).collect();
        let halves = |split: usize| {
            let mut stream = rng::stream(seed, "split halves", split as u64);
            let (mut first, mut second) = (Vec::new(), Vec::new());
            for trials in &twice {
                let order = stream.permutation(trials.len());
                let half = |part: &[usize]| part.iter().map(|&i| trials[i]).sum::<f64>() / part.len() as f64;
                let (a, b) = order.split_at(trials.len() / 2);
                first.push(half(a));
                second.push(half(b));
            }
            stats::pearson(&first, &second)
        };
        let r = stats::mean(&(0..n_splits).map(halves).collect::<Vec<_>>());
        spearman_brown(r)
    }
}

/// `2 r / (1 + r)`: the reliability of twice as many repeats.
pub fn spearman_brown(r: f64) -> f64 {
    2.0 * r / (1.0 + r)
}

/// Noise-corrected squared correlation of a model with the mean over repeats; may lie below 0 or
/// above 1. NaN with fewer than two repeats.
///
/// With x the model and y the means, both centred over m stimuli, n repeats and sigma2 the noise,
/// `((sum x y)^2 - sigma2/n sum x^2) / (sum x^2 sum y^2 - sigma2/n (m - 1) sum x^2)`. Where stimuli
/// have different numbers of repeats, n is their median.
///
/// # Panics
/// When `model` is shorter than the stimuli.
///
/// # Source
/// Pospisil and Bair, PLoS Comput. Biol. 17:e1009212 (2021); as in the code of Cowley et al.
pub fn r2_er(model: &[f64], repeats: &Repeats) -> f64 {
    let centred = |values: &[f64]| {
        let mean = stats::mean(values);
        values.iter().map(|v| v - mean).collect::<Vec<f64>>()
    };
    let (x, y) = (centred(&repeats.model(model)), centred(&repeats.means));
    let noise = repeats.noise / repeats.n_repeats;
    let (xx, yy, xy) = (stats::dot(&x, &x), stats::dot(&y, &y), stats::dot(&x, &y));
    (xy * xy - noise * xx) / (xx * yy - noise * (x.len() as f64 - 1.0) * xx)
}

/// Fraction of explainable variance explained, `1 - (mse - V_noise) / (V_total - V_noise)`: mse over
/// all trials, variances as in [`Repeats::fev`]. NaN with fewer than two repeats.
///
/// # Panics
/// When `model` is shorter than the stimuli.
///
/// # Source
/// Cadena et al., PLoS Comput. Biol. 15:e1006897 (2019); neuralpredictors 0.3.0.
pub fn feve(model: &[f64], repeats: &Repeats) -> f64 {
    let errors: Vec<f64> = repeats
        .trials
        .iter()
        .zip(repeats.model(model))
        .flat_map(|(trials, p)| trials.iter().map(move |v| (v - p) * (v - p)))
        .collect();
    let total = stats::variance(&repeats.trials.concat(), 1);
    1.0 - (stats::mean(&errors) - repeats.noise) / (total - repeats.noise)
}

/// Squared correlation of a model with the mean over repeats, divided by the reliability of that
/// mean ([`Repeats::split_half`]).
///
/// # Panics
/// When `model` is shorter than the stimuli.
pub fn r2_over_reliability(model: &[f64], repeats: &Repeats, reliability: f64) -> f64 {
    stats::pearson(&repeats.model(model), &repeats.means).powi(2) / reliability
}

/// Explainable variance of every target of a time series that was recorded several times:
/// `var(mean over repeats) / mean over repeats of var`, both over time with ddof 1, corrected for
/// bias by `ev - (1 - ev) / (n_repeats - 1)`; with `zscore`, every repeat is z-scored first (ddof 0).
/// NaN where a repeat does not vary or has a NaN.
///
/// # Shapes
/// `repeats`: n_repeats x n_samples x n_targets; the result: n_targets.
///
/// # Errors
/// [`Error::Invalid`] for fewer than 2 repeats or samples.
///
/// # Source
/// voxelwise_tutorials' `explainable_variance`.
pub fn explainable_variance(repeats: ArrayView3<'_, f32>, zscore: bool) -> Result<Vec<f64>> {
    let (n_repeats, n_samples, n_targets) = repeats.dim();
    if n_repeats < 2 || n_samples < 2 {
        let found = format!("{n_repeats} repeats of {n_samples} samples");
        return Err(Error::invalid("explainable variance", "2 repeats and 2 samples or more", found, ""));
    }
    let of = |target: usize| {
        let mut mean = vec![0.0; n_samples];
        let mut variances = 0.0;
        for repeat in repeats.outer_iter() {
            let mut values: Vec<f64> = repeat.column(target).iter().map(|&v| f64::from(v)).collect();
            if zscore {
                let (m, sd) = (stats::mean(&values), stats::sd(&values, 0));
                values.iter_mut().for_each(|v| *v = (*v - m) / sd);
            }
            variances += stats::variance(&values, 1) / n_repeats as f64;
            mean.iter_mut().zip(&values).for_each(|(m, v)| *m += v / n_repeats as f64);
        }
        let ev = stats::variance(&mean, 1) / variances;
        ev - (1.0 - ev) / (n_repeats as f64 - 1.0)
    };
    Ok((0..n_targets).map(of).collect())
}

/// # Errors
/// [`Error::Invalid`] naming the stimuli that no target has a repeat of, by their number.
///
/// # Shapes
/// `responses`: n_targets x n_stimuli x n_repeats ([`crate::data::Responses`]).
pub fn check_repeats(responses: ArrayView3<'_, f32>) -> Result<()> {
    let empty = |stimulus: usize| responses.index_axis(Axis(1), stimulus).iter().all(|v| v.is_nan());
    let missing: Vec<String> = (0..responses.dim().1).filter(|&i| empty(i)).map(|i| i.to_string()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let found = format!("{} without any, the first being {}", missing.len(), missing[0]);
    Err(Error::invalid("responses", "a response to every stimulus", found, "leave those stimuli out"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, Array3, array};

    /// Simulated neurons: the corrected scores are those of the noiseless responses on average.
    #[test]
    fn corrected_scores_undo_the_noise() {
        let (m, n) = (200, 4);
        let (mut er, mut ve, mut half, mut ceiling) = (0.0, 0.0, 0.0, 0.0);
        for seed in 0..40 {
            let mut stream = rng::stream(seed, "neurons", 0);
            let signal: Vec<f64> = (0..m).map(|_| stream.normal()).collect();
            // Squared correlation with the signal: 0.64.
            let model: Vec<f64> = signal.iter().map(|s| 0.8 * (0.8 * s + 0.6 * stream.normal())).collect();
            let trials = Array2::from_shape_fn((m, n), |(i, _)| (signal[i] + 1.5 * stream.normal()) as f32);
            let repeats = Repeats::of(trials.view());
            er += r2_er(&model, &repeats) / 40.0;
            ve += feve(&model, &repeats) / 40.0;
            half += repeats.split_half(20, 1) / 40.0;
            ceiling += repeats.ceiling_r2() / 40.0;
        }
        // 0.8 * (0.8 s + 0.6 e) is the best linear prediction: its error is 0.36 of the signal.
        assert!((er - 0.64).abs() < 0.02 && (ve - 0.64).abs() < 0.02, "{er} {ve}");
        let reliability = 1.0 / (1.0 + 2.25 / 4.0);
        assert!((half - reliability).abs() < 0.02 && (ceiling - reliability).abs() < 0.02, "{half} {ceiling}");
    }

    #[test]
    fn gain_and_offset_matter_to_one_of_them() {
        let repeats =
            Repeats::of(array![[1.0, 2.0, f32::NAN], [4.0, 5.0, 6.0], [f32::NAN; 3], [9.0, 7.0, f32::NAN]].view());
        assert_eq!((repeats.stimuli.as_slice(), repeats.n_repeats), (&[0, 1, 3][..], 2.0));
        // By hand: variances 0.5, 1 and 2.
        assert!((repeats.noise - 3.5 / 3.0).abs() < 1e-12);
        let model = [1.0, 5.0, f64::NAN, 8.0];
        let other: Vec<f64> = model.iter().map(|v| 3.0 * v - 7.0).collect();
        assert!((r2_er(&model, &repeats) - r2_er(&other, &repeats)).abs() < 1e-12);
        assert!(feve(&model, &repeats) > feve(&other, &repeats) + 1.0);
    }

    #[test]
    fn one_repeat_says_nothing() {
        let repeats = Repeats::of(array![[1.0, f32::NAN], [2.0, f32::NAN], [4.0, f32::NAN]].view());
        for value in [
            r2_er(&[1.0, 2.0, 3.0], &repeats),
            feve(&[1.0, 2.0, 3.0], &repeats),
            repeats.snr(),
            repeats.split_half(5, 1),
            repeats.ceiling_r(),
        ] {
            assert!(value.is_nan(), "{value}");
        }
        assert!(explainable_variance(Array3::zeros((1, 9, 2)).view(), false).is_err());
        let mut responses = Array3::zeros((2, 3, 2));
        responses.index_axis_mut(Axis(1), 1).fill(f32::NAN);
        assert!(check_repeats(responses.view()).unwrap_err().to_string().contains("the first being 1"));
        responses[(1, 1, 0)] = 0.0;
        assert!(check_repeats(responses.view()).is_ok());
    }
}
