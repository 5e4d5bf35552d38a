//! JSON files: read into a type, written atomically with two-space indentation and a final newline.

use crate::error::{Error, Result};
use crate::io::{atomic, source};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use std::path::Path;

/// Bytes of the largest file that is read: values take more memory than their text.
const MOST_BYTES: u64 = 100_000_000;

/// Reads a value.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read; [`Error::Corrupt`] with line and column when it does
/// not hold a `T`, nests deeper than 128, or is larger than 100 MB.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = source::small(path, MOST_BYTES, "JSON")?;
    serde_json::from_slice(&bytes).map_err(|e| {
        Error::corrupt(path, "JSON of this program", e.to_string(), "the file is truncated or was edited by hand")
    })
}

/// Writes a value. NaN and infinities become `null`: JSON has no word for them.
///
/// # Errors
/// [`Error::Io`] when the file cannot be written; [`Error::Invalid`] when the value has no JSON
/// form.
pub fn write<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|e| {
        Error::invalid(path.display().to_string(), "a value with a JSON form", e.to_string(), "map keys must be text")
    })?;
    bytes.push(b'\n');
    atomic::write(path, &bytes)
}

/// For `#[serde(deserialize_with)]`: a number, NaN where [`write()`] had to write `null`.
///
/// # Errors
/// The deserializer's, for anything but a number or `null`.
pub fn or_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// [`or_nan`] of a list.
///
/// # Errors
/// As there.
pub fn or_nans<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    Ok(Vec::<Option<f64>>::deserialize(deserializer)?.into_iter().map(|v| v.unwrap_or(f64::NAN)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_map_survives_and_damage_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        let map = BTreeMap::from([("a".to_string(), 0.1f64), ("b".to_string(), 1e-300)]);
        write(&path, &map).unwrap();
        assert_eq!(read::<BTreeMap<String, f64>>(&path).unwrap(), map);
        std::fs::write(&path, "{\"a\": 0.").unwrap();
        assert!(read::<BTreeMap<String, f64>>(&path).unwrap_err().to_string().contains("line 1"));
        for open in ["[", "{\"a\":"] {
            std::fs::write(&path, open.repeat(100_000)).unwrap();
            let error = read::<serde_json::Value>(&path).unwrap_err().to_string();
            assert!(error.contains("recursion limit"), "{error}");
        }
        std::fs::File::create(&path).unwrap().set_len(MOST_BYTES + 1).unwrap();
        assert!(read::<serde_json::Value>(&path).unwrap_err().to_string().contains("at most 100 MB"));
    }
}
