//! Betas from time series: one beta a condition and run, by least squares.

use super::{BoldConfig, Estimate, Recorded, SignalScale};
use crate::data::names::{natural_order, nfc, same};
use crate::data::{Betas, Grid, Mask};
use crate::error::{Error, Result};
use crate::io::labels::CONDITION_COLUMNS;
use crate::io::{nifti, tsv};
use crate::stats::glm::{Condition, Design, Event, Fit, MIN_ONSET_S, fit};
use crate::warning::Warning;
use ndarray::{Array2, ArrayView1, ArrayView2, Axis, concatenate};
use std::collections::HashMap;
use std::path::Path;

/// A regressor shorter than this share of the median one is weak.
const WEAK: f64 = 0.1;
/// Below this share of the median's sum of squares, a regressor is rounding error.
const NOTHING_LEFT: f64 = 1e-20;

/// What was fitted.
pub struct Series {
    pub betas: Betas,
    pub runs: Vec<FittedRun>,
    pub warnings: Vec<Warning>,
}

/// One run's model.
pub struct FittedRun {
    pub name: String,
    pub tr_s: f64,
    pub design: Design,
    /// Share of the drift-free variance that the conditions explain, by voxel of the mask that was
    /// read.
    pub r2: Vec<f64>,
    pub dof: usize,
}

/// Fits every run within `mask`.
///
/// # Errors
/// [`Error::Invalid`] for events that do not fit the series, an unknown TR, a volume that holds
/// nothing, or a design that cannot be fitted.
pub fn read(config: Recorded<'_>, grid: &Grid, mask: &Mask, names: &[String]) -> Result<Series> {
    let own = config.bold;
    let mut warnings = Vec::new();
    let mut models = Vec::new();
    for (r, path) in own.files.iter().enumerate() {
        let header = nifti::read_header(path)?;
        grid.require_same(&path.display().to_string(), &header.grid)?;
        warnings.extend(header.warning(path));
        let model = Model::new(config, r, &header)?;
        warnings.extend(early_end(&model.events, header.n_volumes as f64 * model.tr_s, &own.events[r]));
        models.push(model);
    }
    warnings.extend(weak_regressors(&mut models, config, names)?);
    let (mut rows, mut conditions, mut of_run, mut runs) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut variances = Vec::new();
    for (r, (path, model)) in own.files.iter().zip(models).enumerate() {
        let values = nifti::read(path)?.masked(mask)?;
        empty_volumes(values.view(), path)?;
        let found = fit(values.view(), &model.design, own.noise).map_err(|e| in_file(e, path))?;
        let factors = factors(values.view(), own, path)?;
        for (c, condition) in model.events.iter().enumerate().filter(|(c, _)| model.mapped[*c]) {
            rows.push(row(&found, c, (own.estimate, &factors), values.view()));
            // A t is as sure in every run.
            variances.push(if own.estimate == Estimate::T { 1.0 } else { found.design_variance[c] });
            conditions.push(condition.name.clone());
            of_run.push(names[r].clone());
        }
        let Model { tr_s, design, .. } = model;
        runs.push(FittedRun { name: names[r].clone(), tr_s, design, r2: found.r2, dof: found.dof });
    }
    if rows.is_empty() {
        let hint = "every condition is a nuisance condition";
        return Err(Error::invalid("bold.events", "conditions to map", "none", hint));
    }
    let views: Vec<ArrayView2<'_, f32>> = rows.iter().map(|r: &Array2<f32>| r.view()).collect();
    let patterns = concatenate(Axis(0), &views).expect("one mask for all runs");
    let betas = Betas::new(patterns, &conditions, &of_run)?.weighted(weights(&conditions, &variances))?;
    if betas.weights().iter().any(|w| *w != 1.0) {
        let text = "estimates of some runs are much surer than those of others (longer runs, more events): a condition's runs are weighted by the reciprocal of the variance that their designs give";
        warnings.push(Warning::Note { text: text.into() });
    }
    Ok(Series { betas, runs, warnings })
}

