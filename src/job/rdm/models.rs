//! The layers as models of several subjects' RDMs: which explains them best, and how well any model
//! could.

use crate::data::names::twice;
use crate::error::{Error, Result};
use crate::io::tsv::{self, Table};
use crate::job::run_dir::RunDir;
use crate::rdm::files::load_subjects;
use crate::rdm::inference::{Estimate, Options, Resampling, Summary, summarize};
use crate::rdm::{Comparison, Rdm};
use crate::report::figures::{self, BarOptions, BarSeries};
use ndarray::Array2;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// What the conclusions are to hold for beyond the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bootstrap {
    /// Other subjects, these images: t tests over the subjects, no resamples.
    None,
    /// Other subjects, these images.
    Subjects,
    /// Other images, these subjects.
    Images,
    /// Other subjects and other images: the dual bootstrap.
    #[default]
    Both,
}

impl Bootstrap {
    fn resampling(self) -> Option<Resampling> {
        match self {
            Self::None => None,
            Self::Subjects => Some(Resampling::Rdms),
            Self::Images => Some(Resampling::Patterns),
            Self::Both => Some(Resampling::Dual),
        }
    }
}

/// The table `[inference]` of a configuration: every array of several RDMs in `compare` is taken as
/// those of subjects.
///
/// | name | default | purpose |
/// |---|---|---|
/// | `bootstrap` | both | none, subjects, images or both |
/// | `n_bootstraps` | 1000 | resamples |
/// | `level` | 0.95 | coverage of the intervals |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Inference {
    pub bootstrap: Bootstrap,
    pub n_bootstraps: usize,
    pub level: f64,
}

impl Default for Inference {
    fn default() -> Self {
        Self { bootstrap: Bootstrap::default(), n_bootstraps: 1000, level: 0.95 }
    }
}

impl Inference {
    /// With the job's comparison and seed.
    pub fn options(&self, comparison: Comparison, seed: u64) -> Options {
        let resampling = self.bootstrap.resampling();
        Options { comparison, resampling, n_bootstraps: self.n_bootstraps, level: self.level, seed }
    }
}

/// The RDMs of subjects that the models are to explain, each n_subjects x n_pairs, with its name.
pub type Subjects = Vec<(String, Array2<f64>)>;

/// Reads the subjects' RDMs; nothing without an `[inference]`.
///
/// # Errors
/// [`Error::Invalid`] for options that cannot be, or when no file holds several RDMs; as
/// [`load_subjects`].
pub fn load(compare: &[PathBuf], inference: Option<&Inference>, n_images: usize) -> Result<Subjects> {
    let Some(inference) = inference else {
        return Ok(vec![]);
    };
    if !(inference.level > 0.0 && inference.level < 1.0) {
        let found = inference.level.to_string();
        return Err(Error::invalid("inference.level", "a coverage between 0 and 1", found, "0.95 is usual"));
    }
    if inference.bootstrap != Bootstrap::None && inference.n_bootstraps < 2 {
        let found = inference.n_bootstraps.to_string();
        return Err(Error::invalid("inference.n_bootstraps", "2 resamples or more", found, "1000 is usual"));
    }
    let mut subjects = Vec::new();
    for path in compare {
        let read = load_subjects(path, n_images)?;
        subjects.extend(read.into_iter().map(|(name, rdms)| (path.as_path(), name, rdms)));
    }
    if subjects.is_empty() {
        let hint = "give one array of subjects x images x images, or drop what asks for an inference over subjects";
        return Err(Error::invalid("compare", "an array of several subjects' RDMs", "none", hint));
    }
    told_apart(subjects)
}

/// What was read from several files, with one name each: where two have one, their files' names
/// stand in front of it.
///
/// # Errors
/// [`Error::Invalid`] when that does not tell them apart either.
pub fn told_apart<T>(read: Vec<(&Path, String, T)>) -> Result<Vec<(String, T)>> {
    let mut times: HashMap<String, usize> = HashMap::new();
    read.iter().for_each(|(_, name, _)| *times.entry(name.clone()).or_default() += 1);
    let told = |(path, name, value): (&Path, String, T)| {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        if times[&name] > 1 { (format!("{stem}.{name}"), value) } else { (name, value) }
    };
    let all: Vec<(String, T)> = read.into_iter().map(told).collect();
    match twice(all.iter().map(|(name, _)| name.as_str())) {
        Some(name) => {
            let hint = "they are called by their files and arrays: rename one of the files";
            Err(Error::invalid("compare", "one RDM a name", format!("`{name}` twice"), hint))
        }
        None => Ok(all),
    }
}

