//! Which samples something may be fitted on, and on which it is tested.
//!
//! Whatever learns (a mean, a scale, components, penalties, weights) takes the whole matrix and the
//! [`Rows`] of a training side, reads no other row, and writes down in a [`Leakage`] what it was
//! fitted on. Rows come from [`folds`], which keeps repeats of an image on one side and leaves out
//! samples too near in time.

use crate::error::{Error, Result};
use crate::rng;
use ndarray::{Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

/// Some of `n_samples` samples, ascending, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows {
    indices: Vec<usize>,
    n_samples: usize,
}

impl Rows {
    /// Samples in any order.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there are none, one comes twice or does not exist.
    pub fn new(mut indices: Vec<usize>, n_samples: usize) -> Result<Self> {
        indices.sort_unstable();
        let found = match indices.last() {
            None => "none".into(),
            Some(&last) if last >= n_samples => format!("sample {last} of {n_samples}"),
            _ => match indices.windows(2).find(|pair| pair[0] == pair[1]) {
                Some(pair) => format!("sample {} twice", pair[0]),
                None => return Ok(Self { indices, n_samples }),
            },
        };
        Err(Error::invalid("rows", "some of the samples, each once", found, "samples are counted from 0"))
    }

    /// All samples.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there are none.
    pub fn all(n_samples: usize) -> Result<Self> {
        Self::new((0..n_samples).collect(), n_samples)
    }

    /// The samples, ascending.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }

    /// Those of them in a range of samples.
    pub fn among(&self, range: &Range<usize>) -> &[usize] {
        let place = |sample: usize| self.indices.partition_point(|&own| own < sample);
        &self.indices[place(range.start)..place(range.end)]
    }

    /// How many these are.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Never.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// How many samples these are taken from.
    pub fn n_samples(&self) -> usize {
        self.n_samples
    }

    /// Whether a sample is one of these.
    pub fn contains(&self, sample: usize) -> bool {
        self.indices.binary_search(&sample).is_ok()
    }

    /// These rows of a matrix.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the matrix, called `what`, has another number of samples.
    pub fn take<T: Copy>(&self, matrix: ArrayView2<'_, T>, what: &str) -> Result<Array2<T>> {
        self.check(matrix.nrows(), what)?;
        Ok(matrix.select(Axis(0), &self.indices))
    }

    /// # Errors
    /// [`Error::Invalid`] when `what` has another number of samples.
    pub fn check(&self, n_samples: usize, what: &str) -> Result<()> {
        if n_samples == self.n_samples {
            return Ok(());
        }
        let hint = "features and responses need one row for every sample, in the same order";
        Err(Error::invalid(what, format!("{} samples", self.n_samples), n_samples.to_string(), hint))
    }

    /// Where these stand among the rows of `outer`; `None` when one is not there.
    pub fn within(&self, outer: &Self) -> Option<Vec<usize>> {
        self.indices.iter().map(|sample| outer.indices.binary_search(sample).ok()).collect()
    }
}

/// `0-799, 812`.
impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, run) in self.indices.chunk_by(|a, b| a + 1 == *b).enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            match run {
                [only] => write!(f, "{comma}{only}")?,
                _ => write!(f, "{comma}{}-{}", run[0], run[run.len() - 1])?,
            }
        }
        Ok(())
    }
}

/// What was fitted on which samples.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Leakage(Vec<(String, Rows)>);

/// One line of a [`Leakage`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fitted {
    /// What was fitted.
    pub what: String,
    /// On how many samples.
    pub n_rows: usize,
    /// Which: `0-799, 812`.
    pub rows: String,
}

impl Leakage {
    /// Notes that `what` was fitted on those rows.
    pub fn fitted(&mut self, what: impl Into<String>, rows: &Rows) {
        self.0.push((what.into(), rows.clone()));
    }

    /// Takes over what another noted, each line after `part`: `fold 2: means of conv1`.
    pub fn take_over(&mut self, part: &str, other: Self) {
        self.0.extend(other.0.into_iter().map(|(what, rows)| (format!("{part}: {what}"), rows)));
    }

    /// Takes over what another noted, as it is.
    pub fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// # Errors
    /// [`Error::Invalid`] when anything was fitted on a sample that is none of `allowed`.
    pub(super) fn within(&self, allowed: &Rows) -> Result<()> {
        for (what, rows) in &self.0 {
            if let Some(sample) = rows.indices.iter().find(|&&sample| !allowed.contains(sample)) {
                let found = format!("{what} fitted on sample {sample} as well");
                return Err(Error::invalid("leakage", "features fitted on the rows asked for alone", found, ""));
            }
        }
        Ok(())
    }

