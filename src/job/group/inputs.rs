//! The subjects' maps, read and checked.

use super::config::{Config, Zeros};
use super::rows::{self, Rows, Rule};
use crate::data::names::{nfc, same, twice};
use crate::data::{Grid, Mask, Volume};
use crate::error::{Error, Result};
use crate::io::filename::Part;
use crate::io::{json, nifti};
use crate::warning::Warning;
use ndarray::{Array2, Axis};
use serde_json::Value;
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
    one_each("maps.subjects", &own.subjects)?;
    one_each("maps.against", &own.against)?;
    let set = find(&own.subjects, config)?;
    let against = if own.against.is_empty() { None } else { Some(find(&own.against, config)?) };
    if let Some(other) = &against {
        same_subjects(&own.subjects, &own.against)?;
        if other.names != set.names {
            let found = format!("`{}`", other.names.join("`, `"));
            let hint = "choose layers that both have with `maps.layers`";
            return Err(Error::invalid("maps.against", format!("maps of `{}`", set.names.join("`, `")), found, hint));
        }
    }
    let header = nifti::read_header(&set.paths[0][0])?;
    let (grid, space) = (header.grid, header.space);
    let correlations = set.stat.as_deref().is_some_and(|s| CORRELATIONS.contains(&s));
    let fisher = own.fisher_z.unwrap_or(correlations);
    let mut warnings = Vec::new();
    let given = match &own.mask {
        Some(path) => {
            let (mask, said) = nifti::read_mask(path)?;
            grid.require_same("maps.mask", mask.grid())?;
            warnings.extend(said);
            Some(mask)
        }
        None => None,
    };
    // Runs of `map` write NaN where there is no value, and a weight of 0 is one.
    let usual = if own.subjects.iter().all(|p| p.is_dir()) { Zeros::Data } else { Zeros::Missing };
    let rule = Rule { fisher, zeros: own.zeros.unwrap_or(usual), mask: given.as_ref() };
    let mut read = |paths: &Vec<PathBuf>| -> Result<Rows> {
        let maps = rows::volumes(paths, &mut warnings)?;
        Rows::new(maps, &grid, &rule, &mut warnings)
    };
    let mut pairs: Vec<(Rows, Option<Rows>)> = Vec::new();
    for (n, paths) in set.paths.iter().enumerate() {
        let first = read(paths)?;
        let second = against.as_ref().map(|other| read(&other.paths[n])).transpose()?;
        if let Some(second) = second.as_ref().filter(|second| second.names.len() != first.names.len()) {
            let found = format!("{} and {}", first.names.len(), second.names.len());
            return Err(Error::invalid("maps.against", "as many subjects as in `maps.subjects`", found, ""));
        }
        pairs.push((first, second));
    }
    let present = without_empty(&mut pairs, &mut warnings)?;
    let (mask, missing) = mask(config, &grid, given.as_ref(), &pairs)?;
    warnings.extend(missing);
    warnings.extend(read_as_missing(&pairs, &rule, own.min_subjects.is_none()));
    let inside =
        |rows: Array2<f64>| rows.select(Axis(1), &mask.voxels().iter().map(|&v| v as usize).collect::<Vec<_>>());
    let maps = pairs.into_iter().map(|(first, second)| match second {
        Some(second) => inside(first.values - second.values),
        None => inside(first.values),
    });
    let maps = maps.collect();
    let background = background(config, &grid)?;
    let stat = set.stat.clone().unwrap_or_else(|| "value".into());
    let overlaps = overlaps(config)?.map(|(own, other)| (chosen(own, &present), chosen(other, &present)));
    Ok(Data { names: set.names, maps, mask, background, space, fisher_z: fisher, overlaps, stat, warnings })
}

