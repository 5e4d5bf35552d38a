//! The subjects' maps, read and checked.

use super::config::Config;
use crate::data::names::{nfc, same};
use crate::data::{Grid, Mask, Volume};
use crate::error::{Error, Result};
use crate::io::{json, nifti};
use crate::job::brain::maps::{label, label_among};
use crate::job::manifest::hash_file;
use crate::stats::group::fisher_z;
use crate::warning::Warning;
use ndarray::Array2;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What is tested.
pub struct Data {
    pub names: Vec<String>,
    /// For each name n_subjects x n_voxels; differences where there is something to compare with.
    pub maps: Vec<Array2<f64>>,
    pub mask: Mask,
    pub background: Option<Volume>,
    pub space: nifti::Space,
    pub fisher_z: bool,
    /// The statistic of the maps, in words.
    pub stat: String,
    /// What the runs of both sets say of the overlap of their layers, subject by subject.
    pub overlaps: Option<(Vec<Value>, Vec<Value>)>,
    pub inputs: BTreeMap<String, String>,
    pub warnings: Vec<Warning>,
}

/// One set of maps as files: `paths[name][subject]`, or volumes of one file.
struct Set {
    names: Vec<String>,
    paths: Vec<Vec<PathBuf>>,
    /// The comparison of run directories.
    stat: Option<String>,
}

const CORRELATIONS: [&str; 4] = ["pearson", "spearman", "kendall_tau_a", "cosine"];

/// Reads everything.
///
/// # Errors
/// [`Error::Invalid`] for maps of different grids, layers or subjects; whatever reading says.
pub fn read(config: &Config) -> Result<Data> {
    let own = &config.maps;
    let set = find(&own.subjects, config)?;
    let against = if own.against.is_empty() { None } else { Some(find(&own.against, config)?) };
    if let Some(other) = &against {
        same_subjects(&own.subjects, &own.against)?;
        if other.names != set.names {
            let found = format!("`{}`", other.names.join("`, `"));
            let hint = "choose layers that both have with --layers";
            return Err(Error::invalid("--against", format!("maps of `{}`", set.names.join("`, `")), found, hint));
        }
    }
    let mut inputs = BTreeMap::new();
    let header = nifti::read_header(&set.paths[0][0])?;
    let (grid, space) = (header.grid, header.space);
    let correlations = set.stat.as_deref().is_some_and(|s| CORRELATIONS.contains(&s));
    let fisher = own.fisher_z.unwrap_or(correlations);
    let mut rows = Vec::new();
    let mut something = vec![false; grid.n_voxels()];
    for (n, paths) in set.paths.iter().enumerate() {
        let mut values = stack(&volumes(paths, &mut inputs)?, &grid, paths, fisher)?;
        mark(&values, &mut something);
        if let Some(other) = &against {
            let second = stack(&volumes(&other.paths[n], &mut inputs)?, &grid, &other.paths[n], fisher)?;
            if second.dim() != values.dim() {
                let found = format!("{} and {}", values.nrows(), second.nrows());
                return Err(Error::invalid("--against", "as many subjects as in --maps", found, ""));
            }
            mark(&second, &mut something);
            values = values - second;
        }
        rows.push(values);
    }
    let (mask, n_missing) = mask(config, &grid, (&rows, &something), &mut inputs)?;
    let maps = rows
        .iter()
        .map(|r| Array2::from_shape_fn((r.nrows(), mask.n_voxels()), |(s, v)| r[[s, mask.voxels()[v] as usize]]));
    let background = background(config, &grid, &mut inputs)?;
    let stat = set.stat.clone().unwrap_or_else(|| "value".into());
    let mut warnings = Vec::new();
    if n_missing > 0 {
        let text = format!(
            "{n_missing} voxels have a value in some subjects but not in enough of them and are left out (see --min-subjects)"
        );
        warnings.push(Warning::Note { text });
    }
    Ok(Data {
        names: set.names,
        maps: maps.collect(),
        mask,
        background,
        space,
        fisher_z: fisher,
        overlaps: overlaps(config)?,
        stat,
        inputs,
        warnings,
    })
}