    /// Whether nothing was fitted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// # Errors
    /// [`Error::Invalid`] when anything was fitted on a sample that is tested.
    pub fn check(&self, test: &Rows) -> Result<()> {
        for (what, rows) in &self.0 {
            if let Some(sample) = test.indices.iter().find(|&&sample| rows.contains(sample)) {
                let found = format!("{what} fitted on tested sample {sample}");
                return Err(Error::invalid("leakage", "nothing fitted on what is tested", found, ""));
            }
        }
        Ok(())
    }

    /// For results.
    pub fn report(&self) -> Vec<Fitted> {
        let line =
            |(what, rows): &(String, Rows)| Fitted { what: what.clone(), n_rows: rows.len(), rows: rows.to_string() };
        self.0.iter().map(line).collect()
    }
}

/// How samples are dealt out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Split {
    /// One run left out at a time.
    Run,
    /// `n_folds` contiguous blocks, the first ones longer by one where they do not divide
    /// (scikit-learn's `KFold`).
    Block { n_folds: usize },
    /// The k-th row of the training side to fold `k mod n_folds`: neighbours in time on both sides,
    /// unless a gap is purged.
    Interleaved { n_folds: usize },
    /// Whole groups (images): the largest group first, each to the fold that has the fewest samples
    /// (scikit-learn's `GroupKFold`; of equal groups the one met first comes first).
    Group { n_folds: usize },
    /// In a random order, whole groups where there are groups: `rng::stream(seed, "folds", 0)`.
    Random { n_folds: usize, seed: u64 },
}

/// What is known about the samples, one entry each.
#[derive(Debug, Clone, Copy, Default)]
pub struct Labels<'a> {
    /// The run of each sample; samples of one run follow each other in time.
    pub runs: Option<&'a [usize]>,
    /// The image of each sample: repeats of one image are never on both sides.
    pub groups: Option<&'a [usize]>,
}

/// A training and a test side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fold {
    /// What may be fitted on.
    pub train: Rows,
    /// What is tested.
    pub test: Rows,
    /// Samples on no side because a tested one of the same run is near.
    pub n_purged: usize,
    /// Samples on no side because their image is tested.
    pub n_repeats: usize,
}

/// Deals out the rows of a training side.
///
/// A sample is on no side of a fold where one of its image is tested, or where a tested sample of
/// its run is at most `purge` samples away.
///
/// # Errors
/// [`Error::Invalid`] for fewer than 2 folds, fewer samples (groups, runs) than folds, labels that
/// are missing or of another length, and folds with an empty side.
pub fn folds(rows: &Rows, labels: &Labels<'_>, split: Split, purge: usize) -> Result<Vec<Fold>> {
    check_labels(rows, labels)?;
    let tests = match split {
        Split::Run => by_label(rows, needed(labels.runs, "runs")?),
        Split::Block { n_folds } => {
            enough(rows.len(), n_folds, "samples")?;
            blocks(rows.indices(), n_folds)
        }
        Split::Interleaved { n_folds } => {
            enough(rows.len(), n_folds, "samples")?;
            (0..n_folds).map(|fold| rows.indices().iter().skip(fold).step_by(n_folds).copied().collect()).collect()
        }
        Split::Group { n_folds } => dealt(by_label(rows, needed(labels.groups, "groups")?), n_folds)?,
        Split::Random { n_folds, seed } => shuffled(rows, labels.groups, n_folds, seed)?,
    };
    enough(tests.len(), 2, "runs")?;
    tests.into_iter().enumerate().map(|(i, test)| fold(rows, labels, test, purge, i)).collect()
}

fn check_labels(rows: &Rows, labels: &Labels<'_>) -> Result<()> {
    let given = [("runs", labels.runs), ("groups", labels.groups)];
    given
        .iter()
        .filter_map(|(what, given)| Some((what, (*given)?)))
        .try_for_each(|(what, own)| rows.check(own.len(), what))
}

fn needed<'a>(labels: Option<&'a [usize]>, what: &str) -> Result<&'a [usize]> {
    labels.ok_or_else(|| {
        Error::invalid("folds", format!("{what} of the samples"), "none", "give them, or make folds by block")
    })
}

