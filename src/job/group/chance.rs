//! What a map is on average where there is nothing. Sign flips are of a subject's excess over it: a
//! map and its negative are as likely as each other only around what chance gives.

use super::runs::Kind;
use crate::data::Grid;
use crate::error::{Error, Result};
use crate::io::{json, nifti};
use crate::job::brain::maps::CHANCE;
use crate::stats::group::fisher_z;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What chance gives: a number, or an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Chance {
    Value(f64),
    Map(PathBuf),
}

impl FromStr for Chance {
    type Err = Infallible;

    fn from_str(text: &str) -> std::result::Result<Self, Infallible> {
        Ok(text.parse().map_or_else(|_| Self::Map(text.into()), Self::Value))
    }
}

impl Chance {
    /// What the sidecar of a map in a run directory says; runs of earlier versions say nothing, and
    /// have 0 where their comparison and residual method do.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is not known.
    pub fn of_map(path: &Path, kind: &Kind) -> Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let sidecar = path.with_file_name(name.replace(".nii.gz", ".json"));
        let said = if sidecar.is_file() { json::read::<Value>(&sidecar)?[CHANCE].take() } else { Value::Null };
        match said {
            Value::Number(number) => Ok(Self::Value(number.as_f64().unwrap_or(f64::NAN))),
            Value::String(file) => {
                let plain = Path::new(&file).file_name().unwrap_or_default();
                Ok(Self::Map(path.with_file_name(plain)))
            }
            _ if kind.is_centred() => Ok(Self::Value(0.0)),
            _ => {
                let hint = "map the subjects again with `test.n_permutations` above 0, or say it with `maps.null`";
                let expected = "maps of which it is known what chance gives";
                let found = format!("{kind}, which is not 0 on average where there is nothing");
                Err(Error::invalid(path.display().to_string(), expected, found, hint))
            }
        }
    }

    /// Whether nothing is to be taken off.
    pub fn is_zero(&self) -> bool {
        *self == Self::Value(0.0)
    }

    /// Takes it off the values of a whole grid, in Fisher's z where they are.
    ///
    /// # Errors
    /// [`Error::Invalid`] for no number, or an image of another grid.
    pub fn take_off<'v>(&self, values: impl Iterator<Item = &'v mut f64>, grid: &Grid, fisher: bool) -> Result<()> {
        let z = |v: f64| if fisher { fisher_z(v) } else { v };
        match self {
            Self::Value(value) if !value.is_finite() => {
                Err(Error::invalid("maps.null", "a finite number or an image", value.to_string(), ""))
            }
            Self::Value(value) => {
                values.for_each(|v| *v -= z(*value));
                Ok(())
            }
            Self::Map(path) => {
                let volume = nifti::read_volume(path)?;
                grid.require_same(&path.display().to_string(), volume.grid())?;
                values.zip(volume.values()).for_each(|(v, &chance)| *v -= z(f64::from(chance)));
                Ok(())
            }
        }
    }
}
