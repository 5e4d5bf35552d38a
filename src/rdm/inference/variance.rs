//! Variances of evaluations, and tests of models against zero, each other and the noise ceiling.

use super::{Evaluations, Fixed, Resampling};
use crate::error::{Error, Result};
use crate::math::stats;
use crate::stats::distributions::{t_isf, t_sf};
use crate::stats::interval;
use ndarray::{Array2, ArrayView2};

/// Means, variances and p-values of models.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelTests {
    /// Mean similarity, n_models.
    pub mean: Vec<f64>,
    /// Its variance, corrected for the finite numbers of subjects and images; `sem` is its root.
    pub variance: Vec<f64>,
    /// Variance of the difference of two models, n_models x n_models.
    pub difference_variance: Array2<f64>,
    /// Mean (lower, upper) noise ceiling.
    pub noise_ceiling: (f64, f64),
    /// Variance of the (lower, upper) noise ceiling itself; NaN where it is taken as it is.
    pub bound_variance: (f64, f64),
    /// Variance of the distance to the (lower, upper) noise ceiling, n_models x 2.
    pub noise_ceiling_variance: Array2<f64>,
    /// Degrees of freedom of the tests: the number of subjects or images (the smaller of what was
    /// resampled) - 1.
    pub dof: f64,
    /// p of similarity <= 0, one-sided.
    pub p_zero: Vec<f64>,
    /// p of equality with the lower noise ceiling, two-sided.
    pub p_noise: Vec<f64>,
    /// p of equality of two models, two-sided, n_models x n_models; 1 on the diagonal.
    pub p_pairwise: Array2<f64>,
}

/// Variances before the tests.
struct Variances {
    model: Vec<f64>,
    difference: Array2<f64>,
    ceiling: Array2<f64>,
    bounds: [f64; 2],
}

impl Evaluations {
    /// Tests by Student's t with bootstrapped variances.
    ///
    /// One factor resampled: variance n / (n - 1) times the samples' (n subjects, images, or the
    /// smaller of both). Dual, with v_b, v_r, v_p the variances when both, RDMs, patterns are
    /// drawn, a = R / (R - 1), b = P / (P - 1): a v_r + b v_p - a b (v_b - v_r - v_p), not below a
    /// v_r and b v_p, not above v_b.
    ///
    /// # Errors
    /// [`Error::Invalid`] when fewer than 2 resamples were usable, or only one subject or image
    /// could be resampled.
    ///
    /// # Source
    /// Schuett et al., eLife 12:e82566 (2023), equation 5; rsatoolbox 0.3.2's `extract_variances`.
    /// There the ceiling counts as fixed when only RDMs are drawn; here its covariance with the
    /// models is always taken in.
    pub fn tests(&self) -> Result<ModelTests> {
        let (n_samples, n_models, kinds) = self.models.dim();
        let usable = self.usable();
        let (n_rdms, n_patterns) = (self.n_rdms as f64, self.n_conditions as f64);
        let n = match self.resampling {
            Resampling::Rdms => n_rdms,
            Resampling::Patterns => n_patterns,
            Resampling::Both | Resampling::Dual => n_rdms.min(n_patterns),
        };
        if usable.len() < 2 || n < 2.0 {
            let found = format!("{} of {n_samples} resamples usable, {n_rdms} RDMs, {n_patterns} images", usable.len());
            let hint = "variances over subjects need subjects: resample patterns only when there is one";
            return Err(Error::invalid("bootstrap", "2 usable resamples of 2 or more RDMs", found, hint));
        }
        let of_kind: Vec<Variances> = (0..kinds).map(|kind| self.variances(&usable, kind)).collect();
        let combine = |values: &dyn Fn(&Variances) -> f64| match &of_kind[..] {
            [both, rdms, patterns] => dual(values(both), values(rdms), values(patterns), n_rdms, n_patterns),
            [one, ..] => n / (n - 1.0) * values(one),
            [] => f64::NAN,
        };
        let variances = Variances {
            model: (0..n_models).map(|m| combine(&|v| v.model[m])).collect(),
            difference: Array2::from_shape_fn((n_models, n_models), |at| combine(&|v| v.difference[at])),
            ceiling: Array2::from_shape_fn((n_models, 2), |at| combine(&|v| v.ceiling[at])),
            bounds: [0, 1].map(|b| combine(&|v| v.bounds[b])),
        };
        let mean_of = |value: &dyn Fn(usize, usize) -> f64| {
            let all = usable.iter().flat_map(|&i| (0..kinds).map(move |kind| (i, kind)));
            stats::mean(&all.map(|(i, kind)| value(i, kind)).collect::<Vec<_>>())
        };
        let mean = (0..n_models).map(|m| mean_of(&|i, kind| self.models[[i, m, kind]])).collect();
        let bound = |b: usize| mean_of(&|i, kind| self.noise_ceiling[[i, b, kind]]);
        Ok(test(mean, (bound(0), bound(1)), variances, n - 1.0))
    }

    /// Number of resamples that could be evaluated.
    pub fn n_usable(&self) -> usize {
        self.usable().len()
    }

    fn usable(&self) -> Vec<usize> {
        (0..self.models.dim().0).filter(|&i| !self.models[[i, 0, 0]].is_nan()).collect()
    }

