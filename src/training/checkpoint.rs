//! A training's state as a file: what goes on from it makes the same weights, bit for bit.
//!
//! Under a seal, safetensors of 32-bit arrays: `value NAME` for each trained weight, `first NAME` and `second
//! NAME` (AdamW) or `velocity NAME` (SGD), `stored NAME` for moments of batch norms, `steps`;
//! metadata `settings` and `history`, JSON.

use super::trainer::Trainer;
use crate::error::{Error, Result};
use crate::io::sealed;
use crate::io::weights::{self, Storage};
use crate::network::Weights;
use ndarray::arr1;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::Path;

/// Writes a trainer's state, atomically, with the settings that the result depends on and what was
/// seen so far.
///
/// # Errors
/// [`Error::Io`]; [`Error::Invalid`] when a number is NaN or infinite.
pub fn save(path: &Path, trainer: &Trainer, settings: &impl Serialize, history: &impl Serialize) -> Result<()> {
    save_with(path, trainer, settings, history, &Weights::new())
}

/// As [`save`], with arrays beside the state, such as the best weights so far (`beside NAME`).
///
/// # Errors
/// As [`save`].
pub fn save_with(
    path: &Path,
    trainer: &Trainer,
    settings: &impl Serialize,
    history: &impl Serialize,
    beside: &Weights,
) -> Result<()> {
    let state = trainer.save().into_iter().map(|(name, values)| (name, arr1(&values).into_dyn()));
    let beside = beside.iter().map(|(name, values)| (format!("{BESIDE}{name}"), values.clone()));
    let arrays = state.chain(beside);
    let notes = BTreeMap::from([("settings".to_owned(), json(settings)), ("history".to_owned(), json(history))]);
    sealed::write(path, &weights::encode(&arrays.collect(), &notes, Storage::F32)?)
}

/// Before the names of arrays that are no state.
const BESIDE: &str = "beside ";

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("settings and histories have string keys")
}

/// Goes on from a file that [`save`] wrote, if there is one, and returns its history.
///
/// # Errors
/// [`Error::Io`] and [`Error::Corrupt`]; [`Error::Invalid`] when the settings or the network are
/// others.
pub fn resume<H: DeserializeOwned>(path: &Path, trainer: &mut Trainer, settings: &impl Serialize) -> Result<Option<H>> {
    Ok(resume_with(path, trainer, settings)?.map(|(history, _)| history))
}

/// As [`resume`], of a file that [`save_with`] wrote, with the arrays beside the state.
///
/// # Errors
/// As [`resume`].
pub fn resume_with<H: DeserializeOwned>(
    path: &Path,
    trainer: &mut Trainer,
    settings: &impl Serialize,
) -> Result<Option<(H, Weights)>> {
    let Some(bytes) = sealed::read(path)? else { return Ok(None) };
    let (arrays, notes) = weights::decode(&bytes, path)?;
    let note = |key: &str| {
        let expected = "a checkpoint of a training";
        let hint = "remove the file to train from the beginning";
        let none = || Error::corrupt(path, expected, format!("no {key}"), hint);
        notes
            .get(key)
            .ok_or_else(none)
            .map(|text| (text, move |e: serde_json::Error| Error::corrupt(path, expected, e.to_string(), hint)))
    };
    let (saved, _) = note("settings")?;
    let wanted = json(settings);
    if *saved != wanted {
        let hint = "train with the same settings, or write to another folder";
        return Err(Error::invalid(path.display().to_string(), format!("settings {wanted}"), saved.clone(), hint));
    }
    let (history, unreadable) = note("history")?;
    let history = serde_json::from_str(history).map_err(unreadable)?;
    let (mut state, mut beside) = (BTreeMap::new(), Weights::new());
    for (name, array) in arrays {
        match name.strip_prefix(BESIDE) {
            Some(name) => drop(beside.insert(name.to_owned(), array)),
            None => drop(state.insert(name, array.into_iter().collect())),
        }
    }
    trainer.restore(state)?;
    Ok(Some((history, beside)))
}
