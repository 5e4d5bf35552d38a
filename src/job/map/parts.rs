//! Places taken in parts: a part that is done is kept, so that an interrupted run goes on from there, and several machines can
//! share the places.
//!
//! Parts begin at multiples of [`ALIGNED`] places, where the passes begin anew: their values are those of one pass, to the last bit.

use super::config::{Config, Shard};
use crate::error::{Error, Result};
use crate::io::{json, npz};
use crate::job::manifest::hash;
use crate::mapping::null::{Null, permute};
use crate::mapping::searchlight::{Maps, Places, Slice, searchlight};
use crate::mapping::{Comparator, Patterns};
use crate::math::permutation::Tail;
use ndarray::{Array1, Array2, ArrayView2, Axis, Ix2, concatenate};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A multiple of the places that one task of a pass takes.
const ALIGNED: usize = 64;
/// A part has at least so many places, so that all cores have work.
const SMALLEST: usize = 16 * ALIGNED;
/// About so many parts of a run.
const PARTS: usize = 32;

/// Values of some of the places, and their null distribution.
pub struct Part {
    pub start: usize,
    pub maps: Maps,
    pub null: Option<Null>,
}

/// The places of a shard: `of` ranges of about equal size, in order.
pub fn range(shard: Option<Shard>, n_places: usize) -> Range<usize> {
    let Some(Shard { index, of }) = shard else { return 0..n_places };
    let n_units = n_places.div_ceil(ALIGNED);
    let at = |k: usize| (n_units * k / of * ALIGNED).min(n_places);
    at(index - 1)..at(index)
}

fn ranges(range: Range<usize>) -> Vec<Range<usize>> {
    let size = (range.len().div_ceil(PARTS).max(SMALLEST)).next_multiple_of(ALIGNED);
    range.clone().step_by(size).map(|start| start..(start + size).min(range.end)).collect()
}

/// Measures the places of `range`, part by part; parts that lie in `folder` are read, new ones are written there.
///
/// # Errors
/// As the passes; [`Error::Io`] when a part cannot be written.
pub fn measure<P: Places>(
    (patterns, comparator): (&Patterns, &Comparator),
    places: &P,
    range: Range<usize>,
    (n_permutations, seed): (usize, u64),
    folder: &Path,
    done: &(dyn Fn(usize) -> bool + Sync),
) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    for range in ranges(range) {
        let path = folder.join(format!("part-{:08}.npz", range.start));
        let own = Slice { of: places, range: range.clone() };
        if path.exists() {
            let part = Part::read(&path)?;
            if part.maps.n_voxels.len() == own.len() {
                done(own.len() * (1 + usize::from(n_permutations > 0)));
                parts.push(part);
                continue;
            }
        }
        let maps = searchlight(patterns, comparator, &own, done)?;
        let null = match n_permutations {
            0 => None,
            n => Some(permute(patterns, comparator, &own, &maps, (n, seed, Tail::Greater), done)?),
        };
        let part = Part { start: range.start, maps, null };
        part.write(&path)?;
        parts.push(part);
    }
    Ok(parts)
}

/// Puts parts together: places one after the other, extremes over all of them.
///
/// # Errors
/// [`Error::Invalid`] when places are missing or twice there.
pub fn join(mut parts: Vec<Part>, n_places: usize) -> Result<(Maps, Option<Null>)> {
    parts.sort_by_key(|p| p.start);
    let mut next = 0;
    for part in &parts {
        if part.start != next {
            let expected = format!("places from {next} on");
            let hint = "give the directories of all shards, each once";
            return Err(Error::invalid("--shards", expected, format!("places from {}", part.start), hint));
        }
        next += part.maps.n_voxels.len();
    }
    if next != n_places {
        let hint = "give the directories of all shards, each once";
        return Err(Error::invalid("--shards", format!("all {n_places} places"), next.to_string(), hint));
    }
    let values: Vec<ArrayView2<'_, f32>> = parts.iter().map(|p| p.maps.values.view()).collect();
    let maps = Maps {
        values: concatenate(Axis(1), &values).expect("one comparator"),
        n_voxels: parts.iter().flat_map(|p| p.maps.n_voxels.clone()).collect(),
        n_undefined: parts.iter().map(|p| p.maps.n_undefined).sum(),
    };
    let nulls: Option<Vec<&Null>> = parts.iter().map(|p| p.null.as_ref()).collect();
    let null = nulls.filter(|all| !all.is_empty()).map(|all| {
        let p: Vec<ArrayView2<'_, f64>> = all.iter().map(|n| n.p.view()).collect();
        let mut extreme = all[0].extreme.clone();
        all.iter().for_each(|n| extreme.zip_mut_with(&n.extreme, |e, &x| *e = e.max(x)));
        Null { p: concatenate(Axis(1), &p).expect("one comparator"), extreme }
    });
    Ok((maps, null))
}

