//! How a run that is complete takes its place in the directory, also where the process that began
//! this was killed.
//!
//! What a run makes waits in `checkpoint/outputs` of the folder where it is worked. The manifest
//! that says `complete` is put there last; from then on the exchange is certain: files move up one
//! by one, those of the run that is replaced go, the manifest is moved last of all. Every step may
//! be done twice, so that whoever opens the directory next can finish it.

use super::NEXT;
use crate::error::{Error, Result};
use crate::io::atomic;
use crate::job::manifest::{Manifest, Status};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

/// Folders of outputs.
pub(super) const FOLDERS: [&str; 4] = ["images", "arrays", "figures", "model"];
/// Other files that a run makes, beside its manifest.
const FILES: [&str; 2] = ["config.toml", "report.html"];

/// Folders of a checkpoint: outputs that wait, and features that the run computed.
const WAITING: &str = "outputs";
pub(super) const FEATURES: &str = "features";

/// Where the outputs of a run wait that is worked in `work`.
pub(super) fn staged(work: &Path) -> PathBuf {
    work.join("checkpoint").join(WAITING)
}

/// Removes what processes left that were killed, and finishes an exchange that one of them began.
/// The directory must be locked.
pub(super) fn settle(root: &Path) -> Result<()> {
    let next = root.join(NEXT);
    for work in [next.as_path(), root] {
        if is_complete(&staged(work).join("manifest.json")) {
            finish(root, work)?;
        }
    }
    if next.is_dir() && !next.join("manifest.json").exists() {
        fs::remove_dir_all(&next).map_err(Error::io(&next, "remove"))?;
    }
    if is_complete(&root.join("manifest.json")) {
        clear_checkpoint(root)?;
    }
    for work in [root, &next] {
        atomic::sweep(&work.join("checkpoint"));
        for folder in [work.to_path_buf(), staged(work)] {
            atomic::sweep(&folder);
            folders(&folder)?.iter().for_each(|name| atomic::sweep(&folder.join(name)));
        }
    }
    Ok(())
}

/// Whether [`settle`] has an exchange to finish.
pub(super) fn waits(root: &Path) -> bool {
    [root.join(NEXT), root.to_path_buf()].iter().any(|work| is_complete(&staged(work).join("manifest.json")))
}

fn is_complete(manifest: &Path) -> bool {
    Manifest::read(manifest).is_ok_and(|m| m.status == Status::Complete)
}

/// Gives the outputs of a complete run, which wait, their places in `root`.
pub(super) fn finish(root: &Path, work: &Path) -> Result<()> {
    let waiting = staged(work);
    let new = Manifest::read(&waiting.join("manifest.json"))?;
    let at = root.join("manifest.json");
    let old = if work == root { None } else { Manifest::read(&at).ok() };
    for folder in folders(&waiting)? {
        raise(&waiting.join(&folder), &root.join(&folder))?;
    }
    for name in FILES {
        raise_file(&waiting.join(name), &root.join(name))?;
    }
    for name in old.iter().flat_map(|old| old.outputs.keys()).filter(|name| !new.outputs.contains_key(*name)) {
        remove_output(root, name)?;
    }
    raise_file(&waiting.join("manifest.json"), &at)?;
    atomic::sync_folder(root);
    clear_checkpoint(root)?;
    remove_folder(&root.join(NEXT))
}

/// Moves the files of a folder to another, which is made where there are any.
fn raise(from: &Path, to: &Path) -> Result<()> {
    let files = files_of(from)?;
    if files.is_empty() {
        return Ok(());
    }
    fs::create_dir_all(to).map_err(Error::io(to, "create"))?;
    for file in files {
        raise_file(&file, &to.join(file.file_name().unwrap_or_default()))?;
    }
    atomic::sync_folder(to);
    Ok(())
}

/// Moves a file, unless an earlier process did.
fn raise_file(from: &Path, to: &Path) -> Result<()> {
    match fs::rename(from, to) {
        Err(e) if e.kind() == ErrorKind::NotFound && !from.exists() => Ok(()),
        moved => moved.map_err(Error::io(to, "write")),
    }
}

/// The folders of outputs below `base` that there are, and those within them; a folder comes before what is in it.
fn folders(base: &Path) -> Result<Vec<String>> {
    let mut found: Vec<String> =
        FOLDERS.iter().filter(|name| base.join(name).is_dir()).map(ToString::to_string).collect();
    let mut next = 0;
    while next < found.len() {
        let folder = base.join(&found[next]);
        let mut inside = Vec::new();
        for entry in fs::read_dir(&folder).map_err(Error::io(&folder, "read"))? {
            let entry = entry.map_err(Error::io(&folder, "read"))?;
            // A link is not followed.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                inside.push(format!("{}/{}", found[next], entry.file_name().to_string_lossy()));
            }
        }
        inside.sort();
        found.extend(inside);
        next += 1;
    }
    Ok(found)
}

/// Files of a folder, sorted; none where there is no folder.
pub(super) fn files_of(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(vec![]),
        Err(e) => return Err(Error::io(folder, "read")(e)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::io(folder, "read"))?.path();
        files.extend(path.is_file().then_some(path));
    }
    files.sort();
    Ok(files)
}

/// Removes what a manifest lists as an output, and its folder where nothing else is in it. Names
/// that lead elsewhere are not followed.
fn remove_output(root: &Path, name: &str) -> Result<()> {
    let parts: Vec<Component<'_>> = Path::new(name).components().collect();
    let plain = parts.len() > 1 && parts.iter().all(|part| matches!(part, Component::Normal(_)));
    if !plain || !FOLDERS.iter().any(|own| parts[0].as_os_str() == *own) {
        return Ok(());
    }
    let file = root.join(name);
    match fs::remove_file(&file) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(Error::io(&file, "remove")(e)),
        _ => {}
    }
    // Only folders that are empty now go.
    for above in Path::new(name).ancestors().skip(1).take(parts.len() - 1) {
        fs::remove_dir(root.join(above)).ok();
    }
    Ok(())
}

/// Removes the checkpoints of a run: what this program wrote there, and the folder if that was all.
fn clear_checkpoint(work: &Path) -> Result<()> {
    let folder = work.join("checkpoint");
    for own in [WAITING, FEATURES] {
        remove_folder(&folder.join(own))?;
    }
    for file in files_of(&folder)? {
        if file.extension().is_some_and(|e| e == "checkpoint") {
            fs::remove_file(&file).map_err(Error::io(&file, "remove"))?;
        }
    }
    atomic::sweep(&folder);
    fs::remove_dir(&folder).ok();
    Ok(())
}

pub(super) fn remove_folder(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io(folder, "remove")(e)),
        _ => Ok(()),
    }
}

/// Hashes of all outputs that wait, under their names in the run directory.
pub(super) fn outputs(work: &Path) -> Result<BTreeMap<String, String>> {
    let mut out = BTreeMap::new();
    for folder in folders(&staged(work))? {
        for file in files_of(&staged(work).join(&folder))? {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            out.insert(format!("{folder}/{name}"), crate::job::manifest::hash_file(&file)?);
        }
    }
    Ok(out)
}
