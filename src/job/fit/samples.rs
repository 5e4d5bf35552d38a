//! What is to be predicted, sample by sample, and what is known of the samples.

use super::config::{Config, Deal, RunScaling};
use super::rounds::Round;
use crate::data::names::find_all;
use crate::data::{Place, Responses, TimeSeries};
use crate::encoding::{Labels, Leakage, Rows};
use crate::error::{Error, Result};
use crate::io::{nifti, tsv};
use crate::job::inputs::targets::{Matching, Recording, Targets, align};
use crate::math::stats;
use crate::warning::Warning;
use ndarray::{Array2, ArrayViewMut2, Axis};
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

/// Responses or a time series, one row a sample.
pub struct Samples {
    /// n_samples x n_targets: means over repeats, or the samples of runs. What a round is fitted on and
    /// tested with is [`Samples::of_round`].
    y: Array2<f32>,
    /// Stimuli, or `run-1:17`.
    pub names: Vec<String>,
    pub targets: Vec<String>,
    /// With repeats, in the order of the samples.
    pub responses: Option<Responses>,
    pub time: Option<Time>,
    /// Number of each sample's category, and the categories' names.
    pub categories: Option<(Vec<usize>, Vec<String>)>,
    /// Number of each sample's picture, where some are copies of others under another name.
    pub copies: Option<Vec<usize>>,
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
    /// What is done to a target's samples of a run.
    scaling: RunScaling,
    /// Whether it is done: where no round cuts a run, it is the same in all of them.
    is_scaled: bool,
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
            copies: None,
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
            y: series.values().to_owned(),
            names,
            targets: series.targets().to_vec(),
            responses: None,
            time: Some(Time {
                runs: series.runs().to_vec(),
                run_names,
                tr_s: series.tr_s(),
                scaling: config.time.runs,
                is_scaled: false,
            }),
            categories: None,
            copies: None,
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

    /// What folds go by: runs; for folds of whole categories these, else copies of a picture, which are
    /// never on both sides.
    pub fn labels(&self, by: Deal) -> Labels<'_> {
        let groups = match by {
            Deal::Group => self.categories.as_ref().map(|(numbers, _)| numbers),
            _ => self.copies.as_ref(),
        };
        Labels { runs: self.time.as_ref().map(|time| time.runs.as_slice()), groups: groups.map(Vec::as_slice) }
    }

    /// Scales runs for good where that does not depend on the round: where none has training rows and
    /// others of one run.
    pub fn settle(&mut self, rounds: &[Round]) {
        let n = self.n_samples();
        let Some(time) = self.time.as_mut().filter(|time| time.scaling != RunScaling::None) else { return };
        let whole =
            |round: &Round| !runs(&time.runs).any(|run| (1..run.len()).contains(&round.train.among(&run).len()));
        if rounds.iter().all(whole) {
            let all = Rows::all(n).expect("samples");
            scale(self.y.view_mut(), &time.runs, time.scaling, &all);
            time.is_scaled = true;
        }
    }

    /// Responses as a round with these training rows sees them, n_samples x n_targets: of time series
    /// every target's samples of a run are scaled by the run's training rows, and of a run that has
    /// none, which is held out whole, by its own.
    pub fn of_round(&self, train: &Rows) -> Cow<'_, Array2<f32>> {
        match &self.time {
            Some(time) if time.scaling != RunScaling::None && !time.is_scaled => {
                let mut y = self.y.clone();
                scale(y.view_mut(), &time.runs, time.scaling, train);
                Cow::Owned(y)
            }
            _ => Cow::Borrowed(&self.y),
        }
    }

    /// Notes what [`Samples::of_round`] is fitted on.
    pub fn note(&self, train: &Rows, leakage: &mut Leakage) {
        match self.time.as_ref().map(|time| time.scaling) {
            Some(RunScaling::ZScore) => leakage.fitted("means and scales of the targets in each run", train),
            Some(RunScaling::Centre) => leakage.fitted("means of the targets in each run", train),
            Some(RunScaling::None) | None => {}
        }
    }

    /// Bytes of the responses, and of their copies as the last round sees them and the one at hand.
    pub fn bytes(&self) -> usize {
        let copied = self.time.as_ref().is_some_and(|time| time.scaling != RunScaling::None && !time.is_scaled);
        self.y.len() * size_of::<f32>() * (1 + 2 * usize::from(copied))
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

/// The number of each sample's picture, from the hashes of their pixels; none where all differ. Copies are
/// told.
pub fn copies<'a>(
    names: &[String],
    hashes: impl Iterator<Item = &'a str>,
    warnings: &mut Vec<Warning>,
) -> Option<Vec<usize>> {
    let mut first: HashMap<&str, usize> = HashMap::new();
    let numbers: Vec<usize> = hashes.enumerate().map(|(i, hash)| *first.entry(hash).or_insert(i)).collect();
    let pairs: Vec<String> = (0..numbers.len())
        .filter(|&i| numbers[i] != i)
        .map(|i| format!("`{}` is `{}`", names[i], names[numbers[i]]))
        .collect();
    if pairs.is_empty() {
        return None;
    }
    let some = pairs[..pairs.len().min(3)].join(", ");
    let more = if pairs.len() > 3 { ", ..." } else { "" };
    warnings.push(Warning::Note {
        text: format!(
            "{} images have the pixels of another one ({some}{more}): copies are kept on one side of every split, as repeats of a stimulus are",
            pairs.len()
        ),
    });
    Some(numbers)
}

