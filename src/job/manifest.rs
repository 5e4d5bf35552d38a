//! `manifest.json`: what was run, on what, with what result. Scripts depend on its keys.

use crate::error::{Error, Result};
use crate::io::atomic;
use crate::warning::Warning;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Version of the manifest's layout.
pub const SCHEMA: u32 = 2;

/// How the run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Running,
    Complete,
    Interrupted,
    Failed,
}

/// The record of one run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    pub schema: u32,
    pub command: String,
    pub version: String,
    /// `git describe` of the source tree, or "unknown".
    pub git_commit: String,
    pub status: Status,
    /// Executor and device in words.
    pub device: String,
    /// Vector instructions that the run began with: numbers differ between them in the last digits.
    #[serde(default)]
    pub instruction_set: String,
    /// Where the run began: relative paths of the configuration are meant from here.
    #[serde(default)]
    pub directory: PathBuf,
    pub seed: u64,
    /// UTC, ISO 8601.
    pub started: String,
    pub finished: Option<String>,
    /// Hash of the resolved configuration: what makes a directory resumable.
    pub config_hash: String,
    /// Input name -> BLAKE3.
    pub inputs: BTreeMap<String, String>,
    /// Path within the run directory -> BLAKE3.
    pub outputs: BTreeMap<String, String>,
    pub warnings: Vec<Warning>,
    /// The warnings in words.
    pub warning_texts: Vec<String>,
    pub results: Value,
    /// Why a failed run failed.
    pub error: Option<String>,
}

impl Manifest {
    /// A run that has just begun.
    pub fn new(command: &str, seed: u64, config_hash: &str) -> Self {
        Self {
            schema: SCHEMA,
            command: command.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            git_commit: env!("ORTHOSCOPE_GIT").into(),
            status: Status::Running,
            device: String::new(),
            instruction_set: instruction_set(),
            directory: std::env::current_dir().unwrap_or_default(),
            seed,
            started: now(),
            finished: None,
            config_hash: config_hash.into(),
            inputs: BTreeMap::new(),
            outputs: BTreeMap::new(),
            warnings: vec![],
            warning_texts: vec![],
            results: Value::Null,
            error: None,
        }
    }

    /// Notes a warning, once.
    pub fn warn(&mut self, warning: Warning) {
        if !self.warnings.contains(&warning) {
            self.warning_texts.push(warning.to_string());
            self.warnings.push(warning);
        }
    }

    /// Whether this program may go on with the run.
    ///
    /// # Errors
    /// [`Error::RunDir`] for another version of the program or of this layout.
    pub fn require_continuable(&self, dir: &Path) -> Result<()> {
        let own = Self::new("", 0, "");
        if (self.schema, &self.version) == (own.schema, &own.version) {
            return Ok(());
        }
        let name = |m: &Self| format!("orthoscope {} (manifest {})", m.version, m.schema);
        Err(Error::RunDir {
            path: dir.to_path_buf(),
            expected: format!("a run that {} began", name(&own)),
            found: format!("one of {}", name(self)),
            hint: "continue it with the program that began it, or start again with `force` or another `out`".into(),
        })
    }

    /// What is to be said where this process is not quite like the one that began the run.
    pub fn continued_otherwise(&self) -> Option<Warning> {
        let own = Self::new("", 0, "");
        let differs = |what: &str, began: &str, now: &str| {
            (began != now).then(|| format!("it began with {what} {began} and goes on with {now}"))
        };
        let said = [
            differs("build", &self.git_commit, &own.git_commit),
            differs("instructions", &self.instruction_set, &own.instruction_set),
        ];
        let said: Vec<String> = said.into_iter().flatten().collect();
        let end = "the last digits may differ from those of a run in one go";
        (!said.is_empty()).then(|| Warning::Note { text: format!("this run was resumed: {}: {end}", said.join(", ")) })
    }

    /// As `manifest.json` has it.
    pub fn to_map(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(map)) => map,
            other => unreachable!("a manifest is an object: {other:?}"),
        }
    }

    /// # Errors
    /// [`Error::Io`] or [`Error::Corrupt`].
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(Error::io(path, "read"))?;
        serde_json::from_str(&text).map_err(|e| {
            Error::corrupt(path, "a manifest of this program", e.to_string(), "is this a run directory of orthoscope?")
        })
    }

    /// # Errors
    /// [`Error::Io`].
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self).expect("a manifest has only string keys");
        text.push('\n');
        atomic::write(path, text.as_bytes())
    }
}

/// The vector instructions that the engine uses here, and the machine's best where it is told to use
/// others.
fn instruction_set() -> String {
    let best = orthoscope_kernels::isa::available()[0].name;
    match orthoscope_kernels::isa::chosen() {
        Ok(chosen) if chosen.name != best => format!("{} of {best}", chosen.name),
        _ => best.into(),
    }
}

/// BLAKE3 of some bytes, hexadecimal.
pub fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// BLAKE3 of a file, hexadecimal.
///
/// # Errors
/// [`Error::Io`].
pub fn hash_file(path: &Path) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    let mut file = std::fs::File::open(path).map_err(Error::io(path, "read"))?;
    std::io::copy(&mut file, &mut hasher).map_err(Error::io(path, "read"))?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// Names of some files, as they were given, and their hashes.
///
/// # Errors
/// [`Error::Io`].
pub fn hashes(files: &[PathBuf]) -> Result<BTreeMap<String, String>> {
    files.iter().map(|file| Ok((file.display().to_string(), hash_file(file)?))).collect()
}

/// The present moment, UTC, ISO 8601 with seconds.
pub fn now() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    iso8601(since.as_secs())
}

/// Proleptic Gregorian date of a Unix time (Hinnant's `civil_from_days`).
fn iso8601(seconds: u64) -> String {
    let (days, rest) = ((seconds / 86_400) as i64, seconds % 86_400);
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::iso8601;

    #[test]
    fn dates_are_gregorian() {
        assert_eq!(iso8601(0), "1970-01-01T00:00:00Z");
        assert_eq!(iso8601(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(iso8601(1_795_219_199), "2026-11-20T23:59:59Z");
    }
}
