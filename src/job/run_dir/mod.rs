//! A run's directory: refuses to overwrite, knows its configuration, keeps a manifest and a
//! checkpoint.
//!
//! A run is worked in the directory itself, or, where it is to replace an earlier one, in
//! `.next/` inside it: the earlier run is whole until the new one is. What it makes waits in the
//! checkpoint until everything is there, see `exchange.rs`.

mod exchange;
mod lock;

use super::manifest::{Manifest, Status, hash, now};
use super::session::Session;
use crate::error::{Error, Result};
use crate::io::atomic;
use crate::warning::Warning;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Folder of a run that is to replace the one that lies around it.
const NEXT: &str = ".next";

/// An open run directory.
#[derive(Debug)]
pub struct RunDir {
    root: PathBuf,
    /// Where it is worked: the directory, or [`NEXT`] in it.
    work: PathBuf,
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

/// What is to be run.
struct Asked<'a> {
    command: &'a str,
    text: String,
    hash: String,
}

impl RunDir {
    /// Creates DIR for a configuration, or opens it to go on.
    ///
    /// With `resume` an unfinished run of the same configuration is continued, and a complete one
    /// left as it is. With `force` an earlier run is replaced when the new one is complete. Both
    /// together continue what can be continued and replace anything else. Whatever is not a run of
    /// this program is refused.
    ///
    /// # Errors
    /// [`Error::RunDir`], or [`Error::Io`] when DIR cannot be written to. Nothing is changed then.
    pub fn open(session: &Session, command: &str, config: &impl Serialize) -> Result<(Self, Opened)> {
        let text = toml::to_string(config)
            .map_err(|e| Error::invalid("configuration", "values that TOML can hold", e.to_string(), ""))?;
        let asked = Asked { command, hash: hash(text.as_bytes()), text };
        let root = session.out.clone();
        let earlier = has_run(&root)?;
        if earlier && !session.resume && !session.force {
            let hint = "continue it with `resume`, replace it with `force`, or choose another `out`";
            return Err(refused(&root, "an earlier run", hint));
        }
        let lock = lock::take(&root)?;
        exchange::settle(&root)?;
        if session.resume
            && let Some(work) = unfinished(&root)
        {
            match Self::reopen(&root, work, &asked) {
                Err(Error::RunDir { .. }) if session.force => {}
                Err(e) => return Err(e),
                Ok((run, opened)) => return Ok((Self { _lock: lock, ..run }, opened)),
            }
        }
        let run = Self::create(root, &asked)?;
        Ok((Self { _lock: lock, ..run }, Opened::Fresh))
    }

    /// Begins a run: beside an earlier one where there is one.
    fn create(root: PathBuf, asked: &Asked<'_>) -> Result<Self> {
        let next = root.join(NEXT);
        exchange::remove_folder(&next)?;
        let work = if root.join("manifest.json").exists() { next } else { root.clone() };
        std::fs::create_dir_all(&work).map_err(Error::io(&work, "create"))?;
        let manifest = Manifest::new(asked.command, seed_of(&asked.text), &asked.hash);
        let run = Self { root, work, manifest, _lock: None };
        // First of all: a folder that has a manifest can be continued and replaced.
        run.save()?;
        run.prepare(asked)?;
        Ok(run)
    }

    /// Makes what a run begins with, as far as it is not there.
    fn prepare(&self, asked: &Asked<'_>) -> Result<()> {
        let config = self.work.join("config.toml");
        if !config.exists() {
            atomic::write(&config, asked.text.as_bytes())?;
        }
        for folder in exchange::FOLDERS {
            let folder = exchange::staged(&self.work).join(folder);
            std::fs::create_dir_all(&folder).map_err(Error::io(&folder, "create"))?;
        }
        Ok(())
    }

    fn reopen(root: &Path, work: PathBuf, asked: &Asked<'_>) -> Result<(Self, Opened)> {
        let manifest = Manifest::read(&work.join("manifest.json"))?;
        manifest.require_continuable(root)?;
        if manifest.command != asked.command || manifest.config_hash != asked.hash {
            let old = std::fs::read_to_string(work.join("config.toml")).unwrap_or_default();
            return Err(Error::RunDir {
                path: root.to_path_buf(),
                expected: format!("a run of `{}` with this configuration", asked.command),
                found: first_difference(&old, &asked.text, &manifest.command),
                hint: "continue it with `orthoscope resume DIR`, or choose another `out`".into(),
            });
        }
        let opened = if manifest.status == Status::Complete { Opened::Complete } else { Opened::Resumed };
        let run = Self { root: root.to_path_buf(), work, manifest, _lock: None };
        if opened == Opened::Resumed {
            run.prepare(asked)?;
        }
        Ok((run, opened))
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// The folder of the run's checkpoints: files whose names end in `.checkpoint`. It is there
    /// until the run is complete.
    pub fn checkpoint(&self) -> PathBuf {
        self.work.join("checkpoint")
    }

    /// Where features are kept that the run would have to compute again; it goes with the checkpoint.
    pub fn features(&self) -> PathBuf {
        self.checkpoint().join(exchange::FEATURES)
    }

    /// Where an output (`images/...`, `arrays/...`, `figures/...` or `model/...`) is written, and lies until the
    /// run is complete.
    pub fn file(&self, relative: impl AsRef<Path>) -> PathBuf {
        exchange::staged(&self.work).join(relative)
    }

    /// Notes what was read and what to warn of, before the first item.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn begin(&mut self, inputs: BTreeMap<String, String>, warnings: Vec<Warning>) -> Result<()> {
        self.manifest.inputs = inputs;
        self.manifest.status = Status::Running;
        self.manifest.error = None;
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
        let seen = &self.manifest.inputs;
        if opened == Opened::Fresh || seen.is_empty() {
            return Ok(());
        }
        let differs = inputs.keys().chain(seen.keys()).find(|name| inputs.get(*name) != seen.get(*name));
        let Some(name) = differs else { return Ok(()) };
        let found = match (inputs.contains_key(name), seen.contains_key(name)) {
            (true, true) => "one with other contents",
            (true, false) => "one that was not read then",
            _ => "that it is not read any more",
        };
        Err(Error::RunDir {
            path: self.root.clone(),
            expected: format!("the same `{name}` as when the run began"),
            found: found.into(),
            hint: "give it back its input, or start again with `force` or another `out`".into(),
        })
    }

