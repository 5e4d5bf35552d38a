//! Targets of encoding models: the section `[targets]`.
//!
//! Every file becomes a block (rows x targets x repeats); blocks are joined, and are responses
//! to stimuli or time series. Nothing is matched by position unless the user says so.

mod align;
mod arrays;
mod config;
mod join;
pub mod maps;
mod rois;
mod samples;

pub use align::{Aligned, align};
pub use config::{Axis, MaskOrder, Matching, Repeats, Rows, TargetsConfig};
pub use samples::list;

use crate::data::{Place, Responses, TimeSeries, Usable};
use crate::error::{Error, Result};
use crate::io::nifti;
use crate::warning::Warning;
use ndarray::Array3;

/// What was read.
#[derive(Debug, Clone)]
pub struct Targets {
    pub recorded: Recording,
    /// Whether the targets have names, or places that name them; else they are numbers.
    pub named: bool,
    /// Named sets of targets; empty where none were given.
    pub regions: Vec<(String, Vec<u32>)>,
    /// Space of the voxels' affine.
    pub space: nifti::Space,
    pub warnings: Vec<Warning>,
}

/// Responses to stimuli, or samples in time.
#[derive(Debug, Clone)]
pub enum Recording {
    Responses {
        responses: Responses,
        /// Whether the stimuli have names of their own; else they are numbers.
        named: bool,
    },
    Series(TimeSeries),
}

impl Recording {
    /// Where the targets are.
    pub fn place(&self) -> &Place {
        match self {
            Self::Responses { responses, .. } => responses.place(),
            Self::Series(series) => series.place(),
        }
    }

    /// Number of targets.
    pub fn n_targets(&self) -> usize {
        self.usable().len()
    }

    /// What each target allows.
    pub fn usable(&self) -> &[Usable] {
        match self {
            Self::Responses { responses, .. } => responses.usable(),
            Self::Series(series) => series.usable(),
        }
    }
}

/// What a file holds.
struct Block {
    /// n_rows x n_targets x n_repeats.
    values: Array3<f32>,
    place: Place,
    /// Names of the targets, if the file has some.
    names: Option<Vec<String>>,
    /// Names of the rows, if the file has some.
    ids: Option<Vec<String>>,
    /// Seconds between rows, if the file says so.
    tr_s: Option<f64>,
    space: nifti::Space,
    /// For each target, its column in the file, where they were put into another order.
    columns: Option<Vec<usize>>,
}

impl Block {
    fn nowhere(values: Array3<f32>) -> Self {
        Self {
            values,
            place: Place::Nowhere,
            names: None,
            ids: None,
            tr_s: None,
            space: nifti::Space::default(),
            columns: None,
        }
    }
}

/// Reads everything that is about the targets.
///
/// # Errors
/// [`Error::Io`] and [`Error::Corrupt`] of the files; [`Error::Invalid`], which names the key, for
/// files that do not fit each other, the tables or the mask, axes that cannot be told apart, and
/// keys that mean nothing together.
pub fn read(config: &TargetsConfig) -> Result<Targets> {
    check(config)?;
    let mut warnings = vec![];
    let ids = config.ids.as_ref().map(|path| samples::ids(path, config.ids_column.as_deref())).transpose()?;
    let n_rows = ids.as_ref().map(Vec::len).filter(|_| config.files.len() == 1);
    let mut blocks = vec![];
    for path in &config.files {
        blocks.push(arrays::read(path, config, n_rows, &mut warnings)?);
    }
    let joined = join::join(config, blocks)?;
    let (space, columns) = (joined.block.space, joined.block.columns.clone());
    let named = config.names.is_some() || joined.block.names.is_some() || joined.block.place != Place::Nowhere;
    let recorded = samples::recording(config, joined, ids, &mut warnings)?;
    let regions = rois::read(config, &recorded, columns.as_deref(), &mut warnings)?;
    warnings.extend(unusable(&recorded));
    Ok(Targets { recorded, named, regions, space, warnings })
}

/// What the user should know of targets that cannot be used.
fn unusable(recorded: &Recording) -> Option<Warning> {
    let all = recorded.usable();
    let count = |kind: Usable| all.iter().filter(|u| **u == kind).count();
    let (n_nan, n_constant) = (count(Usable::NotFinite), count(Usable::Constant));
    (n_nan + n_constant > 0).then(|| Warning::Note {
        text: format!(
            "of {} targets, {n_nan} lack a number in some row (NaN or infinity) and {n_constant} never change: they keep their place and score 0",
            all.len()
        ),
    })
}

fn check(config: &TargetsConfig) -> Result<()> {
    if config.files.is_empty() {
        return bad("files", "files of responses or time series", "none", "");
    }
    together(config)?;
    if let Some(tr_s) = config.tr_s.filter(|t| !(1e-3..=1e3).contains(t)) {
        return bad("tr_s", "seconds from 0.001 to 1000", &tr_s.to_string(), "");
    }
    let n = |axis: Axis| config.axes.iter().filter(|a| **a == axis).count();
    let whole = n(Axis::Targets) == 1 && n(Axis::Rows) == 1 && n(Axis::Repeats) <= 1;
    if !config.axes.is_empty() && !whole {
        return bad(
            "axes",
            "`targets` and `rows` once each, and `repeats` where there are some",
            &format!("{:?}", config.axes),
            "",
        );
    }
    if config.mask_order.is_some() && config.mask.is_none() {
        return bad("mask_order", "a mask beside it (`targets.mask`)", "none", "");
    }
    if config.roi_names.is_some() && config.rois.is_empty() {
        return bad("roi_names", "an image of labels beside it (`targets.rois`)", "none", "");
    }
    if config.rois_group.is_some() && config.rois.len() != 1 {
        return bad("rois_group", "one HDF5 file in `targets.rois`", &config.rois.len().to_string(), "");
    }
    Ok(())
}

fn bad(key: &str, expected: &str, found: &str, hint: &str) -> Result<()> {
    Err(Error::invalid(format!("targets.{key}"), expected, found, hint))
}

/// Refuses keys that mean nothing with what the rows are.
fn together(config: &TargetsConfig) -> Result<()> {
    match config.rows {
        Rows::Trials if config.trials.is_none() => {
            let hint =
                "a table with one row a trial and a column of stimuli; rows = \"stimuli\" if each row is a stimulus";
            bad("trials", "what was shown in each trial", "none", hint)
        }
        Rows::Stimuli if config.trials.is_some() => {
            bad("trials", "no table of trials with rows = \"stimuli\"", "one", "rows = \"trials\", or \"time\"")
        }
        Rows::Trials | Rows::Time if config.ids.is_some() => bad(
            "ids",
            "no names of stimuli beside a table of trials or samples",
            "a file",
            "ids are for rows = \"stimuli\"",
        ),
        Rows::Stimuli | Rows::Trials if config.tr_s.is_some() => {
            bad("tr_s", "seconds between samples only with rows = \"time\"", "some", "")
        }
        Rows::Time if config.repeats == Repeats::Average => bad(
            "repeats",
            "`keep` with rows = \"time\"",
            "`average`",
            "a time series has no repeats: average its runs before",
        ),
        _ => Ok(()),
    }
}
