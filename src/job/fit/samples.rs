//! What is to be predicted, sample by sample, and what is known of the samples.

use super::config::{Config, Deal, RunScaling};
use crate::data::names::find_all;
use crate::data::{Place, Responses, TimeSeries};
use crate::encoding::Labels;
use crate::error::{Error, Result};
use crate::io::{nifti, tsv};
use crate::job::inputs::targets::{Matching, Recording, Targets, align};
use crate::math::stats;
use crate::warning::Warning;
use ndarray::{Array2, ArrayView2, Axis};
use std::path::Path;

/// Responses or a time series, one row a sample.
pub struct Samples {
    /// n_samples x n_targets: means over repeats, or the samples of runs as they are scaled.
    pub y: Array2<f32>,
    /// Stimuli, or `run-1:17`.
    pub names: Vec<String>,
    pub targets: Vec<String>,
    /// With repeats, in the order of the samples.
    pub responses: Option<Responses>,
    pub time: Option<Time>,
    /// Number of each sample's category, and the categories' names.
    pub categories: Option<(Vec<usize>, Vec<String>)>,
    pub regions: Vec<(String, Vec<u32>)>,
    pub place: Place,
    pub space: nifti::Space,
}

/// The runs of a time series.
pub struct Time {
    /// Of each sample.
    pub runs: Vec<usize>,
    pub run_names: Vec<String>,
    pub tr_s: f64,
}

impl Samples {
    /// Responses matched with the stimuli's names; also the place of each sample among these.
    ///
    /// # Errors
    /// As [`align`].
    pub fn of_stimuli(
        config: &Config,
        targets: &Targets,
        stimuli: &[String],
        warnings: &mut Vec<Warning>,
    ) -> Result<(Self, Vec<usize>)> {
        let aligned = align(targets, stimuli, config.targets.matching)?;
        warnings.extend(aligned.warnings);
        let responses = aligned.responses;
        let names: Vec<String> = aligned.stimuli.iter().map(|&i| stimuli[i].clone()).collect();
        let samples = Self {
            y: means(&responses),
            targets: responses.targets().to_vec(),
            categories: config.stimuli.categories.as_deref().map(|path| categories(path, &names)).transpose()?,
            names,
            place: responses.place().clone(),
            responses: Some(responses),
            time: None,
            regions: targets.regions.clone(),
            space: targets.space,
        };
        Ok((samples, aligned.stimuli))
    }

    /// A time series.
    ///
    /// # Errors
    /// [`Error::Invalid`] for categories, which stimuli have.
    pub fn of_series(config: &Config, targets: &Targets, series: &TimeSeries) -> Result<Self> {
        if config.stimuli.categories.is_some() {
            let hint = "leave `stimuli.categories` out";
            return Err(Error::invalid("stimuli.categories", "responses to stimuli", "a time series", hint));
        }
        let run_names = series.run_names().to_vec();
        let mut within = vec![0; run_names.len()];
        let mut name = |&run: &usize| {
            within[run] += 1;
            format!("{}:{}", run_names[run], within[run] - 1)
        };
        let names = series.runs().iter().map(&mut name).collect();
        Ok(Self {
            y: scaled(series.values(), series.runs(), config.time.runs),
            names,
            targets: series.targets().to_vec(),
            responses: None,
            time: Some(Time { runs: series.runs().to_vec(), run_names, tr_s: series.tr_s() }),
            categories: None,
            regions: targets.regions.clone(),
            place: series.place().clone(),
            space: targets.space,
        })
    }

    /// Names of the stimuli of features without names: those of the responses, where the user says
    /// that both have one order.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the user does not.
    pub fn unnamed(config: &Config, targets: &Targets) -> Result<Vec<String>> {
        match &targets.recorded {
            Recording::Responses { responses, .. } if config.targets.matching == Matching::Order => {
                Ok(responses.stimuli().to_vec())
            }
            _ => {
                let hint = "give a table with the stimulus of each row; or say targets.match = \"order\" if row k of the features is row k of the targets";
                Err(Error::invalid("stimuli.feature_rows", "the stimulus of each row of the features", "none", hint))
            }
        }
    }

