//! Places taken in parts: a part that is done is kept, so that an interrupted run goes on from
//! there, and several machines can share the places.
//!
//! Parts begin at multiples of [`ALIGNED`] places, where the passes begin anew: their values are
//! those of one pass, to the last bit.

use super::config::Config;
use super::plan::Plan;
use super::watched::watched;
use crate::error::{Error, Result};
use crate::io::{atomic, npz, sealed, source};
use crate::job::manifest::{hash, hashes};
use crate::job::shard::{self, Shard};
use crate::job::{RunDir, Session};
use crate::mapping::measure::ALIGNED;
use crate::mapping::null::Null;
use crate::mapping::searchlight::{Maps, Places};
use crate::mapping::{Part, measure};
use ndarray::{Array1, Array2, Array3, ArrayView3, Ix2, Ix3};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A part has at least so many places, so that all cores have work.
const SMALLEST: usize = 16 * ALIGNED;
/// About so many parts of a run.
const PARTS: usize = 32;

/// All places, measured and tested; parts that lie in `folder` are read, new ones are written
/// there.
///
/// # Errors
/// As [`measure()`]; [`Error::Io`] when a part cannot be written.
pub fn whole<P: Places>(plan: &Plan, places: &P, folder: &Path, session: &Session) -> Result<Part> {
    let n_places = places.len();
    let parts = measured(plan, places, 0..n_places, folder, session)?;
    join(parts, n_places)
}

/// The places of a shard, whose parts are the outputs of the run; their number.
///
/// # Errors
/// As [`whole`].
pub fn shard<P: Places>(plan: &Plan, shard: Shard, places: &P, run: &RunDir, session: &Session) -> Result<usize> {
    let range = slice(shard, places.len());
    let n = range.len();
    for part in measured(plan, places, range, &run.checkpoint(), session)? {
        let bytes = checkpoint(&run.checkpoint(), part.start)?;
        atomic::write(&run.file(format!("arrays/part-{:08}.npz", part.start)), &bytes)?;
    }
    Ok(n)
}

/// Where the checkpoint of the part from `start` on lies.
fn path_of(folder: &Path, start: usize) -> PathBuf {
    folder.join(format!("part-{start:08}.checkpoint"))
}

/// The bytes of a part that was measured.
fn checkpoint(folder: &Path, start: usize) -> Result<Vec<u8>> {
    let path = path_of(folder, start);
    let gone = || Error::corrupt(&path, "the part that was measured", "no file", "begin the run again");
    sealed::read(&path)?.ok_or_else(gone)
}