impl Part {
    fn write(&self, path: &Path) -> Result<()> {
        let n_voxels: Array1<f64> = self.maps.n_voxels.iter().map(|&n| f64::from(n)).collect();
        let place = Array1::from(vec![self.start as f64, self.maps.n_undefined as f64]);
        let mut file = npz::NpzWriter::new().add("place", &place).add("values", &self.maps.values);
        file = file.add("n_voxels", &n_voxels);
        if let Some(null) = &self.null {
            file = file.add("p", &null.p).add("extreme", &null.extreme);
        }
        file.write(path)
    }

    fn read(path: &Path) -> Result<Self> {
        let file = npz::read(path)?;
        let shaped = |e: ndarray::ShapeError| Error::corrupt(path, "matrices", e.to_string(), "compute the part again");
        let matrix =
            |name: &str| -> Result<Array2<f64>> { file.get::<f64>(name)?.into_dimensionality::<Ix2>().map_err(shaped) };
        let numbers = |name: &str| -> Result<Vec<f64>> { Ok(file.get::<f64>(name)?.iter().copied().collect()) };
        let place = numbers("place")?;
        let [start, n_undefined] = place[..] else {
            return Err(Error::corrupt(path, "a part of a map", format!("{place:?}"), "compute the part again"));
        };
        let maps = Maps {
            values: file.get::<f32>("values")?.into_dimensionality::<Ix2>().map_err(shaped)?,
            n_voxels: numbers("n_voxels")?.into_iter().map(|n| n as u32).collect(),
            n_undefined: n_undefined as usize,
        };
        let tested = file.names().any(|name| name == "extreme");
        let null = if tested { Some(Null { p: matrix("p")?, extreme: matrix("extreme")? }) } else { None };
        Ok(Self { start: start as usize, maps, null })
    }
}

/// What shards of one job have in common: its configuration without what tells them apart.
pub fn job_hash(config: &Config) -> String {
    let whole = Config { shard: None, shards: vec![], ..config.clone() };
    hash(toml::to_string(&whole).unwrap_or_default().as_bytes())
}

/// The parts of all shards.
///
/// # Errors
/// [`Error::Invalid`] for a directory that is no complete shard of this job, or saw other inputs.
pub fn of_shards(config: &Config, inputs: &BTreeMap<String, String>) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    for dir in &config.shards {
        let manifest: Value = json::read(&dir.join("manifest.json"))?;
        let at = dir.display().to_string();
        if manifest["results"]["job"].as_str() != Some(job_hash(config).as_str()) {
            let found = format!("a run of `{}`, {}", manifest["command"].as_str().unwrap_or("?"), manifest["status"]);
            let hint = "run it with the same configuration and --shard";
            return Err(Error::invalid(at, "a complete shard of this job", found, hint));
        }
        let seen: BTreeMap<String, String> = serde_json::from_value(manifest["inputs"].clone()).unwrap_or_default();
        let hashes = |all: &BTreeMap<String, String>| {
            let mut hashes: Vec<String> = all.values().cloned().collect();
            hashes.sort();
            hashes
        };
        if hashes(&seen) != hashes(inputs) {
            return Err(Error::invalid(at, "a shard of the same input files", "other ones", "compute it again"));
        }
        let folder = dir.join("arrays");
        let entries = std::fs::read_dir(&folder).map_err(Error::io(&folder, "read"))?;
        let mut files: Vec<PathBuf> = entries.filter_map(|e| e.ok().map(|e| e.path())).collect();
        files.retain(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("part-")));
        files.sort();
        for file in files {
            parts.push(Part::read(&file)?);
        }
    }
    Ok(parts)
}