/// Those of the subjects that are left.
pub(super) fn chosen<T>(all: Vec<T>, present: &[bool]) -> Vec<T> {
    all.into_iter().zip(present).filter(|(_, present)| **present).map(|(item, _)| item).collect()
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
        return Err(Error::invalid("maps.subjects", "run directories or files, not both", found, ""));
    }
    let mut set: Option<Set> = None;
    for path in paths {
        let (layers, stat) = layers_of_run(path, config)?;
        let found: Vec<&Layer> = if config.maps.layers.is_empty() {
            layers.iter().collect()
        } else {
            config.maps.layers.iter().map(|name| layer_of_run(path, name, &layers)).collect::<Result<_>>()?
        };
        let files =
            found.iter().map(|layer| map_file(path, layer.label(path, &layers)?, &stat)).collect::<Result<Vec<_>>>()?;
        let chosen: Vec<String> = found.into_iter().map(|layer| layer.name.clone()).collect();
        if let Some(name) = twice(chosen.iter().map(String::as_str)) {
            let found = format!("`{name}` twice");
            return Err(Error::invalid("maps.layers", "each layer once", found, "a layer is tested once"));
        }
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

/// A layer of a run of `map`.
struct Layer {
    name: String,
    /// Absent in runs that left out what no BIDS label has, and nothing else.
    label: Option<String>,
}

impl Layer {
    /// What the layer's maps are called. Two layers of one label shared their files.
    fn label(&self, dir: &Path, layers: &[Self]) -> Result<String> {
        let label = |layer: &Self| layer.label.clone().unwrap_or_else(|| Part::Label.plain(&layer.name));
        let own = label(self);
        let shares = |layer: &&Self| label(layer).eq_ignore_ascii_case(&own);
        let sharing: Vec<&str> = layers.iter().filter(shares).map(|layer| layer.name.as_str()).collect();
        if sharing.len() == 1 && !own.is_empty() {
            return Ok(own);
        }
        let expected = format!("a map of `{}` alone", self.name);
        let found = format!("`desc-{own}` for `{}`", sharing.join("`, `"));
        let hint = "an earlier version wrote them to one file: map this subject again";
        Err(Error::invalid(dir.display().to_string(), expected, found, hint))
    }
}

/// The layers of a run of `map`, and its comparison.
fn layers_of_run(dir: &Path, config: &Config) -> Result<(Vec<Layer>, String)> {
    let manifest: Value = json::read(&dir.join("manifest.json"))?;
    let results = &manifest["results"];
    let layer = |of: &Value| {
        let text = |key: &str| of[key].as_str().map(String::from);
        text("name").map(|name| Layer { name, label: text("label") })
    };
    let layers: Option<Vec<Layer>> =
        results["layers"].as_array().map(|layers| layers.iter().filter_map(layer).collect());
    match (layers, results["statistic"].as_str()) {
        (Some(layers), Some(stat)) if manifest["command"] == "map" && results["n_centres"].as_u64() > Some(0) => {
            Ok((layers, config.maps.stat.clone().unwrap_or_else(|| stat.to_owned())))
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

/// The layer of a run that a name means: the whole name, that of its maps, or the one layer with
/// its letters and digits.
fn layer_of_run<'l>(dir: &Path, name: &str, layers: &'l [Layer]) -> Result<&'l Layer> {
    let spelt = Part::Label.plain(&nfc(name));
    let rules: [&dyn Fn(&&Layer) -> bool; 4] = [
        &|layer| layer.name == name,
        &|layer| same(&layer.name, name),
        &|layer| layer.label.as_deref() == Some(name),
        &|layer| !spelt.is_empty() && Part::Label.plain(&layer.name) == spelt,
    ];
    let found = rules.iter().map(|rule| layers.iter().filter(rule).collect::<Vec<_>>());
    match found.into_iter().find(|found| !found.is_empty()).as_deref() {
        Some([one]) => Ok(one),
        _ => {
            let names = layers.iter().map(|layer| layer.name.as_str()).collect::<Vec<_>>().join("`, `");
            let expected = format!("one of the layers `{names}`");
            let hint = "is the layer's name spelt as in the run?";
            Err(Error::invalid(format!("maps.layers, {}", dir.display()), expected, format!("`{name}`"), hint))
        }
    }
}

/// `[PREFIX_]desc-<label>_stat-<stat>_statmap.nii.gz` in the run's arrays.
fn map_file(dir: &Path, label: String, stat: &str) -> Result<PathBuf> {
    let end = format!("desc-{label}_stat-{}_statmap.nii.gz", Part::Label.plain(stat));
    let means = |name: &str| name.strip_suffix(&end).is_some_and(|prefix| prefix.is_empty() || prefix.ends_with('_'));
    let folder = dir.join("arrays");
    let entries = std::fs::read_dir(&folder).map_err(Error::io(&folder, "read"))?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| p.file_name().is_some_and(|n| means(&n.to_string_lossy())))
        .collect();
    found.sort();
    match found.len() {
        1 => Ok(found.remove(0)),
        n => {
            let hint = "is `maps.stat` one of the run's maps?";
            Err(Error::invalid(folder.display().to_string(), format!("one file `*{end}`"), n.to_string(), hint))
        }
    }
}

/// Refuses one map as that of two subjects, however its path is written.
fn one_each(at: &str, paths: &[PathBuf]) -> Result<()> {
    let whole = |path: &PathBuf| path.canonicalize().unwrap_or_else(|_| path.clone()).to_string_lossy().into_owned();
    let all: Vec<String> = paths.iter().map(whole).collect();
    match twice(all.iter().map(String::as_str)) {
        Some(path) => {
            let hint = "one map of each subject: the same one twice counts a subject twice";
            Err(Error::invalid(at, "each subject once", format!("`{path}` twice"), hint))
        }
        None => Ok(()),
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
            let hint = "give `maps.against` in the order of `maps.subjects`";
            return Err(Error::invalid("maps.against", "the same subjects in the same order", found, hint));
        }
    }
    Ok(())
}

