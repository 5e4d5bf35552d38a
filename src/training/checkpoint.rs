//! A training's state as a file: what goes on from it makes the same weights, bit for bit.
//!
//! Under a seal, safetensors of 32-bit arrays: `value NAME` for each trained weight, `first NAME` and `second
//! NAME` (AdamW) or `velocity NAME` (SGD), `stored NAME` for moments of batch norms, `steps`;
//! metadata `settings` and `history`, JSON.

use super::trainer::Trainer;
use crate::error::{Error, Result};
use crate::io::sealed;
use crate::io::weights::{self, Storage};
use ndarray::{ArrayD, arr1};
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
    let arrays = trainer.save().into_iter().map(|(name, values)| (name, arr1(&values).into_dyn()));
    let notes = BTreeMap::from([("settings".to_owned(), json(settings)), ("history".to_owned(), json(history))]);
    sealed::write(path, &weights::encode(&arrays.collect(), &notes, Storage::F32)?)
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("settings and histories have string keys")
}

/// Goes on from a file that [`save`] wrote, if there is one, and returns its history.
///
/// # Errors
/// [`Error::Io`] and [`Error::Corrupt`]; [`Error::Invalid`] when the settings or the network are
/// others.
pub fn resume<H: DeserializeOwned>(path: &Path, trainer: &mut Trainer, settings: &impl Serialize) -> Result<Option<H>> {
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
    let flat = |a: ArrayD<f32>| a.into_iter().collect();
    trainer.restore(arrays.into_iter().map(|(name, a)| (name, flat(a))).collect())?;
    Ok(Some(history))
}
