//! Targets whose receptive fields are known, and how many of these are found again.

use crate::encoding::features::GaussianWindow;
use crate::encoding::folds::{Leakage, Rows};
use crate::encoding::standardize::{Scaling, Standardizer};
use crate::error::{Error, Result};
use crate::rng;
use ndarray::{Array2, ArrayView2, Axis, Slice};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Responses of simulated targets (voxels) that look through one window each,
///
/// ```text
/// y = s + e,    s = sum over channels c of w_c z_c,    var s = 1,    var e = 1 / snr
/// ```
///
/// with z the z-scored channels under the target's window (columns `g n_channels + c` of `x`, as
/// [`crate::encoding::GaussianRf`] takes them), w and e normal. Target t draws its weights, then its
/// noise, from `rng::stream(seed, "simulated fields", t)`.
///
/// # Shapes
/// `x`: n_samples x (n_candidates n_channels); `windows`: the candidate of each target; the result:
/// n_samples x targets.
///
/// # Errors
/// [`Error::Invalid`] for columns that are not whole windows, candidates that do not exist, an SNR
/// that is no positive number, channels that do not vary under a target's window, NaN or infinity.
///
/// # Example
/// ```
/// use ndarray::Array2;
/// use orthoscope::encoding::simulated_fields::simulate;
///
/// let x = Array2::from_shape_fn((50, 6), |(i, j)| ((3 * i + j * i * i) % 11) as f32);
/// let y = simulate(x.view(), 2, &[0, 2, 2], 1.0, 7)?;
/// assert_eq!(y.dim(), (50, 3));
/// # Ok::<(), orthoscope::Error>(())
/// ```
pub fn simulate(
    x: ArrayView2<'_, f32>,
    n_channels: usize,
    windows: &[usize],
    snr: f64,
    seed: u64,
) -> Result<Array2<f32>> {
    let bad = |expected: &str, found: String| Error::invalid("simulated fields", expected, found, "");
    if n_channels == 0 || !x.ncols().is_multiple_of(n_channels) {
        return Err(bad("the channels of every window", format!("{} columns of {n_channels}", x.ncols())));
    }
    let n_candidates = x.ncols() / n_channels;
    if let Some(window) = windows.iter().find(|&&window| window >= n_candidates) {
        return Err(bad("windows that there are", format!("candidate {window} of {n_candidates}")));
    }
    if !(snr.is_finite() && snr > 0.0) {
        return Err(bad("a positive signal-to-noise ratio", snr.to_string()));
    }
    let rows = Rows::all(x.nrows())?;
    let one = |(t, &window): (usize, &usize)| {
        let columns = x.slice_axis(Axis(1), Slice::from(window * n_channels..(window + 1) * n_channels));
        let scaling = Scaling::ZScore { ddof: 0 };
        let z = Standardizer::fit(columns, &rows, scaling, "channels", &mut Leakage::default())?.apply(columns);
        let mut random = rng::stream(seed, "simulated fields", t as u64);
        let weights: Vec<f64> = (0..n_channels).map(|_| random.normal()).collect();
        let of = |z: ndarray::ArrayView1<'_, f32>| z.iter().zip(&weights).map(|(&z, w)| f64::from(z) * w).sum::<f64>();
        let signal: Vec<f64> = z.rows().into_iter().map(of).collect();
        let power = signal.iter().map(|s| s * s).sum::<f64>() / signal.len() as f64;
        if power <= 1e-12 {
            return Err(bad("channels that vary", format!("none under candidate {window}")));
        }
        let scale = power.sqrt().recip();
        Ok(signal.into_iter().map(|s| (s * scale + random.normal() / snr.sqrt()) as f32).collect())
    };
    let columns = windows.par_iter().enumerate().map(one).collect::<Result<Vec<Vec<f32>>>>()?;
    Ok(Array2::from_shape_fn((x.nrows(), windows.len()), |(i, t)| columns[t][i]))
}