/// Leaves subjects out of whom some map is empty, and says so; the answer is who is left.
fn without_empty(pairs: &mut [(Rows, Option<Rows>)], warnings: &mut Vec<Warning>) -> Result<Vec<bool>> {
    let n = pairs[0].0.names.len();
    let mut present = vec![true; n];
    let mut empty: Vec<String> = Vec::new();
    for rows in pairs.iter().flat_map(|(first, second)| std::iter::once(first).chain(second)) {
        for s in (0..rows.names.len()).filter(|&s| rows.empty[s]) {
            if let Some(present) = present.get_mut(s) {
                *present = false;
            }
            empty.push(rows.names[s].clone());
        }
    }
    if empty.is_empty() {
        return Ok(present);
    }
    let left = present.iter().filter(|p| **p).count();
    let named = empty.join("`, `");
    if left < 2 {
        let hint = "did the analysis that made them fail? a map of 0 everywhere is no data";
        return Err(Error::invalid(
            "maps.subjects",
            "maps with values of 2 subjects or more",
            format!("nothing in `{named}`"),
            hint,
        ));
    }
    for (first, second) in pairs.iter_mut() {
        first.keep(&present);
        second.iter_mut().for_each(|rows| rows.keep(&present));
    }
    let text = format!("`{named}` holds one value and nothing else: left out, {left} of {n} subjects are tested");
    warnings.push(Warning::Note { text });
    Ok(present)
}

/// Voxels with a value in enough subjects that is not the same in all; and what is to be said of
/// those that have too few.
fn mask(
    config: &Config,
    grid: &Grid,
    given: Option<&Mask>,
    pairs: &[(Rows, Option<Rows>)],
) -> Result<(Mask, Option<Warning>)> {
    let n_subjects = pairs[0].0.names.len();
    let least = config.maps.min_subjects.unwrap_or(n_subjects).clamp(1, n_subjects);
    let wanted = |v: usize| given.is_none_or(|m| m.rank(v).is_some());
    let has = |(first, second): &(Rows, Option<Rows>), s: usize, v: usize| {
        first.values[[s, v]].is_finite() && second.as_ref().is_none_or(|rows| rows.values[[s, v]].is_finite())
    };
    // A number that is the same in all subjects is the outside of the brain, unless the other set
    // varies around it.
    let varying = |v: usize| {
        pairs.iter().any(|(first, second)| first.varying[v] || second.as_ref().is_some_and(|rows| rows.varying[v]))
    };
    let count = |pair: &(Rows, Option<Rows>), v: usize| (0..n_subjects).filter(|&s| has(pair, s, v)).count();
    let candidates: Vec<usize> = (0..grid.n_voxels()).filter(|&v| wanted(v) && varying(v)).collect();
    let mut keep = vec![false; grid.n_voxels()];
    let mut lacking = vec![0usize; n_subjects];
    let mut n_missing = 0;
    for v in candidates {
        keep[v] = pairs.iter().all(|pair| count(pair, v) >= least);
        if !keep[v] {
            n_missing += 1;
            (0..n_subjects).for_each(|s| lacking[s] += usize::from(!pairs.iter().all(|pair| has(pair, s, v))));
        }
    }
    if keep.iter().all(|k| !k) {
        let expected = format!("voxels with a value in {least} of {n_subjects} subjects");
        let hint = "are the maps of one space? `maps.min_subjects` allows missing values, `maps.zeros` data counts 0 as a value";
        return Err(Error::invalid("maps.subjects", expected, "none", hint));
    }
    let worst = (0..n_subjects).max_by_key(|&s| (lacking[s], std::cmp::Reverse(s))).unwrap_or(0);
    let text = format!(
        "{n_missing} voxels have a value in some subjects but not in enough of them and are left out (see --min-subjects); `{}` lacks most of them: {}",
        pairs[0].0.names[worst], lacking[worst]
    );
    Ok((Mask::from_fn(*grid, |v| keep[v])?, (n_missing > 0).then_some(Warning::Note { text })))
}

/// Says where a number of one subject was read as missing although others have values there.
fn read_as_missing(pairs: &[(Rows, Option<Rows>)], rule: &Rule<'_>, left_out: bool) -> Option<Warning> {
    let all = || pairs.iter().flat_map(|(first, second)| std::iter::once(first).chain(second));
    let value = |v: usize| all().any(|rows| rows.values.column(v).iter().any(|x| x.is_finite()));
    let somewhere: Vec<usize> = (0..pairs[0].0.values.ncols()).filter(|&v| rule.wants(v) && value(v)).collect();
    let count = |rows: &Rows, s: usize| somewhere.iter().filter(|&&v| rows.absent[[s, v]]).count();
    let counts = all().flat_map(|rows| (0..rows.names.len()).map(|s| (count(rows, s), rows.names[s].clone())));
    let counts: Vec<(usize, String)> = counts.filter(|(n, _)| *n > 0).collect();
    let (most, name) = counts.iter().max_by_key(|(n, _)| *n)?;
    let text = format!(
        "{} maps repeat one number (0, or what fills their outside) where other subjects have values, `{name}` in {most} voxels: read as missing{}; --zeros data counts it as a value",
        counts.len(),
        if left_out { ", and those voxels left out" } else { "" },
    );
    Some(Warning::Note { text })
}

fn background(config: &Config, grid: &Grid) -> Result<Option<Volume>> {
    let Some(path) = &config.maps.background else { return Ok(None) };
    let volume = nifti::read_volume(path)?;
    grid.require_same("maps.background", volume.grid())?;
    Ok(Some(volume))
}