/// Equal weights lose less than a twentieth of what a condition's runs know where their variances
/// differ by less than this factor: plain means are taken then.
const UNEQUAL: f64 = 1.5;

/// Weights of mean 1, the reciprocals of the variances that the designs give; 1 where they hardly
/// differ between the runs of each condition.
fn weights(conditions: &[String], variances: &[f64]) -> Vec<f64> {
    let mut ends: HashMap<&str, (f64, f64)> = HashMap::new();
    for (condition, &variance) in conditions.iter().zip(variances) {
        let own = ends.entry(condition).or_insert((variance, variance));
        *own = (own.0.min(variance), own.1.max(variance));
    }
    if ends.values().all(|(low, high)| high <= &(UNEQUAL * low)) {
        return vec![1.0; variances.len()];
    }
    let mean = variances.iter().map(|v| 1.0 / v).sum::<f64>() / variances.len() as f64;
    variances.iter().map(|v| 1.0 / (v * mean)).collect()
}

/// The model of one run, before its series is read.
struct Model {
    tr_s: f64,
    events: Vec<Condition>,
    confounds: Option<(Array2<f64>, Vec<String>)>,
    design: Design,
    /// Conditions whose estimates are handed on.
    mapped: Vec<bool>,
}

impl Model {
    fn new(config: Recorded<'_>, run: usize, header: &nifti::Header) -> Result<Self> {
        let own = config.bold;
        let path = &own.files[run];
        let tr_s = repetition_time(config, header.tr_s, path)?;
        let events = events(&own.events[run], header.n_volumes as f64 * tr_s, config)?;
        let of_volumes = (header.n_volumes, path.as_path());
        let confounds = own.confounds.get(run).map(|p| confounds(p, of_volumes, &own.confound_columns)).transpose()?;
        let mapped = events.iter().map(|c| !own.nuisance.iter().any(|name| same(name, &c.name))).collect();
        let design = Self::design(&events, &confounds, header.n_volumes, tr_s, config).map_err(|e| in_file(e, path))?;
        Ok(Self { tr_s, events, confounds, design, mapped })
    }

    fn design(
        events: &[Condition],
        confounds: &Option<(Array2<f64>, Vec<String>)>,
        n_volumes: usize,
        tr_s: f64,
        config: Recorded<'_>,
    ) -> Result<Design> {
        let confounds = confounds.as_ref().map(|(values, names)| (values.view(), names.as_slice()));
        Design::new(events, n_volumes, tr_s, confounds, &config.bold.design)
    }

    /// Takes conditions out of the model.
    fn remove(&mut self, gone: impl Fn(usize) -> bool, config: Recorded<'_>) -> Result<()> {
        let keep: Vec<bool> = (0..self.events.len()).map(|c| !gone(c)).collect();
        let mut of = keep.iter();
        self.events.retain(|_| of.next() == Some(&true));
        let mut of = keep.iter();
        self.mapped.retain(|_| of.next() == Some(&true));
        let n_volumes = self.design.matrix.nrows();
        self.design = Self::design(&self.events, &self.confounds, n_volumes, self.tr_s, config)?;
        Ok(())
    }
}

