//! The design matrix of a run.

use super::hrf::Hrf;
use crate::data::names::twice;
use crate::error::{Error, Result};
use ndarray::{Array1, Array2, ArrayView2};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// Events that begin earlier than this before the first volume cannot be modelled (nilearn's
/// `min_onset`).
pub const MIN_ONSET_S: f64 = -24.0;

/// One event of a condition.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Event {
    /// Start, in seconds from the start of the run.
    pub onset_s: f64,
    /// Duration; 0 is an impulse.
    pub duration_s: f64,
    /// Height of the event (BIDS' `modulation`), 1 usually.
    pub amplitude: f64,
}

/// The events of a condition (BIDS' `trial_type`).
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    pub name: String,
    pub events: Vec<Event>,
}

/// How a design matrix is made.
///
/// | name | default | purpose |
/// |---|---|---|
/// | `hrf` | spm | the response, with or without its derivatives |
/// | `high_pass_hz` | 0.01 | cosine drifts up to this frequency; 0: none |
/// | `slice_time_ref` | 0 | time of a volume within its TR, as a fraction |
/// | `oversampling` | 50 | samples a TR of the convolution |
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DesignOptions {
    pub hrf: Hrf,
    pub high_pass_hz: f64,
    pub slice_time_ref: f64,
    pub oversampling: usize,
}

impl Default for DesignOptions {
    fn default() -> Self {
        Self { hrf: Hrf::Spm, high_pass_hz: 0.01, slice_time_ref: 0.0, oversampling: 50 }
    }
}

/// The design matrix of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Design {
    /// n_volumes x n_regressors: conditions (with their derivatives), confounds, drifts, constant.
    pub matrix: Array2<f64>,
    /// Names of the regressors (nilearn's).
    pub names: Vec<String>,
    /// Column of every condition, in the order given.
    pub conditions: Vec<usize>,
    /// Number of columns that belong to conditions; the rest is of no interest.
    pub n_task: usize,
}