    /// What folds go by: runs, and, for folds of whole categories, these.
    pub fn labels(&self, by: Deal) -> Labels<'_> {
        let categories = self.categories.as_ref().filter(|_| by == Deal::Group);
        Labels {
            runs: self.time.as_ref().map(|time| time.runs.as_slice()),
            groups: categories.map(|(numbers, _)| numbers.as_slice()),
        }
    }

    pub fn n_samples(&self) -> usize {
        self.y.nrows()
    }

    pub fn n_targets(&self) -> usize {
        self.y.ncols()
    }

    pub fn several_runs(&self) -> bool {
        self.time.as_ref().is_some_and(|time| time.run_names.len() > 1)
    }
}

/// Means over the repeats that were measured, n_stimuli x n_targets; NaN where none was.
fn means(responses: &Responses) -> Array2<f32> {
    let values = responses.values();
    let mut y = Array2::zeros((responses.n_stimuli(), responses.n_targets()));
    for (target, mut column) in values.axis_iter(Axis(0)).zip(y.columns_mut()) {
        for (repeats, to) in target.rows().into_iter().zip(&mut column) {
            let measured: Vec<f64> = repeats.iter().filter(|v| !v.is_nan()).map(|&v| f64::from(v)).collect();
            *to = stats::mean(&measured) as f32;
        }
    }
    y
}

/// Every target's samples of a run, scaled by the run's own numbers.
fn scaled(values: ArrayView2<'_, f32>, runs: &[usize], how: RunScaling) -> Array2<f32> {
    let mut y = values.to_owned();
    if how == RunScaling::None {
        return y;
    }
    let mut start = 0;
    for run in runs.chunk_by(|a, b| a == b) {
        let mut part = y.slice_axis_mut(Axis(0), (start..start + run.len()).into());
        for mut column in part.columns_mut() {
            let wide: Vec<f64> = column.iter().map(|&v| f64::from(v)).collect();
            let mean = stats::mean(&wide);
            let sd = if how == RunScaling::ZScore { stats::sd(&wide, 0) } else { 1.0 };
            // A run in which a target does not vary says nothing of it.
            let sd = if how == RunScaling::Centre || sd > 1e-12 * mean.abs() { sd } else { f64::INFINITY };
            column.iter_mut().zip(&wide).for_each(|(to, v)| *to = ((v - mean) / sd) as f32);
        }
        start += run.len();
    }
    y
}

/// The category of each stimulus.
fn categories(path: &Path, stimuli: &[String]) -> Result<(Vec<usize>, Vec<String>)> {
    let table = tsv::read(path)?;
    let hint = "the table has the columns `stimulus` and `category`";
    let column =
        |name: &str| table.column(name).ok_or_else(|| table.without(path, &format!("a column `{name}`"), hint));
    let known: Vec<String> = column("stimulus")?.into_iter().map(String::from).collect();
    let of = column("category")?;
    let found = find_all(stimuli, &known, "stimuli.categories", ("stimuli", "rows"))?;
    let mut names: Vec<String> = Vec::new();
    let mut number = |row: usize| {
        let name = of[row];
        names.iter().position(|n| n == name).unwrap_or_else(|| {
            names.push(name.to_owned());
            names.len() - 1
        })
    };
    let numbers = found.places.into_iter().map(&mut number).collect();
    Ok((numbers, names))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn runs_are_scaled_by_their_own_numbers() {
        let values = array![[1.0f32, 5.0], [3.0, 5.0], [10.0, 7.0], [30.0, 9.0]];
        let runs = [0, 0, 1, 1];
        assert_eq!(scaled(values.view(), &runs, RunScaling::None), values);
        let centred = scaled(values.view(), &runs, RunScaling::Centre);
        assert_eq!(centred, array![[-1.0, 0.0], [1.0, 0.0], [-10.0, -1.0], [10.0, 1.0]]);
        let z = scaled(values.view(), &runs, RunScaling::ZScore);
        assert_eq!(z, array![[-1.0, 0.0], [1.0, 0.0], [-1.0, -1.0], [1.0, 1.0]]);
    }
}