/// Shows `see` the relabelled maps of every part in turn, with the number of its first place: of
/// the shards that are put together, or of the parts of this run in `folder`.
///
/// # Errors
/// As [`kept`], and what `see` returns.
pub fn each_kept(
    plan: &Plan,
    n_places: usize,
    folder: &Path,
    mut see: impl FnMut(usize, ArrayView3<'_, f32>) -> Result<()>,
) -> Result<()> {
    let mut of = |file: &npz::Npz, path: &Path| {
        let part = read(file, path)?;
        see(part.start, kept(file, &part, path)?.view())
    };
    if let Some(shards) = &plan.shards {
        return shards.files.iter().try_for_each(|path| of(&npz::read(path)?, path));
    }
    ranges(0..n_places).into_iter().try_for_each(|range| {
        let path = path_of(folder, range.start);
        of(&npz::decode(&checkpoint(folder, range.start)?, &path)?, &path)
    })
}

/// The places of a shard: `of` ranges of about equal size, in order.
fn slice(shard: Shard, n_places: usize) -> Range<usize> {
    let units = shard.slice(n_places.div_ceil(ALIGNED));
    let at = |unit: usize| (unit * ALIGNED).min(n_places);
    at(units.start)..at(units.end)
}

fn ranges(range: Range<usize>) -> Vec<Range<usize>> {
    let size = (range.len().div_ceil(PARTS).max(SMALLEST)).next_multiple_of(ALIGNED);
    range.clone().step_by(size).map(|start| start..(start + size).min(range.end)).collect()
}

fn measured<P: Places>(
    plan: &Plan,
    places: &P,
    range: Range<usize>,
    folder: &Path,
    session: &Session,
) -> Result<Vec<Part>> {
    let (question, relabellings) = (plan.question(), plan.relabellings());
    let passes = 1 + usize::from(relabellings.n_permutations > 0);
    watched(session, "map", range.len() * passes, |sink| {
        let mut parts = Vec::new();
        for range in ranges(range) {
            let path = path_of(folder, range.start);
            let n_places = range.len();
            parts.push(match sealed::read(&path)? {
                Some(bytes) => {
                    sink(n_places * passes);
                    read(&npz::decode(&bytes, &path)?, &path).and_then(|part| require(part, &range, &path))?
                }
                None => {
                    let part = measure(&question, places, range, &relabellings, sink)?;
                    sealed::write(&path, &archive(&part).bytes(&path)?)?;
                    without_kept(part)
                }
            });
        }
        Ok(parts)
    })
}

/// Puts the parts of all places together.
///
/// # Errors
/// [`Error::Invalid`] when places are missing or twice there.
fn join(mut parts: Vec<Part>, n_places: usize) -> Result<Part> {
    parts.sort_by_key(|p| p.start);
    let mut next = 0;
    for part in &parts {
        if part.start != next {
            let expected = format!("places from {next} on");
            let hint = "give the directories of all shards, each once";
            return Err(Error::invalid("shards", expected, format!("places from {}", part.start), hint));
        }
        next += part.n_places();
    }
    if next != n_places || parts.is_empty() {
        let hint = "give the directories of all shards, each once";
        return Err(Error::invalid("shards", format!("all {n_places} places"), next.to_string(), hint));
    }
    Ok(Part::joined(&parts))
}

/// A part must be of the places that it is named after.
fn require(part: Part, range: &Range<usize>, path: &Path) -> Result<Part> {
    if (part.start, part.n_places()) == (range.start, range.len()) {
        return Ok(part);
    }
    let found = format!("{} places from {}", part.n_places(), part.start);
    let hint = "remove the file: its places are measured again";
    Err(Error::corrupt(path, format!("{} places from {}", range.len(), range.start), found, hint))
}

/// A part as arrays.
pub fn archive(part: &Part) -> npz::NpzWriter {
    let n_voxels: Array1<f64> = part.maps.n_voxels.iter().map(|&n| f64::from(n)).collect();
    let place = Array1::from(vec![part.start as f64, part.maps.n_undefined as f64]);
    let mut file = npz::NpzWriter::new().add("place", &place).add("values", &part.maps.values);
    file = file.add("n_voxels", &n_voxels);
    if let Some(null) = &part.null {
        file = file
            .add("p", &null.p)
            .add("observed", &null.observed)
            .add("extreme", &null.extreme)
            .add("mean", &null.mean);
        if !null.kept.is_empty() {
            file = file.add("kept", &null.kept);
        }
    }
    file
}

/// Relabelled maps may be larger than memory: they stay in the part's file.
fn without_kept(mut part: Part) -> Part {
    if let Some(null) = &mut part.null {
        let (n_values, n_places) = null.p.dim();
        null.kept = Array3::zeros((0, n_values, n_places));
    }
    part
}

/// The relabelled maps of a part, n_kept x n_values x n_places; none where none were kept.
///
/// # Errors
/// [`Error::Corrupt`] when they are not of the part's values and places.
pub fn kept(file: &npz::Npz, part: &Part, path: &Path) -> Result<Array3<f32>> {
    let (n_values, n_places) = part.maps.values.dim();
    if !file.names().any(|name| name == "kept") {
        return Ok(Array3::zeros((0, n_values, n_places)));
    }
    let all = file.get::<f32>("kept")?;
    let found = format!("{:?}", all.shape());
    let wrong = || {
        let expected = format!("relabelled maps of {n_values} values and {n_places} places");
        Error::corrupt(path, expected, found, "compute the part again")
    };
    match all.into_dimensionality::<Ix3>() {
        Ok(kept) if (kept.dim().1, kept.dim().2) == (n_values, n_places) => Ok(kept),
        _ => Err(wrong()),
    }
}

/// A part from its arrays, without the relabelled maps ([`kept`]).
///
/// # Errors
/// [`Error::Corrupt`] when they are not those of a part, or do not fit each other.
pub fn read(file: &npz::Npz, path: &Path) -> Result<Part> {
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
    let null = match tested {
        true => Some(Null {
            p: matrix("p")?,
            extreme: matrix("extreme")?,
            observed: file.get::<f32>("observed")?.into_dimensionality::<Ix2>().map_err(shaped)?,
            mean: file.get::<f32>("mean")?.into_dimensionality::<Ix2>().map_err(shaped)?,
            kept: Array3::zeros((0, maps.values.nrows(), maps.values.ncols())),
            tail: Plan::TAIL,
        }),
        false => None,
    };
    let n = maps.values.ncols();
    let fits = null.as_ref().is_none_or(|null| {
        let dim = maps.values.dim();
        null.p.dim() == dim && null.observed.dim() == dim && null.mean.dim() == dim && null.extreme.ncols() == dim.0
    });
    if maps.n_voxels.len() != n || !fits {
        let found = format!("{n} places, voxels of {}", maps.n_voxels.len());
        return Err(Error::corrupt(path, "values and tests of the same places", found, "compute the part again"));
    }
    Ok(Part { start: start as usize, maps, null })
}

/// What shards of one job have in common: its configuration without what tells them apart.
pub fn job_hash(config: &Config) -> String {
    let whole = Config { shard: None, shards: vec![], ..config.clone() };
    hash(toml::to_string(&whole).unwrap_or_default().as_bytes())
}

/// What all shards measured, put together.
pub struct Shards {
    pub part: Part,
    /// The files of the parts.
    files: Vec<PathBuf>,
}

impl Shards {
    /// # Errors
    /// [`Error::Invalid`] for a directory that is no complete shard of this job, or saw other
    /// inputs, and when places are missing or twice there.
    pub fn read(config: &Config, n_places: usize) -> Result<Self> {
        // What was read before: the shards read the same, and nothing else.
        let inputs = hashes(&source::so_far())?;
        let (mut parts, mut files) = (Vec::new(), Vec::new());
        for dir in &config.shards {
            let manifest = shard::manifest(dir, (config, &job_hash(config)), &inputs)?;
            let folder = dir.join("arrays");
            let entries = std::fs::read_dir(&folder).map_err(Error::io(&folder, "read"))?;
            let mut own: Vec<PathBuf> = entries.filter_map(|e| e.ok().map(|e| e.path())).collect();
            own.retain(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("part-")));
            own.sort();
            for file in own {
                let name = format!("arrays/{}", file.file_name().unwrap_or_default().to_string_lossy());
                let bytes = shard::output(dir, &name, &manifest)?;
                parts.push(read(&npz::decode(&bytes, &file)?, &file)?);
                files.push(file);
            }
        }
        Ok(Self { part: join(parts, n_places)?, files })
    }
}
