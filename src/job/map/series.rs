//! Betas from time series: one beta a condition and run, by least squares.

use super::config::{Config, Estimate};
use crate::data::names::{natural_order, nfc, same};
use crate::data::{Betas, Grid, Mask};
use crate::error::{Error, Result};
use crate::io::labels::CONDITION_COLUMNS;
use crate::io::{nifti, tsv};
use crate::stats::glm::{Condition, Design, Event, Fit, MIN_ONSET_S, fit};
use crate::warning::Warning;
use ndarray::{Array2, ArrayView2, Axis, concatenate};
use std::path::Path;

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
    /// Share of the drift-free variance that the conditions explain, by voxel of the mask that was read.
    pub r2: Vec<f64>,
    pub dof: usize,
}

/// Fits every run within `mask`.
///
/// # Errors
/// [`Error::Invalid`] for events that do not fit the series, an unknown TR, or a design that cannot be fitted.
pub fn read(config: &Config, grid: &Grid, mask: &Mask, names: &[String]) -> Result<Series> {
    let own = &config.bold;
    let mut warnings = Vec::new();
    let (mut rows, mut conditions, mut of_run, mut runs) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (r, path) in own.files.iter().enumerate() {
        let file = nifti::read(path)?;
        grid.require_same(&path.display().to_string(), file.grid())?;
        let tr_s = repetition_time(config, file.header().tr_s, path)?;
        let values = file.masked(mask)?;
        let run_s = values.nrows() as f64 * tr_s;
        let events = events(&own.events[r], run_s, config)?;
        warnings.extend(early_end(&events, run_s, &own.events[r]));
        let of_volumes = (values.nrows(), path.as_path());
        let confounds = own.confounds.get(r).map(|p| confounds(p, of_volumes, &own.confound_columns)).transpose()?;
        let view = confounds.as_ref().map(|(values, names)| (values.view(), names.as_slice()));
        let of_file = |e| in_file(e, path);
        let design = Design::new(&events, values.nrows(), tr_s, view, &own.design).map_err(of_file)?;
        let found = fit(values.view(), &design, own.noise).map_err(of_file)?;
        for (c, condition) in events.iter().enumerate() {
            if !own.nuisance.iter().any(|name| same(name, &condition.name)) {
                rows.push(row(&found, c, own.estimate, values.view()));
                conditions.push(condition.name.clone());
                of_run.push(names[r].clone());
            }
        }
        runs.push(FittedRun { name: names[r].clone(), tr_s, design, r2: found.r2, dof: found.dof });
    }
    if rows.is_empty() {
        let hint = "every condition is a nuisance condition";
        return Err(Error::invalid("--events", "conditions to map", "none", hint));
    }
    let views: Vec<ArrayView2<'_, f32>> = rows.iter().map(|r: &Array2<f32>| r.view()).collect();
    let patterns = concatenate(Axis(0), &views).expect("one mask for all runs");
    Ok(Series { betas: Betas::new(patterns, &conditions, &of_run)?, runs, warnings })
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

fn repetition_time(config: &Config, header: Option<f64>, path: &Path) -> Result<f64> {
    config.bold.tr_s.or(header).ok_or_else(|| {
        let hint = "the header does not say it: give --tr in seconds";
        Error::invalid(path.display().to_string(), "the repetition time", "none", hint)
    })
}

/// One sample: NaN where the series has no variation, so that the voxel is left out and counted.
fn row(found: &Fit, condition: usize, estimate: Estimate, values: ArrayView2<'_, f32>) -> Array2<f32> {
    let of = if estimate == Estimate::T { &found.t } else { &found.betas };
    let constant = |v: usize| values.column(v).iter().all(|x| *x == values[[0, v]]);
    Array2::from_shape_fn((1, values.ncols()), |(_, v)| if constant(v) { f32::NAN } else { of[[condition, v]] as f32 })
}

/// A table of BIDS events: onset, duration, the condition, and modulation where there is one. Rows without a condition are
/// left out; conditions are in natural order of their names.
fn events(path: &Path, run_s: f64, config: &Config) -> Result<Vec<Condition>> {
    let table = tsv::read(path)?;
    let column = |name: &str, hint: &str| {
        table.column(name).ok_or_else(|| table.without(path, &format!("a column `{name}`"), hint))
    };
    let names = match &config.betas.condition_column {
        Some(name) => column(name, "name it with --condition-column")?,
        None => match ["trial_type"].iter().chain(&CONDITION_COLUMNS).find_map(|name| table.column(name)) {
            Some(names) => names,
            None => column("trial_type", "name the column of the conditions with --condition-column")?,
        },
    };
    let seconds = "BIDS events have onset and duration in seconds";
    let (onsets, durations) = (column("onset", seconds)?, column("duration", seconds)?);
    let modulation = table.column("modulation");
    let mut conditions: Vec<Condition> = Vec::new();
    for (i, name) in names.iter().enumerate().filter(|(_, name)| !tsv::is_missing(name)) {
        let event = Event {
            onset_s: onset(path, i, onsets[i], run_s)?,
            duration_s: duration(path, i, durations[i])?,
            amplitude: match &modulation {
                Some(m) => finite(path, ("modulation", i), m[i], "1 is an event of ordinary height")?,
                None => 1.0,
            },
        };
        match conditions.iter_mut().find(|c| c.name == *name) {
            Some(condition) => condition.events.push(event),
            None => conditions.push(Condition { name: (*name).to_owned(), events: vec![event] }),
        }
    }
    if conditions.is_empty() {
        let hint = "the column of the conditions is empty: name another one with --condition-column";
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

/// Confounds: the columns asked for (a `*` at the end stands for anything), all without being asked. `of_volumes`: how many
/// volumes the run has, and its file.
///
/// Leading `n/a`, which the first rows of derivatives have, are 0.
fn confounds(path: &Path, of_volumes: (usize, &Path), wanted: &[String]) -> Result<(Array2<f64>, Vec<String>)> {
    let table = tsv::read(path)?;
    let matches = |column: &String, pattern: &String| match pattern.strip_suffix('*') {
        Some(start) => column.starts_with(nfc(start).as_ref()),
        None => same(column, pattern),
    };
    if let Some(absent) = wanted.iter().find(|w| !table.header.iter().any(|c| matches(c, w))) {
        return Err(table.without(path, &format!("a column `{absent}`"), "see --confound-columns"));
    }
    let (n_volumes, run) = of_volumes;
    if table.rows.len() != n_volumes {
        let expected = format!("{n_volumes} rows of confounds, one for each volume of {}", run.display());
        let hint = "is it the table of this run, whole, and were volumes taken off only one of the two?";
        return Err(Error::invalid(path.display().to_string(), expected, table.rows.len().to_string(), hint));
    }
    let chosen = |c: &&String| wanted.is_empty() || wanted.iter().any(|w| matches(c, w));
    let names: Vec<String> = table.header.iter().filter(chosen).cloned().collect();
    let mut values = Array2::zeros((table.rows.len(), names.len()));
    for (c, name) in names.iter().enumerate() {
        let mut leading = true;
        for (v, text) in table.column(name).unwrap_or_default().into_iter().enumerate() {
            let number = text.trim().parse::<f64>().ok().filter(|x| x.is_finite());
            values[[v, c]] = match number {
                Some(x) => x,
                None if leading && tsv::is_missing(text) => 0.0,
                None => {
                    let hint = if tsv::is_missing(text) {
                        "only the first rows of a derivative may be n/a"
                    } else {
                        "choose columns of numbers with --confound-columns"
                    };
                    return Err(tsv::bad_field(path, name, v, "a finite number", text, hint));
                }
            };
            leading &= number.is_none();
        }
    }
    Ok((values, names))
}
