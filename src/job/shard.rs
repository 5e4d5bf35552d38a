//! A slice of a job's independent items, for several machines, and the runs that made slices.

use super::manifest::hash;
use crate::error::{Error, Result};
use crate::io::{json, source};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

/// One of `of` slices of the items, counted from 1; written `2/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Shard {
    pub index: usize,
    pub of: usize,
}

impl Shard {
    /// # Errors
    /// [`Error::Invalid`] for more shards than items: some would be empty.
    pub fn check(self, n: usize, items: &str) -> Result<()> {
        if self.of <= n {
            return Ok(());
        }
        Err(Error::invalid(
            "shard",
            format!("at most {n} shards, one for each of the {items}"),
            self.of.to_string(),
            "",
        ))
    }

    /// The own ones of `n` items: `of` ranges of about equal size, in order.
    pub fn slice(self, n: usize) -> Range<usize> {
        let at = |k: usize| n * k / self.of;
        at(self.index - 1)..at(self.index)
    }
}

/// The manifest of a directory that must hold a complete shard of a job, `job` being what its shards
/// have in common, that saw inputs of the same hashes as `inputs`.
///
/// # Errors
/// [`Error::Invalid`] for anything else; what reading the manifest says.
pub fn manifest(dir: &Path, job: &str, inputs: &BTreeMap<String, String>) -> Result<Value> {
    let manifest: Value = json::read(&dir.join("manifest.json"))?;
    let at = dir.display().to_string();
    if manifest["results"]["job"].as_str() != Some(job) {
        let found = format!("a run of `{}`, {}", manifest["command"].as_str().unwrap_or("?"), manifest["status"]);
        let hint = "run it with the same configuration and `shard`";
        return Err(Error::invalid(at, "a complete shard of this job", found, hint));
    }
    let seen: BTreeMap<String, String> = serde_json::from_value(manifest["inputs"].clone()).unwrap_or_default();
    let sorted = |all: &BTreeMap<String, String>| {
        let mut hashes: Vec<String> = all.values().cloned().collect();
        hashes.sort();
        hashes
    };
    if sorted(&seen) != sorted(inputs) {
        return Err(Error::invalid(at, "a shard of the same input files", "other ones", "compute it again"));
    }
    Ok(manifest)
}

/// An output of a shard, which must be as it was written.
///
/// # Errors
/// [`Error::Corrupt`] where its hash is not the manifest's; [`Error::Io`].
pub fn output(dir: &Path, name: &str, manifest: &Value) -> Result<Vec<u8>> {
    let file = dir.join(name);
    let bytes = source::read(&file)?;
    if manifest["outputs"][name].as_str() == Some(hash(&bytes).as_str()) {
        return Ok(bytes);
    }
    let found = "other bytes: its hash is not that of the shard's manifest";
    Err(Error::corrupt(&file, "a part as it was written", found, "copy it or compute it again"))
}

impl From<Shard> for String {
    fn from(shard: Shard) -> Self {
        format!("{}/{}", shard.index, shard.of)
    }
}

impl TryFrom<String> for Shard {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(i, n)| Some((i.trim().parse().ok()?, n.trim().parse().ok()?)));
        match numbers {
            Some((index, of)) if (1..=of).contains(&index) => Ok(Self { index, of }),
            _ => Err(format!("expected a slice as in 2/8, found `{text}`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Shard;

    #[test]
    fn slices_are_counted_from_one() {
        let read = |text: &str| Shard::try_from(text.to_owned());
        assert_eq!(read("2/8"), Ok(Shard { index: 2, of: 8 }));
        assert_eq!(String::from(Shard { index: 2, of: 8 }), "2/8");
        assert!(["0/8", "9/8", "2", "a/b"].iter().all(|text| read(text).is_err()));
    }
}