    /// Leaves a complete run as it is.
    pub fn release(&self) {
        lock::release(&self.root);
    }

    fn save(&self) -> Result<()> {
        self.manifest.write(&self.work.join("manifest.json"))
    }

    /// Ends the run in good order: hashes the outputs, has `report` write the page, and gives
    /// everything its place. The manifest that says `complete` is the last file that is written.
    ///
    /// `report` is given the folder that holds the outputs and `config.toml`, the name of the run,
    /// and the manifest.
    ///
    /// # Errors
    /// [`Error::Io`], and what `report` says: the run is unfinished then, and can be resumed.
    pub fn complete(
        &mut self,
        results: Value,
        report: impl FnOnce(&Path, &Path, &Map<String, Value>) -> Result<PathBuf>,
    ) -> Result<()> {
        self.manifest.results = results;
        self.manifest.outputs = exchange::outputs(&self.work)?;
        let done = Manifest { status: Status::Complete, finished: Some(now()), ..self.manifest.clone() };
        let waiting = exchange::staged(&self.work);
        let config = self.work.join("config.toml");
        let text = std::fs::read(&config).map_err(Error::io(&config, "read"))?;
        atomic::write(&waiting.join("config.toml"), &text)?;
        report(&waiting, &self.root, &done.to_map())?;
        done.write(&waiting.join("manifest.json"))?;
        self.manifest = done;
        exchange::finish(&self.root, &self.work)?;
        self.work.clone_from(&self.root);
        self.release();
        Ok(())
    }

    /// Notes that a signal ended the run, and gives the error to return.
    pub fn interrupted(&mut self) -> Error {
        self.manifest.status = Status::Interrupted;
        match self.save() {
            Ok(()) => Error::Interrupted { dir: self.root.clone() },
            Err(e) => e,
        }
    }

    /// Notes why a run failed; the checkpoint stays. Failing to note it (a full disk) changes
    /// nothing, and neither does a failure after the run was complete.
    pub fn failed(&mut self, error: &Error) {
        if self.manifest.status != Status::Complete {
            self.manifest.status = Status::Failed;
            self.manifest.error = Some(error.to_string());
            self.save().ok();
        }
    }

    /// Notes a warning for the manifest.
    pub fn warn(&mut self, warning: Warning) {
        self.manifest.warn(warning);
    }
}

/// The folder of the run that `orthoscope resume DIR` continues: the one that is to replace another
/// before that other one. `None` where no run is.
pub fn unfinished(root: &Path) -> Option<PathBuf> {
    [root.join(NEXT), root.to_path_buf()].into_iter().find(|work| work.join("manifest.json").exists())
}

/// Finishes what a process began that was killed when the run was complete.
///
/// # Errors
/// [`Error::Io`]; [`Error::RunDir`] where another process is at work.
pub fn settle(root: &Path) -> Result<()> {
    if exchange::waits(root) {
        let _lock = lock::take(root)?;
        exchange::settle(root)?;
        lock::release(root);
    }
    Ok(())
}

/// Whether a folder holds a run of this program. One that holds anything else is refused; what a
/// process leaves that is killed before it has a manifest is nothing.
fn has_run(root: &Path) -> Result<bool> {
    let entries = match std::fs::read_dir(root) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(Error::io(root, "open as a folder")(e)),
    };
    let own = |name: &std::ffi::OsStr| name == lock::NAME || name == NEXT || atomic::is_temporary(name);
    let occupied = entries.flatten().any(|entry| !own(&entry.file_name()));
    let manifest = root.join("manifest.json");
    if occupied && Manifest::read(&manifest).is_err() {
        let what = if manifest.exists() {
            "a manifest.json that is not of this program, or of another version"
        } else {
            "files that are not a run of this program"
        };
        return Err(refused(root, what, "choose another `out`"));
    }
    Ok(occupied)
}

fn refused(root: &Path, found: &str, hint: &str) -> Error {
    Error::RunDir {
        path: root.to_path_buf(),
        expected: "a folder that does not exist yet, or an empty one".into(),
        found: found.into(),
        hint: hint.into(),
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
