//! From features of movie frames to predictors of a BOLD time series.

use crate::error::{Error, Result};
use crate::stats::distributions::gamma_pdf;
use ndarray::{Array2, ArrayView2, Axis, Slice};
use serde::{Deserialize, Serialize};

/// A double gamma response, in SPM's order and units.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DoubleGamma {
    /// Delay of the response, seconds.
    pub response_s: f64,
    /// Delay of the undershoot, seconds.
    pub undershoot_s: f64,
    /// Dispersion of the response.
    pub response_dispersion: f64,
    /// Dispersion of the undershoot.
    pub undershoot_dispersion: f64,
    /// Response over undershoot.
    pub ratio: f64,
    /// Onset, seconds.
    pub onset_s: f64,
    /// Length, seconds.
    pub length_s: f64,
}

impl Default for DoubleGamma {
    /// SPM's own, `[6 16 1 1 6 0 32]`.
    fn default() -> Self {
        Self::new([6.0, 16.0, 1.0, 1.0, 6.0, 0.0, 32.0])
    }
}

impl DoubleGamma {
    /// From SPM's vector `p`.
    pub fn new(p: [f64; 7]) -> Self {
        let [response_s, undershoot_s, response_dispersion, undershoot_dispersion, ratio, onset_s, length_s] = p;
        Self { response_s, undershoot_s, response_dispersion, undershoot_dispersion, ratio, onset_s, length_s }
    }

    /// `[5 16 1 1 6 0 32]`, of Kamali et al.
    pub fn kamali() -> Self {
        Self::new([5.0, 16.0, 1.0, 1.0, 6.0, 0.0, 32.0])
    }

    /// Samples `dt_s` apart from 0 to the length, divided by their sum:
    /// `g(t - onset; response / d_r, d_r) - g(t - onset; undershoot / d_u, d_u) / ratio`, g the gamma
    /// density of that shape and scale.
    ///
    /// # Errors
    /// [`Error::Invalid`] for numbers that are not positive (the onset may be any), or a response
    /// of less than two samples.
    ///
    /// # Source
    /// SPM12's `spm_hrf(RT, p)`.
    pub fn kernel(&self, dt_s: f64) -> Result<Vec<f64>> {
        let positive = [
            self.response_s,
            self.undershoot_s,
            self.response_dispersion,
            self.undershoot_dispersion,
            self.ratio,
            self.length_s,
            dt_s,
        ];
        // As many samples as SPM takes, whatever the division rounds to.
        let n = (self.length_s / dt_s + 1e-9).floor();
        if positive.iter().any(|v| !(v.is_finite() && *v > 0.0))
            || !self.onset_s.is_finite()
            || !(1.0..1e6).contains(&n)
        {
            let found = format!("{self:?}, {dt_s} s between samples");
            return Err(Error::invalid(
                "haemodynamic response",
                "positive numbers, and 2 samples or more",
                found,
                "SPM's are 6 16 1 1 6 0 32",
            ));
        }
        let value = |t: f64| {
            gamma_pdf(t, self.response_s / self.response_dispersion, self.response_dispersion)
                - gamma_pdf(t, self.undershoot_s / self.undershoot_dispersion, self.undershoot_dispersion) / self.ratio
        };
        let mut kernel: Vec<f64> = (0..=n as usize).map(|i| value(i as f64 * dt_s - self.onset_s)).collect();
        let sum: f64 = kernel.iter().sum();
        kernel.iter_mut().for_each(|v| *v /= sum);
        Ok(kernel)
    }
}

/// Every column convolved with a kernel, cut to its own length: `out[t] = sum_k kernel[k] x[t - k]`,
/// zero before the first sample. Sums are in 64 bits, in the order of samples.
///
/// # Shapes
/// `x`: n_samples x n_features of one run or movie.
pub fn convolve(x: ArrayView2<'_, f32>, kernel: &[f64]) -> Array2<f32> {
    let mut out = Array2::zeros(x.dim());
    let mut sums = vec![0.0; x.ncols()];
    for t in 0..x.nrows() {
        sums.fill(0.0);
        for (k, &weight) in kernel.iter().enumerate().take(t + 1).rev() {
            sums.iter_mut().zip(x.row(t - k)).for_each(|(sum, &v)| *sum += weight * f64::from(v));
        }
        out.row_mut(t).iter_mut().zip(&sums).for_each(|(to, &sum)| *to = sum as f32);
    }
    out
}

/// Where volumes are taken from frames.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// Frames a second.
    pub frame_rate_hz: f64,
    /// Seconds between volumes.
    pub t_r_s: f64,
    /// Seconds before the first one (Kamali et al. and Wen et al. skip 1).
    pub skip_s: f64,
}

impl Sampling {
    /// The frame at the time of every volume: `rate (skip + i t_r)`, counted from 0, to the nearest one.
    ///
    /// # Errors
    /// [`Error::Invalid`] for rates that are not positive, and a movie shorter than its responses.
    pub fn frames(self, n_frames: usize, n_volumes: usize) -> Result<Vec<usize>> {
        let Self { frame_rate_hz, t_r_s, skip_s } = self;
        if !(frame_rate_hz > 0.0 && t_r_s > 0.0 && skip_s >= 0.0 && (frame_rate_hz * t_r_s).is_finite()) {
            let found = format!("{frame_rate_hz} frames a second, t_r {t_r_s} s, {skip_s} s skipped");
            return Err(Error::invalid("downsampling", "positive times", found, ""));
        }
        let frame = |i: usize| (frame_rate_hz * (skip_s + i as f64 * t_r_s)).round() as usize;
        let frames: Vec<usize> = (0..n_volumes).map(frame).collect();
        match frames.last() {
            Some(&last) if last >= n_frames => {
                let seconds = n_frames as f64 / frame_rate_hz;
                let found = format!("{n_frames} frames ({seconds} s) for {n_volumes} volumes");
                let hint = "check frame rate and t_r, or cut the responses to the length of the movie";
                // A time beyond all numbers is the largest.
                let expected = format!("{} frames or more", last.saturating_add(1));
                Err(Error::invalid("movie", expected, found, hint))
            }
            _ => Ok(frames),
        }
    }
}

