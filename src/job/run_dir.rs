//! A run's directory: refuses to overwrite, knows its configuration, keeps a manifest and a
//! checkpoint.

use super::manifest::{Manifest, Status, hash, hash_file, now};
use super::session::Session;
use crate::error::{Error, Result};
use crate::io::atomic;
use crate::warning::Warning;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// An open run directory.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    pub manifest: Manifest,
    /// Held as long as this process writes; the system takes it back when the process ends, however
    /// it ends.
    _lock: Option<File>,
}

/// What [`RunDir::open`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    Fresh,
    /// The same configuration, interrupted or killed before it was complete.
    Resumed,
    /// The same configuration, already complete: nothing to do.
    Complete,
}

/// Sub-directories that belong to a run.
const PARTS: [&str; 4] = ["images", "arrays", "figures", "checkpoint"];

impl RunDir {
    /// Creates DIR for a configuration, or opens it to go on.
    ///
    /// An existing DIR is opened with `resume` if its configuration is the same, replaced with
    /// `force` if it is a run directory (or empty), and refused otherwise.
    ///
    /// # Errors
    /// [`Error::RunDir`], or [`Error::Io`] when DIR cannot be written to. Nothing is changed then.
    pub fn open(session: &Session, command: &str, config: &impl Serialize) -> Result<(Self, Opened)> {
        let path = session.out.clone();
        let text = toml::to_string(config)
            .map_err(|e| Error::invalid("configuration", "values that TOML can hold", e.to_string(), ""))?;
        let config_hash = hash(text.as_bytes());
        let manifest_path = path.join("manifest.json");
        let occupied = path.exists() && is_occupied(&path)?;
        if occupied && manifest_path.exists() && session.resume {
            let lock = lock(&path)?;
            return Self::reopen(path, lock, command, &text, &config_hash);
        }
        if occupied {
            Self::may_replace(&path, &manifest_path, session)?;
        }
        let lock = lock(&path)?;
        if occupied {
            Self::make_room(&path)?;
        }
        for part in PARTS {
            let folder = path.join(part);
            std::fs::create_dir_all(&folder).map_err(Error::io(&folder, "create"))?;
        }
        let run = Self { path, manifest: Manifest::new(command, seed_of(&text), &config_hash), _lock: lock };
        atomic::write(&run.file("config.toml"), text.as_bytes())?;
        run.save()?;
        Ok((run, Opened::Fresh))
    }

    fn reopen(
        path: PathBuf,
        lock: Option<File>,
        command: &str,
        text: &str,
        config_hash: &str,
    ) -> Result<(Self, Opened)> {
        let manifest = Manifest::read(&path.join("manifest.json"))?;
        let config = path.join("config.toml");
        let old = std::fs::read_to_string(&config).map_err(Error::io(&config, "read"))?;
        if manifest.command != command || manifest.config_hash != config_hash {
            return Err(Error::RunDir {
                path,
                expected: format!("a run of `{command}` with this configuration"),
                found: first_difference(&old, text, &manifest.command),
                hint: "continue it with `orthoscope resume DIR`, or choose another `out`".into(),
            });
        }
        let opened = if manifest.status == Status::Complete { Opened::Complete } else { Opened::Resumed };
        Ok((Self { path, manifest, _lock: lock }, opened))
    }

    /// An earlier run is replaced only when asked to, and nothing else ever.
    fn may_replace(path: &Path, manifest: &Path, session: &Session) -> Result<()> {
        let refuse = |found: &str, hint: &str| {
            Err(Error::RunDir {
                path: path.to_path_buf(),
                expected: "a folder that does not exist yet, or an empty one".into(),
                found: found.into(),
                hint: hint.into(),
            })
        };
        if !manifest.exists() {
            return refuse("files that are not a run of this program", "choose another `out`");
        }
        if !session.force {
            let hint = "continue it with `resume`, replace it with `force`, or choose another `out`";
            return refuse("an earlier run", hint);
        }
        Ok(())
    }

    /// Removes an earlier run: only what a run owns.
    fn make_room(path: &Path) -> Result<()> {
        for part in PARTS {
            let folder = path.join(part);
            if folder.exists() {
                std::fs::remove_dir_all(&folder).map_err(Error::io(&folder, "remove"))?;
            }
        }
        for file in ["manifest.json", "config.toml", "report.html"] {
            let file = path.join(file);
            if file.exists() {
                std::fs::remove_file(&file).map_err(Error::io(&file, "remove"))?;
            }
        }
        Ok(())
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path inside it.
    pub fn file(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.path.join(relative)
    }

    /// Notes what was read and what to warn of, before the first item.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn begin(&mut self, inputs: &BTreeMap<String, String>, warnings: Vec<Warning>) -> Result<()> {
        self.manifest.inputs = inputs.clone();
        self.manifest.status = Status::Running;
        self.manifest.device = format!("cpu, {} threads", rayon::current_num_threads());
        warnings.into_iter().for_each(|warning| self.warn(warning));
        self.save()
    }