/// How many windows were found again.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Recovery {
    /// Share of targets whose centre is less than half a grid step away.
    pub centre: f64,
    /// Share of targets whose radius is at most one step of the grid too small or too large.
    pub radius: f64,
    /// Share of targets with both.
    pub both: f64,
    /// Mean distance between the centres, degrees.
    pub centre_error_deg: f64,
}

/// Compares windows with the true ones, target by target.
///
/// `step_deg` is the distance of neighbouring centres of the grid, `ratio` that of neighbouring radii.
///
/// # Panics
/// When there are no targets, or another number of true ones.
pub fn recovery(found: &[GaussianWindow], truth: &[GaussianWindow], step_deg: f64, ratio: f64) -> Recovery {
    assert!(!found.is_empty() && found.len() == truth.len(), "a true window of each target");
    // Steps of grids are exact to rounding only.
    const ROUNDING: f64 = 1e-9;
    let (mut centre, mut radius, mut both, mut error) = (0, 0, 0, 0.0);
    for (found, truth) in found.iter().zip(truth) {
        let distance = (found.x_deg - truth.x_deg).hypot(found.y_deg - truth.y_deg);
        let near = distance < step_deg / 2.0;
        let steps = (found.sd_deg / truth.sd_deg).ln().abs() / ratio.ln();
        let alike = steps < 1.0 + ROUNDING;
        centre += usize::from(near);
        radius += usize::from(alike);
        both += usize::from(near && alike);
        error += distance;
    }
    let share = |n: usize| n as f64 / found.len() as f64;
    Recovery {
        centre: share(centre),
        radius: share(radius),
        both: share(both),
        centre_error_deg: error / found.len() as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_have_the_signal_and_noise_that_were_asked_for() {
        let mut random = rng::stream(1, "features", 0);
        let x = Array2::from_shape_simple_fn((4000, 8), || (3.0 + random.normal()) as f32);
        for (snr, variance) in [(1.0, 2.0), (4.0, 1.25)] {
            let y = simulate(x.view(), 4, &[0, 1, 1], snr, 3).unwrap();
            for t in 0..3 {
                let of = f64::from(y.column(t).var(0.0));
                assert!((of / variance - 1.0).abs() < 0.1, "{of} {variance}");
            }
            // The same target, whatever stands beside it.
            assert_eq!(simulate(x.view(), 4, &[0], snr, 3).unwrap().column(0), y.column(0));
            // Its own window explains its signal, another one's nothing.
            let r2 = |t: usize, g: usize| {
                let z = x.slice_axis(Axis(1), Slice::from(4 * g..4 * g + 4)).mapv(f64::from) - 3.0;
                let y = y.column(t).mapv(f64::from);
                let products = z.t().dot(&y) / 4000.0;
                products.dot(&products) / y.var(0.0)
            };
            assert!((r2(0, 0) - 1.0 / variance).abs() < 0.05 && r2(0, 1) < 0.02, "{} {}", r2(0, 0), r2(0, 1));
        }
        for (windows, snr, channels) in
            [(vec![2], 1.0, 4), (vec![0], 0.0, 4), (vec![0], f64::NAN, 4), (vec![0], 1.0, 3)]
        {
            assert_eq!(simulate(x.view(), channels, &windows, snr, 0).unwrap_err().exit_code(), 2);
        }
        assert!(simulate(Array2::ones((9, 4)).view(), 4, &[0], 1.0, 0).is_err());
    }

    #[test]
    fn what_is_found_again_is_counted() {
        let window = |x_deg: f64, sd_deg: f64| GaussianWindow { x_deg, y_deg: 1.0, sd_deg };
        let truth = [window(0.0, 1.0); 4];
        let found = [window(0.4, 2.0), window(0.6, 1.0), window(0.0, 2.1), window(0.0, 0.5)];
        let all = recovery(&found, &truth, 1.0, 2.0);
        assert_eq!((all.centre, all.radius, all.both), (0.75, 0.75, 0.5));
        assert!((all.centre_error_deg - 0.25).abs() < 1e-12);
    }
}
