//! The subjects' maps, read and checked.

use super::chance::Chance;
use super::config::{Config, Generalise, Zeros};
use super::relabelled::{Read, Relabelled};
use super::rows::{self, Rows, Rule};
use super::runs::{Kind, Set, find};
use crate::data::names::twice;
use crate::data::{Grid, Mask, Volume};
use crate::error::{Error, Result};
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
    /// What was taken off the maps, in words.
    pub chance: String,
    /// The statistic of the maps, in words.
    pub stat: String,
    /// What the runs of both sets say of the overlap of their layers, subject by subject.
    pub overlaps: Option<(Vec<Value>, Vec<Value>)>,
    /// Where the group generalises over images.
    pub relabelled: Option<Relabelled>,
    pub warnings: Vec<Warning>,
}

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
    let fisher = fisher(config, &set)?;
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
    let mut read = |set: &Set, n: usize| -> Result<Rows> {
        let maps = rows::volumes(&set.paths[n], &mut warnings)?;
        let mut rows = Rows::new(maps, &grid, &rule, &mut warnings)?;
        rows.differ()?;
        let said = set.chances.get(n).map_or(&[][..], Vec::as_slice);
        match &own.null {
            Some(chance) => rows.take_off(std::slice::from_ref(chance), &grid, fisher)?,
            None => rows.take_off(said, &grid, fisher)?,
        }
        Ok(rows)
    };
    let mut pairs: Vec<(Rows, Option<Rows>)> = Vec::new();
    for n in 0..set.paths.len() {
        let first = read(&set, n)?;
        let second = against.as_ref().map(|other| read(other, n)).transpose()?;
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
    let maps: Vec<Array2<f64>> = maps.collect();
    if own.null.is_none() && set.kind.is_none() && against.is_none() {
        warnings.extend(maps.iter().zip(&set.names).filter_map(|(maps, name)| of_one_sign(name, maps)));
    }
    let background = background(config, &grid)?;
    let how = Read { mask: &mask, fisher, chance: own.null.as_ref(), present: &present };
    let relabelled = match config.test.generalise {
        Generalise::Subjects => None,
        Generalise::Images | Generalise::Both => Some(Relabelled::open(&set, &how)?),
    };
    let stat = set.kind.as_ref().map_or_else(|| own.stat.clone().unwrap_or_else(|| "value".into()), Kind::to_string);
    let chance = chance_in_words(config, &set);
    let overlaps = overlaps(config)?.map(|(own, other)| (chosen(own, &present), chosen(other, &present)));
    Ok(Data {
        names: set.names,
        maps,
        mask,
        background,
        space,
        fisher_z: fisher,
        chance,
        overlaps,
        relabelled,
        stat,
        warnings,
    })
}

/// Whether Fisher's z is taken: of correlations, unless it is said.
fn fisher(config: &Config, set: &Set) -> Result<bool> {
    let kind = set.kind.as_ref();
    match (config.maps.fisher_z, kind) {
        (Some(true), Some(kind)) if !kind.is_correlation() => {
            let hint = "leave `maps.fisher_z` out: it is of correlations";
            Err(Error::invalid("maps.fisher_z", "maps of correlations", kind.to_string(), hint))
        }
        (Some(said), _) => Ok(said),
        (None, kind) => Ok(kind.is_some_and(Kind::is_correlation)),
    }
}

fn chance_in_words(config: &Config, set: &Set) -> String {
    match &config.maps.null {
        Some(Chance::Value(value)) => value.to_string(),
        Some(Chance::Map(path)) => path.display().to_string(),
        None if set.chances.iter().flatten().all(Chance::is_zero) => "0".into(),
        None => "each map's mean under relabelling".into(),
    }
}

/// Share of values of one sign above which a map is suspected of being so by nature.
const ONE_SIGN: f64 = 0.995;

/// Says where all maps lie on one side of 0, as shares of variance and accuracies do.
fn of_one_sign(name: &str, maps: &Array2<f64>) -> Option<Warning> {
    let share = |sign: f64| {
        let of = |row: ndarray::ArrayView1<'_, f64>| {
            let finite = row.iter().filter(|v| v.is_finite());
            let (n, own) = finite.fold((0, 0), |(n, own), v| (n + 1, own + usize::from(v * sign > 0.0)));
            if n == 0 { 1.0 } else { f64::from(own as u32) / f64::from(n as u32) }
        };
        maps.rows().into_iter().map(of).fold(1.0, f64::min)
    };
    let (positive, negative) = (share(1.0), share(-1.0));
    let side = if positive > negative { "above" } else { "below" };
    let text = format!(
        "{name}: in every map {:.1} % of the values or more are {side} 0. Sign flips ask whether a map differs from 0: if chance gives something else (shares of variance, accuracies, cosines), everything is significant. Say it with --null VALUE or --null MAP",
        100.0 * positive.max(negative)
    );
    (positive.max(negative) > ONE_SIGN).then_some(Warning::Note { text })
}

/// Those of the subjects that are left.
pub(super) fn chosen<T>(all: Vec<T>, present: &[bool]) -> Vec<T> {
    all.into_iter().zip(present).filter(|(_, present)| **present).map(|(item, _)| item).collect()
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
