//! The state of a training as a file: what goes on from it makes the same maps and channels, bit for bit.
//!
//! Under a seal, safetensors of 32-bit arrays: `value NAME` and `best NAME` for map, channels and intercept
//! of all targets that are trained, `first NAME`, `second NAME` and `steps` of Adam; metadata `settings` and
//! `notes`, JSON.

use super::ReadoutOptions;
use super::training::{Best, Course, ReadoutTraining};
use crate::error::{Error, Result};
use crate::io::sealed;
use crate::io::weights::{self, Storage};
use crate::network::Shape;
use ndarray::{ArrayD, arr1};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// What is trained.
const NAMES: [&str; 3] = ["map", "channels", "intercept"];

/// What a state depends on.
#[derive(Serialize)]
struct Settings<'a> {
    options: &'a ReadoutOptions,
    shape: Shape,
    rows: String,
    validation: String,
    trained: &'a [usize],
}

/// A state's numbers that are not in arrays.
#[derive(Serialize, Deserialize)]
struct Notes {
    chosen: Option<Best>,
    course: Option<(usize, Best)>,
}

impl ReadoutTraining<'_> {
    fn settings(&self) -> String {
        let settings = Settings {
            options: &self.options,
            shape: self.shape,
            rows: format!("{} of {}", self.rows, self.rows.n_samples()),
            validation: self.inner.test.to_string(),
            trained: &self.trained,
        };
        serde_json::to_string(&settings).expect("settings have string keys")
    }

    /// Writes everything that the next epoch depends on beside features and responses: a sealed file,
    /// atomically.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut arrays = weights::Weights::new();
        let mut notes = Notes { chosen: self.chosen.clone(), course: None };
        if let Some(course) = &self.course {
            notes.course = Some((course.epoch, course.best.clone()));
            let own = NAMES.iter().zip(course.values.iter().zip(&course.best_values));
            for (name, (now, best)) in own {
                arrays.insert(format!("value {name}"), now.clone().into_dyn());
                arrays.insert(format!("best {name}"), best.clone().into_dyn());
            }
            let moments = course.rule.save(&NAMES.map(String::from));
            arrays.extend(moments.into_iter().map(|(name, values)| (name, arr1(&values).into_dyn())));
        }
        let text = serde_json::to_string(&notes).expect("notes have string keys");
        let about = BTreeMap::from([("settings".to_owned(), self.settings()), ("notes".to_owned(), text)]);
        sealed::write(path, &weights::encode(&arrays, &about, Storage::F32)?)
    }

    /// Goes on from a file of [`save`](Self::save), if there is one: every later epoch gives the same bytes.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Corrupt`]; [`Error::Invalid`] when it is of other options, rows or targets.
    pub fn resume(&mut self, path: &Path) -> Result<bool> {
        let Some(bytes) = sealed::read(path)? else { return Ok(false) };
        let (mut arrays, about) = weights::decode(&bytes, path)?;
        let wanted = self.settings();
        let found = about.get("settings").map_or("none", String::as_str);
        if found != wanted {
            let hint = "fit with the same options and rows, or remove the file to begin again";
            return Err(Error::invalid(path.display().to_string(), format!("settings {wanted}"), found, hint));
        }
        let unreadable =
            |found: String| Error::corrupt(path, "a readout's training", found, "remove it to begin again");
        let notes = about
            .get("notes")
            .map_or(Err("no notes".to_owned()), |text| serde_json::from_str::<Notes>(text).map_err(|e| e.to_string()));
        let notes = notes.map_err(&unreadable)?;
        self.chosen = notes.chosen;
        self.course = match notes.course {
            None => None,
            Some((epoch, best)) => Some(self.restored(epoch, best, &mut arrays).map_err(unreadable)?),
        };
        Ok(true)
    }

    fn restored(&self, epoch: usize, best: Best, arrays: &mut weights::Weights) -> std::result::Result<Course, String> {
        let n = self.trained.len();
        let heights = [self.shape.height * self.shape.width, self.shape.channels, 1];
        let mut course = self.blank();
        (course.epoch, course.best) = (epoch, best);
        let lists = [Some(&course.best), self.chosen.as_ref()];
        if lists.iter().flatten().any(|best| best.epochs.len() != n || best.losses.len() != n) {
            return Err("another number of targets".into());
        }
        let mut take = |kind: &str, i: usize| {
            let name = format!("{kind} {}", NAMES[i]);
            let array = arrays.remove(&name).and_then(|a| a.into_shape_with_order((heights[i], n)).ok());
            array.ok_or_else(|| format!("no `{name}` of {} x {n} numbers", heights[i]))
        };
        for i in 0..NAMES.len() {
            course.values.push(take("value", i)?);
            course.best_values.push(take("best", i)?);
        }
        let flat = |(name, a): (String, ArrayD<f32>)| (name, a.into_iter().collect());
        let mut moments = std::mem::take(arrays).into_iter().map(flat).collect();
        let sizes = heights.map(|height| height * n);
        let restored = course.rule.restore(&NAMES.map(String::from), &sizes, &mut moments);
        restored.map_err(|e| e.to_string()).map(|()| course)
    }
}