/// The maps that the paths stand for.
fn find(paths: &[PathBuf], config: &Config) -> Result<Set> {
    let n_directories = paths.iter().filter(|p| p.is_dir()).count();
    if n_directories == 0 {
        let name = config.maps.name.clone().unwrap_or_else(|| "effect".into());
        return Ok(Set { names: vec![name], paths: vec![paths.to_vec()], stat: config.maps.stat.clone() });
    }
    if n_directories < paths.len() {
        let found = format!("{n_directories} directories and {} files", paths.len() - n_directories);
        return Err(Error::invalid("--maps", "run directories or files, not both", found, ""));
    }
    let mut set: Option<Set> = None;
    for path in paths {
        let (layers, stat) = layers_of_run(path, config)?;
        let chosen: Vec<String> = if config.maps.layers.is_empty() {
            layers.clone()
        } else {
            config.maps.layers.iter().map(|name| layer_of_run(path, name, &layers)).collect::<Result<_>>()?
        };
        let of_layer = |layer: &String| map_file(path, &label_among(layer, &layers), &stat);
        let files = chosen.iter().map(of_layer).collect::<Result<Vec<_>>>()?;
        match &mut set {
            None => {
                set =
                    Some(Set { names: chosen, paths: files.into_iter().map(|f| vec![f]).collect(), stat: Some(stat) });
            }
            Some(set) if set.names == chosen && set.stat.as_deref() == Some(&stat) => {
                set.paths.iter_mut().zip(files).for_each(|(all, file)| all.push(file));
            }
            Some(set) => {
                let expected = format!("{} of `{}`", set.stat.as_deref().unwrap_or(""), set.names.join("`, `"));
                let found = format!("{stat} of `{}`", chosen.join("`, `"));
                let hint = "all subjects must be mapped with the same layers and comparison";
                return Err(Error::invalid(path.display().to_string(), expected, found, hint));
            }
        }
    }
    Ok(set.expect("there are paths"))
}

/// Names of the layers of a run of `map`, and its comparison.
fn layers_of_run(dir: &Path, config: &Config) -> Result<(Vec<String>, String)> {
    let manifest: Value = json::read(&dir.join("manifest.json"))?;
    let results = &manifest["results"];
    let names: Option<Vec<String>> = results["layers"]
        .as_array()
        .map(|layers| layers.iter().filter_map(|l| l["name"].as_str().map(String::from)).collect());
    match (names, results["statistic"].as_str()) {
        (Some(names), Some(stat)) if manifest["command"] == "map" && results["n_centres"].as_u64() > Some(0) => {
            Ok((names, config.maps.stat.clone().unwrap_or_else(|| stat.to_owned())))
        }
        _ => {
            let found = format!("a run of `{}`, {}", manifest["command"].as_str().unwrap_or("?"), manifest["status"]);
            let hint = "give directories of `orthoscope map` with a searchlight, or NIfTI files";
            Err(Error::invalid(dir.display().to_string(), "a complete run of `map` with maps", found, hint))
        }
    }
}

/// The overlaps of two sets of runs.
fn overlaps(config: &Config) -> Result<Option<(Vec<Value>, Vec<Value>)>> {
    let of = |paths: &[PathBuf]| -> Result<Vec<Value>> {
        paths
            .iter()
            .map(|dir| Ok(json::read::<Value>(&dir.join("manifest.json"))?["results"]["overlap"].clone()))
            .collect()
    };
    let (own, other) = (&config.maps.subjects, &config.maps.against);
    let runs = !other.is_empty() && own.iter().chain(other).all(|p| p.is_dir());
    if runs { Ok(Some((of(own)?, of(other)?))) } else { Ok(None) }
}

/// The layer of a run that a name means: the whole name, or the one layer with its letters and digits.
fn layer_of_run(dir: &Path, name: &str, layers: &[String]) -> Result<String> {
    if let Some(layer) = layers.iter().find(|layer| same(layer, name)) {
        return Ok(layer.clone());
    }
    let spelt = label(&nfc(name));
    let alike: Vec<&String> = layers.iter().filter(|layer| !spelt.is_empty() && label(layer) == spelt).collect();
    match alike.as_slice() {
        [one] => Ok((*one).clone()),
        _ => {
            let expected = format!("one of the layers `{}`", layers.join("`, `"));
            let hint = "is the layer's name spelt as in the run?";
            Err(Error::invalid(format!("--layers, {}", dir.display()), expected, format!("`{name}`"), hint))
        }
    }
}

/// `*desc-<layer>_stat-<stat>_statmap.nii.gz` in the run's arrays, by the layer's label.
fn map_file(dir: &Path, layer: &str, stat: &str) -> Result<PathBuf> {
    let end = format!("desc-{layer}_stat-{}_statmap.nii.gz", label(stat));
    let folder = dir.join("arrays");
    let entries = std::fs::read_dir(&folder).map_err(Error::io(&folder, "read"))?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| p.file_name().is_some_and(|n| n.to_string_lossy().ends_with(&end)))
        .collect();
    found.sort();
    match found.len() {
        1 => Ok(found.remove(0)),
        n => {
            let hint = "is --stat one of the run's maps?";
            Err(Error::invalid(folder.display().to_string(), format!("one file `*{end}`"), n.to_string(), hint))
        }
    }
}