/// The frame at the time of every volume ([`Sampling::frames`]).
///
/// # Shapes
/// `x`: n_frames x n_features; the result: n_volumes x n_features.
///
/// # Errors
/// As [`Sampling::frames`].
pub fn downsample(x: ArrayView2<'_, f32>, sampling: Sampling, n_volumes: usize) -> Result<Array2<f32>> {
    Ok(x.select(Axis(0), &sampling.frames(x.nrows(), n_volumes)?))
}

/// A copy of the features for every delay, side by side: `out[t, d p + j] = x[t - delay_d, j]`, zero
/// where that is before the run's first sample (or, for negative delays, after its last).
///
/// # Shapes
/// `x`: n_samples x p; `runs`: the run of each sample; the result: n_samples x (delays p).
///
/// # Errors
/// [`Error::Invalid`] for no delays, or runs of another length or whose samples do not follow each
/// other.
///
/// # Source
/// voxelwise_tutorials' `Delayer`, which knows no runs.
pub fn delayed(x: ArrayView2<'_, f32>, delays: &[isize], runs: Option<&[usize]>) -> Result<Array2<f32>> {
    let (n, p) = x.dim();
    let one = vec![0; n];
    let runs = runs.unwrap_or(&one);
    let parts: Vec<&[usize]> = runs.chunk_by(|a, b| a == b).collect();
    let n_runs = parts.iter().map(|part| part[0]).collect::<std::collections::BTreeSet<_>>().len();
    if delays.is_empty() || runs.len() != n || n_runs != parts.len() {
        let found = format!("{} delays, runs of {} samples in {} parts", delays.len(), runs.len(), parts.len());
        let expected = format!("a delay or more, and the runs of {n} samples, each in one piece");
        return Err(Error::invalid("delays", expected, found, "2 to 8 seconds are usual"));
    }
    let mut out = Array2::zeros((n, p * delays.len()));
    let mut start = 0;
    for part in parts {
        let len = part.len() as isize;
        for (d, &delay) in delays.iter().enumerate() {
            let (first, last) = (delay.max(0).min(len), (len + delay.min(0)).max(0));
            for t in first..last {
                let from = x.row(start + (t - delay) as usize);
                let columns = Slice::from(d * p..(d + 1) * p);
                out.row_mut(start + t as usize).slice_axis_mut(Axis(0), columns).assign(&from);
            }
        }
        start += part.len();
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn responses_peak_where_they_are_said_to() {
        // A gamma density of shape 6 and scale 1 peaks at 5, of shape 5 at 4; the undershoot moves
        // the peak by less than a tenth of a second.
        for (gamma, peak) in [(DoubleGamma::default(), 5.0), (DoubleGamma::kamali(), 4.0)] {
            let kernel = gamma.kernel(0.1).unwrap();
            assert_eq!(kernel.len(), 321);
            assert!((kernel.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            let largest = (0..321).max_by(|&a, &b| kernel[a].total_cmp(&kernel[b])).unwrap();
            assert!((largest as f64 * 0.1 - peak).abs() < 0.11, "{largest}");
        }
        assert!(DoubleGamma::default().kernel(0.0).is_err() && DoubleGamma::default().kernel(33.0).is_err());
        assert!(DoubleGamma::new([6.0, 16.0, 1.0, 1.0, 0.0, 0.0, 32.0]).kernel(1.0).is_err());
    }

    #[test]
    fn convolution_starts_at_zero() {
        let x = array![[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]];
        assert_eq!(convolve(x.view(), &[0.5, 2.0]), array![[0.5, 0.0], [2.0, 1.0], [1.5, 4.0]]);
    }

    #[test]
    fn volumes_are_taken_from_frames() {
        // Kamali et al.: ts(srate+1 : step : end) counted from 1, 15 frames a second, a volume a second.
        let x = Array2::from_shape_fn((61, 1), |(i, _)| i as f32);
        let sampling = Sampling { frame_rate_hz: 15.0, t_r_s: 1.0, skip_s: 1.0 };
        assert_eq!(downsample(x.view(), sampling, 4).unwrap(), array![[15.0], [30.0], [45.0], [60.0]]);
        let error = downsample(x.view(), sampling, 5).unwrap_err();
        assert!(error.to_string().contains("movie: expected 76 frames or more, found 61 frames"), "{error}");
        assert!(downsample(x.view(), Sampling { t_r_s: 0.0, ..sampling }, 1).is_err());
    }

    #[test]
    fn delays_do_not_reach_over_runs() {
        let x = array![[1.0], [2.0], [3.0], [4.0], [5.0]];
        let found = delayed(x.view(), &[0, 1, -1, 9], Some(&[0, 0, 0, 7, 7])).unwrap();
        let expected = array![
            [1.0, 0.0, 2.0, 0.0],
            [2.0, 1.0, 3.0, 0.0],
            [3.0, 2.0, 0.0, 0.0],
            [4.0, 0.0, 5.0, 0.0],
            [5.0, 4.0, 0.0, 0.0]
        ];
        assert_eq!(found, expected);
        assert!(delayed(x.view(), &[], None).is_err());
        assert!(
            delayed(x.view(), &[1], Some(&[0, 1, 0, 1, 1])).is_err() && delayed(x.view(), &[1], Some(&[0])).is_err()
        );
    }
}