/// One reference's comparison of all models.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Models {
    pub reference: String,
    pub bootstrap: Bootstrap,
    #[serde(flatten)]
    pub summary: Summary,
}

/// Compares the layers with every reference's subjects; writes `arrays/model_comparison.tsv`,
/// `arrays/model_pairs.tsv` and `figures/models_N`, N from 1.
///
/// # Errors
/// As [`summarize`]; whatever writing says.
pub fn compare(
    run: &RunDir,
    layers: &[(String, Rdm)],
    subjects: &Subjects,
    inference: &Inference,
    options: &Options,
) -> Result<Vec<Models>> {
    let one = |(reference, rdms): &(String, Array2<f64>)| {
        let summary = summarize(layers, rdms.view(), options)?;
        Ok(Models { reference: reference.clone(), bootstrap: inference.bootstrap, summary })
    };
    let found = subjects.iter().map(one).collect::<Result<Vec<_>>>()?;
    tsv::write(&run.file("arrays/model_comparison.tsv"), &models_table(&found))?;
    tsv::write(&run.file("arrays/model_pairs.tsv"), &pairs_table(&found))?;
    for (i, models) in found.iter().enumerate() {
        draw(models, &run.file("figures").join(format!("models_{}", i + 1)))?;
    }
    Ok(found)
}

fn cells(e: &Estimate) -> [f64; 5] {
    [e.similarity, e.mean, e.sem, e.low, e.high]
}

/// Models, and the bounds of the noise ceiling as `noise_ceiling_lower` and `noise_ceiling_upper`.
fn models_table(found: &[Models]) -> Table {
    let mut out = Table::new([
        "reference",
        "model",
        "similarity",
        "mean",
        "sem",
        "low",
        "high",
        "p_zero",
        "p_zero_fwe",
        "q_zero",
        "p_ceiling",
        "p_ceiling_fwe",
        "q_ceiling",
    ]);
    for Models { reference, summary, .. } in found {
        let mut push = |model: &str, estimate: &Estimate, p: [f64; 6]| {
            let numbers = cells(estimate).into_iter().chain(p).map(tsv::field);
            out.push([reference.clone(), model.to_owned()].into_iter().chain(numbers).collect::<Vec<_>>());
        };
        for m in &summary.models {
            let p = [m.p_zero, m.p_zero_fwe, m.q_zero, m.p_ceiling, m.p_ceiling_fwe, m.q_ceiling];
            push(&m.model, &m.estimate, p);
        }
        push("noise_ceiling_lower", &summary.noise_ceiling.lower, [f64::NAN; 6]);
        push("noise_ceiling_upper", &summary.noise_ceiling.upper, [f64::NAN; 6]);
    }
    out
}

fn pairs_table(found: &[Models]) -> Table {
    let mut out = Table::new(["reference", "a", "b", "difference", "sem", "low", "high", "p", "p_fwe", "q"]);
    for Models { reference, summary, .. } in found {
        for pair in &summary.pairs {
            let numbers = [pair.difference, pair.sem, pair.low, pair.high, pair.p, pair.p_fwe, pair.q].map(tsv::field);
            out.push(
                [reference.clone(), pair.a.clone(), pair.b.clone()].into_iter().chain(numbers).collect::<Vec<_>>(),
            );
        }
    }
    out
}

/// Means with their intervals, and the noise ceiling.
fn draw(models: &Models, stem: &Path) -> Result<()> {
    let summary = &models.summary;
    let names: Vec<String> = summary.models.iter().map(|m| m.model.clone()).collect();
    let series = BarSeries {
        name: format!("{}, {} subjects", models.reference, summary.n_subjects),
        values: summary.models.iter().map(|m| m.estimate.mean).collect(),
        errors: Some(summary.models.iter().map(|m| [m.estimate.low, m.estimate.high]).collect()),
    };
    let ceiling = &summary.noise_ceiling;
    let options = BarOptions {
        y_label: format!("{}, mean over subjects", words(summary.comparison)),
        references: vec![
            ("noise ceiling, upper".into(), ceiling.upper.mean),
            ("noise ceiling, lower".into(), ceiling.lower.mean),
        ],
        ..BarOptions::default()
    };
    figures::bars(&names, &[series], stem, &options)
}

fn words(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Spearman => "Spearman's rho",
        Comparison::Pearson => "Pearson's r",
        Comparison::KendallTauA => "Kendall's tau-a",
        Comparison::Cosine => "cosine",
    }
}