    fn variances(&self, usable: &[usize], kind: usize) -> Variances {
        let (_, n_models, _) = self.models.dim();
        let value = |i: usize, c: usize| match c.checked_sub(n_models) {
            None => self.models[[i, c, kind]],
            Some(bound) => self.noise_ceiling[[i, bound, kind]],
        };
        let samples = Array2::from_shape_fn((usable.len(), n_models + 2), |(i, c)| value(usable[i], c));
        let covariance = covariance(samples.view(), 1);
        let between = |i: usize, j: usize| covariance[[i, i]] - 2.0 * covariance[[i, j]] + covariance[[j, j]];
        Variances {
            model: (0..n_models).map(|m| covariance[[m, m]]).collect(),
            difference: Array2::from_shape_fn((n_models, n_models), |(i, j)| between(i, j)),
            ceiling: Array2::from_shape_fn((n_models, 2), |(m, bound)| between(m, n_models + bound)),
            bounds: [0, 1].map(|b| covariance[[n_models + b, n_models + b]]),
        }
    }

    /// Percentile interval of every model's similarity over the usable resamples; for
    /// [`Resampling::Dual`] those of `Both`.
    pub fn percentiles(&self, level: f64) -> Vec<(f64, f64)> {
        let of_model = |m: usize| {
            let kept = (0..self.models.dim().0).map(|i| self.models[[i, m, 0]]).filter(|v| !v.is_nan());
            interval::percentile(&kept.collect::<Vec<_>>(), level)
        };
        (0..self.models.dim().1).map(of_model).collect()
    }
}

impl Fixed {
    /// Tests by Student's t over subjects, the images and the noise ceiling taken as they are;
    /// variance: the subjects' / n_rdms.
    ///
    /// # Errors
    /// [`Error::Invalid`] for fewer than 2 subjects.
    ///
    /// # Source
    /// rsatoolbox 0.3.2's `eval_fixed`.
    pub fn tests(&self) -> Result<ModelTests> {
        let (n_models, n_rdms) = self.similarities.dim();
        if n_rdms < 2 {
            let hint = "resample the images instead";
            return Err(Error::invalid("test of models", "2 RDMs or more", format!("{n_rdms}"), hint));
        }
        let covariance = covariance(self.similarities.t(), 1) / n_rdms as f64;
        let between = |i: usize, j: usize| covariance[[i, i]] - 2.0 * covariance[[i, j]] + covariance[[j, j]];
        let variances = Variances {
            model: covariance.diag().to_vec(),
            difference: Array2::from_shape_fn((n_models, n_models), |(i, j)| between(i, j)),
            ceiling: Array2::from_shape_fn((n_models, 2), |(m, _)| covariance[[m, m]]),
            bounds: [f64::NAN; 2],
        };
        let mean = self.similarities.outer_iter().map(|row| stats::mean(&row.to_vec())).collect();
        Ok(test(mean, self.noise_ceiling, variances, n_rdms as f64 - 1.0))
    }
}

impl ModelTests {
    /// Standard errors.
    pub fn sem(&self) -> Vec<f64> {
        self.variance.iter().map(|&v| root(v)).collect()
    }

    /// Confidence interval of every model's similarity, mean +- t sem.
    pub fn interval(&self, level: f64) -> Vec<(f64, f64)> {
        self.mean.iter().zip(self.sem()).map(|(&mean, sem)| self.around(mean, sem, level)).collect()
    }

    /// Confidence interval of an estimate with this standard error, by Student's t with the tests'
    /// degrees of freedom.
    pub fn around(&self, estimate: f64, sem: f64, level: f64) -> (f64, f64) {
        let half = t_isf((1.0 - level) / 2.0, self.dof) * sem;
        (estimate - half, estimate + half)
    }
}

/// The standard error of a variance: NaN for NaN, 0 for what rounding made negative.
pub(super) fn root(variance: f64) -> f64 {
    if variance < 0.0 { 0.0 } else { variance.sqrt() }
}

fn dual(both: f64, rdms: f64, patterns: f64, n_rdms: f64, n_patterns: f64) -> f64 {
    let (a, b) = (n_rdms / (n_rdms - 1.0), n_patterns / (n_patterns - 1.0));
    let variance = a * rdms + b * patterns - a * b * (both - rdms - patterns);
    variance.max(a * rdms).max(b * patterns).min(both)
}

/// Covariance of columns, divided by n - `ddof`.
fn covariance(samples: ArrayView2<'_, f64>, ddof: usize) -> Array2<f64> {
    let n = samples.nrows();
    let means = samples.sum_axis(ndarray::Axis(0)) / n as f64;
    let centred = &samples - &means;
    centred.t().dot(&centred) / (n - ddof) as f64
}

fn test(mean: Vec<f64>, noise_ceiling: (f64, f64), variances: Variances, dof: f64) -> ModelTests {
    // A variance of 0 would make any difference infinitely sure.
    let t = |difference: f64, variance: f64| difference / variance.max(f64::EPSILON).sqrt();
    let two_sided = |difference: f64, variance: f64| 2.0 * t_sf(t(difference, variance).abs(), dof);
    let n = mean.len();
    ModelTests {
        p_zero: mean.iter().zip(&variances.model).map(|(&m, &v)| t_sf(t(m, v), dof)).collect(),
        p_noise: (0..n).map(|m| two_sided(mean[m] - noise_ceiling.0, variances.ceiling[[m, 0]])).collect(),
        p_pairwise: Array2::from_shape_fn((n, n), |(i, j)| two_sided(mean[i] - mean[j], variances.difference[[i, j]])),
        mean,
        variance: variances.model,
        difference_variance: variances.difference,
        noise_ceiling,
        bound_variance: variances.bounds.into(),
        noise_ceiling_variance: variances.ceiling,
        dof,
    }
}