    /// Notes what computes, where it is not just the CPU.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn computes_on(&mut self, device: String) -> Result<()> {
        self.manifest.device = device;
        self.save()
    }

    /// A resumed run must see the inputs that it began with; `inputs` are names and hashes.
    ///
    /// # Errors
    /// [`Error::RunDir`] that names the first input that differs.
    pub fn check_inputs(&self, inputs: &BTreeMap<String, String>, opened: Opened) -> Result<()> {
        if opened == Opened::Fresh || self.manifest.inputs.is_empty() {
            return Ok(());
        }
        match inputs.iter().find(|(name, hash)| self.manifest.inputs.get(*name) != Some(hash)) {
            None => Ok(()),
            Some((name, _)) => Err(Error::RunDir {
                path: self.path.clone(),
                expected: format!("the same `{name}` as when the run began"),
                found: "one with other contents".into(),
                hint: "give it back its input, or start again with `force` or another `out`".into(),
            }),
        }
    }

    /// Leaves a complete run as it is.
    pub fn release(&self) {
        std::fs::remove_file(self.file(LOCK)).ok();
    }

    /// Writes the manifest.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self) -> Result<()> {
        self.manifest.write(&self.file("manifest.json"))
    }

    /// Ends the run in good order: hashes the outputs, removes the checkpoint, writes the manifest.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn complete(&mut self, results: serde_json::Value) -> Result<()> {
        self.manifest.results = results;
        self.manifest.outputs.clear();
        for part in ["images", "arrays"] {
            let folder = self.file(part);
            let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
                .map_err(Error::io(&folder, "read"))?
                .filter_map(|e| e.ok().map(|e| e.path()))
                .filter(|p| p.is_file())
                .collect();
            files.sort();
            for file in files {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                self.manifest.outputs.insert(format!("{part}/{name}"), hash_file(&file)?);
            }
        }
        self.manifest.status = Status::Complete;
        self.manifest.finished = Some(now());
        self.save()?;
        // Still held: whoever comes now finds a complete run.
        std::fs::remove_file(self.file(LOCK)).ok();
        let checkpoint = self.file("checkpoint");
        std::fs::remove_dir_all(&checkpoint).map_err(Error::io(&checkpoint, "remove"))
    }

    /// Notes that a signal ended the run, and gives the error to return.
    pub fn interrupted(&mut self) -> Error {
        self.manifest.status = Status::Interrupted;
        match self.save() {
            Ok(()) => Error::Interrupted { dir: self.path.clone() },
            Err(e) => e,
        }
    }

    /// Notes why a run failed; the checkpoint stays. Failing to note it (a full disk) changes
    /// nothing.
    pub fn failed(&mut self, error: &Error) {
        self.manifest.status = Status::Failed;
        self.manifest.error = Some(error.to_string());
        self.save().ok();
    }

    /// Notes a warning for the manifest.
    pub fn warn(&mut self, warning: Warning) {
        self.manifest.warn(warning);
    }
}

/// Name of the file that a writing process holds.
const LOCK: &str = ".lock";

/// Whether a folder holds anything but a lock that nobody holds.
fn is_occupied(path: &Path) -> Result<bool> {
    let entries = std::fs::read_dir(path).map_err(Error::io(path, "open as a folder"))?;
    Ok(entries.flatten().any(|entry| entry.file_name() != LOCK))
}

/// Takes the directory for this process; `None` on file systems that cannot lock.
fn lock(path: &Path) -> Result<Option<File>> {
    std::fs::create_dir_all(path).map_err(Error::io(path, "create"))?;
    let at = path.join(LOCK);
    let file = File::options().create(true).append(true).open(&at).map_err(Error::io(&at, "write"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(Error::RunDir {
            path: path.to_path_buf(),
            expected: "a run directory that nobody is writing".into(),
            found: "another process at work in it".into(),
            hint: "wait for it or stop it (Ctrl-C writes a checkpoint), or choose another `out`".into(),
        }),
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

/// The `seed` of a configuration; 0 for one without.
fn seed_of(config: &str) -> u64 {
    let table: toml::Table = toml::from_str(config).unwrap_or_default();
    table.get("seed").and_then(toml::Value::as_integer).and_then(|seed| seed.try_into().ok()).unwrap_or(0)
}

/// The first line in which two configurations differ.
fn first_difference(old: &str, new: &str, old_command: &str) -> String {
    let differs = old.lines().zip(new.lines()).find(|(a, b)| a != b);
    match differs {
        Some((a, b)) => format!("a run of `{old_command}` with `{a}` instead of `{b}`"),
        None => format!("a run of `{old_command}` with other settings"),
    }
}