/// The samples of each run, which follow each other.
fn runs(of: &[usize]) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    of.chunk_by(|a, b| a == b).map(move |run| {
        start += run.len();
        start - run.len()..start
    })
}

/// Every target's samples of a run, scaled by the mean and the standard deviation (ddof 0) of the run's
/// rows among those of `train`; of all its rows where none is.
fn scale(mut y: ArrayViewMut2<'_, f32>, of: &[usize], how: RunScaling, train: &Rows) {
    for run in runs(of) {
        let own = train.among(&run);
        let rows = if own.is_empty() { run.clone().collect() } else { own.to_vec() };
        let n = rows.len() as f64;
        let sums = |term: &dyn Fn(usize, f64) -> f64| {
            let mut sums = vec![0.0; y.ncols()];
            for &row in &rows {
                sums.iter_mut().zip(y.row(row)).enumerate().for_each(|(t, (sum, &v))| *sum += term(t, f64::from(v)));
            }
            sums.into_iter().map(|sum| sum / n).collect::<Vec<f64>>()
        };
        let means = sums(&|_, v| v);
        let sds: Vec<f64> = match how {
            RunScaling::ZScore => {
                let variances = sums(&|t, v| (v - means[t]).powi(2));
                // A run in which a target does not vary says nothing of it.
                let sd = |(v, &mean): (f64, &f64)| if stats::varies(v, mean) { v.sqrt() } else { f64::INFINITY };
                variances.into_iter().zip(&means).map(sd).collect()
            }
            RunScaling::Centre | RunScaling::None => vec![1.0; means.len()],
        };
        for row in run {
            for ((v, mean), sd) in y.row_mut(row).iter_mut().zip(&means).zip(&sds) {
                *v = ((f64::from(*v) - mean) / sd) as f32;
            }
        }
    }
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
        let scaled = |how, train: &[usize]| {
            let mut y = values.clone();
            scale(y.view_mut(), &[0, 0, 1, 1], how, &Rows::new(train.to_vec(), 4).unwrap());
            y
        };
        let all = [0, 1, 2, 3];
        assert_eq!(scaled(RunScaling::Centre, &all), array![[-1.0, 0.0], [1.0, 0.0], [-10.0, -1.0], [10.0, 1.0]]);
        let z = array![[-1.0, 0.0], [1.0, 0.0], [-1.0, -1.0], [1.0, 1.0]];
        assert_eq!(scaled(RunScaling::ZScore, &all), z);
        assert_eq!(scaled(RunScaling::ZScore, &[0, 1]), z, "a run that is held out whole has its own numbers");
        let cut = array![[-1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [20.0, 2.0]];
        assert_eq!(scaled(RunScaling::Centre, &[0, 1, 2]), cut, "of a run that is cut, training rows alone count");
    }
}