/// `01` of `.../sub-01_task-images/...`.
fn subject(path: &Path) -> Option<String> {
    let text = path.to_string_lossy().into_owned();
    let at = text.rfind("sub-")?;
    let id: String = text[at + 4..].chars().take_while(char::is_ascii_alphanumeric).collect();
    (!id.is_empty()).then_some(id)
}

/// Paths that name their subjects must name the same ones.
fn same_subjects(first: &[PathBuf], second: &[PathBuf]) -> Result<()> {
    for (a, b) in first.iter().zip(second) {
        if let (Some(x), Some(y)) = (subject(a), subject(b))
            && x != y
        {
            let found = format!("sub-{x} beside sub-{y}");
            let hint = "give --against in the order of --maps";
            return Err(Error::invalid("--against", "the same subjects in the same order", found, hint));
        }
    }
    Ok(())
}

/// The volumes of all files, with their hashes; a single 4-D file holds all subjects.
fn volumes(paths: &[PathBuf], hashes: &mut BTreeMap<String, String>) -> Result<Vec<Volume>> {
    for path in paths {
        hashes.insert(format!("map {}", path.display()), hash_file(path)?);
    }
    if let [only] = paths {
        let mut file = nifti::read(only)?;
        let (grid, n) = (*file.grid(), file.header().n_volumes);
        return (0..n).map(|_| Volume::new(grid, file.next_volume()?)).collect();
    }
    paths.iter().map(|path| nifti::read_volume(path)).collect()
}

/// n_subjects x all voxels of the grid.
fn stack(volumes: &[Volume], grid: &Grid, paths: &[PathBuf], fisher: bool) -> Result<Array2<f64>> {
    for (i, volume) in volumes.iter().enumerate() {
        let path = paths.get(i).unwrap_or(&paths[0]);
        grid.require_same(&path.display().to_string(), volume.grid())?;
        if fisher && volume.values().iter().any(|v| v.abs() > 1.0) {
            let hint = "Fisher's z is of correlations: --no-fisher-z for other values";
            return Err(Error::invalid(path.display().to_string(), "correlations from -1 to 1", "larger values", hint));
        }
    }
    let value = |(s, v): (usize, usize)| {
        let x = f64::from(volumes[s].values()[v]);
        if fisher { fisher_z(x) } else { x }
    };
    Ok(Array2::from_shape_fn((volumes.len(), grid.n_voxels()), value))
}

/// Voxels where some subject has a value other than 0: outside the brain, maps hold 0 or NaN.
fn mark(values: &Array2<f64>, something: &mut [bool]) {
    for row in values.rows() {
        something.iter_mut().zip(row).for_each(|(mark, x)| *mark |= x.is_finite() && *x != 0.0);
    }
}

/// Voxels with a value other than 0 in some subject, and a finite value in enough of them; and how many have too few.
fn mask(
    config: &Config,
    grid: &Grid,
    (rows, something): (&[Array2<f64>], &[bool]),
    inputs: &mut BTreeMap<String, String>,
) -> Result<(Mask, usize)> {
    let given = match &config.maps.mask {
        Some(path) => {
            inputs.insert(format!("mask {}", path.display()), hash_file(path)?);
            let volume = nifti::read_volume(path)?;
            grid.require_same("--mask", volume.grid())?;
            Some(Mask::from_volume(&volume)?)
        }
        None => None,
    };
    let n_subjects = rows[0].nrows();
    let least = config.maps.min_subjects.unwrap_or(n_subjects).clamp(1, n_subjects);
    let wanted = |v: usize| given.as_ref().is_none_or(|m| m.rank(v).is_some());
    let enough = |v: usize| rows.iter().all(|r| r.column(v).iter().filter(|x| x.is_finite()).count() >= least);
    let keep: Vec<bool> = (0..grid.n_voxels()).map(|v| wanted(v) && something[v] && enough(v)).collect();
    let n_missing = (0..grid.n_voxels()).filter(|&v| wanted(v) && something[v] && !enough(v)).count();
    if keep.iter().all(|k| !k) {
        let expected = format!("voxels with a value in {least} of {n_subjects} subjects");
        let hint = "are the maps of one space? --min-subjects allows missing values";
        return Err(Error::invalid("--maps", expected, "none", hint));
    }
    Ok((Mask::from_fn(*grid, |v| keep[v])?, n_missing))
}

fn background(config: &Config, grid: &Grid, inputs: &mut BTreeMap<String, String>) -> Result<Option<Volume>> {
    let Some(path) = &config.maps.background else { return Ok(None) };
    inputs.insert(format!("background {}", path.display()), hash_file(path)?);
    let volume = nifti::read_volume(path)?;
    grid.require_same("--background", volume.grid())?;
    Ok(Some(volume))
}
