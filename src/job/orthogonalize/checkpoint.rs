//! One file per item holds everything that its next step depends on.

use crate::error::{Error, Result};
use crate::io::sealed;
use crate::io::weights::{self, Storage};
use crate::synthesis::{State, Trace};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// An item between two steps: the synthesizer's state, and where the job stands with it.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    pub state: State,
    /// Enlargements done (pixels parametrisation).
    pub octave: usize,
    /// Wall-clock seconds of all steps, and those inside the executor.
    pub seconds: f64,
    pub executor_seconds: f64,
}

#[derive(Serialize, Deserialize)]
struct Text {
    step: usize,
    horizon: usize,
    octave: usize,
    seconds: f64,
    executor_seconds: f64,
    /// `None` stands for NaN, which JSON lacks.
    trace: BTreeMap<String, Vec<Option<f64>>>,
}

/// Where an item's checkpoint lies.
pub fn path(folder: &Path, item: usize) -> PathBuf {
    folder.join(format!("item-{item:03}.checkpoint"))
}

/// Writes a checkpoint as one atomic file.
///
/// # Errors
/// [`Error::Io`]: the checkpoint before stays.
pub fn write(path: &Path, checkpoint: &Checkpoint) -> Result<()> {
    let state = &checkpoint.state;
    let finite = |v: &f64| v.is_finite().then_some(*v);
    let text = Text {
        step: state.step,
        horizon: state.horizon,
        octave: checkpoint.octave,
        seconds: checkpoint.seconds,
        executor_seconds: checkpoint.executor_seconds,
        trace: state.trace.columns().map(|(n, v)| (n.to_owned(), v.iter().map(finite).collect())).collect(),
    };
    let text = serde_json::to_string(&text).expect("a checkpoint's text has only string keys");
    let notes = BTreeMap::from([("checkpoint".to_owned(), text)]);
    sealed::write(path, &weights::encode(&state.to_arrays(), &notes, Storage::F32)?)
}

/// What is said of a checkpoint that cannot be gone on from.
pub fn damaged(path: &Path, found: &str) -> Error {
    Error::corrupt(path, "a checkpoint of this run", found, "start again with `force`")
}

/// Reads a checkpoint; `None` when there is none.
///
/// # Errors
/// [`Error::Corrupt`] or [`Error::Io`].
pub fn read(path: &Path) -> Result<Option<Checkpoint>> {
    let Some(bytes) = sealed::read(path)? else { return Ok(None) };
    let (arrays, metadata) = weights::decode(&bytes, path)?;
    let corrupt = |found: &str| damaged(path, found);
    let text = metadata.get("checkpoint").ok_or_else(|| corrupt("no `checkpoint` entry"))?;
    let text: Text = serde_json::from_str(text).map_err(|e| corrupt(&e.to_string()))?;
    let columns = text.trace.into_iter().map(|(n, v)| (n, v.into_iter().map(|x| x.unwrap_or(f64::NAN)).collect()));
    let trace = Trace::from_columns(columns.collect());
    let state = State::from_arrays(text.step, text.horizon, trace, &arrays).ok_or_else(|| corrupt("no leaves"))?;
    Ok(Some(Checkpoint { state, octave: text.octave, seconds: text.seconds, executor_seconds: text.executor_seconds }))
}
