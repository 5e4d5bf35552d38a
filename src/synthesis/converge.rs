//! When to stop, and whether it was enough.

/// Whether an optimisation has arrived.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    pub converged: bool,
    /// Gain of the last window over the one before, relative to the range seen so far; 1 when there
    /// are too few values.
    pub gain: f64,
}

/// Compares the mean of the last tenth of `values` (to be maximised) with the tenth before it.
///
/// Converged when the gain is below `tolerance` times the range between the first tenth and the
/// best tenth. Shorter than 20 values: never converged. Means over windows, because random views
/// make single values noisy.
pub fn verdict(values: &[f64], tolerance: f64) -> Verdict {
    let window = values.len() / 10;
    if window < 2 {
        return Verdict { converged: false, gain: 1.0 };
    }
    let mean = |slice: &[f64]| slice.iter().sum::<f64>() / slice.len() as f64;
    let last = mean(&values[values.len() - window..]);
    let before = mean(&values[values.len() - 2 * window..values.len() - window]);
    let first = mean(&values[..window]);
    let range = (last.max(before) - first).abs().max(f64::MIN_POSITIVE);
    let gain = (last - before) / range;
    Verdict { converged: gain.abs() < tolerance, gain }
}

#[cfg(test)]
mod tests {
    use super::verdict;

    #[test]
    fn a_plateau_has_converged_and_a_slope_has_not() {
        let plateau: Vec<f64> = (0..100).map(|i| 1.0 - (-f64::from(i) / 8.0).exp()).collect();
        assert!(verdict(&plateau, 0.01).converged);
        let slope: Vec<f64> = (0..100).map(f64::from).collect();
        assert!(!verdict(&slope, 0.01).converged);
        assert!(!verdict(&[1.0; 5], 0.01).converged, "too few values to judge");
    }
}