fn enough(n: usize, n_folds: usize, what: &str) -> Result<()> {
    if n_folds >= 2 && n >= n_folds {
        return Ok(());
    }
    let found = format!("{n_folds} folds of {n} {what}");
    Err(Error::invalid(
        "folds",
        format!("2 folds or more, and a fold for no more than all {what}"),
        found,
        "use fewer folds",
    ))
}

/// The samples of each label, labels in the order in which they are met.
fn by_label(rows: &Rows, labels: &[usize]) -> Vec<Vec<usize>> {
    let mut place = BTreeMap::new();
    let mut members: Vec<Vec<usize>> = Vec::new();
    for &sample in rows.indices() {
        let at = *place.entry(labels[sample]).or_insert(members.len());
        if at == members.len() {
            members.push(Vec::new());
        }
        members[at].push(sample);
    }
    members
}

fn blocks(samples: &[usize], n_folds: usize) -> Vec<Vec<usize>> {
    let (each, longer) = (samples.len() / n_folds, samples.len() % n_folds);
    let start = |fold: usize| fold * each + fold.min(longer);
    (0..n_folds).map(|fold| samples[start(fold)..start(fold + 1)].to_vec()).collect()
}

/// Each group to the fold that has the fewest samples so far.
fn dealt(mut groups: Vec<Vec<usize>>, n_folds: usize) -> Result<Vec<Vec<usize>>> {
    enough(groups.len(), n_folds, "groups")?;
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    let mut tests = vec![Vec::new(); n_folds];
    for group in groups {
        let lightest = (0..n_folds).min_by_key(|&fold| tests[fold].len()).expect("some folds");
        tests[lightest].extend(group);
    }
    Ok(tests)
}

fn shuffled(rows: &Rows, groups: Option<&[usize]>, n_folds: usize, seed: u64) -> Result<Vec<Vec<usize>>> {
    let units = match groups {
        Some(groups) => by_label(rows, groups),
        None => rows.indices().iter().map(|&sample| vec![sample]).collect(),
    };
    enough(units.len(), n_folds, if groups.is_some() { "groups" } else { "samples" })?;
    let order = rng::stream(seed, "folds", 0).permutation(units.len());
    let order = blocks(&order, n_folds);
    Ok(order.iter().map(|fold| fold.iter().flat_map(|&unit| units[unit].clone()).collect()).collect())
}

/// Holds some samples out: the others are fitted on, but those of a held-out image or within
/// `purge` samples of a held-out one of the same run.
///
/// # Errors
/// As [`folds`].
pub fn hold_out(rows: &Rows, labels: &Labels<'_>, test: Vec<usize>, purge: usize) -> Result<Fold> {
    check_labels(rows, labels)?;
    fold(rows, labels, test, purge, 0)
}

fn fold(rows: &Rows, labels: &Labels<'_>, test: Vec<usize>, purge: usize, number: usize) -> Result<Fold> {
    let test = Rows::new(test, rows.n_samples)?;
    let tested_groups: std::collections::BTreeSet<usize> =
        labels.groups.iter().flat_map(|groups| test.indices.iter().map(|&sample| groups[sample])).collect();
    let run = |sample: usize| labels.runs.map_or(0, |runs| runs[sample]);
    let near = |sample: usize| {
        let first = test.indices.partition_point(|&t| t + purge < sample);
        test.indices[first..].iter().take_while(|&&t| t <= sample + purge).any(|&t| run(t) == run(sample))
    };
    let (mut train, mut n_purged, mut n_repeats) = (Vec::new(), 0, 0);
    for &sample in rows.indices.iter().filter(|&&sample| !test.contains(sample)) {
        if labels.groups.is_some_and(|groups| tested_groups.contains(&groups[sample])) {
            n_repeats += 1;
        } else if purge > 0 && near(sample) {
            n_purged += 1;
        } else {
            train.push(sample);
        }
    }
    if train.is_empty() {
        let found = format!("none in fold {number}: {n_purged} are too near in time, {n_repeats} show tested images");
        return Err(Error::invalid("folds", "samples to fit on", found, "use fewer folds or a smaller gap"));
    }
    Ok(Fold { train: Rows::new(train, rows.n_samples)?, test, n_purged, n_repeats })
}

#[cfg(test)]
#[path = "folds_tests.rs"]
mod tests;
