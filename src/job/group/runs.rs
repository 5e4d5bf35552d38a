//! The files that the given paths stand for: maps of run directories, or files themselves.

use super::chance::Chance;
use super::config::Config;
use crate::data::names::{nfc, same, twice};
use crate::error::{Error, Result};
use crate::io::filename::Part;
use crate::io::json;
use crate::mapping::{Residual, Statistic};
use serde_json::Value;
use std::fmt;
use std::path::{Path, PathBuf};

/// One set of maps as files: `paths[name][subject]`, or volumes of one file.
pub struct Set {
    pub names: Vec<String>,
    pub paths: Vec<Vec<PathBuf>>,
    /// What chance gives at each of the paths; none of files, of which nobody says it.
    pub chances: Vec<Vec<Chance>>,
    /// What the maps of run directories are.
    pub kind: Option<Kind>,
}

/// What the maps of a run are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    /// As in the names of the maps: the run's comparison, or another of its maps.
    pub stat: String,
    /// How the run compared.
    statistic: String,
    residual: String,
}

impl Kind {
    fn compared(&self) -> (Option<Statistic>, Option<Residual>) {
        let text = |s: &str| Value::String(s.to_owned());
        (serde_json::from_value(text(&self.statistic)).ok(), serde_json::from_value(text(&self.residual)).ok())
    }

    /// Whether the maps are the run's comparisons.
    pub fn is_compared(&self) -> bool {
        self.stat == self.statistic
    }

    /// Whether the maps are the run's comparisons, which are 0 on average where there is nothing.
    pub fn is_centred(&self) -> bool {
        let (statistic, residual) = self.compared();
        self.is_compared()
            && statistic.is_some_and(Statistic::is_centred)
            && residual.is_some_and(|r| r != Residual::UniqueVariance)
    }

    /// Whether they are correlations, which Fisher's z is of.
    pub fn is_correlation(&self) -> bool {
        self.is_centred() && self.compared().0 != Some(Statistic::Ols)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.residual.as_str() {
            "none" => f.write_str(&self.stat),
            residual => write!(f, "{} ({residual})", self.stat),
        }
    }
}

/// The maps that the paths stand for.
///
/// # Errors
/// [`Error::Invalid`] for runs that are none of `map`, or of different maps.
pub fn find(paths: &[PathBuf], config: &Config) -> Result<Set> {
    let n_directories = paths.iter().filter(|p| p.is_dir()).count();
    if n_directories == 0 {
        let name = config.maps.name.clone().unwrap_or_else(|| "effect".into());
        return Ok(Set { names: vec![name], paths: vec![paths.to_vec()], chances: vec![vec![]], kind: None });
    }
    if n_directories < paths.len() {
        let found = format!("{n_directories} directories and {} files", paths.len() - n_directories);
        return Err(Error::invalid("maps.subjects", "run directories or files, not both", found, ""));
    }
    let mut set: Option<Set> = None;
    for path in paths {
        let (layers, kind) = layers_of_run(path, config)?;
        let found: Vec<&Layer> = if config.maps.layers.is_empty() {
            layers.iter().collect()
        } else {
            config.maps.layers.iter().map(|name| layer_of_run(path, name, &layers)).collect::<Result<_>>()?
        };
        let files = found
            .iter()
            .map(|layer| map_file(path, layer.label(path, &layers)?, &kind.stat))
            .collect::<Result<Vec<_>>>()?;
        let chances = match &config.maps.null {
            Some(_) => vec![],
            None => files.iter().map(|file| Chance::of_map(file, &kind)).collect::<Result<Vec<_>>>()?,
        };
        let chosen: Vec<String> = found.into_iter().map(|layer| layer.name.clone()).collect();
        if let Some(name) = twice(chosen.iter().map(String::as_str)) {
            let found = format!("`{name}` twice");
            return Err(Error::invalid("maps.layers", "each layer once", found, "a layer is tested once"));
        }
        match &mut set {
            None => {
                let paths = files.into_iter().map(|f| vec![f]).collect();
                let chances = chances.into_iter().map(|c| vec![c]).collect();
                set = Some(Set { names: chosen, paths, chances, kind: Some(kind) });
            }
            Some(set) if set.names == chosen && set.kind.as_ref() == Some(&kind) => {
                set.paths.iter_mut().zip(files).for_each(|(all, file)| all.push(file));
                set.chances.iter_mut().zip(chances).for_each(|(all, chance)| all.push(chance));
            }
            Some(set) => {
                let own = set.kind.as_ref().map(ToString::to_string).unwrap_or_default();
                let expected = format!("{own} of `{}`", set.names.join("`, `"));
                let found = format!("{kind} of `{}`", chosen.join("`, `"));
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
fn layers_of_run(dir: &Path, config: &Config) -> Result<(Vec<Layer>, Kind)> {
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
            let kind = Kind {
                stat: config.maps.stat.clone().unwrap_or_else(|| stat.to_owned()),
                statistic: stat.to_owned(),
                residual: results["residual"].as_str().unwrap_or("none").to_owned(),
            };
            Ok((layers, kind))
        }
        _ => {
            let found = format!("a run of `{}`, {}", manifest["command"].as_str().unwrap_or("?"), manifest["status"]);
            let hint = "give directories of `orthoscope map` with a searchlight, or NIfTI files";
            Err(Error::invalid(dir.display().to_string(), "a complete run of `map` with maps", found, hint))
        }
    }
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
