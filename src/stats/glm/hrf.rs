//! SPM's haemodynamic response function.

use crate::stats::distributions::gamma_pdf;
use serde::{Deserialize, Serialize};

/// Length of the response, in seconds.
const LENGTH_S: f64 = 32.0;
/// Peak of the response: a gamma density with this delay (in units of its dispersion).
const PEAK_DELAY_S: f64 = 6.0;
/// The undershoot's delay.
const UNDERSHOOT_DELAY_S: f64 = 16.0;
/// The undershoot's weight: SPM's 1/6 as nilearn rounds it.
const UNDERSHOOT_RATIO: f64 = 0.167;
/// Shift of the onset that the time derivative is taken over.
const ONSET_STEP_S: f64 = 0.1;
/// Change of the dispersion that the dispersion derivative is taken over.
const DISPERSION_STEP: f64 = 0.01;

/// Which regressors a condition gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hrf {
    /// The double gamma (nilearn's `spm`).
    #[default]
    Spm,
    /// And its derivative in time (`spm + derivative`).
    SpmDerivative,
    /// And its derivative in dispersion (`spm + derivative + dispersion`).
    SpmDerivativeDispersion,
}

impl Hrf {
    /// What is appended to a condition's name, one entry a regressor.
    pub fn suffixes(self) -> &'static [&'static str] {
        match self {
            Self::Spm => &[""],
            Self::SpmDerivative => &["", "_derivative"],
            Self::SpmDerivativeDispersion => &["", "_derivative", "_dispersion"],
        }
    }

    /// The sampled responses, one a regressor; `t_r_s / oversampling` between samples.
    pub fn kernels(self, t_r_s: f64, oversampling: usize) -> Vec<Vec<f64>> {
        let canonical = spm(t_r_s, oversampling, 0.0, 1.0);
        let difference = |other: Vec<f64>, step: f64| -> Vec<f64> {
            canonical.iter().zip(other).map(|(a, b)| 1.0 / step * (a - b)).collect()
        };
        let mut kernels = vec![canonical.clone()];
        if self != Self::Spm {
            kernels.push(difference(spm(t_r_s, oversampling, ONSET_STEP_S, 1.0), ONSET_STEP_S));
        }
        if self == Self::SpmDerivativeDispersion {
            kernels.push(difference(spm(t_r_s, oversampling, 0.0, 1.0 + DISPERSION_STEP), DISPERSION_STEP));
        }
        kernels
    }
}

/// h(t) = gamma(t - dt; 6/d, d) - 0.167 gamma(t - dt; 16, 1), d the dispersion, t from 0 to 32 s
/// less the onset, divided by its sum; dt = `t_r_s / oversampling`.
///
/// # Source
/// SPM's `spm_hrf`; nilearn 0.14's `_gamma_difference_hrf`, which delays the density by one sample.
pub fn spm(t_r_s: f64, oversampling: usize, onset_s: f64, dispersion: f64) -> Vec<f64> {
    let dt = t_r_s / oversampling as f64;
    let n = (LENGTH_S / dt).round_ties_even() as usize;
    let step = LENGTH_S / (n.max(2) - 1) as f64;
    let at = |i: usize| if i + 1 == n { LENGTH_S } else { i as f64 * step };
    let mut response: Vec<f64> = (0..n)
        .map(|i| at(i) - onset_s - dt)
        .map(|t| {
            let undershoot = gamma_pdf(t, UNDERSHOOT_DELAY_S, 1.0);
            gamma_pdf(t, PEAK_DELAY_S / dispersion, dispersion) - UNDERSHOOT_RATIO * undershoot
        })
        .collect();
    let sum: f64 = response.iter().sum();
    response.iter_mut().for_each(|v| *v /= sum);
    response
}