/// Conditions of which little is left in a run: told, or left out where the user wants it.
///
/// A regressor is weak when its length is less than [`WEAK`] of the median over the mapped
/// conditions of all runs: the standard error of its beta is then at least so many times that of
/// the others.
fn weak_regressors(models: &mut [Model], config: Recorded<'_>, names: &[String]) -> Result<Vec<Warning>> {
    let own = config.bold;
    let leave_out = own.leave_out_weak.unwrap_or(false);
    let mapped = |model: &Model| {
        let all = model.design.energies().into_iter().enumerate().zip(model.mapped.clone());
        all.filter(|(_, mapped)| *mapped).map(|((c, energy), _)| (energy, model.design.peak(c))).collect::<Vec<_>>()
    };
    let all: Vec<(f64, f64)> = models.iter().flat_map(mapped).collect();
    let median = |of: &dyn Fn(&(f64, f64)) -> f64| {
        let mut values: Vec<f64> = all.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(0.0)
    };
    let (usual, usual_peak) = (median(&|(energy, _)| *energy), median(&|(_, peak)| *peak));
    let mut warnings = Vec::new();
    for (r, model) in models.iter_mut().enumerate() {
        let energies = model.design.energies();
        let nothing = |c: usize| energies[c] <= NOTHING_LEFT * usual;
        let weak = |c: &usize| model.mapped[*c] && energies[*c] < WEAK * WEAK * usual;
        let weak: Vec<usize> = (0..energies.len()).filter(weak).collect();
        for c in weak {
            let name = &model.events[c].name;
            if nothing(c) && !leave_out {
                let hint =
                    "its events end with the run, or have no height: `bold.leave_out_weak` leaves it out of the run";
                let at = own.events[r].display().to_string();
                let expected = format!("a response of `{name}` within run {}", names[r]);
                return Err(Error::invalid(at, expected, "a regressor of zeros", hint));
            }
            let what = format!(
                "run {}: the regressor of `{name}` peaks at {:.2e}, that of the median condition at {usual_peak:.2e}",
                names[r],
                model.design.peak(c)
            );
            let text = if leave_out {
                format!("{what}: its estimate of this run was left out (--leave-out-weak)")
            } else {
                format!(
                    "{what}: its estimate is {:.0} times as uncertain and enters the RDM (an event at the end of the run?); --leave-out-weak leaves such estimates out",
                    (usual / energies[c]).sqrt()
                )
            };
            warnings.push(Warning::Note { text });
            model.mapped[c] &= !leave_out;
        }
        if leave_out && (0..energies.len()).any(nothing) {
            model.remove(nothing, config).map_err(|e| in_file(e, &own.files[r]))?;
        }
    }
    Ok(warnings)
}

/// Refuses a volume that holds one number in the whole mask: the end of a scan that was stopped, or
/// a damaged file.
fn empty_volumes(values: ArrayView2<'_, f32>, path: &Path) -> Result<()> {
    let number = |row: ArrayView1<'_, f32>| row.iter().copied().find(|x| x.is_finite());
    let one = |row: ArrayView1<'_, f32>| {
        let first = number(row);
        row.iter().all(|x| !x.is_finite() || Some(*x) == first)
    };
    let empty = |t: &usize| values.ncols() > 1 && one(values.row(*t));
    let found: Vec<usize> = (0..values.nrows()).filter(empty).collect();
    let Some(&first) = found.first() else { return Ok(()) };
    let hint = "was the scan stopped? cut the series (and its confounds) before the first of them";
    let value = number(values.row(first)).unwrap_or(f32::NAN);
    let found = format!("{value} in all of volume {first} (counted from 0; {} such)", found.len());
    Err(Error::invalid(path.display().to_string(), "a measured image in every volume", found, hint))
}

/// The same error, saying which file it is about.
fn in_file(e: Error, path: &Path) -> Error {
    match e {
        Error::Invalid { at, expected, found, hint } => {
            Error::Invalid { at: format!("{}: {at}", path.display()), expected, found, hint }
        }
        other => other,
    }
}

fn repetition_time(config: Recorded<'_>, header: Option<f64>, path: &Path) -> Result<f64> {
    config.bold.tr_s.or(header).ok_or_else(|| {
        let hint = "the header does not say it: give `bold.tr_s` in seconds";
        Error::invalid(path.display().to_string(), "the repetition time", "none", hint)
    })
}

/// Share of voxels without a mean above 0 from which a series is taken to have no baseline.
const NO_BASELINE: f64 = 0.1;