impl Design {
    /// Convolves the events with the response and adds confounds, drifts and a constant.
    ///
    /// Drift k = 1, 2, ... <= 2 n_volumes high_pass TR: sqrt(2/n) cos(pi k (v + 1/2) / n) for
    /// volume v.
    ///
    /// # Shapes
    /// `confounds`: n_volumes x n_confounds, with their names.
    ///
    /// # Errors
    /// [`Error::Invalid`] for fewer than 2 volumes, a TR or oversampling that is not positive, no
    /// condition, a condition without events, two conditions (or other regressors) of one name, an
    /// event that is not finite, has a negative duration or begins more than 24 s before the run or
    /// after its end, or confounds of another length or with NaN.
    ///
    /// # Source
    /// nilearn 0.14's `make_first_level_design_matrix`, whose numbers these are.
    pub fn new(
        conditions: &[Condition],
        n_volumes: usize,
        t_r_s: f64,
        confounds: Option<(ArrayView2<'_, f64>, &[String])>,
        options: &DesignOptions,
    ) -> Result<Self> {
        check(conditions, n_volumes, t_r_s, confounds, options)?;
        let frames: Vec<f64> = (0..n_volumes).map(|v| (v as f64 + options.slice_time_ref) * t_r_s).collect();
        let kernels = options.hrf.kernels(t_r_s, options.oversampling);
        let mut columns: Vec<Array1<f64>> = Vec::new();
        let mut names = Vec::new();
        for condition in conditions {
            columns.extend(regressors(&condition.events, &frames, &kernels, options.oversampling));
            names.extend(options.hrf.suffixes().iter().map(|suffix| format!("{}{suffix}", condition.name)));
        }
        let n_task = columns.len();
        if let Some((values, confound_names)) = confounds {
            columns.extend(values.columns().into_iter().map(|c| c.to_owned()));
            names.extend(confound_names.iter().cloned());
        }
        let drifts = cosine_drifts(n_volumes, t_r_s, options.high_pass_hz);
        names.extend((1..=drifts.len()).map(|k| format!("drift_{k}")));
        columns.extend(drifts);
        columns.push(Array1::ones(n_volumes));
        names.push("constant".into());
        if let Some(name) = twice(names.iter().map(String::as_str)) {
            let hint = "rename the condition or the confound, or leave the confound out";
            return Err(Error::invalid(
                "design matrix",
                "regressors of different names",
                format!("`{name}` twice"),
                hint,
            ));
        }
        let matrix = Array2::from_shape_fn((n_volumes, columns.len()), |(v, c)| columns[c][v]);
        let conditions = (0..conditions.len()).map(|c| c * kernels.len()).collect();
        Ok(Self { matrix, names, conditions, n_task })
    }

    /// Sum of squares of every condition's regressor (not its derivatives'), in the order given.
    /// The variance of a beta is at least that of the noise divided by it.
    pub fn energies(&self) -> Vec<f64> {
        self.conditions.iter().map(|&c| self.matrix.column(c).dot(&self.matrix.column(c))).collect()
    }

    /// Largest magnitude of a condition's regressor.
    pub fn peak(&self, condition: usize) -> f64 {
        self.matrix.column(self.conditions[condition]).iter().fold(0.0, |m, x| m.max(x.abs()))
    }
}

fn check(
    conditions: &[Condition],
    n_volumes: usize,
    t_r_s: f64,
    confounds: Option<(ArrayView2<'_, f64>, &[String])>,
    options: &DesignOptions,
) -> Result<()> {
    let invalid =
        |expected: &str, found: String, hint: &str| Err(Error::invalid("design matrix", expected, found, hint));
    let positive = t_r_s > 0.0 && t_r_s.is_finite() && options.oversampling > 0 && options.high_pass_hz >= 0.0;
    if n_volumes < 2 || !positive {
        let found = format!("{n_volumes} volumes, TR {t_r_s} s, {options:?}");
        return invalid(
            "2 volumes or more, and a positive TR",
            found,
            "the TR in a file's header may be wrong: give it",
        );
    }
    if conditions.is_empty() {
        return invalid("a condition or more", "none".into(), "check the events file's trial_type");
    }
    if conditions.len() >= n_volumes {
        let found = format!("{} conditions and {n_volumes} volumes", conditions.len());
        return invalid("fewer conditions than volumes", found, "is this the column of the conditions?");
    }
    let end = n_volumes as f64 * t_r_s;
    let mut seen = HashSet::new();
    for Condition { name, events } in conditions {
        if !seen.insert(name.as_str()) || events.is_empty() {
            let found = if events.is_empty() { format!("`{name}` has none") } else { format!("`{name}` twice") };
            return invalid("conditions of different names, each with an event or more", found, "");
        }
        let bad = |e: &&Event| {
            let inside = (MIN_ONSET_S..end).contains(&e.onset_s);
            !(inside && e.amplitude.is_finite() && e.duration_s >= 0.0 && e.duration_s.is_finite())
        };
        if let Some(e) = events.iter().find(bad) {
            let expected = format!("onsets from {MIN_ONSET_S} s to the end of the run at {end} s and durations from 0");
            let found = format!("`{name}` at {} s for {} s with height {}", e.onset_s, e.duration_s, e.amplitude);
            return invalid(&expected, found, "onsets are in seconds; is the TR right?");
        }
    }
    let Some((values, names)) = confounds else { return Ok(()) };
    if values.nrows() != n_volumes || values.ncols() != names.len() {
        let found = format!("{} rows and {} columns with {} names", values.nrows(), values.ncols(), names.len());
        return invalid(&format!("confounds of {n_volumes} volumes, one name a column"), found, "one row a volume");
    }
    if let Some(((v, c), x)) = values.indexed_iter().find(|(_, x)| !x.is_finite()) {
        let found = format!("{x} in `{}`, volume {v}", names[c]);
        return invalid("confounds that are numbers", found, "fMRIPrep's derivatives start with n/a: replace it by 0");
    }
    Ok(())
}

/// The columns of one condition.
fn regressors(events: &[Event], frames: &[f64], kernels: &[Vec<f64>], oversampling: usize) -> Vec<Array1<f64>> {
    let (times, boxcar) = sampled_events(events, frames, oversampling);
    let mut columns: Vec<Array1<f64>> = Vec::with_capacity(kernels.len());
    for kernel in kernels {
        let convolved = convolve(&boxcar, kernel);
        let mut column: Array1<f64> = frames.iter().map(|&t| interpolate(&times, &convolved, t)).collect();
        // Derivatives are made orthogonal to what stands before them, so that they take nothing
        // from the response's beta.
        for earlier in &columns {
            let norm = earlier.dot(earlier);
            if norm > 0.0 {
                column = &column - &(earlier * (column.dot(earlier) / norm));
            }
        }
        columns.push(column);
    }
    columns
}

/// The fine time grid, from 24 s before the first volume to one TR after the last, and the events'
/// boxcars on it.
fn sampled_events(events: &[Event], frames: &[f64], oversampling: usize) -> (Vec<f64>, Vec<f64>) {
    let n = frames.len() as f64;
    let (first, last) = (frames[0], frames[frames.len() - 1]);
    let end = last * (1.0 + 1.0 / (n - 1.0));
    let n_fine = (n - 1.0) / (last - first) * (end - first - MIN_ONSET_S) * oversampling as f64 + 1.0;
    let n_fine = n_fine.round_ties_even() as usize;
    let start = first + MIN_ONSET_S;
    let step = (end - start) / (n_fine - 1) as f64;
    let times: Vec<f64> = (0..n_fine).map(|i| if i + 1 == n_fine { end } else { i as f64 * step + start }).collect();
    let place = |t: f64| times.partition_point(|&x| x < t).min(n_fine - 1);
    let mut steps = vec![0.0; n_fine];
    for event in events {
        let on = place(event.onset_s);
        let mut off = place(event.onset_s + event.duration_s);
        if off == on && off < n_fine - 1 {
            off += 1;
        }
        steps[on] += event.amplitude;
        steps[off] -= event.amplitude;
    }
    let mut level = 0.0;
    let boxcar = steps.into_iter().map(|s| {
        level += s;
        level
    });
    (times.clone(), boxcar.collect())
}

/// The first `signal.len()` samples of the full convolution.
fn convolve(signal: &[f64], kernel: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; signal.len()];
    for (i, &s) in signal.iter().enumerate().filter(|(_, s)| **s != 0.0) {
        out[i..].iter_mut().zip(kernel).for_each(|(o, k)| *o += s * k);
    }
    out
}

fn interpolate(x: &[f64], y: &[f64], at: f64) -> f64 {
    let high = x.partition_point(|&v| v < at).clamp(1, x.len() - 1);
    let low = high - 1;
    (y[high] - y[low]) / (x[high] - x[low]) * (at - x[low]) + y[low]
}

fn cosine_drifts(n_volumes: usize, t_r_s: f64, high_pass_hz: f64) -> Vec<Array1<f64>> {
    let n = n_volumes as f64;
    let order = ((2.0 * n * high_pass_hz * t_r_s).floor() as usize).min(n_volumes - 1);
    let drift = |k: usize| {
        let value = |v: usize| (2.0 / n).sqrt() * (std::f64::consts::PI / n * (v as f64 + 0.5) * k as f64).cos();
        (0..n_volumes).map(value).collect()
    };
    (1..=order).map(drift).collect()
}
