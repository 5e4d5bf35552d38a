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
/// have in common of `config`, that saw inputs of the same hashes as `inputs`.
///
/// # Errors
/// [`Error::Invalid`] for anything else; what reading the manifest says.
pub fn manifest(
    dir: &Path,
    (config, job): (&impl Serialize, &str),
    inputs: &BTreeMap<String, String>,
) -> Result<Value> {
    let manifest: Value = json::read(&dir.join("manifest.json"))?;
    let at = dir.display().to_string();
    if manifest["results"]["job"].as_str() != Some(job) {
        let found = other_job(dir, &manifest, config);
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

/// What a directory is that is no complete shard of a job.
fn other_job(dir: &Path, manifest: &Value, config: &impl Serialize) -> String {
    let (command, status) = (manifest["command"].as_str().unwrap_or("?"), manifest["status"].as_str().unwrap_or("?"));
    let ours = toml::Table::try_from(config).unwrap_or_default();
    let bytes = source::read(&dir.join("config.toml")).unwrap_or_default();
    let theirs: toml::Table = String::from_utf8_lossy(&bytes).parse().unwrap_or_default();
    match (manifest["results"]["job"].is_string(), first_difference(&theirs, &ours, "")) {
        (_, Some((key, theirs, _))) if key == "command" => format!("a run of another job (command = {theirs})"),
        (true, Some((key, theirs, ours))) => format!("a shard with {key} = {theirs}, here it is {ours}"),
        (true, None) => "a shard of another configuration".to_owned(),
        (false, _) if status == "complete" => format!("a run of `{command}` that is no shard"),
        (false, _) => format!("a run of `{command}` that is not complete (status: {status})"),
    }
}

/// Keys that shards of one job may differ in.
const OWN_KEYS: [&str; 3] = ["shard", "shards", "cache"];

/// The first key, dotted, whose values differ, and these; those that are absent are `none`.
fn first_difference(theirs: &toml::Table, ours: &toml::Table, within: &str) -> Option<(String, String, String)> {
    let mut keys: Vec<&String> = theirs.keys().chain(ours.keys()).collect();
    keys.sort();
    keys.dedup();
    let shown = |value: Option<&toml::Value>| value.map_or_else(|| "none".to_owned(), ToString::to_string);
    keys.into_iter().filter(|key| !within.is_empty() || !OWN_KEYS.contains(&key.as_str())).find_map(|key| {
        let path = if within.is_empty() { key.clone() } else { format!("{within}.{key}") };
        match (theirs.get(key), ours.get(key)) {
            (Some(toml::Value::Table(a)), Some(toml::Value::Table(b))) => first_difference(a, b, &path),
            (a, b) if a != b => Some((path, shown(a), shown(b))),
            _ => None,
        }
    })
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
    use super::{Shard, first_difference};

    #[test]
    fn what_differs_is_named() {
        let table = |text: &str| text.parse::<toml::Table>().unwrap();
        let ours = table("seed = 1\nshard = \"1/2\"\n[test]\nshare = 0.2\n");
        let differs = |text: &str| first_difference(&table(text), &ours, "");
        assert_eq!(differs("seed = 1\nshard = \"2/2\"\ncache = \"c\"\n[test]\nshare = 0.2\n"), None);
        let (key, theirs, here) = differs("seed = 1\n[test]\nshare = 0.3\n").unwrap();
        assert_eq!((key.as_str(), theirs.as_str(), here.as_str()), ("test.share", "0.3", "0.2"));
        assert_eq!(differs("[test]\nshare = 0.2\n").unwrap(), ("seed".into(), "none".into(), "1".into()));
    }

    #[test]
    fn slices_are_counted_from_one() {
        let read = |text: &str| Shard::try_from(text.to_owned());
        assert_eq!(read("2/8"), Ok(Shard { index: 2, of: 8 }));
        assert_eq!(String::from(Shard { index: 2, of: 8 }), "2/8");
        assert!(["0/8", "9/8", "2", "a/b"].iter().all(|text| read(text).is_err()));
    }
}