/// What coefficients are multiplied by; NaN for a voxel whose mean is not above 0.
fn factors(values: ArrayView2<'_, f32>, config: &BoldConfig, path: &Path) -> Result<Vec<f64>> {
    let n_voxels = values.ncols();
    if config.scale == SignalScale::None || config.estimate == Estimate::T {
        return Ok(vec![1.0; n_voxels]);
    }
    let finite = |v: &f32| v.is_finite().then_some(f64::from(*v));
    let of_voxel = |column: ArrayView1<'_, f32>| {
        let (sum, n) = column.iter().filter_map(finite).fold((0.0, 0.0), |(sum, n), v| (sum + v, n + 1.0));
        sum / n
    };
    let means: Vec<f64> = values.columns().into_iter().map(of_voxel).collect();
    let varies = |v: &usize| values.column(*v).iter().any(|x| *x != values[[0, *v]]);
    let used: Vec<usize> = (0..n_voxels).filter(varies).collect();
    let without = used.iter().filter(|&&v| means[v] <= 0.0 || means[v].is_nan()).count();
    let grand = used.iter().map(|&v| means[v]).filter(|m| m.is_finite()).sum::<f64>() / used.len().max(1) as f64;
    if without as f64 > NO_BASELINE * used.len() as f64 || (config.scale == SignalScale::Run && grand <= 0.0) {
        let expected = "series with a baseline, for percent signal change";
        let found = format!("{without} of {} voxels with a mean that is not above 0", used.len());
        let hint = "`bold.scale` none takes series as they are: were their means taken off?";
        return Err(Error::invalid(path.display().to_string(), expected, found, hint));
    }
    let percent = |mean: f64| if mean > 0.0 { 100.0 / mean } else { f64::NAN };
    Ok(match config.scale {
        SignalScale::Run => vec![percent(grand); n_voxels],
        _ => means.into_iter().map(percent).collect(),
    })
}

/// One sample: NaN where the series has no variation, so that the voxel is left out and counted.
fn row(
    found: &Fit,
    condition: usize,
    (estimate, factors): (Estimate, &[f64]),
    values: ArrayView2<'_, f32>,
) -> Array2<f32> {
    let constant = |v: usize| values.column(v).iter().all(|x| *x == values[[0, v]]);
    let of = |v: usize| match estimate {
        _ if constant(v) => f32::NAN,
        Estimate::T => found.t[[condition, v]] as f32,
        Estimate::Beta => (found.betas[[condition, v]] * factors[v]) as f32,
    };
    Array2::from_shape_fn((1, values.ncols()), |(_, v)| of(v))
}

/// A table of BIDS events: onset, duration, the condition, and modulation where there is one. Rows
/// without a condition are left out; conditions are in natural order of their names.
fn events(path: &Path, run_s: f64, config: Recorded<'_>) -> Result<Vec<Condition>> {
    let table = tsv::read(path)?;
    let column = |name: &str, hint: &str| {
        table.column(name).ok_or_else(|| table.without(path, &format!("a column `{name}`"), hint))
    };
    let names = match &config.betas.condition_column {
        Some(name) => column(name, "name it with `betas.condition_column`")?,
        None => match ["trial_type"].iter().chain(&CONDITION_COLUMNS).find_map(|name| table.column(name)) {
            Some(names) => names,
            None => column("trial_type", "name the column of the conditions with `betas.condition_column`")?,
        },
    };
    let seconds = "BIDS events have onset and duration in seconds";
    let (onsets, durations) = (column("onset", seconds)?, column("duration", seconds)?);
    let modulation = table.column("modulation");
    let mut conditions: Vec<Condition> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (i, name) in names.iter().enumerate().filter(|(_, name)| !tsv::is_missing(name)) {
        let event = Event {
            onset_s: onset(path, i, onsets[i], run_s)?,
            duration_s: duration(path, i, durations[i])?,
            amplitude: match &modulation {
                Some(m) => finite(path, ("modulation", i), m[i], "1 is an event of ordinary height")?,
                None => 1.0,
            },
        };
        let place = *places.entry(name).or_insert(conditions.len());
        match conditions.get_mut(place) {
            Some(condition) => condition.events.push(event),
            None => conditions.push(Condition { name: (*name).to_owned(), events: vec![event] }),
        }
    }
    if conditions.is_empty() {
        let hint = "the column of the conditions is empty: name another one with `betas.condition_column`";
        return Err(Error::invalid(path.display().to_string(), "events with a condition", "none", hint));
    }
    conditions.sort_by(|a, b| natural_order(&a.name, &b.name));
    Ok(conditions)
}

fn finite(path: &Path, (column, row): (&str, usize), field: &str, hint: &str) -> Result<f64> {
    let value = tsv::number(path, column, row, field)?;
    if value.is_finite() { Ok(value) } else { Err(tsv::bad_field(path, column, row, "a finite number", field, hint)) }
}

fn onset(path: &Path, row: usize, field: &str, run_s: f64) -> Result<f64> {
    let hint = "an event without a time cannot be modelled: give its onset in seconds, or take its condition out";
    let value = finite(path, ("onset", row), field, hint)?;
    if (MIN_ONSET_S..run_s).contains(&value) {
        return Ok(value);
    }
    let expected = format!("seconds from {MIN_ONSET_S} to the end of the run at {run_s}");
    Err(tsv::bad_field(path, "onset", row, &expected, field, "onsets are in seconds; is the TR right?"))
}

fn duration(path: &Path, row: usize, field: &str) -> Result<f64> {
    let hint = "BIDS writes n/a for an unknown duration: give it in seconds, 0 for an impulse";
    let value = finite(path, ("duration", row), field, hint)?;
    if value >= 0.0 {
        return Ok(value);
    }
    Err(tsv::bad_field(path, "duration", row, "seconds from 0", field, "an event cannot end before it begins"))
}

/// Events that end before half of the run speak of a wrong TR.
fn early_end(events: &[Condition], run_s: f64, path: &Path) -> Option<Warning> {
    let ends = events.iter().flat_map(|c| &c.events).map(|e| e.onset_s + e.duration_s);
    let last = ends.fold(f64::NEG_INFINITY, f64::max);
    (last < run_s / 2.0).then(|| Warning::Note {
        text: format!(
            "{}: the last event ends at {last:.0} s of a run of {run_s:.0} s: is the TR right?",
            path.display()
        ),
    })
}

/// Confounds: the columns asked for (a `*` at the end stands for anything), all without being
/// asked. `of_volumes`: how many volumes the run has, and its file.
///
/// Leading `n/a`, which the first rows of derivatives have, are 0.
fn confounds(path: &Path, of_volumes: (usize, &Path), wanted: &[String]) -> Result<(Array2<f64>, Vec<String>)> {
    let table = tsv::read(path)?;
    let matches = |column: &String, pattern: &String| match pattern.strip_suffix('*') {
        Some(start) => column.starts_with(nfc(start).as_ref()),
        None => same(column, pattern),
    };
    if let Some(absent) = wanted.iter().find(|w| !table.header.iter().any(|c| matches(c, w))) {
        return Err(table.without(path, &format!("a column `{absent}`"), "see `bold.confound_columns`"));
    }
    let (n_volumes, run) = of_volumes;
    if table.rows.len() != n_volumes {
        let expected = format!("{n_volumes} rows of confounds, one for each volume of {}", run.display());
        let hint = "is it the table of this run, whole, and were volumes taken off only one of the two?";
        return Err(Error::invalid(path.display().to_string(), expected, table.rows.len().to_string(), hint));
    }
    let chosen = |c: &&String| wanted.is_empty() || wanted.iter().any(|w| matches(c, w));
    let places: Vec<usize> = (0..table.header.len()).filter(|&c| chosen(&&table.header[c])).collect();
    let names: Vec<String> = places.iter().map(|&c| table.header[c].clone()).collect();
    let mut values = Array2::zeros((table.rows.len(), names.len()));
    for (c, name) in names.iter().enumerate() {
        let mut leading = true;
        for (v, text) in table.rows.iter().map(|row| row[places[c]].as_str()).enumerate() {
            let number = text.trim().parse::<f64>().ok().filter(|x| x.is_finite());
            values[[v, c]] = match number {
                Some(x) => x,
                None if leading && tsv::is_missing(text) => 0.0,
                None => {
                    let hint = if tsv::is_missing(text) {
                        "only the first rows of a derivative may be n/a"
                    } else {
                        "choose columns of numbers with `bold.confound_columns`"
                    };
                    return Err(tsv::bad_field(path, name, v, "a finite number", text, hint));
                }
            };
            leading &= number.is_none();
        }
    }
    Ok((values, names))
}
